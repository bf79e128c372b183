//! The batcher and the streams, against models: random schedules whose outcomes are compared with what they mean.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use mainstay_domain::{
    ConversationId, IdempotencyKey, MessageId, MessageStatus, PersonId, StreamId, TenantId, Timestamp,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::Harness;
use super::assistant::{accept, new_conversation, settle};
use crate::intent::Intent;
use crate::kinds::Kind;
use crate::stream::Changes;
use crate::tx::{Scope, Tx};
use crate::{AcceptMessage, Accepted, Claim, DeleteConversation, Error, ListMessages, Result, Target};

/// One member of a random batch.
#[derive(Clone, Debug)]
enum Act {
    /// A message that makes a conversation, perhaps with one of a few keys.
    New(Option<u8>),
    /// A message into the nth conversation, perhaps with one of a few keys.
    Into(usize, Option<u8>),
    /// A message into a conversation that never was.
    Nowhere(Option<u8>),
    /// The nth reply is settled.
    Settle(usize),
}

fn schedules() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let key = || proptest::option::weighted(0.6, 0u8..6);
    let act = prop_oneof![
        4 => key().prop_map(Act::New),
        4 => (0usize..8, key()).prop_map(|(nth, key)| Act::Into(nth, key)),
        1 => key().prop_map(Act::Nowhere),
        4 => (0usize..20).prop_map(Act::Settle),
    ];
    proptest::collection::vec(proptest::collection::vec(act, 1..24), 1..8)
}

/// What must be there.
#[derive(Default)]
struct Model {
    /// Conversations and the messages in them that were acknowledged.
    conversations: BTreeMap<ConversationId, BTreeSet<MessageId>>,
    /// Those that were deleted.
    deleted: BTreeSet<ConversationId>,
    /// Which reply each key stands for.
    keys: BTreeMap<u8, MessageId>,
    /// Replies, and whether they were settled.
    replies: Vec<(AcceptMessage, bool)>,
}

impl Model {
    fn nth(&self, n: usize) -> Option<ConversationId> {
        self.conversations.keys().nth(n % self.conversations.len().max(1)).copied()
    }

    /// Compares one answer with what it may be.
    fn hear(&mut self, accept: AcceptMessage, key: Option<u8>, told: Accepted) {
        let lives = match accept.target {
            Target::New(..) => true,
            Target::Existing(id) => self.conversations.contains_key(&id) && !self.deleted.contains(&id),
        };
        match told {
            Accepted::Taken(_) => {
                assert!(lives, "a message was taken into a conversation that is not there");
                if let Some(key) = key {
                    let earlier = self.keys.insert(key, accept.reply);
                    assert_eq!(earlier, None, "the key {key} was used twice");
                }
                let messages = self.conversations.entry(accept.target.id()).or_default();
                messages.extend([accept.message, accept.reply]);
                self.replies.push((accept, false));
            }
            // Another member of the same moment may have used the key and not been heard yet.
            Accepted::Repeat => assert!(key.is_some(), "a message without a key was called a repeat"),
            Accepted::Spent(limit) => panic!("{limit:?} is far away"),
            Accepted::NoConversation => assert!(!lives, "a conversation that is there was not found"),
        }
    }
}

pub(super) async fn batches_do_what_their_members_mean(h: &Harness) {
    let mut runner = TestRunner::new(Config::default());
    for round in 0..8 {
        let (tenant, person) = h.person(&format!("batch{round}")).await;
        let schedule = schedules().new_tree(&mut runner).expect("a schedule").current();
        let mut model = Model::default();
        for (moment, acts) in schedule.iter().enumerate() {
            run_together(h, (tenant, person), &mut model, acts).await;
            if moment % 3 == 2 {
                delete_one(h, (tenant, person), &mut model).await;
            }
        }
        compare(h, (tenant, person), &model).await;
    }
}

