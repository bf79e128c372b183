//! The audit trail: what was done is there, for those whom it concerns, and who changes it is found out.

use serde_json::{Value, json};

use crate::support::binary::Installation;
use crate::support::{Engine, Person, TestApp, both, text};
use mainstay_testing::Cluster;

both! {
    who_signs_in_and_who_changes_what_is_in_the_trail,
    the_trail_is_for_those_whom_it_concerns,
}

async fn trail(server: &TestApp, token: &str) -> Vec<Value> {
    let page = server.send("GET", "/v1/audit-trail?limit=100", Some(token), None).await.expect(200);
    page["data"].as_array().expect("entries").clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().rev().filter_map(|entry| entry["action"].as_str()).collect()
}

async fn operator(server: &TestApp, name: &str) -> Person {
    let person = server.person(name).await;
    let email = mainstay_domain::EmailAddress::parse(&person.email).expect("an address");
    let call = mainstay_store::Call::within(std::time::Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    person
}

async fn who_signs_in_and_who_changes_what_is_in_the_trail(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let token = &ada.access_token;
    let send = async |method: &str, path: &str, body: Value| server.send(method, path, Some(token), Some(body)).await;
    // What is read, what is refused and what is asked for again leaves nothing.
    server.send("GET", "/v1/members", Some(token), None).await.expect(200);
    send("POST", "/v1/members", json!({"email": "nobody@example.com", "role": "member"})).await.expect(404);
    send("POST", "/v1/members", json!({"email": "x"})).await.expect(400);
    send("POST", "/v1/members", json!({"email": bob.email, "role": "member"})).await.expect(201);
    send("PATCH", &format!("/v1/members/{}", bob.id), json!({"role": "admin"})).await.expect(204);
    let key =
        send("POST", "/v1/api-keys", json!({"name": "k", "scopes": ["read", "write", "admin"]})).await.expect(201);
    let path = format!("/v1/members/{}", bob.id);
    server.send("DELETE", &path, Some(&text(&key["secret"])), None).await.expect(204);
    server.send("DELETE", &path, Some(token), None).await.expect(404);
    let wrong = json!({"email": ada.email, "password": "not her password"});
    server.send("POST", "/v1/auth/sign-in", None, Some(wrong)).await.expect(401);
    let right = json!({"email": ada.email, "password": "password of ada"});
    server.send("POST", "/v1/auth/sign-in", None, Some(right)).await.expect(200);

    // What brings data as often as there is some is told elsewhere.
    let event = json!({"type": "order.paid", "data": {"id": 1}});
    let published = send("POST", "/v1/webhook-events", event).await;
    assert!(published.status < 300, "{}", published.text);

    let entries = trail(&server, token).await;
    let wanted = [
        "sign_up",
        "POST /v1/members",
        "PATCH /v1/members/{id}",
        "POST /v1/api-keys",
        "DELETE /v1/members/{id}",
        "sign_in",
    ];
    assert_eq!(actions(&entries), wanted);
    let said = |place: usize| &entries[entries.len() - place]["said"];
    assert_eq!(said(1)["by"]["person"], json!(ada.id));
    assert_eq!(said(3)["path"], json!(path));
    assert_eq!(said(3)["address"], "127.0.0.1");
    assert!(said(3)["request_id"].is_string() && said(3)["by"]["session"].is_string());
    assert_eq!((&said(5)["by"]["person"], &said(5)["by"]["api_key"]), (&json!(ada.id), &key["id"]));
    let whole = json!(entries).to_string();
    assert!(!whole.contains("password of") && !whole.contains(&text(&key["secret"])), "no secret is in it");

    let olga = operator(&server, "olga").await;
    let until = json!({"value": "off", "reason": "a test", "seconds": 300});
    let set = server.send("PUT", "/v1/controls/sign_up", Some(&olga.access_token), Some(until)).await;
    assert!(set.status < 300, "{}", set.text);
    let path = "/v1/installation-audit-trail";
    let page = server.send("GET", path, Some(&olga.access_token), None).await.expect(200);
    let all = page["data"].as_array().expect("entries");
    assert_eq!(actions(all), ["sign_in_failed", "PUT /v1/controls/{name}"]);
    assert_eq!(all[1]["said"]["by"]["person"], json!(ada.id), "whose password was guessed at");
    assert_eq!(all[0]["said"]["by"]["person"], json!(olga.id));
}

async fn the_trail_is_for_those_whom_it_concerns(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    for name in ["k1", "k2", "k3"] {
        let key = json!({"name": name, "scopes": ["read"]});
        server.send("POST", "/v1/api-keys", Some(&ada.access_token), Some(key)).await.expect(201);
    }
    assert_eq!(actions(&trail(&server, &bob.access_token).await), ["sign_up"], "each organisation has its own");
    // Page by page, each entry once, and their places without a gap.
    let (mut places, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/audit-trail?limit=3{after}");
        let page = server.send("GET", &path, Some(&ada.access_token), None).await.expect(200);
        places.extend(page["data"].as_array().expect("entries").iter().map(|entry| entry["position"].clone()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(json!(places), json!([4, 3, 2, 1]));
    let member = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(member)).await.expect(201);
    let switch = json!({"organisation_id": ada.organisation});
    let there = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(switch)).await.expect(200);
    let there = text(&there["access_token"]);
    server.send("GET", "/v1/audit-trail", Some(&there), None).await.refused(403, "forbidden");
    server.send("GET", "/v1/installation-audit-trail", Some(&ada.access_token), None).await.refused(403, "forbidden");
    let bad = server.send("GET", "/v1/audit-trail?after=x", Some(&ada.access_token), None).await;
    bad.refused(400, "invalid_input");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_in_the_trail_and_a_change_of_it_is_found() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let create = ["user", "create", "--email", "ada@example.com"];
    installation.run_with_input(&create, "password of ada\n").await.says(0, &[]);
    installation.run(&["user", "operator", "--email", "ada@example.com"]).await.says(0, &[]);
    let list = installation.run(&["trail", "list"]).await;
    list.says(0, &["mainstay user create", "mainstay user operator"]);
    assert!(!list.text.contains("password of ada") && !list.text.contains("trail list"), "{}", list.text);
    let good = installation.run(&["trail", "verify"]).await;
    good.says(0, &["the installation stands at 2:", "0 broken"]);
    let anchor =
        good.text.lines().find_map(|line| line.strip_prefix("the installation stands at ")).expect("an anchor");
    installation.run(&["user", "disable", "--email", "ada@example.com"]).await.says(0, &[]);
    installation.run(&["trail", "verify", "--anchor", anchor]).await.says(0, &["stands at 3:", "0 broken"]);
    let other = anchor.replace("2:", "1:");
    installation.run(&["trail", "verify", "--anchor", &other]).await.says(1, &["not in the chain"]);
    database
        .psql("UPDATE audit_event SET content = replace(content, 'login', 'logon') WHERE position = 2")
        .expect("run");
    installation.run(&["trail", "verify"]).await.says(1, &["BROKEN the installation: entry 2", "1 broken"]);
}
