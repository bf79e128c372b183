//! What single headers may hold.

use super::words::{decode, faults_of_line};
use super::{Faults, Field};

const ADDRESSES: [&str; 4] = ["From", "To", "Reply-To", "Sender"];
/// What a signature must cover when it is there (RFC 6376, 5.4; RFC 8058, 4).
const COVERED: [&str; 13] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "In-Reply-To",
    "References",
];

pub(super) fn check(field: &Field<'_>, faults: &mut Faults) {
    for (place, line) in field.lines.iter().enumerate() {
        // The first line has the name and the colon before it.
        let line = if place == 0 { format!("{}:{line}", field.name) } else { (*line).to_owned() };
        for (code, detail) in faults_of_line(&line) {
            faults.add(code, field.name, detail);
        }
    }
    let value = field.value();
    if ADDRESSES.iter().any(|name| field.is(name)) {
        if let Err(why) = mailbox(&value) {
            faults.add("bad_address", field.name, format!("{why}: {value}"));
        }
    } else if field.is("Message-ID") || field.is("In-Reply-To") {
        if !is_identifier(&value) {
            faults.add("bad_message_id", field.name, value);
        }
    } else if field.is("References") {
        if !value.split_whitespace().all(is_identifier) || value.is_empty() {
            faults.add("bad_message_id", field.name, value);
        }
    } else if field.is("Date") {
        if jiff::fmt::rfc2822::parse(&value).is_err() {
            faults.add("bad_date", field.name, value);
        }
    } else if field.is("MIME-Version") && value != "1.0" {
        faults.add("bad_mime_version", field.name, value);
    }
}

/// `<left@right>`, both of atoms with dots between.
fn is_identifier(text: &str) -> bool {
    let inside = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inside.and_then(|id| id.split_once('@')).is_some_and(|(left, right)| atoms(left) && atoms(right))
}

fn atoms(text: &str) -> bool {
    let atom =
        |atom: &str| !atom.is_empty() && atom.chars().all(|c| c.is_ascii_graphic() && !"()<>[]:;@\\,.\"".contains(c));
    text.split('.').all(atom)
}

/// One mailbox: an optional phrase of atoms, quoted strings and encoded words, and an address in angle brackets.
fn mailbox(value: &str) -> Result<(), &'static str> {
    let (phrase, address) = value.split_at(angle(value).ok_or("no angle bracket")?);
    let address = address.strip_prefix('<').unwrap_or(address);
    let address = address.strip_suffix('>').ok_or("the angle bracket is not closed at the end")?;
    check_address(address)?;
    let mut rest = phrase.trim();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('"') {
            let end = end_of_quote(inside).ok_or("a quote is not closed")?;
            if inside.get(..end).unwrap_or_default().contains("=?") {
                return Err("an encoded word inside quotes");
            }
            rest = inside.get(end + 1..).unwrap_or_default();
            if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
                return Err("a quote without a space after it");
            }
        } else {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            let word = rest.get(..end).unwrap_or_default();
            let fine = if word.starts_with("=?") { decode(word).is_ok() } else { atoms(word) && !word.contains('.') };
            if !fine {
                return Err("a word of the name is neither an atom nor an encoded word");
            }
            rest = rest.get(end..).unwrap_or_default();
        }
        rest = rest.trim_start();
    }
    Ok(())
}

/// Where the address begins: a bracket inside quotes is a letter, in a name as in a local part.
fn angle(value: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (place, letter) in value.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => return Some(place),
            _ => {}
        }
    }
    None
}

fn end_of_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(place),
            _ => {}
        }
    }
    None
}

fn check_address(address: &str) -> Result<(), &'static str> {
    let (local, domain) = address.rsplit_once('@').ok_or("no @")?;
    let quoted = local.len() > 2
        && local.starts_with('"')
        && end_of_quote(local.get(1..).unwrap_or_default()) == Some(local.len() - 2);
    if !quoted && !atoms(local) {
        return Err("the part before the @ is neither atoms nor quoted");
    }
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if domain.split('.').all(label) { Ok(()) } else { Err("the part after the @ is no domain") }
}

/// One click needs both headers and an `https` address (RFC 8058, 3.1).
pub(super) fn check_unsubscribe(fields: &[Field<'_>], faults: &mut Faults) {
    let value = |name: &str| fields.iter().find(|field| field.is(name)).map(Field::value);
    let list = value("List-Unsubscribe");
    if let Some(list) = &list {
        let link = |part: &str| {
            let inside = part.trim().strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
            inside.is_some_and(|link| link.contains(':') && !link.contains(['<', '>', ' ', '\t']))
        };
        if !list.split(',').all(link) {
            faults.add("bad_unsubscribe", "List-Unsubscribe", "it is no list of links in angle brackets");
        }
    }
    if let Some(post) = value("List-Unsubscribe-Post") {
        if post != "List-Unsubscribe=One-Click" {
            faults.add("bad_unsubscribe", "List-Unsubscribe-Post", post);
        }
        if list.is_none_or(|list| list.matches("<https://").count() != 1) {
            faults.add("bad_unsubscribe", "List-Unsubscribe", "one click needs exactly one https link");
        }
    }
}

/// Every signature covers every header that is there and matters, `From` once more than it is there.
pub(super) fn check_signatures(fields: &[Field<'_>], faults: &mut Faults) {
    for signature in fields.iter().filter(|field| field.is("DKIM-Signature")) {
        let value = signature.value();
        let tags: Vec<(&str, String)> = value
            .split(';')
            .filter_map(|tag| tag.split_once('='))
            .map(|(name, value)| (name.trim(), value.split_whitespace().collect()))
            .collect();
        let tag = |name: &str| tags.iter().find(|(tag, _)| *tag == name).map_or("", |(_, value)| value.as_str());
        for name in ["v", "a", "d", "s", "h", "bh", "b"] {
            if tag(name).is_empty() {
                faults.add("bad_signature", "DKIM-Signature", format!("no {name}="));
            }
        }
        if tag("c") != "relaxed/relaxed" {
            faults.add("bad_signature", "DKIM-Signature", "it is not relaxed/relaxed");
        }
        for name in COVERED {
            let there = fields.iter().filter(|field| field.is(name)).count() + usize::from(name == "From");
            let covered = tag("h").split(':').filter(|covered| covered.eq_ignore_ascii_case(name)).count();
            if covered < there {
                faults.add("not_signed", name, format!("it is signed {covered} times of {there}"));
            }
        }
    }
}
