//! Following a reply: from any place, by anybody who may, at any pace.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{Stage, TEXT, id};
use crate::support::events::text;
use crate::support::fake_provider::{Behaviour, Gate};
use crate::support::{Engine, both};

both! {
    a_client_that_comes_back_gets_exactly_the_rest,
    a_client_that_comes_back_in_time_gets_exactly_the_rest,
    several_listen_at_once,
    a_page_gets_the_text_as_it_will_look,
    a_slow_listener_holds_nothing_up,
}

/// What of the text comes after so many bytes: a place inside a character counts as its end.
fn rest(seen: usize) -> &'static str {
    let begin = (seen..=TEXT.len()).find(|place| TEXT.is_char_boundary(*place)).unwrap_or(TEXT.len());
    &TEXT[begin..]
}

async fn a_client_that_comes_back_gets_exactly_the_rest(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    stage.provider.push(Behaviour::words(TEXT));
    let sent = stage.say(json!({"content": "Hello"})).await.expect(201);
    let generation = id(&sent["generation_id"]);
    for seen in (0..=TEXT.len() + 1).chain([1_000_000, usize::MAX]) {
        let events = stage.follow(&generation, Some(&seen.to_string())).await.rest().await;
        assert_eq!(text(&events), rest(seen), "after {seen} bytes");
        let (done, tokens) = events.split_last().expect("an event");
        assert_eq!(done.event, "done");
        assert!(tokens.iter().all(|token| !token.text().is_empty()), "after {seen} bytes");
        assert_eq!(tokens.last().and_then(|token| token.id), (!tokens.is_empty()).then_some(TEXT.len() as u64));
    }
    for unreadable in ["", "abc", "-1"] {
        let events = stage.follow(&generation, Some(unreadable)).await.rest().await;
        assert_eq!(text(&events), TEXT, "{unreadable:?} is no place of ours");
    }
    let eve = stage.server.person("eve").await;
    let path = format!("/v1/generations/{generation}/events");
    stage.server.send("GET", &path, Some(&eve.access_token), None).await.refused(404, "not_found");
}

async fn a_client_that_comes_back_in_time_gets_exactly_the_rest(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    assert_eq!(gated.half().await, "Olá mundo ");
    // At the beginning, inside the á, in the middle, at the end of what is there, inside the € that has not come, beyond.
    let places = [None, Some(0), Some(3), Some(5), Some(11), Some(12), Some(100)];
    let mut listeners = Vec::new();
    for seen in places {
        let seen = seen.map(|place: usize| place.to_string());
        listeners.push(stage.follow(&gated.generation, seen.as_deref()).await);
    }
    let inside = stage.follow(&gated.generation, Some("3")).await.text_of(7).await;
    assert_eq!(inside, " mundo ", "it is told at once, and nothing twice");
    gated.open();
    for (seen, listener) in places.into_iter().zip(listeners) {
        let events = listener.rest().await;
        assert_eq!(text(&events), rest(seen.unwrap_or(0)), "after {seen:?} bytes");
        assert!(events[..events.len() - 1].iter().all(|token| !token.text().is_empty()), "after {seen:?} bytes");
        assert_eq!(events.last().map(|event| event.event.as_str()), Some("done"));
    }
}

async fn several_listen_at_once(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut gated = stage.gated().await;
    let mut early = stage.follow(&gated.generation, None).await;
    gated.gate.release(1);
    assert_eq!((gated.events.text_of(1).await.as_str(), early.text_of(1).await.as_str()), ("Olá ", "Olá "));
    let reply = stage.reply(&gated.generation).await;
    assert_eq!((&reply["status"], &reply["content"]), (&json!("streaming"), &json!("Olá ")));
    let late = stage.follow(&gated.generation, None).await;
    gated.open();
    let (first, early, late) = tokio::join!(gated.events.rest(), early.rest(), late.rest());
    assert_eq!(["Olá ".to_owned() + &text(&first), "Olá ".to_owned() + &text(&early), text(&late)], [TEXT; 3]);
    let ends: Vec<&Value> = [&first, &early, &late].map(|events| &events[events.len() - 1].data).to_vec();
    assert!(ends.iter().all(|end| *end == ends[0]), "all are told the same end");
    let after = stage.follow(&gated.generation, None).await.rest().await;
    assert_eq!((text(&after).as_str(), &after[after.len() - 1].data), (TEXT, ends[0]));
    assert_eq!(stage.provider.counts().requests, 1);
}

async fn a_page_gets_the_text_as_it_will_look(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let said = ["**No ", "one** is ", "*here*"];
    let (gate, path) = (Gate::new(), "/v1/messages?html=true");
    stage.provider.push(Behaviour::Gated(said.map(str::to_owned).to_vec(), gate.clone()));
    let body = json!({"content": "Hello"});
    let mut page = stage.server.events("POST", path, &stage.ada.access_token, Some(body), &[]).await;
    let start = page.next().await.expect("a first event");
    gate.release(1);
    let token = page.next().await.expect("a token");
    assert_eq!(token.data, json!({"text": "**No ", "html": "<p><strong>No</strong></p>\n"}));
    let path = format!("/v1/generations/{}/events?html=true", id(&start.data["generation_id"]));
    let back = [("last-event-id", "5")];
    let late = stage.server.events("GET", &path, &stage.ada.access_token, None, &back).await;
    gate.release(10);
    // However the pieces were put together, each token has all of the text up to its end.
    let whole = json!("<p><strong>No one</strong> is <em>here</em></p>\n");
    for events in [page.rest().await, late.rest().await] {
        let [.., token, done] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((&token.data["html"], &done.data["reply"]["html"]), (&whole, &whole));
        assert_eq!(text(&events), "one** is *here*");
    }
    stage.get(&format!("{path}&sort=up")).await.refused(400, "invalid_input");
}

async fn a_slow_listener_holds_nothing_up(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let long = "word ".repeat(40_000);
    stage.provider.push(Behaviour::Answer(vec!["word ".repeat(100); 400]));
    // It takes a few kilobytes and then nothing, until the reply has long been stored.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a small buffer");
    let address = stage.server.address.trim_start_matches("http://").parse().expect("an address");
    let mut slow = socket.connect(address).await.expect("a connection");
    let body = json!({"content": "Hello"}).to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        stage.ada.access_token,
        body.len()
    );
    slow.write_all((head + &body).as_bytes()).await.expect("a request");
    stage.provider.until(|counts| counts.requests == 1).await;
    let conversation = id(&stage.get("/v1/conversations").await.expect(200)["data"][0]["id"]);
    let messages = stage.get(&format!("/v1/conversations/{conversation}/messages")).await.expect(200);
    let generation = id(&messages["data"][0]["id"]);
    let events = stage.follow(&generation, None).await.rest().await;
    assert!(text(&events) == long, "another one gets all of it meanwhile");
    assert_eq!(stage.reply(&generation).await["status"], "final");
    assert_eq!(stage.server.app.assistant.live_count(), 0);
    let mut told = Vec::new();
    slow.read_to_end(&mut told).await.expect("the rest");
    let told = String::from_utf8(told).expect("text");
    assert!(told.contains("event: done") && told.matches("word ").count() >= 40_000, "and it misses nothing");
}
