//! Reports in parts (multipart/report, RFC 6522): of deliveries (RFC 3464) and of complaints (RFC 5965).

use super::{Action, Bounce, BounceKind, Complaint, Enhanced, Heard, Letter, clean_address, diagnostic_line, unique};
use crate::smtp::{About, Reply, Stage, of_reply};

/// The groups of a report: one for the message and one for each recipient.
const MOST_GROUPS: usize = 100;

/// What a report in parts says; `None` when the message is none.
pub(super) fn of_report(letter: &Letter<'_>) -> Option<Heard> {
    if let Some(part) = letter.parts(&["message/feedback-report"]).next() {
        return Some(complaint(letter, &String::from_utf8_lossy(part.contents())));
    }
    if letter.parts(&["message/disposition-notification"]).next().is_some() {
        return Some(Heard::Other);
    }
    let part = letter.parts(&["message/delivery-status", "message/global-delivery-status"]).next()?;
    let groups = groups(&String::from_utf8_lossy(part.contents()));
    let reports: Vec<(Action, &Group)> = groups.iter().filter_map(|group| Some((action(group)?, group))).collect();
    let failed = reports.iter().find(|(action, _)| *action == Action::Failed).or(reports.first());
    // A report of success, which nobody asked for.
    let Some((action, group)) = failed else { return Some(Heard::Other) };
    // The address as it was given comes before the one that an alias made of it.
    let named = ["original-recipient", "final-recipient"].iter().filter_map(|name| value(group, name));
    let recipient = named.map(|named| clean_address(typed(named))).find(|recipient| !recipient.is_empty());
    let status = value(group, "status").and_then(|status| Enhanced::read(status.trim())).map(|(status, _)| status);
    let diagnostic = value(group, "diagnostic-code").map(typed).unwrap_or_default();
    // Some reports have the words of the server only in the text for people.
    let words = if diagnostic.trim().is_empty() { letter.text() } else { diagnostic.to_owned() };
    let recipient = recipient.or_else(|| letter.header("X-Failed-Recipients").map(clean_address));
    let mut ids = letter.originals();
    ids.extend(letter.answered());
    let reply = reply_of(status, &words);
    Some(Heard::Bounce(Bounce {
        recipient: recipient.filter(|recipient| !recipient.is_empty()),
        status: status.filter(|status| (status.subject, status.detail) != (0, 0)).or(reply.enhanced).or(status),
        action: *action,
        diagnostic: diagnostic_line(if diagnostic.is_empty() { &reply.text } else { diagnostic }),
        message_ids: unique(ids),
        kind: kind(*action, &reply),
        to: letter.to(),
    }))
}

/// Lines of `name: value`, the names small, the values on one line.
type Group = Vec<(String, String)>;

fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![Vec::new()];
    for line in text.lines().take(5_000) {
        let Some(group) = groups.last_mut() else { break };
        if line.trim().is_empty() {
            if !group.is_empty() && groups.len() < MOST_GROUPS {
                groups.push(Vec::new());
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.last_mut().filter(|(_, value)| value.len() < 4_096) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':').filter(|_| group.len() < 50) {
            group.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    groups
}

fn value<'a>(group: &'a Group, name: &str) -> Option<&'a str> {
    group.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// What follows the type of a value: `rfc822; ada@example.com`.
fn typed(value: &str) -> &str {
    let (kind, rest) = value.split_once(';').unwrap_or(("", value));
    // A diagnostic without a type may hold a semicolon of its own.
    if kind.trim().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        rest.trim()
    } else {
        value.trim()
    }
}

fn action(group: &Group) -> Option<Action> {
    let said = value(group, "action")?.split_whitespace().next()?.to_ascii_lowercase();
    match said.as_str() {
        "failed" => Some(Action::Failed),
        "delayed" => Some(Action::Delayed),
        _ => None,
    }
}

