//! Voice sessions: places, turns that are counted, and replies that are cut.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    ConversationId, ConversationTitle, MessageStatus, MessageText, Plan, PlanLimits, Spent, Timestamp,
};
use uuid::Uuid;

use super::Harness;
use crate::{
    AcceptMessage, Accepted, AcquireLease, BeginVoiceSession, Bid, Cost, CutReply, EndVoiceSession, ForgetVoicePlaces,
    FoundVoiceSession, GetExchange, GetUsage, ListVoiceSessions, NewVoiceSession, ReleaseLease, RenewVoicePlaces,
    ReserveSpeech, SetPlanLimits, SettleReply, SettleSpeech, StreamPage, TakeVoicePlace, Target,
};

const LASTS: Duration = Duration::from_secs(10);

pub(super) async fn a_person_has_so_many_places_over_all_nodes(h: &Harness) {
    let ((tenant, person), (_, other)) = (h.person("ada").await, h.person("bob").await);
    let take = |person, now| TakeVoicePlace { tenant, person, places: 2, now, lasts: LASTS };
    let call = h.call();
    let now = h.now();
    let rush = join_all((0..8).map(|_| h.store.run(&call, take(person, now)))).await;
    let taken: Vec<(String, i64)> = rush.into_iter().filter_map(|place| place.expect("asked")).collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(h.store.run(&call, take(other, now)).await.expect("asked").is_some(), "each has their own");
    // What is renewed is kept; what is not is free again, and is not renewed any more.
    h.clock.advance(LASTS / 2);
    let renew = |places: Vec<(String, i64)>, now| RenewVoicePlaces { places, now, lasts: LASTS };
    let renewed = h.store.run(&call, renew(vec![taken[0].clone()], h.now())).await.expect("renewed");
    assert_eq!(renewed.into_iter().collect::<Vec<_>>(), [taken[0].1]);
    h.clock.advance(LASTS / 2);
    let third = h.store.run(&call, take(person, h.now())).await.expect("asked").expect("the dead one's place is free");
    assert_eq!(third.0, taken[1].0);
    assert_eq!(h.store.run(&call, take(person, h.now())).await, Ok(None));
    assert!(h.store.run(&call, renew(vec![taken[1].clone()], h.now())).await.expect("asked").is_empty());
    // One that is given back is free at once, and what everybody has left is forgotten.
    h.store.run(&call, ReleaseLease { name: third.0, number: third.1 }).await.expect("released");
    assert!(h.store.run(&call, take(person, h.now())).await.expect("asked").is_some());
    h.clock.advance(2 * LASTS);
    assert_eq!(h.store.run(&call, ForgetVoicePlaces(h.now())).await, Ok(3));
    assert_eq!(h.store.run(&call, ForgetVoicePlaces(h.now())).await, Ok(0));
}

