//! `/openapi.json`: made from the handlers themselves, and completed from the table of routes. A test compares it with the
//! table, and `.ci/contract` compares it with what a server answers.

mod answers;
mod schemas;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::collections::HashSet;
use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::accounts::api::{api_keys, auth, members};
use crate::assistant::api as assistant;
use crate::audit_trail::api as audit_trail;
use crate::billing::{api as billing, plan_api as plan};
use crate::calendars::api::{conflicts, connections, feeds, notifications};
use crate::calls::api as calls;
use crate::config::Config;
use crate::controls::api as controls;
use crate::deliveries::api::{endpoints, events as webhooks};
use crate::flags::api as flags;
use crate::images::api as pictures;
use crate::jobs::api as jobs;
use crate::knowledge::api as documents;
use crate::limits::api as limits;
use crate::live::api as live;
use crate::ops::alerts::api as alerts;
use crate::ops::audit::api as audit;
use crate::ops::backup::api as backup;
use crate::ops::client_reports as reports;
use crate::ops::deployments::api as deployments;
use crate::ops::replays::api as recordings;
use crate::ops::system::api as system;
use crate::ops::{health, metrics};
use crate::outreach::api::{
    accounts as sending, campaigns, checklist, conversions, emails, exports, imports, leads, mailboxes, suppressions,
    test_emails,
};
use crate::outreach::{leaving, tracking};
use crate::reception::api::{appointments, availability, contacts, services, settings as reception, staff};
use crate::routes::routes;
use crate::sync::api as sync;
use crate::texts::{api as texts, link};
use crate::voice::api as voice;
use crate::webhooks::api::{events as inbox, senders};
use crate::webhooks::receive as hooks;

