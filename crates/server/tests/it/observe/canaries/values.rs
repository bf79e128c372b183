//! Values for the fields of the document: well formed where the schema lets a canary be so, and wrong in each place.

use std::collections::BTreeMap;
use std::sync::Mutex;

use regex_automata::meta::Regex;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::minting::{Canary, Kind, Mint};

/// How deep a value goes at the most.
const DEEPEST: usize = 8;

/// What is there, by the kind that paths name: `/v1/contacts/{id}` asks for one of `contacts`.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<String, Vec<String>>>);

impl Known {
    /// Keeps the ids of an answer, and the addresses in it.
    pub(super) fn learn(&self, template: &str, answer: &Value) {
        let kind = template.rsplit('/').find(|part| !part.starts_with('{')).unwrap_or_default();
        let rows = answer["data"].as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
        for row in rows.iter().chain(answer["known"].as_array().into_iter().flatten()) {
            let texts = row.as_object().into_iter().flatten();
            for (name, value) in texts.filter_map(|(name, value)| Some((name, value.as_str()?))) {
                match (name.as_str(), name.strip_suffix("_id")) {
                    ("id", _) => self.keep(kind, value),
                    ("name", _) if ["queues", "controls"].contains(&kind) => self.keep(kind, value),
                    ("starts_at", _) if kind == "availability" => self.keep("moments", value),
                    ("url", _) => self.keep("addresses", value),
                    (_, Some(of)) if value.len() == 36 => self.keep(&format!("{of}s"), value),
                    _ => {}
                }
            }
        }
    }

    pub(super) fn keep(&self, kind: &str, value: &str) {
        let mut known = self.0.lock().unwrap();
        let rows = known.entry(kind.to_owned()).or_default();
        if !rows.iter().any(|row| row == value) && rows.len() < 64 {
            rows.push(value.to_owned());
        }
    }

    /// One of a kind; another with each turn.
    pub(super) fn one(&self, kind: &str, turn: usize) -> Option<String> {
        let known = self.0.lock().unwrap();
        let rows =
            known.get(kind).or_else(|| known.iter().find(|(name, _)| name.ends_with(kind)).map(|(_, rows)| rows))?;
        rows.get(turn % rows.len()).cloned()
    }

    /// A path that the server has told and that is as a template wants it.
    fn address(&self, template: &str, turn: usize) -> Option<String> {
        let known = self.0.lock().unwrap();
        let paths = known.get("addresses")?.iter().filter_map(|url| {
            let path = &url[url.find("://")? + 3..];
            Some(path[path.find('/')?..].to_owned())
        });
        let fits = |path: &String| {
            let (wanted, parts) = (template.split('/'), path.split('/'));
            wanted.clone().count() == parts.clone().count()
                && wanted.zip(parts).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
        };
        let paths: Vec<String> = paths.filter(fits).collect();
        paths.get(turn % paths.len().max(1)).cloned()
    }

    /// The address of an operation as it is when all is well: its parts name what is there.
    pub(super) fn path(&self, template: &str, turn: usize) -> String {
        if let Some(path) = self.address(template, turn) {
            return path;
        }
        let parts: Vec<&str> = template.split('/').collect();
        let part = |(at, part): (usize, &&str)| match *part {
            "{id}" | "{name}" => {
                let kind = at.checked_sub(1).map_or("", |before| parts[before]);
                self.one(kind, turn).unwrap_or_else(|| Uuid::from_u128(7).to_string())
            }
            "{day}" => "2027-05-17".to_owned(),
            other => other.replace(['{', '}'], ""),
        };
        parts.iter().enumerate().map(part).collect::<Vec<_>>().join("/")
    }
}

/// Makes the values of one operation.
pub(super) struct Maker<'a> {
    pub(super) document: &'a Value,
    pub(super) mint: &'a Mint,
    pub(super) known: &'a Known,
    pub(super) operation: &'a str,
    /// An address at which somebody answers.
    pub(super) echo: &'a str,
}

