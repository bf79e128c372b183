//! What a connection is doing, and how long it may.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::Held;

/// How long a connection may stay as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a request (or from the start of the connection) to the end of its head.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
}

/// The first request is awaited, or part of a head is there.
const HEAD: u64 = 0;
/// Nothing is asked.
const IDLE: u64 = 1;
/// A request is being answered, or the connection is no longer HTTP.
const BUSY: u64 = 2;

/// The state of a connection and since when, in one word: milliseconds since its start, times four, plus the state. Only
/// the connection's own task writes it.
#[derive(Debug)]
pub(super) struct Watch {
    start: Instant,
    state: AtomicU64,
    /// Whether the last request was refused and may have left some of its body unread.
    refused: AtomicBool,
}

impl Watch {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, state: AtomicU64::new(HEAD), refused: AtomicBool::new(false) }
    }

    fn set(&self, state: u64) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0);
        self.state.store(since << 2 | state, Ordering::Relaxed);
    }

    fn state(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & 3
    }

    pub(super) fn busy(&self) {
        self.state.store(BUSY, Ordering::Relaxed);
    }

    pub(super) fn idle(&self) {
        self.set(IDLE);
    }

    /// A request with a body was answered.
    pub(super) fn set_refused(&self, refused: bool) {
        self.refused.store(refused, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Something was read: after a pause, the beginning of a head.
    fn read(&self) {
        if self.state() == IDLE {
            self.set(HEAD);
        }
    }

    /// Something was written: a connection whose last answer is still on its way is not idle yet.
    fn written(&self) {
        if self.state() == IDLE {
            self.set(IDLE);
        }
    }

    /// When the connection is to be closed, unless its state changes.
    pub(super) fn due(&self, patience: Patience) -> Option<Instant> {
        let word = self.state.load(Ordering::Relaxed);
        let since = self.start + Duration::from_millis(word >> 2);
        match word & 3 {
            HEAD => Some(since + patience.head),
            IDLE => Some(since + patience.idle),
            _ => None,
        }
    }
}

/// A connection as it is, giving up on a peer that takes nothing.
pub(super) type Plain = TimeoutWriter<TcpStream>;

/// A connection under TLS. Boxed, so that one without does not pay for its buffers.
pub(super) type Sealed = Box<TlsStream<Pin<Box<Plain>>>>;

/// What requests come by.
pub(super) type Line = Either<Plain, Sealed>;

/// A connection that gives up on a peer that takes nothing for so long.
pub(super) fn patient(stream: TcpStream, write_timeout: Duration) -> Plain {
    let mut plain = TimeoutWriter::new(stream);
    plain.set_timeout(Some(write_timeout));
    plain
}

pin_project! {
    /// A socket that tells the watch what passes, and holds the connection's place.
    pub(super) struct Socket {
        #[pin]
        inner: Line,
        watch: Arc<Watch>,
        held: Held,
    }
}

impl Socket {
    pub(super) const fn new(inner: Line, watch: Arc<Watch>, held: Held) -> Self {
        Self { inner, watch, held }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        ready!(this.inner.poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            this.watch.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let written = ready!(this.inner.poll_write(cx, bytes))?;
        this.watch.written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let written = ready!(this.inner.poll_write_vectored(cx, pieces))?;
        this.watch.written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

    #[tokio::test(start_paused = true)]
    async fn each_state_has_its_own_patience() {
        let start = Instant::now();
        let watch = Watch::new(start);
        let due = || watch.due(PATIENCE).map(|due| (due - start).as_secs());
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        assert_eq!(due(), Some(10));
        pass(9).await;
        watch.read();
        assert_eq!(due(), Some(10), "a byte more does not prolong the first head");
        watch.busy();
        assert_eq!(due(), None);
        watch.read();
        watch.written();
        assert_eq!(due(), None, "a body and an answer are bounded elsewhere");
        watch.idle();
        assert_eq!(due(), Some(84));
        pass(10).await;
        watch.written();
        assert_eq!(due(), Some(94), "the answer was still on its way");
        pass(10).await;
        watch.read();
        assert_eq!(due(), Some(39));
        pass(5).await;
        watch.read();
        assert_eq!(due(), Some(39), "a byte more does not prolong a head");
    }
}
