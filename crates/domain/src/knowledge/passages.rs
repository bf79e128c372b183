//! Cutting a text into passages, and a passage into sentences.

use crate::text::unprinted;

/// The most characters of a passage.
const LONGEST: usize = 1_000;
/// What has no gap for so many characters is cut in a word.
const LONGEST_WORD: usize = 2_000;
/// How many passages headings may begin. In a document with more of them, those that come later only stand in the text, so
/// that the number of passages is bounded by the length of the text.
const MOST_HEADED: usize = 500;

/// A part of a document that is found and read as one.
#[derive(Clone, PartialEq, Eq)]
pub struct Passage {
    /// The heading that it stands under; empty where there is none.
    pub heading: String,
    /// What it says.
    pub content: String,
}

unprinted!(Passage, "[passage]");

/// The passages of a text: cut at headings, else at paragraphs, else at sentences, else between words.
pub(super) fn cut(text: &str) -> Vec<Passage> {
    let mut cutter = Cutter::default();
    let mut paragraph = String::new();
    let mut in_code = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            in_code = !in_code;
        }
        let heading = if in_code { None } else { heading(trimmed) };
        if let Some(heading) = heading.filter(|_| cutter.passages.len() < MOST_HEADED) {
            cutter.take(&std::mem::take(&mut paragraph));
            cutter.end();
            cutter.heading = heading.chars().take(super::DocumentTitle::MOST).collect();
        } else if trimmed.is_empty() {
            cutter.take(&std::mem::take(&mut paragraph));
        } else {
            if !paragraph.is_empty() {
                paragraph.push('\n');
            }
            paragraph.push_str(line.trim_end());
        }
    }
    cutter.take(&paragraph);
    cutter.end();
    if cutter.passages.is_empty() {
        // Nothing but headings.
        cutter.heading.clear();
        cutter.take(text.trim());
        cutter.end();
    }
    cutter.passages
}

/// The text of a heading in Markdown: one to six number signs and a space.
fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches('#');
    let signs = line.len() - rest.len();
    let text = rest.trim().trim_end_matches('#').trim_end();
    ((1..=6).contains(&signs) && rest.starts_with([' ', '\t']) && !text.is_empty()).then_some(text)
}

#[derive(Default)]
struct Cutter {
    passages: Vec<Passage>,
    heading: String,
    current: String,
    /// The characters of `current`.
    length: usize,
}

impl Cutter {
    /// Takes a paragraph. It stands with those before it as long as there is room.
    fn take(&mut self, paragraph: &str) {
        let mut rest = paragraph.trim();
        while !rest.is_empty() {
            let characters = rest.chars().take(LONGEST + 1).count();
            if self.length > 0 && self.length + 2 + characters > LONGEST {
                self.end();
            }
            let (first, others) = if characters > LONGEST { split(rest) } else { (rest, "") };
            if self.length > 0 {
                self.current.push_str("\n\n");
                self.length += 2;
            }
            self.current.push_str(first);
            self.length += first.chars().count();
            rest = others;
        }
    }

    /// Ends the passage.
    fn end(&mut self) {
        self.length = 0;
        if !self.current.is_empty() {
            self.passages.push(Passage { heading: self.heading.clone(), content: std::mem::take(&mut self.current) });
        }
    }
}

/// The first part of a text that is too long, and the rest.
fn split(text: &str) -> (&str, &str) {
    let at = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    let room = &text[..at(LONGEST)];
    let half = at(LONGEST / 2);
    let sentence = ["\n", ". ", "! ", "? "].iter().filter_map(|end| room.rfind(end).map(|found| found + 1));
    let sentence = sentence.max().filter(|found| *found > half);
    let between = || room.rfind(char::is_whitespace).filter(|found| *found > 0);
    let beyond = || {
        let most = at(LONGEST_WORD);
        text[..most].find(char::is_whitespace).unwrap_or(most)
    };
    let (first, rest) = text.split_at(sentence.or_else(between).unwrap_or_else(beyond));
    (first.trim_end(), rest.trim_start())
}

