//! What has the form of an address or of a key.

use super::{EMAIL, Found, SECRET};

/// The longest user part of a URL that is looked for, in bytes.
const LONGEST_USER: usize = 512;

/// How keys begin, and how long they are at least, in bytes: ours, and those of providers that an installation may use.
const KEYS: [(&str, usize); 31] = [
    ("mk_", 20),
    ("mr_", 20),
    ("whsec_", 16),
    ("sealed1", 20),
    ("sk-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("pk_live_", 16),
    ("xoxb-", 16),
    ("xoxa-", 16),
    ("xoxp-", 16),
    ("xoxr-", 16),
    ("xoxs-", 16),
    ("xapp-", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("npm_", 20),
    ("hf_", 20),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("SG.", 20),
    ("shpat_", 20),
];

/// Which bytes any key begins with: one look spares the list for most words.
const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let mut at = 0;
    while at < KEYS.len() {
        first[KEYS[at].0.as_bytes()[0] as usize] = true;
        at += 1;
    }
    first[b'e' as usize] = true;
    first
};

/// Which bytes are the second of any key.
const SECOND: [bool; 256] = {
    let mut second = [false; 256];
    let mut at = 0;
    while at < KEYS.len() {
        second[KEYS[at].0.as_bytes()[1] as usize] = true;
        at += 1;
    }
    second[b'y' as usize] = true;
    second
};

/// The shortest of all keys, in bytes.
const SHORTEST: usize = 16;

/// What a token of RFC 6750 is made of.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// Behind a token that begins here. A point at its end ends a sentence.
fn token_end(line: &[u8], start: usize) -> usize {
    let length = line[start..].iter().take_while(|byte| is_token(**byte)).count();
    let points = line[start..start + length].iter().rev().take_while(|byte| **byte == b'.').count();
    start + length - points
}

/// A key that begins here.
pub(super) fn key(line: &[u8], start: usize, end: usize) -> Option<Found> {
    let word = &line[start..end];
    let [first, second, ..] = word else { return None };
    if !FIRST[usize::from(*first)] || !SECOND[usize::from(*second)] {
        return None;
    }
    // Some kinds have signs that end a word.
    if word.len() < SHORTEST && token_end(line, start) - start < SHORTEST {
        return None;
    }
    let found = |end| Some(Found { start, end, instead: SECRET });
    if is_signed_token(word) {
        return found(token_end(line, start));
    }
    let (_, least) = KEYS.iter().find(|(begins, _)| word.starts_with(begins.as_bytes()))?;
    let end = token_end(line, start);
    // A word of the language has no digit: "sk-learn-something-else".
    let text = &line[start..end];
    if text.len() >= *least && text.iter().any(u8::is_ascii_digit) { found(end) } else { None }
}

/// A JSON Web Token: `eyJ`, and parts with points between.
fn is_signed_token(word: &[u8]) -> bool {
    word.len() >= 20 && word.starts_with(b"eyJ") && word.iter().filter(|byte| **byte == b'.').count() >= 1
}

/// What stands behind `Bearer` or `Basic`.
pub(super) fn credentials(line: &[u8], start: usize, end: usize) -> Option<Found> {
    let word = &line[start..end];
    if !matches!(word.len(), 5 | 6) || !word.first().is_some_and(|byte| matches!(byte, b'b' | b'B')) {
        return None;
    }
    let is_scheme = word.eq_ignore_ascii_case(b"bearer") || word.eq_ignore_ascii_case(b"basic");
    if !is_scheme || line.get(end) != Some(&b' ') {
        return None;
    }
    let start = end + 1;
    let end = token_end(line, start);
    let token = &line[start..end];
    // "Bearer authentication" is a sentence; a token of 20 letters and more is none.
    let random =
        token.len() >= 20 || token.iter().any(u8::is_ascii_digit) || token.iter().skip(1).any(u8::is_ascii_uppercase);
    (token.len() >= 6 && random).then_some(Found { start, end, instead: SECRET })
}

/// The part of a URL before the `@`, where `colon` is that of `://`.
pub(super) fn user_part(line: &[u8], colon: usize) -> Option<Found> {
    if !line[colon..].starts_with(b"://") {
        return None;
    }
    let start = colon + 3;
    let rest = &line[start..line.len().min(start + LONGEST_USER)];
    let stops = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`');
    let url = &rest[..rest.iter().position(|byte| stops(*byte)).unwrap_or(rest.len())];
    let authority = url.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(url.len());
    let end = match url[..authority].iter().rposition(|byte| *byte == b'@') {
        Some(at) => at,
        // A password that is not written as a URL wants it: `user:pa/ss@host`.
        None => {
            let colon = url[..authority].iter().position(|byte| *byte == b':')?;
            let is_port = url[colon + 1..authority].iter().all(u8::is_ascii_digit);
            let at = url.iter().rposition(|byte| *byte == b'@')?;
            (!is_port).then_some(at)?
        }
    };
    let already = url[..end].starts_with(b"[") || &url[..end] == b"***";
    (end > 0 && !already).then_some(Found { start, end: start + end, instead: SECRET })
}

/// An address of electronic mail within a word; its `@` may be written as `%40`.
pub(super) fn email(line: &[u8], start: usize, end: usize) -> Option<Found> {
    let word = &line[start..end];
    let mut from = 0;
    while let Some(at) = word[from..].iter().position(|byte| matches!(byte, b'@' | b'%')).map(|at| from + at) {
        let behind = match word[at] {
            b'@' => at + 1,
            _ if word[at..].starts_with(b"%40") => at + 3,
            _ => {
                from = at + 1;
                continue;
            }
        };
        let first = local_part(line, start, start + at);
        let domain = domain(&word[behind..]);
        if let (true, Some(domain)) = (first < start + at, domain) {
            return Some(Found { start: first, end: start + behind + domain, instead: EMAIL });
        }
        from = behind;
    }
    None
}

/// Where the part before the `@` begins. An escape of a URL ends it, unless it stands for a sign that such a part often has.
fn local_part(line: &[u8], start: usize, at: usize) -> usize {
    let is_part =
        |escape: &[u8]| [b"%2b", b"%2e", b"%2d", b"%5f"].iter().any(|known| escape.eq_ignore_ascii_case(*known));
    let mut escapes = line[start..at].windows(3).enumerate();
    let last = escapes.rfind(|(_, three)| three.starts_with(b"%") && !is_part(three));
    last.map_or(start, |(place, _)| start + place + 3)
}

/// How long the domain is that begins here: labels with points between, the last one of letters; or this host.
fn domain(text: &[u8]) -> Option<usize> {
    let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte >= 0x80;
    let whole = text.iter().take_while(|byte| is_label(byte) || **byte == b'.').count();
    let text = &text[..whole];
    let end = text.iter().rposition(|byte| *byte != b'.' && *byte != b'-')? + 1;
    let text = &text[..end];
    if text.eq_ignore_ascii_case(b"localhost") {
        return Some(end);
    }
    let last = text.iter().rposition(|byte| *byte == b'.')?;
    let top = &text[last + 1..];
    let letters = top.len() >= 2 && top.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80 || *byte == b'-');
    let international = top.len() > 4 && top[..4].eq_ignore_ascii_case(b"xn--");
    (last > 0 && (letters || international)).then_some(end)
}
