//! What comes back into a mailbox, told apart: bounces, complaints, automatic answers, replies, wishes to leave.
//!
//! Everything here is written by strangers. It is read within bounds and nothing of it is trusted: a bounce or a complaint is
//! believed by the caller only when it names a message that was sent.

mod automatic;
mod bounce;
mod plain_bounce;
mod quoted;

use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders as _, PartType};

use crate::message::text_of;
pub use crate::smtp::Enhanced;

/// How much of a message is read, in bytes. What comes after is mostly the original and its attachments.
pub const MOST_BYTES: usize = 1024 * 1024;
/// How often a message may say words that announce a message inside.
const MOST_NESTED: usize = 200;
/// The most message ids that are kept of one message.
const MOST_IDS: usize = 50;
/// The most addresses that are kept of one message.
const MOST_ADDRESSES: usize = 20;
/// The longest text of a reply, in characters.
pub const MOST_TEXT: usize = 10_000;
/// The longest diagnostic, in bytes.
const MOST_DIAGNOSTIC: usize = 500;

/// What a message in the mailbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message could not be delivered, or is late.
    Bounce(Bounce),
    /// A person said that a message was unwanted, and the provider passed it on (RFC 5965).
    Complaint(Complaint),
    /// A machine answered: out of office, a ticket, a confirmation.
    AutoReply(AutoReply),
    /// A person wrote.
    Reply(Reply),
    /// A mail program asked to unsubscribe by mail.
    Unsubscribe(Unsubscribe),
    /// Nothing of these: a newsletter, a receipt, something that cannot be read.
    Other,
}

/// What a bounce says about the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BounceKind {
    /// There is no such address, or it takes no mail.
    Hard,
    /// It may go well later: late, busy, unreachable.
    Soft,
    /// A rule of the receiver or the reputation of the sender; nothing against the address.
    Policy,
    /// The mailbox is full.
    Full,
}

/// What became of the message, in the words of RFC 3464.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still being tried.
    Delayed,
}

/// A message that was not delivered. Where a report is about several recipients, this is the first that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// The address that the message was for, when it is named; small letters.
    pub recipient: Option<String>,
    /// The status, when there is one.
    pub status: Option<Enhanced>,
    /// What became of it.
    pub action: Action,
    /// The words of the server, printable and bounded.
    pub diagnostic: String,
    /// The ids of the original message, without brackets: first that of the copy, then those that the report answers.
    pub message_ids: Vec<String>,
    /// What it says about the address.
    pub kind: BounceKind,
    /// The addresses that the report was sent to: a token in one of them names the message better than anything else.
    pub to: Vec<String>,
}

/// A complaint of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Who complained, when the provider tells.
    pub recipient: Option<String>,
    /// The type of the report: `abuse`, `fraud`, `opt-out`, ...
    pub kind: String,
    /// The ids of the original message.
    pub message_ids: Vec<String>,
    /// The addresses that the report was sent to.
    pub to: Vec<String>,
}

/// An automatic answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoReply {
    /// Whose it is.
    pub from: String,
    /// What it answers: `In-Reply-To`, then `References` from the newest.
    pub message_ids: Vec<String>,
    /// The addresses that it was sent to.
    pub to: Vec<String>,
}

/// A message of a person. It may answer nothing: then only the address tells whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who wrote; small letters.
    pub from: String,
    /// What it answers: `In-Reply-To`, then `References` from the newest.
    pub message_ids: Vec<String>,
    /// The addresses that it was sent to.
    pub to: Vec<String>,
    /// What was written, without what was quoted, at most [`MOST_TEXT`] characters.
    pub text: String,
    /// Whether the whole first line asks to be left alone: `stop`, `unsubscribe`.
    pub unsubscribe_wish: bool,
}

/// A wish to unsubscribe that a mail program sent: to an address whose local part begins with `unsubscribe`, or with that word
/// as the whole subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Who wrote; small letters.
    pub from: String,
    /// The addresses that it was sent to; one of them may hold a token.
    pub to: Vec<String>,
    /// The subject, which may hold a token.
    pub subject: String,
}

