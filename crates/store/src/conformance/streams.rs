//! The promise of a stream, under real concurrency: who sees number k has seen everything below k.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mainstay_domain::{PersonId, TenantId};
use uuid::Uuid;

use super::assistant::{accept, new_conversation, settle};
use super::{Harness, spawn};
use crate::sql::Sql;
use crate::tx::{Scope, Tx};
use crate::{Accepted, Call, DeleteConversation, Intent, Result, Store};

/// Reads the rows of a stream above a number, with the head, in one snapshot.
struct Page {
    tenant: TenantId,
    person: PersonId,
    after: i64,
}

#[derive(Clone, Debug, sqlx::FromRow)]
struct PageRow {
    head: i64,
    id: Option<Uuid>,
    seq: Option<i64>,
}

const PAGE: &str = "
    SELECT s.head, x.id, x.seq FROM stream s LEFT JOIN (
      SELECT id, tenant_id, person_id, seq FROM message UNION ALL SELECT id, tenant_id, person_id, seq FROM conversation
    ) x ON x.tenant_id = s.tenant_id AND x.person_id = s.stream_id AND x.seq > $3 AND x.seq <= s.head
    WHERE s.tenant_id = $1 AND s.stream_id = $2 ORDER BY x.seq LIMIT 50";

impl Intent for Page {
    type Output = Vec<PageRow>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<PageRow>> {
        let sql = Sql { name: "test page", sqlite: PAGE, postgres: PAGE };
        tx.query(sql).bind(self.tenant.uuid()).bind(self.person.uuid()).bind(self.after).rows().await
    }
}

/// Follows a stream from its beginning until told to stop and nothing is left; the answer is what it then knows.
async fn follow(store: Store, tenant: TenantId, person: PersonId, over: Arc<AtomicBool>) -> BTreeMap<Uuid, i64> {
    let mut known = BTreeMap::new();
    let mut cursor = 0;
    loop {
        let last_look = over.load(Ordering::SeqCst);
        let call = Call::within(Duration::from_secs(30));
        let rows = store.run(&call, Page { tenant, person, after: cursor }).await.expect("a page");
        let head = rows.first().map_or(0, |row| row.head);
        let mut previous = cursor;
        for (id, seq) in rows.iter().filter_map(|row| row.id.zip(row.seq)) {
            assert!(seq > previous, "{seq} came after {previous}");
            previous = seq;
            known.insert(id, seq);
        }
        let full = rows.len() == 50;
        cursor = if full { previous } else { head.max(previous) };
        if last_look && !full {
            return known;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn who_sees_a_number_has_seen_all_below(h: &Harness) {
    let (tenant, person) = h.person("vic").await;
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3).map(|_| spawn(follow(h.store.clone(), tenant, person, Arc::clone(&over)))).collect();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = h.store.clone();
            let turns: Vec<_> = (0..12).map(|_| accept(h, tenant, person, new_conversation(h))).collect();
            spawn(async move {
                let call = Call::within(Duration::from_secs(60));
                for (number, turn) in turns.into_iter().enumerate() {
                    assert_eq!(store.accept_message(&call, turn.clone()).await, Ok(Accepted::Taken));
                    assert_eq!(store.settle_reply(&call, settle(&turn, "done")).await, Ok(true));
                    if (number + writer) % 4 == 0 {
                        // A write that does not go through the batcher, from another connection.
                        let delete = DeleteConversation { tenant, person, id: turn.target.id(), now: turn.now };
                        store.run(&call, delete).await.expect("deleted");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    over.store(true, Ordering::SeqCst);
    let truth = follow(h.store.clone(), tenant, person, Arc::clone(&over)).await;
    assert_eq!(truth.len(), 8 * 12 * 3);
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), truth, "a reader missed a change");
    }
}
