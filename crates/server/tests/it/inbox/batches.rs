//! A request with many events, of which not all can be stored at once.

use std::collections::BTreeSet;

use serde_json::json;

use super::{events, sender, settled};
use crate::subscriptions::signed_batch;
use crate::support::{ALL_AT_ONCE, Engine, TestApp, both};

both! {
    what_was_stored_of_a_batch_is_named_and_the_rest_sent_again,
}

const EVENTS: usize = 60;

/// As FastSpring defines it: the ids of what was taken are answered with 202, and what is not named comes again.
async fn what_was_stored_of_a_batch_is_named_and_the_rest_sent_again(engine: Engine) {
    // So few calls may wait for a place in a batch that the others are refused.
    let narrow = [
        ALL_AT_ONCE,
        ("database.batch_size", "4"),
        ("database.batch_queue", "4"),
        ("database.batch_size_per_tenant", "4"),
    ];
    let Some(server) = TestApp::start(engine, &narrow).await else { return };
    let ada = server.person("ada").await;
    let body = json!({"name": "Shop", "provider": "fastspring", "secrets": ["mine"]});
    let shop = sender(&server, &ada, body).await;
    let mut left: BTreeSet<String> = (0..EVENTS).map(|number| format!("event-{number:02}")).collect();
    let mut partly = 0;
    while !left.is_empty() {
        let event = |id: &String| json!({"id": id, "type": "order.completed", "live": true, "created": 1_700_000_000_000_i64, "data": {"id": id}});
        let answer = signed_batch(&server, &shop.path, "mine", left.iter().map(event).collect()).await;
        match answer.status {
            202 => {
                partly += 1;
                let named: BTreeSet<String> = answer.text.lines().map(str::to_owned).collect();
                assert!(!named.is_empty() && named.is_subset(&left) && named != left, "{named:?}");
                left = left.difference(&named).cloned().collect();
            }
            200 => left.clear(),
            status => panic!("{status}: {}", answer.text),
        }
        let stored: BTreeSet<String> =
            events(&server, &shop, "").await.iter().map(|event| super::text(&event["identity"])).collect();
        assert_eq!(stored.len(), EVENTS - left.len(), "what is named is stored, and nothing else");
        assert!(stored.is_disjoint(&left));
    }
    assert!(partly > 0, "all were stored at once");
    settled(&server, &shop).await;
    assert_eq!(events(&server, &shop, "state=processed").await.len(), EVENTS);
}
