//! The contract: the OpenAPI document and the table of routes name the same operations, each of them answers as the
//! document says, repeats are harmless, lists are bounded, and no route runs more SQL than its line grants.

mod assistant;
mod calendars;
mod deliveries;
mod flags;
mod inbox;
mod jobs;
mod knowledge;
mod lists;
pub(crate) mod outreach;
mod plans;
mod reception;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::fake_google::FakeGoogle;
use crate::support::{ALL_AT_ONCE, Answer, Engine, Person, TestApp, both, text};

both! {
    every_operation_answers_as_documented_within_its_statements,
    a_repeat_with_the_same_key_makes_nothing_twice,
}

/// Makes requests by the template of their path, and notes what was driven and how it was answered.
struct Driver<'a> {
    server: &'a TestApp,
    seen: BTreeMap<(String, String), BTreeSet<u16>>,
}

impl<'a> Driver<'a> {
    fn new(server: &'a TestApp) -> Self {
        Self { server, seen: BTreeMap::new() }
    }

    async fn call(
        &mut self,
        operation: &str,
        id: Option<&str>,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let (method, template) = operation.split_once(' ').expect("a method and a path");
        let twofold = ["{provider}/{key}", "{organisation}/{connection}"];
        let both = twofold.into_iter().find(|both| template.contains(both));
        let path = match (id, template.split_once('{')) {
            (Some(id), _) if both.is_some() => template.replacen(both.unwrap_or_default(), id, 1),
            (Some(id), Some((before, rest))) => format!("{before}{id}{}", rest.split_once('}').expect("an end").1),
            _ => template.to_owned(),
        };
        let answer = self.server.send_with(method, &path, token, body, headers).await;
        assert!(answer.status < 500, "{operation}: {} {}", answer.status, answer.text);
        let key = (method.to_owned(), template.to_owned());
        self.seen.entry(key).or_default().insert(answer.status);
        answer
    }

    /// A call that must be answered with this status.
    async fn good(
        &mut self,
        status: u16,
        operation: &str,
        id: Option<&str>,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Value {
        let answer = self.call(operation, id, token, body, &[]).await;
        assert_eq!(answer.status, status, "{operation}: {}", answer.text);
        answer.json()
    }
}

impl Driver<'_> {
    /// Sends a list of people to a path, with what stands behind it.
    async fn upload(&mut self, (template, query): (&str, &str), id: Option<&str>, token: Option<&str>, list: String) {
        let path = format!("{}{query}", template.replacen("{id}", id.unwrap_or_default(), 1));
        let answer = self.server.upload(&path, token, "text/csv", list.into_bytes()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        self.seen.entry(("POST".to_owned(), template.to_owned())).or_default().insert(answer.status);
    }

    /// A page that anybody may ask for, by what stands in the last part of its address.
    async fn good_page(&mut self, operation: &str, token: Option<&str>) {
        let answer = self.call(operation, token, None, None, &[]).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text);
    }
}

/// The operations of the document: method and path, with the statuses that it names.
fn documented(document: &Value) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let statuses = operation["responses"].as_object().expect("responses").keys().cloned().collect();
            all.insert((method.to_uppercase(), path.clone()), statuses);
        }
    }
    all
}

/// What anybody may ask.
async fn drive_open(driver: &mut Driver<'_>) {
    for path in [
        "/healthz",
        "/readyz",
        "/health",
        "/health/database",
        "/health/redis",
        "/health/queue",
        "/health/providers",
        "/health/external-apis",
        "/metrics",
        "/openapi.json",
    ] {
        driver.good(200, &format!("GET {path}"), None, None, None).await;
    }
}

