//! Every check on one page, and how many each profile asks for.

use super::check::{Check, Mode};
use super::checks::{
    backups, capacity, conversations, data, delivery, mail, observability, outreach, recordings, resilience, secrets,
    security, strangers, transport,
};
use super::profile::Profile;

/// All checks, group by group.
pub static ALL: std::sync::LazyLock<Vec<&'static Check>> = std::sync::LazyLock::new(|| {
    let groups = [
        security::CHECKS,
        transport::CHECKS,
        strangers::CHECKS,
        recordings::CHECKS,
        secrets::CHECKS,
        data::CHECKS,
        conversations::CHECKS,
        backups::CHECKS,
        capacity::CHECKS,
        resilience::CHECKS,
        observability::CHECKS,
        delivery::CHECKS,
        outreach::CHECKS,
        mail::CHECKS,
    ];
    groups.into_iter().flatten().collect()
});

/// How many checks a profile must have that go as far as this. A report that has fewer has left some out.
#[must_use]
pub fn asked_of(profile: Profile, mode: Mode) -> usize {
    ALL.iter().filter(|check| check.from <= profile && check.mode <= mode).count()
}
