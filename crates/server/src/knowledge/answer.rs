//! Sentences of a passage that answer a question.

use std::cmp::Reverse;

use mainstay_domain::{Question, sentences};
use mainstay_store::FoundPassage;

/// The most characters of an answer.
const LONGEST: usize = 400;

/// One or two sentences of the passage, in its order and on one line: the one that holds most of the question, and the next
/// best or the one after it. Where only the heading fits, what stands under it begins.
pub(super) fn extract(question: &Question, passage: &FoundPassage) -> String {
    let sentences: Vec<String> = sentences(&passage.content).collect();
    let held: Vec<usize> = sentences.iter().map(|sentence| question.count_in(sentence)).collect();
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by_key(|at| Reverse(held[*at]));
    let Some(first) = order.first().copied() else { return shortened(&passage.content) };
    let second = order.get(1).copied().filter(|at| held[*at] > 0).unwrap_or(first + 1);
    let mut chosen = vec![first];
    let together = |at: usize| sentences[first].chars().count() + 1 + sentences[at].chars().count();
    if second < sentences.len() && second != first && together(second) <= LONGEST {
        chosen.push(second);
    }
    chosen.sort_unstable();
    let text: Vec<&str> = chosen.into_iter().map(|at| sentences[at].as_str()).collect();
    shortened(&text.join(" "))
}

/// On one line, cut between words where it is too long.
fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    let cut: String = line.chars().take(LONGEST - 2).collect();
    let end = cut.rfind(' ').filter(|end| *end > 0).unwrap_or(cut.len());
    format!("{} …", &cut[..end])
}

#[cfg(test)]
mod tests {
    use mainstay_domain::DocumentId;
    use uuid::Uuid;

    use super::*;

    fn answer(question: &str, content: &str) -> String {
        let passage = FoundPassage {
            document: DocumentId(Uuid::nil()),
            title: String::new(),
            heading: String::new(),
            content: content.to_owned(),
            score: 1.0,
            coverage: 1.0,
        };
        extract(&Question::parse(question), &passage)
    }

    #[test]
    fn the_sentences_that_hold_most_are_read_in_their_order() {
        let content = "Welcome to us. We open at nine.\nOn Saturday we open at ten. Park behind the house.";
        assert_eq!(answer("When do you open on Saturday?", content), "We open at nine. On Saturday we open at ten.");
        assert_eq!(answer("parking", content), "Park behind the house.", "there is none after it");
        assert_eq!(answer("opening hours", "- Monday: 9 to 17\n- Tuesday: closed"), "Monday: 9 to 17 Tuesday: closed");
        assert_eq!(answer("x", "---"), "---");
    }

    #[test]
    fn an_answer_is_one_line_that_a_voice_can_read() {
        for content in ["word ".repeat(300), "x".repeat(900), format!("{}. {}.", "a ".repeat(150), "b ".repeat(150))] {
            let text = answer("word x a b", &content);
            assert!(text.chars().count() <= LONGEST && !text.contains('\n'), "{text}");
            assert!(!text.is_empty());
        }
    }
}
