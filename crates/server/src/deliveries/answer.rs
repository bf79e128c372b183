//! What an answer means: taken, to be tried again, or nobody there any more; and what is kept of it.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use mainstay_domain::{Clock, Timestamp};
use serde_json::{Map, Value};

use crate::outgoing::{Answer, Failure};

/// The most bytes of an answer's body that are kept.
const KEPT_BODY: usize = 4096;
/// The longest that an endpoint may ask to be left alone.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

/// What became of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken.
    Taken,
    /// Nobody listens there any more.
    Gone,
    /// It was not taken.
    Refused {
        /// A word for the figures.
        class: &'static str,
        /// What was wrong, for whoever owns the endpoint.
        error: String,
        /// For how long the endpoint asks to be left alone.
        rest: Option<Duration>,
    },
}

/// What an answer means (Standard Webhooks 1.0.0, "Webhook delivery"): 2xx is success, whatever else is a failure.
pub(super) fn judge(answer: &Answer, clock: &dyn Clock) -> Outcome {
    let (status, code) = (answer.status, answer.status.as_u16());
    if status.is_success() {
        return Outcome::Taken;
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let slow_down = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
    let rest = if slow_down { retry_after(&answer.headers, clock) } else { None };
    let (class, error) = match code {
        300..=399 => ("redirect", format!("The endpoint answered {code}. Redirects are not followed.")),
        429 => ("slow_down", format!("The endpoint answered {code}.")),
        400..=499 => ("client_error", format!("The endpoint answered {code}.")),
        _ => ("server_error", format!("The endpoint answered {code}.")),
    };
    Outcome::Refused { class, error, rest }
}

/// What it means that there was no whole answer.
pub(super) fn judge_failure(failure: &Failure) -> Outcome {
    Outcome::Refused { class: failure.fault.code(), error: failure.fault.detail(), rest: None }
}

/// For how long an endpoint asks to be left alone, in seconds or until a date (RFC 9110, section 10.2.3): a day at most.
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Timestamp::from_millis(date.as_millisecond()).since(clock.now())
    };
    Some(wait.min(LONGEST_REST))
}

/// Headers as they are kept: a JSON object, without what signs.
pub(super) fn kept_headers(headers: &HeaderMap) -> String {
    let shown = headers.iter().filter(|(name, _)| *name != "webhook-signature");
    let shown = shown.map(|(name, value)| {
        (name.as_str().to_owned(), Value::String(without_nul(&String::from_utf8_lossy(value.as_bytes()))))
    });
    Value::Object(shown.collect::<Map<_, _>>()).to_string()
}

/// The beginning of a body as text.
pub(super) fn kept_body(body: &[u8]) -> String {
    without_nul(&String::from_utf8_lossy(&body[..body.len().min(KEPT_BODY)]))
}

/// PostgreSQL stores no NUL in text.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests {
    use mainstay_domain::ManualClock;

    use super::*;

    fn answer(status: u16, after: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(header::RETRY_AFTER, after.parse().expect("a value"));
        }
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: bytes::Bytes::new(),
            cut: false,
            address: None,
            first_byte: Duration::ZERO,
            took: Duration::ZERO,
        }
    }

    fn rest(status: u16, after: &str) -> Option<Duration> {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
        let clock = ManualClock::new(Timestamp::from_millis(784_111_777_000));
        match judge(&answer(status, Some(after)), &clock) {
            Outcome::Refused { rest, .. } => rest,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_2xx_is_success_and_only_410_is_the_end() {
        let clock = ManualClock::new(Timestamp::EPOCH);
        for status in [200, 201, 204, 299] {
            assert_eq!(judge(&answer(status, None), &clock), Outcome::Taken);
        }
        assert_eq!(judge(&answer(410, None), &clock), Outcome::Gone);
        for (status, word) in [(302, "redirect"), (404, "client_error"), (429, "slow_down"), (503, "server_error")] {
            let outcome = judge(&answer(status, None), &clock);
            assert!(matches!(outcome, Outcome::Refused { class, .. } if class == word), "{status}: {outcome:?}");
        }
    }

    #[test]
    fn an_endpoint_may_ask_for_a_day_at_most() {
        assert_eq!(rest(429, "7"), Some(Duration::from_secs(7)));
        assert_eq!(rest(503, "Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(rest(503, "Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(rest(429, "9999999"), Some(LONGEST_REST));
        assert_eq!(rest(500, "7"), None, "only where the standard says so");
        for nonsense in ["-1", "soon", "", "1e9"] {
            assert_eq!(rest(429, nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_text_without_signatures() {
        assert_eq!(kept_body(&vec![b'a'; 10_000]).len(), KEPT_BODY);
        assert_eq!(kept_body(b"a\0b\xFF"), "a\u{FFFD}b\u{FFFD}");
        let mut headers = HeaderMap::new();
        headers.insert("webhook-signature", "v1,secret".parse().expect("a value"));
        headers.insert("webhook-id", "7".parse().expect("a value"));
        assert_eq!(kept_headers(&headers), r#"{"webhook-id":"7"}"#);
    }
}
