//! What Mainstay remembers, and how: the only SQL in the house, on SQLite and PostgreSQL.
//!
//! A caller builds an intent (a struct whose name is a finished sentence: [`RenameConversation`]) and hands it to
//! [`Store::run`] with a [`Call`], which grants it time. An intent is one transaction, and none is ever handed out, so none
//! can be held open over a network call. The hot path of a conversation ([`Store::accept_message`] and its kin) goes
//! through a batcher: what waits at the same moment shares a commit.
//!
//! To add one: write its statements with `statements!` (one text for both engines; a pair only with its reason), a struct,
//! and its `Run`; list the module's statements in [`registry`]. The conformance suite fails until a case runs each of them
//! on both engines, and the plan test until each uses an index at volume.

mod accounts;
mod alerts;
mod api_keys;
mod audit_trail;
mod audits;
mod backup;
mod batcher;
mod billing;
mod calendars;
mod call;
mod calls;
mod checkpoints;
mod client_reports;
#[cfg(test)]
mod conformance;
mod controls;
mod conversations;
mod credentials;
mod deliveries;
mod deployments;
mod engine;
mod error;
mod experiments;
mod facts;
mod flags;
mod health;
mod housekeeping;
mod idempotency;
mod images;
mod inbox;
mod intent;
mod jobs;
mod keys;
mod kinds;
mod knowledge;
mod lease;
mod members;
mod messages;
mod metering;
mod migrate;
mod nodes;
mod outreach;
mod pack;
mod places;
mod preflight;
mod privacy;
mod reception;
#[cfg(test)]
mod registry;
mod replays;
mod revocations;
mod samples;
mod sessions;
mod signing_keys;
mod sql;
mod store;
mod stream;
mod sync;
mod tables;
mod tasks;
mod texts;
pub mod trace;
mod turns;
mod tx;
mod usage;
mod value;
mod voice;

