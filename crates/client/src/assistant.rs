//! Conversations, messages and replies.

use serde::Serialize;
use uuid::Uuid;

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::model::{Conversation, Message, Page, Sent};
use crate::streaming::ReplyStream;

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Rows of a page: 1 to 100, 50 when it is left out.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// Words that a title must have. Conversations only.
    pub search: Option<String>,
}

impl Listing {
    /// The page after one whose `next` was this.
    #[must_use]
    pub fn after(self, next: String) -> Self {
        Self { after: Some(next), ..self }
    }

    pub(crate) fn of(&self, path: impl Into<String>) -> Call {
        Call::get(path)
            .query("limit", self.limit)
            .query("after", self.after.as_deref())
            .query("search", self.search.as_deref())
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SendMessage {
    /// 1 to 10,000 characters.
    pub content: String,
    /// Into which conversation; without it one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Uuid>,
    /// The key under which it is sent at most once. The client makes one when there is none; a program that must send
    /// exactly once over its own restarts stores one beforehand.
    #[serde(skip)]
    pub key: Option<String>,
}

impl SendMessage {
    /// A message that begins a conversation.
    pub fn new(content: impl Into<String>) -> Self {
        Self { content: content.into(), conversation_id: None, key: None }
    }

    /// The same, into a conversation.
    #[must_use]
    pub fn into_conversation(self, id: Uuid) -> Self {
        Self { conversation_id: Some(id), ..self }
    }

    /// The same, under this key.
    #[must_use]
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    fn call(&self, client: &Client) -> Result<Call, Error> {
        let key = self.key.clone().unwrap_or_else(|| client.new_key());
        let call = Call::post("/v1/messages").keyed(key).first_byte(client.shared.timeouts.reply);
        call.json(self)
    }
}

#[derive(Serialize)]
struct Titled<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

impl Client {
    /// Conversations, the newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn conversations(&self, page: &Listing) -> Result<Page<Conversation>, Error> {
        self.json(&page.of("/v1/conversations")).await
    }

    /// Makes an empty conversation. Sending a message makes one by itself.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_conversation(&self, title: Option<&str>) -> Result<Conversation, Error> {
        self.json(&Call::post("/v1/conversations").keyed(self.new_key()).json(&Titled { title })?).await
    }

    /// One conversation.
    ///
    /// # Errors
    /// As every call.
    pub async fn conversation(&self, id: Uuid) -> Result<Conversation, Error> {
        self.json(&Call::get(format!("/v1/conversations/{id}"))).await
    }

    /// Renames a conversation.
    ///
    /// # Errors
    /// As every call.
    pub async fn rename_conversation(&self, id: Uuid, title: &str) -> Result<Conversation, Error> {
        let call = Call::patch(format!("/v1/conversations/{id}")).json(&Titled { title: Some(title) })?;
        self.json(&call).await
    }

    /// Deletes a conversation with all its messages.
    ///
    /// # Errors
    /// As every call. A repeat of a call whose answer was lost may find it gone: `not_found`.
    pub async fn delete_conversation(&self, id: Uuid) -> Result<(), Error> {
        self.done(&Call::delete(format!("/v1/conversations/{id}"))).await
    }

    /// The messages of a conversation, the newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn messages(&self, conversation: Uuid, page: &Listing) -> Result<Page<Message>, Error> {
        self.json(&page.of(format!("/v1/conversations/{conversation}/messages"))).await
    }

    /// Sends a message and waits for the reply. One that takes longer than the server waits is told unfinished; it goes
    /// on, and [`Client::follow`] follows it.
    ///
    /// # Errors
    /// As every call.
    pub async fn send(&self, message: &SendMessage) -> Result<Sent, Error> {
        self.json(&message.call(self)?).await
    }

    /// Sends a message and gives its reply as events. Nothing is sent before the first [`ReplyStream::next`]. A
    /// connection that breaks is made again, and the reply goes on where it was; the message is sent at most once.
    #[must_use]
    pub fn send_streaming(&self, message: SendMessage) -> ReplyStream {
        ReplyStream::sending(self.clone(), message.call(self).map(|call| call.events_after(0)))
    }

    /// Follows a reply from this place in its text, in bytes; 0 is its beginning.
    #[must_use]
    pub fn follow(&self, generation: Uuid, seen: u64) -> ReplyStream {
        ReplyStream::following(self.clone(), generation, seen)
    }

    /// A reply and its question, with the text that has arrived until now.
    ///
    /// # Errors
    /// As every call.
    pub async fn generation(&self, id: Uuid) -> Result<Sent, Error> {
        self.json(&Call::get(format!("/v1/generations/{id}"))).await
    }

    /// Stops a reply. What has arrived is kept.
    ///
    /// # Errors
    /// As every call.
    pub async fn stop(&self, generation: Uuid) -> Result<Sent, Error> {
        self.json(&Call::post(format!("/v1/generations/{generation}/stop")).repeatable()).await
    }
}