/// The sentences of a passage, without what Markdown adds, each on one line.
pub fn sentences(text: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for block in text.split("\n\n") {
        let mut sentence = String::new();
        for line in block.lines().map(str::trim).filter(|line| !line.starts_with("```") && !line.starts_with("~~~")) {
            let item = ["- ", "* ", "+ ", "> ", "• "].iter().find_map(|mark| line.strip_prefix(mark));
            if item.is_some() || line.starts_with('#') {
                push(&mut sentence, &mut found);
            }
            let words = item.unwrap_or(line).trim_start_matches(['#', ' ']);
            for word in words.split_whitespace() {
                let bare: String = word.chars().filter(|c| !"*`|".contains(*c) && !c.is_control()).collect();
                let bare = bare.trim_matches('_');
                if bare.is_empty() {
                    continue;
                }
                if !sentence.is_empty() {
                    sentence.push(' ');
                }
                sentence.push_str(bare);
                if ends_a_sentence(bare) {
                    push(&mut sentence, &mut found);
                }
            }
            if item.is_some() || line.starts_with('#') {
                push(&mut sentence, &mut found);
            }
        }
        push(&mut sentence, &mut found);
    }
    found.into_iter()
}

fn push(sentence: &mut String, found: &mut Vec<String>) {
    if sentence.chars().any(char::is_alphanumeric) {
        found.push(std::mem::take(sentence));
    }
    sentence.clear();
}

/// True for a word with a mark at its end that is not that of an abbreviation: `Dr.`, `a.m.`, `5.`.
fn ends_a_sentence(word: &str) -> bool {
    let bare = word.trim_end_matches(['"', ')', '\u{201d}', '\u{2019}', '\'']);
    if bare.ends_with(['!', '?', '。', '！', '？']) {
        return true;
    }
    let Some(before) = bare.strip_suffix('.') else { return false };
    let short = ["dr", "mr", "mrs", "ms", "st", "no", "e.g", "i.e", "vs", "approx"];
    let is_dotted = before.contains('.') && before.chars().filter(|c| *c != '.').count() <= 3;
    !is_dotted && !short.contains(&before.to_lowercase().as_str()) && before.chars().count() > 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shapes(text: &str) -> Vec<(String, String)> {
        cut(text).into_iter().map(|passage| (passage.heading, passage.content)).collect()
    }

    #[test]
    fn headings_begin_passages_and_paragraphs_stand_together() {
        let text =
            "Welcome.\n\n# Hours\nMonday\nTuesday\n\nNot Sunday.\n## Parking ##\n\nBehind.\n\n```\n# no heading\n```\n";
        let expected = [
            ("", "Welcome."),
            ("Hours", "Monday\nTuesday\n\nNot Sunday."),
            ("Parking", "Behind.\n\n```\n# no heading\n```"),
        ];
        assert_eq!(shapes(text), expected.map(|(h, c)| (h.to_owned(), c.to_owned())));
        assert_eq!(shapes("# Only a heading"), [(String::new(), "# Only a heading".to_owned())]);
        assert_eq!(shapes("#hashtag"), [(String::new(), "#hashtag".to_owned())]);
    }

    #[test]
    fn what_is_long_is_cut_at_a_sentence_else_between_words() {
        let text = format!("{} end. {}", "word ".repeat(150), "more ".repeat(150));
        let parts = cut(&text);
        assert!(parts[0].content.ends_with("end."), "{}", parts[0].content);
        assert!(parts[1].content.starts_with("more"));
        assert_eq!(cut(&"x".repeat(5_000)).len(), 3, "what has no gap is cut all the same");
        let many = cut(&"# a\nb\n".repeat(40_000));
        assert!(many.len() <= MOST_HEADED + 300, "{}", many.len());
    }

    #[test]
    fn sentences_are_read_without_their_markup() {
        let said: Vec<_> =
            sentences("We open at 9 a.m. on weekdays. **Never** on\nSunday!\n\n- Dr. Ada: teeth\n- Bob").collect();
        assert_eq!(said, ["We open at 9 a.m. on weekdays.", "Never on Sunday!", "Dr. Ada: teeth", "Bob"]);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_none_is_cut(words in prop::collection::vec("[a-zé#]{1,12}[.!]?", 0..600), gaps in prop::collection::vec("[ \n]{1,3}", 600)) {
            let text: String = words.iter().zip(&gaps).flat_map(|(word, gap)| [word.as_str(), gap.as_str()]).collect();
            let passages = cut(&text);
            prop_assert!(passages.iter().all(|passage| passage.content.chars().count() <= LONGEST + 2));
            let plain = |text: &str| text.split_whitespace().map(|w| w.trim_matches('#').to_owned()).filter(|w| !w.is_empty()).collect::<Vec<_>>();
            let mut found = Vec::new();
            let mut heading = String::new();
            for passage in &passages {
                if passage.heading != heading {
                    heading.clone_from(&passage.heading);
                }
                found.extend(plain(&passage.content));
            }
            let all = plain(&text);
            let known: std::collections::BTreeSet<_> = all.iter().collect();
            prop_assert!(found.iter().all(|word| known.contains(word)), "a word was cut");
        }
    }
}
