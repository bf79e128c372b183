//! Request bodies: bounded in size and in patience, also when a handler streams them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use mainstay_domain::{Error, Kind};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{Problem, RequestContext};

/// What was wrong with a body while it was read.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the body is larger than {most} bytes")]
    TooLarge { most: usize },
    #[error("nothing more of the body came within {idle:?}")]
    Idle { idle: Duration },
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
}

/// The bounds of one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most bytes.
    pub(super) most: usize,
    /// The longest pause.
    pub(super) idle: Duration,
}

pin_project! {
    /// A request body that ends with an error when it grows too large or stands still.
    pub(super) struct BoundedBody {
        #[pin]
        inner: Body,
        left: usize,
        bounds: Bounds,
        #[pin]
        pause: Option<Sleep>,
        complete: Arc<AtomicBool>,
    }
}

impl BoundedBody {
    /// Bounds a body. The flag becomes true when all of it has arrived.
    pub(super) fn new(inner: Body, bounds: Bounds) -> (Self, Arc<AtomicBool>) {
        let complete = Arc::new(AtomicBool::new(false));
        (Self { inner, left: bounds.most, bounds, pause: None, complete: Arc::clone(&complete) }, complete)
    }
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let Poll::Ready(frame) = this.inner.as_mut().poll_frame(cx) else {
            if this.pause.is_none() {
                this.pause.set(Some(tokio::time::sleep(this.bounds.idle)));
            }
            if let Some(pause) = this.pause.as_mut().as_pin_mut() {
                ready!(pause.poll(cx));
            }
            return Poll::Ready(Some(Err(Fault::Idle { idle: this.bounds.idle }.into())));
        };
        if this.pause.is_some() {
            this.pause.set(None);
        }
        Poll::Ready(match frame {
            None => {
                this.complete.store(true, Ordering::Release);
                None
            }
            Some(Err(error)) => Some(Err(Fault::Broken(error).into())),
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, Bytes::len);
                if size > *this.left {
                    return Poll::Ready(Some(Err(Fault::TooLarge { most: this.bounds.most }.into())));
                }
                *this.left -= size;
                if this.inner.is_end_stream() {
                    this.complete.store(true, Ordering::Release);
                }
                Some(Ok(frame))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The length that the client declares, where it does.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The refusal of a body of more than `most` bytes. The rest of it is not read, so the connection ends; a client that was
/// not told would send its next request into it.
pub(super) fn too_large(most: usize) -> Problem {
    let detail = match most {
        0 => "This address takes no body.".to_owned(),
        most => format!("The body is larger than the {most} bytes that this address takes."),
    };
    Problem::from(Error::new(Kind::TooLarge, "too_large", detail))
        .with_header(header::CONNECTION, axum::http::HeaderValue::from_static("close"))
}

/// The answer to a client whose request does not arrive.
pub(super) fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body of the request did not arrive in time.")
        .with_header(header::CONNECTION, axum::http::HeaderValue::from_static("close"))
}

/// What to answer when reading a body has failed: 413 when it was too large, 408 when it stood still, 400 when it broke
/// off. For handlers that stream their bodies; [`RawBody`] and [`Json`](super::Json) do it themselves.
#[must_use]
pub fn body_problem(error: &axum::Error) -> Problem {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        match error.downcast_ref::<Fault>() {
            Some(Fault::TooLarge { most }) => return too_large(*most),
            Some(Fault::Idle { .. }) => return too_slow(),
            Some(Fault::Broken(_)) => break,
            None => cause = error.source(),
        }
    }
    Error::new(Kind::Invalid, "incomplete_body", "The body broke off before its end.").because(error.to_string()).into()
}

/// Reads all of a body. It stops at `most` bytes whatever bounds the body itself.
pub(super) async fn read(mut body: Body, most: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| body_problem(&error))?.into_data() else { continue };
        if first.len() + all.len() + data.len() > most {
            return Err(too_large(most));
        }
        if first.is_empty() && all.is_empty() {
            // The usual body comes in one piece and is not copied.
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads all of a request's body. A request whose body is still on its way keeps no place among those that are worked on.
pub(super) async fn receive(request: Request, most: usize) -> Result<Bytes, Problem> {
    let admission = request.extensions().get::<RequestContext>().and_then(|context| context.admission.clone());
    let reading = read(request.into_body(), most);
    let Some(admission) = admission else { return reading.await };
    let mut reading = std::pin::pin!(reading);
    let first = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await;
    match first {
        Poll::Ready(body) => body,
        Poll::Pending => {
            admission.pause();
            let body = reading.await?;
            admission.resume().await?;
            Ok(body)
        }
    }
}

/// The whole body as it came, byte for byte: for signatures that cover it.
#[derive(Clone, Debug)]
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let most = RequestContext::limits(request.extensions()).body;
        receive(request, most).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, StreamExt};

    use super::*;

    const BOUNDS: Bounds = Bounds { most: 10, idle: Duration::from_secs(10) };

    fn bounded(chunks: impl futures_util::Stream<Item = Result<&'static str, Infallible>> + Send + 'static) -> Body {
        Body::new(BoundedBody::new(Body::from_stream(chunks), BOUNDS).0)
    }

    fn code(result: Result<Bytes, Problem>) -> Result<Bytes, (u16, &'static str)> {
        result.map_err(|problem| (problem.status().as_u16(), problem.error().code))
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_read_up_to_its_bound_and_no_further() {
        let fits = bounded(stream::iter([Ok("12345"), Ok(""), Ok("67890")]));
        assert_eq!(code(read(fits, 100).await).as_deref(), Ok(b"1234567890".as_slice()));
        let large = bounded(stream::iter([Ok("12345"), Ok("678901")]));
        assert_eq!(code(read(large, 100).await), Err((413, "too_large")));
        let large = bounded(stream::iter([Ok("12345")]));
        assert_eq!(code(read(large, 4).await), Err((413, "too_large")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up_after_its_pause() {
        let pause = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok("x")
        };
        let slow = bounded(stream::iter([9, 9, 9]).then(pause));
        assert_eq!(code(read(slow, 100).await).as_deref(), Ok(b"xxx".as_slice()), "each pause is short enough");
        let stuck = bounded(stream::iter([9, 11]).then(pause));
        assert_eq!(code(read(stuck, 100).await), Err((408, "request_timeout")));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_the_clients_fault() {
        let broken = Body::from_stream(stream::iter([Ok("1"), Err(std::io::Error::other("reset"))]));
        let broken = Body::new(BoundedBody::new(broken, BOUNDS).0);
        assert_eq!(code(read(broken, 100).await), Err((400, "incomplete_body")));
    }

    #[tokio::test]
    async fn it_is_known_whether_all_has_arrived() {
        let (body, complete) = BoundedBody::new(Body::from("123"), BOUNDS);
        assert!(!complete.load(Ordering::Acquire));
        assert!(read(Body::new(body), 10).await.is_ok());
        assert!(complete.load(Ordering::Acquire));
    }
}
