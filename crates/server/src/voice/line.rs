//! The line of a session: a socket and the place that it holds.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};
use tokio_websockets::{CloseCode, Config, Limits, Message, ServerBuilder, WebSocketStream};

use super::desk::Place;
use super::wire::{LARGEST_FRAME, ServerFrame};
use crate::accounts::Standing;

/// How long a client may take to take a frame.
const TAKES: Duration = Duration::from_secs(5);
/// How long the client may take to answer the closing frame.
const CLOSING: Duration = Duration::from_secs(2);
/// What is written at once at least, in bytes: a piece of sound goes out at once.
const FLUSH: usize = 1;

/// The line has dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped;

/// A socket of a client.
pub(super) struct Line {
    pub(super) socket: WebSocketStream<TokioIo<Upgraded>>,
    /// Nothing for a line that takes up a session which holds one.
    pub(super) place: Option<Place>,
    pub(super) standing: Standing,
    pub(super) heard_at: Instant,
    pub(super) pinged_at: Instant,
}

impl Line {
    pub(super) fn new(upgraded: Upgraded, place: Option<Place>, standing: Standing) -> Self {
        let limits = Limits::default().max_payload_len(Some(LARGEST_FRAME));
        let builder = ServerBuilder::new().limits(limits).config(Config::default().flush_threshold(FLUSH));
        let socket = builder.serve(TokioIo::new(upgraded));
        let now = Instant::now();
        Self { socket, place, standing, heard_at: now, pinged_at: now }
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), Dropped> {
        match timeout(TAKES, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Dropped),
        }
    }

    pub(super) async fn say(&mut self, frame: &ServerFrame<'_>) -> Result<(), Dropped> {
        self.send(Message::text(frame.text())).await
    }

    /// Says why, and waits a little for the client to hear it.
    pub(super) async fn close(mut self, code: u16, reason: &str) {
        let code = CloseCode::try_from(code).ok();
        let closing = async {
            if self.socket.send(Message::close(code, reason)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = timeout(CLOSING, closing).await;
    }
}
