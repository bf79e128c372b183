//! Where a replica keeps its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::sync::{Checksum, Cursor, StreamName};

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// In which stream.
    pub stream: StreamName,
    /// What it is.
    pub kind: Arc<str>,
    /// Which one.
    pub id: Uuid,
}

/// A row as the server last told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number in its stream.
    pub seq: u64,
    /// What it belongs to: it goes when that one goes.
    pub parent: Option<Uuid>,
    /// The row as JSON.
    pub body: Arc<str>,
}

/// Where a replica keeps its rows and its place. Implement it to keep them on a disk; each method is one change there, and
/// what [`Storage::set_cursor`] says must not become durable before the rows that were put before it.
pub trait Storage {
    /// Puts a row in place of what was there.
    fn put(&mut self, key: RowKey, row: Row);
    /// Removes a row, if it is there.
    fn remove(&mut self, key: &RowKey);
    /// The rows of a stream that belong to this one.
    fn children(&self, stream: StreamName, parent: Uuid) -> Vec<RowKey>;
    /// Every row, in any order.
    fn each(&self, see: &mut dyn FnMut(&RowKey, &Row));
    /// How many rows there are, and the sum of their numbers.
    fn checksum(&self) -> Checksum;
    /// The place up to which everything is known; nothing before the first page.
    fn cursor(&self) -> Option<Cursor>;
    /// Moves the place.
    fn set_cursor(&mut self, cursor: Cursor);
    /// Forgets everything, the place too.
    fn clear(&mut self);
}

/// Rows in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    rows: BTreeMap<RowKey, Row>,
    children: BTreeSet<(StreamName, Uuid, RowKey)>,
    checksum: Checksum,
    cursor: Option<Cursor>,
}

impl Memory {
    /// The row, if it is there.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key)
    }
}

impl Storage for Memory {
    fn put(&mut self, key: RowKey, row: Row) {
        self.remove(&key);
        self.checksum.count += 1;
        self.checksum.sum += row.seq;
        if let Some(parent) = row.parent {
            self.children.insert((key.stream, parent, key.clone()));
        }
        self.rows.insert(key, row);
    }

    fn remove(&mut self, key: &RowKey) {
        let Some(row) = self.rows.remove(key) else { return };
        self.checksum.count -= 1;
        self.checksum.sum -= row.seq;
        if let Some(parent) = row.parent {
            self.children.remove(&(key.stream, parent, key.clone()));
        }
    }

    fn children(&self, stream: StreamName, parent: Uuid) -> Vec<RowKey> {
        let first = RowKey { stream: StreamName::Membership, kind: Arc::from(""), id: Uuid::nil() };
        let range = self.children.range((stream, parent, first)..);
        range.take_while(|(of, id, _)| *of == stream && *id == parent).map(|(_, _, key)| key.clone()).collect()
    }

    fn each(&self, see: &mut dyn FnMut(&RowKey, &Row)) {
        self.rows.iter().for_each(|(key, row)| see(key, row));
    }

    fn checksum(&self) -> Checksum {
        self.checksum
    }

    fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    fn set_cursor(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
