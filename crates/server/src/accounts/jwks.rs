//! The public keys of an outside issuer: a JSON Web Key Set (RFC 7517), fetched, bounded and kept.
//!
//! Lives in one process: each node fetches for itself.
//!
//! A set is fresh for as long as its `Cache-Control` says, within bounds, and is then fetched anew by the keeper (see
//! `Issuers::keep_fresh`) while requests go on with the old one; when that fails it stays in use for a day. Requests fetch
//! by themselves only when there is no set at all or it does not have the key of a token, and seldom. There is one fetch
//! at a time: whoever needs it waits for the same one, and since a request may go away at any moment, those that remain
//! carry it on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use http::header::{ACCEPT, CACHE_CONTROL};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::time::Instant;

use super::issuers::HttpSettings;

/// The most keys of a set.
const MOST_KEYS: usize = 50;
/// How long a set is fresh when the answer does not say, and the bounds of what it may say.
const DEFAULT_AGE: Duration = Duration::from_secs(60 * 60);
const LEAST_AGE: Duration = Duration::from_secs(5 * 60);
const MOST_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a set that is no longer fresh stays in use while it cannot be fetched.
const MOST_STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long lies at least between two fetches, when a token names a key that is not in the set.
const UNKNOWN_KEY_GAP: Duration = Duration::from_secs(30);
/// The longest pause after failures; the first is two seconds, each further one twice as long.
const MOST_PAUSE: Duration = Duration::from_secs(30);

/// A set of keys that can verify.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<PublicKey>);

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// What a set has for a token.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The key.
    Key(&'a DecodingKey),
    /// There is a key of that name, but not for this algorithm.
    Unfit,
    /// There is no key of that name.
    Unknown,
}

/// A JWK as it is published (RFC 7517, section 4; RFC 7518, section 6; RFC 8037). Private members are not even read.
#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys that are not for verifying, or of a kind that is not taken, are left out (RFC 7517, section 5).
    ///
    /// # Errors
    /// Says why the whole cannot be a set.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<serde_json::Value>,
        }
        let published: Published = serde_json::from_slice(json).map_err(|fault| format!("not a key set: {fault}"))?;
        if published.keys.len() > MOST_KEYS {
            return Err(format!("{} keys; at most {MOST_KEYS} are taken", published.keys.len()));
        }
        let keys = published.keys.into_iter().filter_map(|key| serde_json::from_value::<PublishedKey>(key).ok());
        Ok(Self(keys.filter_map(PublishedKey::usable).collect()))
    }

    /// The key of a token. Without a name it is the only key of the set, if it has only one.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        let named: Vec<&PublicKey> = match id {
            Some(id) => self.0.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
            None if self.0.len() == 1 => self.0.iter().collect(),
            None => Vec::new(),
        };
        match named.iter().find(|key| key.algorithms.contains(&algorithm)) {
            Some(found) => Found::Key(&found.key),
            None if named.is_empty() => Found::Unknown,
            None => Found::Unfit,
        }
    }
}

impl PublishedKey {
    fn usable(self) -> Option<PublicKey> {
        let verifies = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
        if !verifies {
            return None;
        }
        let (kinds, key): (&[Algorithm], DecodingKey) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (modulus, exponent) = (number(self.n.as_deref()?)?, number(self.e.as_deref()?)?);
                // 2048 to 8192 bits, and an exponent that ring takes; it checks both again.
                if !(256..=1024).contains(&modulus.len()) || !(1..=5).contains(&exponent.len()) {
                    return None;
                }
                let kinds = &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];
                (kinds, DecodingKey::from_rsa_raw_components(&modulus, &exponent))
            }
            ("EC", Some("P-256")) => (&[Algorithm::ES256], point(&self, 32)?),
            ("EC", Some("P-384")) => (&[Algorithm::ES384], point(&self, 48)?),
            ("OKP", Some("Ed25519")) => {
                let bytes = decode(self.x.as_deref()?).filter(|bytes| bytes.len() == 32)?;
                (&[Algorithm::EdDSA], DecodingKey::from_ed_der(&bytes))
            }
            _ => return None,
        };
        let fits = |kind: &&Algorithm| self.alg.as_deref().is_none_or(|alg| algorithm_named(alg) == Some(**kind));
        let algorithms: Vec<Algorithm> = kinds.iter().filter(fits).copied().collect();
        (!algorithms.is_empty()).then_some(PublicKey { id: self.kid, algorithms, key })
    }
}

/// The algorithm of this name, of those that are ever taken.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A number without leading zeros: some issuers publish one, ring takes none.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decode(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// The uncompressed point of an elliptic curve with coordinates of so many bytes. That it lies on the curve, ring checks.
fn point(key: &PublishedKey, bytes: usize) -> Option<DecodingKey> {
    let coordinate = |text: Option<&str>| decode(text?).filter(|decoded| decoded.len() == bytes);
    let (x, y) = (coordinate(key.x.as_deref())?, coordinate(key.y.as_deref())?);
    Some(DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
}

/// One fetch, shared by all that wait for it.
type Flight = Shared<BoxFuture<'static, Result<Fetched, Arc<str>>>>;

#[derive(Clone, Debug)]
struct Fetched {
    keys: Arc<KeySet>,
    age: Duration,
    at: Instant,
}

/// Where the keys of an issuer come from, and those that were last had.
#[derive(Debug)]
pub(super) struct KeySource {
    url: reqwest::Url,
    http: reqwest::Client,
    most_bytes: usize,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    set: Option<Set>,
    last_attempt: Option<Instant>,
    /// Fetches that failed since the last that did not.
    failures: u32,
    flight: Option<(u64, Flight)>,
    flights: u64,
}

#[derive(Debug)]
struct Set {
    keys: Arc<KeySet>,
    fresh_until: Instant,
}

impl Cache {
    fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => Duration::from_secs(1 << failures.min(5)).min(MOST_PAUSE),
        }
    }
}

