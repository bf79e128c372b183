//! The layers of a configuration: defaults, file, environment. The higher one wins, key by key, and every value
//! remembers where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::schema::{PREFIX, SCHEMA};
use super::value::{self, shorten};
use super::{Fault, Warning};

/// The variable that names the file. Whoever calls the loader reads it.
pub const FILE_VARIABLE: &str = "MAINSTAY_CONFIG";

/// Variables that the project's own tests read.
const TEST_PREFIX: &str = "MAINSTAY_TEST_";

/// The largest file that is read, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    /// A line of the file, counted from 1.
    File {
        path: String,
        line: usize,
    },
    Environment(String),
    /// Given by the program itself.
    Override,
    /// Read from a file that another key names.
    SecretFile(String),
    /// Not used, since what is named here says otherwise.
    SetAside(String),
}

impl Source {
    /// The higher one wins.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Default | Self::SetAside(_) => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Override | Self::SecretFile(_) => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}, line {line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Override => f.write_str("override"),
            Self::SecretFile(path) => write!(f, "the file {path}"),
            Self::SetAside(winner) => write!(f, "set aside, {winner} wins"),
        }
    }
}

/// One value with where it came from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) source: Source,
}

impl Setting {
    /// The text, when it is one and not empty.
    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_str().filter(|text| !text.is_empty())
    }
}

/// What the layers hold so far, and what is wrong with them.
pub(super) struct Layers {
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
    /// Keys on lines that are not TOML: nothing more is said of them.
    pub(super) unread: Vec<String>,
}

impl Layers {
    /// The lowest layer.
    pub(super) fn defaults() -> Self {
        let defaults = SCHEMA
            .keys()
            .map(|key| (key.path.clone(), Setting { value: key.default.clone(), source: Source::Default }));
        Self { settings: defaults.collect(), faults: Vec::new(), warnings: Vec::new(), unread: Vec::new() }
    }

    /// Lays a file above.
    pub(super) fn read_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let text = match read_bounded(path, FILE_BYTES) {
            Ok(text) => text,
            Err(reason) => {
                let cure = format!("Check the path given with --config or {FILE_VARIABLE}");
                self.faults.push(Fault::new(name, format!("the configuration file {reason}"), cure));
                return;
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut broken_lines = BTreeSet::new();
        for error in &errors {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            broken_lines.insert(line);
            let fault = Fault::new(&name, format!("line {line} is not TOML: {}", error.message()), "Correct the line");
            self.faults.push(fault);
        }
        let mut file = File { layers: self, text, name: &name, broken_lines };
        file.walk(table.get_ref(), "");
        self.warn_of_open_file(path, &name);
    }

    /// Lays the environment above.
    pub(super) fn read_environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let mut variables: Vec<_> = environment.collect();
        variables.sort();
        for (name, text) in variables {
            if let Some(key) = SCHEMA.variable(&name) {
                let source = Source::Environment(name.clone());
                if text.is_empty() {
                    let reason = "the variable is set but empty, which counts as not set";
                    let warning = Fault::new(&key.path, reason, "Give it a value or remove it");
                    self.warnings.push(warning.from_source(source));
                    continue;
                }
                match value::from_text(key, &text) {
                    Ok(value) => self.set(&key.path, Setting { value, source }),
                    Err(faults) => self.faults.extend(faults.into_iter().map(|fault| fault.from_source(&source))),
                }
            } else if name.starts_with(PREFIX) && !is_someone_elses(&name, &text) {
                let cure = SCHEMA.nearest_variable(&name).map_or_else(
                    || "Remove it, or look it up in docs/configuration.md".to_owned(),
                    |nearest| format!("Did you mean {nearest}"),
                );
                self.faults.push(Fault::new(shorten_name(&name), "this environment variable is not known", cure));
            }
        }
    }

    /// Lays values above that the program itself gives, each as TOML.
    pub(super) fn read_overrides(&mut self, overrides: &[(&str, &str)]) {
        for (path, text) in overrides {
            let Some(key) = SCHEMA.key(path) else {
                self.faults.push(unknown_key(path));
                continue;
            };
            let checked = value::parse(text).map_or_else(
                || Err(vec![Fault::new(*path, "the override is not a value of TOML", "Put text in quotation marks")]),
                |value| value::checked(key, value),
            );
            match checked {
                Ok(value) => self.set(path, Setting { value, source: Source::Override }),
                Err(faults) => {
                    self.faults.extend(faults.into_iter().map(|fault| fault.from_source(&Source::Override)));
                }
            }
        }
    }

