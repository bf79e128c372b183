//! What goes well: requests as the protocols want them, and every legal form of an answer.

use mainstay_domain::{ImageId, ImageKind, MessageImage};
use serde_json::json;

use super::super::{Known, Picture, estimated_input_tokens};
use super::*;

#[tokio::test]
async fn a_reply_arrives_in_pieces_with_its_usage() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        let providers = build(&pointed(&fake, protocol));
        let text = "Good morning, Zoë: 漢字 and 😀 are fine.";
        let unlike: [(Behaviour, bool); 4] = [
            (Behaviour::Answer(pieces(text)), false),
            (Behaviour::ByteByByte(pieces(text)), false),
            (Behaviour::NoLastBlankLine(pieces(text)), false),
            (Behaviour::Truncated(pieces(text)), true),
        ];
        for (behaviour, truncated) in unlike {
            let told = format!("{protocol:?} {behaviour:?}");
            fake.push(behaviour);
            let (outcome, arrived) = ask(&providers).await;
            let completion = outcome.unwrap_or_else(|fault| panic!("{told}: {fault}"));
            assert_eq!(arrived, text, "{told}");
            assert_eq!(completion.provider, protocol.name());
            assert_eq!((completion.usage.input_tokens, completion.usage.output_tokens), (16, 42), "{told}");
            assert_eq!(completion.truncated, truncated, "{told}");
        }
        let figures = figures(&providers, protocol.name());
        assert_eq!((figures.requests, figures.replies, figures.retries, figures.in_flight), (4, 4, 0, 0));
    }
}

#[tokio::test]
async fn text_is_passed_on_before_the_answer_ends() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        let providers = build(&pointed(&fake, protocol));
        let gate = Gate::new();
        fake.push(Behaviour::Gated(pieces("one two "), gate.clone()));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut sink = move |piece: &str| tell.send(piece.to_owned()).unwrap();
        let request = request();
        let reply = providers.reply(&request, in_a_minute(), &mut sink);
        let listener = async {
            for expected in ["one ", "two "] {
                gate.release(1);
                assert_eq!(told.recv().await.as_deref(), Some(expected));
            }
            gate.release(1);
        };
        let (outcome, ()) = tokio::join!(reply, listener);
        assert!(outcome.is_ok());
    }
}

#[tokio::test]
async fn what_is_not_counted_is_estimated() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::Uncounted(vec!["twelve bytes".to_owned(), "!".to_owned()]));
        let (outcome, _) = ask(&build(&pointed(&fake, protocol))).await;
        let usage = outcome.unwrap().usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (4, 4), "15 bytes in, 13 bytes out, four to a token");
    }
}

#[tokio::test]
async fn the_messages_api_gets_what_it_asks_for() {
    let fake = FakeProvider::start().await;
    let providers = build(&pointed(&fake, Protocol::Anthropic));
    let mut request = request();
    request.turns = vec![
        turn(MessageRole::Assistant, "Welcome."),
        turn(MessageRole::User, "One"),
        turn(MessageRole::User, "Two"),
        turn(MessageRole::Assistant, "   "),
        turn(MessageRole::User, "Three"),
        turn(MessageRole::Assistant, "Yes?"),
        turn(MessageRole::User, "Four"),
    ];
    providers.reply(&request, in_a_minute(), &mut |_: &str| {}).await.unwrap();
    let received = &fake.received()[0];
    assert_eq!(received.path, "/v1/messages");
    assert_eq!(received.header("x-api-key"), Some(KEY));
    assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(
        received.body,
        json!({
            "model": "claude-test", "max_tokens": 100, "system": "Be brief.", "stream": true,
            "messages": [
                {"role": "user", "content": "One\n\nTwo\n\nThree"},
                {"role": "assistant", "content": "Yes?"},
                {"role": "user", "content": "Four"},
            ],
        })
    );
}

