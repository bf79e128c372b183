//! The section `[auth]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

/// Signing in, tokens and passwords.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Auth {
    /// The key that signs access and refresh tokens: 64 hexadecimal digits. Empty: made once and kept in the database.
    pub signing_key: Secret,
    /// A file that holds the signing key.
    pub signing_key_file: String,
    /// How long an access token is good, in seconds.
    pub access_token_seconds: u64,
    /// How long a sign-in lasts without use, in seconds (30 days).
    pub refresh_token_seconds: u64,
    /// For how long a refresh token that was just used gives the same successor again, in seconds: a lost answer or two tabs at once do not end the sign-in.
    pub refresh_leeway_seconds: u64,
    /// Failed sign-ins after which an account, or an address, waits.
    pub sign_in_failures: u32,
    /// Sign-ups after which an address waits.
    pub sign_ups: u32,
    /// The window of both, in seconds.
    pub throttle_window_seconds: u64,
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
