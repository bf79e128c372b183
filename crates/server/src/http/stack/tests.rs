use std::convert::Infallible;
use std::time::Duration;

use axum::http::Method;
use futures_util::stream;
use http_body_util::BodyExt;
use mainstay_domain::{Entropy, Kind, ManualClock, Timestamp};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::http::{Access, Event, Json, Path, Query, RawBody, Routes, event_stream};

struct Zeros;
impl Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

fn config() -> config::Http {
    config::Http {
        host: "127.0.0.1".to_owned(),
        port: 8080,
        public_url: "https://chat.example.com".to_owned(),
        metrics_networks: Vec::new(),
        allowed_origins: vec!["https://*.example.org".to_owned()],
        trusted_proxies: Vec::new(),
        max_connections: 10,
        header_timeout_ms: 1000,
        body_idle_timeout_ms: 1000,
        write_timeout_ms: 1000,
        keep_alive_timeout_ms: 1000,
        request_timeout_ms: 5000,
        max_body_bytes: 1000,
        max_json_depth: 4,
        tls: config::Tls::default(),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<u8>,
}

fn routes() -> Routes {
    const PUBLIC: Policy = Policy::new(Access::Public);
    Routes::new()
        .get("/ok", || async { "ok" }, PUBLIC)
        .get("/page", || async { axum::response::Html("<p>") }, PUBLIC)
        .get("/panic", || async { assert!(std::hint::black_box(false), "secret of the panic") }, PUBLIC)
        .get("/never", std::future::pending::<()>, PUBLIC.deadline(Duration::from_secs(2)))
        .get("/large", || async { Json("x".repeat(5000)) }, PUBLIC)
        .get("/binary", || async { vec![0_u8; 5000] }, PUBLIC)
        .get("/things/{id}", |Path(id): Path<u64>| async move { Json(id) }, PUBLIC)
        .get("/list", |Query(page): Query<Page>| async move { Json(page.limit) }, PUBLIC)
        .post("/echo", |Json(value): Json<Value>| async move { Json(value) }, PUBLIC)
        .post("/raw", |RawBody(body): RawBody| async move { body }, PUBLIC.body(2000))
        .get("/who", who, PUBLIC)
        .get("/fail", || async { Err::<(), _>(Problem::from(Error::internal("secret of the disk"))) }, PUBLIC)
        .get(
            "/busy",
            || async {
                let error = Error::new(Kind::Unavailable, "overloaded", "Too much to do.");
                Err::<(), _>(Problem::from(error.retry_after(Duration::from_millis(1500))))
            },
            PUBLIC,
        )
        .get("/events", || async { event_stream(stream::pending::<Event<()>>()) }, PUBLIC)
}

async fn who(context: RequestContext) -> Json<Value> {
    Json(json!({
        "id": context.request_id,
        "address": context.client_address,
        "same_origin": context.same_origin,
        "route": &*context.route,
        "remaining": context.call.remaining().as_millis() as u64,
    }))
}

struct Server {
    router: Router,
    registry: Registry,
}

fn server(config: &config::Http) -> Server {
    let mut registry = Registry::default();
    let metrics = HttpMetrics::register(&mut registry);
    let (router, table) = routes().build().expect("routes");
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let ids = Ids::new(Arc::new(clock), Arc::new(Zeros));
    let settings = Settings::new(config, &table, ids, metrics).expect("settings");
    Server { router: wrap(router, settings), registry }
}

impl Server {
    async fn ask(&self, request: Request) -> Response {
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(get(path)).await
    }

    fn scrape(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        text
    }
}

fn get(path: &str) -> Request {
    Request::builder().uri(path).body(Body::empty()).expect("request")
}

fn post(path: &str, body: impl Into<Body>) -> Request {
    let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
    request.body(body.into()).expect("request")
}

fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().expect("value"));
    request
}

