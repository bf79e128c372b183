//! Why a live socket was closed, and whether and when to come back.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// How the server closed a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// The code of RFC 6455, section 7.4; from 4000 on, the server's own.
    pub code: u16,
    /// Whether it wants the socket back.
    pub reconnect: bool,
    /// When, at the earliest.
    pub after: Duration,
}

/// The reason of a close frame.
#[derive(Deserialize)]
struct Reason {
    reconnect: Option<bool>,
    after_ms: Option<u64>,
}

/// The token was revoked, or its person signed out.
pub(super) const SIGNED_OUT: u16 = 4401;
/// The person has more sockets than they may.
pub(super) const TOO_MANY: u16 = 4429;

impl Closure {
    /// Reads a close frame. Where the reason does not say whether to come back, the code does.
    pub(super) fn read(code: u16, reason: &str) -> Self {
        let reason = serde_json::from_str(reason).unwrap_or(Reason { reconnect: None, after_ms: None });
        Self {
            code,
            reconnect: reason.reconnect.unwrap_or(!matches!(code, SIGNED_OUT | TOO_MANY | 1002 | 1003 | 1008)),
            after: Duration::from_millis(reason.after_ms.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.code {
            1000 => "closed",
            1001 => "the server stops",
            SIGNED_OUT => "signed out, or the token was revoked",
            4408 => "read too slowly",
            4409 => "no sign of life",
            TOO_MANY => "too many sockets of one person",
            4503 => "overload",
            _ => "code",
        };
        write!(f, "{what} ({})", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_comes_before_the_code() {
        let closure = Closure::read(1001, r#"{"reconnect":true,"after_ms":1500}"#);
        assert!(closure.reconnect && closure.after == Duration::from_millis(1500));
        assert!(!Closure::read(1001, r#"{"reconnect":false}"#).reconnect);
        assert!(Closure::read(SIGNED_OUT, r#"{"reconnect":true,"after_ms":0}"#).reconnect);
    }

    #[test]
    fn without_a_reason_the_code_says_it() {
        for (code, back) in
            [(1001, true), (1006, true), (4401, false), (4408, true), (4409, true), (4429, false), (4503, true)]
        {
            assert_eq!(Closure::read(code, "no JSON").reconnect, back, "{code}");
        }
    }
}
