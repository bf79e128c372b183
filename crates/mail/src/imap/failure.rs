//! What goes wrong, where, and what of it only a person can change.

use std::fmt;

use super::Stage;

/// How a server says no (RFC 3501, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// `NO`: it understood and does not do it.
    No,
    /// `BAD`: it did not understand.
    Bad,
}

/// A no of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which one.
    pub no: No,
    /// Its code in capitals, where there is one: `AUTHENTICATIONFAILED`, `NONEXISTENT` (RFC 5530). Printable and bounded.
    pub code: Option<String>,
    /// Its words, printable and bounded.
    pub text: String,
}

/// Codes of a no that is about now (RFC 5530, RFC 9051).
const NOT_NOW: &[&str] = &["UNAVAILABLE", "INUSE", "LIMIT", "OVERQUOTA", "SERVERBUG"];
/// Words of the same, of servers that write no code or one for everything.
const NOT_NOW_WORDS: &[&str] =
    &["too many", "temporar", "try again", "later", "unavailable", "limit", "internal error", "not connected"];

impl Answer {
    /// Whether the no is about now, and not about what was asked: the server is busy, ill, or heard too much.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        let text = self.text.to_lowercase();
        self.code.as_deref().is_some_and(|code| NOT_NOW.contains(&code))
            || NOT_NOW_WORDS.iter().any(|words| text.contains(words))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.no {
            No::No => "NO",
            No::Bad => "BAD",
        })?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", self.text) }
    }
}

/// Why a stage did not go well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server said no.
    Answer(Answer),
    /// The connection ended without a word.
    Cut,
    /// The time of the stage ran out.
    TimedOut,
    /// The server said goodbye (`BYE`), with these words, printable and bounded.
    Bye(String),
    /// The server said what no server may say here.
    Garbage(&'static str),
    /// The server said, or announced, more than is read.
    TooLarge {
        /// The most that is read, in bytes.
        most: u64,
    },
    /// The handshake of TLS failed.
    Tls(String),
    /// What was asked for cannot be sent, the server does not offer it, or it would not be safe. Nothing secret was sent.
    Unsuitable(&'static str),
    /// The session was spent before.
    Spent,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "{answer}"),
            Self::Cut => f.write_str("the connection ended"),
            Self::TimedOut => f.write_str("the server took too long"),
            Self::Bye(words) => write!(f, "the server ended the conversation: {words}"),
            Self::Garbage(why) => write!(f, "the server broke the protocol: {why}"),
            Self::TooLarge { most } => write!(f, "the server said more than the {most} bytes that are read"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
            Self::Unsuitable(why) => f.write_str(why),
            Self::Spent => f.write_str("the session was spent before"),
        }
    }
}

/// A stage that did not go well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} failed: {cause}", stage.as_str())]
pub struct Failed {
    /// Where.
    pub stage: Stage,
    /// Why.
    pub cause: Cause,
}

impl Failed {
    /// Whether trying the same again is of no use until a person changes the settings: the server refused the credentials, or
    /// what is set cannot be done with it. False for whatever may go well later, also at the sign-in.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match &self.cause {
            // A search for what cannot be sent is no matter of the settings.
            Cause::Unsuitable(_) => self.stage <= Stage::Folder,
            Cause::Answer(answer) => self.stage == Stage::SignIn && !answer.is_for_now(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(stage: Stage, code: Option<&str>, text: &str) -> Failed {
        let answer = Answer { no: No::No, code: code.map(str::to_owned), text: text.to_owned() };
        Failed { stage, cause: Cause::Answer(answer) }
    }

    #[test]
    fn credentials_need_a_person_and_crowds_do_not() {
        let cases = [
            (Stage::SignIn, Some("AUTHENTICATIONFAILED"), "Invalid credentials (Failure)", true),
            (Stage::SignIn, None, "LOGIN failed.", true),
            (Stage::SignIn, Some("ALERT"), "Application-specific password required", true),
            (Stage::SignIn, Some("ALERT"), "Too many simultaneous connections. (Failure)", false),
            (Stage::SignIn, Some("UNAVAILABLE"), "the directory is away", false),
            (Stage::SignIn, None, "User is authenticated but not connected.", false),
            (Stage::Folder, Some("NONEXISTENT"), "no such folder", false),
        ];
        for (stage, code, text, expected) in cases {
            assert_eq!(refused(stage, code, text).needs_a_person(), expected, "{text}");
        }
        let failed = refused(Stage::SignIn, Some("AUTHENTICATIONFAILED"), "Invalid credentials");
        assert_eq!(failed.to_string(), "sign_in failed: NO [AUTHENTICATIONFAILED] Invalid credentials");
        assert!(!Failed { stage: Stage::Fetch, cause: Cause::Cut }.needs_a_person());
        assert!(!Failed { stage: Stage::Search, cause: Cause::Unsuitable("x") }.needs_a_person());
        assert!(Failed { stage: Stage::StartTls, cause: Cause::Unsuitable("x") }.needs_a_person());
    }
}
