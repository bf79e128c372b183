//! Traces, as a collector is given them: from the request to its statements, its job and what that sends.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::deliveries::{SETTINGS, endpoint};
use crate::support::receiver::{Answering, Arrival, Receiver};
use crate::support::{Engine, TestApp, both};

both! {
    a_trace_leads_from_the_request_to_its_statements_its_job_and_what_that_sends,
    a_chat_turn_is_followed_to_the_end_of_its_reply,
    what_fails_is_kept_when_nothing_else_is,
    a_collector_that_is_away_is_left_alone_and_harms_nobody,
}

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(engine: Engine, collector: &Receiver, percent: &str, others: &[(&str, &str)]) -> Option<TestApp> {
    let endpoint = format!("\"http://{}/below/\"", collector.address);
    let own = [
        ("traces.endpoint", endpoint.as_str()),
        ("traces.headers", "\"x-team=blue\""),
        ("traces.sample_percent", percent),
        ("traces.slow_ms", "0"),
    ];
    TestApp::start(engine, &[&SETTINGS, &own, others].concat()).await
}

/// A span as the collector got it.
#[derive(Clone, Debug)]
struct Span(Value);

impl Span {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.text("name")
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let attributes = self.0["attributes"].as_array()?;
        let value = &attributes.iter().find(|attribute| attribute["key"] == name)?["value"];
        value["stringValue"].as_str().or(value["intValue"].as_str())
    }
}

fn spans(arrival: &Arrival) -> Vec<Span> {
    assert_eq!((arrival.header("content-type"), arrival.header("x-team")), ("application/json", "blue"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(arrival.body.as_slice()).read_to_string(&mut text).expect("packed");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    let resource = &body["resourceSpans"][0];
    let about = resource["resource"]["attributes"].as_array().expect("attributes");
    assert_eq!(about[0], json!({"key": "service.name", "value": {"stringValue": "mainstay"}}));
    let spans = resource["scopeSpans"][0]["spans"].as_array().expect("spans");
    spans.iter().cloned().map(Span).collect()
}

/// Everything that has come, once a span has that is as wanted.
async fn until(collector: &Receiver, wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
    let mut count = 1;
    loop {
        let all: Vec<Span> = collector.until(count).await.iter().flat_map(spans).collect();
        if all.iter().any(&wanted) {
            return all;
        }
        count = collector.arrivals().len().max(count) + 1;
    }
}

/// The spans by their ids, and a check that each but those without a parent has its parent among them.
fn tree(spans: &[Span]) -> BTreeMap<&str, &Span> {
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.text("spanId"), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "an id is there twice");
    for span in spans {
        let parent = span.text("parentSpanId");
        assert!(parent.is_empty() || by_id.contains_key(parent), "{span:?} has no parent");
    }
    by_id
}

fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names = || spans.iter().map(Span::name).collect::<Vec<_>>();
    spans.iter().find(|span| span.name() == name).unwrap_or_else(|| panic!("no {name} in {:?}", names()))
}

