//! What an erasure does to each table and each column that can hold a text. A test compares this page with both schemas: a new
//! column stands here, or the test fails.
//!
//! Rows that are theirs are blanked and not deleted: figures stay as they are, nothing that points to them breaks, and their
//! ids lead to nobody. Rows of others lose what names them.

/// What becomes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It says nothing of anybody: words of closed sets, digests, what is sealed, ids of a provider.
    Nothing,
    /// In a row of theirs this takes its place. In a row of somebody else it says who that is: addresses and numbers are taken
    /// out, and a name that both have is not.
    Identity(Blank),
    /// As well; in a row of somebody else what names them is taken out.
    Theirs(Blank),
    /// A text of the organisation: what names them is taken out.
    Text,
    /// A copy of what was said: as a whole this takes its place when an address, a number or an id of theirs stands in it. Of a
    /// name it is as of any text.
    Copied(Blank),
    /// Goes when the column of this name goes.
    With(&'static str, Blank),
    /// What the organisation works with, and only it can change. It stays, and is told.
    Setting,
}

/// What takes the place of what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blank {
    Null,
    Text(&'static str),
    /// An address at which nobody is, another for each row.
    Address,
    NoBytes,
}

/// What becomes of the rows of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub table: &'static str,
    /// Whose row it is: an id of theirs, their address or their number.
    pub owner: &'static [&'static str],
    /// What becomes of a row that is theirs or names them.
    pub fate: Fate,
    /// All columns that can hold a text or bytes, other than ids.
    pub columns: &'static [(&'static str, Rule)],
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, without what names them.
    Blanked,
    /// It is deleted: nothing points to it.
    Deleted,
    /// It keeps others from writing to them, so it goes when all else has gone. A digest has taken its place by then.
    DeletedLast,
    /// As blanked, once it is in none of these states: who works on it would write it anew.
    BlankedOnceNot(&'static str, &'static [&'static str]),
    /// As blanked, once no job works on it.
    BlankedOnceDone,
    /// As blanked, by an intent that tells its stream.
    Synced,
}

const NULL: Blank = Blank::Null;
const EMPTY: Blank = Blank::Text("");

const fn rules(
    table: &'static str,
    fate: Fate,
    owner: &'static [&'static str],
    columns: &'static [(&'static str, Rule)],
) -> Rules {
    Rules { table, owner, fate, columns }
}

use Fate::{Blanked, BlankedOnceDone, BlankedOnceNot, Deleted, DeletedLast, Synced};
use Rule::{Copied, Identity, Nothing, Setting, Text, Theirs, With};

/// The rules of a table.
pub(super) fn of(table: &str) -> Option<&'static Rules> {
    RULES.iter().find(|rules| rules.table == table)
}

