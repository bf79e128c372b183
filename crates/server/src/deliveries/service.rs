//! The verbs of endpoints, events and deliveries, and their rules.

use std::time::Duration;

use mainstay_domain::{
    DeliveryId, DeliveryState, EndpointId, Error, EventId, EventType, Faults, Kind, Result, Secret, TenantId, Timestamp,
};
use mainstay_store::{
    Call, CancelDelivery, CancelledDelivery, ChangeEndpoint, ChangeSecrets, Claim, CountDeliveries, CountedDeliveries,
    CreateEndpoint, DeleteEndpoint, DeliveryLog, DeliveryPage, EMAIL_EVENTS, Endpoint, EndpointMade, EndpointSettings,
    FindEvent, GetDelivery, GetEndpoint, ListDeliveries, ListEndpoints, ListEventTypes, MAKING_AN_ENDPOINT,
    MOST_ENDPOINTS, NewEvent, Once, PUBLISHING, PublishEvents, PublishTo, PublishedEvent, Replay, ReplayDelivery,
    Replayed, RequestReplay, SecretsChanged, TEST_EVENT,
};
use uuid::Uuid;

use super::Deliveries;
use super::secrets::{self, SigningSecret, place};
use crate::accounts::Member;
use crate::http::idempotency::same;
use crate::outgoing::validate_url;
use crate::webhooks::signature::generate_secret;

/// For how long the old secret signs beside the new one.
const OLD_SECRET_LASTS: Duration = Duration::from_secs(24 * 3600);
/// The most bytes of the data of an event.
pub(super) const LARGEST_PAYLOAD: usize = 256 * 1024;
/// The most characters of a description.
const LONGEST_DESCRIPTION: usize = 200;
/// The most types that an endpoint names.
const MOST_TYPES: usize = 100;
/// The most deliveries in a minute that a rate may allow. More is no limit worth counting.
const FASTEST: u32 = 6_000;
/// How often a new secret is tried to be stored while others change the same row.
const MOST_TRIES: u32 = 5;
/// What the types of our own events begin with.
const OWN_TYPES: [&str; 2] = ["webhook.", "webhook_endpoint."];
/// What the log says of a delivery that somebody has given up.
const CANCELLED: &str = "It was cancelled by somebody.";

/// What somebody says of an endpoint, not looked at yet. What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) event_types: Option<Vec<String>>,
    pub(super) rate_per_minute: Option<Option<u32>>,
    pub(super) enabled: Option<bool>,
}

/// The same, looked at.
struct Checked {
    url: Option<String>,
    description: Option<String>,
    event_types: Option<Vec<EventType>>,
}

/// An endpoint, and its new secret: nothing when it was made before.
pub(super) struct MadeEndpoint {
    pub(super) endpoint: Endpoint,
    pub(super) secret: Option<Secret>,
}

