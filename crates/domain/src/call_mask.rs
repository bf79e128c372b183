//! What is replaced in what was said in calls, before it is kept.

/// What is replaced: by default the numbers of payment cards, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallMask {
    /// Numbers of payment cards.
    pub cards: bool,
    /// Addresses of electronic mail.
    pub emails: bool,
    /// Numbers of telephones.
    pub phones: bool,
}

impl Default for CallMask {
    fn default() -> Self {
        Self { cards: true, emails: false, phones: false }
    }
}

impl CallMask {
    /// As it is kept: words with blanks between them.
    #[must_use]
    pub fn to_words(self) -> String {
        let all = [(self.cards, "card"), (self.emails, "email"), (self.phones, "phone")];
        all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect::<Vec<_>>().join(" ")
    }

    /// What was kept so.
    #[must_use]
    pub fn of_words(words: &str) -> Self {
        let has = |wanted: &str| words.split(' ').any(|word| word == wanted);
        Self { cards: has("card"), emails: has("email"), phones: has("phone") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_as_words() {
        for (cards, emails, phones) in [(true, false, false), (false, true, true), (false, false, false)] {
            let mask = CallMask { cards, emails, phones };
            assert_eq!(CallMask::of_words(&mask.to_words()), mask);
        }
        assert_eq!(CallMask::of_words("card"), CallMask::default(), "the default of the schema");
    }
}
