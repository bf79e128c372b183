//! The relaxed form of headers and bodies (RFC 6376, 3.4).

/// The fields of a message in order, each with its raw value (folds kept, without the last end of line), and the body.
pub(super) fn headers(message: &[u8]) -> (Vec<(&str, &[u8])>, &[u8]) {
    let mut fields: Vec<(&str, &[u8])> = Vec::with_capacity(24);
    let mut at = 0;
    while let Some(rest) = message.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            return (fields, body);
        }
        let length = field_length(rest);
        let field = rest.get(..length).unwrap_or_default();
        at += length;
        let field = field.strip_suffix(b"\r\n").unwrap_or(field);
        let Some(colon) = field.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = field.split_at(colon);
        let Ok(name) = std::str::from_utf8(name) else { continue };
        fields.push((name.trim_end(), value.get(1..).unwrap_or_default()));
    }
    (fields, &[])
}

/// How long the field at the start is, its folds and its end included.
fn field_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(end) = text.get(at..).and_then(|rest| rest.windows(2).position(|pair| pair == b"\r\n")) {
        at += end + 2;
        if !matches!(text.get(at), Some(b' ' | b'\t')) {
            return at;
        }
    }
    text.len()
}

/// The fields that `names` names: of several with one name the last first, and none where there are no more (which signs
/// that there is none).
pub(super) fn picked<'a>(fields: &[(&'a str, &'a [u8])], names: &[&str]) -> Vec<(&'a str, &'a [u8])> {
    let mut taken = vec![false; fields.len()];
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let matching = |(place, (field, _)): &(usize, &(&str, &[u8]))| {
            field.eq_ignore_ascii_case(name) && taken.get(*place) == Some(&false)
        };
        if let Some((place, field)) = fields.iter().enumerate().rev().find(matching) {
            found.push(*field);
            if let Some(taken) = taken.get_mut(place) {
                *taken = true;
            }
        }
    }
    found
}

/// Writes a field: its name small, its value on one line with single spaces and none at its ends.
pub(super) fn header(into: &mut Vec<u8>, name: &str, value: &[u8]) {
    into.extend(name.trim_end().bytes().map(|byte| byte.to_ascii_lowercase()));
    into.push(b':');
    let mut space = false;
    let mut began = false;
    for &byte in value {
        match byte {
            b' ' | b'\t' => space = true,
            b'\r' | b'\n' => {}
            other => {
                if space && began {
                    into.push(b' ');
                }
                into.push(other);
                (space, began) = (false, true);
            }
        }
    }
}

/// A body: single spaces inside lines, none at their ends, no empty lines at the end, and an end after the last line.
pub(super) fn body(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut empty = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n");
        let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        rest = end.and_then(|end| rest.get(end + 2..)).unwrap_or_default();
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            empty += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            out.extend_from_slice(b"\r\n");
        }
        let mut space = false;
        for &byte in line {
            if matches!(byte, b' ' | b'\t') {
                space = true;
            } else {
                if std::mem::take(&mut space) {
                    out.push(b' ');
                }
                out.push(byte);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_relaxed() {
        let message = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n";
        let (fields, text) = headers(message);
        let mut out = Vec::new();
        for (name, value) in &fields {
            header(&mut out, name, value);
            out.extend_from_slice(b"\r\n");
        }
        assert_eq!(out, b"a:X\r\nb:Y Z\r\n");
        assert_eq!(body(text), b" C\r\nD E\r\n");
        assert_eq!(body(b""), b"");
        assert_eq!(body(b"\r\n\r\n"), b"");
        assert_eq!(body(b"a"), b"a\r\n");
    }

    #[test]
    fn any_bytes_are_read() {
        for bytes in [b"".as_slice(), b"\r\n", b"\n", b":", b"a\xff: b\r\n c", b"a:\r\n\r", b" x\r\n\r\n"] {
            let (fields, text) = headers(bytes);
            let _ = (picked(&fields, &["a", "a"]), body(text));
        }
    }
}
