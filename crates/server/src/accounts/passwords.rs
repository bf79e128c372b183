//! Passwords: which are taken, how they are kept, and how many are hashed at once.
//!
//! Argon2id (RFC 9106) with the memory and passes of the configuration and one lane. A hash takes one core for tens of
//! milliseconds and megabytes of memory, so at most `password_workers` run at once and at most `password_queue` wait;
//! what comes beyond is refused at once rather than late. A caller that goes away leaves the queue; a hash that has begun
//! runs to its end and keeps its place until then, because it cannot be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use mainstay_domain::{EmailAddress, Entropy, Error, Kind, Refused, Result, Secret};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::common_passwords::is_common;
use crate::config;

/// The most memory of a hash that is verified, in KiB: 1 GiB. A row that asks for more is damaged or planted.
const MOST_MEMORY_KIB: u32 = 1 << 20;
/// The most passes of a hash that is verified.
const MOST_PASSES: u32 = 64;

/// A password that a person chose and that is taken: 10 to 200 characters, not their address, not one of the most common.
///
/// It is taken as it was typed. NIST SP 800-63B (section 3.1.1.2) advises to normalise (NFKC or NFKD) where characters
/// beyond ASCII are allowed; it is not required, and clients of one person type on keyboards that give the same form.
/// Rules on what characters must be in it are left out, as the same section demands.
#[derive(Clone, Debug)]
pub struct PasswordText(Secret);

impl PasswordText {
    /// The fewest characters (Unicode scalar values).
    pub const LEAST: usize = 10;
    /// The most characters.
    pub const MOST: usize = 200;

    /// Reads a new password. `email` is the address that it will belong to.
    ///
    /// # Errors
    /// Says why it is not taken.
    pub fn parse(text: String, email: &EmailAddress) -> Result<Self, Refused> {
        let refused = |code, detail: String| Err(Refused { code, detail });
        let length = text.chars().count();
        if length < Self::LEAST {
            return refused("too_short", format!("A password has at least {} characters.", Self::LEAST));
        }
        if length > Self::MOST {
            return refused("too_long", format!("It has {length} characters; at most {} are allowed.", Self::MOST));
        }
        let folded = text.trim().to_lowercase();
        if folded == email.as_str() {
            return refused("same_as_email", "A password must not be the email address.".to_owned());
        }
        if folded.is_empty() || is_common(&folded) {
            return refused(
                "too_common",
                "This password is among the first that are guessed; take another.".to_owned(),
            );
        }
        Ok(Self(Secret::new(text)))
    }

    /// The password, to be hashed.
    #[must_use]
    pub fn into_secret(self) -> Secret {
        self.0
    }
}

