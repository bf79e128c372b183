//! Endpoints as their owners know them: made, read, changed, removed.

use mainstay_domain::{DisabledReason, EndpointId, EventType, JobPriority, PersonId, Sealed, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    CANCELLING_KIND, DELIVERY_CHORES, DISABLED, ENABLED, Endpoint, EndpointRow, MOST_ENDPOINTS, MOST_STARTS, derived,
    write_types,
};
use crate::error::{Error, Result};
use crate::idempotency::{Claimant, Once, claim};
use crate::intent::Intent;
use crate::jobs::NewJob;
use crate::jobs::enqueue::enqueue;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, json};

statements! {
    /// Whoever adds one to an organisation does so alone, so that the bound holds.
    HOW_MANY = pair(sqlite "
        SELECT (SELECT count(*) FROM webhook_endpoint e WHERE e.tenant_id = $1) AS endpoints FROM organisation o WHERE o.tenant_id = $1",
        postgres "
        SELECT (SELECT count(*) FROM webhook_endpoint e WHERE e.tenant_id = $1) AS endpoints FROM organisation o WHERE o.tenant_id = $1
        FOR UPDATE OF o",
        differs "SQLite has one writer, which is the lock");
    INSERT = both("
        INSERT INTO webhook_endpoint (id, tenant_id, url, description, event_types, secrets, rate_per_minute, state,
          consecutive_failures, rests, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'enabled', 0, 0, $8, $8)");
    GET = both("
        SELECT id, tenant_id, url, description, event_types, secrets, rate_per_minute, state, disabled_reason, disabled_at,
          failing_since, consecutive_failures, rests, rest_until, probe_until, created_at, updated_at
        FROM webhook_endpoint WHERE id = $1 AND tenant_id = $2");
    GET_TO_CHANGE = pair(sqlite "
        SELECT id, tenant_id, url, description, event_types, secrets, rate_per_minute, state, disabled_reason, disabled_at,
          failing_since, consecutive_failures, rests, rest_until, probe_until, created_at, updated_at
        FROM webhook_endpoint WHERE id = $1 AND tenant_id = $2",
        postgres "
        SELECT id, tenant_id, url, description, event_types, secrets, rate_per_minute, state, disabled_reason, disabled_at,
          failing_since, consecutive_failures, rests, rest_until, probe_until, created_at, updated_at
        FROM webhook_endpoint WHERE id = $1 AND tenant_id = $2 FOR UPDATE",
        differs "SQLite has one writer, which is the lock");
    LIST = both("
        SELECT id, tenant_id, url, description, event_types, secrets, rate_per_minute, state, disabled_reason, disabled_at,
          failing_since, consecutive_failures, rests, rest_until, probe_until, created_at, updated_at
        FROM webhook_endpoint WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    /// What was changed is tried anew, whatever was before.
    CHANGE = both("
        UPDATE webhook_endpoint SET url = $3, description = $4, event_types = $5, rate_per_minute = $6, state = $7,
          disabled_reason = $8, disabled_at = $9, failing_since = NULL, consecutive_failures = 0, rests = 0, rest_until = NULL,
          probe_until = NULL, updated_at = $10
        WHERE id = $1 AND tenant_id = $2");
    CHANGE_SECRETS = both("
        UPDATE webhook_endpoint SET secrets = $3, updated_at = $4 WHERE id = $1 AND tenant_id = $2 AND secrets = $5");
    DELETE = both("DELETE FROM webhook_endpoint WHERE id = $1 AND tenant_id = $2");
}

#[derive(sqlx::FromRow)]
struct CountRow {
    endpoints: i64,
}

/// What became of an endpoint that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointMade {
    /// It is there.
    Made,
    /// There are as many as there may be.
    TooMany,
}

/// Makes an endpoint.
#[derive(Clone, Debug)]
pub struct CreateEndpoint {
    /// Its id.
    pub id: EndpointId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who makes it.
    pub person: PersonId,
    /// What it is.
    pub settings: EndpointSettings,
    /// What signs.
    pub secrets: Sealed,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// The present moment.
    pub now: Timestamp,
}

/// What people say of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Where it is.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Which types of events it is told of; all when there is none.
    pub event_types: Vec<EventType>,
    /// The most deliveries in a minute.
    pub rate_per_minute: Option<u32>,
}

/// What an idempotency key of an endpoint is for.
pub const MAKING_AN_ENDPOINT: &str = "webhook_endpoint";

impl Intent for CreateEndpoint {
    type Output = Once<EndpointMade>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let claimant = Claimant {
            tenant: self.tenant,
            person: self.person,
            operation: MAKING_AN_ENDPOINT,
            claim: self.claim.as_ref(),
            resource: self.id.uuid(),
            now: self.now,
        };
        if let Some(used) = claim(tx, claimant).await? {
            return Ok(Once::Repeat(used));
        }
        let there: Option<CountRow> = tx.query(HOW_MANY).bind(self.tenant.uuid()).row().await?;
        let there = there.ok_or(Error::Missing("organisation"))?;
        if there.endpoints >= i64::from(MOST_ENDPOINTS) {
            return Ok(Once::Done(EndpointMade::TooMany));
        }
        tx.query(INSERT)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(self.settings.url.clone())
            .bind(self.settings.description.clone())
            .bind(write_types(&self.settings.event_types)?)
            .bind(self.secrets.as_str().to_owned())
            .bind(self.settings.rate_per_minute.map(i64::from))
            .bind(At(self.now))
            .run()
            .await?;
        Ok(Once::Done(EndpointMade::Made))
    }
}

/// Reads an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct GetEndpoint {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub id: EndpointId,
}

impl Intent for GetEndpoint {
    type Output = Option<Endpoint>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<EndpointRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(Endpoint::try_from).transpose()
    }
}

