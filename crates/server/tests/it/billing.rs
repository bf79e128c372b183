//! Plans, usage and budgets over the wire: what is counted, what is refused, and that it holds when many ask at once and
//! when the server is killed in the middle.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{Allowance, Plan, PlanLimits, TenantId};
use mainstay_store::{Call, SetPlan, SetPlanLimits};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::binary::{Installation, Instance};
use crate::support::fake_provider::{Behaviour, FakeProvider};
use crate::support::{ALL_AT_ONCE, Answer, Engine, Person, TestApp, both, by_anthropic};

both! {
    a_plan_allows_so_many_messages_and_a_change_holds_at_once,
    a_budget_stops_before_it_is_spent,
    usage_is_shown_to_whom_it_concerns,
}

/// A server whose replies cost something, and the fake that makes them.
async fn priced(engine: Engine) -> Option<(TestApp, FakeProvider)> {
    let provider = FakeProvider::start().await;
    let url = json!(provider.anthropic_url()).to_string();
    let [order, key, base_url] = by_anthropic(&url);
    let settings = [
        order,
        key,
        base_url,
        ("providers.anthropic.input_price_micros", "3000000"),
        ("providers.anthropic.output_price_micros", "15000000"),
        ("assistant.max_generations_per_person", "100"),
        ALL_AT_ONCE,
    ];
    Some((TestApp::start(engine, &settings).await?, provider))
}

async fn say(server: &TestApp, person: &Person, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"content": "Hello"});
    server.send_with("POST", "/v1/messages", Some(&person.access_token), Some(body), headers).await
}

async fn usage(server: &TestApp, person: &Person) -> Value {
    server.send("GET", "/v1/usage", Some(&person.access_token), None).await.expect(200)
}

async fn set_budget(server: &TestApp, by: &Person, whose: &str, cost_micros: Value) {
    let path = format!("/v1/budgets/{whose}");
    let body = json!({ "cost_micros": cost_micros });
    server.send("PUT", &path, Some(&by.access_token), Some(body)).await.expect(204);
}

async fn allow(server: &TestApp, plan: Plan, per_day: i64) {
    let messages = Allowance { per_day: Some(per_day), per_month: Some(1000) };
    let set = SetPlanLimits(plan, PlanLimits { messages, ..PlanLimits::default() });
    server.app.store.run(&Call::within(Duration::from_secs(10)), set).await.expect("set");
}

async fn a_plan_allows_so_many_messages_and_a_change_holds_at_once(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("assistant.max_generations_per_person", "100"), ALL_AT_ONCE]).await
    else {
        return;
    };
    let ada = server.person("ada").await;
    allow(&server, Plan::Free, 10).await;
    allow(&server, Plan::Core, 12).await;
    let answers = join_all((0..30).map(|_| say(&server, &ada, &[]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 10);
    for refused in answers.into_iter().filter(|answer| answer.status != 201) {
        let after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&after), "{after}");
        refused.refused(429, "quota_exceeded");
    }
    let key = [("idempotency-key", "tomorrow")];
    say(&server, &ada, &key).await.refused(429, "quota_exceeded");
    let shown = usage(&server, &ada).await;
    assert_eq!((&shown["messages"], &shown["plan"]), (&json!(10), &json!("free")));
    assert_eq!(shown["limits"]["messages"]["day"]["limit"], 10);
    assert_eq!(shown["limits"]["messages"]["day"]["used"], 10);

    // The token was made under the plan free. The next request counts under core; what was refused was not remembered.
    let tenant = TenantId(ada.organisation.parse().expect("an id"));
    let set = SetPlan { tenant, plan: Plan::Core, cause: "a test".to_owned(), now: server.now() };
    assert_eq!(server.app.store.run(&Call::within(Duration::from_secs(10)), set).await, Ok(true));
    let first = say(&server, &ada, &key).await.expect(201);
    assert_eq!(say(&server, &ada, &key).await.expect(201)["message"]["id"], first["message"]["id"]);
    // What was written offline counts too, and is refused in a way that keeps it.
    let id = "01a1ff20-0000-7000-8000-000000000001";
    let send =
        |id: &str| json!({"kind": "message.send", "id": id, "conversation_id": id, "content": "Hi", "new": true});
    let body = json!({"client_id": id, "mutations": [send(id)]});
    let applied = server.send("POST", "/v1/sync", Some(&ada.access_token), Some(body.clone())).await.expect(200);
    assert_eq!(applied["results"][0]["status"], "applied");
    let other = "01a1ff20-0000-7000-8000-000000000002";
    let late = json!({"client_id": id, "mutations": [send(other)]});
    server.send("POST", "/v1/sync", Some(&ada.access_token), Some(late)).await.refused(429, "quota_exceeded");
    assert_eq!(usage(&server, &ada).await["messages"], 12);
}

