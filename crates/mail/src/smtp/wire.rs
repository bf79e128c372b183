//! The line to a server: bytes out, answers in, each with its time.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::Cause;
use super::reply::{LONGEST_LINE, MOST_BYTES, Reader, Reply};
use crate::stream::{LONGEST_WAIT, Stream};

/// How much of a message is written under one timeout.
const BLOCK: usize = 64 * 1024;

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What was read and belongs to no answer yet.
    unread: Vec<u8>,
    idle: Duration,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, idle: Duration) -> Self {
        Self { stream, unread: Vec::new(), idle }
    }

    /// The stream, for the handshake of TLS. Bytes that came before it are an injection and refused.
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, Cause> {
        if self.unread.is_empty() { Ok(self.stream) } else { Err(Cause::Garbage("bytes between STARTTLS and TLS")) }
    }

    /// That the server has said nothing that nobody asked for, and has not gone. Looks without waiting.
    pub(super) fn quiet(&mut self) -> Result<(), Cause> {
        if !self.unread.is_empty() {
            return Err(self.unasked());
        }
        let mut bytes = [0; 512];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer) {
            Poll::Pending => Ok(()),
            Poll::Ready(Err(_)) => Err(Cause::Cut),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Err(Cause::Cut),
            Poll::Ready(Ok(())) => {
                self.unread.extend_from_slice(buffer.filled());
                Err(self.unasked())
            }
        }
    }

    /// What an unasked answer means: a farewell is one for itself (421 before the server hangs up), anything else is garbage.
    fn unasked(&self) -> Cause {
        let text = String::from_utf8_lossy(&self.unread);
        match Reply::parse(&text) {
            Some(reply) if reply.code == 421 => Cause::Answer(reply),
            _ => Cause::Garbage("an answer that nobody asked for"),
        }
    }

    /// Writes all of it. Gives how much was handed over when it fails.
    pub(super) async fn write(&mut self, bytes: &[u8], each: Duration) -> Result<(), (Cause, usize)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let block = rest.get(..BLOCK).unwrap_or(rest);
            match timeout(each, self.stream.write(block)).await {
                Err(_) => return Err((Cause::TimedOut, written)),
                Ok(Ok(0) | Err(_)) => return Err((Cause::Cut, written)),
                Ok(Ok(count)) => written += count,
            }
        }
        match timeout(each, self.stream.flush()).await {
            Err(_) => Err((Cause::TimedOut, written)),
            Ok(Err(_)) => Err((Cause::Cut, written)),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// The next answer, within `limit`.
    pub(super) async fn answer(&mut self, limit: Duration) -> Result<Reply, Cause> {
        self.answer_lines(limit).await.map(|(reply, _)| reply)
    }

    /// The next answer and its lines.
    pub(super) async fn answer_lines(&mut self, limit: Duration) -> Result<(Reply, Vec<String>), Cause> {
        let deadline = Instant::now() + limit.min(LONGEST_WAIT);
        let mut reader = Reader::default();
        let mut total = 0;
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                total += line.len();
                if line.len() > LONGEST_LINE || total > MOST_BYTES {
                    return Err(Cause::Garbage("an answer that is too long"));
                }
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                if let Some(reply) = reader.line(line).map_err(Cause::Garbage)? {
                    return Ok((reply, reader.lines));
                }
            }
            if self.unread.len() > LONGEST_LINE {
                return Err(Cause::Garbage("an answer that is too long"));
            }
            let begun = total > 0 || !self.unread.is_empty();
            let until = if begun { deadline.min(Instant::now() + self.idle.min(LONGEST_WAIT)) } else { deadline };
            let mut bytes = [0; 4_096];
            match timeout_at(until, self.stream.read(&mut bytes)).await {
                Err(_) => return Err(Cause::TimedOut),
                Ok(Err(_) | Ok(0)) => return Err(Cause::Cut),
                Ok(Ok(count)) => self.unread.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Ends the connection in order, if the other side takes part.
    pub(super) async fn close(&mut self, limit: Duration) {
        let _ = timeout(limit, self.stream.shutdown()).await;
    }
}
