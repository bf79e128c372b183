//! Which pages may call the API from a browser (CORS), and which requests come from our own pages.

use std::collections::HashSet;

use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::Problem;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, accept, idempotency-key, last-event-id, if-none-match");
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("x-request-id, retry-after, ratelimit, ratelimit-policy, etag");
/// How long a browser may remember a preflight: two hours, the most that Chromium does.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers");
const ORIGIN: HeaderValue = HeaderValue::from_static("origin");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why an origin in the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{origin}\" {detail}")]
pub struct OriginFault {
    origin: String,
    detail: &'static str,
}

/// The origin of an address as browsers send it: scheme, host and a port that is not the usual one.
///
/// # Errors
/// When it is no http or https address.
pub fn origin_of(address: &str) -> Result<String, OriginFault> {
    let fault = |detail| OriginFault { origin: address.to_owned(), detail };
    let uri: Uri = address.parse().map_err(|_| fault("is not an address"))?;
    let scheme = uri.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
    let scheme = scheme.ok_or_else(|| fault("must begin with http:// or https://"))?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| fault("names no host"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(fault("must not hold a user"));
    }
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{scheme}://{}{port}", host.to_ascii_lowercase()))
}

/// A pattern such as `https://*.example.com`: what stands before and after the star.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wildcard {
    scheme: String,
    suffix: String,
}

/// The origins that may call from a browser, besides our own.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins {
    exact: HashSet<String>,
    wildcards: Vec<Wildcard>,
}

impl AllowedOrigins {
    /// Reads the setting `http.allowed_origins`.
    ///
    /// # Errors
    /// When an entry is `*`, has a path, or has a star anywhere but as the first label of the host.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, OriginFault> {
        let mut origins = Self::default();
        for entry in entries {
            let entry = entry.as_ref();
            let fault = |detail| OriginFault { origin: entry.to_owned(), detail };
            if entry == "*" {
                return Err(fault("would let every page of the web call the API: name the origins"));
            }
            let stem = entry.replacen("://*.", "://", 1);
            let origin = origin_of(&stem)?;
            if stem.contains('*') {
                return Err(fault("may have one star, as the first label of the host: https://*.example.com"));
            }
            // What the address holds besides its origin, which a browser would never send.
            if !stem.eq_ignore_ascii_case(&origin) {
                return Err(fault("must be scheme, host and port and nothing else, without the usual port"));
            }
            if stem == entry {
                origins.exact.insert(origin);
            } else if let Some((scheme, host)) = origin.split_once("://") {
                if !host.contains('.') {
                    return Err(fault("must name a domain after the star, not all of a top level"));
                }
                origins.wildcards.push(Wildcard { scheme: format!("{scheme}://"), suffix: format!(".{host}") });
            }
        }
        Ok(origins)
    }

    /// Whether none is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// Whether this origin, as a browser sent it, may call.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        self.exact.contains(origin) || self.wildcards.iter().any(|wildcard| wildcard.matches(origin))
    }
}

impl Wildcard {
    fn matches(&self, origin: &str) -> bool {
        let labels = origin.strip_prefix(&self.scheme).and_then(|host| host.strip_suffix(&self.suffix));
        // One or more whole labels: anything else could smuggle a port, a user or another host past the suffix.
        labels.is_some_and(|labels| {
            labels.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
        })
    }
}

/// What the header `Origin` and its relatives say about a request.
pub(super) struct Cors<'a> {
    pub(super) ours: &'a str,
    pub(super) allowed: &'a AllowedOrigins,
}

