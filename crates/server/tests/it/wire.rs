//! What comes over the wire that is not right: each has its status and code, none is a fault of the server, and none stays
//! in memory. And what every answer carries: headers against the browser's worst habits, and who may call from a page.

use std::time::Duration;

use mainstay_testing::free_port;
use mainstay_testing::process::Program;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, Engine, TestApp, both};

both! {
    bodies_that_are_not_right_are_refused,
    what_people_write_is_bounded,
    every_answer_carries_the_headers,
    pages_of_other_origins_are_let_in_by_name,
}

/// Bodies for a POST that wants an object with the text `content`: the body, and the status and code of the answer.
fn corpus() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let mut all: Vec<(&str, Vec<u8>, u16, &str)> = Vec::new();
    let mut text = |name, body: String, code| all.push((name, body.into_bytes(), 400, code));
    for body in ["", " ", "\n\t"] {
        text("empty", body.to_owned(), "invalid_json");
    }
    for body in [
        "{",
        "}",
        "{\"content\"",
        "{\"content\":}",
        "{\"content\":\"x\",}",
        "{content:1}",
        "{'content':'x'}",
        "nul",
        "\u{1}",
    ] {
        text("malformed", body.to_owned(), "invalid_json");
    }
    text("trailing garbage", r#"{"content":"x"} x"#.to_owned(), "invalid_json");
    text("two values", r#"{"content":"x"}{"content":"y"}"#.to_owned(), "invalid_json");
    text("a byte order mark", "\u{feff}{\"content\":\"x\"}".to_owned(), "invalid_json");
    text("NUL outside of text", "{\"content\":\"x\"}\0".to_owned(), "invalid_json");
    text("raw NUL", "{\"content\":\"x\0\"}".to_owned(), "invalid_json");
    text("half of a pair", r#"{"content":"\ud800"}"#.to_owned(), "invalid_json");
    text("a number past all bounds", r#"{"content":1e400}"#.to_owned(), "invalid_json");
    text("a number without end", format!(r#"{{"content":{}}}"#, "9".repeat(10_000)), "invalid_json");
    text("NaN", r#"{"content":NaN}"#.to_owned(), "invalid_json");
    text("a comment", r#"{"content":"x"/**/}"#.to_owned(), "invalid_json");
    text("escaped NUL", r#"{"content":"x\u0000"}"#.to_owned(), "invalid_input");
    text("NUL in a key", r#"{"content":"x","a\u0000":1}"#.to_owned(), "invalid_input");
    text("the same key twice", r#"{"content":"x","content":"y"}"#.to_owned(), "invalid_input");
    text("the same key twice, escaped", r#"{"content":"x","conten\u0074":"y"}"#.to_owned(), "invalid_input");
    text("an unknown field", r#"{"content":"x","role":"system"}"#.to_owned(), "invalid_input");
    text("the prototype", r#"{"content":"x","__proto__":{"admin":true}}"#.to_owned(), "invalid_input");
    for body in ["[]", "[[]]", "null", "7", "true", "\"x\"", r#"[{"content":"x"}]"#, "{}"] {
        text("another shape", body.to_owned(), "invalid_input");
    }
    for value in ["7", "null", "[]", "{}", "true", "99999999999999999999999999999999999999"] {
        text("another type", format!(r#"{{"content":{value}}}"#), "invalid_input");
    }
    text("no id", r#"{"content":"x","conversation_id":"1 or 1=1"}"#.to_owned(), "invalid_input");
    text("too deep", format!(r#"{{"content":{}{}}}"#, "[".repeat(100), "]".repeat(100)), "invalid_input");
    text("much too deep", format!(r#"{{"content":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)), "invalid_input");
    text("deep objects", format!("{}1{}", r#"{"content":"#.repeat(20_000), "}".repeat(20_000)), "invalid_input");
    text("deep and open", "[".repeat(200_000), "invalid_input");
    text("very many items", format!(r#"{{"content":[{}1]}}"#, "1,".repeat(100_000)), "invalid_input");
    all.push(("invalid UTF-8", b"{\"content\":\"\xff\xfe\"}".to_vec(), 400, "invalid_json"));
    all.push(("overlong UTF-8", b"{\"content\":\"\xc0\xaf\"}".to_vec(), 400, "invalid_json"));
    all.push(("a surrogate in UTF-8", b"{\"content\":\"\xed\xa0\x80\"}".to_vec(), 400, "invalid_json"));
    all.push((
        "UTF-16",
        "{\"content\":\"x\"}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
        400,
        "invalid_json",
    ));
    all.push(("one megabyte", format!(r#"{{"content":"{}"}}"#, "x".repeat(1 << 20)).into_bytes(), 413, "too_large"));
    all.push(("one megabyte of nothing", vec![b' '; 1 << 20], 413, "too_large"));
    all
}

async fn post(server: &TestApp, path: &str, token: Option<&str>, kind: Option<&str>, body: Vec<u8>) -> Answer {
    let mut request = server.client.post(format!("{}{path}", server.address)).body(body);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// Sends bytes as they are, and reads until the server has said all.
async fn raw(server: &TestApp, bytes: &[u8]) -> String {
    let address = server.address.strip_prefix("http://").expect("an address");
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    // The server may have answered and closed before it has read all.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn bodies_that_are_not_right_are_refused(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let json = Some("application/json");
    let mut wrong = Vec::new();
    for (name, body, status, code) in corpus() {
        let answer = post(&server, "/v1/messages", token, json, body.clone()).await;
        if answer.status != status || answer.json()["code"] != code {
            wrong.push(format!("{name}: not {status} {code} but {}", answer.text));
            continue;
        }
        assert!(answer.text.len() < 2000, "{name}: {}", answer.text);
        // Who is refused half-way is told that the connection ends, or the next request would be lost in it.
        let ends = answer.headers.get("connection").is_some_and(|value| value == "close");
        assert_eq!(ends, status == 413, "{name}");
        let problem = answer.refused(status, code);
        if code == "invalid_input" {
            assert!(problem["fields"].as_array().is_some_and(|fields| !fields.is_empty()), "{name}: {problem}");
        }
        // The same for somebody who has no token: it is refused for one reason or the other, and never a fault.
        let answer = post(&server, "/v1/auth/sign-in", None, json, body).await;
        assert!([400, 413].contains(&answer.status), "{name}: {}", answer.text);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A length that is not told is bounded as one that is.
    let chunks = futures_util::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 16 * 1024])));
    let request = server.client.post(format!("{}/v1/messages", server.address)).bearer_auth(&ada.access_token);
    let request = request.header("content-type", "application/json").body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(request.send().await.expect("an answer").status(), 413);

    for kind in [
        None,
        Some("text/plain"),
        Some("application/xml"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some(""),
    ] {
        let body = br#"{"content":"x"}"#.to_vec();
        post(&server, "/v1/messages", token, kind, body).await.refused(415, "unsupported_media_type");
    }

    heads_that_are_not_right_are_refused(&server).await;
    addresses_that_there_are_not_are_refused(&server, token).await;
    server.send("GET", "/v1/me", token, None).await.expect(200);
}

async fn heads_that_are_not_right_are_refused(server: &TestApp) {
    let long = "x".repeat(40 * 1024);
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {long}\r\n\r\n");
    assert!(raw(server, head.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = "x: y\r\n".repeat(500);
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{many}\r\n");
    assert!(raw(server, head.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let head = format!("GET /healthz?{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "x".repeat(10_000));
    assert!(raw(server, head.as_bytes()).await.starts_with("HTTP/1.1 414 "));
    for head in [
        "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        "POST /v1/auth/sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        "POST /v1/auth/sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ] {
        let answer = raw(server, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
    }
}

async fn addresses_that_there_are_not_are_refused(server: &TestApp, token: Option<&str>) {
    for path in [
        "/v1/nothing",
        "/v1//me",
        "/v1/me/",
        "/V1/me",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/.env",
        "/v1/conversations/x",
        "/v1/conversations/00000000-0000-7000-8000-000000000000/other",
    ] {
        server.send("GET", path, token, None).await.refused(404, "not_found");
    }
    for (method, path) in [
        ("PUT", "/v1/me"),
        ("DELETE", "/v1/conversations"),
        ("POST", "/healthz"),
        ("TRACE", "/v1/me"),
        ("BREW", "/v1/me"),
    ] {
        let answer = server.send(method, path, token, None).await;
        assert!(answer.headers.contains_key("allow"), "{method} {path}");
        answer.refused(405, "method_not_allowed");
    }
}

async fn what_people_write_is_bounded(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let field = async |method: &str, path: &str, body: Value| {
        let problem = server.send(method, path, token, Some(body)).await.refused(400, "invalid_input");
        let text = |name: &str| problem["fields"][0][name].as_str().expect("a text").to_owned();
        (text("field"), text("code"))
    };
    let named = |field: &str, code: &str| (field.to_owned(), code.to_owned());
    let content = |text: &str| json!({ "content": text });
    for (text, code) in
        [(&"é".repeat(10_001), "too_long"), (&String::new(), "empty"), (&" \n\t\u{a0}".to_owned(), "empty")]
    {
        assert_eq!(field("POST", "/v1/messages", content(text)).await, named("content", code));
    }
    // Characters are counted, not bytes; and what is written comes back as it was.
    let all = format!("{}\u{1F980}", "é".repeat(9_999));
    let sent = server.send("POST", "/v1/messages", token, Some(content(&all))).await.expect(201);
    assert_eq!(sent["message"]["content"], all);
    let id = sent["conversation_id"].as_str().expect("an id");
    let path = format!("/v1/conversations/{id}");
    for (title, code) in [
        ("x".repeat(201).as_str(), "too_long"),
        ("  ", "too_short"),
        ("a\nb", "control_characters"),
        ("a\u{202E}b", "control_characters"),
    ] {
        assert_eq!(field("PATCH", &path, json!({"title": title})).await, named("title", code), "{title}");
        assert_eq!(field("POST", "/v1/conversations", json!({"title": title})).await, named("title", code), "{title}");
    }
    let title = json!({"title": "\u{1F980}".repeat(200)});
    server.send("PATCH", &path, token, Some(title)).await.expect(200);
    // Markup in a title or a message is text, and comes back as it was; the HTML of a message has none of it.
    let titled = json!({"title": "Is a < b, or <b>bold</b>?"});
    assert_eq!(server.send("PATCH", &path, token, Some(titled.clone())).await.expect(200)["title"], titled["title"]);
    let markup = "<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:alert(1))";
    let sent = server.send("POST", "/v1/messages", token, Some(content(markup))).await.expect(201);
    assert_eq!(sent["message"]["content"], markup);
    let path = format!("/v1/conversations/{}", sent["conversation_id"].as_str().expect("an id"));
    let made = server.send("GET", &path, token, None).await.expect(200);
    assert!(made["title"].as_str().expect("a title").starts_with("<script>alert(1)</script><img"), "{made}");
    let list = server.send("GET", &format!("{path}/messages?html=true"), token, None).await.expect(200);
    for message in list["data"].as_array().expect("messages") {
        let html = message["html"].as_str().unwrap_or_default();
        for bad in ["<script", "<img", "onerror=\"", "href=\"javascript"] {
            assert!(!html.contains(bad), "{html}");
        }
    }
    let search = "x".repeat(201);
    let answer = server.send("GET", &format!("/v1/conversations?search={search}"), token, None).await;
    assert_eq!(answer.refused(400, "invalid_input")["fields"][0]["field"], "search");
    for search in ["%25", "_", "%27%20or%201=1--", "%F0%9F%A6%80"] {
        server.send("GET", &format!("/v1/conversations?search={search}"), token, None).await.expect(200);
    }
    for id in ["x", "last", "-1", "9999999999999999999999", ""] {
        let reply = sent["generation_id"].as_str().expect("an id");
        let headers = [("last-event-id", id)];
        let answer = server.send_with("GET", &format!("/v1/generations/{reply}/events"), token, None, &headers).await;
        assert!(answer.status == 200 || answer.status == 400, "{id}: {} {}", answer.status, answer.text);
    }
}

fn checked(name: &str, headers: &HeaderMap) {
    let value = |header: &str| headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(value("x-content-type-options"), "nosniff", "{name}");
    assert_eq!(value("x-frame-options"), "DENY", "{name}");
    assert_eq!(value("referrer-policy"), "no-referrer", "{name}");
    assert_eq!(value("cross-origin-opener-policy"), "same-origin", "{name}");
    assert_eq!(value("cross-origin-resource-policy"), "same-origin", "{name}");
    assert_eq!(value("strict-transport-security"), "max-age=31536000; includeSubDomains; preload", "{name}");
    assert!(value("permissions-policy").contains("camera=()"), "{name}");
    let policy = value("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{name}: {policy}");
    assert!(!policy.contains("unsafe"), "{name}: {policy}");
    assert!(!value("cache-control").is_empty(), "{name}");
    assert_eq!(value("x-request-id").len(), 36, "{name}");
    assert!(!headers.contains_key("server") && !headers.contains_key("x-powered-by"), "{name}");
    assert!(!headers.contains_key("access-control-allow-origin"), "{name}");
    assert!(!headers.contains_key("access-control-allow-credentials"), "{name}");
}

async fn every_answer_carries_the_headers(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[("http.public_url", "\"https://chat.example.com\"")]).await else {
        return;
    };
    let ada = server.person("ada").await;
    let path = |path: &str| path.replace("{id}", "00000000-0000-7000-8000-000000000000").replace("{*path}", "nothing");
    for route in &server.table {
        for token in [None, Some(ada.access_token.as_str())] {
            if route.path == "/v1/auth/sign-out" && token.is_some() {
                continue;
            }
            let body = (route.method != "GET").then(|| json!({}));
            let answer = server.send(route.method.as_str(), &path(route.path), token, body).await;
            let name = format!("{} {}: {}", route.method, route.path, answer.status);
            assert!(answer.status < 500, "{name}: {}", answer.text);
            checked(&name, &answer.headers);
            if route.path.starts_with("/v1/") {
                assert_eq!(answer.headers["cache-control"], "no-store", "{name}");
            }
        }
    }
    for (method, path) in
        [("GET", "/nothing"), ("PUT", "/v1/me"), ("OPTIONS", "/v1/me"), ("HEAD", "/"), ("HEAD", "/healthz")]
    {
        checked(path, &server.send(method, path, None, None).await.headers);
    }
    let answer = server.send("POST", "/v1/auth/sign-out", Some(&ada.access_token), None).await;
    checked("POST /v1/auth/sign-out", &answer.headers);
}

async fn pages_of_other_origins_are_let_in_by_name(engine: Engine) {
    let origins = r#"["https://app.example.com", "https://*.example.org"]"#;
    let settings = [("http.allowed_origins", origins), ("http.public_url", "\"https://chat.example.com\"")];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let granted = |answer: &Answer| {
        answer.headers.get("access-control-allow-origin").map(|value| value.to_str().expect("text").to_owned())
    };
    for origin in ["https://app.example.com", "https://a.example.org", "https://a.b.example.org"] {
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization"),
        ];
        let answer = server.send_with("OPTIONS", "/v1/conversations", None, None, &preflight).await;
        assert_eq!((answer.status, granted(&answer).as_deref()), (204, Some(origin)));
        assert!(answer.headers["access-control-allow-methods"].to_str().expect("text").contains("PATCH"));
        assert!(answer.headers["access-control-allow-headers"].to_str().expect("text").contains("authorization"));
        assert!(answer.headers["vary"].to_str().expect("text").contains("origin"));
        for (path, token, status) in [("/v1/me", token, 200), ("/v1/me", None, 401), ("/v1/nothing", token, 404)] {
            let answer = server.send_with("GET", path, token, None, &[("origin", origin)]).await;
            assert_eq!((answer.status, granted(&answer).as_deref()), (status, Some(origin)), "{path}");
            assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{path}");
        }
    }
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://example.org",
        "https://app.example.com.evil.example",
        "null",
        "*",
        "",
    ] {
        let preflight = [("origin", origin), ("access-control-request-method", "POST")];
        let answer = server.send_with("OPTIONS", "/v1/messages", None, None, &preflight).await;
        assert_eq!((answer.status, granted(&answer)), (403, None), "{origin}");
        let answer = server.send_with("GET", "/v1/me", token, None, &[("origin", origin)]).await;
        assert_eq!(
            (answer.status, granted(&answer)),
            (200, None),
            "{origin}: a token counts, but the page may not read it"
        );
        let vary: Vec<_> = answer.headers.get_all("vary").iter().filter_map(|value| value.to_str().ok()).collect();
        assert!(vary.join(",").contains("origin"), "{origin}");
    }
}

/// The memory that a process holds, in bytes: the second figure of `statm`, in pages of 4 KiB.
fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).expect("the process lives");
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

/// A process of its own, so that what other tests hold does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_bad_requests_stay_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("http://127.0.0.1:{}", free_port().expect("a port"));
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let server = Program::new(env!("CARGO_BIN_EXE_mainstay")).directory(folder.path()).env("PORT", port);
    let server = server.env_remove("DATABASE_URL").env("MAINSTAY_LOG__LEVEL", "warn");
    // All of them come from one address.
    let server = server.env("MAINSTAY_LIMITS__PUBLIC", "1000000").start().expect("a start");
    server.wait_for_http(&format!("{address}/readyz"), Duration::from_secs(60)).await.expect("readiness");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
    let corpus: Vec<_> = corpus().into_iter().map(|(name, body, ..)| (name, bytes::Bytes::from(body))).collect();
    let bad = async |number: usize| {
        let (name, body) = &corpus[number % corpus.len()];
        let path = if number.is_multiple_of(2) { "/v1/auth/sign-in" } else { "/v1/auth/sign-up" };
        let request = client.post(format!("{address}{path}")).header("content-type", "application/json");
        let request = request.bearer_auth("x".repeat(number % 4000)).body(body.clone());
        let status = request.send().await.expect("an answer").status().as_u16();
        assert!([400, 413].contains(&status), "{name}: {status}");
        // Addresses that nobody has: each is another, and none may be remembered.
        let answer = client.get(format!("{address}/v1/nothing/{number}?x={number}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 404);
    };
    for number in 0..300 {
        bad(number).await;
    }
    let before = resident(server.id());
    for number in 300..2300 {
        bad(number).await;
    }
    let after = resident(server.id());
    let grown = after.saturating_sub(before);
    assert!(grown < 32 << 20, "from {before} to {after} bytes");
    assert!(server.is_running());
}
