//! One socket: frames out, signs of life in.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use mainstay_domain::{Cursor, Plan};
use mainstay_store::{Call, Positions};
use serde::Serialize;
use tokio_websockets::{CloseCode, Limits, Message, ServerBuilder, WebSocketStream};

use super::hub::Hub;
use super::outbox::{Ending, Next, Outbox};
use crate::accounts::Member;
use crate::app::App;

/// The largest frame of a client, in bytes.
const LARGEST_FRAME: usize = 4096;
/// How long the client may take to answer the closing frame.
const CLOSING: Duration = Duration::from_secs(3);
/// How long finding out where the streams stand may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerFrame {
    Ready { cursor: String, epoch: String, next_sync_after_ms: Option<u64>, safety_sync_after_ms: Option<u64> },
    Resync,
    Ping,
}

#[derive(Serialize)]
struct Reason {
    reconnect: bool,
    after_ms: u64,
}

/// Leaves the hub when the socket ends, however it ends.
pub(super) struct Seat {
    pub(super) hub: Arc<Hub>,
    pub(super) outbox: Arc<Outbox>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(&self.outbox);
    }
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves a socket until it ends.
pub(super) async fn serve(app: Arc<App>, upgraded: Upgraded, by: Member, seat: Seat) {
    let limits = Limits::default().max_payload_len(Some(LARGEST_FRAME));
    let mut socket = ServerBuilder::new().limits(limits).serve(TokioIo::new(upgraded));
    // On the heap, and gone when it is done: what it needs for a query would else be kept for as long as the socket lives.
    if Box::pin(send_ready(&app, &mut socket, &by, &seat)).await.is_err() {
        return;
    }
    let ending = loop {
        tokio::select! {
            biased;
            next = poll_fn(|cx| seat.outbox.poll_next(cx)) => match next {
                Next::Send(text) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                }
                Next::Ping => {
                    // The frame is for clients that see no control frames, such as browsers.
                    let sent = send(&mut socket, &ServerFrame::Ping).await.is_ok()
                        && socket.send(Message::ping(bytes::Bytes::new())).await.is_ok();
                    if !sent {
                        return;
                    }
                }
                Next::Resync => {
                    if send(&mut socket, &ServerFrame::Resync).await.is_err()
                        || Box::pin(send_ready(&app, &mut socket, &by, &seat)).await.is_err()
                    {
                        return;
                    }
                }
                Next::End(ending) => break ending,
            },
            heard = socket.next() => match heard {
                Some(Ok(message)) if message.is_close() => return,
                Some(Ok(_)) => seat.outbox.heard(seat.hub.now_ms()),
                // A frame that breaks the protocol is answered by the library with its close code.
                Some(Err(_)) | None => return,
            },
        }
    };
    Box::pin(close(&mut socket, ending)).await;
}

async fn send(socket: &mut Socket, frame: &ServerFrame) -> Result<(), ()> {
    let text = serde_json::to_string(frame).map_err(drop)?;
    socket.send(Message::text(text)).await.map_err(drop)
}

/// Tells from which position on everything comes. The socket has entered its streams before that is looked up, so nothing
/// falls in between.
async fn send_ready(app: &Arc<App>, socket: &mut Socket, by: &Member, seat: &Seat) -> Result<(), ()> {
    let call = Call::within(PATIENCE);
    let positions = match app.sync.positions(&call, by).await {
        Ok(positions) => positions,
        Err(error) => {
            tracing::warn!(%error, "where streams stand could not be read for a socket; it is told to come back");
            let after_ms = 1000 + seat.hub.within(Duration::from_secs(4));
            close(socket, Ending { code: 4503, reconnect: true, after_ms }).await;
            return Err(());
        }
    };
    seat.hub.begin(&positions);
    let plan = app.accounts.plan_of(&call, by).await;
    let safety = (plan != Plan::Free).then(|| app.config.live.safety_sync().max(app.sync.least_interval()));
    let frame = ready(&positions, app.sync.next(by, plan), safety);
    send(socket, &frame).await
}

fn ready(positions: &Positions, next_sync_after_ms: Option<u64>, safety: Option<Duration>) -> ServerFrame {
    let cursor: Cursor = positions.cursor();
    ServerFrame::Ready {
        cursor: cursor.to_string(),
        epoch: format!("{}-{}", cursor.membership.epoch, cursor.organisation.epoch),
        next_sync_after_ms,
        safety_sync_after_ms: safety.map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Says why, and waits a little for the client to hear it.
async fn close(socket: &mut Socket, ending: Ending) {
    let reason = Reason { reconnect: ending.reconnect, after_ms: ending.after_ms };
    let reason = serde_json::to_string(&reason).unwrap_or_default();
    let code = CloseCode::try_from(ending.code).ok();
    let closing = async {
        if socket.send(Message::close(code, &reason)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSING, closing).await;
}
