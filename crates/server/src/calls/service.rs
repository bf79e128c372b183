//! The verbs of calls.

use std::sync::Arc;

use mainstay_domain::{
    CallWords, Clock, Error, Faults, Ids, Note, PhoneCall, PhoneCallId, PhoneMessageId, PhoneNumber, Result, TenantId,
    Timestamp,
};
use mainstay_store::{
    AccessEntry, Call, CallAction, GetPhoneAgent, GetReception, HandleMessage, HearCall, ListAccesses, ListCalls,
    ListPhoneMessages, NoteActions, PhoneAgent, PhoneMessage, PutPhoneAgent, ReadCall, Reading, SearchCalls, Store,
    TakeMessage,
};
use prometheus_client::registry::Registry;
use uuid::Uuid;

use super::figures::CallFigures;
use crate::accounts::Member;

/// The most days that calls are kept.
const LONGEST_KEPT: u32 = 3_650;
/// The longest greeting, in characters.
const LONGEST_GREETING: usize = 500;
/// The longest search, in characters.
const LONGEST_SEARCH: usize = 200;
/// The longest id of an assistant, in bytes.
const LONGEST_ASSISTANT: usize = 200;

/// Where a page of calls begins, or the next one does.
type Place = Option<(Timestamp, PhoneCallId)>;

/// The calls of every organisation, as this node sees them.
pub struct Calls {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Ids,
    pub(super) figures: CallFigures,
}

impl Calls {
    /// Makes it ready.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Ids, registry: &mut Registry) -> Self {
        Self { store, clock, ids, figures: CallFigures::register(registry) }
    }

    /// Who answers the phone; nobody where nobody has said.
    pub(super) async fn agent(&self, call: &Call, tenant: TenantId) -> Result<PhoneAgent> {
        Ok(self.store.run(call, GetPhoneAgent(tenant)).await?.unwrap_or_default())
    }

    /// Says who answers the phone.
    ///
    /// # Errors
    /// `invalid_input`.
    pub(super) async fn put_agent(&self, call: &Call, tenant: TenantId, mut agent: PhoneAgent) -> Result<PhoneAgent> {
        let mut faults = Faults::default();
        let transfer = match agent.transfer_number.as_deref() {
            None => None,
            Some(text) => {
                let country = self.store.run(call, GetReception(tenant)).await?.and_then(|one| one.calling_code);
                faults.keep("transfer_number", PhoneNumber::parse(text, country))
            }
        };
        if agent.greeting.chars().count() > LONGEST_GREETING {
            faults.add("greeting", "too_long", format!("It has at most {LONGEST_GREETING} characters."));
        }
        for (field, text) in [("greeting", &agent.greeting), ("instructions", &agent.instructions)] {
            faults.keep(field, Note::parse(text));
        }
        let named = agent.assistant_id.as_deref();
        if named.is_some_and(|id| {
            id.is_empty() || id.len() > LONGEST_ASSISTANT || !id.bytes().all(|byte| byte.is_ascii_graphic())
        }) {
            let detail = "Give the id that the provider has for the assistant, or leave it out.";
            faults.add("assistant_id", "invalid_id", detail);
        }
        if agent.greeting.trim().is_empty() && agent.assistant_id.is_none() {
            let detail = "Say what is said first, or name the assistant that answers.";
            faults.add("greeting", "missing", detail);
        }
        if !(1..=LONGEST_KEPT).contains(&agent.keep_days) {
            let detail = format!("Give a number of days from 1 to {LONGEST_KEPT}.");
            faults.add("keep_days", "out_of_range", detail);
        }
        faults.judge()?;
        agent.transfer_number = transfer.map(|number| number.as_str().to_owned());
        let put = PutPhoneAgent { tenant, agent: agent.clone(), now: self.clock.now() };
        self.store.run(call, put).await?;
        Ok(agent)
    }

    pub(super) async fn hear(&self, call: &Call, hear: HearCall) -> Result<PhoneCall> {
        Ok(self.store.run(call, hear).await?)
    }

    pub(super) async fn note(&self, call: &Call, note: NoteActions) -> Result<PhoneCall> {
        Ok(self.store.run(call, note).await?)
    }

    pub(super) async fn list(&self, call: &Call, list: ListCalls) -> Result<Vec<PhoneCall>> {
        Ok(self.store.run(call, list).await?)
    }

    /// Looks for calls by words, which is noted in the access log: the calls, and where the next page goes on.
    ///
    /// # Errors
    /// `invalid_input`.
    pub(super) async fn search(
        &self,
        call: &Call,
        by: &Member,
        text: &str,
        (live_since, before): (Option<Timestamp>, Place),
        limit: u32,
    ) -> Result<(Vec<PhoneCall>, Place)> {
        if text.chars().count() > LONGEST_SEARCH {
            let detail = format!("Give at most {LONGEST_SEARCH} characters.");
            return Err(Error::invalid_field("q", "too_long", detail));
        }
        let words = CallWords::sought(text);
        if words.is_empty() {
            return Err(Error::invalid_field("q", "nothing_to_find", "Give a word that tells something, or a number."));
        }
        let reading = Reading { id: self.ids.make(), by: by.person, now: self.clock.now() };
        let search = SearchCalls { tenant: by.tenant, words, live_since, before, limit, reading };
        Ok(self.store.run(call, search).await?)
    }

    /// Reads a call for a person, which is noted in the access log.
    ///
    /// # Errors
    /// `not_found`.
    pub(super) async fn read(&self, call: &Call, by: &Member, id: PhoneCallId) -> Result<(PhoneCall, Vec<CallAction>)> {
        let reading = Reading { id: self.ids.make(), by: by.person, now: self.clock.now() };
        let found = self.store.run(call, ReadCall { tenant: by.tenant, id, reading }).await?;
        found.ok_or_else(|| Error::not_found("call"))
    }

    /// Takes a message, once for its id.
    pub(super) async fn take(&self, call: &Call, tenant: TenantId, message: PhoneMessage) -> Result<()> {
        Ok(self.store.run(call, TakeMessage { tenant, message }).await?)
    }

    pub(super) async fn messages(&self, call: &Call, list: ListPhoneMessages) -> Result<Vec<PhoneMessage>> {
        Ok(self.store.run(call, list).await?)
    }

    /// Says whether somebody has taken care of a message.
    ///
    /// # Errors
    /// `not_found`.
    pub(super) async fn handle(
        &self,
        call: &Call,
        by: &Member,
        id: PhoneMessageId,
        handled: bool,
    ) -> Result<PhoneMessage> {
        let (tenant, now) = (by.tenant, self.clock.now());
        let handle = HandleMessage { tenant, id, by: handled.then_some(by.person), now };
        Ok(self.store.run(call, handle).await?)
    }

    pub(super) async fn accesses(
        &self,
        call: &Call,
        tenant: TenantId,
        before: Option<(Timestamp, Uuid)>,
        limit: u32,
    ) -> Result<Vec<AccessEntry>> {
        Ok(self.store.run(call, ListAccesses { tenant, before, limit }).await?)
    }
}
