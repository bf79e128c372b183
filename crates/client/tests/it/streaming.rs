//! Replies as events, over connections that break.

use mainstay_client::{Error, ReplyEvent, SendMessage};
use serde_json::json;

use crate::calls::{message, secret};
use crate::support::{Fake, Reply};

const GENERATION: &str = "00000000-0000-0000-0000-000000000003";

fn head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned()
}

fn event(id: Option<u64>, name: &str, data: &serde_json::Value) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("{id}event: {name}\ndata: {data}\n\n")
}

fn start() -> String {
    let data = json!({"conversation_id": GENERATION, "message": message("user", "hello", "final"),
        "reply": message("assistant", "", "streaming"), "generation_id": GENERATION});
    event(Some(0), "start", &data)
}

fn token(text: &str, end: u64) -> String {
    event(Some(end), "token", &json!({"text": text}))
}

fn done(content: &str) -> String {
    let usage = json!({"input_tokens": 3, "output_tokens": 4});
    event(None, "done", &json!({"reply": message("assistant", content, "final"), "usage": usage}))
}

async fn collect(fake: &Fake) -> Result<(Vec<ReplyEvent>, String), Error> {
    let client = fake.builder().token(secret("key")).build().expect("a client");
    let mut stream = client.send_streaming(SendMessage::new("hello"));
    let (mut events, mut text) = (Vec::new(), String::new());
    while let Some(event) = stream.next().await? {
        if let ReplyEvent::Token { text: more, .. } = &event {
            text.push_str(more);
        }
        events.push(event);
    }
    assert!(stream.next().await?.is_none(), "nothing comes after the last event");
    Ok((events, text))
}

#[tokio::test]
async fn a_reply_goes_on_where_the_connection_broke() {
    let fake = Fake::start(|request, number| match number {
        0 => Reply::Cut(format!("{}{}{}event: tok", head(), start(), token("one ", 4))),
        1 => {
            assert_eq!(request.path, format!("/v1/generations/{GENERATION}/events"));
            assert_eq!(request.header("last-event-id"), Some("4"));
            // A repeat of what is known does no harm.
            Reply::Cut(format!("{}{}{}", head(), token("one ", 4), token("two ", 8)))
        }
        2 => {
            assert_eq!(request.header("last-event-id"), Some("8"));
            Reply::Json(503, json!({"code": "stopping"}))
        }
        _ => Reply::Cut(format!("{}: ping\n\n{}{}", head(), token("three", 13), done("one two three"))),
    })
    .await;
    let (events, text) = collect(&fake).await.expect("a reply");
    assert_eq!(text, "one two three");
    assert!(matches!(events.first(), Some(ReplyEvent::Start(start)) if start.generation_id.to_string() == GENERATION));
    assert!(matches!(events.last(), Some(ReplyEvent::Done { reply, .. }) if reply.content == text));
    assert_eq!((events.len(), fake.requests().len()), (5, 4));
}

#[tokio::test]
async fn a_message_whose_beginning_was_lost_is_sent_once() {
    let fake = Fake::start(|_, number| match number {
        0 => Reply::Cut(head()),
        _ => Reply::Cut(format!("{}{}{}{}", head(), start(), token("one", 3), done("one"))),
    })
    .await;
    let (events, text) = collect(&fake).await.expect("a reply");
    assert_eq!((events.len(), text.as_str()), (3, "one"));
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    assert_eq!((requests[1].method.as_str(), requests[1].path.as_str()), ("POST", "/v1/messages"));
}

#[tokio::test]
async fn an_end_by_failure_is_an_event_and_a_refusal_is_an_error() {
    let fake = Fake::start(|_, _| {
        let data = json!({"problem": {"status": 502, "code": "reply_failed", "detail": "cut"}, "reply": null});
        Reply::Cut(format!("{}{}{}", head(), start(), event(None, "error", &data)))
    })
    .await;
    let (events, _) = collect(&fake).await.expect("a reply");
    assert!(matches!(events.last(), Some(ReplyEvent::Failed { problem, .. }) if problem.code == "reply_failed"));
    let fake = Fake::start(|_, _| Reply::Json(404, json!({"code": "not_found"}))).await;
    assert_eq!(collect(&fake).await.expect_err("refused").code(), Some("not_found"));
}

#[tokio::test]
async fn connections_that_keep_breaking_end_the_stream() {
    let fake = Fake::start(|_, _| Reply::Cut(format!("{}{}", head(), start()))).await;
    assert_eq!(collect(&fake).await.expect_err("broken").kind(), "broken");
    assert_eq!(fake.requests().len(), 4);
}
