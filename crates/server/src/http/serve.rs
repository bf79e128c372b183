//! The sockets: accepting them, bounding what each may cost, and letting go of them.
//!
//! With a certificate of its own the server shakes hands first, within the time of a head; all else is the same under TLS.
//!
//! A connection is idle, or sends the head of a request, or is being answered. [`Watch`] keeps which and since when; one
//! timer for each connection follows it, and is set again only when it would fire too late. Heads are bounded by hyper,
//! bodies by the stack, and writing by a timeout around the socket, so that a client that stops reading a stream is cut.
//! Connections live in this process only; the others have their own.

mod accept;
#[cfg(test)]
mod tests;
mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, Version, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower::Service;

use self::watch::{Line, Patience, Socket, Watch, patient};
use super::HttpMetrics;
use super::context::Peer;
use super::metrics::GaugeGuard;
use super::tls::Tls;
use crate::config;
use crate::lifecycle::Lifecycle;

/// The largest head of a request, in bytes. Past it hyper answers 431 and closes.
const LARGEST_HEAD: usize = 32 * 1024;

/// The most that is buffered for one connection in each direction, in bytes.
const LARGEST_BUFFER: usize = 64 * 1024;

/// How long a connection whose request was refused is kept while its client is still sending.
const LINGER: Duration = Duration::from_secs(2);

