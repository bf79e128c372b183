//! Accepting, with a bound, and without spinning when the operating system cannot.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The first pause after an accept that failed for want of something (file descriptors, memory).
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest such pause: short enough that the queue of the operating system does not run over long after.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where connections come from.
pub(super) trait Listener {
    /// A connection.
    type Stream;
    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().await
    }
}

/// Hands every connection to `open`, at most as many at once as there are permits; while none is left, nothing is
/// accepted. It never ends by itself.
pub(super) async fn accept<L: Listener>(
    listener: &L,
    permits: &Arc<Semaphore>,
    open: impl Fn(L::Stream, SocketAddr, OwnedSemaphorePermit),
) {
    let mut pause = FIRST_PAUSE;
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(permits).acquire_owned().await {
        match listener.next().await {
            Ok((stream, address)) => {
                pause = FIRST_PAUSE;
                open(stream, address, permit);
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, ?pause, "cannot accept connections; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Errors of a connection that was gone before it was accepted: the next one may be fine.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::Instant;

    use super::*;

    const EMFILE: i32 = 24;

    /// Fails so often, then connects so often, then never again.
    struct Script {
        fail: AtomicUsize,
        connect: AtomicUsize,
        calls: AtomicUsize,
    }

    impl Listener for Script {
        type Stream = ();

        async fn next(&self) -> io::Result<((), SocketAddr)> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let take = |left: &AtomicUsize| {
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
            };
            if take(&self.fail) {
                return Err(io::Error::from_raw_os_error(EMFILE));
            }
            if take(&self.connect) {
                return Ok(((), SocketAddr::from(([127, 0, 0, 1], 1))));
            }
            std::future::pending().await
        }
    }

    fn script(fail: usize, connect: usize) -> Script {
        Script { fail: fail.into(), connect: connect.into(), calls: 0.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_descriptors_makes_it_wait_longer_each_time_and_no_longer_than_a_second() {
        let listener = script(10, 1);
        let opened = Mutex::new(None);
        let began = Instant::now();
        let permits = Arc::new(Semaphore::new(1));
        let accepting = accept(&listener, &permits, |(), _, _| *opened.lock().expect("lock") = Some(began.elapsed()));
        let _ = tokio::time::timeout(Duration::from_secs(60), accepting).await;
        // 10 + 20 + ... + 640 ms, and three seconds.
        assert_eq!(opened.lock().expect("lock").map(|after| after.as_millis()), Some(1270 + 3000));
        assert_eq!(listener.calls.load(Ordering::SeqCst), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_permit_nothing_is_accepted() {
        let listener = script(0, 5);
        let held = Mutex::new(Vec::new());
        let permits = Arc::new(Semaphore::new(2));
        let accepting = accept(&listener, &permits, |(), _, permit| held.lock().expect("lock").push(permit));
        let _ = tokio::time::timeout(Duration::from_secs(60), accepting).await;
        assert_eq!(listener.calls.load(Ordering::SeqCst), 2);
    }
}
