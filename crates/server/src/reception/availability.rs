//! Which times are free.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{
    CalendarDay, Error, Kind, Result, ServiceId, Span, SpecialDay, StaffHours, StaffId, TenantId, Timestamp, Week,
    Zone, free_starts,
};
use mainstay_store::{Availability, Call, GetReception, ReadAvailability, StaffTime};
use tokio::time::Instant;

use super::Reception;
use super::calendars::Calendar;

/// The most days that are asked for at once.
pub const MOST_DAYS: u32 = 62;
/// How much of a calendar is read, so that the next question finds it: a little more than may be asked for.
const READ_AHEAD: Duration = Duration::from_secs(64 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// How often it is read again when what was known is forgotten meanwhile.
const LOOKS: usize = 3;

/// Which free times somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Of what.
    pub service: ServiceId,
    /// By whom; nothing for anybody who offers it.
    pub staff: Option<StaffId>,
    /// Those that are not before this; today's without it.
    pub from: Option<Timestamp>,
    /// Those that are before this; of as many days as `days` says without it.
    pub until: Option<Timestamp>,
    /// Of how many days, at most [`MOST_DAYS`].
    pub days: u32,
    /// At most so many.
    pub limit: usize,
}

/// A time that is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// When it begins.
    pub start: Timestamp,
    /// Who is free then, at least one.
    pub staff: Vec<StaffId>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// How the reception works, and the service, as they are.
    pub known: Availability,
    /// The free times, in order.
    pub free: Vec<Free>,
    /// Those were looked for that are before this.
    pub until: Timestamp,
}

/// What is known of a service's times within a stretch.
pub(super) struct Open {
    pub(super) known: Availability,
    calendars: BTreeMap<StaffId, Arc<Calendar>>,
    now: Timestamp,
}

impl Reception {
    /// The free times of a service.
    ///
    /// # Errors
    /// `not_found` for an unknown service; `reception_not_set_up` and `service_archived` where nothing can be offered.
    pub async fn availability(&self, call: &Call, tenant: TenantId, asked: Asked) -> Result<Found> {
        let began = Instant::now();
        let now = self.clock.now();
        let from = asked.from.unwrap_or(now).max(now);
        let farthest = from.plus(DAY * MOST_DAYS);
        let until = asked.until.unwrap_or_else(|| from.plus(DAY * asked.days)).min(farthest);
        let Some(within) = Span::new(from, until) else {
            return Err(Error::invalid_field("after", "invalid_cursor", "These days are over."));
        };
        let open = self.open(call, tenant, (asked.service, asked.staff), within).await?;
        let free = open.offered(within).map_or_else(Vec::new, |within| open.free(within, asked.limit));
        self.figures.asked(began.elapsed());
        Ok(Found { known: open.known, free, until })
    }

    /// Reads what is needed to judge the times of a stretch.
    pub(super) async fn open(
        &self,
        call: &Call,
        tenant: TenantId,
        (service, staff): (ServiceId, Option<StaffId>),
        within: Span,
    ) -> Result<Open> {
        let now = self.clock.now();
        for _ in 0..LOOKS {
            let known = self.calendars.versions(tenant, within);
            // What is read anew is read for the questions after this one too.
            let whole = Span::new(within.from().min(now).minus(DAY), within.from().max(now).plus(READ_AHEAD));
            let whole = whole.filter(|whole| whole.holds(within)).unwrap_or(within);
            let read = ReadAvailability { tenant, service, staff, within: whole, known };
            let Some(mut known) = self.store.run(call, read).await? else {
                return Err(self.nothing(call, tenant).await);
            };
            if known.service.archived_at.is_some() {
                let detail = format!("{} is not offered any more.", known.service.name);
                return Err(Error::new(Kind::Conflict, "service_archived", detail));
            }
            if let Some(calendars) = self.calendars.take(tenant, (within, whole), &mut known.staff) {
                return Ok(Open { known, calendars, now });
            }
        }
        Err(Error::new(Kind::Unavailable, "unavailable", "The calendars change too fast to be read. Try again."))
    }

    /// Why there are no times.
    async fn nothing(&self, call: &Call, tenant: TenantId) -> Error {
        match self.store.run(call, GetReception(tenant)).await {
            Ok(Some(_)) => Error::not_found("service"),
            Ok(None) => not_set_up(),
            Err(error) => error.into(),
        }
    }
}

