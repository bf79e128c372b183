//! A name server with the records of a test, for tests of whatever asks the DNS.
//!
//! It answers over UDP and TCP on one port, on a thread of its own, with records that may be changed while it runs. It
//! misbehaves on demand: it is silent, says no, answers for others, lies about its id, cuts answers short. Its reader and
//! writer of messages are its own, so that it shares no mistake with the client under test.

mod fault;
mod wire;
mod zone;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use fault::NameFault;
pub use zone::{Asked, RecordType};

use crate::{Failure, Result, while_doing};
use zone::Zone;

/// How often a port is sought that is free for both UDP and TCP.
const MOST_BINDS: usize = 50;

/// A name server of a test's own. Dropping it closes every connection.
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Zone>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one without records on a free port of the loopback address. Every name is unknown to it (NXDOMAIN).
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start() -> Result<Self> {
        let (datagrams, streams, address) = bind()?;
        let zone = Arc::new(Zone::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(while_doing("making the runtime of the name server"))?;
        let (stop, stopped) = oneshot::channel();
        let records = Arc::clone(&zone);
        let serve = async move {
            let (Ok(datagrams), Ok(streams)) = (UdpSocket::from_std(datagrams), TcpListener::from_std(streams)) else {
                return;
            };
            tokio::select! {
                () = answer_datagrams(&datagrams, &records) => {}
                () = answer_streams(&streams, &records) => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new().name("name-server".to_owned()).spawn(move || runtime.block_on(serve));
        let thread = thread.map_err(while_doing("starting the thread of the name server"))?;
        Ok(Self { address, zone, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens, by UDP and by TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets all records of a type that a name has; without values it has none of it any more.
    ///
    /// A value is written as in a zone file without its quotes: `192.0.2.1`, `2001:db8::1`, `other.example`,
    /// `10 mail.example`, a text of any length. A text is cut into strings of 255 bytes.
    ///
    /// # Errors
    /// When a value is none of its type.
    pub fn set(&self, name: &str, kind: RecordType, values: &[&str]) -> Result<()> {
        self.zone.set(name, kind, values)
    }

    /// Adds a fault for the questions about a name, or about all names with `*`. Of several that fit, the one that was added
    /// first acts.
    pub fn fault(&self, name: &str, fault: NameFault) {
        self.zone.add_fault(name, fault, None);
    }

    /// As [`Self::fault`], for so many questions.
    pub fn fault_times(&self, name: &str, fault: NameFault, times: u32) {
        self.zone.add_fault(name, fault, Some(times));
    }

    /// Takes every fault back.
    pub fn heal(&self) {
        self.zone.clear_faults();
    }

    /// Every question so far, in order, those that a fault acted on too.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.zone.asked()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sockets of both kinds on one port, which wait for nobody.
fn bind() -> Result<(std::net::UdpSocket, std::net::TcpListener, SocketAddr)> {
    for _ in 0..MOST_BINDS {
        let streams = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let streams = streams.map_err(while_doing("binding the name server"))?;
        let address = streams.local_addr().map_err(while_doing("asking for the port of the name server"))?;
        // The port may be taken for the other kind.
        let Ok(datagrams) = std::net::UdpSocket::bind(address) else { continue };
        streams.set_nonblocking(true).map_err(while_doing("making the name server wait for nobody"))?;
        datagrams.set_nonblocking(true).map_err(while_doing("making the name server wait for nobody"))?;
        return Ok((datagrams, streams, address));
    }
    Err(Failure("no port was free for both UDP and TCP".to_owned()))
}

async fn answer_datagrams(socket: &UdpSocket, zone: &Zone) {
    let mut bytes = [0; 4_096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut bytes).await else { continue };
        for answer in zone.answers(bytes.get(..length).unwrap_or_default(), false) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn answer_streams(listener: &TcpListener, zone: &Arc<Zone>) {
    let mut conversations = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        conversations.spawn(hold(stream, Arc::clone(zone)));
        while conversations.try_join_next().is_some() {}
    }
}

/// Answers on one connection until the client goes. A question that gets no answer keeps it open.
async fn hold(mut stream: TcpStream, zone: Arc<Zone>) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; usize::from(length)];
        if stream.read_exact(&mut query).await.is_err() {
            return;
        }
        for answer in zone.answers(&query, true) {
            let mut framed = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
            framed.extend_from_slice(&answer);
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