async fn a_trace_leads_from_the_request_to_its_statements_its_job_and_what_that_sends(engine: Engine) {
    let (collector, receiver) = (Receiver::start().await, Receiver::start().await);
    let Some(server) = start(engine, &collector, "100", &[]).await else { return };
    let ada = server.person("ada").await;
    endpoint(&server, &ada, json!({"url": receiver.url()})).await;
    let body = json!({"type": "invoice.sent", "data": {"to": "secret@example.com"}});
    let sent = server.send("POST", "/v1/webhook-events", Some(&ada.access_token), Some(body)).await;
    let request = sent.headers["x-request-id"].to_str().expect("text").to_owned();
    sent.expect(201);
    let trace = request.replace('-', "");
    let of_trace = |span: &Span| span.text("traceId") == trace;
    let all = until(&collector, |span| of_trace(span) && span.0["kind"] == 5).await;
    let all: Vec<Span> = all.into_iter().filter(of_trace).collect();
    let by_id = tree(&all);
    let root = find(&all, "POST /v1/webhook-events");
    assert_eq!((root.text("parentSpanId"), &root.0["kind"]), ("", &json!(2)));
    assert_eq!(root.attribute("mainstay.request_id"), Some(request.as_str()));
    assert_eq!(root.attribute("mainstay.tenant_id"), Some(ada.organisation.as_str()));
    assert_eq!((root.attribute("user.id"), root.attribute("http.response.status_code")), (Some(&*ada.id), Some("201")));
    // The statement stands under what was to be done, and that under the request.
    let statement = find(&all, "deliveries::publish::EVENTS");
    let intent = by_id[statement.text("parentSpanId")];
    assert_eq!((intent.name(), intent.text("parentSpanId")), ("PublishEvents", root.text("spanId")));
    let database = if engine == Engine::Sqlite { "sqlite" } else { "postgresql" };
    assert_eq!(statement.attribute("db.system.name"), Some(database));
    assert_eq!(by_id[find(&all, "commit").text("parentSpanId")].name(), "PublishEvents");
    // And so does the job, with what it sent.
    let job = all.iter().find(|span| span.0["kind"] == 5).expect("a job");
    assert_eq!((job.text("parentSpanId"), job.attribute("mainstay.job.attempt")), (root.text("spanId"), Some("1")));
    let post = all.iter().find(|span| span.name() == "POST").expect("what was sent");
    // Not where to: whoever made the endpoint has written that.
    assert_eq!((post.attribute("server.address"), post.0["kind"].as_i64()), (None, Some(3)));
    assert!(!format!("{all:?}").contains("secret@example.com"), "what was sent is no part of a trace");
    // Whoever looks at the job finds the trace.
    let email = mainstay_domain::EmailAddress::parse(&ada.email).expect("an address");
    let call = mainstay_store::Call::within(Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    let path = format!("/v1/jobs/{}", job.attribute("mainstay.job_id").expect("an id"));
    let life = server.send("GET", &path, Some(&ada.access_token), None).await.expect(200);
    assert_eq!(life["trace_id"], trace.as_str());
}

async fn a_chat_turn_is_followed_to_the_end_of_its_reply(engine: Engine) {
    let collector = Receiver::start().await;
    let proxies = ("http.trusted_proxies", r#"["127.0.0.1/32"]"#);
    let Some(server) = start(engine, &collector, "0", &[proxies]).await else { return };
    let ada = server.person("ada").await;
    // A proxy of ours begins the trace, and wants it kept.
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let context = format!("00-{trace}-{parent}-01");
    let headers = [("traceparent", context.as_str())];
    let body = Some(json!({"content": "Where is ada@example.com?"}));
    let token = Some(ada.access_token.as_str());
    server.send_with("POST", "/v1/messages", token, body, &headers).await.expect(201);
    let all = until(&collector, |span| span.name() == "generation").await;
    let all: Vec<Span> = all.into_iter().filter(|span| span.text("traceId") == trace).collect();
    let root = find(&all, "POST /v1/messages");
    assert_eq!(root.text("parentSpanId"), parent);
    // What was stored for several at once is in the trace of each.
    let by_id: BTreeMap<&str, &Span> = all.iter().map(|span| (span.text("spanId"), span)).collect();
    let path_of = |span| {
        let path = std::iter::successors(Some(span), |span: &&Span| by_id.get(span.text("parentSpanId")).copied());
        path.map(Span::name).collect::<Vec<_>>().join(" < ")
    };
    let commits: Vec<String> = all.iter().filter(|span| span.name() == "commit").map(path_of).collect();
    for path in ["POST /v1/messages", "generation < POST /v1/messages"] {
        let wanted = format!("commit < SharedTransaction < turns < {path}");
        assert!(commits.contains(&wanted), "{wanted} is not among {commits:?}");
    }
    let generation = find(&all, "generation");
    assert_eq!(generation.text("parentSpanId"), root.text("spanId"));
    assert!(generation.attribute("mainstay.generation_id").is_some());
    assert!(!format!("{all:?}").contains("ada@example.com"), "what was asked is no part of a trace");
}

async fn what_fails_is_kept_when_nothing_else_is(engine: Engine) {
    let (collector, provider) = (Receiver::start().await, Receiver::start().await);
    provider.answer(Answering::status(400));
    let url = format!("\"http://{}\"", provider.address);
    let billing = [
        ("billing.fastspring.storefront", "\"acme.onfastspring.com\""),
        ("billing.fastspring.products", "[\"core-monthly = core\"]"),
        ("billing.fastspring.api_username", "\"acme\""),
        ("billing.fastspring.api_password", "\"a-password-for-tests\""),
        ("billing.fastspring.api_url", url.as_str()),
    ];
    let Some(server) = start(engine, &collector, "0", &billing).await else { return };
    let ada = server.person("ada").await;
    let buy = Some(json!({"plan": "core"}));
    server
        .send("POST", "/v1/checkout-sessions", Some(&ada.access_token), buy)
        .await
        .refused(502, "billing_provider_refused");
    let all = until(&collector, |span| span.0["kind"] == 2).await;
    let roots: Vec<&Span> = all.iter().filter(|span| span.0["kind"] == 2).collect();
    let [root] = roots.as_slice() else { panic!("{roots:?}") };
    assert_eq!((root.name(), &root.0["status"]["code"]), ("POST /v1/checkout-sessions", &json!(2)));
    assert_eq!(root.attribute("http.response.status_code"), Some("502"));
    tree(&all);
}

/// A figure of the spans.
async fn counted(server: &TestApp, outcome: &str) -> u64 {
    let text = server.send("GET", "/metrics", None, None).await.text;
    let name = format!("mainstay_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |value| value.parse().expect("a number"))
}

async fn until_counted(server: &TestApp, outcome: &str) {
    let begun = Instant::now();
    // Each of these is a request, and so a trace.
    while counted(server, outcome).await == 0 {
        assert!(begun.elapsed() < PATIENCE, "none is {outcome}");
    }
}

async fn a_collector_that_is_away_is_left_alone_and_harms_nobody(engine: Engine) {
    let collector = Receiver::start().await;
    // What the collector takes later is offered again, when it says.
    let busy = || Answering::Status(503, vec![("retry-after", "0".to_owned())]);
    collector.script([busy(), busy()]);
    let Some(server) = start(engine, &collector, "100", &[]).await else { return };
    until_counted(&server, "sent").await;
    let arrivals = collector.arrivals();
    assert!(arrivals.len() >= 3 && arrivals[0].body == arrivals[2].body, "the same spans were offered again");
    // What it refuses is not.
    collector.answer(Answering::status(400));
    until_counted(&server, "refused").await;
    // One that fails is left alone after a while, and everybody else is served.
    collector.answer(busy());
    until_counted(&server, "failed").await;
    until_counted(&server, "left_alone").await;
    let health = server.send("GET", "/health", None, None).await.expect(200);
    assert_eq!(health["checks"]["traces"]["status"], "degraded", "{health}");
    server.send("GET", "/readyz", None, None).await.expect(200);
}
