//! Sending what is kept to the collector: together, packed, again where the protocol says so.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use mainstay_domain::{Clock, Result};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::otlp::{Kept, Resource, body};
use super::{Service, SpanCounts, count};
use crate::app::Outside;
use crate::config;
use crate::outgoing::{self, Outgoing};
use crate::providers::Last;
use crate::providers::breaker::{Breaker, Verdict};
use crate::providers::retry::advice;

/// How many spans are sent together, give or take those of one request, and how long the first of them waits for others.
const TOGETHER: usize = 512;
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// How long one exchange may take, and connecting.
const DEADLINE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// How often spans are offered, and the waits between, where the collector names none. What it names is believed up to the
/// longest.
const TRIES: usize = 3;
const PAUSES: [Duration; TRIES - 1] = [Duration::from_secs(1), Duration::from_secs(4)];
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Failures in a row after which the collector is left alone, and for how long.
const BREAKER: (u32, Duration) = (3, Duration::from_secs(30));
/// Below the address of the collector, as the protocol has it.
const PATH: &str = "v1/traces";

/// Headers for the collector, as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value`, with commas between, and values that
/// may be percent-encoded (opentelemetry.io/docs/specs/otel/protocol/exporter). Nothing for what is no such list.
pub(crate) fn read_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decoded(value.trim())?;
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.trim()).ok()?, value);
    }
    Some(headers)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let [byte] = mainstay_domain::from_hexadecimal::<1>(part.get(..2)?)?;
        bytes.push(byte);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(bytes)
}

/// What an offer came to.
enum Offered {
    Taken,
    /// It never will be.
    Refused,
    /// It may be taken later; after this time, where the collector has said so.
    NotNow(Option<Duration>),
}

/// Sends spans.
pub(super) struct Exporter {
    url: Url,
    headers: HeaderMap,
    resource: Resource,
    outgoing: Outgoing,
    breaker: Breaker,
    last: Last,
    clock: Arc<dyn Clock>,
    spans: SpanCounts,
}

impl Exporter {
    /// As the settings say; nothing where no collector is set up.
    pub(super) fn new(
        settings: &config::Traces,
        resource: Resource,
        outside: &Outside,
        spans: SpanCounts,
    ) -> Result<Option<Self>> {
        let Some(url) = settings.url(PATH) else { return Ok(None) };
        let mut headers = read_headers(settings.headers.expose()).unwrap_or_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let client = outgoing::Settings::of_the_operator(CONNECT, DEADLINE, 4096);
        Ok(Some(Self {
            url,
            headers,
            resource,
            outgoing: Outgoing::with_lookup(client, Arc::clone(&outside.lookup))?,
            breaker: Breaker::new("traces", BREAKER.0, BREAKER.1),
            last: Last::default(),
            clock: Arc::clone(&outside.clock),
            spans,
        }))
    }

    pub(super) fn service(&self) -> Service {
        Service { name: "traces", needed_for: None, breaker: self.breaker.current(), last: self.last.get() }
    }

    /// Sends what comes, until nothing can come any more.
    pub(super) async fn send_all(&self, mut waiting: mpsc::Receiver<Kept>) {
        while let Some(first) = waiting.recv().await {
            let until = Instant::now() + GATHERED_FOR;
            let (mut spans, mut together) = (first.spans(), vec![first]);
            while spans < TOGETHER
                && let Ok(Some(next)) = timeout_at(until, waiting.recv()).await
            {
                spans += next.spans();
                together.push(next);
            }
            let body = packed(&body(&together, &self.resource));
            drop(together);
            let outcome = self.send(&body).await;
            count(&self.spans, outcome, spans);
        }
    }

    /// Offers the spans as often as the protocol allows. The answer is what became of them.
    async fn send(&self, body: &Bytes) -> &'static str {
        let mut pauses = PAUSES.into_iter();
        loop {
            let Ok(permit) = self.breaker.admit() else { return "left_alone" };
            let (offered, verdict) = self.offer(body.clone()).await;
            permit.settle(verdict);
            match offered {
                Offered::Taken => return "sent",
                Offered::Refused => return "refused",
                Offered::NotNow(asked) => match pauses.next() {
                    Some(pause) => sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await,
                    None => return "failed",
                },
            }
        }
    }

    async fn offer(&self, body: Bytes) -> (Offered, Verdict) {
        let answer = self.outgoing.post(&self.url, self.headers.clone(), body).await;
        let (offered, verdict, fault) = match answer {
            // Spans that it leaves out of those it takes are its own affair; it says so where people look for them.
            Ok(answer) if answer.status.is_success() => (Offered::Taken, Verdict::Healthy, None),
            Ok(answer) if matches!(answer.status.as_u16(), 429 | 502 | 503 | 504) => {
                let (after, _) = advice(&answer.headers, self.clock.as_ref());
                (Offered::NotNow(after), Verdict::Failed, Some("not_now"))
            }
            Ok(answer) => {
                let status = answer.status.as_u16();
                tracing::debug!(status, "the collector of traces refused spans");
                (Offered::Refused, Verdict::Answered, Some("refused"))
            }
            Err(_) => (Offered::NotNow(None), Verdict::Failed, Some("unreachable")),
        };
        self.last.record(fault);
        (offered, verdict)
    }
}

/// The body, packed.
fn packed(body: &serde_json::Value) -> Bytes {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    // Into memory: neither can fail.
    let _ = packer.write_all(body.to_string().as_bytes());
    packer.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_variable_has_them() {
        let headers = read_headers("authorization=Bearer%20abc, x-team = blue ,").expect("headers");
        assert_eq!(
            (headers["authorization"].as_bytes(), headers["x-team"].as_bytes()),
            (&b"Bearer abc"[..], &b"blue"[..])
        );
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(read_headers("").map(|headers| headers.len()), Some(0));
        for bad in ["abc", "a b=c", "a=%2", "a=%zz", "a=%0a"] {
            assert_eq!(read_headers(bad), None, "{bad}");
        }
    }
}
