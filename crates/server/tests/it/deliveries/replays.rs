//! Delivering again.

use serde_json::{Value, json};

use super::{endpoint, get, publish, start, until};
use crate::support::receiver::{Answering, Receiver};
use crate::support::{Engine, both};

both! {
    one_delivery_is_made_anew,
    a_range_is_delivered_again_in_bites,
}

async fn one_delivery_is_made_anew(engine: Engine) {
    let Some(server) = start(engine, &[]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    publish(&server, &ada, "a", json!({"n": 1})).await;
    receiver.until(1).await;
    let list = get(&server, &ada, "/v1/webhook-deliveries").await;
    let old = list["data"][0]["id"].as_str().expect("an id").to_owned();
    let token = Some(ada.access_token.as_str());
    let path = format!("/v1/webhook-deliveries/{old}/replay");
    let new = server.send("POST", &path, token, None).await.expect(202);
    let arrivals = receiver.until(2).await;
    // The same event, so that a receiver that has it passes over it.
    assert_eq!(arrivals[0].header("webhook-id"), arrivals[1].header("webhook-id"));
    assert_eq!(arrivals[0].body, arrivals[1].body);
    let new = format!("/v1/webhook-deliveries/{}", new["id"].as_str().expect("an id"));
    until(&server, &ada, &new, |delivery| delivery["state"] == "delivered").await;
    assert_eq!(get(&server, &ada, "/v1/webhook-deliveries").await["data"].as_array().map(Vec::len), Some(2));
    let bob = server.person("bob").await;
    server.send("POST", &path, Some(&bob.access_token), None).await.refused(404, "not_found");
}

async fn a_range_is_delivered_again_in_bites(engine: Engine) {
    let Some(server) = start(engine, &[("deliveries.retry_seconds", "[]")]).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let (id, _) = endpoint(&server, &ada, json!({"url": receiver.url(), "event_types": ["a"]})).await;
    let token = Some(ada.access_token.as_str());
    let replays = format!("/v1/webhook-endpoints/{id}/replays");
    receiver.script([Answering::status(500)]);
    publish(&server, &ada, "a", json!({"n": 0})).await;
    receiver.until(1).await;
    let failed = |list: &Value| list["data"].as_array().is_some_and(|rows| rows.len() == 1);
    until(&server, &ada, "/v1/webhook-deliveries?state=failed", failed).await;
    publish(&server, &ada, "a", json!({"n": 1})).await;
    publish(&server, &ada, "b", json!({"n": 2})).await;
    let delivered = |list: &Value| list["data"].as_array().is_some_and(|rows| rows.len() == 1);
    until(&server, &ada, "/v1/webhook-deliveries?state=delivered", delivered).await;
    // Only what was not taken, and what the endpoint wants.
    let since = json!({"since": "2020-01-01T00:00:00Z", "only_failed": true});
    server.send("POST", &replays, token, Some(since)).await.expect(202);
    let arrivals = receiver.until(3).await;
    assert_eq!(arrivals[2].json()["data"]["n"], 0);
    // An endpoint that comes later is told of all; more than one bite takes.
    for n in 3..250 {
        publish(&server, &ada, "c", json!({"n": n})).await;
    }
    let late = Receiver::start().await;
    let (id, _) = endpoint(&server, &ada, json!({"url": late.url()})).await;
    let all = json!({"since": "2020-01-01T00:00:00Z", "only_failed": false});
    server.send("POST", &format!("/v1/webhook-endpoints/{id}/replays"), token, Some(all)).await.expect(202);
    let mut seen: Vec<_> = late.until(250).await.iter().map(|one| one.json()["data"]["n"].as_u64()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..250).map(Some).collect::<Vec<_>>());
    let empty = json!({"since": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"});
    server.send("POST", &replays, token, Some(empty)).await.refused(400, "invalid_input");
}
