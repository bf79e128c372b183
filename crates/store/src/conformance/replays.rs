//! Recordings of pages: taken of who agrees, once, within bounds; looked at by operators, which is noted; forgotten.

use std::time::Duration;

use mainstay_domain::{PersonId, TenantId};
use uuid::Uuid;

use super::Harness;
use crate::{
    AuditReplays, ChunkTaken, FindReplay, FirstChunk, ForgetReplaysOf, GiveReplayConsent, KeptReplay, ListAccesses,
    ListReplays, MeasureReplays, ReadReplay, ReadReplayConsent, Reading, ReplayAmount, ReplayBounds, ReplayReason,
    TakeReplayChunk, WithdrawReplayConsent,
};

const BOUNDS: ReplayBounds = ReplayBounds { a_day: 2, chunks: 3, bytes: 20 };
const DAY: Duration = Duration::from_secs(86_400);

type Whose = (TenantId, PersonId);

fn chunk(h: &Harness, (tenant, person): Whose, replay: Uuid, number: u32) -> TakeReplayChunk {
    TakeReplayChunk {
        tenant,
        person,
        replay,
        number,
        page: "/".to_owned(),
        version: "abc".to_owned(),
        reason: ReplayReason::Sampled,
        events: format!("[{number}]"),
        span: (1_000 * i64::from(number), 1_000 * i64::from(number) + 500),
        errors: 0,
        bounds: BOUNDS,
        now: h.now(),
    }
}

async fn take(h: &Harness, chunk: TakeReplayChunk) -> ChunkTaken {
    h.store.run(&h.call(), chunk).await.expect("an answer")
}

async fn agree(h: &Harness, (tenant, person): Whose) {
    h.store.run(&h.call(), GiveReplayConsent { tenant, person, now: h.now() }).await.expect("given");
}

async fn list(h: &Harness, with_errors: bool) -> Vec<KeptReplay> {
    h.store.run(&h.call(), ListReplays { before: None, with_errors, limit: 10 }).await.expect("listed")
}

pub(super) async fn a_chunk_is_kept_once_of_who_agrees_and_within_bounds(h: &Harness) {
    let (ada, bob) = (h.person("ada").await, h.person("bob").await);
    let (first, second, third): (Uuid, Uuid, Uuid) = (h.ids.make(), h.ids.make(), h.ids.make());
    let consent = ReadReplayConsent { tenant: ada.0, person: ada.1 };
    assert_eq!(h.store.run(&h.call(), consent).await, Ok(None));
    assert_eq!(take(h, chunk(h, ada, first, 0)).await, ChunkTaken::NoConsent);
    agree(h, ada).await;
    let given = h.now();
    h.clock.advance(Duration::from_secs(1));
    agree(h, ada).await;
    assert_eq!(h.store.run(&h.call(), consent).await, Ok(Some(given)), "it is given once");
    // Chunks come in any order, and any of them twice.
    for (number, taken) in [(1, ChunkTaken::Kept), (0, ChunkTaken::Kept), (1, ChunkTaken::Known)] {
        assert_eq!(take(h, chunk(h, ada, first, number)).await, taken, "{number}");
    }
    let of_bob = chunk(h, (ada.0, bob.1), first, 2);
    assert_eq!(take(h, of_bob).await, ChunkTaken::NoConsent);
    h.store.run(&h.call(), GiveReplayConsent { tenant: ada.0, person: bob.1, now: h.now() }).await.expect("given");
    assert_eq!(take(h, chunk(h, (ada.0, bob.1), first, 2)).await, ChunkTaken::Another);
    // As many bytes, as many chunks, as many recordings of a day.
    let long = TakeReplayChunk { events: "x".repeat(15), ..chunk(h, ada, first, 2) };
    assert_eq!(take(h, long).await, ChunkTaken::TooLong);
    assert_eq!(take(h, TakeReplayChunk { errors: 2, ..chunk(h, ada, first, 2) }).await, ChunkTaken::Kept);
    assert_eq!(take(h, chunk(h, ada, first, 3)).await, ChunkTaken::TooLong);
    let huge = TakeReplayChunk { events: "x".repeat(21), ..chunk(h, ada, second, 0) };
    assert_eq!(take(h, huge).await, ChunkTaken::TooLong);
    h.clock.advance(Duration::from_millis(1));
    assert_eq!(take(h, chunk(h, ada, second, 0)).await, ChunkTaken::Kept);
    assert_eq!(take(h, chunk(h, ada, third, 0)).await, ChunkTaken::TooManyToday);
    assert_eq!(take(h, chunk(h, ada, first, 1)).await, ChunkTaken::Known);
    let all = list(h, false).await;
    assert_eq!(all.iter().map(|one| one.id).collect::<Vec<_>>(), [second, first], "the last first");
    let one = &all[1];
    assert_eq!((one.tenant, one.person, one.chunks, one.bytes, one.errors), (ada.0, ada.1, 3, 9, 2));
    assert_eq!((one.span, one.reason.as_str(), one.page.as_str()), ((0, 2_500), "error", "/"));
    assert_eq!(list(h, true).await, std::slice::from_ref(one));
    let before = Some((all[0].begun_at, all[0].id));
    let next = h.store.run(&h.call(), ListReplays { before, with_errors: false, limit: 10 }).await;
    assert_eq!(next, Ok(vec![one.clone()]));
    // On another day there is room for others.
    h.clock.advance(DAY);
    assert_eq!(take(h, chunk(h, ada, third, 0)).await, ChunkTaken::Kept);
}