/// What an administrator does: people, members, keys.
async fn drive_accounts(driver: &mut Driver<'_>) -> Person {
    let server = driver.server;
    let body = json!({"email": "ada@example.com", "password": "password of ada", "name": "Ada"});
    driver.good(201, "POST /v1/auth/sign-up", None, None, Some(body.clone())).await;
    assert_eq!(driver.call("POST /v1/auth/sign-up", None, None, Some(body), &[]).await.status, 409);
    let body = json!({"email": "ada@example.com", "password": "password of ada"});
    let ada = driver.good(200, "POST /v1/auth/sign-in", None, None, Some(body)).await;
    let wrong = json!({"email": "ada@example.com", "password": "another password"});
    assert_eq!(driver.call("POST /v1/auth/sign-in", None, None, Some(wrong), &[]).await.status, 401);
    let old = json!({"refresh_token": ada["refresh_token"]});
    let next = driver.good(200, "POST /v1/auth/refresh", None, None, Some(old.clone())).await;
    driver.good(200, "POST /v1/auth/refresh", None, None, Some(old.clone())).await;
    let person = Person {
        email: "ada@example.com".to_owned(),
        id: text(&ada["user"]["id"]),
        organisation: text(&ada["organisation"]["id"]),
        access_token: text(&next["access_token"]),
        refresh_token: text(&next["refresh_token"]),
    };
    let token = Some(person.access_token.as_str());
    driver.good(200, "GET /v1/me", None, token, None).await;
    let further = driver.good(201, "POST /v1/organisations", None, token, Some(json!({"name": "Further"}))).await;
    let key = [("idempotency-key", "an organisation")];
    for _ in 0..2 {
        driver.call("POST /v1/organisations", None, token, Some(json!({"name": "Once"})), &key).await.expect(201);
    }
    let there = json!({"organisation_id": further["id"]});
    let switched = driver.good(200, "POST /v1/auth/switch", None, token, Some(there)).await;
    driver.good(204, "POST /v1/auth/sign-out", None, switched["access_token"].as_str(), None).await;
    // A token that was used twice before the newest: the sign-in has ended, or ends by it.
    assert_eq!(driver.call("POST /v1/auth/refresh", None, None, Some(old), &[]).await.status, 401);
    let body = json!({"email": "ada@example.com", "password": "password of ada"});
    let ada = driver.good(200, "POST /v1/auth/sign-in", None, None, Some(body)).await;
    let mut old = json!({"refresh_token": ada["refresh_token"]});
    let first = old.clone();
    for _ in 0..2 {
        let next = driver.good(200, "POST /v1/auth/refresh", None, None, Some(old)).await;
        old = json!({"refresh_token": next["refresh_token"]});
    }
    assert_eq!(driver.call("POST /v1/auth/refresh", None, None, Some(first), &[]).await.status, 401);
    let body = json!({"email": "ada@example.com", "password": "password of ada"});
    let ada = driver.good(200, "POST /v1/auth/sign-in", None, None, Some(body)).await;
    let person = Person { access_token: text(&ada["access_token"]), ..person };
    let token = Some(person.access_token.as_str());

    let bob = server.person("bob").await;
    let add = json!({"email": bob.email, "role": "member"});
    driver.good(201, "POST /v1/members", None, token, Some(add.clone())).await;
    assert_eq!(driver.call("POST /v1/members", None, token, Some(add), &[]).await.status, 409);
    driver.good(200, "GET /v1/members", None, token, None).await;
    driver.good(204, "PATCH /v1/members/{id}", Some(&bob.id), token, Some(json!({"role": "owner"}))).await;
    driver.good(204, "PATCH /v1/members/{id}", Some(&bob.id), token, Some(json!({"role": "admin"}))).await;
    // An admin asks whom it is that they change; the answer costs a statement more.
    let there = json!({"organisation_id": person.organisation});
    let bob_there = driver.good(200, "POST /v1/auth/switch", None, Some(&bob.access_token), Some(there)).await;
    let carol = server.person("carol").await;
    let add = json!({"email": carol.email, "role": "member"});
    let by_bob = bob_there["access_token"].as_str();
    driver.good(201, "POST /v1/members", None, by_bob, Some(add)).await;
    driver.good(204, "PATCH /v1/members/{id}", Some(&carol.id), by_bob, Some(json!({"role": "admin"}))).await;
    driver.good(204, "DELETE /v1/members/{id}", Some(&carol.id), by_bob, None).await;
    driver.good(204, "DELETE /v1/members/{id}", Some(&bob.id), token, None).await;

    let body = json!({"name": "A key", "scopes": ["read", "write", "admin"]});
    let key = [("idempotency-key", "a key")];
    let made = driver.call("POST /v1/api-keys", None, token, Some(body.clone()), &key).await.expect(201);
    driver.call("POST /v1/api-keys", None, token, Some(body), &key).await.expect(201);
    let id = text(&made["id"]);
    driver.good(200, "GET /v1/api-keys", None, token, None).await;
    driver.good(200, "GET /v1/api-keys/{id}", Some(&id), token, None).await;
    driver.good(204, "DELETE /v1/api-keys/{id}", Some(&id), token, None).await;
    driver.good(200, "GET /v1/limits/refusals", None, token, None).await;
    driver.good(200, "GET /v1/audit-trail", None, token, None).await;
    let change = json!({"current_password": "password of ada", "new_password": "another of hers"});
    let ada = driver.good(200, "POST /v1/auth/password", None, token, Some(change)).await;
    driver.good(204, "POST /v1/auth/sign-out-everywhere", None, Some(&carol.access_token), None).await;
    Person { access_token: text(&ada["access_token"]), refresh_token: text(&ada["refresh_token"]), ..person }
}