async fn a_budget_stops_before_it_is_spent(engine: Engine) {
    let Some((server, provider)) = priced(engine).await else { return };
    let ada = server.person("ada").await;
    provider.usually(Behaviour::words("Four words and more"));
    // The first costs what the provider counts at its price.
    let sent = say(&server, &ada, &[]).await.expect(201);
    let cost = sent["reply"]["cost_micros"].as_i64().expect("a cost");
    let tokens = |kind: &str| sent["reply"]["usage"][kind].as_i64().expect("tokens");
    assert_eq!(cost, tokens("input_tokens") * 3 + tokens("output_tokens") * 15);
    let shown = usage(&server, &ada).await;
    assert_eq!((&shown["cost_micros"], &shown["reserved_micros"]), (&json!(cost), &json!(0)));
    assert_eq!(shown["organisation"]["cost_micros"], json!(cost));
    assert_eq!(shown["input_tokens"], sent["reply"]["usage"]["input_tokens"]);

    // A budget that a few more replies use up, however many ask at once.
    let budget = 20_000;
    set_budget(&server, &ada, "organisation", json!(budget)).await;
    let (mut spent_before, mut refused) = (0, 0);
    while refused == 0 || usage(&server, &ada).await["cost_micros"] != spent_before {
        spent_before = usage(&server, &ada).await["cost_micros"].as_i64().expect("a cost");
        for answer in join_all((0..30).map(|_| say(&server, &ada, &[]))).await {
            if answer.status != 201 {
                answer.refused(402, "budget_spent");
                refused += 1;
            }
        }
    }
    let shown = usage(&server, &ada).await;
    let spent = shown["organisation"]["cost_micros"].as_i64().expect("a cost");
    assert!(spent <= budget, "{spent} of {budget}");
    assert_eq!(shown["organisation"]["budget"], json!({"cost_micros": budget, "left_micros": budget - spent}));
    assert_eq!(shown["reserved_micros"], 0);
    // With little left, the longest reply is asked for that is still paid for.
    let asked: Vec<_> = provider.received().iter().filter_map(|request| request.body["max_tokens"].as_u64()).collect();
    let longest = asked.iter().max().expect("requests");
    assert!(asked.iter().all(|tokens| *tokens >= 1) && asked.iter().any(|tokens| tokens < longest), "{asked:?}");
    // A person's own budget is another one, and taking one away lets through again.
    set_budget(&server, &ada, "organisation", Value::Null).await;
    set_budget(&server, &ada, &format!("members/{}", ada.id), json!(1)).await;
    let problem = say(&server, &ada, &[]).await.refused(402, "budget_spent");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.starts_with("Your budget")), "{problem}");
    set_budget(&server, &ada, &format!("members/{}", ada.id), Value::Null).await;
    say(&server, &ada, &[]).await.expect(201);
    for bad in [json!(-1), json!("5"), json!(1.5), json!(2_000_000_000_000_000_i64)] {
        let body = json!({ "cost_micros": bad });
        let answer = server.send("PUT", "/v1/budgets/organisation", Some(&ada.access_token), Some(body)).await;
        assert_eq!(answer.refused(400, "invalid_input")["fields"][0]["field"], "cost_micros", "{bad}");
    }
}

async fn usage_is_shown_to_whom_it_concerns(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob, eve) = (server.person("ada").await, server.person("bob").await, server.person("eve").await);
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let switched = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let bob = Person { access_token: switched["access_token"].as_str().expect("a token").to_owned(), ..bob };
    for (person, count) in [(&ada, 2), (&bob, 3), (&eve, 1)] {
        for _ in 0..count {
            say(&server, person, &[]).await.expect(201);
        }
    }
    let (hers, his) = (usage(&server, &ada).await, usage(&server, &bob).await);
    assert_eq!((&hers["messages"], &hers["organisation"]["messages"]), (&json!(2), &json!(5)));
    assert_eq!((&his["messages"], &his["organisation"]), (&json!(3), &Value::Null));
    assert!(hers["output_tokens"].as_i64() > Some(0) && hers["cost_micros"] == 0, "{hers}");
    let list = server.send("GET", "/v1/usage/members", Some(&ada.access_token), None).await.expect(200);
    let mut rows: Vec<_> = list["data"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["name"].as_str().unwrap_or_default().to_owned(), row["messages"].as_i64()))
        .collect();
    rows.sort();
    assert_eq!(rows, [("ada".to_owned(), Some(2)), ("bob".to_owned(), Some(3))]);
    server.send("GET", "/v1/usage/members", Some(&bob.access_token), None).await.refused(403, "forbidden");
    let body = Some(json!({"cost_micros": 5}));
    server
        .send("PUT", "/v1/budgets/organisation", Some(&bob.access_token), body.clone())
        .await
        .refused(403, "forbidden");
    let outside = format!("/v1/budgets/members/{}", eve.id);
    server.send("PUT", &outside, Some(&ada.access_token), body).await.refused(404, "not_found");
    let other = server.send("GET", "/v1/usage?month=2020-01", Some(&ada.access_token), None).await.expect(200);
    assert_eq!((&other["messages"], &other["limits"], &other["month"]), (&json!(0), &Value::Null, &json!("2020-01")));
    let bad = server.send("GET", "/v1/usage?month=2020-13", Some(&ada.access_token), None).await;
    assert_eq!(bad.refused(400, "invalid_input")["fields"][0]["field"], "month");
}

