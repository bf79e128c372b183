//! The section `[calendars]`.

use std::time::Duration;

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] =
    &[("calendars.poll_minutes", 1, 1_440), ("calendars.google.first_byte_timeout_ms", 10, 60_000)];

/// Calendars of others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calendars {
    /// How often each connected calendar is read when nothing says that it has changed, in minutes. What is older than twice that is shown to be stale.
    pub poll_minutes: u64,
    /// Google's calendars.
    pub google: GoogleCalendar,
}

/// Google's calendars.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GoogleCalendar {
    /// The id of the OAuth client of the type "web application", from Google's console. Its redirect URI is http.public_url with /calendar behind it. Empty: no calendar can be connected, and nobody can sign in to an account at Gmail.
    pub client_id: String,
    /// The secret of the OAuth client.
    pub client_secret: Secret,
    /// A file that holds the secret.
    pub client_secret_file: String,
    /// Where people allow the access.
    pub authorization_url: String,
    /// Where tokens are given.
    pub token_url: String,
    /// Where access is given back.
    pub revoke_url: String,
    /// Where the API of calendars is.
    pub api_url: String,
    /// How long Google may take to the beginning of an answer, in milliseconds. Connecting, retries and the breaker are as in [providers].
    pub first_byte_timeout_ms: u64,
}

durations!(GoogleCalendar { first_byte_timeout: from_millis(first_byte_timeout_ms) });

impl Calendars {
    /// How often each calendar is read.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_minutes * 60)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        let google = &self.google;
        if google.client_id.is_empty() != google.client_secret.is_empty() {
            let cure = "Set both client_id and client_secret, or neither";
            faults.push(Fault::new("calendars.google.client_id", "one of the two is missing", cure));
        }
        for (key, address) in google.addresses() {
            faults.extend(rules::web_address(key, address, rules::Path::Any).err());
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if !self.google.is_set_up() {
            return;
        }
        for (key, address) in self.google.addresses().into_iter().filter(|(_, address)| rules::is_open(address)) {
            let reason = format!("{} is not encrypted: tokens can be read on the way", rules::shown(address));
            warnings.push(Fault::new(key, reason, "Use https"));
        }
    }
}

impl GoogleCalendar {
    /// Whether calendars can be connected.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        !self.client_id.is_empty() && !self.client_secret.is_empty()
    }

    fn addresses(&self) -> [(&'static str, &str); 4] {
        [
            ("calendars.google.authorization_url", &self.authorization_url),
            ("calendars.google.token_url", &self.token_url),
            ("calendars.google.revoke_url", &self.revoke_url),
            ("calendars.google.api_url", &self.api_url),
        ]
    }
}
