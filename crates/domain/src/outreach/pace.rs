//! How fast a sending account may send, and when it has to stop.
//!
//! All of it is a function of figures that the caller keeps and of a moment that the caller names, so that whoever decides
//! may do so inside the transaction that also takes what is decided.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};
use crate::{FieldFault, Timestamp};

/// How many mails an account may send in any 24 hours while it is getting known: `start` on the first day, `step` more on
/// each further one, up to `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RampUp {
    /// On the first day.
    pub start: u32,
    /// How many more on each further day; 0 for an account that stays at its start.
    pub step: u32,
    /// Never more than so many.
    pub cap: u32,
}

impl RampUp {
    /// The highest cap. Google takes 2,000 mails a day from an account of Workspace
    /// (<https://support.google.com/a/answer/166852>); a relay of one's own may take more.
    pub const HIGHEST_CAP: u32 = 100_000;

    /// An account without a ramp: the cap from the first day on.
    #[must_use]
    pub const fn flat(cap: u32) -> Self {
        Self { start: cap, step: 0, cap }
    }

    /// How many it may send in the 24 hours that end on a day, 0 for the first.
    #[must_use]
    pub const fn on_day(self, day: u32) -> u32 {
        let ramped = self.start.saturating_add(self.step.saturating_mul(day));
        if ramped < self.cap { ramped } else { self.cap }
    }

    /// How many it may send in the 24 hours that end at a moment, for an account that began at another. Days are stretches
    /// of 24 hours, and before the beginning it is the first.
    #[must_use]
    pub fn at(self, began: Timestamp, now: Timestamp) -> u32 {
        let days = now.since(began).as_secs() / WINDOW.as_secs();
        self.on_day(u32::try_from(days).unwrap_or(u32::MAX))
    }

    /// What is wrong with it; nothing when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        if !(1..=Self::HIGHEST_CAP).contains(&self.cap) {
            let detail = format!("The most mails in 24 hours are from 1 to {}.", Self::HIGHEST_CAP);
            faults.push(FieldFault::new("cap", "out_of_range", detail));
        }
        if self.start == 0 || self.start > self.cap {
            let detail = "On the first day there is at least one mail, and not more than the cap.";
            faults.push(FieldFault::new("start", "out_of_range", detail));
        }
        faults
    }
}

/// Over how long a cap counts: any 24 hours, as providers count it.
pub const WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// How long one bucket of the ledger is.
pub const BUCKET: Duration = Duration::from_secs(300);

/// How many mails were sent in the five minutes that begin at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SentBucket {
    /// Where it begins.
    pub start: Timestamp,
    /// How many.
    pub sent: u32,
}

/// The beginning of the bucket that a moment belongs to.
#[must_use]
pub fn bucket_of(at: Timestamp) -> Timestamp {
    let length = millis(BUCKET);
    Timestamp::from_millis(at.as_millis().div_euclid(length) * length)
}

/// The beginning of the first bucket that counts at a moment. What is older can be deleted.
#[must_use]
pub fn first_bucket(now: Timestamp) -> Timestamp {
    // The one in which the moment 24 hours ago lies counts whole: what was sent in its last millisecond is younger.
    bucket_of(now.minus(WINDOW))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How many more mails may be taken now, so that in no 24 hours there are ever more than `cap`, whatever the moments.
///
/// For this to hold, a mail is counted from the moment it is taken: in hand until it is known to be sent or not, and from
/// then on in the bucket of the moment at which its sending ended. One whose fate is unknown counts as sent. Buckets after
/// `now` count as well: a clock that was set back allows nothing.
#[must_use]
pub fn room(buckets: &[SentBucket], now: Timestamp, cap: u32, in_hand: u32) -> u32 {
    cap.saturating_sub(sent(buckets, now)).saturating_sub(in_hand)
}

/// How many count at a moment.
fn sent(buckets: &[SentBucket], now: Timestamp) -> u32 {
    let first = first_bucket(now);
    buckets.iter().filter(|bucket| bucket.start >= first).fold(0, |sum: u32, bucket| sum.saturating_add(bucket.sent))
}

/// The first moment from now on at which there is room for one more if nothing else is taken; nothing when what is in hand
/// fills the cap alone.
#[must_use]
pub fn room_again(buckets: &[SentBucket], now: Timestamp, cap: u32, in_hand: u32) -> Option<Timestamp> {
    if room(buckets, now, cap, in_hand) > 0 {
        return Some(now);
    }
    let mut ends: Vec<_> = buckets.iter().map(|bucket| bucket.start.plus(BUCKET).plus(WINDOW)).collect();
    ends.sort_unstable();
    ends.into_iter().find(|end| *end > now && room(buckets, *end, cap, in_hand) > 0)
}

/// How much longer than the gap a pause may be, as a part of it.
const JITTER: f64 = 0.5;

/// When the next mail of an account may follow one that goes at a moment: after the gap and up to half as much again, by
/// chance (from 0 up to, and without, 1), so that mails do not go by the beat of a clock. Never sooner than the gap.
#[must_use]
pub fn next_after(now: Timestamp, gap: Duration, chance: f64) -> Timestamp {
    let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 };
    now.plus(gap).plus(gap.mul_f64(JITTER * chance))
}

