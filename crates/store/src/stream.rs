//! Streams: what a client syncs by.
//!
//! Each membership has one and each organisation has one. A synced row has one place in its stream: a row in `change` under
//! the stream's next number. When the row changes, its place moves to a new number; when it is deleted, the place stays as
//! a tombstone. A client that has seen number k has seen everything below k, under every commit order. It is true because
//! numbers are given late in the transaction, under the row lock of the stream, which is held until the commit: the next
//! holder gets higher numbers and its rows become visible later. Numbers of a transaction that rolled back are given again,
//! so gaps come only from rows that moved.
//!
//! The stream also counts its live rows and adds up their numbers, so that a client can see that it has diverged. Both are
//! right because nothing but [`Changes`] writes to `stream` and `change`, and gives each row that it is told of exactly one
//! number.
//!
//! Lock order everywhere: entities, counters of the organisation, streams; each sorted by key.

use std::collections::{BTreeMap, HashMap};

use mainstay_domain::{StreamId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::kinds::Kind;
use crate::sql::statements;
use crate::tx::Tx;

statements! {
    /// From here on the streams' rows are locked (PostgreSQL) until the commit: keep it late. The new numbers are
    /// head + 1 ... head + n, so their sum is n * head and a sum that is known before.
    ADVANCE = insert((tenant_id: uuid, stream_id: uuid, given: bigint, live: bigint, total: bigint, epoch: bigint) "
        stream (tenant_id, stream_id, head, epoch, floor, live_rows, live_sum)
        SELECT tenant_id, stream_id, given, epoch, 0, live, total FROM batch WHERE true ORDER BY tenant_id, stream_id
        ON CONFLICT (stream_id, tenant_id) DO UPDATE SET head = stream.head + excluded.head,
          live_rows = stream.live_rows + excluded.live_rows,
          live_sum = stream.live_sum + excluded.head * stream.head + excluded.live_sum
        RETURNING tenant_id, stream_id, head, epoch, floor, live_rows, live_sum");
    /// Tombstones have numbers but are not live. The rows are locked by `ADVANCE` already.
    BURY = update((tenant_id: uuid, stream_id: uuid, live: bigint, total: bigint) "
        stream SET live_rows = live_rows - b.live, live_sum = live_sum - b.total
        FROM batch b WHERE stream.stream_id = b.stream_id AND stream.tenant_id = b.tenant_id
        RETURNING stream.tenant_id, stream.stream_id, stream.head, stream.epoch, stream.floor, stream.live_rows, stream.live_sum");
    APPEAR = insert((tenant_id: uuid, stream_id: uuid, seq: bigint, kind: text, id: uuid) "
        change (tenant_id, stream_id, seq, kind, id) SELECT tenant_id, stream_id, seq, kind, id FROM batch");
    /// The nodes look at this counter.
    WRITTEN_OUTSIDE = both("
        INSERT INTO counter (name, value) VALUES ('outside', 1) ON CONFLICT (name) DO UPDATE SET value = counter.value + 1");
    MOVE = update((tenant_id: uuid, stream_id: uuid, old: bigint, seq: bigint, deleted_at: time) "
        change SET seq = b.seq, deleted_at = b.deleted_at
        FROM batch b WHERE change.stream_id = b.stream_id AND change.tenant_id = b.tenant_id AND change.seq = b.old");
}

/// Which stream: organisation first, since locks are taken in this order.
pub(crate) type Key = (TenantId, StreamId);

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The organisation.
    pub tenant: TenantId,
    /// Which of its streams.
    pub stream: StreamId,
    /// Under which history the numbers count: a restored or recreated stream gets another one, and clients of the old one
    /// start over. 0 for a stream that nothing was written to yet.
    pub epoch: i64,
    /// The last number that was given.
    pub head: i64,
    /// Tombstones up to this number are forgotten.
    pub floor: i64,
    /// How many rows are live.
    pub live_rows: i64,
    /// The sum of their numbers.
    pub live_sum: i64,
}

impl Position {
    /// A stream that nothing was written to yet.
    #[must_use]
    pub fn untouched(tenant: TenantId, stream: StreamId) -> Self {
        Self { tenant, stream, epoch: 0, head: 0, floor: 0, live_rows: 0, live_sum: 0 }
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct PositionRow {
    tenant_id: Uuid,
    stream_id: Uuid,
    head: i64,
    epoch: i64,
    floor: i64,
    live_rows: i64,
    live_sum: i64,
}

impl From<PositionRow> for Position {
    fn from(row: PositionRow) -> Self {
        Self {
            tenant: TenantId(row.tenant_id),
            stream: StreamId(row.stream_id),
            epoch: row.epoch,
            head: row.head,
            floor: row.floor,
            live_rows: row.live_rows,
            live_sum: row.live_sum,
        }
    }
}

#[derive(Serialize)]
struct Advance {
    tenant_id: Uuid,
    stream_id: Uuid,
    given: i64,
    live: i64,
    total: i64,
    epoch: i64,
}

#[derive(Serialize)]
struct Burial {
    tenant_id: Uuid,
    stream_id: Uuid,
    live: i64,
    total: i64,
}

#[derive(Serialize)]
struct Appearance {
    tenant_id: Uuid,
    stream_id: Uuid,
    seq: i64,
    kind: &'static str,
    id: Uuid,
}

#[derive(Serialize)]
struct Movement {
    tenant_id: Uuid,
    stream_id: Uuid,
    old: i64,
    seq: i64,
    deleted_at: Option<i64>,
}

/// One row that changed.
#[derive(Debug)]
struct Entry {
    stream: Key,
    kind: Kind,
    id: Uuid,
    /// Its number until now; nothing for a row that is new.
    old: Option<i64>,
    deleted: bool,
}

/// What is added to or taken from the counts of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    given: i64,
    live: i64,
    total: i64,
}

/// The rows that a transaction changes, by stream. Collect all of them, then [`record`](Self::record) them at once.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    entries: Vec<Entry>,
    places: HashMap<(Key, Uuid), usize>,
    vanished: BTreeMap<Key, Sums>,
}

impl Changes {
    /// A row that is new, or has changed since it had the number `old`. Saying so twice is the same as once.
    pub(crate) fn put(
        &mut self,
        tenant: TenantId,
        stream: impl Into<StreamId>,
        kind: Kind,
        id: Uuid,
        old: Option<i64>,
    ) {
        self.add(Entry { stream: (tenant, stream.into()), kind, id, old, deleted: false });
    }

    /// A row that is deleted, or that the stream's readers may not see any longer; `old` is the number that it had.
    pub(crate) fn delete(&mut self, tenant: TenantId, stream: impl Into<StreamId>, kind: Kind, id: Uuid, old: i64) {
        self.add(Entry { stream: (tenant, stream.into()), kind, id, old: Some(old), deleted: true });
    }

    /// Rows that went together with their parent: `rows` of them, whose numbers make `total`. They leave no tombstones, and
    /// the caller has deleted their places.
    pub(crate) fn vanish(&mut self, tenant: TenantId, stream: impl Into<StreamId>, rows: i64, total: i64) {
        let sums = self.vanished.entry((tenant, stream.into())).or_default();
        sums.live += rows;
        sums.total += total;
    }

    fn add(&mut self, entry: Entry) {
        let next = self.entries.len();
        let place = *self.places.entry((entry.stream, entry.id)).or_insert(next);
        if place == next {
            self.entries.push(entry);
        } else {
            let known = &mut self.entries[place];
            known.deleted |= entry.deleted;
        }
    }

    /// Gives every row its number and moves its place there. Call it after every other lock has been taken.
    pub(crate) async fn record(self, tx: &mut Tx<'_>, now: Timestamp) -> Result<Numbers> {
        let mut numbers = Numbers::default();
        if self.entries.is_empty() {
            return Ok(numbers);
        }
        let rows = self.advances(now);
        let advanced: Vec<PositionRow> = tx.batch(ADVANCE, &rows).rows().await?;
        if advanced.len() != rows.len() {
            return Err(Error::Bug("a stream did not advance".to_owned()));
        }
        let positions: Vec<Position> = advanced.into_iter().map(Position::from).collect();
        let mut next: HashMap<Key, i64> = positions.iter().map(|at| ((at.tenant, at.stream), at.head)).collect();
        for row in &rows {
            if let Some(head) = next.get_mut(&(TenantId(row.tenant_id), StreamId(row.stream_id))) {
                *head -= row.given;
            }
        }
        for entry in &self.entries {
            let last = next.get_mut(&entry.stream).ok_or_else(|| Error::Bug("a stream did not advance".to_owned()))?;
            *last += 1;
            numbers.0.insert((entry.stream, entry.id), *last);
        }
        self.write(tx, &numbers, now)?;
        let positions = self.bury(tx, &numbers, positions).await?;
        if tx.is_outside() {
            written_outside(tx).await?;
        }
        tx.advanced(positions);
        Ok(numbers)
    }

    /// What each stream gains and loses.
    fn advances(&self, now: Timestamp) -> Vec<Advance> {
        let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
        for entry in &self.entries {
            let sums = sums.entry(entry.stream).or_default();
            sums.given += 1;
            sums.live += 1 - i64::from(entry.old.is_some());
            // The n-th number of this transaction is head + n.
            sums.total += sums.given - entry.old.unwrap_or(0);
        }
        for (stream, gone) in &self.vanished {
            let sums = sums.entry(*stream).or_default();
            sums.live -= gone.live;
            sums.total -= gone.total;
        }
        sums.into_iter()
            .map(|((tenant, stream), sums)| Advance {
                tenant_id: tenant.uuid(),
                stream_id: stream.uuid(),
                given: sums.given,
                live: sums.live,
                total: sums.total,
                // Should the row be new.
                epoch: now.as_millis(),
            })
            .collect()
    }

    fn write(&self, tx: &mut Tx<'_>, numbers: &Numbers, now: Timestamp) -> Result<()> {
        let mut appear = Vec::new();
        let mut moved = Vec::new();
        for Entry { stream: key @ (tenant, stream), kind, id, old, deleted } in &self.entries {
            let (tenant_id, stream_id, id) = (tenant.uuid(), stream.uuid(), *id);
            let seq = numbers.find(*key, id)?;
            match old {
                None => appear.push(Appearance { tenant_id, stream_id, seq, kind: kind.as_str(), id }),
                Some(old) => {
                    let deleted_at = deleted.then_some(now.as_millis());
                    moved.push(Movement { tenant_id, stream_id, old: *old, seq, deleted_at });
                }
            }
        }
        tx.later(APPEAR, &appear, None)?;
        tx.later(MOVE, &moved, Some("a synced row was not where its stream has it"))
    }

    async fn bury(&self, tx: &mut Tx<'_>, numbers: &Numbers, positions: Vec<Position>) -> Result<Vec<Position>> {
        let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.deleted) {
            let sums = sums.entry(entry.stream).or_default();
            sums.live += 1;
            sums.total += numbers.find(entry.stream, entry.id)?;
        }
        if sums.is_empty() {
            return Ok(positions);
        }
        let rows: Vec<_> = sums
            .into_iter()
            .map(|((tenant, stream), sums)| Burial {
                tenant_id: tenant.uuid(),
                stream_id: stream.uuid(),
                live: sums.live,
                total: sums.total,
            })
            .collect();
        let buried: Vec<PositionRow> = tx.batch(BURY, &rows).rows().await?;
        let mut all: BTreeMap<Key, Position> = positions.into_iter().map(|at| ((at.tenant, at.stream), at)).collect();
        all.extend(buried.into_iter().map(Position::from).map(|at| ((at.tenant, at.stream), at)));
        Ok(all.into_values().collect())
    }
}

/// Tells every node, in the database, that something was written that it does not hear of: by a process that serves nobody,
/// such as the command line, or of what no stream tells.
pub(crate) async fn written_outside(tx: &mut Tx<'_>) -> Result<()> {
    tx.query(WRITTEN_OUTSIDE).run().await?;
    Ok(())
}

/// The numbers that a transaction has given, by stream and row.
#[derive(Debug, Default)]
pub(crate) struct Numbers(HashMap<(Key, Uuid), i64>);

impl Numbers {
    /// The number of a row.
    pub(crate) fn of(&self, tenant: TenantId, stream: impl Into<StreamId>, id: Uuid) -> Result<i64> {
        self.find((tenant, stream.into()), id)
    }

    fn find(&self, stream: Key, id: Uuid) -> Result<i64> {
        let number = self.0.get(&(stream, id)).copied();
        number.ok_or_else(|| Error::Bug("a row was written that its stream was not told of".to_owned()))
    }
}
