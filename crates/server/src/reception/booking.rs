//! Appointments: made, moved, and what becomes of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Reception;
use super::availability::MOST_DAYS;
use crate::http::Problem;
use crate::http::idempotency::same;
use mainstay_domain::{
    AppointmentId, AppointmentState, ContactId, Error, Kind, Note, PersonId, Result, ServiceId, Span, StaffId,
    TenantId, Timestamp,
};
use mainstay_store::{
    Appointment, AppointmentsOf, BookAppointment, Booking, Call, ChangeAppointment, Claim, ClaimOnce, FindUsed,
    GetAppointment, ListAppointments, MoveAppointment, Once, Used,
};

/// What making an appointment is called beside its idempotency key.
pub const BOOKING: &str = "appointment";
/// How many free times are told to whoever cannot have the one that they wanted.
const ALTERNATIVES: usize = 5;
/// Why a time cannot be had: a code, and words.
type Why = (&'static str, &'static str);
const NOT_OFFERED: Why = (
    "not_offered",
    "This time is not offered: it is outside the hours, too soon, too far ahead, or between two beginnings.",
);
const TAKEN: Why = ("slot_taken", "Somebody else has this time already.");
/// For how many days free times are looked for when one cannot be had.
const LOOK_FOR: Duration = Duration::from_secs(86_400 * MOST_DAYS as u64);

/// An appointment that somebody wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is to be done.
    pub service: ServiceId,
    /// By whom; nothing for anybody who offers it.
    pub staff: Option<StaffId>,
    /// When the contact comes.
    pub start: Timestamp,
    /// For whom. Nothing when it is only held.
    pub contact: Option<ContactId>,
    /// Whether it is only held, for as many minutes as the reception says.
    pub hold: bool,
    /// What is to be known of it.
    pub note: Note,
    /// Whether it may lie outside the hours, or sooner or later than is offered: for people at the desk, not for callers. Then
    /// `staff` must be named.
    pub outside_hours: bool,
    /// Whether whoever it is for asks for it now, and is told at once, whatever the hour.
    pub asked: bool,
}

/// Where an appointment is moved to.
#[derive(Clone, Copy, Debug)]
pub struct Shift {
    /// When it begins.
    pub start: Timestamp,
    /// Who does it; whoever does it now when it is left out.
    pub staff: Option<StaffId>,
    /// Whether it may lie outside the hours and what is offered.
    pub outside_hours: bool,
    /// Whether whoever it is for asks for it now, and is told at once, whatever the hour.
    pub asked: bool,
}

/// What is to become of an appointment. What is left out stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// What it becomes.
    pub state: Option<AppointmentState>,
    /// For whom it is.
    pub contact: Option<ContactId>,
    /// What is to be known of it.
    pub note: Option<Note>,
    /// Whether whoever it is for asks for it now, and is told at once, whatever the hour.
    pub asked: bool,
}

/// The moment as a stretch.
fn around(start: Timestamp) -> Result<Span> {
    let span = Span::new(start, start.plus(Duration::from_millis(1)));
    span.ok_or_else(|| Error::invalid_field("starts_at", "out_of_range", "This is beyond the end of the calendar."))
}