/// When the next mail to a domain of recipients is due, and when the one after it may be, if there is at least a gap between
/// any two: the generic cell rate algorithm (ITU-T I.371) without a tolerance. `next_at` is what the last call gave.
#[must_use]
pub fn slot(next_at: Timestamp, now: Timestamp, gap: Duration) -> (Timestamp, Timestamp) {
    let due = next_at.max(now);
    (due, due.plus(gap))
}

/// Why an account is paused, or should be looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthReason {
    /// Too many of its mails come back.
    Bounces,
    /// Too many of its mails are reported as unwanted.
    Complaints,
}

words!(HealthReason { Bounces = "bounces", Complaints = "complaints" });

/// How an account is doing, by what became of its mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountHealth {
    /// Well, or there is not enough to tell.
    Good,
    /// It sends on, and somebody should look at it.
    Strained(HealthReason),
    /// It sends nothing until somebody says so.
    Paused(HealthReason),
}

impl AccountHealth {
    /// Under so many mails, bounces say nothing yet.
    pub const LEAST_FOR_BOUNCES: u64 = 50;
    /// Bounces that pause, in hundredths of a per cent of what was sent: 5 %, which Amazon tells users of its SES to stay
    /// under (<https://docs.aws.amazon.com/ses/latest/dg/reputationdashboardmessages.html>); it pauses accounts from 10 %.
    pub const PAUSING_BOUNCES: u64 = 500;
    /// Bounces that strain: 2 %, well before those that pause.
    pub const STRAINING_BOUNCES: u64 = 200;
    /// Under so many mails, complaints say nothing yet.
    pub const LEAST_FOR_COMPLAINTS: u64 = 300;
    /// Complaints that pause: 0.30 %, which Google asks bulk senders never to reach
    /// (<https://support.google.com/a/answer/81126>).
    pub const PAUSING_COMPLAINTS: u64 = 30;
    /// Complaints that strain: 0.10 %, under which Google asks them to stay.
    pub const STRAINING_COMPLAINTS: u64 = 10;
    /// A single complaint may strain, and never pauses: one of three hundred recipients proves no rate.
    pub const LEAST_COMPLAINTS: u64 = 2;

    /// Judges by how many mails were sent in some stretch of time, and how many of these came back for good or were
    /// complained about.
    #[must_use]
    pub const fn judge(sent: u64, bounced: u64, complained: u64) -> Self {
        const fn reaches(part: u64, of: u64, hundredths: u64) -> bool {
            part as u128 * 10_000 >= of as u128 * hundredths as u128
        }
        let bounces = sent >= Self::LEAST_FOR_BOUNCES;
        let complaints = sent >= Self::LEAST_FOR_COMPLAINTS;
        if complaints && complained >= Self::LEAST_COMPLAINTS && reaches(complained, sent, Self::PAUSING_COMPLAINTS) {
            Self::Paused(HealthReason::Complaints)
        } else if bounces && reaches(bounced, sent, Self::PAUSING_BOUNCES) {
            Self::Paused(HealthReason::Bounces)
        } else if complaints && reaches(complained, sent, Self::STRAINING_COMPLAINTS) {
            Self::Strained(HealthReason::Complaints)
        } else if bounces && reaches(bounced, sent, Self::STRAINING_BOUNCES) {
            Self::Strained(HealthReason::Bounces)
        } else {
            Self::Good
        }
    }
}

#[cfg(test)]
mod tests;
