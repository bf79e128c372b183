//! Signing up, in and out, refreshing, switching, throttles and owners, over the wire.

mod credentials;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{ALL_AT_ONCE, Answer, Engine, Person, TestApp, both, text};

both! {
    a_person_signs_up_in_and_out,
    refresh_tokens_are_good_once,
    a_cookie_is_for_our_own_pages,
    organisations_are_made_and_switched,
    attempts_are_throttled,
    every_wrong_field_is_named,
    an_organisation_keeps_an_owner,
    no_token_outlives_a_change_of_its_role,
}

/// The address of the server as people know it.
const OURS: &str = "https://chat.example.com";

async fn refresh(server: &TestApp, token: &str) -> Answer {
    server.send("POST", "/v1/auth/refresh", None, Some(json!({"refresh_token": token}))).await
}

async fn status_of(server: &TestApp, token: &str) -> u16 {
    server.send("GET", "/v1/me", Some(token), None).await.status
}

async fn a_person_signs_up_in_and_out(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let again = json!({"email": "ADA@example.com", "password": "another password"});
    server.send("POST", "/v1/auth/sign-up", None, Some(again)).await.refused(409, "email_taken");
    let wrong = json!({"email": ada.email, "password": "not her password"});
    let wrong = server.send("POST", "/v1/auth/sign-in", None, Some(wrong)).await.refused(401, "wrong_credentials");
    let unknown = json!({"email": "nobody@example.com", "password": "not her password"});
    let unknown = server.send("POST", "/v1/auth/sign-in", None, Some(unknown)).await.refused(401, "wrong_credentials");
    assert_eq!(wrong["detail"], unknown["detail"], "who has an account is not told");
    let right = json!({"email": " Ada@Example.com ", "password": "password of ada"});
    let signed_in = server.send("POST", "/v1/auth/sign-in", None, Some(right)).await.expect(200);
    assert_eq!(signed_in["user"], json!({"id": ada.id, "email": ada.email, "name": "ada"}));
    assert_eq!(signed_in["organisation"], json!({"id": ada.organisation, "name": "ada", "plan": "free"}));
    assert_eq!(signed_in["expires_in"], 900);
    let token = text(&signed_in["access_token"]);
    let me = server.send("GET", "/v1/me", Some(&token), None).await.expect(200);
    assert_eq!((me["user"]["id"].as_str(), me["role"].as_str()), (Some(ada.id.as_str()), Some("owner")));
    assert_eq!(me["operator"], false);
    server.send("POST", "/v1/auth/sign-out", Some(&token), None).await.expect(204);
    server.send("GET", "/v1/me", Some(&token), None).await.refused(401, "unauthenticated");
    refresh(&server, &text(&signed_in["refresh_token"])).await.refused(401, "signed_out");
    server.send("GET", "/v1/me", Some(&ada.access_token), None).await.expect(200);
    // Twenty people of one address at the same moment: there is one account.
    let body = json!({"email": "bob@example.com", "password": "password of bob"});
    let all = join_all((0..20).map(|_| server.send("POST", "/v1/auth/sign-up", None, Some(body.clone())))).await;
    let mut statuses = BTreeMap::new();
    for answer in all {
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(201, 1), (409, 19)]));
}

