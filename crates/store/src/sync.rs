//! Reading streams: what has changed since a cursor, and where the streams stand, in one snapshot.

use std::collections::{BTreeMap, HashMap};

use mainstay_domain::{Cursor, PersonId, StreamCursor, StreamId, StreamScope, TenantId};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::kinds::{Kind, RowKey, SyncedRow};
use crate::sql::statements;
use crate::stream::{Position, PositionRow};
use crate::tx::{Scope, Tx};

statements! {
    POSITIONS = both("
        SELECT tenant_id, stream_id, head, epoch, floor, live_rows, live_sum FROM stream
        WHERE tenant_id = $1 AND stream_id IN ($2, $3)");
    PAGE = both("
        SELECT seq, kind, id, CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END AS deleted FROM change
        WHERE stream_id = $1 AND tenant_id = $2 AND seq > $3 ORDER BY seq LIMIT $4");
}

/// Where both streams of a membership stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The person's own.
    pub membership: Position,
    /// The organisation's.
    pub organisation: Position,
}

impl Positions {
    /// The cursor of a client that has seen everything.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let place = |at: &Position| StreamCursor { epoch: at.epoch, head: at.head, floor: 0 };
        Cursor { membership: place(&self.membership), organisation: place(&self.organisation) }
    }

    /// The position of one of them.
    #[must_use]
    pub fn of(&self, scope: StreamScope) -> &Position {
        match scope {
            StreamScope::Membership => &self.membership,
            StreamScope::Organisation => &self.organisation,
        }
    }

    /// Why a client with this cursor must begin again, if it must.
    #[must_use]
    pub fn refuse(&self, cursor: &Cursor) -> Option<Resync> {
        [StreamScope::Membership, StreamScope::Organisation].into_iter().find_map(|scope| {
            let (at, seen) = (self.of(scope), cursor.of(scope));
            // Who has seen nothing has nothing to forget.
            if seen.head == 0 {
                None
            } else if seen.epoch != at.epoch {
                Some(Resync::Epoch)
            } else if seen.head > at.head {
                Some(Resync::Ahead)
            } else if seen.head.max(seen.floor) < at.floor {
                Some(Resync::Floor)
            } else {
                None
            }
        })
    }
}

/// Why a client must begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// Its cursor counts in another history.
    Epoch,
    /// Its cursor is ahead of everything that was given, as after a restore.
    Ahead,
    /// Tombstones that it has not seen are forgotten.
    Floor,
}

impl Resync {
    /// The word for it on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Ahead => "ahead",
            Self::Floor => "floor",
        }
    }
}

/// One row that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which of the two streams.
    pub scope: StreamScope,
    /// Its number there.
    pub seq: i64,
    /// What it is.
    pub kind: Kind,
    /// Which.
    pub id: Uuid,
    /// What it is now; nothing when it is deleted.
    pub row: Option<SyncedRow>,
}

/// A page of changes, and where the streams stood when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedPage {
    /// In the order of their numbers in each stream.
    pub changes: Vec<Change>,
    /// Where the next page begins.
    pub cursor: Cursor,
    /// True when there was nothing more.
    pub complete: bool,
    /// Where the streams stood.
    pub positions: Positions,
}

/// Reads where both streams of a membership stand.
#[derive(Clone, Copy, Debug)]
pub struct GetPositions {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose membership.
    pub person: PersonId,
}

impl Intent for GetPositions {
    type Output = Positions;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Positions> {
        positions(tx, self.tenant, self.person).await
    }
}

async fn positions(tx: &mut Tx<'_>, tenant: TenantId, person: PersonId) -> Result<Positions> {
    let rows: Vec<PositionRow> =
        tx.query(POSITIONS).bind(tenant.uuid()).bind(person.uuid()).bind(tenant.uuid()).rows().await?;
    let known: BTreeMap<StreamId, Position> =
        rows.into_iter().map(Position::from).map(|position| (position.stream, position)).collect();
    let find = |stream: StreamId| known.get(&stream).copied().unwrap_or_else(|| Position::untouched(tenant, stream));
    Ok(Positions { membership: find(person.into()), organisation: find(tenant.into()) })
}

/// Reads the next page of what has changed since a cursor, or why the client must begin again.
#[derive(Clone, Copy, Debug)]
pub struct SyncPage {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose membership.
    pub person: PersonId,
    /// What the client has seen.
    pub after: Cursor,
    /// At most so many changes.
    pub limit: u32,
}

