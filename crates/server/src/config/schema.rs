//! Which keys there are, read from the compiled-in `config.default.toml`: the one list of keys, defaults and meanings.

use std::sync::LazyLock;

use toml::{Table, Value};

use super::{
    alerts, assistant, auth, backup, billing, calendars, database, deliveries, flags, http, inbox, jobs, keys,
    lifecycle, limits, live, outreach, overload, providers, redis, replay, sync, texts, tls, traces, voice,
};

/// The text of `config.default.toml`.
pub(super) const DEFAULTS: &str = include_str!("../../../../config.default.toml");

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "MAINSTAY_";

/// Names that other software and many platforms use, and the key that each of them sets.
const CONVENTIONAL: &[(&str, &str)] = &[
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("PORT", "http.port"),
    ("ANTHROPIC_API_KEY", "providers.anthropic.api_key"),
    ("OPENAI_API_KEY", "providers.openai.api_key"),
    ("OPENAI_BASE_URL", "providers.openai.base_url"),
    ("DEEPGRAM_API_KEY", "voice.deepgram.api_key"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "traces.endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "traces.headers"),
    ("OTEL_SERVICE_NAME", "traces.service"),
];

/// The keys whose values never print. A test holds them against the types of the fields.
const SECRETS: &[&str] = &[
    "database.url",
    "database.app_url",
    "database.system_url",
    "redis.url",
    "auth.signing_key",
    "keys.ring",
    "backup.encryption_key",
    "backup.s3_secret_key",
    "billing.fastspring.api_password",
    "calendars.google.client_secret",
    "providers.anthropic.api_key",
    "providers.openai.api_key",
    "voice.deepgram.api_key",
    "voice.openai.api_key",
    "billing.fastspring.webhook_secrets",
    "alerts.slack_url",
    "alerts.webhook_url",
    "errors.dsn",
    "traces.headers",
];

/// A least and a greatest value for a key, both allowed.
pub(super) type Bound = (&'static str, i64, i64);

const BOUNDS: &[&[Bound]] = &[
    http::BOUNDS,
    tls::BOUNDS,
    database::BOUNDS,
    keys::BOUNDS,
    backup::BOUNDS,
    billing::BOUNDS,
    redis::BOUNDS,
    auth::BOUNDS,
    limits::BOUNDS,
    assistant::BOUNDS,
    sync::BOUNDS,
    live::BOUNDS,
    flags::BOUNDS,
    jobs::BOUNDS,
    inbox::BOUNDS,
    deliveries::BOUNDS,
    calendars::BOUNDS,
    providers::BOUNDS,
    voice::BOUNDS,
    outreach::BOUNDS,
    texts::BOUNDS,
    overload::BOUNDS,
    alerts::BOUNDS,
    replay::BOUNDS,
    traces::BOUNDS,
    lifecycle::BOUNDS,
];

/// The keys that hold a list of tables, and the fields of each table. All fields are needed.
const TABLE_LISTS: &[(&str, &[Field])] = &[("auth.issuers", auth::ISSUER_FIELDS)];

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Secret,
    Integer { least: i64, greatest: i64 },
    Boolean,
    TextList,
    TableList(&'static [Field]),
}

/// One field of the tables in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// A list of texts; otherwise one text.
    pub(super) list: bool,
}

impl Kind {
    /// What to expect, for a message and for the reference page.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Secret => "text, secret".to_owned(),
            Self::Integer { least, greatest } => format!("a whole number from {least} to {greatest}"),
            Self::Boolean => "true or false".to_owned(),
            Self::TextList => "a list of texts".to_owned(),
            Self::TableList(fields) => {
                let names: Vec<_> = fields.iter().map(|field| field.name).collect();
                format!("a list of tables, each with {}", names.join(", "))
            }
        }
    }
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// With its section: `http.port`.
    pub(super) path: String,
    /// Without its section: `port`.
    pub(super) name: String,
    /// What its comment says.
    pub(super) meaning: String,
    /// Lines of TOML that show its use, or nothing.
    pub(super) example: String,
    pub(super) default: Value,
    pub(super) kind: Kind,
    /// The variables that set it, the regular one first.
    pub(super) variables: Vec<String>,
}

impl Key {
    pub(super) fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }
}

/// One section and its keys, in the order of the file.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) path: String,
    pub(super) meaning: String,
    pub(super) keys: Vec<Key>,
}

/// Every section in the order of `config.default.toml`.
pub(super) struct Schema {
    pub(super) sections: Vec<Section>,
}

/// The schema of this binary.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(DEFAULTS));

