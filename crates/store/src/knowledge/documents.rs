//! Documents as their owners know them: made, read, changed, removed.

use std::fmt::Write as _;
use std::sync::Arc;

use mainstay_domain::{DocumentId, DocumentText, DocumentTitle, IndexedText, Language, PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{MAKING_A_DOCUMENT, MOST_DOCUMENTS};
use crate::error::{Error, Result};
use crate::idempotency::{Claimant, Once, claim};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    /// Whoever adds one to an organisation does so alone, so that the bound holds.
    HOW_MANY = pair(sqlite "
        SELECT (SELECT count(*) FROM document d WHERE d.tenant_id = $1) AS documents FROM organisation o WHERE o.tenant_id = $1",
        postgres "
        SELECT (SELECT count(*) FROM document d WHERE d.tenant_id = $1) AS documents FROM organisation o WHERE o.tenant_id = $1
        FOR UPDATE OF o",
        differs "SQLite has one writer, which is the lock");
    INSERT = both("
        INSERT INTO document (id, tenant_id, title, language, passages, bytes, created_at, updated_at, content)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)");
    GET = both("
        SELECT id, title, language, passages, bytes, created_at, updated_at, content FROM document
        WHERE id = $1 AND tenant_id = $2");
    GET_TO_CHANGE = pair(sqlite "
        SELECT id, title, language, passages, bytes, created_at, updated_at, content FROM document
        WHERE id = $1 AND tenant_id = $2",
        postgres "
        SELECT id, title, language, passages, bytes, created_at, updated_at, content FROM document
        WHERE id = $1 AND tenant_id = $2 FOR UPDATE",
        differs "SQLite has one writer, which is the lock");
    LIST = both("
        SELECT id, title, language, passages, bytes, created_at, updated_at FROM document
        WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    CHANGE = both("
        UPDATE document SET title = $3, language = $4, passages = $5, bytes = $6, updated_at = $7, content = $8
        WHERE id = $1 AND tenant_id = $2");
    DELETE = both("DELETE FROM document WHERE id = $1 AND tenant_id = $2");
    DELETE_PASSAGES = both("DELETE FROM document_passage WHERE document_id = $1 AND tenant_id = $2");
    DELETE_TERMS = both("DELETE FROM document_term WHERE document_id = $1 AND tenant_id = $2");
    INSERT_PASSAGES = insert((place: bigint, heading: text, content: text) "
        document_passage (document_id, tenant_id, place, heading, content)
        SELECT $2, $3, b.place, b.heading, b.content FROM batch b");
    INSERT_TERMS = insert((term: text, places: text) "
        document_term (tenant_id, term, document_id, places) SELECT $3, b.term, $2, b.places FROM batch b");
}

/// A document without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSummary {
    /// Its id.
    pub id: DocumentId,
    /// What it is called.
    pub title: String,
    /// How its words are compared.
    pub language: Language,
    /// Into how many passages it is cut.
    pub passages: u32,
    /// How long its text is.
    pub bytes: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something of it last changed.
    pub updated_at: Timestamp,
}

/// A document.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What the list shows of it.
    pub summary: DocumentSummary,
    /// What it says.
    pub content: String,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({})", self.summary.id)
    }
}

#[derive(sqlx::FromRow)]
struct CountRow {
    documents: i64,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    id: Uuid,
    title: String,
    language: String,
    passages: i64,
    bytes: i64,
    created_at: At,
    updated_at: At,
}

#[derive(sqlx::FromRow)]
struct DocumentRow {
    #[sqlx(flatten)]
    summary: SummaryRow,
    content: String,
}

impl TryFrom<SummaryRow> for DocumentSummary {
    type Error = Error;

    fn try_from(row: SummaryRow) -> Result<Self> {
        Ok(Self {
            id: DocumentId(row.id),
            title: row.title,
            language: word(&row.language)?,
            passages: count(row.passages),
            bytes: count(row.bytes),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

impl TryFrom<DocumentRow> for Document {
    type Error = Error;

    fn try_from(row: DocumentRow) -> Result<Self> {
        Ok(Self { summary: row.summary.try_into()?, content: row.content })
    }
}

/// What a document is, with what it is found by, which is worked out before the transaction.
#[derive(Clone, Debug)]
pub struct DocumentContent {
    /// What it is called.
    pub title: DocumentTitle,
    /// How its words are compared.
    pub language: Language,
    /// What it says.
    pub text: DocumentText,
    indexed: Arc<IndexedText>,
}

impl DocumentContent {
    /// Cuts the text.
    #[must_use]
    pub fn new(title: DocumentTitle, language: Language, text: DocumentText) -> Self {
        let indexed = Arc::new(IndexedText::of(&title, language, &text));
        Self { title, language, text, indexed }
    }

    fn passages(&self) -> i64 {
        i64::try_from(self.indexed.passages.len()).unwrap_or(i64::MAX)
    }

    fn bytes(&self) -> i64 {
        i64::try_from(self.text.as_str().len()).unwrap_or(i64::MAX)
    }
}

#[derive(Serialize)]
struct PassageRow<'a> {
    place: i64,
    heading: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct TermRow<'a> {
    term: &'a str,
    places: String,
}

/// Writes the passages and the words of a document that has none.
async fn index(tx: &mut Tx<'_>, (tenant, id): (TenantId, DocumentId), indexed: &IndexedText) -> Result<()> {
    let passages: Vec<_> = (0..)
        .zip(&indexed.passages)
        .map(|(place, passage)| PassageRow { place, heading: &passage.heading, content: &passage.content })
        .collect();
    tx.batch(INSERT_PASSAGES, &passages).bind(id.uuid()).bind(tenant.uuid()).run().await?;
    let terms: Vec<_> = indexed.terms.iter().map(|(term, places)| TermRow { term, places: written(places) }).collect();
    tx.batch(INSERT_TERMS, &terms).bind(id.uuid()).bind(tenant.uuid()).run().await?;
    Ok(())
}

fn written(places: &[(u16, u16)]) -> String {
    let mut text = String::with_capacity(places.len() * 5);
    for (place, weight) in places {
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}{place}:{weight}");
    }
    text
}

async fn unindex(tx: &mut Tx<'_>, (tenant, id): (TenantId, DocumentId)) -> Result<()> {
    tx.query(DELETE_PASSAGES).bind(id.uuid()).bind(tenant.uuid()).run().await?;
    tx.query(DELETE_TERMS).bind(id.uuid()).bind(tenant.uuid()).run().await?;
    Ok(())
}

/// What became of a document that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentMade {
    /// It is there.
    Made(DocumentSummary),
    /// There are as many as there may be.
    TooMany,
}

/// Makes a document, and what it is found by.
#[derive(Clone, Debug)]
pub struct PutDocument {
    /// Its id.
    pub id: DocumentId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who makes it.
    pub person: PersonId,
    /// What it is.
    pub content: DocumentContent,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutDocument {
    type Output = Once<DocumentMade>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: MAKING_A_DOCUMENT,
            claim: self.claim.as_ref(),
            resource: self.id.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let there: Option<CountRow> = tx.query(HOW_MANY).bind(self.tenant.uuid()).row().await?;
        let there = there.ok_or(Error::Missing("organisation"))?;
        if there.documents >= i64::from(MOST_DOCUMENTS) {
            return Ok(Once::Done(DocumentMade::TooMany));
        }
        let DocumentContent { title, language, text, indexed } = &self.content;
        tx.query(INSERT)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(title.as_str().to_owned())
            .bind(language.as_str())
            .bind(self.content.passages())
            .bind(self.content.bytes())
            .bind(At(self.now))
            .bind(text.as_str().to_owned())
            .run()
            .await?;
        index(tx, (self.tenant, self.id), indexed).await?;
        Ok(Once::Done(DocumentMade::Made(DocumentSummary {
            id: self.id,
            title: title.as_str().to_owned(),
            language: *language,
            passages: count(self.content.passages()),
            bytes: count(self.content.bytes()),
            created_at: self.now,
            updated_at: self.now,
        })))
    }
}

/// Puts another content in the place of a document's. Nothing when there is no such document; [`Error::Conflict`] when it is
/// no longer what it was when the change was thought of.
#[derive(Clone, Debug)]
pub struct ChangeDocument {
    /// The organisation.
    pub tenant: TenantId,
    /// The document.
    pub id: DocumentId,
    /// What it was.
    pub seen: Timestamp,
    /// What it is from now on.
    pub content: DocumentContent,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeDocument {
    type Output = Option<DocumentSummary>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let place = (self.tenant, self.id);
        let row = tx.query(GET_TO_CHANGE).bind(self.id.uuid()).bind(self.tenant.uuid()).row::<DocumentRow>().await?;
        let Some(old) = row.map(Document::try_from).transpose()? else { return Ok(None) };
        if old.summary.updated_at != self.seen {
            return Err(Error::Conflict);
        }
        let DocumentContent { title, language, text, indexed } = &self.content;
        // A millisecond later at least: whoever saw what was before notices.
        let now = self.now.max(old.summary.updated_at.plus(std::time::Duration::from_millis(1)));
        tx.query(CHANGE)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(title.as_str().to_owned())
            .bind(language.as_str())
            .bind(self.content.passages())
            .bind(self.content.bytes())
            .bind(At(now))
            .bind(text.as_str().to_owned())
            .run()
            .await?;
        unindex(tx, place).await?;
        index(tx, place, indexed).await?;
        Ok(Some(DocumentSummary {
            title: title.as_str().to_owned(),
            language: *language,
            passages: count(self.content.passages()),
            bytes: count(self.content.bytes()),
            updated_at: now,
            ..old.summary
        }))
    }
}

/// Removes a document and what it was found by. False when there is none.
#[derive(Clone, Copy, Debug)]
pub struct DeleteDocument {
    /// The organisation.
    pub tenant: TenantId,
    /// The document.
    pub id: DocumentId,
}

impl Intent for DeleteDocument {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let removed = tx.query(DELETE).bind(self.id.uuid()).bind(self.tenant.uuid()).run().await?;
        if removed == 1 {
            unindex(tx, (self.tenant, self.id)).await?;
        }
        Ok(removed == 1)
    }
}

/// Reads a document.
#[derive(Clone, Copy, Debug)]
pub struct GetDocument {
    /// The organisation.
    pub tenant: TenantId,
    /// The document.
    pub id: DocumentId,
}

impl Intent for GetDocument {
    type Output = Option<Document>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<DocumentRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(Document::try_from).transpose()
    }
}

/// Lists the documents of an organisation, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListDocuments {
    /// The organisation.
    pub tenant: TenantId,
    /// After this one.
    pub after: Option<(Timestamp, DocumentId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListDocuments {
    type Output = Vec<DocumentSummary>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<DocumentSummary>> {
        let (moment, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(at, id)| (at, id.uuid()));
        let query = tx.query(LIST).bind(self.tenant.uuid()).bind(At(moment)).bind(id).bind(i64::from(self.limit));
        query.rows::<SummaryRow>().await?.into_iter().map(DocumentSummary::try_from).collect()
    }
}