pub use accounts::{
    AdmitOutsidePerson, CreateOrganisation, FindOutsidePerson, FindPerson, FindPersonByEmail, MembershipsOf, NewPerson,
    NewSession, Person, SetOperator, SetPassword, SignUp, SignedUp,
};
pub use alerts::{
    Alert, AlertReceipt, ListAlerts, ReadAlertReceipts, ReadOpenAlerts, RecordAlertReceipt, RecordAlerts,
};
pub use api_keys::{
    ApiKey, ApiKeyAuthority, AuthoriseApiKey, CreateApiKey, GetApiKey, ListApiKeys, LookUpApiKey, RevokeApiKey,
};
pub use audit_trail::{
    AuditEvent, AuditNote, AuditTrail, AuditWalk, BrokenTrail, Digest, GENESIS, INSTALLATION, ListAuditEvents,
    ListAuditTrails, ListOldAuditTrails, ReadAuditLinks, RecordAuditNote, TrimAuditTrail,
};
pub use audits::{AuditRun, AuditSummary, ListAudits, ReadAudits, RecordAudit};
pub use backup::catalogue::{
    BackupDeleted, BeginBackup, Drill, EndBackup, InstallationIs, LastGood, ListBackups, ListDrills, RecordDrill,
    StoredBackup,
};
pub use backup::restoration::{Mark, Restoration};
pub use backup::snapshot::{Part, Snapshot};
pub use backup::{Applied as AppliedMigration, Damage};
pub use billing::apply::{AppliedEvent, ApplyBillingEvent, BillingRules, EventOf, IgnoreBillingEvent, ReviewPlan};
pub use billing::invoices::{Invoice, InvoiceState, ListInvoices};
pub use billing::organisation::{Organisation, PlanChange, SetPlan};
pub use billing::reading::{BillingOf, FindPayer, GetBilling, ListPlanChanges, Payer};
pub use calendars::conflicts::{
    CalendarConflict, ConflictEnd, ConflictKind, GetCalendarConflict, KeepOurs, ListCalendarConflicts,
};
pub use calendars::connections::{
    CalendarChannel, CalendarConnection, CalendarFailed, ConnectCalendar, DisconnectCalendar, GetCalendar,
    GetCalendarOf, ListCalendarConnections, SetCalendarChannel, SwitchCalendar, WantCalendarRead,
};
pub use calendars::entries::{
    CalendarEntry, EntryAt, EntryDue, EntryEnd, EntryWritten, EventStands, ReadEntryDue, ToldEvent,
};
pub use calendars::events::{BusyTime, ListBusyTimes, appointment_of_event, event_id};
pub use calendars::feeds::{
    CalendarFeed, CreateCalendarFeed, DeleteCalendarFeed, FeedAppointment, GetCalendarFeed, ListCalendarFeeds,
    MAKING_A_CALENDAR_FEED, MOST_CALENDAR_FEEDS, ReadCalendarFeed,
};
pub use calendars::housekeeping::{CalendarStates, CountCalendars, FindNeglected, Neglected, PromiseNeglected};
pub use calendars::reading::{BeginCalendarRead, CalendarWasRead, ReadEnd, SeenEvent};
pub use calendars::sign_ins::{BeginSignIn, TakeSignIn};
pub use calendars::{
    CALENDAR_ATTEMPTS, CALENDAR_READ_KIND, CALENDAR_WRITE_KIND, CALENDARS, CalendarRead, CalendarWrite,
};
pub use call::Call;
pub use calls::access::{AccessEntry, ForgetReadingOfNobody, ListAccesses, ReadContact, ReadContacts, Reading};
pub use calls::actions::{ACTION_FAILED, CallAction, FindActions, NoteActions};
pub use calls::agent::{ForgetCalls, GetPhoneAgent, ListCallKeeping, PhoneAgent, PutPhoneAgent};
pub use calls::hearing::HearCall;
pub use calls::listing::{ListCalls, ListSilentCalls, ReadCall, WhichCalls};
pub use calls::messages::{HandleMessage, ListPhoneMessages, PhoneMessage, TakeMessage};
pub use calls::newest::{NEWEST_CALLS, ReadNewestCalls, SaidInCall};
pub use calls::search::{IndexCall, ListCallsNotIndexed, SearchCalls};
pub use client_reports::{ClientReport, KEPT_REPORTS, ListClientReports, RecordClientReports};
pub use controls::{
    ChangeControl, ControlAuthor, ControlChange, KEPT_CONTROL_CHANGES, ListControlChanges, ListControls, StoredControl,
};
pub use conversations::{
    Conversation, CreateConversation, DeleteConversation, GetConversation, ListConversations, RenameConversation,
};
pub use credentials::{ChangePassword, DisablePerson};
pub use deliveries::cancelling::{CancelDelivery, CancelledDelivery};
pub use deliveries::counting::{COUNTED_DELIVERIES, CountDeliveries, CountedDeliveries, DeliveryCounts};
pub use deliveries::ending::{AttemptEnd, AttemptLog, EndAttempts, EndedAttempts, EndpointPolicy, Verdict, spread_of};
pub use deliveries::endpoints::{
    Cancelling, ChangeEndpoint, ChangeSecrets, CreateEndpoint, DeleteEndpoint, EndpointMade, EndpointSettings,
    GetEndpoint, ListEndpoints, MAKING_AN_ENDPOINT, SecretsChanged,
};
pub use deliveries::housekeeping::CountDisabledEndpoints;
pub use deliveries::listing::{Delivery, DeliveryLog, DeliveryPage, GetDelivery, ListDeliveries, LoggedAttempt};
pub use deliveries::publish::{
    FindEvent, ListEventTypes, NewEvent, PUBLISHING, PublishEvents, PublishTo, PublishedEvent,
};
pub use deliveries::replay::{CancelBite, Replay, ReplayBite, ReplayDelivery, Replayed, RequestReplay};
pub use deliveries::resting::PutOffDeliveries;
pub use deliveries::working::{DeliveryAt, DeliveryDue, EndUnsent, EventContent, ReadDeliveries, TakeTurn, Turn};
pub use deliveries::{
    CANCELLING_KIND, DELIVERIES, DELIVERY_CHORES, DELIVERY_KIND, ENDPOINT_DISABLED, Endpoint, Health, MOST_ENDPOINTS,
    REPLAY_KIND, TEST_EVENT,
};
pub use deployments::{Deployment, KEPT_DEPLOYMENTS, ListDeployments, ReadStandingDeployments, RecordDeployment};
pub use engine::room::Room;
pub use error::{Error, Result};
pub use experiments::{
    ExperimentStep, Exposure, MOST_EXPERIMENTS, MoveExperiment, Outcome, PutExperiment, RecordExposures,
    RecordOutcomes, ResultsOf, StoredExperiment, VariantFigures,
};
pub use facts::{
    Archive, CountOperators, FindFaults, FindUnguarded, Leftovers, ReadArchive, ReadLeftovers, ReadSettings,
};
pub use flags::{Definitions, KillFlag, LoadDefinitions, MOST_FLAGS, Put, PutFlag, RemoveFlag, StoredFlag};
pub use health::Ping;
pub use housekeeping::{ForgetExpired, LeasesGone, OpenReply, RepliesOf};
pub use idempotency::{ClaimOnce, FindUsed, Once, Used};
pub use images::newest::{KeptImage, ReadNewestImages};
pub use images::{
    GetImage, ImageContent, ImageStored, ReadImages, SendableImages, StoreImage, StoredImage, UNSENT_LASTS,
};
pub use inbox::counting::{COUNTED_EVENTS, CountInbox, EventCounts};
pub use inbox::listing::{GetInboxEvent, InboxEvent, InboxFilter, InboxPage, InboxSummary, ListInbox, ReplayEvents};
pub use inbox::receive::{Processing, ReceiveEvent, Received};
pub use inbox::sources::{
    ChangeInboxSource, CreateInboxSource, DeleteInboxSource, GetInboxSource, InboxSource, InboxSourceMade,
    ListInboxSources, LookUpInboxKey, MOST_INBOX_SOURCES,
};
pub use inbox::subjects::{InboxSubject, KeepNewest, ListSubjects, Telling};
pub use inbox::sweep::ForgetInbox;
pub use intent::Intent;
pub use jobs::claim::{ClaimJobs, Claims, OpenQueues, OverallLimits, QueueLimits};
pub use jobs::enqueue::{Enqueue, Enqueued};
pub use jobs::finish::{Ending, Fence, FinishJobs, Finished, Keeping};
pub use jobs::listing::{
    CancelJob, Cancelled, GetJob, JobAttempt, JobFilter, JobLife, JobPage, JobSummary, ListJobs, ReplayJobs,
};
pub use jobs::probe::{ForgetProbes, ListProbes, ProbeEffects, RecordProbe};
pub use jobs::queues::{PauseQueue, QueueAge, QueueDepth, QueueDepths, ReadAges, ReadQueues};
pub use jobs::rate::Rate;
pub use jobs::schedule::{ListSchedules, RegisterSchedule, StoredSchedule, TakeTick};
pub use jobs::upkeep::{ForgetJobs, JobsOf, JobsWaiting, LookForJobs, PromoteJobs, RescueJobs};
pub use jobs::{Claimed, NO_GROUP, NewJob, Unique};
pub use keys::holders::{ForgetKeyHolder, KeyHolder, ListKeyHolders, TellKeys};
pub use keys::retiring::{RetireKey, Retired};
pub use keys::sealed::{CountSealed, ExchangeSealed, MOST_COUNTED, ReadPlain, ReadSealed, SealedColumn, SealedRow};
pub use keys::uses::{KeyUse, ListKeyUses, RegisterKeyUse, ReleaseKeyUse};
pub use keys::versions::{ActivateKey, Activated, KEY_ROTATION_KIND, KEYS, ListKeys, LoseKey, MakeKeyKnown, StoredKey};
pub use kinds::{Kind, SyncedRow};
pub use knowledge::documents::{
    ChangeDocument, DeleteDocument, Document, DocumentContent, DocumentMade, DocumentSummary, GetDocument,
    ListDocuments, PutDocument,
};
pub use knowledge::search::{FoundPassage, SearchKnowledge, SearchedKnowledge};
pub use knowledge::{MAKING_A_DOCUMENT, MOST_DOCUMENTS};
pub use lease::{AcquireLease, ExpireLeases, ExpiredLease, ExpiredLeases, ReleaseLease, RenewLease};
pub use members::{AddMember, ChangeMember, ListMembers, Member, MemberChanged, Membership, MembershipsIn};
pub use messages::{Exchange, GetExchange, ListMessages, Message, ReadHistory, RequestStop, Said};
pub use metering::admission::Bid;
pub use metering::plans::{Limits, ListPlans, SetBudget, SetPlanLimits};
pub use metering::reading::{GetUsage, ListUsage, MemberUsage, UsageOf, Used as UsedOf};
pub use metering::reservation::{Cost, ForgetSwept};
pub use migrate::{Applied, Migrator, Planned, StatementRisk, Step, StepState, file_fault, folder_fault};
pub use nodes::{PositionsOf, WatchNodes, Watched};
pub use outreach::accounts::{
    AccountSettings, AccountsInUse, GetAccount, ListAccounts, PutAccount, Ramp, SendingAccount, SetAccountState,
};
pub use outreach::auditing::{
    AuditAccounts, AuditCampaigns, AuditedAccount, AuditedCampaign, AuditedMailbox, CompareFigures, ComparedFigures,
    CountSent, FindLeftEmails, FindSentAfterStop, LeftEmails, SentAfterStop,
};
pub use outreach::campaigns::{
    AccountsOf, Campaign, CampaignSettings, ClearCampaign, GetCampaign, ListCampaigns, MAKING_A_CAMPAIGN, PutCampaign,
    SetCampaignState, UseAccounts,
};
pub use outreach::claiming::{ClaimEmails, ClaimedEmail, EarlierEmail, EmailClaim, SendingLane, choose};
pub use outreach::due::{LaneDue, ReadDue};
pub use outreach::ending::{EmailEnd, EndEmail, ServerSaid};
pub use outreach::events::EMAIL_EVENTS;
pub use outreach::exporting::{CameOfLead, ExportLeads, ReadFieldNames};
pub use outreach::fencing::FenceEmail;
pub use outreach::figures::{Became, CountFigures, OutreachFigure, ReadFigures, SumFigures};
pub use outreach::gmail::{FindByThread, NoteProvider, SendNotBefore, SignInAccount};
pub use outreach::importing::{
    BEGINNING_AN_IMPORT, BeginImport, CancelImport, GetImport, ImportFault, LeadImport, ListImportFaults, ListImports,
    MOST_IMPORT_FAULTS, ReadIntoCampaign, ReadStep,
};
pub use outreach::lead_list::{LeadOrder, ListLeads};
pub use outreach::leads::{AddLeads, AddedLeads, FindLacking, GetLead, Lead, MOST_LEADS, NewLead};
pub use outreach::listing::{Email, EmailsOf, FindByMessage, FoundEmail, GetEmail, ListEmails};
pub use outreach::mailboxes::{
    FindLastTo, GetMailbox, ListUnknown, MailboxRead, MailboxSettings, NoteBecame, NoteMailbox, PutMailbox,
    RemoveMailbox, StoredMailbox,
};
pub use outreach::resolving::{EmailPlace, ReadPlace, Resolution, ResolveEmail, Resolved};
pub use outreach::running::{AccountRun, BeginRun, RunCampaign};
pub use outreach::steps::{CampaignStep, PutSteps, ReadSteps, ReadVariant, StepVariant, VariantShare};
pub use outreach::stopping::{StopBy, StopLead};
pub use outreach::sums::{CampaignSums, ReadSums};
pub use outreach::suppressing::{Allow, ListSuppressions, Suppress, Suppression};
pub use outreach::test_emails::{ReserveTestEmail, TestEmailRoom};
pub use outreach::tracking::{Conversion, ConvertLead, NoteHit, NotedHit};
pub use outreach::waking::{BringForward, RestAccount};
pub use outreach::{
    ACCOUNT_KIND, ACCOUNT_WAKE_KIND, CLEAR_KIND, MAILBOX_KIND, MAILBOXES, NextEmail, OUTREACH, RunOf, message_id,
};
pub use preflight::DatabaseSeen;
pub use privacy::{
    Erased, ErasurePlan, Found, Identifiers, Left, NothingToFind, ObjectFor, Objection, Phase as ErasurePhase, Why,
    erase as erase_everywhere, find as find_everywhere, learn as learn_identifiers, learn_surely, leave_no_trace,
    plan as plan_erasure, writers_have_ended,
};
pub use reception::appointments::{BookAppointment, Booking, ChangeAppointment, MoveAppointment};
pub use reception::availability::{Availability, ReadAvailability, StaffTime, TakenTime};
pub use reception::board::Board;
pub use reception::calendar::{Appointment, AppointmentsOf, GetAppointment, ListAppointments};
pub use reception::contacts::{ChangeContact, Contact, FindContacts, GetContact, KnowContact, ListContacts, folded};
pub use reception::overlaps::{FindOverlaps, Overlaps};
pub use reception::services::{
    ChangeService, CreateService, GetService, ListServices, MAKING_A_SERVICE, MOST_SERVICES, Service,
};
pub use reception::settings::{
    GetReception, ListSpecialDays, NamedDay, PutReception, PutSpecialDay, Reception, RemoveSpecialDay,
};
pub use reception::staff::{ChangeStaff, CreateStaff, GetStaff, ListStaff, MAKING_STAFF, MOST_STAFF, SetOffers, Staff};
pub use replays::{
    AuditReplays, ChunkTaken, FindReplay, FirstChunk, ForgetReplaysOf, GiveReplayConsent, KeptReplay, ListReplays,
    MeasureReplays, ReadReplay, ReadReplayConsent, ReplayAmount, ReplayBounds, ReplayReason, TakeReplayChunk,
    WithdrawReplayConsent,
};
pub use revocations::{Revocation, RevocationsSince, Revoked};
pub use samples::{
    NodeHealth, NodeSample, NodeUses, ReadNodeHealth, ReadSystemHealth, RecordSample, SAMPLE_BOUNDS_MS, SystemHealth,
};
pub use sessions::{EndAllSessions, EndSession, RotateSession, Rotated, Session, StartSession, SwitchSession};
pub use signing_keys::SigningKeyOr;
pub use store::{JobListener, Listener, Options, Store};
pub use stream::Position;
pub use sync::{Change, GetPositions, Positions, Resync, StreamPage, SyncPage, SyncedPage};
pub use tables::{TABLES, Table, TableKind};
pub use tasks::Task;
pub use texts::faults::{FindTextFaults, OverdueText, TextFaults};
pub use texts::hearing::{HearText, Heard, KnownTexts};
pub use texts::listing::{GetText, ListTexts, ShowAppointment, ShownAppointment, TextPage};
pub use texts::opting::{ListOptOuts, OptOut, WasSilenced};
pub use texts::sending::{BeginText, EndText, ReadText, TextAround, TextDue, TextEnd};
pub use texts::settings::{GetTextSettings, PutTextSettings, TextSettings};
pub use texts::{TEXT_KIND, TEXT_LOOK_KIND, TEXTS, TextMessage};
pub use turns::{AcceptMessage, Accepted, Claim, SaveReply, Saved, SettleReply, Target, TurnFigures};
pub use usage::{LENDINGS, Lending, Usage};
pub use voice::cutting::CutReply;
pub use voice::places::{ForgetVoicePlaces, RenewVoicePlaces, TakeVoicePlace};
pub use voice::sessions::{
    BeginVoiceSession, EndVoiceSession, FoundVoiceSession, ListVoiceSessions, NewVoiceSession, ReserveSpeech,
    SettleSpeech, VoiceSession,
};
