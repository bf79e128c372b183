//! Emergency controls: who may set what, what each of them does, when it ends, and who hears of it.

mod commands;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock as _, EmailAddress, InboxEventId, ManualClock, Plan, TenantId, Timestamp};
use mainstay_server::app::Outside;
use mainstay_server::controls::Control;
use mainstay_store::{Call, ChangeControl, ControlAuthor, SetPlan};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::live::Socket;
use crate::support::{Answer, Engine, Person, TestApp, UPGRADE, both};

both! {
    an_operator_sets_and_clears_and_the_trail_tells,
    only_operators_may,
    what_is_no_control_is_named,
    limits_are_what_is_set_for_them,
    syncs_and_sockets_are_what_is_set_for_them,
    a_control_ends_by_itself,
    what_is_set_outlives_a_restart,
    what_a_newer_version_has_set_does_nothing_here,
}

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn call() -> Call {
    Call::within(PATIENCE)
}

/// Makes somebody an operator.
async fn mark(server: &TestApp, person: &Person) {
    let email = EmailAddress::parse(&person.email).expect("an address");
    server.app.accounts.set_operator(&call(), &email, true).await.expect("marked");
}

/// A server and an operator of it.
async fn operated(engine: Engine, settings: &[(&str, &str)]) -> Option<(TestApp, Person)> {
    let server = TestApp::start(engine, settings).await?;
    let ada = server.person("ada").await;
    mark(&server, &ada).await;
    Some((server, ada))
}

async fn get(server: &TestApp, by: &Person, path: &str) -> Value {
    server.send("GET", path, Some(&by.access_token), None).await.expect(200)
}

async fn put(server: &TestApp, by: &Person, name: &str, body: Value) -> Answer {
    server.send("PUT", &format!("/v1/controls/{name}"), Some(&by.access_token), Some(body)).await
}

/// Sets a control for an hour.
async fn set(server: &TestApp, by: &Person, name: &str, value: &str) -> Value {
    put(server, by, name, json!({"value": value, "reason": "a test"})).await.expect(200)
}

async fn clear(server: &TestApp, by: &Person, name: &str) {
    let body = json!({"reason": "the test is over"});
    let path = format!("/v1/controls/{name}/clear");
    server.send("POST", &path, Some(&by.access_token), Some(body)).await.expect(204);
}

