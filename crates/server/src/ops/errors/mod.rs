//! Error reports: each error of the log and each panic is told to a server that speaks the protocol of Sentry, with the lines
//! of the same request or job before it.
//!
//! What is told was masked as lines of the log are. A report costs whoever wrote the line nothing but a place in a queue; when
//! that is full, when the server is away or asks for rest, the report is dropped and counted: the log has it all the same.

mod envelope;
mod layer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use mainstay_domain::{Clock, Result, Timestamp, TraceContext};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::Instant;
use url::Url;

pub(crate) use self::layer::ReportsErrors;
use super::health::outside::Service;
use super::log::trail::Crumb;
use crate::app::{App, Outside};
use crate::config;
use crate::locking::lock;
use crate::outgoing::{self, Outgoing};
use crate::providers::Last;
use crate::providers::breaker::{Breaker, Verdict};
use crate::providers::retry::advice;

/// How many reports wait at the most.
const MOST_WAITING: usize = 64;
/// How many are sent within a minute at the most: a fault in a loop is known after the first.
const MOST_A_MINUTE: u32 = 60;
/// How long one exchange may take, and connecting.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// Failures in a row after which the server is left alone, and for how long.
const BREAKER: (u32, Duration) = (3, Duration::from_secs(60));
/// How long the server is left alone that asks for rest without saying for how long, and the longest that is believed.
const REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// An error that is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// What the line says.
    pub(crate) message: String,
    /// The part of the program that wrote it.
    pub(crate) target: String,
    /// Its fields, masked.
    pub(crate) fields: BTreeMap<String, String>,
    /// For which request or job, and for whom.
    pub(crate) tags: BTreeMap<&'static str, String>,
    /// The span of that request or job.
    pub(crate) span: Option<TraceContext>,
    /// The lines before it.
    pub(crate) crumbs: Vec<Crumb>,
}

/// Where reports wait: there is one log of a process, and so one queue.
static QUEUE: OnceLock<mpsc::Sender<Box<Report>>> = OnceLock::new();
static WAITING: Mutex<Option<mpsc::Receiver<Box<Report>>>> = Mutex::new(None);
static DROPPED: OnceLock<Family<WhyLabel, Counter>> = OnceLock::new();

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WhyLabel {
    why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

fn drop_one(why: &'static str) {
    DROPPED.get_or_init(Family::default).get_or_create(&WhyLabel { why }).inc();
}

/// Makes the queue that the log fills.
pub(crate) fn open_queue() {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    if QUEUE.set(sender).is_ok() {
        *lock(&WAITING) = Some(receiver);
    }
}

fn offer(report: Report) {
    match QUEUE.get().map(|queue| queue.try_send(Box::new(report))) {
        Some(Ok(())) => {}
        _ => drop_one("queue_full"),
    }
}

/// Where reports go: `https://KEY@host/PROJECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dsn {
    url: Url,
    key: String,
}

impl Dsn {
    /// Reads one (develop.sentry.dev/sdk/foundations/transport/authentication/#parsing-the-dsn).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())?;
        let key = url.username().to_owned();
        let path = url.path().trim_end_matches('/').to_owned();
        let (before, project) = path.rsplit_once('/')?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) || project.is_empty() {
            return None;
        }
        let api = format!("{before}/api/{project}/envelope/");
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_query(None);
        url.set_path(&api);
        Some(Self { url, key })
    }
}

/// Whether errors can be told there.
pub(crate) fn is_dsn(text: &str) -> bool {
    Dsn::parse(text).is_some()
}

/// Sends reports.
pub struct ErrorReports {
    dsn: Option<Dsn>,
    environment: String,
    outgoing: Outgoing,
    breaker: Breaker,
    last: Last,
    clock: Arc<dyn Clock>,
    outside: Outside,
    sent: Family<OutcomeLabel, Counter>,
}

impl std::fmt::Debug for ErrorReports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErrorReports").field("on", &self.dsn.is_some()).finish_non_exhaustive()
    }
}

