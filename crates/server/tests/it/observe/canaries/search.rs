//! Looks for canaries in texts, in all forms that texts are written in.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::minting::{AREA, LETTERS, MARKER};

/// The numbers of the canaries in a text; nothing for a part of one.
pub(super) fn numbers_in(text: &str) -> BTreeSet<Option<usize>> {
    let mut found = BTreeSet::new();
    look(text, &mut found);
    // What is written with escapes is looked at without them, twice: JSON may stand in JSON.
    let mut text = text.to_owned();
    for _ in 0..2 {
        if text.contains('%') {
            look(&without_percent(&text), &mut found);
        }
        if !text.contains('\\') {
            break;
        }
        text = without_escapes(&text);
        look(&text, &mut found);
    }
    found
}

fn look(text: &str, found: &mut BTreeSet<Option<usize>>) {
    let small = text.to_ascii_lowercase();
    for (at, _) in small.match_indices(MARKER) {
        let letters = small.as_bytes().get(at + MARKER.len()..at + MARKER.len() + LETTERS);
        let digit = |(place, letter): (usize, &u8)| match letter {
            b'a'..=b'p' => Some(usize::from(letter - b'a') << (4 * place)),
            _ => None,
        };
        let number = letters.and_then(|letters| letters.iter().enumerate().map(digit).sum::<Option<usize>>());
        found.insert(number);
    }
    let is_in_bytes = as_bytes_of(MARKER).iter().any(|form| small.contains(form.as_str()));
    if is_in_bytes || base64_of(MARKER).iter().any(|form| text.contains(form.as_str())) {
        found.insert(None);
    }
    if small.contains(&AREA[..3]) {
        phones(small.as_bytes(), found);
    }
}

/// How bytes are printed that nobody took for a text: in decimal numbers, and hexadecimal.
fn as_bytes_of(marker: &str) -> [String; 3] {
    let decimal: Vec<String> = marker.bytes().map(|byte| byte.to_string()).collect();
    let hexadecimal = marker.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    [decimal.join(", "), decimal.join(","), hexadecimal]
}

/// The marker as it stands in base64, wherever in a group it begins: what is made of its bits alone.
fn base64_of(marker: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let text = format!("{}{marker}", "0".repeat(before));
        let whole = STANDARD.encode(&text);
        whole[(before * 8).div_ceil(6)..text.len() * 8 / 6].to_owned()
    })
}

/// Numbers of telephones, with the country or without, also in groups.
fn phones(text: &[u8], found: &mut BTreeSet<Option<usize>>) {
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (mut digits, mut plain) = (String::new(), None);
        let mut end = at;
        while end < text.len() && digits.len() < 24 {
            if text[end].is_ascii_digit() {
                digits.push(char::from(text[end]));
                end += 1;
                continue;
            }
            plain.get_or_insert((digits.clone(), end));
            let signs = text[end..].iter().take(2).take_while(|byte| b" -.()/".contains(byte)).count();
            if signs == 0 || !text.get(end + signs).is_some_and(u8::is_ascii_digit) {
                break;
            }
            end += signs;
        }
        let (alone, next) = plain.unwrap_or_else(|| (digits.clone(), end));
        for run in [&alone, &digits] {
            let national = run.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(run);
            let number = national.strip_prefix(AREA).filter(|rest| rest.len() == 6);
            found.extend(number.and_then(|number| number.parse().ok()).map(Some));
        }
        at = next.max(at + 1);
    }
}

/// A text without the escapes of addresses.
fn without_percent(text: &str) -> String {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        plain.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// A text of JSON without its escapes.
fn without_escapes(text: &str) -> String {
    let (mut plain, mut letters) = (String::with_capacity(text.len()), text.chars());
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('u') => {
                let code: String = letters.by_ref().take(4).collect();
                plain.push(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'));
            }
            Some('n' | 'r' | 't') => plain.push(' '),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}
