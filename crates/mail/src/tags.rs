//! Lists of tags and their values (RFC 6376, 3.2), which the records of DKIM and DMARC are.

/// The most tags of a list. There are some fifteen that mean anything, and each is compared with those before it.
const MOST_TAGS: usize = 50;

/// The tags of a list in order, white space around names and values left out. An empty piece at the end is allowed.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn tags(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut pieces = text.split(';').peekable();
    while let Some(piece) = pieces.next() {
        if piece.trim().is_empty() {
            if pieces.peek().is_none() {
                break;
            }
            return Err("there is nothing between two semicolons".to_owned());
        }
        let Some((name, value)) = piece.split_once('=') else {
            return Err(format!("\"{}\" has no =", shown(piece)));
        };
        let (name, value) = (name.trim(), value.trim());
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("\"{}\" is no name of a tag", shown(name)));
        }
        if found.iter().any(|(before, _)| *before == name) {
            return Err(format!("the tag {} is there twice", shown(name)));
        }
        if found.len() == MOST_TAGS {
            return Err(format!("it has more than {MOST_TAGS} tags"));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// The value of a tag.
pub(crate) fn tag<'a>(tags: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| *value)
}

/// A piece of a record as a sentence may quote it: not long, and without what does not print.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let clean = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let mut shown: String = text.trim().chars().map(clean).take(LONGEST).collect();
    if text.trim().chars().count() > LONGEST {
        shown.push('\u{2026}');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_or_refused_with_a_reason() {
        let read = tags(" v = DKIM1;k=rsa ; p=AB CD=;").unwrap();
        assert_eq!(read, [("v", "DKIM1"), ("k", "rsa"), ("p", "AB CD=")]);
        assert_eq!((tag(&read, "k"), tag(&read, "h")), (Some("rsa"), None));
        assert_eq!(tags("p="), Ok(vec![("p", "")]));
        assert_eq!(tags(""), Ok(Vec::new()));
        for bad in ["v", "v=1;;p=", "1=2", "=x", "a=1;a=2", "a b=1", "v=1; none"] {
            assert!(tags(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..51).map(|number| format!("a{number}=")).collect();
        assert_eq!((tags(&many[1..].join(";")).map(|all| all.len()), tags(&many.join(";")).is_err()), (Ok(50), true));
        assert_eq!(shown(&format!("a\n{}", "b".repeat(90))).chars().count(), 61);
    }
}
