//! Reading one value: from the text of a variable, or from what TOML holds, as the kind that its key asks for.

use toml::{Table, Value};

use super::Fault;
use super::schema::{Field, Key, Kind};

/// The most of a value that a message shows.
const SHOWN_CHARACTERS: usize = 40;

/// Reads the text of a variable by the kind of its key. Text stays as it is, so that a password of digits is a password.
pub(super) fn from_text(key: &Key, text: &str) -> Result<Value, Vec<Fault>> {
    let value = match key.kind {
        Kind::Text | Kind::Secret => Some(Value::String(text.to_owned())),
        Kind::Integer { .. } => text.trim().parse().ok().map(Value::Integer),
        Kind::Boolean => text.trim().parse().ok().map(Value::Boolean),
        Kind::TextList if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Kind::TextList | Kind::TableList(_) => parse(text),
    };
    value.map_or_else(
        || Err(vec![wrong(key, &format!("'{}'", shorten(text, SHOWN_CHARACTERS)))]),
        |value| checked(key, value),
    )
}

/// Reads one TOML value.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

/// Takes a value of TOML if it is what its key asks for.
pub(super) fn checked(key: &Key, value: Value) -> Result<Value, Vec<Fault>> {
    match (key.kind, &value) {
        (Kind::Text | Kind::Secret, Value::String(_)) | (Kind::Boolean, Value::Boolean(_)) => Ok(value),
        (Kind::Integer { least, greatest }, Value::Integer(number)) if (least..=greatest).contains(number) => Ok(value),
        (Kind::TextList, Value::Array(items)) if items.iter().all(Value::is_str) => Ok(value),
        (Kind::TableList(fields), Value::Array(items)) => {
            let faults: Vec<_> =
                items.iter().enumerate().flat_map(|(index, item)| table(key, fields, index, item)).collect();
            if faults.is_empty() { Ok(value) } else { Err(faults) }
        }
        _ => Err(vec![wrong(key, &describe(&value))]),
    }
}

/// What is wrong with one table of a list.
fn table(key: &Key, fields: &[Field], index: usize, item: &Value) -> Vec<Fault> {
    let path = format!("{}[{index}]", key.path);
    let Some(table) = item.as_table() else {
        return vec![Fault::new(path, "expected a table", format!("Write it as [[{}]]", key.path))];
    };
    let known = |name: &str| fields.iter().any(|field| field.name == name);
    let names = fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
    let unknown = table.keys().filter(|name| !known(name)).map(|name| {
        Fault::new(
            format!("{path}.{}", shorten(name, SHOWN_CHARACTERS)),
            "this key is not known",
            format!("Use {names}"),
        )
    });
    let bad = fields.iter().filter_map(|field| {
        let wanted = if field.list { "a list of texts" } else { "text" };
        let path = format!("{path}.{}", field.name);
        match table.get(field.name) {
            None => Some(Fault::new(path, "is missing", format!("Set it to {wanted}"))),
            Some(Value::String(_)) if !field.list => None,
            Some(Value::Array(items)) if field.list && items.iter().all(Value::is_str) => None,
            Some(_) => Some(Fault::new(path, format!("expected {wanted}"), "Write text in quotation marks")),
        }
    });
    unknown.chain(bad).collect()
}

/// The fault of a value that is not what its key asks for. The value of a secret is not shown.
fn wrong(key: &Key, found: &str) -> Fault {
    let expected = key.kind.describe();
    let found = if key.is_secret() { "something else" } else { found };
    let cure = match key.kind {
        Kind::Text | Kind::Secret => "Put it in quotation marks".to_owned(),
        Kind::Integer { .. } => format!("Write digits only, for example {}", key.default),
        Kind::Boolean => "Write true or false".to_owned(),
        Kind::TextList => "Write [\"one\", \"two\"], or in a variable also one,two".to_owned(),
        Kind::TableList(_) => format!("Write [[{}]] in the file, or [{{...}}] in a variable", key.path),
    };
    Fault::new(&key.path, format!("expected {expected}, found {found}"), cure)
}

/// A value for a message.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text '{}'", shorten(text, SHOWN_CHARACTERS)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number}, a number with a fraction"),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(items) if items.iter().any(|item| !item.is_str()) => "a list with other things in it".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a section".to_owned(),
    }
}

/// The beginning of a text, for a message.
pub(super) fn shorten(text: &str, characters: usize) -> String {
    let mut short: String = text.chars().take(characters).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
