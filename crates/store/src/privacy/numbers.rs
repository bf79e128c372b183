//! Numbers of telephones in texts.

use std::ops::Range;

/// The fewest digits of a number: the number of a subscriber without its area.
pub(super) const FEWEST_DIGITS: usize = 7;
/// How many digits of a number are looked for, at most: how a country is written before it differs from form to form, its end
/// does not.
const END_DIGITS: usize = 9;

/// Where numbers stand in a text, each by itself. They are written with spaces, hyphens, dots, slashes and brackets between
/// their digits, and with or without what stands before them from abroad. `wanted` are all digits of each.
pub(super) fn places(text: &str, wanted: &[&str]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    if wanted.is_empty() {
        return places;
    }
    let mut run = Run::default();
    for (at, c) in text.char_indices() {
        if c.is_ascii_digit() {
            run.digits.push(c);
            run.places.push(at);
        } else if c == '\n' || !(c.is_whitespace() || "()-./".contains(c)) {
            run.end(wanted, &mut places);
        }
    }
    run.end(wanted, &mut places);
    for place in &mut places {
        place.start -= usize::from(text[..place.start].ends_with('+'));
    }
    places
}

/// Digits with nothing but separators between them.
#[derive(Default)]
struct Run {
    digits: String,
    /// Where each of them stands.
    places: Vec<usize>,
}

impl Run {
    /// Finds numbers in it, and begins anew.
    fn end(&mut self, wanted: &[&str], places: &mut Vec<Range<usize>>) {
        for digits in wanted {
            let (code, own) = digits.split_at(code_of(digits));
            let end = end_of(digits);
            // What may stand before it, from abroad and within its country.
            let prefixes =
                [format!("00{code}0"), format!("00{code}"), format!("{code}0"), code.to_owned(), "0".to_owned()];
            for (found, _) in self.digits.match_indices(end) {
                let rest = own.strip_suffix(end).unwrap_or_default();
                let own_start = if self.digits[..found].ends_with(rest) { found - rest.len() } else { found };
                let with = |prefix: &String| {
                    let start = self.digits[..own_start].strip_suffix(prefix.as_str())?.len();
                    self.begins_at(start).then_some(start)
                };
                let start = prefixes.iter().find_map(with).unwrap_or(own_start);
                let last = found + end.len();
                if self.begins_at(start) && (last == self.digits.len() || self.begins_at(last)) {
                    places.push(self.places[start]..self.places[last - 1] + 1);
                }
            }
        }
        self.digits.clear();
        self.places.clear();
    }

    /// Whether a digit is the first of all, or stands behind something that is none.
    fn begins_at(&self, at: usize) -> bool {
        at == 0 || self.places[at] > self.places[at - 1] + 1
    }
}

/// The calling code of a number, in digits (ITU-T E.164, list of assigned codes).
fn code_of(digits: &str) -> usize {
    let code = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    };
    code.min(digits.len().saturating_sub(FEWEST_DIGITS))
}

/// The end of a number that stands in each of its forms.
fn end_of(digits: &str) -> &str {
    let most = (digits.len() - code_of(digits)).min(END_DIGITS);
    &digits[digits.len() - most..]
}
