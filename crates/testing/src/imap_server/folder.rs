//! A folder and its messages.

use std::sync::Arc;

/// What every message says of its arrival.
const INTERNAL_DATE: &str = " 1-Feb-2026 12:30:00 +0100";

#[derive(Clone)]
pub(super) struct Message {
    pub(super) uid: u32,
    pub(super) bytes: Arc<[u8]>,
    pub(super) seen: bool,
}

pub(super) struct Folder {
    pub(super) name: String,
    pub(super) attributes: String,
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    pub(super) messages: Vec<Message>,
    /// The uids whose text was given, in order.
    pub(super) read: Vec<u32>,
}

impl Folder {
    pub(super) fn new(name: &str, attributes: &str) -> Self {
        Self {
            name: name.to_owned(),
            attributes: attributes.to_owned(),
            uid_validity: 1,
            uid_next: 1,
            messages: Vec::new(),
            read: Vec::new(),
        }
    }

    /// Puts a message at the end.
    pub(super) fn append(&mut self, bytes: &[u8], uid: Option<u32>) -> u32 {
        let uid = uid.unwrap_or(self.uid_next).max(self.uid_next);
        self.uid_next = uid.saturating_add(1);
        self.messages.push(Message { uid, bytes: Arc::from(bytes), seen: false });
        uid
    }

    pub(super) fn renumber(&mut self, uid_validity: u32) {
        self.uid_validity = uid_validity;
        for (message, uid) in self.messages.iter_mut().zip(1..) {
            message.uid = uid;
        }
        self.uid_next = self.messages.last().map_or(1, |last| last.uid.saturating_add(1));
        self.read.clear();
    }

    /// Whether a uid is in a set as `3:*,9`. The star is the highest uid, on whichever side it stands.
    fn holds(&self, set: &str, uid: u32) -> bool {
        let highest = self.messages.last().map_or(0, |last| last.uid);
        let number = |text: &str| if text == "*" { highest } else { text.parse().unwrap_or_default() };
        set.split(',').any(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let (first, last) = (number(first), number(last));
            (first.min(last)..=first.max(last)).contains(&uid)
        })
    }

    /// The uids that a search finds: `UID set`, `HEADER name value` or `ALL`.
    pub(super) fn search(&self, words: &[String]) -> Option<Vec<u32>> {
        let fits = |message: &&Message| match words {
            [all] if all.eq_ignore_ascii_case("ALL") => Some(true),
            [key, set] if key.eq_ignore_ascii_case("UID") => Some(self.holds(set, message.uid)),
            [key, name, value] if key.eq_ignore_ascii_case("HEADER") => {
                let text = header(&message.bytes, name).to_lowercase();
                Some(!text.is_empty() && text.contains(&value.to_lowercase()))
            }
            _ => None,
        };
        if self.messages.first().is_some_and(|first| fits(&first).is_none()) {
            return None;
        }
        Some(self.messages.iter().filter(|message| fits(message) == Some(true)).map(|message| message.uid).collect())
    }

    /// The answer to `UID FETCH`: what is asked for in parentheses, of the messages of a set.
    pub(super) fn fetch(&mut self, set: &str, items: &str, read_only: bool) -> Vec<u8> {
        let mut output = Vec::new();
        let wanted: Vec<u32> =
            self.messages.iter().map(|message| message.uid).filter(|uid| self.holds(set, *uid)).collect();
        for (message, place) in self.messages.iter_mut().zip(1_u32..) {
            if !wanted.contains(&message.uid) {
                continue;
            }
            output.extend_from_slice(format!("* {place} FETCH (").as_bytes());
            for (count, item) in split_items(items).iter().enumerate() {
                if count > 0 {
                    output.push(b' ');
                }
                match item.to_ascii_uppercase().as_str() {
                    "UID" => output.extend_from_slice(format!("UID {}", message.uid).as_bytes()),
                    "FLAGS" => {
                        output.extend_from_slice(if message.seen { b"FLAGS (\\Seen)" } else { b"FLAGS ()" });
                    }
                    "RFC822.SIZE" => {
                        output.extend_from_slice(format!("RFC822.SIZE {}", message.bytes.len()).as_bytes());
                    }
                    "INTERNALDATE" => output.extend_from_slice(format!("INTERNALDATE \"{INTERNAL_DATE}\"").as_bytes()),
                    upper if upper.starts_with("BODY") => {
                        if !upper.starts_with("BODY.PEEK") && !read_only {
                            message.seen = true;
                        }
                        let (name, bytes) = body(message, item);
                        if upper.contains("[]") {
                            self.read.push(message.uid);
                        }
                        output.extend_from_slice(format!("{name} {{{}}}\r\n", bytes.len()).as_bytes());
                        output.extend_from_slice(&bytes);
                    }
                    _ => output.extend_from_slice(format!("{item} NIL").as_bytes()),
                }
            }
            output.extend_from_slice(b")\r\n");
        }
        output
    }
}

/// The items of a list, which may have lists of headers within.
fn split_items(items: &str) -> Vec<String> {
    let inner = items.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(items);
    let mut found = vec![String::new()];
    let mut bracket = false;
    for letter in inner.chars() {
        match letter {
            '[' => bracket = true,
            ']' => bracket = false,
            _ => {}
        }
        match found.last_mut() {
            Some(last) if letter != ' ' || bracket => last.push(letter),
            _ => found.push(String::new()),
        }
    }
    found.retain(|item| !item.is_empty());
    found
}

/// The name under which a text is given, and the text: the whole, a part of it (`<offset.count>`), or one header.
fn body(message: &Message, item: &str) -> (String, Vec<u8>) {
    let section = item.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let (section, partial) = section.unwrap_or_default();
    if let Some(name) = section.strip_prefix("HEADER.FIELDS (").and_then(|rest| rest.strip_suffix(')')) {
        let value = header(&message.bytes, name);
        let text = if value.is_empty() { "\r\n".to_owned() } else { format!("{name}: {value}\r\n\r\n") };
        return (format!("BODY[{section}]"), text.into_bytes());
    }
    let range = partial.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).and_then(|rest| rest.split_once('.'));
    let Some((offset, count)) = range else { return ("BODY[]".to_owned(), message.bytes.to_vec()) };
    let (start, count): (usize, usize) = (offset.parse().unwrap_or_default(), count.parse().unwrap_or_default());
    let rest = message.bytes.get(start..).unwrap_or_default();
    (format!("BODY[]<{start}>"), rest.get(..count).unwrap_or(rest).to_vec())
}

/// The value of a header of a message, empty when it has none.
fn header(message: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(message);
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let mut values = lines.by_ref().filter_map(|line| line.split_once(':'));
    let value = values.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    value.unwrap_or_default().trim().to_owned()
}
