//! What every test of the configuration needs: a file and an environment that are made up.

mod loading;
mod pages;
mod rules;
mod secrets;

use std::path::{Path, PathBuf};

use super::{Config, Fault, Faults};

/// A directory for files that only their owner may read.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn load(file: Option<&Path>, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    Config::load(file, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// Loads a file of that text and this environment.
fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let files = Files::new();
    load(Some(&files.write("mainstay.toml", text)), environment)
}

/// The only fault.
fn single(result: Result<Config, Faults>) -> Fault {
    let faults = result.unwrap_err();
    assert_eq!(faults.count(), 1, "{faults}");
    faults.iter().next().unwrap().clone()
}

/// The keys of the warnings.
fn warned(config: &Config) -> Vec<&str> {
    config.warnings().iter().map(|warning| warning.key.as_str()).collect()
}
