//! `mainstay flag`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use mainstay_domain::{Error, Flag, FlagKey, Kind, PersonId, Share, TenantId, Unit};
use mainstay_store::{Call, Definitions, KillFlag, LoadDefinitions, MOST_FLAGS, Put, PutFlag, RemoveFlag, StoredFlag};

use super::{Answer, open};
use crate::app::App;
use crate::config::Config;
use crate::flags::assignment;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum FlagCommand {
    /// List all flags
    List,
    /// Make a flag, or change one; what is not named stays as it is
    ///
    /// Servers that run go by it within two seconds. Raising the percentage only adds: nobody who has the feature loses it.
    Set(SetArguments),
    /// Switch a flag off for everybody, whatever it says, until it is restored
    Kill {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
    },
    /// Let a flag that was killed say again for whom it is on
    Restore {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
    },
    /// Remove a flag: who asks for it gets "off"
    Remove {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
    },
    /// Say whether a flag is on for somebody, and why
    Check {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
        /// The id of the organisation
        #[arg(long, value_name = "ID")]
        organisation: TenantId,
        /// The id of the person, where the flag is by person
        #[arg(long, value_name = "ID")]
        person: Option<PersonId>,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("share"))]
pub(super) struct SetArguments {
    /// What it is asked for by: lower case letters, digits, _, - and .
    #[arg(value_parser = key)]
    key: FlagKey,
    /// On for everybody
    #[arg(long, group = "share")]
    on: bool,
    /// Off for everybody who is not on the list
    #[arg(long, group = "share")]
    off: bool,
    /// On for so many per cent, with at most two decimals
    #[arg(long, group = "share", value_name = "NUMBER", value_parser = share)]
    percent: Option<Share>,
    /// Of what the percentage is: organisation or person
    #[arg(long, value_name = "UNIT")]
    of: Option<Unit>,
    /// An organisation that has it whatever the percentage; may stand several times
    #[arg(long, value_name = "ID")]
    allow: Vec<TenantId>,
    /// An organisation that does not have it whatever the rest says; may stand several times
    #[arg(long, value_name = "ID")]
    deny: Vec<TenantId>,
    /// An organisation to take off both lists; may stand several times
    #[arg(long, value_name = "ID")]
    unlist: Vec<TenantId>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Reads a key.
pub(super) fn key(text: &str) -> Result<FlagKey, String> {
    FlagKey::parse(text).map_err(|refused| refused.detail)
}

/// Reads a percentage.
pub(super) fn share(text: &str) -> Result<Share, String> {
    Share::parse(text).map_err(|refused| refused.detail)
}

/// Reads all definitions.
pub(super) async fn definitions(app: &App) -> Result<Definitions, Answer> {
    Ok(app.store.run(&Call::within(PATIENCE), LoadDefinitions).await?)
}

/// There is nothing by this name.
pub(super) fn missing(what: &str, key: &FlagKey) -> Answer {
    Error::new(Kind::NotFound, "not_found", format!("There is no {what} {key}.")).into()
}

pub(super) async fn run(command: FlagCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        FlagCommand::List => list(&app).await,
        FlagCommand::Set(arguments) => set(&app, arguments).await,
        FlagCommand::Kill { key } => kill(&app, key, true).await,
        FlagCommand::Restore { key } => kill(&app, key, false).await,
        FlagCommand::Remove { key } => {
            let removed = app.store.run(&Call::within(PATIENCE), RemoveFlag(key.clone())).await?;
            if removed { Ok(Answer::good(format!("{key} is removed.\n"))) } else { Err(missing("flag", &key)) }
        }
        FlagCommand::Check { key, organisation, person } => check(&app, &key, organisation, person).await,
    }
}

async fn find(app: &App, key: &FlagKey) -> Result<Option<StoredFlag>, Answer> {
    Ok(definitions(app).await?.flags.into_iter().find(|stored| stored.key == *key))
}

