//! The words of a text and of a question.

use std::collections::BTreeSet;

use super::Language;

/// The most characters of a word; what is longer is cut.
const LONGEST: usize = 40;
/// The most words of a question that are looked for.
const MOST: usize = 16;
/// The least characters of a last word that is taken for the beginning of one.
const LEAST_BEGINNING: usize = 3;

/// Words that nearly every English sentence has, and so tell nothing. They are left out of a question as long as others
/// are left.
const COMMON: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "dont", "for", "from", "get", "had", "has", "have", "hello", "hey", "hi", "how", "i", "id", "if", "im",
    "in", "is", "it", "its", "ive", "just", "like", "many", "may", "me", "much", "my", "of", "on", "or", "our",
    "please", "shall", "should", "so", "some", "tell", "than", "thank", "thanks", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "us", "was", "we", "well", "were", "what", "whats",
    "when", "where", "which", "who", "why", "will", "with", "would", "you", "your", "youre",
];

/// The words of a text, as it is searched by them.
pub(super) fn terms(text: &str, language: Language) -> impl Iterator<Item = String> {
    words(text).map(move |word| match language {
        Language::Simple => word,
        Language::English => stem(&word),
    })
}

/// Letters and digits that stand together, in lower case. Scripts that put no space between words give one word for each
/// of their characters.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_inside = |character: char| character.is_alphanumeric() || character == '\'' || character == '\u{2019}';
    text.split(move |character| !is_inside(character)).flat_map(|piece| {
        let mut found = Vec::new();
        let mut word = String::new();
        for character in piece.chars().flat_map(char::to_lowercase) {
            if is_unspaced(character) {
                finish(&mut word, &mut found);
                found.push(character.to_string());
            } else {
                word.push(character);
            }
        }
        finish(&mut word, &mut found);
        found
    })
}

/// The words of a text that tell something, as they are written, in their order.
pub(crate) fn telling(text: &str) -> impl Iterator<Item = String> {
    words(text).filter(|word| !COMMON.contains(&word.as_str()))
}

fn finish(word: &mut String, found: &mut Vec<String>) {
    let is_mark = |character| character == '\'' || character == '\u{2019}';
    let whole = std::mem::take(word);
    let bare = whole.strip_suffix("'s").or_else(|| whole.strip_suffix("\u{2019}s")).unwrap_or(&whole);
    let bare: String = bare.chars().filter(|character| !is_mark(*character)).take(LONGEST).collect();
    if bare.chars().any(char::is_alphanumeric) {
        found.push(bare);
    }
}

/// Chinese and Japanese, Thai, Lao, Khmer and Burmese.
fn is_unspaced(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' | '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}')
}

/// An English word without what its grammar adds. Not always a word: what counts is that forms of one word have one stem.
fn stem(word: &str) -> String {
    let mut stem = word.to_owned();
    if !stem.is_ascii() || stem.len() < 4 {
        return stem;
    }
    if stem.ends_with("ies") && stem.len() > 4 {
        stem.truncate(stem.len() - 3);
        stem.push('y');
    } else if ["sses", "xes", "zes", "ches", "shes"].iter().any(|end| stem.ends_with(end)) {
        stem.truncate(stem.len() - 2);
    } else if stem.ends_with('s') && !["ss", "us", "is"].iter().any(|end| stem.ends_with(end)) {
        stem.pop();
    }
    for end in ["ing", "ed"] {
        let Some(rest) = stem.strip_suffix(end).filter(|rest| rest.len() >= 3 && has_vowel(rest)) else { continue };
        stem.truncate(rest.len());
        let mut last = stem.bytes().rev();
        let (one, two) = (last.next(), last.next());
        if one == two && !one.is_some_and(|letter| b"sfz".contains(&letter)) && (one != Some(b'l') || stem.len() > 5) {
            stem.pop();
        }
        break;
    }
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    stem
}

fn has_vowel(text: &str) -> bool {
    text.bytes().any(|letter| b"aeiouy".contains(&letter))
}

