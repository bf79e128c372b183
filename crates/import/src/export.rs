//! Writing CSV that spreadsheet programs take for data.

/// What a spreadsheet program takes for the beginning of a formula
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Whether a value is a formula to such a program, or was one before it was escaped.
fn is_formula(value: &str) -> bool {
    value.trim_start_matches('\'').starts_with(FORMULA)
}

/// A field: with an apostrophe before it, where a spreadsheet program would take it for a formula, and in quotes where it
/// needs them. The import takes that apostrophe off again.
#[must_use]
pub fn cell(value: &str) -> String {
    let apostrophe = if is_formula(value) { "'" } else { "" };
    let quoted =
        value.contains(['"', ',', ';', '\t', '|', '\n', '\r']) || value.starts_with(' ') || value.ends_with(' ');
    if quoted { format!("\"{apostrophe}{}\"", value.replace('"', "\"\"")) } else { format!("{apostrophe}{value}") }
}

/// Appends a row, with commas between its fields and a line end of CSV (RFC 4180) behind it.
pub fn write_row<'a>(fields: impl IntoIterator<Item = &'a str>, to: &mut String) {
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            to.push(',');
        }
        to.push_str(&cell(field));
    }
    to.push_str("\r\n");
}

/// The value that was exported.
pub(crate) fn without_apostrophe(value: &str) -> &str {
    match value.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Reader;

    #[test]
    fn what_a_spreadsheet_would_run_is_text() {
        for (value, expected) in [
            ("Ada", "Ada"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("'=1", "''=1"),
            ("'Ada'", "'Ada'"),
            ("a=1", "a=1"),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("a,b", "\"a,b\""),
            ("a\nb", "\"a\nb\""),
            (" a", "\" a\""),
        ] {
            assert_eq!(cell(value), expected);
            assert_eq!(without_apostrophe(&format!("{}{value}", if is_formula(value) { "'" } else { "" })), value);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("[a'=+@\", ;\\n\\t|é-]{0,8}", 3), 1..8)) {
            let mut csv = String::new();
            write_row(["a", "b", "c"], &mut csv);
            for row in &rows {
                write_row(row.iter().map(String::as_str), &mut csv);
            }
            let mut read = Vec::new();
            let mut reader = Reader::new().with_delimiter(',');
            let mut each = |row: crate::Row<'_>| {
                let fields = row.fields.expect("a good row");
                read.push(fields.iter().map(|field| without_apostrophe(field).to_owned()).collect::<Vec<_>>());
            };
            prop_assert!(reader.feed(csv.as_bytes(), &mut each).is_ok() && reader.finish(&mut each).is_ok());
            // A row of white space alone is none.
            let blank = |row: &Vec<String>| row.iter().all(|field| field.trim().is_empty() && !is_formula(field));
            let expected: Vec<_> = rows.into_iter().filter(|row| !blank(row)).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
