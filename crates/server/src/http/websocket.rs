//! The opening handshake of a WebSocket (RFC 6455, section 4.2).

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use mainstay_domain::Error;

use super::Problem;

/// What RFC 6455 (1.3) appends to the key of a client.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that is as it must be.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    accept: HeaderValue,
}

impl Handshake {
    /// Looks at a request.
    ///
    /// # Errors
    /// 426 when it is no handshake, or the connection cannot be given away; `invalid_input` when its key is none.
    pub(crate) fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let accept = accept_key(&parts.headers)?;
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or_else(|| Problem::from_status(StatusCode::UPGRADE_REQUIRED))?;
        Ok(Self { upgrade, accept })
    }

    /// The socket below the request, once the answer was sent, and that answer.
    pub(crate) fn switch(self) -> (OnUpgrade, Response) {
        let headers = [
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::SEC_WEBSOCKET_ACCEPT, self.accept),
        ];
        (self.upgrade, (StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
    }
}

/// Checks the handshake (section 4.2.1) and answers its key.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Problem::from_status(StatusCode::UPGRADE_REQUIRED)
            .with_header(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::from_status(StatusCode::UPGRADE_REQUIRED)
            .with_header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).ok().is_none_or(|key| key.len() != 16) {
        let cure = "Send 16 random bytes in base64.";
        return Err(Error::invalid_field("Sec-WebSocket-Key", "invalid_key", cure).into());
    }
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    let accept = STANDARD.encode(context.finish().as_ref());
    HeaderValue::from_str(&accept).map_err(|error| Error::internal(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_handshake_of_the_standard_is_answered_as_it_says() {
        let mut good = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        assert_eq!(accept_key(&good).ok(), Some(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        for (name, bad) in [("connection", "close"), ("upgrade", "h2c"), ("sec-websocket-version", "8")] {
            let mut broken = good.clone();
            broken.insert(name, HeaderValue::from_static(bad));
            assert_eq!(accept_key(&broken).map_err(|problem| problem.status()), Err(StatusCode::UPGRADE_REQUIRED));
        }
        good.insert("sec-websocket-key", HeaderValue::from_static("short"));
        assert_eq!(accept_key(&good).map_err(|problem| problem.status()), Err(StatusCode::BAD_REQUEST));
    }
}
