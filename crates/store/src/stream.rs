//! Streams: what a client syncs by.
//!
//! Each membership has one and each organisation has one. A change of a synced row gets the next number of its stream,
//! and a client that has seen number k has seen everything below k, under every commit order. It is true because numbers
//! are given late in the transaction, under the row lock of the stream, which is held until the commit: the next holder
//! gets higher numbers and its rows become visible later. Numbers of a transaction that rolled back are given again;
//! numbers of members that were refused are skipped. So gaps are legal and repeats are not.
//!
//! Lock order everywhere: entities, counters of the organisation, streams; each sorted by key.

use std::collections::BTreeMap;

use mainstay_domain::{StreamId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::sql::statements;
use crate::tx::Tx;

statements! {
    /// From here on the streams' rows are locked (PostgreSQL) until the commit: keep it late.
    ADVANCE = batch((tenant_id: uuid, stream_id: uuid, count: bigint, epoch: bigint) "
        INSERT INTO stream (tenant_id, stream_id, head, epoch, floor)
        SELECT tenant_id, stream_id, count, epoch, 0 FROM batch WHERE true ORDER BY tenant_id, stream_id
        ON CONFLICT (stream_id, tenant_id) DO UPDATE SET head = stream.head + excluded.head
        RETURNING tenant_id, stream_id, head");
}

/// Which stream: organisation first, since locks are taken in this order.
pub(crate) type Key = (TenantId, StreamId);

#[derive(Serialize)]
struct Advance {
    tenant_id: Uuid,
    stream_id: Uuid,
    count: i64,
    /// Under which history the numbers count, should the row be new: a restored or recreated stream gets another one, and
    /// clients of the old one start over.
    epoch: i64,
}

#[derive(sqlx::FromRow)]
struct Advanced {
    tenant_id: Uuid,
    stream_id: Uuid,
    head: i64,
}

/// How many numbers a transaction needs of each stream.
#[derive(Debug, Default)]
pub(crate) struct Wanted(BTreeMap<Key, i64>);

impl Wanted {
    pub(crate) fn add(&mut self, tenant: TenantId, stream: impl Into<StreamId>, count: i64) {
        *self.0.entry((tenant, stream.into())).or_default() += count;
    }

    /// Advances all streams and hands out the numbers. Call it after every other lock has been taken.
    pub(crate) async fn take(self, tx: &mut Tx<'_>, now: Timestamp) -> Result<Numbers> {
        if self.0.is_empty() {
            return Ok(Numbers::default());
        }
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|((tenant, stream), count)| Advance {
                tenant_id: tenant.uuid(),
                stream_id: stream.uuid(),
                count: *count,
                epoch: now.as_millis(),
            })
            .collect();
        let advanced: Vec<Advanced> = tx.batch(ADVANCE, &rows).rows().await?;
        let mut numbers = Numbers::default();
        for row in advanced {
            let key = (TenantId(row.tenant_id), StreamId(row.stream_id));
            let count = self.0.get(&key).copied().unwrap_or_default();
            numbers.0.insert(key, (row.head - count, row.head));
        }
        if numbers.0.len() == self.0.len() {
            Ok(numbers)
        } else {
            Err(Error::Bug("a stream did not advance".to_owned()))
        }
    }
}

/// Numbers that this transaction may give, by stream: the last one given, and the last one there is.
#[derive(Debug, Default)]
pub(crate) struct Numbers(BTreeMap<Key, (i64, i64)>);

impl Numbers {
    /// The next number of a stream.
    pub(crate) fn next(&mut self, tenant: TenantId, stream: impl Into<StreamId>) -> Result<i64> {
        match self.0.get_mut(&(tenant, stream.into())) {
            Some((given, last)) if *given < *last => {
                *given += 1;
                Ok(*given)
            }
            _ => Err(Error::Bug("a stream was asked for more numbers than were taken".to_owned())),
        }
    }
}
