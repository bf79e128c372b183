//! A plain text from HTML, for the part that every multipart message begins with.
//!
//! It is made for letters: paragraphs, lists, links, line breaks. It never fails, and its work is linear in the input.

/// What is left out with everything inside.
const HIDDEN: [&str; 7] = ["head", "script", "style", "title", "template", "svg", "noscript"];
/// What stands in lines of its own, with an empty line around it.
const PARAGRAPHS: [&str; 14] =
    ["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "section", "article"];
/// What begins a line.
const LINES: [&str; 9] = ["div", "li", "tr", "header", "footer", "dt", "dd", "address", "hr"];

/// How much of a tag is searched for its attributes, in bytes.
const LONGEST_TAG: usize = 8_192;

/// The text of an HTML letter: one line for each line that is seen, an empty line between paragraphs, `- ` before the entries
/// of a list, and the target of a link after its words when they do not say it already.
#[must_use]
pub fn text_of(html: &str) -> String {
    let mut text = Text::default();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.words(rest.get(..start).unwrap_or_default());
        rest = rest.get(start..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").and_then(|end| comment.get(end + 3..)).unwrap_or_default();
            continue;
        }
        let second = rest.as_bytes().get(1).copied().unwrap_or_default();
        if !(second.is_ascii_alphabetic() || matches!(second, b'/' | b'!' | b'?')) {
            text.words("<");
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (tag, after) = tag(rest);
        rest = after;
        let closing = tag.starts_with('/');
        let body = tag.trim_start_matches('/');
        let end = body.find(|letter: char| letter.is_whitespace() || letter == '/').unwrap_or(body.len());
        let name = body.get(..end).unwrap_or_default().to_ascii_lowercase();
        if HIDDEN.contains(&name.as_str()) && !closing {
            rest = after_closing(rest, &name);
            continue;
        }
        text.tag(&name, closing, body);
    }
    text.words(rest);
    text.done()
}

/// The inside of the tag that `text` begins with, and what follows it. A `>` inside quotes does not end it.
fn tag(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'>', None) => return (text.get(1..place).unwrap_or_default(), text.get(place + 1..).unwrap_or_default()),
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    // Never closed: the rest is no text that anybody would see.
    (text.get(1..).unwrap_or_default(), "")
}

/// What follows `</name>`; nothing when it never comes.
fn after_closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(start) = rest.find("</") {
        rest = rest.get(start + 2..).unwrap_or_default();
        if rest.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)) {
            return rest.find('>').and_then(|end| rest.get(end + 1..)).unwrap_or_default();
        }
    }
    ""
}

/// The value of an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag.get(..tag.floor_char_boundary(LONGEST_TAG)).unwrap_or_default();
    loop {
        let at = rest.to_ascii_lowercase().find(name)?;
        let before = rest.get(..at)?.chars().next_back();
        rest = rest.get(at + name.len()..)?;
        let Some(value) = rest.trim_start().strip_prefix('=') else { continue };
        if before.is_some_and(|letter| !letter.is_whitespace() && letter != '"' && letter != '\'') {
            continue;
        }
        let value = value.trim_start();
        let value = match value.chars().next()? {
            quote @ ('"' | '\'') => value.get(1..)?.split(quote).next()?,
            _ => value.split_whitespace().next()?,
        };
        return Some(decoded(value).trim().to_owned());
    }
}

#[derive(Default)]
struct Text {
    out: String,
    /// Empty lines that the next word has before it, at most two ends of line.
    breaks: usize,
    /// Whether the next word has a space before it.
    space: bool,
    /// Where the words of an open link begin, and its target.
    link: Option<(usize, String)>,
}

impl Text {
    fn words(&mut self, raw: &str) {
        if raw.is_empty() {
            return;
        }
        let decoded = decoded(raw);
        if decoded.starts_with(char::is_whitespace) {
            self.space = true;
        }
        for word in decoded.split_whitespace() {
            self.word(word);
            self.space = true;
        }
        if !decoded.ends_with(char::is_whitespace) {
            self.space = false;
        }
    }