/// Hands in all acts at the same moment.
async fn run_together(h: &Harness, (tenant, person): (TenantId, PersonId), model: &mut Model, acts: &[Act]) {
    let call = h.call();
    let (mut accepts, mut settles) = (Vec::new(), Vec::new());
    for act in acts {
        let (target, key) = match act {
            Act::New(key) => (Some(new_conversation(h)), *key),
            Act::Into(nth, key) => (model.nth(*nth).map(Target::Existing), *key),
            Act::Nowhere(key) => (Some(Target::Existing(h.ids.make())), *key),
            Act::Settle(nth) => {
                if !model.replies.is_empty() {
                    settles.push(nth % model.replies.len());
                }
                (None, None)
            }
        };
        let Some(target) = target else { continue };
        let claim = key.map(|key| Claim {
            key: IdempotencyKey::parse(&format!("key {key}")).expect("a key"),
            fingerprint: "same".to_owned(),
        });
        accepts.push((AcceptMessage { claim, ..accept(h, tenant, person, target) }, key));
    }
    let (told, settled) = tokio::join!(
        join_all(accepts.iter().map(|(accept, _)| h.store.accept_message(&call, accept.clone()))),
        join_all(settles.iter().map(|nth| h.store.settle_reply(&call, settle(&model.replies[*nth].0, "settled")))),
    );
    let heard: Vec<_> = accepts.into_iter().zip(told).collect();
    // Those that were taken first: they say which keys are used.
    for want_taken in [true, false] {
        for ((accept, key), told) in &heard {
            let told = told.clone().expect("a batch answers");
            if (told == Accepted::Taken(0)) == want_taken {
                if told == Accepted::Repeat {
                    let used = key.is_some_and(|key| model.keys.contains_key(&key));
                    let raced =
                        heard.iter().any(|((_, other), told)| other == key && *told == Ok(Accepted::NoConversation));
                    assert!(used || raced, "a repeat of nothing");
                }
                model.hear(accept.clone(), *key, told);
            }
        }
    }
    let mut winners: BTreeMap<usize, usize> = BTreeMap::new();
    for (nth, settled) in settles.into_iter().zip(settled) {
        if settled.expect("a batch answers") {
            *winners.entry(nth).or_default() += 1;
        }
    }
    for (nth, wins) in winners {
        assert!(wins == 1 && !model.replies[nth].1, "a reply was settled twice");
        model.replies[nth].1 = true;
    }
}

async fn delete_one(h: &Harness, (tenant, person): (TenantId, PersonId), model: &mut Model) {
    let Some(id) = model.nth(0).filter(|id| !model.deleted.contains(id)) else { return };
    h.store
        .run(&h.call(), DeleteConversation { tenant, person, id, claim: None, now: h.now() })
        .await
        .expect("deleted");
    model.deleted.insert(id);
}

async fn compare(h: &Harness, (tenant, person): (TenantId, PersonId), model: &Model) {
    for (conversation, expected) in &model.conversations {
        let list = ListMessages { tenant, person, conversation: *conversation, after: None, limit: 1000 };
        let listed = h.store.run(&h.call(), list).await.expect("listed");
        if model.deleted.contains(conversation) {
            assert_eq!(listed, None);
            continue;
        }
        let listed = listed.expect("it was acknowledged");
        assert!(listed.windows(2).all(|pair| pair[0].ordinal > pair[1].ordinal), "two messages share an ordinal");
        let ids: BTreeSet<_> = listed.iter().map(|message| message.id).collect();
        assert_eq!((ids.len(), &ids), (listed.len(), expected), "a message is missing or stands twice");
        for message in &listed {
            let settled =
                model.replies.iter().find(|(accept, _)| accept.reply == message.id).map(|(_, settled)| *settled);
            let status = match settled {
                Some(false) => MessageStatus::Streaming,
                _ => MessageStatus::Final,
            };
            assert_eq!(message.status, status);
        }
    }
}

/// Takes numbers of several streams, and perhaps rolls back.
struct Take {
    rows: Vec<(TenantId, StreamId, Uuid)>,
    fails: bool,
    now: Timestamp,
}

