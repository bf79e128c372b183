//! Parameters of the path.

use axum::extract::FromRequestParts;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use mainstay_domain::Error;
use serde::de::DeserializeOwned;

use super::Problem;

/// The parameters of the path as a `T`. What cannot be one names nothing: 404, as for an id that is well formed and
/// unknown, so that a caller learns nothing from the difference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(Error::not_found("thing").into()),
            Err(other) => Err(Error::internal(other).into()),
        }
    }
}
