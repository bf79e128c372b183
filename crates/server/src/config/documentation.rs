//! The reference page, made from the comments of `config.default.toml`.

use std::fmt::Write;

use super::schema::{Key, SCHEMA};

/// How the page is made anew, for the page itself and for the test that it is fresh.
pub(super) const COMMAND: &str = "cargo run -p mainstay-server -- config docs > docs/configuration.md";

const INTRODUCTION: &str = "\
Every setting has a default. Three places can change it, and the later one wins:

1. the defaults, which are compiled in;
2. a file in TOML, named by `--config FILE` or the variable `MAINSTAY_CONFIG`, that holds only what differs;
3. the environment: `MAINSTAY_<SECTION>__<KEY>`, with two underscores wherever the key has a dot.

`mainstay config check` says everything that is wrong at once. `mainstay config show` prints what is in effect and where
each value came from; secrets are shown as `***`.

- A key that ends in `_file` names a file that holds the secret of the same name. Line ends at the end of the file are
  left out. A relative path starts at the working directory. Setting a secret and its file in the same place is an error;
  otherwise the later place wins. The file should be readable by the server's user only (mode 600).
- An empty text means: not set. An empty variable counts as not set, with a warning.
- In a variable a list is written as TOML (`[\"a\", \"b\"]`) or separated by commas (`a,b`).
- Unknown keys and unknown variables that begin with `MAINSTAY_` are errors, so that a slip does not pass in silence.
";

/// The text of `docs/configuration.md`.
#[must_use]
pub fn documentation() -> String {
    let mut page = format!(
        "# Configuration\n\n<!-- Generated from config.default.toml. Do not edit; run: {COMMAND} -->\n\n{INTRODUCTION}"
    );
    for section in &SCHEMA.sections {
        page.push_str(&format!("\n## `[{}]`\n\n{}\n", section.path, escape(&section.meaning)));
        for key in &section.keys {
            write_key(&mut page, key);
        }
    }
    page
}

fn write_key(page: &mut String, key: &Key) {
    let variables: Vec<_> = key.variables.iter().map(|variable| format!("`{variable}`")).collect();
    let default = match key.default.as_str() {
        Some("") => "not set".to_owned(),
        _ => format!("`{}`", key.default),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n### `{}`\n\n{}\n\n- Type: {}\n- Default: {default}\n- Environment: {}\n",
        key.path,
        escape(&key.meaning),
        key.kind.describe(),
        variables.join(" or "),
    );
    if !key.example.is_empty() {
        let _ = write!(page, "\n```toml\n{}\n```\n", key.example);
    }
}

/// Keeps what Markdown would take for its own marks, and leaves alone what is between backticks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut code = false;
    for letter in text.chars() {
        code ^= letter == '`';
        if !code && matches!(letter, '<' | '*' | '_' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