    /// Everything as one table, as a file would hold it.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        for (path, setting) in &self.settings {
            insert(&mut table, path, setting.value.clone());
        }
        table
    }

    /// Takes a value, and notices two variables for one key that disagree.
    fn set(&mut self, path: &str, setting: Setting) {
        if let Some(before) = self.settings.get(path)
            && let (Source::Environment(one), Source::Environment(other)) = (&before.source, &setting.source)
            && before.value != setting.value
        {
            let reason = format!("{one} and {other} are both set and differ");
            self.faults.push(Fault::new(path, reason, format!("Remove one of them, most simply {one}")));
        }
        self.settings.insert(path.to_owned(), setting);
    }

    /// A file that holds a secret is nobody else's to read.
    fn warn_of_open_file(&mut self, path: &Path, name: &str) {
        let secret = SCHEMA.keys().filter(|key| key.is_secret()).find(|key| {
            let setting = self.settings.get(&key.path);
            setting.is_some_and(|setting| matches!(setting.source, Source::File { .. }) && setting.text().is_some())
        });
        if let Some(key) = secret
            && is_open_to_others(path)
        {
            let reason = format!("other users of this machine can read {name}, which holds this secret");
            self.warnings.push(Fault::new(&key.path, reason, format!("Run: chmod 600 {name}")));
        }
    }
}

/// One file while it is read.
struct File<'a> {
    layers: &'a mut Layers,
    text: &'a str,
    name: &'a str,
    /// Lines that are not TOML. What seems to stand there is not used.
    broken_lines: BTreeSet<usize>,
}

impl File<'_> {
    fn walk(&mut self, table: &DeTable<'_>, section: &str) {
        for (name, value) in table {
            let path =
                if section.is_empty() { name.get_ref().to_string() } else { format!("{section}.{}", name.get_ref()) };
            let line = line_of(self.text, name.span().start);
            if self.broken_lines.contains(&line) {
                self.layers.unread.push(path);
                continue;
            }
            let source = Source::File { path: self.name.to_owned(), line };
            if let Err(faults) = self.take(&path, value, &source) {
                self.layers.faults.extend(faults.into_iter().map(|fault| fault.from_source(&source)));
            }
        }
    }

    fn take(&mut self, path: &str, value: &Spanned<DeValue<'_>>, source: &Source) -> Result<(), Vec<Fault>> {
        if let Some(key) = SCHEMA.key(path) {
            let value = Value::deserialize(value.clone().into_deserializer())
                .map_err(|_| vec![Fault::new(path, "the value cannot be read", "Write it as TOML")])?;
            let value = value::checked(key, value)?;
            self.layers.set(path, Setting { value, source: source.clone() });
        } else if let DeValue::Table(table) = value.get_ref() {
            if SCHEMA.is_section(path) {
                self.walk(table, path);
            } else {
                let cure = SCHEMA.nearest_section(path).map_or_else(
                    || "Remove it, or look it up in docs/configuration.md".to_owned(),
                    |nearest| format!("Did you mean [{nearest}]"),
                );
                return Err(vec![Fault::new(shorten_name(path), "this section is not known", cure)]);
            }
        } else if SCHEMA.is_section(path) {
            let cure = format!("Write [{path}] on a line of its own and its keys below");
            return Err(vec![Fault::new(path, "expected a section, found a value", cure)]);
        } else {
            return Err(vec![unknown_key(path)]);
        }
        Ok(())
    }
}

/// The value of an unknown key is not shown: it may be a secret with a slip in its name.
fn unknown_key(path: &str) -> Fault {
    let cure = SCHEMA.nearest_key(path).map_or_else(
        || "Remove it, or look it up in docs/configuration.md".to_owned(),
        |nearest| format!("Did you mean {nearest}"),
    );
    Fault::new(shorten_name(path), "this key is not known", cure)
}

fn shorten_name(name: &str) -> String {
    shorten(name, 80)
}

/// True for variables that begin with our prefix and are not ours to judge: the name of the file, those of the tests, and
/// those that Kubernetes and Docker make for a service that is called `mainstay`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
fn is_someone_elses(name: &str, text: &str) -> bool {
    let link = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let numbered_port = name.rsplit_once("_PORT_").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| matches!(protocol, "TCP" | "UDP" | "SCTP"))
    });
    name == FILE_VARIABLE
        || name.starts_with(TEST_PREFIX)
        || !name.contains("__")
            && (name.ends_with("_SERVICE_HOST")
                || name.contains("_SERVICE_PORT")
                || numbered_port
                || name.ends_with("_PORT") && link)
}

/// Puts a value where its path says, making the tables on the way.
pub(super) fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|letter| *letter == b'\n').count()
}

/// A text file whole, or why not: a clause that follows the name of the file.
pub(crate) fn read_bounded(path: &Path, bytes: u64) -> Result<String, String> {
    use std::io::Read;

    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(bytes + 1).read_to_end(&mut text))
        .map_err(|error| format!("cannot be read ({})", error.kind()))?;
    if text.len() as u64 > bytes {
        return Err(format!("is larger than {bytes} bytes"));
    }
    String::from_utf8(text).map_err(|_| "is not UTF-8 text".to_owned())
}

/// True when the group or everybody may do anything with a file. Always false where files have no such modes.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}