/// What a flag says, in words.
fn words(stored: &StoredFlag) -> String {
    let flag = &stored.flag;
    let mut text = match flag.share {
        Share::NOBODY => "off".to_owned(),
        Share::EVERYBODY => "on".to_owned(),
        share => format!("on for {share} of {}s", flag.unit),
    };
    for (list, word) in [(&flag.allow, "allowed"), (&flag.deny, "denied")] {
        if !list.is_empty() {
            let ending = if list.len() == 1 { "" } else { "s" };
            let _ = write!(text, ", {} organisation{ending} {word}", list.len());
        }
    }
    if stored.killed { format!("killed (was {text})") } else { text }
}

async fn list(app: &App) -> Result<Answer, Answer> {
    let mut text = String::new();
    for stored in definitions(app).await?.flags {
        let _ = writeln!(text, "{:<32} {}  {}", stored.key.as_str(), words(&stored), stored.flag.description);
    }
    Ok(Answer::good(if text.is_empty() { "There are no flags.\n".to_owned() } else { text }))
}

async fn set(app: &App, arguments: SetArguments) -> Result<Answer, Answer> {
    let SetArguments { key, on, off, percent, of, allow, deny, unlist, description } = arguments;
    let stored = find(app, &key).await?;
    let killed = stored.as_ref().is_some_and(|stored| stored.killed);
    let mut flag = stored.map_or_else(Flag::off, |stored| stored.flag);
    let share = percent.or(on.then_some(Share::EVERYBODY)).or(off.then_some(Share::NOBODY));
    flag.share = share.unwrap_or(flag.share);
    flag.unit = of.unwrap_or(flag.unit);
    flag.description = description.unwrap_or(flag.description);
    for organisation in unlist {
        flag.allow.remove(&organisation);
        flag.deny.remove(&organisation);
    }
    for organisation in allow {
        flag.deny.remove(&organisation);
        flag.allow.insert(organisation);
    }
    for organisation in deny {
        flag.allow.remove(&organisation);
        flag.deny.insert(organisation);
    }
    refuse(flag.faults())?;
    let now = app.clock.now();
    let put = PutFlag { key: key.clone(), flag: flag.clone(), now };
    match app.store.run(&Call::within(PATIENCE), put).await? {
        Put::TooMany => {
            let detail = format!("There are {MOST_FLAGS} flags, the most there may be. Remove one that is not needed.");
            Err(Error::new(Kind::Conflict, "too_many", detail).into())
        }
        Put::Done | Put::NotDraft => {
            let text = words(&StoredFlag { key: key.clone(), flag, killed, updated_at: now });
            Ok(Answer::good(format!("{key} is {text}.\n")))
        }
    }
}

/// Refuses bad input.
pub(super) fn refuse(faults: Vec<mainstay_domain::FieldFault>) -> Result<(), Answer> {
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults).into()) }
}

async fn kill(app: &App, key: FlagKey, killed: bool) -> Result<Answer, Answer> {
    let step = KillFlag { key: key.clone(), killed, now: app.clock.now() };
    if !app.store.run(&Call::within(PATIENCE), step).await? {
        return Err(missing("flag", &key));
    }
    let now = if killed { "is off for everybody, until it is restored" } else { "says again for whom it is on" };
    Ok(Answer::good(format!("{key} {now}.\n")))
}

async fn check(app: &App, key: &FlagKey, tenant: TenantId, person: Option<PersonId>) -> Result<Answer, Answer> {
    let stored = find(app, key).await?.ok_or_else(|| missing("flag", key))?;
    let flag = &stored.flag;
    let listed = flag.allow.contains(&tenant) || flag.deny.contains(&tenant);
    if flag.unit == Unit::Person && person.is_none() && !listed && !stored.killed {
        let detail = "This flag is by person: name one.";
        return Err(Error::invalid_field("--person", "missing", detail).into());
    }
    let person = person.unwrap_or(PersonId(tenant.uuid()));
    let on = !stored.killed && assignment::is_on(key.as_str(), flag, tenant, person);
    let why = match (stored.killed, flag.deny.contains(&tenant), flag.allow.contains(&tenant)) {
        (true, ..) => "it is killed".to_owned(),
        (_, true, _) => "the organisation is denied".to_owned(),
        (_, _, true) => "the organisation is allowed".to_owned(),
        _ => format!("it is {}", words(&stored)),
    };
    Ok(Answer::good(format!("{}: {why}\n", if on { "on" } else { "off" })))
}
