//! Why a credential was refused.

use std::time::Duration;

use mainstay_domain::{Error, Kind};

/// Why a token or key was refused. The log learns which; a caller learns only that it is not good, or that it is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenFault {
    /// Longer than any token of its kind.
    #[error("it is too long")]
    TooLong,
    /// Not of the form of its kind: a prefix, a length, a segment, base64 or JSON that cannot be read.
    #[error("it is not well formed")]
    Malformed,
    /// The header names an algorithm, a type or a parameter that is not taken.
    #[error("its header is not one that is taken")]
    Header,
    /// The header names no key, or one that the issuer does not publish.
    #[error("its key is not known")]
    UnknownKey,
    /// The signature is not that of the named key.
    #[error("its signature is not good")]
    Signature,
    /// No such issuer is configured.
    #[error("its issuer is not known")]
    Issuer,
    /// It was made for somebody else.
    #[error("it is for another audience")]
    Audience,
    /// A claim that must be there is missing, or is not of its type.
    #[error("a claim is missing or not of its type")]
    Claims,
    /// It was good, and no longer is.
    #[error("it has expired")]
    Expired,
    /// It is not good yet: `nbf` or `iat` lies in the future.
    #[error("it is not valid yet")]
    NotYetValid,
    /// The issuer's keys cannot be had, so nothing can be said of the token.
    #[error("the keys of its issuer cannot be had")]
    IssuerUnavailable,
}

impl TokenFault {
    /// The word for it in a log line or a metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuerUnavailable => "issuer_unavailable",
        }
    }
}

impl From<TokenFault> for Error {
    /// 401 with `token_expired` (the client may refresh) or `invalid_token` (RFC 6750, section 3.1), or 503 with
    /// `issuer_unavailable`. Which check failed is for the log: told to a caller it would help a forger.
    fn from(fault: TokenFault) -> Self {
        match fault {
            TokenFault::IssuerUnavailable => Self::new(
                Kind::Unavailable,
                "issuer_unavailable",
                "The keys of the issuer of this token cannot be had at the moment. Try again soon.",
            )
            .retry_after(Duration::from_secs(2)),
            TokenFault::Expired => Self::new(
                Kind::Unauthenticated,
                "token_expired",
                "The token has expired. Refresh it, or sign in again.",
            ),
            _ => Self::new(Kind::Unauthenticated, "invalid_token", "The token is not good. Sign in again."),
        }
        .because(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_learns_what_to_do_and_not_which_check_failed() {
        let of = |fault: TokenFault| Error::from(fault);
        assert_eq!(
            (of(TokenFault::Expired).kind, of(TokenFault::Expired).code),
            (Kind::Unauthenticated, "token_expired")
        );
        assert_eq!(of(TokenFault::IssuerUnavailable).kind, Kind::Unavailable);
        assert_eq!(of(TokenFault::IssuerUnavailable).retry_after, Some(Duration::from_secs(2)));
        let (signature, audience) = (of(TokenFault::Signature), of(TokenFault::Audience));
        assert_eq!((signature.code, &signature.detail), (audience.code, &audience.detail));
        assert_eq!(signature.inside.map(|inside| inside.to_string()), Some("its signature is not good".to_owned()));
    }
}
