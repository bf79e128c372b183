//! Server-sent events from a response body.
//!
//! The crate `eventsource-stream` reads the events. In front of it stands a splitter that gives it one line at a time,
//! because of what real servers do: a chunk may split a character, the last event may lack its blank line, a line may
//! never end, and a byte order mark may come first (on which the crate would panic).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use eventsource_stream::{Event, EventStream, EventStreamError};
use futures_util::{Stream, StreamExt, stream};

/// The largest event that is read, in bytes.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why there is no further event.
#[derive(Debug)]
pub(super) enum Broken<E> {
    /// The connection failed.
    Transport(E),
    /// The event is larger than its bound.
    TooLarge,
    /// The bytes are not UTF-8.
    NotText,
}

type Lines<E> = Pin<Box<dyn Stream<Item = Result<Bytes, Broken<E>>> + Send>>;

/// The events of one body.
pub(super) struct Events<E> {
    events: EventStream<Lines<E>>,
    ended: Arc<AtomicBool>,
}

impl<E: Send + 'static> Events<E> {
    /// The events in these chunks.
    pub(super) fn new(chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let splitter = Splitter {
            chunks: Box::pin(chunks),
            held: BytesMut::new(),
            searched: 0,
            event_bytes: 0,
            after_return: false,
            started: false,
            ended: Arc::clone(&ended),
        };
        let lines: Lines<E> = Box::pin(stream::try_unfold(splitter, Splitter::next));
        Self { events: EventStream::new(lines), ended }
    }

    /// The next event; none at the end of the body.
    pub(super) async fn next(&mut self) -> Option<Result<Event, Broken<E>>> {
        Some(self.events.next().await?.map_err(|error| match error {
            EventStreamError::Transport(broken) => broken,
            EventStreamError::Utf8(_) | EventStreamError::Parser(_) => Broken::NotText,
        }))
    }

    /// True when the body has ended: the event at hand may have been cut off in its middle.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

struct Splitter<E> {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, E>> + Send>>,
    held: BytesMut,
    /// How much of `held` is known to have no line end.
    searched: usize,
    event_bytes: usize,
    /// The last line ended with a carriage return, of which a line feed may be the second half.
    after_return: bool,
    started: bool,
    ended: Arc<AtomicBool>,
}

impl<E> Splitter<E> {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Broken<E>> {
        loop {
            if let Some(line) = self.take_line()? {
                return Ok(Some((line, self)));
            }
            if self.ended.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.held.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(Broken::Transport(error)),
                None => {
                    // The missing ends of the last line and of the last event. One too many does no harm.
                    self.held.extend_from_slice(b"\n\n");
                    self.ended.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn take_line(&mut self) -> Result<Option<Bytes>, Broken<E>> {
        let found = self.held[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = found.map(|offset| self.searched + offset) else {
            self.searched = self.held.len();
            return if self.event_bytes + self.held.len() > MAX_EVENT_BYTES { Err(Broken::TooLarge) } else { Ok(None) };
        };
        let length = if self.held[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        let mut line = self.held.split_to(length).freeze();
        self.searched = 0;
        if !std::mem::replace(&mut self.started, true) && line.starts_with(BYTE_ORDER_MARK) {
            line = line.slice(BYTE_ORDER_MARK.len()..);
        }
        let second_half = self.after_return && line.as_ref() == b"\n";
        let blank = !second_half && matches!(line.as_ref(), b"\n" | b"\r" | b"\r\n");
        self.after_return = line.ends_with(b"\r");
        self.event_bytes = if blank { 0 } else { self.event_bytes + line.len() };
        if self.event_bytes > MAX_EVENT_BYTES { Err(Broken::TooLarge) } else { Ok(Some(line)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: Vec<Vec<u8>>) -> Result<Vec<(String, String)>, Broken<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut events = Events::new(stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk)))));
            let mut all = Vec::new();
            while let Some(event) = events.next().await {
                let event = event?;
                all.push((event.event, event.data));
            }
            assert!(events.ended());
            Ok(all)
        })
    }

    fn pair(event: &str, data: &str) -> (String, String) {
        (event.to_owned(), data.to_owned())
    }

    #[test]
    fn the_last_event_needs_no_blank_line() {
        let expected = vec![pair("message", "a"), pair("x", "b")];
        for text in
            ["data: a\n\nevent: x\ndata: b", "data: a\n\nevent: x\ndata: b\n", "data: a\n\nevent: x\ndata: b\n\n"]
        {
            assert_eq!(read(vec![text.as_bytes().to_vec()]).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        let bytes = b"\xEF\xBB\xBFdata: a\n\n".to_vec();
        assert_eq!(read(vec![bytes.clone()]).unwrap(), [pair("message", "a")]);
        assert_eq!(read(bytes.chunks(1).map(<[u8]>::to_vec).collect()).unwrap(), [pair("message", "a")]);
    }

    #[test]
    fn a_line_and_an_event_without_end_are_refused() {
        let line = vec![vec![b'x'; 64 * 1024]; 17];
        assert!(matches!(read(line), Err(Broken::TooLarge)));
        for ending in ["\n", "\r\n", "\r"] {
            let event = vec![format!("data: {}{ending}", "x".repeat(1000)).into_bytes(); 1100];
            assert!(matches!(read(event), Err(Broken::TooLarge)), "{ending:?}");
        }
        let whole = vec![format!("data: {}\r\n\r\n", "x".repeat(1000)).into_bytes(); 1100];
        assert_eq!(read(whole).unwrap().len(), 1100, "many events are no large event");
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert!(matches!(read(vec![b"data: \xFF\xFE\n\n".to_vec()]), Err(Broken::NotText)));
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_does_not_matter(
            data in prop::collection::vec("[a-zé漢😀 ]{0,8}", 1..5),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            size in 1_usize..9,
        ) {
            let text: String = data.iter().map(|data| format!("data: {data}{ending}{ending}")).collect();
            // A line that holds nothing but "data: " is an event with empty data, which is delivered as such.
            let expected: Vec<_> = data.iter().map(|data| pair("message", data)).collect();
            let chunks = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(read(chunks).unwrap(), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let _ = read(chunks);
        }
    }
}
