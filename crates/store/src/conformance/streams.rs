//! The promise of a stream, under real concurrency: who sees number k has seen everything below k, nothing that was deleted
//! stays, and the counts tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use mainstay_domain::{
    ConversationId, ConversationTitle, Cursor, PersonId, StreamCursor, StreamScope, TenantId, Timestamp,
};
use uuid::Uuid;

use super::assistant::{accept, new_conversation, settle};
use super::{Harness, spawn};
use crate::kinds::Kind;
use crate::stream::Changes;
use crate::tx::{Scope, Tx};
use crate::{
    AcceptMessage, Accepted, AddMember, Call, ChangeMember, DeleteConversation, Error, ForgetExpired, GetPositions,
    Intent, MemberChanged, RenameConversation, Result, Resync, Store, StreamPage, SyncPage, SyncedRow,
};

/// Rows that change in each run of the race.
const CHANGES: u64 = 10_000;

/// What a client knows, by the rules that the wire gives it.
#[derive(Debug, Default)]
struct Replica {
    cursor: Cursor,
    rows: BTreeMap<(StreamScope, Uuid), (i64, Option<Uuid>)>,
    pages: u64,
    compared: u64,
}

impl Replica {
    /// Takes the next page; true when there was nothing more.
    async fn pull(&mut self, store: &Store, tenant: TenantId, person: PersonId, limit: u32) -> bool {
        let call = Call::within(Duration::from_secs(60));
        let page = SyncPage { tenant, person, after: self.cursor, limit };
        let page = store.run(&call, page).await.expect("a page").expect("no reason to begin again");
        assert!(page.changes.len() <= limit as usize, "a page is too long");
        for change in page.changes {
            let last = &mut self.cursor.of_mut(change.scope).head;
            assert!(change.seq > *last, "{} came after {last}", change.seq);
            *last = change.seq;
            match &change.row {
                Some(row) => {
                    self.rows.insert((change.scope, change.id), (change.seq, row.parent()));
                }
                None => {
                    self.rows.remove(&(change.scope, change.id));
                    self.rows.retain(|_, (_, parent)| *parent != Some(change.id));
                }
            }
        }
        self.cursor = page.cursor;
        self.pages += 1;
        if page.complete {
            let sums = |scope: StreamScope| {
                let numbers = self.rows.iter().filter(|((of, _), _)| *of == scope).map(|(_, (seq, _))| *seq);
                numbers.fold((0, 0), |(count, sum), seq| (count + 1, sum + seq))
            };
            for scope in [StreamScope::Membership, StreamScope::Organisation] {
                let at = page.positions.of(scope);
                assert_eq!(sums(scope), (at.live_rows, at.live_sum), "the replica has diverged");
            }
            self.compared += 1;
        }
        page.complete
    }
}

/// Follows until told to stop and nothing is left.
async fn follow(store: Store, (tenant, person): (TenantId, PersonId), limit: u32, over: Arc<AtomicBool>) -> Replica {
    let mut replica = Replica::default();
    loop {
        let last_look = over.load(Ordering::SeqCst);
        if replica.pull(&store, tenant, person, limit).await && last_look {
            return replica;
        }
        tokio::task::yield_now().await;
    }
}

/// A transaction that renames conversations one after the other and takes its time over it, before and after it has its
/// numbers; now and then it rolls back.
struct Dawdle {
    tenant: TenantId,
    person: PersonId,
    conversations: Vec<ConversationId>,
    pauses: (u64, u64),
    fails: bool,
    now: Timestamp,
}

impl Intent for Dawdle {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let mut changes = Changes::default();
        let mut found = Vec::new();
        for id in &self.conversations {
            // One that is deleted meanwhile is passed over.
            if let Ok(old) = crate::conversations::lock(tx, *id, self.tenant, self.person).await {
                changes.put(self.tenant, self.person, Kind::Conversation, id.uuid(), Some(old));
                found.push(*id);
            }
        }
        tokio::time::sleep(Duration::from_micros(self.pauses.0)).await;
        let numbers = changes.record(tx, self.now).await?;
        for id in found {
            let seq = numbers.of(self.tenant, self.person, id.uuid())?;
            crate::conversations::set_seq(tx, id, self.tenant, seq).await?;
        }
        tokio::time::sleep(Duration::from_micros(self.pauses.1)).await;
        if self.fails { Err(Error::Fenced) } else { Ok(()) }
    }
}

