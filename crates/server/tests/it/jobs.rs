//! Jobs as operators see and steer them: over the wire, by health and figures, from the command line and across nodes.

mod commands;
mod nodes;
mod watching;

use std::time::Duration;

use mainstay_domain::EmailAddress;
use mainstay_store::Call;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{Answer, Engine, Person, TestApp, both, text};

both! {
    jobs_are_listed_by_filter_and_page,
    a_failing_job_is_seen_attempt_by_attempt,
    a_job_is_cancelled_while_it_waits_and_while_it_runs,
    what_was_given_up_begins_anew,
    a_paused_queue_begins_nothing,
    probes_take_effect_once_however_often_they_are_asked_for,
    only_operators_see_and_steer,
}

/// Generous: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

fn call() -> Call {
    Call::within(PATIENCE)
}

/// A server and an operator of it.
async fn operated(engine: Engine, settings: &[(&str, &str)]) -> Option<(TestApp, Person)> {
    let server = TestApp::start(engine, settings).await?;
    let ada = server.person("ada").await;
    mark(&server, &ada, true).await;
    Some((server, ada))
}

async fn mark(server: &TestApp, person: &Person, operator: bool) {
    let email = EmailAddress::parse(&person.email).expect("an address");
    server.app.accounts.set_operator(&call(), &email, operator).await.expect("marked");
}

async fn get(server: &TestApp, by: &Person, path: &str) -> Value {
    server.send("GET", path, Some(&by.access_token), None).await.expect(200)
}

async fn post(server: &TestApp, by: &Person, path: &str, body: Option<Value>) -> Answer {
    server.send("POST", path, Some(&by.access_token), body).await
}

/// Promises probes: how their keys begin.
async fn probes(server: &TestApp, by: &Person, body: Value) -> String {
    let promised = post(server, by, "/v1/jobs/probes", Some(body)).await.expect(202);
    promised["prefix"].as_str().expect("a beginning").to_owned()
}