/// Reads a message that came in, as raw bytes with or without `CR`.
#[must_use]
pub fn hear(raw: &[u8]) -> Heard {
    let raw = bounded(raw);
    let Some(message) = MessageParser::default().parse(raw) else { return Heard::Other };
    let letter = Letter { message: &message };
    if let Some(heard) = bounce::of_report(&letter) {
        return heard;
    }
    if let Some(bounce) = plain_bounce::of_text(&letter) {
        return Heard::Bounce(bounce);
    }
    let Some(from) = letter.from() else { return Heard::Other };
    let (to, message_ids) = (letter.to(), letter.answered());
    let subject = letter.subject();
    // A program that unsubscribes may mark its message as automatic.
    if quoted::is_unsubscribing(&to, &subject) {
        return Heard::Unsubscribe(Unsubscribe { from, to, subject });
    }
    match automatic::judge(&letter) {
        automatic::Sign::Answer => Heard::AutoReply(AutoReply { from, message_ids, to }),
        automatic::Sign::Bulk => Heard::Other,
        automatic::Sign::None => {
            let text = quoted::cut(&letter.text());
            let unsubscribe_wish = quoted::is_wish(&text);
            Heard::Reply(Reply { from, message_ids, to, text, unsubscribe_wish })
        }
    }
}

/// The part of a message that is read. A message inside a message inside a message is taken apart by calls within calls, so
/// what says that there is one is counted before.
fn bounded(raw: &[u8]) -> &[u8] {
    let raw = raw.get(..MOST_BYTES).unwrap_or(raw);
    let mut left = MOST_NESTED;
    for (place, byte) in raw.iter().enumerate() {
        if matches!(byte, b'r' | b'R' | b'g' | b'G' | b'd' | b'D')
            && let Some(word) = raw.get(place..place + 6)
            && [b"rfc822".as_slice(), b"global", b"digest"].iter().any(|one| word.eq_ignore_ascii_case(one))
        {
            if left == 0 {
                return raw.get(..place).unwrap_or_default();
            }
            left -= 1;
        }
    }
    raw
}

/// A parsed message, with what is asked of it in one place.
struct Letter<'a> {
    message: &'a Message<'a>,
}