    fn word(&mut self, word: &str) {
        if self.out.is_empty() {
            self.breaks = 0;
        } else if self.breaks > 0 {
            self.out.push_str(if self.breaks > 1 { "\n\n" } else { "\n" });
        } else if self.space && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
        }
        (self.breaks, self.space) = (0, false);
        self.out.push_str(word);
    }

    fn tag(&mut self, name: &str, closing: bool, tag: &str) {
        match name {
            "br" => self.breaks = (self.breaks + 1).min(2),
            "a" if closing => self.end_link(),
            "a" => {
                self.end_link();
                let target = attribute(tag, "href").filter(|target| worth_showing(target));
                self.link = target.map(|target| (self.out.len(), target));
            }
            "img" => {
                if let Some(words) = attribute(tag, "alt").filter(|words| !words.is_empty()) {
                    self.words(&words);
                }
            }
            "td" | "th" => self.space = true,
            "li" if !closing => {
                self.breaks = self.breaks.max(1);
                self.word("-");
                self.space = true;
            }
            _ if PARAGRAPHS.contains(&name) => self.breaks = 2,
            _ if LINES.contains(&name) => self.breaks = self.breaks.max(1),
            _ => {}
        }
    }

    fn end_link(&mut self) {
        let Some((start, target)) = self.link.take() else { return };
        let said = self.out.get(start..).unwrap_or_default().trim();
        if said == target || target.strip_prefix("mailto:") == Some(said) {
            return;
        }
        if said.is_empty() {
            self.word(&target);
        } else {
            self.out.push_str(" (");
            self.out.push_str(&target);
            self.out.push(')');
        }
    }

    fn done(mut self) -> String {
        self.end_link();
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

/// Whether a reader can do something with a target.
fn worth_showing(target: &str) -> bool {
    let small = target.get(..8).unwrap_or(target).to_ascii_lowercase();
    ["http:", "https:", "mailto:", "tel:"].iter().any(|scheme| small.starts_with(scheme))
}

/// The text with its character references read. The no-break space becomes a space.
fn decoded(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find('&') {
        out.push_str(rest.get(..start).unwrap_or_default());
        rest = rest.get(start + 1..).unwrap_or_default();
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let letter = end.and_then(|end| rest.get(..end)).and_then(reference);
        match (letter, end) {
            (Some(letter), Some(end)) => {
                out.push(letter);
                rest = rest.get(end + 1..).unwrap_or_default();
            }
            _ => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).map(|letter| if letter.is_control() || letter == '\u{a0}' { ' ' } else { letter });
    }
    const NAMES: [(&str, char); 30] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", ' '),
        ("ensp", ' '),
        ("emsp", ' '),
        ("thinsp", ' '),
        ("ndash", '–'),
        ("mdash", '—'),
        ("hellip", '…'),
        ("lsquo", '‘'),
        ("rsquo", '’'),
        ("ldquo", '“'),
        ("rdquo", '”'),
        ("laquo", '«'),
        ("raquo", '»'),
        ("bull", '•'),
        ("middot", '·'),
        ("euro", '€'),
        ("pound", '£'),
        ("copy", '©'),
        ("reg", '®'),
        ("trade", '™'),
        ("deg", '°'),
        ("auml", 'ä'),
        ("ouml", 'ö'),
        ("uuml", 'ü'),
        ("szlig", 'ß'),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_lists_and_links_are_read() {
        let html = "<html><head><title>no</title><style>p { color: red }</style></head><body><!-- no -->\n\
                    <p>Dear&nbsp;Ada,<br>thank   you &amp; see <a href=\"https://example.com/a?b&amp;c\">our page</a>.</p>\
                    <ul><li>one</li><li>two</li></ul><script>if (a < b) { }</script>\
                    <div>2 < 3 &#8364; &unknown; <a href='https://example.com'>https://example.com</a></div>\
                    <a href=mailto:x@example.com>x@example.com</a><img alt=\"a > b\" src=x><a href=\"#top\">up</a></body>";
        let text = "Dear Ada,\nthank you & see our page (https://example.com/a?b&c).\n\n- one\n- two\n\n\
                    2 < 3 € &unknown; https://example.com\nx@example.coma > bup\n";
        assert_eq!(text_of(html), text);
    }

    #[test]
    fn broken_html_ends() {
        for html in
            ["<", "<a", "<a href=", "<!--", "<script>", "</", "&#xffffffff;&#0;&", "<p <p <p", "<a href=\"x", "é<é>é"]
        {
            let _ = text_of(html);
        }
        assert_eq!(text_of(""), "");
        assert_eq!(text_of("plain"), "plain\n");
        let _ = text_of(&"<div>".repeat(100_000));
        let _ = text_of(&"</script".repeat(100_000));
    }
}
