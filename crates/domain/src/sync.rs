//! What a client that syncs holds: how far it has seen its two streams.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of the two streams of a membership a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamScope {
    /// What is the person's own in the organisation.
    Membership,
    /// What all members of the organisation share.
    Organisation,
}

/// A place in one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamCursor {
    /// Which history the number counts in: another one after a restore.
    pub epoch: i64,
    /// The last number that was seen; 0 when nothing was.
    pub head: i64,
    /// Tombstones up to this number were forgotten already when the client began: it has missed none of them. Of use only
    /// while it has not come that far.
    pub floor: i64,
}

/// A place in both streams of a membership. As text: `<epoch>.<head>-<epoch>.<head>`, the membership's first. A head that is
/// below its floor is followed by `.<floor>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// In the person's own stream.
    pub membership: StreamCursor,
    /// In the stream of the organisation.
    pub organisation: StreamCursor,
}

impl Cursor {
    /// The place in one of the streams.
    #[must_use]
    pub fn of(&self, scope: StreamScope) -> StreamCursor {
        match scope {
            StreamScope::Membership => self.membership,
            StreamScope::Organisation => self.organisation,
        }
    }

    /// The same for changing it.
    pub fn of_mut(&mut self, scope: StreamScope) -> &mut StreamCursor {
        match scope {
            StreamScope::Membership => &mut self.membership,
            StreamScope::Organisation => &mut self.organisation,
        }
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: send one back as it was given, or none to begin")]
pub struct NoCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { membership, organisation } = self;
        for (before, StreamCursor { epoch, head, floor }) in [("", membership), ("-", organisation)] {
            write!(f, "{before}{epoch}.{head}")?;
            if floor > head {
                write!(f, ".{floor}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<i64>().map_err(|_| NoCursor) } else { Err(NoCursor) }
        };
        let place = |text: &str| {
            let (epoch, head) = text.split_once('.').ok_or(NoCursor)?;
            let (head, floor) = head.split_once('.').unwrap_or((head, "0"));
            Ok(StreamCursor { epoch: number(epoch)?, head: number(head)?, floor: number(floor)? })
        };
        let (membership, organisation) = text.split_once('-').ok_or(NoCursor)?;
        Ok(Self { membership: place(membership)?, organisation: place(organisation)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_what_it_prints_and_nothing_else() {
        let cursor = Cursor {
            membership: StreamCursor { epoch: 1_700_000_000_000, head: 7, floor: 9 },
            organisation: StreamCursor { epoch: 3, head: 0, floor: 0 },
        };
        assert_eq!(cursor.to_string(), "1700000000000.7.9-3.0");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            "1.2",
            "1.2-3",
            "1.2-3.x",
            "-1.2-3.4",
            "1.2-3.4-",
            "1.2.-3.4",
            "1.2.3.4-5.6",
            "1.2-3.99999999999999999999",
            "+1.2-3.4",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(NoCursor), "{bad:?}");
        }
    }
}
