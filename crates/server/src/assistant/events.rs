//! A reply as a stream of events: `start`, `token`, `tool`, `done` or `error`.
//!
//! The id of a token is the number of bytes of the text up to its end, so that a client that comes back names a place in
//! the text itself. A reply that this node makes is followed as it grows; one that another node makes is read from what is
//! saved; one that has ended is told at once.
//!
//! A page may ask for the text as HTML too. Then each token carries all of the text so far as safe HTML, and tokens come
//! less often, the less the longer the text is: a page draws a reply as it will look, and neither side does so for each word.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use mainstay_domain::{Error, GenerationId, Kind, MessageStatus, RequestId, ToolState, ToolUsed};
use mainstay_store::{Call, Message};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::api::MessageBody;
use super::live::{Live, Progress, rest};
use super::parts::{MessageUsageBody, ToolUsedBody};
use super::render::unfinished_to_html;
use super::service::{Assistant, Sent};
use crate::accounts::Member;
use crate::http::{Event, Problem};

/// How often a reply that another node makes is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a text is made into HTML while it grows.
const HTML_EVERY: Duration = Duration::from_millis(120);
/// How many times longer than it takes the wait for the next time is: a long text costs no more than a short one.
const HTML_PAUSE: u32 = 20;
/// How long one look may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What an event carries.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Data {
    Start(Box<Start>),
    Token {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        html: Option<String>,
    },
    /// A tool is used, or something came of it.
    Tool {
        /// Its place among those of the reply, from 0.
        index: usize,
        #[serde(flatten)]
        used: ToolUsedBody,
    },
    Done {
        reply: MessageBody,
        usage: Option<MessageUsageBody>,
    },
    Fault {
        problem: Box<RawValue>,
        reply: Option<MessageBody>,
    },
}

/// The first event of a message that was sent.
#[derive(Serialize)]
pub(super) struct Start {
    conversation_id: Uuid,
    message: MessageBody,
    reply: MessageBody,
    generation_id: Uuid,
}

impl From<&Sent> for Start {
    fn from(sent: &Sent) -> Self {
        Self {
            conversation_id: sent.message.conversation.uuid(),
            message: MessageBody::plain(&sent.message),
            reply: MessageBody::plain(&sent.reply),
            generation_id: sent.reply.id.uuid(),
        }
    }
}

/// Follows one reply for one listener.
struct Follower {
    assistant: Arc<Assistant>,
    member: Member,
    generation: GenerationId,
    request_id: RequestId,
    start: Option<Start>,
    /// Bytes of the text that the listener has.
    seen: usize,
    /// Of each use of a tool, what the listener knows.
    seen_tools: Vec<ToolState>,
    source: Source,
    give_up: Instant,
    /// When the text may be made into HTML again, for a listener that asked for it.
    next_html: Option<Instant>,
}

enum Source {
    /// Made by this node.
    Here(Arc<Live>, watch::Receiver<Progress>),
    /// Made by another node, or settled.
    Stored,
    Over,
}

/// Where a listener begins.
pub(super) struct Beginning {
    /// The first event, for whoever sent the message.
    pub(super) start: Option<Start>,
    /// The reply as it is made, where that is known already.
    pub(super) live: Option<Arc<Live>>,
    /// Bytes of the text that the listener has.
    pub(super) seen: usize,
    /// Whether tokens also carry the text so far as HTML.
    pub(super) html: bool,
}

