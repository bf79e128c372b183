//! Reads server-sent events off a response (the HTML standard, section 9.2).

use serde_json::Value;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerEvent {
    pub(crate) id: Option<u64>,
    pub(crate) event: String,
    pub(crate) data: Value,
}

impl ServerEvent {
    /// The text of a token; empty for every other event.
    pub(crate) fn text(&self) -> &str {
        if self.event == "token" { self.data["text"].as_str().expect("a token has a text") } else { "" }
    }
}

/// The events of a response, as they arrive. Dropping it closes the connection.
pub(crate) struct Events {
    response: reqwest::Response,
    pending: Vec<u8>,
}

impl Events {
    /// The events of this response, which must be a stream of them.
    #[track_caller]
    pub(crate) fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status().as_u16(), 200, "{}", response.url());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, pending: Vec::new() }
    }

    /// The next event; nothing after the last.
    pub(crate) async fn next(&mut self) -> Option<ServerEvent> {
        loop {
            while let Some(end) = self.pending.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.pending.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("events are UTF-8");
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
            }
            let Some(chunk) = self.response.chunk().await.expect("the stream goes on") else {
                assert!(self.pending.is_empty(), "the stream ends in the middle of an event");
                return None;
            };
            self.pending.extend_from_slice(&chunk);
        }
    }

    /// Reads until so many bytes of text have arrived. The answer is the text.
    pub(crate) async fn text_of(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(self.next().await.expect("the text goes on").text());
        }
        text
    }

    /// What is left, to the end.
    pub(crate) async fn rest(mut self) -> Vec<ServerEvent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The text of all tokens.
pub(crate) fn text(events: &[ServerEvent]) -> String {
    events.iter().map(ServerEvent::text).collect()
}

fn parse(block: &str) -> Option<ServerEvent> {
    let mut event = ServerEvent { id: None, event: String::new(), data: Value::Null };
    let mut said = false;
    for line in block.lines() {
        let Some((field, value)) = line.split_once(": ") else { continue };
        match field {
            "id" => event.id = Some(value.parse().expect("an id is a number")),
            "event" => event.event = value.to_owned(),
            "data" => {
                event.data = serde_json::from_str(value).expect("data is JSON");
                said = true;
            }
            _ => {}
        }
    }
    said.then_some(event)
}
