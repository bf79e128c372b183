//! Two nodes on one PostgreSQL.

use std::time::Duration;

use mainstay_domain::{ConversationTitle, MessageId, MessageStatus, MessageText, PersonId, TenantId};
use mainstay_store::{AcceptMessage, Accepted, Call, ExpireLeases, Target};
use serde_json::json;

use super::{PATIENCE, Stage, TEXT, eventually, follow, reply, saved, stop, stored};
use crate::support::Engine;
use crate::support::events::text;

const FAST: (&str, &str) = ("assistant.checkpoint_interval_ms", "20");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_follows_and_stops_what_the_other_makes() {
    let Some(stage) = Stage::set(Engine::Postgres, &[FAST]).await else { return };
    let other = stage.server.second_node().await;
    let mut gated = stage.gated().await;
    gated.half().await;
    let mut there = follow(&other, &stage.ada, &gated.generation, None).await;
    assert_eq!(there.text_of(10).await, "Olá mundo ", "what is saved is seen by the other node");
    let late = follow(&other, &stage.ada, &gated.generation, Some("3")).await;
    gated.open();
    let (here, there, late) = tokio::join!(gated.events.rest(), there.rest(), late.rest());
    assert_eq!([text(&here), text(&there), text(&late)], ["€ 🦀", "€ 🦀", " mundo € 🦀"]);
    let end = &here[here.len() - 1];
    for events in [&there, &late] {
        assert_eq!((&events[events.len() - 1].event, &events[events.len() - 1].data), (&end.event, &end.data));
    }
    let mut gated = stage.gated().await;
    gated.half().await;
    saved(&other, &stage.ada, &gated.generation, "Olá mundo ").await;
    assert_eq!(reply(&other, &stage.ada, &gated.generation).await["content"], "Olá mundo ");
    stop(&other, &stage.ada, &gated.generation).await.expect(200);
    let events = gated.events.rest().await;
    let end = &events[events.len() - 1];
    assert_eq!((end.event.as_str(), &end.data["reply"]["status"]), ("done", &json!("stopped")));
    let stopped = reply(&other, &stage.ada, &gated.generation).await;
    assert_eq!((&stopped["status"], &stopped["content"]), (&json!("stopped"), &json!("Olá mundo ")));
    assert_eq!(other.app.assistant.live_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_takes_up_what_a_dead_one_left_and_nothing_else() {
    let Some(stage) = Stage::set(Engine::Postgres, &[FAST, ("assistant.lease_seconds", "3")]).await else { return };
    let other = stage.server.second_node().await;
    let mut gated = stage.gated().await;
    gated.half().await;
    saved(&other, &stage.ada, &gated.generation, "Olá mundo ").await;
    // Longer than a lease and a look for ended ones: while its node lives, nobody touches the reply.
    tokio::time::sleep(Duration::from_millis(5500)).await;
    assert_eq!(stored(&other, &stage.ada, &gated.generation).await.status, MessageStatus::Streaming);
    stage.server.app.lifecycle.stop_hard();
    let events = follow(&other, &stage.ada, &gated.generation, None).await.rest().await;
    assert_eq!(text(&events), "Olá mundo ");
    let end = &events[events.len() - 1];
    assert_eq!((end.event.as_str(), &end.data["reply"]["status"]), ("error", &json!("interrupted")));
    assert_eq!(end.data["reply"]["error"]["code"], "server_stopped");
}

/// Takes in a message under a lease, by its number, for a reply that nobody makes. The answer is the reply's id.
async fn stray(stage: &Stage, lease: i64) -> String {
    let ids = &stage.server.app.ids;
    let text = MessageText::parse("Hello".to_owned()).expect("a message");
    let reply: MessageId = ids.make();
    let stray = AcceptMessage {
        tenant: TenantId(stage.ada.organisation.parse().expect("an id")),
        person: PersonId(stage.ada.id.parse().expect("an id")),
        target: Target::New(ids.make(), ConversationTitle::from_message(&text)),
        message: ids.make(),
        reply,
        content: text,
        images: Vec::new(),
        lease,
        claim: None,
        bid: None,
        now: stage.server.now(),
    };
    let call = Call::within(PATIENCE);
    assert_eq!(stage.server.app.store.accept_message(&call, stray).await, Ok(Accepted::Taken(0)));
    reply.uuid().to_string()
}

/// A message whose commit got through though its answer did not: it has this node's lease, and nobody answers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_its_own_node_does_not_make_is_interrupted_and_no_other() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(stage) = Stage::set(engine, &[FAST]).await else { continue };
        let mut gated = stage.gated().await;
        gated.half().await;
        let generation = stray(&stage, stage.server.app.assistant.lease_number()).await;
        eventually("the stray reply is found", async || {
            stored(&stage.server, &stage.ada, &generation).await.status == MessageStatus::Interrupted
        })
        .await;
        assert_eq!(stored(&stage.server, &stage.ada, &gated.generation).await.status, MessageStatus::Streaming);
        gated.open();
        let events = gated.events.rest().await;
        assert_eq!(events[events.len() - 1].event, "done");
    }
}

/// A reply under a lease whose row is gone: nothing leads to it but the reply itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_whose_lease_is_gone_is_interrupted_and_no_other() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(stage) = Stage::set(engine, &[FAST]).await else { continue };
        let other = if engine == Engine::Postgres { Some(stage.server.second_node().await) } else { None };
        let mut gated = stage.gated().await;
        gated.half().await;
        let generation = stray(&stage, 1 << 40).await;
        eventually("the stray reply is found", async || {
            stored(&stage.server, &stage.ada, &generation).await.status == MessageStatus::Interrupted
        })
        .await;
        // By the same look, on whichever node it was, the reply of a node that lives would have been taken too.
        for node in std::iter::once(&stage.server).chain(&other) {
            assert_eq!(stored(node, &stage.ada, &gated.generation).await.status, MessageStatus::Streaming);
        }
        gated.open();
        let events = gated.events.rest().await;
        assert_eq!(events[events.len() - 1].event, "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_cannot_settle_what_was_taken_from_it() {
    // With a lease of five minutes the first node does not notice for a while that it has lost it.
    let Some(stage) = Stage::set(Engine::Postgres, &[FAST, ("assistant.lease_seconds", "300")]).await else { return };
    let other = stage.server.second_node().await;
    let mut gated = stage.gated().await;
    gated.half().await;
    saved(&other, &stage.ada, &gated.generation, "Olá mundo ").await;
    let expire = ExpireLeases { prefix: "node:", now: other.app.clock.now() };
    assert_eq!(other.app.store.run(&Call::within(PATIENCE), expire).await, Ok(2));
    let events = follow(&other, &stage.ada, &gated.generation, None).await.rest().await;
    assert_eq!((text(&events).as_str(), &*events[events.len() - 1].event), ("Olá mundo ", "error"));
    let taken = stored(&other, &stage.ada, &gated.generation).await;
    assert_eq!((taken.status, taken.content.as_str()), (MessageStatus::Interrupted, "Olá mundo "));
    assert_eq!(stage.server.app.assistant.live_count(), 1, "the first node still makes it");
    gated.open();
    let events = gated.events.rest().await;
    assert_eq!(text(&events), TEXT["Olá mundo ".len()..], "its listener hears it to the end");
    let end = &events[events.len() - 1];
    assert_eq!(
        (end.event.as_str(), &end.data["reply"]["status"]),
        ("error", &json!("interrupted")),
        "and what is stored"
    );
    assert_eq!(stored(&other, &stage.ada, &gated.generation).await, taken);
    assert_eq!(stage.server.app.assistant.live_count(), 0);
}