/// Asks until an answer is as it should be. What works is told of nothing that a test could wait for.
async fn until(server: &TestApp, by: &Person, path: &str, good: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let found = get(server, by, path).await;
        if good(&found) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{path} stays {found}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until so many jobs are in a state.
async fn jobs_in(server: &TestApp, by: &Person, state: &str, count: usize) -> Vec<String> {
    let path = format!("/v1/jobs?state={state}&limit=100");
    let found = until(server, by, &path, |found| rows(found).len() == count).await;
    rows(&found).iter().map(|job| text(&job["id"])).collect()
}

fn rows(page: &Value) -> &Vec<Value> {
    page["data"].as_array().expect("rows")
}

/// A life that takes no more attempts of itself: so that it is given up at once when one fails.
async fn given_up(server: &TestApp, keys: &[&str]) {
    use mainstay_jobs::{Job as _, Promise};
    use mainstay_server::ops::probe::Probe;
    use mainstay_store::Enqueue;
    let job = |key: &&str| {
        let probe = Probe { key: format!("probe/{key}"), work_ms: 0, failures: 1 };
        assert_eq!(Probe::KIND, "probe");
        Promise::of(server.app.ids.make(), &probe, server.now()).expect("a promise").group(key).most_attempts(1).job()
    };
    let jobs = keys.iter().map(job).collect();
    server.app.store.run(&call(), Enqueue { jobs, now: server.now() }).await.expect("promised");
}

async fn jobs_are_listed_by_filter_and_page(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    assert_eq!(get(&server, &ada, "/v1/jobs").await, json!({"data": [], "next": null}));
    given_up(&server, &["red", "red", "blue"]).await;
    jobs_in(&server, &ada, "dead", 3).await;
    probes(&server, &ada, json!({"count": 4})).await;
    jobs_in(&server, &ada, "done", 4).await;
    let all = get(&server, &ada, "/v1/jobs").await;
    let all = rows(&all);
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by(|one, next| text(&one["id"]) > text(&next["id"])), "the newest first: {all:?}");
    let newest = &all[0];
    for (field, value) in [("queue", "probes"), ("kind", "probe"), ("group", "all"), ("state", "done")] {
        assert_eq!(newest[field], value, "{newest}");
    }
    assert_eq!((&newest["attempt"], &newest["organisation_id"]), (&json!(1), &Value::Null));
    assert!(newest.get("arguments").is_none(), "a list does not show what jobs are to do");
    for (query, count) in [
        ("state=dead", 3),
        ("state=dead&group=red", 2),
        ("group=blue", 1),
        ("queue=probes&kind=probe", 7),
        ("kind=other", 0),
        ("state=ready", 0),
        ("state=", 7),
    ] {
        let page = get(&server, &ada, &format!("/v1/jobs?{query}")).await;
        assert_eq!((rows(&page).len(), &page["next"]), (count, &Value::Null), "{query}");
    }
    let (mut walked, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&server, &ada, &format!("/v1/jobs?limit=3{after}")).await;
        walked.extend(rows(&page).iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(&walked, all);
    let refused = server.send("GET", "/v1/jobs?state=lost", Some(&ada.access_token), None).await;
    assert_eq!(refused.refused(400, "invalid_input")["fields"][0]["field"], "state");
}

async fn a_failing_job_is_seen_attempt_by_attempt(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let prefix = probes(&server, &ada, json!({"key": "life", "count": 1, "failures": 2, "work_ms": 5})).await;
    assert_eq!(prefix, "probe/life/");
    let id = jobs_in(&server, &ada, "done", 1).await.remove(0);
    let life = get(&server, &ada, &format!("/v1/jobs/{id}")).await;
    assert_eq!(life["arguments"], json!({"key": "probe/life/0", "work_ms": 5, "failures": 2}));
    assert_eq!((&life["state"], &life["attempt"]), (&json!("done"), &json!(3)));
    let attempts = life["attempts"].as_array().expect("attempts");
    let told: Vec<_> = attempts.iter().map(|one| (&one["attempt"], &one["outcome"], &one["error"])).collect();
    let error = |number: u32| json!(format!("attempt {number} was told to fail"));
    let failed = json!("failed");
    assert_eq!(told, [(&json!(1), &failed, &error(1)), (&json!(2), &failed, &error(2))]);
    assert!(attempts.iter().all(|one| text(&one["started_at"]) <= text(&one["ended_at"])), "{life}");
    let shown = get(&server, &ada, &format!("/v1/jobs/probes?prefix={prefix}")).await;
    assert_eq!(shown["data"], json!([{"key": "probe/life/0", "effects": 1}]));
    let unknown = "/v1/jobs/01a1ff20-0000-7000-8000-000000000001";
    for path in [unknown, "/v1/jobs/none"] {
        server.send("GET", path, Some(&ada.access_token), None).await.refused(404, "not_found");
    }
}

async fn a_job_is_cancelled_while_it_waits_and_while_it_runs(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    // One that runs: its worker is here, and is told at once.
    probes(&server, &ada, json!({"count": 1, "work_ms": 30_000})).await;
    let id = jobs_in(&server, &ada, "running", 1).await.remove(0);
    let cancelled = post(&server, &ada, &format!("/v1/jobs/{id}/cancel"), None).await.expect(200);
    assert_eq!(cancelled, json!({"cancelled": false}), "it was asked to stop");
    let begun = Instant::now();
    jobs_in(&server, &ada, "cancelled", 1).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "it does not work to its end");
    let life = get(&server, &ada, &format!("/v1/jobs/{id}")).await;
    assert_eq!(life["attempts"][0]["outcome"], "cancelled", "{life}");
    assert!(life["cancel_asked_at"].is_string() && life["finished_at"].is_string(), "{life}");
    let again = post(&server, &ada, &format!("/v1/jobs/{id}/cancel"), None).await.refused(409, "ended");
    assert!(again["detail"].as_str().is_some_and(|detail| detail.contains("cancelled")), "{again}");

    // One that waits is never begun.
    post(&server, &ada, "/v1/queues/probes/pause", None).await.expect(204);
    let prefix = probes(&server, &ada, json!({"count": 1})).await;
    let id = jobs_in(&server, &ada, "ready", 1).await.remove(0);
    let cancelled = post(&server, &ada, &format!("/v1/jobs/{id}/cancel"), None).await.expect(200);
    assert_eq!(cancelled, json!({"cancelled": true}));
    post(&server, &ada, "/v1/queues/probes/resume", None).await.expect(204);
    probes(&server, &ada, json!({"count": 1})).await;
    jobs_in(&server, &ada, "done", 1).await;
    let effects = get(&server, &ada, &format!("/v1/jobs/probes?prefix={prefix}")).await;
    assert_eq!(effects["data"], json!([]));
    let unknown = "/v1/jobs/01a1ff20-0000-7000-8000-000000000001/cancel";
    post(&server, &ada, unknown, None).await.refused(404, "not_found");
}

