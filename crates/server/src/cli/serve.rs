//! `mainstay serve`.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Error, Kind};
use mainstay_store::{Migrator, file_fault, folder_fault};
use tokio::net::TcpListener;

use super::Answer;
use crate::app::{App, Outside, Service, store_options};
use crate::config::Config;
use crate::lifecycle::{Lifecycle, stop_on_signals};
use crate::ops::log;

/// How long another node's migration is waited for.
pub(super) const MIGRATION_PATIENCE: Duration = Duration::from_secs(60);
/// What is kept of the time for draining, to settle what was not finished.
const SETTLING: Duration = Duration::from_secs(2);

pub(super) async fn run(config: Config) -> Result<Answer, Answer> {
    log::start(&config.log, &config.errors, &Outside::default().clock);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let lock = lock_file(&config)?;
    migrate(&config).await?;
    let lifecycle = Lifecycle::new();
    stop_on_signals(&lifecycle).map_err(|error| Answer::from(Error::internal(error)))?;
    // The socket first: an address that is taken is the likeliest fault, and costs nothing yet.
    let listener = listen(config.http.listen_address(), "PORT=9000").await?;
    let plain = match config.http.tls.redirect_port {
        0 => None,
        port => {
            let address = SocketAddr::new(config.http.listen_address().ip(), port);
            Some(listen(address, "MAINSTAY_HTTP__TLS__REDIRECT_PORT=8081, or none with 0").await?)
        }
    };
    let app = App::open(config, Outside::default(), lifecycle.clone()).await?;
    let code = serve_app(&app, listener, plain).await?;
    drop(lock);
    Ok(Answer { text: String::new(), code })
}

/// Serves until told to stop, then drains. The answer is the exit code.
async fn serve_app(app: &Arc<App>, listener: TcpListener, plain: Option<TcpListener>) -> Result<u8, Answer> {
    let (config, lifecycle) = (&app.config, &app.lifecycle);
    let service = Service::new(app)?;
    // Before the app goes: its tasks would end and be reported as failures beside the true one.
    app.start().await.inspect_err(|_| lifecycle.stop_hard())?;
    let port = listener.local_addr().map_or(config.http.port, |address| address.port());
    greet(app, port);
    if let Err(error) = service.serve(app, listener, plain).await {
        tracing::error!(%error, "the server ended");
        lifecycle.stop();
    }
    tracing::info!("stopping: no new requests, what runs is finished");
    let drain = config.lifecycle.drain();
    let first = lifecycle.drain(drain.saturating_sub(SETTLING));
    let closing = async {
        tokio::time::sleep(drain.saturating_sub(SETTLING + SETTLING)).await;
        // Replies that have not ended by now are settled with what has arrived.
        app.assistant.close();
    };
    let drained = tokio::select! {
        drained = first => drained,
        drained = async { closing.await; lifecycle.drain(SETTLING + SETTLING).await } => drained,
    };
    app.store.close().await;
    if drained.cut.is_empty() {
        tracing::info!("stopped: everything was finished");
    } else {
        tracing::warn!(cut = ?drained.cut, "stopped: not everything was finished in time");
    }
    Ok(lifecycle.exit_code())
}

/// Only one process may serve from a SQLite file. The lock is the operating system's, so it ends with the process.
fn lock_file(config: &Config) -> Result<Option<File>, Answer> {
    store_options(&config.database).sqlite_path().map(|path| lock_database(&path)).transpose()
}

/// Takes the lock of a SQLite file: nobody serves from it then.
pub(super) fn lock_database(path: &Path) -> Result<File, Answer> {
    let refused = |detail: String| Answer::from(Error::new(Kind::Conflict, "database_in_use", detail));
    if path.is_dir() {
        return Err(Answer::from(file_fault(path, &"it is a folder")));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| Answer::from(folder_fault(folder, &error)))?;
    }
    let name = lock_name(path);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| Answer::from(file_fault(path, &error)))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refused(format!(
            "Another mainstay serves from {} already. Stop it first, or name another file with DATABASE_URL=sqlite:PATH.",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(refused(format!("The file {} cannot be locked: {error}.", name.display())))
        }
    }
}

fn lock_name(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// What is said on PostgreSQL when migrations are pending.
pub(super) fn pending() -> Error {
    let detail = "Migrations are pending. Look at them with `mainstay migrate plan` and apply them with `mainstay migrate up`, \
                  or set database.migrate_on_start = true.";
    Error::new(Kind::Conflict, "migrations_pending", detail)
}

/// A SQLite file is migrated without asking: nobody else uses it. On PostgreSQL it is said what is to be done.
async fn migrate(config: &Config) -> Result<(), Answer> {
    let options = store_options(&config.database);
    let mut migrator = Migrator::open(&options).await?;
    if migrator.may_serve(config.database.accept_newer_schema).await? {
        return Ok(());
    }
    if options.sqlite_path().is_none() && !config.database.migrate_on_start {
        return Err(Answer::from(pending()));
    }
    for applied in migrator.up(Outside::default().clock.now(), MIGRATION_PATIENCE).await? {
        tracing::info!(version = applied.version, took = ?applied.took, "migration applied: {}", applied.description);
    }
    Ok(())
}

/// Listens there; `other` is how another port is chosen.
async fn listen(address: SocketAddr, other: &str) -> Result<TcpListener, Answer> {
    TcpListener::bind(address).await.map_err(|error| {
        let cure = if error.kind() == io::ErrorKind::AddrInUse {
            format!(" Something else listens there: stop it, or take another port with {other}.")
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            " Ports below 1024 need the capability CAP_NET_BIND_SERVICE: give it to the unit, or take a higher port."
                .to_owned()
        } else {
            String::new()
        };
        let detail = format!("The address {address} cannot be listened on: {error}.{cure}");
        Answer::from(Error::new(Kind::Unavailable, "cannot_listen", detail))
    })
}

/// What a person who starts it by hand wants to know.
fn greet(app: &App, port: u16) {
    let address = app.config.http.public_address(port);
    let providers = app.assistant.provider_names();
    let database = match store_options(&app.config.database).sqlite_path() {
        Some(path) => format!("SQLite, {}", path.display()),
        None => "PostgreSQL".to_owned(),
    };
    let mut text = format!(
        "\nMainstay serves on {address}\n  database   {database}\n  replies    {}\n",
        providers.join(", then ")
    );
    if providers == ["offline"] {
        text.push_str("\nOpen the address in a browser and sign up. To connect a model, set ANTHROPIC_API_KEY or OPENAI_API_KEY\n(or OPENAI_BASE_URL for a server of your own) and start again.\n");
    } else {
        text.push_str("\nOpen the address in a browser and sign up.\n");
    }
    text.push_str("Stop it with Ctrl-C.\n\n");
    // Nobody reads it: fine.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    tracing::info!(%address, "ready");
}
