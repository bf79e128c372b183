//! One letter to one person, as it stands on the wire (RFC 5322, RFC 2045 to 2047, RFC 8058).
//!
//! The bytes are a function of the letter: the same letter is the same message, so that what is sent again after a crash can be
//! told by its Message-ID and is not a second version. Written here and not by a library, since the rules that matter (which
//! character is refused and which is replaced, where words are cut, what stands at the start of a line) are ours to keep,
//! and the lock of crates is small.

mod address;
mod body;
mod header;
mod html;

use std::fmt::Write as _;

use mainstay_domain::{FieldFault, Timestamp};
use ring::digest::{SHA256, digest};

pub use address::Address;
use address::is_dot_atom;
pub use body::lines_of;
pub use header::{one_line, one_name};
pub use html::text_of;

/// The most characters of a person's name.
pub const MOST_NAME: usize = 1_000;
/// The most characters of a subject.
pub const MOST_SUBJECT: usize = 2_000;
/// The most bytes of a text or of its HTML.
pub const MOST_BODY: usize = 2 * 1024 * 1024;
/// How many earlier messages a letter names: the first of the thread, and the newest.
pub const MOST_REFERENCES: usize = 20;
/// The longest link of the unsubscribe headers, in bytes: a line has 998.
const MOST_LINK: usize = 900;

/// A person and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// What the person is called; may be empty. Control characters become spaces, and several spaces one.
    pub name: String,
    /// The address.
    pub address: Address,
}

/// How to unsubscribe, for the mail program (RFC 2369, RFC 8058).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The `https` address that takes the POST of one click, and shows a page to people.
    pub https: String,
    /// The address for mail programs that only write: `mailto:leave@example.com?subject=...`.
    pub mailto: Option<String>,
}

/// Whether a machine wrote the letter by itself (RFC 3834).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoSubmitted {
    /// By a schedule or an event, to nobody's message.
    Generated,
    /// As an answer to a message.
    Replied,
}

/// One letter to one person. Everything is checked when it is written.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who writes.
    pub from: Mailbox,
    /// To whom.
    pub to: Mailbox,
    /// Where answers go, if not to `from`.
    pub reply_to: Option<Mailbox>,
    /// What it is about. Control characters become spaces; at most [`MOST_SUBJECT`] characters.
    pub subject: String,
    /// The text. When it is empty and there is HTML, the text is taken from that ([`text_of`]).
    pub text: String,
    /// The same in HTML.
    pub html: Option<String>,
    /// `unique@domain`, without the angle brackets. Fixed when the letter is planned, not when it is sent.
    pub message_id: String,
    /// When it is written.
    pub date: Timestamp,
    /// The message that this one follows, without brackets.
    pub in_reply_to: Option<String>,
    /// Every earlier message of the thread, the oldest first. Of more than [`MOST_REFERENCES`] the first and the newest stay.
    pub references: Vec<String>,
    /// How to unsubscribe.
    pub list_unsubscribe: Option<Unsubscribe>,
    /// Names the list: `campaign.example.com` (RFC 2919), without brackets.
    pub list_id: Option<String>,
    /// Groups letters in the postmaster tools of Gmail: `campaign:customer:type:sender`.
    pub feedback_id: Option<String>,
    /// Set on what no person wrote. A letter of a campaign has none.
    pub auto_submitted: Option<AutoSubmitted>,
}

impl Letter {
    /// The message, ready to be signed and sent: exactly one of each header, CRLF, lines of at most 998 bytes, folded at 78
    /// where there is a place to fold, ASCII throughout.
    ///
    /// # Errors
    /// The first field that cannot be sent, and why. Nothing is left out in silence.
    pub fn write(&self) -> Result<Vec<u8>, FieldFault> {
        let mut out =
            String::with_capacity(2_048 + self.text.len() * 2 + self.html.as_ref().map_or(0, String::len) * 2);
        let text = self.bodies()?;
        put_person(&mut out, "From", "from", &self.from)?;
        put_person(&mut out, "To", "to", &self.to)?;
        if let Some(reply_to) = &self.reply_to {
            put_person(&mut out, "Reply-To", "reply_to", reply_to)?;
        }
        let subject = one_line(&self.subject);
        bounded("subject", subject.chars().count(), MOST_SUBJECT)?;
        header::put_text(&mut out, "Subject", &subject);
        let _ = write!(out, "Date: {}\r\n", date(self.date)?);
        let _ = write!(out, "Message-ID: <{}>\r\n", identifier("message_id", &self.message_id)?);
        self.put_thread(&mut out)?;
        self.put_list(&mut out)?;
        out.push_str("MIME-Version: 1.0\r\n");
        match &self.html {
            None => put_part(&mut out, "plain", &text),
            Some(html) => {
                let boundary = self.boundary();
                let _ = write!(out, "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n");
                for (kind, lines) in [("plain", text.as_str()), ("html", lines_of(html).as_str())] {
                    let _ = write!(out, "--{boundary}\r\n");
                    put_part(&mut out, kind, lines);
                    out.push_str("\r\n");
                }
                let _ = write!(out, "--{boundary}--\r\n");
            }
        }
        Ok(out.into_bytes())
    }

