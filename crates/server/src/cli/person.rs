//! `mainstay person`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{Error, Kind, PhoneNumber, TenantId};
use mainstay_store::{AuditNote, Call, Found, Identifiers, RecordAuditNote, find_everywhere, learn_identifiers};
use serde_json::json;
use uuid::Uuid;

use super::{Answer, noted, open};
use crate::app::{App, store_options};
use crate::config::Config;
use crate::privacy;

/// How long writing into the audit trail may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum PersonCommand {
    /// Say in which tables somebody is named, and how often
    ///
    /// The whole database is looked through, so it takes as long as reading it once or a few times.
    Find(Who),
    /// Write all that the database holds of somebody into a file
    ///
    /// Each line is a row as JSON, with its table: every row that names them, and every row that belongs to one that is theirs,
    /// such as the appointments of a contact. What is sealed stays sealed, and of images only the size is told. That somebody
    /// has asked is in the audit trail.
    Export {
        #[command(flatten)]
        who: Who,
        /// The file; it must not be there yet
        #[arg(long)]
        out: PathBuf,
    },
    /// Take somebody out of the database
    ///
    /// Without --confirm it says what there is of them, and changes nothing. With it their account is closed, nobody writes to
    /// them any more, and the database is gone through until nothing names them: rows that are theirs are blanked, and what
    /// names them in rows of others is taken out. It cannot be undone. Backups still have them until they are deleted.
    Erase {
        #[command(flatten)]
        who: Who,
        /// Really do it
        #[arg(long)]
        confirm: bool,
        /// Write the file of SQLite anew afterwards, however large it is; nobody can write meanwhile
        #[arg(long, requires = "confirm")]
        vacuum: bool,
    },
}

/// By what somebody is known. What rows that are theirs say of them beside is looked for, too.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(super) struct Who {
    /// An email address; may be given again
    #[arg(long)]
    email: Vec<String>,
    /// A telephone number, with + and the calling code; may be given again
    #[arg(long)]
    phone: Vec<String>,
    /// A full name; may be given again. Others may have the same
    #[arg(long)]
    name: Vec<String>,
    /// Only the rows of this organisation; what is found or exported may also belong to none
    #[arg(long)]
    organisation: Option<Uuid>,
}

impl Who {
    fn identifiers(&self) -> Result<Identifiers, Answer> {
        let bad = |field: &str, detail: String| Answer::from(Error::invalid_field(field, "invalid", detail));
        let mut all = Identifiers::default();
        for (field, texts) in [("--email", &self.email), ("--name", &self.name)] {
            for text in texts {
                let added = if field == "--name" { all.name(text) } else { all.address(text) };
                all = added.map_err(|fault| bad(field, format!("{fault}.")))?;
            }
        }
        for number in &self.phone {
            let number = PhoneNumber::parse(number, None).map_err(|refused| bad("--phone", refused.detail))?;
            all = all.number(number.as_str()).map_err(|fault| bad("--phone", format!("{fault}.")))?;
        }
        if all.is_empty() {
            return Err(bad("--email", "Name an address, a number or a full name.".to_owned()));
        }
        Ok(all)
    }

    fn tenant(&self) -> Option<TenantId> {
        self.organisation.map(TenantId)
    }
}

pub(super) async fn run(command: PersonCommand, config: Config) -> Result<Answer, Answer> {
    let who = match &command {
        PersonCommand::Find(who) | PersonCommand::Export { who, .. } => who,
        PersonCommand::Erase { who, confirm, vacuum } => return erase(who, (*confirm, *vacuum), config).await,
    };
    let (mut identifiers, tenant) = (who.identifiers()?, who.tenant());
    let out = match &command {
        PersonCommand::Export { out, .. } => Some((private(out)?, out)),
        _ => None,
    };
    let app = open(config).await?;
    let options = store_options(&app.config.database);
    learn_identifiers(&options, &mut identifiers, tenant).await?;
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut writer, mut failure) = (out.map(|(file, path)| (BufWriter::new(file), path)), None);
    let looked = find_everywhere(&options, &identifiers, tenant, &mut |found: Found| {
        *counts.entry(found.table).or_default() += 1;
        if let (Some((writer, _)), None) = (&mut writer, &failure) {
            failure = write_row(writer, &found).err();
        }
        Ok(())
    })
    .await?;
    let failure = failure.or_else(|| writer.as_mut().and_then(|(writer, _)| writer.flush().err()));
    if let (Some(error), Some((_, path))) = (failure, &writer) {
        let detail = format!("{} cannot be written: {error}.", path.display());
        return Err(Error::new(Kind::Unavailable, "not_written", detail).into());
    }
    let found: u64 = counts.values().sum();
    note(&app, tenant, found).await?;
    let mut text = privacy::rows_of(&counts);
    let place = writer.map(|(_, path)| format!(", written to {}", path.display())).unwrap_or_default();
    let _ = writeln!(text, "{found} of {looked} rows in {} tables{place}", counts.len());
    Ok(Answer::good(text))
}

async fn erase(who: &Who, (confirm, vacuum): (bool, bool), config: Config) -> Result<Answer, Answer> {
    let (mut identifiers, tenant) = (who.identifiers()?, who.tenant());
    let app = open(config).await?;
    let plan = privacy::prepare(&app, &mut identifiers, tenant).await?;
    // Before, too: whatever comes of it, somebody was asked about, and by these words it can be begun again.
    note(&app, tenant, plan.rows.values().sum()).await?;
    let known = privacy::describe(&identifiers, &plan);
    if !confirm {
        return Ok(Answer::good(format!("{known}Nothing was changed. Say --confirm to erase them.\n")));
    }
    let report = privacy::erase(&app, &identifiers, tenant, &plan, vacuum).await?;
    let code = u8::from(!report.is_complete());
    Ok(Answer { text: format!("{known}{}", privacy::tell(&report, tenant)), code })
}

fn write_row(writer: &mut impl Write, found: &Found) -> std::io::Result<()> {
    let line = json!({ "table": found.table, "found_by": found.columns, "row": found.row });
    serde_json::to_writer(&mut *writer, &line)?;
    writer.write_all(b"\n")
}

/// A new file for its owner alone: what is written there is about somebody.
fn private(path: &Path) -> Result<std::fs::File, Answer> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        let detail = format!("{} cannot be made: {error}. Name a file that is not there yet.", path.display());
        Answer::from(Error::new(Kind::Invalid, "no_file", detail))
    })
}

/// That somebody was looked for is in the trail of the installation, and of the organisation that it was about.
async fn note(app: &App, tenant: Option<TenantId>, found: u64) -> Result<(), Answer> {
    let own = noted(app);
    let note = AuditNote { tenant: tenant.unwrap_or(own.tenant), ..own };
    tracing::info!(found, "all that is known of somebody was asked for by the command line");
    Ok(app.store.run(&Call::within(PATIENCE), RecordAuditNote(note)).await?)
}
