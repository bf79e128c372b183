//! The tags of a piece of HTML, as a browser would see them, with their places in the text. Nothing is parsed into a tree
//! and nothing is written anew: what is changed in a mail is changed where it stands, and the rest stays byte for byte, as
//! the tables and conditional comments of mails need it.
//!
//! The rules are those of the tokenizer of the HTML standard
//! (<https://html.spec.whatwg.org/multipage/parsing.html#tokenization>); a test compares them with another reader of it.

use std::ops::Range;

/// Elements whose content is text up to their end tag.
const TEXT_ELEMENTS: [&str; 9] =
    ["iframe", "noembed", "noframes", "plaintext", "script", "style", "textarea", "title", "xmp"];
/// Those of them in which references to characters count, so that an escaped value stays text.
const ESCAPED_TEXT: [&str; 2] = ["textarea", "title"];

/// A part of a piece of HTML that is not text.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// The content of a script, a style and the like, in which nothing can be escaped.
    Raw(Range<usize>),
    /// A start tag.
    Start(Tag<'a>),
    /// A comment, a declaration, an end tag: nothing of it is shown, and nothing can be followed. The flag tells comments,
    /// which mail programs may look into.
    Other(Range<usize>, bool),
}

/// A start tag.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// What it is called, as it is written.
    pub(super) name: &'a str,
    /// All of it.
    pub(super) whole: Range<usize>,
    /// Its attributes, in order. Of two with one name the first counts.
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// An attribute of a start tag.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    /// What it is called, as it is written.
    pub(super) name: &'a str,
    /// Where its value is, without quotes.
    pub(super) value: Range<usize>,
    /// Whether the value stands in quotes.
    pub(super) quoted: bool,
}

impl Tag<'_> {
    /// The attribute of this name that counts.
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute<'_>> {
        self.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}

/// Goes through the parts of a piece of HTML, in order.
pub(super) fn parts(html: &str) -> Parts<'_> {
    Parts { html, at: 0, inside: None }
}

pub(super) struct Parts<'a> {
    html: &'a str,
    at: usize,
    /// The element of text that was begun.
    inside: Option<&'static str>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            if let Some(element) = self.inside.take() {
                let text = self.at..self.end_of_text(element);
                self.at = text.end;
                if !text.is_empty() && !ESCAPED_TEXT.contains(&element) {
                    return Some(Part::Raw(text));
                }
            }
            let open = self.next_place(self.at, "<")?;
            match self.byte(open + 1) {
                Some(b'!') => return Some(self.declaration(open)),
                Some(b'?') => return Some(self.other(open, self.after(open, ">"), true)),
                Some(b'/') => match self.byte(open + 2) {
                    Some(letter) if letter.is_ascii_alphabetic() => {
                        let tag = self.tag(open, open + 2)?;
                        return Some(self.other(open, tag.whole.end, false));
                    }
                    Some(_) => return Some(self.other(open, self.after(open, ">"), true)),
                    None => return None,
                },
                Some(letter) if letter.is_ascii_alphabetic() => {
                    let tag = self.tag(open, open + 1)?;
                    self.at = tag.whole.end;
                    self.inside = TEXT_ELEMENTS.into_iter().find(|element| tag.name.eq_ignore_ascii_case(element));
                    return Some(Part::Start(tag));
                }
                _ => self.at = open + 1,
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0C' | b'\r' | b' ')
}