impl Intent for SyncPage {
    type Output = std::result::Result<SyncedPage, (Resync, Positions)>;
    const WRITES: bool = false;
    // Positions, changes and rows must be of one moment.
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let positions = positions(tx, self.tenant, self.person).await?;
        if let Some(reason) = positions.refuse(&self.after) {
            return Ok(Err((reason, positions)));
        }
        let mut cursor = positions.cursor();
        let mut places = Vec::new();
        let mut complete = true;
        for scope in [StreamScope::Membership, StreamScope::Organisation] {
            let (at, seen) = (positions.of(scope), self.after.of(scope).head);
            let room = i64::from(self.limit) - places.len() as i64;
            if at.head <= seen {
                continue;
            }
            if room <= 0 {
                *cursor.of_mut(scope) = behind(self.after.of(scope), at);
                complete = false;
                continue;
            }
            let mut rows = page(tx, (self.tenant, at.stream), seen, room + 1).await?;
            if rows.len() as i64 > room {
                rows.truncate(usize::try_from(room).unwrap_or_default());
                *cursor.of_mut(scope) = behind(self.after.of(scope), at);
                cursor.of_mut(scope).head = rows.last().map_or(seen, |row| row.seq);
                complete = false;
            }
            places.extend(rows.into_iter().map(|row| (scope, row)));
        }
        let changes = changes(tx, self.tenant, places).await?;
        Ok(Ok(SyncedPage { changes, cursor, complete, positions }))
    }
}

/// Reads what has changed in one stream, as far as it then goes: for those who follow it live.
#[derive(Clone, Copy, Debug)]
pub struct StreamPage {
    /// The organisation.
    pub tenant: TenantId,
    /// Which of its streams.
    pub stream: StreamId,
    /// Changes after this number.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

impl Intent for StreamPage {
    type Output = Vec<Change>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Change>> {
        let rows = page(tx, (self.tenant, self.stream), self.after, i64::from(self.limit)).await?;
        let scope = if self.stream == StreamId::from(self.tenant) {
            StreamScope::Organisation
        } else {
            StreamScope::Membership
        };
        changes(tx, self.tenant, rows.into_iter().map(|row| (scope, row)).collect()).await
    }
}

/// The place of a client that has not come to the end: where it was, and what was forgotten when it began.
fn behind(seen: StreamCursor, at: &Position) -> StreamCursor {
    let floor = if seen.head == 0 { at.floor } else { seen.floor };
    StreamCursor { epoch: at.epoch, head: seen.head, floor }
}

#[derive(sqlx::FromRow)]
struct Place {
    seq: i64,
    kind: String,
    id: Uuid,
    deleted: i32,
}

async fn page(tx: &mut Tx<'_>, key: (TenantId, StreamId), after: i64, limit: i64) -> Result<Vec<Place>> {
    tx.query(PAGE).bind(key.1.uuid()).bind(key.0.uuid()).bind(after).bind(limit).rows().await
}

/// The rows behind these places, by one statement for each kind that is among them.
async fn changes(tx: &mut Tx<'_>, tenant: TenantId, places: Vec<(StreamScope, Place)>) -> Result<Vec<Change>> {
    let mut wanted: BTreeMap<Kind, Vec<RowKey>> = BTreeMap::new();
    let mut changes = Vec::with_capacity(places.len());
    for (scope, place) in places {
        let kind: Kind = place.kind.parse()?;
        if place.deleted == 0 {
            wanted.entry(kind).or_default().push(RowKey { id: place.id });
        }
        changes.push((Change { scope, seq: place.seq, kind, id: place.id, row: None }, place.deleted != 0));
    }
    let mut rows: HashMap<Kind, HashMap<Uuid, SyncedRow>> = HashMap::new();
    for (kind, ids) in wanted {
        rows.insert(kind, kind.read(tx, tenant, &ids).await?);
    }
    changes
        .into_iter()
        .map(|(mut change, deleted)| {
            if !deleted {
                let row = rows.get_mut(&change.kind).and_then(|rows| rows.remove(&change.id));
                let gone =
                    || Error::Corrupt(format!("{} {} is in its stream and nowhere else", change.kind, change.id));
                change.row = Some(row.ok_or_else(gone)?);
            }
            Ok(change)
        })
        .collect()
}
