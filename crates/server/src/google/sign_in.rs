//! What somebody takes along to Google and brings back: the id of their sign-in, and a secret that is good once. It is not
//! stored, and neither is what PKCE proves.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{CalendarSignInId, Entropy, Error, Ids, Kind, Result, hexadecimal};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

/// How long somebody may take at Google.
pub(crate) const LASTS: Duration = Duration::from_secs(600);
/// Bytes of the secret that comes back.
const SECRET: usize = 32;
/// The longest code that is taken, in bytes.
const LONGEST_CODE: usize = 2_048;

/// SHA-256 in hexadecimal.
pub(crate) fn hash(secret: &[u8]) -> String {
    hexadecimal(digest(&SHA256, secret).as_ref())
}

/// What somebody signs in for: who began the one does not end the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To connect a calendar.
    Calendar,
    /// To send by an account.
    Mail,
}

/// Somebody's way to Google and back.
pub(crate) struct SignIn {
    pub(crate) id: CalendarSignInId,
    secret: [u8; SECRET],
}

impl SignIn {
    /// A new one.
    pub(crate) fn begin(ids: &Ids, entropy: &dyn Entropy) -> Self {
        let mut secret = [0; SECRET];
        entropy.fill(&mut secret);
        Self { id: ids.make(), secret }
    }

    /// The one that somebody comes back from.
    ///
    /// # Errors
    /// When the code or the state cannot be one of ours.
    pub(crate) fn back(state: &str, code: &str) -> Result<Self> {
        if code.is_empty() || code.len() > LONGEST_CODE {
            let detail = format!("Give the code that Google gave, at most {LONGEST_CODE} bytes.");
            return Err(Error::invalid_field("code", "invalid_code", detail));
        }
        let bytes = URL_SAFE_NO_PAD.decode(state).map_err(|_| Self::refused())?;
        let (id, secret) = bytes.split_at_checked(16).ok_or_else(Self::refused)?;
        let id = CalendarSignInId(Uuid::from_slice(id).map_err(|_| Self::refused())?);
        Ok(Self { id, secret: secret.try_into().map_err(|_| Self::refused())? })
    }

    /// What is said of one that was not begun, or not by whoever comes back.
    pub(crate) fn refused() -> Error {
        let detail = "This sign-in was not begun by you, has been used, or is older than ten minutes. Begin it again.";
        Error::new(Kind::Conflict, "sign_in_expired", detail)
    }

    /// What goes along.
    pub(crate) fn state(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.id.uuid().as_bytes(), &self.secret[..]].concat())
    }

    /// What PKCE is made of.
    pub(crate) const fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// By what it is known.
    pub(crate) fn hash(&self, purpose: Purpose) -> String {
        match purpose {
            Purpose::Calendar => hash(&self.secret),
            Purpose::Mail => hash(&[b"mail".as_slice(), &self.secret].concat()),
        }
    }
}
