//! Conversations, turns, idempotency, rescue.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    ConversationId, ConversationTitle, IdempotencyKey, MessageId, MessageRole, MessageStatus, MessageText, PersonId,
    TenantId, ToolState, ToolUsed, Usage,
};

use super::Harness;
use crate::{
    AcceptMessage, Accepted, AcquireLease, Claim, Conversation, Cost, CreateConversation, DeleteConversation, Error,
    FindUsed, ForgetExpired, GetConversation, GetExchange, LeasesGone, ListConversations, ListMessages, Message, Once,
    ReadHistory, RenameConversation, RepliesOf, RequestStop, SaveReply, Saved, SettleReply, Target,
};

pub(super) fn accept(h: &Harness, tenant: TenantId, person: PersonId, target: Target) -> AcceptMessage {
    AcceptMessage {
        tenant,
        person,
        target,
        message: h.ids.make(),
        reply: h.ids.make(),
        content: text("What's \"this\" — 🦀?"),
        images: Vec::new(),
        lease: 7,
        claim: None,
        bid: None,
        now: h.now(),
    }
}

fn text(text: &str) -> MessageText {
    MessageText::parse(text.to_owned()).expect("a message")
}

pub(super) fn new_conversation(h: &Harness) -> Target {
    Target::New(h.ids.make(), ConversationTitle::from_message(&text("A title")))
}

pub(super) fn settle(accept: &AcceptMessage, content: &str) -> SettleReply {
    SettleReply {
        tenant: accept.tenant,
        person: accept.person,
        generation: accept.reply.into(),
        lease: accept.lease,
        status: MessageStatus::Final,
        content: Some(content.to_owned()),
        tools: Vec::new(),
        provider: Some("offline".to_owned()),
        model: Some("none".to_owned()),
        usage: Some(Usage { input_tokens: 3, output_tokens: 5 }),
        cost: Cost::Free,
        fault: None,
        now: accept.now,
    }
}

async fn messages(h: &Harness, accept: &AcceptMessage) -> Vec<Message> {
    let list = ListMessages {
        tenant: accept.tenant,
        person: accept.person,
        conversation: accept.target.id(),
        after: None,
        limit: 50,
    };
    h.store.run(&h.call(), list).await.expect("listed").expect("a conversation")
}

pub(super) async fn a_turn_is_accepted_saved_and_settled(h: &Harness) {
    let (tenant, person) = h.person("kim").await;
    let first = accept(h, tenant, person, new_conversation(h));
    assert_eq!(h.store.accept_message(&h.call(), first.clone()).await, Ok(Accepted::Taken(0)));
    let shown = |messages: Vec<Message>| -> Vec<_> {
        messages.into_iter().map(|message| (message.ordinal, message.status, message.content)).collect()
    };
    assert_eq!(
        shown(messages(h, &first).await),
        [(1, MessageStatus::Streaming, String::new()), (0, MessageStatus::Final, "What's \"this\" — 🦀?".to_owned())]
    );
    let save = |text: &str| SaveReply {
        tenant,
        generation: first.reply.into(),
        lease: 7,
        text: Some(text.to_owned()),
        tools: Vec::new(),
    };
    assert_eq!(h.store.save_reply(&h.call(), save("half")).await, Ok(Saved::GoOn));
    assert_eq!(h.store.save_reply(&h.call(), SaveReply { text: None, ..save("") }).await, Ok(Saved::GoOn));
    let get = GetExchange { tenant, person, generation: first.reply.into() };
    let exchange = h.store.run(&h.call(), get).await.expect("read").expect("there");
    assert_eq!((exchange.message.id, exchange.reply.content.as_str()), (first.message, "half"));
    let stop = RequestStop { tenant, person, generation: first.reply.into(), now: h.now() };
    assert_eq!(h.store.run(&h.call(), stop).await, Ok(true));
    // A save without a text leaves the one that is there, and sees the stop as well.
    let look = SaveReply { text: None, ..save("") };
    assert_eq!(h.store.save_reply(&h.call(), look.clone()).await, Ok(Saved::StopRequested));
    assert_eq!(h.store.run(&h.call(), get).await.expect("read").expect("there").reply.content, "half");
    let fenced = SaveReply { lease: 8, ..look.clone() };
    assert_eq!(h.store.save_reply(&h.call(), fenced).await, Ok(Saved::Gone));
    assert_eq!(h.store.save_reply(&h.call(), save("more")).await, Ok(Saved::StopRequested));

    assert_eq!(h.store.settle_reply(&h.call(), settle(&first, "whole")).await, Ok(true));
    assert_eq!(h.store.settle_reply(&h.call(), settle(&first, "again")).await, Ok(false));
    assert_eq!(h.store.save_reply(&h.call(), save("late")).await, Ok(Saved::Gone));
    assert_eq!(h.store.save_reply(&h.call(), look).await, Ok(Saved::Gone));
    assert_eq!(h.store.run(&h.call(), stop).await, Ok(false));
    let reply = h.store.run(&h.call(), get).await.expect("read").expect("there").reply;
    assert_eq!((reply.status, reply.content.as_str()), (MessageStatus::Final, "whole"));
    assert_eq!(reply.usage, Some(Usage { input_tokens: 3, output_tokens: 5 }));

    // Two messages of one conversation in the same moment: both are kept, in some order.
    let target = Target::Existing(first.target.id());
    let (second, third) = (accept(h, tenant, person, target.clone()), accept(h, tenant, person, target));
    let call = h.call();
    let both = tokio::join!(h.store.accept_message(&call, second), h.store.accept_message(&call, third));
    assert_eq!(both, (Ok(Accepted::Taken(0)), Ok(Accepted::Taken(0))));
    let ordinals: Vec<_> = messages(h, &first).await.into_iter().map(|message| message.ordinal).collect();
    assert_eq!(ordinals, [5, 4, 3, 2, 1, 0]);
}