/// Nobody has said how the reception works.
pub(super) fn not_set_up() -> Error {
    let detail = "Nobody has said yet how the reception works: an administrator does by PUT /v1/reception.";
    Error::new(Kind::Conflict, "reception_not_set_up", detail)
}

impl Open {
    pub(super) fn zone(&self) -> &Zone {
        &self.known.reception.zone
    }

    /// What of a stretch is offered: not too soon, and not too far ahead.
    pub(super) fn offered(&self, within: Span) -> Option<Span> {
        let reception = &self.known.reception;
        let soonest = self.now.plus(MINUTE * reception.lead_minutes);
        let last = self.now.plus(DAY * reception.horizon_days);
        Span::new(within.from().max(soonest), within.until().min(last))
    }

    /// When each works, from the day of the first moment to that of the last. Whoever has nothing of their own shares the
    /// hours of the organisation, which are reckoned once.
    fn hours(&self, within: Span) -> Vec<(StaffId, Arc<Vec<Span>>)> {
        let (first, last) = (self.zone().day_of(within.from()).before(), self.zone().day_of(within.until()));
        let mut shared: Option<Arc<Vec<Span>>> = None;
        let mut hours = Vec::with_capacity(self.known.staff.len());
        for StaffTime { staff, special, .. } in &self.known.staff {
            let reckon = || Arc::new(self.spans(staff.week.as_ref(), special, (first, last)));
            let like_all = staff.week.is_none() && special.is_empty();
            let spans = if like_all { Arc::clone(shared.get_or_insert_with(reckon)) } else { reckon() };
            hours.push((staff.id, spans));
        }
        hours
    }

    fn spans(&self, own: Option<&Week>, own_special: &[SpecialDay], days: (CalendarDay, CalendarDay)) -> Vec<Span> {
        let (week, special) = (&self.known.reception.week, self.known.special.as_slice());
        StaffHours { week, special, own, own_special }.spans(self.zone(), days.0, days.1)
    }

    /// What is taken of somebody's time now: what was held for too long is free.
    fn taken(&self, staff: StaffId) -> Vec<Span> {
        let taken = self.calendars.get(&staff).map_or(&[][..], |calendar| &calendar.taken);
        let held = taken.iter().filter(|one| one.held_until.is_none_or(|until| until > self.now));
        held.map(|one| one.span).collect()
    }

    /// The first free times of a stretch, at most so many.
    pub(super) fn free(&self, within: Span, limit: usize) -> Vec<Free> {
        let hours = self.hours(within);
        let taken: Vec<Vec<Span>> = hours.iter().map(|(staff, _)| self.taken(*staff)).collect();
        let (times, step) = (self.known.service.times, self.known.reception.step);
        let mut starts: Vec<_> = hours
            .iter()
            .zip(&taken)
            .map(|((staff, open), taken)| (*staff, free_starts(open, taken, times, step, within)))
            .collect();
        let mut next: BinaryHeap<Reverse<(Timestamp, usize)>> = BinaryHeap::with_capacity(starts.len());
        for (place, (_, starts)) in starts.iter_mut().enumerate() {
            next.extend(starts.next().map(|start| Reverse((start, place))));
        }
        let mut free: Vec<Free> = Vec::new();
        while let Some(Reverse((start, place))) = next.pop() {
            let (staff, others) = &mut starts[place];
            if free.last().is_none_or(|last| last.start != start) {
                if free.len() >= limit {
                    break;
                }
                free.push(Free { start, staff: Vec::new() });
            }
            if let Some(last) = free.last_mut() {
                last.staff.push(*staff);
            }
            next.extend(others.next().map(|start| Reverse((start, place))));
        }
        free
    }

    /// Who works at a time that is offered and would do it then, whatever is taken.
    pub(super) fn offering(&self, start: Timestamp) -> Vec<StaffId> {
        let (times, step) = (self.known.service.times, self.known.reception.step);
        let moment = Span::new(start, start.plus(Duration::from_millis(1)));
        let Some(moment) = moment.and_then(|moment| self.offered(moment)) else { return Vec::new() };
        let hours = self.hours(times.shown(start));
        let offers = hours.into_iter().filter(|(_, open)| free_starts(open, &[], times, step, moment).next().is_some());
        offers.map(|(staff, _)| staff).collect()
    }
}
