//! Encoded words (RFC 2047) and quoted-printable (RFC 2045), decoded strictly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Everything wrong with the encoded words of one line of a header.
pub(super) fn faults_of_line(line: &str) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    let mut any = false;
    // Nothing is decoded inside an address, an identifier or a link (RFC 2047, 5): there it is a letter like any other.
    let bracketed = |token: &str| token.starts_with('<') && token.trim_end_matches(',').ends_with('>');
    for token in line.split([' ', '\t']).filter(|token| token.contains("=?") && !bracketed(token)) {
        any = true;
        let token = token.trim_matches(['(', ')', ',']);
        match decode(token) {
            Ok(_) => {}
            Err(why) => faults.push(("bad_encoded_word", format!("{token}: {why}"))),
        }
    }
    if any && line.len() > 76 {
        faults
            .push(("bad_encoded_word", format!("a line of {} bytes with an encoded word; 76 are allowed", line.len())));
    }
    faults
}

/// The text of one encoded word.
pub(super) fn decode(word: &str) -> Result<String, &'static str> {
    if word.len() > 75 {
        return Err("longer than 75 bytes");
    }
    let inside =
        word.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?=")).ok_or("it does not begin and end as one")?;
    let mut parts = inside.splitn(3, '?');
    let (Some(charset), Some(encoding), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it does not have three parts");
    };
    if !charset.eq_ignore_ascii_case("utf-8") {
        return Err("its character set is not UTF-8");
    }
    if text.is_empty() || text.contains('?') {
        return Err("its text is empty or holds a question mark");
    }
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).map_err(|_| "its base64 cannot be read")?,
        "Q" | "q" => q(text).ok_or("its Q encoding cannot be read")?,
        _ => return Err("its encoding is neither B nor Q"),
    };
    let text = String::from_utf8(bytes).map_err(|_| "it cuts a character")?;
    if text.chars().any(char::is_control) { Err("it hides a control character") } else { Ok(text) }
}

fn q(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other if other.is_ascii_alphanumeric() || b"!*+-/".contains(&other) => other,
            _ => return None,
        });
    }
    Some(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The bytes of a quoted-printable body, or what is wrong with it.
pub(super) fn quoted_printable(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(body.len());
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |why: &str| Err(format!("{why} in line {}", number + 1));
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > 76 {
            return wrong("more than 76 bytes");
        }
        if matches!(line.last(), Some(b' ' | b'\t')) {
            return wrong("white space at the end");
        }
        let (line, soft) = line.strip_suffix(b"=").map_or((line, false), |line| (line, true));
        let mut bytes = line.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'=' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                    (Some(high), Some(low)) => out.push(high << 4 | low),
                    _ => return wrong("an equals sign without two digits"),
                },
                b' ' | b'\t' => out.push(byte),
                other if other.is_ascii_graphic() => out.push(other),
                _ => return wrong("a byte that must be encoded"),
            }
        }
        if !soft {
            out.extend_from_slice(b"\r\n");
        }
    }
    Ok(out)
}
