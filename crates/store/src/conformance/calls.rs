//! Calls: what is told of one in any order ends the same, what the agent did is noted once, and who reads is noted.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    CallDirection, CallMask, CallOutcome, CallState, CallTold, CallWords, Cursor, PersonId, PhoneCall, PhoneCallId,
    PhoneMessageId, TenantId, Timestamp,
};
use uuid::Uuid;

use super::reception::know;
use super::{EngineKind, Harness};
use crate::{
    AccessEntry, Board, CallAction, Error, FindActions, ForgetCalls, ForgetReadingOfNobody, GetPhoneAgent,
    GetPositions, HandleMessage, HearCall, IndexCall, ListAccesses, ListCallKeeping, ListCalls, ListCallsNotIndexed,
    ListContacts, ListPhoneMessages, ListSilentCalls, Migrator, NoteActions, PhoneAgent, PhoneMessage, PutPhoneAgent,
    ReadCall, ReadContact, ReadContacts, ReadNewestCalls, Reading, SearchCalls, SyncPage, SyncedRow, TakeMessage,
    WhichCalls,
};

const MINUTE: Duration = Duration::from_secs(60);

fn hear(h: &Harness, tenant: TenantId, provider_id: &str, told: CallTold) -> HearCall {
    let provider_id = provider_id.to_owned();
    HearCall { tenant, provider_id, id: h.ids.make(), told, contact: None, fence: None, now: h.now() }
}

fn status(state: CallState, at: Timestamp) -> CallTold {
    CallTold {
        state: Some(state),
        direction: Some(CallDirection::Inbound),
        number: Some("+4930901820".to_owned()),
        started_at: (state == CallState::InProgress).then_some(at),
        ended_at: (state == CallState::Ended).then_some(at),
        at: Some(at),
        ..CallTold::default()
    }
}

fn reading(h: &Harness, by: PersonId) -> Reading {
    Reading { id: h.ids.make(), by, now: h.now() }
}

/// What failed is noted anew, and what was done is not.
async fn what_failed_is_not_final(h: &Harness, mut tried: NoteActions) {
    let id = Uuid::from_u128(2);
    tried.actions[0].id = id;
    for (outcome, kept) in [("failed", "failed"), ("done", "done"), ("failed", "done"), ("nobody", "done")] {
        outcome.clone_into(&mut tried.actions[0].outcome);
        h.store.run(&h.call(), tried.clone()).await.expect("noted");
        let find = FindActions { tenant: tried.call.tenant, ids: vec![id] };
        let found = h.store.run(&h.call(), find).await.expect("found");
        assert_eq!(found[0].outcome, kept);
    }
}

