//! Every URL on one page, with who may call it and the most SQL statements that it may take: without those that find out
//! who is calling, which a node remembers, those of a second try, and the three of an entry in the audit trail. A test drives them all and holds them to it. A line
//! also says as what its requests are limited, where that is not what `Policy::new` says.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;

use crate::accounts::api::{api_keys, auth, members};
use crate::app::App;
use crate::assistant::api as assistant;
use crate::audit_trail::api as audit_trail;
use crate::billing::{api as billing, plan_api as plan};
use crate::calendars::api::{conflicts, connections, feeds, notifications};
use crate::calls::api as calls;
use crate::config::Config;
use crate::controls::{Part, api as controls};
use crate::deliveries::api::{endpoints, events as webhooks};
use crate::flags::api as flags;
use crate::http::{Access, Policy, Priority, RouteFault, RouteTable, Routes};
use crate::images::{self, api as pictures};
use crate::jobs::api as jobs;
use crate::knowledge::api as documents;
use crate::limits::{Class, api as limits};
use crate::live::api as live;
use crate::ops::alerts::api as alerts;
use crate::ops::audit::api as audit;
use crate::ops::backup::api as backup;
use crate::ops::client_reports as reports;
use crate::ops::deployments::api as deployments;
use crate::ops::replays::{self, api as recordings};
use crate::ops::system::api as system;
use crate::ops::{health, metrics};
use crate::outreach::api::{
    accounts as sending, campaigns, checklist, conversions, emails, exports, imports, leads, mailboxes, suppressions,
    test_emails,
};
use crate::outreach::{leaving, tracking};
use crate::reception::api::{appointments, availability, contacts, services, settings as reception, staff};
use crate::sync::api as sync;
use crate::texts::{api as texts, link};
use crate::voice::api as voice;
use crate::webhooks::api::{events as inbox, senders};
use crate::webhooks::receive as hooks;
use crate::{console, openapi};

/// Anybody may call it.
const PUBLIC: Policy = Policy::new(Access::Public);
/// Anybody may, as often as they like.
const OPEN: Policy = PUBLIC.limit(Class::Unlimited);
/// Members may, who show a token or a ticket; the handler looks for either.
const TICKET: Policy = Policy::new(Access::Session).limit(Class::LiveConnect);
/// Members may.
const MEMBER: Policy = Policy::new(Access::Session);
/// Those who manage members and keys may.
const ADMIN: Policy = Policy::new(Access::Admin);
/// Whoever runs the installation may; whether they do is a statement.
const OPERATOR: Policy = Policy::new(Access::Operator);

/// While there is too much to do these are refused first,
const HEAVY: Priority = Priority::Heavy;
/// and these never. Where none is named, reading goes before writing.
const ALWAYS: Priority = Priority::Always;
/// What is to be set while there is too much to do must be reached then.
const CONTROLS: Policy = OPERATOR.priority(ALWAYS);

/// The largest body of a webhook, in bytes: the report of a long call has some hundred thousand.
const MOST_OF_A_WEBHOOK: usize = 1024 * 1024;

/// How long an audit may take.
const AUDIT: Duration = Duration::from_secs(60);

/// How long asking Google on behalf of somebody may take: a few questions, each with its own times.
const GOOGLE: Duration = Duration::from_secs(45);

/// How long telling everybody of a test may take.
const ALERT_TEST: Duration = Duration::from_secs(45);

/// How long a test email may take: its server, and what comes before.
const TEST_EMAIL: Duration = Duration::from_secs(45);
/// How long it may take to ask about the domains of senders.
const CHECKLIST: Duration = Duration::from_secs(30);
/// How long a part of a list may take that is read into a campaign.
const IMPORT: Duration = Duration::from_secs(60);

/// How much longer than the reply a request that waits for one may take.
const AFTER_THE_REPLY: Duration = Duration::from_secs(10);

