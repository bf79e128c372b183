//! `mainstay token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mainstay_domain::{Error, Kind};
use mainstay_store::Call;

use super::user::address;
use super::{Answer, open};
use crate::accounts::LONGEST_TOKEN;
use crate::config::Config;

/// How long making one token may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("who").required(true))]
pub(super) struct TokenArguments {
    /// The address of the person
    #[arg(long, group = "who")]
    email: Option<String>,
    /// A file with one address a line; one token a line is printed, in the same order
    #[arg(long, group = "who", value_name = "FILE")]
    email_file: Option<PathBuf>,
    /// How long it is good: at most a day
    #[arg(long, default_value_t = 900, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=LONGEST_TOKEN.as_secs()))]
    seconds: u64,
}

pub(super) async fn run(arguments: TokenArguments, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    let emails: Vec<String> = match (&arguments.email, &arguments.email_file) {
        (Some(email), _) => vec![email.clone()],
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Answer::from(Error::new(
                    Kind::Invalid,
                    "no_file",
                    format!("{} cannot be read: {error}.", file.display()),
                ))
            })?;
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        (None, None) => Vec::new(),
    };
    let mut text = String::new();
    for email in emails {
        let email = address(&email)?;
        let lasts = Duration::from_secs(arguments.seconds);
        let token = app.accounts.token_for(&Call::within(PATIENCE), &email, lasts).await?;
        text.push_str(token.expose());
        text.push('\n');
    }
    Ok(Answer::good(text))
}
