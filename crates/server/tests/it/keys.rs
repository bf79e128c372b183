//! Secrets at rest: nothing plain in the database, each text bound to its place, and what a missing key does.

mod commands;
mod crowd;
mod rotation;

use std::time::Duration;

use mainstay_domain::{EndpointId, InboxSourceId, KeyVersion, Sealed, Secret, TenantId};
use mainstay_server::keys::{OpenFault, Place};
use mainstay_store::{Call, ExchangeSealed, GetEndpoint, GetInboxSource, ReadSealed, SealedColumn, SealedRow};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::deliveries::{endpoint, publish, start};
use crate::inbox::{post, send, sender};
use crate::support::receiver::Receiver;
use crate::support::{Engine, TestApp, both, text};

both! {
    secrets_are_sealed_where_they_are_stored,
    a_sealed_text_opens_in_its_own_row_only,
    a_missing_key_fails_the_row_and_nothing_else,
}

const FIRST: KeyVersion = KeyVersion::FIRST;
/// 32 bytes, as a sender would have them.
const SECRET: &str = concat!("whsec", "_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");

fn call() -> Call {
    Call::within(Duration::from_secs(10))
}

fn standard() -> Value {
    json!({"name": "Shop", "provider": "standard", "secrets": [SECRET]})
}

/// Everything that is sealed, by column.
async fn stored(server: &TestApp, column: SealedColumn, key: KeyVersion) -> Vec<SealedRow> {
    let read = ReadSealed { column, key, after: None, most: 100 };
    server.app.store.run(&call(), read).await.expect("read")
}

/// Puts texts in the place of what is stored.
async fn exchange(server: &TestApp, column: SealedColumn, rows: Vec<(SealedRow, Sealed)>) {
    let count = rows.len() as u64;
    let exchanged = server.app.store.run_for_jobs(&call(), ExchangeSealed { column, rows }).await;
    assert_eq!(exchanged, Ok(count));
}

