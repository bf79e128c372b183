//! How the services are that this installation needs from others, told from what its own requests to them came to. Nobody
//! is asked for it: a check that calls a provider costs money, and would be one more thing that can fail.
//!
//! Lives in one process: each node tells of its own requests.

use std::time::Duration;

use super::{Check, Status};
use crate::app::App;
use crate::providers::{BreakerState, LastOutcome};

/// For how long a failure says something of the present.
const RECENT: Duration = Duration::from_secs(300);

/// A service of somebody else.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Any of those with the same word can do the work of the others; nothing, when the installation goes on without it.
    pub(crate) needed_for: Option<&'static str>,
    /// What its breaker does with the next request.
    pub(crate) breaker: BreakerState,
    /// What the last request came to.
    pub(crate) last: Option<LastOutcome>,
}

/// All of them that are set up.
pub(crate) fn services(app: &App) -> Vec<Service> {
    let models = app.assistant.provider_figures().into_iter().map(|figures| Service {
        name: figures.provider,
        needed_for: Some("replies"),
        breaker: figures.breaker,
        last: figures.last,
    });
    let payments = app.fastspring.as_ref().map(|api| {
        let (breaker, last) = api.standing();
        Service { name: "fastspring", needed_for: None, breaker, last }
    });
    let (breaker, last) = app.texts.provider().api().standing();
    // Whoever sends none has not asked it.
    let texts = last.map(|last| Service { name: "twilio", needed_for: None, breaker, last: Some(last) });
    let calendars = app.calendars.api().map(|api| {
        let (breaker, last) = api.standing();
        Service { name: "google_calendar", needed_for: None, breaker, last }
    });
    // One OAuth client is for both: where nobody has an account at Gmail, it was never asked.
    let mail = app.outreach.gmail().and_then(|api| {
        let (breaker, last) = api.standing();
        last.map(|last| Service { name: "gmail", needed_for: None, breaker, last: Some(last) })
    });
    let watching = &app.watching;
    let told =
        watching.alerts.sender.services().chain(watching.error_reports.service()).chain(watching.traces.service());
    models.chain(payments).chain(texts).chain(calendars).chain(mail).chain(told).collect()
}

/// How each is. One that is left alone fails only when no other can do its work.
pub(crate) fn judge(services: &[Service]) -> Vec<(&'static str, Check)> {
    let open = |service: &Service| service.breaker == BreakerState::Open;
    let replaced = |service: &Service| match service.needed_for {
        None => true,
        Some(work) => services.iter().any(|other| other.needed_for == Some(work) && !open(other)),
    };
    services
        .iter()
        .map(|service| {
            let failed = service.last.filter(|last| last.fault.is_some() && last.ago < RECENT).is_some();
            let status = match service.breaker {
                BreakerState::Open if !replaced(service) => Status::Failing,
                BreakerState::Open | BreakerState::HalfOpen => Status::Degraded,
                BreakerState::Closed if failed => Status::Degraded,
                BreakerState::Closed => Status::Ok,
            };
            let age = service.last.map_or(Duration::ZERO, |last| last.ago);
            (service.name, Check { age_ms: super::millis(age), ..Check::of(status, words(service)) })
        })
        .collect()
}

fn words(service: &Service) -> String {
    let breaker = match service.breaker {
        BreakerState::Closed => "",
        BreakerState::HalfOpen => "it is being tried again; ",
        BreakerState::Open => "it keeps failing and is left alone for a while; ",
    };
    let last = match service.last {
        None => "it was not asked yet".to_owned(),
        Some(LastOutcome { ago, fault: None }) => format!("it answered {} s ago", ago.as_secs()),
        Some(LastOutcome { ago, fault: Some(code) }) => {
            format!("its last answer failed {} s ago: {code}", ago.as_secs())
        }
    };
    format!("{breaker}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(
        name: &'static str,
        needed_for: Option<&'static str>,
        breaker: BreakerState,
        fault: Option<&'static str>,
    ) -> Service {
        Service { name, needed_for, breaker, last: Some(LastOutcome { ago: Duration::from_secs(7), fault }) }
    }

    fn seen(services: &[Service]) -> Vec<(&'static str, Status)> {
        judge(services).into_iter().map(|(name, check)| (name, check.status)).collect()
    }

    #[test]
    fn one_that_is_left_alone_fails_only_when_no_other_does_its_work() {
        use BreakerState::{Closed, HalfOpen, Open};
        let replies = Some("replies");
        let open = service("a", replies, Open, Some("timeout"));
        assert_eq!(seen(std::slice::from_ref(&open)), [("a", Status::Failing)]);
        let both = [open.clone(), service("b", replies, Closed, None)];
        assert_eq!(seen(&both), [("a", Status::Degraded), ("b", Status::Ok)]);
        let neither = [open.clone(), service("b", replies, Open, Some("timeout"))];
        assert_eq!(seen(&neither), [("a", Status::Failing), ("b", Status::Failing)]);
        let tried = [open, service("b", replies, HalfOpen, Some("timeout"))];
        assert_eq!(seen(&tried), [("a", Status::Degraded), ("b", Status::Degraded)]);
        assert_eq!(seen(&[service("c", None, Open, Some("timeout"))]), [("c", Status::Degraded)]);
    }

    #[test]
    fn a_failure_is_told_while_it_is_recent() {
        let mut once = service("a", Some("replies"), BreakerState::Closed, Some("timeout"));
        let (_, check) = judge(std::slice::from_ref(&once)).remove(0);
        assert_eq!(
            (check.status, check.detail.as_str()),
            (Status::Degraded, "its last answer failed 7 s ago: timeout")
        );
        assert_eq!(check.age_ms, 7000);
        once.last = Some(LastOutcome { ago: RECENT, fault: Some("timeout") });
        assert_eq!(seen(std::slice::from_ref(&once)), [("a", Status::Ok)]);
        once.last = None;
        assert_eq!(judge(&[once]).remove(0).1.detail, "it was not asked yet");
    }
}