/// The status and the words as an answer of a server, so that both are judged by one rule.
pub(super) fn reply_of(status: Option<Enhanced>, words: &str) -> Reply {
    let found = answer_in(words);
    let class = status.map(|status| status.class);
    let said = found.filter(|reply| class.is_none_or(|class| reply.class() == class));
    let code = said.as_ref().map_or_else(|| u16::from(class.unwrap_or(5)) * 100 + 50, |reply| reply.code);
    let vague = status.is_none_or(|status| (status.subject, status.detail) == (0, 0));
    let inner = said.as_ref().and_then(|reply| reply.enhanced);
    let text = said.map_or_else(|| diagnostic_line(words), |reply| reply.text);
    Reply { code, enhanced: if vague { inner.or(status) } else { status }, text }
}

/// The first answer of a server that stands in a text: `550 5.1.1 ...`, `#550 ...`, `5.1.1 ...`, `(#5.1.1)`.
pub(super) fn answer_in(text: &str) -> Option<Reply> {
    let bytes = text.as_bytes();
    let mut bare = None;
    for place in 0..bytes.len().min(20_000) {
        let before = place.checked_sub(1).and_then(|before| bytes.get(before)).copied().unwrap_or(b' ');
        if !matches!(bytes.get(place), Some(b'4' | b'5'))
            || before.is_ascii_alphanumeric()
            || matches!(before, b'.' | b'-' | b'@' | b'_')
        {
            continue;
        }
        let rest = text.get(place..).unwrap_or_default();
        let words = diagnostic_line(rest.get(..rest.floor_char_boundary(600)).unwrap_or_default());
        if let Some(reply) = code_at(&words) {
            return Some(reply);
        }
        if let Some((enhanced, rest)) = Enhanced::read(&words) {
            let reply =
                Reply { code: u16::from(enhanced.class) * 100 + 50, enhanced: Some(enhanced), text: rest.to_owned() };
            bare = bare.or(Some(reply));
        }
    }
    bare
}

/// Three digits, and then an enhanced code or words: not a year, a port or a count.
fn code_at(words: &str) -> Option<Reply> {
    let (code, rest) = words.split_at_checked(3)?;
    let code: u16 = code.parse().ok().filter(|code| (400..=599).contains(code))?;
    let rest = rest.strip_prefix([' ', '-', ':', '#'])?.trim_start_matches(['#', ' ']);
    if let Some((enhanced, rest)) = Enhanced::read(rest).filter(|(enhanced, _)| u16::from(enhanced.class) == code / 100)
    {
        return Some(Reply { code, enhanced: Some(enhanced), text: rest.to_owned() });
    }
    let known = matches!(code, 421 | 450..=459 | 500..=504 | 521 | 523 | 530 | 534 | 535 | 550..=559);
    (known && rest.starts_with(|letter: char| letter.is_alphabetic() || letter == '<')).then(|| Reply {
        code,
        enhanced: None,
        text: rest.to_owned(),
    })
}

pub(super) fn kind(action: Action, reply: &Reply) -> BounceKind {
    let verdict = of_reply(Stage::Recipient, reply);
    match verdict.about {
        About::Full => BounceKind::Full,
        _ if action == Action::Delayed || verdict.later => BounceKind::Soft,
        About::Recipient => BounceKind::Hard,
        About::Policy | About::Account | About::Message => BounceKind::Policy,
        About::Rate | About::Server => BounceKind::Soft,
    }
}

fn complaint(letter: &Letter<'_>, report: &str) -> Heard {
    let groups = groups(report);
    let find = |name: &str| groups.iter().find_map(|group| value(group, name));
    let kind: String =
        find("feedback-type").unwrap_or("abuse").chars().filter(char::is_ascii_graphic).take(40).collect();
    let kind = kind.to_ascii_lowercase();
    // Neither is a recipient's word against a message.
    if matches!(kind.as_str(), "not-spam" | "auth-failure") {
        return Heard::Other;
    }
    let names = ["original-rcpt-to", "removal-recipient", "original-recipient"];
    let recipient = names.iter().find_map(|name| find(name)).map(|text| clean_address(typed(text)));
    let of_original = || {
        let part = letter.parts(&["message/rfc822"]).next()?;
        part.message()?.to().and_then(super::first_address)
    };
    let recipient = recipient.filter(|recipient| !recipient.is_empty()).or_else(of_original);
    Heard::Complaint(Complaint { recipient, kind, message_ids: unique(letter.originals()), to: letter.to() })
}