async fn secrets_are_sealed_where_they_are_stored(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let (_, signing) = endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    let shop = sender(&server, &ada, standard()).await;
    // Both work, so both open.
    send(&server, &shop, "msg_1", r#"{"type": "order.paid"}"#).await.expect(200);
    publish(&server, &ada, "invoice.paid", json!({})).await;
    assert_eq!(receiver.until(1).await[0].verify(&signing), Ok(()));
    let mut plain =
        vec![signing.trim_start_matches("whsec_").to_owned(), SECRET.trim_start_matches("whsec_").to_owned()];
    for (column, rows) in
        [(SealedColumn::EndpointSecrets, 1), (SealedColumn::InboxScheme, 1), (SealedColumn::SigningKey, 2)]
    {
        let stored = stored(&server, column, FIRST).await;
        assert_eq!(stored.len(), rows, "{column:?}");
        for row in stored {
            let sealed = Sealed::parse(row.stored.expose()).expect("it is sealed");
            let place = Place { column, tenant: row.tenant, row: row.id };
            let opened = server.app.keys.open(place, &sealed).expect("it opens");
            assert!(plain.iter().all(|secret| !sealed.as_str().contains(secret)), "{column:?}");
            if column == SealedColumn::SigningKey {
                plain.push(opened.expose().to_owned());
            }
        }
    }
    let Some(path) = server.app.config.database.sqlite_path() else { return };
    let key = std::fs::read_to_string(server.app.keys.folder().expect("a folder").join("key-1")).expect("the key");
    plain.push(key.trim().to_owned());
    // The file itself, and its log.
    let mut bytes = std::fs::read(path).expect("the file");
    bytes.extend(std::fs::read(format!("{path}-wal")).expect("its log"));
    let has = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    for secret in &plain {
        assert!(secret.len() > 40 && !has(secret), "{path} has {secret}");
    }
    assert!(has("sealed1:00000001:"), "the judge itself: what is sealed is there");
}

async fn a_sealed_text_opens_in_its_own_row_only(engine: Engine) {
    let Some(server) = start(engine, &[("jobs.enabled", "false")]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    for person in [&ada, &ada, &bob] {
        endpoint(&server, person, json!({"url": "http://127.0.0.2:9/"})).await;
    }
    let column = SealedColumn::EndpointSecrets;
    let before = stored(&server, column, FIRST).await;
    let place = |row: &SealedRow| Place { column, tenant: row.tenant, row: row.id };
    let open = |row: &SealedRow| server.app.keys.open(place(row), &Sealed::of_column(row.stored.expose()));
    assert!(before.iter().all(|row| open(row).is_ok()));
    // Each row gets the text of the next: another row of the same organisation, or another organisation.
    let next = |at: usize| Sealed::of_column(before[(at + 1) % 3].stored.expose());
    exchange(&server, column, before.iter().cloned().enumerate().map(|(at, row)| (row, next(at))).collect()).await;
    let moved = stored(&server, column, FIRST).await;
    assert_eq!(moved.len(), 3);
    for row in &moved {
        assert_eq!(open(row).err(), Some(OpenFault::Refused(FIRST)));
    }
    // Into another table.
    let shop = sender(&server, &ada, standard()).await;
    let id: InboxSourceId = shop.id.parse().expect("an id");
    let source = server.app.store.run(&call(), GetInboxSource { tenant: shop.tenant, id }).await.expect("read");
    let scheme = source.expect("it is there").scheme;
    let elsewhere = Place { column, tenant: shop.tenant, row: id.uuid() };
    assert_eq!(server.app.keys.open(elsewhere, &scheme).err(), Some(OpenFault::Refused(FIRST)));
    assert!(server.app.keys.open(Place { column: SealedColumn::InboxScheme, ..elsewhere }, &scheme).is_ok());
    // A single letter.
    let mut body = scheme.body().to_owned();
    let other = if body.starts_with('A') { "B" } else { "A" };
    body.replace_range(..1, other);
    let tampered = Sealed::new(FIRST, &body).expect("letters");
    let home = Place { column: SealedColumn::InboxScheme, ..elsewhere };
    assert_eq!(server.app.keys.open(home, &tampered).err(), Some(OpenFault::Refused(FIRST)));
    // The lists are whole all the same, and say of themselves what they do not know.
    let list = server.send("GET", "/v1/webhook-endpoints", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
}

async fn a_missing_key_fails_the_row_and_nothing_else(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let token = Some(ada.access_token.as_str());
    let (whole, broken) = (sender(&server, &ada, standard()).await, sender(&server, &ada, standard()).await);
    let (id, _) = endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    let far = KeyVersion::new(77).expect("a number");
    let under = |row: &SealedRow| Sealed::new(far, Sealed::of_column(row.stored.expose()).body()).expect("letters");
    let schemes = stored(&server, SealedColumn::InboxScheme, FIRST).await.into_iter();
    let schemes = schemes.filter(|row| row.id.to_string() == broken.id).map(|row| (row.clone(), under(&row))).collect();
    exchange(&server, SealedColumn::InboxScheme, schemes).await;
    let secrets = stored(&server, SealedColumn::EndpointSecrets, FIRST).await.into_iter();
    exchange(&server, SealedColumn::EndpointSecrets, secrets.map(|row| (row.clone(), under(&row))).collect()).await;

    // The sender is told to come again; nothing of it is lost, and the other is taken.
    let body = r#"{"type": "order.paid"}"#;
    let refused = send(&server, &broken, "msg_1", body).await;
    assert!(refused.headers.contains_key("retry-after"));
    let told = refused.refused(503, "secret_not_opened");
    assert!(!told["detail"].to_string().contains("77"), "what is inside stays inside: {told}");
    send(&server, &whole, "msg_1", body).await.expect(200);
    let list = server.send("GET", "/v1/inbox-sources", token, None).await.expect(200);
    let schemes: Vec<_> =
        list["data"].as_array().expect("rows").iter().map(|row| (row["scheme"].is_null(), &row["secrets"])).collect();
    assert_eq!(schemes, [(false, &json!(1)), (true, &json!(0))]);
    let metrics = server.send("GET", "/metrics", None, None).await.text;
    assert!(metrics.contains(r#"mainstay_secrets_refused_total{reason="key_missing"}"#), "{metrics}");
    // A delivery waits for the key: it is no attempt.
    publish(&server, &ada, "invoice.paid", json!({})).await;
    let path = "/v1/webhook-deliveries?limit=1";
    let list = crate::deliveries::until(&server, &ada, path, |list| {
        list["data"].as_array().is_some_and(|rows| !rows.is_empty())
    });
    assert_eq!(list.await["data"][0]["attempts"], 0);
    // New secrets mend both; the new one of the endpoint stands alone.
    let path = format!("/v1/inbox-sources/{}", broken.id);
    server.send("PATCH", &path, token, Some(json!({"rotate": true}))).await.refused(503, "secret_not_opened");
    server.send("PATCH", &path, token, Some(json!({"secrets": [SECRET]}))).await.expect(200);
    send(&server, &broken, "msg_1", body).await.expect(200);
    let path = format!("/v1/webhook-endpoints/{id}/secret/rotate");
    let rotated = server.send("POST", &path, token, None).await.expect(200);
    let (tenant, endpoint) =
        (ada.organisation.parse::<TenantId>().expect("an id"), id.parse::<EndpointId>().expect("an id"));
    let stored =
        server.app.store.run(&call(), GetEndpoint { tenant, id: endpoint }).await.expect("read").expect("there");
    let place = Place { column: SealedColumn::EndpointSecrets, tenant, row: endpoint.uuid() };
    let opened = server.app.keys.open(place, &stored.secrets).expect("it opens");
    assert!(opened.expose().contains(&text(&rotated["secret"])) && opened.expose().matches("secret").count() == 1);
    publish(&server, &ada, "invoice.paid", json!({})).await;
    assert_eq!(receiver.until(1).await[0].verify(&text(&rotated["secret"])), Ok(()));
    // What nobody has is nobody's.
    let nobody = post(&server, &format!("/hooks/standard/{}", Uuid::from_u128(7).simple()), &[], body).await;
    nobody.refused(404, "not_found");
    assert_eq!(format!("{:?} {:?}", Secret::new(SECRET.to_owned()), server.app.keys), "*** Keys");
}
