//! Commands of clients, taken apart.

/// The length of the literal that a line announces at its end: `{5}`, or `{5+}` where the client waits for no word to go on.
pub(super) fn announced(line: &[u8]) -> Option<(usize, bool)> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, waits) = inner.strip_suffix(b"+").map_or((inner, true), |inner| (inner, false));
    let open = inner.iter().rposition(|byte| *byte == b'{')?;
    let length = std::str::from_utf8(inner.get(open + 1..)?).ok()?.parse().ok()?;
    Some((length, waits))
}

/// The words of a command: atoms, quoted strings, literals with their announcement; a list in parentheses is one word.
pub(super) fn words(command: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = command.trim_ascii_start();
    while let Some(first) = rest.first() {
        let (word, used) = match first {
            b'"' => quoted(rest),
            b'(' => list(rest),
            b'{' => literal(rest),
            _ => until(rest, rest.iter().position(|byte| *byte == b' ')),
        };
        words.push(String::from_utf8_lossy(&word).into_owned());
        rest = rest.get(used..).unwrap_or_default().trim_ascii_start();
    }
    words
}

/// The text up to an end, and how much that is.
fn until(text: &[u8], end: Option<usize>) -> (Vec<u8>, usize) {
    let end = end.unwrap_or(text.len());
    (text.get(..end).unwrap_or_default().to_vec(), end)
}

fn quoted(text: &[u8]) -> (Vec<u8>, usize) {
    let mut word = Vec::new();
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'"' => return (word, place + 1),
            b'\\' => word.extend(bytes.next().map(|(_, byte)| *byte)),
            byte => word.push(*byte),
        }
    }
    (word, text.len())
}

fn list(text: &[u8]) -> (Vec<u8>, usize) {
    let mut depth = 0_usize;
    let end = text.iter().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    until(text, end.map(|end| end + 1))
}

fn literal(text: &[u8]) -> (Vec<u8>, usize) {
    let line = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let (announcement, rest) = text.split_at(line);
    let (length, _) = announced(announcement.trim_ascii_end()).unwrap_or_default();
    (rest.get(..length).unwrap_or(rest).to_vec(), line + length)
}
