//! Delta sync and live tickets: the calls, and what they carry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Problem};

/// Which stream a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamName {
    /// The person's own rows in the organisation.
    Membership,
    /// The rows that all members share.
    Organisation,
}

/// A place in one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which life of the stream; 0 before its first change.
    pub epoch: u64,
    /// The last number that is known; 0 for none.
    pub head: u64,
    /// Tombstones up to here were forgotten before the replica began: it has missed none of them.
    pub floor: u64,
}

/// A place in both streams. On the wire it is text: `<epoch>.<head>-<epoch>.<head>`; a head below its floor is followed by
/// `.<floor>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// In the membership's stream.
    pub membership: Position,
    /// In the organisation's stream.
    pub organisation: Position,
}

impl Cursor {
    /// The place in one of the streams.
    #[must_use]
    pub const fn position(&self, stream: StreamName) -> Position {
        match stream {
            StreamName::Membership => self.membership,
            StreamName::Organisation => self.organisation,
        }
    }

    /// The place in one of the streams, to be moved.
    pub const fn position_mut(&mut self, stream: StreamName) -> &mut Position {
        match stream {
            StreamName::Membership => &mut self.membership,
            StreamName::Organisation => &mut self.organisation,
        }
    }

    /// Whether everything up to `other` is known here. Never across epochs.
    #[must_use]
    pub const fn has_reached(&self, other: &Self) -> bool {
        self.is_same_life(other)
            && self.membership.head >= other.membership.head
            && self.organisation.head >= other.organisation.head
    }

    /// Whether both are of the same epochs. A stream in which nothing was seen has no epoch yet.
    #[must_use]
    pub const fn is_same_life(&self, other: &Self) -> bool {
        self.membership.is_same_life(other.membership) && self.organisation.is_same_life(other.organisation)
    }
}

impl Position {
    const fn is_same_life(self, other: Self) -> bool {
        self.epoch == other.epoch || self.epoch == 0 || other.epoch == 0 || self.head == 0 || other.head == 0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (before, Position { epoch, head, floor }) in [("", self.membership), ("-", self.organisation)] {
            write!(f, "{before}{epoch}.{head}")?;
            if floor > head {
                write!(f, ".{floor}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let position = |text: &str| {
            let (epoch, head) = text.split_once('.')?;
            let (head, floor) = head.split_once('.').unwrap_or((head, "0"));
            Some(Position { epoch: epoch.parse().ok()?, head: head.parse().ok()?, floor: floor.parse().ok()? })
        };
        let cursor = text.split_once('-').and_then(|(membership, organisation)| {
            Some(Self { membership: position(membership)?, organisation: position(organisation)? })
        });
        cursor.ok_or_else(|| Error::decode("a cursor", format_args!("{text:?}")))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A row that changed.
#[derive(Clone, Debug, Deserialize)]
pub struct Change {
    /// In which stream.
    pub stream: StreamName,
    /// What it is: `conversation`, `message`, `member`, and what a newer server may add.
    pub kind: String,
    /// Which one.
    pub id: Uuid,
    /// Its number in the stream.
    pub seq: u64,
    /// True when it is gone, and with it every row whose parent it was.
    pub deleted: bool,
    /// What it belongs to.
    #[serde(default)]
    pub parent: Option<Uuid>,
    /// The row as JSON, not read yet; nothing when it is gone.
    #[serde(default)]
    pub row: Option<Box<RawValue>>,
}

/// The live rows of both streams: how many, and the sum of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Checksum {
    /// How many.
    pub count: u64,
    /// The sum of their numbers.
    pub sum: u64,
}

/// A page of changes.
#[derive(Clone, Debug, Deserialize)]
pub struct SyncPage {
    /// The changes, in the order of their numbers within each stream.
    pub changes: Vec<Change>,
    /// Where the next page begins.
    pub cursor: Cursor,
    /// True when there is no next page now.
    pub complete: bool,
    /// Over all rows at this page's snapshot. Compare it when the page is the last one.
    pub checksum: Checksum,
    /// When to sync next, in milliseconds; nothing for: only on demand.
    #[serde(default)]
    pub next_sync_after_ms: Option<u64>,
}

/// Something that a client did, perhaps while it was offline. Each is applied once, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind")]
#[non_exhaustive]
pub enum Mutation {
    /// Sends a message.
    #[serde(rename = "message.send")]
    SendMessage {
        /// The client's id for this mutation.
        id: Uuid,
        /// Into which conversation.
        conversation_id: Uuid,
        /// The text.
        content: String,
        /// Whether the conversation is made, with the id that the client chose.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        new: bool,
    },
    /// Renames a conversation.
    #[serde(rename = "conversation.rename")]
    RenameConversation {
        /// The client's id for this mutation.
        id: Uuid,
        /// Which one.
        conversation_id: Uuid,
        /// Its new title.
        title: String,
    },
    /// Deletes a conversation.
    #[serde(rename = "conversation.delete")]
    DeleteConversation {
        /// The client's id for this mutation.
        id: Uuid,
        /// Which one.
        conversation_id: Uuid,
    },
}

/// What became of a mutation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MutationResult {
    /// The client's id for it.
    pub id: Uuid,
    /// What became of it.
    pub status: MutationStatus,
    /// Why it was refused.
    #[serde(default)]
    pub problem: Option<Problem>,
}

/// What became of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutationStatus {
    /// It was applied now.
    Applied,
    /// It was applied before.
    Repeated,
    /// It was not applied, and will not be.
    Refused,
}

/// A ticket that opens one live socket, for programs that cannot send a header.
#[derive(Clone, Debug, Deserialize)]
pub struct LiveTicket {
    /// The ticket.
    pub ticket: mainstay_domain::Secret,
    /// How long it is good, in seconds.
    pub expires_in: u64,
}

#[derive(Serialize)]
struct Mutations<'a> {
    client_id: Uuid,
    mutations: &'a [Mutation],
}

