//! A reply, as it is made, cut into what is spoken at once, without the marks of Markdown.

/// What is spoken first may end at a comma, once it has so many characters: the sooner something is heard the better.
const FIRST_AT_COMMA: usize = 40;
/// A sentence shorter than this waits for the next one.
const SHORTEST: usize = 8;
/// What has no end is cut here, at the last blank.
const LONGEST: usize = 240;

/// Something to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// What is spoken.
    pub(super) text: String,
    /// As it stands in the reply.
    pub(super) raw: String,
    /// Where it ends in the reply, in bytes.
    pub(super) end: usize,
}

/// Cuts one reply.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    waiting: String,
    /// How many bytes of the reply were cut off already.
    done: usize,
    any: bool,
}

impl Cutter {
    /// Takes what has arrived. The answer is what can be spoken now.
    pub(super) fn take(&mut self, text: &str) -> Vec<Sentence> {
        self.waiting.push_str(text);
        let mut sentences = Vec::new();
        while let Some(end) = self.end() {
            sentences.extend(self.cut(end));
        }
        sentences
    }

    /// What is left at the end of the reply.
    pub(super) fn finish(&mut self) -> Option<Sentence> {
        self.cut(self.waiting.len())
    }

    fn cut(&mut self, end: usize) -> Option<Sentence> {
        let raw: String = self.waiting.drain(..end).collect();
        self.done += raw.len();
        let text = spoken(&raw);
        // A line of marks alone has nothing to say.
        if !text.chars().any(char::is_alphanumeric) {
            return None;
        }
        self.any = true;
        Some(Sentence { text, raw, end: self.done })
    }

    /// Where the next thing to speak ends, if it does.
    fn end(&self) -> Option<usize> {
        let text = &self.waiting;
        let mut letters = text.char_indices().peekable();
        let mut count = 0;
        while let Some((at, letter)) = letters.next() {
            count += 1;
            let after = at + letter.len_utf8();
            // What follows decides: 3.14 is no end, and neither is the end of what has arrived.
            let next = letters.peek().map(|(_, next)| *next);
            let is_end = match letter {
                '\n' => next.is_some() && count > 1,
                '.' | '!' | '?' | '\u{2026}' | ':' => next.is_some_and(char::is_whitespace) && count >= SHORTEST,
                '\u{3002}' | '\u{ff01}' | '\u{ff1f}' => true,
                ',' | ';' => !self.any && next.is_some_and(char::is_whitespace) && count >= FIRST_AT_COMMA,
                _ => false,
            };
            if is_end {
                return Some(after);
            }
            if count >= LONGEST {
                let blank = text[..after].rfind(char::is_whitespace).filter(|at| *at > 0);
                return Some(blank.map_or(after, |at| text.ceil_char_boundary(at + 1)));
            }
        }
        None
    }
}

/// The words of a piece of Markdown: without its marks, and of a link only its name.
fn spoken(raw: &str) -> String {
    let mut words = String::with_capacity(raw.len());
    let mut letters = raw.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' | '_' | '`' | '#' | '>' | '|' | '~' | '[' => {}
            ']' if letters.peek() == Some(&'(') => {
                for skipped in letters.by_ref() {
                    if skipped == ')' || skipped.is_whitespace() {
                        break;
                    }
                }
            }
            ']' => {}
            letter if letter.is_control() => words.push(' '),
            letter => words.push(letter),
        }
    }
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.strip_prefix("- ").map_or(words.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&str]) -> Vec<String> {
        let mut cutter = Cutter::default();
        let mut all: Vec<_> = pieces.iter().flat_map(|piece| cutter.take(piece)).collect();
        all.extend(cutter.finish());
        all.into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn sentences_are_spoken_as_they_come() {
        assert_eq!(
            cut(&["The dentist ", "is open. She", " is free at 3.30 pm."]),
            ["The dentist is open.", "She is free at 3.30 pm."]
        );
        assert_eq!(cut(&["Yes. It is so."]), ["Yes. It is so."], "what is short waits");
        assert_eq!(cut(&["# Plan\n\n- *First*, [a walk](https://example.com/x)\n"]), ["Plan", "First, a walk"]);
        let first = "A long beginning that takes its time to get anywhere, and then goes on.";
        assert_eq!(cut(&[first]), ["A long beginning that takes its time to get anywhere,", "and then goes on."]);
        let endless = "word ".repeat(100);
        assert!(cut(&[&endless]).iter().all(|sentence| sentence.len() <= LONGEST));
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_sentence(pieces in proptest::collection::vec("\\PC{0,80}", 0..8)) {
            let mut cutter = Cutter::default();
            let mut ends: Vec<_> = pieces.iter().flat_map(|piece| cutter.take(piece)).map(|sentence| sentence.end).collect();
            ends.extend(cutter.finish().map(|sentence| sentence.end));
            let whole: usize = pieces.iter().map(String::len).sum();
            prop_assert!(ends.is_sorted() && ends.last().is_none_or(|end| *end <= whole));
            let text = pieces.concat();
            prop_assert!(ends.iter().all(|end| text.is_char_boundary(*end)));
        }
    }
}
