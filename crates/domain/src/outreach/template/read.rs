//! Reading templates, with the place of what is wrong.

use std::ops::Range;

use super::super::html::{self, Part};
use super::{Piece, Template, TemplatePart, field_name};
use crate::FieldFault;

/// Attributes whose value is an address that something is fetched from or that is followed.
const ADDRESSES: [&str; 4] = ["action", "background", "href", "src"];

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// What is wrong and how to mend it.
    pub detail: String,
}

impl TemplateFault {
    /// As a fault of the named field of the input.
    #[must_use]
    pub fn of(self, field: &str) -> FieldFault {
        let detail = format!("Line {}, column {}: {}", self.line, self.column, self.detail);
        FieldFault::new(field, self.code, detail)
    }
}

/// What is wrong at a place of the source.
fn fault<T>(source: &str, at: usize, code: &'static str, detail: impl Into<String>) -> Result<T, TemplateFault> {
    let before = source.get(..at).unwrap_or(source);
    let start = before.rfind('\n').map_or(0, |place| place + 1);
    Err(TemplateFault {
        line: before.matches('\n').count() + 1,
        column: before.get(start..).unwrap_or_default().chars().count() + 1,
        code,
        detail: detail.into(),
    })
}

pub(super) fn template(part: TemplatePart, source: &str) -> Result<Template, TemplateFault> {
    bounded(part, source)?;
    let mut pieces: Vec<Piece> = Vec::new();
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(open) = source.get(at..).and_then(|rest| rest.find("{{")).map(|place| at + place) {
        literal(source.get(at..open).unwrap_or_default(), &mut pieces, &mut starts, at);
        let (piece, end) = placeholder(source, open)?;
        match piece {
            Piece::Literal(text) => literal(&text, &mut pieces, &mut starts, open),
            field => {
                starts.push(open);
                pieces.push(field);
            }
        }
        at = end;
    }
    literal(source.get(at..).unwrap_or_default(), &mut pieces, &mut starts, at);
    let mut template = Template { part, source: source.to_owned(), pieces };
    if part == TemplatePart::Html {
        place_in_html(&mut template, &starts)?;
    }
    Ok(template)
}

/// Appends a text, to the last piece if that is one too.
fn literal(text: &str, pieces: &mut Vec<Piece>, starts: &mut Vec<usize>, at: usize) {
    if text.is_empty() {
        return;
    }
    if let Some(Piece::Literal(last)) = pieces.last_mut() {
        last.push_str(text);
    } else {
        starts.push(at);
        pieces.push(Piece::Literal(text.to_owned()));
    }
}

fn bounded(part: TemplatePart, source: &str) -> Result<(), TemplateFault> {
    if part == TemplatePart::Subject {
        let length = source.chars().count();
        if length > Template::LONGEST_SUBJECT {
            let detail = format!(
                "The subject has {length} characters; at most {} are allowed. Shorten it.",
                Template::LONGEST_SUBJECT
            );
            return fault(source, 0, "too_long", detail);
        }
    } else if source.len() > Template::LONGEST_BODY {
        let detail = format!(
            "It has {} bytes; at most {} are allowed. Link to images instead of writing them into it.",
            source.len(),
            Template::LONGEST_BODY
        );
        return fault(source, 0, "too_long", detail);
    }
    if source.trim().is_empty() {
        return fault(source, 0, "empty", format!("The {} is empty. Write something.", part.as_str()));
    }
    let stray = source.char_indices().find(|(_, character)| {
        character.is_control() && (part == TemplatePart::Subject || !matches!(character, '\n' | '\r' | '\t'))
    });
    match stray {
        None => Ok(()),
        Some((at, '\n' | '\r')) => {
            fault(source, at, "control_characters", "A subject is one line. Remove the line break.")
        }
        Some((at, _)) => fault(source, at, "control_characters", "There is a control character. Remove it."),
    }
}

/// Reads what begins with `{{` at a place; also gives where it ends.
fn placeholder(source: &str, open: usize) -> Result<(Piece, usize), TemplateFault> {
    let mut reader = Reader { source, at: open + 2 };
    reader.skip();
    if reader.next_is('"') {
        let text = reader.quoted()?;
        reader.skip();
        reader.close(open)?;
        return Ok((Piece::Literal(text), reader.at));
    }
    let start = reader.at;
    let name = reader.word();
    if name.is_empty() {
        let detail =
            "The name of a field comes after {{, such as {{first_name}}. To write two braces, write {{\"{{\"}}.";
        return fault(source, start, "missing_name", detail);
    }
    if let Err(refused) = field_name(name) {
        return fault(source, start, refused.code, format!("{name:?} is no name of a field. {}", refused.detail));
    }
    reader.skip();
    let fallback = if reader.next_is('|') {
        reader.at += 1;
        reader.skip();
        if !reader.next_is('"') {
            let detail = format!("What stands there instead comes after | in quotes: {{{{{name} | \"there\"}}}}.");
            return fault(source, reader.at, "missing_quotes", detail);
        }
        let start = reader.at;
        let text = reader.quoted()?;
        if text.trim().is_empty() {
            let detail =
                "What stands there instead is empty. Write a word, or write the sentence so that it can be left out.";
            return fault(source, start, "empty_fallback", detail);
        }
        Some(text)
    } else {
        None
    };
    reader.skip();
    reader.close(open)?;
    Ok((Piece::Field { name: name.to_owned(), fallback, begins_link: false }, reader.at))
}

