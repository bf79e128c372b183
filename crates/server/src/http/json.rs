//! JSON in and out: [`Json`] as an extractor is strict, and says of what it refuses where it stands.
//!
//! serde_json already refuses what is not JSON. On top of it this refuses what is JSON but dangerous or ambiguous: one key
//! twice in an object (readers disagree about which one counts), nesting and arrays without bound, and NUL in text
//! (PostgreSQL cannot store it). All of that is one pass over the body ([`check`]) before the value is made.

mod check;
pub(super) mod fault;
mod shape;
#[cfg(test)]
mod tests;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{Error, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use self::shape::Strict;
use super::{Problem, RequestContext, body};

const APPLICATION_JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON body: read strictly within the route's bounds, or written with status 200.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "Send JSON, with the header Content-Type: application/json.";
            return Err(Error::new(Kind::UnsupportedMediaType, "unsupported_media_type", detail).into());
        }
        let limits = RequestContext::limits(request.extensions());
        let bytes = body::receive(request, limits.body).await?;
        Ok(Self(from_slice(&bytes, limits.json_depth)?))
    }
}

/// Reads one JSON value as strictly as [`Json`] does, nested at most `depth` deep.
///
/// # Errors
/// When it is not JSON, breaks a bound, or is not a `T`: 400 with the fields that are wrong.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| fault::malformed(format!("The body is not UTF-8: see byte {}.", error.valid_up_to())))?;
    if text.trim_ascii().is_empty() {
        return Err(fault::malformed("The body is empty; JSON is expected.".to_owned()));
    }
    check::check(text, depth)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    // Only a refusal pays for the path.
    T::deserialize(Strict(&mut reader)).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(Strict(&mut reader)).map_err(fault::mismatch)
    })
}

/// Reads a member that may be left out, and may be null, which is something else: for `#[serde(default, deserialize_with)]`.
///
/// # Errors
/// When it is neither null nor a `T`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, APPLICATION_JSON)], body).into_response(),
            Err(error) => Problem::from(Error::internal(error)).into_response(),
        }
    }
}
