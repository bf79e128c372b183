//! The stack: what happens around every handler, in one layer.
//!
//! In order: a caller for whom there is no place anyway, who is refused before anything is made for the request; the
//! request's id and context; refusals that need no handler (no host, a long address, a declared body that is too large, a
//! preflight, a part that is switched off); the handler, under its deadline, with its panics caught, its body bounded and
//! its answer compressed; then the answer's problem, headers, counts and line in the log.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use mainstay_domain::{Error, Ids, RequestId, panic_message};
use mainstay_store::Call;
use tower::{Layer, Service};
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{Compression, CompressionLevel};

use super::access::{Exchange, Route, RouteIndex};
use super::body::{self, BoundedBody, Bounds};
use super::context::{Limits, Peer, RequestContext, TrustedProxies, X_REQUEST_ID};
use super::headers::StandardHeaders;
use super::origins::{AllowedOrigins, Cors, origin_of};
use super::overload::{Admission, Caller, Key, Leaving, Overload, Priority};
use super::routes_table::{Access, Policy, RouteTable};
use super::{HttpMetrics, Problem};
use crate::config;
use crate::controls::Controls;
use crate::limits::{self, Tally};
use crate::ops::log::trail::Trail;
use crate::ops::traces::Traces;

/// The longest address that is taken, in bytes of path and query. What is longer than the whole head may be is refused
/// with 431 before it gets here.
const LONGEST_URI: usize = 8 * 1024;

/// Answers below this size are not worth compressing, in bytes.
const SMALLEST_COMPRESSED: u64 = 1024;

/// A setting of `[http]` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("http.{key}: {detail}")]
pub struct SettingsFault {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

impl SettingsFault {
    fn new(key: &'static str, detail: impl ToString) -> Self {
        Self { key, detail: detail.to_string() }
    }
}

/// What the stack needs to know. Clones share it.
#[derive(Clone)]
pub struct Settings(Arc<Shared>);

struct Shared {
    routes: RouteIndex,
    headers: StandardHeaders,
    origins: AllowedOrigins,
    ours: String,
    proxies: TrustedProxies,
    ids: Ids,
    metrics: HttpMetrics,
    deadline: Duration,
    body_idle: Duration,
    most_body: usize,
    json_depth: usize,
    overload: Option<Overload>,
    callers: OnceLock<Arc<limits::Limits>>,
    controls: OnceLock<Arc<Controls>>,
    traces: OnceLock<Traces>,
}

impl Settings {
    /// Reads the section `[http]`.
    ///
    /// # Errors
    /// When an address, an origin or a network in it cannot be used.
    pub fn new(http: &config::Http, table: &RouteTable, ids: Ids, metrics: HttpMetrics) -> Result<Self, SettingsFault> {
        let ours = match http.public_url.as_str() {
            "" => origin_of(&format!("{}://{}:{}", http.scheme(), bracketed(&http.host), http.port)),
            address => origin_of(address),
        };
        let ours = ours.map_err(|fault| SettingsFault::new("public_url", fault))?;
        let origins = AllowedOrigins::parse(&http.allowed_origins);
        let proxies = TrustedProxies::parse(&http.trusted_proxies);
        Ok(Self(Arc::new(Shared {
            routes: RouteIndex::new(table, &metrics),
            headers: StandardHeaders::new(ours.starts_with("https://")),
            origins: origins.map_err(|fault| SettingsFault::new("allowed_origins", fault))?,
            ours,
            proxies: proxies.map_err(|fault| SettingsFault::new("trusted_proxies", fault))?,
            ids,
            metrics,
            deadline: Duration::from_millis(http.request_timeout_ms),
            body_idle: Duration::from_millis(http.body_idle_timeout_ms),
            most_body: http.max_body_bytes,
            json_depth: http.max_json_depth,
            overload: None,
            callers: OnceLock::new(),
            controls: OnceLock::new(),
            traces: OnceLock::new(),
        })))
    }

