//! What voice sessions were: begun, counted turn by turn, ended, and listed.
//!
//! A turn of speech is work as a reply is: what it may cost is set aside before, and settled after. Both count in the same
//! transaction as the session's own figures, so that these are always the sum of its turns.

use mainstay_domain::{Amounts, ConversationId, PersonId, Spent, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::metering::admission::{self, Bid, Demand};
use crate::metering::ledger::Ledger;
use crate::metering::reservation::{self, Cost, Settlement};
use crate::places::FindDue;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place, moment, signed, unsigned};

statements! {
    BEGIN = both("
        INSERT INTO voice_session (id, tenant_id, person_id, conversation_id, began_at, heard_ms, spoken_characters, turns,
          interruptions, cost_micros)
        VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0)");
    IS_THERE = both("
        SELECT id, tenant_id FROM conversation WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND deleted_at IS NULL");
    COUNT = both("
        UPDATE voice_session SET heard_ms = heard_ms + $3, spoken_characters = spoken_characters + $4, turns = turns + 1,
          interruptions = interruptions + $5, cost_micros = cost_micros + $6,
          conversation_id = coalesce(conversation_id, $7)
        WHERE id = $1 AND tenant_id = $2");
    END = both("
        UPDATE voice_session SET ended_at = $3, reason = $4, latency_ms = $5
        WHERE id = $1 AND tenant_id = $2 AND ended_at IS NULL");
    LIST = both("
        SELECT id, conversation_id, began_at, ended_at, reason, heard_ms, spoken_characters, turns, interruptions,
          cost_micros, latency_ms
        FROM voice_session WHERE tenant_id = $1 AND person_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    LOST = both("
        SELECT id, tenant_id FROM voice_session WHERE ended_at IS NULL AND began_at < $1 ORDER BY began_at LIMIT 500");
    GIVE_UP = update((id: uuid, tenant_id: uuid, at: time) "
        voice_session SET ended_at = coalesce(voice_session.ended_at, b.at), reason = coalesce(voice_session.reason, 'lost')
        FROM batch b WHERE voice_session.id = b.id AND voice_session.tenant_id = b.tenant_id");
}

/// A session that begins.
#[derive(Clone, Copy, Debug)]
pub struct NewVoiceSession {
    /// Its id.
    pub id: Uuid,
    /// The organisation.
    pub tenant: TenantId,
    /// Who speaks.
    pub person: PersonId,
    /// In which conversation; nothing makes one with the first turn.
    pub conversation: Option<ConversationId>,
    /// The present moment.
    pub now: Timestamp,
}

/// What came of a session that was to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundVoiceSession {
    /// It has begun.
    Begun,
    /// There is no such conversation for this person.
    NoConversation,
    /// A limit is spent, and nothing has begun.
    Spent(Spent),
}

/// Begins a session, if its person may speak at all.
#[derive(Clone, Copy, Debug)]
pub struct BeginVoiceSession(pub NewVoiceSession);

impl Intent for BeginVoiceSession {
    type Output = FoundVoiceSession;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<FoundVoiceSession> {
        let NewVoiceSession { id, tenant, person, conversation, now } = self.0;
        if let Some(conversation) = conversation {
            let query = tx.query(IS_THERE).bind(conversation.uuid()).bind(tenant.uuid()).bind(person.uuid());
            if query.row::<Place>().await?.is_none() {
                return Ok(FoundVoiceSession::NoConversation);
            }
        }
        // A second of speech is asked for and given back: it says whether any is left.
        let amounts = Amounts { voice_seconds: 1, ..Amounts::default() };
        let demand = Demand { id, tenant, person, at: now, amounts, bid: None };
        if let Some(Err(spent)) = admission::admit(tx, Ledger::default(), &[demand]).await?.pop() {
            return Ok(FoundVoiceSession::Spent(spent));
        }
        let mut back = Ledger::default();
        back.add(tenant, person, now, -amounts, 0);
        back.post(tx).await?;
        let conversation = conversation.map(ConversationId::uuid);
        let query = tx.query(BEGIN).bind(id).bind(tenant.uuid()).bind(person.uuid()).bind(conversation);
        query.bind(At(now)).run().await?;
        Ok(FoundVoiceSession::Begun)
    }
}

/// Sets aside what a turn of speech may cost, and counts its first second. The answer is how many millionths are set aside, or
/// which limit is spent.
#[derive(Clone, Copy, Debug)]
pub struct ReserveSpeech {
    /// The id of the turn.
    pub id: Uuid,
    /// The organisation.
    pub tenant: TenantId,
    /// Who speaks.
    pub person: PersonId,
    /// What it may cost; nothing where speech costs nothing.
    pub bid: Option<Bid>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ReserveSpeech {
    type Output = std::result::Result<i64, Spent>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let Self { id, tenant, person, bid, now } = *self;
        let amounts = Amounts { voice_seconds: 1, ..Amounts::default() };
        let demand = Demand { id, tenant, person, at: now, amounts, bid };
        let verdicts = admission::admit(tx, Ledger::default(), &[demand]).await?;
        Ok(verdicts.into_iter().next().unwrap_or(Ok(0)))
    }
}

/// Counts a turn of speech that has ended, however it did.
#[derive(Clone, Copy, Debug)]
pub struct SettleSpeech {
    /// The id of the turn.
    pub id: Uuid,
    /// Its session.
    pub session: Uuid,
    /// The organisation.
    pub tenant: TenantId,
    /// Who spoke.
    pub person: PersonId,
    /// In which conversation, once there is one.
    pub conversation: Option<ConversationId>,
    /// When it was set aside for: it counts in that month.
    pub reserved_at: Timestamp,
    /// Speech of the caller, in milliseconds.
    pub heard_ms: u64,
    /// Seconds of speech beyond the one that was counted when it was set aside for.
    pub more_seconds: u32,
    /// Characters that were spoken to them.
    pub spoken_characters: u64,
    /// Whether the caller interrupted it.
    pub interrupted: bool,
    /// What it cost.
    pub cost: Cost,
}

impl Intent for SettleSpeech {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Self { id, session, tenant, person, conversation, reserved_at, heard_ms, spoken_characters, .. } = *self;
        let cost = match self.cost {
            Cost::Known(cost) => cost,
            Cost::Free | Cost::AllReserved => 0,
        };
        tx.query(COUNT)
            .bind(session)
            .bind(tenant.uuid())
            .bind(signed(heard_ms))
            .bind(signed(spoken_characters))
            .bind(i64::from(self.interrupted))
            .bind(cost)
            .bind(conversation.map(ConversationId::uuid))
            .run()
            .await?;
        let amounts = Amounts { voice_seconds: i64::from(self.more_seconds), ..Amounts::default() };
        let settlement = Settlement { id, tenant, person, at: reserved_at, amounts, cost: self.cost };
        let mut ledger = Ledger::default();
        reservation::settle(tx, &mut ledger, &[settlement]).await?;
        ledger.post(tx).await
    }
}

/// Ends a session. Nothing happens when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndVoiceSession {
    /// Which.
    pub id: Uuid,
    /// The organisation.
    pub tenant: TenantId,
    /// Why, in a stable word.
    pub reason: &'static str,
    /// The median of its turns from the end of speech to the first sound, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for EndVoiceSession {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(END)
            .bind(self.id)
            .bind(self.tenant.uuid())
            .bind(At(self.now))
            .bind(self.reason)
            .bind(self.latency_ms.map(signed))
            .run()
            .await?;
        Ok(())
    }
}

/// A session as it was, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceSession {
    /// Its id.
    pub id: Uuid,
    /// In which conversation, once there is one.
    pub conversation: Option<ConversationId>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Speech of the caller, in milliseconds.
    pub heard_ms: u64,
    /// Characters that were spoken to them.
    pub spoken_characters: u64,
    /// Turns.
    pub turns: u64,
    /// Turns that the caller interrupted.
    pub interruptions: u64,
    /// What its speech cost, in millionths.
    pub cost_micros: i64,
    /// The median from the end of speech to the first sound, in milliseconds.
    pub latency_ms: Option<u64>,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: Uuid,
    conversation_id: Option<Uuid>,
    began_at: At,
    ended_at: Option<At>,
    reason: Option<String>,
    heard_ms: i64,
    spoken_characters: i64,
    turns: i64,
    interruptions: i64,
    cost_micros: i64,
    latency_ms: Option<i64>,
}

impl From<SessionRow> for VoiceSession {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            conversation: row.conversation_id.map(ConversationId),
            began_at: row.began_at.0,
            ended_at: moment(row.ended_at),
            reason: row.reason,
            heard_ms: unsigned(row.heard_ms),
            spoken_characters: unsigned(row.spoken_characters),
            turns: unsigned(row.turns),
            interruptions: unsigned(row.interruptions),
            cost_micros: row.cost_micros,
            latency_ms: row.latency_ms.map(unsigned),
        }
    }
}