/// The events of a reply for one listener.
pub(super) fn events(
    assistant: Arc<Assistant>,
    member: Member,
    generation: GenerationId,
    request_id: RequestId,
    beginning: Beginning,
) -> impl Stream<Item = Event<Data>> + Send + 'static {
    let Beginning { start, live, seen, html } = beginning;
    let source = match live.or_else(|| assistant.registry.find(member.tenant, member.person, generation)) {
        Some(live) => {
            let progress = live.watch();
            Source::Here(live, progress)
        }
        None => Source::Stored,
    };
    let give_up = Instant::now() + assistant.settings.reply_timeout() + 3 * assistant.settings.lease();
    let next_html = html.then(Instant::now);
    let follower = Follower {
        assistant,
        member,
        generation,
        request_id,
        start,
        seen,
        seen_tools: Vec::new(),
        source,
        give_up,
        next_html,
    };
    unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<Event<Data>> {
        if let Some(start) = self.start.take() {
            return Some(Event { id: Some(0), event: "start", data: Data::Start(Box::new(start)) });
        }
        loop {
            match &mut self.source {
                Source::Over => return None,
                Source::Here(live, progress) => {
                    let now = *progress.borrow_and_update();
                    if now.tools > 0 {
                        let tools = live.tools();
                        if let Some(event) = self.tool(MessageStatus::Streaming, &tools) {
                            return Some(event);
                        }
                    }
                    let Source::Here(live, progress) = &mut self.source else { continue };
                    if now.bytes > self.seen {
                        if let Some(due) = self.next_html.filter(|_| !now.ended) {
                            tokio::select! {
                                () = sleep_until(due) => {}
                                _ = progress.wait_for(|progress| progress.ended) => {}
                            }
                        }
                        // Read once: the HTML is of the same text that the token ends.
                        let whole = self.next_html.map(|_| live.text());
                        let (text, end) = match &whole {
                            Some(whole) => (rest(whole, self.seen).to_owned(), whole.len()),
                            None => live.text_after(self.seen),
                        };
                        self.seen = end;
                        if let Some(event) = self.token(text, whole.as_deref()) {
                            return Some(event);
                        }
                        continue;
                    }
                    if now.ended {
                        // What the listener is told at the end is what is stored.
                        self.source = Source::Stored;
                    } else if progress.changed().await.is_err() {
                        self.source = Source::Stored;
                    }
                }
                Source::Stored => {
                    if let Some(event) = self.look().await {
                        return event;
                    }
                    if Instant::now() >= self.give_up {
                        return self.fail(Error::new(
                            Kind::Timeout,
                            "deadline_exceeded",
                            "The reply did not end in time.",
                        ));
                    }
                    sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Looks at what is stored. Nothing when there is nothing new yet.
    async fn look(&mut self) -> Option<Option<Event<Data>>> {
        let call = Call::within(LOOK_PATIENCE);
        let reply = match self.assistant.exchange(&call, &self.member, self.generation).await {
            Ok(exchange) => exchange.reply,
            Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Timeout) && Instant::now() < self.give_up => {
                return None;
            }
            Err(error) => return Some(self.fail(error)),
        };
        if let Some(event) = self.tool(reply.status, &reply.tools) {
            return Some(Some(event));
        }
        if reply.content.len() > self.seen {
            let text = rest(&reply.content, self.seen).to_owned();
            self.seen = reply.content.len();
            let whole = self.next_html.map(|_| reply.content.as_str());
            if let Some(event) = self.token(text, whole) {
                return Some(Some(event));
            }
        }
        reply.status.is_settled().then(|| self.end(&reply))
    }

    /// The first use of a tool of which the listener does not know how far it is.
    fn tool(&mut self, status: MessageStatus, tools: &[ToolUsed]) -> Option<Event<Data>> {
        let index =
            tools.iter().enumerate().position(|(index, used)| self.seen_tools.get(index) != Some(&used.state))?;
        let used = tools.get(index)?;
        match self.seen_tools.get_mut(index) {
            Some(seen) => *seen = used.state,
            None => self.seen_tools.push(used.state),
        }
        let used = ToolUsedBody::of(status, used);
        Some(Event { id: None, event: "tool", data: Data::Tool { index, used } })
    }

    /// The text up to where the listener now is, and all of it for one that wants it as HTML. Nothing when a client that
    /// came back named a place inside the last character.
    fn token(&mut self, text: String, whole: Option<&str>) -> Option<Event<Data>> {
        if text.is_empty() {
            return None;
        }
        let begun = Instant::now();
        let html = whole.map(unfinished_to_html);
        if html.is_some() {
            self.next_html = Some(Instant::now() + HTML_EVERY.max(begun.elapsed() * HTML_PAUSE));
        }
        Some(Event { id: Some(self.seen as u64), event: "token", data: Data::Token { text, html } })
    }

    fn end(&mut self, reply: &Message) -> Option<Event<Data>> {
        self.source = Source::Over;
        let body = MessageBody::rendered(reply);
        if matches!(reply.status, MessageStatus::Failed | MessageStatus::Interrupted) {
            let detail = reply.fault.as_ref().map_or("The reply was cut short.", |(_, detail)| detail.as_str());
            let problem = problem(&Problem::from(Error::new(Kind::Upstream, "reply_failed", detail)), self.request_id);
            return Some(Event { id: None, event: "error", data: Data::Fault { problem, reply: Some(body) } });
        }
        let usage = reply.usage.map(MessageUsageBody::from);
        Some(Event { id: None, event: "done", data: Data::Done { reply: body, usage } })
    }

    fn fail(&mut self, error: Error) -> Option<Event<Data>> {
        self.source = Source::Over;
        let found = Problem::from(error);
        found.log(self.request_id, "events of a reply");
        let problem = problem(&found, self.request_id);
        Some(Event { id: None, event: "error", data: Data::Fault { problem, reply: None } })
    }
}

fn problem(problem: &Problem, request_id: RequestId) -> Box<RawValue> {
    serde_json::value::to_raw_value(&problem.document(request_id)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
