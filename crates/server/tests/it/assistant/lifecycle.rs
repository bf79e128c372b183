//! Replies in the making when their server stops, is killed, or loses its lease.

use mainstay_domain::{Kind, MessageText, PersonId, Role, TenantId};
use mainstay_server::accounts::{Credential, Member};
use mainstay_server::assistant::SendRequest;
use mainstay_store::{Call, ExpireLeases};
use serde_json::json;

use super::{PATIENCE, Stage, TEXT, eventually, saved, stored};
use crate::support::events::text;
use crate::support::{Engine, both};

both! {
    a_stop_waits_for_replies,
    a_reply_that_does_not_end_is_cut_with_what_it_has,
    a_node_that_drains_begins_nothing_new,
    a_killed_server_leaves_what_was_saved,
    a_server_that_lost_its_lease_goes_on_with_a_new_one,
}

/// So that a test need not wait long for the end of a lease.
const SHORT: &[(&str, &str)] = &[("assistant.lease_seconds", "2"), ("assistant.checkpoint_interval_ms", "20")];

async fn a_stop_waits_for_replies(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    let generation = gated.generation.clone();
    let lifecycle = stage.server.app.lifecycle.clone();
    let (drained, events) = tokio::join!(lifecycle.drain(2 * PATIENCE), async {
        lifecycle.stopped().await;
        gated.open();
        gated.events.rest().await
    });
    assert_eq!(drained.cut, []);
    assert_eq!((text(&events).as_str(), &*events[events.len() - 1].event), ("€ 🦀", "done"));
    let stage = stage.restart(&[]).await;
    let reply = stage.reply(&generation).await;
    assert_eq!((&reply["status"], &reply["content"]), (&json!("final"), &json!(TEXT)));
}

async fn a_reply_that_does_not_end_is_cut_with_what_it_has(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    let (lifecycle, assistant) = (stage.server.app.lifecycle.clone(), stage.server.app.assistant.clone());
    let (drained, events) = tokio::join!(lifecycle.drain(2 * PATIENCE), async {
        lifecycle.stopped().await;
        assistant.close();
        gated.events.rest().await
    });
    assert_eq!(drained.cut, []);
    let end = &events[events.len() - 1];
    assert_eq!((end.event.as_str(), &end.data["reply"]["error"]["code"]), ("error", &json!("server_stopped")));
    let stage = stage.restart(&[]).await;
    let reply = stage.reply(&gated.generation).await;
    assert_eq!((&reply["status"], &reply["content"]), (&json!("interrupted"), &json!("Olá mundo ")));
    assert_eq!(reply["error"]["code"], "server_stopped");
    assert_eq!(reply["provider"], "anthropic");
    assert_eq!(reply["usage"], json!({"input_tokens": 16, "output_tokens": 3}));
}

/// A request on a connection that was open before the stop could still reach the handler.
async fn a_node_that_drains_begins_nothing_new(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    let app = stage.server.app.clone();
    let member = Member {
        tenant: TenantId(stage.ada.organisation.parse().expect("an id")),
        person: PersonId(stage.ada.id.parse().expect("an id")),
        role: Role::Owner,
        credential: Credential::Outside,
    };
    let send = || SendRequest {
        images: Vec::new(),
        new: false,
        conversation: None,
        content: MessageText::parse("Hello".to_owned()).expect("a text"),
        claim: None,
        paced: false,
    };
    let (drained, refused) = tokio::join!(app.lifecycle.drain(2 * PATIENCE), async {
        app.lifecycle.stopped().await;
        let refused = app.assistant.send(&Call::within(PATIENCE), &member, send()).await.map(|_| ());
        gated.open();
        gated.events.rest().await;
        refused
    });
    let refused = refused.expect_err("nothing new");
    assert_eq!((refused.kind, refused.code), (Kind::Unavailable, "not_ready"));
    assert!(refused.retry_after.is_some());
    assert_eq!(drained.cut, []);
    assert_eq!(stage.provider.counts().requests, 1);
}

async fn a_killed_server_leaves_what_was_saved(engine: Engine) {
    let Some(stage) = Stage::set(engine, SHORT).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    saved(&stage.server, &stage.ada, &gated.generation, "Olá mundo ").await;
    stage.server.app.lifecycle.stop_hard();
    let stage = stage.restart(SHORT).await;
    // The next start takes up what was left: at once on SQLite, when the lease has ended on PostgreSQL.
    let events = stage.follow(&gated.generation, None).await.rest().await;
    assert_eq!((text(&events).as_str(), &*events[events.len() - 1].event), ("Olá mundo ", "error"));
    let reply = stage.reply(&gated.generation).await;
    assert_eq!((&reply["status"], &reply["content"]), (&json!("interrupted"), &json!("Olá mundo ")));
    assert_eq!(reply["error"]["code"], "server_stopped");
}

/// A pause of the whole process, as when a machine sleeps: the lease has ended when it wakes.
async fn a_server_that_lost_its_lease_goes_on_with_a_new_one(engine: Engine) {
    let Some(stage) = Stage::set(engine, SHORT).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    saved(&stage.server, &stage.ada, &gated.generation, "Olá mundo ").await;
    let app = &stage.server.app;
    let expire = ExpireLeases { prefix: "node:", now: app.clock.now() };
    assert_eq!(app.store.run(&Call::within(PATIENCE), expire).await, Ok(1));
    stage.provider.until(|counts| counts.hangups == 1).await;
    let events = gated.events.rest().await;
    let end = &events[events.len() - 1];
    assert_eq!((end.event.as_str(), &end.data["reply"]["status"]), ("error", &json!("interrupted")));
    assert_eq!(stored(&stage.server, &stage.ada, &gated.generation).await.content, "Olá mundo ");
    eventually("there is a new lease", || async { app.assistant.has_lease() }).await;
    stage.say(json!({"content": "Are you awake?"})).await.expect(201);
}
