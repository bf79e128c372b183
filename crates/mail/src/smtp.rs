//! Handing a message over (SMTP, RFC 5321) by stages.
//!
//! [`Session::offer`] names the sender and the recipient and asks to begin; until then nothing can have been accepted. What
//! it gives is an [`Offered`], and only [`Offered::deliver`] sends the message. Between the two the caller writes down that
//! the message is about to be sent. The end of `deliver` is one of three: accepted, refused, or unknown, and what is unknown
//! is never guessed.
//!
//! A session whose state is in any doubt is spent: after a timeout, a cut, an answer nobody asked for, a future that was
//! dropped half way. A spent session refuses everything, so a late answer can never be taken for that of another message.

mod reply;
mod session;
mod sign_in;
mod verdict;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Secret;
use rustls::ClientConfig;

pub use reply::{Enhanced, Reply};
pub use session::{Offered, Session};
pub(crate) use verdict::of_reply;
pub use verdict::{About, Verdict, verdict};

/// How the line is kept from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all. No secret is sent over it, but to a server on this machine.
    None,
    /// By an upgrade in the conversation (port 587). A server that does not offer it is refused.
    StartTls,
    /// From the first byte (port 465).
    Tls,
}

/// How the session says who it is.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// It does not.
    None,
    /// With a password: PLAIN where offered, else LOGIN.
    Password {
        /// The user, often the address.
        user: String,
        /// The password.
        password: Secret,
    },
    /// With an access token of OAuth 2: XOAUTH2.
    OAuth {
        /// The address of the mailbox.
        user: String,
        /// The access token.
        token: Secret,
    },
}

/// A server, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name, which its certificate must bear.
    pub name: String,
    /// How the line is protected.
    pub security: Security,
    /// Whom TLS trusts.
    pub tls: Arc<ClientConfig>,
    /// Who signs in.
    pub sign_in: SignIn,
    /// The name given in `EHLO`: of this machine, or an address literal.
    pub hello: String,
}

/// How long each stage may take. The defaults are those of RFC 5321, 4.5.3.2; an installation may set less.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until the server greets.
    pub greeting: Duration,
    /// For each answer to `EHLO`.
    pub hello: Duration,
    /// For the answer to `STARTTLS`, and again for the handshake.
    pub start_tls: Duration,
    /// For each answer of signing in.
    pub sign_in: Duration,
    /// For the answer to `MAIL`.
    pub sender: Duration,
    /// For the answer to `RCPT`.
    pub recipient: Duration,
    /// For the answer to `DATA`.
    pub data: Duration,
    /// For each block of the message to be taken.
    pub block: Duration,
    /// For the answer after the final dot. A short one makes mail whose fate is unknown.
    pub answer: Duration,
    /// For the answer to `RSET` and `QUIT`.
    pub rest: Duration,
    /// Between two pieces of one answer.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            greeting: minutes(5),
            hello: minutes(5),
            start_tls: minutes(2),
            sign_in: minutes(2),
            sender: minutes(5),
            recipient: minutes(5),
            data: minutes(2),
            block: minutes(3),
            answer: minutes(10),
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
    /// `EHLO` or `HELO`.
    Hello,
    /// `STARTTLS` and the handshake.
    StartTls,
    /// `AUTH`.
    SignIn,
    /// `MAIL`.
    Sender,
    /// `RCPT`.
    Recipient,
    /// `DATA`.
    Data,
    /// The message and its final dot.
    Body,
}

impl Stage {
    /// The word for it in figures and books.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Hello => "hello",
            Self::StartTls => "start_tls",
            Self::SignIn => "sign_in",
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Data => "data",
            Self::Body => "body",
        }
    }
}

/// Why a stage did not go well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server said no, for now (4xx) or for good (5xx).
    Answer(Reply),
    /// The connection ended.
    Cut,
    /// The time of the stage ran out.
    TimedOut,
    /// The server said what no server may say here.
    Garbage(&'static str),
    /// The handshake of TLS failed.
    Tls(String),
    /// The server does not offer what was asked for, or it would not be safe; nothing secret was sent.
    Unsuitable(&'static str),
    /// The message is larger than the server takes, in bytes.
    TooLarge {
        /// The most that it takes.
        most: u64,
    },
    /// The session was spent before.
    Spent,
}

/// A stage that did not go well. Nothing was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} failed: {cause}", stage.as_str())]
pub struct Refused {
    /// Where.
    pub stage: Stage,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(reply) => write!(f, "{reply}"),
            Self::Cut => f.write_str("the connection ended"),
            Self::TimedOut => f.write_str("the server took too long"),
            Self::Garbage(why) => write!(f, "the server broke the protocol: {why}"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
            Self::Unsuitable(why) => f.write_str(why),
            Self::TooLarge { most } => write!(f, "the server takes messages of at most {most} bytes"),
            Self::Spent => f.write_str("the session was spent before"),
        }
    }
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took the message and answers for it.
    Accepted(Reply),
    /// The server said that it did not take it.
    Refused(Refused),
    /// Nobody can know. It must not be sent again by itself.
    Unknown {
        /// What happened: never [`Cause::Answer`].
        why: Cause,
        /// Whether the final dot may have left. Where it did not, no server that keeps to the protocol has the message.
        whole: bool,
    },
}

#[cfg(test)]
mod tests;
