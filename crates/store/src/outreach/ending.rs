//! What came of an email: kept by whoever sent it, together with all that follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstay_domain::{EmailId, EmailState, LeadId, SendingAccountId, StopReason, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::accounts::weigh;
use super::advancing::{Advance, advance};
use super::events::{Subject, Told};
use super::figures::{Became, Kind, Of, Tally};
use super::quota::{Charge, bucket_of, charge};
use super::stopping::{Stop, stop};
use super::{NextEmail, RunOf};
use crate::batcher::Batch;
use crate::call::Call;
use crate::engine::postgres::Pool;
use crate::error::Result;
use crate::members::word;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::Tx;
use crate::value::{At, Place};

statements! {
    SEEN = locking((id: uuid, tenant_id: uuid) "
        SELECT e.id, e.state, e.run, e.attempts, e.fenced_at, e.lead_id, e.address FROM batch b JOIN email e ON e.id = b.id AND e.tenant_id = b.tenant_id
        ORDER BY e.id", "FOR NO KEY UPDATE OF e");
    END = update((id: uuid, tenant_id: uuid, run: bigint, attempts: bigint, fenced: bigint, counted: bigint, state: text,
        due_at: time, code: bigint, enhanced: text, said: text, provider_id: text, thread: text, bounced: bigint, at: time) "
        email SET state = b.state, due_at = coalesce(b.due_at, email.due_at), attempts = b.attempts + b.counted, code = b.code,
          enhanced = b.enhanced, said = b.said, provider_id = coalesce(b.provider_id, email.provider_id),
          thread = coalesce(b.thread, email.thread), updated_at = b.at,
          accepted_at = CASE WHEN b.state = 'accepted' THEN b.at ELSE email.accepted_at END,
          bounced_at = CASE WHEN b.bounced = 1 THEN b.at ELSE email.bounced_at END
        FROM batch b WHERE email.id = b.id AND email.tenant_id = b.tenant_id
          AND ((b.fenced = 1 AND email.state IN ('in_flight', 'unknown') AND email.attempts = b.attempts + 1)
            OR (b.fenced = 0 AND email.state = 'claimed' AND email.run = b.run AND email.attempts = b.attempts))
        RETURNING email.id, email.tenant_id, email.campaign_id, email.step, email.variant_id, email.account_id, email.day");
}

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSaid {
    /// Its code (RFC 5321), or the status of a provider.
    pub code: Option<u16>,
    /// The enhanced code (RFC 3463).
    pub enhanced: Option<String>,
    /// Its words, bounded.
    pub text: String,
}

/// What came of an email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailEnd {
    /// A server has it.
    Accepted {
        /// What it said.
        said: ServerSaid,
        /// The provider's id of it, and of its thread.
        provider: Option<(String, Option<String>)>,
        /// What comes after it; nothing after the last step.
        next: Option<NextEmail>,
    },
    /// It was not taken for certain, and is to be offered again.
    Deferred {
        /// What the server said.
        said: ServerSaid,
        /// When.
        until: Timestamp,
    },
    /// It was not offered to anybody, for a reason that does not lie in it.
    Released {
        /// Not before this.
        until: Timestamp,
        /// Why.
        why: String,
    },
    /// It was not taken for certain, and will not be.
    Rejected {
        /// What the server said, or what is wrong with it.
        said: ServerSaid,
        /// What that says of whoever it goes to.
        stop: StopReason,
    },
    /// Nobody knows.
    Unknown(String),
}

/// Keeps what came of an email. Hand it to [`Store::end_email`].
#[derive(Clone, Debug)]
pub struct EndEmail {
    /// The run that sent it.
    pub run: RunOf,
    /// Which.
    pub id: EmailId,
    /// How often it was offered to a server before this run did.
    pub attempts: u32,
    /// Whether it was said of it that it is about to go out.
    pub fenced: bool,
    /// What came of it.
    pub end: EmailEnd,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct SeenRow {
    id: Uuid,
    state: String,
    run: i64,
    attempts: i64,
    fenced_at: Option<At>,
    lead_id: Uuid,
    address: String,
}

#[derive(Serialize)]
struct EndRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    run: i64,
    attempts: i64,
    fenced: i64,
    counted: i64,
    state: &'static str,
    due_at: Option<i64>,
    code: Option<i64>,
    enhanced: Option<&'a str>,
    said: &'a str,
    provider_id: Option<&'a str>,
    thread: Option<&'a str>,
    bounced: i64,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    id: Uuid,
    #[sqlx(flatten)]
    of: Of,
}

impl EndEmail {
    /// Whether it is this one whose word counts: of a run that is over it may be another's.
    fn is_about(&self, seen: &SeenRow) -> Result<bool> {
        let state: EmailState = word(&seen.state)?;
        Ok(if self.fenced {
            let out = matches!(state, EmailState::InFlight | EmailState::Unknown);
            out && seen.attempts == i64::from(self.attempts) + 1
        } else {
            state == EmailState::Claimed && seen.run == self.run.run && seen.attempts == i64::from(self.attempts)
        })
    }
}

impl EmailEnd {
    const fn state(&self) -> EmailState {
        match self {
            Self::Accepted { .. } => EmailState::Accepted,
            Self::Deferred { .. } | Self::Released { .. } => EmailState::Scheduled,
            Self::Rejected { .. } => EmailState::Rejected,
            Self::Unknown(_) => EmailState::Unknown,
        }
    }

    /// Whether it is certain that no server has it.
    const fn is_not_taken(&self) -> bool {
        matches!(self, Self::Deferred { .. } | Self::Released { .. } | Self::Rejected { .. })
    }
}

fn coded(said: &ServerSaid) -> (Option<i64>, Option<&str>) {
    (said.code.map(i64::from), said.enhanced.as_deref())
}

impl<'a> EndRow<'a> {
    fn of(member: &'a EndEmail) -> Self {
        let (mut due_at, mut provider, mut bounced, mut counted) = (None, (None, None), 0, 1);
        let nothing = (None, None);
        let ((code, enhanced), said) = match &member.end {
            EmailEnd::Accepted { said, provider: given, .. } => {
                provider = given.as_ref().map_or((None, None), |(id, thread)| (Some(id.as_str()), thread.as_deref()));
                (coded(said), said.text.as_str())
            }
            EmailEnd::Deferred { said, until } => {
                due_at = Some(until.as_millis());
                (coded(said), said.text.as_str())
            }
            EmailEnd::Released { until, why } => {
                (due_at, counted) = (Some(until.as_millis()), i64::from(member.fenced));
                (nothing, why.as_str())
            }
            EmailEnd::Rejected { said, stop } => {
                bounced = i64::from(*stop == StopReason::Bounced);
                (coded(said), said.text.as_str())
            }
            EmailEnd::Unknown(why) => (nothing, why.as_str()),
        };
        Self {
            id: member.id.uuid(),
            tenant_id: member.run.tenant.uuid(),
            run: member.run.run,
            attempts: i64::from(member.attempts),
            fenced: i64::from(member.fenced),
            counted,
            state: member.end.state().as_str(),
            due_at,
            code,
            enhanced,
            said,
            provider_id: provider.0,
            thread: provider.1,
            bounced,
            at: member.now.as_millis(),
        }
    }
}

/// Keeps what came of emails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends;

impl Batch for Ends {
    type Member = EndEmail;
    /// Whether it was kept: what another has said of it meanwhile stays.
    type Answer = bool;
    const NAME: &'static str = "outreach ends";
    const POOL: Pool = Pool::Jobs;

    fn tenant(member: &EndEmail) -> TenantId {
        member.run.tenant
    }

    async fn apply(&self, tx: &mut Tx<'_>, members: &[Arc<EndEmail>]) -> Result<Vec<bool>> {
        let places: BTreeSet<(Uuid, Uuid)> = members.iter().map(|one| (one.id.uuid(), one.run.tenant.uuid())).collect();
        let keys: Vec<_> = places.into_iter().map(|(id, tenant_id)| Place { id, tenant_id }).collect();
        let seen: Vec<SeenRow> = tx.batch(SEEN, &keys).rows().await?;
        let seen: BTreeMap<Uuid, SeenRow> = seen.into_iter().map(|row| (row.id, row)).collect();
        // Of several that say something of one email, the first counts that knows how it stands.
        let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
        for (place, member) in members.iter().enumerate() {
            let id = member.id.uuid();
            if let Some(seen) = seen.get(&id)
                && member.is_about(seen)?
            {
                counts.entry(id).or_insert(place);
            }
        }
        let rows: Vec<_> = counts.values().map(|place| EndRow::of(&members[*place])).collect();
        let ended: Vec<EndedRow> = tx.batch(END, &rows).rows().await?;
        let mut after = After::default();
        let mut kept = vec![false; members.len()];
        for row in &ended {
            if let Some((place, seen)) = counts.get(&row.id).zip(seen.get(&row.id)) {
                after.ended(&members[*place], seen, row.of)?;
                kept[*place] = true;
            }
        }
        after.write(tx).await?;
        Ok(kept)
    }
}

/// All that follows from what came of emails.
#[derive(Default)]
struct After<'a> {
    tally: Tally,
    charges: Vec<Charge>,
    advances: Vec<Advance<'a>>,
    stops: Vec<Stop>,
    /// By account: what was taken, what came back.
    health: BTreeMap<(TenantId, SendingAccountId), (i64, i64)>,
    now: Option<Timestamp>,
}

