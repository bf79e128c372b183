//! What comes in by ways that are in no document: webhooks with their signatures, sockets, addresses that lead nowhere, and
//! bytes that are no request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Message};

use super::minting::{Canary, Kind};
use super::requests::Shot;
use super::{LONGEST, World};

/// What senders of webhooks sign with.
pub(super) const SECRET: &str = "a-secret-of-senders";
pub(super) const FASTSPRING_SECRET: &str = "a-secret-of-billing";

/// Sends it all.
pub(super) async fn send(world: &World) {
    accounts(world).await;
    google(world).await;
    hooks(world).await;
    addresses(world).await;
    for path in ["/v1/live", "/v1/voice"] {
        socket(world, path).await;
    }
    bytes(world).await;
}

/// What an agent on the phone tells: tools are used, with what somebody said.
pub(super) fn vapi_call(canary: &dyn Fn(&str) -> Canary, tools: &[&str], number: usize) -> Value {
    let written = |field: &str, kind| canary(&format!("vapi {field}")).written(kind);
    let customer = json!({"number": written("number", Kind::Phone), "name": written("name", Kind::Name)});
    let id = format!("call-{number}-{}", canary("vapi call.id").word());
    let call = json!({"id": id, "type": "inboundPhoneCall", "customer": customer});
    let use_of = |(place, name): (usize, &&str)| {
        let words =
            ["message", "name", "phone", "email", "service", "staff", "day", "time", "appointment", "question", "note"];
        let arguments =
            words.iter().map(|word| ((*word).to_owned(), json!(written(&format!("{name}({word})"), Kind::Text))));
        let arguments: serde_json::Map<_, _> = arguments.collect();
        // Some agents send text.
        let arguments =
            if place % 2 == 0 { Value::Object(arguments) } else { json!(Value::Object(arguments).to_string()) };
        json!({"id": written("toolCall.id", Kind::Password), "name": name, "arguments": arguments})
    };
    let uses: Vec<Value> = tools.iter().enumerate().map(use_of).collect();
    let timestamp = 1_790_000_000_000_u64 + number as u64;
    json!({"message": {"type": "tool-calls", "call": call, "toolCallList": uses, "timestamp": timestamp}})
}

/// The tools that there are; one more that is none comes with them.
const TOOLS: [&str; 8] = [
    "check_availability",
    "book_appointment",
    "reschedule_appointment",
    "cancel_appointment",
    "find_contact",
    "take_message",
    "search_knowledge",
    "opening_hours",
];

/// People sign up, in and out, with passwords right and wrong.
async fn accounts(world: &World) {
    let canary = |field: &str, kind| world.mint.canary("people who sign in", field).written(kind);
    let (email, password) = (canary("email", Kind::Email), canary("password", Kind::Password));
    let sign_up = json!({"email": email, "password": password, "name": canary("name", Kind::Name)});
    let post = |path: &str, body: Value| Shot { signed_in: false, ..Shot::new("POST", path).json(&body) };
    let made = world.shoot(post("/v1/auth/sign-up", sign_up.clone())).await.expect("an answer");
    assert_eq!(made.0, 201, "{}", made.1);
    world.shoot(post("/v1/auth/sign-up", sign_up)).await;
    world
        .shoot(post("/v1/auth/sign-in", json!({"email": email, "password": canary("wrong password", Kind::Password)})))
        .await;
    world.shoot(post("/v1/auth/refresh", json!({"refresh_token": canary("refresh_token", Kind::Key)}))).await;
    let token = made.1["access_token"].as_str().expect("a token").to_owned();
    for (current, new) in [
        (password.clone(), canary("new password", Kind::Password)),
        (password, canary("newer password", Kind::Password)),
    ] {
        let change = json!({"current_password": current, "new_password": new});
        world.shoot(post("/v1/auth/password", change).header("authorization", format!("Bearer {token}"))).await;
    }
    let again = canary("email", Kind::Email);
    let password = canary("password", Kind::Password);
    world.shoot(post("/v1/auth/sign-up", json!({"email": again, "password": password}))).await;
    let there =
        world.shoot(post("/v1/auth/sign-in", json!({"email": again, "password": password}))).await.expect("an answer");
    assert_eq!(there.0, 200, "{}", there.1);
    world.shoot(post("/v1/auth/refresh", json!({"refresh_token": there.1["refresh_token"]}))).await;
    world.shoot(Shot::new("POST", "/v1/members").json(&json!({"email": again, "role": "member"}))).await;
}