/// Hashes and verifies passwords, a bounded number at a time.
pub struct Passwords {
    params: Params,
    entropy: Arc<dyn Entropy>,
    /// What a password is verified against when there is no account: of the same cost as any other, and nobody's.
    nobody: PasswordHash,
    workers: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Passwords {
    /// The pool of the configuration.
    ///
    /// # Errors
    /// When the configuration asks for costs that Argon2 does not have, or for no worker.
    pub fn new(config: &config::Auth, entropy: Arc<dyn Entropy>) -> Result<Self> {
        if config.password_workers == 0 || config.password_workers > Semaphore::MAX_PERMITS {
            let detail = "There must be at least one worker.";
            return Err(Error::invalid_field("auth.password_workers", "out_of_range", detail));
        }
        let params = (config.password_memory_kib <= MOST_MEMORY_KIB && config.password_passes <= MOST_PASSES)
            .then(|| Params::new(config.password_memory_kib, config.password_passes, 1, None).ok())
            .flatten()
            .ok_or_else(|| {
                let detail = format!(
                    "Argon2id takes 8 to {MOST_MEMORY_KIB} KiB (password_memory_kib) and 1 to {MOST_PASSES} passes (password_passes)."
                );
                Error::invalid_field("auth.password_memory_kib", "out_of_range", detail)
            })?;
        Ok(Self {
            nobody: nobody(&params, entropy.as_ref())?,
            params,
            entropy,
            workers: Arc::new(Semaphore::new(config.password_workers)),
            waiting: AtomicUsize::new(0),
            most_waiting: config.password_queue,
        })
    }

    /// The hash of a password with a new salt, as a PHC string, which names its own parameters.
    ///
    /// # Errors
    /// 503 `password_queue_full` when too many wait.
    pub async fn hash(&self, password: Secret) -> Result<String> {
        let place = self.place().await?;
        let mut salt = [0; Salt::RECOMMENDED_LENGTH];
        self.entropy.fill(&mut salt);
        let argon2 = argon2(&self.params);
        on_a_worker(place, move || {
            let hash = argon2.hash_password_with_salt(password.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(Error::internal)
        })
        .await
    }

    /// Whether this is the password of the hash. Without a hash (there is no such account) the answer is no, and takes as
    /// long as any other.
    ///
    /// # Errors
    /// 503 `password_queue_full` when too many wait; internal when the hash cannot be read.
    pub async fn verify(&self, password: Secret, phc: Option<&str>) -> Result<bool> {
        let (hash, known) = match phc {
            Some(phc) => (read(phc)?.0, true),
            None => (self.nobody.clone(), false),
        };
        let place = self.place().await?;
        let argon2 = argon2(&self.params);
        on_a_worker(place, move || match argon2.verify_password(password.expose().as_bytes(), &hash) {
            Ok(()) => Ok(known),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(fault) => Err(Error::internal(fault)),
        })
        .await
    }

    /// Whether a hash was made with other parameters than those of today, so that it is to be made anew at the next good
    /// sign-in.
    #[must_use]
    pub fn needs_rehash(&self, phc: &str) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        read(phc).map_or(true, |(hash, params)| {
            cost(&params) != cost(&self.params) || hash.version != Some(Version::V0x13.into())
        })
    }

    /// How many wait to be hashed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.workers).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting::enter(&self.waiting, self.most_waiting)?;
        let place = Arc::clone(&self.workers).acquire_owned().await.map_err(Error::internal)?;
        drop(waiting);
        Ok(place)
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords")
            .field("params", &self.params)
            .field("waiting", &self.waiting())
            .field("most_waiting", &self.most_waiting)
            .finish_non_exhaustive()
    }
}

/// One place in the queue, left when dropped: whether a worker was had or the caller went away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Self> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| (waiting < most).then_some(waiting + 1))
            .map(|_| Self(waiting))
            .map_err(|_| {
                let detail = "Too many are signing in at the moment. Try again in two seconds.";
                Error::new(Kind::Unavailable, "password_queue_full", detail).retry_after(Duration::from_secs(2))
            })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs on a thread that may block, and holds the place until it is done, even when nobody waits for it any more.
async fn on_a_worker<T: Send + 'static>(
    place: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.map_err(Error::internal)?
}

fn argon2(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

/// A hash of today's cost whose output is random: no password leads to it, and making it costs nothing.
fn nobody(params: &Params, entropy: &dyn Entropy) -> Result<PasswordHash> {
    let (mut salt, mut output) = ([0; Salt::RECOMMENDED_LENGTH], [0; Params::DEFAULT_OUTPUT_LEN]);
    entropy.fill(&mut salt);
    entropy.fill(&mut output);
    Ok(PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(Error::internal)?,
        salt: Some(Salt::new(&salt).map_err(Error::internal)?),
        hash: Some(Output::new(&output).map_err(Error::internal)?),
    })
}

/// Reads a kept hash: Argon2id, within bounds, complete.
fn read(phc: &str) -> Result<(PasswordHash, Params)> {
    let damaged = |why: &str| Error::internal(format!("a kept password hash cannot be used: {why}"));
    let hash = PasswordHash::new(phc).map_err(|fault| damaged(&fault.to_string()))?;
    if hash.algorithm != ARGON2ID_IDENT || hash.salt.is_none() || hash.hash.is_none() {
        return Err(damaged("it is not a complete hash by Argon2id"));
    }
    let params = Params::try_from(&hash).map_err(|fault| damaged(&fault.to_string()))?;
    if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > 16 {
        return Err(damaged("its cost is out of bounds"));
    }
    Ok((hash, params))
}

#[cfg(test)]
mod tests;