async fn refresh_tokens_are_good_once(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("auth.refresh_leeway_seconds", "300")]).await else { return };
    let ada = server.person("ada").await;
    let sign_in = json!({"email": ada.email, "password": "password of ada"});
    let other = server.send("POST", "/v1/auth/sign-in", None, Some(sign_in)).await.expect(200);

    // A repeat, and two at once, get the same successor: a lost answer or two tabs end nothing.
    let (one, two) = join(refresh(&server, &ada.refresh_token), refresh(&server, &ada.refresh_token)).await;
    let (one, two) = (one.expect(200), two.expect(200));
    let next = text(&one["refresh_token"]);
    assert_eq!(
        (one["user"]["id"].as_str(), next.as_str()),
        (Some(ada.id.as_str()), text(&two["refresh_token"]).as_str())
    );
    assert_ne!(next, ada.refresh_token);
    assert_eq!(text(&refresh(&server, &ada.refresh_token).await.expect(200)["refresh_token"]), next);
    for token in [&ada.access_token, &text(&one["access_token"]), &text(&two["access_token"])] {
        assert_eq!(status_of(&server, token).await, 200);
    }

    // One that is older than that is a copy: the sign-in ends with all of its tokens, and only that sign-in.
    let third = refresh(&server, &next).await.expect(200);
    refresh(&server, &ada.refresh_token).await.refused(401, "signed_out");
    refresh(&server, &text(&third["refresh_token"])).await.refused(401, "signed_out");
    refresh(&server, &next).await.refused(401, "signed_out");
    for token in [&ada.access_token, &text(&one["access_token"]), &text(&third["access_token"])] {
        assert_eq!(status_of(&server, token).await, 401);
    }
    assert_eq!(status_of(&server, &text(&other["access_token"])).await, 200);
    let other = refresh(&server, &text(&other["refresh_token"])).await.expect(200);

    // What is no refresh token of ours ends nothing either.
    let good = text(&other["refresh_token"]);
    for bad in ["", "mr_", &good[..40], &format!("{good}A"), &good.to_uppercase(), &text(&other["access_token"])] {
        refresh(&server, bad).await.refused(401, "signed_out");
    }
    server.send("POST", "/v1/auth/refresh", None, Some(json!({}))).await.refused(401, "signed_out");
    let answer = refresh(&server, &good).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.expect(200);

    // Without leeway the second use of a token is a copy at once.
    let server = server.restart(&[("auth.refresh_leeway_seconds", "0")]).await;
    let bob = server.person("bob").await;
    let all = join_all((0..8).map(|_| refresh(&server, &bob.refresh_token))).await;
    let good: Vec<_> = all.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1, "each generation is given out once");
    refresh(&server, &text(&good[0].json()["refresh_token"])).await.refused(401, "signed_out");
    assert_eq!(status_of(&server, &bob.access_token).await, 401);
}

async fn a_cookie_is_for_our_own_pages(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("http.public_url", &json!(OURS).to_string())]).await else { return };
    let ada = server.person("ada").await;
    let body = json!({"email": ada.email, "password": "password of ada", "session": "cookie"});
    let sign_in = async |headers: &[(&str, &str)]| {
        server.send_with("POST", "/v1/auth/sign-in", None, Some(body.clone()), headers).await
    };
    for headers in [&[][..], &[("origin", "https://evil.example")], &[("sec-fetch-site", "cross-site")]] {
        let problem = sign_in(headers).await.refused(400, "invalid_input");
        assert_eq!(
            (&problem["fields"][0]["field"], &problem["fields"][0]["code"]),
            (&json!("session"), &json!("not_same_origin"))
        );
    }
    let answer = sign_in(&[("origin", OURS)]).await;
    let set = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    let signed_in = answer.expect(200);
    assert!(signed_in["refresh_token"].is_null(), "it is in the cookie only: {signed_in}");
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    assert!(pair.starts_with("__Secure-mainstay_refresh=mr_"), "{set}");
    assert_eq!(attributes, "Path=/v1/auth; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure");

    let refresh = async |cookie: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", cookie)];
        all.extend_from_slice(headers);
        server.send_with("POST", "/v1/auth/refresh", None, Some(json!({})), &all).await
    };
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "https://chat.example.com.evil.example")],
        &[("origin", "http://chat.example.com")],
        &[("origin", "null")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
    ] {
        let answer = refresh(pair, headers).await;
        assert!(!answer.headers.contains_key("set-cookie"));
        answer.refused(401, "signed_out");
    }
    // A browser sends others beside it.
    let answer = refresh(&format!("theme=dark; {pair}; x=y"), &[("origin", OURS)]).await;
    let next = answer.headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(answer.expect(200)["refresh_token"].is_null());
    let next = next.split(';').next().expect("a pair");
    assert!(next != pair && next.starts_with("__Secure-mainstay_refresh=mr_"));
    refresh(next, &[("sec-fetch-site", "same-origin")]).await.expect(200);
    for other in ["other__Secure-mainstay_refresh=x".to_owned(), next.replace("__Secure-", "")] {
        refresh(&other, &[("origin", OURS)]).await.refused(401, "signed_out");
    }

    // The cookie is no way into anything else, and signing out takes it away.
    let headers = [("cookie", next), ("origin", OURS)];
    server.send_with("GET", "/v1/me", None, None, &headers).await.refused(401, "unauthenticated");
    let token = text(&signed_in["access_token"]);
    let answer = server.send("POST", "/v1/auth/sign-out", Some(&token), None).await;
    assert_eq!(
        (
            answer.status,
            answer.headers["set-cookie"]
                .to_str()
                .expect("text")
                .contains("__Secure-mainstay_refresh=; Path=/v1/auth; Max-Age=0")
        ),
        (204, true)
    );
    refresh(next, &[("origin", OURS)]).await.refused(401, "signed_out");
    // Whoever signs in where they were signed in leaves the sign-in before, and no other device's.
    let elsewhere = sign_in(&[]).await.refused(400, "invalid_input");
    assert_eq!(elsewhere["fields"][0]["field"], "session");
    let of = |answer: &Answer| {
        let set = answer.headers["set-cookie"].to_str().expect("text");
        set.split(';').next().expect("a pair").to_owned()
    };
    let (first, other) = (sign_in(&[("origin", OURS)]).await, sign_in(&[("origin", OURS)]).await);
    let second = sign_in(&[("origin", OURS), ("cookie", &of(&first))]).await.expect(200);
    refresh(&of(&first), &[("origin", OURS)]).await.refused(401, "signed_out");
    assert_eq!(status_of(&server, &text(&first.json()["access_token"])).await, 401);
    refresh(&of(&other), &[("origin", OURS)]).await.expect(200);
    assert_eq!(status_of(&server, &text(&second["access_token"])).await, 200);
}

