//! A mailbox over IMAP, for tests of whatever reads one.
//!
//! It speaks IMAP4rev1 over a socket on a thread of its own. A test puts messages into its folders at any time, asks what was
//! read, and lets it misbehave at every stage: refuse, hang, say goodbye, cut the line in the middle of a message, announce what
//! never comes, say what nobody asked for.

mod command;
mod conversation;
mod fault;
mod folder;
mod mailbox;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use fault::{ImapAct, ImapFault, ImapStage};

use crate::smtp_sink::{SinkTls, SmtpSink, server_config};
use crate::{Result, while_doing};
use mailbox::Mailbox;

/// What the server offers.
#[derive(Clone, Debug)]
pub struct ImapOptions {
    /// Who may sign in: users and their passwords or tokens. All read the same mailbox. Without any, nobody needs to sign in.
    pub users: Vec<(String, String)>,
    /// The capabilities that it names besides `IMAP4rev1` and `STARTTLS`. It does what it is asked to, named or not.
    pub capabilities: String,
    /// TLS. The certificate is for `localhost` and `127.0.0.1`, under [`ImapServer::root`].
    pub tls: SinkTls,
}

impl Default for ImapOptions {
    fn default() -> Self {
        Self {
            users: vec![("ada".to_owned(), "hunter2".to_owned())],
            capabilities: "AUTH=PLAIN AUTH=XOAUTH2 SASL-IR LIST-EXTENDED SPECIAL-USE".to_owned(),
            tls: SinkTls::None,
        }
    }
}

/// A mailbox server of a test's own. Dropping it closes every connection.
pub struct ImapServer {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ImapServer {
    /// Starts one on a free port of the loopback address, with an empty `INBOX`.
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start(options: ImapOptions) -> Result<Self> {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(while_doing("binding the mailbox"))?;
        listener.set_nonblocking(true).map_err(while_doing("making the mailbox wait for nobody"))?;
        let address = listener.local_addr().map_err(while_doing("asking for the port of the mailbox"))?;
        let acceptor = TlsAcceptor::from(Arc::new(server_config()?));
        let mailbox = Arc::new(Mailbox::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(while_doing("making the runtime of the mailbox"))?;
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&mailbox);
        let serve = async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let options = Arc::new(options);
            let mut conversations = JoinSet::new();
            let accept = async {
                loop {
                    // Without a file to spare it tries again with the next connection.
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    let (options, mailbox, acceptor) = (Arc::clone(&options), Arc::clone(&shared), acceptor.clone());
                    conversations.spawn(conversation::hold(stream, options, mailbox, acceptor));
                    while conversations.try_join_next().is_some() {}
                }
            };
            tokio::select! {
                () = accept => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::Builder::new().name("imap-server".to_owned()).spawn(move || runtime.block_on(serve));
        let thread = thread.map_err(while_doing("starting the thread of the mailbox"))?;
        Ok(Self { address, mailbox, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root under which its certificate is, in DER.
    #[must_use]
    pub fn root() -> CertificateDer<'static> {
        SmtpSink::root()
    }

    /// Adds a folder: its name as on the wire, and its attributes as in `\Sent`, or nothing.
    pub fn add_folder(&self, name: &str, attributes: &str) {
        self.mailbox.add_folder(name, attributes);
    }

    /// Puts a message into a folder, which is made where there is none. Gives its uid.
    pub fn append(&self, folder: &str, message: &[u8]) -> u32 {
        self.mailbox.append(folder, message, None)
    }

    /// As [`Self::append`], with this uid, which must be higher than those that are there.
    pub fn append_at(&self, folder: &str, uid: u32, message: &[u8]) -> u32 {
        self.mailbox.append(folder, message, Some(uid))
    }

    /// Takes a message away for good.
    pub fn expunge(&self, folder: &str, uid: u32) {
        self.mailbox.expunge(folder, uid);
    }

    /// Makes every uid of a folder void: its messages are numbered from 1, under this validity.
    pub fn renumber(&self, folder: &str, uid_validity: u32) {
        self.mailbox.renumber(folder, uid_validity);
    }

    /// Adds a fault. Of several that fit, the one that was added first acts.
    pub fn fault(&self, fault: ImapFault) {
        self.mailbox.add_fault(fault);
    }

    /// Takes every fault back.
    pub fn heal(&self) {
        self.mailbox.clear_faults();
    }

    /// The uids of the messages whose text was given so far, in the order of the asking, with those that were given again.
    #[must_use]
    pub fn read(&self, folder: &str) -> Vec<u32> {
        self.mailbox.read(folder)
    }

    /// The uids of the messages that are marked as read.
    #[must_use]
    pub fn seen(&self, folder: &str) -> Vec<u32> {
        self.mailbox.seen(folder)
    }

    /// Every command that came so far without its tag: of those that sign in, only the first two words.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.mailbox.commands()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.mailbox.reached(ImapStage::Greeting)
    }

    /// How often a stage was reached so far, on all connections.
    #[must_use]
    pub fn reached(&self, stage: ImapStage) -> u64 {
        self.mailbox.reached(stage)
    }

    /// Waits until a stage was reached `times` times. False when that did not happen within `patience`.
    pub async fn wait_for_stage(&self, stage: ImapStage, times: u64, patience: Duration) -> bool {
        self.mailbox.wait(patience, |mailbox| mailbox.reached(stage) >= times).await
    }

    /// Waits until the text of `count` messages of a folder was given. False when that did not happen within `patience`.
    pub async fn wait_for_read(&self, folder: &str, count: usize, patience: Duration) -> bool {
        self.mailbox.wait(patience, |mailbox| mailbox.read(folder).len() >= count).await
    }
}

impl Drop for ImapServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