impl Reception {
    /// Makes an appointment, or holds a time. The same claim again gives what was made for it.
    ///
    /// # Errors
    /// `slot_taken` and `not_offered` with the next free times; and those of [`Reception::availability`].
    pub async fn book(
        &self,
        call: &Call,
        tenant: TenantId,
        wish: &Wish,
        claim: Option<(PersonId, Claim)>,
    ) -> Result<Appointment, Problem> {
        let open = self.open(call, tenant, (wish.service, wish.staff), around(wish.start)?).await?;
        let staff = match wish.staff {
            Some(staff) if wish.outside_hours => vec![staff],
            _ => open.offering(wish.start),
        };
        if staff.is_empty() {
            // What was made for this claim stays made, though the hours are others now.
            if let Some((person, key)) = &claim
                && let Some(used) = self.used(call, tenant, *person, key).await?
            {
                return Ok(self.again(call, tenant, &used, Some(key)).await?);
            }
            return Err(self.instead(call, tenant, wish, NOT_OFFERED).await);
        }
        let (now, times) = (self.clock.now(), open.known.service.times);
        let hold = Duration::from_secs(60) * open.known.reception.hold_minutes;
        let book = BookAppointment {
            id: self.ids.make(),
            tenant,
            service: wish.service,
            staff: staff.into_iter().collect::<BTreeSet<_>>(),
            contact: wish.contact,
            held_until: wish.hold.then(|| now.plus(hold)),
            shown: times.shown(wish.start),
            blocked: times.blocked(wish.start),
            note: wish.note.as_str().to_owned(),
            claim: claim.clone(),
            asked: wish.asked,
            now,
        };
        match self.store.run(call, book).await? {
            Once::Done(Booking::Made(appointment)) => {
                self.figures.booking(if wish.hold { "held" } else { "made" });
                Ok(appointment)
            }
            Once::Repeat(used) => Ok(self.again(call, tenant, &used, claim.as_ref().map(|(_, claim)| claim)).await?),
            Once::Done(Booking::Taken | Booking::Refused(_)) => Err(self.instead(call, tenant, wish, TAKEN).await),
        }
    }

