//! Server-sent events: a stream of ours as a response (the HTML standard, section 9.2).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use futures_util::Stream;
use hyper::body::Frame;
use pin_project_lite::pin_project;
use serde::Serialize;
use tokio::time::{Instant, Sleep};

/// After how long a silence a comment is sent, so that proxies keep the connection and a client that is gone is noticed.
const PING: Duration = Duration::from_secs(15);

/// Events that are ready at once are sent in one piece up to this size, in bytes.
const PIECE: usize = 16 * 1024;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One event.
#[derive(Clone, Debug)]
pub struct Event<T> {
    /// What a client that lost the connection sends back as `Last-Event-ID`.
    pub id: Option<u64>,
    /// The name of the event.
    pub event: &'static str,
    /// The data, written as one line of JSON.
    pub data: T,
}

pin_project! {
    struct EventBody<S> {
        #[pin]
        events: S,
        #[pin]
        ping: Sleep,
        ended: bool,
    }
}

/// A response that sends these events as they come and ends when they do. The stack's deadline does not touch it: whoever
/// makes the stream bounds it.
pub fn event_stream<S, T>(events: S) -> Response
where
    S: Stream<Item = Event<T>> + Send + 'static,
    T: Serialize,
{
    let body = EventBody { events, ping: tokio::time::sleep(PING), ended: false };
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, NO_STORE),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    (headers, Body::new(body)).into_response()
}

/// Writes one event. JSON has no line breaks of its own, so the data is one line.
fn write<T: Serialize>(piece: &mut BytesMut, event: &Event<T>) -> Result<(), serde_json::Error> {
    if let Some(id) = event.id {
        piece.put_slice(b"id: ");
        piece.put_slice(id.to_string().as_bytes());
        piece.put_u8(b'\n');
    }
    piece.put_slice(b"event: ");
    piece.put_slice(event.event.as_bytes());
    piece.put_slice(b"\ndata: ");
    serde_json::to_writer(piece.writer(), &event.data)?;
    piece.put_slice(b"\n\n");
    Ok(())
}

impl<S, T> HttpBody for EventBody<S>
where
    S: Stream<Item = Event<T>>,
    T: Serialize,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        let mut piece = BytesMut::new();
        while !*this.ended && piece.len() < PIECE {
            match this.events.as_mut().poll_next(cx) {
                Poll::Ready(Some(event)) => {
                    let before = piece.len();
                    if let Err(error) = write(&mut piece, &event) {
                        // Half an event would be read as a whole one by nobody: drop it, and end.
                        tracing::error!(event = event.event, %error, "an event could not be written as JSON");
                        piece.truncate(before);
                        *this.ended = true;
                    }
                }
                Poll::Ready(None) => *this.ended = true,
                Poll::Pending => break,
            }
        }
        if !piece.is_empty() {
            this.ping.as_mut().reset(Instant::now() + PING);
            return Poll::Ready(Some(Ok(Frame::data(piece.freeze()))));
        }
        if *this.ended {
            return Poll::Ready(None);
        }
        if this.ping.as_mut().poll(cx).is_ready() {
            this.ping.as_mut().reset(Instant::now() + PING);
            // The timer is asked for again, or nobody would be woken by it.
            let _ = this.ping.as_mut().poll(cx);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": ping\n\n")))));
        }
        Poll::Pending
    }
}

/// The header `Last-Event-ID` of a client that comes back: the id after which it wants to go on. None when it is absent or
/// was not given by us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(pub Option<u64>);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = parts.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
        Ok(Self(value.and_then(|text| text.trim().parse().ok())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt};
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn next(body: &mut Body) -> Option<String> {
        let data = body.frame().await?.expect("infallible").into_data().expect("data");
        Some(String::from_utf8(data.into()).expect("text"))
    }

    #[tokio::test]
    async fn events_that_are_ready_go_in_one_piece() {
        let events = [
            Event { id: Some(7), event: "token", data: json!({"text": "a\nb"}) },
            Event { id: None, event: "done", data: json!(null) },
        ];
        let response = event_stream(stream::iter(events));
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut body = response.into_body();
        let text = "id: 7\nevent: token\ndata: {\"text\":\"a\\nb\"}\n\nevent: done\ndata: null\n\n";
        assert_eq!(next(&mut body).await.as_deref(), Some(text));
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_filled_with_comments() {
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            Event { id: None, event: "done", data: 1 }
        });
        let mut body = event_stream(late).into_body();
        let began = Instant::now();
        assert_eq!(next(&mut body).await.as_deref(), Some(": ping\n\n"));
        assert_eq!(began.elapsed().as_secs(), 15);
        assert_eq!(next(&mut body).await.as_deref(), Some(": ping\n\n"));
        assert_eq!(next(&mut body).await.as_deref(), Some("event: done\ndata: 1\n\n"));
        assert_eq!(began.elapsed().as_secs(), 40);
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn many_ready_events_are_cut_into_pieces() {
        let events = stream::iter(0..10_000).map(|n| Event { id: Some(n), event: "token", data: n });
        let mut body = event_stream(events).into_body();
        let mut pieces = 0;
        while let Some(piece) = next(&mut body).await {
            assert!(piece.len() < PIECE + 100 && piece.ends_with("\n\n"));
            pieces += 1;
        }
        assert!(pieces > 10);
    }
}
