//! The section `[auth]`.

use std::collections::BTreeSet;

use mainstay_domain::{Secret, from_hexadecimal};
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::{Bound, Field};
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] = &[
    ("auth.access_token_seconds", 10, 86_400),
    ("auth.refresh_token_seconds", 60, 31_536_000),
    ("auth.refresh_leeway_seconds", 0, 300),
    ("auth.sign_in_failures", 1, 1_000),
    ("auth.sign_ups", 1, 100_000),
    ("auth.throttle_window_seconds", 1, 86_400),
    ("auth.audit_trail_days", 1, 36_500),
    ("auth.password_memory_kib", 8, 4_194_304),
    ("auth.password_passes", 1, 20),
    ("auth.password_workers", 1, 64),
    ("auth.password_queue", 1, 10_000),
    ("auth.revocation_poll_ms", 10, 2_500),
];

pub(super) const ISSUER_FIELDS: &[Field] = &[
    Field { name: "issuer", list: false },
    Field { name: "audience", list: false },
    Field { name: "jwks_url", list: false },
    Field { name: "algorithms", list: true },
];

/// Signatures by a private key only. With HS256 whoever can check a token can make one, and `none` is no signature
/// (RFC 8725, sections 3.1 and 3.2).
const ALGORITHMS: &[&str] = &["RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"];

/// A key made by chance has about 30 different bytes among its 32. Fewer than this one was typed.
const LEAST_DIFFERENT_BYTES: usize = 16;

/// Memory in KiB times passes, below which Argon2id is weaker than any of the recommended pairs
/// (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>).
const LEAST_PASSWORD_WORK: u64 = 35_840;

/// Signing in, tokens and passwords.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Auth {
    /// The key that signs access and refresh tokens: 64 hexadecimal digits. Empty: made once and kept in the database, where whoever reads the database can read it.
    pub signing_key: Secret,
    /// A file that holds the signing key.
    pub signing_key_file: String,
    /// How long an access token is good, in seconds.
    pub access_token_seconds: u64,
    /// How long a sign-in lasts without use, in seconds (30 days).
    pub refresh_token_seconds: u64,
    /// For how long a refresh token that was just used gives the same successor again, in seconds: a lost answer or two tabs at once do not end the sign-in.
    pub refresh_leeway_seconds: u64,
    /// Failed sign-ins within the window after which further ones of that account, or from that address, are refused, even with the right password. Who is signed in stays so. Each node counts for itself.
    pub sign_in_failures: u32,
    /// Sign-ups after which an address waits. Each node counts for itself.
    pub sign_ups: u32,
    /// The window of both, in seconds.
    pub throttle_window_seconds: u64,
    /// How long entries of the audit trail are kept, in days: six years, as those ask for whom laws do.
    pub audit_trail_days: u32,
    /// Whether people may sign up by themselves.
    pub sign_up_enabled: bool,
    /// Argon2id: memory for one hash, in KiB.
    pub password_memory_kib: u32,
    /// Argon2id: passes over the memory.
    pub password_passes: u32,
    /// Passwords that are hashed at the same moment. Each takes one core while it runs.
    pub password_workers: usize,
    /// The most passwords that wait to be hashed. Further ones are refused with 503.
    pub password_queue: usize,
    /// How often each node reads what was revoked, in milliseconds. After 5 s without an answer requests are refused.
    pub revocation_poll_ms: u64,
    /// Issuers of tokens from outside.
    pub issuers: Vec<Issuer>,
}

/// An issuer of tokens from outside: Supabase, Auth0, Clerk or any other with a JWKS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Issuer {
    /// The `iss` claim, exactly.
    pub issuer: String,
    /// The `aud` claim that must be present.
    pub audience: String,
    /// Where the issuer's public keys are.
    pub jwks_url: String,
    /// The algorithms that are taken: RS256, RS384, RS512, ES256, ES384, EdDSA.
    pub algorithms: Vec<String>,
}

durations!(Auth {
    access_token_lifetime: from_secs(access_token_seconds),
    refresh_token_lifetime: from_secs(refresh_token_seconds),
    refresh_leeway: from_secs(refresh_leeway_seconds),
    throttle_window: from_secs(throttle_window_seconds),
    revocation_poll_interval: from_millis(revocation_poll_ms),
});

impl Auth {
    /// The signing key, when one is set.
    #[must_use]
    pub fn signing_key_bytes(&self) -> Option<[u8; 32]> {
        from_hexadecimal(self.signing_key.expose())
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        let cure = "Make one with: openssl rand -hex 32";
        match self.signing_key_bytes() {
            None if self.signing_key.is_empty() => {}
            None => faults.push(Fault::new("auth.signing_key", "is not 64 hexadecimal digits", cure)),
            Some(key) if key.iter().collect::<BTreeSet<_>>().len() < LEAST_DIFFERENT_BYTES => {
                faults.push(Fault::new("auth.signing_key", "repeats itself, so that it can be guessed", cure));
            }
            Some(_) => {}
        }
        if self.refresh_token_seconds <= self.access_token_seconds {
            let reason = format!(
                "is {}, not more than access_token_seconds ({})",
                self.refresh_token_seconds, self.access_token_seconds
            );
            faults.push(Fault::new("auth.refresh_token_seconds", reason, "Raise it, or shorten access tokens"));
        }
        if self.refresh_leeway_seconds >= self.access_token_seconds {
            let reason = format!(
                "is {}, not less than access_token_seconds ({})",
                self.refresh_leeway_seconds, self.access_token_seconds
            );
            faults.push(Fault::new("auth.refresh_leeway_seconds", reason, "Lower it; some seconds are enough"));
        }
        for (index, issuer) in self.issuers.iter().enumerate() {
            issuer.validate(&format!("auth.issuers[{index}]"), faults);
            if self.issuers.iter().take(index).any(|before| before.issuer == issuer.issuer) {
                let reason = "the same issuer is listed twice";
                faults.push(Fault::new(format!("auth.issuers[{index}].issuer"), reason, "Remove one of the two"));
            }
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if u64::from(self.password_memory_kib) * u64::from(self.password_passes) < LEAST_PASSWORD_WORK {
            let reason = "with these passes a stolen password hash is guessed too cheaply";
            let cure = "Use at least 19456 with 2 passes, or 12288 with 3";
            warnings.push(Fault::new("auth.password_memory_kib", reason, cure));
        }
    }
}

impl Issuer {
    fn validate(&self, path: &str, faults: &mut Vec<Fault>) {
        for (name, text) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if text.trim().is_empty() {
                let cure =
                    format!("Set it to the claim {} of its tokens", if name == "issuer" { "iss" } else { "aud" });
                faults.push(Fault::new(format!("{path}.{name}"), "is empty", cure));
            }
        }
        let key = format!("{path}.jwks_url");
        match rules::web_address(&key, &self.jwks_url, rules::Path::Any) {
            Err(fault) => faults.push(fault),
            Ok(()) if rules::is_open(&self.jwks_url) => {
                let reason = "is not https, so that anybody on the way could put in keys of their own";
                faults.push(Fault::new(key, reason, "Use the https address of the issuer"));
            }
            Ok(()) => {}
        }
        let key = format!("{path}.algorithms");
        let cure = format!("Use some of {}", ALGORITHMS.join(", "));
        if self.algorithms.is_empty() {
            faults.push(Fault::new(&key, "is empty", &cure));
        }
        for algorithm in self.algorithms.iter().filter(|algorithm| !ALGORITHMS.contains(&algorithm.as_str())) {
            faults.push(Fault::new(&key, format!("'{}' is not taken", rules::shown(algorithm)), &cure));
        }
    }
}