impl<'a> After<'a> {
    fn ended(&mut self, member: &'a EndEmail, seen: &SeenRow, of: Of) -> Result<()> {
        let before: EmailState = word(&seen.state)?;
        self.tally.moved(of, before, member.end.state());
        self.now = self.now.max(Some(member.now));
        if member.fenced
            && member.end.is_not_taken()
            && let Some(At(fenced_at)) = seen.fenced_at
        {
            let (account_id, tenant_id) = (of.account_id, of.tenant_id);
            self.charges.push(Charge { account_id, tenant_id, bucket: bucket_of(fenced_at), sent: -1 });
        }
        let subject = Subject { of, email: seen.id, lead: seen.lead_id, address: seen.address.clone() };
        let health = self.health.entry((member.run.tenant, member.run.account)).or_default();
        match &member.end {
            EmailEnd::Accepted { next, .. } => {
                health.0 += 1;
                self.tally.tell(subject, Told::Sent, member.now);
                let (tenant, lead) = (member.run.tenant, LeadId(seen.lead_id));
                self.advances.push(Advance { tenant, lead, next: next.as_ref(), now: member.now });
            }
            EmailEnd::Rejected { stop, .. } => {
                self.tally.tell(subject.clone(), Told::Rejected, member.now);
                if *stop == StopReason::Bounced {
                    health.1 += 1;
                    self.tally.add(of, Kind::Became(Became::Bounced), 1);
                    self.tally.tell(subject, Told::Became(Became::Bounced), member.now);
                }
                self.stops.push(Stop {
                    tenant: member.run.tenant,
                    lead: LeadId(seen.lead_id),
                    address: seen.address.clone(),
                    reason: *stop,
                    email: Some(member.id),
                });
            }
            EmailEnd::Unknown(_) => self.tally.tell(subject, Told::Unknown, member.now),
            EmailEnd::Deferred { .. } | EmailEnd::Released { .. } => {}
        }
        Ok(())
    }

    async fn write(mut self, tx: &mut Tx<'_>) -> Result<()> {
        let now = self.now.unwrap_or(Timestamp::EPOCH);
        advance(tx, self.advances, &mut self.tally).await?;
        stop(tx, &self.stops, &mut self.tally, now).await?;
        charge(tx, self.charges).await?;
        for ((tenant, account), (sent, bounced)) in self.health {
            weigh(tx, (tenant, account), (sent, bounced, 0), now).await?;
        }
        self.tally.write(tx).await
    }
}

impl Store {
    /// Keeps what came of an email, together with others at this moment, and all that follows: the next email of its lead,
    /// who is stopped, what the account may still send, the figures. False when it was not kept, because another has said
    /// what came of it, or the run is not the account's any more.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn end_email(&self, call: &Call, end: EndEmail) -> Result<bool> {
        self.ends.call(call, end).await
    }
}
