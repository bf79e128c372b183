//! Conflicts: people say whether the reception or the calendar is right.

use mainstay_domain::{AppointmentState, CalendarConflictId, Error, Kind, TenantId};
use mainstay_store::{CalendarConflict, Call, ConflictEnd, ConflictKind, GetCalendarConflict, KeepOurs};

use crate::app::App;
use crate::http::Problem;
use crate::reception::{Change, Shift};

/// Ends a conflict: with what the reception says, with what the calendar says, or known to somebody.
pub(super) async fn resolve(
    app: &App,
    call: &Call,
    (tenant, id): (TenantId, CalendarConflictId),
    keep: ConflictEnd,
) -> Result<(), Problem> {
    let found = app.store.run(call, GetCalendarConflict { tenant, id }).await.map_err(Error::from)?;
    let conflict = found.ok_or_else(|| Error::not_found("conflict"))?;
    if conflict.resolved_at.is_some() {
        return Err(over().into());
    }
    match (conflict.kind, keep) {
        (ConflictKind::Busy, ConflictEnd::Seen) | (ConflictKind::Moved | ConflictKind::Deleted, ConflictEnd::Ours) => {
            let keep = KeepOurs { tenant, id, end: keep, now: app.clock.now() };
            let kept = app.store.run(call, keep).await.map_err(Error::from)?;
            if kept { Ok(()) } else { Err(over().into()) }
        }
        (ConflictKind::Moved | ConflictKind::Deleted, ConflictEnd::Theirs) => {
            theirs(app, call, tenant, &conflict).await
        }
        (kind, _) => {
            let words = match kind {
                ConflictKind::Busy => "Something else lies over the appointment: say `seen`, or move one of the two.",
                _ => "Say `ours` or `theirs`.",
            };
            Err(Error::invalid_field("keep", "not_possible", words).into())
        }
    }
}

/// The appointment follows the calendar. That ends the conflict, since the appointment is another then.
async fn theirs(app: &App, call: &Call, tenant: TenantId, conflict: &CalendarConflict) -> Result<(), Problem> {
    match conflict.theirs {
        Some(theirs) => {
            let (start, staff) = (theirs.from(), Some(conflict.staff));
            let to = Shift { start, staff, outside_hours: true, asked: false };
            app.reception.shift(call, tenant, conflict.appointment, to).await.map(drop)
        }
        None => {
            let change = Change { state: Some(AppointmentState::Cancelled), ..Change::default() };
            app.reception.change(call, tenant, conflict.appointment, &change).await?;
            Ok(())
        }
    }
}

fn over() -> Error {
    Error::new(Kind::Conflict, "conflict_is_over", "It has ended: one of the two was changed, or somebody has decided.")
}