/// One writer: turns through the batcher, slow transactions, renames and deletions beside it, until enough has changed.
async fn write(h: Arc<Writing>, writer: u64) {
    let call = Call::within(Duration::from_secs(300));
    let (tenant, person) = h.who;
    let mut mine = Vec::new();
    let mut dice = writer.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut roll = |sides: u64| {
        // xorshift: a schedule of its own for each writer.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    while h.changed.load(Ordering::SeqCst) < CHANGES {
        let turn = h.turns.lock().await.pop().expect("enough turns were made");
        assert_eq!(h.store.accept_message(&call, turn.clone()).await, Ok(Accepted::Taken(0)));
        assert_eq!(h.store.settle_reply(&call, settle(&turn, "done")).await, Ok(true));
        mine.push(turn.target.id());
        h.changed.fetch_add(4, Ordering::SeqCst);
        let some: BTreeSet<_> = (0..4).map(|_| mine[roll(mine.len() as u64) as usize]).collect();
        let dawdle = Dawdle {
            tenant,
            person,
            conversations: some.into_iter().collect(),
            pauses: (roll(2000), roll(2000)),
            fails: roll(5) == 0,
            now: turn.now,
        };
        let (count, fails) = (dawdle.conversations.len() as u64, dawdle.fails);
        match h.store.run(&call, dawdle).await {
            Ok(()) => h.changed.fetch_add(count, Ordering::SeqCst),
            Err(error) => {
                assert!(fails && error == Error::Fenced, "{error}");
                0
            }
        };
        if roll(4) == 0 {
            let id = mine.swap_remove(roll(mine.len() as u64) as usize);
            let delete = DeleteConversation { tenant, person, id, claim: None, now: turn.now };
            h.store.run(&call, delete).await.expect("deleted");
            h.changed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Writing {
    store: Store,
    who: (TenantId, PersonId),
    turns: tokio::sync::Mutex<Vec<crate::AcceptMessage>>,
    changed: AtomicU64,
}

/// Eight writers to one person's data, in transactions whose commits come in any order, and four readers that follow.
pub(super) async fn no_replica_misses_a_change(h: &Harness) {
    let who = h.person("vic").await;
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [7, 20, 50, 50]
        .map(|limit| spawn(follow(h.store.clone(), who, limit, Arc::clone(&over))))
        .into_iter()
        .collect();
    let turns = (0..CHANGES / 4 + 16).map(|_| accept(h, who.0, who.1, new_conversation(h))).collect();
    let writing = Arc::new(Writing {
        store: h.store.clone(),
        who,
        turns: tokio::sync::Mutex::new(turns),
        changed: AtomicU64::new(0),
    });
    let writers: Vec<_> = (1..=8).map(|writer| spawn(write(Arc::clone(&writing), writer))).collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    over.store(true, Ordering::SeqCst);
    // Who begins only now finds the same.
    let truth = follow(h.store.clone(), who, 50, Arc::clone(&over)).await;
    for reader in readers {
        let replica = reader.await.expect("a reader");
        assert_eq!(replica.rows, truth.rows, "a reader missed a change, or kept a row that is deleted");
        assert!(replica.compared > 1, "the counts were compared only at the end");
    }
    let listed = live_rows(h, who).await;
    assert_eq!(truth.rows.keys().map(|(_, id)| *id).collect::<BTreeSet<_>>(), listed);
}

/// Every row that the other readers of the store list.
async fn live_rows(h: &Harness, (tenant, person): (TenantId, PersonId)) -> BTreeSet<Uuid> {
    let mut rows = BTreeSet::from([person.uuid()]);
    let mut after = None;
    loop {
        let list = crate::ListConversations { tenant, person, after, limit: 100 };
        let page = h.store.run(&h.call(), list).await.expect("listed");
        let Some(last) = page.last() else { return rows };
        after = Some((last.updated_at, last.id));
        for conversation in &page {
            rows.insert(conversation.id.uuid());
            let list = crate::ListMessages { tenant, person, conversation: conversation.id, after: None, limit: 100 };
            let messages = h.store.run(&h.call(), list).await.expect("listed").expect("a conversation");
            rows.extend(messages.into_iter().map(|message| message.id.uuid()));
        }
    }
}

/// A client that was away for 50,000 changes catches up in pages that never grow.
pub(super) async fn a_client_catches_up_in_bounded_pages(h: &Harness) {
    /// Each is a conversation, a message and a reply.
    const TURNS: usize = 16_667;
    let (tenant, person) = h.person("away").await;
    let turns: Vec<_> = (0..TURNS).map(|_| accept(h, tenant, person, new_conversation(h))).collect();
    let call = Call::within(Duration::from_secs(300));
    let take = |turn: AcceptMessage| h.store.accept_message(&call, turn);
    let told = stream::iter(turns).map(take).buffer_unordered(256);
    told.for_each(|told| async move { assert_eq!(told, Ok(Accepted::Taken(0))) }).await;
    let mut replica = Replica::default();
    while !replica.pull(&h.store, tenant, person, 50).await {}
    // The rows of the person and one member.
    let rows = 3 * TURNS + 1;
    assert_eq!((replica.rows.len(), replica.pages), (rows, rows.div_ceil(50) as u64));
    assert!(replica.pull(&h.store, tenant, person, 20).await, "there is nothing new");
    let positions = h.store.run(&h.call(), GetPositions { tenant, person }).await.expect("positions");
    assert_eq!(positions.cursor(), replica.cursor);
    let stream = StreamPage { tenant, stream: person.into(), after: positions.membership.head - 5, limit: 50 };
    assert_eq!(h.store.run(&h.call(), stream).await.expect("changes").len(), 5);
}

/// Members come and go in the stream of the organisation; titles change in that of the person.
pub(super) async fn each_stream_has_its_rows(h: &Harness) {
    let (tenant, owner) = h.person("owner").await;
    let (_, guest) = h.person("guest").await;
    let mut replica = Replica::default();
    assert!(replica.pull(&h.store, tenant, owner, 20).await);
    let add = AddMember { tenant, person: guest, role: mainstay_domain::Role::Member, now: h.now() };
    assert_eq!(h.store.run(&h.call(), add).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), add).await, Ok(false), "a member is added once");
    assert!(replica.pull(&h.store, tenant, owner, 20).await);
    assert!(replica.rows.contains_key(&(StreamScope::Organisation, guest.uuid())));
    let page = SyncPage { tenant, person: guest, after: Cursor::default(), limit: 20 };
    let page = h.store.run(&h.call(), page).await.expect("a page").expect("no reason to begin again");
    let roles: Vec<_> = page
        .changes
        .iter()
        .map(|change| match &change.row {
            Some(SyncedRow::Member(member)) => (member.person, member.role),
            other => panic!("{other:?} is no member"),
        })
        .collect();
    assert_eq!(roles, [(owner, mainstay_domain::Role::Owner), (guest, mainstay_domain::Role::Member)]);
    let change = |role| ChangeMember { tenant, person: guest, role, now: h.now(), tokens_end: h.now() };
    let changed = h.store.run(&h.call(), change(Some(mainstay_domain::Role::Admin))).await;
    assert!(matches!(changed, Ok(MemberChanged::Done(_))));
    let removed = h.store.run(&h.call(), change(None)).await;
    assert!(matches!(removed, Ok(MemberChanged::Done(_))));
    assert!(replica.pull(&h.store, tenant, owner, 20).await);
    assert!(!replica.rows.contains_key(&(StreamScope::Organisation, guest.uuid())), "who has left leaves a tombstone");

    let turn = accept(h, tenant, owner, new_conversation(h));
    assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    let title = ConversationTitle::parse("renamed").expect("a title");
    let rename = RenameConversation { tenant, person: owner, id: turn.target.id(), title, claim: None, now: h.now() };
    h.store.run(&h.call(), rename).await.expect("renamed");
    let delete = DeleteConversation { tenant, person: owner, id: turn.target.id(), claim: None, now: h.now() };
    h.store.run(&h.call(), delete).await.expect("deleted");
    // Its reply ends after that, and is nobody's news.
    let before = h.store.run(&h.call(), GetPositions { tenant, person: owner }).await.expect("positions");
    assert_eq!(h.store.settle_reply(&h.call(), settle(&turn, "late")).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), GetPositions { tenant, person: owner }).await, Ok(before));
    assert!(replica.pull(&h.store, tenant, owner, 20).await);
    assert_eq!(replica.rows.len(), 1, "only the owner is left");
}