pub(super) async fn a_question_comes_with_what_was_said_before_it(h: &Harness) {
    let (tenant, person) = h.person("nia").await;
    let first = accept(h, tenant, person, new_conversation(h));
    let follow = || accept(h, tenant, person, Target::Existing(first.target.id()));
    let (second, third, fourth) = (follow(), follow(), follow());
    let strange = "\u{1}\t\\ \"[]\" \u{2028}\u{FFFF}🦀\n\u{7f}</script>";
    for (turn, status, content) in [
        (&first, Some(MessageStatus::Final), strange),
        (&second, Some(MessageStatus::Failed), "not this"),
        (&third, None, ""),
        (&fourth, Some(MessageStatus::Stopped), "half"),
    ] {
        assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
        if let Some(status) = status {
            let settle = SettleReply { status, ..settle(turn, content) };
            assert_eq!(h.store.settle_reply(&h.call(), settle).await, Ok(true));
        }
    }
    let question = first.content.as_str();
    let last = follow();
    assert_eq!(h.store.accept_message(&h.call(), last.clone()).await, Ok(Accepted::Taken(0)));
    let conversation = first.target.id();
    let said = async |tenant: TenantId, before: MessageId, limit: u32| -> Vec<(MessageRole, String)> {
        let read = ReadHistory { tenant, conversation, before, limit };
        let said = h.store.run(&h.call(), read).await.expect("read");
        said.into_iter().map(|said| (said.role, said.content)).collect()
    };
    let (asked, answered) =
        ((MessageRole::User, question.to_owned()), |text: &str| (MessageRole::Assistant, text.to_owned()));
    let all = [answered("half"), asked.clone(), asked.clone(), asked.clone(), answered(strange), asked.clone()];
    assert_eq!(said(tenant, last.message, 100).await, all);
    assert_eq!(said(tenant, last.message, 2).await, all[..2]);
    assert_eq!(said(tenant, second.message, 100).await, all[4..]);
    assert!(said(tenant, first.message, 100).await.is_empty());
    assert!(said(tenant, h.ids.make(), 100).await.is_empty());
    let (other, _) = h.person("eve").await;
    assert!(said(other, last.message, 100).await.is_empty());
}

pub(super) async fn a_key_is_used_once(h: &Harness) {
    let (tenant, person) = h.person("lee").await;
    let claim = Claim { key: IdempotencyKey::parse("same").expect("a key"), fingerprint: "abc".to_owned() };
    let tries: Vec<_> = (0..20)
        .map(|_| AcceptMessage { claim: Some(claim.clone()), ..accept(h, tenant, person, new_conversation(h)) })
        .collect();
    let replies: Vec<MessageId> = tries.iter().map(|accept| accept.reply).collect();
    let call = h.call();
    let outcomes = join_all(tries.into_iter().map(|accept| h.store.accept_message(&call, accept))).await;
    let taken: Vec<_> =
        outcomes.iter().zip(&replies).filter(|(outcome, _)| **outcome == Ok(Accepted::Taken(0))).collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(Accepted::Repeat)).count(), 19);
    let find = FindUsed { tenant, person, key: claim.key.clone() };
    let used = h.store.run(&h.call(), find).await.expect("read").expect("used");
    assert_eq!((used.resource_id, used.operation.as_str()), (taken[0].1.uuid(), "message"));
    let list = ListConversations { tenant, person, after: None, limit: 50 };
    assert_eq!(h.store.run(&h.call(), list).await.expect("listed").len(), 1);

    // A refusal is not remembered.
    let claim = Claim { key: IdempotencyKey::parse("refused").expect("a key"), fingerprint: "abc".to_owned() };
    let nowhere = Target::Existing(h.ids.make());
    let lost = AcceptMessage { claim: Some(claim.clone()), ..accept(h, tenant, person, nowhere) };
    assert_eq!(h.store.accept_message(&h.call(), lost).await, Ok(Accepted::NoConversation));
    let found = AcceptMessage { claim: Some(claim), ..accept(h, tenant, person, new_conversation(h)) };
    assert_eq!(h.store.accept_message(&h.call(), found).await, Ok(Accepted::Taken(0)));
}