#[derive(OpenApi)]
#[openapi(
    info(title = "Mainstay", description = "The backend of AI products that talk to people."),
    modifiers(&Bearer),
    security(("bearer" = [])),
    // Those that parameters alone have.
    components(schemas(
        words::CalendarDay, words::EmailState, words::InboxState, words::JobState, words::LeadSort, words::LeadState,
        words::ListedEmailState, words::DeliveryState, words::Month, words::SuppressionSubject, words::TextState,
    )),
    paths(
        backup::list, backup::make, backup::drill, controls::list, controls::set, controls::clear, controls::changes,
        deployments::list,
        health::live, health::ready, health::database, health::redis, health::queue, health::whole,
        health::providers, health::external_apis, metrics::metrics, document,
        audit::last, audit::make, alerts::list, alerts::test, system::system_health, reports::take, reports::list,
        recordings::take, recordings::withdraw, recordings::list, recordings::get, recordings::consent, recordings::agree,
        auth::sign_up, auth::sign_in, auth::refresh, auth::sign_out, auth::sign_out_everywhere, auth::switch,
        auth::change_password, auth::me, auth::create_organisation,
        members::list, members::add, members::change, members::remove,
        api_keys::list, api_keys::create, api_keys::get, api_keys::revoke,
        limits::refusals, audit_trail::of_organisation, audit_trail::of_installation,
        billing::get_usage, billing::get_members_usage, billing::set_organisation_budget, billing::set_member_budget,
        plan::get_plan, plan::create_checkout, plan::change_plan, plan::cancel_plan, plan::list_invoices,
        assistant::list_conversations, assistant::create_conversation, assistant::get_conversation,
        assistant::rename_conversation, assistant::delete_conversation, assistant::list_messages, assistant::send_into,
        assistant::send_message, assistant::get_generation, assistant::generation_events, assistant::stop_generation,
        pictures::upload, pictures::get,
        documents::list, documents::create, documents::search, documents::get, documents::change, documents::delete,
        endpoints::create, endpoints::list, endpoints::get, endpoints::change, endpoints::delete, endpoints::rotate,
        endpoints::test, endpoints::replay, webhooks::publish, webhooks::types, webhooks::deliveries,
        webhooks::counts, webhooks::delivery, webhooks::cancel, webhooks::replay,
        flags::flags, flags::expose, flags::events, flags::experiments, flags::results,
        hooks::receive, hooks::token, hooks::receive_fastspring,
        senders::list, senders::create, senders::get, senders::change, senders::remove,
        inbox::list, inbox::counts, inbox::get, inbox::cancel, inbox::replay, inbox::replay_all,
        jobs::list, jobs::get, jobs::cancel, jobs::replay, jobs::replay_some, jobs::probes, jobs::promise_probes,
        jobs::queues, jobs::pause, jobs::resume,
        reception::get, reception::put, reception::days, reception::put_day, reception::remove_day,
        services::create, services::list, services::get, services::change,
        staff::create, staff::list, staff::get, staff::change, availability::get,
        contacts::know, contacts::list, contacts::get, contacts::change, contacts::appointments,
        campaigns::list, campaigns::create, campaigns::get, campaigns::change, campaigns::launch, campaigns::pause,
        campaigns::stop, campaigns::steps, campaigns::put_steps, campaigns::accounts, campaigns::use_accounts,
        campaigns::figures, campaigns::sums, exports::figures, exports::leads, checklist::get, conversions::convert, test_emails::preview, test_emails::send, leads::list, leads::add, leads::get, leads::stop,
        sending::list, sending::create, sending::get, sending::change, sending::pause, sending::resume, sending::sign_in,
        sending::finish_sign_in,
        mailboxes::get, mailboxes::put, mailboxes::remove, emails::list, emails::get, emails::resend, emails::sent,
        imports::preview, imports::begin, imports::list, imports::get, imports::content, imports::cancel,
        imports::faults, imports::faults_table, suppressions::list, suppressions::add, suppressions::remove, leaving::show, leaving::leave, tracking::follow,
        texts::list, texts::get, texts::settings, texts::put_settings, texts::opt_outs, link::show, link::cancel,
        link::calendar,
        appointments::book, appointments::list, appointments::get, appointments::change, appointments::shift,
        connections::connect, connections::finish, connections::get, connections::change, connections::disconnect,
        connections::sync, connections::choices, connections::list, connections::busy,
        conflicts::list, conflicts::end, feeds::create, feeds::list, feeds::remove, feeds::file, notifications::receive,
        calls::list, calls::get, calls::messages, calls::handle, calls::agent, calls::put_agent, calls::accesses,
        sync::sync, sync::push, live::ticket, live::live, voice::voice, voice::sessions,
    )
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access token or an API key."))
            .build();
        let ticket = ApiKeyValue::with_description("ticket", "A ticket of `POST /v1/live/tickets`.");
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Query(ticket)));
    }
}

/// The bounds of some routes follow from settings; what they may be answered does not.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let table = Config::from_overrides(&[]).ok().and_then(|config| routes(&config).ok());
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    schemas::complete(&mut document);
    answers::complete(&mut document, table.as_ref().map_or(&[], |(_, table)| table.routes()));
    serde_json::to_string_pretty(&document).unwrap_or_default()
});

/// The document as text.
#[must_use]
pub fn text() -> &'static str {
    &DOCUMENT
}

/// The names of all fields and parameters.
static FIELDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(text()).unwrap_or_default();
    let mut names = HashSet::new();
    gather(&document, &mut names);
    names
});

fn gather(part: &Value, names: &mut HashSet<String>) {
    match part {
        Value::Object(parts) => {
            names.extend(
                parts.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.clone()),
            );
            if parts.contains_key("in") {
                names.extend(parts.get("name").and_then(Value::as_str).map(str::to_owned));
            }
            parts.values().for_each(|part| gather(part, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| gather(part, names)),
        _ => {}
    }
}

/// Whether a field or a parameter of any operation has this name.
pub(crate) fn has_field(name: &str) -> bool {
    FIELDS.contains(name)
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security(()),
    responses((status = 200, content_type = "application/json")))]
pub async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text()).into_response()
}
