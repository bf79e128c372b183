//! How the document describes values that the wire writes as text: those of a closed set by their words, and texts of a form
//! by their pattern. For `value_type`, where a field has a type of the domain, which knows nothing of the document.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $schema:expr) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

macro_rules! closed {
    ($($name:ident)+) => { $(
        named!(
            /// The words of the type of the same name.
            $name,
            closed(mainstay_domain::$name::ALL.iter().map(|one| one.as_str()))
        );
    )+ };
}

fn closed(words: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    RefOr::T(Schema::Object(object.build()))
}

/// A text of this form.
fn form(pattern: &str, most: impl Into<Option<usize>>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).max_length(most.into());
    RefOr::T(Schema::Object(object.build()))
}

/// A text of a form that a pattern does not say whole, by its name and with an example.
fn named_form(name: &str, example: &str) -> RefOr<Schema> {
    let format = SchemaFormat::Custom(name.to_owned());
    let object = ObjectBuilder::new().schema_type(Type::String).format(Some(format));
    RefOr::T(Schema::Object(object.examples([serde_json::Value::from(example)]).build()))
}

closed! {
    Role Plan ApiKeyScope MessageRole MessageStatus ToolState ImageKind AppointmentState CampaignState LeadState ImportState
    EmailState AccountState SuppressionReason CallState CallDirection CallOutcome JobState SubscriptionState InboxState
    DeliveryState DisabledReason TextReason TextState Unit Measure ExperimentState Language
}

named!(
    /// An address of electronic mail, as most are. Those with letters beyond ASCII are taken too.
    EmailAddress,
    form(
        r"^[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?\.){1,3}[A-Za-z]{2,20}$",
        254
    )
);
named!(
    /// The name of a zone in the IANA database.
    TimeZone,
    named_form("time-zone", "Europe/Berlin")
);
named!(
    /// From when until when something is open, within a day.
    Opening,
    named_form("opening", "09:00-12:30")
);
named!(
    /// A day of the calendar from 1970 to 2199.
    CalendarDay,
    RefOr::T(Schema::Object(
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .pattern(Some("^(19[7-9][0-9]|2[01][0-9][0-9])-"))
            .build()
    ))
);
named!(
    /// A month.
    Month,
    form(r"^[0-9]{4}-(0[1-9]|1[0-2])$", 7)
);
named!(
    /// The days and the hours in which a campaign sends: `mon-fri 09:00-17:00`.
    SendingWindow,
    named_form("sending-window", "mon-fri 09:00-17:00")
);
named!(
    /// A number of a telephone, with its country (E.164). It may also be written with spaces and the like, and without its
    /// country where the reception has one.
    PhoneNumber,
    form(r"^\+[1-9][0-9]{6,14}$", 16)
);
named!(
    /// A type of events: words with dots between them.
    EventType,
    form(r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$", 128)
);
named!(
    /// The name of an event or of an experiment.
    EventName,
    form(r"^[a-z0-9][a-z0-9_.-]{0,63}$", 64)
);
named!(
    /// The name of a machine.
    HostName,
    form(r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$", 253)
);
named!(
    /// An address on the web: https, where this server calls it itself.
    Url,
    named_form("web-address", "https://example.com/hooks")
);
named!(
    /// A name with a domain.
    DomainName,
    form(r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$", 253)
);
named!(
    /// The name of a header.
    HeaderName,
    form(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", None)
);
named!(
    /// An address, or a domain as `@example.com`.
    SuppressionSubject,
    form(
        r"^([A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,64})?@([A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?\.){1,3}[A-Za-z]{2,20}$",
        254
    )
);
named!(
    /// A plan that is bought.
    PaidPlan,
    closed(mainstay_domain::Plan::ALL.iter().filter(|plan| **plan != mainstay_domain::Plan::Free).map(|plan| plan.as_str()))
);
named!(
    /// What kind of sender webhooks come from.
    Source,
    closed(crate::webhooks::sources::Source::ALL.iter().map(|one| one.as_str()))
);
named!(
    /// In which state a job has ended without being done.
    EndedState,
    closed([mainstay_domain::JobState::Dead, mainstay_domain::JobState::Cancelled].into_iter().map(mainstay_domain::JobState::as_str))
);
named!(
    /// What becomes of an appointment; it is held by being booked so.
    AppointmentChange,
    closed(mainstay_domain::AppointmentState::ALL.iter().filter(|one| **one != mainstay_domain::AppointmentState::Held).map(|one| one.as_str()))
);
named!(
    /// What is kept where an appointment and a calendar differ.
    Keep,
    closed(["ours", "theirs", "seen"].into_iter())
);
named!(
    /// By what an account sends.
    AccountKind,
    closed(["smtp", "gmail"].into_iter())
);
named!(
    /// How a line to a server is protected.
    Security,
    closed(["start_tls", "tls", "none"].into_iter())
);
named!(
    /// How long after the step before: days or hours.
    Delay,
    form(r"^(0|[1-9][0-9]?)d$|^[1-9][0-9]{0,2}h$", 5)
);
named!(
    /// How many minutes are between the beginnings that are offered.
    Step,
    RefOr::T(Schema::Object(
        ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([5, 10, 15, 20, 30, 45, 60])).build()
    ))
);
named!(
    /// How many minutes before an appointment somebody is reminded.
    ReminderMinutes,
    RefOr::T(Schema::Object(
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(15)).maximum(Some(43_200)).build()
    ))
);
named!(
    /// By what leads are in order.
    LeadSort,
    closed(["-created_at", "created_at", "email", "-email"].into_iter())
);
named!(
    /// The state by which emails of all campaigns are listed.
    ListedEmailState,
    closed([mainstay_domain::EmailState::Unknown, mainstay_domain::EmailState::Rejected].into_iter().map(|one| one.as_str()))
);
named!(
    /// The bytes of a file.
    File,
    RefOr::T(Schema::Object(
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .build()
    ))
);
named!(
    /// What an access token is given for (RFC 6749, section 4.4). The secret may also be the password of basic authentication.
    ClientCredentials,
    RefOr::T(Schema::Object(
        ObjectBuilder::new()
            .property("grant_type", closed(["client_credentials"].into_iter()))
            .required("grant_type")
            .property("client_secret", ObjectBuilder::new().schema_type(Type::String))
            .build()
    ))
);
named!(
    /// A secret that a sender has.
    SenderSecret,
    form(r"^[!-~]+$", None)
);
named!(
    /// What a message says in place of the usual words.
    Wording,
    form(r"\S", 500)
);
named!(
    /// What texts may name of a lead.
    LeadFields,
    RefOr::T(Schema::Object(
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property_names(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(64))))
            .additional_properties(Some(ObjectBuilder::new().schema_type(Type::String).max_length(Some(10_000))))
            .max_properties(Some(50))
            .build()
    ))
);
