//! Secrets from files: `url_file` names a file that holds `url`.

use std::path::Path;

use toml::Value;

use super::Fault;
use super::layers::{Layers, Setting, Source, is_open_to_others, read_bounded};
use super::schema::{Key, SCHEMA};

/// The largest file that a secret is read from, in bytes.
const SECRET_BYTES: u64 = 64 * 1024;

/// Reads the file of every secret that has one. Of the secret and its file the one from the higher layer wins; both in one
/// layer contradict each other.
pub(super) fn resolve(layers: &mut Layers) {
    for (secret, file) in SCHEMA.secret_files() {
        let Some(named) = layers.settings.get(&file.path).filter(|setting| setting.text().is_some()).cloned() else {
            continue;
        };
        let given = layers.settings.get(&secret.path).filter(|setting| setting.text().is_some()).cloned();
        match given {
            Some(given) if given.source.rank() == named.source.rank() => {
                let reason = format!("{} ({}) is set too", secret.path, given.source);
                let fault = Fault::new(&file.path, reason, format!("Keep {} or {}, not both", secret.path, file.path));
                layers.faults.push(fault.from_source(&named.source));
            }
            Some(given) if given.source.rank() > named.source.rank() => {
                let source = Source::SetAside(given.source.to_string());
                layers.settings.insert(file.path.clone(), Setting { value: Value::String(String::new()), source });
            }
            _ => read(layers, secret, file, &named),
        }
    }
}

fn read(layers: &mut Layers, secret: &Key, file: &Key, named: &Setting) {
    let name = named.text().unwrap_or_default();
    let path = Path::new(name);
    let read = read_bounded(path, SECRET_BYTES).and_then(|text| {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
    });
    match read {
        Ok(text) => {
            if is_open_to_others(path) {
                let reason = format!("other users of this machine can read {name}");
                let warning = Fault::new(&file.path, reason, format!("Run: chmod 600 {name}"));
                layers.warnings.push(warning.from_source(&named.source));
            }
            let source = Source::SecretFile(name.to_owned());
            layers.settings.insert(secret.path.clone(), Setting { value: Value::String(text), source });
        }
        Err(reason) => {
            let cure = format!("Name a file that holds {} and that this process may read", secret.path);
            let fault = Fault::new(&file.path, format!("the file {}{reason}", shown(name)), cure);
            layers.faults.push(fault.from_source(&named.source));
        }
    }
}

/// The name of a file for a message, unless it may be the secret itself, put where the name of its file belongs.
fn shown(name: &str) -> String {
    let is_path = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    if is_path { format!("{name} ") } else { String::new() }
}