/// What is used and what may be.
async fn drive_billing(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    driver.good(200, "GET /v1/usage", None, token, None).await;
    driver.good(200, "GET /v1/usage/members", None, token, None).await;
    for cost in [json!(5_000_000), Value::Null] {
        let body = json!({ "cost_micros": cost });
        driver.good(204, "PUT /v1/budgets/organisation", None, token, Some(body.clone())).await;
        driver.good(204, "PUT /v1/budgets/members/{id}", Some(&ada.id), token, Some(body)).await;
    }
}

/// Each operation was answered well, and never in a way that the document does not name.
fn answered_as_documented(driver: &Driver<'_>, documented: &BTreeMap<(String, String), BTreeSet<String>>) {
    for (operation, statuses) in &driver.seen {
        let named = &documented[operation];
        let good: Vec<_> = statuses.iter().filter(|status| (200..300).contains(*status) || **status == 101).collect();
        assert!(!good.is_empty(), "{operation:?} was never answered well: {statuses:?}");
        for status in statuses {
            let covered = named.contains(&status.to_string()) || (*status >= 400 && named.contains("default"));
            assert!(covered, "{operation:?} answers {status}, and the document names {named:?}");
        }
    }
}

/// The pages of the console, which are in no document.
const PAGES: [&str; 20] = [
    "/knowledge",
    "/",
    "/sw.js",
    "/experiments",
    "/plan",
    "/calendar",
    "/calls",
    "/contacts",
    "/texts",
    "/campaigns",
    "/sending-accounts",
    "/security",
    "/inbox",
    "/deliveries",
    "/jobs",
    "/system",
    "/replays",
    "/audit",
    "/backups",
    "/controls",
];

fn page(path: &str) -> bool {
    PAGES.contains(&path) || path.starts_with("/assets/")
}

/// The document and the table have the same operations, the pages of the console aside; and what needs no token says so, and
/// the rest does not.
fn documents_what_is_served(
    server: &TestApp,
    document: &Value,
    documented: &BTreeMap<(String, String), BTreeSet<String>>,
) -> BTreeSet<(String, String)> {
    let served: BTreeSet<_> = server
        .table
        .iter()
        .filter(|route| !page(route.path))
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), served);
    for route in server.table.iter().filter(|route| !page(route.path)) {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        let open = operation["security"] == json!([{}]);
        let public = route.policy.access == mainstay_server::http::Access::Public;
        assert_eq!(open, public, "{} {}: {}", route.method, route.path, operation["security"]);
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, route.path.matches('{').count(), "{} {}", route.method, route.path);
    }
    served
}

