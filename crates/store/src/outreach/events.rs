//! What endpoints of an organisation are told of emails.
//!
//! An event is published in the transaction of what it tells, where an endpoint wants it: of what nobody wants the email
//! itself is the record.

use std::collections::BTreeMap;

use mainstay_domain::{EventId, EventType, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::figures::{Became, Of};
use crate::NewEvent;
use crate::deliveries::derived;
use crate::deliveries::publish::publish_wanted;
use crate::error::{Error, Result};
use crate::tx::Tx;
use crate::value::json;

/// The types of events that tell of emails, with what each means.
pub const EMAIL_EVENTS: [(&str, &str); 10] = [
    ("email.sent", "A server has taken an email of a campaign."),
    ("email.rejected", "An email was refused for good, and is not offered again."),
    ("email.unknown", "Nobody knows whether an email was sent. It is never sent again by itself."),
    ("email.opened", "Somebody has opened an email, for the first time."),
    ("email.clicked", "Somebody has followed a link of an email, for the first time."),
    ("email.replied", "An email was answered."),
    ("email.bounced", "An email came back."),
    ("email.complained", "An email was called junk."),
    ("email.unsubscribed", "By an email, somebody said that they want no more."),
    ("email.converted", "A lead did what its campaign is for."),
];

/// What became of an email, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Sent,
    Rejected,
    Unknown,
    Became(Became),
}

impl Told {
    /// The type of the event; nothing for what machines do.
    const fn kind(self) -> Option<&'static str> {
        Some(match self {
            Self::Sent => "email.sent",
            Self::Rejected => "email.rejected",
            Self::Unknown => "email.unknown",
            Self::Became(became) => match became {
                Became::Opened => "email.opened",
                Became::Clicked => "email.clicked",
                Became::Replied => "email.replied",
                Became::Bounced => "email.bounced",
                Became::Complained => "email.complained",
                Became::Unsubscribed => "email.unsubscribed",
                Became::Converted => "email.converted",
                Became::MachineOpened | Became::MachineClicked => return None,
            },
        })
    }
}

/// Which email, and whom it went to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) of: Of,
    pub(crate) email: Uuid,
    pub(crate) lead: Uuid,
    pub(crate) address: String,
}

/// The data of an event.
#[derive(Serialize)]
struct Payload<'a> {
    email_id: Uuid,
    campaign_id: Uuid,
    lead_id: Uuid,
    email: &'a str,
    step: i64,
    variant_id: Uuid,
    account_id: Uuid,
}

/// Tells of emails.
pub(super) async fn tell(tx: &mut Tx<'_>, told: &[(Subject, Told, Timestamp)]) -> Result<()> {
    let mut events: BTreeMap<TenantId, (Timestamp, Vec<NewEvent>)> = BTreeMap::new();
    for (subject, told, at) in told {
        let Some(kind) = told.kind() else { continue };
        let of = subject.of;
        let payload = Payload {
            email_id: subject.email,
            campaign_id: of.campaign_id,
            lead_id: subject.lead,
            email: &subject.address,
            step: of.step,
            variant_id: of.variant_id,
            account_id: of.account_id,
        };
        let event = NewEvent {
            id: EventId(derived(*at, &[subject.email.as_bytes(), kind.as_bytes()])),
            kind: EventType::parse(kind).map_err(|refused| Error::Bug(refused.detail))?,
            payload: json(&payload)?,
        };
        let of_tenant = events.entry(TenantId(of.tenant_id)).or_insert((*at, Vec::new()));
        of_tenant.0 = of_tenant.0.max(*at);
        of_tenant.1.push(event);
    }
    for (tenant, (at, events)) in events {
        publish_wanted(tx, tenant, events, at).await?;
    }
    Ok(())
}