/// Lists the sessions of a person, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListVoiceSessions {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Those after (older than) this one.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListVoiceSessions {
    type Output = Vec<VoiceSession>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let query = tx.query(LIST).bind(self.tenant.uuid()).bind(self.person.uuid());
        let rows: Vec<SessionRow> =
            query.bind(self.after.unwrap_or(Uuid::max())).bind(i64::from(self.limit)).rows().await?;
        Ok(rows.into_iter().map(VoiceSession::from).collect())
    }
}

/// Says of these that they are lost, in the name of their organisations.
struct GiveUp {
    places: Vec<Place>,
    now: Timestamp,
}

#[derive(Serialize)]
struct GivenUp {
    id: Uuid,
    tenant_id: Uuid,
    at: i64,
}

impl Intent for GiveUp {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.places.iter().map(|place| TenantId(place.tenant_id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let at = self.now.as_millis();
        let rows: Vec<_> =
            self.places.iter().map(|place| GivenUp { id: place.id, tenant_id: place.tenant_id, at }).collect();
        tx.batch(GIVE_UP, &rows).run().await?;
        Ok(())
    }
}

impl Store {
    /// Ends sessions that began before a moment and whose node never ended them, at most 500. The answer is how many there
    /// were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn give_up_voice_sessions(&self, call: &Call, before: Timestamp, now: Timestamp) -> Result<usize> {
        let places = self.run(call, FindDue(LOST, before)).await?;
        let lost = places.len();
        if lost > 0 {
            self.run(call, GiveUp { places, now }).await?;
        }
        Ok(lost)
    }
}
