//! Limits on how often somebody may ask, over the wire: how many pass, what the answers say, and whether it is true.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::Plan;
use mainstay_testing::RedisServer;
use serde_json::json;

use crate::support::{ALL_AT_ONCE, Answer, Engine, Person, TestApp, both};

both! {
    of_a_hundred_requests_in_a_second_sixty_pass,
    what_a_key_asks_counts_for_the_key_and_the_organisation,
    what_needs_no_token_is_limited_by_address,
    administrators_see_what_was_refused,
}

/// The number after `name` in a header of the form `"policy";name=number`.
fn number(answer: &Answer, header: &str, policy: &str, name: &str) -> Option<u64> {
    let value = answer.headers.get(header)?.to_str().ok()?;
    let item = value.split(", ").find(|item| item.starts_with(&format!("\"{policy}\"")))?;
    item.split(';').find_map(|part| part.strip_prefix(&format!("{name}="))).and_then(|number| number.parse().ok())
}

fn passed(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

async fn me(server: &TestApp, person: &Person) -> Answer {
    server.send("GET", "/v1/me", Some(&person.access_token), None).await
}

async fn of_a_hundred_requests_in_a_second_sixty_pass(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("limits.free.other", "60"), ALL_AT_ONCE]).await else { return };
    let ada = server.person("ada").await;
    let mut refused = None;
    for count in 0..100_u64 {
        let answer = me(&server, &ada).await;
        assert_eq!(number(&answer, "ratelimit-policy", "user", "q"), Some(60), "{:?}", answer.headers);
        assert_eq!(number(&answer, "ratelimit-policy", "user", "w"), Some(60));
        let left = number(&answer, "ratelimit", "user", "r");
        if count < 60 {
            assert_eq!((answer.status, left), (200, Some(59 - count)));
        } else {
            assert_eq!(left, Some(0));
            let problem = answer.clone().refused(429, "rate_limited");
            assert_eq!(problem["violated-policies"], json!(["user"]));
            refused = Some(answer);
        }
    }
    let after: u64 = refused.expect("a refusal").headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");

    // From fifty connections at once.
    let bob = server.person("bob").await;
    let answers = join_all((0..100).map(|_| me(&server, &bob))).await;
    assert_eq!(passed(&answers), 60);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_says_truly_when_to_return() {
    let settings = [("limits.free.other", "5"), ("limits.window_seconds", "3")];
    let Some(server) = TestApp::start(Engine::Sqlite, &settings).await else { return };
    let ada = server.person("ada").await;
    for _ in 0..2 {
        let mut begun = None;
        for _ in 0..5 {
            assert_eq!(me(&server, &ada).await.status, 200);
            begun.get_or_insert_with(tokio::time::Instant::now);
        }
        let refused = me(&server, &ada).await;
        refused.clone().refused(429, "rate_limited");
        let after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert_eq!(number(&refused, "ratelimit", "user", "t"), Some(after));
        // The window began with the first of them: the wait is what is left of it, rounded up.
        let since = begun.expect("a first one").elapsed();
        assert!(Duration::from_secs(after) + since >= Duration::from_secs(3) - Duration::from_millis(50), "{after}");
        tokio::time::sleep(Duration::from_secs(after)).await;
        assert_eq!(me(&server, &ada).await.status, 200, "exactly then it passes");
        // What is left of this round goes before the next.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_class_has_its_own_limit_and_a_refusal_counts_nowhere() {
    let settings = [("limits.free.messages", "2"), ("limits.free.other", "3"), ("limits.organisation", "6")];
    let Some(server) = TestApp::start(Engine::Sqlite, &settings).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let message = async || server.send("POST", "/v1/messages", token, Some(json!({"content": "Hello"}))).await;
    for status in [201, 201, 429, 429, 429, 429, 429] {
        assert_eq!(message().await.status, status);
    }
    // Five refusals later the organisation has four of its six left.
    for status in [200, 200, 200, 429] {
        assert_eq!(me(&server, &ada).await.status, status);
    }
    let answer = message().await;
    assert_eq!(answer.json()["violated-policies"], json!(["messages"]));
    assert_eq!(number(&answer, "ratelimit", "organisation", "r"), Some(1));
}

async fn what_a_key_asks_counts_for_the_key_and_the_organisation(engine: Engine) {
    let settings = [
        ("limits.free.other", "10"),
        ("limits.api_key", "4"),
        ("limits.free.messages", "2"),
        ("limits.organisation", "8"),
    ];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let ada = server.person("ada").await;
    let body = json!({"name": "A key", "scopes": ["read", "write"]});
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = server.send("POST", "/v1/api-keys", Some(&ada.access_token), Some(body.clone())).await.expect(201);
        keys.push(made["secret"].as_str().expect("a secret").to_owned());
    }
    let list = async |key: &str| server.send("GET", "/v1/conversations", Some(key), None).await;
    for _ in 0..3 {
        assert_eq!(list(&keys[0]).await.status, 200);
    }
    let answer = server.send("POST", "/v1/messages", Some(&keys[0]), Some(json!({"content": "x"}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(number(&answer, "ratelimit", "messages", "r"), Some(1));
    assert_eq!(number(&answer, "ratelimit", "api_key", "r"), Some(0));
    let refused = list(&keys[0]).await;
    assert_eq!(refused.json()["violated-policies"], json!(["api_key"]));
    // The other key, until the organisation has had its eight: two keys were made, four requests came by the first.
    for status in [200, 200, 429] {
        assert_eq!(list(&keys[1]).await.status, status);
    }
    let refused = me(&server, &ada).await;
    assert_eq!(refused.json()["violated-policies"], json!(["organisation"]));
}

async fn what_needs_no_token_is_limited_by_address(engine: Engine) {
    let settings = [("limits.public", "3"), ("http.trusted_proxies", "[\"127.0.0.1/32\"]")];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let refresh = async |from: &str| {
        let body = Some(json!({"refresh_token": "none"}));
        server.send_with("POST", "/v1/auth/refresh", None, body, &[("x-forwarded-for", from)]).await
    };
    for _ in 0..3 {
        refresh("2001:db8:1:2::1").await.refused(401, "signed_out");
    }
    let refused = refresh("2001:db8:1:2:ffff::7").await;
    assert_eq!(refused.clone().refused(429, "rate_limited")["violated-policies"], json!(["address"]));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refresh("2001:db8:1:3::1").await.status, 401, "another network is another caller");
    // What must always answer does, and says nothing of limits.
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/"] {
        for _ in 0..5 {
            let answer = server.send("GET", path, None, None).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(!answer.headers.contains_key("ratelimit"), "{path}");
        }
    }
}

async fn administrators_see_what_was_refused(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("limits.free.messages", "1")]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    for person in [&ada, &bob] {
        for _ in 0..3 {
            server.send("POST", "/v1/messages", Some(&person.access_token), Some(json!({"content": "x"}))).await;
        }
    }
    let list = async |person: &Person| {
        server.send("GET", "/v1/limits/refusals", Some(&person.access_token), None).await.expect(200)
    };
    let rows = list(&ada).await["data"].clone();
    let [row] = rows.as_array().expect("rows").as_slice() else { panic!("{rows}") };
    assert_eq!((&row["subject"], &row["subject_id"]), (&json!("user"), &json!(ada.id)));
    assert_eq!((&row["class"], &row["route"]), (&json!("messages"), &json!("POST /v1/messages")));
    assert_eq!((&row["limit"], &row["count"]), (&json!(1), &json!(2)));
    assert!(row["last_at"].is_string());
    let theirs = list(&bob).await["data"].clone();
    assert_eq!(theirs[0]["subject_id"], json!(bob.id), "each sees their own organisation");
    let figures = server.send("GET", "/metrics", None, None).await.text;
    assert!(figures.contains(r#"mainstay_limit_refusals_total{class="messages",subject="user"} 4"#), "{figures}");
    // Who only is a member does not see them.
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let switched = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let token = switched["access_token"].as_str();
    server.send("GET", "/v1/limits/refusals", token, None).await.refused(403, "forbidden");
}

/// Three nodes on one database that share a Redis.
async fn three_nodes(redis: &RedisServer, settings: &[(&str, &str)]) -> Option<[TestApp; 3]> {
    let url = format!("\"{}\"", redis.url());
    let mut all = vec![("redis.url", url.as_str()), ("limits.free.other", "60"), ALL_AT_ONCE];
    all.extend_from_slice(settings);
    let first = TestApp::start(Engine::Postgres, &all).await?;
    let (second, third) = (first.second_node().await, first.second_node().await);
    let nodes = [first, second, third];
    for node in &nodes {
        node.app.nodes.count().set(3);
        assert_eq!(node.app.limits.is_shared(), Some(true));
    }
    Some(nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_three_nodes_that_share_redis_exactly_sixty_pass() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    // A machine that is busy with other tests must not look like a Redis that hangs.
    let Some(nodes) = three_nodes(&redis, &[("redis.command_timeout_ms", "5000")]).await else { return };
    let ada = nodes[0].person("ada").await;
    let answers = join_all((0..100).map(|number| me(&nodes[number % 3], &ada))).await;
    assert_eq!(passed(&answers), 60);
    let refused = me(&nodes[1], &ada).await;
    refused.clone().refused(429, "rate_limited");
    assert_eq!(number(&refused, "ratelimit", "user", "r"), Some(0));
    let health = nodes[2].send("GET", "/health/redis", None, None).await.expect(200);
    assert_eq!(health["checks"]["redis"]["detail"], "it answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_missed_by_nobody_who_asks() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let Some(nodes) = three_nodes(&redis, &[("redis.command_timeout_ms", "1000")]).await else { return };
    let (ada, bob) = (nodes[0].person("ada").await, nodes[0].person("bob").await);
    for node in &nodes {
        for _ in 0..10 {
            assert_eq!(me(node, &ada).await.status, 200);
        }
        // The answer to a later question, about whomever, says that all nodes know of those.
        assert_eq!(me(node, &bob).await.status, 200);
    }
    redis.kill_9().expect("it dies");
    // Of the sixty thirty are left, ten for each.
    let answers = join_all((0..90).map(|number| me(&nodes[number % 3], &ada))).await;
    assert_eq!(passed(&answers), 30);
    assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status)));
    let ready = nodes[0].send("GET", "/readyz", None, None).await.expect(200);
    assert_eq!((&ready["status"], &ready["checks"]["redis"]["status"]), (&json!("degraded"), &json!("degraded")));
    assert_eq!(nodes[0].send("GET", "/health/redis", None, None).await.expect(503)["status"], "failing");
    // The link learns of it by the next call that fails.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let figures = nodes[0].send("GET", "/metrics", None, None).await.text;
        if figures.contains("mainstay_redis_up 0") && figures.contains("mainstay_limits_shared 0") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{figures}");
    }
    redis.restart().expect("it starts");
    for node in &nodes {
        node.app.redis.as_ref().expect("a link").link.up().await;
    }
    // It is back and empty, and still nobody gets more.
    let answers = join_all((0..90).map(|number| me(&nodes[number % 3], &ada))).await;
    assert_eq!(passed(&answers), 0);
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    let config = mainstay_server::config::Config::from_overrides(&[]).unwrap();
    let limits = &config.limits;
    assert_eq!(limits.window(), Duration::from_secs(60));
    let of = |plan: Plan| match plan {
        Plan::Free => &limits.free,
        Plan::Core => &limits.core,
        Plan::Studio => &limits.studio,
    };
    for (plan, messages, images) in [(Plan::Free, 20, 5), (Plan::Core, 100, 30), (Plan::Studio, 100, 30)] {
        let of = of(plan);
        assert_eq!((of.messages, of.image_analysis), (messages, images));
        assert_eq!((of.speech_to_text, of.text_to_speech, of.other, of.sync, of.live_connect), (30, 60, 60, 60, 30));
    }
    assert_eq!((limits.organisation, limits.api_key, limits.public), (6000, 600, 120));
    assert_eq!((config.auth.sign_in_failures, config.auth.sign_ups, config.auth.throttle_window_seconds), (5, 5, 900));
}