    /// The same with this protection against overload. To be given before the settings are shared; later it changes
    /// nothing.
    #[must_use]
    pub fn with_overload(mut self, overload: &Overload) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.overload = Some(overload.clone());
        }
        self
    }

    /// Limits how often an address may call what needs no token. Without this nothing is limited.
    #[must_use]
    pub fn limited_by(self, limits: Arc<limits::Limits>) -> Self {
        self.0.callers.get_or_init(|| limits);
        self
    }

    /// Refuses what belongs to a part that is off. Without this nothing is ever off.
    #[must_use]
    pub fn controlled_by(self, controls: Arc<Controls>) -> Self {
        self.0.controls.get_or_init(|| controls);
        self
    }

    /// Notes what is done for each request. Without this a request only has the id of a trace.
    #[must_use]
    pub fn traced_by(self, traces: &Traces) -> Self {
        self.0.traces.get_or_init(|| traces.clone());
        self
    }

    /// The most SQL statements that one request of each route has taken since the start: template, method, what the
    /// table grants, and the most. In this process only.
    #[must_use]
    pub fn statements(&self) -> Vec<(String, &'static str, Policy, u32)> {
        self.0.routes.statements()
    }
}

/// An IPv6 address as it stands in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// Puts the stack around a router whose state is set. It belongs outermost, and once.
pub fn wrap(router: Router, settings: Settings) -> Router {
    router.layer(Stack(settings.0))
}

#[derive(Clone)]
struct Stack(Arc<Shared>);

impl<S> Layer<S> for Stack {
    type Service = Wrapped<S>;

    fn layer(&self, inner: S) -> Wrapped<S> {
        Wrapped { inner, shared: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Wrapped<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Request> for Wrapped<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let caller = match self.shared.look(&request) {
            Look::TurnedAway(response) => return Box::pin(std::future::ready(Ok(response))),
            Look::Passes(caller) => caller,
        };
        let shared = Arc::clone(&self.shared);
        let inner = self.inner.clone();
        Box::pin(async move { Ok(shared.answer(inner, request, caller).await) })
    }
}

/// What the looks of a request's token say, while the queue stands.
enum Look {
    /// There is no place for this caller.
    TurnedAway(Response),
    /// The request is to be looked at closely. Whose token it carries is told as soon as it is known.
    Passes(Option<Caller>),
}

impl Shared {
    fn route(&self, request: &Request) -> &Arc<Route> {
        let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        self.routes.find(template, request.method())
    }

    /// Refuses a request whose token was checked a few requests ago and that would find no place, before anything else is
    /// done for it. Not one that needs no token, where the header says nothing, nor one that is refused for its form.
    fn look(&self, request: &Request) -> Look {
        let known = self.overload.as_ref().zip(request.headers().get(header::AUTHORIZATION));
        let known = known.and_then(|(overload, token)| Some((overload, overload.caller(token)?)));
        let Some((overload, caller)) = known else { return Look::Passes(None) };
        let route = self.route(request);
        let cors = Cors { ours: &self.ours, allowed: &self.origins };
        // What is not in the table is always answered; whatever asks for a token needs a place.
        let refusable = route.priority != Priority::Always && !is_public(route);
        if !refusable || self.refuse(request, self.most_body(route), &cors).is_some() {
            return Look::Passes(Some(caller));
        }
        let Some(problem) = overload.turn_away(caller, route.priority) else { return Look::Passes(Some(caller)) };
        let request_id = self.proxies.request_id(peer_of(request), request.headers(), &self.ids);
        let mut response = problem.into_response();
        self.finish(&mut response, route, request_id, cors.granted(request.headers()));
        route.count_refused();
        Look::TurnedAway(response)
    }

    /// Writes what every answer carries. Whether the answer is left out of the log.
    fn finish(
        &self,
        response: &mut Response,
        route: &Route,
        request_id: RequestId,
        granted: Option<HeaderValue>,
    ) -> bool {
        let mut unlogged = false;
        if let Some(problem) = Problem::take(response) {
            unlogged = problem.is_shed();
            problem.log(request_id, &route.template);
            problem.write(response, request_id);
        }
        let headers = response.headers_mut();
        self.headers.apply(headers);
        Cors { ours: &self.ours, allowed: &self.origins }.apply(granted, headers);
        if let Ok(id) = HeaderValue::from_str(request_id.uuid().hyphenated().encode_lower(&mut [0; 36])) {
            headers.insert(X_REQUEST_ID, id);
        }
        unlogged
    }

