//! Channels: Google says that a calendar has changed, so that it is read at once. Messages get lost, and a channel ends
//! after a week; calendars are read now and then in any case.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use mainstay_domain::{CalendarConnectionId, Error, JobId, Result, TenantId, Timestamp};
use mainstay_store::{CalendarChannel, CalendarConnection, Call, GetCalendar, SetCalendarChannel, WantCalendarRead};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::Calendars;
use crate::google::{Ask, Fault, Holder, hash};

/// How long a channel is asked for, in seconds: as long as Google gives.
const LASTS: &str = "604800";
/// How long before the end of a channel the next one is opened.
const AHEAD: Duration = Duration::from_secs(86_400);
/// How long storing it may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Calendars {
    /// Opens a channel where there is none, or the one that is there ends soon. Without one calendars are read now and then.
    pub(super) async fn watch(&self, connection: &CalendarConnection) {
        let soon = self.clock.now().plus(AHEAD);
        let lasts = connection.channel.as_ref().is_some_and(|channel| channel.expires_at > soon);
        // Google sends to https alone.
        if lasts || !self.address.starts_with("https://") {
            return;
        }
        match self.open_channel(connection).await {
            Ok(channel) => {
                let set = SetCalendarChannel { tenant: connection.tenant, id: connection.id, channel };
                match self.store.run_for_jobs(&Call::within(PATIENCE), set).await {
                    Ok(()) => self.stop(connection).await,
                    Err(error) => tracing::warn!(%error, "a channel could not be stored, and ends by itself"),
                }
            }
            Err(fault) => {
                tracing::info!(code = fault.code(), connection = %connection.id, "no channel: the calendar is read now and then");
            }
        }
    }

    async fn open_channel(&self, connection: &CalendarConnection) -> std::result::Result<CalendarChannel, Fault> {
        let refresh_token = self.refresh_token(connection)?;
        let holder = Holder { id: connection.id.uuid(), refresh_token: &refresh_token };
        let mut secret = [0; 32];
        self.entropy.fill(&mut secret);
        let token = URL_SAFE_NO_PAD.encode(secret);
        let id = self.ids.make::<JobId>().uuid();
        let (tenant, connected) = (connection.tenant, connection.id);
        let body = json!({
            "id": id.to_string(),
            "type": "web_hook",
            "address": format!("{}/calendars/{tenant}/{connected}/notifications", self.address),
            "token": token,
            "params": {"ttl": LASTS},
        });
        let path = ["calendars", connection.calendar.as_str(), "events", "watch"];
        let answer = self.google()?.ask(&holder, &Ask::post(&path, &body)).await?;
        let resource = answer["resourceId"].as_str().map(str::to_owned);
        let expires_at = answer["expiration"].as_str().and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
        match (resource, expires_at) {
            (Some(resource), Some(expires_at)) => {
                Ok(CalendarChannel { id, resource, hash: hash(token.as_bytes()), expires_at })
            }
            _ => Err(Fault::Passing("a channel without its end".to_owned())),
        }
    }

    /// Takes a notification: one reading is promised, however many come. Whoever does not name the channel with its secret
    /// is told that there is nothing.
    pub(super) async fn notified(
        &self,
        call: &Call,
        (tenant, id): (TenantId, CalendarConnectionId),
        headers: &HeaderMap,
    ) -> Result<()> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let connection = self.store.run(call, GetCalendar { tenant, id }).await?;
        let channel = connection.and_then(|connection| connection.channel);
        let good = channel.is_some_and(|channel| {
            let token = hash(header("x-goog-channel-token").as_bytes());
            same(&token, &channel.hash)
                && header("x-goog-channel-id") == channel.id.to_string()
                && header("x-goog-resource-id") == channel.resource
        });
        if !good {
            self.figures.notified("refused");
            return Err(Error::not_found("calendar"));
        }
        self.figures.notified("taken");
        // The first message of a channel only says that it is there.
        if header("x-goog-resource-state") != "sync" {
            self.store.run(call, WantCalendarRead { tenant, id, now: self.clock.now() }).await?;
        }
        Ok(())
    }
}

/// Compares digests in a time that does not tell where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
