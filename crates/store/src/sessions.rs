//! Sign-ins: one row each, whose generation grows with every refresh.

use std::time::Duration;

use mainstay_domain::{PersonId, SessionId, TenantId, Timestamp};
use uuid::Uuid;

use crate::accounts::NewSession;
use crate::error::Result;
use crate::intent::Intent;
use crate::revocations::{self, Revoked};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    INSERT = both("
        INSERT INTO sign_in_session (id, person_id, tenant_id, generation, rotated_at, created_at, expires_at)
        VALUES ($1, $2, $3, 0, $4, $4, $5)");
    ROTATE = both("
        UPDATE sign_in_session SET generation = generation + 1, rotated_at = $3, expires_at = $4
        WHERE id = $1 AND generation = $2 AND ended_at IS NULL AND expires_at > $3
        RETURNING person_id, tenant_id, generation, rotated_at, ended_at, expires_at");
    FIND = both("
        SELECT person_id, tenant_id, generation, rotated_at, ended_at, expires_at FROM sign_in_session WHERE id = $1");
    END = both("UPDATE sign_in_session SET ended_at = $2, ended_reason = $3 WHERE id = $1 AND ended_at IS NULL");
    SWITCH = both("
        UPDATE sign_in_session SET tenant_id = $3 WHERE id = $1 AND person_id = $2 AND ended_at IS NULL AND expires_at > $4
        RETURNING person_id, tenant_id, generation, rotated_at, ended_at, expires_at");
    END_ALL = both("UPDATE sign_in_session SET ended_at = $2, ended_reason = $3 WHERE person_id = $1 AND ended_at IS NULL");
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    person_id: Uuid,
    tenant_id: Uuid,
    generation: i64,
    rotated_at: At,
    ended_at: Option<At>,
    expires_at: At,
}

/// A sign-in that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub person: PersonId,
    /// The organisation that its tokens name.
    pub tenant: TenantId,
    /// Its generation: the refresh token that is good now.
    pub generation: u32,
}

fn session(row: &SessionRow) -> Session {
    Session {
        person: PersonId(row.person_id),
        tenant: TenantId(row.tenant_id),
        generation: u32::try_from(row.generation).unwrap_or(u32::MAX),
    }
}

pub(crate) async fn insert(
    tx: &mut Tx<'_>,
    session: &NewSession,
    person: PersonId,
    tenant: TenantId,
    now: Timestamp,
) -> Result<()> {
    tx.query(INSERT)
        .bind(session.id.uuid())
        .bind(person.uuid())
        .bind(tenant.uuid())
        .bind(At(now))
        .bind(At(session.expires_at))
        .run()
        .await?;
    Ok(())
}

/// Begins a sign-in.
#[derive(Clone, Copy, Debug)]
pub struct StartSession {
    /// The sign-in.
    pub session: NewSession,
    /// Whose.
    pub person: PersonId,
    /// The organisation that its tokens name.
    pub tenant: TenantId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for StartSession {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        insert(tx, &self.session, self.person, self.tenant, self.now).await
    }
}

/// Uses a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct RotateSession {
    /// The sign-in that the token names.
    pub id: SessionId,
    /// The generation that the token names.
    pub generation: u32,
    /// The present moment.
    pub now: Timestamp,
    /// When the sign-in then ends unless it is used again.
    pub expires_at: Timestamp,
    /// For how long the token before the present one still gives the present one.
    pub leeway: Duration,
    /// When the last access token of this sign-in has ended by itself.
    pub tokens_end: Timestamp,
}

/// What a refresh token was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The sign-in goes on, at the generation named here.
    Good(Session),
    /// The token was used before, too long ago to be a repeat: somebody has a copy. The sign-in is ended.
    Reused(PersonId),
    /// There is no such sign-in, or it has ended.
    Ended,
}

impl Intent for RotateSession {
    type Output = Rotated;
    const WRITES: bool = true;
    // A repeat finds the generation moved on a moment ago, which the leeway answers.
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Rotated> {
        let rotated: Option<SessionRow> = tx
            .query(ROTATE)
            .bind(self.id.uuid())
            .bind(i64::from(self.generation))
            .bind(At(self.now))
            .bind(At(self.expires_at))
            .row()
            .await?;
        if let Some(row) = rotated {
            return Ok(Rotated::Good(session(&row)));
        }
        let found: Option<SessionRow> = tx.query(FIND).bind(self.id.uuid()).row().await?;
        let Some(row) = found else { return Ok(Rotated::Ended) };
        let used = i64::from(self.generation);
        if row.ended_at.is_some() || row.expires_at.0 <= self.now || used > row.generation {
            return Ok(Rotated::Ended);
        }
        // Without a leeway also what was asked at the same moment is a reuse: its own moment may be the earlier one.
        let in_time = !self.leeway.is_zero() && self.now < row.rotated_at.0.plus(self.leeway);
        if used + 1 == row.generation && in_time {
            return Ok(Rotated::Good(session(&row)));
        }
        end(tx, self.id, "refresh token reused", self.now, self.tokens_end).await?;
        Ok(Rotated::Reused(PersonId(row.person_id)))
    }
}

async fn end(
    tx: &mut Tx<'_>,
    id: SessionId,
    reason: &'static str,
    now: Timestamp,
    tokens_end: Timestamp,
) -> Result<bool> {
    let ended = tx.query(END).bind(id.uuid()).bind(At(now)).bind(reason).run().await?;
    if ended == 1 {
        revocations::insert(tx, Revoked::Session(id), now, tokens_end).await?;
    }
    Ok(ended == 1)
}

/// Ends a sign-in; its access tokens are revoked on every node. False when it has ended before.
#[derive(Clone, Copy, Debug)]
pub struct EndSession {
    /// Which.
    pub id: SessionId,
    /// Why: `signed out`.
    pub reason: &'static str,
    /// The present moment.
    pub now: Timestamp,
    /// When the last access token of this sign-in has ended by itself.
    pub tokens_end: Timestamp,
}

impl Intent for EndSession {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        end(tx, self.id, self.reason, self.now, self.tokens_end).await
    }
}

/// Ends the sign-ins of a person.
pub(crate) async fn end_all(tx: &mut Tx<'_>, person: PersonId, reason: &'static str, now: Timestamp) -> Result<()> {
    tx.query(END_ALL).bind(person.uuid()).bind(At(now)).bind(reason).run().await.map(drop)
}

/// Ends all sign-ins of a person, and with them every token of theirs until now.
#[derive(Clone, Copy, Debug)]
pub struct EndAllSessions {
    /// Whose.
    pub person: PersonId,
    /// Why: `password changed`.
    pub reason: &'static str,
    /// The present moment.
    pub now: Timestamp,
    /// When the last access token has ended by itself.
    pub tokens_end: Timestamp,
}

impl Intent for EndAllSessions {
    /// The position of the feed of revocations.
    type Output = i64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        end_all(tx, self.person, self.reason, self.now).await?;
        revocations::insert(tx, Revoked::Person(self.person), self.now, self.tokens_end).await
    }
}

/// Moves a sign-in to another organisation of its person. Nothing when the sign-in has ended.
#[derive(Clone, Copy, Debug)]
pub struct SwitchSession {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub person: PersonId,
    /// To where. That the person is a member is checked before.
    pub tenant: TenantId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for SwitchSession {
    type Output = Option<Session>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Session>> {
        let row: Option<SessionRow> = tx
            .query(SWITCH)
            .bind(self.id.uuid())
            .bind(self.person.uuid())
            .bind(self.tenant.uuid())
            .bind(At(self.now))
            .row()
            .await?;
        Ok(row.as_ref().map(session))
    }
}
