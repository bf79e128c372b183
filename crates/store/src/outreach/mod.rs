//! Outreach: campaigns, leads, the accounts that send, and the emails themselves.
//!
//! An email is a row from the moment that it is known of, one for each campaign, lead and step. It is sent by the account
//! that it names and by nobody else; one run works on an account at a time, and each run has a number. A run claims emails
//! within the account's cap; it says that one is in flight before the first byte goes out that could make a server accept
//! it; and what the server said is kept by whoever said that. A run that begins finds what the one before it has left:
//! claimed is to be sent, in flight is unknown. What is unknown is never sent again by itself.

pub(crate) mod accounts;
pub(crate) mod advancing;
pub(crate) mod auditing;
pub(crate) mod campaigns;
pub(crate) mod claiming;
pub(crate) mod due;
pub(crate) mod ending;
pub(crate) mod events;
pub(crate) mod exporting;
pub(crate) mod fencing;
pub(crate) mod figures;
pub(crate) mod gmail;
pub(crate) mod housekeeping;
pub(crate) mod importing;
pub(crate) mod lead_list;
pub(crate) mod leads;
pub(crate) mod listing;
pub(crate) mod mailboxes;
pub(crate) mod quota;
pub(crate) mod resolving;
pub(crate) mod running;
pub(crate) mod steps;
pub(crate) mod stopping;
pub(crate) mod sums;
pub(crate) mod suppressing;
pub(crate) mod test_emails;
pub(crate) mod tracking;
pub(crate) mod turns;
pub(crate) mod waking;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[
    accounts::STATEMENTS,
    advancing::STATEMENTS,
    auditing::STATEMENTS,
    campaigns::STATEMENTS,
    claiming::STATEMENTS,
    due::STATEMENTS,
    ending::STATEMENTS,
    exporting::STATEMENTS,
    fencing::STATEMENTS,
    figures::STATEMENTS,
    gmail::STATEMENTS,
    housekeeping::STATEMENTS,
    importing::STATEMENTS,
    lead_list::STATEMENTS,
    leads::STATEMENTS,
    listing::STATEMENTS,
    mailboxes::STATEMENTS,
    quota::STATEMENTS,
    resolving::STATEMENTS,
    running::STATEMENTS,
    steps::STATEMENTS,
    stopping::STATEMENTS,
    sums::STATEMENTS,
    suppressing::STATEMENTS,
    test_emails::STATEMENTS,
    tracking::STATEMENTS,
    turns::STATEMENTS,
    waking::STATEMENTS,
];

use std::collections::BTreeSet;

use mainstay_domain::{EmailId, SendingAccountId, StepVariantId, TenantId, Timestamp};

use uuid::Uuid;

use crate::batcher::Bounds;
use crate::value::Id;

/// The batches of emails that are sent: one for each connection to a server at most, of which a node has no more.
pub(crate) const EMAILS: Bounds = Bounds { lanes: 1, size: 256, size_per_tenant: 128, queue: 10_000 };

/// The queue of accounts that have something to send.
pub const OUTREACH: &str = "outreach";
/// The job that works on an account. There is one for each.
pub const ACCOUNT_KIND: &str = "sending_account";
/// The job that brings that one forward.
pub const ACCOUNT_WAKE_KIND: &str = "sending_account_wake";
/// The queue of mailboxes that are read.
pub const MAILBOXES: &str = "mailboxes";
/// The job that reads a mailbox. There is one for each.
pub const MAILBOX_KIND: &str = "mailbox";
/// The job that clears what a campaign that was stopped has left.
pub const CLEAR_KIND: &str = "campaign_clear";

/// An email to the same lead that is made when the one before it is taken by a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextEmail {
    /// Its id.
    pub id: EmailId,
    /// The step.
    pub step: u32,
    /// Which text.
    pub variant: StepVariantId,
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// When it is to be sent.
    pub due_at: Timestamp,
}

/// A run of an account: the right to send by it, until the next run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOf {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
    /// The number of the run.
    pub run: i64,
}

/// What comes after the `@`.
fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// What an email by an account is called (RFC 5322), without angle brackets: it is known before it is made, and the same
/// however often it is offered.
#[must_use]
pub fn message_id(email: EmailId, address: &str) -> String {
    format!("{email}@{}", domain_of(address))
}

/// The ids of rows, in order.
fn ids(rows: &[Id]) -> BTreeSet<Uuid> {
    rows.iter().map(|row| row.id).collect()
}
