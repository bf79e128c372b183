//! What a provider's tokens cost.

use mainstay_domain::Usage;

/// The price of a million tokens, in millionths of the currency's unit: 3.00 for a million is 3,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of tokens that the model reads.
    pub input: u64,
    /// Of tokens that it writes.
    pub output: u64,
}

const MILLION: u128 = 1_000_000;

impl Price {
    /// What these tokens cost, in millionths, rounded up.
    #[must_use]
    pub fn of(self, usage: Usage) -> i64 {
        let part = |price: u64, tokens: u32| u128::from(price) * u128::from(tokens);
        let cost = (part(self.input, usage.input_tokens) + part(self.output, usage.output_tokens)).div_ceil(MILLION);
        i64::try_from(cost).unwrap_or(i64::MAX)
    }

    /// How many tokens of output can be had for what is left of an amount after so many tokens of input.
    #[must_use]
    pub fn affordable(self, amount_micros: i64, input_tokens: u32) -> u32 {
        let input = Self { output: 0, ..self }.of(Usage { input_tokens, output_tokens: 0 });
        let left = u128::try_from(amount_micros.saturating_sub(input)).unwrap_or(0) * MILLION;
        left.checked_div(u128::from(self.output)).map_or(u32::MAX, |tokens| u32::try_from(tokens).unwrap_or(u32::MAX))
    }

    /// The higher of two prices, each for itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { input: self.input.max(other.input), output: self.output.max(other.output) }
    }

    /// Whether nothing costs anything.
    #[must_use]
    pub const fn is_free(self) -> bool {
        self.input == 0 && self.output == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(input_tokens: u32, output_tokens: u32) -> Usage {
        Usage { input_tokens, output_tokens }
    }

    #[test]
    fn a_price_counts_to_the_millionth_and_rounds_up() {
        let price = Price { input: 3_000_000, output: 15_000_000 };
        assert_eq!(price.of(usage(1_000, 200)), 3_000 + 3_000);
        assert_eq!(Price { input: 80_000, output: 0 }.of(usage(1, 0)), 1, "less than a millionth is one");
        assert_eq!(Price::default().of(usage(u32::MAX, u32::MAX)), 0);
        assert_eq!(Price { input: u64::MAX, output: u64::MAX }.of(usage(u32::MAX, u32::MAX)), i64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_affordable_costs_no_more_than_there_is(
            input in 0u64..100_000_000, output in 1u64..100_000_000, read in 0u32..100_000, amount in 0i64..1_000_000_000,
        ) {
            let price = Price { input, output };
            let tokens = price.affordable(amount, read);
            if tokens > 0 {
                prop_assert!(price.of(usage(read, tokens)) <= amount);
            }
            if tokens < u32::MAX && price.of(usage(read, 0)) <= amount {
                prop_assert!(price.of(usage(read, tokens.saturating_add(2))) >= amount);
            }
        }
    }
}
