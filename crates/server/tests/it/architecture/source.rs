//! The tree as the rules see it: files, and Rust cut into code, text and comments.

use std::fs;
use std::path::{Path, PathBuf};

/// What is built, stored or fetched, and no source.
const SKIPPED: [&str; 5] = [".git", "target", "data", "node_modules", "results"];
/// Larger files are pictures or data.
const LARGEST: u64 = 1_000_000;

/// A text file of the tree.
pub(super) struct File {
    /// From the root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether the whole file is compiled for tests and measurements only.
    pub(super) fn is_test(&self) -> bool {
        let tests = ["tests", "tests.rs", "testing", "conformance", "conformance.rs", "examples"];
        self.path.split('/').any(|part| tests.contains(&part))
    }
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate is in crates/server")
}

/// Every text file under the root.
pub(super) fn files() -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the tree can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(path),
                Ok(metadata) if metadata.is_file() && metadata.len() <= LARGEST => {
                    let Ok(text) = fs::read_to_string(&path) else { continue };
                    let path = path.strip_prefix(&root).expect("it is under the root").to_string_lossy().into_owned();
                    found.push(File { path, text });
                }
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Code,
    /// What is between the quotes of a string literal, escapes as written.
    Text,
    Comment,
}

/// A stretch of Rust and the line on which it starts, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) kind: Kind,
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// Cuts Rust into pieces. Quotes and prefixes of strings are left out.
pub(super) fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut code_from = 0;
    let mut at = 0;
    let mut line = 1;
    let mut code_line = 1;
    let mut after_word = false;
    while let Some(next) = source[at..].chars().next() {
        let Some((kind, inner, length)) = special(&source[at..], after_word) else {
            let length = char_literal(&source[at..]).unwrap_or(next.len_utf8());
            after_word = next.is_alphanumeric() || next == '_';
            line += usize::from(next == '\n');
            at += length;
            continue;
        };
        pieces.push(Piece { kind: Kind::Code, line: code_line, text: &source[code_from..at] });
        pieces.push(Piece { kind, line, text: inner });
        line += source[at..at + length].matches('\n').count();
        at += length;
        (code_from, code_line, after_word) = (at, line, false);
    }
    pieces.push(Piece { kind: Kind::Code, line: code_line, text: &source[code_from..] });
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}

/// A comment or string literal at the start of `rest`: its inside and its whole length.
fn special(rest: &str, after_word: bool) -> Option<(Kind, &str, usize)> {
    if rest.starts_with("//") {
        let length = rest.find('\n').unwrap_or(rest.len());
        return Some((Kind::Comment, &rest[..length], length));
    }
    if rest.starts_with("/*") {
        let length = block_comment(rest);
        return Some((Kind::Comment, &rest[..length], length));
    }
    if after_word && !rest.starts_with('"') {
        return None;
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        after.is_some_and(|after| {
            after.trim_start_matches(if prefix.ends_with('r') { '#' } else { '\0' }).starts_with('"')
        })
    })?;
    let hashes = rest[prefix.len()..].chars().take_while(|next| *next == '#').count();
    let start = prefix.len() + hashes + 1;
    let end = if prefix.ends_with('r') {
        rest[start..].find(&format!("\"{}", "#".repeat(hashes))).map(|end| start + end)
    } else {
        closing_quote(&rest[start..]).map(|end| start + end)
    };
    let end = end.unwrap_or(rest.len());
    Some((Kind::Text, &rest[start..end], (end + 1 + hashes).min(rest.len())))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, next)| {
        let closes = next == '"' && !escaped;
        escaped = next == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// The length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        depth += change;
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a character literal at the start of `rest`; a lifetime is none.
fn char_literal(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut letters = inside.char_indices();
    let (_, first) = letters.next()?;
    if first == '\\' {
        // The letter after the backslash may be a quote itself.
        let (after, letter) = letters.next()?;
        let from = after + letter.len_utf8();
        return inside[from..].find('\'').map(|end| 1 + from + end + 1);
    }
    letters.next().filter(|(_, second)| *second == '\'').map(|(at, _)| 1 + at + 1)
}

mod tests {
    use super::*;

    #[test]
    fn rust_is_cut_into_code_text_and_comments() {
        let source = r####"let a = "one \" two"; // note "x"
/* outer /* inner */ "y" */ let b: &'static str = r#"raw "q" text"#; let c = ['"', '\'', '\u{41}'];
let d = b"bytes"; r#type; for"four";"####;
        let found: Vec<(Kind, usize, &str)> =
            pieces(source).iter().filter(|p| p.kind != Kind::Code).map(|p| (p.kind, p.line, p.text)).collect();
        assert_eq!(
            found,
            [
                (Kind::Text, 1, "one \\\" two"),
                (Kind::Comment, 1, "// note \"x\""),
                (Kind::Comment, 2, "/* outer /* inner */ \"y\" */"),
                (Kind::Text, 2, "raw \"q\" text"),
                (Kind::Text, 3, "bytes"),
                (Kind::Text, 3, "four"),
            ]
        );
    }

    #[test]
    fn the_tree_is_found_without_what_was_built() {
        let paths: Vec<String> = files().into_iter().map(|file| file.path).collect();
        assert!(paths.contains(&"Cargo.toml".to_owned()) && paths.contains(&"crates/server/src/main.rs".to_owned()));
        assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }
}
