//! The verbs of documents, and their rules.

use mainstay_domain::{
    DocumentId, DocumentText, DocumentTitle, Error, Faults, Kind, Language, Refused, Result, TenantId, Timestamp,
    UnknownWord,
};
use mainstay_store::{
    Call, ChangeDocument, Claim, DeleteDocument, Document, DocumentContent, DocumentMade, DocumentSummary, GetDocument,
    ListDocuments, MAKING_A_DOCUMENT, MOST_DOCUMENTS, Once, PutDocument,
};

use super::Knowledge;
use super::figures::Change;
use crate::accounts::Member;
use crate::http::idempotency::same;

/// How often a change is tried while others change the same document.
const MOST_TRIES: u32 = 3;

/// What somebody says of a document, not looked at yet. What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) title: Option<String>,
    pub(super) language: Option<String>,
    pub(super) content: Option<String>,
}

/// The same, looked at.
#[derive(Clone)]
struct Checked {
    title: Option<DocumentTitle>,
    language: Option<Language>,
    content: Option<DocumentText>,
}

fn check(wanted: Wanted) -> Result<Checked> {
    let mut faults = Faults::default();
    let title = wanted.title.and_then(|text| faults.keep("title", DocumentTitle::parse(&text)));
    let language = wanted.language.and_then(|word| {
        let unknown = |unknown: UnknownWord| Refused { code: "unknown", detail: format!("{unknown}.") };
        faults.keep("language", word.parse().map_err(unknown))
    });
    let content = wanted.content.and_then(|text| faults.keep("content", DocumentText::parse(text)));
    faults.judge()?;
    Ok(Checked { title, language, content })
}

impl Knowledge {
    pub(super) async fn create(
        &self,
        call: &Call,
        by: &Member,
        wanted: Wanted,
        claim: Option<Claim>,
    ) -> Result<DocumentSummary> {
        let missing = |field| Error::invalid_field(field, "missing", "It must be given.");
        let Checked { title, language, content } = check(wanted)?;
        let (title, text) = (title.ok_or_else(|| missing("title"))?, content.ok_or_else(|| missing("content"))?);
        let content = DocumentContent::new(title, language.unwrap_or_default(), text);
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
        let (tenant, person) = (by.tenant, by.person);
        let put = PutDocument { id: self.ids.make(), tenant, person, content, claim, now: self.clock.now() };
        match self.store.run(call, put).await? {
            Once::Done(DocumentMade::Made(summary)) => {
                self.without.invalidate(&tenant);
                self.figures.changed(Change::Made);
                Ok(summary)
            }
            Once::Done(DocumentMade::TooMany) => {
                let detail = format!("There are {MOST_DOCUMENTS} documents already. Remove one, or add to another.");
                Err(Error::new(Kind::Conflict, "too_many_documents", detail))
            }
            Once::Repeat(used) => {
                let id = DocumentId(same(&used, MAKING_A_DOCUMENT, fingerprint.as_deref())?);
                Ok(self.document(call, tenant, id).await?.summary)
            }
        }
    }

    pub(super) async fn document(&self, call: &Call, tenant: TenantId, id: DocumentId) -> Result<Document> {
        let found = self.store.run(call, GetDocument { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("document"))
    }

    pub(super) async fn documents(
        &self,
        call: &Call,
        tenant: TenantId,
        after: Option<(Timestamp, DocumentId)>,
        limit: u32,
    ) -> Result<Vec<DocumentSummary>> {
        Ok(self.store.run(call, ListDocuments { tenant, after, limit }).await?)
    }

    /// Changes a document. With `seen`, only if it is still what it was then.
    pub(super) async fn change(
        &self,
        call: &Call,
        (tenant, id): (TenantId, DocumentId),
        wanted: Wanted,
        seen: Option<Timestamp>,
    ) -> Result<DocumentSummary> {
        let checked = check(wanted)?;
        for _ in 0..MOST_TRIES {
            let old = self.document(call, tenant, id).await?;
            if seen.is_some_and(|seen| seen != old.summary.updated_at) {
                break;
            }
            // What is stored was looked at when it came.
            let stored = |refused: mainstay_domain::Refused| Error::internal(refused.detail);
            let Checked { title, language, content } = checked.clone();
            let title = title.map_or_else(|| DocumentTitle::parse(&old.summary.title).map_err(stored), Ok)?;
            let text = content.map_or_else(|| DocumentText::parse(old.content).map_err(stored), Ok)?;
            let content = DocumentContent::new(title, language.unwrap_or(old.summary.language), text);
            let change = ChangeDocument { tenant, id, seen: old.summary.updated_at, content, now: self.clock.now() };
            match self.store.run(call, change).await {
                Ok(Some(summary)) => {
                    self.figures.changed(Change::Changed);
                    return Ok(summary);
                }
                Ok(None) => return Err(Error::not_found("document")),
                // Somebody else has changed it meanwhile.
                Err(mainstay_store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let detail = "Somebody else has changed this document meanwhile. Read it again.";
        Err(Error::new(Kind::Conflict, "changed_meanwhile", detail))
    }

    pub(super) async fn delete(&self, call: &Call, tenant: TenantId, id: DocumentId) -> Result<()> {
        if !self.store.run(call, DeleteDocument { tenant, id }).await? {
            return Err(Error::not_found("document"));
        }
        self.figures.changed(Change::Removed);
        Ok(())
    }
}