async fn what_was_given_up_begins_anew(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    given_up(&server, &["a", "b", "b", "b", "c"]).await;
    jobs_in(&server, &ada, "dead", 5).await;
    let of_group = async |group: &str| {
        let page = get(&server, &ada, &format!("/v1/jobs?group={group}")).await;
        rows(&page).iter().map(|job| text(&job["id"])).collect::<Vec<_>>()
    };
    // One by its id: it fails again, and both lives are told.
    let id = of_group("c").await.remove(0);
    post(&server, &ada, &format!("/v1/jobs/{id}/replay"), None).await.expect(204);
    let path = format!("/v1/jobs/{id}");
    let twice = |life: &Value| life["attempts"].as_array().is_some_and(|all| all.len() == 2) && life["state"] == "dead";
    until(&server, &ada, &path, twice).await;
    // By a filter, in bites that name where they end: each once, although each is given up again at once.
    let (mut replayed, mut after, mut bites) = (0, Value::Null, 0);
    loop {
        let body = json!({"state": "dead", "group": "b", "limit": 2, "after": after});
        let bite = post(&server, &ada, "/v1/jobs/replays", Some(body)).await.expect(200);
        replayed += bite["replayed"].as_u64().expect("a count");
        bites += 1;
        after = bite["next"].clone();
        jobs_in(&server, &ada, "dead", 5).await;
        if after.is_null() {
            break;
        }
    }
    assert_eq!((replayed, bites), (3, 2));
    for id in of_group("b").await {
        let path = format!("/v1/jobs/{id}");
        until(&server, &ada, &path, twice).await;
    }
    // What is not a bite of those that ended badly.
    for (body, field) in [
        (json!({"state": "done"}), "state"),
        (json!({"state": "lost"}), "state"),
        (json!({"state": "dead", "limit": 501}), "limit"),
        (json!({"state": "dead", "limit": 0}), "limit"),
        (json!({"state": "dead", "after": "x"}), "after"),
    ] {
        let refused = post(&server, &ada, "/v1/jobs/replays", Some(body)).await.refused(400, "invalid_input");
        assert_eq!(refused["fields"][0]["field"], field, "{refused}");
    }
    // What was done may be done again; what has not ended is left alone.
    let prefix = probes(&server, &ada, json!({"count": 1})).await;
    let id = jobs_in(&server, &ada, "done", 1).await.remove(0);
    post(&server, &ada, &format!("/v1/jobs/{id}/replay"), None).await.expect(204);
    let path = format!("/v1/jobs/probes?prefix={prefix}");
    until(&server, &ada, &path, |found| found["data"][0]["effects"] == 2).await;
    post(&server, &ada, "/v1/queues/probes/pause", None).await.expect(204);
    probes(&server, &ada, json!({"count": 1})).await;
    let id = jobs_in(&server, &ada, "ready", 1).await.remove(0);
    post(&server, &ada, &format!("/v1/jobs/{id}/replay"), None).await.refused(409, "not_ended");
}

async fn a_paused_queue_begins_nothing(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    post(&server, &ada, "/v1/queues/probes/pause", None).await.expect(204);
    probes(&server, &ada, json!({"count": 3})).await;
    let queues = get(&server, &ada, "/v1/queues").await;
    let queue = queues["data"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "probes")).expect("it");
    assert!(queue["paused_at"].is_string() && queue["oldest_seconds"].is_number(), "{queue}");
    assert_eq!((&queue["ready"], &queue["running"]), (&json!(3), &json!(0)));
    assert_eq!((&queues["scheduled"], &queues["dead"]), (&json!(0), &json!(0)));
    post(&server, &ada, "/v1/queues/probes/resume", None).await.expect(204);
    jobs_in(&server, &ada, "done", 3).await;
    for verb in ["pause", "resume"] {
        post(&server, &ada, &format!("/v1/queues/none/{verb}"), None).await.refused(404, "not_found");
    }
}