/// Tombstones are forgotten in time, and who has not seen them begins again, as after a restore.
pub(super) async fn a_cursor_that_cannot_be_continued_is_refused(h: &Harness) {
    let (tenant, person) = h.person("old").await;
    let turn = accept(h, tenant, person, new_conversation(h));
    assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    let mut replica = Replica::default();
    assert!(replica.pull(&h.store, tenant, person, 20).await);
    let old = replica.cursor;
    let delete = DeleteConversation { tenant, person, id: turn.target.id(), claim: None, now: h.now() };
    h.store.run(&h.call(), delete).await.expect("deleted");
    h.clock.advance(Duration::from_secs(60));
    // Other kinds of old rows are swept beside it, and touch nothing here.
    h.store.run(&h.call(), ForgetExpired { now: h.now(), keys_before: h.now() }).await.expect("swept");
    assert!(replica.pull(&h.store, tenant, person, 20).await);
    assert_eq!(h.store.forget_tombstones(&h.call(), h.now()).await, Ok(1));
    assert_eq!(h.store.forget_tombstones(&h.call(), h.now()).await, Ok(0));
    let ask = |after| {
        let page = SyncPage { tenant, person, after, limit: 20 };
        async move { h.store.run(&h.call(), page).await.expect("an answer").map_err(|(reason, _)| reason) }
    };
    assert_eq!(ask(old).await.map(|page| page.changes), Err(Resync::Floor));
    assert!(replica.pull(&h.store, tenant, person, 20).await, "who has seen the tombstone goes on");
    let moved = |epoch: i64, head: i64| {
        let StreamCursor { epoch: e, head: h, floor } = replica.cursor.membership;
        Cursor { membership: StreamCursor { epoch: e + epoch, head: h + head, floor }, ..replica.cursor }
    };
    assert_eq!(ask(moved(1, 0)).await.map(|page| page.changes), Err(Resync::Epoch));
    assert_eq!(ask(moved(0, 1)).await.map(|page| page.changes), Err(Resync::Ahead));
    assert_eq!(ask(Cursor::default()).await.map(|page| page.changes.len()), Ok(1));
}