impl KeySource {
    pub(super) fn new(url: reqwest::Url, http: reqwest::Client, settings: &HttpSettings) -> Self {
        Self { url, http, most_bytes: settings.most_bytes, cache: Mutex::default() }
    }

    /// The set that is in use, fresh or not.
    pub(super) fn cached(&self, now: Instant) -> Option<Arc<KeySet>> {
        let cache = self.cache();
        cache.set.as_ref().filter(|set| now < set.fresh_until + MOST_STALE).map(|set| Arc::clone(&set.keys))
    }

    /// Fetches because there is no set, unless that has just failed.
    pub(super) async fn fetch_first(&self) {
        let pause = self.cache().pause();
        self.fetch(pause).await;
    }

    /// Fetches because a token names a key that the set does not have, at most once in thirty seconds. False when the
    /// last fetch failed, so that it cannot be told whether there is such a key by now.
    pub(super) async fn fetch_unknown(&self) -> bool {
        self.fetch(UNKNOWN_KEY_GAP).await;
        self.cache().failures == 0
    }

    /// Fetches when it is time to. Answers when it will be time again.
    pub(super) async fn keep(&self) -> Instant {
        if self.due() <= Instant::now() {
            self.fetch(Duration::ZERO).await;
        }
        self.due()
    }

    fn due(&self) -> Instant {
        let cache = self.cache();
        match (&cache.set, cache.last_attempt) {
            (Some(set), _) if cache.failures == 0 => set.fresh_until,
            (_, Some(last)) => last + cache.pause().max(Duration::from_secs(1)),
            (_, None) => Instant::now(),
        }
    }

    /// Joins the fetch that is under way, or begins one if the last began at least this long ago; waits for it.
    async fn fetch(&self, gap: Duration) {
        let now = Instant::now();
        let (number, flight) = {
            let mut cache = self.cache();
            match &cache.flight {
                Some(under_way) => under_way.clone(),
                None if cache.last_attempt.is_some_and(|last| now < last + gap) => return,
                None => {
                    let fetch = fetch(self.http.clone(), self.url.clone(), self.most_bytes);
                    let flight = fetch.map(|result| result.map_err(Arc::from)).boxed().shared();
                    cache.last_attempt = Some(now);
                    cache.flights += 1;
                    let begun = (cache.flights, flight);
                    cache.flight = Some(begun.clone());
                    begun
                }
            }
        };
        let result = flight.await;
        self.land(number, result);
    }

    /// Keeps what a fetch gave. All that waited for it come here; the first does it.
    fn land(&self, number: u64, result: Result<Fetched, Arc<str>>) {
        let mut cache = self.cache();
        if cache.flight.as_ref().is_none_or(|(under_way, _)| *under_way != number) {
            return;
        }
        cache.flight = None;
        match result {
            Ok(fetched) => {
                cache.failures = 0;
                cache.set = Some(Set { keys: fetched.keys, fresh_until: fetched.at + fetched.age });
            }
            Err(reason) => {
                cache.failures = cache.failures.saturating_add(1);
                let stale = cache.set.is_some();
                tracing::warn!(url = %self.url, %reason, stale, "the keys of an issuer of tokens cannot be had");
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_fetching(&self) -> bool {
        self.cache().flight.is_some()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(http: reqwest::Client, url: reqwest::Url, most_bytes: usize) -> Result<Fetched, String> {
    let mut answer = http.get(url).header(ACCEPT, "application/json").send().await.map_err(describe)?;
    // A redirect is no answer: the address that is trusted is the one that was configured.
    if answer.status() != http::StatusCode::OK {
        return Err(format!("it answered {}", answer.status()));
    }
    let age = age(answer.headers());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(format!("the answer has more than {most_bytes} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let keys = KeySet::parse(&body)?;
    Ok(Fetched { keys: Arc::new(keys), age, at: Instant::now() })
}

/// How long an answer is fresh: the `max-age` of its `Cache-Control` (RFC 9111, section 5.2.2.1) within our bounds.
fn age(headers: &http::HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    for directive in directives.flat_map(|value| value.split(',')).map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return LEAST_AGE;
        }
        if name.eq_ignore_ascii_case("max-age")
            && let Ok(seconds) = value.trim_matches('"').parse()
        {
            return Duration::from_secs(seconds).clamp(LEAST_AGE, MOST_AGE);
        }
    }
    DEFAULT_AGE
}

/// The whole chain of causes, without the address.
fn describe(fault: reqwest::Error) -> String {
    let fault = fault.without_url();
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(&fault);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
