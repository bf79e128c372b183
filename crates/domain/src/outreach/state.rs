//! Where campaigns, leads, emails and the accounts that send them are in their lives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};

/// Where a campaign is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// It is being written. Nothing is sent.
    Draft,
    /// Its emails are sent as they fall due.
    Running,
    /// Nothing is sent until it runs again; nothing is lost either.
    Paused,
    /// It is over. What was not sent never will be.
    Stopped,
}

words!(CampaignState { Draft = "draft", Running = "running", Paused = "paused", Stopped = "stopped" });

impl CampaignState {
    /// Whether a campaign may go from this state to another.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Draft | Self::Paused, Self::Running)
                | (Self::Running, Self::Paused)
                | (Self::Draft | Self::Running | Self::Paused, Self::Stopped)
        )
    }
}

/// Where a lead is in its campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeadState {
    /// Nothing was written to it yet.
    New,
    /// It is on its way through the steps.
    Active,
    /// The last step was sent.
    Finished,
    /// It has answered.
    Replied,
    /// It wants no more mail.
    Unsubscribed,
    /// Its address does not take mail.
    Bounced,
    /// It has called the mail junk.
    Complained,
    /// Somebody of the organisation has stopped it, or its address or domain is suppressed.
    Stopped,
}

words!(LeadState {
    New = "new",
    Active = "active",
    Finished = "finished",
    Replied = "replied",
    Unsubscribed = "unsubscribed",
    Bounced = "bounced",
    Complained = "complained",
    Stopped = "stopped",
});

impl LeadState {
    /// Whether more may be written to a lead in this state.
    #[must_use]
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::New | Self::Active)
    }
}

/// How far a list of people is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// More of it is to come.
    Running,
    /// It was read to its end.
    Finished,
    /// Somebody has ended it. What was read by then stays.
    Cancelled,
}

words!(ImportState { Running = "running", Finished = "finished", Cancelled = "cancelled" });

/// Where an email is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailState {
    /// It is to be sent when it falls due: for the first time, or again after an answer that was no for now.
    Scheduled,
    /// A worker has it, and no byte has gone out that could make a server accept it.
    Claimed,
    /// Such a byte may have gone out.
    InFlight,
    /// The server of the account has taken it.
    Accepted,
    /// It was refused for good.
    Rejected,
    /// Nobody knows whether it was accepted. It is never sent again by itself.
    Unknown,
    /// It was not sent, and will not be.
    Cancelled,
}

words!(EmailState {
    Scheduled = "scheduled",
    Claimed = "claimed",
    InFlight = "in_flight",
    Accepted = "accepted",
    Rejected = "rejected",
    Unknown = "unknown",
    Cancelled = "cancelled",
});

/// Whether an account sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// It sends.
    Active,
    /// Somebody has told it to rest, or too much of what it sent came back.
    Paused,
    /// Its provider no longer takes its sign-in. What it owes waits until somebody signs in again.
    Reconnect,
}

words!(AccountState { Active = "active", Paused = "paused", Reconnect = "reconnect" });

/// Why nothing more is written to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// They have answered.
    Replied,
    /// They want no more.
    Unsubscribed,
    /// Their address does not take mail.
    Bounced,
    /// They have called it junk.
    Complained,
    /// Somebody of the organisation has stopped them.
    Stopped,
}

words!(StopReason {
    Replied = "replied",
    Unsubscribed = "unsubscribed",
    Bounced = "bounced",
    Complained = "complained",
    Stopped = "stopped",
});

impl StopReason {
    /// What the lead becomes.
    #[must_use]
    pub const fn lead(self) -> LeadState {
        match self {
            Self::Replied => LeadState::Replied,
            Self::Unsubscribed => LeadState::Unsubscribed,
            Self::Bounced => LeadState::Bounced,
            Self::Complained => LeadState::Complained,
            Self::Stopped => LeadState::Stopped,
        }
    }

    /// Why the address may not be written to by anybody of the organisation from then on; nothing where only this
    /// campaign ends.
    #[must_use]
    pub const fn suppresses(self) -> Option<SuppressionReason> {
        match self {
            Self::Unsubscribed => Some(SuppressionReason::Unsubscribed),
            Self::Bounced => Some(SuppressionReason::Bounced),
            Self::Complained => Some(SuppressionReason::Complained),
            Self::Replied | Self::Stopped => None,
        }
    }
}

/// Why an address or a domain is on the suppression list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// Whoever has it wants no mail.
    Unsubscribed,
    /// It does not take mail.
    Bounced,
    /// Whoever has it has called mail junk.
    Complained,
    /// Somebody of the organisation has put it there.
    Manual,
}

words!(SuppressionReason {
    Unsubscribed = "unsubscribed",
    Bounced = "bounced",
    Complained = "complained",
    Manual = "manual",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_that_is_over_stays_over() {
        for next in CampaignState::ALL {
            assert!(!CampaignState::Stopped.may_become(*next));
            assert!(!next.may_become(CampaignState::Draft), "{next}");
            assert!(!next.may_become(*next), "{next}");
        }
        assert!(CampaignState::Paused.may_become(CampaignState::Running));
    }

    #[test]
    fn whoever_is_stopped_is_written_to_no_more() {
        for reason in StopReason::ALL {
            assert!(!reason.lead().goes_on(), "{reason}");
        }
    }
}
