//! `mainstay user`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use mainstay_domain::{EmailAddress, Error, Kind, Secret};
use mainstay_store::Call;

use super::{Answer, open};
use crate::accounts::SignUpRequest;
use crate::app::App;
use crate::config::Config;

/// How long making one person may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most people of one import.
const MOST: usize = 100_000;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a person with an organisation of their own, and print the person's id
    ///
    /// The password is the first line of standard input, so that it stands in no list of processes: for example `mainstay
    /// user create --email ada@example.com < password.txt`.
    Create {
        /// The address that they sign in with
        #[arg(long)]
        email: String,
        /// What they are called
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Make them an operator of this installation too
        #[arg(long)]
        operator: bool,
    },
    /// Make many people from a file
    ///
    /// Each line is `email,password,name`, of which the last two may be left out, without quotation marks; at most 100,000
    /// lines. People who are there already are left as they are; those without a password cannot sign in with one. Lines that
    /// cannot be used are named, and make the exit code 1.
    Import {
        /// The file with the lines
        file: PathBuf,
    },
    /// Give a person another password, for who has forgotten theirs
    ///
    /// It is the first line of standard input. All sign-ins and tokens of the person end.
    Password {
        /// The address that they sign in with
        #[arg(long)]
        email: String,
    },
    /// Let a person in no more, or again
    ///
    /// All that they are known by ends within 5 s on every node: sign-ins, tokens, API keys, open sockets. What is theirs stays.
    Disable {
        /// The address that they sign in with
        #[arg(long)]
        email: String,
        /// Let them in again
        #[arg(long)]
        undo: bool,
    },
    /// Make a person an operator of this installation, or end that
    ///
    /// The mark is for what crosses organisations, such as the results of experiments. Only the command line sets it: no sign-up and no
    /// request does.
    Operator {
        /// The address that they sign in with
        #[arg(long)]
        email: String,
        /// Make them an ordinary person again
        #[arg(long)]
        revoke: bool,
    },
}

pub(super) async fn run(command: UserCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    let call = Call::within(PATIENCE);
    match command {
        UserCommand::Create { email, name, operator } => {
            let request = SignUpRequest { email, password: password()?, name };
            if request.password.is_empty() {
                return Err(Error::invalid_field("password", "missing", "Give the password on standard input.").into());
            }
            let person = app.accounts.create_person(&call, request, operator).await?;
            Ok(Answer::good(format!("{person}\n")))
        }
        UserCommand::Import { file } => import(&app, &file).await,
        UserCommand::Password { email } => {
            let email = address(&email)?;
            app.accounts.reset_password(&call, &email, &password()?).await?;
            Ok(Answer::good(format!("{} has another password, and is signed out everywhere.\n", email.as_str())))
        }
        UserCommand::Disable { email, undo } => {
            let email = address(&email)?;
            app.accounts.disable(&call, &email, !undo).await?;
            let now = if undo { "may sign in again" } else { "is let in no more" };
            Ok(Answer::good(format!("{} {now}.\n", email.as_str())))
        }
        UserCommand::Operator { email, revoke } => {
            let email = address(&email)?;
            app.accounts.set_operator(&call, &email, !revoke).await?;
            let now = if revoke { "is no operator any more" } else { "is an operator" };
            Ok(Answer::good(format!("{} {now}.\n", email.as_str())))
        }
    }
}

pub(super) fn address(text: &str) -> Result<EmailAddress, Answer> {
    EmailAddress::parse(text).map_err(|refused| Answer::from(Error::invalid(vec![refused.of("--email")])))
}

/// The first line of standard input: a password as an argument would stand in the list of processes.
fn password() -> Result<Secret, Answer> {
    let mut text = String::new();
    std::io::stdin().take(10_000).read_to_string(&mut text).map_err(|error| {
        Answer::from(Error::new(Kind::Invalid, "no_password", format!("The password could not be read: {error}.")))
    })?;
    let line = text.lines().next().unwrap_or_default();
    Ok(Secret::new(line.to_owned()))
}

async fn import(app: &App, file: &std::path::Path) -> Result<Answer, Answer> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Answer::from(Error::new(Kind::Invalid, "no_file", format!("{} cannot be read: {error}.", file.display())))
    })?;
    if text.lines().count() > MOST {
        return Err(Error::new(Kind::Invalid, "too_many", format!("At most {MOST} people at once.")).into());
    }
    let (mut made, mut there, mut bad) = (0u32, 0u32, String::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.splitn(3, ',');
        let mut field = || fields.next().unwrap_or_default();
        // A space at the end of a password is a part of it.
        let request = SignUpRequest {
            email: field().trim().to_owned(),
            password: Secret::new(field().to_owned()),
            name: field().trim().to_owned(),
        };
        match app.accounts.create_person(&Call::within(PATIENCE), request, false).await {
            Ok(_) => made += 1,
            Err(error) if error.code == "email_taken" => there += 1,
            Err(error) if error.kind == Kind::Invalid => {
                let _ = writeln!(bad, "line {}: {}", number + 1, error.detail);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let summary = format!("{made} made, {there} were there already, {} lines refused\n", bad.lines().count());
    if bad.is_empty() { Ok(Answer::good(summary)) } else { Err(Answer { text: format!("{bad}{summary}"), code: 1 }) }
}