/// Somebody comes back from Google, which refuses what they bring.
async fn google(world: &World) {
    let word = |field: &str| world.mint.canary("Google", field).word();
    let account = json!({"address": format!("{}@example.org", word("address")), "kind": "gmail", "daily_cap": 10});
    let made = world.shoot(Shot::new("POST", "/v1/sending-accounts").json(&account)).await;
    let account = made.as_ref().and_then(|(_, made)| made["id"].as_str()).unwrap_or_default().to_owned();
    let staff = world.known.one("staff", 0).expect("somebody");
    for (begin, finish) in [
        (format!("/v1/staff/{staff}/calendar"), "/v1/calendar-sign-ins"),
        (format!("/v1/sending-accounts/{account}/sign-in"), "/v1/gmail-sign-ins"),
    ] {
        let begun = world.shoot(Shot::new("POST", &begin)).await;
        let Some((200..300, begun)) = begun else { panic!("{begin}: {begun:?}") };
        let begun = begun.to_string();
        let state = begun.split("state=").nth(1).and_then(|rest| rest.split(['&', '"']).next()).expect("a state");
        let back = json!({"state": state, "code": word("code")});
        world.shoot(Shot::new("POST", finish).json(&back)).await;
    }
}

fn signature(secret: &str, body: &str, algorithm: hmac::Algorithm) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), body.as_bytes()))
}

/// Webhooks: not signed, wrongly signed, and as they should be.
async fn hooks(world: &World) {
    let canary = |field: &str| world.mint.canary("webhooks", field);
    let word = |field: &str| canary(field).word();
    let me = world.server.get("/v1/me", &world.token()).await;
    let (texts, event) = (twilio_form(&canary), billing(&canary, me["organisation"]["id"].as_str().expect("an id")));
    let known = |template: &str| Shot::new("POST", template);
    let mut shots = Vec::new();
    for (path, media, body) in [
        ("/hooks/fastspring".to_owned(), "application/json", event.clone()),
        ("/hooks/fastspring".to_owned(), "application/json", format!("{{\"events\": [{}", word("no JSON"))),
    ] {
        let right = signature(FASTSPRING_SECRET, &body, hmac::HMAC_SHA256);
        let shot = known(&path).bytes(media, body);
        shots.push(shot.clone().header("x-fs-signature", right));
        shots.push(shot.clone().header("x-fs-signature", word("x-fs-signature")));
        shots.push(shot);
    }
    let senders = [
        json!({"name": "Calls", "provider": "vapi", "secrets": [SECRET]}),
        json!({"name": "Texts", "provider": "twilio", "secrets": [SECRET]}),
        json!({"name": "Shop", "provider": "fastspring", "secrets": [SECRET]}),
        json!({"name": "Others", "provider": "generic", "secrets": [SECRET]}),
        json!({"name": "Standard", "provider": "standard"}),
    ];
    for sender in senders {
        let made = world.shoot(Shot::new("POST", "/v1/inbox-sources").json(&sender)).await;
        let Some((201, made)) = made else { panic!("no sender: {made:?}") };
        let url = made["url"].as_str().expect("an address").to_owned();
        let path = url[url.find("/hooks/").expect("a path")..].to_owned();
        for body in [
            vapi_call(&canary, &[&TOOLS[..], &[&word("tool")]].concat(), 9).to_string(),
            report(&canary).to_string(),
            event.clone(),
            texts.clone(),
            word("no JSON"),
        ] {
            let media = if body == texts { "application/x-www-form-urlencoded" } else { "application/json" };
            let shot = Shot { signed_in: false, ..known(&path).bytes(media, body.clone()) };
            shots.push(shot.clone());
            shots.push(
                [
                    "x-vapi-secret",
                    "x-twilio-signature",
                    "x-fs-signature",
                    "x-signature",
                    "webhook-signature",
                    "webhook-id",
                ]
                .into_iter()
                .fold(shot.clone(), |shot, name| shot.header(name, word(name))),
            );
            shots.push(
                shot.header("x-vapi-secret", SECRET)
                    .header("x-fs-signature", signature(SECRET, &body, hmac::HMAC_SHA256))
                    .header("x-twilio-signature", twilio_signature(&url, &body)),
            );
        }
    }
    world.shoot_all(shots).await;
}