impl Cors<'_> {
    /// Whether the request comes from one of our own pages, as far as a browser says so. No other client is believed
    /// anything here: it only decides whether a cookie may count.
    pub(super) fn same_origin(&self, headers: &HeaderMap) -> bool {
        headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() == self.ours.as_bytes())
            || headers.get(&SEC_FETCH_SITE).is_some_and(|site| site.as_bytes() == b"same-origin")
    }

    /// The origin to name in the answer, when it is allowed.
    pub(super) fn granted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.allowed.is_empty() {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        origin.to_str().is_ok_and(|origin| self.allowed.allow(origin)).then(|| origin.clone())
    }

    /// The answer to a preflight, when this is one.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let asks = method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        if self.granted(headers).is_none() {
            let detail = "Pages of this origin may not call the API: it is not in http.allowed_origins.";
            return Some(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail).into_response());
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        let answer = response.headers_mut();
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        answer.insert(header::VARY, PREFLIGHT_VARY);
        Some(response)
    }

    /// Adds what the browser needs to hand the answer on. Credentials are never allowed across origins.
    pub(super) fn apply(&self, granted: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.allowed.is_empty() {
            return;
        }
        if !headers.contains_key(header::ACCESS_CONTROL_MAX_AGE) {
            headers.append(header::VARY, ORIGIN);
        }
        if let Some(origin) = granted {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_origin_matches_itself_only() {
        let origins = AllowedOrigins::parse(&["https://app.example.com"]).expect("origins");
        assert!(origins.allow("https://app.example.com"));
        for other in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.org",
            "https://evil-app.example.com",
            "null",
            "",
        ] {
            assert!(!origins.allow(other), "{other}");
        }
    }

    #[test]
    fn a_wildcard_matches_subdomains_and_nothing_that_looks_like_one() {
        let origins = AllowedOrigins::parse(&["https://*.example.com"]).expect("origins");
        assert!(origins.allow("https://app.example.com"));
        assert!(origins.allow("https://a.b.example.com"));
        for other in [
            "https://example.com",
            "https://evil-example.com",
            "https://evilexample.com",
            "https://.example.com",
            "https://a..example.com",
            "https://evil.org/.example.com",
            "https://evil.org:1.example.com",
            "https://user@a.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.org",
            "https://*.example.com",
        ] {
            assert!(!origins.allow(other), "{other}");
        }
    }

    #[test]
    fn a_wildcard_may_name_a_port() {
        let origins = AllowedOrigins::parse(&["http://*.localhost.test:3000"]).expect("origins");
        assert!(origins.allow("http://a.localhost.test:3000"));
        assert!(!origins.allow("http://a.localhost.test"));
    }

    #[test]
    fn what_would_open_the_door_too_wide_is_refused() {
        for entry in [
            "*",
            "https://*",
            "https://*.com",
            "https://a.*.com",
            "https://*.*.example.com",
            "https://*example.com",
            "https://example.com/",
            "https://example.com/app",
            "https://example.com:443",
            "ftp://example.com",
            "example.com",
            "null",
            "",
        ] {
            assert!(AllowedOrigins::parse(&[entry]).is_err(), "{entry}");
        }
    }

    #[test]
    fn an_origin_is_read_as_browsers_send_it() {
        assert_eq!(origin_of("https://Chat.Example.com/x").as_deref(), Ok("https://chat.example.com"));
        assert_eq!(origin_of("https://example.com:443").as_deref(), Ok("https://example.com"));
        assert_eq!(origin_of("http://127.0.0.1:8080").as_deref(), Ok("http://127.0.0.1:8080"));
        assert!(origin_of("https://user@example.com").is_err());
    }

    #[test]
    fn our_own_pages_are_known_by_origin_or_by_the_browsers_word() {
        let cors = Cors { ours: "https://chat.example.com", allowed: &AllowedOrigins::default() };
        let same = |name: HeaderName, value: &'static str| {
            cors.same_origin(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
        };
        assert!(same(header::ORIGIN, "https://chat.example.com"));
        assert!(same(SEC_FETCH_SITE, "same-origin"));
        assert!(!same(header::ORIGIN, "https://chat.example.com.evil.org"));
        assert!(!same(header::ORIGIN, "null"));
        assert!(!same(SEC_FETCH_SITE, "same-site"));
        assert!(!same(SEC_FETCH_SITE, "none"));
        assert!(!cors.same_origin(&HeaderMap::new()));
    }
}
