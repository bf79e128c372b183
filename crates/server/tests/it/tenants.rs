//! Who sees what: every route of the table, called by people of another organisation, by others of the same one, without
//! a token, and with tokens that do not reach far enough.

mod things;

use mainstay_server::http::{Access, RouteSpec};
use serde_json::{Value, json};

use self::things::{Things, things_of};
use crate::contract::outreach;
use crate::support::{Answer, Engine, Person, TestApp, both, text};

both! {
    nothing_crosses_between_organisations,
    every_route_asks_for_what_the_table_says,
    members_come_and_go,
}

/// A word that stands in everything that the first person writes, and must never reach anybody else.
const CANARY: &str = "canary";

/// A client that syncs.
const CLIENT: &str = "01a1ff20-0000-7000-8000-000000000001";

/// The routes that anybody may call. A route that becomes public has to be added here, on purpose.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/a/{token}"),
    ("GET", "/a/{token}/appointment.ics"),
    ("GET", "/assets/{*path}"),
    ("GET", "/audit"),
    ("GET", "/backups"),
    ("GET", "/calendar"),
    ("GET", "/calendars/{file}"),
    ("GET", "/calls"),
    ("GET", "/campaigns"),
    ("GET", "/contacts"),
    ("GET", "/controls"),
    ("GET", "/deliveries"),
    ("GET", "/experiments"),
    ("GET", "/health"),
    ("GET", "/health/database"),
    ("GET", "/health/external-apis"),
    ("GET", "/health/providers"),
    ("GET", "/health/queue"),
    ("GET", "/health/redis"),
    ("GET", "/healthz"),
    ("GET", "/inbox"),
    ("GET", "/jobs"),
    ("GET", "/knowledge"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/plan"),
    ("GET", "/readyz"),
    ("GET", "/replays"),
    ("GET", "/security"),
    ("GET", "/sending-accounts"),
    ("GET", "/sw.js"),
    ("GET", "/system"),
    ("GET", "/t/{token}"),
    ("GET", "/texts"),
    ("GET", "/u/{token}"),
    ("POST", "/a/{token}"),
    ("POST", "/calendars/{organisation}/{connection}/notifications"),
    ("POST", "/hooks/fastspring"),
    ("POST", "/hooks/{provider}/{key}"),
    ("POST", "/hooks/{provider}/{key}/token"),
    ("POST", "/u/{token}"),
    ("POST", "/v1/auth/refresh"),
    ("POST", "/v1/auth/sign-in"),
    ("POST", "/v1/auth/sign-up"),
];

/// Every route that needs a token. Signing out comes last, because it ends the token that asks.
fn guarded(server: &TestApp) -> Vec<RouteSpec> {
    let mut routes: Vec<_> =
        server.table.iter().filter(|route| route.policy.access != Access::Public).cloned().collect();
    assert!(routes.len() > 20, "the table is read");
    routes.sort_by_key(|route| route.path.starts_with("/v1/auth/sign-out"));
    routes
}

async fn ask(server: &TestApp, route: &RouteSpec, things: &Things, token: Option<&str>) -> Answer {
    if (route.method.as_str(), route.path) == ("POST", "/v1/images") {
        return server.upload("/v1/images", token, "image/png", crate::images::png(4, 4)).await;
    }
    if ["/v1/imports/preview", "/v1/imports/{id}/content"].contains(&route.path) {
        // The first part of a list that goes on: nothing is stored of it.
        let query = if route.path.contains("{id}") { "?last=false" } else { "?whole=true" };
        let (path, list) = (format!("{}{query}", things.path(route)), outreach::list(1, 0).into_bytes());
        return server.upload(&path, token, "text/csv", list).await;
    }
    server.send(route.method.as_str(), &things.path(route), token, things.body(route)).await
}

/// A new key: its id and the key itself.
async fn api_key(server: &TestApp, token: &str, name: &str, scopes: &[&str]) -> (String, String) {
    let body = json!({"name": name, "scopes": scopes});
    let made = server.send("POST", "/v1/api-keys", Some(token), Some(body)).await.expect(201);
    (text(&made["id"]), text(&made["secret"]))
}

