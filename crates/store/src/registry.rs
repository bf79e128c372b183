//! Every statement, by module. The plan test and the conformance suite read it.

use crate::sql::Sql;

/// The lists of all modules.
pub(crate) fn statements() -> impl Iterator<Item = &'static Sql> {
    let modules = [
        crate::accounts::STATEMENTS,
        crate::api_keys::STATEMENTS,
        crate::conversations::STATEMENTS,
        crate::health::STATEMENTS,
        crate::housekeeping::STATEMENTS,
        crate::idempotency::STATEMENTS,
        crate::lease::STATEMENTS,
        crate::members::STATEMENTS,
        crate::messages::STATEMENTS,
        crate::nodes::STATEMENTS,
        crate::revocations::STATEMENTS,
        crate::sessions::STATEMENTS,
        crate::signing_keys::STATEMENTS,
        crate::stream::STATEMENTS,
        crate::sync::STATEMENTS,
    ];
    modules
        .into_iter()
        .chain(crate::turns::STATEMENTS.iter().copied())
        .chain(crate::metering::STATEMENTS.iter().copied())
        .flatten()
}
