//! `Idempotency-Key`: a client repeats a request without doing it twice.
//!
//! The key is stored by the transaction that does the work and points to what was made; nothing here keeps an answer. A
//! repeat reads what was made and gets the same answer, for 24 hours; the same key for another request is refused. What was
//! refused or failed is not remembered.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use mainstay_domain::{Error, IdempotencyKey, Kind, Result};
use mainstay_store::{Claim, Used};
use serde::Serialize;
use uuid::Uuid;

/// The name of the header.
pub const HEADER: &str = "idempotency-key";

/// The header of a request, not looked at yet. As an extractor it never fails.
#[derive(Clone, Debug)]
pub struct Idempotency(Option<Result<String, ()>>);

impl<S: Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get(HEADER);
        Ok(Self(value.map(|value| value.to_str().map(str::to_owned).map_err(drop))))
    }
}

impl Idempotency {
    /// What the request claims: its key, and a digest of the operation and the body. Nothing without a header.
    ///
    /// # Errors
    /// `invalid_input` when the key is not well formed.
    pub fn claim<T: Serialize>(self, operation: &str, body: &T) -> Result<Option<Claim>> {
        let Some(value) = self.0 else { return Ok(None) };
        let key = IdempotencyKey::parse(&value.unwrap_or_default())
            .map_err(|refused| Error::invalid(vec![refused.of("Idempotency-Key")]))?;
        let body = serde_json::to_vec(body).map_err(Error::internal)?;
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(operation.as_bytes());
        context.update(&[0]);
        context.update(&body);
        let fingerprint = mainstay_domain::hexadecimal(context.finish().as_ref());
        Ok(Some(Claim { key, fingerprint }))
    }
}

/// What a key was used for, when it was this same request.
///
/// # Errors
/// `idempotency_key_reused` when it was another.
pub fn same(used: &Used, operation: &str, fingerprint: Option<&str>) -> Result<Uuid> {
    if used.operation == operation && Some(used.fingerprint.as_str()) == fingerprint {
        return Ok(used.resource_id);
    }
    let detail = "This Idempotency-Key was used for another request. Take a new key for a new request.";
    Err(Error::new(Kind::KeyReused, "idempotency_key_reused", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(key: &str, operation: &str, body: &str) -> Option<Claim> {
        Idempotency(Some(Ok(key.to_owned()))).claim(operation, &body).expect("a good key")
    }

    #[test]
    fn another_request_has_another_fingerprint() {
        let first = claim("k", "message", "hello").expect("a claim");
        assert_eq!(Some(first.clone()), claim("k", "message", "hello"));
        assert_ne!(Some(first.fingerprint.clone()), claim("k", "message", "other").map(|claim| claim.fingerprint));
        assert_ne!(Some(first.fingerprint.clone()), claim("k", "api_key", "hello").map(|claim| claim.fingerprint));
        let used =
            Used { operation: "message".to_owned(), fingerprint: first.fingerprint.clone(), resource_id: Uuid::nil() };
        assert_eq!(same(&used, "message", Some(&first.fingerprint)).ok(), Some(Uuid::nil()));
        assert_eq!(same(&used, "message", Some("x")).map_err(|error| error.code), Err("idempotency_key_reused"));
        assert_eq!(same(&used, "api_key", Some(&first.fingerprint)).map_err(|error| error.kind), Err(Kind::KeyReused));
    }

    #[test]
    fn a_bad_key_is_named() {
        let bad = Idempotency(Some(Err(()))).claim("message", &());
        assert_eq!(bad.map_err(|error| error.fields[0].field.clone()), Err("Idempotency-Key".to_owned()));
        assert_eq!(Idempotency(None).claim("message", &()).map_err(|error| error.code), Ok(None));
    }
}
