//! Delta sync over the wire: pages, checksums, mutations of offline clients, and answers from memory.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{PersonId, Role, TenantId};
use mainstay_server::app::store_options;
use mainstay_store::{AddMember, Call, Migrator, Options, Store};
use serde_json::{Value, json};

use crate::support::{Engine, Person, TestApp, both};

both!(
    a_client_follows_and_its_counts_agree,
    a_cursor_that_is_none_is_named,
    what_was_written_offline_is_applied_once,
    nothing_new_needs_no_query,
    what_another_process_writes_is_noticed,
);

/// A client by the rules of the wire.
#[derive(Default)]
struct Replica {
    cursor: String,
    rows: BTreeMap<(String, String), (i64, Option<String>, Value)>,
}

impl Replica {
    async fn pull(&mut self, app: &TestApp, by: &Person) -> Value {
        loop {
            let path = format!("/v1/sync?limit=7&cursor={}", self.cursor);
            let page = app.send("GET", &path, Some(&by.access_token), None).await.expect(200);
            for change in page["changes"].as_array().expect("changes") {
                let text = |field: &str| change[field].as_str().expect("a text").to_owned();
                let key = (text("stream"), text("id"));
                if change["deleted"] == json!(true) {
                    self.rows.remove(&key);
                    self.rows.retain(|_, (_, parent, _)| parent.as_deref() != Some(key.1.as_str()));
                } else {
                    let parent = change["parent"].as_str().map(str::to_owned);
                    self.rows.insert(key, (change["seq"].as_i64().expect("a number"), parent, change["row"].clone()));
                }
            }
            self.cursor = page["cursor"].as_str().expect("a cursor").to_owned();
            if page["complete"] == json!(true) {
                let sum: i64 = self.rows.values().map(|(seq, ..)| seq).sum();
                assert_eq!(page["checksum"], json!({"count": self.rows.len(), "sum": sum}), "the replica has diverged");
                return page;
            }
            assert_eq!(page["next_sync_after_ms"], json!(0), "there is more at once");
        }
    }

    fn of(&self, kind: &str) -> Vec<&Value> {
        let is = |row: &Value| match kind {
            "message" => row.get("role").is_some() && row.get("content").is_some(),
            "conversation" => row.get("title").is_some(),
            _ => row.get("since").is_some(),
        };
        self.rows.values().map(|(_, _, row)| row).filter(|row| is(row)).collect()
    }
}

async fn say(app: &TestApp, by: &Person, text: &str) -> Value {
    app.send("POST", "/v1/messages", Some(&by.access_token), Some(json!({"content": text}))).await.expect(201)
}

async fn a_client_follows_and_its_counts_agree(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    let mut replica = Replica::default();
    replica.pull(&app, &ada).await;
    assert_eq!(replica.of("member").len(), 1);
    let mut conversations = Vec::new();
    for text in ["one", "two", "three"] {
        conversations.push(say(&app, &ada, text).await["conversation_id"].as_str().expect("an id").to_owned());
    }
    let page = replica.pull(&app, &ada).await;
    assert_eq!((replica.of("conversation").len(), replica.of("message").len()), (3, 6));
    assert!(replica.of("message").iter().all(|row| row["status"] == json!("final") && row["html"].is_null()));
    // The plan free comes back only on demand.
    assert_eq!(page["next_sync_after_ms"], Value::Null);
    let path = format!("/v1/conversations/{}", conversations[0]);
    app.send("PATCH", &path, Some(&ada.access_token), Some(json!({"title": "Renamed"}))).await.expect(200);
    let path = format!("/v1/conversations/{}", conversations[1]);
    app.send("DELETE", &path, Some(&ada.access_token), None).await.expect(204);
    replica.pull(&app, &ada).await;
    assert_eq!((replica.of("conversation").len(), replica.of("message").len()), (2, 4));
    assert!(replica.of("conversation").iter().any(|row| row["title"] == json!("Renamed")));
    let html = app.send("GET", "/v1/sync?limit=50&html=true", Some(&ada.access_token), None).await.expect(200);
    let shown = html["changes"].as_array().expect("changes").iter().filter(|change| change["row"]["html"].is_string());
    assert_eq!(shown.count(), 2, "the two replies that are left");
    // Somebody else sees nothing of it.
    let bob = app.person("bob").await;
    let mut other = Replica::default();
    other.pull(&app, &bob).await;
    assert_eq!(other.rows.len(), 1);
    let mut stolen = Replica { cursor: replica.cursor.clone(), ..Replica::default() };
    let path = format!("/v1/sync?cursor={}", stolen.cursor);
    let refused = app.send("GET", &path, Some(&bob.access_token), None).await.refused(410, "resync_required");
    assert!(["epoch", "ahead"].contains(&refused["reason"].as_str().expect("a reason")));
    stolen.cursor.clear();
}

