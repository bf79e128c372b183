//! Outreach: what is written to whom, when, how fast, and what becomes of it.
//!
//! Everything here is a function of what it is given: no clock, no chance and no disk of its own.

mod choose;
mod hits;
mod html;
mod lead;
mod links;
mod pace;
mod state;
mod template;
mod tracking;
mod window;

pub use choose::{StepVariant, email_of, message_id, variant};
pub use hits::{Asked, EmailHits, HitMarks, HitRow, IMAGE, Noted, VisitorKind};
pub use lead::NewLead;
pub use links::{Link, links, rewrite, rewrite_text, text_links};
pub use pace::{
    AccountHealth, BUCKET, HealthReason, RampUp, SentBucket, WINDOW, bucket_of, first_bucket, next_after, room,
    room_again, slot,
};
pub use state::{AccountState, CampaignState, EmailState, ImportState, LeadState, StopReason, SuppressionReason};
pub use template::{
    Escape, Fields, LaunchCheck, LaunchProblem, NamedField, ProblemKind, RenderFault, Template, TemplateFault,
    TemplatePart, field_name, known_fields,
};
pub use tracking::{Hit, HitKind, HitMethod, LinksFollowed, MachineReason, Visitor};
pub use window::{Delay, SendingWindow, Weekdays, delayed};
