//! Stopping a reply, and deleting what it is in.

use mainstay_domain::{GenerationId, TenantId};
use mainstay_store::{Call, RepliesOf, SaveReply, Saved};
use serde_json::json;

use super::{PATIENCE, Stage, TEXT, eventually, id, saved, stored};
use crate::support::{Engine, both};

both! {
    a_reply_is_stopped_in_the_middle,
    a_reply_that_has_ended_cannot_be_stopped,
    deleting_a_conversation_stops_its_reply,
    a_text_that_has_not_grown_is_not_saved_again,
}

async fn a_reply_is_stopped_in_the_middle(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    assert_eq!(gated.half().await, "Olá mundo ");
    let eve = stage.server.person("eve").await;
    super::stop(&stage.server, &eve, &gated.generation).await.refused(404, "not_found");
    assert_eq!(stage.server.app.assistant.live_count(), 1, "nobody else can stop it");
    let stopped = stage.stop(&gated.generation).await.expect(200);
    assert_eq!(stopped["reply"]["status"], "stopped");
    assert_eq!(stopped["reply"]["content"], "Olá mundo ");
    // What had come was paid for: 16 tokens in were counted, the 11 bytes are taken for 3 out.
    assert_eq!(stopped["reply"]["provider"], "anthropic");
    assert!(stopped["reply"]["model"].is_string(), "{stopped}");
    assert_eq!(stopped["reply"]["usage"], json!({"input_tokens": 16, "output_tokens": 3}));
    assert_eq!(stage.stop(&gated.generation).await.expect(200), stopped, "again is no harm");
    let events = gated.events.rest().await;
    let end = &events[events.len() - 1];
    assert_eq!((end.event.as_str(), &end.data["reply"]["status"]), ("done", &json!("stopped")));
    assert_eq!(end.data["usage"], stopped["reply"]["usage"]);
    assert_eq!(stage.reply(&gated.generation).await, stopped["reply"]);
    stage.provider.until(|counts| counts.hangups == 1).await;
    assert_eq!(stage.server.app.assistant.live_count(), 0);
}

async fn a_reply_that_has_ended_cannot_be_stopped(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let gated = stage.gated().await;
    gated.open();
    gated.events.rest().await;
    let stopped = stage.stop(&gated.generation).await.expect(200);
    assert_eq!((&stopped["reply"]["status"], &stopped["reply"]["content"]), (&json!("final"), &json!(TEXT)));
    stage.stop("01900000-0000-7000-8000-000000000000").await.refused(404, "not_found");
    stage.stop(&id(&stopped["message"]["id"])).await.refused(404, "not_found");
}

async fn deleting_a_conversation_stops_its_reply(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    let path = format!("/v1/conversations/{}", id(&gated.start.data["conversation_id"]));
    let token = Some(stage.ada.access_token.as_str());
    stage.server.send("DELETE", &path, token, None).await.expect(204);
    gated.events.rest().await;
    stage.provider.until(|counts| counts.hangups == 1).await;
    assert_eq!(stage.server.app.assistant.live_count(), 0);
    stage.get(&path).await.refused(404, "not_found");
    stage.get(&format!("{path}/messages")).await.refused(404, "not_found");
    let body = json!({"content": "Still there?", "conversation_id": gated.start.data["conversation_id"]});
    stage.say(body).await.refused(404, "not_found");
    stage.server.send("DELETE", &path, token, None).await.refused(404, "not_found");
    assert_eq!(stage.get("/v1/conversations").await.expect(200)["data"], json!([]));
}

async fn a_text_that_has_not_grown_is_not_saved_again(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("assistant.checkpoint_interval_ms", "20")]).await else { return };
    let mut gated = stage.gated().await;
    gated.half().await;
    saved(&stage.server, &stage.ada, &gated.generation, "Olá mundo ").await;
    let store = &stage.server.app.store;
    let generation = GenerationId(gated.generation.parse().expect("an id"));
    let mut lease = 0;
    loop {
        lease += 1;
        assert!(lease < 100, "no lease makes it");
        let replies = store.run(&Call::within(PATIENCE), RepliesOf(lease)).await.expect("read");
        if replies.iter().any(|reply| reply.generation == generation) {
            break;
        }
    }
    // Another text in its place stays there as long as the node sends none.
    let tenant = TenantId(stage.ada.organisation.parse().expect("an id"));
    let mark = SaveReply { tenant, generation, lease, text: Some("mark".to_owned()), tools: Vec::new() };
    assert_eq!(store.save_reply(&Call::within(PATIENCE), mark).await, Ok(Saved::GoOn));
    let before = store.turn_figures().members;
    eventually("several rounds of saving", async || store.turn_figures().members > before + 5).await;
    assert_eq!(stored(&stage.server, &stage.ada, &gated.generation).await.content, "mark");
    // What has grown is sent as a whole.
    gated.gate.release(1);
    assert_eq!(gated.events.text_of("€ ".len()).await, "€ ");
    saved(&stage.server, &stage.ada, &gated.generation, "Olá mundo € ").await;
    gated.open();
    gated.events.rest().await;
    assert_eq!(stage.reply(&gated.generation).await["content"], TEXT);
}