async fn json(response: Response) -> Value {
    let body = response.into_body().collect().await.expect("body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

/// The status, and the code of the problem, whose other members are checked on the way.
async fn problem(response: Response) -> (u16, String) {
    let status = response.status();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().expect("text").to_owned();
    let body = json(response).await;
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(body["request_id"], id);
    assert!(!body.to_string().contains("secret"), "{body}");
    (status.as_u16(), body["code"].as_str().expect("code").to_owned())
}

async fn problem_at(server: &Server, request: Request) -> (u16, String) {
    problem(server.ask(request).await).await
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn every_answer_carries_the_headers_and_an_id() {
    let server = server(&config());
    for path in ["/ok", "/page", "/panic", "/fail", "/nowhere", "/events", "/list?x=1"] {
        let response = server.get(path).await;
        let headers = response.headers();
        for name in [
            "content-security-policy",
            "strict-transport-security",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
            "permissions-policy",
            "cross-origin-opener-policy",
            "cross-origin-embedder-policy",
            "cross-origin-resource-policy",
        ] {
            assert!(headers.contains_key(name), "{path} {name}");
        }
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        let id = headers["x-request-id"].to_str().expect("text");
        assert_eq!(id.parse::<uuid::Uuid>().map(|id| id.get_version_num()), Ok(7));
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_a_problem() {
    let server = server(&config());
    let at = |path: &str| get(path);
    assert_eq!(problem_at(&server, at("/nowhere")).await, is(404, "not_found"));
    assert_eq!(problem_at(&server, at("/things/abc")).await, is(404, "not_found"));
    assert_eq!(problem_at(&server, at("/panic")).await, is(500, "internal"));
    assert_eq!(problem_at(&server, at("/fail")).await, is(500, "internal"));
    assert_eq!(problem_at(&server, at("/never")).await, is(504, "timeout"));
    assert_eq!(problem_at(&server, at(&format!("/ok?{}", "x".repeat(9000)))).await, is(414, "uri_too_long"));
    assert_eq!(problem_at(&server, post("/raw", vec![0; 2001])).await, is(413, "too_large"));
    assert_eq!(problem_at(&server, with(post("/echo", "{}"), "content-type", "text/plain")).await.0, 415);
    let busy = server.get("/busy").await;
    assert_eq!(busy.headers()["retry-after"], "2");
    assert_eq!(problem(busy).await, is(503, "overloaded"));
    let other = server.ask(post("/ok", "")).await;
    assert_eq!(other.headers()["allow"], "GET,HEAD");
    assert_eq!(problem(other).await, is(405, "method_not_allowed"));
}

#[tokio::test]
async fn a_panic_is_counted_and_the_next_request_is_served() {
    let server = server(&config());
    assert_eq!(server.get("/panic").await.status(), 500);
    assert_eq!(server.get("/ok").await.status(), 200);
    let text = server.scrape();
    assert!(text.contains("mainstay_http_panics_total 1"), "{text}");
    assert!(text.contains(r#"mainstay_http_requests_total{method="GET",route="/panic",status="5xx"} 1"#));
    assert!(text.contains("mainstay_http_requests_in_flight 0"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_one_label() {
    let server = server(&config());
    for n in 0..5 {
        server.get(&format!("/unknown/{n}")).await;
    }
    let odd = Request::builder().method("BREW").uri("/ok").body(Body::empty()).expect("request");
    assert_eq!(server.ask(odd).await.status(), 405);
    let text = server.scrape();
    assert!(text.contains(r#"mainstay_http_requests_total{method="GET",route="unmatched",status="4xx"} 5"#), "{text}");
    assert!(text.contains(r#"mainstay_http_requests_total{method="other",route="/ok",status="4xx"} 1"#));
    assert!(!text.contains("/unknown/") && !text.contains("BREW"));
}

#[tokio::test]
async fn the_bound_of_a_route_and_the_usual_one_hold_for_bodies_of_unknown_length() {
    let server = server(&config());
    let pieces = |count| Body::from_stream(stream::iter(vec![Ok::<_, Infallible>(vec![b' '; 500]); count]));
    assert_eq!(problem_at(&server, post("/echo", pieces(3))).await, is(413, "too_large"));
    assert_eq!(problem_at(&server, post("/raw", pieces(5))).await, is(413, "too_large"));
    assert_eq!(server.ask(post("/raw", pieces(4))).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_send_its_body_is_told_so() {
    let server = server(&config());
    let stuck = Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
    assert_eq!(problem_at(&server, post("/echo", stuck)).await, is(408, "request_timeout"));
    let trickle = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        Some((Ok::<_, Infallible>(vec![b' ']), ()))
    });
    let began = tokio::time::Instant::now();
    let answer = server.ask(post("/echo", Body::from_stream(trickle))).await;
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(problem(answer).await, is(408, "request_timeout"), "one byte at a time runs into the deadline");
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn the_depth_of_json_is_the_configured_one() {
    let server = server(&config());
    assert_eq!(server.ask(post("/echo", "[[[[1]]]]")).await.status(), 200);
    let refused = json(server.ask(post("/echo", "[[[[[1]]]]]")).await).await;
    assert_eq!(refused["fields"][0]["code"], "too_deep");
}

#[tokio::test]
async fn query_parameters_are_named_when_they_are_wrong() {
    let server = server(&config());
    assert_eq!(json(server.get("/list?limit=7").await).await, 7);
    for (query, field, code) in [
        ("limit=x", "limit", "invalid"),
        ("limit=300", "limit", "invalid"),
        ("limit=1&limit=2", "limit", "duplicate"),
        ("size=1", "size", "unknown"),
    ] {
        let refused = json(server.get(&format!("/list?{query}")).await).await;
        assert_eq!(refused["status"], 400, "{query}");
        assert_eq!((&refused["fields"][0]["field"], &refused["fields"][0]["code"]), (&json!(field), &json!(code)));
    }
}

#[tokio::test]
async fn a_handler_knows_its_request() {
    let server = server(&config());
    let request = with(get("/who?token=1"), "origin", "https://chat.example.com");
    let request = with(request, "x-forwarded-for", "198.51.100.1");
    let mut request = with(request, "x-request-id", "0198c0de-0000-7000-8000-000000000001");
    request.extensions_mut().insert(Peer { address: ([203, 0, 113, 5], 4000).into(), host_named: true });
    let response = server.ask(request).await;
    let id = response.headers()["x-request-id"].to_str().expect("text").to_owned();
    let known = json(response).await;
    assert_eq!(known["id"], id);
    assert_ne!(id, "0198c0de-0000-7000-8000-000000000001", "nobody here is trusted to give ids");
    assert_eq!(known["address"], "203.0.113.5");
    assert_eq!(known["same_origin"], true);
    assert_eq!(known["route"], "/who");
    assert!(known["remaining"].as_u64().is_some_and(|left| (4000..=5000).contains(&left)), "{known}");
}

#[tokio::test]
async fn a_request_without_its_host_is_refused() {
    let mut request = get("/ok");
    request.extensions_mut().insert(Peer { address: ([203, 0, 113, 5], 4000).into(), host_named: false });
    assert_eq!(problem_at(&server(&config()), request).await, is(400, "bad_request"));
}

#[tokio::test]
async fn allowed_origins_are_named_and_others_are_not() {
    let server = server(&config());
    let allowed = server.ask(with(get("/ok"), "origin", "https://app.example.org")).await;
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example.org");
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    for origin in ["https://example.org", "https://evil-example.org", "null", "https://app.example.org.evil.com"] {
        let other = server.ask(with(get("/ok"), "origin", origin)).await;
        assert!(!other.headers().contains_key("access-control-allow-origin"), "{origin}");
        assert_eq!(other.headers()["vary"], "origin");
    }
    let failed = server.ask(with(get("/fail"), "origin", "https://app.example.org")).await;
    assert!(failed.headers().contains_key("access-control-allow-origin"), "a page can read what went wrong");
}

#[tokio::test]
async fn a_preflight_is_answered_without_the_handler() {
    let server = server(&config());
    let ask = |origin| {
        let request = Request::builder().method(Method::OPTIONS).uri("/echo").header("origin", origin);
        request.header("access-control-request-method", "POST").body(Body::empty()).expect("request")
    };
    let granted = server.ask(ask("https://app.example.org")).await;
    assert_eq!(granted.status(), 204);
    let headers = granted.headers();
    assert_eq!(headers["access-control-allow-origin"], "https://app.example.org");
    assert!(headers["access-control-allow-headers"].to_str().is_ok_and(|names| names.contains("authorization")));
    assert!(headers["access-control-allow-methods"].to_str().is_ok_and(|names| names.contains("DELETE")));
    assert!(headers["vary"].to_str().is_ok_and(|names| names.starts_with("origin")));
    assert_eq!(problem(server.ask(ask("https://evil.com")).await).await, is(403, "origin_not_allowed"));
    let bare = Request::builder().method(Method::OPTIONS).uri("/echo").body(Body::empty()).expect("request");
    assert_eq!(server.ask(bare).await.status(), 405);
}

#[tokio::test]
async fn text_of_some_size_is_compressed_and_nothing_else() {
    let server = server(&config());
    let coding = |path: &'static str, accept: &'static str| {
        let answer = server.ask(with(get(path), "accept-encoding", accept));
        async move {
            let answer = answer.await;
            assert_eq!(answer.status(), 200);
            answer.headers().get("content-encoding").map(|coding| coding.to_str().expect("text").to_owned())
        }
    };
    assert_eq!(coding("/large", "br, gzip").await.as_deref(), Some("gzip"));
    assert_eq!(coding("/large", "gzip;q=0").await, None);
    assert_eq!(coding("/large", "br;q=1, *;q=0").await, None, "served plain, and no 406 after the work is done");
    assert_eq!(coding("/ok", "gzip").await, None);
    assert_eq!(coding("/binary", "gzip").await, None);
    assert_eq!(coding("/events", "gzip").await, None);
    let plain = server.get("/large").await;
    assert_eq!(plain.headers()["content-length"], "5002");
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_and_no_longer_in_flight() {
    let server = server(&config());
    let asking = server.get("/never");
    assert!(tokio::time::timeout(Duration::from_millis(10), asking).await.is_err());
    let text = server.scrape();
    assert!(text.contains(r#"mainstay_http_requests_total{method="GET",route="/never",status="gone"} 1"#), "{text}");
    assert!(text.contains("mainstay_http_requests_in_flight 0"));
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let fault = |change: fn(&mut config::Http)| {
        let mut http = config();
        change(&mut http);
        let (_, table) = Routes::<()>::new().build().expect("routes");
        let metrics = HttpMetrics::register(&mut Registry::default());
        let ids = Ids::new(Arc::new(ManualClock::new(Timestamp::EPOCH)), Arc::new(Zeros));
        Settings::new(&http, &table, ids, metrics).err().map(|fault| fault.key)
    };
    assert_eq!(fault(|_| {}), None);
    assert_eq!(fault(|http| http.public_url.clear()), None);
    assert_eq!(fault(|http| http.public_url = "chat.example.com".to_owned()), Some("public_url"));
    assert_eq!(fault(|http| http.allowed_origins = vec!["*".to_owned()]), Some("allowed_origins"));
    assert_eq!(fault(|http| http.trusted_proxies = vec!["x".to_owned()]), Some("trusted_proxies"));
}
