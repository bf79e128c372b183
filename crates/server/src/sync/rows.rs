//! How a synced row looks on the wire. A new kind gets a line in [`body`].

use mainstay_domain::{Plan, StreamScope};
use mainstay_store::{Change, SyncedRow};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::api::members::MemberBody;
use crate::assistant::api::{ConversationBody, MessageBody};

/// A row that changed.
#[derive(Serialize, ToSchema)]
pub struct ChangeBody {
    /// `membership` for what is the caller's own, `organisation` for what all its members share.
    #[schema(value_type = String, example = "membership")]
    pub stream: StreamScope,
    /// `conversation`, `message`, `member`, `organisation` or `board`.
    #[schema(value_type = String, example = "message")]
    pub kind: &'static str,
    /// Which.
    pub id: Uuid,
    /// Its number in the stream. A row that changes again gets a higher one.
    pub seq: i64,
    /// True for a tombstone: forget the row, and every row whose parent it is.
    pub deleted: bool,
    /// The row that takes this one with it when it is deleted.
    pub parent: Option<Uuid>,
    /// What it is now; null when it is deleted.
    #[schema(value_type = Option<Object>)]
    pub row: Option<Box<RawValue>>,
}

/// A message, with its place.
#[derive(Serialize)]
struct SyncedMessage {
    conversation_id: Uuid,
    /// Its place in the conversation, from 0; gaps are possible.
    ordinal: i64,
    #[serde(flatten)]
    message: MessageBody,
}

/// The organisation, as all its members see it.
#[derive(Serialize)]
struct SyncedOrganisation<'a> {
    name: &'a str,
    plan: Plan,
}

/// What happens at the reception, counted: whoever watches appointments or calls looks again when it grows.
#[derive(Serialize)]
struct SyncedBoard {
    appointments: i64,
    calls: i64,
}

impl ChangeBody {
    /// The change as it goes over the wire; with `html`, replies also come as safe HTML.
    ///
    /// # Errors
    /// When a row cannot be written as JSON: a bug.
    pub fn new(change: &Change, html: bool) -> serde_json::Result<Self> {
        Ok(Self {
            stream: change.scope,
            kind: change.kind.as_str(),
            id: change.id,
            seq: change.seq,
            deleted: change.row.is_none(),
            parent: change.row.as_ref().and_then(SyncedRow::parent),
            row: change.row.as_ref().map(|row| body(row, html)).transpose()?,
        })
    }
}

fn body(row: &SyncedRow, html: bool) -> serde_json::Result<Box<RawValue>> {
    match row {
        SyncedRow::Conversation(conversation) => to_raw_value(&ConversationBody::from(conversation.clone())),
        SyncedRow::Message(message) => to_raw_value(&SyncedMessage {
            conversation_id: message.conversation.uuid(),
            ordinal: message.ordinal,
            message: if html { MessageBody::rendered(message) } else { MessageBody::plain(message) },
        }),
        SyncedRow::Organisation(organisation) => {
            to_raw_value(&SyncedOrganisation { name: &organisation.name, plan: organisation.plan })
        }
        SyncedRow::Board(board) => to_raw_value(&SyncedBoard { appointments: board.appointments, calls: board.calls }),
        SyncedRow::Member(member) => to_raw_value(&MemberBody::from(member.clone())),
    }
}
