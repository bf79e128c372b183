//! The responder that needs no key and no network. It answers with what a document of the organisation says, where one fits.
//! Else it says honestly that no model is connected, and how to connect one.

use std::time::Duration;

use mainstay_domain::MessageRole;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::tools::{self, plain};
use super::{Completion, Fault, FaultKind, Known, Outlet, Picture, Price, ReplyRequest, estimated_input_tokens};
use crate::config;

/// The name in the configuration.
pub(super) const NAME: &str = "offline";
/// The model that a reply is said to be from.
pub(super) const MODEL: &str = "fixed-text";
/// How many words of the question are quoted, and how many characters.
const QUOTED_WORDS: usize = 6;
const QUOTED_CHARS: usize = 60;
/// How much of a question is looked at for what it asks, in characters.
const MOST_READ: usize = 500;
/// How somebody asks for free times, and for when it is open; and the days that they may name.
const TIMES: &[&str] = &[
    "free time",
    "free times",
    "free slot",
    "free slots",
    "free appointment",
    "free appointments",
    "available",
    "availability",
    "when can i come",
    "next appointment",
    "next free",
    "anything free",
];
const HOURS: &[&str] =
    &["opening hours", "opening times", "business hours", "office hours", "hours", "open", "opened", "close", "closed"];
const DAYS: &[&str] =
    &["today", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The responder.
pub(super) struct Offline {
    pace: Duration,
}

impl Offline {
    pub(super) fn new(settings: &config::Offline) -> Self {
        Self { pace: Duration::from_millis(settings.word_ms) }
    }

    /// Gives the fixed answer, at once or at its pace.
    pub(super) async fn reply(
        &self,
        request: &ReplyRequest,
        deadline: Instant,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Fault> {
        outlet.accepted(NAME, MODEL, Price::default(), estimated_input_tokens(request));
        if let Some((tool, given)) = tool_for(request) {
            outlet.use_begins(None, "", tool, given);
            return Ok(outlet.completion(false));
        }
        let whole = answer(request);
        let room = usize::try_from(request.max_output_tokens).unwrap_or(usize::MAX).saturating_mul(4);
        let text = &whole[..whole.floor_char_boundary(room)];
        if request.paced && !self.pace.is_zero() {
            let paced = async {
                let mut ticks = tokio::time::interval(self.pace);
                for word in text.split_inclusive(' ') {
                    ticks.tick().await;
                    outlet.send(word);
                }
            };
            timeout_at(deadline, paced).await.map_err(|_| Fault::new(NAME, FaultKind::Deadline))?;
        } else {
            outlet.send(text);
        }
        Ok(outlet.completion(text.len() < whole.len()))
    }
}

fn answer(request: &ReplyRequest) -> String {
    let pictures = request.turns.last().map_or(&[][..], |turn| turn.pictures.as_slice());
    if pictures.is_empty() { said(request) } else { format!("{}\n\n{}", seen(pictures), said(request)) }
}

/// What can be said of images without looking at them.
fn seen(pictures: &[Picture]) -> String {
    let facts: Vec<String> = pictures.iter().map(Picture::facts).collect();
    let what = if facts.len() == 1 { "an image" } else { "images" };
    format!("You have sent {what}: {}. Nothing here can look at what is in it.", facts.join("; "))
}

/// The tool that answers a question, and what it is given: for when it is open and for free times, where there are tools.
/// It only looks; whoever wants to book speaks with somebody.
fn tool_for(request: &ReplyRequest) -> Option<(&'static str, Map<String, Value>)> {
    let question = request.turns.last().filter(|turn| turn.role == MessageRole::User)?;
    if request.tools.is_none() || !request.rounds.is_empty() {
        return None;
    }
    let words: String = question.content.chars().take(MOST_READ).flat_map(char::to_lowercase).collect();
    let words: String = words.chars().map(|letter| if letter.is_alphanumeric() { letter } else { ' ' }).collect();
    let words = format!(" {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
    let says = |any: &[&str]| any.iter().any(|one| words.contains(&format!(" {one} ")));
    let mut given = Map::new();
    if let Some(day) = DAYS.iter().find(|day| says(&[day])) {
        given.insert("date".to_owned(), Value::from(*day));
    }
    if says(TIMES) {
        given.insert("question".to_owned(), Value::from(words.trim()));
        return Some(("check_availability", given));
    }
    says(HOURS).then_some(("opening_hours", given))
}

fn said(request: &ReplyRequest) -> String {
    if let Some(said) = tools::said(request) {
        return said;
    }
    if let Some(known) = &request.known {
        return quotation(known);
    }
    let question = request.turns.last().filter(|turn| turn.role == MessageRole::User);
    let quote = question.map(|turn| quoted(&turn.content)).filter(|quote| !quote.is_empty());
    let received = match quote {
        Some(quote) => format!("Your message (\u{201c}{quote}\u{201d}) has arrived"),
        None => "Your message has arrived".to_owned(),
    };
    format!(
        "**No language model is connected to this server.** {received}, but nothing here can answer it: \
         this reply is a fixed text.\n\n\
         Whoever runs the server can connect a model by setting one of these variables and restarting it:\n\n\
         ```sh\n\
         ANTHROPIC_API_KEY=...   # the Anthropic API\n\
         OPENAI_API_KEY=...      # the OpenAI API\n\
         OPENAI_BASE_URL=http://127.0.0.1:11434/v1   # a local server, such as Ollama\n\
         ```\n\n\
         After that, the same conversation goes on with real answers."
    )
}

/// What a document says, and which.
fn quotation(known: &Known) -> String {
    format!(
        "{}\n\nThis is from the document \u{201c}{}\u{201d} of this organisation. It is quoted: no language model is \
         connected to this server.",
        plain(&known.answer),
        plain(&known.title)
    )
}

/// The first words of a question, without anything that Markdown or HTML would take for its own.
fn quoted(question: &str) -> String {
    let plain: String = question
        .chars()
        .take(1000)
        .map(|character| if character.is_alphanumeric() || "'’,.?!-".contains(character) { character } else { ' ' })
        .collect();
    let mut words = plain.split_whitespace();
    let first: Vec<_> = words.by_ref().take(QUOTED_WORDS).collect();
    let joined = first.join(" ");
    let cut: String = joined.chars().take(QUOTED_CHARS).collect();
    if words.next().is_some() || cut.len() < joined.len() { format!("{} …", cut.trim_end()) } else { cut }
}

#[cfg(test)]
mod tests {
    use mainstay_domain::TenantId;
    use uuid::Uuid;

    use super::*;
    use crate::providers::Turn;

    fn request(question: &str, paced: bool) -> ReplyRequest {
        let turns = vec![Turn::said(MessageRole::User, question)];
        ReplyRequest { paced, ..ReplyRequest::of(TenantId(Uuid::nil()), String::new(), turns, 1000) }
    }

    async fn reply(request: &ReplyRequest, deadline: Instant) -> (Result<Completion, Fault>, Vec<String>) {
        let mut pieces = Vec::new();
        let mut sink = |text: &str| pieces.push(text.to_owned());
        let offline = Offline::new(&config::Offline { word_ms: 40 });
        let outcome = offline.reply(request, deadline, &mut Outlet::new(&mut sink)).await;
        (outcome, pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn answers_at_once_or_word_by_word() {
        let start = Instant::now();
        let deadline = start + Duration::from_secs(60);
        let (completion, pieces) = reply(&request("What are your hours?", false), deadline).await;
        let completion = completion.unwrap();
        assert_eq!((pieces.len(), start.elapsed()), (1, Duration::ZERO));
        assert!(!completion.truncated && completion.usage.output_tokens > 50);

        let (_, words) = reply(&request("What are your hours?", true), deadline).await;
        assert_eq!(words.concat(), pieces[0], "the pace does not change the text");
        let pauses = u32::try_from(words.len() - 1).unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(40) * pauses);
        assert!((60..=95).contains(&pieces[0].split_whitespace().count()));
        for needed in
            ["No language model", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "(“What are your hours?”)"]
        {
            assert!(pieces[0].contains(needed), "{needed} is missing in {}", pieces[0]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_deadline_and_the_limit_of_tokens() {
        let (outcome, pieces) = reply(&request("Hello", true), Instant::now() + Duration::from_millis(100)).await;
        assert_eq!(outcome.unwrap_err().kind, FaultKind::Deadline);
        assert_eq!(pieces.len(), 3, "what came before the deadline is kept");
        let short = ReplyRequest { max_output_tokens: 5, ..request("Hello", false) };
        let (completion, pieces) = reply(&short, Instant::now() + Duration::from_secs(1)).await;
        assert!(completion.unwrap().truncated);
        assert_eq!(pieces[0].len(), 20);
    }

    #[tokio::test]
    async fn what_is_known_is_quoted_with_its_document_and_is_never_markup() {
        let known = Known {
            answer: "We open at nine. <b>[x](http://y)</b>".to_owned(),
            title: "Hours *1*".to_owned(),
            instructions: String::new(),
        };
        let request = ReplyRequest { known: Some(known), ..request("When do you open?", false) };
        let (completion, pieces) = reply(&request, Instant::now() + Duration::from_secs(1)).await;
        assert!(completion.is_ok());
        assert!(pieces[0].starts_with(r"We open at nine\."), "{}", pieces[0]);
        assert!(pieces[0].contains(r"\<b\>\[x\]\(http") && pieces[0].contains(r"“Hours \*1\*”"), "{}", pieces[0]);
        assert!(!pieces[0].contains("ANTHROPIC_API_KEY"));
    }

    #[test]
    fn quotes_the_first_words_and_no_markup() {
        assert_eq!(quoted("Hello"), "Hello");
        assert_eq!(quoted("one two three four five six seven"), "one two three four five six …");
        assert_eq!(quoted("<script>alert(1)</script> [x](http://y) `z` **b**"), "script alert 1 script x http …");
        assert_eq!(quoted(&"a".repeat(100)), format!("{} …", "a".repeat(60)));
        assert_eq!(quoted("```\n"), "");
    }
}