#[tokio::test]
async fn chat_completions_get_what_they_ask_for() {
    let fake = FakeProvider::start().await;
    ask(&build(&pointed(&fake, Protocol::OpenAi))).await.0.unwrap();
    let mut keyless = pointed(&fake, Protocol::OpenAi);
    keyless.openai.api_key = Secret::default();
    ask(&build(&keyless)).await.0.unwrap();
    let received = fake.received();
    assert_eq!(received[0].path, "/v1/chat/completions");
    assert_eq!(received[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(received[1].header("authorization"), None);
    assert_eq!(
        received[0].body,
        json!({
            "model": "gpt-test", "max_tokens": 100, "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
        })
    );
}

#[tokio::test]
async fn pictures_and_what_is_known_go_in_the_form_of_each_protocol() {
    let fake = FakeProvider::start().await;
    let image = MessageImage { id: ImageId(uuid::Uuid::nil()), kind: ImageKind::Png, width: 1000, height: 750 };
    let mut request = request();
    request.turns[0].pictures.push(Picture::new(image, &[1, 2, 3], None));
    let (answer, title) = (String::new(), String::new());
    request.known = Some(Known { answer, title, instructions: "Documents: []".to_owned() });
    assert_eq!(estimated_input_tokens(&request), 1000 + 7, "a token for 750 pixels");
    for protocol in [Protocol::Anthropic, Protocol::OpenAi] {
        build(&pointed(&fake, protocol)).reply(&request, in_a_minute(), &mut |_: &str| {}).await.unwrap();
    }
    let received = fake.received();
    let source = json!({"type": "base64", "media_type": "image/png", "data": "AQID"});
    let blocks = json!([{"type": "image", "source": source}, {"type": "text", "text": "Hello?"}]);
    assert_eq!(received[0].body["messages"], json!([{"role": "user", "content": blocks}]));
    assert_eq!(received[0].body["system"], "Be brief.\n\nDocuments: []");
    let address = json!({"url": "data:image/png;base64,AQID"});
    let parts = json!([{"type": "image_url", "image_url": address}, {"type": "text", "text": "Hello?"}]);
    assert_eq!(received[1].body["messages"][1], json!({"role": "user", "content": parts}));
    assert_eq!(received[1].body["messages"][0]["content"], "Be brief.\n\nDocuments: []");
}

#[tokio::test]
async fn a_server_that_refuses_stream_options_is_asked_without_and_remembered() {
    let fake = FakeProvider::start().await;
    fake.usually(Behaviour::RefuseStreamOptions(pieces("A local model.")));
    let providers = build(&pointed(&fake, Protocol::OpenAi));
    assert_eq!(ask(&providers).await.1, "A local model.");
    assert_eq!(ask(&providers).await.1, "A local model.");
    let with: Vec<_> = fake.received().iter().map(|received| received.body.get("stream_options").is_some()).collect();
    assert_eq!(with, [true, false, false]);
    assert_eq!(figures(&providers, "openai").retries, 0);
}

#[tokio::test]
async fn a_stop_reason_is_enough_and_nobody_goes_on_with_what_is_whole() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    let body = r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Fine."}}

data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}

"#;
    first.push(Behaviour::Raw(body.as_bytes().to_vec()));
    let (outcome, text) = ask(&build(&chained(&first, &second))).await;
    assert_eq!(outcome.map(|completion| completion.truncated), Ok(false));
    assert_eq!((text.as_str(), second.counts().requests), ("Fine.", 0));
}

#[tokio::test]
async fn a_finish_reason_is_enough_for_servers_that_never_say_done() {
    let fake = FakeProvider::start().await;
    let body = r#"data: {"choices":[{"delta":{"content":"Fine."},"finish_reason":"stop"}]}"#;
    fake.push(Behaviour::Raw(body.as_bytes().to_vec()));
    let (outcome, text) = ask(&build(&pointed(&fake, Protocol::OpenAi))).await;
    assert!(outcome.is_ok());
    assert_eq!(text, "Fine.");
    fake.push(Behaviour::RawThenHang(format!("{body}\n\n").into_bytes()));
    let start = Instant::now();
    let (outcome, text) = ask(&build(&pointed(&fake, Protocol::OpenAi))).await;
    assert!(outcome.is_ok() && start.elapsed() < Duration::from_secs(20));
    assert_eq!(text, "Fine.");
}

#[tokio::test]
async fn a_base_url_may_end_in_the_version() {
    let fake = FakeProvider::start().await;
    let mut settings = pointed(&fake, Protocol::Anthropic);
    settings.anthropic.base_url = format!("{}/v1/", fake.anthropic_url());
    ask(&build(&settings)).await.0.unwrap();
    assert_eq!(fake.received()[0].path, "/v1/messages");
}

#[tokio::test]
async fn a_finished_answer_does_not_wait_for_the_connection_to_close() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::NeverEnds(pieces("All said.")));
        let start = Instant::now();
        let (outcome, text) = ask(&build(&pointed(&fake, protocol))).await;
        assert!(outcome.is_ok() && start.elapsed() < Duration::from_secs(20));
        assert_eq!(text, "All said.");
    }
}

#[tokio::test]
async fn a_text_without_end_is_cut_at_its_bound() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::HangAfter(vec!["€".repeat(10_000); 12]));
        let (outcome, text) = ask(&build(&pointed(&fake, protocol))).await;
        let completion = outcome.unwrap();
        assert!(completion.truncated);
        // The largest multiple of three bytes within the bound, though more is there and the server does not end.
        assert_eq!((text.len(), MAX_REPLY_BYTES), (262_143, 262_144));
        assert_eq!(completion.usage.output_tokens, 65_536);
        fake.until(|counts| counts.hangups == 1).await;
    }
}

#[tokio::test]
async fn a_text_of_the_largest_length_is_whole() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::Answer(vec!["x".repeat(MAX_REPLY_BYTES / 4); 4]));
        let (outcome, text) = ask(&build(&pointed(&fake, protocol))).await;
        assert_eq!((outcome.unwrap().truncated, text.len()), (false, MAX_REPLY_BYTES));
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        let providers = build(&pointed(&fake, protocol));
        for _ in 0..5 {
            ask(&providers).await.0.unwrap();
        }
        assert_eq!((fake.counts().connections, fake.counts().requests), (1, 5));
    }
}

#[test]
fn the_reply_can_be_moved_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let providers = build(&settings(&["offline"]));
    let request = request();
    let mut sink = |_: &str| {};
    let reply = providers.reply(&request, in_a_minute(), &mut sink);
    is_send(&reply);
}