/// Everything that a person can read of theirs, to see that nobody has changed it.
async fn all_of(server: &TestApp, person: &Person, things: &Things) -> Vec<Value> {
    let mut all = Vec::new();
    let messages = format!("/v1/conversations/{}/messages", things.conversation);
    for path in [
        "/v1/me",
        "/v1/members",
        "/v1/api-keys",
        "/v1/conversations",
        &messages,
        "/v1/plan",
        "/v1/invoices",
        "/v1/documents",
    ] {
        all.push(server.send("GET", path, Some(&person.access_token), None).await.expect(200));
    }
    all
}

/// Moves a sign-in to another organisation: the new access token.
async fn switched(server: &TestApp, token: &str, organisation: &str) -> String {
    let body = json!({"organisation_id": organisation});
    text(&server.send("POST", "/v1/auth/switch", Some(token), Some(body)).await.expect(200)["access_token"])
}

/// A member of the first person's organisation: their token in it.
async fn joined(server: &TestApp, owner: &Person, person: &Person, role: &str) -> String {
    let body = json!({"email": person.email, "role": role});
    server.send("POST", "/v1/members", Some(&owner.access_token), Some(body)).await.expect(201);
    switched(server, &person.access_token, &owner.organisation).await
}

/// Whether a call names a thing of somebody.
fn names_a_thing(route: &RouteSpec) -> bool {
    route.path.contains('{')
        || ["/v1/messages", "/v1/auth/switch", "/v1/exposures", "/v1/appointments", "/v1/availability"]
            .contains(&route.path)
            && (route.path, route.method.as_str()) != ("/v1/appointments", "GET")
}

/// Whether a call changes what is paid for.
fn is_about_a_plan(route: &RouteSpec) -> bool {
    ["/v1/checkout-sessions", "/v1/plan/change", "/v1/plan/cancel"].contains(&route.path)
}

/// Whether a route takes access tokens of a sign-in here only.
fn sign_in_only(route: &RouteSpec) -> bool {
    let paths = [
        "/v1/auth/switch",
        "/v1/auth/sign-out",
        "/v1/auth/sign-out-everywhere",
        "/v1/auth/password",
        "/v1/organisations",
        "/v1/live/tickets",
    ];
    route.method == "POST" && paths.contains(&route.path)
}