impl Deliveries {
    fn check(&self, wanted: &Wanted) -> Result<Checked> {
        let mut faults = Faults::default();
        let url = wanted.url.as_deref().and_then(|url| match validate_url(url, &self.rules) {
            Ok(url) => Some(String::from(url)),
            Err(bad) => {
                faults.add("url", bad.code(), format!("It cannot be called: {bad}."));
                None
            }
        });
        let description = wanted.description.as_deref().map(|text| text.trim().to_owned());
        if description.as_deref().is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
            let detail = format!("It has at most {LONGEST_DESCRIPTION} characters.");
            faults.add("description", "too_long", detail);
        }
        let mut event_types = wanted.event_types.as_ref().map(|_| Vec::new());
        for (place, text) in wanted.event_types.iter().flatten().enumerate() {
            if let Some(kind) = faults.keep(&format!("event_types[{place}]"), EventType::parse(text)) {
                event_types.get_or_insert_default().push(kind);
            }
        }
        if event_types.as_ref().is_some_and(|types| types.len() > MOST_TYPES) {
            let detail = format!("Name at most {MOST_TYPES} types, or none for all.");
            faults.add("event_types", "too_many", detail);
        }
        if matches!(wanted.rate_per_minute, Some(Some(rate)) if !(1..=FASTEST).contains(&rate)) {
            let detail = format!("Give 1 to {FASTEST} deliveries in a minute, or null for no limit.");
            faults.add("rate_per_minute", "out_of_range", detail);
        }
        faults.judge()?;
        Ok(Checked { url, description, event_types })
    }

    pub(super) async fn create(
        &self,
        call: &Call,
        by: &Member,
        wanted: &Wanted,
        claim: Option<Claim>,
    ) -> Result<MadeEndpoint> {
        let checked = self.check(wanted)?;
        let (id, now, secret) = (self.ids.make(), self.clock.now(), generate_secret(self.entropy.as_ref()));
        let settings = EndpointSettings {
            url: checked.url.unwrap_or_default(),
            description: checked.description.unwrap_or_default(),
            event_types: checked.event_types.unwrap_or_default(),
            rate_per_minute: wanted.rate_per_minute.flatten(),
        };
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
        let (tenant, person) = (by.tenant, by.person);
        let signing = secrets::write(&[SigningSecret { secret: secret.clone(), until: None }])?;
        let secrets = self.keys.seal(place(tenant, id), &signing)?;
        let create = CreateEndpoint { id, tenant, person, settings, secrets, claim, now };
        match self.store.run(call, create).await? {
            Once::Done(EndpointMade::Made) => {
                let endpoint = self.endpoint(call, by.tenant, id).await?;
                Ok(MadeEndpoint { endpoint, secret: Some(secret) })
            }
            Once::Done(EndpointMade::TooMany) => {
                let detail = format!("There are {MOST_ENDPOINTS} endpoints already. Remove one to make another.");
                Err(Error::new(Kind::Conflict, "too_many_endpoints", detail))
            }
            Once::Repeat(used) => {
                let id = EndpointId(same(&used, MAKING_AN_ENDPOINT, fingerprint.as_deref())?);
                Ok(MadeEndpoint { endpoint: self.endpoint(call, by.tenant, id).await?, secret: None })
            }
        }
    }

    pub(super) async fn endpoint(&self, call: &Call, tenant: TenantId, id: EndpointId) -> Result<Endpoint> {
        let found = self.store.run(call, GetEndpoint { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("endpoint"))
    }

    pub(crate) async fn endpoints(
        &self,
        call: &Call,
        tenant: TenantId,
        after: Option<(Timestamp, EndpointId)>,
        limit: u32,
    ) -> Result<Vec<Endpoint>> {
        Ok(self.store.run(call, ListEndpoints { tenant, after, limit }).await?)
    }

    pub(super) async fn change(
        &self,
        call: &Call,
        tenant: TenantId,
        id: EndpointId,
        wanted: &Wanted,
    ) -> Result<Endpoint> {
        let Checked { url, description, event_types } = self.check(wanted)?;
        let change = ChangeEndpoint {
            tenant,
            id,
            url,
            description,
            event_types,
            rate_per_minute: wanted.rate_per_minute,
            enabled: wanted.enabled,
            now: self.clock.now(),
        };
        self.store.run(call, change).await?.ok_or_else(|| Error::not_found("endpoint"))
    }

    pub(super) async fn delete(&self, call: &Call, tenant: TenantId, id: EndpointId) -> Result<()> {
        let delete = DeleteEndpoint { tenant, id, now: self.clock.now() };
        if self.store.run(call, delete).await? { Ok(()) } else { Err(Error::not_found("endpoint")) }
    }

    /// Makes a new secret. The answer is it, and until when the old one signs beside it.
    pub(super) async fn rotate(&self, call: &Call, tenant: TenantId, id: EndpointId) -> Result<(Secret, Timestamp)> {
        let (now, secret) = (self.clock.now(), generate_secret(self.entropy.as_ref()));
        let old_until = now.plus(OLD_SECRET_LASTS);
        for _ in 0..MOST_TRIES {
            let seen = self.endpoint(call, tenant, id).await?.secrets;
            // What cannot be opened any more signs no more: the new one stands alone.
            let old = match self.keys.open(place(tenant, id), &seen) {
                Ok(plain) => secrets::read(&plain)?,
                Err(fault) => {
                    tracing::warn!(%fault, endpoint = %id, "the old secret of an endpoint cannot sign beside the new one");
                    Vec::new()
                }
            };
            let anew = secrets::write(&secrets::replaced(old, secret.clone(), old_until, now))?;
            let secrets = self.keys.seal(place(tenant, id), &anew)?;
            match self.store.run(call, ChangeSecrets { tenant, id, seen, secrets, now }).await? {
                SecretsChanged::Done => return Ok((secret, old_until)),
                SecretsChanged::Unknown => return Err(Error::not_found("endpoint")),
                // Somebody else has made a new one, or all secrets are being sealed anew.
                SecretsChanged::Meanwhile => {}
            }
        }
        let detail = "The secrets of this endpoint are being changed by somebody else. Try it again.";
        Err(Error::new(Kind::Conflict, "conflict", detail))
    }

    /// Until when an old secret of an endpoint signs beside the new one; nothing also where that cannot be read.
    pub(super) fn old_secret_until(&self, endpoint: &Endpoint) -> Option<Timestamp> {
        let plain = self.keys.open(place(endpoint.tenant, endpoint.id), &endpoint.secrets).ok()?;
        secrets::read(&plain).ok()?.into_iter().filter_map(|secret| secret.until).max()
    }

    pub(super) async fn test(&self, call: &Call, tenant: TenantId, id: EndpointId) -> Result<EventId> {
        let event = self.ids.make();
        let kind = EventType::parse(TEST_EVENT).map_err(|refused| Error::internal(refused.detail))?;
        let payload = serde_json::json!({"endpoint_id": id}).to_string();
        let publish =
            PublishTo { tenant, endpoint: id, event: NewEvent { id: event, kind, payload }, now: self.clock.now() };
        if self.store.run(call, publish).await? { Ok(event) } else { Err(self.closed(call, tenant, id).await) }
    }

    /// Promises that an endpoint is told again of what was published in a range. The answer is what the replay is known
    /// by.
    pub(crate) async fn replay_range(
        &self,
        call: &Call,
        (tenant, endpoint): (TenantId, EndpointId),
        (since, until): (Timestamp, Option<Timestamp>),
        only_missed: bool,
    ) -> Result<Uuid> {
        let now = self.clock.now();
        let until = until.unwrap_or(now);
        if since >= until {
            let detail = "Give a moment before `until`, or before now when that is left out.";
            return Err(Error::invalid_field("since", "out_of_range", detail));
        }
        // The cursor stands before everything of the first millisecond.
        let after = (since, EventId(Uuid::nil()));
        let id = self.ids.make();
        let request = RequestReplay { replay: Replay { id, tenant, endpoint, after, until, only_missed }, now };
        if self.store.run(call, request).await? { Ok(id) } else { Err(self.closed(call, tenant, endpoint).await) }
    }

    /// Why nothing can be sent to an endpoint.
    async fn closed(&self, call: &Call, tenant: TenantId, id: EndpointId) -> Error {
        match self.endpoint(call, tenant, id).await {
            Ok(_) => endpoint_disabled(),
            Err(error) => error,
        }
    }

    pub(super) async fn publish(
        &self,
        call: &Call,
        by: &Member,
        (kind, payload): (&str, String),
        claim: Option<Claim>,
    ) -> Result<PublishedEvent> {
        let kind = EventType::parse(kind).map_err(|refused| Error::invalid(vec![refused.of("type")]))?;
        let is_own = |kind: &str| {
            OWN_TYPES.iter().any(|own| kind.starts_with(own)) || EMAIL_EVENTS.iter().any(|(own, _)| *own == kind)
        };
        if is_own(kind.as_str()) {
            let detail = "Types that begin with webhook. or webhook_endpoint., and those of emails of campaigns, are told of by this server alone.";
            return Err(Error::invalid_field("type", "reserved", detail));
        }
        if payload.len() > LARGEST_PAYLOAD {
            let detail =
                format!("The data of an event has at most {LARGEST_PAYLOAD} bytes. Send an address to the rest.");
            return Err(Error::new(Kind::TooLarge, "payload_too_large", detail));
        }
        let (id, now) = (self.ids.make(), self.clock.now());
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
        let event = NewEvent { id, kind: kind.clone(), payload };
        let claim = claim.map(|claim| (by.person, claim));
        match self.store.run(call, PublishEvents { tenant: by.tenant, events: vec![event], claim, now }).await? {
            Once::Done(counts) => {
                let deliveries = counts.first().copied().unwrap_or_default();
                Ok(PublishedEvent { id, kind: kind.to_string(), created_at: now, deliveries })
            }
            Once::Repeat(used) => {
                let id = EventId(same(&used, PUBLISHING, fingerprint.as_deref())?);
                let found = self.store.run(call, FindEvent { tenant: by.tenant, id }).await?;
                found.ok_or_else(|| Error::not_found("event"))
            }
        }
    }

    pub(super) async fn types(&self, call: &Call, tenant: TenantId) -> Result<Vec<String>> {
        Ok(self.store.run(call, ListEventTypes(tenant)).await?)
    }

    pub(crate) async fn list(&self, call: &Call, list: ListDeliveries) -> Result<DeliveryPage> {
        Ok(self.store.run(call, list).await?)
    }

    pub(crate) async fn counts(&self, call: &Call, tenant: TenantId) -> Result<CountedDeliveries> {
        Ok(self.store.run(call, CountDeliveries { tenant }).await?)
    }

    /// Gives up a delivery that waits. An attempt that is under way may still be taken.
    pub(crate) async fn cancel(&self, call: &Call, tenant: TenantId, id: DeliveryId) -> Result<()> {
        let cancel = CancelDelivery { tenant, id, reason: CANCELLED, now: self.clock.now() };
        match self.store.run(call, cancel).await? {
            CancelledDelivery::Done => Ok(()),
            CancelledDelivery::Missing => Err(Error::not_found("delivery")),
            CancelledDelivery::Ended(state) => {
                let detail = format!("Only a delivery that is pending can be cancelled: this one is {state}.");
                Err(Error::new(Kind::Conflict, "ended", detail))
            }
        }
    }

    pub(crate) async fn delivery(&self, call: &Call, tenant: TenantId, id: DeliveryId) -> Result<DeliveryLog> {
        let found = self.store.run(call, GetDelivery { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("delivery"))
    }

    pub(crate) async fn replay_one(&self, call: &Call, tenant: TenantId, id: DeliveryId) -> Result<DeliveryId> {
        let replay = ReplayDelivery { tenant, id, cause: self.ids.make(), now: self.clock.now() };
        match self.store.run(call, replay).await? {
            Replayed::Promised(delivery) => Ok(delivery),
            Replayed::Unknown => Err(Error::not_found("delivery")),
            Replayed::EndpointClosed => Err(endpoint_disabled()),
            Replayed::EventGone => {
                let detail = "The event has been kept long enough, and is gone.";
                Err(Error::new(Kind::Conflict, "event_gone", detail))
            }
        }
    }
}

fn endpoint_disabled() -> Error {
    let detail = "The endpoint is disabled or was removed. Enable it first.";
    Error::new(Kind::Conflict, "endpoint_disabled", detail)
}

/// Reads the word for a state.
pub(super) fn state(word: &str) -> Result<DeliveryState> {
    word.parse().map_err(|unknown: mainstay_domain::UnknownWord| {
        Error::invalid_field("state", "unknown", format!("{unknown}."))
    })
}