async fn probes_take_effect_once_however_often_they_are_asked_for(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let body = json!({"key": "deploy-7", "count": 1000, "failures": 0});
    let first = post(&server, &ada, "/v1/jobs/probes", Some(body.clone())).await.expect(202);
    assert_eq!(first, json!({"prefix": "probe/deploy-7/", "promised": 1000, "existing": 0}));
    let path = "/v1/jobs/probes?prefix=probe/deploy-7/";
    let all = until(&server, &ada, path, |found| rows(found).len() == 1000).await;
    let again = post(&server, &ada, "/v1/jobs/probes", Some(body)).await.expect(202);
    assert_eq!(again, json!({"prefix": "probe/deploy-7/", "promised": 0, "existing": 1000}));
    assert!(rows(&all).iter().all(|probe| probe["effects"] == 1), "{all}");
    let next = all["next"].as_str().expect("a full page may have a next one");
    let rest = get(&server, &ada, &format!("{path}&after={next}")).await;
    assert_eq!(rest, json!({"data": [], "next": null}));
    for (body, field) in [
        (json!({"count": 0}), "count"),
        (json!({"count": 1001}), "count"),
        (json!({"count": 1, "work_ms": 30_001}), "work_ms"),
        (json!({"count": 1, "failures": 101}), "failures"),
        (json!({"count": 1, "key": "a/b"}), "key"),
        (json!({"count": 1, "key": ""}), "key"),
    ] {
        let refused = post(&server, &ada, "/v1/jobs/probes", Some(body)).await.refused(400, "invalid_input");
        assert_eq!(refused["fields"][0]["field"], field, "{refused}");
    }
    let other = server.send("GET", "/v1/jobs/probes?prefix=other/", Some(&ada.access_token), None).await;
    other.refused(400, "invalid_input");
}

async fn only_operators_see_and_steer(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let bob = server.person("bob").await;
    post(&server, &ada, "/v1/queues/probes/pause", None).await.expect(204);
    probes(&server, &ada, json!({"key": "hers", "count": 1})).await;
    let id = jobs_in(&server, &ada, "ready", 1).await.remove(0);
    let key = json!({"name": "a key", "scopes": ["read", "write", "admin"]});
    let key = post(&server, &ada, "/v1/api-keys", Some(key)).await.expect(201);
    let reads =
        ["/v1/jobs", &format!("/v1/jobs/{id}"), "/v1/jobs/probes", "/v1/queues"].map(|path| ("GET", path.to_owned()));
    let writes = [
        &format!("/v1/jobs/{id}/cancel"),
        &format!("/v1/jobs/{id}/replay"),
        "/v1/jobs/replays",
        "/v1/jobs/probes",
        "/v1/queues/probes/resume",
        "/v1/queues/probes/pause",
    ];
    let writes = writes.map(|path| ("POST", path.to_owned()));
    for (method, path) in reads.iter().chain(&writes) {
        let body = match path.as_str() {
            "/v1/jobs/replays" => Some(json!({"state": "dead"})),
            "/v1/jobs/probes" if *method == "POST" => Some(json!({"count": 1})),
            _ => None,
        };
        for token in [&bob.access_token, key["secret"].as_str().expect("a key")] {
            let answer = server.send(method, path, Some(token), body.clone()).await;
            let answer = answer.refused(403, "forbidden");
            assert!(!answer.to_string().contains("hers"), "{answer}");
        }
    }
    assert_eq!(jobs_in(&server, &ada, "ready", 1).await, [id], "nothing was done");
    mark(&server, &ada, false).await;
    server.send("GET", "/v1/jobs", Some(&ada.access_token), None).await.refused(403, "forbidden");
}