/// What FastSpring tells: of this organisation and of nobody, of kinds that are known and of one that is not.
fn billing(canary: &dyn Fn(&str) -> Canary, organisation: &str) -> String {
    let word = |field: &str| canary(&format!("fastspring {field}")).word();
    let unknown = word("type");
    let kinds = ["order.completed", "subscription.activated", "subscription.charge.failed", "return.created", &unknown];
    let mut events = Vec::new();
    for kind in kinds {
        for of in [organisation.to_owned(), word("tags.organisation"), String::new()] {
            let tags = if of.is_empty() { Value::Null } else { json!({"organisation": of}) };
            let customer = json!({"email": canary("fastspring email").written(Kind::Email), "first": word("first")});
            let data = json!({"id": word("data.id"), "subscription": word("subscription"), "reference": word("reference"),
                "state": "active", "changed": 1_790_000_000_000_u64, "account": word("account"), "product": word("product"),
                "next": 1_790_000_000_000_u64, "total": 9.5, "currency": "USD", "order": word("order"), "tags": tags,
                "invoiceUrl": format!("https://example.org/{}", word("invoiceUrl")), "customer": customer});
            events.push(
                json!({"id": word("id"), "type": kind, "live": true, "created": 1_790_000_000_000_u64, "data": data}),
            );
        }
    }
    json!({ "events": events }).to_string()
}

/// The report of a call that has ended, and something that nobody expects in it.
fn report(canary: &dyn Fn(&str) -> Canary) -> Value {
    let call = json!({"id": canary("report call.id").word(), "customer": {"number": canary("report number").written(Kind::Phone)}});
    json!({"message": {"type": "end-of-call-report", "call": call, "endedReason": canary("endedReason").word(),
        "summary": canary("summary").written(Kind::Text), "transcript": canary("transcript").written(Kind::Text),
        "cost": canary("cost").word(), "timestamp": 1_790_000_000_500_u64, "startedAt": canary("startedAt").word(),
        canary("(key)").word(): canary("(value)").written(Kind::Email)}})
}

