//! The kinds of rows that sync, on one page. A new kind gets a line here, and its module the statement that reads its rows
//! by id; streams, pages, tombstones, checksums and live updates then know it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use mainstay_domain::TenantId;
use serde::Serialize;
use uuid::Uuid;

use crate::billing::organisation::{self, Organisation};
use crate::conversations::{self, Conversation};
use crate::error::{Error, Result};
use crate::members::{self, Member};
use crate::messages::{self, Message};
use crate::reception::board::{self, Board};
use crate::tx::Tx;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($row:ty) = $word:literal, $read:path;)+) => {
        /// What a synced row is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name),+ }

        /// A synced row.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum SyncedRow { $($(#[$doc])* $name($row)),+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word for it on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// Reads rows of this kind by their ids.
            pub(crate) async fn read(
                self,
                tx: &mut Tx<'_>,
                tenant: TenantId,
                ids: &[RowKey],
            ) -> Result<HashMap<Uuid, SyncedRow>> {
                match self {
                    $(Self::$name => {
                        let rows = $read(tx, tenant, ids).await?;
                        Ok(rows.into_iter().map(|(id, row)| (id, SyncedRow::$name(row))).collect())
                    })+
                }
            }
        }

        impl FromStr for Kind {
            type Err = Error;
            fn from_str(word: &str) -> Result<Self> {
                match word {
                    $($word => Ok(Self::$name),)+
                    _ => Err(Error::Corrupt(format!("a synced row of unknown kind {word:?}"))),
                }
            }
        }
    };
}

kinds! {
    /// A conversation, in the stream of its person.
    Conversation(Conversation) = "conversation", conversations::read;
    /// A message, in the stream of its person. It goes with its conversation.
    Message(Message) = "message", messages::read;
    /// A member, in the stream of the organisation. Its id is the person's.
    Member(Member) = "member", members::read;
    /// The organisation itself, in its own stream, from the first change of its plan on. Its id is its own.
    Organisation(Organisation) = "organisation", organisation::read;
    /// What happens at the reception, counted, in the stream of the organisation.
    Board(Board) = "board", board::read;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SyncedRow {
    /// The row that takes this one with it when it is deleted.
    #[must_use]
    pub fn parent(&self) -> Option<Uuid> {
        match self {
            Self::Message(message) => Some(message.conversation.uuid()),
            Self::Conversation(_) | Self::Member(_) | Self::Organisation(_) | Self::Board(_) => None,
        }
    }
}

/// The id of a row, as a batch takes it.
#[derive(Serialize)]
pub(crate) struct RowKey {
    pub(crate) id: Uuid,
}
