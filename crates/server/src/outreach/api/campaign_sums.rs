//! What came of a campaign in all, as a list of campaigns tells it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What came of a campaign in all: leads, emails by where they are, and those of what was sent that something became of.
#[derive(Serialize, ToSchema)]
#[schema(as = CampaignFigures)]
pub struct SumsBody {
    leads: i64,
    queued: i64,
    /// Servers took them.
    sent: i64,
    rejected: i64,
    unknown: i64,
    cancelled: i64,
    /// By people, as are those that are clicked.
    opened: i64,
    clicked: i64,
    replied: i64,
    bounced: i64,
    complained: i64,
    unsubscribed: i64,
    converted: i64,
}

impl From<BTreeMap<String, i64>> for SumsBody {
    fn from(sums: BTreeMap<String, i64>) -> Self {
        let of = |kind: &str| sums.get(kind).copied().unwrap_or(0);
        Self {
            leads: sums.iter().filter(|(kind, _)| kind.starts_with("lead_")).map(|(_, number)| number).sum(),
            queued: of("queued"),
            sent: of("accepted"),
            rejected: of("rejected"),
            unknown: of("unknown"),
            cancelled: of("cancelled"),
            opened: of("opened"),
            clicked: of("clicked"),
            replied: of("replied"),
            bounced: of("bounced"),
            complained: of("complained"),
            unsubscribed: of("unsubscribed"),
            converted: of("converted"),
        }
    }
}