async fn nothing_crosses_between_organisations(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("canary-ada").await, server.person("bob").await);
    let things = things_of(&server, &ada, &server.person("eve").await).await;
    let before = all_of(&server, &ada, &things).await;
    for (place, part) in [(0, "canary-ada"), (2, "canary key"), (3, "A canary title"), (4, "The canary sings")] {
        assert!(before[place].to_string().contains(part), "{}", before[place]);
    }

    // The same key for a repeat, and the same body, of somebody else is another request.
    let headers = [("idempotency-key", "canary-key")];
    let body = json!({"content": "The canary sings"});
    let token = Some(bob.access_token.as_str());
    let sent = server.send_with("POST", "/v1/messages", token, Some(body), &headers).await.expect(201);
    assert!(
        sent["conversation_id"] != things.conversation.as_str() && sent["generation_id"] != things.generation.as_str()
    );
    let own = format!("/v1/conversations/{}", text(&sent["conversation_id"]));
    server.send("DELETE", &own, token, None).await.expect(204);

    let hours = json!({"time_zone": "UTC", "week": crate::reception::always()});
    server.send("PUT", "/v1/reception", token, Some(hours)).await.expect(200);
    server.send("PUT", "/v1/phone-agent", token, Some(json!({"greeting": "Hello"}))).await.expect(200);
    let texts = crate::texts::sender_of(&server, &bob).await;
    server.send("PUT", "/v1/text-settings", token, Some(crate::texts::settings(&texts))).await.expect(200);
    let (_, key) = api_key(&server, &bob.access_token, "a key", &["read", "write", "admin"]).await;
    for (by_key, token) in [(true, &key), (false, &bob.access_token)] {
        for route in guarded(&server) {
            let name = format!("{} {} by {}", route.method, route.path, if by_key { "a key" } else { "a person" });
            let answer = ask(&server, &route, &things, Some(token)).await;
            if (by_key && sign_in_only(&route)) || route.policy.access == Access::Operator {
                assert_eq!(answer.status, 403, "{name}: {}", answer.text);
            } else if names_a_thing(&route) {
                assert_eq!(answer.status, 404, "{name}: {}", answer.text);
                assert_eq!(answer.json()["code"], "not_found", "{name}");
            } else if is_about_a_plan(&route) {
                assert_eq!(answer.status, 409, "nothing is sold here, nor was: {name}: {}", answer.text);
            } else if (route.method.as_str(), route.path) == ("PUT", "/v1/text-settings") {
                assert_eq!(answer.status, 400, "the sender is somebody else's: {name}: {}", answer.text);
            } else if route.path == "/v1/auth/sign-out-everywhere" {
                assert_eq!(answer.status, 401, "signing out comes before, and has ended the token: {}", answer.text);
            } else if route.path == "/v1/auth/password" {
                assert_eq!(answer.status, 400, "it is not theirs: {name}: {}", answer.text);
            } else if [("POST", "/v1/replays"), ("PUT", "/v1/replay-consent")]
                .contains(&(route.method.as_str(), route.path))
            {
                assert_eq!(answer.status, 409, "recordings are off here: {name}: {}", answer.text);
            } else if ["/v1/calendar-sign-ins", "/v1/gmail-sign-ins"].contains(&route.path) {
                assert_eq!(answer.status, 409, "there is no Google here: {name}: {}", answer.text);
            } else if ["/v1/live", "/v1/voice"].contains(&route.path) {
                assert_eq!(answer.status, 426, "it speaks WebSocket only: {}", answer.text);
            } else if (route.method.as_str(), route.path, by_key) == ("POST", "/v1/members", false) {
                assert_eq!(answer.status, 409, "the key has added them: {}", answer.text);
            } else {
                assert!((200..300).contains(&answer.status), "{name}: {}", answer.text);
            }
            for secret in things.secrets() {
                assert!(!answer.text.contains(secret), "{name} shows {secret}: {}", answer.text);
            }
        }
    }
    assert_eq!(all_of(&server, &ada, &things).await, before, "something of hers was changed");

    // Others of her own organisation, whatever their role, see the organisation and not her conversations.
    for (name, role) in [("carol", "admin"), ("dave", "owner"), ("fred", "member")] {
        let person = server.person(name).await;
        let token = joined(&server, &ada, &person, role).await;
        for route in guarded(&server) {
            let hers = ["/v1/conversations/", "/v1/generations/"].iter().any(|start| route.path.starts_with(start));
            if hers || route.path == "/v1/messages" {
                let answer = ask(&server, &route, &things, Some(&token)).await;
                assert_eq!(answer.status, 404, "{} {} as {role}: {}", route.method, route.path, answer.text);
            }
        }
        let list = server.send("GET", "/v1/conversations", Some(&token), None).await.expect(200);
        assert_eq!(list["data"], json!([]), "{role}");
        let members = server.send("GET", "/v1/members", Some(&token), None).await.expect(200);
        assert!(members.to_string().contains("canary-ada"), "{role}");
    }
    let after = all_of(&server, &ada, &things).await;
    assert_eq!((&after[3], &after[4]), (&before[3], &before[4]), "a conversation of hers was changed");
}