async fn create(h: &Harness, tenant: TenantId, person: PersonId, title: &str) -> Conversation {
    let create = CreateConversation {
        id: h.ids.make(),
        tenant,
        person,
        title: ConversationTitle::parse(title).expect("a title"),
        claim: None,
        now: h.now(),
    };
    match h.store.run(&h.call(), create).await.expect("made") {
        Once::Done(conversation) => conversation,
        Once::Repeat(used) => panic!("no key was given: {used:?}"),
    }
}

pub(super) async fn conversations_are_listed_renamed_and_deleted(h: &Harness) {
    let (tenant, person) = h.person("mia").await;
    let mut made = Vec::new();
    for title in ["one", "two", "three"] {
        h.clock.advance(Duration::from_millis(5));
        made.push(create(h, tenant, person, title).await);
    }
    made.reverse();
    let list = |after, limit| ListConversations { tenant, person, after, limit };
    assert_eq!(h.store.run(&h.call(), list(None, 10)).await, Ok(made.clone()));
    let after = Some((made[0].updated_at, made[0].id));
    assert_eq!(h.store.run(&h.call(), list(after, 1)).await, Ok(made[1..2].to_vec()));

    h.clock.advance(Duration::from_millis(5));
    let id = made[2].id;
    let rename = |id: ConversationId| RenameConversation {
        tenant,
        person,
        id,
        title: ConversationTitle::parse("new").expect("a title"),
        claim: None,
        now: h.now(),
    };
    let Once::Done(renamed) = h.store.run(&h.call(), rename(id)).await.expect("renamed") else {
        panic!("no key was given")
    };
    assert_eq!((renamed.title.as_str(), renamed.updated_at), ("new", h.now()));
    assert_eq!(h.store.run(&h.call(), GetConversation { tenant, person, id }).await, Ok(Some(renamed)));
    assert_eq!(h.store.run(&h.call(), rename(h.ids.make())).await, Err(Error::Missing("conversation")));

    let delete = DeleteConversation { tenant, person, id, claim: None, now: h.now() };
    assert_eq!(h.store.run(&h.call(), delete.clone()).await, Ok(Once::Done(())));
    assert_eq!(h.store.run(&h.call(), delete).await, Err(Error::Missing("conversation")));
    assert_eq!(h.store.run(&h.call(), GetConversation { tenant, person, id }).await, Ok(None));
    assert_eq!(h.store.run(&h.call(), list(None, 10)).await.expect("listed").len(), 2);
    let gone = accept(h, tenant, person, Target::Existing(id));
    assert_eq!(h.store.accept_message(&h.call(), gone).await, Ok(Accepted::NoConversation));
}

pub(super) async fn deleting_asks_the_replies_to_stop(h: &Harness) {
    let (tenant, person) = h.person("ned").await;
    let gone = accept(h, tenant, person, new_conversation(h));
    let stays = accept(h, tenant, person, new_conversation(h));
    for turn in [&gone, &stays] {
        assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    }
    let delete = DeleteConversation { tenant, person, id: gone.target.id(), claim: None, now: h.now() };
    assert_eq!(h.store.run(&h.call(), delete).await, Ok(Once::Done(())));
    for (turn, saved) in [(&gone, Saved::StopRequested), (&stays, Saved::GoOn)] {
        let save = SaveReply {
            tenant,
            generation: turn.reply.into(),
            lease: 7,
            text: Some("half".to_owned()),
            tools: Vec::new(),
        };
        assert_eq!(h.store.save_reply(&h.call(), save).await, Ok(saved));
    }
}

