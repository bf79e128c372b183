//! A mail server that keeps books, for tests of whatever sends.
//!
//! It speaks SMTP over a socket on a thread of its own, writes down every message that it keeps, and misbehaves on demand at
//! every stage: it refuses, hangs, cuts the line, answers late or with nonsense, keeps a message and does not say so.

mod conversation;
mod fault;
mod ledger;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use fault::{SinkAct, SinkFault, SinkStage, When};
pub use ledger::Kept;

use crate::{Result, while_doing};
use ledger::Ledger;

/// Whether the sink speaks TLS. Its certificate is for `localhost` and `127.0.0.1`, under [`SmtpSink::root`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkTls {
    /// No.
    None,
    /// When it is asked to.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// What the sink offers.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Whether several commands may be sent together.
    pub pipelining: bool,
    /// The largest message, in bytes, when it speaks of sizes.
    pub size: Option<u64>,
    /// Who may sign in: users and their passwords or tokens. With any, MAIL is refused before that.
    pub users: Vec<(String, String)>,
    /// The ways to sign in that it names.
    pub auth: String,
    /// TLS.
    pub tls: SinkTls,
    /// Whether the messages themselves are kept, or only their ids and envelopes.
    pub keep_bytes: bool,
    /// What decides the faults by chance.
    pub seed: u64,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self {
            pipelining: true,
            size: Some(26_214_400),
            users: Vec::new(),
            auth: "PLAIN LOGIN XOAUTH2".to_owned(),
            tls: SinkTls::None,
            keep_bytes: false,
            seed: 1,
        }
    }
}

/// A mail server of a test's own. Dropping it closes every connection.
pub struct SmtpSink {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SmtpSink {
    /// Starts one on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start(options: SinkOptions) -> Result<Self> {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(while_doing("binding the sink"))?;
        listener.set_nonblocking(true).map_err(while_doing("making the sink wait for nobody"))?;
        let address = listener.local_addr().map_err(while_doing("asking for the port of the sink"))?;
        let acceptor = TlsAcceptor::from(Arc::new(server_config()?));
        let ledger = Arc::new(Ledger::new(options.seed));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(while_doing("making the runtime of the sink"))?;
        let (stop, stopped) = oneshot::channel();
        let books = Arc::clone(&ledger);
        let serve = async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let options = Arc::new(options);
            let mut conversations = JoinSet::new();
            let accept = async {
                loop {
                    // Without a file to spare it tries again with the next connection.
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let (options, books, acceptor) = (Arc::clone(&options), Arc::clone(&books), acceptor.clone());
                    conversations.spawn(conversation::hold(stream, options, books, acceptor));
                    while conversations.try_join_next().is_some() {}
                }
            };
            tokio::select! {
                () = accept => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new().name("smtp-sink".to_owned()).spawn(move || runtime.block_on(serve));
        let thread = thread.map_err(while_doing("starting the thread of the sink"))?;
        Ok(Self { address, ledger, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root under which its certificate is, in DER.
    #[must_use]
    pub fn root() -> CertificateDer<'static> {
        CertificateDer::from_slice(include_bytes!("smtp_sink/root.der"))
    }

    /// Adds a fault. Of several that fit, the one that was added first acts.
    pub fn fault(&self, fault: SinkFault) {
        self.ledger.add_fault(fault);
    }

    /// Takes every fault back.
    pub fn heal(&self) {
        self.ledger.clear_faults();
    }

    /// Every message that was kept, in order.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        self.ledger.kept()
    }

    /// How many messages were kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ledger.count()
    }

    /// How often a message of this id was kept: the id without brackets.
    #[must_use]
    pub fn count_of(&self, message_id: &str) -> u32 {
        self.ledger.count_of(message_id)
    }

    /// The ids that were kept more than once, with how often.
    #[must_use]
    pub fn duplicates(&self) -> Vec<(String, u32)> {
        self.ledger.duplicates()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.ledger.reached(SinkStage::Greeting)
    }

    /// How often a stage was reached so far, on all connections.
    #[must_use]
    pub fn reached(&self, stage: SinkStage) -> u64 {
        self.ledger.reached(stage)
    }

    /// Waits until `count` messages were kept. False when that did not happen within `patience`.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> bool {
        self.ledger.wait(patience, |books| books.count() >= count).await
    }

    /// Waits until a stage was reached `times` times. False when that did not happen within `patience`.
    pub async fn wait_for_stage(&self, stage: SinkStage, times: u64, patience: Duration) -> bool {
        self.ledger.wait(patience, |books| books.reached(stage) >= times).await
    }

    /// As [`Self::wait_for`], on a thread that may wait.
    #[must_use]
    pub fn wait_for_blocking(&self, count: usize, patience: Duration) -> bool {
        self.ledger.wait_blocking(patience, count)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the servers of tests encrypt with, under [`SmtpSink::root`].
pub(crate) fn server_config() -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(include_bytes!("smtp_sink/key.der").as_slice()));
    let certificate = CertificateDer::from_slice(include_bytes!("smtp_sink/certificate.der"));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(while_doing("choosing versions of TLS"))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(while_doing("reading the certificate of the sink"))
}

#[cfg(test)]
mod tests;