async fn an_operator_sets_and_clears_and_the_trail_tells(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let nothing = get(&server, &ada, "/v1/controls").await;
    assert_eq!((&nothing["data"], &nothing["next"]), (&json!([]), &Value::Null));
    let known = nothing["known"].as_array().expect("names").clone();
    let of = |name: &str| known.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is there"));
    assert_eq!((&of("limits.percent")["least"], &of("limits.percent")["most"]), (&json!(1), &json!(1000)));
    assert_eq!((&of("sign_up")["unit"], &of("jobs.probes")["least"]), (&Value::Null, &Value::Null));

    let begun = server.now();
    let told =
        put(&server, &ada, "limits.percent", json!({"value": "50", "seconds": 600, "reason": " a storm "})).await;
    let told = told.expect(200);
    assert_eq!(
        (&told["value"], &told["reason"], &told["author"]),
        (&json!("50"), &json!("a storm"), &json!(ada.email))
    );
    assert_eq!(told["author_id"], json!(ada.id));
    let until: Timestamp = told["expires_at"].as_str().expect("a moment").parse().expect("a moment");
    assert!(until >= begun.plus(Duration::from_secs(600)) && until <= server.now().plus(Duration::from_secs(600)));
    set(&server, &ada, "limits.percent", "80").await;
    set(&server, &ada, "sign_up", "off").await;
    let both = get(&server, &ada, "/v1/controls").await;
    let names: Vec<_> =
        both["data"].as_array().expect("rows").iter().map(|row| (&row["name"], &row["value"])).collect();
    assert_eq!(names, [(&json!("limits.percent"), &json!("80")), (&json!("sign_up"), &json!("off"))]);
    assert_eq!(both["data"][0]["since"], told["set_at"], "it was renewed");
    clear(&server, &ada, "limits.percent").await;
    let body = json!({"reason": "once more"});
    let again = server.send("POST", "/v1/controls/limits.percent/clear", Some(&ada.access_token), Some(body)).await;
    again.refused(404, "not_found");

    let page = get(&server, &ada, "/v1/controls/changes?limit=3").await;
    let rows = |page: &Value| page["data"].as_array().expect("rows").clone();
    let rest = page["next"].as_str().expect("there is more");
    let rest = get(&server, &ada, &format!("/v1/controls/changes?limit=3&after={rest}")).await;
    let all: Vec<_> = rows(&page).into_iter().chain(rows(&rest)).collect();
    let told: Vec<_> =
        all.iter().map(|row| json!([row["name"], row["old_value"], row["new_value"], row["reason"]])).collect();
    let expected = [
        json!(["limits.percent", "80", null, "the test is over"]),
        json!(["sign_up", null, "off", "a test"]),
        json!(["limits.percent", "50", "80", "a test"]),
        json!(["limits.percent", null, "50", "a storm"]),
    ];
    assert_eq!(told, expected);
    assert!(all.iter().all(|row| row["author"] == json!(ada.email) && row["at"].is_string()), "{all:?}");

    let figures = server.send("GET", "/metrics", None, None).await.text;
    assert!(figures.lines().any(|line| line == "mainstay_controls_active 1"), "{figures}");
    let ready = server.send("GET", "/readyz", None, None).await.expect(200);
    let detail = ready["checks"]["controls"]["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("1 set, read "), "{detail}");
}

async fn only_operators_may(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let set = json!({"value": "off", "reason": "a test"});
    let why = json!({"reason": "a test"});
    let calls = [
        ("GET", "/v1/controls", None),
        ("GET", "/v1/controls/changes", None),
        ("PUT", "/v1/controls/sign_up", Some(set)),
        ("POST", "/v1/controls/sign_up/clear", Some(why)),
    ];
    let key = json!({"name": "All", "scopes": ["read", "write", "admin"]});
    let key = server.send("POST", "/v1/api-keys", Some(&ada.access_token), Some(key)).await.expect(201);
    for (method, path, body) in &calls {
        server.send(method, path, None, body.clone()).await.refused(401, "unauthenticated");
        server.send(method, path, Some(&ada.access_token), body.clone()).await.refused(403, "forbidden");
    }
    // Also a key of an operator reaches nothing of this.
    mark(&server, &ada).await;
    for (method, path, body) in &calls {
        server.send(method, path, key["secret"].as_str(), body.clone()).await.refused(403, "forbidden");
    }
    assert_eq!(get(&server, &ada, "/v1/controls").await["data"], json!([]));
}

async fn what_is_no_control_is_named(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let cases = [
        ("limits.nobody", json!({"value": "5", "reason": "a test"}), "name", "limits.messages.percent"),
        ("limits.percent", json!({"value": "0", "reason": "a test"}), "value", "1 to 1000 per cent"),
        ("limits.percent", json!({"value": "off", "reason": "a test"}), "value", "1 to 1000 per cent"),
        ("sign_up", json!({"value": "on", "reason": "a test"}), "value", "clear it"),
        ("sign_up", json!({"value": "off", "seconds": 0, "reason": "a test"}), "seconds", "604800"),
        ("sign_up", json!({"value": "off", "seconds": 604_801, "reason": "a test"}), "seconds", "seven days"),
        ("sign_up", json!({"value": "off", "reason": " x "}), "reason", "3 characters"),
        ("sign_up", json!({"value": "off"}), "reason", ""),
        ("sign_up", json!({"value": "off", "reason": "a test", "for": 5}), "for", ""),
    ];
    for (name, body, field, words) in cases {
        let refused = put(&server, &ada, name, body.clone()).await.refused(400, "invalid_input");
        let fault = &refused["fields"][0];
        assert_eq!(fault["field"], json!(field), "{body}: {refused}");
        assert!(fault["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{body}: {refused}");
    }
    let why = json!({"reason": "a test"});
    let path = "/v1/controls/limits.nobody/clear";
    server.send("POST", path, Some(&ada.access_token), Some(why)).await.refused(400, "invalid_input");
    assert_eq!(get(&server, &ada, "/v1/controls/changes").await["data"], json!([]), "nothing of it is in the trail");
}

/// What the header says that a limit allows.
fn quota(answer: &Answer, limit: &str) -> u64 {
    let header = answer.headers["ratelimit-policy"].to_str().expect("text");
    let item =
        header.split(", ").find(|item| item.starts_with(&format!("\"{limit}\""))).unwrap_or_else(|| panic!("{header}"));
    item.split(';').find_map(|part| part.strip_prefix("q=")).and_then(|number| number.parse().ok()).expect("a number")
}

async fn limits_are_what_is_set_for_them(engine: Engine) {
    let settings = [
        ("limits.free.other", "60"),
        ("limits.free.sync", "60"),
        ("limits.organisation", "6000"),
        ("limits.api_key", "600"),
        ("limits.public", "500"),
    ];
    let Some((server, ada)) = operated(engine, &settings).await else { return };
    let bob = server.person("bob").await;
    let key = json!({"name": "A key", "scopes": ["read"]});
    let key = server.send("POST", "/v1/api-keys", Some(&bob.access_token), Some(key)).await.expect(201);
    let key = key["secret"].as_str().expect("a key").to_owned();
    // Of: somebody's requests, their syncs, the organisation's, a key's, and what needs no token.
    let seen = async || {
        let me = server.send("GET", "/v1/me", Some(&bob.access_token), None).await;
        let sync = server.send("GET", "/v1/sync", Some(&bob.access_token), None).await;
        let by_key = server.send("GET", "/v1/me", Some(&key), None).await;
        let public = server.send("GET", "/health/database", None, None).await;
        let own = server.send("GET", "/v1/controls", Some(&ada.access_token), None).await;
        assert_eq!(quota(&own, "user"), 60, "what operators do is held to the settings");
        [
            quota(&me, "user"),
            quota(&sync, "sync"),
            quota(&me, "organisation"),
            quota(&by_key, "api_key"),
            quota(&public, "address"),
        ]
    };
    let steps: [(&str, &str, [u64; 5]); 6] = [
        ("limits.percent", "50", [30, 30, 3000, 300, 250]),
        ("limits.sync.percent", "200", [30, 120, 3000, 300, 250]),
        ("limits.sync", "7", [30, 7, 3000, 300, 250]),
        ("limits.public", "9000", [30, 7, 3000, 300, 9000]),
        ("limits.percent", "1000", [600, 7, 60_000, 6000, 9000]),
        ("limits.other", "45", [45, 7, 60_000, 6000, 9000]),
    ];
    assert_eq!(seen().await, [60, 60, 6000, 600, 500]);
    for (name, value, expected) in steps {
        set(&server, &ada, name, value).await;
        assert_eq!(seen().await, expected, "{name} = {value}");
    }
    // It is held, and not only told.
    let answers: Vec<_> =
        futures_util::future::join_all((0..12).map(|_| server.send("GET", "/v1/sync", Some(&ada.access_token), None)))
            .await;
    let (passed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((passed.len(), refused.len()), (7, 5));
    refused.into_iter().for_each(|answer| drop(answer.refused(429, "rate_limited")));
    for name in ["limits.percent", "limits.sync.percent", "limits.sync", "limits.public", "limits.other"] {
        clear(&server, &ada, name).await;
    }
    assert_eq!(seen().await, [60, 60, 6000, 600, 500]);
}

async fn syncs_and_sockets_are_what_is_set_for_them(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let tenant: TenantId = ada.organisation.parse().expect("an id");
    let plan = SetPlan { tenant, plan: Plan::Studio, cause: "a test".to_owned(), now: server.now() };
    assert_eq!(server.app.store.run(&call(), plan).await, Ok(true));
    server.app.accounts.forget_plans();
    let next = async || get(&server, &ada, "/v1/sync").await["next_sync_after_ms"].as_u64().expect("it syncs");
    let usual = next().await;
    assert!(usual < 600_000, "{usual}");
    set(&server, &ada, "sync.interval", "900").await;
    assert!((900_000..1_200_000).contains(&next().await));
    let ready = Socket::open(&server, &ada.access_token).await.frame().await;
    assert!(ready["next_sync_after_ms"].as_u64().is_some_and(|after| after >= 900_000), "{ready}");
    assert!(ready["safety_sync_after_ms"].as_u64().is_some_and(|after| after >= 900_000), "{ready}");
    clear(&server, &ada, "sync.interval").await;
    assert!(next().await < 600_000);

    let connect = async || server.send_with("GET", "/v1/live", Some(&ada.access_token), None, &UPGRADE).await;
    let (mut first, mut second) =
        (Socket::open(&server, &ada.access_token).await, Socket::open(&server, &ada.access_token).await);
    first.frame().await;
    second.frame().await;
    set(&server, &ada, "live.sockets_per_person", "2").await;
    let refused = connect().await.refused(429, "too_many_sockets");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.starts_with("There are 2 ")), "{refused}");
    clear(&server, &ada, "live.sockets_per_person").await;
    set(&server, &ada, "live.sockets_per_node", "2").await;
    let refused = connect().await;
    assert!(refused.headers["retry-after"].to_str().is_ok_and(|after| after.parse::<u64>().is_ok()));
    refused.refused(503, "overloaded");
    clear(&server, &ada, "live.sockets_per_node").await;
    Socket::open(&server, &ada.access_token).await.frame().await;
}

async fn a_control_ends_by_itself(engine: Engine) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let outside = Outside { clock: clock.clone(), ..Outside::default() };
    let Some(server) = TestApp::start_with(engine, &[], outside).await else { return };
    let ada = server.person("ada").await;
    mark(&server, &ada).await;
    put(&server, &ada, "sign_up", json!({"value": "off", "seconds": 60, "reason": "a test"})).await.expect(200);
    let sign_up = async |name: &str| {
        let body = json!({"email": format!("{name}@example.com"), "password": "a long password", "name": name});
        server.send("POST", "/v1/auth/sign-up", None, Some(body)).await
    };
    sign_up("bob").await.refused(503, "switched_off");
    // To the millisecond, without another reading.
    clock.advance(Duration::from_millis(59_999));
    let late = sign_up("bob").await;
    let after: u64 = late.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert_eq!(after, 1);
    let problem = late.refused(503, "switched_off");
    let until = Timestamp::from_millis(1_800_000_060_000).to_string();
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(&until)), "{problem}");
    clock.advance(Duration::from_millis(1));
    sign_up("bob").await.expect(201);
    assert_eq!(get(&server, &ada, "/v1/controls").await["data"], json!([]));
    assert!(server.app.controls.in_force().is_empty() && clock.now() > Timestamp::EPOCH);
}