fn twilio_form(canary: &dyn Fn(&str) -> Canary) -> String {
    let fields = [
        ("MessageSid", Kind::Password),
        ("MessageStatus", Kind::Password),
        ("From", Kind::Phone),
        ("To", Kind::Phone),
        ("Body", Kind::Text),
        ("ErrorCode", Kind::Password),
    ];
    let fields = fields.map(|(name, kind)| (name.to_owned(), canary(&format!("twilio {name}")).written(kind)));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// As Twilio signs a form: the address, and each field with its value, by name.
fn twilio_signature(url: &str, body: &str) -> String {
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    fields.sort();
    let text = fields.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    signature(SECRET, &text, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY)
}

/// Addresses that lead nowhere, and pages with more in their address than they read.
async fn addresses(world: &World) {
    let canary = |field: &str| world.mint.canary("addresses", field);
    let word = |field: &str| canary(field).word();
    let email = canary("query").written(Kind::Email);
    let paths = [
        format!("/{}", word("path")),
        format!("/v1/{}/{}?email={email}", word("path"), word("path")),
        format!("/assets/{}.js", word("asset")),
        format!("/?next={}&email={email}", word("next")),
        format!("/campaigns?{}", word("query (name)")),
        format!("/%ff%fe{}", word("path with bytes")),
        format!("/v1/contacts/../{}", word("dots")),
        format!("/{}", word("long path").repeat(900)),
        format!("/a/{}/appointment.ics", word("link")),
        format!("/t/{}?u=https://example.org/{}", word("tracking"), word("where to")),
        format!("/u/{}?List-Unsubscribe=One-Click", word("leaving")),
    ];
    let methods = ["GET", "POST", "OPTIONS", "DELETE", "TRACE", "PROPFIND"];
    let mut shots: Vec<Shot> =
        paths.iter().flat_map(|path| methods.iter().map(|method| Shot::new(method, path))).collect();
    shots.push(Shot::new("POST", "/v1/messages").bytes("application/json", word("a large body").repeat(300_000)));
    shots.push(Shot::new("POST", "/v1/images").bytes("image/png", word("a large image").repeat(2_000_000)));
    shots.push(Shot::new(&word("method").to_uppercase(), "/v1/me"));
    world.shoot_all(shots).await;
}

/// Messages on a socket, of all sorts.
async fn socket(world: &World, path: &str) {
    let canary = |field: &str| world.mint.canary(&format!("socket {path}"), field);
    let address = format!("{}{path}", world.server.address.replace("http://", "ws://"));
    let wrong = format!("{address}?ticket={}&resume={}", canary("ticket").word(), canary("resume").word());
    let refused = ClientBuilder::new().uri(&wrong).expect("an address").connect().await;
    assert!(refused.is_err(), "a ticket that nobody has made opens {path}");
    let frames = [
        Message::text(json!({"type": "start", "conversation_id": canary("conversation_id").word(), "language": canary("language").word(),
            canary("(key)").word(): canary("(value)").written(Kind::Email)}).to_string()),
        Message::text(json!({"type": canary("type").word(), "text": canary("text").written(Kind::Text)}).to_string()),
        Message::text(json!({"type": "start", "format": {"rate": canary("rate").word()}}).to_string()),
        Message::text(json!({"type": "start"}).to_string()),
        Message::text(canary("no JSON").written(Kind::Text)),
        Message::binary(canary("binary").written(Kind::Text).into_bytes()),
        Message::ping(canary("ping").word()),
    ];
    let mut opened = 0;
    for last in 0..frames.len() {
        let token = world.token();
        let value = format!("Bearer {token}").parse().expect("a header");
        let builder = ClientBuilder::new().uri(&address).expect("an address");
        let builder = builder.add_header(http::header::AUTHORIZATION, value).expect("allowed");
        // Of voice a person has so many sessions, and those that dropped wait to be resumed.
        let Ok((mut socket, _)) = builder.connect().await else { continue };
        opened += 1;
        // One after the other, from another one each time: after a fault the server hangs up.
        for frame in frames.iter().cycle().skip(last).take(frames.len()) {
            if socket.send(frame.clone()).await.is_err() {
                break;
            }
        }
        let bye = Message::close(None, &canary("closing reason").word());
        let _ = socket.send(bye).await;
        let end = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = tokio::time::timeout(LONGEST, end).await;
    }
    assert!(opened > 0, "no socket at {path}");
}

/// Bytes that are no request, or a broken one.
async fn bytes(world: &World) {
    let word = |field: &str| world.mint.canary("bytes", field).word();
    let host = "Host: localhost\r\n";
    let requests = [
        format!("{} no request\r\n\r\n", word("start")),
        format!("GET /{} HTTP/9.9\r\n{host}\r\n", word("path of another version")),
        format!("GET /healthz HTTP/1.1\r\n{host}{} : 1\r\n\r\n", word("header with a space")),
        format!("GET /healthz HTTP/1.1\r\n{host}x: \u{1}{}\r\n\r\n", word("header with a control character")),
        format!("GET /healthz HTTP/1.1\r\nHost: {}.example.org\r\nconnection: close\r\n\r\n", word("host")),
        format!("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: {}\r\n\r\n", word("second host")),
        format!("GET /healthz HTTP/1.1\r\n{host}x: {}\r\n\r\n", word("long header").repeat(10_000)),
        format!("POST /v1/auth/sign-in HTTP/1.1\r\n{host}content-length: {}\r\n\r\n", word("length")),
        format!(
            "POST /v1/auth/sign-in HTTP/1.1\r\n{host}transfer-encoding: chunked\r\n\r\n{}\r\n",
            word("size of a chunk")
        ),
        format!(
            "POST /v1/auth/sign-in HTTP/1.1\r\n{host}content-length: 900\r\n\r\n{{\"email\": \"{}",
            word("cut off")
        ),
    ];
    let address = world.server.address.trim_start_matches("http://").to_owned();
    for request in requests {
        let mut line = TcpStream::connect(&address).await.expect("a connection");
        // Whoever sends this may be hung up on at any byte.
        let _ = line.write_all(request.as_bytes()).await;
        let _ = line.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(LONGEST, line.read_to_end(&mut answer)).await;
    }
}
