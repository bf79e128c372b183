//! What is true in Mainstay, whatever the wire and the disk.
//!
//! Identifiers, entities and their rules, time and chance as arguments, secrets that do not print, and the one error
//! that a service answers with. Nothing here knows a runtime, a socket or a database, so that a rule can be tested by
//! calling it.

mod account;
mod assistant;
mod backup;
mod call;
mod call_mask;
mod call_words;
mod clock;
mod control;
mod delivery;
mod deployment;
mod entropy;
mod error;
mod flag;
mod hexadecimal;
mod id;
mod image;
mod inbox;
mod job;
mod knowledge;
pub mod outreach;
mod reception;
mod schedule;
mod sealed;
mod secret;
mod subscription;
mod sync;
mod text;
mod text_message;
mod trace;
mod usage;

pub use account::{ApiKeyScope, EmailAddress, PersonName, Plan, Role, UnknownWord};
pub use assistant::{MessageRole, MessageStatus, ToolState, ToolUsed, Usage};
pub use backup::BackupState;
pub use call::{CallDirection, CallOutcome, CallState, CallTold, PhoneCall};
pub use call_mask::CallMask;
pub use call_words::CallWords;
pub use clock::{Clock, ManualClock, Timestamp};
pub use control::{ControlReason, ControlSpan};
pub use delivery::{DeliveryState, DisabledReason, EventType};
pub use deployment::{BuildDigest, DeploymentKind, DeploymentOutcome, EnvironmentName};
pub use entropy::{Entropy, Ids};
pub use error::{Error, Faults, FieldFault, Kind, Result, panic_message};
pub use flag::{EventName, Experiment, ExperimentState, Flag, FlagKey, Measure, Share, Unit, Variant, VariantName};
pub use hexadecimal::{from_hexadecimal, hexadecimal};
pub use id::{
    ApiKeyId, AppointmentId, CalendarConflictId, CalendarConnectionId, CalendarFeedId, CalendarSignInId, CampaignId,
    ContactId, ConversationId, DeliveryId, DocumentId, EmailId, EndpointId, EventId, ExperimentId, GenerationId,
    ImageId, InboxEventId, InboxSourceId, JobId, LeadId, LeadImportId, MessageId, PersonId, PhoneCallId,
    PhoneMessageId, RequestId, SendingAccountId, ServiceId, SessionId, StaffId, StepVariantId, StreamId, TenantId,
    TextMessageId,
};
pub use image::{ImageKind, MessageImage};
pub use inbox::InboxState;
pub use job::{JobPriority, JobState};
pub use knowledge::{DocumentText, DocumentTitle, IndexedText, Language, Passage, Question, QuestionWord, sentences};
pub use outreach::{AccountState, CampaignState, EmailState, ImportState, LeadState, StopReason, SuppressionReason};
pub use reception::{
    AppointmentState, CalendarDay, CalendarEvent, CalendarMethod, CallingCode, Opening, PhoneNumber, ServiceTimes,
    Span, SpecialDay, StaffHours, Step, Week, Zone, calendar_file, free_starts,
};
pub use schedule::Schedule;
pub use sealed::{KeyState, KeyVersion, Sealed};
pub use secret::Secret;
pub use subscription::{Aspect, Change, Charge, Difference, Subscription, SubscriptionEvent, SubscriptionState};
pub use sync::{Cursor, NoCursor, StreamCursor, StreamScope};
pub use text::{ConversationTitle, IdempotencyKey, Label, MessageText, Note, OrganisationName, Refused};
pub use text_message::{QuietHours, TextHeard, TextReason, TextState, TextTold, reminder_due, text_due};
pub use trace::{SpanId, TraceContext, TraceId};
pub use usage::{Allowance, Amounts, Day, Meter, Month, PlanLimits, Spent};