/// Who begins after tombstones were forgotten comes through, however small its pages, though its rows lie below the floor.
pub(super) async fn a_client_that_begins_below_the_floor_comes_through(h: &Harness) {
    let (tenant, person) = h.person("new").await;
    let turns: Vec<_> = (0..6).map(|_| accept(h, tenant, person, new_conversation(h))).collect();
    for turn in &turns {
        assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    }
    let delete = |n: usize| DeleteConversation { tenant, person, id: turns[n].target.id(), claim: None, now: h.now() };
    h.store.run(&h.call(), delete(5)).await.expect("deleted");
    h.clock.advance(Duration::from_secs(60));
    assert_eq!(h.store.forget_tombstones(&h.call(), h.now()).await, Ok(1));
    let mut replica = Replica::default();
    assert!(!replica.pull(&h.store, tenant, person, 4).await);
    // In the middle more is deleted, and nothing of that is forgotten yet.
    h.store.run(&h.call(), delete(0)).await.expect("deleted");
    while !replica.pull(&h.store, tenant, person, 4).await {}
    assert_eq!(replica.rows.len(), 4 * 3 + 1);
    // What is forgotten while a client is on its way is missing to it: it begins again.
    let mut slow = Replica::default();
    assert!(!slow.pull(&h.store, tenant, person, 4).await);
    h.store.run(&h.call(), delete(4)).await.expect("deleted");
    h.clock.advance(Duration::from_secs(60));
    assert_eq!(h.store.forget_tombstones(&h.call(), h.now()).await, Ok(2));
    let page = SyncPage { tenant, person, after: slow.cursor, limit: 4 };
    let refused = h.store.run(&h.call(), page).await.expect("an answer").expect_err("it has missed a tombstone");
    assert_eq!(refused.0, Resync::Floor);
}