pub(super) async fn a_call_is_pieced_together(h: &Harness) {
    let (tenant, person) = h.person("clinic").await;
    let ada = know(h, tenant, "Ada", Some("+4930901820"), None).await;
    let began = h.now();
    let events = [
        status(CallState::Ringing, began),
        status(CallState::InProgress, began.plus(MINUTE)),
        status(CallState::Ended, began.plus(3 * MINUTE)),
        CallTold {
            report: true,
            state: Some(CallState::Ended),
            summary: Some("A cleaning was booked.".to_owned()),
            transcript: Some("[]".to_owned()),
            recording_url: Some("https://storage.example/rec.wav".to_owned()),
            cost_micros: Some(142_100),
            at: Some(began.plus(4 * MINUTE)),
            ..CallTold::default()
        },
    ];
    // All of it at once, twice, the last first.
    let call = h.call();
    let all =
        events.iter().rev().chain(&events).map(|told| h.store.run(&call, hear(h, tenant, "call-1", told.clone())));
    let ids: std::collections::BTreeSet<PhoneCallId> =
        join_all(all).await.into_iter().map(|heard| heard.expect("heard").id).collect();
    assert_eq!(ids.len(), 1, "it is one call");
    let id = ids.into_iter().next().expect("one");
    let note = |outcome: CallOutcome, action: &str| NoteActions {
        call: hear(h, tenant, "call-1", CallTold { outcome: Some(outcome), at: Some(began), ..CallTold::default() }),
        actions: vec![CallAction {
            id: Uuid::from_u128(7 + outcome as u128),
            tool: action.to_owned(),
            outcome: "done".to_owned(),
            answer: "It is done.".to_owned(),
            appointment: Some(h.ids.make()),
            created_at: began.plus(MINUTE),
        }],
    };
    for (outcome, tool) in [
        (CallOutcome::Booked, "book_appointment"),
        (CallOutcome::Answered, "opening_hours"),
        (CallOutcome::Booked, "book_appointment"),
    ] {
        assert_eq!(h.store.run(&h.call(), note(outcome, tool)).await.map(|call| call.id), Ok(id));
    }
    what_failed_is_not_final(h, note(CallOutcome::Answered, "cancel_appointment")).await;
    let ids = vec![note(CallOutcome::Answered, "").actions[0].id, Uuid::from_u128(1)];
    let found = h.store.run(&h.call(), FindActions { tenant, ids }).await.expect("found");
    assert_eq!(found.iter().map(|one| one.tool.as_str()).collect::<Vec<_>>(), ["opening_hours"]);
    let read = ReadCall { tenant, id, reading: reading(h, person) };
    let (known, actions) = h.store.run(&h.call(), read).await.expect("read").expect("there");
    assert_eq!(
        (known.state, known.contact, known.outcome),
        (CallState::Ended, Some(ada.id), Some(CallOutcome::Booked))
    );
    assert_eq!((known.duration_millis(), known.cost_micros), (Some(120_000), Some(142_100)));
    let tools: Vec<_> = actions.iter().map(|one| one.tool.as_str()).collect();
    assert_eq!(tools, ["cancel_appointment", "opening_hours", "book_appointment"]);
    // Whoever follows the organisation sees that something happened.
    let page = SyncPage { tenant, person, after: Cursor::default(), limit: 20 };
    let page = h.store.run(&h.call(), page).await.expect("read").expect("a page");
    let boards = page.changes.iter().filter_map(|change| match &change.row {
        Some(SyncedRow::Board(board)) => Some(*board),
        _ => None,
    });
    let boards: Vec<_> = boards.collect();
    assert!(matches!(boards[..], [Board { appointments: 0, calls: 1.. }]), "{boards:?}");
    let list = ListCalls { tenant, which: WhichCalls::All(None), limit: 10 };
    let without = PhoneCall { transcript: None, ..known.clone() };
    assert_eq!(h.store.run(&h.call(), list).await, Ok(vec![without]));
    let before = ListCalls { which: WhichCalls::All(Some((known.created_at, known.id))), ..list };
    assert_eq!(h.store.run(&h.call(), before).await, Ok(vec![]));
    // Another organisation has none of it, and may have a call of that name itself.
    let (other, _) = h.person("other").await;
    assert_eq!(h.store.run(&h.call(), ListCalls { tenant: other, ..list }).await, Ok(vec![]));
    let theirs = h.store.run(&h.call(), ReadCall { tenant: other, id, reading: reading(h, person) }).await;
    assert_eq!(theirs, Ok(None));
    let own = h.store.run(&h.call(), hear(h, other, "call-1", events[0].clone())).await.expect("heard");
    assert!(own.id != id && own.contact.is_none());
}

