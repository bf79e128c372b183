//! Reading a mailbox (IMAP4rev1, RFC 3501, and what RFC 9051 has in common with it).
//!
//! [`Session::sign_in`] protects the line and signs in; [`Session::open`] opens a folder for reading only, so that nothing is
//! ever marked as read; [`Session::newer`] gives what came after a message that is known, some at a time;
//! [`Session::find_message_id`] looks a message up; [`Session::sent_folder`] finds where sent mail is kept.
//!
//! A server is a stranger. Whatever it says is read within bounds, and each step ends within its time. A session whose state
//! is in any doubt is spent, as with [`crate::smtp`]: after a timeout, a cut, a farewell, nonsense, or a future that was
//! dropped half way. A spent session refuses everything. A clear no leaves it good.

mod failure;
mod folders;
mod letters;
mod name;
mod response;
mod session;
mod sign_in;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ClientConfig;

pub use crate::smtp::{Security, SignIn};
pub use failure::{Answer, Cause, Failed, No};
pub use session::Session;

/// The most messages that [`Session::newer`] gives at a time, whatever is asked for.
pub const MOST_LETTERS: usize = 200;
/// After how many bytes [`Session::newer`] gives what it has. One message of at most [`crate::heard::MOST_BYTES`] may come on
/// top.
pub const ENOUGH_BYTES: usize = 8 * 1024 * 1024;

/// A server, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name, which its certificate must bear.
    pub name: String,
    /// How the line is protected: port 993 for [`Security::Tls`], 143 for the others.
    pub security: Security,
    /// Whom TLS trusts.
    pub tls: Arc<ClientConfig>,
    /// Who signs in. With [`SignIn::None`] only a server that needs no sign-in (`PREAUTH`) is of use.
    pub sign_in: SignIn,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until the server greets.
    pub greeting: Duration,
    /// For the answer to `CAPABILITY`.
    pub capability: Duration,
    /// For the answer to `STARTTLS`, and again for the handshake.
    pub start_tls: Duration,
    /// For each answer of signing in.
    pub sign_in: Duration,
    /// For opening a folder, and for listing them.
    pub folder: Duration,
    /// For each search. Servers without an index read every message for a search by header.
    pub search: Duration,
    /// For each message.
    pub fetch: Duration,
    /// For the answer to `LOGOUT`.
    pub rest: Duration,
    /// Between two pieces of one response.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            greeting: minutes(1),
            capability: minutes(1),
            start_tls: minutes(1),
            sign_in: minutes(2),
            folder: minutes(2),
            search: minutes(5),
            fetch: minutes(3),
            rest: Duration::from_secs(10),
            idle: minutes(1),
        }
    }
}

/// Where in the conversation something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before the server's first word.
    Greeting,
    /// `CAPABILITY`.
    Capability,
    /// `STARTTLS` and the handshake.
    StartTls,
    /// `LOGIN` or `AUTHENTICATE`.
    SignIn,
    /// `EXAMINE`, which opens a folder, and `LIST`.
    Folder,
    /// `UID SEARCH`.
    Search,
    /// `UID FETCH`.
    Fetch,
}

impl Stage {
    /// The word for it in figures and books.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Capability => "capability",
            Self::StartTls => "start_tls",
            Self::SignIn => "sign_in",
            Self::Folder => "folder",
            Self::Search => "search",
            Self::Fetch => "fetch",
        }
    }
}

/// A folder as it was when it was opened (RFC 3501, 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folder {
    /// While this number is the same a uid means the same message. When it has changed, every uid that is known is void.
    pub uid_validity: u32,
    /// The next message that comes gets this uid or a higher one. Where the server does not say it, one more than the highest
    /// that is there.
    pub uid_next: u32,
    /// How many messages there are.
    pub exists: u32,
}

/// A message of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number in the folder: later messages have higher ones.
    pub uid: u32,
    /// The size of the whole message in bytes, as the server says. Some servers only guess it.
    pub size: u64,
    /// When it came into the mailbox, as the server says.
    pub internal_date: Option<Timestamp>,
    /// The message, of which at most the first [`crate::heard::MOST_BYTES`] are read. Empty when the server has no text for it.
    pub raw: Vec<u8>,
    /// What the server said instead of giving this message, although it gives others; `raw` is empty then.
    pub refused: Option<Answer>,
}

#[cfg(test)]
mod tests;
