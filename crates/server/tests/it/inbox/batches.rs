//! A request with many events, of which not all can be stored.

use std::collections::BTreeSet;

use serde_json::json;

use super::{events, sender, settled, text};
use crate::subscriptions::signed_batch;
use crate::support::{Engine, TestApp};

/// A fault of the database that lies in one event.
const FAULT: &str = "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.identity = 'event-13' THEN RAISE EXCEPTION 'a fault'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER fault BEFORE INSERT ON inbox_event FOR EACH ROW EXECUTE FUNCTION fault()";
const MENDED: &str = "DROP TRIGGER fault ON inbox_event";

/// As FastSpring defines it: the ids of what was taken are answered with 202, and what is not named comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_of_a_batch_is_named_and_the_rest_sent_again() {
    let Some(server) = TestApp::start(Engine::Postgres, &[]).await else { return };
    let ada = server.person("ada").await;
    let body = json!({"name": "Shop", "provider": "fastspring", "secrets": ["mine"]});
    let shop = sender(&server, &ada, body).await;
    let all: BTreeSet<String> = (0..60).map(|number| format!("event-{number:02}")).collect();
    let send = async |ids: &BTreeSet<String>| {
        let event =
            |id: &String| json!({"id": id, "type": "order.completed", "created": 1_700_000_000_000_i64, "data": {}});
        signed_batch(&server, &shop.path, "mine", ids.iter().map(event).collect()).await
    };
    server.psql(FAULT);
    let answer = send(&all).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let named: BTreeSet<String> = answer.text.lines().map(str::to_owned).collect();
    let left: BTreeSet<String> = all.difference(&named).cloned().collect();
    assert_eq!(left, BTreeSet::from(["event-13".to_owned()]));
    let stored: BTreeSet<String> =
        events(&server, &shop, "").await.iter().map(|event| text(&event["identity"])).collect();
    assert_eq!(stored, named, "what is named is stored, and nothing else");
    // Alone it cannot be named: it is to come again.
    send(&left).await.refused(503, "not_stored");
    server.psql(MENDED);
    assert_eq!(send(&left).await.expect(200)["duplicate"], false);
    settled(&server, &shop).await;
    assert_eq!(events(&server, &shop, "state=processed").await.len(), 60);
}
