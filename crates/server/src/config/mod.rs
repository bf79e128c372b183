//! The configuration: one typed value, from the compiled-in defaults, a file and the environment.
//!
//! [`Config::load`] reports everything that is wrong in one go, each fault with its key, its reason and its cure, or gives
//! a value that every part of the server can rely on.

mod alerts;
mod assistant;
mod auth;
mod backup;
mod billing;
mod calendars;
mod database;
mod deliveries;
mod documentation;
mod errors;
mod fault;
mod flags;
mod http;
mod inbox;
mod jobs;
mod keys;
mod layers;
mod lifecycle;
mod limits;
mod listing;
mod live;
mod log;
mod outreach;
mod overload;
mod providers;
mod redis;
mod replay;
mod rules;
mod schema;
mod secret_files;
mod sync;
#[cfg(test)]
mod tests;
mod texts;
mod tls;
mod traces;
mod value;
mod voice;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use alerts::Alerts;
pub use assistant::Assistant;
pub use auth::{Auth, Issuer};
pub use backup::{Backup, BackupPlace};
pub use billing::{Billing, FastSpring};
pub use calendars::{Calendars, GoogleCalendar};
pub use database::{Database, Engine};
pub use deliveries::Deliveries;
pub use documentation::documentation;
pub use errors::Errors;
pub use fault::{Fault, Faults, Warning};
pub use flags::Flags;
pub use http::Http;
pub use inbox::Inbox;
pub use jobs::Jobs;
pub use keys::Keys;
pub use layers::FILE_VARIABLE;
pub use lifecycle::Lifecycle;
pub use limits::{Limits, MOST_LIMIT, PlanLimits};
pub use live::Live;
pub use log::{Log, LogFormat};
pub use outreach::Outreach;
pub use overload::Overload;
pub use providers::{Anthropic, Offline, OpenAi, ProviderName, Providers};
pub use redis::Redis;
pub use replay::Replay;
pub use sync::Sync;
pub use texts::Texts;
pub use tls::Tls;
pub use traces::Traces;
pub use voice::{Deepgram, Espeak, Speech, SpeechProvider, Voice};

pub(crate) use layers::read_bounded;
use layers::{Layers, Source};
use schema::SCHEMA;

/// Every setting. Made by loading; never changed afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The server's socket and its bounds.
    pub http: Http,
    /// Where the data is.
    pub database: Database,
    /// Secrets at rest.
    pub keys: Keys,
    /// Backups and drills.
    pub backup: Backup,
    /// Plans, usage and budgets.
    pub billing: Billing,
    /// What several nodes tell each other by.
    pub redis: Redis,
    /// Signing in and tokens.
    pub auth: Auth,
    /// How often somebody may ask.
    pub limits: Limits,
    /// Conversations and replies.
    pub assistant: Assistant,
    /// Delta sync and its pace.
    pub sync: Sync,
    /// Live updates.
    pub live: Live,
    /// Feature flags and experiments.
    pub flags: Flags,
    /// Work that is done later.
    pub jobs: Jobs,
    /// Webhooks that arrive.
    pub inbox: Inbox,
    /// What organisations are told of.
    pub deliveries: Deliveries,
    /// Calendars of others.
    pub calendars: Calendars,
    /// Who makes the replies.
    pub providers: Providers,
    /// Voice sessions.
    pub voice: Voice,
    /// Text messages.
    pub texts: Texts,
    /// Campaigns of email.
    pub outreach: Outreach,
    /// More to do than can be done at once.
    pub overload: Overload,
    /// Telling people of what is wrong.
    pub alerts: Alerts,
    /// Telling a server of errors.
    pub errors: Errors,
    /// Recordings of pages of the console.
    pub replay: Replay,
    /// Traces, for a collector that speaks the OpenTelemetry protocol.
    pub traces: Traces,
    /// Log lines.
    pub log: Log,
    /// Stopping.
    pub lifecycle: Lifecycle,
    /// Where each value came from, by key.
    #[serde(skip)]
    sources: BTreeMap<String, Source>,
    #[serde(skip)]
    warnings: Vec<Warning>,
}

