//! Starting a server on a restored copy, to see that it starts. It does no work: it takes no jobs, tells nobody anything, and
//! listens on this machine alone.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mainstay_domain::Secret;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Fault;
use crate::config::Config;
use crate::ops::audit::Live;

/// How long a start may take, with its migrations.
const START: Duration = Duration::from_secs(120);
/// How long a stop may take.
const STOP: Duration = Duration::from_secs(15);
/// What the copy is told of the machine.
const KEPT: [&str; 4] = ["PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// The most of what it said that is told.
const TOLD: u64 = 4 * 1024;

/// The settings of the copy, as variables of its process. Secrets are in no argument.
fn variables(config: &Config, url: &Secret) -> Vec<(&'static str, String)> {
    let keys = &config.keys;
    let mut variables = vec![
        ("DATABASE_URL", url.expose().to_owned()),
        ("MAINSTAY_DATABASE__MIGRATE_ON_START", "true".to_owned()),
        ("MAINSTAY_DATABASE__APP_ROLE", config.database.app_role.clone()),
        ("MAINSTAY_DATABASE__SYSTEM_ROLE", config.database.system_role.clone()),
        ("MAINSTAY_HTTP__PORT", "0".to_owned()),
        ("MAINSTAY_HTTP__HOST", "127.0.0.1".to_owned()),
        ("MAINSTAY_JOBS__ENABLED", "false".to_owned()),
        ("MAINSTAY_LOG__FORMAT", "text".to_owned()),
        ("MAINSTAY_LOG__LEVEL", "warn".to_owned()),
    ];
    match keys.folder(&config.database) {
        // The copy is in another folder; its keys are those of the installation.
        Some(folder) => variables.push(("MAINSTAY_KEYS__DIRECTORY", absolute(&folder))),
        None => variables.push(("MAINSTAY_KEYS__RING", keys.ring.expose().to_owned())),
    }
    if !config.auth.signing_key.is_empty() {
        variables.push(("MAINSTAY_AUTH__SIGNING_KEY", config.auth.signing_key.expose().to_owned()));
    }
    variables
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Starts this same program on a copy, asks whether it is ready, and stops it. The answer is what it said of itself.
///
/// # Errors
/// What the server said when it did not start, or was not ready.
pub(super) async fn boot(config: &Config, url: &Secret, program: Option<&Path>) -> Result<String, Fault> {
    let failed = |error: std::io::Error| Fault::Boot(error.to_string());
    let program = match program {
        Some(program) => program.to_owned(),
        // The file that runs, also when another has taken its name.
        None if cfg!(target_os = "linux") => "/proc/self/exe".into(),
        None => std::env::current_exe().map_err(failed)?,
    };
    let mut command = Command::new(program);
    command.arg("serve").env_clear().envs(variables(config, url)).kill_on_drop(true);
    command.envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let ready = timeout(START, ready(&mut child)).await;
    let outcome = match ready {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("it was not ready after {} s", START.as_secs())),
    };
    stop(&mut child).await;
    match outcome {
        Ok(said) => Ok(said),
        Err(why) => Err(Fault::Boot(format!("{why}{}", last_words(&mut child).await))),
    }
}

async fn ready(child: &mut Child) -> Result<String, String> {
    let Some(output) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let mut lines = BufReader::new(output).lines();
    let address = loop {
        match lines.next_line().await.map_err(|error| error.to_string())? {
            None => return Err("it ended".to_owned()),
            Some(line) => {
                if let Some(address) = line.split_whitespace().last().filter(|word| word.starts_with("http://")) {
                    break address.to_owned();
                }
            }
        }
    };
    let live = Live::new(&address).map_err(|error| error.to_string())?;
    let told = live.get("/readyz").await.map_err(|silent| silent.to_string())?;
    if told.status.is_success() {
        Ok(format!("/readyz answered {}", told.status.as_u16()))
    } else {
        Err(format!("/readyz answered {}: {}", told.status.as_u16(), told.text))
    }
}

async fn stop(child: &mut Child) {
    #[cfg(unix)]
    if let Some(process) = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
        // It is there, or it has ended by itself.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
    if timeout(STOP, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

async fn last_words(child: &mut Child) -> String {
    let Some(errors) = child.stderr.take() else { return String::new() };
    let mut text = String::new();
    let _ = errors.take(TOLD).read_to_string(&mut text).await;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { text } else { format!(": {text}") }
}