/// Lists the endpoints of an organisation, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListEndpoints {
    /// The organisation.
    pub tenant: TenantId,
    /// After this one.
    pub after: Option<(Timestamp, EndpointId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListEndpoints {
    type Output = Vec<Endpoint>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Endpoint>> {
        let (moment, id) = self.after.map_or((Timestamp::EPOCH, Uuid::nil()), |(at, id)| (at, id.uuid()));
        let query = tx.query(LIST).bind(self.tenant.uuid()).bind(At(moment)).bind(id).bind(i64::from(self.limit));
        let rows: Vec<EndpointRow> = query.rows().await?;
        rows.into_iter().map(Endpoint::try_from).collect()
    }
}

/// Changes an endpoint. What is left out stays. What its health was is forgotten: it is tried anew.
#[derive(Clone, Debug)]
pub struct ChangeEndpoint {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub id: EndpointId,
    /// Where it is.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Which types of events it is told of.
    pub event_types: Option<Vec<EventType>>,
    /// The most deliveries in a minute; the inner nothing removes the limit.
    pub rate_per_minute: Option<Option<u32>>,
    /// Whether it is told of anything.
    pub enabled: Option<bool>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeEndpoint {
    type Output = Option<Endpoint>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row = tx.query(GET_TO_CHANGE).bind(self.id.uuid()).bind(self.tenant.uuid()).row::<EndpointRow>().await?;
        let Some(old) = row.map(Endpoint::try_from).transpose()? else { return Ok(None) };
        let disabled = match self.enabled {
            None => old.disabled,
            Some(true) => None,
            Some(false) => old.disabled.or(Some((DisabledReason::Asked, self.now))),
        };
        let new = Endpoint {
            url: self.url.clone().unwrap_or_else(|| old.url.clone()),
            description: self.description.clone().unwrap_or_else(|| old.description.clone()),
            event_types: self.event_types.clone().unwrap_or_else(|| old.event_types.clone()),
            rate_per_minute: self.rate_per_minute.unwrap_or(old.rate_per_minute),
            disabled,
            health: super::Health::default(),
            updated_at: self.now,
            ..old
        };
        tx.query(CHANGE)
            .bind(self.id.uuid())
            .bind(self.tenant.uuid())
            .bind(new.url.clone())
            .bind(new.description.clone())
            .bind(write_types(&new.event_types)?)
            .bind(new.rate_per_minute.map(i64::from))
            .bind(if disabled.is_some() { DISABLED } else { ENABLED })
            .bind(disabled.map(|(reason, _)| reason.as_str()))
            .bind(disabled.map(|(_, since)| At(since)))
            .bind(At(self.now))
            .run()
            .await?;
        if old.disabled.is_none() && disabled.is_some() {
            cancel_what_waits(tx, self.tenant, self.id, "The endpoint was disabled.", self.now).await?;
        }
        Ok(Some(new))
    }
}

/// What a job that cancels needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancelling {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Why, for whoever reads the log.
    pub reason: String,
    /// What was promised later is not meant: somebody has enabled the endpoint again.
    pub before: Timestamp,
}

/// Promises that what waits for an endpoint is cancelled. Each delivery would find out when it is due, but that may be a
/// day away.
pub(super) async fn cancel_what_waits(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    endpoint: EndpointId,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    let cancelling = Cancelling { tenant, endpoint, reason: reason.to_owned(), before: now };
    let job = NewJob {
        id: derived(now, &[b"cancelling", endpoint.uuid().as_bytes(), reason.as_bytes()]).into(),
        queue: DELIVERY_CHORES,
        kind: CANCELLING_KIND,
        group: tenant.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: json(&cancelling)?,
        unique: None,
        run_at: now,
        most_attempts: MOST_STARTS,
        trace: None,
    };
    enqueue(tx, &[job], now).await.map(|_| ())
}

/// Puts other secrets in the place of those that sign now.
#[derive(Clone, Debug)]
pub struct ChangeSecrets {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub id: EndpointId,
    /// What signed when the change was thought of.
    pub seen: Sealed,
    /// What signs from now on.
    pub secrets: Sealed,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of secrets that were to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsChanged {
    /// They sign.
    Done,
    /// Others stand there than were read.
    Meanwhile,
    /// There is no such endpoint.
    Unknown,
}

impl Intent for ChangeSecrets {
    type Output = SecretsChanged;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<SecretsChanged> {
        let (id, tenant) = (self.id.uuid(), self.tenant.uuid());
        let change = tx.query(CHANGE_SECRETS).bind(id).bind(tenant).bind(self.secrets.as_str().to_owned());
        let changed = change.bind(At(self.now)).bind(self.seen.as_str().to_owned()).run().await?;
        if changed == 1 {
            return Ok(SecretsChanged::Done);
        }
        let row: Option<EndpointRow> = tx.query(GET).bind(id).bind(tenant).row().await?;
        Ok(if row.is_some() { SecretsChanged::Meanwhile } else { SecretsChanged::Unknown })
    }
}

/// Removes an endpoint. What waits for it is cancelled; its log stays as long as every log does. False when there is none.
#[derive(Clone, Copy, Debug)]
pub struct DeleteEndpoint {
    /// The organisation.
    pub tenant: TenantId,
    /// The endpoint.
    pub id: EndpointId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for DeleteEndpoint {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let removed = tx.query(DELETE).bind(self.id.uuid()).bind(self.tenant.uuid()).run().await?;
        if removed == 1 {
            cancel_what_waits(tx, self.tenant, self.id, "The endpoint was removed.", self.now).await?;
        }
        Ok(removed == 1)
    }
}
