//! Nobody gets at what is not theirs.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::hexadecimal;
use mainstay_store::FindUnguarded;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::refusals::Refusals;
use super::{Looked, checks, some};
use crate::http::Access;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;
use crate::outgoing::is_public;

checks! { Security:
    "security.headers" High Passive Laptop headers,
    "Every answer carries the headers that browsers protect people by.",
    "all of them on a page, on data and on an error; a content security policy without unsafe-inline; HSTS for a year where the address is https",
    "Remove what strips headers on the way: a proxy in front must hand on what the server sends.";
    "security.cross_origin" High Passive Laptop cross_origin,
    "A strange website cannot read answers in its visitors' names.",
    "no Access-Control-Allow-Origin for an origin that is not allowed",
    "Take wildcards and origins that are not yours out of http.allowed_origins, and let no proxy add the header.";
    "security.forged_tokens" Critical Passive Laptop forged_tokens,
    "A token that this server has not signed opens nothing.",
    "401 to each of nine forgeries: unsigned, signed with an empty or a wrong key, expired, cut, of a wrong issuer, no token at all",
    "Stop the server: whatever answers there lets strangers in. Compare it with a release that you trust.";
    "security.closed_routes" Critical Passive Laptop closed_routes,
    "Whoever shows no token reaches the public routes and no other.",
    "401 from every route that is not public",
    "Stop the server, and look at what stands in front of it: something answers in the place of its routes.";
    "security.sockets" Critical Passive Laptop sockets,
    "A socket is opened for nobody who has not shown who they are.",
    "401 to the handshake of a socket without a ticket, with a forged ticket and with a forged token",
    "Stop the server, and look at what stands in front of it.";
    "security.voice" Critical Passive Laptop voice,
    "Nobody speaks with the assistant who has not shown who they are.",
    "401 to the handshake of a voice session without a ticket, with a forged ticket and with a forged token",
    "Stop the server, and look at what stands in front of it.";
    "security.errors" Medium Passive Laptop errors,
    "What goes wrong tells strangers nothing of the inside.",
    "problem documents without statements, paths of files or traces, for a bad path, a bad method, bad JSON and a bad token",
    "Look at what stands in front of the server: it answers errors in its own words.";
    "security.body_limit" High Passive Laptop body_limit,
    "A body that is too large is refused before it is kept.",
    "413 to a body of one byte more than http.max_body_bytes",
    "Lower http.max_body_bytes, and let no proxy gather bodies before it hands them on.";
    "security.header_limit" Medium Passive Laptop header_limit,
    "Endless headers and addresses are refused.",
    "414 or 431 to an address of 100,000 characters and to a header as long",
    "Look at what stands in front of the server: it takes longer requests than the server does.";
    "security.slow_requests" High Passive Laptop slow_requests,
    "Whoever begins a request and does not end it is cut off.",
    "http.header_timeout_ms and http.body_idle_timeout_ms are at most 15 and 60 s",
    "Lower http.header_timeout_ms and http.body_idle_timeout_ms, and set the same bounds on what stands in front of the server.";
    "security.slow_requests_cut" High Active Laptop slow_requests_cut,
    "Half a request is cut off in earnest.",
    "a connection that sends half a head is closed within http.header_timeout_ms and half a second",
    "Lower http.header_timeout_ms, and set the same bound on what stands in front of the server.";
    "security.private_networks" Critical Passive Laptop private_networks,
    "Webhooks cannot be sent into the installation's own networks.",
    "all of 22 private, local and reserved addresses in their various forms are refused; deliveries.allow_private is empty",
    "Take the networks out of deliveries.allow_private.";
    "security.row_level" Critical Passive Server row_level,
    "The database itself keeps organisations apart.",
    "row-level security is on, forced and has a policy on every table of organisations",
    "Run `mainstay migrate status`: somebody has changed the schema by hand. Enable and force row-level security on the tables that are named.";
    "security.tool_calls" Critical Passive Laptop tool_calls,
    "Nobody uses the tools of the phone who has not signed with the secret of a line.",
    "404 or 401 to a tool call at an address that nobody was given",
    "Stop the server, and look at what stands in front of it: something answers in the place of /hooks.";
    "security.rate_limits" High Passive Laptop rate_limits,
    "Nobody can ask as often as they like.",
    "an answer says in RateLimit-Policy what the caller may do, and no limit of the settings is 0",
    "Set the limits that are 0 in [limits], and let no proxy strip the headers.";
}

