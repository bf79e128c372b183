//! Every statement, by module. The plan test and the conformance suite read it.

use crate::sql::Sql;

/// The lists of all modules.
pub(crate) fn statements() -> impl Iterator<Item = &'static Sql> {
    let modules = [
        crate::accounts::STATEMENTS,
        crate::alerts::STATEMENTS,
        crate::api_keys::STATEMENTS,
        crate::client_reports::STATEMENTS,
        crate::conversations::STATEMENTS,
        crate::credentials::STATEMENTS,
        crate::flags::STATEMENTS,
        crate::audits::STATEMENTS,
        crate::backup::catalogue::STATEMENTS,
        crate::controls::STATEMENTS,
        crate::deployments::STATEMENTS,
        crate::facts::STATEMENTS,
        crate::health::STATEMENTS,
        crate::housekeeping::STATEMENTS,
        crate::idempotency::STATEMENTS,
        crate::images::STATEMENTS,
        crate::images::housekeeping::STATEMENTS,
        crate::images::newest::STATEMENTS,
        crate::lease::STATEMENTS,
        crate::members::STATEMENTS,
        crate::messages::STATEMENTS,
        crate::nodes::STATEMENTS,
        crate::revocations::STATEMENTS,
        crate::samples::STATEMENTS,
        crate::sessions::STATEMENTS,
        crate::signing_keys::STATEMENTS,
        crate::stream::STATEMENTS,
        crate::sync::STATEMENTS,
    ];
    let folders = [
        crate::audit_trail::ALL_STATEMENTS,
        crate::billing::ALL_STATEMENTS,
        crate::replays::ALL_STATEMENTS,
        crate::jobs::ALL_STATEMENTS,
        crate::privacy::ALL_STATEMENTS,
        crate::inbox::ALL_STATEMENTS,
        crate::keys::ALL_STATEMENTS,
        crate::deliveries::ALL_STATEMENTS,
        crate::experiments::ALL_STATEMENTS,
        crate::turns::STATEMENTS,
        crate::metering::STATEMENTS,
        crate::reception::ALL_STATEMENTS,
        crate::calendars::ALL_STATEMENTS,
        crate::calls::ALL_STATEMENTS,
        crate::texts::ALL_STATEMENTS,
        crate::knowledge::ALL_STATEMENTS,
        crate::outreach::ALL_STATEMENTS,
        crate::voice::ALL_STATEMENTS,
    ];
    modules.into_iter().chain(folders.into_iter().flatten().copied()).flatten()
}
