//! The hot path of a conversation: a message is accepted, its reply is saved while it is made, settled when it ends, and
//! rescued when its node died. All four go through one batcher, because they touch the same rows: one commit serves
//! whoever waits, and two lanes of a node never wait for each other.
//!
//! A reply in the making has a row in `generation` with the number of its node's lease. That row is the fence: settling or
//! rescuing a reply deletes it, and whoever finds it gone has lost the reply to another.

mod accept;
mod settle;

use std::collections::HashSet;
use std::sync::Arc;

use mainstay_domain::{
    ConversationId, ConversationTitle, GenerationId, IdempotencyKey, MessageId, MessageImage, MessageStatus,
    MessageText, PersonId, Spent, TenantId, Timestamp, ToolUsed, Usage,
};
use uuid::Uuid;

use crate::batcher::Batch;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::metering::admission::Bid;
use crate::metering::ledger::Ledger;
use crate::metering::reservation::Cost;
#[cfg(test)]
use crate::sql::Sql;
use crate::store::Store;
use crate::stream::Changes;
use crate::tx::Tx;

/// The statements of this module.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&[Sql]] = &[accept::STATEMENTS, settle::STATEMENTS];

/// What a request claims by its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key, which the client chose.
    pub key: IdempotencyKey,
    /// A digest of the request, in hexadecimal: the same key for another request is refused.
    pub fingerprint: String,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A conversation that is made with it.
    New(ConversationId, ConversationTitle),
    /// A conversation that is there.
    Existing(ConversationId),
}

impl Target {
    /// The conversation's id.
    #[must_use]
    pub fn id(&self) -> ConversationId {
        match self {
            Self::New(id, _) | Self::Existing(id) => *id,
        }
    }
}

/// Takes a message in, and with it the promise of a reply: the message, an empty reply and the claim on making it are
/// stored together.
#[derive(Clone, Debug)]
pub struct AcceptMessage {
    /// The organisation.
    pub tenant: TenantId,
    /// Who wrote it.
    pub person: PersonId,
    /// Where it goes.
    pub target: Target,
    /// Its id.
    pub message: MessageId,
    /// The reply's id.
    pub reply: MessageId,
    /// What was written.
    pub content: MessageText,
    /// What comes with it: images that its writer has uploaded and not sent before.
    pub images: Vec<MessageImage>,
    /// The number of the lease of the node that makes the reply.
    pub lease: i64,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// What is set aside for the reply, when it may cost something.
    pub bid: Option<Bid>,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored, and so many millionths are set aside for its reply.
    Taken(i64),
    /// Its idempotency key was used before: look up for what.
    Repeat,
    /// There is no such conversation for this person.
    NoConversation,
    /// A limit is spent. Nothing is stored, and the key may be used again.
    Spent(Spent),
}

/// How a reply ended.
#[derive(Clone, Debug)]
pub struct SettleReply {
    /// The organisation.
    pub tenant: TenantId,
    /// For whom it was made.
    pub person: PersonId,
    /// Which reply.
    pub generation: GenerationId,
    /// The number of the lease under which it was made.
    pub lease: i64,
    /// How it ended: anything but `Streaming`.
    pub status: MessageStatus,
    /// Its text; nothing to keep what was saved last, also of the tools.
    pub content: Option<String>,
    /// What tools did for it.
    pub tools: Vec<ToolUsed>,
    /// Who made it, and with what.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Tokens, as far as they are known.
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Cost,
    /// Why it ended early: a stable code and words for the person.
    pub fault: Option<(String, String)>,
    /// The present moment.
    pub now: Timestamp,
}

/// Saves what a reply has so far.
#[derive(Clone, Debug)]
pub struct SaveReply {
    /// The organisation.
    pub tenant: TenantId,
    /// Which reply.
    pub generation: GenerationId,
    /// The number of the lease under which it is made.
    pub lease: i64,
    /// All of its text until now; nothing when that was saved before, and only a stop is asked after.
    pub text: Option<String>,
    /// What tools did for it until now; saved with the text.
    pub tools: Vec<ToolUsed>,
}

/// What a save found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Saved; go on.
    GoOn,
    /// Saved; the person asked, perhaps through another node, that it stops.
    StopRequested,
    /// The reply belongs to nobody or to another by now.
    Gone,
}

/// One call of the batcher.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    Accept(AcceptMessage),
    Settle(SettleReply),
    Save(SaveReply),
}