pub(crate) const RULES: &[Rules] = &[
    // People.
    rules(
        "person",
        Blanked,
        &["id", "email"],
        &[("email", Identity(NULL)), ("name", Identity(EMPTY)), ("password_hash", Identity(NULL))],
    ),
    rules("outside_identity", Deleted, &["person_id"], &[("issuer", Nothing), ("subject", Theirs(EMPTY))]),
    rules("sign_in_session", Blanked, &[], &[("ended_reason", Nothing)]),
    rules("organisation", Blanked, &[], &[("name", Text), ("plan", Nothing)]),
    rules("membership", Blanked, &[], &[("role", Nothing)]),
    rules(
        "api_key",
        Blanked,
        &["person_id"],
        &[("name", Theirs(EMPTY)), ("prefix", Nothing), ("hash", Nothing), ("scopes", Nothing)],
    ),
    rules("api_key_lookup", Blanked, &[], &[("hash", Nothing)]),
    rules("revocation", Blanked, &[], &[("kind", Nothing)]),
    rules("idempotency", Deleted, &[], &[("key", Text), ("operation", Nothing), ("fingerprint", Nothing)]),
    rules("change", Blanked, &[], &[("kind", Nothing)]),
    rules(
        "client_report",
        Deleted,
        &["person_id"],
        &[("page", Theirs(EMPTY)), ("version", Nothing), ("message", Theirs(EMPTY)), ("detail", Theirs(EMPTY))],
    ),
    rules("replay_consent", Deleted, &["person_id"], &[]),
    rules("replay", Deleted, &["person_id"], &[("page", Nothing), ("version", Nothing), ("reason", Nothing)]),
    rules("replay_chunk", Blanked, &[], &[("events", Text)]),
    rules(
        "audit_event",
        Blanked,
        &[],
        &[
            ("action", Nothing),
            ("content", Copied(NULL)),
            ("salt", With("content", NULL)),
            ("content_digest", Nothing),
            ("digest", Nothing),
        ],
    ),
    rules("audit_trail", Blanked, &[], &[("digest", Nothing), ("floor_digest", Nothing)]),
    // The assistant.
    rules("conversation", Synced, &["person_id"], &[("title", Theirs(EMPTY))]),
    rules(
        "message",
        Synced,
        &["person_id"],
        &[
            ("role", Nothing),
            ("status", Nothing),
            ("content", Theirs(EMPTY)),
            ("provider", Nothing),
            ("model", Nothing),
            ("error_code", Nothing),
            ("error_detail", Theirs(NULL)),
            ("images", Theirs(NULL)),
            ("tools", Theirs(NULL)),
        ],
    ),
    rules("generation", Blanked, &["person_id"], &[("text", Theirs(EMPTY)), ("tools", Theirs(NULL))]),
    rules(
        "image",
        Blanked,
        &["person_id"],
        &[("kind", Nothing), ("sha256", Nothing), ("source_sha256", Nothing), ("content", Theirs(Blank::NoBytes))],
    ),
    rules("voice_session", Blanked, &[], &[("reason", Nothing)]),
    rules("document", Blanked, &[], &[("title", Text), ("language", Nothing), ("content", Text)]),
    rules("document_passage", Blanked, &[], &[("heading", Text), ("content", Text)]),
    rules("document_term", Deleted, &[], &[("term", Text), ("places", Nothing)]),
    // What comes in and goes out.
    rules(
        "inbox_source",
        Blanked,
        &[],
        &[("name", Text), ("provider", Nothing), ("scheme", Nothing), ("key", Nothing)],
    ),
    rules("inbox_key", Blanked, &[], &[("key", Nothing)]),
    rules(
        "inbox_event",
        BlankedOnceDone,
        &[],
        &[
            ("provider", Nothing),
            ("identity", Copied(Blank::Address)),
            ("kind", Text),
            ("payload", Copied(Blank::Text("{}"))),
        ],
    ),
    rules("inbox_subject", Deleted, &[], &[("subject", Text), ("identity", Text)]),
    rules(
        "webhook_endpoint",
        Blanked,
        &[],
        &[
            ("url", Setting),
            ("description", Text),
            ("event_types", Nothing),
            ("secrets", Nothing),
            ("state", Nothing),
            ("disabled_reason", Nothing),
        ],
    ),
    rules("webhook_event", Blanked, &[], &[("kind", Nothing), ("payload", Text)]),
    rules("webhook_delivery", Blanked, &[], &[("kind", Nothing), ("state", Nothing), ("error", Text)]),
    rules(
        "webhook_attempt",
        Blanked,
        &[],
        &[("error", Text), ("request_headers", Text), ("response_headers", Text), ("response_body", Text)],
    ),
    // Billing: of the organisation, which has to keep its invoices. Of the payer there are ids at the provider.
    rules("billing_account", Blanked, &[], &[("provider_id", Nothing)]),
    rules("billing_lookup", Blanked, &[], &[("kind", Nothing), ("provider_id", Nothing)]),
    rules("subscription", Blanked, &[], &[("provider_id", Nothing), ("state", Nothing)]),
    rules(
        "invoice",
        Blanked,
        &[],
        &[
            ("provider_id", Nothing),
            ("reference", Nothing),
            ("currency", Nothing),
            ("url", Nothing),
            ("state", Nothing),
        ],
    ),
    rules("plan", Blanked, &[], &[("name", Nothing)]),
    rules(
        "plan_change",
        Blanked,
        &[],
        &[("from_plan", Nothing), ("to_plan", Nothing), ("cause", Nothing), ("event_id", Nothing)],
    ),
    // The reception.
    rules("reception", Blanked, &[], &[("zone", Nothing), ("week", Nothing)]),
    rules("service", Blanked, &[], &[("name", Text), ("currency", Nothing)]),
    rules("staff", Blanked, &[], &[("name", Setting), ("week", Nothing)]),
    rules("special_day", Blanked, &[], &[("openings", Nothing), ("name", Text)]),
    rules(
        "contact",
        Blanked,
        &["id", "phone", "email"],
        &[
            ("name", Identity(EMPTY)),
            ("folded", Identity(EMPTY)),
            ("phone", Identity(NULL)),
            ("email", Identity(NULL)),
            ("note", Theirs(EMPTY)),
        ],
    ),
    rules("appointment", Blanked, &["contact_id"], &[("state", Nothing), ("note", Theirs(EMPTY))]),
    rules(
        "phone_agent",
        Blanked,
        &[],
        &[
            ("assistant_id", Nothing),
            ("greeting", Text),
            ("instructions", Text),
            ("transfer_number", Setting),
            ("mask", Nothing),
        ],
    ),
    rules(
        "phone_call",
        BlankedOnceNot("state", &["scheduled", "queued", "ringing", "in_progress", "forwarding"]),
        &["id", "contact_id", "number"],
        &[
            ("provider_id", Nothing),
            ("direction", Nothing),
            ("state", Nothing),
            ("number", Identity(NULL)),
            ("ended_reason", Nothing),
            ("summary", Theirs(NULL)),
            ("transcript", Theirs(NULL)),
            ("recording_url", Theirs(NULL)),
            ("outcome", Nothing),
        ],
    ),
    rules(
        "phone_call_action",
        Blanked,
        &["call_id"],
        &[("tool", Nothing), ("outcome", Nothing), ("answer", Theirs(EMPTY))],
    ),
    rules("phone_call_term", Deleted, &["call_id"], &[("term", Theirs(EMPTY))]),
    rules(
        "phone_message",
        Blanked,
        &["contact_id", "call_id", "phone"],
        &[("name", Identity(EMPTY)), ("phone", Identity(NULL)), ("body", Theirs(EMPTY))],
    ),
    rules("access_log", Blanked, &[], &[("what", Nothing)]),
    rules(
        "text_settings",
        Blanked,
        &[],
        &[("account", Nothing), ("sender", Setting), ("reminders", Nothing), ("quiet", Nothing), ("wording", Text)],
    ),
    rules(
        "text_message",
        BlankedOnceNot("state", &["sending", "unknown"]),
        &["contact_id", "phone"],
        &[
            ("reason", Nothing),
            ("phone", Identity(EMPTY)),
            ("state", Nothing),
            ("body", Theirs(NULL)),
            ("provider_id", Nothing),
            ("error", Theirs(NULL)),
            ("currency", Nothing),
        ],
    ),
    rules("text_opt_out", DeletedLast, &["phone"], &[("phone", Identity(EMPTY))]),
    rules(
        "calendar_connection",
        Blanked,
        &[],
        &[
            ("account", Setting),
            ("calendar", Setting),
            ("token", Nothing),
            ("state", Nothing),
            ("sync_token", Nothing),
            ("error", Text),
            ("channel_resource", Nothing),
            ("channel_hash", Nothing),
        ],
    ),
    rules("calendar_sign_in", Blanked, &[], &[("hash", Nothing)]),
    rules("calendar_entry", Blanked, &[], &[("etag", Nothing)]),
    rules("calendar_busy", Blanked, &[], &[("event_id", Nothing)]),
    rules("calendar_conflict", Blanked, &[], &[("kind", Nothing), ("event_id", Nothing), ("resolution", Nothing)]),
    rules("calendar_feed", Blanked, &[], &[("name", Text), ("hash", Nothing)]),
    // Outreach.
    rules(
        "campaign",
        Blanked,
        &[],
        &[
            ("name", Text),
            ("state", Nothing),
            ("zone", Nothing),
            ("sending_window", Nothing),
            ("goal_url", Setting),
            ("postal_address", Setting),
        ],
    ),
    rules("campaign_zone", Blanked, &[], &[("zone", Nothing)]),
    rules("step_variant", Blanked, &[], &[("name", Text), ("subject", Text), ("body", Text), ("html", Text)]),
    rules(
        "sending_account",
        Blanked,
        &[],
        &[
            ("address", Setting),
            ("sender_name", Setting),
            ("reply_to", Setting),
            ("kind", Nothing),
            ("host", Nothing),
            ("security", Nothing),
            ("user_name", Setting),
            ("secret", Nothing),
            ("dkim_selector", Nothing),
            ("dkim_domain", Nothing),
            ("dkim_key", Nothing),
            ("state", Nothing),
            ("reason", Text),
            ("tracking_domain", Nothing),
        ],
    ),
    rules("account_domain", Blanked, &[], &[("domain", Nothing)]),
    rules(
        "mailbox",
        Blanked,
        &[],
        &[
            ("host", Nothing),
            ("security", Nothing),
            ("user_name", Setting),
            ("secret", Nothing),
            ("folder", Nothing),
            ("state", Nothing),
            ("reason", Text),
            ("history_id", Nothing),
        ],
    ),
    rules(
        "lead",
        Blanked,
        &["id", "address"],
        &[
            ("address", Identity(Blank::Address)),
            ("domain", Identity(Blank::Text("erased.invalid"))),
            ("fields", Identity(Blank::Text("{}"))),
            ("zone", Nothing),
            ("state", Nothing),
            ("searched", Identity(EMPTY)),
        ],
    ),
    rules("lead_import", Blanked, &[], &[("name", Text), ("state", Nothing), ("form", Text), ("columns", Text)]),
    rules(
        "lead_import_fault",
        Blanked,
        &[],
        &[("column_name", Text), ("code", Nothing), ("detail", Copied(EMPTY)), ("excerpt", Copied(EMPTY))],
    ),
    rules(
        "email",
        BlankedOnceNot("state", &["claimed", "in_flight"]),
        &["lead_id", "address"],
        &[
            ("address", Identity(Blank::Address)),
            ("domain", Identity(Blank::Text("erased.invalid"))),
            ("zone", Nothing),
            ("message_id", Nothing),
            ("state", Nothing),
            ("enhanced", Nothing),
            ("said", Theirs(NULL)),
            ("provider_id", Nothing),
            ("thread", Nothing),
            ("sent_message_id", Nothing),
        ],
    ),
    rules("email_hit", Blanked, &[], &[("visitor", Nothing), ("reason", Nothing)]),
    rules("outreach_figure", Blanked, &[], &[("kind", Nothing)]),
    rules("suppression", DeletedLast, &["subject"], &[("subject", Identity(EMPTY)), ("reason", Nothing)]),
    // The installation.
    rules("flag", Blanked, &[], &[("key", Nothing), ("definition", Text)]),
    rules(
        "experiment",
        Blanked,
        &[],
        &[("key", Nothing), ("definition", Text), ("state", Nothing), ("winner", Nothing)],
    ),
    rules("counter", Blanked, &[], &[("name", Nothing)]),
    rules("control", Blanked, &[], &[("name", Nothing), ("value", Text), ("reason", Text), ("author", Text)]),
    rules(
        "control_change",
        Blanked,
        &[],
        &[("name", Nothing), ("old_value", Text), ("new_value", Text), ("reason", Text), ("author", Text)],
    ),
    rules(
        "deployment",
        Blanked,
        &[],
        &[
            ("environment", Nothing),
            ("version", Nothing),
            ("commit_id", Nothing),
            ("digest", Nothing),
            ("kind", Nothing),
            ("outcome", Nothing),
            ("reason", Text),
            ("who", Text),
        ],
    ),
    rules("audit_run", Blanked, &[], &[("profile", Nothing), ("report", Text)]),
    rules("alert", Blanked, &[], &[("rule", Nothing), ("subject", Text)]),
    rules("alert_receipt", Blanked, &[], &[("receiver", Nothing), ("failure", Text)]),
    rules(
        "backup",
        Blanked,
        &[],
        &[("id", Nothing), ("state", Nothing), ("place", Nothing), ("canary", Nothing), ("error", Text)],
    ),
    rules("restore_drill", Blanked, &[], &[("id", Nothing), ("backup", Nothing), ("detail", Text)]),
    rules(
        "job",
        Blanked,
        &[],
        &[
            ("queue", Nothing),
            ("kind", Nothing),
            ("group_key", Nothing),
            ("state", Nothing),
            ("arguments", Text),
            ("unique_key", Nothing),
            ("traceparent", Nothing),
        ],
    ),
    rules("job_attempt", Blanked, &[], &[("outcome", Nothing), ("error", Text)]),
    rules("job_probe", Blanked, &[], &[("key", Nothing)]),
    rules("job_queue", Blanked, &[], &[("name", Nothing), ("turns", Nothing)]),
    rules("job_rate", Blanked, &[], &[("queue", Nothing), ("group_key", Nothing)]),
    rules("job_schedule", Blanked, &[], &[("name", Nothing), ("definition", Nothing)]),
    rules("lease", Blanked, &[], &[("name", Nothing), ("holder", Nothing)]),
    rules("node_sample", Blanked, &[], &[("left_alone", Nothing)]),
    rules("encryption_key", Blanked, &[], &[("state", Nothing), ("check_value", Nothing)]),
    rules("key_holder", Blanked, &[], &[("holder", Nothing), ("versions", Nothing)]),
    rules("key_use", Blanked, &[], &[("holder", Nothing)]),
    rules("signing_key", Blanked, &[], &[("name", Nothing), ("secret", Nothing)]),
    rules(
        "schema_migration",
        Blanked,
        &[],
        &[("description", Nothing), ("kind", Nothing), ("checksum", Nothing), ("state", Nothing)],
    ),
];
