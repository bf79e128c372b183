//! The ids of our events, and what others take of somebody's time.

use mainstay_domain::{AppointmentId, Span, StaffId, TenantId};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    OF_STAFF = both("
        SELECT staff_id, event_id, busy_from, busy_until FROM calendar_busy
        WHERE tenant_id = $1 AND staff_id = $2 AND busy_until > $3 AND busy_from < $4 ORDER BY busy_from LIMIT $5");
}

/// The id of the event of an appointment: the digits of the appointment's id, and behind them the number of ids that have
/// been used up, where there are any. Google allows the digits 0 to 9 and the letters a to v, 5 to 1,024 of them.
#[must_use]
pub fn event_id(appointment: AppointmentId, generation: u32) -> String {
    let id = appointment.uuid().simple().to_string();
    if generation == 0 { id } else { format!("{id}{generation}") }
}

/// The appointment and the generation whose event has this id; nothing for one that is not ours.
#[must_use]
pub fn appointment_of_event(id: &str) -> Option<(AppointmentId, u32)> {
    let (digits, generation) = id.split_at_checked(32)?;
    let appointment = AppointmentId(Uuid::try_parse(digits).ok()?);
    let generation = if generation.is_empty() { 0 } else { generation.parse().ok()? };
    (event_id(appointment, generation) == id).then_some((appointment, generation))
}

/// Time that is taken by something else in somebody's calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyTime {
    /// Whose.
    pub staff: StaffId,
    /// When.
    pub span: Span,
}

#[derive(sqlx::FromRow)]
struct BusyOfRow {
    staff_id: Uuid,
    busy_from: At,
    busy_until: At,
}

/// Lists what something else takes of somebody's time.
#[derive(Clone, Copy, Debug)]
pub struct ListBusyTimes {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub staff: StaffId,
    /// When.
    pub within: Span,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListBusyTimes {
    type Output = Vec<BusyTime>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let list = tx.query(OF_STAFF).bind(self.tenant.uuid()).bind(self.staff.uuid());
        let list = list.bind(At(self.within.from())).bind(At(self.within.until())).bind(i64::from(self.limit));
        let read = |row: BusyOfRow| {
            let span = Span::new(row.busy_from.0, row.busy_until.0);
            let span = span.ok_or_else(|| Error::Corrupt("an event ends before it begins".to_owned()))?;
            Ok(BusyTime { staff: StaffId(row.staff_id), span })
        };
        list.rows::<BusyOfRow>().await?.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_digits_of_its_appointment() {
        let id = AppointmentId(Uuid::try_parse("3f2504e0-4f89-11d3-9a0c-0305e82c3301").expect("an id"));
        assert_eq!(event_id(id, 0), "3f2504e04f8911d39a0c0305e82c3301");
        assert_eq!(event_id(id, 2), "3f2504e04f8911d39a0c0305e82c33012");
        assert_eq!(appointment_of_event("3f2504e04f8911d39a0c0305e82c3301"), Some((id, 0)));
        assert_eq!(appointment_of_event("3f2504e04f8911d39a0c0305e82c330112"), Some((id, 12)));
        let others = [
            "",
            "abc",
            "3F2504e04f8911d39a0c0305e82c3301",
            "3f2504e04f8911d39a0c0305e82c33010",
            "3f2504e04f8911d39a0c0305e82c3301_20260302T093000Z",
            "3f2504e04f8911d39a0c0305e82c330101",
        ];
        for other in others {
            assert_eq!(appointment_of_event(other), None, "{other}");
        }
    }
}
