//! The section `[http.tls]`.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::layers::is_open_to_others;
use super::schema::Bound;
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] = &[("http.tls.redirect_port", 0, 65_535), ("http.tls.look_seconds", 1, 3_600)];

/// TLS of the server's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tls {
    /// The file with the certificate and those that vouch for it, the server's own first, as PEM. With it and its key the server speaks TLS 1.2 and 1.3 and nothing else. Empty: it speaks HTTP, for a proxy in front that has the certificate.
    pub certificate_path: String,
    /// The file with the certificate's private key, as PEM. Readable by the server's user only (mode 600).
    pub key_path: String,
    /// How often it is looked whether the two files have changed, in seconds. What is new is used for new connections; a pair that does not fit together is told of, and the one before stays.
    pub look_seconds: u64,
    /// A further port that speaks HTTP and sends everybody on to http.public_url: 80 for people who type the name alone. 0: none.
    pub redirect_port: u16,
}

impl Tls {
    /// Whether the server has a certificate of its own.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate_path.is_empty()
    }

    /// How often it is looked whether the files have changed.
    #[must_use]
    pub fn look(&self) -> Duration {
        Duration::from_secs(self.look_seconds.max(1))
    }

    pub(super) fn validate(&self, public_url: &str, faults: &mut Vec<Fault>) {
        let missing = match (self.certificate_path.is_empty(), self.key_path.is_empty()) {
            (false, true) => Some(("http.tls.key_path", "http.tls.certificate_path")),
            (true, false) => Some(("http.tls.certificate_path", "http.tls.key_path")),
            _ => None,
        };
        if let Some((missing, there)) = missing {
            let cure = "Name both files, or neither where a proxy in front has the certificate";
            faults.push(Fault::new(missing, format!("is not set although {there} is"), cure));
        }
        if self.is_on() && public_url.starts_with("http://") {
            let reason = "begins with http:// although the server speaks TLS (http.tls.certificate_path)";
            faults.push(Fault::new("http.public_url", reason, "Write https:// in front, or leave it empty"));
        }
        if self.redirect_port != 0 && !public_url.starts_with("https://") {
            let reason = "has nowhere to send people: http.public_url is not an https:// address";
            faults.push(Fault::new("http.tls.redirect_port", reason, "Set http.public_url, or this to 0"));
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if !self.key_path.is_empty() && is_open_to_others(Path::new(&self.key_path)) {
            let reason = format!("other users of this machine can read {}", self.key_path);
            warnings.push(Fault::new("http.tls.key_path", reason, format!("Run: chmod 600 {}", self.key_path)));
        }
    }
}