impl<'a> Parts<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.html.as_bytes().get(at).copied()
    }

    /// Where a text begins the next time.
    fn next_place(&self, from: usize, text: &str) -> Option<usize> {
        self.html.get(from..)?.find(text).map(|place| from + place)
    }

    /// Where a text ends the next time; the end of all, when it does not come.
    fn after(&self, from: usize, text: &str) -> usize {
        self.next_place(from, text).map_or(self.html.len(), |place| place + text.len())
    }

    fn other(&mut self, open: usize, end: usize, comment: bool) -> Part<'a> {
        self.at = end;
        Part::Other(open..end, comment)
    }

    /// A comment, or a declaration that ends with the next `>`.
    fn declaration(&mut self, open: usize) -> Part<'a> {
        let rest = self.html.get(open + 4..).unwrap_or_default();
        let end = if !self.html.get(open..).is_some_and(|rest| rest.starts_with("<!--")) {
            self.after(open, ">")
        } else if rest.starts_with('>') {
            open + 5
        } else if rest.starts_with("->") {
            open + 6
        } else {
            // The second is looked for within the first only, so that each byte is looked at twice at most.
            let end = self.after(open + 4, "-->");
            let within = self.html.get(open + 4..end).and_then(|comment| comment.find("--!>"));
            within.map_or(end, |place| open + 4 + place + 4)
        };
        self.other(open, end, true)
    }

    /// Where the content of an element of text ends: where its end tag begins.
    fn end_of_text(&self, element: &str) -> usize {
        let mut from = self.at;
        while let Some(open) = self.next_place(from, "</") {
            let name = open + 2..open + 2 + element.len();
            let ends = self.byte(name.end).is_some_and(|byte| is_space(byte) || byte == b'/' || byte == b'>');
            let named = self.html.get(name).is_some_and(|name| name.eq_ignore_ascii_case(element));
            if named && ends && element != "plaintext" {
                return open;
            }
            from = open + 2;
        }
        self.html.len()
    }

    /// The first place from here on whose byte is none of these.
    fn pass(&self, mut at: usize, skipped: impl Fn(u8) -> bool) -> usize {
        while self.byte(at).is_some_and(&skipped) {
            at += 1;
        }
        at
    }

    /// Reads a tag whose name begins at a place; nothing when it never ends, and so is none.
    fn tag(&self, open: usize, name: usize) -> Option<Tag<'a>> {
        let mut at = self.pass(name, |byte| !is_space(byte) && byte != b'/' && byte != b'>');
        let name = self.html.get(name..at)?;
        let mut attributes = Vec::new();
        loop {
            at = self.pass(at, |byte| is_space(byte) || byte == b'/');
            if self.byte(at)? == b'>' {
                return Some(Tag { name, whole: open..at + 1, attributes });
            }
            let (attribute, end) = self.attribute(at)?;
            attributes.push(attribute);
            at = end;
        }
    }

    /// Reads an attribute; also gives where it ends.
    fn attribute(&self, start: usize) -> Option<(Attribute<'a>, usize)> {
        // A name may begin with `=`. Whatever it begins with, it is a whole character.
        let first = self.html.get(start..)?.chars().next()?.len_utf8();
        let end = self.pass(start + first, |byte| !is_space(byte) && !b"/>=".contains(&byte));
        let name = self.html.get(start..end)?;
        let at = self.pass(end, is_space);
        if self.byte(at)? != b'=' {
            return Some((Attribute { name, value: end..end, quoted: true }, at));
        }
        let at = self.pass(at + 1, is_space);
        match self.byte(at)? {
            quote @ (b'"' | b'\'') => {
                let end = self.next_place(at + 1, if quote == b'"' { "\"" } else { "'" })?;
                Some((Attribute { name, value: at + 1..end, quoted: true }, end + 1))
            }
            _ => {
                let end = self.pass(at, |byte| !is_space(byte) && byte != b'>');
                Some((Attribute { name, value: at..end, quoted: false }, end))
            }
        }
    }
}

/// Appends a text so that it is that text in HTML: between tags, and in a value with quotes of either kind.
pub(super) fn escape(text: &str, to: &mut String) {
    for character in text.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            _ => to.push(character),
        }
    }
}

/// How many bytes a text has once it is escaped.
pub(super) fn escaped_length(text: &str) -> usize {
    let more = text.bytes().map(|byte| match byte {
        b'&' | b'\'' => 4,
        b'<' | b'>' => 3,
        b'"' => 5,
        _ => 0,
    });
    text.len() + more.sum::<usize>()
}

/// Names of characters that count without a semicolon too
/// (<https://html.spec.whatwg.org/multipage/named-characters.html>).
const OLD_NAMES: &str = " aelig amp aacute acirc agrave aring atilde auml copy ccedil eth eacute ecirc egrave euml gt iacute \
     icirc igrave iuml lt ntilde oacute ocirc ograve oslash otilde ouml quot reg thorn uacute ucirc ugrave uuml yacute \
     acute brvbar cedil cent curren deg divide frac12 frac14 frac34 iexcl iquest laquo macr micro middot nbsp not ordf \
     ordm para plusmn pound raquo sect shy sup1 sup2 sup3 szlig times uml yen yuml ";

/// The text that a value of an attribute stands for. Nothing, when it has a reference that is not understood here: then it
/// is better left alone than read wrongly.
pub(super) fn unescape(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        rest = match after.strip_prefix('#') {
            Some(number) => numbered(number, &mut text)?,
            None => named(after, &mut text)?,
        };
    }
    text.push_str(rest);
    Some(text)
}

/// Reads what comes after `&#`; gives what is left.
fn numbered<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let (digits, radix) = match rest.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (rest, 10),
    };
    let length = digits.bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if length == 0 {
        text.push_str("&#");
        return Some(rest);
    }
    // Numbers from 128 to 159 stand for other characters than theirs.
    let number = u32::from_str_radix(digits.get(..length)?, radix).ok().filter(|one| !(0x80..0xA0).contains(one))?;
    text.push(char::from_u32(number).filter(|one| *one != '\0')?);
    let rest = digits.get(length..)?;
    Some(rest.strip_prefix(';').unwrap_or(rest))
}

/// Reads what comes after `&` and is no number; gives what is left.
fn named<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (name, after) = rest.split_at_checked(length)?;
    let ended = after.strip_prefix(';');
    // In an attribute, a name that goes on or is given a value is a parameter of an address.
    let is_name = ended.is_some() && !name.is_empty()
        || !after.starts_with('=') && OLD_NAMES.contains(&format!(" {} ", name.to_ascii_lowercase()));
    if !is_name {
        text.push('&');
        return Some(rest);
    }
    text.push(match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" if ended.is_some() => '\'',
        _ => return None,
    });
    Some(ended.unwrap_or(after))
}
