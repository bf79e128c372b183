//! What the database holds of somebody: found and exported by the command line, and held against a search that knows nothing of
//! the program.

mod erasure;

use std::collections::BTreeMap;

use mainstay_testing::Cluster;
use serde_json::{Value, json};

use crate::support::binary::{Installation, Instance};
use crate::support::text;

/// Fills an installation with somebody: a contact with an appointment, messages about her, a webhook that names her.
async fn fill(installation: &Installation, server: &Instance) -> String {
    let token = installation.people(1).await.remove(0);
    let send = async |method: &str, path: &str, body: Value| {
        let answer = server.send(method, path, &token, Some(body)).await.expect("an answer");
        assert!(answer.status < 300, "{path}: {}", answer.text);
        answer.json()
    };
    let iris = json!({"name": "Iris Murdoch", "phone": "+4930901877", "email": "iris@example.net"});
    let contact = send("POST", "/v1/contacts", iris).await;
    send("PATCH", &format!("/v1/contacts/{}", text(&contact["id"])), json!({"note": "She paints."})).await;
    send("POST", "/v1/messages", json!({"content": "Please call Iris Murdoch, 030 901877."})).await;
    let event = json!({"type": "order.paid", "data": {"buyer": "iris@example.net"}});
    send("POST", "/v1/webhook-events", event).await;
    text(&contact["id"])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_all_that_a_search_of_the_database_finds() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let server = installation.serve().await;
    let contact = fill(&installation, &server).await;
    server.stop().await;
    let out = installation.folder().join("iris.ndjson");
    let export = ["person", "export", "--email", "IRIS@example.net", "--out", "iris.ndjson"];
    installation.run(&export).await.says(0, &["contact", "message", "webhook_event", "written to"]);
    let rows: Vec<Value> = std::fs::read_to_string(&out)
        .expect("written")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let mut exported: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *exported.entry(text(&row["table"])).or_default() += 1;
    }
    // A search that knows the names of tables and nothing else.
    let tables = database.psql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
    for table in tables.expect("listed") {
        let wanted = ["iris@example.net", "Iris Murdoch", "4930901877", "30 901877", &contact];
        let any = wanted.map(|text| format!("w::text ILIKE '%{text}%'")).join(" OR ");
        let count = database.psql(&format!("SELECT count(*) FROM \"{table}\" w WHERE {any}")).expect("counted");
        let found: usize = count.concat().trim().parse().expect("a number");
        let has = exported.get(&table).copied().unwrap_or(0);
        assert!(has >= found, "{table}: {found} rows name her, and {has} were exported: {exported:?}");
    }
    assert!(exported.len() >= 3, "{exported:?}");
    let whole = json!(rows).to_string();
    assert!(!whole.contains("sealed1:") || !whole.contains("password of"), "no secret is in it");
    // It is in the trail, and it is not written over.
    installation.run(&["trail", "list"]).await.says(0, &["mainstay person export"]);
    installation.run(&export).await.says(1, &["not there yet"]);
    let nobody = ["person", "find", "--email", "nobody@example.net"];
    installation.run(&nobody).await.says(0, &["0 of"]);
    installation.run(&["person", "find", "--phone", "12"]).await.says(1, &["--phone"]);
    installation.run(&["person", "find"]).await.says(2, &["--email"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_found_while_a_server_serves_from_the_file() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let contact = fill(&installation, &server).await;
    let found = installation.run(&["person", "find", "--phone", "+4930901877"]).await;
    found.says(0, &["contact", "message", "webhook_event"]);
    assert!(!found.text.contains("iris@") && !found.text.contains(&contact), "numbers only: {}", found.text);
    assert_eq!(server.stop().await, Some(0));
}