pub(super) async fn what_is_silent_is_found_and_what_is_old_is_forgotten(h: &Harness) {
    let (tenant, _) = h.person("clinic").await;
    let began = h.now();
    let heard = async |provider_id: &str, state, at| {
        let heard = hear(h, tenant, provider_id, status(state, at));
        h.store.run(&h.call(), heard).await.expect("heard")
    };
    let silent = heard("silent", CallState::InProgress, began).await;
    heard("over", CallState::Ended, began).await;
    let live = heard("live", CallState::InProgress, began.plus(50 * MINUTE)).await;
    let since = began.plus(30 * MINUTE);
    let listed = h.store.run(&h.call(), ListSilentCalls { since, limit: 1_000 }).await.expect("listed");
    let mine: Vec<_> = listed.into_iter().filter(|(whose, _)| *whose == tenant).collect();
    assert_eq!(mine, [(tenant, "silent".to_owned())]);
    let going_on = ListCalls { tenant, which: WhichCalls::Live(since), limit: 10 };
    let ids = |calls: Vec<PhoneCall>| calls.into_iter().map(|call| call.id).collect::<Vec<_>>();
    assert_eq!(h.store.run(&h.call(), going_on).await.map(ids), Ok(vec![live.id]));
    let lost = CallTold { state: Some(CallState::Lost), at: Some(began), ..CallTold::default() };
    let lost = h.store.run(&h.call(), hear(h, tenant, "silent", lost)).await.expect("heard");
    assert_eq!((lost.id, lost.state), (silent.id, CallState::Lost));
    // For how long calls are kept, though nobody has said.
    assert_eq!(h.store.run(&h.call(), GetPhoneAgent(tenant)).await, Ok(Some(PhoneAgent::default())));
    let agent = PhoneAgent {
        assistant_id: None,
        greeting: "Hello".to_owned(),
        instructions: "Be brief".to_owned(),
        transfer_number: Some("+4930901821".to_owned()),
        keep_days: 90,
        mask: CallMask { cards: false, emails: true, phones: true },
    };
    let put = PutPhoneAgent { tenant, agent: agent.clone(), now: h.now() };
    h.store.run(&h.call(), put).await.expect("put");
    assert_eq!(h.store.run(&h.call(), GetPhoneAgent(tenant)).await, Ok(Some(agent)));
    let keeping = async |now| {
        let mut keeping = Vec::new();
        loop {
            let after = keeping.last().map(|(tenant, _): &(TenantId, u32)| *tenant);
            let rows = h.store.run(&h.call(), ListCallKeeping { now, after, limit: 3 }).await.expect("listed");
            if rows.is_empty() {
                return keeping;
            }
            keeping.extend(rows);
        }
    };
    let day = MINUTE * 60 * 24;
    assert!(!keeping(began.plus(89 * day)).await.iter().any(|(whose, _)| *whose == tenant));
    assert!(keeping(began.plus(91 * day)).await.contains(&(tenant, 90)));
    let forget = |before| ForgetCalls { tenant, before };
    assert_eq!(h.store.run(&h.call(), forget(began)).await, Ok(0));
    assert_eq!(h.store.run(&h.call(), forget(h.now().plus(MINUTE))).await, Ok(3));
    let list = ListCalls { tenant, which: WhichCalls::All(None), limit: 10 };
    assert_eq!(h.store.run(&h.call(), list).await, Ok(vec![]));
}

pub(super) async fn calls_are_found_by_their_words(h: &Harness) {
    let (tenant, person) = h.person("clinic").await;
    let (other, stranger) = h.person("other").await;
    know(h, tenant, "Ada Lovelace", Some("+4930901820"), None).await;
    let said = |summary: &str, text: &str| CallTold {
        report: true,
        state: Some(CallState::Ended),
        number: Some("+4930901820".to_owned()),
        summary: Some(summary.to_owned()),
        transcript: Some(serde_json::json!([{"role": "caller", "text": text}]).to_string()),
        at: Some(h.now()),
        ..CallTold::default()
    };
    let mut minutes = 0;
    let mut heard = async |tenant, name: &str, told| {
        minutes += 1;
        let hear = HearCall { now: h.now().plus(MINUTE * minutes), ..hear(h, tenant, name, told) };
        h.store.run(&h.call(), hear).await.expect("heard").id
    };
    let crown = heard(tenant, "call-1", said("About a crown.", "My bridge is loose. Where is it?")).await;
    let bridge = heard(tenant, "call-2", said("About a bridge.", "Nothing else")).await;
    let ringing = CallTold { report: false, state: Some(CallState::Ringing), ..said("", "") };
    let live = heard(tenant, "call-3", CallTold { summary: None, transcript: None, ..ringing }).await;
    heard(other, "call-1", said("About a crown.", "bridge")).await;
    let search = async |whose: (TenantId, PersonId), q: &str, live_since, before, limit| {
        let (words, reading) = (CallWords::sought(q), reading(h, whose.1));
        let search = SearchCalls { tenant: whose.0, words, live_since, before, limit, reading };
        let (calls, next) = h.store.run(&h.call(), search).await.expect("searched");
        (calls.into_iter().map(|call| call.id).collect::<Vec<_>>(), next)
    };
    let whose = (tenant, person);
    let found = async |q: &str| search(whose, q, None, None, 10).await.0;
    assert_eq!(found("bridge").await, [bridge, crown], "the last first");
    assert_eq!(found("bridge crown").await, [crown], "all words");
    assert_eq!(found("Lovelace").await, [live, bridge, crown]);
    assert_eq!(found("030 901820").await.len(), 3);
    assert!(found("implant").await.is_empty());
    assert!(found("the").await.is_empty(), "nothing that tells something");
    assert_eq!(search(whose, "lovelace", Some(Timestamp::EPOCH), None, 10).await.0, [live]);
    assert_eq!(search((other, stranger), "crown", None, None, 10).await.0.len(), 1, "their own");
    // Page by page.
    let (page, next) = search(whose, "bridge", None, None, 1).await;
    assert_eq!((page.as_slice(), next.map(|(_, id)| id)), ([bridge].as_slice(), Some(bridge)));
    let (page, next) = search(whose, "bridge", None, next, 1).await;
    assert_eq!(page, [crown]);
    assert_eq!(search(whose, "bridge", None, next, 1).await, (Vec::new(), None));
    // What is said anew is found by that, and no longer by what it was; and it is noted who looked.
    let news = CallTold { at: Some(h.now().plus(MINUTE)), ..said("About an implant.", "Where is it?") };
    heard(tenant, "call-2", news).await;
    assert_eq!((found("implant").await, found("bridge").await), (vec![bridge], vec![crown]));
    let log = ListAccesses { tenant, before: None, limit: 100 };
    let log = h.store.run(&h.call(), log).await.expect("listed");
    assert!(log.len() > 5 && log.iter().all(|entry| entry.what == "calls" && entry.person == person));
    // What nobody has told anything of yet waits for its words.
    let list = ListCallsNotIndexed { before: h.now().plus(MINUTE * 60), limit: 100 };
    heard(tenant, "call-4", CallTold::default()).await;
    let waiting = h.store.run(&h.call(), list).await.expect("listed");
    let mine: Vec<_> = waiting.into_iter().filter(|(whose, _)| *whose == tenant).collect();
    assert_eq!(mine.len(), 1);
    for (tenant, id) in mine {
        h.store.run(&h.call(), IndexCall { tenant, id }).await.expect("indexed");
    }
    let waiting = h.store.run(&h.call(), list).await.expect("listed");
    assert!(!waiting.iter().any(|(whose, _)| *whose == tenant));
    // Forgotten with the call.
    let forget = ForgetCalls { tenant, before: h.now().plus(MINUTE * 60) };
    assert_eq!(h.store.run(&h.call(), forget).await, Ok(4));
    assert!(found("implant").await.is_empty());
}