#[derive(Deserialize)]
struct Results {
    results: Vec<MutationResult>,
}

impl Client {
    /// A page of what changed after a cursor; without one, from the beginning. [`crate::Replica`] does all of it.
    ///
    /// # Errors
    /// As every call; `resync_required` when the replica must begin again ([`Error::is_resync`]).
    pub async fn sync(&self, cursor: Option<&Cursor>, limit: Option<u32>) -> Result<SyncPage, Error> {
        self.json(&sync_call(cursor, limit)).await
    }

    /// The same without reading the answer: how many bytes it has, for measuring.
    ///
    /// # Errors
    /// As every call.
    pub async fn sync_raw(&self, cursor: Option<&Cursor>, limit: Option<u32>) -> Result<bytes::Bytes, Error> {
        self.body(&sync_call(cursor, limit)).await
    }

    /// Sends what the client did, in order, at most 50 at once. Each is applied once, however often it is sent.
    ///
    /// # Errors
    /// As every call. What is refused is told in its place of the answer.
    pub async fn mutate(&self, client_id: Uuid, mutations: &[Mutation]) -> Result<Vec<MutationResult>, Error> {
        let call = Call::post("/v1/sync").repeatable().json(&Mutations { client_id, mutations })?;
        let Results { results } = self.json(&call).await?;
        Ok(results)
    }

    /// A ticket for one live socket of a program that cannot send a header. [`crate::Live`] needs none.
    ///
    /// # Errors
    /// As every call.
    pub async fn live_ticket(&self) -> Result<LiveTicket, Error> {
        self.json(&Call::post("/v1/live/tickets").repeatable()).await
    }
}

fn sync_call(cursor: Option<&Cursor>, limit: Option<u32>) -> Call {
    Call::get("/v1/sync").query("cursor", cursor).query("limit", limit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_is_written_as_it_is_read() {
        let cursor: Cursor = "3.17-4.0".parse().expect("a cursor");
        assert_eq!((cursor.membership.head, cursor.organisation.epoch), (17, 4));
        assert_eq!(cursor.to_string(), "3.17-4.0");
        for bad in ["", "3.17", "3.17-4", "a.1-2.3", "1.1-1.-1"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_reached_stream_by_stream() {
        let at = |text: &str| text.parse::<Cursor>().expect("a cursor");
        assert!(at("1.5-1.5").has_reached(&at("1.5-1.4")));
        assert!(!at("1.9-1.3").has_reached(&at("1.5-1.4")));
        assert!(!at("2.9-1.9").has_reached(&at("1.5-1.4")));
        assert!(at("1.9-0.0").has_reached(&at("1.5-0.0")) && !at("1.9-0.0").has_reached(&at("1.5-7.1")));
    }

    #[test]
    fn mutations_have_the_form_of_the_wire() {
        let (id, conversation_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let content = "hello".to_owned();
        let send = Mutation::SendMessage { id, conversation_id, content, new: true };
        assert_eq!(
            serde_json::to_value(send).expect("JSON"),
            json!({"kind": "message.send", "id": id, "conversation_id": conversation_id, "content": "hello", "new": true})
        );
    }
}
