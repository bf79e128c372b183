//! The words that a call is found by.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::PhoneCall;
use crate::knowledge::telling;

/// The most words of a call, in the order of [`CallWords::of`]: what is said after so many others is not found.
const MOST_WORDS: usize = 1_000;
/// The most words that are looked for at once.
const MOST_SOUGHT: usize = 8;
/// The least digits of the end of a number that it is found by.
const LEAST_DIGITS: usize = 4;

/// The words of a call: of whoever called, of its summary, and of what was said; and the ends of the number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallWords(pub BTreeSet<String>);

impl CallWords {
    /// The words of a call with somebody of this name, in which this was said.
    #[must_use]
    pub fn of(call: &PhoneCall, name: Option<&str>, said: &[String]) -> Self {
        let mut found = BTreeSet::new();
        let mut add = |words: &mut dyn Iterator<Item = String>| {
            for word in words {
                if found.len() >= MOST_WORDS {
                    return;
                }
                found.insert(word);
            }
        };
        add(&mut telling(name.unwrap_or_default()));
        let digits = digits(call.number.as_deref().unwrap_or_default());
        add(&mut (0..(digits.len() + 1).saturating_sub(LEAST_DIGITS)).map(|from| digits[from..].to_owned()));
        add(&mut telling(call.summary.as_deref().unwrap_or_default()));
        for text in said {
            add(&mut telling(text));
        }
        Self(found)
    }

    /// What somebody looks for: each word once, the longest first, at most eight. Digits with blanks and signs between them are
    /// one number; the zeros before it are those of a country, and left out.
    #[must_use]
    pub fn sought(text: &str) -> Vec<String> {
        let is_number = text.chars().any(|one| one.is_ascii_digit())
            && text.chars().all(|one| one.is_ascii_digit() || " +-/().".contains(one));
        let mut words: Vec<String> = if is_number {
            let digits = digits(text);
            let national = digits.trim_start_matches('0');
            vec![if national.len() >= LEAST_DIGITS { national.to_owned() } else { digits }]
        } else {
            telling(text).collect()
        };
        words.sort_by_key(|word| Reverse(word.chars().count()));
        let mut seen = BTreeSet::new();
        words.retain(|word| seen.insert(word.clone()));
        words.truncate(MOST_SOUGHT);
        words
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PhoneCallId, Timestamp};

    fn call() -> PhoneCall {
        let mut call = PhoneCall::new(PhoneCallId(uuid::Uuid::nil()), "x".to_owned(), Timestamp::EPOCH);
        call.number = Some("+4930901820".to_owned());
        call.summary = Some("A cleaning was booked.".to_owned());
        call
    }

    #[test]
    fn a_call_is_found_by_name_number_summary_and_words() {
        let CallWords(words) = CallWords::of(&call(), Some("Ada Lovelace"), &["My crown's loose".to_owned()]);
        for sought in ["lovelace", "030 901820", "+49 30 901820", "1820", "Cleaning!", "crown", "LOOSE crown"] {
            assert!(CallWords::sought(sought).iter().all(|word| words.contains(word)), "{sought}: {words:?}");
        }
        for other in ["820", "crow", "bridge", "901821"] {
            assert!(!CallWords::sought(other).iter().all(|word| words.contains(word)), "{other}");
        }
        assert_eq!(CallWords::sought("the of"), [""; 0], "nothing that tells something");
        assert_eq!(CallWords::sought("bee a bee longest").first().map(String::as_str), Some("longest"));
    }

    #[test]
    fn the_words_of_a_call_are_bounded() {
        let text: Vec<String> = (0..5_000).map(|number| format!("w{number}")).collect();
        let CallWords(words) = CallWords::of(&call(), Some("Ada"), &[text.join(" ")]);
        assert_eq!(words.len(), MOST_WORDS);
        assert!(words.contains("ada") && words.contains("cleaning"), "who it was is found in any case");
    }
}
