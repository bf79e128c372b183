//! Kinds of jobs, and the promise of one.

use std::time::Duration;

use mainstay_domain::{Entropy, Error, JobId, JobPriority, Result, TenantId, Timestamp};
use mainstay_store::trace::Trace;
use mainstay_store::{NO_GROUP, NewJob, Unique};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes of a job's arguments. What is larger belongs into a table of its own.
const MOST_ARGUMENTS: usize = 256 * 1024;
/// The most bytes of a key or a group.
const MOST_KEY: usize = 200;

/// A kind of job: a type whose value is what the handler needs to know.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the kind, stored with each job. It never changes once jobs of it are stored.
    const KIND: &'static str;
    /// The queue that it goes to.
    const QUEUE: &'static str;
    /// What goes first within the queue.
    const PRIORITY: JobPriority = JobPriority::Normal;
    /// After how many attempts it is given up.
    const MOST_ATTEMPTS: u32 = 20;
    /// How long one attempt may take.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// How long after a failed attempt the next one begins, before jitter.
    #[must_use]
    fn backoff(attempt: u32) -> Duration {
        backoff(attempt)
    }
}

/// 1 s after the first attempt, then twice as long each time, at most 6 hours: twenty attempts take about two days.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(6 * 3600);
    Duration::from_secs(1 << attempt.saturating_sub(1).min(20)).min(LONGEST)
}

/// A wait that differs each time by up to a fifth either way, so that what failed together is not tried together.
pub(crate) fn jittered(wait: Duration, entropy: &dyn Entropy) -> Duration {
    let mut chance = [0u8; 2];
    entropy.fill(&mut chance);
    let share = f64::from(u16::from_be_bytes(chance)) / f64::from(u16::MAX);
    wait.mul_f64(0.8 + 0.4 * share)
}

/// A job that is to be enqueued. Hand [`Promise::job`] to the intent that is its cause.
#[derive(Clone, Debug)]
pub struct Promise {
    job: NewJob,
}

impl Promise {
    /// A job that is due at once. What the work under way is done for, it is done for too.
    ///
    /// # Errors
    /// When its arguments cannot be written as JSON, or are larger than 256 KiB: a bug.
    pub fn of<J: Job>(id: JobId, job: &J, now: Timestamp) -> Result<Self> {
        let arguments = serde_json::to_string(job).map_err(Error::internal)?;
        if arguments.len() > MOST_ARGUMENTS {
            return Err(Error::internal(format!("arguments of {} are {} bytes", J::KIND, arguments.len())));
        }
        Ok(Self {
            job: NewJob {
                id,
                queue: J::QUEUE,
                kind: J::KIND,
                group: NO_GROUP.to_owned(),
                tenant: None,
                priority: J::PRIORITY,
                arguments,
                unique: None,
                run_at: now,
                most_attempts: J::MOST_ATTEMPTS.max(1),
                trace: Trace::current().map(|trace| trace.context()),
            },
        })
    }

    /// Not before this moment.
    #[must_use]
    pub fn at(mut self, moment: Timestamp) -> Self {
        self.job.run_at = moment;
        self
    }

    /// Whose it is. The organisation is also its group, unless another is named.
    #[must_use]
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.job.tenant = Some(tenant);
        if self.job.group == NO_GROUP {
            self.job.group = tenant.to_string();
        }
        self
    }

    /// What its limits and its turn are counted by within the queue: an organisation, a host, an endpoint. At most 200
    /// bytes.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        group_or_key(group).clone_into(&mut self.job.group);
        self
    }

    /// What goes first within the queue.
    #[must_use]
    pub fn priority(mut self, priority: JobPriority) -> Self {
        self.job.priority = priority;
        self
    }

    /// Only one job of the kind with this key, until it has ended. Within an organisation, if one is named before.
    #[must_use]
    pub fn unique(mut self, key: &str) -> Self {
        self.job.unique = Some(Unique { key: self.key(key), until: None });
        self
    }

    /// Only one job of the kind with this key in each window of this length, counted since 1970, also when it has ended
    /// before the window has.
    #[must_use]
    pub fn unique_within(mut self, key: &str, window: Duration, now: Timestamp) -> Self {
        let length = i64::try_from(window.as_millis()).unwrap_or(i64::MAX).max(1);
        let number = now.as_millis().div_euclid(length);
        let until = Timestamp::from_millis((number + 1).saturating_mul(length));
        self.job.unique = Some(Unique { key: self.key(&format!("{number}@{key}")), until: Some(until) });
        self
    }

    fn key(&self, key: &str) -> String {
        let key = group_or_key(key);
        self.job.tenant.map_or_else(|| key.to_owned(), |tenant| format!("{tenant}/{key}"))
    }

    /// After how many attempts it is given up.
    #[must_use]
    pub fn most_attempts(mut self, attempts: u32) -> Self {
        self.job.most_attempts = attempts.max(1);
        self
    }

    /// The row.
    #[must_use]
    pub fn job(self) -> NewJob {
        self.job
    }
}

/// The first 200 bytes.
fn group_or_key(text: &str) -> &str {
    let mut end = text.len().min(MOST_KEY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end == 0 { NO_GROUP } else { &text[..end] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_six_hours() {
        assert_eq!([1, 2, 3, 11].map(|attempt| backoff(attempt).as_secs()), [1, 2, 4, 1024]);
        assert_eq!([15, 16, 20, u32::MAX].map(|attempt| backoff(attempt).as_secs()), [16_384, 21_600, 21_600, 21_600]);
    }

    #[test]
    fn a_long_key_is_cut_between_characters() {
        let long = "ü".repeat(150);
        assert_eq!(group_or_key(&long).len(), 200);
        assert_eq!(group_or_key(&long[..]).chars().count(), 100);
        assert_eq!(group_or_key(""), NO_GROUP);
    }
}
