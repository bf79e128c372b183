//! The links of a mail: which there are, and others in their place.
//!
//! Only what a reader can follow and what is on the web counts: `href` of `<a>`, with `http` or `https`. Addresses of mail,
//! anchors, images and what still has a placeholder in it are left as they are; so is a link that is written so oddly that
//! programs may differ about it. Everything else of the mail stays byte for byte.

use std::ops::Range;

use super::html::{self, Part};

/// The most bytes of a link in plain text.
const LONGEST_LINK: usize = 2_048;

/// A link of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number among all that have an address, from 0. It does not change when others are replaced.
    pub index: usize,
    /// Where it leads.
    pub url: String,
}

/// A link and where its address stands in the text.
struct Found {
    link: Link,
    place: Range<usize>,
    quoted: bool,
}

/// The links of HTML, in order.
#[must_use]
pub fn links(html: &str) -> Vec<Link> {
    found(html).map(|found| found.link).collect()
}

/// HTML with other links: each is what `replace` gives for its address and its number, and stays as it is where that gives
/// nothing.
#[must_use]
pub fn rewrite(html: &str, mut replace: impl FnMut(&str, usize) -> Option<String>) -> String {
    let mut written = String::with_capacity(html.len());
    let mut from = 0;
    for Found { link, place, quoted } in found(html) {
        let Some(other) = replace(&link.url, link.index) else { continue };
        written.push_str(html.get(from..place.start).unwrap_or_default());
        let quote = if quoted { "" } else { "\"" };
        written.push_str(quote);
        html::escape(&other, &mut written);
        written.push_str(quote);
        from = place.end;
    }
    written.push_str(html.get(from..).unwrap_or_default());
    written
}

fn found(html: &str) -> impl Iterator<Item = Found> {
    let anchors = html::parts(html).filter_map(|part| match part {
        Part::Start(tag) if tag.name.eq_ignore_ascii_case("a") => {
            tag.attribute("href").map(|href| (href.value.clone(), href.quoted))
        }
        _ => None,
    });
    anchors.enumerate().filter_map(|(index, (place, quoted))| {
        let url = html::unescape(html.get(place.clone())?).and_then(|value| web_address(&value))?;
        Some(Found { link: Link { index, url }, place, quoted })
    })
}

/// The address that browsers make of the value of an attribute, when it is one of the web: without the white space around
/// it and without line breaks in it.
fn web_address(value: &str) -> Option<String> {
    let value = value.trim_matches(|character| character <= ' ');
    let url: String = value.chars().filter(|character| !matches!(character, '\t' | '\n' | '\r')).collect();
    let odd = url.contains("{{") || url.chars().any(char::is_control);
    (!odd && after_scheme(&url).is_some_and(|rest| !rest.is_empty())).then_some(url)
}

/// What comes after `http://` or `https://`, in letters of any size.
fn after_scheme(url: &str) -> Option<&str> {
    ["https://", "http://"].into_iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether a link may lead there: to the web, or to a mail that is to be written.
pub(super) fn is_target(url: &str) -> bool {
    let mail = url.split_at_checked(7).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case("mailto:") && !rest.is_empty() && !rest.chars().any(char::is_control)
    });
    mail || web_address(url).is_some()
}

/// The links of a plain text, in order: what a mail program would make one of. A link ends before white space, brackets of
/// any kind that it did not open, quotes, and the marks at the end of a sentence.
#[must_use]
pub fn text_links(text: &str) -> Vec<Link> {
    let found = found_in_text(text).enumerate();
    found.filter_map(|(index, place)| Some(Link { index, url: text.get(place)?.to_owned() })).collect()
}

/// A plain text with other links, as [`rewrite`] does it with HTML.
#[must_use]
pub fn rewrite_text(text: &str, mut replace: impl FnMut(&str, usize) -> Option<String>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut from = 0;
    for (index, place) in found_in_text(text).enumerate() {
        let Some(other) = text.get(place.clone()).and_then(|url| replace(url, index)) else { continue };
        written.push_str(text.get(from..place.start).unwrap_or_default());
        written.push_str(&other);
        from = place.end;
    }
    written.push_str(text.get(from..).unwrap_or_default());
    written
}

fn found_in_text(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(place) = text.get(from..).and_then(|rest| rest.find("://")).map(|place| from + place) {
            let word = text.get(from..place).unwrap_or_default();
            let letters = word.bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
            let start = place - letters;
            from = place + 3;
            // A letter of another alphabet before it makes it part of a word.
            let alone = !text.get(..start).is_some_and(|before| before.ends_with(char::is_alphanumeric));
            let rest = text.get(start..).unwrap_or_default();
            let Some(length) = after_scheme(rest).filter(|_| alone).and_then(|_| link_length(rest)) else { continue };
            from = from.max(start + length);
            let url = text.get(start..start + length).unwrap_or_default();
            if !url.contains("{{") && after_scheme(url).is_some_and(|rest| !rest.is_empty()) {
                return Some(start..start + length);
            }
        }
        None
    })
}

/// How many bytes of a text belong to the link that it begins with; nothing when it is too long for one.
fn link_length(text: &str) -> Option<usize> {
    let ends = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || "<>\"`|^\\\u{201C}\u{201D}\u{00AB}\u{00BB}".contains(character)
    };
    let within = text.get(..text.floor_char_boundary(LONGEST_LINK + 1)).unwrap_or_default();
    let end = within.find(ends).unwrap_or(within.len());
    if end > LONGEST_LINK {
        return None;
    }
    let mut url = within.get(..end).unwrap_or_default();
    // Placeholders have braces of their own; what has one is no link.
    if url.contains("{{") {
        return Some(end);
    }
    let counted = |bracket: char| (bracket, url.matches(bracket).count());
    let mut counts = ['(', ')', '[', ']', '{', '}'].map(counted);
    let mut count = |bracket: char, less: usize| {
        counts.iter_mut().find(|(one, _)| *one == bracket).map_or(0, |(_, count)| {
            *count -= less;
            *count
        })
    };
    while let Some(last) = url.chars().next_back() {
        let opening = match last {
            ')' => Some('('),
            ']' => Some('['),
            '}' => Some('{'),
            _ => None,
        };
        let unopened = opening.is_some_and(|opening| count(last, 0) > count(opening, 0));
        if !unopened && !".,;:!?'*_~\u{2019}\u{2026}([{".contains(last) {
            break;
        }
        count(last, 1);
        url = url.get(..url.len() - last.len_utf8()).unwrap_or_default();
    }
    Some(url.len())
}

#[cfg(test)]
mod tests;
