//! The log of a real process: who and what each line is about, and that nothing that people send stands in it.

use serde_json::{Value, json};

use crate::support::binary::{Installation, Instance};

/// Lines of the log: those that are JSON. The greeting is not.
fn lines(server: &Instance) -> Vec<Value> {
    let lines = server.process.lines();
    let logged = lines.iter().filter(|line| line.starts_with('{'));
    logged.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Something that has no place in a log, in the forms that people and programs send it.
struct Canaries {
    word: &'static str,
    email: String,
    phone: &'static str,
    card: &'static str,
    key: String,
    password: &'static str,
}

impl Canaries {
    fn new() -> Self {
        Self {
            word: "Zilpzalp-Kanari",
            email: "zilpzalp.kanari@example.org".to_owned(),
            phone: "+49 30 90182055",
            card: "4242 4242 4242 4242",
            // Put together here, so that nothing in the tree has the form of a key.
            key: ["mk", "7Zilpzalp0Kanari1Zilpzalp2Kanari3Zilpzalp4Ka"].join("_"),
            password: "Kanari-Vogel-77-Zilpzalp",
        }
    }

    /// All of them in one text.
    fn all(&self) -> String {
        let Self { word, email, phone, card, key, password } = self;
        format!("{word} {email} {phone} {card} {key} {password}")
    }

    fn found_in(&self, text: &str) -> Vec<String> {
        let Self { word, email, phone, card, key, password } = self;
        let all = [*word, email.as_str(), *phone, *card, key.as_str(), *password, "zilpzalp.kanari"];
        all.iter().filter(|canary| text.contains(**canary)).map(|canary| (*canary).to_owned()).collect()
    }
}

/// Puts canaries into every field of these routes: some requests are good, most are not.
async fn send_everywhere(server: &Instance, canaries: &Canaries) {
    let all = canaries.all();
    let Canaries { email, password, key, word, .. } = canaries;
    let sign_up = json!({"email": email, "password": password, "name": word});
    let made = server.send("POST", "/v1/auth/sign-up", "", Some(sign_up)).await.expect("an answer").expect(201);
    let token = made["access_token"].as_str().expect("a token").to_owned();
    let token = token.as_str();
    let posts = [
        ("/v1/auth/sign-up", json!({"email": email, "password": password, "name": all.repeat(20)})),
        ("/v1/auth/sign-in", json!({"email": email, "password": format!("{password}x")})),
        ("/v1/auth/sign-in", json!({"email": all, "password": all})),
        ("/v1/auth/refresh", json!({"refresh_token": all})),
        ("/v1/auth/switch", json!({"organisation_id": all})),
        ("/v1/organisations", json!({"name": word})),
        ("/v1/members", json!({"email": email, "role": all})),
        ("/v1/members", json!({"email": format!("x{email}"), "role": "member"})),
        ("/v1/api-keys", json!({"name": word, "scopes": ["read"]})),
        ("/v1/api-keys", json!({"name": all, "scopes": [all]})),
        ("/v1/messages", json!({"content": all})),
        ("/v1/messages", json!({"content": all, "conversation_id": all})),
        ("/v1/conversations", json!({"title": word})),
        ("/v1/events", json!({"name": all, "value": all})),
        (
            "/v1/webhook-endpoints",
            json!({"url": format!("https://user:{password}@example.org/{key}"), "event_types": [all]}),
        ),
        ("/v1/inbox-sources", json!({"name": word, "provider": all, "scheme": all, "secret": key})),
        ("/v1/checkout-sessions", json!({"plan": all})),
    ];
    for (path, body) in posts {
        server.send("POST", path, token, Some(body)).await.expect("an answer");
    }
    let encoded: String = form_urlencoded::byte_serialize(all.as_bytes()).collect();
    let gets = [
        format!("/v1/conversations?search={encoded}"),
        format!("/v1/conversations?after={encoded}"),
        format!("/v1/conversations/{encoded}"),
        format!("/v1/sync?cursor={encoded}"),
        format!("/hooks/generic/{encoded}"),
        format!("/{encoded}"),
        format!("/v1/live?ticket={encoded}"),
    ];
    for path in gets {
        server.send("GET", &path, token, None).await.expect("an answer");
    }
    server.send("GET", "/v1/me", key, None).await.expect("an answer");
    let broken = server.request("POST", "/v1/messages", token).header("content-type", "application/json");
    broken.body(format!("{{\"content\": {all}")).send().await.expect("an answer");
    let odd = server.request("GET", "/v1/me", token).header("user-agent", &all).header("cookie", &all);
    odd.header("idempotency-key", &all).header("x-request-id", &all).send().await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_send_is_nowhere_in_the_log() {
    for level in ["info", "debug"] {
        let installation = Installation::new().with("MAINSTAY_LOG__FORMAT", "json").with("MAINSTAY_LOG__LEVEL", level);
        let server = installation.serve().await;
        let canaries = Canaries::new();
        send_everywhere(&server, &canaries).await;
        assert_eq!(server.stop().await, Some(0));
        let logged = lines(&server);
        let access = logged.iter().filter(|line| line["target"] == "mainstay::access").count();
        assert!(access > 20, "{access} requests are in the log at {level}");
        for line in server.process.lines() {
            assert_eq!(canaries.found_in(&line), [""; 0], "at {level}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_says_for_which_request_and_for_whom() {
    let installation = Installation::new().with("MAINSTAY_LOG__FORMAT", "json").with("MAINSTAY_LOG__LEVEL", "debug");
    let server = installation.serve().await;
    let sign_up = json!({"email": "ada@example.com", "password": "password of ada", "name": "Ada"});
    let ada = server.send("POST", "/v1/auth/sign-up", "", Some(sign_up)).await.expect("an answer").expect(201);
    let token = ada["access_token"].as_str().expect("a token");
    let answer = server.send("GET", "/v1/conversations?after=nonsense", token, None).await.expect("an answer");
    let request = answer.headers["x-request-id"].to_str().expect("text").to_owned();
    assert_eq!(answer.status, 400);
    server.send("POST", "/v1/messages", token, Some(json!({"content": "Hello"}))).await.expect("sent").expect(201);
    assert_eq!(server.stop().await, Some(0));
    let logged = lines(&server);
    let of_request: Vec<_> = logged.iter().filter(|line| line["request_id"] == request.as_str()).collect();
    // Why it was refused, and how it was answered.
    assert!(of_request.len() >= 2, "{of_request:?}");
    for line in of_request {
        assert_eq!(line["tenant_id"], ada["organisation"]["id"], "{line}");
        assert_eq!(line["person_id"], ada["user"]["id"], "{line}");
    }
    // Before it was known who asks, nobody is named.
    let sign_up = logged.iter().find(|line| line["route"] == "/v1/auth/sign-up" && line["status"] == 201);
    assert_eq!(sign_up.expect("it is there").get("tenant_id"), None);
}