    /// The text in lines, and whether both bodies are within bounds.
    fn bodies(&self) -> Result<String, FieldFault> {
        bounded("text", self.text.len(), MOST_BODY)?;
        bounded("html", self.html.as_ref().map_or(0, String::len), MOST_BODY)?;
        Ok(match &self.html {
            Some(html) if self.text.trim().is_empty() => lines_of(&text_of(html)),
            _ => lines_of(&self.text),
        })
    }

    fn put_thread(&self, out: &mut String) -> Result<(), FieldFault> {
        if let Some(earlier) = &self.in_reply_to {
            let _ = write!(out, "In-Reply-To: <{}>\r\n", identifier("in_reply_to", earlier)?);
        }
        let Some((first, rest)) = self.references.split_first() else { return Ok(()) };
        let newest = rest.get(rest.len().saturating_sub(MOST_REFERENCES - 1)..).unwrap_or_default();
        let mut words = Vec::with_capacity(newest.len() + 1);
        for reference in std::iter::once(first).chain(newest) {
            words.push(format!("<{}>", identifier("references", reference)?));
        }
        header::put_words(out, "References", words.iter().map(String::as_str));
        Ok(())
    }

    fn put_list(&self, out: &mut String) -> Result<(), FieldFault> {
        if let Some(list) = &self.list_id {
            if list.len() > 255 || !is_dot_atom(list) {
                return Err(refused("list_id", "A list is named like a domain: campaign.example.com."));
            }
            let _ = write!(out, "List-Id: <{list}>\r\n");
        }
        if let Some(Unsubscribe { https, mailto }) = &self.list_unsubscribe {
            let mut links = vec![link("list_unsubscribe.https", "https://", https)?];
            if let Some(mailto) = mailto {
                links[0].push(',');
                links.push(link("list_unsubscribe.mailto", "mailto:", mailto)?);
            }
            header::put_words(out, "List-Unsubscribe", links.iter().map(String::as_str));
            out.push_str("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
        }
        if let Some(feedback) = &self.feedback_id {
            if feedback.is_empty() || feedback.len() > 200 || !feedback.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refused("feedback_id", "It has 1 to 200 printable ASCII characters without spaces."));
            }
            let _ = write!(out, "Feedback-ID: {feedback}\r\n");
        }
        match self.auto_submitted {
            None => {}
            Some(AutoSubmitted::Generated) => out.push_str("Auto-Submitted: auto-generated\r\n"),
            Some(AutoSubmitted::Replied) => out.push_str("Auto-Submitted: auto-replied\r\n"),
        }
        Ok(())
    }

    /// What parts the bodies. `=_` never stands in quoted-printable, so no body can hold it.
    fn boundary(&self) -> String {
        let hash = digest(&SHA256, self.message_id.as_bytes());
        hash.as_ref().iter().take(12).fold("=_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

fn put_person(out: &mut String, header: &str, field: &str, person: &Mailbox) -> Result<(), FieldFault> {
    let name = one_name(&person.name);
    bounded(&format!("{field}.name"), name.chars().count(), MOST_NAME)?;
    header::put_mailbox(out, header, &name, person.address.as_str());
    Ok(())
}

fn put_part(out: &mut String, kind: &str, lines: &str) {
    let _ = write!(out, "Content-Type: text/{kind}; charset=utf-8\r\n");
    out.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    body::put_quoted_printable(out, lines);
}

fn bounded(field: &str, length: usize, most: usize) -> Result<(), FieldFault> {
    if length <= most {
        return Ok(());
    }
    Err(FieldFault::new(field, "too_long", format!("It has {length}; at most {most} are allowed. Shorten it.")))
}

fn refused(field: &str, why: &str) -> FieldFault {
    FieldFault::new(field, "invalid", why)
}

/// The date as mail writes it, in UTC.
fn date(moment: Timestamp) -> Result<String, FieldFault> {
    let moment = jiff::Timestamp::from_millisecond(moment.as_millis());
    let year = |zoned: &jiff::Zoned| (1970..=9998).contains(&zoned.year());
    match moment.map(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC)) {
        Ok(zoned) if year(&zoned) => Ok(zoned.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
        _ => Err(refused("date", "It is not within the years 1970 to 9998.")),
    }
}

/// A Message-ID without its brackets: printable ASCII, one @, nothing that ends the header or the brackets.
fn identifier<'a>(field: &str, id: &'a str) -> Result<&'a str, FieldFault> {
    let fine = |byte: u8| byte.is_ascii_graphic() && !b"<>()[]\\,;:\"".contains(&byte);
    let parts = id.split_once('@').is_some_and(|(left, right)| is_dot_atom(left) && is_dot_atom(right));
    if !parts || id.len() > 250 || !id.bytes().all(fine) {
        return Err(refused(
            field,
            "A Message-ID is unique@domain, of printable ASCII, at most 250 bytes, without brackets.",
        ));
    }
    Ok(id)
}

fn link(field: &str, scheme: &str, link: &str) -> Result<String, FieldFault> {
    let fine = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\,".contains(&byte);
    let begins = link.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !begins || link.len() == scheme.len() || link.len() > MOST_LINK || !link.bytes().all(fine) {
        let why = format!("It begins with {scheme}, has at most {MOST_LINK} bytes, and no spaces, commas or brackets.");
        return Err(refused(field, &why));
    }
    Ok(format!("<{link}>"))
}

#[cfg(test)]
mod tests;
