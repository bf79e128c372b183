//! A call, as it is pieced together from events that arrive in any order, some twice and some never.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};
use crate::{ContactId, PhoneCallId, Timestamp};

/// Where a call is in its life. A later one is never followed by an earlier one, whatever arrives last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It is to be made later.
    Scheduled,
    /// It waits to be made.
    Queued,
    /// It rings.
    Ringing,
    /// Somebody speaks.
    InProgress,
    /// It is passed on to somebody.
    Forwarding,
    /// Nothing was heard of it for so long that it cannot go on.
    Lost,
    /// It is over.
    Ended,
}

words!(CallState {
    Scheduled = "scheduled",
    Queued = "queued",
    Ringing = "ringing",
    InProgress = "in_progress",
    Forwarding = "forwarding",
    Lost = "lost",
    Ended = "ended",
});

impl CallState {
    /// Whether it may still go on.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Lost | Self::Ended)
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// Somebody called the organisation.
    Inbound,
    /// The organisation called somebody.
    Outbound,
    /// It takes place in a browser.
    Web,
}

words!(CallDirection { Inbound = "inbound", Outbound = "outbound", Web = "web" });

/// The most that the agent did in a call: of several the last of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// A question was answered.
    Answered,
    /// Somebody was passed on.
    Transferred,
    /// A message was taken.
    MessageTaken,
    /// An appointment was cancelled.
    Cancelled,
    /// An appointment was moved.
    Rescheduled,
    /// An appointment was made.
    Booked,
}

words!(CallOutcome {
    Answered = "answered",
    Transferred = "transferred",
    MessageTaken = "message_taken",
    Cancelled = "cancelled",
    Rescheduled = "rescheduled",
    Booked = "booked",
});

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneCall {
    /// Its id.
    pub id: PhoneCallId,
    /// The provider's id of it.
    pub provider_id: String,
    /// Who called whom.
    pub direction: CallDirection,
    /// Where it is in its life.
    pub state: CallState,
    /// The number of the other side (E.164).
    pub number: Option<String>,
    /// Who that is.
    pub contact: Option<ContactId>,
    /// When somebody first spoke.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When something of it was last told.
    pub heard_at: Timestamp,
    /// Why it ended, in the provider's word.
    pub ended_reason: Option<String>,
    /// When the report came that is made after a call.
    pub reported_at: Option<Timestamp>,
    /// What it was about.
    pub summary: Option<String>,
    /// What was said: JSON.
    pub transcript: Option<String>,
    /// Where it can be heard.
    pub recording_url: Option<String>,
    /// What it cost, in millionths of a dollar.
    pub cost_micros: Option<i64>,
    /// The most that the agent did in it.
    pub outcome: Option<CallOutcome>,
    /// When it was first told of.
    pub created_at: Timestamp,
}

/// What an event tells of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTold {
    /// Where it is in its life.
    pub state: Option<CallState>,
    /// Who called whom.
    pub direction: Option<CallDirection>,
    /// The number of the other side (E.164).
    pub number: Option<String>,
    /// When somebody first spoke.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When this was so.
    pub at: Option<Timestamp>,
    /// Why it ended.
    pub ended_reason: Option<String>,
    /// What the agent did.
    pub outcome: Option<CallOutcome>,
    /// Whether it is the report that is made after a call: what is below is read from it alone, and its reason counts.
    pub report: bool,
    /// What it was about.
    pub summary: Option<String>,
    /// What was said: JSON.
    pub transcript: Option<String>,
    /// Where it can be heard.
    pub recording_url: Option<String>,
    /// What it cost, in millionths of a dollar.
    pub cost_micros: Option<i64>,
}

impl PhoneCall {
    /// A call that nobody has told of before.
    #[must_use]
    pub fn new(id: PhoneCallId, provider_id: String, now: Timestamp) -> Self {
        Self {
            id,
            provider_id,
            direction: CallDirection::Inbound,
            state: CallState::Scheduled,
            number: None,
            contact: None,
            started_at: None,
            ended_at: None,
            heard_at: Timestamp::EPOCH,
            ended_reason: None,
            reported_at: None,
            summary: None,
            transcript: None,
            recording_url: None,
            cost_micros: None,
            outcome: None,
            created_at: now,
        }
    }

