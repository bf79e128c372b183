//! What has become of each alert since the last look, and what somebody is told: without a clock, a database or a network.
//!
//! Something that is wrong begins an alert. When it has been wrong for long enough the alert fires; when it has been well for
//! long enough, a tenth better than allowed, the alert is over. What fires and what is over within a while goes into one
//! message, so that a storm is one.

use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_store::Alert;
use uuid::Uuid;

use crate::config::Alerts;

/// What was measured of something that has a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The name of the rule.
    pub rule: &'static str,
    /// What it is about.
    pub subject: String,
    /// How much it is.
    pub value: f64,
    /// What is allowed.
    pub threshold: f64,
    /// At or below this it is well again.
    pub well_at: f64,
}

impl Seen {
    fn is_wrong(&self) -> bool {
        self.value > self.threshold
    }
}

/// How patient the judge is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For how long something must be wrong.
    pub after: Duration,
    /// For how long it must be well again.
    pub calm: Duration,
    /// For how long news are gathered.
    pub group: Duration,
    /// When it is told again of what is still wrong.
    pub repeat: Duration,
}

/// After this without a measurement what was wrong is taken for gone, such as a node that was taken away.
const UNSEEN: Duration = Duration::from_secs(300);

impl Patience {
    /// As the settings say.
    #[must_use]
    pub const fn of(settings: &Alerts) -> Self {
        Self {
            after: Duration::from_secs(settings.after_seconds),
            calm: Duration::from_secs(settings.calm_seconds),
            group: Duration::from_secs(settings.group_seconds),
            repeat: Duration::from_secs(settings.repeat_hours * 3600),
        }
    }
}

/// What follows from a look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Alerts that are new or have changed.
    pub changed: Vec<Alert>,
    /// Those that passed before they fired.
    pub dropped: Vec<Uuid>,
    /// What has fired and was not told of.
    pub fired: Vec<Alert>,
    /// What was told of long ago and is still wrong.
    pub lasting: Vec<Alert>,
    /// What is over.
    pub over: Vec<Alert>,
    /// How many alerts are firing now.
    pub firing: usize,
}

impl Judged {
    /// Whether there is something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.fired.is_empty() || !self.lasting.is_empty() || !self.over.is_empty()
    }
}

/// Judges what was seen. `tells` says whether anybody is there to be told; else nothing is told, and is told of later.
pub fn judge(
    open: Vec<Alert>,
    seen: &[Seen],
    patience: Patience,
    (now, tells): (Timestamp, bool),
    mut make: impl FnMut() -> Uuid,
) -> Judged {
    let mut judged = Judged::default();
    let is_open = |one: &Seen| {
        open.iter().any(|alert| alert.ended_at.is_none() && alert.rule == one.rule && alert.subject == one.subject)
    };
    let begun = seen.iter().filter(|one| one.is_wrong() && !is_open(one));
    let mut alerts: Vec<(Alert, bool)> = Vec::new();
    for one in begun {
        let mut alert = begin(one, now, make());
        fire(&mut alert, patience, now);
        alerts.push((alert, true));
    }
    for mut alert in open {
        let one = seen.iter().find(|one| one.rule == alert.rule && one.subject == alert.subject);
        if alert.ended_at.is_some() {
            alerts.push((alert, false));
            continue;
        }
        if let Some(one) = one {
            (alert.value, alert.threshold) = (one.value, one.threshold);
        }
        let changed = if alert.fired_at.is_some() {
            calm(&mut alert, one, patience, now)
        } else if one.is_some_and(Seen::is_wrong) {
            fire(&mut alert, patience, now)
        } else {
            judged.dropped.push(alert.id);
            continue;
        };
        alerts.push((alert, changed));
    }
    judged.firing = alerts.iter().filter(|(alert, _)| alert.fired_at.is_some() && alert.ended_at.is_none()).count();
    if tells {
        tell(&mut alerts, &mut judged, patience, now);
    }
    judged.changed = alerts.into_iter().filter(|(_, changed)| *changed).map(|(alert, _)| alert).collect();
    judged
}

fn begin(one: &Seen, now: Timestamp, id: Uuid) -> Alert {
    Alert {
        id,
        rule: one.rule.to_owned(),
        subject: one.subject.clone(),
        value: one.value,
        threshold: one.threshold,
        began_at: now,
        fired_at: None,
        calm_at: None,
        told_at: None,
        ended_at: None,
        end_told_at: None,
    }
}

/// Lets an alert fire that has been wrong for long enough. Whether it did.
fn fire(alert: &mut Alert, patience: Patience, now: Timestamp) -> bool {
    let is_due = now.since(alert.began_at) >= patience.after;
    if is_due {
        alert.fired_at = Some(now);
    }
    is_due
}

/// Ends an alert that has been well for long enough. Whether anything has changed.
fn calm(alert: &mut Alert, one: Option<&Seen>, patience: Patience, now: Timestamp) -> bool {
    let (is_well, enough) = match one {
        Some(one) => (one.value <= one.well_at, patience.calm),
        None => (true, patience.calm.max(UNSEEN)),
    };
    let before = (alert.calm_at, alert.ended_at);
    if is_well {
        let since = *alert.calm_at.get_or_insert(now);
        if now.since(since) >= enough {
            alert.ended_at = Some(now);
        }
    } else {
        alert.calm_at = None;
    }
    before != (alert.calm_at, alert.ended_at)
}

/// Puts together what is to be told, once its first part has waited for the rest.
fn tell(alerts: &mut [(Alert, bool)], judged: &mut Judged, patience: Patience, now: Timestamp) {
    let due = |alert: &Alert| match (alert.fired_at, alert.told_at, alert.ended_at) {
        // What was over before anybody was told is not told.
        (Some(fired), None, None) => Some(fired),
        (_, Some(told), None) => Some(told.plus(patience.repeat)),
        (_, Some(_), Some(ended)) if alert.end_told_at.is_none() => Some(ended),
        _ => None,
    };
    let is_ripe = alerts
        .iter()
        .filter_map(|(alert, _)| due(alert))
        .any(|since| since <= now && now.since(since) >= patience.group);
    if !is_ripe {
        return;
    }
    for (alert, changed) in alerts.iter_mut() {
        if due(alert).is_none_or(|since| since > now) {
            continue;
        }
        *changed = true;
        if alert.ended_at.is_some() {
            alert.end_told_at = Some(now);
            judged.over.push(alert.clone());
        } else if alert.told_at.replace(now).is_some() {
            judged.lasting.push(alert.clone());
        } else {
            judged.fired.push(alert.clone());
        }
    }
}

#[cfg(test)]
mod tests;
