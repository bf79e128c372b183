//! What FastSpring tells, over the wire: the plan that follows, who hears of it, and what people ask for in return.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{Plan, TenantId};
use mainstay_server::billing::{Applied, NotApplied, apply_fastspring, look};
use mainstay_store::{Call, JobFilter, ListJobs};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::live::Socket;
use crate::support::binary::Installation;
use crate::support::fake_fastspring::{FakeFastSpring, Fault};
use crate::support::{Answer, Engine, Person, TestApp, both};

both! {
    a_day_of_events_gives_one_plan_in_any_order,
    only_what_the_installations_own_account_sends_decides,
    a_plan_holds_for_the_next_request_and_sockets_hear_of_it,
    the_grace_ends_by_itself,
    what_belongs_to_nobody_is_said_so,
    people_buy_change_and_cancel,
    a_failure_of_the_provider_stays_there,
}

const PRODUCTS: (&str, &str) =
    ("billing.fastspring.products", r#"["core-monthly = core", "studio-monthly = studio", "core-yearly = core"]"#);
const STOREFRONT: (&str, &str) = ("billing.fastspring.storefront", r#""acme.onfastspring.com""#);
const DAY: i64 = 86_400_000;

/// An event about a subscription. Those about charges only mention it.
fn event(id: &str, kind: &str, created: i64, data: &Value) -> Value {
    json!({"id": id, "live": true, "processed": false, "type": kind, "created": created, "data": data})
}

fn subscription(by: &Person, id: &str, state: &str, product: &str, changed: i64) -> Value {
    json!({
        "id": id, "subscription": id, "state": state, "changed": changed, "account": "acct1", "product": product,
        "next": changed + 30 * DAY, "tags": {"organisation": by.organisation},
    })
}

async fn apply(server: &TestApp, event: &Value) -> Result<Applied, NotApplied> {
    apply_fastspring(&server.app, None, event).await
}

async fn get(server: &TestApp, by: &Person, path: &str) -> Value {
    server.send("GET", path, Some(&by.access_token), None).await.expect(200)
}

async fn post(server: &TestApp, by: &Person, path: &str, body: Value) -> Answer {
    let body = (!body.is_null()).then_some(body);
    server.send("POST", path, Some(&by.access_token), body).await
}

fn a_day(by: &Person, now: i64) -> Vec<Value> {
    let at = |minutes: i64| now - DAY + minutes * 60_000;
    let (one, two) = (format!("one-{}", by.organisation), format!("two-{}", by.organisation));
    let whole = |id: &str, kind: &str, minutes, of: &str, state: &str, product: &str| {
        event(id, &format!("subscription.{kind}"), at(minutes), &subscription(by, of, state, product, at(minutes)))
    };
    let charge = |id: &str, kind: &str, minutes: i64, order: &str| {
        let data = json!({"subscription": one, "account": "acct1", "order": order, "currency": "USD", "total": 9.5});
        event(id, &format!("subscription.charge.{kind}"), at(minutes), &data)
    };
    let order = json!({
        "id": "order-1", "reference": "ACME-1", "currency": "USD", "total": 9.5, "changed": at(1), "account": "acct1",
        "invoiceUrl": "https://acme.onfastspring.com/invoice/1", "items": [{"subscription": one}],
        "tags": {"organisation": by.organisation},
    });
    vec![
        event("o1", "order.completed", at(1), &order),
        whole("e1", "activated", 1, &one, "active", "core-monthly"),
        charge("e2", "failed", 2, "order-2"),
        charge("e3", "completed", 3, "order-2"),
        whole("e4", "canceled", 4, &one, "canceled", "core-monthly"),
        whole("e5", "uncanceled", 5, &one, "active", "core-monthly"),
        whole("e6", "updated", 6, &one, "active", "studio-monthly"),
        whole("e7", "activated", 7, &two, "active", "core-monthly"),
        whole("e8", "deactivated", 8, &two, "deactivated", "core-monthly"),
    ]
}

async fn a_day_of_events_gives_one_plan_in_any_order(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[PRODUCTS, STOREFRONT]).await else { return };
    let now = server.now().as_millis();
    let mut ends = Vec::new();
    for round in 0..5 {
        let ada = server.person(&format!("ada{round}")).await;
        let mut day = a_day(&ada, now);
        match round {
            0 => {}
            1 => day.reverse(),
            2 => day = day.iter().flat_map(|event| [event.clone(), event.clone()]).collect(),
            3 => day.extend(day.clone().into_iter().rev()),
            _ => day.rotate_left(5),
        }
        // What comes too early is told again, as the inbox does.
        let mut waiting: VecDeque<_> = day.into();
        let mut tellings = 0;
        while let Some(event) = waiting.pop_front() {
            tellings += 1;
            assert!(tellings < 200, "{waiting:?} is never taken in");
            match apply(&server, &event).await {
                Ok(Applied::Taken | Applied::Known) => {}
                Err(NotApplied::TooEarly(_)) => waiting.push_back(event),
                other => panic!("{event}: {other:?}"),
            }
        }
        let plan = get(&server, &ada, "/v1/plan").await;
        assert_eq!((&plan["plan"], &plan["subscription"]["state"]), (&json!("studio"), &json!("active")), "{plan}");
        assert_eq!((&plan["grace_until"], &plan["subscription"]["ends_at"]), (&Value::Null, &Value::Null));
        assert_eq!(plan["history"][0]["to"], "studio");
        let before = plan.to_string();
        for event in a_day(&ada, now) {
            apply(&server, &event).await.expect("known");
        }
        assert_eq!(get(&server, &ada, "/v1/plan").await.to_string(), before, "the same once more changes nothing");
        let invoices = get(&server, &ada, "/v1/invoices").await;
        let shown: Vec<_> = invoices["data"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
        assert_eq!(shown, ["paid", "paid"], "{invoices}");
        let first = invoices["data"].as_array().and_then(|all| all.iter().find(|one| one["id"] == "order-1")).cloned();
        ends.push((plan["subscription"]["product"].clone(), first));
    }
    let first = ends[0].1.as_ref().expect("an invoice");
    assert_eq!((&first["total_micros"], &first["reference"]), (&json!(9_500_000), &json!("ACME-1")));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
    let figures = server.send("GET", "/metrics", None, None).await.text;
    for line in [
        r#"mainstay_billing_events_total{kind="subscription.updated",outcome="taken"} "#,
        r#"mainstay_billing_events_total{kind="subscription.activated",outcome="known"} "#,
        r#"mainstay_plan_changes_total{from="free","#,
    ] {
        assert!(figures.contains(line), "{line} is missing");
    }
}

/// A batch as FastSpring sends it, signed with a secret.
pub(crate) async fn signed_batch(server: &TestApp, path: &str, secret: &str, events: Vec<Value>) -> Answer {
    let body = json!({"events": events}).to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = STANDARD.encode(ring::hmac::sign(&key, body.as_bytes()));
    crate::inbox::post(server, path, &[("x-fs-signature", &signature)], &body).await
}

/// From the webhook to the plan. An organisation may take in webhooks of an account of its own, under a secret that it knows:
/// those are kept, and give nobody a plan.
async fn only_what_the_installations_own_account_sends_decides(engine: Engine) {
    let secret = ("billing.fastspring.webhook_secrets", r#""ours""#);
    let Some(server) = TestApp::start(engine, &[PRODUCTS, STOREFRONT, secret]).await else { return };
    let (ada, now) = (server.person("ada").await, server.now().as_millis());
    let body = json!({"name": "My shop", "provider": "fastspring", "secrets": ["mine"]});
    let own = crate::inbox::sender(&server, &ada, body).await;
    let bought = |id: &str, product: &str| {
        event(&format!("event-{id}"), "subscription.activated", now, &subscription(&ada, id, "active", product, now))
    };
    signed_batch(&server, &own.path, "mine", vec![bought("forged", "studio-monthly")]).await.expect(200);
    crate::inbox::settled(&server, &own).await;
    let plan = get(&server, &ada, "/v1/plan").await;
    assert_eq!((&plan["plan"], &plan["history"]), (&json!("free"), &json!([])), "{plan}");
    let paid = bought("paid", "core-monthly");
    for duplicate in [false, true] {
        let told = signed_batch(&server, "/hooks/fastspring", "ours", vec![paid.clone()]).await.expect(200);
        assert_eq!(told["duplicate"], duplicate);
    }
    let begun = Instant::now();
    while get(&server, &ada, "/v1/plan").await["plan"] != "core" {
        assert!(begun.elapsed() < Duration::from_secs(30), "the plan did not follow");
        sleep(Duration::from_millis(20)).await;
    }
    let history = get(&server, &ada, "/v1/plan").await["history"].clone();
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
}

async fn a_plan_holds_for_the_next_request_and_sockets_hear_of_it(engine: Engine) {
    let settings = [PRODUCTS, STOREFRONT, ("limits.free.other", "4"), ("limits.core.other", "1000")];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let ada = server.person("ada").await;
    let other = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(server.second_node().await),
    };
    let mut socket = Socket::open(&server, &ada.access_token).await;
    assert_eq!(socket.frame().await["type"], "ready");
    let mut refused = 0;
    for _ in 0..8 {
        let answer = server.send("GET", "/v1/me", Some(&ada.access_token), None).await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused > 0, "the plan free has a limit");
    if let Some(other) = &other {
        assert_eq!(get(other, &ada, "/v1/sync").await["next_sync_after_ms"], Value::Null, "remembered as free");
    }
    let now = server.now().as_millis();
    let data = subscription(&ada, "sub1", "active", "core-monthly", now);
    let activated = event("e1", "subscription.activated", now, &data);
    assert_eq!(apply(&server, &activated).await.expect("applied"), Applied::Taken);
    // The very next request.
    get(&server, &ada, "/v1/me").await;
    let frame = socket.frame().await;
    assert_eq!(
        (&frame["type"], &frame["kind"], &frame["stream"]),
        (&json!("change"), &json!("organisation"), &json!("organisation"))
    );
    assert_eq!((&frame["row"]["plan"], &frame["id"]), (&json!("core"), &json!(ada.organisation)));
    // Who syncs has it too.
    let page = get(&server, &ada, "/v1/sync").await;
    let rows = page["changes"].as_array().expect("changes");
    assert!(rows.iter().any(|row| row["kind"] == "organisation" && row["row"]["plan"] == "core"), "{page}");
    assert_ne!(page["next_sync_after_ms"], Value::Null);
    if let Some(other) = &other {
        let began = Instant::now();
        while get(other, &ada, "/v1/sync").await["next_sync_after_ms"].is_null() {
            assert!(began.elapsed() < Duration::from_secs(20), "the other node does not hear of it");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn the_grace_ends_by_itself(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[PRODUCTS, STOREFRONT]).await else { return };
    let ada = server.person("ada").await;
    let now = server.now().as_millis();
    let begun = now - 20 * DAY;
    let data = subscription(&ada, "sub1", "active", "core-monthly", begun);
    apply(&server, &event("e1", "subscription.activated", begun, &data)).await.expect("applied");
    // It failed a week ago, but for some seconds.
    let failed = now - 7 * DAY + 4000;
    let data = json!({"subscription": "sub1", "account": "acct1", "reason": "EXPIRED_CARD"});
    let missed = event("e2", "subscription.charge.failed", failed, &data);
    for _ in 0..3 {
        apply(&server, &missed).await.expect("applied");
    }
    let plan = get(&server, &ada, "/v1/plan").await;
    assert_eq!((&plan["plan"], &plan["subscription"]["state"]), (&json!("core"), &json!("overdue")), "{plan}");
    let until: jiff::Timestamp = plan["grace_until"].as_str().expect("a moment").parse().expect("a moment");
    assert_eq!(until.as_millisecond(), failed + 7 * DAY);
    let mut socket = Socket::open(&server, &ada.access_token).await;
    assert_eq!(socket.frame().await["type"], "ready");
    let frame = socket.frame().await;
    assert_eq!((&frame["kind"], &frame["row"]["plan"]), (&json!("organisation"), &json!("free")));
    let plan = get(&server, &ada, "/v1/plan").await;
    assert_eq!((&plan["plan"], plan["history"].as_array().map(Vec::len)), (&json!("free"), Some(2)), "{plan}");
    let cause = plan["history"][0]["cause"].as_str().expect("words");
    assert!(cause.contains("the grace ended"), "{cause}");
    // One look was promised, and it is done.
    let call = Call::within(Duration::from_secs(10));
    let filter = JobFilter { kind: "billing_review".to_owned(), ..JobFilter::default() };
    let list = server.app.store.run(&call, ListJobs { filter, after: None, limit: 10 }).await.expect("listed");
    assert_eq!(list.jobs.len(), 1, "{:?}", list.jobs);
    // Nobody has to wait for time: a look by hand finds nothing to do.
    let tenant = TenantId(ada.organisation.parse().expect("an id"));
    assert_eq!(look(&server.app, &call, tenant, None).await.expect("looked"), None);
    let paid = event("e3", "subscription.charge.completed", now, &json!({"subscription": "sub1", "account": "acct1"}));
    apply(&server, &paid).await.expect("applied");
    assert_eq!(get(&server, &ada, "/v1/plan").await["plan"], "core");
}

async fn what_belongs_to_nobody_is_said_so(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[PRODUCTS]).await else { return };
    let ada = server.person("ada").await;
    let now = server.now().as_millis();
    let mut data = subscription(&ada, "sub1", "active", "core-monthly", now);
    let with = |data: &Value| event("e1", "subscription.activated", now, data);
    for tags in [json!({}), json!({"organisation": "nobody"}), json!({"organisation": uuid::Uuid::nil()})] {
        data["tags"] = tags;
        let refused = apply(&server, &with(&data)).await.expect_err("nobody's");
        assert!(refused.is_poison() && matches!(refused, NotApplied::NoOrganisation(_)), "{refused:?}");
    }
    let broken = json!({"id": "e1", "type": "subscription.updated", "created": now, "data": {}});
    assert!(apply(&server, &broken).await.expect_err("unreadable").is_poison());
    let early = event("e2", "subscription.charge.failed", now, &json!({"subscription": "sub1", "account": "acct1"}));
    assert!(!apply(&server, &early).await.expect_err("too early").is_poison());
    assert_eq!(apply(&server, &event("e3", "account.created", now, &json!({}))).await.expect("read"), Applied::OfNoUse);
    // A test order gives nothing.
    data["tags"] = json!({"organisation": ada.organisation});
    let mut test = with(&data);
    test["live"] = json!(false);
    assert_eq!(apply(&server, &test).await.expect("read"), Applied::Test);
    assert_eq!(get(&server, &ada, "/v1/plan").await["plan"], "free");
    // Once an account has paid for somebody, it is known by that alone.
    assert_eq!(apply(&server, &with(&data)).await.expect("applied"), Applied::Taken);
    let mut again = subscription(&ada, "sub2", "active", "studio-monthly", now);
    again["tags"] = Value::Null;
    assert_eq!(
        apply(&server, &event("e4", "subscription.activated", now, &again)).await.expect("applied"),
        Applied::Taken
    );
    assert_eq!(get(&server, &ada, "/v1/plan").await["plan"], "studio");
    // Whoever names another organisation afterwards does not get what was paid for the first.
    let bob = server.person("bob").await;
    let stolen =
        event("e5", "subscription.updated", now + 1, &subscription(&bob, "sub2", "active", "core-monthly", now + 1));
    apply(&server, &stolen).await.expect("applied");
    assert_eq!(get(&server, &bob, "/v1/plan").await["plan"], "free");
    assert_eq!(get(&server, &ada, "/v1/plan").await["plan"], "core");
}

/// A server that may ask the fake.
async fn with_api(engine: Engine) -> Option<(TestApp, FakeFastSpring)> {
    let fake = FakeFastSpring::start().await;
    let url = json!(fake.url).to_string();
    let settings = [
        PRODUCTS,
        STOREFRONT,
        ("billing.fastspring.api_username", r#""acme""#),
        ("billing.fastspring.api_password", r#""s3cret""#),
        ("billing.fastspring.api_url", url.as_str()),
        ("billing.fastspring.first_byte_timeout_ms", "300"),
        ("providers.breaker_failures", "7"),
        ("providers.breaker_open_ms", "600000"),
    ];
    Some((TestApp::start(engine, &settings).await?, fake))
}

async fn people_buy_change_and_cancel(engine: Engine) {
    let Some((server, fake)) = with_api(engine).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let core = json!({"plan": "core"});
    post(&server, &ada, "/v1/plan/change", core.clone()).await.refused(409, "no_subscription");
    post(&server, &ada, "/v1/plan/cancel", Value::Null).await.refused(409, "no_subscription");
    post(&server, &ada, "/v1/checkout-sessions", json!({"plan": "free"})).await.refused(400, "invalid_input");
    let opened = post(&server, &ada, "/v1/checkout-sessions", core.clone()).await.expect(200);
    assert_eq!(opened["url"], "https://acme.onfastspring.com/session/session_1-A");
    let asked = fake.asked();
    let [order] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((order.what.as_str(), order.authorization.as_str()), ("POST /sessions", "Basic YWNtZTpzM2NyZXQ="));
    assert_eq!(order.body["tags"]["organisation"], json!(ada.organisation));
    assert_eq!(
        (&order.body["items"][0]["product"], &order.body["contact"]["email"]),
        (&json!("core-monthly"), &json!(ada.email))
    );

    let now = server.now().as_millis();
    let data = subscription(&ada, "sub1", "active", "core-monthly", now);
    apply(&server, &event("e1", "subscription.activated", now, &data)).await.expect("applied");
    post(&server, &ada, "/v1/checkout-sessions", core.clone()).await.refused(409, "already_subscribed");
    post(&server, &ada, "/v1/plan/change", core.clone()).await.refused(400, "invalid_input");
    post(&server, &ada, "/v1/plan/change", json!({"plan": "studio"})).await.expect(202);
    let body = json!({"subscriptions": [{"subscription": "sub1", "product": "studio-monthly", "prorate": true}]});
    assert_eq!(
        fake.asked().pop().map(|asked| (asked.what, asked.body)),
        Some(("POST /subscriptions".to_owned(), body))
    );
    assert_eq!(
        get(&server, &ada, "/v1/plan").await["plan"],
        "core",
        "it holds when it is told, not when it is asked for"
    );
    post(&server, &ada, "/v1/plan/cancel", Value::Null).await.expect(202);
    assert_eq!(fake.asked().pop().map(|asked| asked.what), Some("DELETE /subscriptions/sub1".to_owned()));

    let mut data = subscription(&ada, "sub1", "canceled", "core-monthly", now + 1);
    data["deactivationDate"] = json!(now + 10 * DAY);
    apply(&server, &event("e2", "subscription.canceled", now + 1, &data)).await.expect("applied");
    let plan = get(&server, &ada, "/v1/plan").await;
    assert_eq!((&plan["plan"], &plan["subscription"]["state"]), (&json!("core"), &json!("canceled")));
    assert_ne!(plan["subscription"]["ends_at"], Value::Null);
    post(&server, &ada, "/v1/plan/cancel", Value::Null).await.expect(202);
    assert!(fake.asked().is_empty(), "it is cancelled already");
    post(&server, &ada, "/v1/plan/change", core.clone()).await.expect(202);
    let body = json!({"subscriptions": [{"subscription": "sub1", "deactivation": null}]});
    assert_eq!(fake.asked().pop().map(|asked| asked.body), Some(body));

    // Members look, administrators act.
    let member = json!({"email": bob.email, "role": "member"});
    post(&server, &ada, "/v1/members", member).await.expect(201);
    let switch = json!({"organisation_id": ada.organisation});
    let switched = post(&server, &bob, "/v1/auth/switch", switch).await.expect(200);
    let token = switched["access_token"].as_str().expect("a token").to_owned();
    let bob = Person { access_token: token, ..bob };
    assert_eq!(get(&server, &bob, "/v1/plan").await["plan"], "core");
    for path in ["/v1/checkout-sessions", "/v1/plan/change"] {
        post(&server, &bob, path, core.clone()).await.refused(403, "forbidden");
    }
    post(&server, &bob, "/v1/plan/cancel", Value::Null).await.refused(403, "forbidden");
}

async fn a_failure_of_the_provider_stays_there(engine: Engine) {
    let Some((server, fake)) = with_api(engine).await else { return };
    let ada = server.person("ada").await;
    let now = server.now().as_millis();
    let data = subscription(&ada, "sub1", "active", "core-monthly", now);
    apply(&server, &event("e1", "subscription.activated", now, &data)).await.expect("applied");
    let studio = json!({"plan": "studio"});
    // One failure is tried again.
    for fault in [Fault::Status(500), Fault::Hang, Fault::Cut, Fault::Garbage] {
        fake.fails(&[fault]);
        post(&server, &ada, "/v1/plan/change", studio.clone()).await.expect(202);
        assert_eq!(fake.asked().len(), 2, "{fault:?}");
    }
    fake.fails(&[Fault::ErrorInside]);
    post(&server, &ada, "/v1/plan/change", studio.clone()).await.refused(502, "billing_provider_refused");
    fake.fails(&[Fault::Status(401)]);
    post(&server, &ada, "/v1/plan/change", studio.clone()).await.refused(502, "billing_provider_refused");
    fake.fails(&[Fault::Status(429)]);
    post(&server, &ada, "/v1/plan/change", studio.clone()).await.refused(503, "billing_provider_away");
    for fault in [Fault::Status(500), Fault::Hang, Fault::Cut] {
        fake.fails(&[fault, fault]);
        let refused = post(&server, &ada, "/v1/plan/cancel", Value::Null).await.refused(503, "billing_provider_away");
        assert!(!refused.to_string().contains("s3cret"));
        // What people look at works on.
        assert_eq!(get(&server, &ada, "/v1/plan").await["plan"], "core");
        get(&server, &ada, "/v1/invoices").await;
    }
    // It keeps failing: it is left alone, and nobody waits for it.
    fake.fails(&[Fault::Hang; 4]);
    post(&server, &ada, "/v1/plan/cancel", Value::Null).await.refused(503, "billing_provider_away");
    let _ = fake.asked();
    let began = Instant::now();
    let answer = post(&server, &ada, "/v1/plan/cancel", Value::Null).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.refused(503, "billing_provider_away");
    assert!(fake.asked().is_empty() && began.elapsed() < Duration::from_secs(5));
    get(&server, &ada, "/v1/plan").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_credentials_the_storefront_is_the_way() {
    let settings = [PRODUCTS, STOREFRONT];
    let server = TestApp::start(Engine::Sqlite, &settings).await.expect("SQLite is always there");
    let ada = server.person("ada").await;
    let opened = post(&server, &ada, "/v1/checkout-sessions", json!({"plan": "studio"})).await.expect(200);
    let expected = format!("https://acme.onfastspring.com/studio-monthly?tags=organisation%3D{}", ada.organisation);
    assert_eq!(opened["url"], json!(expected));
    let now = server.now().as_millis();
    let data = subscription(&ada, "sub1", "active", "core-monthly", now);
    apply(&server, &event("e1", "subscription.activated", now, &data)).await.expect("applied");
    post(&server, &ada, "/v1/plan/change", json!({"plan": "studio"})).await.refused(409, "not_changed_here");
    let server = server.restart(&[]).await;
    let plan = get(&server, &ada, "/v1/plan").await;
    assert_eq!((&plan["plan"], &plan["products"]), (&json!("core"), &json!([])), "{plan}");
    let ben = server.person("ben").await;
    post(&server, &ben, "/v1/checkout-sessions", json!({"plan": "studio"})).await.refused(409, "plan_not_sold");
    // The settings know the product no longer; whoever asks for a look is told what follows.
    let tenant = TenantId(ada.organisation.parse().expect("an id"));
    let changed = look(&server.app, &Call::within(Duration::from_secs(10)), tenant, None).await.expect("looked");
    assert_eq!(changed, Some((Plan::Core, Plan::Free)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_tells_why_a_plan_changed() {
    let installation = Installation::new();
    let _tokens = installation.people(1).await;
    let assigned = installation.run(&["plan", "assign", "studio", "--email", "writer0@example.com"]).await;
    assigned.says(0, &["has the plan studio"]);
    let id = assigned.text.split_whitespace().nth(2).expect("an id").to_owned();
    let history = installation.run(&["plan", "history", "--organisation", &id]).await;
    history.says(0, &["free", "studio", "An operator set it."]);
    installation.run(&["plan", "review", "--organisation", &id]).await.says(0, &["had the plan studio and has free"]);
    installation.run(&["plan", "review", "--organisation", &id]).await.says(0, &["is as it should be"]);
}