pub(super) async fn messages_are_taken_once_and_readers_are_noted(h: &Harness) {
    let (tenant, person) = h.person("clinic").await;
    let contact = know(h, tenant, "Ada", Some("+4930901820"), None).await;
    let message = PhoneMessage {
        id: PhoneMessageId(h.ids.make()),
        call: Some(h.ids.make()),
        contact: Some(contact.id),
        name: "Ada".to_owned(),
        phone: Some("+4930901820".to_owned()),
        body: "Please call back.".to_owned(),
        created_at: h.now(),
        handled: None,
    };
    for _ in 0..2 {
        h.store.run(&h.call(), TakeMessage { tenant, message: message.clone() }).await.expect("taken");
    }
    let list = ListPhoneMessages { tenant, before: None, limit: 10 };
    assert_eq!(h.store.run(&h.call(), list).await, Ok(vec![message.clone()]));
    let handle = HandleMessage { tenant, id: message.id, by: Some(person), now: h.now() };
    let handled = h.store.run(&h.call(), handle).await.expect("handled");
    assert_eq!(handled.handled, Some((h.now(), person)));
    let open = h.store.run(&h.call(), HandleMessage { by: None, ..handle }).await.expect("opened");
    assert_eq!(open.handled, None);
    let (other, _) = h.person("other").await;
    assert_eq!(h.store.run(&h.call(), HandleMessage { tenant: other, ..handle }).await, Err(Error::Missing("message")));
    // Who reads.
    let one = ReadContact { tenant, id: contact.id, reading: reading(h, person) };
    assert_eq!(h.store.run(&h.call(), one).await, Ok(Some(contact.clone())));
    h.clock.advance(MINUTE);
    let list = ListContacts { tenant, after: None, limit: 10 };
    let page = ReadContacts { list: list.clone(), reading: reading(h, person) };
    assert_eq!(h.store.run(&h.call(), page).await, Ok(vec![contact.clone()]));
    let nobody = ReadContact { tenant, id: h.ids.make(), reading: reading(h, person) };
    assert_eq!(h.store.run(&h.call(), nobody).await, Ok(None));
    let accesses = ListAccesses { tenant, before: None, limit: 10 };
    let entries: Vec<AccessEntry> = h.store.run(&h.call(), accesses).await.expect("listed");
    let told: Vec<_> = entries.iter().map(|one| (one.what.as_str(), one.subject, one.person)).collect();
    assert_eq!(told, [("contacts", None, person), ("contact", Some(contact.id.uuid()), person)]);
    let last = entries.last().map(|one| (one.at, one.id));
    assert_eq!(h.store.run(&h.call(), ListAccesses { before: last, ..accesses }).await, Ok(vec![]));
}