async fn what_is_set_outlives_a_restart(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    set(&server, &ada, "sign_up", "off").await;
    let server = server.restart(&[]).await;
    let body = json!({"email": "bob@example.com", "password": "a long password", "name": "Bob"});
    server.send("POST", "/v1/auth/sign-up", None, Some(body)).await.refused(503, "switched_off");
}

async fn what_a_newer_version_has_set_does_nothing_here(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    let unknown = |name: &str, value: &str| ChangeControl {
        id: server.app.ids.make::<InboxEventId>().uuid(),
        name: name.to_owned(),
        to: Some((value.to_owned(), server.now().plus(Duration::from_secs(600)))),
        reason: "a later version".to_owned(),
        author: ControlAuthor { person: None, name: "it".to_owned() },
        now: server.now(),
    };
    for (name, value) in [("tomorrow.part", "off"), ("limits.percent", "half"), ("sync.interval", "30")] {
        server.app.store.run(&call(), unknown(name, value)).await.expect("set");
    }
    server.app.controls.read(&server.app.store, &call()).await.expect("read");
    let held: Vec<_> = server.app.controls.in_force().iter().map(|active| active.control).collect();
    assert_eq!(held, [Control::SyncInterval], "what is understood holds");
    let listed = get(&server, &ada, "/v1/controls").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(3), "and all of it is shown");
    clear(&server, &ada, "tomorrow.part").await;
}

/// A node hears of what is set through another within five seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_hears_of_it_within_five_seconds() {
    let Some((server, ada)) = operated(Engine::Postgres, &[]).await else { return };
    let other = server.second_node().await;
    let mut hears = other.app.controls.follow();
    for value in ["40", "60"] {
        let begun = Instant::now();
        set(&server, &ada, "limits.percent", value).await;
        timeout(Duration::from_secs(5), hears.changed()).await.expect("within five seconds").expect("it follows");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(other.app.controls.number(Control::Percent), value.parse().ok());
    }
    clear(&server, &ada, "limits.percent").await;
    timeout(Duration::from_secs(5), hears.changed()).await.expect("within five seconds").expect("it follows");
    assert_eq!(other.app.controls.number(Control::Percent), None);
}
