//! Bodies on the wire: quoted-printable (RFC 2045, 6.7), so that no server on the way has a reason to change a byte.

/// The longest encoded line, without its end.
const LONGEST: usize = 76;

/// The text with CRLF between its lines and at its end, and without control characters but the tab.
///
/// NUL and its neighbours are no text; a server may refuse or cut a message for one. They are left out. An empty text
/// stays empty.
#[must_use]
pub fn lines_of(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 32 + 2);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => {
                letters.next_if_eq(&'\n');
                lines.push_str("\r\n");
            }
            '\n' => lines.push_str("\r\n"),
            '\t' => lines.push('\t'),
            other if other.is_control() => {}
            other => lines.push(other),
        }
    }
    if !lines.is_empty() && !lines.ends_with("\r\n") {
        lines.push_str("\r\n");
    }
    lines
}

/// Writes lines that end in CRLF as quoted-printable.
///
/// A dot and `From ` at the start of a line are encoded too: some servers double the one and change the other.
pub(super) fn put_quoted_printable(into: &mut String, lines: &str) {
    for line in lines.split_inclusive("\r\n") {
        put_line(into, line.strip_suffix("\r\n").unwrap_or(line));
        into.push_str("\r\n");
    }
}

fn put_line(into: &mut String, line: &str) {
    let bytes = line.as_bytes();
    let mut column = 0;
    for (place, &byte) in bytes.iter().enumerate() {
        let last = place + 1 == bytes.len();
        let starts = column == 0;
        let plain = match byte {
            b'=' => false,
            b' ' | b'\t' => !last,
            b'.' => !starts,
            b'F' => !(starts && bytes.get(place..place + 5) == Some(b"From ".as_slice())),
            other => other.is_ascii_graphic(),
        };
        let length = if plain { 1 } else { 3 };
        // The last character of a line needs no room for the mark of a soft break.
        let most = if last { LONGEST } else { LONGEST - 1 };
        if column + length > most {
            into.push_str("=\r\n");
            // The start of a line again, so a dot here is encoded.
            let plain =
                plain && byte != b'.' && !(byte == b'F' && bytes.get(place..place + 5) == Some(b"From ".as_slice()));
            column = put_byte(into, byte, plain);
        } else {
            column += put_byte(into, byte, plain);
        }
    }
}

fn put_byte(into: &mut String, byte: u8, plain: bool) -> usize {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if plain {
        into.push(char::from(byte));
        return 1;
    }
    into.push('=');
    into.push(DIGITS[usize::from(byte >> 4)]);
    into.push(DIGITS[usize::from(byte & 15)]);
    3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = String::new();
        put_quoted_printable(&mut out, &lines_of(text));
        out
    }

    #[test]
    fn lines_have_one_end() {
        assert_eq!(lines_of("a\nb\r\nc\rd\0\u{7}"), "a\r\nb\r\nc\r\nd\r\n");
        assert_eq!(lines_of("\u{85}\u{8}"), "");
        assert_eq!(lines_of("\n"), "\r\n");
    }

    #[test]
    fn what_servers_change_is_encoded() {
        assert_eq!(encoded(".hidden\nFrom here\nx = y \n\t"), "=2Ehidden\r\n=46rom here\r\nx =3D y=20\r\n=09\r\n");
        assert_eq!(encoded("é"), "=C3=A9\r\n");
        assert_eq!(encoded(""), "");
    }

    #[test]
    fn no_line_is_longer_than_76_and_none_begins_with_a_dot() {
        for text in ["x".repeat(10_000), ".".repeat(1000), "é ".repeat(1000), "From ".repeat(500), "a.".repeat(300)] {
            let out = encoded(&text);
            assert!(out.lines().all(|line| line.len() <= LONGEST), "{out}");
            assert!(!out.lines().any(|line| line.starts_with('.') || line.starts_with("From ")), "{out}");
        }
        assert_eq!(encoded(&"x".repeat(76)).lines().count(), 1);
        assert_eq!(encoded(&"x".repeat(77)).lines().count(), 2);
    }
}
