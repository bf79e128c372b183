//! Every scheme against the vectors of its source, and against what must be refused.

mod fastspring;
mod generic;
mod properties;
mod secrets;
mod standard;
mod twilio;
mod vapi;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use mainstay_domain::Secret;

use super::*;

/// A moment in seconds since 1970, as the vectors have it.
const SIGNED_AT: i64 = 1_700_000_000;

fn secrets(texts: &[&str]) -> Secrets {
    Secrets::text(&listed(texts)).unwrap()
}

fn listed(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
}

fn name(text: &str) -> HeaderName {
    text.parse().unwrap()
}

/// A request that can be changed before it is checked.
#[derive(Clone)]
struct Request {
    headers: HeaderMap,
    url: String,
    body: Vec<u8>,
    now: Timestamp,
}

impl Request {
    fn new(body: &[u8]) -> Self {
        let now = Timestamp::from_millis(SIGNED_AT * 1000);
        Self { headers: HeaderMap::new(), url: "https://mainstay.example/hook".to_owned(), body: body.to_vec(), now }
    }

    fn with(mut self, header: &str, value: &str) -> Self {
        self.headers.insert(name(header), HeaderValue::from_str(value).unwrap());
        self
    }

    fn with_twice(mut self, header: &str) -> Self {
        let value = self.headers[header].clone();
        self.headers.append(name(header), value);
        self
    }

    fn without(mut self, header: &str) -> Self {
        self.headers.remove(header).unwrap();
        self
    }

    fn at(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    fn saying(self, body: &[u8]) -> Self {
        Self { body: body.to_vec(), ..self }
    }

    fn with_form(self) -> Self {
        self.with(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded; charset=UTF-8")
    }

    fn later(self, millis: i64) -> Self {
        Self { now: Timestamp::from_millis(self.now.as_millis() + millis), ..self }
    }

    fn verify(&self, scheme: &Scheme) -> Result<(), Refused> {
        scheme.verify(&Incoming { headers: &self.headers, url: &self.url, body: &self.body, now: self.now })
    }

    fn code(&self, scheme: &Scheme) -> &'static str {
        self.verify(scheme).map_or_else(|refused| refused.code(), |()| "good")
    }
}

/// What every scheme refuses that has a signature in this header, shown on a request that is good.
fn refuses_the_usual(scheme: &Scheme, good: &Request, signature: &str) {
    assert_eq!(good.verify(scheme), Ok(()));
    assert_eq!(good.clone().without(signature).code(scheme), "signature_missing");
    assert_eq!(good.clone().with_twice(signature).code(scheme), "signature_malformed");
    for bad in ["", " ", "not a signature", "v1,", "é"] {
        let mut request = good.clone();
        request.headers.insert(name(signature), HeaderValue::from_bytes(bad.as_bytes()).unwrap());
        assert_eq!(request.code(scheme), "signature_malformed", "{bad:?}");
    }
    assert_eq!(good.clone().with(signature, &"A".repeat(3000)).code(scheme), "signature_malformed");
    let shorter = good.headers[signature].to_str().unwrap();
    assert_eq!(good.clone().with(signature, &shorter[..shorter.len() - 4]).code(scheme), "signature_malformed");
    assert_eq!(good.clone().saying(b"").code(scheme), "signature_mismatch");
}

/// What a scheme refuses that signs a moment five minutes old at most.
fn keeps_its_window(scheme: &Scheme, good: &Request, timestamp: &str) {
    let code = |millis| good.clone().later(millis).code(scheme);
    assert_eq!((code(0), code(300_000), code(-300_000)), ("good", "good", "good"));
    assert_eq!((code(300_001), code(-300_001)), ("signature_stale", "signature_in_future"));
    // Somebody who repeats an old request and gives it a new moment.
    let moved = good.clone().later(600_000).with(timestamp, &(SIGNED_AT + 600).to_string());
    assert_eq!(moved.code(scheme), "signature_mismatch");
    assert_eq!(good.clone().without(timestamp).code(scheme), "signature_missing");
    assert_eq!(good.clone().with_twice(timestamp).code(scheme), "signature_malformed");
    for bad in ["", "-1700000000", "+1700000000", "1700000000.0", "0x1", "99999999999999999999", "2023-11-14T22:13:20Z"]
    {
        assert_eq!(good.clone().with(timestamp, bad).code(scheme), "signature_malformed", "{bad:?}");
    }
}

#[test]
fn a_refusal_names_the_header_and_the_cure_and_never_a_value() {
    let header = name("x-signature");
    let all = [
        Refused::Missing { header: header.clone() },
        Refused::Malformed { header: header.clone(), why: "it is too long" },
        Refused::Stale { header: header.clone(), by: Duration::from_millis(1500) },
        Refused::Future { header: header.clone(), by: Duration::from_secs(7) },
        Refused::Mismatch { header, cure: "Look." },
    ];
    let codes: std::collections::HashSet<_> = all.iter().map(Refused::code).collect();
    assert_eq!(codes.len(), all.len());
    for refused in all {
        assert!(refused.detail().contains("x-signature"), "{refused}");
        assert_eq!(refused.to_string(), refused.detail());
    }
    let scheme = Scheme::Vapi(Vapi::bearer(secrets(&["the-kept-token"])));
    let told = Request::new(b"{}").with("authorization", "Bearer the-sent-token").verify(&scheme).unwrap_err();
    for text in [told.detail(), format!("{told:?}"), format!("{scheme:?}")] {
        assert!(!text.contains("-token"), "{text}");
    }
}

#[test]
fn a_window_may_be_narrow_on_one_side() {
    let window = Window { past: Duration::from_secs(60), future: Duration::ZERO };
    let header = name("x-timestamp");
    let check = |stated| window.check(&header, Timestamp::from_millis(stated), Timestamp::from_millis(100_000));
    assert_eq!((check(100_000), check(40_000)), (Ok(()), Ok(())));
    assert_eq!(check(39_000), Err(Refused::Stale { header: header.clone(), by: Duration::from_secs(1) }));
    assert_eq!(check(100_001), Err(Refused::Future { header: header.clone(), by: Duration::from_millis(1) }));
    assert!(check(i64::MIN).is_err() && check(i64::MAX).is_err());
}
