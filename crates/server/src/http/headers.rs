//! The headers that every answer carries, made once.

use axum::http::HeaderMap;
use axum::http::header::{self, HeaderName, HeaderValue};

/// Whether a request says in `If-None-Match` (RFC 9110, section 13.1.2) that it knows what has this `ETag`.
pub(crate) fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut known = lines.flat_map(|line| line.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    known.any(|one| one == tag || one == "*")
}

/// What a page may load: only our own files, nothing inline, and what is added to styles and to the rest.
macro_rules! page_policy {
    ($styles:literal, $more:literal) => {
        HeaderValue::from_static(concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'",
            $styles,
            "; img-src 'self' data:; connect-src 'self'; ",
            "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; ",
            "frame-ancestors 'none'",
            $more
        ))
    };
}

/// What pages may load.
const PAGE_POLICY: HeaderValue = page_policy!("", "");

/// What a page sets itself on which recordings of calls are heard: they are at addresses of the provider, known only with each
/// call, and come without credentials and without the headers that isolate pages otherwise.
pub(crate) fn listening() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CONTENT_SECURITY_POLICY, page_policy!("", "; media-src https:")),
        (HeaderName::from_static("cross-origin-embedder-policy"), HeaderValue::from_static("credentialless")),
    ]
}

/// What a page sets itself on which recordings of pages are played: the player makes a sheet with nothing in it, and fills it by
/// script. The digest is that of nothing; a sheet with one letter in it is refused as everywhere.
pub(crate) fn playing() -> [(HeaderName, HeaderValue); 1] {
    let policy = page_policy!(" 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='", "");
    [(header::CONTENT_SECURITY_POLICY, policy)]
}

/// Everything that is not a page loads nothing.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Every feature that browsers let a page ask for is off, except the microphone, for speech, and writing to the clipboard,
/// for copying a reply. Only names that Chromium knows: it complains about each other one on the console of every page.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), clipboard-write=(self), \
     compute-pressure=(), display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), \
     gyroscope=(), hid=(), identity-credentials-get=(), idle-detection=(), interest-cohort=(), local-fonts=(), \
     magnetometer=(), microphone=(self), midi=(), otp-credentials=(), payment=(), picture-in-picture=(), \
     publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), \
     speaker-selection=(), storage-access=(), usb=(), window-management=(), xr-spatial-tracking=()",
);

const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains; preload");

/// The headers whose value never varies.
const FIXED: [(HeaderName, HeaderValue); 8] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-embedder-policy"), HeaderValue::from_static("require-corp")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The headers of this installation: one whole map for pages and one for everything else, since copying a map is cheaper
/// than filling one.
pub(super) struct StandardHeaders {
    page: HeaderMap,
    data: HeaderMap,
}

impl StandardHeaders {
    /// `https`: whether people reach the server over TLS. HSTS without it would lock them out.
    pub(super) fn new(https: bool) -> Self {
        // Room for what handlers and the stack add.
        let mut all = HeaderMap::with_capacity(24);
        all.extend(FIXED);
        if https {
            all.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
        }
        let (mut page, mut data) = (all.clone(), all);
        page.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        data.insert(header::CONTENT_SECURITY_POLICY, DATA_POLICY);
        Self { page, data }
    }

    /// Adds them. What a handler has set itself stays: an image in an email is read across origins.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        let page = headers.get(header::CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"text/html"));
        let all = if page { self.page.clone() } else { self.data.clone() };
        let own = std::mem::replace(headers, all);
        // Each name of its own replaces ours, with all of its values.
        headers.extend(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(https: bool, before: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.insert(name, HeaderValue::from_static(value));
        }
        StandardHeaders::new(https).apply(&mut headers);
        headers
    }

    #[test]
    fn where_recordings_are_played_an_empty_sheet_may_be_made_and_nothing_else() {
        use base64::Engine as _;
        let nothing = ring::digest::digest(&ring::digest::SHA256, b"");
        let nothing = base64::engine::general_purpose::STANDARD.encode(nothing);
        let [(_, policy)] = playing();
        let (policy, usual) = (policy.to_str().expect("text"), PAGE_POLICY);
        assert_eq!(policy.replace(&format!(" 'sha256-{nothing}'"), ""), usual.to_str().expect("text"));
        assert_ne!(policy, usual);
    }

    #[test]
    fn pages_and_data_have_their_own_policy_and_neither_allows_inline() {
        let page = applied(true, &[(header::CONTENT_TYPE, "text/html; charset=utf-8")]);
        assert_eq!(page[header::CONTENT_SECURITY_POLICY], PAGE_POLICY);
        assert!(page[header::CONTENT_SECURITY_POLICY].to_str().is_ok_and(|policy| !policy.contains("unsafe")));
        let data = applied(true, &[(header::CONTENT_TYPE, "application/json")]);
        assert_eq!(data[header::CONTENT_SECURITY_POLICY], "default-src 'none'; frame-ancestors 'none'");
    }

    #[test]
    fn transport_security_is_for_https_only() {
        assert_eq!(
            applied(true, &[])[header::STRICT_TRANSPORT_SECURITY],
            "max-age=31536000; includeSubDomains; preload"
        );
        assert!(!applied(false, &[]).contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn a_handler_has_the_last_word() {
        let headers = applied(true, &[(header::CACHE_CONTROL, "public, max-age=60")]);
        assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=60");
        assert_eq!(applied(true, &[])[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn several_values_of_one_header_stay() {
        let mut headers = HeaderMap::new();
        for value in ["a=1", "b=2"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(value));
        }
        headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        StandardHeaders::new(true).apply(&mut headers);
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        let policies: Vec<_> = headers.get_all(header::CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(policies, ["sandbox"]);
    }

    #[test]
    fn only_the_microphone_and_copying_are_left_on() {
        let policy = PERMISSIONS.to_str().expect("text").to_owned();
        let on: Vec<_> = policy.split(", ").filter(|feature| !feature.ends_with("=()")).collect();
        assert_eq!(on, ["clipboard-write=(self)", "microphone=(self)"]);
    }
}
