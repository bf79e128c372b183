//! The board: one small row of an organisation that syncs, and counts what happens at the reception. Whoever watches sees it
//! change, and looks again at what they watch. Appointments and calls themselves do not sync: there are too many of them for
//! somebody who looks at a week.

use mainstay_domain::{TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::kinds::{Kind, RowKey};
use crate::sql::statements;
use crate::stream::Changes;
use crate::tx::Tx;

statements! {
    /// Whoever counts waits here for the others.
    COUNT = both("
        INSERT INTO board (tenant_id, id, seq, appointments, calls) VALUES ($1, $2, 0, $3, $4)
        ON CONFLICT (tenant_id) DO UPDATE SET appointments = board.appointments + excluded.appointments,
          calls = board.calls + excluded.calls
        RETURNING seq");
    SET_SEQ = both("UPDATE board SET seq = $2 WHERE tenant_id = $1");
    READ = batch((id: uuid) "
        SELECT o.id, o.appointments, o.calls FROM batch b JOIN board o ON o.tenant_id = $2 AND o.id = b.id");
}

/// What has happened, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// How often an appointment was made or changed.
    pub appointments: i64,
    /// How often something happened in a call, or a message was taken or handled.
    pub calls: i64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// With an appointment.
    Appointment,
    /// In a call.
    Call,
}

#[derive(sqlx::FromRow)]
struct SeqRow {
    seq: i64,
}

#[derive(sqlx::FromRow)]
struct BoardRow {
    id: Uuid,
    appointments: i64,
    calls: i64,
}

/// The id under which the board of an organisation syncs: not that of the organisation, which syncs too.
fn id_of(tenant: TenantId) -> Uuid {
    Uuid::from_u128(tenant.uuid().as_u128() ^ 1)
}

/// Counts. Call it after every other lock has been taken.
pub(crate) async fn count(tx: &mut Tx<'_>, tenant: TenantId, happened: Happened, now: Timestamp) -> Result<()> {
    let (appointments, calls) = match happened {
        Happened::Appointment => (1_i64, 0_i64),
        Happened::Call => (0, 1),
    };
    let id = id_of(tenant);
    let row = tx.query(COUNT).bind(tenant.uuid()).bind(id).bind(appointments).bind(calls).row::<SeqRow>().await?;
    let before = row.map(|row| row.seq).filter(|seq| *seq > 0);
    let mut changes = Changes::default();
    changes.put(tenant, tenant, Kind::Board, id, before);
    let seq = changes.record(tx, now).await?.of(tenant, tenant, id)?;
    tx.query(SET_SEQ).bind(tenant.uuid()).bind(seq).run().await.map(drop)
}

/// Reads boards for their streams.
pub(crate) async fn read(tx: &mut Tx<'_>, tenant: TenantId, ids: &[RowKey]) -> Result<Vec<(Uuid, Board)>> {
    let rows: Vec<BoardRow> = tx.batch(READ, ids).bind(tenant.uuid()).rows().await?;
    let read = |row: BoardRow| (row.id, Board { appointments: row.appointments, calls: row.calls });
    Ok(rows.into_iter().map(read).collect())
}