pub(super) async fn turns_of_speech_are_set_aside_for_and_counted(h: &Harness) {
    let (tenant, person) = h.person("ada").await;
    let ((_, stranger), call, now) = (h.person("bob").await, h.call(), h.now());
    let limits = PlanLimits { cost_micros_per_month: Some(1_000), ..PlanLimits::default() };
    h.store.run(&call, SetPlanLimits(Plan::Free, limits)).await.expect("set");
    let new = |id, conversation, now| NewVoiceSession { id, tenant, person, conversation, now };
    let session: Uuid = h.ids.make();
    let begun = h.store.run(&call, BeginVoiceSession(new(session, None, now))).await;
    assert_eq!(begun, Ok(FoundVoiceSession::Begun));
    let nowhere = new(h.ids.make(), Some(ConversationId(h.ids.make())), now);
    assert_eq!(h.store.run(&call, BeginVoiceSession(nowhere)).await, Ok(FoundVoiceSession::NoConversation));
    let usage = async || {
        let of =
            GetUsage { tenant, person, month: mainstay_domain::Month::of(now), day: mainstay_domain::Day::of(now) };
        h.store.run(&call, of).await.expect("read").expect("there").person
    };
    assert_eq!(usage().await.month.voice_seconds, 0, "the second that was asked for is given back");
    let bid = Some(Bid { least_micros: 100, most_micros: 700, lasts: Duration::from_secs(60) });
    let reserve = |id| ReserveSpeech { id, tenant, person, bid, now };
    let (one, two, three): (Uuid, Uuid, Uuid) = (h.ids.make(), h.ids.make(), h.ids.make());
    assert_eq!(h.store.run(&call, reserve(one)).await, Ok(Ok(700)));
    assert_eq!(h.store.run(&call, reserve(two)).await, Ok(Ok(300)), "what is left");
    assert_eq!(h.store.run(&call, reserve(three)).await, Ok(Err(Spent::PlanCost)));
    let settle = |id, cost| SettleSpeech {
        id,
        session,
        tenant,
        person,
        conversation: None,
        reserved_at: now,
        heard_ms: 2_400,
        more_seconds: 2,
        spoken_characters: 40,
        interrupted: true,
        cost: Cost::Known(cost),
    };
    h.store.run(&call, settle(one, 120)).await.expect("settled");
    h.store.run(&call, settle(two, 80)).await.expect("settled");
    let used = usage().await;
    assert_eq!((used.month.voice_seconds, used.month.cost_micros, used.reserved_micros), (6, 200, 0));
    let list = |person, after| ListVoiceSessions { tenant, person, after, limit: 10 };
    let listed = h.store.run(&call, list(person, None)).await.expect("listed");
    let [it] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((it.id, it.turns, it.interruptions, it.heard_ms, it.cost_micros), (session, 2, 2, 4_800, 200));
    assert_eq!(h.store.run(&call, list(stranger, None)).await, Ok(vec![]));
    assert_eq!(h.store.run(&call, list(person, Some(session))).await, Ok(vec![]));
    let end = |reason| EndVoiceSession { id: session, tenant, reason, latency_ms: Some(310), now: h.now() };
    h.store.run(&call, end("stopped")).await.expect("ended");
    h.store.run(&call, end("dropped")).await.expect("nothing to end");
    let listed = h.store.run(&call, list(person, None)).await.expect("listed");
    assert_eq!((listed[0].reason.as_deref(), listed[0].latency_ms), (Some("stopped"), Some(310)));
    // Whose node died is found later.
    let lost: Uuid = h.ids.make();
    h.store.run(&call, BeginVoiceSession(new(lost, None, now))).await.expect("begun");
    let later: Timestamp = now.plus(Duration::from_secs(7_200));
    assert_eq!(h.store.give_up_voice_sessions(&call, later, later).await, Ok(1));
    assert_eq!(h.store.give_up_voice_sessions(&call, later, later).await, Ok(0));
    let limits = PlanLimits::default();
    h.store.run(&call, SetPlanLimits(Plan::Free, limits)).await.expect("set");
}

pub(super) async fn a_reply_is_cut_to_what_was_heard(h: &Harness) {
    let (tenant, person) = h.person("ada").await;
    let call = h.call();
    let acquire = AcquireLease {
        name: "node:voice".to_owned(),
        holder: "x".to_owned(),
        now: h.now(),
        lasts: Duration::from_secs(60),
    };
    let lease = h.store.run(&call, acquire).await.expect("asked").expect("free");
    let content = MessageText::parse("When is it open?".to_owned()).expect("a text");
    let conversation: ConversationId = h.ids.make();
    let accept = AcceptMessage {
        tenant,
        person,
        target: Target::New(conversation, ConversationTitle::from_message(&content)),
        message: h.ids.make(),
        reply: h.ids.make(),
        content,
        images: Vec::new(),
        lease,
        claim: None,
        bid: None,
        now: h.now(),
    };
    let generation = accept.reply.into();
    assert!(matches!(h.store.accept_message(&call, accept).await, Ok(Accepted::Taken(_))));
    let cut = |bytes| CutReply { tenant, person, conversation, generation, bytes, now: h.now() };
    assert_eq!(h.store.run(&call, cut(3)).await, Ok(false), "it is still made");
    let settle = SettleReply {
        tenant,
        person,
        generation,
        lease,
        status: MessageStatus::Final,
        content: Some("It is open. Olá, come at three.".to_owned()),
        tools: Vec::new(),
        provider: None,
        model: None,
        usage: None,
        cost: Cost::Free,
        fault: None,
        now: h.now(),
    };
    assert_eq!(h.store.settle_reply(&call, settle).await, Ok(true));
    let seen = StreamPage { tenant, stream: person.into(), after: 0, limit: 50 };
    let before = h.store.run(&call, seen).await.expect("a page");
    assert_eq!(h.store.run(&call, cut(15)).await, Ok(true), "in the middle of the á");
    let exchange = h.store.run(&call, GetExchange { tenant, person, generation }).await.expect("read").expect("there");
    assert_eq!((exchange.reply.content.as_str(), exchange.reply.status), ("It is open. Ol", MessageStatus::Stopped));
    assert_eq!(h.store.run(&call, cut(15)).await, Ok(false), "nothing is left to cut");
    let after = h.store.run(&call, seen).await.expect("a page");
    assert_ne!(before, after, "whoever syncs is told");
}
