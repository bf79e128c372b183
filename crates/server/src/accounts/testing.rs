//! What the tests of credentials share.

use mainstay_domain::Secret;

use crate::config;

/// A configuration with the cheapest passwords that there are.
pub(super) fn auth() -> config::Auth {
    config::Auth {
        signing_key: Secret::default(),
        signing_key_file: String::new(),
        access_token_seconds: 900,
        refresh_token_seconds: 2_592_000,
        refresh_leeway_seconds: 20,
        audit_trail_days: 2_190,
        sign_in_failures: 5,
        sign_ups: 5,
        throttle_window_seconds: 900,
        sign_up_enabled: true,
        password_memory_kib: 64,
        password_passes: 1,
        password_workers: 1,
        password_queue: 4,
        revocation_poll_ms: 1000,
        issuers: Vec::new(),
    }
}