/// Reads on from a place between `{{` and `}}`.
struct Reader<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn next_is(&self, character: char) -> bool {
        self.rest().starts_with(character)
    }

    /// Spaces are skipped; a line break is not, so that a brace that is never closed is found where it stands.
    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let ends = |character: char| character.is_whitespace() || "|{}\"".contains(character);
        let word = rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        word
    }

    /// A text in quotes, on one line. `\"` is a quote and `\\` a backslash.
    fn quoted(&mut self) -> Result<String, TemplateFault> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += place + 1;
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        let detail = "After \\ comes \" or \\. Write \\\\ for a backslash.";
                        return fault(self.source, start + place, "invalid_escape", detail);
                    }
                },
                '\n' | '\r' => break,
                _ => text.push(character),
            }
        }
        fault(self.source, start, "open_quotes", "This quote is not closed on its line. Write another \" at its end.")
    }

    fn close(&mut self, open: usize) -> Result<(), TemplateFault> {
        if self.rest().starts_with("}}") {
            self.at += 2;
            return Ok(());
        }
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with(['\n', '\r']) {
            let detail = "These braces are not closed on their line. Write }} after the name of the field.";
            return fault(self.source, open, "open_braces", detail);
        }
        let detail = "There may be only a name here, and then | and a text in quotes. Then come two closing braces.";
        fault(self.source, self.at, "unexpected", detail)
    }
}

/// Looks where in the HTML the fields stand: each where it can be escaped.
fn place_in_html(template: &mut Template, starts: &[usize]) -> Result<(), TemplateFault> {
    let outline = template.outline();
    let parts: Vec<Part<'_>> = html::parts(&outline).collect();
    let mut at = 0;
    let mut part = 0;
    for (piece, start) in template.pieces.iter_mut().zip(starts) {
        let (name, begins_link) = match piece {
            Piece::Literal(text) => {
                at += text.len();
                continue;
            }
            Piece::Field { name, begins_link, .. } => (name, begins_link),
        };
        let place = at..at + name.len() + 4;
        at = place.end;
        while parts.get(part).is_some_and(|one| range(one).end <= place.start) {
            part += 1;
        }
        let Some(inside) = parts.get(part).filter(|one| range(one).start < place.end) else { continue };
        *begins_link = stands(inside, &outline, &place)
            .or_else(|(code, detail)| fault(&template.source, *start, code, detail))?
            && name.as_str() != Template::UNSUBSCRIBE_URL;
    }
    Ok(())
}

fn range(part: &Part<'_>) -> Range<usize> {
    match part {
        Part::Raw(range) | Part::Other(range, _) => range.clone(),
        Part::Start(tag) => tag.whole.clone(),
    }
}

/// Whether a field that stands in a part begins an address there, or why it cannot stand there.
fn stands(part: &Part<'_>, outline: &str, place: &Range<usize>) -> Result<bool, (&'static str, &'static str)> {
    let tag = match part {
        Part::Other(_, true) => return Ok(false),
        Part::Raw(_) => return Err(("field_in_code", "A field cannot stand in a style or a script. Move it out.")),
        Part::Other(..) => return Err(("field_in_tag", "A field cannot stand in the name of a tag. Move it out.")),
        Part::Start(tag) => tag,
    };
    let value = |one: &&html::Attribute<'_>| one.value.start <= place.start && place.end <= one.value.end;
    let Some(attribute) = tag.attributes.iter().find(value) else {
        return Err(("field_in_tag", "A field can stand in a tag only as the value of an attribute, in quotes."));
    };
    if !attribute.quoted {
        return Err((
            "missing_quotes",
            "Put quotes around the value of this attribute, so that the field stays in it.",
        ));
    }
    let name = attribute.name.to_ascii_lowercase();
    if name.starts_with("on") || name == "style" || name == "srcdoc" {
        return Err(("field_in_code", "A field cannot stand in a style or a script. Move it out."));
    }
    let before = outline.get(attribute.value.start..place.start).unwrap_or_default();
    Ok(ADDRESSES.contains(&name.as_str()) && before.chars().all(|character| character <= ' '))
}
