//! Feeds: the appointments of somebody, or of all, as a calendar that other programs read by a secret address.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{
    AppointmentState, CalendarEvent, CalendarFeedId, CalendarMethod, Error, Kind, Label, PersonId, Result, Secret,
    Span, StaffId, TenantId, calendar_file,
};
use mainstay_store::{
    CalendarFeed, Call, Claim, CreateCalendarFeed, DeleteCalendarFeed, FeedAppointment, GetCalendarFeed, GetReception,
    GetStaff, ListCalendarFeeds, MAKING_A_CALENDAR_FEED, MOST_CALENDAR_FEEDS, Once, ReadCalendarFeed,
};
use uuid::Uuid;

use super::Calendars;
use super::watching::same;
use crate::google::hash;
use crate::http::idempotency::same as same_request;

/// How far back a feed tells of appointments.
const BACK: Duration = Duration::from_secs(30 * 86_400);
/// How far ahead, where nobody has said how far ahead appointments are made.
const AHEAD_DAYS: u32 = 60;
/// The most appointments of a feed.
const MOST: u32 = 5_000;
/// Bytes of the secret in an address.
const SECRET: usize = 32;
/// Bytes of all that is in an address: the organisation, the feed, the secret.
const ALL: usize = 16 + 16 + SECRET;

impl Calendars {
    /// Makes a feed. Its address is told this once: the same claim again gives the feed without it.
    pub(super) async fn create_feed(
        &self,
        call: &Call,
        tenant: TenantId,
        (name, staff): (Label, Option<StaffId>),
        claim: Option<(PersonId, Claim)>,
    ) -> Result<(CalendarFeed, Option<Secret>)> {
        if let Some(staff) = staff {
            let there = self.store.run(call, GetStaff { tenant, id: staff }).await?;
            there.ok_or_else(|| Error::invalid_field("staff_id", "unknown", "Nobody of the staff has this id."))?;
        }
        let id: CalendarFeedId = self.ids.make();
        let mut secret = [0; SECRET];
        self.entropy.fill(&mut secret);
        let address = [tenant.uuid().as_bytes(), id.uuid().as_bytes(), &secret[..]].concat();
        let feed = CalendarFeed {
            id,
            staff,
            name: name.as_str().to_owned(),
            hash: hash(&secret),
            created_at: self.clock.now(),
        };
        let create = CreateCalendarFeed { tenant, feed: feed.clone(), claim: claim.clone() };
        match self.store.run(call, create).await? {
            Once::Done(true) => {
                let url = format!("{}/calendars/{}.ics", self.address, URL_SAFE_NO_PAD.encode(address));
                Ok((feed, Some(Secret::new(url))))
            }
            Once::Done(false) => {
                let detail = format!("There are {MOST_CALENDAR_FEEDS} feeds already. Remove one that nobody reads.");
                Err(Error::new(Kind::Conflict, "too_many_feeds", detail))
            }
            Once::Repeat(used) => {
                let fingerprint = claim.as_ref().map(|(_, claim)| claim.fingerprint.as_str());
                let id = CalendarFeedId(same_request(&used, MAKING_A_CALENDAR_FEED, fingerprint)?);
                let feed = self.store.run(call, GetCalendarFeed { tenant, id }).await?;
                Ok((feed.ok_or_else(|| Error::not_found("feed"))?, None))
            }
        }
    }

    pub(super) async fn feeds(&self, call: &Call, list: ListCalendarFeeds) -> Result<Vec<CalendarFeed>> {
        Ok(self.store.run(call, list).await?)
    }

    /// Removes a feed.
    pub(super) async fn delete_feed(&self, call: &Call, tenant: TenantId, id: CalendarFeedId) -> Result<()> {
        let removed = self.store.run(call, DeleteCalendarFeed { tenant, id }).await?;
        if removed { Ok(()) } else { Err(Error::not_found("feed")) }
    }

    /// The calendar behind an address. One that is not there, and one that is wrong, are the same.
    pub(super) async fn feed_file(&self, call: &Call, file: &str) -> Result<String> {
        let nothing = || Error::not_found("calendar");
        let token = file.strip_suffix(".ics").ok_or_else(nothing)?;
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| nothing())?;
        let bytes: [u8; ALL] = bytes.try_into().map_err(|_| nothing())?;
        let (ids, secret) = bytes.split_at(32);
        let id = |part: &[u8]| Uuid::from_slice(part).map_err(|_| nothing());
        let (tenant, id) = (TenantId(id(&ids[..16])?), CalendarFeedId(id(&ids[16..])?));
        let feed = self.store.run(call, GetCalendarFeed { tenant, id }).await?;
        let feed = feed.filter(|feed| same(&feed.hash, &hash(secret))).ok_or_else(nothing)?;
        let reception = self.store.run(call, GetReception(tenant)).await?;
        let days = reception.map_or(AHEAD_DAYS, |reception| reception.horizon_days);
        let now = self.clock.now();
        // Whole days, so that the file is the same until something is another.
        let day = 86_400_000;
        let today = mainstay_domain::Timestamp::from_millis(now.as_millis().div_euclid(day) * day);
        let within = Span::new(today.minus(BACK), today.plus(Duration::from_secs(86_400) * (days + 1)));
        let within = within.ok_or_else(|| Error::internal("a feed without days"))?;
        let read = ReadCalendarFeed { tenant, staff: feed.staff, within, limit: MOST };
        let appointments = self.store.run(call, read).await?;
        Ok(write(&feed, &appointments))
    }
}

/// The file of a feed.
fn write(feed: &CalendarFeed, appointments: &[FeedAppointment]) -> String {
    let told: Vec<_> =
        appointments.iter().map(|one| (one.id.to_string(), summary(feed, one), description(one))).collect();
    let together = appointments.iter().zip(&told);
    let events: Vec<CalendarEvent<'_>> =
        together.map(|(one, (uid, summary, description))| event(one, uid, summary, description)).collect();
    calendar_file(&feed.name, CalendarMethod::None, &events)
}

fn event<'a>(one: &FeedAppointment, uid: &'a str, summary: &'a str, description: &'a str) -> CalendarEvent<'a> {
    CalendarEvent {
        uid,
        created_at: one.created_at,
        updated_at: one.updated_at,
        span: one.shown,
        summary,
        description,
        location: "",
        cancelled: one.state == AppointmentState::Cancelled,
    }
}

fn summary(feed: &CalendarFeed, one: &FeedAppointment) -> String {
    let mut summary = one.service.clone();
    for more in [one.contact.as_deref(), feed.staff.is_none().then_some(one.staff.as_str())].into_iter().flatten() {
        summary.push_str(" – ");
        summary.push_str(more);
    }
    summary
}

fn description(one: &FeedAppointment) -> String {
    let lines = [one.phone.as_deref(), Some(one.note.as_str())].into_iter().flatten();
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}
