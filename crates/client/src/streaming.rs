//! A reply as typed events, which goes on where the connection broke.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource as _};
use futures_util::stream::{Stream, StreamExt as _, try_unfold};
use mainstay_domain::Usage;
use reqwest::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use uuid::Uuid;

use crate::call::Call;
use crate::chance::{doubled, up_to};
use crate::client::Client;
use crate::error::{Error, Problem, TransportFault};
use crate::model::Message;

/// The most bytes of one connection's events: far more than a reply can be, and a bound on what a broken server can make
/// the parser keep.
const LARGEST_STREAM: usize = 32 * 1024 * 1024;

/// What happens to a reply.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReplyEvent {
    /// The message is stored, and the reply is promised. Not told by [`Client::follow`].
    Start(Box<ReplyStart>),
    /// Further text.
    Token {
        /// The text.
        text: String,
        /// The bytes of the reply up to its end: [`Client::follow`] goes on from here.
        end: u64,
    },
    /// The reply is complete, and stored.
    Done {
        /// As it is stored.
        reply: Box<Message>,
        /// What it took.
        usage: Option<Usage>,
    },
    /// The reply has ended early.
    Failed {
        /// Why.
        problem: Box<Problem>,
        /// What is kept of it.
        reply: Option<Box<Message>>,
    },
}

/// The beginning of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReplyStart {
    /// Into which conversation the message went.
    pub conversation_id: Uuid,
    /// The question.
    pub message: Message,
    /// The reply, still empty.
    pub reply: Option<Message>,
    /// The making of the reply: it can be followed and stopped under this id.
    pub generation_id: Uuid,
}

#[derive(Deserialize)]
struct Token {
    text: String,
}

#[derive(Deserialize)]
struct Done {
    reply: Message,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Failed {
    problem: Problem,
    reply: Option<Message>,
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<Error>>> + Send>>;

/// A reply as events. Made by [`Client::send_streaming`] and [`Client::follow`].
pub struct ReplyStream {
    client: Client,
    /// How it is asked for while the generation is not known.
    call: Option<Call>,
    generation: Option<Uuid>,
    seen: u64,
    connection: Option<Events>,
    /// Connections that broke since the last event.
    broken: u32,
    refused: Option<Error>,
    ended: bool,
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, seen, ended, .. } = self;
        f.debug_struct("ReplyStream").field("generation", generation).field("seen", seen).field("ended", ended).finish()
    }
}

impl ReplyStream {
    pub(crate) fn sending(client: Client, call: Result<Call, Error>) -> Self {
        let (call, refused) = match call {
            Ok(call) => (Some(call), None),
            Err(error) => (None, Some(error)),
        };
        Self { client, call, generation: None, seen: 0, connection: None, broken: 0, refused, ended: false }
    }

    pub(crate) fn following(client: Client, generation: Uuid, seen: u64) -> Self {
        let generation = Some(generation);
        Self { client, call: None, generation, seen, connection: None, broken: 0, refused: None, ended: false }
    }

    /// The making of the reply, once it is known.
    #[must_use]
    pub fn generation(&self) -> Option<Uuid> {
        self.generation
    }

    /// The next event; nothing after the last one, which is [`ReplyEvent::Done`] or [`ReplyEvent::Failed`].
    ///
    /// # Errors
    /// As every call, when the server refuses or cannot be reached for too long. The stream has then ended.
    pub async fn next(&mut self) -> Result<Option<ReplyEvent>, Error> {
        loop {
            if self.ended {
                return Ok(None);
            }
            match self.step().await {
                Ok(Some(event)) => {
                    self.broken = 0;
                    self.ended = matches!(event, ReplyEvent::Done { .. } | ReplyEvent::Failed { .. });
                    return Ok(Some(event));
                }
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    self.connection = None;
                    return Err(error);
                }
            }
        }
    }

    /// One event, or nothing when there is something else to do first.
    async fn step(&mut self) -> Result<Option<ReplyEvent>, Error> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = &mut self.connection else { return Ok(None) };
        match connection.next().await {
            Some(Ok(event)) => self.read(&event),
            Some(Err(EventStreamError::Transport(error))) if !error.is_passing() => Err(error),
            Some(Err(error)) => self.cut(&error.to_string()).await,
            None => self.cut("it ended before the reply").await,
        }
    }

    async fn connect(&self) -> Result<Events, Error> {
        let follow = |id: Uuid| Call::get(format!("/v1/generations/{id}/events")).events_after(self.seen);
        let call = match (self.generation.map(follow), &self.call) {
            (Some(call), _) => call,
            (None, Some(call)) => call.clone(),
            (None, None) => return Err(Error::Setting("there is no reply to follow".to_owned())),
        };
        let response = self.client.stream(&call).await?;
        Ok(Box::pin(bytes_of(self.client.clone(), response).eventsource()))
    }

    /// The connection broke: wait a little, and make it again. The budget is that of all repeats of one call.
    async fn cut(&mut self, why: &str) -> Result<Option<ReplyEvent>, Error> {
        self.connection = None;
        self.broken += 1;
        let shared = &self.client.shared;
        if self.broken >= shared.retry.attempts {
            return Err(Error::transport(TransportFault::Broken, why));
        }
        let wait = up_to(&*shared.entropy, doubled(shared.retry.base, self.broken - 1, shared.retry.cap));
        tracing::debug!(generation = ?self.generation, seen = self.seen, why, ?wait, "a reply's events were cut off");
        sleep(wait).await;
        Ok(None)
    }

    fn read(&mut self, event: &Event) -> Result<Option<ReplyEvent>, Error> {
        match event.event.as_str() {
            "start" => {
                let start: ReplyStart = parse("the event start", &event.data)?;
                let known = self.generation.replace(start.generation_id).is_some();
                Ok((!known).then(|| ReplyEvent::Start(Box::new(start))))
            }
            "token" => {
                let Token { text } = parse("the event token", &event.data)?;
                let end = event.id.parse().map_err(|error| Error::decode("the id of a token", error))?;
                // Bytes that were told before are not told again.
                if end <= self.seen {
                    return Ok(None);
                }
                self.seen = end;
                Ok(Some(ReplyEvent::Token { text, end }))
            }
            "done" => {
                let Done { reply, usage } = parse("the event done", &event.data)?;
                Ok(Some(ReplyEvent::Done { reply: Box::new(reply), usage }))
            }
            "error" => {
                let Failed { problem, reply } = parse("the event error", &event.data)?;
                Ok(Some(ReplyEvent::Failed { problem: Box::new(problem), reply: reply.map(Box::new) }))
            }
            _ => Ok(None),
        }
    }
}

fn parse<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::decode(what, error))
}

/// The bytes of an answer, within bounds of time and size.
fn bytes_of(client: Client, response: Response) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    try_unfold((client, response, 0), |(client, mut response, read)| async move {
        let Some(chunk) = client.chunk(&mut response).await? else { return Ok(None) };
        let read = read + chunk.len();
        if read > LARGEST_STREAM {
            return Err(Error::transport(TransportFault::TooLarge, format_args!("more than {LARGEST_STREAM} bytes")));
        }
        Ok(Some((chunk, (client, response, read))))
    })
}
