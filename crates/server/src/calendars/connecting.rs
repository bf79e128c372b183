//! Connecting: somebody goes to Google, allows this installation to use their calendar, and comes back.
//!
//! Who began is who ends: the secret that comes back is good once, for ten minutes, and for that person only. It is not
//! stored, and neither is what PKCE proves.

use mainstay_domain::{CalendarConnectionId, Error, Kind, Result, StaffId, TenantId, Timestamp};
use mainstay_store::{
    BeginSignIn, BusyTime, CalendarConnection, Call, ConnectCalendar, DisconnectCalendar, GetCalendarOf, ListBusyTimes,
    ListCalendarConnections, SealedColumn, SwitchCalendar, TakeSignIn, WantCalendarRead,
};
use serde_json::json;

use super::Calendars;
use crate::accounts::Member;
use crate::google::{Ask, Holder, LASTS, Purpose, SignIn};
use crate::keys::Place;

/// The longest id of a calendar that is taken, in bytes.
const LONGEST_CALENDAR: usize = 500;
/// The account's own calendar, whose id is its address.
const PRIMARY: &str = "primary";
/// The most calendars that are told of an account.
const MOST_CHOICES: &str = "250";

/// A calendar of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) name: String,
}

fn missing() -> Error {
    Error::not_found("calendar")
}

impl Calendars {
    fn set_up(&self) -> Result<&super::GoogleApi> {
        let detail = "Whoever runs this installation has not set it up for Google's calendars.";
        self.google.as_ref().ok_or_else(|| Error::new(Kind::Conflict, "calendars_not_set_up", detail))
    }

    fn redirect(&self) -> String {
        format!("{}/calendar", self.address)
    }

    /// Where somebody goes to connect a calendar, and until when they may come back.
    pub(super) async fn begin(&self, call: &Call, by: &Member, staff: StaffId) -> Result<(String, Timestamp)> {
        let google = self.set_up()?;
        let sign_in = SignIn::begin(&self.ids, &*self.entropy);
        let url = google.authorization_url(&self.redirect(), &sign_in.state(), sign_in.secret())?;
        let (now, expires_at) = (self.clock.now(), self.clock.now().plus(LASTS));
        let begin = BeginSignIn {
            id: sign_in.id,
            tenant: by.tenant,
            person: by.person,
            subject: staff.uuid(),
            hash: sign_in.hash(Purpose::Calendar),
            expires_at,
            now,
        };
        self.store.run(call, begin).await?;
        Ok((url, expires_at))
    }

    /// Somebody comes back with what Google gave them.
    pub(super) async fn finish(&self, call: &Call, by: &Member, state: &str, code: &str) -> Result<CalendarConnection> {
        let google = self.set_up()?;
        let sign_in = SignIn::back(state, code)?;
        let (tenant, person, now) = (by.tenant, by.person, self.clock.now());
        let take = TakeSignIn { id: sign_in.id, tenant, person, hash: sign_in.hash(Purpose::Calendar), now };
        let staff = StaffId(self.store.run(call, take).await?.ok_or_else(SignIn::refused)?);
        let before = self.store.run(call, GetCalendarOf { tenant, staff }).await?;
        let id: CalendarConnectionId = before.map_or_else(|| self.ids.make(), |before| before.id);
        let refresh_token = google.exchange(id.uuid(), (code, &self.redirect(), sign_in.secret())).await?;
        let holder = Holder { id: id.uuid(), refresh_token: &refresh_token };
        let primary = google.ask(&holder, &Ask::get(&["calendars", PRIMARY], &[])).await?;
        let account = primary["id"].as_str().filter(|id| !id.is_empty() && id.len() <= LONGEST_CALENDAR);
        let account = account.ok_or_else(|| {
            Error::new(Kind::Upstream, "calendar_provider_refused", "Google did not say whose account it is.")
        })?;
        let token =
            self.keys.seal(Place { column: SealedColumn::CalendarToken, tenant, row: id.uuid() }, &refresh_token)?;
        let (account, calendar) = (account.to_owned(), PRIMARY.to_owned());
        let connect = ConnectCalendar { id, tenant, staff, account, calendar, token, now };
        self.store.run(call, connect).await?.ok_or_else(|| {
            google.forget(id.uuid());
            let detail = "The calendar of another account is connected. Disconnect it first, then connect this one.";
            Error::new(Kind::Conflict, "other_account", detail)
        })
    }

    /// The calendar of a member of the staff.
    pub(super) async fn of(&self, call: &Call, tenant: TenantId, staff: StaffId) -> Result<CalendarConnection> {
        self.store.run(call, GetCalendarOf { tenant, staff }).await?.ok_or_else(missing)
    }