    /// The appointment that was chosen under this claim before, if any: whoever asks again means the same, whatever it is now.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn chosen(
        &self,
        call: &Call,
        tenant: TenantId,
        (person, claim): &(PersonId, Claim),
    ) -> Result<Option<Appointment>> {
        match self.used(call, tenant, *person, claim).await? {
            Some(used) => Ok(Some(self.appointment(call, tenant, AppointmentId(used.resource_id)).await?)),
            None => Ok(None),
        }
    }

    /// Chooses an appointment under a claim. The answer is the one that is chosen: this, or what somebody else was faster with.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn choose(
        &self,
        call: &Call,
        tenant: TenantId,
        chosen: Appointment,
        (person, Claim { key, .. }): (PersonId, Claim),
    ) -> Result<Appointment> {
        let (resource, now) = (chosen.id.uuid(), self.clock.now());
        match self.store.run(call, ClaimOnce { tenant, person, key, operation: BOOKING, resource, now }).await? {
            Some(used) => self.appointment(call, tenant, AppointmentId(used.resource_id)).await,
            None => Ok(chosen),
        }
    }

    async fn used(&self, call: &Call, tenant: TenantId, person: PersonId, claim: &Claim) -> Result<Option<Used>> {
        Ok(self.store.run(call, FindUsed { tenant, person, key: claim.key.clone() }).await?)
    }

    /// What was made for a claim before.
    async fn again(&self, call: &Call, tenant: TenantId, used: &Used, claim: Option<&Claim>) -> Result<Appointment> {
        let id = AppointmentId(same(used, BOOKING, claim.map(|claim| claim.fingerprint.as_str()))?);
        self.figures.booking("repeated");
        self.appointment(call, tenant, id).await
    }

    /// That a time cannot be had, and which can.
    async fn instead(&self, call: &Call, tenant: TenantId, wish: &Wish, (code, why): (&'static str, &str)) -> Problem {
        self.figures.booking(code);
        let from = wish.start.max(self.clock.now());
        let free = async {
            let within = Span::new(from, from.plus(LOOK_FOR)).ok_or_else(|| Error::internal("no days"))?;
            let open = self.open(call, tenant, (wish.service, wish.staff), within).await?;
            Ok::<_, Error>(open.offered(within).map_or_else(Vec::new, |within| open.free(within, ALTERNATIVES)))
        };
        let free: Vec<Timestamp> = match free.await {
            Ok(free) => free.into_iter().map(|free| free.start).collect(),
            Err(error) => {
                tracing::warn!(code = error.code, detail = error.detail, "no other times can be told");
                Vec::new()
            }
        };
        let next = if free.is_empty() { "None is free soon." } else { "The next free times are told." };
        Problem::from(Error::new(Kind::Conflict, code, format!("{why} {next}"))).or_at(free)
    }

    /// Reads an appointment.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn appointment(&self, call: &Call, tenant: TenantId, id: AppointmentId) -> Result<Appointment> {
        let found = self.store.run(call, GetAppointment { tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("appointment"))
    }

    pub(crate) async fn appointments(&self, call: &Call, list: ListAppointments) -> Result<Vec<Appointment>> {
        Ok(self.store.run(call, list).await?)
    }

    pub(crate) async fn appointments_of(&self, call: &Call, list: AppointmentsOf) -> Result<Vec<Appointment>> {
        Ok(self.store.run(call, list).await?)
    }

    /// Moves an appointment to another time, to somebody else, or both.
    ///
    /// # Errors
    /// `slot_taken` and `not_offered` with the next free times; `ended` when it is over or cancelled; `not_found`.
    pub async fn shift(
        &self,
        call: &Call,
        tenant: TenantId,
        id: AppointmentId,
        shift: Shift,
    ) -> Result<Appointment, Problem> {
        let Shift { start, staff, outside_hours, asked } = shift;
        let before = self.appointment(call, tenant, id).await?;
        let staff = staff.unwrap_or(before.staff);
        let wish = Wish {
            service: before.service,
            staff: Some(staff),
            start,
            contact: before.contact,
            hold: false,
            note: Note::default(),
            outside_hours,
            asked,
        };
        let times = if outside_hours {
            self.service(call, tenant, before.service).await?.times
        } else {
            let open = self.open(call, tenant, (before.service, Some(staff)), around(start)?).await?;
            if open.offering(start).is_empty() {
                return Err(self.instead(call, tenant, &wish, NOT_OFFERED).await);
            }
            open.known.service.times
        };
        let (shown, blocked) = (times.shown(start), times.blocked(start));
        let shift = MoveAppointment { tenant, id, staff, shown, blocked, asked, now: self.clock.now() };
        match self.store.run(call, shift).await? {
            Booking::Made(appointment) => {
                self.figures.booking("moved");
                Ok(appointment)
            }
            Booking::Taken => Err(self.instead(call, tenant, &wish, TAKEN).await),
            Booking::Refused(state) => Err(self.ended(state).into()),
        }
    }

    /// Says what becomes of an appointment.
    ///
    /// # Errors
    /// `ended` when it cannot become that; `slot_taken` when its time is somebody else's by now; `not_found`.
    pub async fn change(
        &self,
        call: &Call,
        tenant: TenantId,
        id: AppointmentId,
        change: &Change,
    ) -> Result<Appointment> {
        let state = match change.state {
            Some(state) => state,
            None => self.appointment(call, tenant, id).await?.state,
        };
        let note = change.note.as_ref().map(|note| note.as_str().to_owned());
        let (contact, asked, now) = (change.contact, change.asked, self.clock.now());
        let intent = ChangeAppointment { tenant, id, state, contact, note, asked, now };
        match self.store.run(call, intent).await? {
            Booking::Made(appointment) => {
                let cancelled = appointment.state == AppointmentState::Cancelled;
                self.figures.booking(if cancelled { "cancelled" } else { "changed" });
                Ok(appointment)
            }
            Booking::Taken => {
                self.figures.booking("slot_taken");
                Err(Error::new(Kind::Conflict, "slot_taken", "Its time is somebody else's by now."))
            }
            Booking::Refused(before) => {
                self.figures.booking("refused");
                let detail = if change.contact.is_none() && before == AppointmentState::Held {
                    "Say for whom it is: what is held belongs to nobody yet, or its time is over.".to_owned()
                } else {
                    format!("It is {before} and cannot become {state}.")
                };
                Err(Error::new(Kind::Conflict, "ended", detail))
            }
        }
    }

    fn ended(&self, state: AppointmentState) -> Error {
        self.figures.booking("refused");
        Error::new(Kind::Conflict, "ended", format!("It is {state} and cannot be moved."))
    }
}