impl Config {
    /// Loads the defaults, then the file, then the environment; the later wins.
    ///
    /// # Errors
    /// Everything that is wrong, at once: unknown sections, keys and variables, wrong types, values out of bounds,
    /// settings that contradict each other, secrets that are malformed or whose file cannot be read.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Faults> {
        let mut layers = Layers::defaults();
        if let Some(file) = file {
            layers.read_file(file);
        }
        layers.read_environment(environment);
        Self::build(layers)
    }

    /// The defaults with some keys set, for tests and tools: `[("http.port", "0"), ("log.level", "\"debug\"")]`. Each
    /// value is TOML, so text has quotation marks. No file and no environment is read, except for the files that keys
    /// such as `auth.signing_key_file` name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_overrides(overrides: &[(&str, &str)]) -> Result<Self, Faults> {
        let mut layers = Layers::defaults();
        layers.read_overrides(overrides);
        Self::build(layers)
    }

    /// What is allowed and still worth a look. `serve` logs it at start.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether the file or the environment gives this setting; nothing when there is no such setting.
    #[must_use]
    pub fn gives(&self, key: &str) -> Option<bool> {
        SCHEMA.key(key)?;
        Some(self.sources.get(key).is_some_and(|source| *source != Source::Default))
    }

    /// Every setting as TOML, each with where its value came from. Secrets are `***`.
    #[must_use]
    pub fn listing(&self) -> String {
        listing::listing(self, &self.sources)
    }

    fn build(mut layers: Layers) -> Result<Self, Faults> {
        secret_files::resolve(&mut layers);
        let Some(mut config) = Self::typed(&mut layers) else {
            let built_in = Fault::new("config.default.toml", "the defaults are not valid", "Rebuild the program");
            layers.faults.push(built_in);
            return Err(Faults(layers.faults));
        };
        let mut faults = Vec::new();
        config.validate(&mut faults);
        config.advise(&mut layers.warnings);
        // A key that could not be read has its default here; what is said of that would only confuse.
        faults.retain(|fault| {
            !layers.unread.contains(&fault.key) && !layers.faults.iter().any(|known| known.key == fault.key)
        });
        faults.iter_mut().for_each(|fault| add_source(fault, &layers));
        layers.faults.append(&mut faults);
        let mut warnings = std::mem::take(&mut layers.warnings);
        warnings.iter_mut().for_each(|warning| add_source(warning, &layers));
        config.warnings = warnings;
        config.sources = layers.settings.into_iter().map(|(path, setting)| (path, setting.source)).collect();
        Faults::new(layers.faults).map_or(Ok(config), Err)
    }

    /// Turns the layers into the typed value. What a type refuses although its kind is right, such as an unknown word of
    /// a choice, becomes a fault and goes back to its default, so that the rest can be looked at too.
    fn typed(layers: &mut Layers) -> Option<Self> {
        if let Ok(config) = layers.table().try_into() {
            return Some(config);
        }
        let defaults = Layers::defaults();
        for (path, setting) in &mut layers.settings {
            let mut table = defaults.table();
            layers::insert(&mut table, path, setting.value.clone());
            let Err(error) = table.try_into::<Self>() else { continue };
            if let (Some(key), Some(default)) = (SCHEMA.key(path), defaults.settings.get(path)) {
                let words = error.message().replace("unknown variant", "unknown word");
                let reason = if key.is_secret() { "is not valid".to_owned() } else { words };
                let cure = format!("Use one of these words; the default is {}", key.default);
                layers.faults.push(Fault::new(path, reason, cure).from_source(&setting.source));
                setting.value = default.value.clone();
            }
        }
        layers.table().try_into().ok()
    }

    fn validate(&self, faults: &mut Vec<Fault>) {
        self.http.validate(faults);
        self.database.validate(faults);
        self.keys.validate(faults);
        self.backup.validate(faults);
        self.billing.validate(faults);
        self.redis.validate(faults);
        self.auth.validate(faults);
        self.assistant.validate(faults);
        self.sync.validate(faults);
        self.deliveries.validate(faults);
        self.calendars.validate(faults);
        self.providers.validate(faults);
        self.voice.validate(faults);
        self.texts.validate(faults);
        self.outreach.validate(faults);
        self.overload.validate(faults);
        self.alerts.validate(faults);
        self.errors.validate(faults);
        self.traces.validate(faults);
        self.log.validate(faults);
        for (key, inner) in [
            ("database.statement_timeout_ms", self.database.statement_timeout_ms),
            ("database.acquire_timeout_ms", self.database.acquire_timeout_ms),
        ] {
            if inner >= self.http.request_timeout_ms {
                let reason =
                    format!("is {inner}, not less than http.request_timeout_ms ({})", self.http.request_timeout_ms);
                faults.push(Fault::new(key, reason, "Lower it, or raise http.request_timeout_ms"));
            }
        }
    }

    fn advise(&self, warnings: &mut Vec<Warning>) {
        self.http.advise(warnings);
        self.database.advise(warnings);
        self.keys.advise(self.database.engine() == Engine::Postgres, self.database.nodes, warnings);
        self.backup.advise(warnings);
        self.billing.advise(warnings);
        self.redis.advise(self.database.engine() == Engine::Sqlite, warnings);
        self.auth.advise(warnings);
        self.limits.advise(warnings);
        self.deliveries.advise(warnings);
        self.calendars.advise(warnings);
        self.alerts.advise(warnings);
        self.providers.advise(warnings);
        self.voice.advise(warnings);
        self.texts.advise(warnings);
        self.outreach.advise(warnings);
    }
}

/// The environment of this process, as [`Config::load`] takes it. Letters that are not Unicode are replaced.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// Says of a fault where the value came from, when it is known and not the default.
fn add_source(fault: &mut Fault, layers: &Layers) {
    let path = fault.key.split('[').next().unwrap_or(&fault.key);
    let source = layers.settings.get(path).map(|setting| &setting.source).filter(|source| **source != Source::Default);
    if let (None, Some(source)) = (&fault.source, source) {
        fault.source = Some(source.to_string());
    }
}