    pub(super) async fn list(&self, call: &Call, list: ListCalendarConnections) -> Result<Vec<CalendarConnection>> {
        Ok(self.store.run(call, list).await?)
    }

    pub(super) async fn busy(&self, call: &Call, list: ListBusyTimes) -> Result<Vec<BusyTime>> {
        Ok(self.store.run(call, list).await?)
    }

    /// Whether what is known of a calendar is older than it should be.
    pub(super) fn is_stale(&self, connection: &CalendarConnection) -> bool {
        let oldest = self.clock.now().minus(self.poll * 2);
        connection.reconnect || connection.synced_at.is_none_or(|at| at < oldest)
    }

    /// Has a calendar read now.
    pub(super) async fn sync(&self, call: &Call, tenant: TenantId, staff: StaffId) -> Result<()> {
        let id = self.of(call, tenant, staff).await?.id;
        let wanted = self.store.run(call, WantCalendarRead { tenant, id, now: self.clock.now() }).await?;
        if wanted { Ok(()) } else { Err(missing()) }
    }

    /// Which calendars the account has that may be written to.
    pub(super) async fn choices(&self, call: &Call, tenant: TenantId, staff: StaffId) -> Result<Vec<Choice>> {
        let connection = self.of(call, tenant, staff).await?;
        let refresh_token = self.refresh_token(&connection)?;
        let holder = Holder { id: connection.id.uuid(), refresh_token: &refresh_token };
        let query = [("minAccessRole", "writer"), ("maxResults", MOST_CHOICES)];
        let answer = self.google()?.ask(&holder, &Ask::get(&["users", "me", "calendarList"], &query)).await?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let choice = |item: &serde_json::Value| {
            let id = item["id"].as_str()?.to_owned();
            let name = item["summary"].as_str().unwrap_or(&id).to_owned();
            Some(Choice { id, name })
        };
        Ok(items.iter().filter_map(choice).collect())
    }

    /// Takes another calendar of the account. What was written into the one before stays there.
    pub(super) async fn switch(
        &self,
        call: &Call,
        tenant: TenantId,
        staff: StaffId,
        calendar: &str,
    ) -> Result<CalendarConnection> {
        let connection = self.of(call, tenant, staff).await?;
        let choices = self.choices(call, tenant, staff).await?;
        if calendar != PRIMARY && !choices.iter().any(|choice| choice.id == calendar) {
            let detail =
                "The account has no calendar with this id that may be written to: choose one of those that it has.";
            return Err(Error::invalid_field("calendar", "unknown_calendar", detail));
        }
        let refresh_token = self.refresh_token(&connection)?;
        let id: CalendarConnectionId = self.ids.make();
        let token =
            self.keys.seal(Place { column: SealedColumn::CalendarToken, tenant, row: id.uuid() }, &refresh_token)?;
        let (calendar, now) = (calendar.to_owned(), self.clock.now());
        let switched = self.store.run(call, SwitchCalendar { id, tenant, staff, calendar, token, now }).await?;
        let (was, is) = switched.ok_or_else(missing)?;
        self.stop(&was).await;
        Ok(is)
    }

    /// Disconnects a calendar. Google is told as far as it can be reached; what was written stays there.
    pub(super) async fn disconnect(&self, call: &Call, tenant: TenantId, staff: StaffId) -> Result<()> {
        let disconnect = DisconnectCalendar { tenant, staff, now: self.clock.now() };
        let was = self.store.run(call, disconnect).await?.ok_or_else(missing)?;
        self.stop(&was).await;
        if let (Some(google), Ok(refresh_token)) = (&self.google, self.refresh_token(&was)) {
            if let Err(fault) = google.revoke(&refresh_token).await {
                tracing::info!(code = fault.code(), connection = %was.id, "Google was not told of a calendar that is disconnected");
            }
            google.forget(was.id.uuid());
        }
        Ok(())
    }

    /// Ends the channel of a calendar, as far as Google can be reached: it ends by itself too.
    pub(super) async fn stop(&self, connection: &CalendarConnection) {
        let Some(channel) = &connection.channel else { return };
        let (Ok(google), Ok(refresh_token)) = (self.google(), self.refresh_token(connection)) else { return };
        let holder = Holder { id: connection.id.uuid(), refresh_token: &refresh_token };
        let body = json!({"id": channel.id.to_string(), "resourceId": channel.resource});
        let ask = Ask::post(&["channels", "stop"], &body);
        if let Err(fault) = google.ask(&holder, &ask).await {
            tracing::info!(code = fault.code(), connection = %connection.id, "a channel was not stopped");
        }
    }
}