impl<'a> Letter<'a> {
    /// The last header of a name, when it is text.
    fn header(&self, name: &str) -> Option<&'a str> {
        self.field(name).and_then(|value| match value {
            HeaderValue::Text(text) => Some(text.as_ref().trim()),
            HeaderValue::TextList(list) => list.first().map(|text| text.as_ref().trim()),
            _ => None,
        })
    }

    fn field(&self, name: &str) -> Option<&'a HeaderValue<'a>> {
        let mut headers = self.message.headers().iter().rev();
        headers.find(|header| header.name().eq_ignore_ascii_case(name)).map(|header| &header.value)
    }

    fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    fn subject(&self) -> String {
        let subject = self.message.subject().unwrap_or_default();
        subject.chars().filter(|letter| !letter.is_control()).take(1_000).collect()
    }

    fn from(&self) -> Option<String> {
        self.message.from().and_then(first_address)
    }

    /// The addresses of `To`, `Delivered-To` and `X-Original-To`.
    fn to(&self) -> Vec<String> {
        let of_to = self
            .message
            .to()
            .into_iter()
            .flat_map(|list| list.iter())
            .filter_map(|one| one.address().map(clean_address));
        let others = ["Delivered-To", "X-Original-To", "X-Delivered-To", "Envelope-To"];
        let others = others.iter().filter_map(|name| self.header(name)).map(clean_address);
        let mut to: Vec<String> = Vec::new();
        for address in of_to.chain(others).filter(|address| !address.is_empty()).take(MOST_ADDRESSES) {
            if !to.contains(&address) {
                to.push(address);
            }
        }
        to
    }

    /// The ids that the message answers.
    fn answered(&self) -> Vec<String> {
        let mut ids = Vec::new();
        put_ids(&mut ids, self.message.in_reply_to());
        let mut earlier = Vec::new();
        put_ids(&mut earlier, self.message.references());
        ids.extend(earlier.into_iter().rev());
        unique(ids)
    }

    /// Whether the envelope names no sender.
    fn has_null_sender(&self) -> bool {
        match self.field("Return-Path") {
            Some(HeaderValue::Empty) => true,
            Some(HeaderValue::Text(text)) => matches!(text.trim(), "" | "<>"),
            _ => false,
        }
    }

    /// The plain text, or what the HTML says.
    fn text(&self) -> String {
        let mut html = None;
        for part in self.message.text_bodies().take(4) {
            match &part.body {
                PartType::Text(text) if !text.trim().is_empty() => return text.to_string(),
                PartType::Html(text) => html = html.or(Some(text)),
                _ => {}
            }
        }
        html.map(|html| text_of(html)).unwrap_or_default()
    }

    /// The parts whose type is one of these, as bytes.
    fn parts(&self, kinds: &'static [&'static str]) -> impl Iterator<Item = &'a mail_parser::MessagePart<'a>> {
        self.message.parts.iter().take(200).filter(move |part| {
            part.content_type().is_some_and(|kind| {
                let name = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase();
                kinds.contains(&name.as_str())
            })
        })
    }

    /// The ids of the copies of original messages inside.
    fn originals(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for part in
            self.parts(&["message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers"]).take(4)
        {
            match &part.body {
                PartType::Message(inner) => ids.extend(inner.message_id().and_then(clean_id)),
                _ => ids.extend(id_in(&String::from_utf8_lossy(part.contents()))),
            }
        }
        ids
    }
}

fn first_address(address: &Address<'_>) -> Option<String> {
    address.first().and_then(|one| one.address()).map(clean_address).filter(|address| !address.is_empty())
}

/// An address in small letters, without what is no part of it; empty when it is none.
fn clean_address(text: &str) -> String {
    let text = text.trim().trim_matches(['<', '>', '"', '\'', ';', ',']).trim();
    let fine = text.len() <= 320 && text.contains('@') && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if fine { text.to_lowercase() } else { String::new() }
}

fn put_ids(ids: &mut Vec<String>, value: &HeaderValue<'_>) {
    match value {
        HeaderValue::Text(text) => ids.extend(clean_id(text)),
        HeaderValue::TextList(list) => {
            ids.extend(list.iter().rev().take(MOST_IDS).rev().filter_map(|text| clean_id(text)))
        }
        _ => {}
    }
}

/// A message id without brackets, when it is one.
pub(crate) fn clean_id(text: &str) -> Option<String> {
    let id = text.trim().trim_matches(['<', '>']).trim();
    let fine = !id.is_empty() && id.len() <= 998 && id.bytes().all(|byte| byte.is_ascii_graphic());
    fine.then(|| id.to_owned())
}

/// The id in a text that has headers among its lines.
pub(crate) fn id_in(text: &str) -> Option<String> {
    let mut lines = text.lines().take(2_000);
    while let Some(line) = lines.next() {
        let line = line.trim_start_matches(['>', ' ', '\t']);
        let Some(value) = line.get(..11).filter(|name| name.eq_ignore_ascii_case("message-id:")).and(line.get(11..))
        else {
            continue;
        };
        let value = if value.trim().is_empty() { lines.next().unwrap_or_default() } else { value };
        return clean_id(value.split('>').next().unwrap_or_default());
    }
    None
}

fn unique(ids: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for id in ids {
        if seen.len() < MOST_IDS && !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}

/// The words of a server on one printable line.
fn diagnostic_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(200).collect();
    let mut line: String = words.join(" ").chars().filter(|letter| !letter.is_control()).collect();
    line.truncate(line.floor_char_boundary(MOST_DIAGNOSTIC));
    line
}

#[cfg(test)]
mod tests;
