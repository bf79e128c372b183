//! Bounces in words: of servers that do not write reports in parts.

use super::bounce::{answer_in, kind, reply_of};
use super::{Action, Bounce, Letter, clean_address, diagnostic_line, id_in, unique};
use crate::smtp::Reply;

/// How much of the text is searched, in bytes.
const MOST_SEARCHED: usize = 64 * 1024;

/// What bounces say at their start, in small letters.
const OPENINGS: [&str; 16] = [
    "this is the qmail-send program",
    "this message was created automatically by mail delivery software",
    "delivery has failed to these recipients",
    "your message did not reach some or all of the intended recipients",
    "the following recipient(s) could not be reached",
    "the following recipient(s) cannot be reached",
    "your message wasn't delivered to",
    "delivery to the following recipient failed",
    "delivery to the following recipients failed",
    "this is the mail system at host",
    "the following addresses had permanent fatal errors",
    "could not be delivered to",
    "i was unable to deliver your message",
    "i wasn't able to deliver your message",
    "sorry, we were unable to deliver your message",
    "undeliverable:",
];
/// What only says that the message is late.
const LATE: [&str; 6] = [
    "is still being tried",
    "delivery is delayed",
    "will continue to try",
    "no action is required on your part",
    "delay notification",
    "message delayed",
];
/// Where the copy of the original begins.
const COPIES: [&str; 9] = [
    "--- below this line is a copy of the message",
    "------ this is a copy of the message",
    "----- original message -----",
    "-----original message-----",
    "original message headers",
    "------ this is a copy of your message",
    "--- the header of the original message is following",
    "original message follows",
    "----- message header follows -----",
];
/// What subjects of bounces begin with or are.
const SUBJECTS: [&str; 12] = [
    "undelivered mail returned to sender",
    "mail delivery failed",
    "delivery status notification",
    "failure notice",
    "returned mail",
    "undeliverable",
    "mail delivery system",
    "warning: message",
    "mail system error",
    "delivery failure",
    "unzustellbar",
    "non remis",
];

/// Reads a bounce in words. A message is one when a mail system wrote it and it says what failed.
pub(super) fn of_text(letter: &Letter<'_>) -> Option<Bounce> {
    let text = letter.text();
    let text = text.get(..text.floor_char_boundary(MOST_SEARCHED)).unwrap_or_default();
    // The same length in bytes, so that places in one are places in the other.
    let small = text.to_ascii_lowercase();
    let subject = letter.subject().to_lowercase();
    let from = letter.from().unwrap_or_default();
    let system = ["mailer-daemon@", "postmaster@", "mail-daemon@", "mdaemon@", "microsoftexchange"];
    let signs = [
        system.iter().any(|name| from.starts_with(name)) || (from.is_empty() && letter.has_null_sender()),
        letter.has_null_sender(),
        SUBJECTS.iter().any(|start| subject.starts_with(start)),
        OPENINGS.iter().any(|words| small.contains(words)),
        letter.has("X-Failed-Recipients"),
    ];
    if signs.iter().filter(|sign| **sign).count() < 2 {
        return None;
    }
    let end = COPIES.iter().filter_map(|words| small.find(words)).min().unwrap_or(text.len());
    let (report, copy) = text.split_at_checked(end)?;
    let found = answer_in(report);
    let late = LATE
        .iter()
        .any(|words| small.get(..end).is_some_and(|report| report.contains(words)) || subject.contains(words));
    let words = words_in(report);
    // Who is away, and other notes of a mail system, say neither.
    if found.is_none() && words.is_none() && !late && !letter.has("X-Failed-Recipients") {
        return None;
    }
    let own = letter.to();
    let recipient = letter.header("X-Failed-Recipients").and_then(|list| list.split(',').next()).map(clean_address);
    let recipient = recipient
        .filter(|one| !one.is_empty())
        .or_else(|| addresses_in(report).find(|one| *one != from && !own.contains(one)));
    let action = if late { Action::Delayed } else { Action::Failed };
    let reply = found.unwrap_or_else(|| reply_of(None, words.unwrap_or_default()));
    let mut ids = letter.originals();
    ids.extend(id_in(copy));
    ids.extend(letter.answered());
    Some(Bounce {
        recipient,
        status: reply.enhanced,
        action,
        diagnostic: diagnostic_line(&told(&reply)),
        message_ids: unique(ids),
        kind: kind(action, &reply),
        to: own,
    })
}

fn told(reply: &Reply) -> String {
    // The original line is not worth more than the parts that were read of it.
    reply.to_string().split(" -- ").next().unwrap_or_default().to_owned()
}

/// The line that says why, where no code does.
fn words_in(report: &str) -> Option<&str> {
    const WHY: [&str; 14] = [
        "user unknown",
        "unknown user",
        "unknown address",
        "unrouteable address",
        "no such user",
        "does not exist",
        "doesn't exist",
        "couldn't be found",
        "wasn't found",
        "mailbox is full",
        "mailbox full",
        "over quota",
        "no mailbox here by that name",
        "address not found",
    ];
    report.lines().find(|line| {
        let line = line.to_lowercase();
        WHY.iter().any(|words| line.contains(words))
    })
}

/// The addresses of a text, in order.
fn addresses_in(text: &str) -> impl Iterator<Item = String> {
    let part = |letter: char| letter.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(letter);
    text.split(move |letter| !part(letter)).filter(|word| word.contains('@')).take(100).filter_map(|word| {
        let word = word.trim_matches(['.', '\'', '/', '=']);
        let (local, domain) = word.split_once('@')?;
        let fine = !local.is_empty() && domain.contains('.') && !domain.contains('@');
        fine.then(|| clean_address(word)).filter(|address| !address.is_empty())
    })
}