async fn every_route_asks_for_what_the_table_says(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let things = things_of(&server, &ada, &server.person("eve").await).await;

    let mut public: Vec<_> = server
        .table
        .iter()
        .filter(|route| route.policy.access == Access::Public)
        .map(|route| (route.method.as_str(), route.path))
        .collect();
    public.sort_unstable();
    assert_eq!(public, PUBLIC, "what anybody may call is listed in this test");

    for route in guarded(&server) {
        let answer = ask(&server, &route, &things, None).await;
        let name = format!("{} {}: {}", route.method, route.path, answer.text);
        assert_eq!((answer.status, answer.headers["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]), "{name}");
        answer.refused(401, "unauthenticated");
    }

    // Each of these must be refused before anything is read or done, so their order does not matter.
    let member = joined(&server, &ada, &bob, "member").await;
    let (_, reads) = api_key(&server, &ada.access_token, "reads", &["read"]).await;
    let (_, writes) = api_key(&server, &ada.access_token, "writes", &["write"]).await;
    let (_, manages) = api_key(&server, &ada.access_token, "manages", &["admin"]).await;
    let before = all_of(&server, &ada, &things).await;
    for route in guarded(&server) {
        let admin = route.policy.access == Access::Admin;
        // Neither a role in an organisation nor a key makes an operator.
        let operator = route.policy.access == Access::Operator;
        let get = route.method == "GET";
        let callers = [
            ("a member", &member, admin || operator),
            ("a key that reads", &reads, admin || operator || !get || sign_in_only(&route)),
            ("a key that writes", &writes, admin || operator || get || sign_in_only(&route)),
            ("a key that manages", &manages, !admin),
        ];
        for (who, token, refused) in callers {
            if refused {
                let answer = ask(&server, &route, &things, Some(token)).await;
                assert_eq!(answer.status, 403, "{who}: {} {}: {}", route.method, route.path, answer.text);
                answer.refused(403, "forbidden");
            }
        }
        if operator {
            ask(&server, &route, &things, Some(&ada.access_token)).await.refused(403, "forbidden");
        } else if get {
            let token = if admin { &manages } else { &reads };
            let answer = ask(&server, &route, &things, Some(token)).await;
            let good = match route.path {
                "/v1/live" | "/v1/voice" => 426,
                // There is no Google here.
                "/v1/staff/{id}/calendar/choices" => 503,
                _ => 200,
            };
            assert_eq!(answer.status, good, "{}: {}", route.path, answer.text);
        }
    }
    assert_eq!(all_of(&server, &ada, &things).await, before, "something was done all the same");

    // A key never makes a key that may more than itself.
    let more = json!({"name": "more", "scopes": ["admin", "write"]});
    server.send("POST", "/v1/api-keys", Some(&manages), Some(more)).await.refused(403, "forbidden");
    let as_much = json!({"name": "as much", "scopes": ["admin"]});
    server.send("POST", "/v1/api-keys", Some(&manages), Some(as_much)).await.expect(201);
    // Nor does an admin make an owner, or touch one.
    let carol = server.person("carol").await;
    let admin = joined(&server, &ada, &carol, "admin").await;
    let member = format!("/v1/members/{}", bob.id);
    let owner = format!("/v1/members/{}", ada.id);
    server.send("PATCH", &member, Some(&admin), Some(json!({"role": "owner"}))).await.refused(403, "forbidden");
    server.send("PATCH", &owner, Some(&admin), Some(json!({"role": "member"}))).await.refused(403, "forbidden");
    server.send("DELETE", &owner, Some(&admin), None).await.refused(403, "forbidden");
}

async fn members_come_and_go(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, carol) = (server.person("ada").await, server.person("carol").await);
    let owner = Some(ada.access_token.as_str());
    let token = joined(&server, &ada, &carol, "admin").await;
    let path = format!("/v1/members/{}", carol.id);
    let (_, key) = api_key(&server, &token, "of carol", &["read", "admin"]).await;
    server.send("GET", "/v1/api-keys", Some(&token), None).await.expect(200);
    server.send("GET", "/v1/api-keys", Some(&key), None).await.expect(200);

    // Another role: the old token ends at once, the next one has the new role, and so has the key.
    server.send("PATCH", &path, owner, Some(json!({"role": "member"}))).await.expect(204);
    server.send("GET", "/v1/me", Some(&token), None).await.refused(401, "unauthenticated");
    server.send("GET", "/v1/members", Some(&key), None).await.expect(200);
    server.send("GET", "/v1/api-keys", Some(&key), None).await.refused(403, "forbidden");
    let refresh = json!({"refresh_token": carol.refresh_token});
    let next = server.send("POST", "/v1/auth/refresh", None, Some(refresh)).await.expect(200);
    assert_eq!(next["organisation"]["id"], ada.organisation.as_str());
    let token = text(&next["access_token"]);
    server.send("GET", "/v1/api-keys", Some(&token), None).await.refused(403, "forbidden");
    let me = server.send("GET", "/v1/me", Some(&token), None).await.expect(200);
    assert_eq!(me["role"], "member");

    // Removed: token and key end at once, and the sign-in goes on in an organisation of their own.
    server.send("DELETE", &path, owner, None).await.expect(204);
    server.send("GET", "/v1/me", Some(&token), None).await.refused(401, "unauthenticated");
    server.send("GET", "/v1/members", Some(&key), None).await.refused(401, "unauthenticated");
    let back = json!({"organisation_id": ada.organisation});
    let refresh = json!({"refresh_token": next["refresh_token"]});
    let home = server.send("POST", "/v1/auth/refresh", None, Some(refresh)).await.expect(200);
    assert_eq!(home["organisation"]["id"], carol.organisation.as_str());
    let token = text(&home["access_token"]);
    server.send("POST", "/v1/auth/switch", Some(&token), Some(back)).await.refused(404, "not_found");
    server.send("DELETE", &path, owner, None).await.refused(404, "not_found");
    let members = server.send("GET", "/v1/members", owner, None).await.expect(200);
    assert_eq!(members["data"].as_array().map(Vec::len), Some(1));
}