impl ErrorReports {
    /// As the settings say.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(settings: &config::Errors, outside: &Outside, registry: &mut Registry) -> Result<Self> {
        let client = outgoing::Settings::of_the_operator(CONNECT, DEADLINE, 1024);
        let sent = Family::default();
        registry.register("mainstay_error_reports", "Error reports by what came of them", Family::clone(&sent));
        let dropped = DROPPED.get_or_init(Family::default).clone();
        registry.register("mainstay_error_reports_dropped", "Error reports that were not sent, by why", dropped);
        Ok(Self {
            dsn: Dsn::parse(settings.dsn.expose()),
            environment: settings.environment.clone(),
            outgoing: Outgoing::with_lookup(client, Arc::clone(&outside.lookup))?,
            breaker: Breaker::new("error reports", BREAKER.0, BREAKER.1),
            last: Last::default(),
            clock: Arc::clone(&outside.clock),
            outside: outside.clone(),
            sent,
        })
    }

    /// How the server is, where one is set up.
    pub(crate) fn service(&self) -> Option<Service> {
        self.dsn.as_ref().map(|_| Service {
            name: "error_reports",
            needed_for: None,
            breaker: self.breaker.current(),
            last: self.last.get(),
        })
    }

    async fn send_all(&self, dsn: &Dsn, mut waiting: mpsc::Receiver<Box<Report>>) {
        let (mut rests_until, mut minute) = (None::<Instant>, (Instant::now(), 0));
        while let Some(report) = waiting.recv().await {
            let now = Instant::now();
            if now.saturating_duration_since(minute.0) >= Duration::from_secs(60) {
                minute = (now, 0);
            }
            if minute.1 >= MOST_A_MINUTE {
                drop_one("too_many");
            } else if rests_until.is_some_and(|until| now < until) {
                drop_one("asked_for_rest");
            } else if let Ok(permit) = self.breaker.admit() {
                minute.1 += 1;
                let (verdict, rest) = self.send(dsn, &report).await;
                permit.settle(verdict);
                rests_until = rest.map(|rest| Instant::now() + rest);
            } else {
                drop_one("left_alone");
            }
        }
    }

    async fn send(&self, dsn: &Dsn, report: &Report) -> (Verdict, Option<Duration>) {
        let now: Timestamp = self.clock.now();
        let mut bytes = [0; 16];
        self.outside.entropy.fill(&mut bytes);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let body = envelope::envelope(report, id, now, &self.environment);
        let auth = format!(
            "Sentry sentry_version=7, sentry_client=mainstay/{}, sentry_key={}",
            env!("CARGO_PKG_VERSION"),
            dsn.key
        );
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-sentry-envelope"));
        if let Ok(auth) = HeaderValue::from_str(&auth) {
            headers.insert(HeaderName::from_static("x-sentry-auth"), auth);
        }
        let (outcome, verdict, rest) = match self.outgoing.post(&dsn.url, headers, body.into()).await {
            Ok(answer) if answer.status.is_success() => ("accepted", Verdict::Healthy, None),
            Ok(answer) if answer.status.as_u16() == 429 => {
                let (after, _) = advice(&answer.headers, self.clock.as_ref());
                ("rested", Verdict::Answered, Some(after.unwrap_or(REST).min(LONGEST_REST)))
            }
            Ok(answer) if answer.status.is_client_error() => ("refused", Verdict::Answered, None),
            // Not an error of the log: that would be told, and fail again.
            Ok(_) | Err(_) => ("failed", Verdict::Failed, None),
        };
        self.last.record((outcome != "accepted").then_some(outcome));
        self.sent.get_or_create(&OutcomeLabel { outcome }).inc();
        (verdict, rest)
    }
}

/// Starts sending, where a server is set up.
pub fn start(app: &Arc<App>) {
    let waiting = lock(&WAITING).take();
    let (Some(dsn), Some(waiting)) = (app.watching.error_reports.dsn.clone(), waiting) else { return };
    let sender = Arc::clone(app);
    app.lifecycle.spawn_until_drained("error reports", async move {
        sender.watching.error_reports.send_all(&dsn, waiting).await
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_says_where_and_with_which_key() {
        let dsn = Dsn::parse("https://abc123@sentry.example.com/7").expect("a DSN");
        assert_eq!((dsn.url.as_str(), dsn.key.as_str()), ("https://sentry.example.com/api/7/envelope/", "abc123"));
        let dsn = Dsn::parse("http://abc:old@127.0.0.1:9000/below/7/").expect("a DSN");
        assert_eq!((dsn.url.as_str(), dsn.key.as_str()), ("http://127.0.0.1:9000/below/api/7/envelope/", "abc"));
        for bad in ["", "https://sentry.example.com/7", "https://abc@sentry.example.com/", "ftp://abc@host/7", "abc"] {
            assert_eq!(Dsn::parse(bad), None, "{bad}");
        }
    }
}