async fn every_operation_answers_as_documented_within_its_statements(engine: Engine) {
    let backups = tempfile::tempdir().expect("a folder");
    let to = json!(backups.path()).to_string();
    let voice = [("voice.espeak.path", "\"espeak-ng\""), ("voice.openai.base_url", "\"http://127.0.0.1:9\"")];
    let google = FakeGoogle::start().await;
    let own = google.settings();
    let mut settings = vec![inbox::FASTSPRING, ("backup.to", &to), ("replay.enabled", "true"), voice[0], voice[1]];
    settings.extend(own.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let Some((server, _fake)) = plans::start(engine, &settings).await else { return };
    let document = server.send("GET", "/openapi.json", None, None).await.expect(200);
    let documented = documented(&document);

    let served = documents_what_is_served(&server, &document, &documented);
    let mut driver = Driver::new(&server);
    drive_open(&mut driver).await;
    let ada = drive_accounts(&mut driver).await;
    drive_billing(&mut driver, &ada).await;
    plans::drive(&mut driver, &ada).await;
    knowledge::drive(&mut driver, Some(&ada.access_token)).await;
    assistant::drive(&mut driver, Some(&ada.access_token)).await;
    assistant::drive_sync(&mut driver, Some(&ada.access_token)).await;
    deliveries::drive(&mut driver, Some(&ada.access_token)).await;
    flags::drive(&mut driver, &ada).await;
    jobs::drive(&mut driver, &ada).await;
    inbox::drive(&mut driver, &ada).await;
    reception::drive(&mut driver, &ada).await;
    calendars::drive(&mut driver, &google, &ada).await;
    outreach::drive(&mut driver, &google, &ada).await;
    driver.call("GET /openapi.json", None, None, None, &[("if-none-match", "\"x\"")]).await;
    assert_eq!(driver.seen.keys().cloned().collect::<BTreeSet<_>>(), served, "every operation was driven");
    answered_as_documented(&driver, &documented);

    // A caller that is known by a key nobody has seen before.
    for route in server.table.iter().filter(|route| route.method == "GET" && !route.path.contains('{')) {
        let body = json!({"name": "A key", "scopes": ["read", "write", "admin"]});
        let made = server.send("POST", "/v1/api-keys", Some(&ada.access_token), Some(body)).await.expect(201);
        // No key reaches over organisations, not even an operator's.
        let good = match (route.path, route.policy.access) {
            (_, mainstay_server::http::Access::Operator) => 403,
            ("/v1/live" | "/v1/voice", _) => 426,
            // It asks of what.
            ("/v1/availability" | "/v1/busy-times", _) => 400,
            _ => 200,
        };
        server.send("GET", route.path, made["secret"].as_str(), None).await.expect(good);
    }

    // What each route ran at most is within what its line grants, and its line grants about what it needs.
    let mut faults = Vec::new();
    for (path, method, policy, most) in server.settings.statements() {
        let granted = policy.statements;
        // Company in its batch costs a message statements that one alone does not have.
        // What a client wrote offline is granted for 50 mutations.
        let company = match (path.as_str(), method) {
            ("/v1/messages", _) => 5,
            ("/v1/sync", "POST") => granted,
            // Places are looked for one by one, and here the first is free.
            ("/v1/voice", _) => 4,
            // Here a machine looks at an email, and nobody is told of that.
            ("/t/{token}", _) => 4,
            // A part of a list may have 200 times as many rows as this one, and a table as many faults.
            ("/v1/imports/{id}/content" | "/v1/imports/{id}/faults.csv", _) => granted,
            _ => 0,
        };
        let tight = granted <= 2 * most + 2 + company;
        // A ticket is claimed in the database only where there are several nodes.
        let seldom = path.starts_with("/health") || path == "/readyz" || path == "/v1/live";
        let honest = most > 0 || granted == 0 || seldom;
        if most > granted || !tight || !honest {
            faults.push(format!("{method} {path}: {most} of {granted}"));
        }
        let without_sql = [
            "/healthz",
            "/health/redis",
            "/health/providers",
            "/health/external-apis",
            "/metrics",
            "/openapi.json",
            "/v1/limits/refusals",
            "/v1/live/tickets",
            "/v1/flags",
            "/v1/exposures",
            "/v1/imports/preview",
        ];
        let reads_nothing = without_sql.contains(&path.as_str()) || page(&path);
        assert_eq!(granted == 0, reads_nothing, "{method} {path} grants {granted}");
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The POSTs that take an `Idempotency-Key`: two bodies, and where the id of what was made stands in the answer.
fn repeatable() -> Vec<(&'static str, Value, Value, &'static str)> {
    let content = |text: &str| json!({ "content": text });
    vec![
        ("/v1/organisations", json!({"name": "One"}), json!({"name": "Two"}), "/id"),
        (
            "/v1/api-keys",
            json!({"name": "One", "scopes": ["read"]}),
            json!({"name": "One", "scopes": ["write"]}),
            "/id",
        ),
        (
            "/v1/inbox-sources",
            json!({"name": "One", "provider": "generic"}),
            json!({"name": "One", "provider": "vapi"}),
            "/id",
        ),
        ("/v1/conversations", json!({"title": "One"}), json!({"title": "Two"}), "/id"),
        ("/v1/conversations/{id}/messages", content("One"), content("Two"), "/message/id"),
        ("/v1/messages", content("One"), content("Two"), "/message/id"),
        ("/v1/services", reception::service("one"), reception::service("two"), "/id"),
        ("/v1/staff", json!({"name": "One"}), json!({"name": "Two"}), "/id"),
        ("/v1/calendar-feeds", json!({"name": "One"}), json!({"name": "Two"}), "/id"),
        ("/v1/webhook-endpoints", deliveries::endpoint("one"), deliveries::endpoint("two"), "/id"),
        ("/v1/campaigns", outreach::campaign("one"), outreach::campaign("two"), "/id"),
        ("/v1/campaigns/{id}/imports", json!({"name": "one"}), json!({"name": "two"}), "/id"),
        ("/v1/documents", knowledge::document("one"), knowledge::document("two"), "/id"),
        ("/v1/webhook-events", deliveries::event("one"), deliveries::event("two"), "/id"),
    ]
}

/// POSTs that answer 201 and take no key: what they make can be there only once, and a repeat is a conflict or finds it, or
/// it is not stored at all (tickets).
const ONCE_BY_NATURE: &[&str] = &[
    "/v1/auth/sign-up",
    "/v1/campaigns/{id}/leads",
    "/v1/images",
    "/v1/live/tickets",
    "/v1/members",
    "/v1/sending-accounts",
    "/v1/suppressions",
];

async fn a_repeat_with_the_same_key_makes_nothing_twice(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("assistant.max_generations_per_person", "50"), ALL_AT_ONCE]).await
    else {
        return;
    };
    let document = server.send("GET", "/openapi.json", None, None).await.expect(200);
    let (mut keyed, mut made) = (BTreeSet::new(), BTreeSet::new());
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let post = &operations["post"];
        let parameters = post["parameters"].as_array().cloned().unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key") {
            keyed.insert(path.as_str());
        }
        if post["responses"]["201"].is_object() {
            made.insert(path.as_str());
        }
    }
    // An appointment is of a service and a time, which two people do not share: that has a test of its own.
    let known = repeatable().into_iter().map(|(path, ..)| path).chain(["/v1/appointments"]);
    let known: BTreeSet<_> = known.collect();
    assert_eq!(keyed, known, "every operation that takes a key is tried here");
    let without: Vec<_> = made.difference(&keyed).copied().collect();
    assert_eq!(without, ONCE_BY_NATURE, "what makes something takes a key");

    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let title = json!({"title": "For messages"});
    let token = Some(ada.access_token.as_str());
    let into = text(&server.send("POST", "/v1/conversations", token, Some(title)).await.expect(201)["id"]);
    let campaign = server.send("POST", "/v1/campaigns", token, Some(outreach::campaign("a"))).await.expect(201);
    let campaign = text(&campaign["id"]);
    for (number, (template, one, two, id)) in repeatable().into_iter().enumerate() {
        let of = if template.starts_with("/v1/campaigns/") { &campaign } else { &into };
        let path = template.replacen("{id}", of, 1);
        let send = async |key: &str, body: &Value| {
            server.send_with("POST", &path, token, Some(body.clone()), &[("idempotency-key", key)]).await
        };
        let key = format!("key {number}");
        let first = send(&key, &one).await.expect(201);
        let again = send(&key, &one).await.expect(201);
        assert_eq!(first.pointer(id), again.pointer(id), "{path}");
        assert!(first.pointer(id).is_some_and(Value::is_string), "{path}: {first}");
        send(&key, &two).await.refused(422, "idempotency_key_reused");
        assert_ne!(send(&format!("{key} other"), &one).await.expect(201).pointer(id), first.pointer(id), "{path}");
        // A key is a person's own.
        if !template.contains('{') {
            let headers = [("idempotency-key", key.as_str())];
            let other = server.send_with("POST", &path, Some(&bob.access_token), Some(two), &headers).await.expect(201);
            assert_ne!(other.pointer(id), first.pointer(id), "{path}");
        }
        // Twenty at the same moment: one of them makes it, and the others are told of it or to come again.
        let key = format!("together {number}");
        let answers = join_all((0..20).map(|_| send(&key, &one))).await;
        let ids: BTreeSet<String> = answers
            .into_iter()
            .filter(|answer| !(answer.status == 409 && answer.json()["code"] == "in_progress"))
            .map(|answer| answer.expect(201).pointer(id).expect("an id").to_string())
            .collect();
        assert_eq!(ids.len(), 1, "{path}: {ids:?}");
        let last = send(&key, &one).await.expect(201);
        assert_eq!(ids.first(), last.pointer(id).map(ToString::to_string).as_ref(), "{path}");
        // What is refused is not remembered, and a key that is none is named.
        let refused = format!("refused {number}");
        assert_eq!(send(&refused, &json!({"wrong": 1})).await.status, 400, "{path}");
        send(&refused, &one).await.expect(201);
        for bad in ["", &"k".repeat(1000)] {
            let answer = send(bad, &one).await.refused(400, "invalid_input");
            assert_eq!(answer["fields"][0]["field"], "Idempotency-Key", "{path}");
        }
    }
    // One key for another operation is another request, too.
    let headers = [("idempotency-key", "key 0")];
    let body = Some(json!({"title": "One"}));
    server.send_with("POST", "/v1/conversations", token, body, &headers).await.refused(422, "idempotency_key_reused");

    // Each was made as often as it was said to be: 4 keys each (first, other, together, refused).
    let count = async |path: &str| {
        let list = server.send("GET", &format!("{path}?limit=100"), token, None).await.expect(200);
        list["data"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("/v1/api-keys").await, 4);
    assert_eq!(count("/v1/conversations").await, 1 + 4 + 4);
    assert_eq!(count(&format!("/v1/conversations/{into}/messages")).await, 2 * 4);
    let me = server.send("GET", "/v1/me", token, None).await.expect(200);
    assert_eq!(me["memberships"].as_array().map(Vec::len), Some(1 + 4));
}
