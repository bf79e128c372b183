//! Emergency controls: what is true of them wherever they are set.

use std::time::Duration;

use serde::Serialize;

use crate::text::{Refused, bounded_line};

/// Why an operator sets or clears something, for whoever reads the trail: one line of 3 to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ControlReason(String);

impl ControlReason {
    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a reason.
    ///
    /// # Errors
    /// When it is shorter than 3 or longer than 200 characters, or has control characters.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        bounded_line(text, 3, 200).map(Self)
    }
}

/// For how long a control holds: whole seconds, from one up to seven days. None holds for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlSpan(u64);

impl ControlSpan {
    /// The longest, in seconds: seven days.
    pub const MOST: u64 = 7 * 86_400;
    /// Where nothing is said: one hour.
    pub const USUAL: Self = Self(3600);

    /// Of so many seconds.
    ///
    /// # Errors
    /// When it is none, or more than seven days.
    pub fn of(seconds: u64) -> Result<Self, Refused> {
        if !(1..=Self::MOST).contains(&seconds) {
            let detail = format!("A control holds for 1 to {} seconds, which is seven days: renew it.", Self::MOST);
            return Err(Refused { code: "out_of_range", detail });
        }
        Ok(Self(seconds))
    }

    /// Reads a number with its unit: `90s`, `30m`, `2h`, `7d`.
    ///
    /// # Errors
    /// When it is none of these, or out of bounds.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let bad = || {
            let detail = "Give a number with its unit: 90s, 30m, 2h or 7d.".to_owned();
            Refused { code: "invalid_span", detail }
        };
        let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
        let read = |(unit, size): (&str, u64)| Some((text.strip_suffix(unit)?, size));
        let (number, size) = units.into_iter().find_map(read).ok_or_else(bad)?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        Self::of(number.parse().unwrap_or(u64::MAX).saturating_mul(size))
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_bounded() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("7d", 604_800), ("1s", 1)] {
            assert_eq!(ControlSpan::parse(text).map(ControlSpan::duration), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, code) in [
            ("", "invalid_span"),
            ("h", "invalid_span"),
            ("90", "invalid_span"),
            ("-1h", "invalid_span"),
            ("+1h", "invalid_span"),
            ("1.5h", "invalid_span"),
            ("1 h", "invalid_span"),
            ("1w", "invalid_span"),
            ("0s", "out_of_range"),
            ("8d", "out_of_range"),
            ("99999999999999999999d", "out_of_range"),
        ] {
            assert_eq!(ControlSpan::parse(text).err().map(|refused| refused.code), Some(code), "{text}");
        }
        assert_eq!(ControlSpan::USUAL.duration(), Duration::from_secs(3600));
    }

    #[test]
    fn a_reason_is_one_line_and_says_something() {
        assert_eq!(ControlReason::parse("  bots sign up ").map(|reason| reason.0), Ok("bots sign up".to_owned()));
        let code = |text: &str| ControlReason::parse(text).err().map(|refused| refused.code);
        assert_eq!(code("  x "), Some("too_short"));
        assert_eq!(code(&"x".repeat(201)), Some("too_long"));
        assert_eq!(code("one\ntwo"), Some("control_characters"));
    }
}