async fn a_cursor_that_is_none_is_named(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    for (query, field) in [("cursor=x", "cursor"), ("limit=51", "limit"), ("limit=0", "limit")] {
        let path = format!("/v1/sync?{query}");
        let refused = app.send("GET", &path, Some(&ada.access_token), None).await.refused(400, "invalid_input");
        assert_eq!(refused["fields"][0]["field"], json!(field));
    }
    app.send("GET", "/v1/sync", None, None).await.refused(401, "unauthenticated");
}

async fn what_was_written_offline_is_applied_once(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    let id = || app.app.ids.make::<uuid::Uuid>().to_string();
    let conversation = id();
    let body = json!({"client_id": id(), "mutations": [
        {"kind": "message.send", "id": id(), "conversation_id": conversation, "content": "written in a tunnel", "new": true},
        {"kind": "message.send", "id": id(), "conversation_id": conversation, "content": "and another", "new": true},
        {"kind": "conversation.rename", "id": id(), "conversation_id": conversation, "title": "Tunnel"},
        {"kind": "conversation.rename", "id": id(), "conversation_id": id(), "title": "Nowhere"},
        {"kind": "message.send", "id": id(), "conversation_id": conversation, "content": ""},
    ]});
    let push = async || app.send("POST", "/v1/sync", Some(&ada.access_token), Some(body.clone())).await.expect(200);
    let statuses = |answer: &Value| -> Vec<String> {
        let results = answer["results"].as_array().expect("results");
        results.iter().map(|result| result["status"].as_str().expect("a status").to_owned()).collect()
    };
    // Twice at once, and once more.
    let (first, second) = tokio::join!(push(), push());
    for (one, two) in statuses(&first).iter().zip(statuses(&second)).take(3) {
        assert!(
            [("applied", "repeated"), ("repeated", "applied")].contains(&(one.as_str(), two.as_str())),
            "{one} {two}"
        );
    }
    let again = push().await;
    assert_eq!(statuses(&again), ["repeated", "repeated", "repeated", "refused", "refused"]);
    assert_eq!(again["results"][3]["problem"]["code"], json!("not_found"));
    assert_eq!(again["results"][4]["problem"]["code"], json!("invalid_input"));
    let path = format!("/v1/conversations/{conversation}/messages");
    let listed = app.send("GET", &path, Some(&ada.access_token), None).await.expect(200);
    let sent = listed["data"].as_array().expect("messages").iter().filter(|message| message["role"] == json!("user"));
    assert_eq!(sent.count(), 2);
    // The same id for something else is refused; a deletion is applied once as well.
    let mut other = body.clone();
    other["mutations"][2]["title"] = json!("Something else");
    let refused = app.send("POST", "/v1/sync", Some(&ada.access_token), Some(other)).await.expect(200);
    assert_eq!(refused["results"][2]["problem"]["code"], json!("idempotency_key_reused"));
    let delete = json!({"client_id": id(), "mutations": [
        {"kind": "conversation.delete", "id": id(), "conversation_id": conversation}]});
    for expected in ["applied", "repeated"] {
        let answer = app.send("POST", "/v1/sync", Some(&ada.access_token), Some(delete.clone())).await.expect(200);
        assert_eq!(answer["results"][0]["status"], json!(expected));
    }
    let none = json!({"client_id": id(), "mutations": []});
    app.send("POST", "/v1/sync", Some(&ada.access_token), Some(none)).await.refused(400, "invalid_input");
}

async fn nothing_new_needs_no_query(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let ada = app.person("ada").await;
    let mut replica = Replica::default();
    replica.pull(&app, &ada).await;
    replica.pull(&app, &ada).await;
    let (from_memory, read) = app.app.sync.heads.figures();
    for _ in 0..20 {
        replica.pull(&app, &ada).await;
    }
    assert_eq!(app.app.sync.heads.figures(), (from_memory + 20, read), "the database was asked");
    say(&app, &ada, "something").await;
    replica.pull(&app, &ada).await;
    assert_eq!(replica.of("message").len(), 2, "a write is seen at once");
}

/// A process that serves nobody, such as the command line, writes to the same database.
async fn what_another_process_writes_is_noticed(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut replica = Replica::default();
    replica.pull(&app, &ada).await;
    let options: Options = store_options(&app.app.config.database);
    assert!(Migrator::open(&options).await.expect("opened").is_current().await.expect("read"));
    let (other, tasks) =
        Store::open(options, std::sync::Arc::new(mainstay_server::outside::SystemEntropy)).await.expect("opened");
    let add = AddMember {
        tenant: TenantId(ada.organisation.parse().expect("an id")),
        person: PersonId(bob.id.parse().expect("an id")),
        role: Role::Member,
        now: app.now(),
    };
    assert_eq!(other.run(&Call::within(Duration::from_secs(20)), add).await, Ok(true));
    drop(tasks);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while replica.of("member").len() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "it was not noticed");
        replica.pull(&app, &ada).await;
    }
    other.close().await;
}