/// What must be on every answer, and a part of its value.
const HEADERS: [(&str, &str); 8] = [
    ("content-security-policy", "frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
];

async fn headers(subject: &Subject) -> Looked {
    let https = subject.app.config.http.is_https();
    let paths = ["/", "/healthz", "/v1/me", "/nothing-here"];
    let mut missing = Vec::new();
    for path in paths {
        let told = subject.live.get(path).await?;
        for (name, part) in HEADERS {
            if !told.header(name).contains(part) {
                missing.push(format!("{path}: {name} is '{}'", told.header(name)));
            }
        }
        if told.header("content-security-policy").contains("unsafe-") {
            missing.push(format!("{path}: the policy allows what is unsafe"));
        }
        if https && !told.header("strict-transport-security").contains("max-age=31536000") {
            missing.push(format!("{path}: no HSTS of a year"));
        }
    }
    let measured = format!("{} of {} paths, {} headers missing or wrong", paths.len(), paths.len(), missing.len());
    Ok(Seen::told(missing.is_empty(), measured).by(some(&missing)))
}

async fn cross_origin(subject: &Subject) -> Looked {
    let origin = [("origin", "https://attacker.example")];
    let asked = [("origin", "https://attacker.example"), ("access-control-request-method", "GET")];
    let mut told = Vec::new();
    for (method, headers) in [(Method::GET, &origin[..]), (Method::OPTIONS, &asked[..])] {
        let answer = subject.live.send(method.clone(), "/v1/me", headers, None).await?;
        let allowed = answer.header("access-control-allow-origin");
        if !allowed.is_empty() {
            told.push(format!("{method}: Access-Control-Allow-Origin: {allowed}"));
        }
    }
    let any = subject
        .app
        .config
        .http
        .allowed_origins
        .iter()
        .any(|origin| origin.contains("://*") && !origin.contains("://*."));
    let measured =
        if told.is_empty() { "a strange origin is allowed nothing" } else { "a strange origin is allowed to read" };
    Ok(Seen::told(told.is_empty() && !any, measured).by(some(&told)))
}

/// The header of a token as it is made here.
const PLAIN: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// When a forged token ends: in the year 2100.
const FAR: u64 = 4_102_444_800;

fn part(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

fn claims(expires: u64) -> String {
    part(&format!(
        r#"{{"sub":"01890000-0000-7000-8000-000000000001","tenant":"01890000-0000-7000-8000-000000000002","role":"owner","iat":1700000000,"exp":{expires}}}"#
    ))
}

fn signed(header: &str, key: &[u8]) -> String {
    let text = format!("{}.{}", part(header), claims(FAR));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes())))
}

/// A token that somebody has signed who has guessed a key.
fn guessed() -> String {
    signed(PLAIN, b"secret")
}

