//! Making an audit and remembering it: for the command line, and inside a server that looks at itself.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mainstay_domain::{Error, Kind, Result};
use mainstay_store::{AuditRun, AuditSummary, Call, ListAudits, ReadAudits, RecordAudit};

use tokio::sync::Mutex;

use super::{Live, Mode, Profile, Report, Subject, choose, run};
use crate::app::{App, Service};

/// What an audit of this process needs.
#[derive(Debug, Default)]
pub struct Audits {
    /// Where the process listens, once it does.
    pub listening: OnceLock<SocketAddr>,
    /// Held by the audit that is being made.
    running: Mutex<()>,
}

/// How long remembering may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Remembers a report.
///
/// # Errors
/// When it cannot be stored.
pub async fn remember(app: &App, report: &Report) -> Result<()> {
    let run = AuditRun {
        id: app.ids.make(),
        at: report.at,
        profile: report.profile.word().to_owned(),
        score: report.tenths(),
        report: serde_json::to_string(report).map_err(Error::internal)?,
    };
    app.store.run(&Call::within(PATIENCE), RecordAudit(run)).await?;
    Ok(())
}

/// Reads the last audit, and the scores of so many, the last first.
///
/// # Errors
/// When the database does not answer.
pub async fn history(app: &App, call: &Call, limit: u32) -> Result<(Option<AuditRun>, Vec<AuditSummary>)> {
    let last = app.store.run(call, ReadAudits { before: None, limit: 1 }).await?;
    Ok((last.into_iter().next(), app.store.run(call, ListAudits(limit)).await?))
}

/// Makes all passive checks of this server, over its own address, and remembers what was found.
///
/// # Errors
/// `audit_runs` when one is being made, `not_listening` when nothing listens here.
pub async fn look_at_oneself(app: &Arc<App>) -> Result<Report> {
    let Ok(_one) = app.audits.running.try_lock() else {
        let detail = "An audit is being made. Ask again in some seconds.";
        return Err(Error::new(Kind::Conflict, "audit_runs", detail));
    };
    let port = app.audits.listening.get().map(SocketAddr::port);
    let port = port.ok_or_else(|| Error::new(Kind::Unavailable, "not_listening", "This process listens nowhere."))?;
    let live = Live::local(&app.config.http, port)?;
    let (profile, table) = (Profile::of(&app.config), Service::new(app)?.table);
    let subject = Subject { app: Arc::clone(app), live, profile, table };
    let checks = choose(Mode::Passive, &[]).map_err(Error::internal)?;
    let report = run(&subject, &checks).await;
    remember(app, &report).await?;
    Ok(report)
}
