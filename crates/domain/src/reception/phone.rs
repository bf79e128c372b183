//! Numbers of telephones, in the one form that identifies them.

use std::fmt;

use serde::Serialize;

use crate::text::{Refused, unprinted};

/// A number as E.164 has it (itu.int/rec/T-REC-E.164): a plus, the country, the rest, 15 digits at the most.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PhoneNumber(String);

unprinted!(PhoneNumber, "[phone]");

/// What numbers of a country begin with, such as 49, and what is dialled before one within it, such as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallingCode {
    code: u16,
    /// Whether a 0 before a number within the country stands for the country. It does in most; not in Italy and in those
    /// that share the code 1.
    drops_zero: bool,
}

impl CallingCode {
    /// The code of a country: one to three digits.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(code: u16) -> Result<Self, Refused> {
        if !(1..=999).contains(&code) {
            let detail = "Write the code of a country, such as 49 or 1.".to_owned();
            return Err(Refused { code: "out_of_range", detail });
        }
        Ok(Self { code, drops_zero: !matches!(code, 1 | 39 | 378) })
    }

    /// As a number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.code
    }
}

impl PhoneNumber {
    /// The least and the most digits, with the country.
    const DIGITS: (usize, usize) = (7, 15);

    /// Reads a number as people write it: with blanks, dashes, dots, slashes and brackets, with `+` or `00` before the
    /// country, or without a country within a given one.
    ///
    /// # Errors
    /// When it is no number, or its country is not known.
    pub fn parse(text: &str, within: Option<CallingCode>) -> Result<Self, Refused> {
        let refused = |detail: &str| Err(Refused { code: "invalid_phone_number", detail: detail.to_owned() });
        let text = text.trim();
        let (has_plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        // "+49 (0) 30": the zero is dialled within the country only.
        let rest = if has_plus { rest.replacen("(0)", "", 1) } else { rest.to_owned() };
        if !rest.chars().all(|one| one.is_ascii_digit() || matches!(one, ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}'))
        {
            return refused("Write a number of digits, such as +49 30 901820.");
        }
        let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
        let whole = match (has_plus, digits.strip_prefix("00"), within) {
            (true, _, _) => digits,
            (false, Some(abroad), _) => abroad.to_owned(),
            (false, None, None) => return refused("Begin with the country, such as +49."),
            (false, None, Some(country)) => {
                let local = if country.drops_zero { digits.strip_prefix('0').unwrap_or(&digits) } else { &digits };
                // In North America people write the 1 as a part of the number.
                let local =
                    local.strip_prefix('1').filter(|rest| country.code == 1 && rest.len() == 10).unwrap_or(local);
                format!("{}{local}", country.code)
            }
        };
        let (least, most) = Self::DIGITS;
        if !(least..=most).contains(&whole.len()) || whole.starts_with('0') {
            return refused("A number has from 7 to 15 digits, with those of the country, which begin with no 0.");
        }
        Ok(Self(format!("+{whole}")))
    }

    /// The number, with a plus and without blanks.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last four digits, by which people know it again; what is before is not shown.
    #[must_use]
    pub fn masked(&self) -> impl fmt::Display + '_ {
        format!("…{}", self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(code: u16) -> Option<CallingCode> {
        Some(CallingCode::new(code).expect("a code"))
    }

    #[test]
    fn one_number_has_one_form() {
        for text in ["+49 30 901820", "0049-30-901820", "030/901820", "(030) 90 18 20", "+49 (0) 30 901820", "30901820"]
        {
            let number = PhoneNumber::parse(text, within(49)).expect(text);
            assert_eq!(number.as_str(), "+4930901820", "{text}");
        }
        for text in ["(415) 555-2671", "1-415-555-2671", "+1 415.555.2671"] {
            assert_eq!(PhoneNumber::parse(text, within(1)).expect(text).as_str(), "+14155552671", "{text}");
        }
        // In Italy the 0 is a part of the number.
        assert_eq!(PhoneNumber::parse("06 6982", within(39)).expect("a number").as_str(), "+39066982");
        assert_eq!(
            PhoneNumber::parse("+49 30 901820", None).map(|number| number.masked().to_string()),
            Ok("…1820".to_owned())
        );
        assert_eq!(format!("{:?}", PhoneNumber::parse("+4930901820", None)), "Ok([phone])");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in
            ["", "+", "call me", "+49", "030 901820", "+0301234567", "+1234567890123456", "12+34567890", "٣٠٩٠١٨٢٠"]
        {
            assert_eq!(
                PhoneNumber::parse(bad, None).map_err(|refused| refused.code),
                Err("invalid_phone_number"),
                "{bad}"
            );
        }
        assert_eq!((CallingCode::new(0).is_err(), CallingCode::new(1_000).is_err()), (true, true));
    }
}
