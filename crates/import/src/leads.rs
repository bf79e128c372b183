//! Rows as leads.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mainstay_domain::outreach::NewLead;
use mainstay_domain::{EmailAddress, Label, PersonName, Refused, Zone};

use crate::columns::{Column, Mapping};
use crate::export::without_apostrophe;
use crate::reader::Row;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnFault {
    /// What the column is called; empty when it is the whole row.
    pub column: String,
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// A row as somebody to be taken in, or what is wrong with it, all of it.
#[derive(Debug)]
pub struct ImportRow {
    /// The line that it begins on.
    pub line: u64,
    /// The lead, or why it is none.
    pub lead: Result<NewLead, Vec<ColumnFault>>,
}

impl Mapping {
    /// Reads a row as a lead, with what the columns are called.
    #[must_use]
    pub fn lead(&self, row: &Row<'_>, header: &[String]) -> ImportRow {
        let lead = match &row.fields {
            Ok(fields) => self.read(fields, header),
            Err(fault) => {
                Err(vec![ColumnFault { column: String::new(), code: fault.code(), detail: fault.to_string() }])
            }
        };
        ImportRow { line: row.line, lead }
    }

    fn read(&self, values: &[Cow<'_, str>], header: &[String]) -> Result<NewLead, Vec<ColumnFault>> {
        let mut faults = Vec::new();
        let mut address = None;
        let (mut first_name, mut last_name, mut company, mut zone) =
            (PersonName::default(), PersonName::default(), None, None);
        let mut fields = BTreeMap::new();
        for (place, column) in self.columns().iter().enumerate() {
            let value = without_apostrophe(values.get(place).map_or("", |value| value.trim()));
            let mut told = |refused: Refused| {
                let column = header.get(place).cloned().unwrap_or_default();
                faults.push(ColumnFault { column, code: refused.code, detail: refused.detail });
            };
            let text = || line(value);
            match column {
                Column::Skip => {}
                Column::Address => match recipient(value) {
                    Ok(read) => address = Some(read),
                    Err(refused) => told(refused),
                },
                Column::FirstName => first_name = PersonName::parse(&text()).map_err(told).unwrap_or_default(),
                Column::LastName => last_name = PersonName::parse(&text()).map_err(told).unwrap_or_default(),
                Column::Company => {
                    company = (!text().is_empty()).then(|| Label::parse(&text()).map_err(told).ok()).flatten();
                }
                Column::Zone => zone = (!text().is_empty()).then(|| Zone::parse(&text()).map_err(told).ok()).flatten(),
                Column::Own(name) => {
                    let value = lines(value);
                    if !value.is_empty() {
                        fields.insert(name.clone(), value);
                    }
                }
            }
        }
        match address {
            Some(address) if faults.is_empty() => Ok(NewLead { address, first_name, last_name, company, zone, fields }),
            _ => Err(faults),
        }
    }
}

/// What cannot be seen and is no part of what was meant: marks of order, of directions and of places to break a line.
fn is_unseen(character: char) -> bool {
    matches!(character, '\u{AD}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}')
        || matches!(character, '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// A value as one line: what cannot be seen is left out, and white space of any kind is one space.
pub(crate) fn line(value: &str) -> String {
    // Nearly all values are plain.
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return value.to_owned();
    }
    let seen: String = value.chars().filter(|one| !is_unseen(*one)).collect();
    let words = seen.split(|one: char| one.is_whitespace() || one.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A value that may have several lines: what cannot be seen is left out, and so are control characters but tabs.
fn lines(value: &str) -> String {
    if value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return value.trim().to_owned();
    }
    let kept = |one: &char| !is_unseen(*one) && (!one.is_control() || matches!(one, '\n' | '\t'));
    let text: String = value.chars().map(|one| if one == '\u{A0}' { ' ' } else { one }).filter(kept).collect();
    text.trim().to_owned()
}

fn refused(detail: &str) -> Refused {
    Refused { code: "invalid_email", detail: format!("This is not an email address: {detail}.") }
}

/// The address of somebody who is written to, in one form for each mailbox as far as that can be told: what cannot be seen is
/// left out, and a domain of another script has its ASCII form (UTS #46). `mailto:` and a name before `<` are left out.
///
/// It is stricter than [`EmailAddress`], since mail has to be taken by servers everywhere: the part before the @ is ASCII
/// (others need SMTPUTF8, RFC 6531, which few servers have), and dots stand alone between other characters.
///
/// # Errors
/// Says what keeps the text from being such an address.
pub fn recipient(text: &str) -> Result<EmailAddress, Refused> {
    let unseen = |one: char| is_unseen(one) || matches!(one, '\u{200C}' | '\u{200D}');
    let text: Cow<'_, str> =
        if text.is_ascii() { Cow::Borrowed(text) } else { text.chars().filter(|one| !unseen(*one)).collect() };
    let text = text.trim();
    let text = text.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(text);
    let text = match text.split_at_checked(7) {
        Some((start, rest)) if start.eq_ignore_ascii_case("mailto:") => rest,
        _ => text,
    };
    if text.trim().is_empty() {
        return Err(refused("it is empty"));
    }
    let address = EmailAddress::parse(text)?;
    let (local, domain) = address.as_str().split_once('@').unwrap_or_default();
    if !local.is_ascii() {
        return Err(refused("the part before the @ has characters that few mail servers take; use only ASCII"));
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(refused("a dot before the @ stands between two other characters"));
    }
    let bad_domain = || refused("the part after the @ is no domain");
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| bad_domain())?;
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let top = ascii.rsplit('.').next().unwrap_or_default();
    if !ascii.contains('.') || !ascii.split('.').all(label) || top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad_domain());
    }
    if ascii == domain {
        return Ok(address);
    }
    EmailAddress::parse(&format!("{local}@{ascii}"))
}

#[cfg(test)]
mod tests;