/// Its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Accepted(Accepted),
    Settled(bool),
    Saved(Saved),
}

/// What the batcher runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns;

impl Batch for Turns {
    type Member = Turn;
    type Answer = Told;
    const NAME: &'static str = "turns";

    fn tenant(member: &Turn) -> TenantId {
        match member {
            Turn::Accept(accept) => accept.tenant,
            Turn::Settle(settle) => settle.tenant,
            Turn::Save(save) => save.tenant,
        }
    }

    async fn apply(&self, tx: &mut Tx<'_>, members: &[Arc<Turn>]) -> Result<Vec<Told>> {
        let mut accepts = Vec::new();
        let mut settles = Vec::new();
        let mut saves = Vec::new();
        for (position, member) in members.iter().enumerate() {
            match &**member {
                Turn::Accept(accept) => accepts.push((position, accept)),
                Turn::Settle(settle) => settles.push((position, settle)),
                Turn::Save(save) => saves.push((position, save)),
            }
        }
        let mut told = vec![Told::Settled(false); members.len()];
        // Entities first: conversations, then replies in the making.
        let accepts = accept::claim(tx, &accepts, &mut told).await?;
        settle::save(tx, &saves, &mut told).await?;
        let mut settles = settle::fence(tx, &settles, &mut told).await?;
        // Then the counters of what was used: what ends gives back before what begins asks.
        let mut ledger = Ledger::default();
        settle::count(tx, &mut settles, &mut ledger).await?;
        let accepts = accept::admit(tx, accepts, ledger, &mut told).await?;
        // Then the streams, all at once, and only then what carries their numbers.
        let mut changes = Changes::default();
        settle::change(&settles, &mut changes);
        accept::change(&accepts, &mut changes);
        if let Some(now) = latest(members) {
            let numbers = changes.record(tx, now).await?;
            settle::write(tx, &settles, &numbers)?;
            accept::write(tx, accepts, &numbers)?;
        }
        Ok(told)
    }
}

fn latest(members: &[Arc<Turn>]) -> Option<Timestamp> {
    let moment = |member: &Arc<Turn>| match &**member {
        Turn::Accept(accept) => Some(accept.now),
        Turn::Settle(settle) => Some(settle.now),
        Turn::Save(_) => None,
    };
    members.iter().filter_map(moment).max()
}

#[derive(sqlx::FromRow)]
struct Id {
    id: Uuid,
}

fn ids(rows: Vec<Id>) -> HashSet<Uuid> {
    rows.into_iter().map(|row| row.id).collect()
}

fn wrong_answer() -> Error {
    Error::Bug("a turn was answered as another kind of turn".to_owned())
}

impl Store {
    /// Takes a message in. When it answers [`Accepted::Taken`], message and reply are on the disk.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the deadline passed first: the idempotency key decides.
    pub async fn accept_message(&self, call: &Call, message: AcceptMessage) -> Result<Accepted> {
        match self.turns.call(call, Turn::Accept(message)).await? {
            Told::Accepted(accepted) => Ok(accepted),
            _ => Err(wrong_answer()),
        }
    }

    /// Settles a reply. The answer is false when it belongs to another by now.
    ///
    /// # Errors
    /// As every intent.
    pub async fn settle_reply(&self, call: &Call, reply: SettleReply) -> Result<bool> {
        match self.turns.call(call, Turn::Settle(reply)).await? {
            Told::Settled(settled) => Ok(settled),
            _ => Err(wrong_answer()),
        }
    }

    /// Saves what a reply has so far, outside the streams.
    ///
    /// # Errors
    /// As every intent.
    pub async fn save_reply(&self, call: &Call, reply: SaveReply) -> Result<Saved> {
        match self.turns.call(call, Turn::Save(reply)).await? {
            Told::Saved(saved) => Ok(saved),
            _ => Err(wrong_answer()),
        }
    }

    /// Batches, members in them, calls refused since the start, and calls waiting now.
    #[must_use]
    pub fn turn_figures(&self) -> TurnFigures {
        let (batches, members, refused) = self.turns.figures();
        TurnFigures { batches, members, refused, waiting: self.turns.waiting() }
    }
}

/// Figures of the batcher of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnFigures {
    /// Batches since the start.
    pub batches: u64,
    /// Members in them.
    pub members: u64,
    /// Calls refused because the queue was full, since the start.
    pub refused: u64,
    /// Calls waiting now.
    pub waiting: usize,
}