/// The router and its table.
///
/// # Errors
/// When two lines contradict each other: a programming error.
pub fn routes(config: &Config) -> Result<(Router<Arc<App>>, RouteTable), RouteFault> {
    let waits = MEMBER.limit(Class::Messages).deadline(config.assistant.wait_timeout() + AFTER_THE_REPLY);
    let mut routes = Routes::new()
        // Operations
        .get("/healthz", health::live, OPEN.priority(ALWAYS))
        .get("/readyz", health::ready, OPEN.statements(1).priority(ALWAYS))
        .get("/health", health::whole, PUBLIC.statements(2).priority(ALWAYS))
        .get("/health/providers", health::providers, PUBLIC.priority(ALWAYS))
        .get("/health/external-apis", health::external_apis, PUBLIC.priority(ALWAYS))
        .get("/health/database", health::database, PUBLIC.statements(1).priority(ALWAYS))
        .get("/health/redis", health::redis, PUBLIC.priority(ALWAYS))
        .get("/health/queue", health::queue, PUBLIC.statements(1).priority(ALWAYS))
        .get("/metrics", metrics::metrics, OPEN.priority(ALWAYS))
        .get("/openapi.json", openapi::document, OPEN)
        // Accounts
        .post("/v1/auth/sign-up", auth::sign_up, PUBLIC.statements(13).priority(HEAVY).part(Part::SignUp))
        .post("/v1/auth/sign-in", auth::sign_in, PUBLIC.statements(8).part(Part::SignIn))
        .post("/v1/auth/refresh", auth::refresh, PUBLIC.statements(9))
        .post("/v1/auth/sign-out", auth::sign_out, MEMBER.statements(3).priority(ALWAYS))
        .post("/v1/auth/sign-out-everywhere", auth::sign_out_everywhere, MEMBER.statements(4).priority(ALWAYS))
        .post("/v1/auth/switch", auth::switch, MEMBER.statements(6))
        .post("/v1/auth/password", auth::change_password, MEMBER.statements(9))
        .get("/v1/me", auth::me, MEMBER.statements(3))
        .post("/v1/organisations", auth::create_organisation, MEMBER.statements(7))
        .get("/v1/members", members::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/members", members::add, ADMIN.statements(6))
        .patch("/v1/members/{id}", members::change, ADMIN.statements(9))
        .delete("/v1/members/{id}", members::remove, ADMIN.statements(10))
        .get("/v1/api-keys", api_keys::list, ADMIN.statements(1).priority(HEAVY))
        .post("/v1/api-keys", api_keys::create, ADMIN.statements(3))
        .get("/v1/api-keys/{id}", api_keys::get, ADMIN.statements(1))
        .delete("/v1/api-keys/{id}", api_keys::revoke, ADMIN.statements(4))
        .get("/v1/limits/refusals", limits::refusals, ADMIN)
        .get("/v1/audit-trail", audit_trail::of_organisation, ADMIN.statements(1).priority(HEAVY))
        .get("/v1/installation-audit-trail", audit_trail::of_installation, OPERATOR.statements(2).priority(HEAVY))
        // Billing
        .get("/v1/usage", billing::get_usage, MEMBER.statements(2))
        .get("/v1/usage/members", billing::get_members_usage, ADMIN.statements(1).priority(HEAVY))
        .put("/v1/budgets/organisation", billing::set_organisation_budget, ADMIN.statements(1))
        .put("/v1/budgets/members/{id}", billing::set_member_budget, ADMIN.statements(2))
        .get("/v1/plan", plan::get_plan, MEMBER.statements(3))
        .post("/v1/checkout-sessions", plan::create_checkout, ADMIN.statements(4).part(Part::Purchases))
        .post("/v1/plan/change", plan::change_plan, ADMIN.statements(3).part(Part::Purchases))
        .post("/v1/plan/cancel", plan::cancel_plan, ADMIN.statements(3))
        .get("/v1/invoices", plan::list_invoices, ADMIN.statements(1).priority(HEAVY))
        // Assistant. What a batch takes is counted for each of its members: 20 when it has accepted, saved,
        // settled and counted, and refused a repeat and what was over a limit. A repeat then takes 3 to be found, and what is no repeat 2 for its history and 4 for what the organisation knows. Images take 2.
        .get("/v1/conversations", assistant::list_conversations, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/conversations", assistant::create_conversation, MEMBER.statements(4).part(Part::Conversations))
        .get("/v1/conversations/{id}", assistant::get_conversation, MEMBER.statements(1))
        .patch("/v1/conversations/{id}", assistant::rename_conversation, MEMBER.statements(4))
        .delete("/v1/conversations/{id}", assistant::delete_conversation, MEMBER.statements(8))
        .get("/v1/conversations/{id}/messages", assistant::list_messages, MEMBER.statements(2))
        .post("/v1/conversations/{id}/messages", assistant::send_into, waits.statements(29))
        .post("/v1/messages", assistant::send_message, waits.statements(29))
        // The limits of a plan are counted, and corrected when they are spent.
        .post("/v1/images", pictures::upload, MEMBER.limit(Class::ImageAnalysis).body(images::LARGEST).statements(5))
        .get("/v1/images/{id}", pictures::get, MEMBER.statements(1))
        .get("/v1/generations/{id}", assistant::get_generation, MEMBER.statements(2))
        .get("/v1/generations/{id}/events", assistant::generation_events, MEMBER.statements(2))
        .post("/v1/generations/{id}/stop", assistant::stop_generation, MEMBER.statements(3).priority(ALWAYS))
        // Flags and experiments
        .get("/v1/flags", flags::flags, MEMBER)
        .post("/v1/exposures", flags::expose, MEMBER)
        .post("/v1/events", flags::events, MEMBER.statements(1))
        .get("/v1/experiments", flags::experiments, OPERATOR.statements(1).priority(HEAVY))
        .get("/v1/experiments/{id}", flags::results, OPERATOR.statements(2).priority(HEAVY))
        // Sync and live. A page takes the positions, both streams, each kind that is in it, and the plan. Of 50 mutations
        // each may be a message.
        .get("/v1/sync", sync::sync, MEMBER.limit(Class::Sync).statements(8).priority(Priority::Sync).part(Part::Sync))
        .post("/v1/sync", sync::push, MEMBER.limit(Class::Sync).body(768 * 1024).statements(50 * 30).part(Part::Sync))
        .post(
            "/v1/live/tickets",
            live::ticket,
            MEMBER.limit(Class::LiveConnect).priority(Priority::Sync).part(Part::Live),
        )
        .get("/v1/live", live::live, TICKET.statements(2).part(Part::Live))
        // Voice. A place is looked for one by one.
        .get("/v1/voice", voice::voice, TICKET.statements(8).part(Part::Live))
        .get("/v1/voice/sessions", voice::sessions, MEMBER.statements(1).priority(HEAVY));
    routes = reception_routes(outreach_routes(routes));
    routes = operator_routes(webhook_routes(knowledge_routes(calendar_routes(routes))));
    // People
    for (path, handler) in console::routes() {
        routes = routes.add(Method::GET, path, handler, OPEN);
    }
    routes.build()
}

/// Campaigns, whom they write to, and what sends them.
fn outreach_routes(routes: Routes<Arc<App>>) -> Routes<Arc<App>> {
    // What gives accounts something to do takes 5: to count them up, to promise their jobs and find those that are there, and
    // the same for the jobs that bring these forward.
    routes
        .get("/v1/campaigns", campaigns::list, MEMBER.statements(2).priority(HEAVY))
        .post("/v1/campaigns", campaigns::create, ADMIN.statements(4))
        .get("/v1/campaigns/{id}", campaigns::get, MEMBER.statements(1))
        .put("/v1/campaigns/{id}", campaigns::change, ADMIN.statements(8))
        // Before it begins its leads are looked through, a thousand at a time.
        .post("/v1/campaigns/{id}/launch", campaigns::launch, ADMIN.statements(14).priority(HEAVY).deadline(CHECKLIST))
        .post("/v1/campaigns/{id}/pause", campaigns::pause, ADMIN.statements(3).priority(ALWAYS))
        .post("/v1/campaigns/{id}/stop", campaigns::stop, ADMIN.statements(4).priority(ALWAYS))
        .get("/v1/campaigns/{id}/steps", campaigns::steps, MEMBER.statements(4))
        .put("/v1/campaigns/{id}/steps", campaigns::put_steps, ADMIN.body(4 * 1024 * 1024).statements(16))
        .get("/v1/campaigns/{id}/accounts", campaigns::accounts, MEMBER.statements(2))
        .put("/v1/campaigns/{id}/accounts", campaigns::use_accounts, ADMIN.statements(9))
        .post("/v1/campaigns/{id}/preview", test_emails::preview, MEMBER.statements(5))
        .post(
            "/v1/campaigns/{id}/test-emails",
            test_emails::send,
            ADMIN.statements(13).priority(HEAVY).deadline(TEST_EMAIL),
        )
        .get("/v1/campaigns/{id}/figures", campaigns::figures, MEMBER.statements(2).priority(HEAVY))
        .get("/v1/campaigns/{id}/sums", campaigns::sums, MEMBER.statements(4))
        .get("/v1/campaigns/{id}/figures.csv", exports::figures, MEMBER.statements(1).priority(HEAVY))
        .get("/v1/campaigns/{id}/leads.csv", exports::leads, MEMBER.statements(1).priority(HEAVY))
        .get("/v1/campaigns/{id}/checklist", checklist::get, MEMBER.statements(6).priority(HEAVY).deadline(CHECKLIST))
        .post("/v1/campaigns/{id}/conversions", conversions::convert, ADMIN.statements(12).brings_data())
        .get("/v1/campaigns/{id}/leads", leads::list, MEMBER.statements(2).priority(HEAVY))
        // Of two that wait for each other one begins again.
        .post("/v1/campaigns/{id}/leads", leads::add, ADMIN.body(2 * 1024 * 1024).statements(14).brings_data())
        // A thousand rows take 13: to see how far the list is read, to add them, to count them and to say how far it is read.
        .post("/v1/campaigns/{id}/imports", imports::begin, ADMIN.statements(6))
        .get("/v1/campaigns/{id}/imports", imports::list, MEMBER.statements(2).priority(HEAVY))
        .post("/v1/imports/preview", imports::preview, MEMBER.body(128 * 1024))
        .get("/v1/imports/{id}", imports::get, MEMBER.statements(1))
        .post(
            "/v1/imports/{id}/content",
            imports::content,
            ADMIN.body(8 * 1024 * 1024).statements(2_000).priority(HEAVY).deadline(IMPORT).brings_data(),
        )
        .post("/v1/imports/{id}/cancel", imports::cancel, ADMIN.statements(4).priority(ALWAYS))
        .get("/v1/imports/{id}/faults", imports::faults, MEMBER.statements(2).priority(HEAVY))
        .get("/v1/imports/{id}/faults.csv", imports::faults_table, MEMBER.statements(25).priority(HEAVY))
        .get("/v1/leads/{id}", leads::get, MEMBER.statements(1))
        .post("/v1/leads/{id}/stop", leads::stop, ADMIN.statements(6).priority(ALWAYS))
        .get("/v1/sending-accounts", sending::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/sending-accounts", sending::create, ADMIN.statements(2))
        .get("/v1/sending-accounts/{id}", sending::get, MEMBER.statements(1))
        .put("/v1/sending-accounts/{id}", sending::change, ADMIN.statements(8))
        .post("/v1/sending-accounts/{id}/pause", sending::pause, ADMIN.statements(3).priority(ALWAYS))
        .post("/v1/sending-accounts/{id}/resume", sending::resume, ADMIN.statements(8))
        .post("/v1/sending-accounts/{id}/sign-in", sending::sign_in, ADMIN.statements(4))
        .post("/v1/gmail-sign-ins", sending::finish_sign_in, ADMIN.deadline(GOOGLE).statements(16))
        .get("/v1/sending-accounts/{id}/mailbox", mailboxes::get, MEMBER.statements(1))
        .put("/v1/sending-accounts/{id}/mailbox", mailboxes::put, ADMIN.statements(10))
        .delete("/v1/sending-accounts/{id}/mailbox", mailboxes::remove, ADMIN.statements(1))
        .get("/v1/emails", emails::list, MEMBER.statements(1).priority(HEAVY))
        .get("/v1/emails/{id}", emails::get, MEMBER.statements(1))
        .post("/v1/emails/{id}/resend", emails::resend, ADMIN.statements(12))
        .post("/v1/emails/{id}/sent", emails::sent, ADMIN.statements(22))
        .get("/v1/suppressions", suppressions::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/suppressions", suppressions::add, ADMIN.statements(6))
        .delete("/v1/suppressions/{subject}", suppressions::remove, ADMIN.statements(1))
        // What is new of an email, what it comes to, what it led to; and 4 where an endpoint is told.
        .get("/t/{token}", tracking::follow, OPEN.statements(18))
        .get("/u/{token}", leaving::show, OPEN.statements(1))
        .post("/u/{token}", leaving::leave, OPEN.statements(14).priority(ALWAYS))
}

/// What is offered, by whom and when, and the appointments.
fn reception_routes(routes: Routes<Arc<App>>) -> Routes<Arc<App>> {
    // Free times take 7 statements; so do those that are told instead of one that is taken. To lock, look, write and count
    // takes 14, 3 more where somebody is told of it, and 4 more where a calendar is; and to know somebody 4, or 9 when two
    // become one.
    routes
        .get("/v1/reception", reception::get, MEMBER.statements(1))
        .put("/v1/reception", reception::put, ADMIN.statements(1))
        .get("/v1/special-days", reception::days, MEMBER.statements(2).priority(HEAVY))
        .put("/v1/special-days/{day}", reception::put_day, ADMIN.statements(3))
        .delete("/v1/special-days/{day}", reception::remove_day, ADMIN.statements(1))
        .get("/v1/services", services::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/services", services::create, ADMIN.statements(3))
        .get("/v1/services/{id}", services::get, MEMBER.statements(1))
        .patch("/v1/services/{id}", services::change, ADMIN.statements(2))
        .get("/v1/staff", staff::list, MEMBER.statements(2).priority(HEAVY))
        .post("/v1/staff", staff::create, ADMIN.statements(5))
        .get("/v1/staff/{id}", staff::get, MEMBER.statements(2))
        .patch("/v1/staff/{id}", staff::change, ADMIN.statements(6))
        .get("/v1/availability", availability::get, MEMBER.statements(8).priority(HEAVY))
        .get("/v1/contacts", contacts::list, MEMBER.statements(2).priority(HEAVY))
        .post("/v1/contacts", contacts::know, MEMBER.statements(11))
        .get("/v1/contacts/{id}", contacts::get, MEMBER.statements(2))
        .patch("/v1/contacts/{id}", contacts::change, MEMBER.statements(3))
        .get("/v1/contacts/{id}/appointments", contacts::appointments, MEMBER.statements(2).priority(HEAVY))
        .get("/v1/appointments", appointments::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/appointments", appointments::book, MEMBER.statements(44))
        .get("/v1/appointments/{id}", appointments::get, MEMBER.statements(1))
        .patch("/v1/appointments/{id}", appointments::change, MEMBER.statements(23))
        .post("/v1/appointments/{id}/move", appointments::shift, MEMBER.statements(37))
        .get("/v1/calls", calls::list, MEMBER.statements(3).priority(HEAVY))
        .get("/v1/calls/{id}", calls::get, MEMBER.statements(3))
        .get("/v1/phone-messages", calls::messages, MEMBER.statements(1).priority(HEAVY))
        .patch("/v1/phone-messages/{id}", calls::handle, MEMBER.statements(7))
        .get("/v1/phone-agent", calls::agent, ADMIN.statements(1))
        .put("/v1/phone-agent", calls::put_agent, ADMIN.statements(2))
        .get("/v1/text-messages", texts::list, MEMBER.statements(2).priority(HEAVY))
        .get("/v1/text-messages/{id}", texts::get, MEMBER.statements(1))
        .get("/v1/text-settings", texts::settings, ADMIN.statements(1))
        .put("/v1/text-settings", texts::put_settings, ADMIN.statements(2))
        .get("/v1/text-opt-outs", texts::opt_outs, ADMIN.statements(1).priority(HEAVY))
        .get("/a/{token}", link::show, PUBLIC.statements(1))
        .get("/a/{token}/appointment.ics", link::calendar, PUBLIC.statements(1))
        .post("/a/{token}", link::cancel, PUBLIC.statements(1 + 1 + 23))
        .get("/v1/access-log", calls::accesses, ADMIN.statements(1).priority(HEAVY))
}

/// Calendars of others. To disconnect takes 12 statements, to connect 14, and one calendar for another both and what is read
/// before.
fn calendar_routes(routes: Routes<Arc<App>>) -> Routes<Arc<App>> {
    let google = ADMIN.deadline(GOOGLE);
    routes
        .get("/v1/staff/{id}/calendar", connections::get, MEMBER.statements(1))
        .post("/v1/staff/{id}/calendar", connections::connect, ADMIN.statements(4))
        .patch("/v1/staff/{id}/calendar", connections::change, google.statements(30))
        .delete("/v1/staff/{id}/calendar", connections::disconnect, google.statements(12))
        .post("/v1/staff/{id}/calendar/sync", connections::sync, MEMBER.statements(4))
        .get("/v1/staff/{id}/calendar/choices", connections::choices, google.statements(1))
        .post("/v1/calendar-sign-ins", connections::finish, google.statements(16))
        .get("/v1/calendar-connections", connections::list, MEMBER.statements(1).priority(HEAVY))
        .get("/v1/busy-times", connections::busy, MEMBER.statements(1).priority(HEAVY))
        .get("/v1/calendar-conflicts", conflicts::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/calendar-conflicts/{id}/resolve", conflicts::end, MEMBER.statements(32))
        .get("/v1/calendar-feeds", feeds::list, ADMIN.statements(1).priority(HEAVY))
        .post("/v1/calendar-feeds", feeds::create, ADMIN.statements(6))
        .delete("/v1/calendar-feeds/{id}", feeds::remove, ADMIN.statements(1))
        .get("/calendars/{file}", feeds::file, PUBLIC.statements(3).priority(HEAVY))
        .post("/calendars/{organisation}/{connection}/notifications", notifications::receive, OPEN.statements(4))
}

/// What an organisation knows. A change is tried three times while others change the same document: twice in vain, at most.
fn knowledge_routes(routes: Routes<Arc<App>>) -> Routes<Arc<App>> {
    let large = ADMIN.body(documents::LARGEST_BODY);
    routes
        .get("/v1/documents", documents::list, MEMBER.statements(1).priority(HEAVY))
        .post("/v1/documents", documents::create, large.statements(6))
        .get("/v1/documents/search", documents::search, MEMBER.statements(4).priority(HEAVY))
        .get("/v1/documents/{id}", documents::get, MEMBER.statements(1))
        .patch("/v1/documents/{id}", documents::change, large.statements(7 + 2 * 2))
        .delete("/v1/documents/{id}", documents::delete, ADMIN.statements(3))
}

/// Webhooks: those that arrive, and those that organisations are told of.
fn webhook_routes(routes: Routes<Arc<App>>) -> Routes<Arc<App>> {
    let hook = OPEN.priority(ALWAYS).body(MOST_OF_A_WEBHOOK);
    routes
        // The inbox. What senders call is bounded by what waits to be stored, and never refused for other work: they would
        // give up. Whose an address is takes 2 statements once in a while; a batch takes 3, and as many again when it is halved.
        .post("/hooks/{provider}/{key}", hooks::receive, hook.statements(8))
        .post("/hooks/{provider}/{key}/token", hooks::token, hook.statements(2).body(8 * 1024))
        .post("/hooks/fastspring", hooks::receive_fastspring, hook.statements(3))
        .get("/v1/inbox-sources", senders::list, ADMIN.statements(1).priority(HEAVY))
        .post("/v1/inbox-sources", senders::create, ADMIN.statements(4))
        .get("/v1/inbox-sources/{id}", senders::get, ADMIN.statements(1))
        .patch("/v1/inbox-sources/{id}", senders::change, ADMIN.statements(3))
        .delete("/v1/inbox-sources/{id}", senders::remove, ADMIN.statements(2))
        .get("/v1/inbox", inbox::list, ADMIN.statements(2).priority(HEAVY))
        .get("/v1/inbox/counts", inbox::counts, ADMIN.statements(1).priority(HEAVY))
        .get("/v1/inbox/{id}", inbox::get, ADMIN.statements(3))
        .post("/v1/inbox/{id}/cancel", inbox::cancel, ADMIN.statements(7))
        .post("/v1/inbox/{id}/replay", inbox::replay, ADMIN.statements(4))
        .post("/v1/inbox/replays", inbox::replay_all, ADMIN.statements(5))
        // Deliveries
        .post("/v1/webhook-endpoints", endpoints::create, ADMIN.statements(4))
        .get("/v1/webhook-endpoints", endpoints::list, ADMIN.statements(1).priority(HEAVY))
        .get("/v1/webhook-endpoints/{id}", endpoints::get, ADMIN.statements(1))
        .patch("/v1/webhook-endpoints/{id}", endpoints::change, ADMIN.statements(3))
        .delete("/v1/webhook-endpoints/{id}", endpoints::delete, ADMIN.statements(2))
        .post("/v1/webhook-endpoints/{id}/secret/rotate", endpoints::rotate, ADMIN.statements(2))
        .post("/v1/webhook-endpoints/{id}/test", endpoints::test, ADMIN.statements(4))
        .post("/v1/webhook-endpoints/{id}/replays", endpoints::replay, ADMIN.statements(2))
        .post("/v1/webhook-events", webhooks::publish, ADMIN.statements(5).body(webhooks::LARGEST_BODY).brings_data())
        .get("/v1/webhook-event-types", webhooks::types, ADMIN.statements(1).priority(HEAVY))
        .get("/v1/webhook-deliveries", webhooks::deliveries, ADMIN.statements(2).priority(HEAVY))
        .get("/v1/webhook-deliveries/counts", webhooks::counts, ADMIN.statements(2).priority(HEAVY))
        .get("/v1/webhook-deliveries/{id}", webhooks::delivery, ADMIN.statements(2))
        .post("/v1/webhook-deliveries/{id}/cancel", webhooks::cancel, ADMIN.statements(2))
        .post("/v1/webhook-deliveries/{id}/replay", webhooks::replay, ADMIN.statements(4))
}

/// What operators of the installation see and do of what is done later.
fn operator_routes(routes: Routes<Arc<App>>) -> Routes<Arc<App>> {
    routes
        // Jobs. To cancel one that moves on at the same moment is tried three times.
        .get("/v1/jobs", jobs::list, OPERATOR.statements(3).priority(HEAVY))
        .get("/v1/jobs/{id}", jobs::get, OPERATOR.statements(3))
        .post("/v1/jobs/{id}/cancel", jobs::cancel, OPERATOR.statements(7))
        .post("/v1/jobs/{id}/replay", jobs::replay, OPERATOR.statements(4))
        .post("/v1/jobs/replays", jobs::replay_some, OPERATOR.statements(5))
        .get("/v1/jobs/probes", jobs::probes, OPERATOR.statements(2).priority(HEAVY))
        .post("/v1/jobs/probes", jobs::promise_probes, OPERATOR.statements(3))
        // What the checks ask is counted for the checks and not for the request.
        .get("/v1/audit", audit::last, OPERATOR.statements(3).priority(HEAVY))
        .get("/v1/backups", backup::list, OPERATOR.statements(3).priority(HEAVY))
        .post("/v1/backups", backup::make, OPERATOR.statements(2))
        .post("/v1/backup-drills", backup::drill, OPERATOR.statements(2))
        .post("/v1/audit/runs", audit::make, OPERATOR.statements(1).priority(HEAVY).deadline(AUDIT))
        // Emergency controls. Limits that they set do not hold for operators' own routes, or nobody could take them back.
        .get("/v1/controls", controls::list, CONTROLS.statements(2))
        .put("/v1/controls/{name}", controls::set, CONTROLS.statements(9))
        .post("/v1/controls/{name}/clear", controls::clear, CONTROLS.statements(10))
        .get("/v1/controls/changes", controls::changes, CONTROLS.statements(2))
        .get("/v1/deployments", deployments::list, OPERATOR.statements(2).priority(HEAVY))
        .get("/v1/system-health", system::system_health, OPERATOR.statements(3).priority(HEAVY))
        .get("/v1/alerts", alerts::list, OPERATOR.statements(4).priority(HEAVY))
        // What is kept of the answers is counted for the messages.
        .post("/v1/alerts/tests", alerts::test, OPERATOR.statements(1).deadline(ALERT_TEST))
        .post("/v1/client-reports", reports::take, MEMBER.body(reports::LARGEST_BODY).statements(2))
        .get("/v1/client-reports", reports::list, OPERATOR.statements(2).priority(HEAVY))
        // Recordings. How much there is of all is measured now and then; of one person they are forgotten five hundred at a time.
        .post("/v1/replays", recordings::take, MEMBER.body(replays::LARGEST_BODY).statements(7).priority(HEAVY))
        .delete("/v1/replays", recordings::withdraw, MEMBER.statements(6).priority(ALWAYS))
        .get("/v1/replays", recordings::list, OPERATOR.statements(2).priority(HEAVY))
        .get("/v1/replays/{id}", recordings::get, OPERATOR.statements(5).priority(HEAVY))
        .get("/v1/replay-consent", recordings::consent, MEMBER.statements(1))
        .put("/v1/replay-consent", recordings::agree, MEMBER.statements(1))
        .get("/v1/queues", jobs::queues, OPERATOR.statements(5))
        .post("/v1/queues/{name}/pause", jobs::pause, OPERATOR.statements(2))
        .post("/v1/queues/{name}/resume", jobs::resume, OPERATOR.statements(2))
}
