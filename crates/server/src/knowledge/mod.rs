//! What an organisation knows: its documents, and what of them answers a question.
//!
//! Lives in one process: that an organisation has no documents is remembered for ten seconds, so that a reply for one
//! without costs no query. Its first document is used at once by the node that took it, and by others after that time.

mod answer;
pub mod api;
mod figures;
mod service;

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, DocumentId, Ids, Question, Result, TenantId};
use mainstay_store::{Call, FoundPassage, SearchKnowledge, SearchedKnowledge, Store};
use moka::sync::Cache;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use self::figures::{KnowledgeFigures, Outcome};

/// How many passages are found for a question.
pub const MOST_PASSAGES: u32 = 4;
/// For how long it is remembered that an organisation has no documents, and of how many.
const WITHOUT_FOR: Duration = Duration::from_secs(10);
const MOST_WITHOUT: u64 = 100_000;
/// How much of what tells something in a question a passage must hold to be an answer.
const FITS: f64 = 0.5;

/// What answers a question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// One or two sentences of the documents, on one line of at most 400 characters: what a voice can read out.
    pub text: String,
    /// The document that they are from.
    pub document: DocumentId,
    /// What that is called.
    pub title: String,
    /// The passages that fit, the best first.
    pub passages: Vec<FoundPassage>,
}

/// The knowledge of all organisations, as this node asks for it.
pub struct Knowledge {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Ids,
    figures: KnowledgeFigures,
    without: Cache<TenantId, ()>,
}

impl Knowledge {
    /// Makes it ready.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Ids, registry: &mut Registry) -> Self {
        let without = Cache::builder().max_capacity(MOST_WITHOUT).time_to_live(WITHOUT_FOR).build();
        Self { store, clock, ids, figures: KnowledgeFigures::register(registry), without }
    }

    /// What of an organisation's documents answers a question; nothing when none of them fits.
    ///
    /// # Errors
    /// As every intent.
    pub async fn answer(&self, call: &Call, tenant: TenantId, question: &str) -> Result<Option<Answer>> {
        if self.without.contains_key(&tenant) {
            return Ok(None);
        }
        Ok(self.ask(call, tenant, question).await?.0)
    }

    /// The same, with all passages that were found, also those that do not fit.
    ///
    /// # Errors
    /// As every intent.
    pub async fn ask(
        &self,
        call: &Call,
        tenant: TenantId,
        question: &str,
    ) -> Result<(Option<Answer>, Vec<FoundPassage>)> {
        let question = Question::parse(question);
        if question.words.is_empty() {
            return Ok((None, Vec::new()));
        }
        let search = SearchKnowledge { tenant, question: question.clone(), limit: MOST_PASSAGES };
        let start = Instant::now();
        let searched = self.store.run(call, search).await;
        let outcome = match &searched {
            Ok(searched) if searched.passages.is_empty() => Outcome::Nothing,
            Ok(_) => Outcome::Found,
            Err(_) => Outcome::Failed,
        };
        self.figures.searched(outcome, start.elapsed());
        let SearchedKnowledge { passages, among } = searched?;
        if among == 0 {
            self.without.insert(tenant, ());
        }
        Ok((answer_of(&question, &passages), passages))
    }
}

fn answer_of(question: &Question, passages: &[FoundPassage]) -> Option<Answer> {
    let fitting: Vec<_> = passages.iter().filter(|passage| passage.coverage >= FITS).cloned().collect();
    let best = fitting.first()?;
    let text = answer::extract(question, best);
    Some(Answer { text, document: best.document, title: best.title.clone(), passages: fitting })
}
