//! Finding the passages that fit a question.
//!
//! A passage weighs the more, the rarer the words of the question that it holds and the more often it holds them. Engines
//! return rows of words; what these come to is worked out here, in one order, so that both engines find the same.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use mainstay_domain::{DocumentId, Question, TenantId};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::count;

statements! {
    SIZE = both("SELECT CAST(coalesce(sum(passages), 0) AS bigint) AS passages FROM document WHERE tenant_id = $1");
    /// The words of the question come first, each looked up: SQLite keeps the order of a cross join, and would else walk all
    /// words of the organisation to compare them with these.
    FIND = batch((term: text) "
        SELECT t.term, t.document_id, t.places FROM batch b
        CROSS JOIN document_term t WHERE t.tenant_id = $2 AND t.term = b.term");
    /// What begins so, beside the word itself.
    FIND_BEGINNING = both("
        SELECT term, document_id, places FROM document_term
        WHERE tenant_id = $1 AND term > $2 AND term < $3 ORDER BY term, document_id LIMIT $4");
    READ = batch((document_id: uuid, place: bigint) "
        SELECT b.n, d.id AS document_id, d.title, p.heading, p.content FROM batch b
        CROSS JOIN document_passage p CROSS JOIN document d
        WHERE p.document_id = b.document_id AND p.place = b.place AND p.tenant_id = $2
          AND d.id = b.document_id AND d.tenant_id = $2
        ORDER BY b.n");
}

/// The most rows of words that only begin with the last of a question.
const MOST_BEGINNINGS: i64 = 1_000;
/// Above every character that follows a beginning.
const LAST: char = char::MAX;
/// What a word that no document has counts in a question, against one that a single passage has: who speaks uses words that
/// nobody would write.
const ABSENT: f64 = 0.5;
/// How soon it matters no more that a word stands there once again: after some times.
const SATURATION: f64 = 1.2;

/// Finds the passages that fit a question best, the best first.
#[derive(Clone, Debug)]
pub struct SearchKnowledge {
    /// The organisation.
    pub tenant: TenantId,
    /// What is asked.
    pub question: Question,
    /// At most so many passages.
    pub limit: u32,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchedKnowledge {
    /// The best passages, the best first.
    pub passages: Vec<FoundPassage>,
    /// Among how many they were looked for: all of the organisation's. Zero where nothing was looked for.
    pub among: u32,
}

/// A passage that was found.
#[derive(Clone, PartialEq)]
pub struct FoundPassage {
    /// The document.
    pub document: DocumentId,
    /// What that is called.
    pub title: String,
    /// The heading that the passage stands under; empty where there is none.
    pub heading: String,
    /// What it says.
    pub content: String,
    /// The more, the better it fits. Only good to compare passages of one answer.
    pub score: f64,
    /// How much of what is telling in the question it holds, from 0 to 1.
    pub coverage: f64,
}

impl std::fmt::Debug for FoundPassage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FoundPassage({}, {:.3}, {:.3})", self.document, self.score, self.coverage)
    }
}

#[derive(sqlx::FromRow)]
struct SizeRow {
    passages: i64,
}

#[derive(sqlx::FromRow)]
struct TermRow {
    term: String,
    document_id: Uuid,
    places: String,
}

#[derive(Serialize)]
struct Spelling<'a> {
    term: &'a str,
}

#[derive(Serialize)]
struct Wanted {
    document_id: Uuid,
    place: i64,
}

#[derive(sqlx::FromRow)]
struct PassageRow {
    n: i64,
    document_id: Uuid,
    title: String,
    heading: String,
    content: String,
}

/// Where a passage is.
type Place = (Uuid, u16);

/// What a passage comes to.
#[derive(Clone, Copy, Default)]
struct Weight {
    score: f64,
    covered: f64,
}

impl Intent for SearchKnowledge {
    type Output = SearchedKnowledge;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<SearchedKnowledge> {
        if self.question.words.is_empty() || self.limit == 0 {
            return Ok(SearchedKnowledge::default());
        }
        let tenant = self.tenant.uuid();
        let size: Option<SizeRow> = tx.query(SIZE).bind(tenant).row().await?;
        let among = size.map_or(0, |row| count(row.passages));
        if among == 0 {
            return Ok(SearchedKnowledge::default());
        }
        let spellings = self.question.words.iter().flat_map(|word| &word.spellings);
        let spellings: Vec<_> = spellings.map(|term| Spelling { term }).collect();
        let mut rows: Vec<TermRow> = tx.batch(FIND, &spellings).bind(tenant).rows().await?;
        if let Some(beginning) = &self.question.beginning {
            let find = tx.query(FIND_BEGINNING).bind(tenant).bind(beginning.clone()).bind(format!("{beginning}{LAST}"));
            rows.extend(find.bind(MOST_BEGINNINGS).rows::<TermRow>().await?);
        }
        let best = self.ranked(&rows, among)?;
        let wanted: Vec<_> = best
            .iter()
            .map(|((document_id, place), _)| Wanted { document_id: *document_id, place: i64::from(*place) })
            .collect();
        if wanted.is_empty() {
            return Ok(SearchedKnowledge { passages: Vec::new(), among });
        }
        let read: Vec<PassageRow> = tx.batch(READ, &wanted).bind(tenant).rows().await?;
        let found = |row: PassageRow| {
            let (_, weight) = usize::try_from(row.n).ok().and_then(|n| best.get(n))?;
            Some(FoundPassage {
                document: DocumentId(row.document_id),
                title: row.title,
                heading: row.heading,
                content: row.content,
                score: weight.score,
                coverage: weight.covered,
            })
        };
        Ok(SearchedKnowledge { passages: read.into_iter().filter_map(found).collect(), among })
    }
}

impl SearchKnowledge {
    /// The best places, the best first; those that weigh the same in the order of their documents.
    fn ranked(&self, rows: &[TermRow], passages: u32) -> Result<Vec<(Place, Weight)>> {
        let mut words: HashMap<&str, usize> = HashMap::new();
        for (number, word) in self.question.words.iter().enumerate() {
            for spelling in &word.spellings {
                words.entry(spelling).or_insert(number);
            }
        }
        let last = self.question.words.len() - 1;
        // Of each word, what it weighs where: once, however many spellings stand there.
        let mut places: Vec<BTreeMap<Place, u16>> = vec![BTreeMap::new(); self.question.words.len()];
        for row in rows {
            let number = words.get(row.term.as_str()).copied().unwrap_or(last);
            for (place, weight) in read_places(&row.places)? {
                let known = places[number].entry((row.document_id, place)).or_default();
                *known = weight.max(*known);
            }
        }
        let all = f64::from(passages);
        let rarity = |held: usize| {
            let held = f64::from(u32::try_from(held).unwrap_or(u32::MAX)).min(all);
            (1.0 + (all - held + 0.5) / (held + 0.5)).ln()
        };
        let wanted = |held: usize| if held == 0 { ABSENT * rarity(1) } else { rarity(held) };
        let whole: f64 = places.iter().map(|held| wanted(held.len())).sum();
        let mut weights: BTreeMap<Place, Weight> = BTreeMap::new();
        for held in &places {
            let rarity = rarity(held.len());
            for (place, hits) in held {
                let hits = f64::from(*hits);
                let weight = weights.entry(*place).or_default();
                weight.score += rarity * hits * (SATURATION + 1.0) / (hits + SATURATION);
                weight.covered += rarity / whole;
            }
        }
        let mut best: Vec<_> = weights.into_iter().collect();
        // A sum of positive numbers orders as its bits do. The sort keeps the order of what is equal.
        best.sort_by_key(|(_, weight)| Reverse(weight.score.to_bits()));
        best.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(best)
    }
}

/// The places of a word in a document.
fn read_places(text: &str) -> Result<Vec<(u16, u16)>> {
    let read = |one: &str| {
        let (place, weight) = one.split_once(':')?;
        Some((place.parse().ok()?, weight.parse().ok()?))
    };
    let places: Option<Vec<_>> = text.split(' ').map(read).collect();
    places.ok_or_else(|| Error::Corrupt("the places of a word".to_owned()))
}
