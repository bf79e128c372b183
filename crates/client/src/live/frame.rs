//! What the server says on a live socket.

use bytes::Bytes;
use serde::Deserialize;

use crate::error::Error;
use crate::sync::{Change, Cursor};

/// A frame as it came, not read yet: a program that only counts frames need not read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame(pub(super) Bytes);

impl RawFrame {
    /// Its JSON.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Decode`] when it is no frame of the protocol.
    pub fn read(&self) -> Result<Frame, Error> {
        let decode = |error| Error::decode("a live frame", error);
        let head: Head<'_> = serde_json::from_slice(&self.0).map_err(decode)?;
        Ok(match head.kind {
            "ready" => Frame::Ready(serde_json::from_slice(&self.0).map_err(decode)?),
            "change" => Frame::Change(serde_json::from_slice(&self.0).map_err(decode)?),
            "resync" => Frame::Resync,
            "ping" => Frame::Ping,
            _ => Frame::Unknown,
        })
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
}

/// A frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Frame {
    /// From a position on, everything is pushed.
    Ready(Ready),
    /// Something changed.
    Change(Change),
    /// Changes were left out: sync from the own cursor now. Another `Ready` follows.
    Resync,
    /// Nothing to do.
    Ping,
    /// A newer server says something that this client does not know. Nothing to do.
    Unknown,
}

/// From a position on, everything is pushed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ready {
    /// The position.
    pub cursor: Cursor,
    /// When to sync next while nothing is pushed, in milliseconds; nothing for: only on demand.
    #[serde(default)]
    pub next_sync_after_ms: Option<u64>,
    /// How often to sync while the socket is open, to be safe.
    #[serde(default)]
    pub safety_sync_after_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Frame, Error> {
        RawFrame(Bytes::from_static(text.as_bytes())).read()
    }

    #[test]
    fn frames_are_read_and_unknown_ones_are_let_be() {
        let ready = read(
            r#"{"type":"ready","cursor":"1.5-1.7","epoch":"1","next_sync_after_ms":null,"safety_sync_after_ms":9}"#,
        );
        assert!(matches!(
            ready,
            Ok(Frame::Ready(Ready { safety_sync_after_ms: Some(9), next_sync_after_ms: None, .. }))
        ));
        let change = read(
            r#"{"type":"change","stream":"membership","kind":"message","id":"00000000-0000-0000-0000-000000000007",
            "seq":9,"deleted":true,"parent":null,"row":null}"#,
        );
        assert!(
            matches!(change, Ok(Frame::Change(change)) if change.deleted && change.row.is_none() && change.seq == 9)
        );
        assert!(matches!(read(r#"{"type":"resync"}"#), Ok(Frame::Resync)));
        assert!(matches!(read(r#"{"type":"of the future","x":1}"#), Ok(Frame::Unknown)));
        assert!(read(r#"{"type":"change"}"#).is_err());
        assert!(read("[]").is_err());
    }
}