pub(super) async fn a_reply_whose_node_died_is_interrupted(h: &Harness) {
    let (tenant, person) = h.person("nia").await;
    let lost = AcceptMessage { lease: 41, ..accept(h, tenant, person, new_conversation(h)) };
    let alive = AcceptMessage { lease: 42, ..accept(h, tenant, person, new_conversation(h)) };
    for accept in [&lost, &alive] {
        assert_eq!(h.store.accept_message(&h.call(), accept.clone()).await, Ok(Accepted::Taken(0)));
    }
    let tools =
        vec![ToolUsed { name: "book_appointment".to_owned(), state: ToolState::Done, answer: "\"Booked\"".into() }];
    let text = Some("half of".to_owned());
    let save = SaveReply { tenant, generation: lost.reply.into(), lease: 41, text, tools: tools.clone() };
    assert_eq!(h.store.save_reply(&h.call(), save).await, Ok(Saved::GoOn));
    let get = GetExchange { tenant, person, generation: lost.reply.into() };
    assert_eq!(h.store.run(&h.call(), get).await.expect("read").expect("there").reply.tools, tools);
    assert_eq!(h.store.interrupt_replies_of(&h.call(), 41, h.now()).await, Ok(1));
    assert_eq!(h.store.interrupt_replies_of(&h.call(), 41, h.now()).await, Ok(0));
    let reply = messages(h, &lost).await.remove(0);
    assert_eq!((reply.status, reply.content.as_str()), (MessageStatus::Interrupted, "half of"));
    assert_eq!(reply.tools, tools, "what was done is told, whoever died");
    let next = accept(h, tenant, person, Target::Existing(lost.target.id()));
    assert_eq!(h.store.accept_message(&h.call(), next.clone()).await, Ok(Accepted::Taken(0)));
    let read = ReadHistory { tenant, conversation: lost.target.id(), before: next.message, limit: 1 };
    assert_eq!(h.store.run(&h.call(), read).await.expect("read")[0].tools, tools, "also to who answers next");
    let whole = SettleReply { tools: tools.clone(), ..settle(&next, "whole") };
    assert_eq!(h.store.settle_reply(&h.call(), whole).await, Ok(true));
    assert_eq!(messages(h, &next).await.remove(0).tools, tools);
    assert_eq!(messages(h, &alive).await.remove(0).status, MessageStatus::Streaming);
    assert_eq!(h.store.settle_reply(&h.call(), settle(&lost, "too late")).await, Ok(false));
}

pub(super) async fn replies_whose_lease_is_gone_are_found(h: &Harness) {
    let (tenant, person) = h.person("noa").await;
    let acquire = AcquireLease {
        name: "node:alive".to_owned(),
        holder: "test".to_owned(),
        now: h.now(),
        lasts: Duration::from_secs(10),
    };
    let alive = h.store.run(&h.call(), acquire).await.expect("acquired").expect("free");
    let (gone, other) = (alive + 1_000, alive + 1_001);
    for lease in [gone, alive, other, gone, alive] {
        let turn = AcceptMessage { lease, ..accept(h, tenant, person, new_conversation(h)) };
        assert_eq!(h.store.accept_message(&h.call(), turn).await, Ok(Accepted::Taken(0)));
    }
    let found = h.store.run(&h.call(), LeasesGone).await.expect("read");
    assert_eq!(found, [gone, other]);
    for lease in found {
        assert!(h.store.interrupt_replies_of(&h.call(), lease, h.now()).await.expect("interrupted") > 0);
    }
    assert_eq!(h.store.run(&h.call(), LeasesGone).await, Ok(vec![]));
    assert_eq!(h.store.run(&h.call(), RepliesOf(alive)).await.expect("read").len(), 2);
}

pub(super) async fn a_reply_is_settled_by_one_only(h: &Harness) {
    let (tenant, person) = h.person("oda").await;
    let turn = accept(h, tenant, person, new_conversation(h));
    h.store.accept_message(&h.call(), turn.clone()).await.expect("accepted");
    let call = h.call();
    let outcomes = join_all((0..10).map(|n| h.store.settle_reply(&call, settle(&turn, &format!("text {n}"))))).await;
    let winners: Vec<_> = (0..10).filter(|n| outcomes[*n] == Ok(true)).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(messages(h, &turn).await[0].content, format!("text {}", winners[0]));
    let wrong_lease = accept(h, tenant, person, new_conversation(h));
    h.store.accept_message(&h.call(), wrong_lease.clone()).await.expect("accepted");
    let fenced = SettleReply { lease: 8, ..settle(&wrong_lease, "from an old holder") };
    assert_eq!(h.store.settle_reply(&h.call(), fenced).await, Ok(false));
}