impl Schema {
    /// Reads a file that is laid out as `config.default.toml` is: comment lines, then the section or the key that they
    /// explain, a key on one line. What does not look like that has no entry, which the tests notice.
    fn read(text: &str) -> Self {
        let defaults: Table = text.parse().unwrap_or_default();
        let mut sections: Vec<Section> = Vec::new();
        let mut comment: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(words) = line.strip_prefix('#') {
                comment.push(words.trim());
            } else if let Some(path) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let meaning = std::mem::take(&mut comment).join(" ");
                sections.push(Section { path: path.to_owned(), meaning, keys: Vec::new() });
            } else if let Some((name, _)) = line.split_once(" = ")
                && let Some(section) = sections.last_mut()
            {
                section.keys.extend(key(&defaults, &section.path, name, &std::mem::take(&mut comment)));
            } else {
                comment.clear();
            }
        }
        Self { sections }
    }

    /// Every key, in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.sections.iter().flat_map(|section| &section.keys)
    }

    /// The key of that name.
    pub(super) fn key(&self, path: &str) -> Option<&Key> {
        self.keys().find(|key| key.path == path)
    }

    /// The key that a variable sets.
    pub(super) fn variable(&self, name: &str) -> Option<&Key> {
        self.keys().find(|key| key.variables.iter().any(|variable| variable == name))
    }

    /// True for a section and for what only holds sections.
    pub(super) fn is_section(&self, path: &str) -> bool {
        self.sections.iter().any(|section| section.path == path)
    }

    /// Each secret that a file may hold, with the key that names the file.
    pub(super) fn secret_files(&self) -> impl Iterator<Item = (&Key, &Key)> {
        self.keys().filter_map(|file| Some((self.key(file.path.strip_suffix("_file")?)?, file)))
    }

    /// The key that was probably meant by an unknown one.
    pub(super) fn nearest_key(&self, path: &str) -> Option<&str> {
        let name = path.rsplit('.').next().unwrap_or(path);
        nearest(path, self.keys().map(|key| (key.path.as_str(), key.name == name)))
    }

    /// The section that was probably meant by an unknown one.
    pub(super) fn nearest_section(&self, path: &str) -> Option<&str> {
        nearest(path, self.sections.iter().map(|section| (section.path.as_str(), false)))
    }

    /// The variable that was probably meant by an unknown one.
    pub(super) fn nearest_variable(&self, name: &str) -> Option<&str> {
        let tail = name.strip_prefix(PREFIX).unwrap_or(name);
        let names = self.keys().filter_map(|key| Some((key.variables.first()?.as_str(), &key.name)));
        nearest(name, names.map(|(variable, key)| (variable, key.to_uppercase() == tail)))
    }
}

/// The candidate that is most like a word, if any is at all. A candidate of the same last name is close in any section.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = (&'a str, bool)>) -> Option<&'a str> {
    candidates
        .map(|(candidate, same_name)| {
            let likeness = strsim::normalized_damerau_levenshtein(word, candidate);
            (candidate, if same_name { likeness.max(0.8) } else { likeness })
        })
        .filter(|(_, likeness)| *likeness > 0.6)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(candidate, _)| candidate)
}

/// One key of a section, with everything that is known of it.
fn key(defaults: &Table, section: &str, name: &str, comment: &[&str]) -> Option<Key> {
    let path = format!("{section}.{name}");
    let mut parts = path.split('.');
    let default = parts.next().and_then(|first| defaults.get(first));
    let default = parts.try_fold(default?, |value, part| value.get(part))?.clone();
    let example = comment.iter().position(|line| line.starts_with("[[")).unwrap_or(comment.len());
    let (meaning, example) = comment.split_at(example);
    let regular = format!("{PREFIX}{}", path.to_uppercase().replace('.', "__"));
    let conventional = CONVENTIONAL.iter().filter(|(_, key)| *key == path).map(|(variable, _)| (*variable).to_owned());
    Some(Key {
        kind: kind(&path, &default)?,
        name: name.to_owned(),
        meaning: meaning.join(" "),
        example: example.join("\n"),
        variables: std::iter::once(regular).chain(conventional).collect(),
        default,
        path,
    })
}

fn kind(path: &str, default: &Value) -> Option<Kind> {
    Some(match default {
        Value::String(_) if SECRETS.contains(&path) => Kind::Secret,
        Value::String(_) => Kind::Text,
        Value::Boolean(_) => Kind::Boolean,
        Value::Integer(_) => {
            let (_, least, greatest) = BOUNDS.iter().copied().flatten().find(|(key, ..)| *key == path)?;
            Kind::Integer { least: *least, greatest: *greatest }
        }
        Value::Array(_) => match TABLE_LISTS.iter().find(|(key, _)| *key == path) {
            Some((_, fields)) => Kind::TableList(fields),
            None => Kind::TextList,
        },
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => return None,
    })
}
