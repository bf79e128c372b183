//! Seeing how deliveries fare, and giving up one that waits.

use std::time::Duration;

use mainstay_domain::{JobId, JobState};
use mainstay_store::{Call, GetJob};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, endpoint, get, publish, start, until};
use crate::support::receiver::{Answering, Receiver};
use crate::support::{Engine, both};

both! {
    deliveries_are_counted_by_endpoint_and_state,
    a_delivery_that_waits_is_given_up,
}

const COUNTS: &str = "/v1/webhook-deliveries/counts";

fn of(counts: &Value) -> [Option<u64>; 4] {
    ["pending", "delivered", "failed", "cancelled"].map(|state| counts[state].as_u64())
}

async fn deliveries_are_counted_by_endpoint_and_state(engine: Engine) {
    let Some(server) = start(engine, &[("deliveries.retry_seconds", "[]")]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let (good, bad) = (Receiver::start().await, Receiver::start().await);
    let (first, _) = endpoint(&server, &ada, json!({"url": good.url()})).await;
    let (second, _) = endpoint(&server, &ada, json!({"url": bad.url(), "event_types": ["a"]})).await;
    bad.answer(Answering::status(500));
    publish(&server, &ada, "a", json!({})).await;
    publish(&server, &ada, "b", json!({})).await;
    let counted = until(&server, &ada, COUNTS, |counts| of(counts) == [Some(0), Some(2), Some(1), Some(0)]).await;
    let by = |id: &str| counted["endpoints"].as_array().expect("endpoints").iter().find(|one| one["endpoint_id"] == id);
    assert_eq!(by(&first).map(of), Some([Some(0), Some(2), Some(0), Some(0)]), "{counted}");
    assert_eq!(by(&second).map(of), Some([Some(0), Some(0), Some(1), Some(0)]), "{counted}");
    assert_eq!(counted["more"], false);
    let nothing = get(&server, &bob, COUNTS).await;
    assert_eq!((of(&nothing), &nothing["endpoints"]), ([Some(0); 4], &json!([])), "nobody else hears of it");
}

async fn a_delivery_that_waits_is_given_up(engine: Engine) {
    let Some(server) = start(engine, &[("deliveries.retry_seconds", r#"["1", "1"]"#)]).await else { return };
    let (ada, bob, receiver) = (server.person("ada").await, server.person("bob").await, Receiver::start().await);
    endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    receiver.script([Answering::status(500)]);
    publish(&server, &ada, "a", json!({"n": 1})).await;
    let waits = |list: &Value| list["data"][0]["attempts"] == 1;
    let list = until(&server, &ada, "/v1/webhook-deliveries?state=pending", waits).await;
    let path = format!("/v1/webhook-deliveries/{}", list["data"][0]["id"].as_str().expect("an id"));
    let cancel = async |token: &str| server.send("POST", &format!("{path}/cancel"), Some(token), None).await;
    cancel(&bob.access_token).await.refused(404, "not_found");
    cancel(&ada.access_token).await.expect_ok("it is given up");
    let problem = cancel(&ada.access_token).await.refused(409, "ended");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("this one is cancelled")), "{problem}");
    let log = get(&server, &ada, &path).await;
    assert_eq!((&log["state"], &log["next_at"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(
        (&log["error"], log["log"].as_array().map(Vec::len)),
        (&json!("It was cancelled by somebody."), Some(1))
    );
    assert!(!log["published_at"].is_null() && !log["ended_at"].is_null(), "{log}");
    assert_eq!(of(&get(&server, &ada, COUNTS).await), [Some(0), Some(0), Some(0), Some(1)]);
    // Its job comes when the second attempt would have been due, and sends nothing.
    let job = list["data"][0]["id"].as_str().and_then(|id| id.parse().ok()).map(JobId).expect("an id");
    let end = Instant::now() + PATIENCE;
    while server.app.store.run(&Call::within(PATIENCE), GetJob(job)).await.expect("read").expect("kept").job.state
        != JobState::Done
    {
        assert!(Instant::now() < end, "its job does not end");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(receiver.arrivals().len(), 1, "it was not sent again");
    // It can be begun anew.
    server.send("POST", &format!("{path}/replay"), Some(&ada.access_token), None).await.expect(202);
    assert_eq!(receiver.until(2).await[1].json()["data"]["n"], 1);
}