/// A word of a question, in the forms that documents of each language have it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionWord {
    /// The word and its stem; one of them where they are the same.
    pub spellings: Vec<String>,
}

/// What somebody asks, as it is looked for: any of its words may be found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// At most 16 words, each once, in their order.
    pub words: Vec<QuestionWord>,
    /// What the last word may be the beginning of: nothing where it is too short to say.
    pub beginning: Option<String>,
}

impl Question {
    /// Reads a question. It may be of any length; what is beyond its first 16 words that tell something is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let telling = distinct(words(text).filter(|word| !COMMON.contains(&word.as_str())));
        let kept = if telling.is_empty() { distinct(words(text)) } else { telling };
        let beginning = kept.last().filter(|word| word.chars().count() >= LEAST_BEGINNING).cloned();
        let words = kept.into_iter().map(|word| {
            let stem = stem(&word);
            QuestionWord { spellings: if stem == word { vec![word] } else { vec![word, stem] } }
        });
        Self { words: words.collect(), beginning }
    }

    /// The words themselves.
    pub fn spoken(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter_map(|word| word.spellings.first().map(String::as_str))
    }

    /// How many of its words a text has, each counted once.
    #[must_use]
    pub fn count_in(&self, text: &str) -> usize {
        let mut held: BTreeSet<String> = BTreeSet::new();
        for word in words(text) {
            held.insert(stem(&word));
            held.insert(word);
        }
        let is_held = |word: &&QuestionWord| word.spellings.iter().any(|spelling| held.contains(spelling));
        self.words.iter().filter(is_held).count()
    }
}

fn distinct(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    words.filter(|word| seen.insert(word.clone())).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spoken(text: &str) -> Vec<String> {
        Question::parse(text).spoken().map(str::to_owned).collect()
    }

    #[test]
    fn a_question_is_what_tells_something_of_it() {
        assert_eq!(spoken("What time do you open on Saturday?"), ["time", "open", "saturday"]);
        assert_eq!(spoken("Who is it?"), ["who", "is", "it"], "where there is nothing else, that is looked for");
        assert_eq!(spoken("the dentist's, the DENTIST, l’été"), ["dentist", "lété"]);
        assert_eq!(spoken("9:30 営業"), ["9", "30", "営", "業"]);
        assert_eq!(spoken("!?*\"() '"), [""; 0]);
        assert_eq!(Question::parse("prices").words[0].spellings, ["prices", "pric"]);
        assert_eq!(Question::parse("park").beginning.as_deref(), Some("park"));
        assert_eq!(Question::parse("an x").beginning, None);
        assert_eq!(spoken(&(0..40).map(|n| format!("w{n} ")).collect::<String>()).len(), MOST);
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for forms in [
            &["open", "opens", "opened", "opening"][..],
            &["close", "closes", "closed", "closing"],
            &["price", "prices", "priced"],
            &["cancel", "cancelled", "cancelling", "cancels"],
            &["stop", "stopped", "stopping"],
            &["call", "calls", "called", "calling"],
            &["policy", "policies"],
            &["box", "boxes"],
            &["holiday", "holidays"],
        ] {
            let stems: BTreeSet<_> = forms.iter().map(|form| stem(form)).collect();
            assert_eq!(stems.len(), 1, "{forms:?} have {stems:?}");
        }
        for word in ["bus", "this", "glass", "king", "red", "thing", "été"] {
            assert_eq!(stem(word), word);
        }
    }

    proptest! {
        #[test]
        fn nothing_but_letters_and_digits_is_ever_looked_for(text in "\\PC*|['\"*:()&|!^%_\\-\\\\;\0 a-z]{0,200}") {
            let question = Question::parse(&text);
            prop_assert!(question.words.len() <= MOST);
            let all = question.words.iter().flat_map(|word| &word.spellings).chain(&question.beginning);
            for spelling in all {
                prop_assert!(!spelling.is_empty() && spelling.chars().count() <= LONGEST);
                prop_assert!(!spelling.chars().any(|c| c.is_ascii() && !c.is_ascii_alphanumeric()), "{spelling:?}");
            }
        }
    }
}