/// Tokens that nobody was given, by what is wrong with them.
fn forgeries() -> [(&'static str, String); 9] {
    [
        ("unsigned", format!("{}.{}.", part(r#"{"alg":"none","typ":"JWT"}"#), claims(FAR))),
        ("unsigned, in other letters", format!("{}.{}.", part(r#"{"alg":"nOnE"}"#), claims(FAR))),
        ("signed with an empty key", signed(PLAIN, b"")),
        ("signed with a guessed key", guessed()),
        ("naming its own key", signed(r#"{"alg":"HS256","kid":"../../../dev/null"}"#, b"")),
        ("bringing its own key", signed(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"c2VjcmV0"}}"#, b"secret")),
        ("expired", format!("{}.{}.AAAA", part(PLAIN), claims(1))),
        ("cut", part(PLAIN)),
        ("no token", "null".to_owned()),
    ]
}

async fn forged_tokens(subject: &Subject) -> Looked {
    let mut refusals = Refusals::default();
    for (what, token) in forgeries() {
        let bearer = format!("Bearer {token}");
        let told = subject.live.send(Method::GET, "/v1/me", &[("authorization", &bearer)], None).await?;
        refusals.note(what, told.status, &[StatusCode::UNAUTHORIZED]);
    }
    Ok(refusals.seen("forgeries refused"))
}

/// A path with something in the place of its parameters.
fn filled(path: &str) -> String {
    let part = |part: &str| match part.starts_with('{') {
        true => "01890000-0000-7000-8000-000000000000".to_owned(),
        false => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

async fn closed_routes(subject: &Subject) -> Looked {
    let closed = subject.table.routes().iter().filter(|route| route.policy.access != Access::Public);
    let mut refusals = Refusals::default();
    for route in closed {
        let body = (route.method != Method::GET).then(|| b"{}".to_vec());
        let headers = [("content-type", "application/json")];
        let told = subject.live.send(route.method.clone(), &filled(route.path), &headers, body).await?;
        // A socket's route looks at the handshake first.
        let of_a_socket = [StatusCode::UNAUTHORIZED, StatusCode::UPGRADE_REQUIRED, StatusCode::BAD_REQUEST];
        let wanted = if route.path == "/v1/live" { &of_a_socket[..] } else { &of_a_socket[..1] };
        refusals.note(&format!("{} {}", route.method, route.path), told.status, wanted);
    }
    Ok(refusals.seen("routes refuse"))
}

async fn sockets(subject: &Subject) -> Looked {
    handshake(subject, "/v1/live").await
}

async fn voice(subject: &Subject) -> Looked {
    handshake(subject, "/v1/voice").await
}

/// Opens a socket as somebody whom nobody knows. One forgery in each place: how many sockets an address may ask for is limited.
async fn handshake(subject: &Subject, path: &str) -> Looked {
    let forged = guessed();
    let (with_ticket, bearer) = (format!("{path}?ticket={forged}"), format!("Bearer {forged}"));
    let mut refusals = Refusals::default();
    for (what, path, bearer) in [
        ("no ticket, as a ticket", path, None),
        ("signed with a guessed key, as a ticket", with_ticket.as_str(), None),
        ("signed with a guessed key, as a token", path, Some(bearer.as_str())),
    ] {
        let mut headers = vec![
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend(bearer.map(|bearer| ("authorization", bearer)));
        let told = subject.live.send(Method::GET, path, &headers, None).await?;
        refusals.note(what, told.status, &[StatusCode::UNAUTHORIZED]);
    }
    Ok(refusals.seen("refused"))
}

/// What only the inside knows.
const INSIDE: [&str; 10] =
    ["SELECT ", "INSERT ", "sqlx", "panicked", "stack backtrace", ".rs:", "/home/", "/var/", "/usr/", "SQLSTATE"];

/// What is wrong with a request, its method, path, headers and body.
type Wrong<'a> = (&'a str, Method, &'a str, &'a [(&'a str, &'a str)], Option<&'a [u8]>);

async fn errors(subject: &Subject) -> Looked {
    let json = [("content-type", "application/json")];
    let bearer = [("authorization", "Bearer ' or '1'='1")];
    let asked: [Wrong<'_>; 4] = [
        ("a bad path", Method::GET, "/v1/nothing-here", &[], None),
        ("a bad method", Method::DELETE, "/healthz", &[], None),
        ("bad JSON", Method::POST, "/v1/auth/sign-in", &json, Some(b"{\"email\": ")),
        ("a bad token", Method::GET, "/v1/me", &bearer, None),
    ];
    let (all, mut wrong) = (asked.len(), Vec::new());
    for (what, method, path, headers, body) in asked {
        let told = subject.live.send(method, path, headers, body.map(<[u8]>::to_vec)).await?;
        if !told.header("content-type").starts_with("application/problem+json") || told.json()["code"].is_null() {
            wrong.push(format!("{what}: {}", super::line(&told)));
        }
        if let Some(word) = INSIDE.iter().find(|word| told.text.contains(**word)) {
            wrong.push(format!("{what}: the answer says '{word}'"));
        }
    }
    Ok(Seen::told(wrong.is_empty(), format!("{} of {all} errors tell too much or too little", wrong.len()))
        .by(some(&wrong)))
}

async fn body_limit(subject: &Subject) -> Looked {
    let most = subject.app.config.http.max_body_bytes;
    let body = vec![b' '; most + 1];
    let headers = [("content-type", "application/json")];
    let told = subject.live.send(Method::POST, "/v1/auth/sign-in", &headers, Some(body)).await?;
    match told.status {
        StatusCode::PAYLOAD_TOO_LARGE => Ok(Seen::pass(format!("{} bytes are refused with 413", most + 1))),
        StatusCode::TOO_MANY_REQUESTS => Ok(Seen::unknown("a limit put it off: ask again in a minute")),
        status => Ok(Seen::fail(format!("{} bytes were answered {}", most + 1, status.as_u16()))),
    }
}

async fn header_limit(subject: &Subject) -> Looked {
    let long = "x".repeat(100_000);
    let address = subject.live.send(Method::GET, &format!("/healthz?{long}"), &[], None).await;
    let header = subject.live.send(Method::GET, "/healthz", &[("x-long", &long)], None).await;
    // To end the connection is an answer too, but only of a server that answers otherwise.
    subject.live.get("/healthz").await?;
    let mut taken = Vec::new();
    for (what, told) in [("address", address), ("header", header)] {
        if let Ok(told) = told
            && !matches!(told.status.as_u16(), 414 | 431 | 400)
        {
            taken.push(format!("an {what} of 100,000 characters was answered {}", told.status.as_u16()));
        }
    }
    Ok(Seen::told(taken.is_empty(), format!("{} of 2 taken", taken.len())).by(some(&taken)))
}

/// The longest that a client may take to send the head of a request, and pause in the body.
const MOST_HEAD: Duration = Duration::from_secs(15);
const MOST_PAUSE: Duration = Duration::from_secs(60);

async fn slow_requests(subject: &Subject) -> Looked {
    let http = &subject.app.config.http;
    let (head, pause) = (http.header_timeout(), http.body_idle_timeout());
    let measured = format!("{} ms for the head, {} ms between parts of the body", head.as_millis(), pause.as_millis());
    Ok(Seen::told(head <= MOST_HEAD && pause <= MOST_PAUSE, measured))
}

async fn slow_requests_cut(subject: &Subject) -> Looked {
    let bound = subject.app.config.http.header_timeout();
    let mut stream = subject.live.connect().await?;
    let begun = Instant::now();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: audit\r\nX-Slow: ")
        .await
        .map_err(|error| Seen::unknown(error.to_string()))?;
    let mut answer = [0; 512];
    let cut = timeout(bound + Duration::from_millis(500), stream.read(&mut answer)).await.is_ok();
    let took = begun.elapsed().as_millis();
    Ok(Seen::told(cut, if cut { format!("cut off after {took} ms") } else { format!("still open after {took} ms") }))
}

/// Addresses that nobody outside may have the server call, in the forms that are tried.
const PRIVATE: [&str; 22] = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
];

async fn private_networks(subject: &Subject) -> Looked {
    let open: Vec<String> =
        PRIVATE.into_iter().filter(|text| text.parse::<IpAddr>().is_ok_and(is_public)).map(str::to_owned).collect();
    let allowed = &subject.app.config.deliveries.allow_private;
    let measured = format!(
        "{} of {} refused; {} networks allowed by the settings",
        PRIVATE.len() - open.len(),
        PRIVATE.len(),
        allowed.len()
    );
    Ok(Seen::told(open.is_empty() && allowed.is_empty(), measured).by(some(&[open, allowed.clone()].concat())))
}

async fn row_level(subject: &Subject) -> Looked {
    match subject.app.store.run(&subject.call(), FindUnguarded).await? {
        None => Ok(Seen::not_applicable(
            "SQLite has no row-level security: one process owns the file, and every statement names the organisation",
        )),
        Some(unguarded) => {
            Ok(Seen::told(unguarded.is_empty(), format!("{} tables without", unguarded.len())).by(some(&unguarded)))
        }
    }
}

async fn tool_calls(subject: &Subject) -> Looked {
    let key = hexadecimal(&subject.app.ids.make::<uuid::Uuid>().into_bytes());
    let tool = r#"{"message":{"type":"tool-calls","call":{"id":"audit"},"toolCallList":[{"id":"1","function":{"name":"opening_hours","arguments":{}}}]}}"#;
    let headers = [("content-type", "application/json"), ("x-vapi-secret", "guessed")];
    let told = subject.live.send(Method::POST, &format!("/hooks/vapi/{key}"), &headers, Some(tool.into())).await?;
    let seen = match told.status {
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED => Seen::pass(format!("answered {}", told.status.as_u16())),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Seen::unknown("a limit put it off: ask again in a minute")
        }
        status => Seen::fail(format!("answered {}", status.as_u16())),
    };
    Ok(seen.by(super::line(&told)))
}

async fn rate_limits(subject: &Subject) -> Looked {
    let limits = &subject.app.config.limits;
    let all = serde_json::to_value(limits).unwrap_or_default();
    let mut open = Vec::new();
    zeros("limits", &all, &mut open);
    let told = subject.live.get("/health/database").await?;
    let said = !told.header("ratelimit-policy").is_empty();
    if !said {
        open.push("the answer has no RateLimit-Policy".to_owned());
    }
    let measured = format!("RateLimit-Policy: {}; {} faults", told.header("ratelimit-policy"), open.len());
    Ok(Seen::told(open.is_empty(), measured).by(some(&open)))
}

/// Numbers of a section that are 0, by their keys.
fn zeros(key: &str, value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                zeros(&format!("{key}.{name}"), value, found);
            }
        }
        serde_json::Value::Number(number) if number.as_u64() == Some(0) => found.push(format!("{key} is 0")),
        _ => {}
    }
}