    async fn answer<S>(&self, inner: S, request: Request, caller: Option<Caller>) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let route = Arc::clone(self.route(&request));
        let context = self.context(&request, &route, caller);
        let trail = self.trail(&request, context.request_id);
        trail.clone().within(self.answer_as(inner, request, route, context, trail)).await
    }

    /// Where what is done for the request is noted.
    fn trail(&self, request: &Request, id: RequestId) -> Trail {
        let (given, trusted) = self.proxies.trace(peer_of(request), request.headers());
        self.traces.get_or_init(Traces::default).of_request(id, given, trusted)
    }

    /// The same, once it is known which request it is.
    async fn answer_as<S>(
        &self,
        inner: S,
        mut request: Request,
        route: Arc<Route>,
        context: RequestContext,
        trail: Trail,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let mut exchange = Exchange::new(route, &context, trail, request.method(), &self.metrics);
        let cors = Cors { ours: &self.ours, allowed: &self.origins };
        let granted = cors.granted(request.headers());
        let leaving = Leaving(context.admission.clone());
        let tally = context.tally.clone();
        let refusal = self.refuse(&request, context.limits.body, &cors).or_else(|| self.switched_off(&exchange.route));
        let refusal = match refusal {
            None => self.limit(&context).await,
            refusal => refusal,
        };
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => {
                let (most, call) = (context.limits.body, context.call.clone());
                let complete = self.bound(&mut request, most);
                request.extensions_mut().insert(context);
                self.run(inner, request, call, complete, &exchange).await
            }
        };
        // What was refused early says nothing about the work, and neither does what had none.
        let status = response.status();
        let failed = status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
        leaving.answered(!failed && !is_public(&exchange.route) && exchange.call.statements() > 0);
        exchange.unlogged = self.finish(&mut response, &exchange.route, exchange.request_id, granted);
        tally.write(response.headers_mut());
        exchange.answered(response.status());
        response
    }

    fn context(&self, request: &Request, route: &Route, caller: Option<Caller>) -> RequestContext {
        let peer = peer_of(request);
        let policy = route.policy;
        RequestContext {
            request_id: self.proxies.request_id(peer, request.headers(), &self.ids),
            call: Call::within(policy.and_then(|policy| policy.deadline).unwrap_or(self.deadline)),
            client_address: self.proxies.client_address(peer, request.headers()),
            same_origin: Cors { ours: &self.ours, allowed: &self.origins }.same_origin(request.headers()),
            route: Arc::clone(&route.template),
            tally: Tally::default(),
            policy,
            limits: Limits { body: self.most_body(route), json_depth: self.json_depth },
            admission: self.admission(route, caller),
        }
    }

    /// The largest body of this route, in bytes.
    fn most_body(&self, route: &Route) -> usize {
        route.policy.and_then(|policy| policy.body).unwrap_or(self.most_body)
    }

    /// Not where there is no work in the store to protect.
    fn needs_a_place(&self, route: &Route) -> bool {
        route.policy.is_some_and(|policy| policy.statements > 0 || policy.access != Access::Public)
    }

    /// The place that a request will need, if it needs one.
    fn admission(&self, route: &Route, caller: Option<Caller>) -> Option<Admission> {
        let overload = self.overload.as_ref().filter(|_| self.needs_a_place(route))?;
        Admission::new(overload, caller, route.priority, route.number)
    }

    /// What is answered without asking the handler. `most` bounds the body, in bytes.
    fn refuse(&self, request: &Request, most: usize, cors: &Cors<'_>) -> Option<Response> {
        let problem = if request.extensions().get::<Peer>().is_some_and(|peer| !peer.host_named) {
            Problem::new(StatusCode::BAD_REQUEST, "bad_request", "The request must name its host, once.")
        } else if request.uri().path_and_query().is_some_and(|address| address.as_str().len() > LONGEST_URI) {
            let detail = format!("The address is longer than {LONGEST_URI} bytes.");
            Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail)
        } else if body::declared_length(request.headers()).is_some_and(|length| length > most as u64) {
            body::too_large(most)
        } else {
            return cors.preflight(request.method(), request.headers());
        };
        Some(problem.into_response())
    }

    /// Refuses what belongs to a part that an operator has turned off.
    fn switched_off(&self, route: &Route) -> Option<Response> {
        let part = route.policy.and_then(|policy| policy.part)?;
        let off = self.controls.get()?.check(part).err()?;
        Some(Problem::from(off).into_response())
    }

    /// Refuses what needs no token and comes too often from one address. Members are looked at where they are known.
    async fn limit(&self, context: &RequestContext) -> Option<Response> {
        let policy = context.policy.filter(|policy| policy.access == Access::Public)?;
        let verdict = self.callers.get()?.public(policy.limit, context.client_address).await;
        let problem = (!verdict.passes()).then(|| verdict.problem());
        context.tally.add(verdict);
        problem.map(IntoResponse::into_response)
    }

    /// Bounds the request's body, if it has one. The flag tells whether all of it has come.
    fn bound(&self, request: &mut Request, most: usize) -> Option<Arc<AtomicBool>> {
        if request.body().is_end_stream() {
            return None;
        }
        let inner = std::mem::take(request.body_mut());
        let (bounded, complete) = BoundedBody::new(inner, Bounds { most, idle: self.body_idle });
        *request.body_mut() = Body::new(bounded);
        Some(complete)
    }

    /// Runs the handler until the head of its response.
    async fn run<S>(
        &self,
        mut inner: S,
        request: Request,
        call: Call,
        body: Option<Arc<AtomicBool>>,
        exchange: &Exchange,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let context = request.extensions().get::<RequestContext>();
        let entering = context.filter(|_| is_public(&exchange.route)).cloned();
        let work = async {
            // With a token it is known later whose the request is, and it enters then.
            if let Some(context) = entering
                && let Err(problem) = context.admit(Key::address(context.client_address)).await
            {
                return Ok(problem.into_response());
            }
            if accepts_gzip(request.headers()) {
                let mut inner = Compression::new(inner).quality(CompressionLevel::Fastest).compress_when(worthwhile());
                // Boxed, so that the other requests do not carry its size about.
                Box::pin(inner.call(request)).await.map(|response| response.map(Body::new))
            } else {
                inner.call(request).await
            }
        };
        match tokio::time::timeout_at(call.deadline(), AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(panic)) => {
                self.metrics.count_panic();
                let inside = format!("panicked: {}", panic_message(&*panic));
                Problem::from(Error::internal(inside)).into_response()
            }
            // The client was too slow, not we.
            Err(_) if body.is_some_and(|complete| !complete.load(Ordering::Acquire)) => {
                body::too_slow().into_response()
            }
            Err(_) => {
                let took = exchange.elapsed();
                let inside = format!("{} ran into its deadline after {took:?}", exchange.route.template);
                Problem::from_status(StatusCode::GATEWAY_TIMEOUT).because(inside).into_response()
            }
        }
    }
}

/// The other end of the socket that a request came over.
fn peer_of(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip())
}

/// Whether a request of this route comes without a token. Its time is not compared with others': it may hash a password.
fn is_public(route: &Route) -> bool {
    route.policy.is_some_and(|policy| policy.access == Access::Public)
}

/// Whether the client takes gzip. The library is asked only then: it would answer 406, after the work was done, to a
/// client that takes no encoding of ours and not the plain text either.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// What is compressed: text of some size that is complete when it is sent.
fn worthwhile() -> impl Predicate {
    let text = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        let essence = media.split(';').next().unwrap_or_default().trim();
        let listed = [
            "application/json",
            "application/problem+json",
            "application/javascript",
            "application/manifest+json",
            "image/svg+xml",
        ];
        (essence.starts_with("text/") && essence != "text/event-stream") || listed.contains(&essence)
    };
    SizeAbove::new(SMALLEST_COMPRESSED).and(text)
}