pub(super) async fn whoever_looks_at_a_recording_is_noted(h: &Harness) {
    let (ada, bob) = (h.person("ada").await, h.person("bob").await);
    agree(h, ada).await;
    let replay: Uuid = h.ids.make();
    assert_eq!(h.store.run(&h.call(), AuditReplays(h.now())).await, Ok((Vec::new(), 0)));
    for number in [2, 0, 1] {
        assert_eq!(take(h, chunk(h, ada, replay, number)).await, ChunkTaken::Kept);
    }
    assert_eq!(h.store.run(&h.call(), FindReplay(replay)).await, Ok(Some(ada.0)));
    assert_eq!(h.store.run(&h.call(), FindReplay(h.ids.make())).await, Ok(None));
    let first = FirstChunk { id: replay, tenant: ada.0, events: "[0]".to_owned() };
    let later = h.now().plus(Duration::from_millis(1));
    assert_eq!(h.store.run(&h.call(), AuditReplays(later)).await, Ok((vec![first], 1)));
    let read = |tenant| ReadReplay {
        tenant,
        id: replay,
        chunks: 10,
        reading: Reading { id: h.ids.make(), by: bob.1, now: h.now() },
    };
    let (one, events) = h.store.run(&h.call(), read(ada.0)).await.expect("read").expect("it is there");
    assert_eq!((one.id, events), (replay, vec!["[0]".to_owned(), "[1]".to_owned(), "[2]".to_owned()]));
    assert_eq!(h.store.run(&h.call(), read(bob.0)).await, Ok(None), "it is not of that organisation");
    for (tenant, noted) in [(ada.0, 1), (bob.0, 0)] {
        let entries = h.store.run(&h.call(), ListAccesses { tenant, before: None, limit: 10 }).await.expect("listed");
        assert_eq!(entries.len(), noted);
        assert!(entries.iter().all(|entry| entry.what == "replay" && entry.subject == Some(replay)), "{entries:?}");
        assert!(entries.iter().all(|entry| entry.person == bob.1), "{entries:?}");
    }
}

pub(super) async fn recordings_go_with_the_consent_and_with_time(h: &Harness) {
    let (ada, bob) = (h.person("ada").await, h.person("bob").await);
    let begun = h.now();
    for (whose, count) in [(ada, 2), (bob, 1)] {
        agree(h, whose).await;
        for _ in 0..count {
            let replay = h.ids.make();
            for number in [0, 1] {
                assert_eq!(take(h, chunk(h, whose, replay, number)).await, ChunkTaken::Kept);
            }
        }
    }
    let measure = MeasureReplays(begun.minus(DAY));
    assert_eq!(h.store.run(&h.call(), measure).await, Ok(ReplayAmount { replays: 3, bytes: 18 }));
    let (tenant, person) = ada;
    h.store.run(&h.call(), WithdrawReplayConsent { tenant, person }).await.expect("withdrawn");
    assert_eq!(h.store.run(&h.call(), ReadReplayConsent { tenant, person }).await, Ok(None));
    assert_eq!(take(h, chunk(h, ada, h.ids.make(), 0)).await, ChunkTaken::NoConsent);
    let forget = ForgetReplaysOf { tenant, person, limit: 1 };
    for there in [1, 1, 0] {
        assert_eq!(h.store.run(&h.call(), forget).await, Ok(there));
    }
    assert_eq!(h.store.run(&h.call(), measure).await, Ok(ReplayAmount { replays: 1, bytes: 6 }));
    // What has grown lately stays.
    h.clock.advance(DAY);
    let late = h.now();
    assert_eq!(take(h, chunk(h, bob, h.ids.make(), 0)).await, ChunkTaken::Kept);
    assert_eq!(h.store.forget_replays(&h.call(), begun).await, Ok(0));
    assert_eq!(h.store.forget_replays(&h.call(), late).await, Ok(1));
    assert_eq!(h.store.forget_replays(&h.call(), late).await, Ok(0));
    assert_eq!(h.store.run(&h.call(), measure).await, Ok(ReplayAmount { replays: 1, bytes: 3 }));
}
