//! The effective configuration as text, with where each value came from.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::layers::Source;
use super::schema::{Key, SCHEMA};
use super::{Config, database};

/// Every setting as TOML, in the order of `config.default.toml`.
pub(super) fn listing(config: &Config, sources: &BTreeMap<String, Source>) -> String {
    let values = Table::try_from(config).unwrap_or_default();
    let mut text = "# The configuration in effect: default, then file, then environment.\n".to_owned();
    for section in &SCHEMA.sections {
        text.push_str(&format!("\n[{}]\n", section.path));
        for key in &section.keys {
            let value = shown(config, key, &values);
            let source = sources.get(&key.path).map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("{} = {value} # {}\n", key.name, source.replace(char::is_control, " ")));
        }
    }
    text
}

/// A value as TOML. The serialisation of the typed value has `***` for secrets already.
fn shown(config: &Config, key: &Key, values: &Table) -> Value {
    let text = match key.path.as_str() {
        "database.url" => database::masked(&config.database.url),
        "database.app_url" => database::masked(&config.database.app_url),
        "database.system_url" => database::masked(&config.database.system_url),
        "redis.url" => database::masked(&config.redis.url),
        path => {
            let mut parts = path.split('.');
            let first = parts.next().and_then(|part| values.get(part));
            let value = parts.try_fold(first, |value, part| Some(value?.get(part))).flatten().cloned();
            match value {
                Some(Value::String(text)) if key.is_secret() && text != "***" => String::new(),
                Some(value) => return value,
                None => String::new(),
            }
        }
    };
    Value::String(text)
}
