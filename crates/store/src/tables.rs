//! Every table on one page, and of which kind it is. A test compares this page with both schemas.

/// What keeps the rows of a table apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Rows of one organisation each: the tenant is in every primary and unique key, foreign keys carry it, and row-level
    /// security shows them only to a transaction that named it.
    Tenant,
    /// What comes before an organisation is known: people, sign-ins, lookups by a key or a token.
    Global,
    /// What works across organisations.
    System,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: TableKind,
    /// True when it grows with use, so that no statement may scan it.
    pub grows: bool,
}

const fn table(name: &'static str, kind: TableKind, grows: bool) -> Table {
    Table { name, kind, grows }
}

/// All of them.
///
/// `conversation`, `message` and `generation` have no foreign keys: checking one takes a lock on the row that it points
/// to, for every message. Their intents keep them whole, and a test counts orphans. Nor have the passages and words of a
/// document, of which one document has thousands, and the words of a call.
pub const TABLES: &[Table] = &[
    table("organisation", TableKind::Tenant, true),
    table("membership", TableKind::Tenant, true),
    table("api_key", TableKind::Tenant, true),
    table("stream", TableKind::Tenant, true),
    table("change", TableKind::Tenant, true),
    table("idempotency", TableKind::Tenant, true),
    table("conversation", TableKind::Tenant, true),
    table("message", TableKind::Tenant, true),
    table("generation", TableKind::Tenant, true),
    table("usage_month", TableKind::Tenant, true),
    table("budget", TableKind::Tenant, true),
    table("reservation", TableKind::Tenant, true),
    table("exposure", TableKind::Tenant, true),
    table("outcome", TableKind::Tenant, true),
    table("audit_trail", TableKind::Tenant, true),
    table("audit_event", TableKind::Tenant, true),
    table("inbox_source", TableKind::Tenant, true),
    table("inbox_event", TableKind::Tenant, true),
    table("inbox_subject", TableKind::Tenant, true),
    table("webhook_endpoint", TableKind::Tenant, true),
    table("webhook_event", TableKind::Tenant, true),
    table("webhook_delivery", TableKind::Tenant, true),
    table("webhook_attempt", TableKind::Tenant, true),
    table("subscription", TableKind::Tenant, true),
    table("plan_change", TableKind::Tenant, true),
    table("invoice", TableKind::Tenant, true),
    table("billing_account", TableKind::Tenant, true),
    table("client_report", TableKind::Tenant, true),
    table("replay_consent", TableKind::Tenant, true),
    table("replay", TableKind::Tenant, true),
    table("replay_chunk", TableKind::Tenant, true),
    table("reception", TableKind::Tenant, true),
    table("service", TableKind::Tenant, true),
    table("staff", TableKind::Tenant, true),
    table("staff_service", TableKind::Tenant, true),
    table("special_day", TableKind::Tenant, true),
    table("contact", TableKind::Tenant, true),
    table("appointment", TableKind::Tenant, true),
    table("board", TableKind::Tenant, true),
    table("phone_call", TableKind::Tenant, true),
    table("phone_agent", TableKind::Tenant, true),
    table("phone_call_action", TableKind::Tenant, true),
    table("phone_call_term", TableKind::Tenant, true),
    table("phone_message", TableKind::Tenant, true),
    table("access_log", TableKind::Tenant, true),
    table("text_settings", TableKind::Tenant, true),
    table("text_message", TableKind::Tenant, true),
    table("text_opt_out", TableKind::Tenant, true),
    table("campaign", TableKind::Tenant, true),
    table("campaign_step", TableKind::Tenant, true),
    table("step_variant", TableKind::Tenant, true),
    table("campaign_zone", TableKind::Tenant, true),
    table("sending_account", TableKind::Tenant, true),
    table("campaign_account", TableKind::Tenant, true),
    table("account_bucket", TableKind::Tenant, true),
    table("account_domain", TableKind::Tenant, true),
    table("lead", TableKind::Tenant, true),
    table("lead_import", TableKind::Tenant, true),
    table("lead_import_fault", TableKind::Tenant, true),
    table("email", TableKind::Tenant, true),
    table("email_hit", TableKind::Tenant, true),
    table("mailbox", TableKind::Tenant, true),
    table("outreach_figure", TableKind::Tenant, true),
    table("suppression", TableKind::Tenant, true),
    table("calendar_connection", TableKind::Tenant, true),
    table("calendar_sign_in", TableKind::Tenant, true),
    table("calendar_entry", TableKind::Tenant, true),
    table("calendar_busy", TableKind::Tenant, true),
    table("calendar_conflict", TableKind::Tenant, true),
    table("calendar_feed", TableKind::Tenant, true),
    table("image", TableKind::Tenant, true),
    table("document", TableKind::Tenant, true),
    table("document_passage", TableKind::Tenant, true),
    table("document_term", TableKind::Tenant, true),
    table("voice_session", TableKind::Tenant, true),
    table("billing_lookup", TableKind::Global, true),
    table("person", TableKind::Global, true),
    table("person_tenant", TableKind::Global, true),
    table("outside_identity", TableKind::Global, true),
    table("sign_in_session", TableKind::Global, true),
    table("api_key_lookup", TableKind::Global, true),
    table("inbox_key", TableKind::Global, true),
    table("revocation", TableKind::Global, true),
    table("flag", TableKind::Global, false),
    table("experiment", TableKind::Global, false),
    table("signing_key", TableKind::Global, false),
    table("encryption_key", TableKind::Global, false),
    table("key_use", TableKind::Global, false),
    table("key_holder", TableKind::Global, false),
    table("plan", TableKind::Global, false),
    table("counter", TableKind::Global, false),
    table("lease", TableKind::System, false),
    table("job", TableKind::System, true),
    table("job_attempt", TableKind::System, true),
    table("job_queue", TableKind::System, false),
    table("job_rate", TableKind::System, true),
    table("job_schedule", TableKind::System, false),
    table("job_probe", TableKind::System, true),
    table("audit_run", TableKind::System, false),
    table("installation", TableKind::System, false),
    table("backup", TableKind::System, false),
    table("restore_drill", TableKind::System, false),
    table("control", TableKind::System, false),
    table("control_change", TableKind::System, false),
    table("deployment", TableKind::System, false),
    table("node_sample", TableKind::System, true),
    table("alert", TableKind::System, false),
    table("alert_receipt", TableKind::System, false),
    table("schema_migration", TableKind::System, false),
];