async fn organisations_are_made_and_switched(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let token = Some(ada.access_token.as_str());
    let sent = server.send("POST", "/v1/messages", token, Some(json!({"content": "At home"}))).await.expect(201);
    let made = server.send("POST", "/v1/organisations", token, Some(json!({"name": " Works "}))).await.expect(201);
    assert_eq!(made["name"], "Works");
    let switch = async |token: &str, to: &Value| {
        server.send("POST", "/v1/auth/switch", Some(token), Some(json!({"organisation_id": to}))).await
    };
    let there = switch(&ada.access_token, &made["id"]).await.expect(200);
    assert_eq!(there["organisation"], json!({"id": made["id"], "name": "Works", "plan": "free"}));
    let works = text(&there["access_token"]);
    let me = server.send("GET", "/v1/me", Some(&works), None).await.expect(200);
    assert_eq!((&me["organisation"]["id"], &me["role"]), (&made["id"], &json!("owner")));
    assert_eq!(me["memberships"].as_array().map(Vec::len), Some(2));
    // What is at home stays at home.
    let path = format!("/v1/conversations/{}", text(&sent["conversation_id"]));
    server.send("GET", &path, Some(&works), None).await.refused(404, "not_found");
    let list = server.send("GET", "/v1/conversations", Some(&works), None).await.expect(200);
    assert_eq!(list, json!({"data": [], "next": null}));
    server.send("GET", &path, token, None).await.expect(200);
    // A refresh stays where the sign-in was moved to.
    let next = refresh(&server, &text(&there["refresh_token"])).await.expect(200);
    assert_eq!(next["organisation"]["id"], made["id"]);
    // Nobody switches into what they do not belong to, and a sign-in that has ended switches nowhere.
    switch(&bob.access_token, &made["id"]).await.refused(404, "not_found");
    switch(&bob.access_token, &json!("00000000-0000-7000-8000-000000000000")).await.refused(404, "not_found");
    switch(&bob.access_token, &json!("works")).await.refused(400, "invalid_input");
    server.send("POST", "/v1/auth/sign-out", Some(&works), None).await.expect(204);
    assert_eq!(
        status_of(&server, &ada.access_token).await,
        401,
        "the tokens of all organisations end with the sign-in"
    );
    switch(&works, &json!(ada.organisation)).await.refused(401, "unauthenticated");
}