pub(super) async fn a_bad_member_fails_alone(h: &Harness) {
    let (tenant, person) = h.person("pam").await;
    let good: Vec<_> = (0..9).map(|_| accept(h, tenant, person, new_conversation(h))).collect();
    // The same ids again: a bug of ours, which breaks the primary key.
    let mut bad = accept(h, tenant, person, new_conversation(h));
    h.store.accept_message(&h.call(), good[0].clone()).await.expect("accepted");
    bad.message = good[0].message;
    let call = h.call();
    let (outcomes, failed) = tokio::join!(
        join_all(good[1..].iter().map(|accept| h.store.accept_message(&call, accept.clone()))),
        h.store.accept_message(&call, bad),
    );
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(Accepted::Taken(0))), "{outcomes:?}");
    assert!(matches!(failed, Err(Error::Unique(_))), "{failed:?}");
}

pub(super) async fn nobody_is_kept_waiting_by_another_organisation(h: &Harness) {
    let (greedy, person) = h.person("quin").await;
    let (modest, other) = h.person("rex").await;
    let pile: Vec<_> = (0..600).map(|_| accept(h, greedy, person, new_conversation(h))).collect();
    let call = h.call();
    let order = std::sync::Mutex::new(Vec::new());
    let many = join_all(pile.into_iter().map(|accept| async {
        h.store.accept_message(&call, accept).await.expect("accepted");
        order.lock().expect("no panic").push(greedy);
    }));
    let one = async {
        h.store.accept_message(&call, accept(h, modest, other, new_conversation(h))).await.expect("accepted");
        order.lock().expect("no panic").push(modest);
    };
    tokio::join!(many, one);
    let order = order.into_inner().expect("no panic");
    let place = order.iter().position(|tenant| *tenant == modest).expect("it was served");
    assert!(place < 300, "the one of 601 that came last by {place} had to wait for a pile that is not its own");
}

pub(super) async fn what_has_expired_is_swept(h: &Harness) {
    let (tenant, person) = h.person("sue").await;
    let claim = Claim { key: IdempotencyKey::parse("old").expect("a key"), fingerprint: "abc".to_owned() };
    let turn = AcceptMessage { claim: Some(claim.clone()), ..accept(h, tenant, person, new_conversation(h)) };
    h.store.accept_message(&h.call(), turn.clone()).await.expect("accepted");
    let session = crate::NewSession { id: h.ids.make(), expires_at: h.now() };
    let start = crate::StartSession { session, person, tenant, now: h.now() };
    h.store.run(&h.call(), start).await.expect("started");
    let delete = DeleteConversation { tenant, person, id: turn.target.id(), claim: None, now: h.now() };
    h.store.run(&h.call(), delete).await.expect("deleted");

    h.clock.advance(Duration::from_secs(25 * 3600));
    let forget = ForgetExpired { now: h.now(), keys_before: h.now().minus(Duration::from_secs(24 * 3600)) };
    assert_eq!(h.store.run(&h.call(), forget).await, Ok(2));
    assert_eq!(h.store.run(&h.call(), FindUsed { tenant, person, key: claim.key }).await, Ok(None));
    // One bite takes the messages, the next finds none and marks the conversation.
    for left in [1, 1, 0] {
        assert_eq!(h.store.purge_deleted(&h.call(), h.now(), h.now()).await, Ok(left));
    }
}

pub(super) async fn a_commit_that_was_not_confirmed_is_not_done_twice(h: &Harness) {
    let (tenant, person) = h.person("tom").await;
    let lose_one = || h.store.inner.lost_commits.store(1, std::sync::atomic::Ordering::SeqCst);
    let claim = Claim { key: IdempotencyKey::parse("unsure").expect("a key"), fingerprint: "abc".to_owned() };
    let turn = AcceptMessage { claim: Some(claim), ..accept(h, tenant, person, new_conversation(h)) };
    lose_one();
    assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    assert_eq!(messages(h, &turn).await.len(), 2);
    lose_one();
    assert_eq!(h.store.settle_reply(&h.call(), settle(&turn, "whole")).await, Ok(true));
    assert_eq!(messages(h, &turn).await[0].content, "whole");
    // An intent that must not be done twice says that it does not know.
    let create = CreateConversation {
        id: h.ids.make(),
        tenant,
        person,
        title: ConversationTitle::parse("once").expect("a title"),
        claim: None,
        now: h.now(),
    };
    lose_one();
    assert_eq!(h.store.run(&h.call(), create).await, Err(Error::OutcomeUnknown));
}
