//! `mainstay config`: look at the configuration without starting anything.

use std::path::Path;

use clap::Subcommand;

use crate::config::{self, Config, Warning};

/// What to do with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and say everything that is wrong with it
    ///
    /// Reads the defaults, the file given with --config and the environment, exactly as `serve` would. Prints one line
    /// for each fault, with its key, the reason and what to do. Starts nothing. The exit code is 0 when the server would
    /// start with it, 1 otherwise.
    Check,
    /// Print every setting in effect, and where each value came from
    ///
    /// The output is TOML. After each value a comment says whether it is the default, or which line of the file or which
    /// environment variable set it. Secrets are shown as ***.
    Show,
    /// Print the reference of all settings as a page of Markdown
    ///
    /// This is how docs/configuration.md is made. It does not read your file or your environment.
    Docs,
}

/// Runs a command. Answers with what to print and the exit code.
pub fn run(
    command: ConfigCommand,
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> (String, u8) {
    if command == ConfigCommand::Docs {
        return (config::documentation(), 0);
    }
    match Config::load(file, environment) {
        Err(faults) => (format!("{faults}\n"), 1),
        Ok(config) if command == ConfigCommand::Show => (config.listing(), 0),
        Ok(config) => {
            let warnings: String = config.warnings().iter().map(warning_line).collect();
            (format!("The configuration is good.\n{warnings}"), 0)
        }
    }
}

fn warning_line(warning: &Warning) -> String {
    format!("- warning: {warning}\n")
}