/// Attempts from many addresses, which the test names as a proxy would.
struct Attempts<'a>(&'a TestApp);

impl Attempts<'_> {
    async fn sign_in(&self, from: &str, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.0.send_with("POST", "/v1/auth/sign-in", None, Some(body), &[("x-forwarded-for", from)]).await
    }

    async fn sign_up(&self, from: &str, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.0.send_with("POST", "/v1/auth/sign-up", None, Some(body), &[("x-forwarded-for", from)]).await
    }
}

fn told_to_wait(answer: Answer) {
    let seconds: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=900).contains(&seconds), "{seconds}");
    answer.refused(429, "too_many_attempts");
}

async fn attempts_are_throttled(engine: Engine) {
    let settings =
        [("auth.sign_in_failures", "5"), ("auth.sign_ups", "5"), ("http.trusted_proxies", r#"["127.0.0.0/8"]"#)];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let attempts = Attempts(&server);
    let ada = attempts.sign_up("198.51.100.1", "ada@example.com", "a good password").await.expect(201);
    for name in ["bob", "carol", "dave"] {
        attempts.sign_up("198.51.100.1", &format!("{name}@example.com"), "a good password").await.expect(201);
    }
    // By account: five wrong ones from five addresses, and then not even the right one, from wherever.
    for number in 1..=5 {
        let from = format!("203.0.113.{number}");
        attempts.sign_in(&from, "ada@example.com", "wrong").await.refused(401, "wrong_credentials");
    }
    told_to_wait(attempts.sign_in("203.0.113.6", "ada@example.com", "a good password").await);
    told_to_wait(attempts.sign_in("203.0.113.7", " ADA@example.com ", "a good password").await);
    // Who is signed in stays so: a stranger who knows the address ends nothing.
    assert_eq!(status_of(&server, &text(&ada["access_token"])).await, 200);
    let again = refresh(&server, &text(&ada["refresh_token"])).await.expect(200);
    assert_eq!(status_of(&server, &text(&again["access_token"])).await, 200);
    attempts.sign_in("203.0.113.6", "bob@example.com", "a good password").await.expect(200);
    // By address: five wrong ones at five accounts, of which some do not exist.
    for name in ["bob", "carol", "dave", "nobody", "no address"] {
        let email = format!("{name}@example.com");
        attempts.sign_in("203.0.113.50", &email, "wrong").await.refused(401, "wrong_credentials");
    }
    told_to_wait(attempts.sign_in("203.0.113.50", "bob@example.com", "a good password").await);
    attempts.sign_in("203.0.113.51", "bob@example.com", "a good password").await.expect(200);
    // One network of IPv6 is one address.
    for number in 1..=5 {
        let from = format!("2001:db8:0:1::{number}");
        let email = format!("nobody{number}@example.com");
        attempts.sign_in(&from, &email, "wrong").await.refused(401, "wrong_credentials");
    }
    told_to_wait(attempts.sign_in("2001:db8:0:1:ffff::1", "bob@example.com", "a good password").await);
    attempts.sign_in("2001:db8:0:2::1", "bob@example.com", "a good password").await.expect(200);
    // Who knows the password may sign in as often as they like.
    for _ in 0..10 {
        attempts.sign_in("203.0.113.60", "carol@example.com", "a good password").await.expect(200);
    }
    // Fifty at once: at most five are tried. Dave has failed once above.
    let all = (0..50).map(|number| {
        let from = format!("192.0.2.{number}");
        let attempts = &attempts;
        async move { attempts.sign_in(&from, "dave@example.com", "wrong").await }
    });
    let mut tried = 0;
    for answer in join_all(all).await {
        if answer.status == 401 {
            tried += 1;
        } else {
            told_to_wait(answer);
        }
    }
    assert_eq!(tried, 4);

    // Sign-ups: five from an address, whether or not the address is taken; what is refused for its form is not counted.
    for _ in 0..8 {
        attempts.sign_up("198.51.100.9", "nobody", "a good password").await.refused(400, "invalid_input");
    }
    for number in 0..4 {
        let email = format!("new{number}@example.com");
        attempts.sign_up("198.51.100.9", &email, "a good password").await.expect(201);
    }
    attempts.sign_up("198.51.100.9", "ada@example.com", "a good password").await.refused(409, "email_taken");
    told_to_wait(attempts.sign_up("198.51.100.9", "new9@example.com", "a good password").await);
    attempts.sign_up("198.51.100.10", "new9@example.com", "a good password").await.expect(201);
    let many = (0..20).map(|number| {
        let attempts = &attempts;
        async move {
            attempts.sign_up("198.51.100.11", &format!("many{number}@example.com"), "a good password").await.status
        }
    });
    let made = join_all(many).await.into_iter().filter(|status| *status == 201).count();
    assert_eq!(made, 5, "no more than five at once either");
}

async fn every_wrong_field_is_named(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let fields = async |method: &str, path: &str, body: Value| {
        let token = (!path.starts_with("/v1/auth/sign")).then_some(ada.access_token.as_str());
        let problem = server.send(method, path, token, Some(body)).await.refused(400, "invalid_input");
        let fields = problem["fields"].as_array().cloned().unwrap_or_default();
        assert!(fields.iter().all(|field| field["detail"].as_str().is_some_and(|detail| !detail.is_empty())));
        fields.iter().map(|field| (text(&field["field"]), text(&field["code"]))).collect::<Vec<_>>()
    };
    let named = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let long = "x".repeat(201);
    let sign_up = "/v1/auth/sign-up";
    let faults = fields("POST", sign_up, json!({"email": "ada", "password": "short", "name": long})).await;
    let names: Vec<&str> = faults.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(names, ["email", "name", "password"], "all of them at once: {faults:?}");
    for password in ["", "short", "password12", &"x".repeat(201), "eve@example.com"] {
        let faults = fields("POST", sign_up, json!({"email": "eve@example.com", "password": password})).await;
        assert!(faults.len() == 1 && faults[0].0 == "password", "{password}: {faults:?}");
    }
    let good = json!({"email": "eve@example.com", "password": "a good password", "admin": true});
    assert_eq!(fields("POST", sign_up, good).await, named(&[("admin", "unknown")]));
    assert_eq!(fields("POST", sign_up, json!({"email": "eve@example.com"})).await, named(&[("password", "missing")]));
    let wrong = json!({"email": 7, "password": "a good password"});
    assert_eq!(fields("POST", "/v1/auth/sign-in", wrong).await, named(&[("email", "invalid_type")]));
    let faults = fields("POST", "/v1/auth/refresh", json!({"refresh_token": ["x"]})).await;
    assert_eq!(faults, named(&[("refresh_token", "invalid_type")]));
    let faults = fields("POST", "/v1/api-keys", json!({"name": " ", "scopes": []})).await;
    assert_eq!(faults, named(&[("name", "invalid_name"), ("scopes", "invalid_scopes")]));
    for scopes in [json!(["read", "read"]), json!(["root"]), json!("read"), json!([null])] {
        let faults = fields("POST", "/v1/api-keys", json!({"name": "key", "scopes": scopes})).await;
        assert!(faults[0].0.starts_with("scopes"), "{faults:?}");
    }
    let faults = fields("POST", "/v1/members", json!({"email": "nobody", "role": "member"})).await;
    assert_eq!(faults, named(&[("email", "invalid_email")]));
    let faults = fields("POST", "/v1/members", json!({"email": "eve@example.com", "role": "king"})).await;
    assert_eq!(faults, named(&[("role", "unknown_value")]));
    for name in ["", " ", &long, "a\nb"] {
        let faults = fields("POST", "/v1/organisations", json!({"name": name})).await;
        assert!(faults.len() == 1 && faults[0].0 == "name", "{faults:?}");
    }
    let member = json!({"email": "nobody@example.com", "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(member)).await.refused(404, "not_found");
}

async fn an_organisation_keeps_an_owner(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let path = |person: &Person| format!("/v1/members/{}", person.id);
    let (ada_path, bob_path) = (path(&ada), path(&bob));
    let token = Some(ada.access_token.as_str());
    for role in ["admin", "member"] {
        server.send("PATCH", &ada_path, token, Some(json!({"role": role}))).await.refused(409, "last_owner");
    }
    server.send("DELETE", &ada_path, token, None).await.refused(409, "last_owner");
    assert_eq!(status_of(&server, &ada.access_token).await, 200, "what was refused ended nothing");

    // Two owners who remove each other at the same moment: one stays, whoever it is.
    let add = json!({"email": bob.email, "role": "owner"});
    server.send("POST", "/v1/members", token, Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let switched = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let by_bob = text(&switched["access_token"]);
    let (one, two) = join(
        server.send("DELETE", &bob_path, token, None),
        server.send("PATCH", &ada_path, Some(&by_bob), Some(json!({"role": "member"}))),
    )
    .await;
    let done = [&one, &two].iter().filter(|answer| answer.status == 204).count();
    assert_eq!(done, 1, "{} {} and {} {}", one.status, one.text, two.status, two.text);
    for refused in [one, two].into_iter().filter(|answer| answer.status != 204) {
        // The other was first: they are the last owner now, or their caller is out.
        assert!([401, 403, 409].contains(&refused.status), "{}", refused.text);
    }
}

/// Refreshes and changes of the role at the same moment: whatever came first, no token goes on with a role that was
/// taken away, and none that was made after the change is refused.
async fn no_token_outlives_a_change_of_its_role(engine: Engine) {
    /// Tokens that are made around each change, and how many at once.
    const MADE: usize = 40;
    const LANES: usize = 8;
    let Some(server) = TestApp::start(engine, &[("auth.refresh_leeway_seconds", "300"), ALL_AT_ONCE]).await else {
        return;
    };
    let other = if engine == Engine::Postgres { Some(server.second_node().await) } else { None };
    let nodes: Vec<&TestApp> = std::iter::once(&server).chain(&other).collect();
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let owner = Some(ada.access_token.as_str());
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", owner, Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let moved = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let (path, token) = (format!("/v1/members/{}", bob.id), text(&moved["refresh_token"]));
    let mut all: Vec<(String, String)> = Vec::new();
    for role in ["admin", "member"].into_iter().cycle().take(12) {
        let changing = nodes[0].send("PATCH", &path, owner, Some(json!({"role": role})));
        // One after the other in each lane, so that some meet the change at each of its steps.
        let lane = async |node: &TestApp| {
            let mut made = Vec::new();
            for _ in 0..MADE / LANES {
                made.push(with_role(&text(&refresh(node, &token).await.expect(200)["access_token"])));
            }
            made
        };
        let refreshing = join_all((0..LANES).map(|n| lane(nodes[n % nodes.len()])));
        let (changed, made) = join(changing, refreshing).await;
        changed.expect(204);
        all.extend(made.into_iter().flatten());
        // What is made from now on has the new role, and is good on the node that changed it.
        let (token, made) = with_role(&text(&refresh(nodes[0], &token).await.expect(200)["access_token"]));
        assert_eq!((made.as_str(), status_of(nodes[0], &token).await), (role, 200));
        all.push((token, made));
    }
    // The feed has told every node of the last change when it refuses a token of before.
    let last_change = all.len() - MADE - 1;
    for node in &nodes {
        let begun = Instant::now();
        while status_of(node, &all[last_change - 1].0).await != 401 {
            assert!(begun.elapsed() < Duration::from_secs(30), "the change never arrived");
        }
    }
    for node in &nodes {
        for (position, (token, role)) in all.iter().enumerate() {
            // The last change was to `member`: which of those around it came after it is told by the role.
            let good = position >= last_change && role == "member";
            assert_eq!(status_of(node, token).await, if good { 200 } else { 401 }, "token {position}, as {role}");
        }
    }
}

/// A token with the role that it names.
fn with_role(token: &str) -> (String, String) {
    let payload = token.split('.').nth(1).expect("a payload");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64");
    let payload: Value = serde_json::from_slice(&payload).expect("JSON");
    (token.to_owned(), text(&payload["role"]))
}
