//! Which build this is: its version, the commit that it was built from, and the digest of its file. By the digest a build is
//! known from the tests to the register of deployments: what was built again from the same commit is another build.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;
use std::time::Duration;

use mainstay_domain::hexadecimal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use ring::digest::{Context, SHA256};
use tokio::time::timeout;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that it was built from: what `MAINSTAY_COMMIT` said while it was compiled.
pub const COMMIT: &str = match option_env!("MAINSTAY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// How long somebody who asks waits for the first reading of the file. It takes a tenth of a second for a release.
const PATIENCE: Duration = Duration::from_millis(500);

/// The digest, once the file has been read. The file of a process that runs is the one that it was started from, whatever has
/// taken its place since.
static DIGEST: OnceLock<String> = OnceLock::new();

/// SHA-256 of the program that runs, in hexadecimal. It reads the whole file the first time.
///
/// # Errors
/// When its file cannot be read.
pub fn digest_of_this_program() -> io::Result<String> {
    if let Some(known) = DIGEST.get() {
        return Ok(known.clone());
    }
    let path = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
    let (mut file, mut digest) = (File::open(path)?, Context::new(&SHA256));
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(DIGEST.get_or_init(|| hexadecimal(digest.finish().as_ref())).clone()),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// The same beside requests: nothing while the file is being read, or when it cannot be.
pub async fn digest() -> Option<String> {
    if let Some(known) = DIGEST.get() {
        return Some(known.clone());
    }
    match timeout(PATIENCE, tokio::task::spawn_blocking(digest_of_this_program)).await {
        Ok(Ok(Ok(digest))) => Some(digest),
        Ok(Ok(Err(error))) => {
            tracing::warn!(%error, "the file of this program cannot be read");
            None
        }
        Ok(Err(_)) | Err(_) => None,
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    version: &'static str,
    commit: &'static str,
}

/// Adds the figure that tells which build this is.
pub fn register(registry: &mut Registry) {
    let builds = Family::<Labels, Gauge>::default();
    builds.get_or_create(&Labels { version: VERSION, commit: COMMIT }).set(1);
    registry.register("mainstay_build", "1, with the version of this program and the commit of its build", builds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_digest_is_that_of_the_file() {
        let told = digest_of_this_program().expect("a digest");
        let file = std::fs::read(std::env::current_exe().expect("a path")).expect("read");
        assert_eq!(told, hexadecimal(ring::digest::digest(&SHA256, &file).as_ref()));
        assert_eq!(digest().await, Some(told));
    }
}
