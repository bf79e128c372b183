//! `/v1/images`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{Error, ImageId, ImageKind, MessageImage, Timestamp};
use mainstay_store::StoredImage;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Reader, Writer};
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RawBody, RequestContext};

/// An image is shown and nothing else, whoever opens it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
/// What is under an id never changes. Only the browser of whoever has sent it keeps it.
const CACHED: HeaderValue = HeaderValue::from_static("private, max-age=86400, immutable");

/// An image that was uploaded, as it is kept.
#[derive(Serialize, ToSchema)]
pub struct ImageBody {
    id: Uuid,
    /// `image/png` or `image/jpeg`, whatever was sent.
    #[serde(rename = "type")]
    #[schema(value_type = crate::openapi::words::ImageKind, example = "image/jpeg")]
    kind: ImageKind,
    /// In pixels: at most 2,048.
    width: u32,
    /// In pixels: at most 2,048.
    height: u32,
    bytes: u32,
    /// The digest of the kept bytes, in hexadecimal.
    sha256: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<StoredImage> for ImageBody {
    fn from(StoredImage { image, bytes, sha256, created_at }: StoredImage) -> Self {
        Self {
            id: image.id.uuid(),
            kind: image.kind,
            width: image.width,
            height: image.height,
            bytes,
            sha256,
            created_at,
        }
    }
}

/// An image of a message: `GET /v1/images/{id}` shows it.
#[derive(Serialize, ToSchema)]
pub struct MessageImageBody {
    id: Uuid,
    #[serde(rename = "type")]
    #[schema(value_type = crate::openapi::words::ImageKind, example = "image/jpeg")]
    kind: ImageKind,
    width: u32,
    height: u32,
}

impl From<&MessageImage> for MessageImageBody {
    fn from(image: &MessageImage) -> Self {
        Self { id: image.id.uuid(), kind: image.kind, width: image.width, height: image.height }
    }
}

/// Uploads an image: the body is the file itself, PNG, JPEG, WebP or GIF, at most 10 MiB. Its form is judged by its content;
/// what its header or its name says does not matter. It is kept in another form, smaller and without what it says beside
/// its pixels. Name its `id` in a message within a day, or it is forgotten. The same file again is the same image, as long
/// as it was not sent.
#[utoipa::path(post, path = "/v1/images", tag = "assistant",
    request_body(content = crate::openapi::words::File, content_type = "application/octet-stream"),
    responses((status = 201, body = ImageBody), (status = 402), (status = 415), (status = "default", body = Document<'static>)))]
pub async fn upload(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    RawBody(bytes): RawBody,
) -> Result<(StatusCode, Json<ImageBody>), Problem> {
    let stored = app.images.upload(&context.call, &by, bytes).await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// Shows an image to whoever has sent it.
#[utoipa::path(get, path = "/v1/images/{id}", tag = "assistant", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The image", content((String = "image/png"), (String = "image/jpeg"))),
        (status = 304, description = "What was sent before still holds"),
        (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let image = app.images.get(&context.call, &by, ImageId(id)).await?;
    let tag = HeaderValue::try_from(format!("\"{}\"", image.sha256)).map_err(Error::internal)?;
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|line| line == tag);
    let common = [(ETAG, tag), (CACHE_CONTROL, CACHED), (CONTENT_SECURITY_POLICY, POLICY)];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let kind = HeaderValue::from_static(image.kind.as_str());
    Ok((common, [(CONTENT_TYPE, kind)], image.content).into_response())
}