pub(super) async fn what_was_said_last_is_read_with_what_is_to_be_masked(h: &Harness) {
    let (tenant, person) = h.person("said-last").await;
    let told = CallTold { report: true, summary: Some("In short.".to_owned()), ..CallTold::default() };
    h.store.run(&h.call(), hear(h, tenant, "call-1", told)).await.expect("heard");
    let read = async |before| {
        let read = ReadNewestCalls { before };
        let said = h.store.run(&h.call(), read).await.expect("read");
        said.into_iter().find(|one| one.tenant == tenant)
    };
    let said = read(None).await.expect("it is there");
    assert_eq!((said.summary.as_deref(), said.mask.0), (Some("In short."), CallMask::default()));
    let mask = CallMask { emails: true, ..CallMask::default() };
    let put = PutPhoneAgent { tenant, agent: PhoneAgent { mask, ..PhoneAgent::default() }, now: h.now() };
    h.store.run(&h.call(), put).await.expect("put");
    assert_eq!(read(None).await.expect("it is there").mask, (mask, Some(h.now())));
    assert_eq!(read(Some(said.id)).await, None);
    // What was noted of readers of an organisation that is there is never taken away.
    let list = ListContacts { tenant, after: None, limit: 10 };
    h.store.run(&h.call(), ReadContacts { list, reading: reading(h, person) }).await.expect("read");
    assert_eq!(h.store.run(&h.call(), ForgetReadingOfNobody { tenant, by: person }).await, Ok(0));
    let nowhere = TenantId(h.ids.make());
    let list = ListContacts { tenant: nowhere, after: None, limit: 10 };
    h.store.run(&h.call(), ReadContacts { list, reading: reading(h, person) }).await.expect("read");
    let accesses = ListAccesses { tenant: nowhere, before: None, limit: 10 };
    assert_eq!(h.store.run(&h.call(), accesses).await.expect("listed").len(), 1);
    assert_eq!(h.store.run(&h.call(), ForgetReadingOfNobody { tenant: nowhere, by: person }).await, Ok(1));
    assert_eq!(h.store.run(&h.call(), accesses).await.expect("listed"), []);
}

/// The migration goes down while boards are in streams, and what those count is right after that.
async fn boards_can_be_taken_back(engine: EngineKind) {
    let Some(h) = Harness::open(engine).await else { return };
    let (tenant, person) = h.person("undone").await;
    h.store.run(&h.call(), hear(&h, tenant, "call-1", status(CallState::Ringing, h.now()))).await.expect("heard");
    let positions = async || h.store.run(&h.call(), GetPositions { tenant, person }).await.expect("read").organisation;
    let before = positions().await;
    assert_eq!(before.live_rows, 2, "the owner and the board");
    let mut migrator = Migrator::open(&h.options).await.expect("opened");
    migrator.down(17, Duration::from_secs(10)).await.expect("undone");
    let after = positions().await;
    assert_eq!((after.live_rows, after.live_sum, after.epoch), (1, 1, before.epoch + 1));
    migrator.up(h.now(), Duration::from_secs(10)).await.expect("applied again");
    let page = SyncPage { tenant, person, after: Cursor::default(), limit: 20 };
    let page = h.store.run(&h.call(), page).await.expect("read").expect("a page");
    assert!(matches!(page.changes[..], [crate::Change { row: Some(SyncedRow::Member(_)), .. }]), "{page:?}");
    h.store.close().await;
}

#[tokio::test]
async fn boards_can_be_taken_back_on_sqlite() {
    boards_can_be_taken_back(EngineKind::Sqlite).await;
}

#[tokio::test]
async fn boards_can_be_taken_back_on_postgres() {
    boards_can_be_taken_back(EngineKind::Postgres).await;
}
