//! Chance for jitter, keys and nonces, drawn from the [`Entropy`] that the client was made with.

use std::time::Duration;

use mainstay_domain::Entropy;
use uuid::{Builder, Uuid};

/// A span from nothing up to `most`: full jitter, which spreads those who were cut off at the same moment best.
pub(crate) fn up_to(entropy: &dyn Entropy, most: Duration) -> Duration {
    most.mul_f64(entropy.fraction())
}

/// `base`, doubled `times` times, at most `cap`.
pub(crate) fn doubled(base: Duration, times: u32, cap: Duration) -> Duration {
    base.saturating_mul(1 << times.min(20)).min(cap)
}

/// A random UUID (version 4).
pub(crate) fn uuid(entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 16];
    entropy.fill(&mut random);
    Builder::from_random_bytes(random).into_uuid()
}