/// A database from before there was one index of changes: all its rows get their places, and clients find the same.
pub(super) async fn what_was_there_before_the_index_is_taken_over(h: &Harness) {
    let (tenant, person) = h.person("before").await;
    let turns: Vec<_> = (0..5).map(|_| accept(h, tenant, person, new_conversation(h))).collect();
    for turn in &turns {
        assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    }
    assert_eq!(h.store.settle_reply(&h.call(), settle(&turns[0], "whole")).await, Ok(true));
    let delete = DeleteConversation { tenant, person, id: turns[1].target.id(), claim: None, now: h.now() };
    h.store.run(&h.call(), delete).await.expect("deleted");
    let mut replica = Replica::default();
    assert!(replica.pull(&h.store, tenant, person, 50).await);

    let mut migrator = crate::Migrator::open(&h.options).await.expect("the migrator opens");
    let patience = Duration::from_secs(30);
    migrator.down(3, patience).await.expect("taken back");
    migrator.up(h.now(), patience).await.expect("applied again");
    assert!(replica.pull(&h.store, tenant, person, 50).await, "the counts agree for who was there before");
    let mut fresh = Replica::default();
    assert!(fresh.pull(&h.store, tenant, person, 50).await);
    assert_eq!(fresh.rows, replica.rows);
    // What was open goes on: a reply in the making, and the one whose conversation is deleted.
    for turn in [&turns[2], &turns[1]] {
        assert_eq!(h.store.settle_reply(&h.call(), settle(turn, "after")).await, Ok(true));
    }
    assert!(fresh.pull(&h.store, tenant, person, 50).await);
}

/// What a process that serves nobody writes is counted, and nodes see each other's leases.
pub(super) async fn a_node_sees_the_others_and_what_is_written_beside_them(h: &Harness) {
    let watch = || crate::WatchNodes { prefix: "node:", now: h.now() };
    let before = h.store.run(&h.call(), watch()).await.expect("watched");
    assert!(before.leases.is_empty());
    let lease = |name: &str| crate::AcquireLease {
        name: name.to_owned(),
        holder: "x".to_owned(),
        now: h.now(),
        lasts: Duration::from_secs(10),
    };
    let number = h.store.run(&h.call(), lease("node:b")).await.expect("an answer").expect("taken");
    h.store.run(&h.call(), lease("nodes")).await.expect("an answer");
    // The harness has no listener: it counts as the command line does.
    let (tenant, person) = h.person("outside").await;
    let after = h.store.run(&h.call(), watch()).await.expect("watched");
    assert_eq!((after.leases, after.outside), (vec![("node:b".to_owned(), number)], before.outside + 1));
    h.clock.advance(Duration::from_secs(11));
    assert!(h.store.run(&h.call(), watch()).await.expect("watched").leases.is_empty());
    let streams = vec![(tenant, tenant.into()), (tenant, person.into())];
    let positions = h.store.run(&h.call(), crate::PositionsOf(streams)).await.expect("positions");
    assert_eq!(positions.iter().map(|at| (at.stream, at.head)).collect::<Vec<_>>(), [(tenant.into(), 1)]);

    // Who listens is told before the caller is, and nothing is counted any more.
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    h.store.listen(Arc::new(Heard(Arc::clone(&heard))));
    let turn = accept(h, tenant, person, new_conversation(h));
    assert_eq!(h.store.accept_message(&h.call(), turn).await, Ok(Accepted::Taken(0)));
    let at = h.store.run(&h.call(), GetPositions { tenant, person }).await.expect("positions");
    assert_eq!(*heard.lock().expect("lock"), [at.membership]);
    assert_eq!(h.store.run(&h.call(), watch()).await.expect("watched").outside, after.outside);
}

struct Heard(Arc<std::sync::Mutex<Vec<crate::Position>>>);

impl crate::Listener for Heard {
    fn committed(&self, positions: &[crate::Position]) {
        self.0.lock().expect("lock").extend_from_slice(positions);
    }
    fn unconfirmed(&self, _: &[TenantId]) {}
}