impl Maker<'_> {
    pub(super) fn canary(&self, field: &str) -> Canary {
        self.mint.canary(self.operation, field)
    }

    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.document.pointer(&reference[1..]).expect("a schema")),
            None => schema,
        }
    }

    /// How many forms the fields of a schema have at the most.
    pub(super) fn forms(&self, schema: &Value, depth: usize) -> usize {
        let schema = self.resolved(schema);
        if depth > DEEPEST {
            return 1;
        }
        let below = match schema {
            Value::Object(parts) => {
                let parts = parts.iter().filter(|(name, _)| !["example", "examples", "enum"].contains(&name.as_str()));
                parts.map(|(_, part)| self.forms(part, depth + 1)).max()
            }
            Value::Array(parts) => parts.iter().map(|part| self.forms(part, depth + 1)).max(),
            _ => None,
        };
        below.unwrap_or(1).max(schema["oneOf"].as_array().map_or(1, Vec::len))
    }

    /// A value that is as the schema says. Each turn has others: other forms, other fields left out, other canaries.
    pub(super) fn value(&self, schema: &Value, field: &str, turn: usize, depth: usize) -> Value {
        let schema = self.resolved(schema);
        for several in ["oneOf", "anyOf"] {
            if let Some(forms) = schema[several].as_array() {
                return self.value(&forms[turn % forms.len()], field, turn, depth + 1);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            let parts = all.iter().rev().map(|part| self.value(part, field, turn, depth + 1));
            let merged = parts.filter_map(|part| part.as_object().cloned()).flatten();
            return Value::Object(merged.collect());
        }
        if let Some(words) = schema["enum"].as_array() {
            return words[turn % words.len()].clone();
        }
        let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
        let kind = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null" || turn == 3);
        match kind {
            Some("object") => self.object(schema, field, turn, depth),
            Some("array") => self.array(schema, field, turn, depth),
            Some("string") => self.text(schema, field, turn).into(),
            Some("integer" | "number") => Self::number(schema, turn),
            Some("boolean") => json!(turn.is_multiple_of(2)),
            Some("null") => Value::Null,
            _ => self.anything(field),
        }
    }

    /// JSON of no certain form, with canaries in its keys and values.
    pub(super) fn anything(&self, field: &str) -> Value {
        let [key, value, inner] =
            ["(key)", "(value)", "(inner value)"].map(|part| self.canary(&format!("{field}{part}")));
        json!({key.word(): value.written(Kind::Email), "list": [inner.written(Kind::Phone), 7]})
    }

    fn object(&self, schema: &Value, field: &str, turn: usize, depth: usize) -> Value {
        let Some(properties) = schema["properties"].as_object().filter(|_| depth <= DEEPEST) else {
            return self.entries(schema, field, turn, depth);
        };
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut made = Map::new();
        for (place, (name, part)) in properties.iter().enumerate() {
            // Everything, then what must be, then every now and then some.
            let wanted =
                turn == 0 || required.contains(&name.as_str()) || turn > 1 && (turn + place).is_multiple_of(turn);
            if wanted {
                made.insert(name.clone(), self.value(part, &join(field, name), turn, depth + 1));
            }
        }
        Value::Object(made)
    }

    /// An object whose keys the caller chooses.
    fn entries(&self, schema: &Value, field: &str, turn: usize, depth: usize) -> Value {
        if !schema["additionalProperties"].is_object() {
            return self.anything(field);
        }
        let key = match schema["propertyNames"].is_object() {
            true => self.value(&schema["propertyNames"], &join(field, "(key)"), turn, depth + 1),
            false => json!(self.canary(&join(field, "(key)")).word()),
        };
        let value = self.value(&schema["additionalProperties"], &join(field, "(value)"), turn, depth + 1);
        json!({key.as_str().unwrap_or("key"): value})
    }

    fn array(&self, schema: &Value, field: &str, turn: usize, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(1).max(1);
        let item = |_| self.value(&schema["items"], &format!("{field}[]"), turn, depth + 1);
        Value::Array((0..least).map(item).collect())
    }

    /// A number has no room for a canary; where it is not well formed it is sent the digits of one.
    fn number(schema: &Value, turn: usize) -> Value {
        let (least, most) = (schema["minimum"].as_i64().unwrap_or(1), schema["maximum"].as_i64().unwrap_or(i64::MAX));
        json!(least.max(i64::from(turn % 2 == 1)).min(most))
    }

    /// A text of the form that is wanted, with a canary in it where it has room for one.
    pub(super) fn text(&self, schema: &Value, field: &str, turn: usize) -> String {
        let name = field.rsplit('.').next().unwrap_or_default().trim_end_matches("[]");
        let one = name.strip_suffix("_ids").or_else(|| name.strip_suffix("_id")).unwrap_or(name);
        match schema["format"].as_str() {
            Some("uuid") => {
                let kind = format!("{}s", one.trim_end_matches('s'));
                return self.known.one(&kind, turn).unwrap_or_else(|| Uuid::from_u128(9).to_string());
            }
            Some("date-time") if name == "starts_at" && turn.is_multiple_of(2) => {
                return self.known.one("moments", turn).unwrap_or_else(|| "2026-12-07T10:00:00Z".to_owned());
            }
            Some("date-time") => return format!("2026-12-{:02}T10:00:00Z", 7 + turn),
            Some("date") => return format!("2026-12-{:02}", 7 + turn),
            Some("web-address") => {
                let word = self.canary(field).word();
                let hosts = [format!("{}/hooks", self.echo), format!("https://{word}.example.invalid")];
                return format!("{}/{word}?to={word}@example.org", hosts[turn % 2]);
            }
            _ => {}
        }
        let canary = self.canary(field);
        let usual = Kind::ALL.iter().position(|kind| *kind == usual(name)).unwrap_or_default();
        let kinds = (0..Kind::ALL.len()).map(|place| Kind::ALL[(usual + turn / 2 + place) % Kind::ALL.len()]);
        let word = canary.word();
        let others = [word.clone(), format!("{word}.example.invalid"), format!("{{body}}{word}"), "{body}".to_owned()];
        let fixed = ["+15005550006", "EUR", "0d", "2026-11", "21:00-08:00", "50", "AC00000000000000000000000000000000"];
        let examples = schema["examples"].as_array().into_iter().flatten().chain([&schema["example"]]);
        let examples = examples.filter_map(Value::as_str).map(str::to_owned);
        let is_bound = schema["format"].is_string();
        let candidates = kinds.map(|kind| canary.written(kind)).chain(others).filter(|_| !is_bound);
        let mut candidates = candidates.chain(examples).chain(fixed.map(str::to_owned));
        candidates.find_map(|text| fitting(schema, text)).unwrap_or(word)
    }
}

/// A text, if it is as the schema wants it, or can be made so by being longer.
fn fitting(schema: &Value, text: String) -> Option<String> {
    let bound = |name: &str| schema[name].as_u64().and_then(|bound| usize::try_from(bound).ok());
    let missing = bound("minLength").unwrap_or(0).saturating_sub(text.len());
    let text = text + &"x".repeat(missing);
    let short = bound("maxLength").is_none_or(|most| text.len() <= most);
    let matches = schema["pattern"].as_str().is_none_or(|form| Regex::new(form).is_ok_and(|form| form.is_match(&text)));
    (short && matches).then_some(text)
}

/// What a field of this name has in it as a rule.
fn usual(name: &str) -> Kind {
    let kinds = [
        ("email", Kind::Email),
        ("address", Kind::Email),
        ("phone", Kind::Phone),
        ("number", Kind::Phone),
        ("name", Kind::Name),
        ("password", Kind::Password),
        ("secret", Kind::Password),
        ("token", Kind::Key),
    ];
    kinds.into_iter().find(|(part, _)| name.contains(part)).map_or(Kind::Text, |(_, kind)| kind)
}

pub(super) fn join(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}