    /// Takes in what an event tells. Whatever the order of the events of a call, and however often each comes, the end is
    /// the same: of each thing the furthest, the earliest or the latest counts, and what only the report says comes from it.
    pub fn hear(&mut self, told: &CallTold, now: Timestamp) {
        self.state = told.state.map_or(self.state, |state| state.max(self.state));
        self.direction = told.direction.unwrap_or(self.direction);
        if self.number.is_none() {
            self.number.clone_from(&told.number);
        }
        self.started_at = [self.started_at, told.started_at].into_iter().flatten().min();
        self.ended_at = self.ended_at.max(told.ended_at);
        self.outcome = self.outcome.max(told.outcome);
        self.heard_at = self.heard_at.max(told.at.unwrap_or(now));
        if told.report {
            self.reported_at = Some(self.reported_at.map_or(now, |before| before.min(now)));
            self.summary.clone_from(&told.summary);
            self.transcript.clone_from(&told.transcript);
            self.recording_url.clone_from(&told.recording_url);
            self.cost_micros = told.cost_micros;
        }
        if told.ended_reason.is_some() && (told.report || self.reported_at.is_none()) {
            self.ended_reason.clone_from(&told.ended_reason);
        }
    }

    /// How long it took, in milliseconds; nothing before it has ended, and where nobody spoke.
    #[must_use]
    pub fn duration_millis(&self) -> Option<u64> {
        let took = self.ended_at?.since(self.started_at?);
        u64::try_from(took.as_millis()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + seconds * 1_000)
    }

    fn status(state: CallState, seconds: i64) -> CallTold {
        let ended = state == CallState::Ended;
        CallTold {
            state: Some(state),
            direction: Some(CallDirection::Outbound),
            number: Some("+15005550100".to_owned()),
            started_at: (state == CallState::InProgress).then(|| at(seconds)),
            ended_at: ended.then(|| at(seconds)),
            at: Some(at(seconds)),
            ended_reason: ended.then(|| "customer-ended-call".to_owned()),
            ..CallTold::default()
        }
    }

    fn report() -> CallTold {
        CallTold {
            state: Some(CallState::Ended),
            started_at: Some(at(4)),
            ended_at: Some(at(187)),
            at: Some(at(200)),
            ended_reason: Some("assistant-ended-call".to_owned()),
            report: true,
            summary: Some("A cleaning was booked.".to_owned()),
            transcript: Some("[]".to_owned()),
            recording_url: Some("https://storage.example/rec.wav".to_owned()),
            cost_micros: Some(142_100),
            ..CallTold::default()
        }
    }

    proptest! {
        /// Every event at least once, in any order.
        #[test]
        fn the_order_of_events_does_not_matter(
            order in Just(vec![0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]).prop_shuffle(), more in 0..6_usize,
        ) {
            let events = [
                status(CallState::Queued, 0),
                status(CallState::Ringing, 2),
                status(CallState::InProgress, 5),
                status(CallState::Forwarding, 90),
                status(CallState::Ended, 186),
                report(),
            ];
            let heard = |places: &mut dyn Iterator<Item = usize>| {
                let mut call = PhoneCall::new(PhoneCallId(uuid::Uuid::nil()), "call-1".to_owned(), at(0));
                places.for_each(|place| call.hear(&events[place], at(300)));
                call
            };
            let expected = heard(&mut (0..6));
            prop_assert_eq!(heard(&mut order.into_iter().chain([more])), expected.clone());
            prop_assert_eq!((expected.state, expected.duration_millis()), (CallState::Ended, Some(183_000)));
            prop_assert_eq!(expected.ended_reason.as_deref(), Some("assistant-ended-call"), "the report knows it");
        }
    }

    #[test]
    fn a_call_that_was_lost_may_still_end() {
        let mut call = PhoneCall::new(PhoneCallId(uuid::Uuid::nil()), "call-1".to_owned(), at(0));
        call.hear(&status(CallState::InProgress, 5), at(5));
        call.hear(&CallTold { state: Some(CallState::Lost), ..CallTold::default() }, at(4_000));
        assert_eq!((call.state, call.state.is_live(), call.duration_millis()), (CallState::Lost, false, None));
        call.hear(&status(CallState::InProgress, 5), at(4_001));
        assert_eq!(call.state, CallState::Lost);
        call.hear(&report(), at(4_002));
        assert_eq!((call.state, call.cost_micros), (CallState::Ended, Some(142_100)));
    }
}
