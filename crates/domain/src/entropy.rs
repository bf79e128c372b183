//! Chance as an argument. Nothing in Mainstay draws randomness but through [`Entropy`].

use std::sync::Arc;

use uuid::{Builder, Uuid};

use crate::Clock;

/// Where randomness comes from: the operating system's generator in production, a seeded one in tests.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// A number from 0 up to, and without, 1.
    fn fraction(&self) -> f64 {
        let mut random = [0; 4];
        self.fill(&mut random);
        f64::from(u32::from_le_bytes(random)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Makes identifiers: UUIDv7, so that ids made later sort later (to the millisecond) and B-trees grow at their end.
#[derive(Clone)]
pub struct Ids {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Ids {
    /// Identifiers from this clock and this source of chance.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// A new identifier of any kind: `let id: ConversationId = ids.make();`
    #[must_use]
    pub fn make<T: From<Uuid>>(&self) -> T {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        let millis = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        T::from(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, Timestamp};

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xA5);
        }
    }

    #[test]
    fn ids_are_version_seven_and_carry_the_clock() {
        let ids = Ids::new(Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000))), Arc::new(Fixed));
        let id: Uuid = ids.make();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.as_u128() >> 80, 1_700_000_000_000);
    }
}
