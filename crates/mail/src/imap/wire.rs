//! The line to a server: commands out, responses in, each within its time and its bounds.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, timeout_at};

use super::Cause;
use super::response::{Response, Status};
use crate::heard;
use crate::stream::{LONGEST_WAIT, Stream};

/// The most bytes of one response besides its literals. Only the answer to a search comes near.
pub(super) const MOST_TEXT: usize = 4 * 1024 * 1024;
/// The largest literal that is taken. Of one that is larger than what is kept, the rest is read and thrown away: a server
/// that does not know how to give the beginning of a message gives all of it.
pub(super) const LARGEST_LITERAL: u64 = 64 * 1024 * 1024;
/// How much of a literal is kept.
const MOST_KEPT: usize = heard::MOST_BYTES;
/// The most literals of one response.
const MOST_LITERALS: usize = 16;
/// The most responses to one command.
const MOST_RESPONSES: usize = 20_000;
/// The most bytes of all responses to one command.
pub(super) const MOST_OF_COMMAND: u64 = LARGEST_LITERAL + 16 * 1024 * 1024;

/// A part of a response, as the server cuts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A line, or the part of one before or after a literal.
    Text(Vec<u8>),
    /// Bytes whose number was said before.
    Literal(Vec<u8>),
}

/// What may still be said to one command.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    deadline: Instant,
    responses: usize,
    bytes: u64,
}

impl Bounds {
    pub(super) fn new(limit: Duration) -> Self {
        let deadline = Instant::now() + limit.min(LONGEST_WAIT);
        Self { deadline, responses: MOST_RESPONSES, bytes: MOST_OF_COMMAND }
    }

    fn response(&mut self) -> Result<(), Cause> {
        self.responses = self.responses.checked_sub(1).ok_or(Cause::Garbage("responses without end"))?;
        Ok(())
    }

    fn bytes(&mut self, count: usize) -> Result<(), Cause> {
        self.bytes = self.bytes.checked_sub(count as u64).ok_or(Cause::TooLarge { most: MOST_OF_COMMAND })?;
        Ok(())
    }
}

pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    idle: Duration,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, idle: Duration) -> Self {
        Self { stream: BufReader::with_capacity(16 * 1024, stream), idle }
    }

    /// The stream, for the handshake of TLS. Bytes that came before it are an injection and refused.
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, Cause> {
        if self.stream.buffer().is_empty() {
            Ok(self.stream.into_inner())
        } else {
            Err(Cause::Garbage("bytes between STARTTLS and TLS"))
        }
    }

    /// Writes all of it before the command's deadline.
    pub(super) async fn write(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<(), Cause> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout_at(bounds.deadline, writing).await {
            Err(_) => Err(Cause::TimedOut),
            Ok(Err(_)) => Err(Cause::Cut),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// The next response. A farewell is an error here, because nothing follows it.
    pub(super) async fn response(&mut self, bounds: &mut Bounds) -> Result<Response, Cause> {
        bounds.response()?;
        let pieces = self.pieces(bounds).await?;
        match Response::read(pieces).map_err(Cause::Garbage)? {
            Response::Status(Status::Bye, words) => Err(Cause::Bye(words.text)),
            response => Ok(response),
        }
    }

    async fn pieces(&mut self, bounds: &mut Bounds) -> Result<Vec<Piece>, Cause> {
        let mut pieces = Vec::new();
        let (mut text, mut literals) = (0, 0);
        loop {
            let mut line = self.line(bounds, text > 0, MOST_TEXT - text).await?;
            text += line.len();
            let announced = if may_hold_literals(pieces.first(), &line) { announced(&line) } else { None };
            let Some((length, start)) = announced else {
                pieces.push(Piece::Text(line));
                return Ok(pieces);
            };
            if length > LARGEST_LITERAL {
                return Err(Cause::TooLarge { most: LARGEST_LITERAL });
            }
            literals += 1;
            if literals > MOST_LITERALS {
                return Err(Cause::Garbage("a response of too many literals"));
            }
            line.truncate(start);
            pieces.push(Piece::Text(line));
            pieces.push(Piece::Literal(self.literal(length, bounds).await?));
        }
    }

    /// The next line without its end.
    async fn line(&mut self, bounds: &mut Bounds, begun: bool, most: usize) -> Result<Vec<u8>, Cause> {
        let mut line = Vec::new();
        loop {
            let bytes = self.more(bounds, begun || !line.is_empty()).await?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if line.len() + part.len() > most {
                return Err(Cause::TooLarge { most: MOST_TEXT as u64 });
            }
            line.extend_from_slice(part);
            let used = part.len() + usize::from(end.is_some());
            self.stream.consume(used);
            bounds.bytes(used)?;
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
        }
    }

    /// A literal. What is set aside for it grows with what comes, and not with what was announced.
    async fn literal(&mut self, length: u64, bounds: &mut Bounds) -> Result<Vec<u8>, Cause> {
        let mut left = length;
        let mut literal = Vec::new();
        while left > 0 {
            let bytes = self.more(bounds, true).await?;
            let part = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
            let room = MOST_KEPT - literal.len();
            literal.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len();
            left -= used as u64;
            self.stream.consume(used);
            bounds.bytes(used)?;
        }
        Ok(literal)
    }

    /// Waits for bytes, which are at least one. Within a response the wait is also bounded by the idle time.
    async fn more(&mut self, bounds: &Bounds, begun: bool) -> Result<&[u8], Cause> {
        let idle = Instant::now() + self.idle.min(LONGEST_WAIT);
        let until = if begun { bounds.deadline.min(idle) } else { bounds.deadline };
        // Bytes that are there already are taken at once, so the deadline of a server that never pauses is looked at here.
        if Instant::now() >= bounds.deadline {
            return Err(Cause::TimedOut);
        }
        match timeout_at(until, self.stream.fill_buf()).await {
            Err(_) => Err(Cause::TimedOut),
            Ok(Err(_)) => Err(Cause::Cut),
            Ok(Ok([])) => Err(Cause::Cut),
            Ok(Ok(bytes)) => Ok(bytes),
        }
    }

    /// Ends the connection in order, if the other side takes part.
    pub(super) async fn close(&mut self, limit: Duration) {
        let _ = timeout_at(Bounds::new(limit).deadline, self.stream.shutdown()).await;
    }
}

/// Whether a response can hold literals: words of a server for people may end like one that announces a literal.
fn may_hold_literals(first: Option<&Piece>, line: &[u8]) -> bool {
    let first = match first {
        Some(Piece::Text(first)) => first.as_slice(),
        _ => line,
    };
    first.strip_prefix(b"* ").is_some_and(|rest| {
        let word = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
        Status::of_word(word).is_none()
    })
}

/// The length of the literal that a line announces at its end, and where the announcement begins: `{5}`, `{5+}`, `~{5}`.
fn announced(line: &[u8]) -> Option<(u64, usize)> {
    let inner = line.strip_suffix(b"}")?;
    let inner = inner.strip_suffix(b"+").unwrap_or(inner);
    let open = inner.iter().rposition(|byte| *byte == b'{')?;
    let digits = inner.get(open + 1..)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More digits than a number has are more bytes than are taken.
    let length = std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
    let start = if open > 0 && line.get(open - 1) == Some(&b'~') { open - 1 } else { open };
    Some((length, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_announced_at_the_end() {
        assert_eq!(announced(b"* 1 FETCH (BODY[] {5}"), Some((5, 18)));
        assert_eq!(announced(b"x {5+}"), Some((5, 2)));
        assert_eq!(announced(b"x ~{0}"), Some((0, 2)));
        assert_eq!(announced(b"{99999999999999999999999}"), Some((u64::MAX, 0)));
        for none in ["", "{}", "{+}", "{-1}", "{5} ", "5}", "{a}", "{5", "}"] {
            assert_eq!(announced(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn words_for_people_announce_nothing() {
        assert!(may_hold_literals(None, b"* LIST () \"/\" {5}"));
        assert!(may_hold_literals(Some(&Piece::Text(b"* list () \"/\" ".to_vec())), b" x {5}"));
        for none in ["* OK use {5}", "* bye {5}", "A1 OK {5}", "+ {5}", "{5}"] {
            assert!(!may_hold_literals(None, none.as_bytes()), "{none}");
        }
    }
}