/// The most that is read from it meanwhile, in bytes.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Answers the connections of `listener` with `router` until the soft stop, and returns then; connections that are open
/// at that moment finish their requests as work named `connection`.
///
/// # Errors
/// None today: what goes wrong with one connection is its own affair, and a failing accept is tried again.
pub async fn serve(
    (listener, tls): (TcpListener, Option<Arc<Tls>>),
    router: Router,
    settings: &config::Http,
    metrics: &HttpMetrics,
    lifecycle: Lifecycle,
) -> io::Result<()> {
    let server = Arc::new(Server::new(router, tls, settings, metrics, lifecycle));
    let permits = Arc::new(Semaphore::new(settings.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let stopped = server.lifecycle.stopped();
    tokio::select! {
        () = stopped => {}
        () = accept::accept(&listener, &permits, |stream, address, permit| server.open(stream, address, permit)) => {}
    }
    Ok(())
}

/// What all connections share.
struct Server {
    router: Router,
    tls: Option<Arc<Tls>>,
    http1: http1::Builder,
    patience: Patience,
    write_timeout: Duration,
    metrics: HttpMetrics,
    lifecycle: Lifecycle,
}

/// What an open connection holds, as long as its socket lives: also after an upgrade to WebSocket.
struct Held {
    _permit: OwnedSemaphorePermit,
    _open: GaugeGuard,
}

impl Server {
    fn new(
        router: Router,
        tls: Option<Arc<Tls>>,
        settings: &config::Http,
        metrics: &HttpMetrics,
        lifecycle: Lifecycle,
    ) -> Self {
        let patience = Patience {
            head: Duration::from_millis(settings.header_timeout_ms),
            idle: Duration::from_millis(settings.keep_alive_timeout_ms),
        };
        let mut http1 = http1::Builder::new();
        // hyper's own timer runs from the end of the last answer and so cannot tell an idle connection from a slow head.
        // It stands behind ours, and needs the timer to run at all.
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(patience.head + patience.idle)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(LARGEST_BUFFER);
        let write_timeout = Duration::from_millis(settings.write_timeout_ms);
        Self { router, tls, http1, patience, write_timeout, metrics: metrics.clone(), lifecycle }
    }

    fn open(self: &Arc<Self>, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        // Answers are small and their last packet must not wait for an acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection closed before it was served");
            return;
        }
        let held = Held { _permit: permit, _open: self.metrics.connect() };
        let server = Arc::clone(self);
        self.lifecycle.spawn_work("connection", async move { server.connection(stream, address, held).await });
    }

    /// What requests come by, after the handshake where there is one. That may take as long as a head, and comes to nothing
    /// when the server stops.
    async fn line(&self, stream: TcpStream, address: SocketAddr) -> Option<Line> {
        let plain = patient(stream, self.write_timeout);
        let Some(tls) = &self.tls else { return Some(Line::Left(plain)) };
        let handshake = tls.acceptor().accept(Box::pin(plain));
        let failure = tokio::select! {
            () = self.lifecycle.stopped() => return None,
            shaken = tokio::time::timeout(self.patience.head, handshake) => match shaken {
                Ok(Ok(sealed)) => return Some(Line::Right(Box::new(sealed))),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it took too long".to_owned(),
            },
        };
        tls.count_failed();
        tracing::debug!(%address, failure, "a handshake came to nothing");
        None
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, address: SocketAddr, held: Held) {
        let Some(line) = self.line(stream, address).await else { return };
        let watch = Arc::new(Watch::new(Instant::now()));
        let socket = Socket::new(line, Arc::clone(&watch), held);
        let service = service_fn(|request| self.request(request, address, &watch));
        let mut connection = self.http1.serve_connection(TokioIo::new(Box::pin(socket)), service).with_upgrades();
        let mut stopped = pin!(self.lifecycle.stopped());
        let mut stopping = false;
        let mut timer = pin!(tokio::time::sleep_until(watch.due(self.patience).unwrap_or_else(Instant::now)));
        let ended = std::future::poll_fn(|cx| {
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if let Poll::Ready(end) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Some(end));
            }
            loop {
                let Some(due) = watch.due(self.patience) else { return Poll::Pending };
                if due < timer.deadline() {
                    timer.as_mut().reset(due);
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if due <= timer.deadline() {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(due);
            }
        });
        match ended.await {
            Some(Ok(())) if watch.refused() => {
                if let Some(parts) = connection.into_parts() {
                    linger(parts.io.into_inner()).await;
                }
            }
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%address, error = error_chain(&error), "a connection failed"),
            None => tracing::debug!(%address, "a connection was idle or slow for too long"),
        }
    }

    /// One request of a connection.
    fn request(
        &self,
        mut request: Request<Incoming>,
        address: SocketAddr,
        watch: &Arc<Watch>,
    ) -> impl Future<Output = Result<hyper::Response<WatchedBody>, Infallible>> + use<> {
        watch.busy();
        let host_named = names_host(request.version(), request.headers());
        request.extensions_mut().insert(Peer { address, host_named });
        let has_body = !request.body().is_end_stream();
        let answer = self.router.clone().call(request);
        let watch = Arc::clone(watch);
        async move {
            let response = answer.await?;
            let status = response.status();
            watch.set_refused(has_body && (status.is_client_error() || status.is_server_error()));
            // After an upgrade the socket is the handler's.
            let upgraded = status == StatusCode::SWITCHING_PROTOCOLS;
            let busy = (!upgraded).then(|| Busy(watch));
            Ok(response.map(|inner| WatchedBody { inner, busy }))
        }
    }
}

/// Closing a socket with unread bytes resets it, and the peer, who is still sending, may lose the answer that said why
/// (RFC 9112, section 9.6). So what still comes is read and forgotten, for a while.
async fn linger(mut socket: Pin<Box<Socket>>) {
    let mut scratch = [0; 8 * 1024];
    let forget = async {
        let mut left = LINGER_BYTES;
        while let Ok(read @ 1..) = socket.read(&mut scratch).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, forget).await;
}

/// RFC 9112, section 3.2: HTTP/1.1 names the host in exactly one header.
fn names_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => true,
        (None, None) => version < Version::HTTP_11,
        _ => false,
    }
}

fn error_chain(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Held while an answer is under way.
struct Busy(Arc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle();
    }
}

pin_project! {
    /// The body of an answer. When it is over, the connection is idle.
    struct WatchedBody {
        #[pin]
        inner: Body,
        busy: Option<Busy>,
    }
}

impl hyper::body::Body for WatchedBody {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, axum::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