impl Intent for Take {
    type Output = Vec<(TenantId, StreamId, i64)>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenants(self.rows.iter().map(|(tenant, ..)| *tenant).collect())
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let mut changes = Changes::default();
        for (tenant, stream, id) in &self.rows {
            changes.put(*tenant, *stream, Kind::Message, *id, None);
        }
        let numbers = changes.record(tx, self.now).await?;
        let mut given = Vec::new();
        for (tenant, stream, id) in &self.rows {
            given.push((*tenant, *stream, numbers.of(*tenant, *stream, *id)?));
        }
        assert!(numbers.of(self.rows[0].0, self.rows[0].1, Uuid::nil()).is_err(), "a number that nobody asked for");
        if self.fails { Err(Error::Fenced) } else { Ok(given) }
    }
}

/// Writes a new row and moves one that is not there: it fails with what it wrote last.
struct Misplaced(TenantId, StreamId, Uuid, Timestamp);

impl Intent for Misplaced {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Self(tenant, stream, id, now) = *self;
        let mut changes = Changes::default();
        changes.put(tenant, stream, Kind::Message, id, None);
        changes.put(tenant, stream, Kind::Message, Uuid::from_u128(1), Some(i64::MAX));
        changes.record(tx, now).await.map(|_| ())
    }
}

/// A transaction whose last writes fail, which are sent when it has run, leaves nothing behind and says why.
pub(super) async fn what_fails_last_is_rolled_back(h: &Harness) {
    let (tenant, person) = h.person("misplaced").await;
    let stream = StreamId::from(person);
    let take = |id: Uuid| Take { rows: vec![(tenant, stream, id)], fails: false, now: h.now() };
    let before = h.store.run(&h.call(), take(h.ids.make::<MessageId>().uuid())).await.expect("a number")[0].2;
    let (id, call) = (h.ids.make::<MessageId>().uuid(), h.call());
    let failed = h.store.run(&call, Misplaced(tenant, stream, id, h.now())).await;
    assert_eq!(failed, Err(Error::Bug("a synced row was not where its stream has it".to_owned())));
    let after = h.store.run(&h.call(), take(id)).await.expect("the row of the same id is not there")[0].2;
    assert_eq!(after, before + 1);
}

/// Transactions that take numbers of several streams at once, some of which roll back: each number is given once, a later
/// transaction gets higher ones, and nobody deadlocks.
pub(super) async fn the_model_of_a_stream_holds(h: &Harness) {
    let (tenant, person) = h.person("streams").await;
    let (other, them) = h.person("others").await;
    let streams = [(tenant, StreamId::from(person)), (tenant, StreamId::from(tenant)), (other, StreamId::from(them))];
    let take = (proptest::collection::vec(1usize..4, 3), proptest::bool::weighted(0.2));
    let schedule = proptest::collection::vec(proptest::collection::vec(take, 1..6), 30);
    let mut runner = TestRunner::new(Config::default());
    let schedule = schedule.new_tree(&mut runner).expect("a schedule").current();
    let mut last: BTreeMap<(TenantId, StreamId), i64> = BTreeMap::new();
    for moment in schedule {
        let call = h.call();
        let together = join_all(moment.iter().enumerate().map(|(n, (counts, fails))| {
            let places = streams.iter().zip(counts).flat_map(|(stream, count)| std::iter::repeat_n(stream, *count));
            let mut rows: Vec<_> =
                places.map(|(tenant, stream)| (*tenant, *stream, h.ids.make::<MessageId>().uuid())).collect();
            // Asked for in any order; the locks are taken in one.
            let by = n % rows.len();
            rows.rotate_left(by);
            h.store.run(&call, Take { rows, fails: *fails, now: h.now() })
        }))
        .await;
        let mut given: BTreeMap<(TenantId, StreamId), BTreeSet<i64>> = BTreeMap::new();
        for outcome in together {
            match outcome {
                Ok(numbers) => {
                    for (tenant, stream, number) in numbers {
                        let floor = last.get(&(tenant, stream)).copied().unwrap_or(0);
                        assert!(number > floor, "a number came again");
                        assert!(given.entry((tenant, stream)).or_default().insert(number), "a number was given twice");
                    }
                }
                Err(error) => assert_eq!(error, Error::Fenced),
            }
        }
        for (stream, numbers) in given {
            last.extend(numbers.last().map(|number| (stream, *number)));
        }
    }
}