/// How long a reply whose server was killed may take to be settled: the lease, the rescue, and a busy machine.
const SETTLED: Duration = Duration::from_secs(40);

/// Replies that cost something, and a server that is killed in the middle of them: nothing stays set aside, and what was
/// spent is what the replies say, and within the budget.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spent_survives_kill_9() {
    const BUDGET: i64 = 3_000_000;
    let provider = FakeProvider::start().await;
    provider.usually(Behaviour::words("A reply that costs something"));
    let installation = Installation::new()
        .with("MAINSTAY_PROVIDERS__ORDER", "anthropic")
        .with("ANTHROPIC_API_KEY", "sk-test")
        .with("MAINSTAY_PROVIDERS__ANTHROPIC__BASE_URL", &provider.anthropic_url())
        .with("MAINSTAY_ASSISTANT__MAX_GENERATIONS_PER_PERSON", "100")
        // Nothing is to be refused for the machine being busy.
        .with("MAINSTAY_OVERLOAD__ENABLED", "false");
    let token = installation.people(1).await.remove(0);
    let limits = ["plan", "limits", "free", "--messages-per-day", "none", "--cost-per-month", "none"];
    installation.run(&limits).await.says(
        0,
        &["free    messages                none        2000", "free    cost (USD)                          none"],
    );
    for cycle in 0..4 {
        let server = installation.serve().await;
        if cycle == 0 {
            let body = json!({"cost_micros": BUDGET});
            let set = server.request("PUT", "/v1/budgets/organisation", &token).json(&body).send().await;
            assert_eq!(set.expect("an answer").status().as_u16(), 204);
        }
        if cycle == 3 {
            check(&server, &token, BUDGET).await;
            assert_eq!(server.stop().await, Some(0));
            return;
        }
        // Some replies never end: they are under way when the server dies.
        for _ in 0..5 {
            provider.push(Behaviour::HangAfter(vec!["So ".to_owned()]));
        }
        let body = json!({"content": "Hello"});
        // What died with the last server is still set aside for a while, so that some are refused and ask again.
        let ask = || server.request("POST", "/v1/messages", &token).json(&body).send();
        let sending = join_all((0..40).map(|_| async { while ask().await.is_ok() {} }));
        let before = provider.counts().requests;
        tokio::select! {
            _ = sending => panic!("nobody stops asking while the server is there"),
            _ = provider.until(|counts| counts.requests >= before + 20) => {}
        }
        server.process.kill();
        server.process.wait(SETTLED).await.expect("SIGKILL ends it");
    }
}

async fn check(server: &Instance, token: &str, budget: i64) {
    let begun = Instant::now();
    let usage = loop {
        let usage = server.get("/v1/usage", token).await;
        if usage["reserved_micros"] == 0 {
            break usage;
        }
        assert!(begun.elapsed() < SETTLED, "still set aside: {usage}");
        sleep(Duration::from_millis(200)).await;
    };
    let (mut messages, mut cost, mut tokens) = (0, 0, [0, 0]);
    for conversation in server.list("/v1/conversations", token, 100).await {
        let path = format!("/v1/conversations/{}/messages", conversation["id"].as_str().expect("an id"));
        for message in server.list(&path, token, 100).await {
            messages += i64::from(message["role"] == "user");
            cost += message["cost_micros"].as_i64().unwrap_or(0);
            tokens[0] += message["usage"]["input_tokens"].as_i64().unwrap_or(0);
            tokens[1] += message["usage"]["output_tokens"].as_i64().unwrap_or(0);
        }
    }
    assert!(messages > 60 && cost > 0, "{messages} messages, {cost}");
    let counted = ["messages", "cost_micros", "input_tokens", "output_tokens"].map(|name| usage[name].as_i64());
    assert_eq!(counted, [messages, cost, tokens[0], tokens[1]].map(Some));
    assert_eq!(usage["organisation"]["cost_micros"], cost);
    assert!(cost <= budget, "{cost} of {budget}");
}
