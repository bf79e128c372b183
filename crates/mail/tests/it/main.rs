//! The crate against others: an independent parser and verifier, and the clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

mod figures;
mod independent;
