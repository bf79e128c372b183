//! `mainstay trail`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use mainstay_domain::TenantId;
use mainstay_store::{Call, INSTALLATION, ListAuditEvents, ListAuditTrails, Store};
use uuid::Uuid;

use super::{Answer, open};
use crate::audit_trail::chains::{Anchor, anchor, walk};
use crate::config::Config;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long going along one chain may take.
const WALK: Duration = Duration::from_secs(600);
/// Chains that are read at once.
const CHAINS: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum TrailCommand {
    /// Show the last entries of a chain
    List {
        /// The organisation; without one the chain of the installation
        #[arg(long)]
        organisation: Option<Uuid>,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// See whether chains hold: that no entry was changed, taken out or put in
    ///
    /// Each chain is gone along from its first entry that is kept to its last. The exit code is 1 when one does not hold.
    Verify {
        /// One organisation; without one all chains and that of the installation
        #[arg(long)]
        organisation: Option<Uuid>,
        /// An entry that was noted elsewhere, as POSITION:DIGEST, and must still be there: of the chain of the installation,
        /// or of the organisation that is named
        #[arg(long)]
        anchor: Option<String>,
    },
}

pub(super) async fn run(command: TrailCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        TrailCommand::List { organisation, limit } => {
            let tenant = organisation.map_or(INSTALLATION, TenantId);
            let list = ListAuditEvents { tenant, before: None, limit };
            let mut text = String::new();
            for event in app.store.run(&Call::within(PATIENCE), list).await?.iter().rev() {
                let said = event.content.as_deref().unwrap_or("(erased)");
                let _ = writeln!(text, "{:>8}  {}  {}  {said}", event.position, event.at, event.action);
            }
            Ok(Answer::good(text))
        }
        TrailCommand::Verify { organisation, anchor } => {
            let noted = anchor.as_deref().map(Anchor::parse).transpose()?;
            let chains = match organisation {
                Some(tenant) => vec![TenantId(tenant)],
                None => all(&app.store).await?,
            };
            verify(&app.store, &chains, noted).await
        }
    }
}

/// The chain of the installation and those of all organisations.
async fn all(store: &Store) -> Result<Vec<TenantId>, Answer> {
    let mut chains = vec![INSTALLATION];
    loop {
        let after = chains.last().copied().unwrap_or(INSTALLATION);
        let page = store.run(&Call::within(PATIENCE), ListAuditTrails { after, limit: CHAINS }).await?;
        let whole = page.len() == CHAINS as usize;
        chains.extend(page.into_iter().map(|trail| trail.tenant));
        if !whole {
            return Ok(chains);
        }
    }
}

/// What was noted elsewhere is of the first chain.
async fn verify(store: &Store, chains: &[TenantId], noted: Option<Anchor>) -> Result<Answer, Answer> {
    let (mut text, mut entries, mut broken) = (String::new(), 0, 0);
    for (number, tenant) in chains.iter().enumerate() {
        let walked = walk(store, &Call::within(WALK), *tenant, noted.filter(|_| number == 0)).await?;
        entries += walked.entries;
        let whose = if *tenant == INSTALLATION { "the installation".to_owned() } else { tenant.to_string() };
        if let Some(fault) = walked.broken {
            broken += 1;
            let _ = writeln!(text, "BROKEN {whose}: {fault}");
        } else if let Some(stands) = walked.stands.filter(|_| number == 0) {
            let _ = writeln!(text, "{whose} stands at {}", anchor(stands.position, &stands.digest));
        }
    }
    let _ = writeln!(text, "{} chains, {entries} entries: {broken} broken", chains.len());
    Ok(Answer { text, code: u8::from(broken > 0) })
}
