//! What every engine must do: one suite, run on both. A case is a function; the last thing that each run does is to see
//! that every statement of the registry was executed, so that none is ever shipped untried on one of the engines.

mod accounts;
mod alerts;
mod assistant;
mod audit_trail;
mod backups;
mod batches;
mod billing;
mod calendars;
mod calls;
mod controls;
mod deadlines;
mod deliveries;
mod deployments;
mod facts;
mod flags;
pub(crate) mod gate;
mod images;
mod inbox;
mod isolation;
mod jobs;
mod keys;
mod knowledge;
mod leases;
mod metering;
mod outreach;
mod plans;
mod pooler;
mod privacy;
mod reception;
mod released;
mod replays;
mod schema;
mod streams;
mod texts;
mod traces;
mod voice;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{
    Clock, EmailAddress, Entropy, Ids, KeyVersion, ManualClock, OrganisationName, PersonId, PersonName, Plan,
    PlanLimits, Sealed, Secret, TenantId, Timestamp,
};
use mainstay_testing::postgres::{Cluster, Database};

use crate::{Call, Migrator, NewPerson, Options, SetPlanLimits, SignUp, SignedUp, Store};

/// Statements that ran, by engine.
pub(crate) static EXECUTED: [Mutex<BTreeSet<&'static str>>; 2] =
    [Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new())];

/// A text as the store takes it for sealed: nothing here can open one.
pub(crate) fn sealed(body: &str) -> Sealed {
    sealed_under(KeyVersion::FIRST, body)
}

/// The same, under another key.
pub(crate) fn sealed_under(key: KeyVersion, body: &str) -> Sealed {
    Sealed::new(key, body).expect("letters")
}

/// Which engine a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Sqlite,
    Postgres,
}

/// A counter in place of chance: every draw differs, and a run repeats.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mixed = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
            chunk.copy_from_slice(&mixed.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// The start of every run's clock.
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A fresh database with its schema, and a store on it.
pub(crate) struct Harness {
    pub(crate) store: Store,
    pub(crate) ids: Ids,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: Options,
    running: Vec<tokio::task::JoinHandle<()>>,
    _folder: tempfile::TempDir,
    pub(crate) database: Option<Database>,
}

impl Drop for Harness {
    fn drop(&mut self) {
        for task in &self.running {
            task.abort();
        }
    }
}

impl Harness {
    /// Nothing when the engine is not on this machine.
    pub(crate) async fn open(engine: EngineKind) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = match engine {
            EngineKind::Sqlite => None,
            EngineKind::Postgres => Some(Cluster::shared()?.database().expect("a database")),
        };
        let url = match &database {
            None => format!("sqlite:{}", folder.path().join("test.db").display()),
            Some(database) => database.url.clone(),
        };
        // Many do many things at once, on machines that do others besides: what is tried is what they come to, and not how
        // long they wait for a connection.
        let options = Options { acquire_timeout: Duration::from_secs(60), ..Options::new(Secret::new(url)) };
        let mut migrator = Migrator::open(&options).await.expect("the migrator opens");
        migrator.up(START, Duration::from_secs(30)).await.expect("the schema is made");
        Some(Self::on(options, folder, database).await)
    }

    async fn on(options: Options, folder: tempfile::TempDir, database: Option<Database>) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let entropy: Arc<dyn Entropy> = Arc::new(Counting(AtomicU64::new(1)));
        let (store, tasks) = Store::open(options.clone(), Arc::clone(&entropy)).await.expect("the store opens");
        let running = tasks.into_iter().map(|task| spawn(task.future)).collect();
        let ids = Ids::new(Arc::clone(&clock) as Arc<dyn Clock>, entropy);
        // What plans allow is set by the cases that are about it.
        for plan in Plan::ALL {
            let set = SetPlanLimits(*plan, PlanLimits::default());
            store.run(&Call::within(Duration::from_secs(20)), set).await.expect("set");
        }
        Self { store, ids, clock, options, running, _folder: folder, database }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::new(Counting(AtomicU64::new(1)))
    }

    pub(crate) fn call(&self) -> Call {
        Call::within(Duration::from_secs(20))
    }

    /// A person with their own organisation.
    pub(crate) async fn person(&self, name: &str) -> (TenantId, PersonId) {
        let (tenant, person) = (self.ids.make(), self.ids.make());
        let sign_up = SignUp {
            person: NewPerson {
                id: person,
                email: Some(EmailAddress::parse(&format!("{name}@example.com")).expect("an address")),
                name: PersonName::parse(name).expect("a name"),
                password_hash: Some("hash".to_owned()),
                operator: false,
            },
            tenant,
            organisation: OrganisationName::parse(name).expect("a name"),
            session: None,
            now: self.now(),
        };
        assert_eq!(self.store.run(&self.call(), sign_up).await, Ok(SignedUp::Done));
        (tenant, person)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no lifecycle; the harness aborts what it started")]
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}

/// A case on the heap. All of them in one future would not fit on a stack, and neither would what an unoptimised build keeps
/// there of each that it has boxed in one function.
fn boxed<'a, F: Future<Output = ()> + 'a>(
    case: impl FnOnce() -> F,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(case())
}

// All of them, or those whose name holds what `MAINSTAY_TEST_CASES` says, for whoever works on one.
macro_rules! cases {
    ($($case:path),+ $(,)?) => {
        async fn run_all(engine: EngineKind) {
            let only = std::env::var("MAINSTAY_TEST_CASES").ok();
            let is_wanted = |case: &str| only.as_deref().is_none_or(|part| case.contains(part));
            $(if is_wanted(stringify!($case)) {
                let Some(harness) = Box::pin(Harness::open(engine)).await else { return };
                eprintln!("{:?}: {}", engine, stringify!($case));
                boxed(|| $case(&harness)).await;
                // The connections are wanted by the next one.
                harness.store.close().await;
            })+
            if only.is_some() {
                return;
            }
            let executed = EXECUTED[engine as usize].lock().expect("no case panicked");
            let missed: Vec<_> =
                crate::registry::statements().map(|sql| sql.name).filter(|name| !executed.contains(name)).collect();
            assert!(missed.is_empty(), "statements that no case runs on {engine:?}: {missed:#?}");
        }
    };
}

cases! {
    accounts::a_person_signs_up_once,
    accounts::sign_ins_rotate_and_notice_reuse,
    accounts::sign_ins_switch_and_end,
    accounts::another_password_and_being_disabled_end_all,
    accounts::members_come_and_go_but_the_last_owner_stays,
    accounts::a_reader_of_the_feed_misses_nothing,
    accounts::a_role_is_read_together_with_the_position_of_the_feed,
    accounts::api_keys_live_and_die,
    accounts::outside_people_are_made_once,
    accounts::organisations_and_operators,
    accounts::the_signing_key_is_made_once,
    alerts::an_alert_is_kept_with_the_messages_that_tell_of_it,
    alerts::receivers_are_remembered_by_what_they_did,
    alerts::five_minutes_of_samples_come_to_one_row,
    alerts::the_last_reports_of_browsers_are_kept,
    replays::a_chunk_is_kept_once_of_who_agrees_and_within_bounds,
    replays::whoever_looks_at_a_recording_is_noted,
    replays::recordings_go_with_the_consent_and_with_time,
    assistant::a_turn_is_accepted_saved_and_settled,
    assistant::a_question_comes_with_what_was_said_before_it,
    assistant::a_key_is_used_once,
    assistant::conversations_are_listed_renamed_and_deleted,
    assistant::deleting_asks_the_replies_to_stop,
    assistant::a_reply_whose_node_died_is_interrupted,
    assistant::replies_whose_lease_is_gone_are_found,
    assistant::a_reply_is_settled_by_one_only,
    assistant::a_bad_member_fails_alone,
    assistant::nobody_is_kept_waiting_by_another_organisation,
    assistant::what_has_expired_is_swept,
    assistant::a_commit_that_was_not_confirmed_is_not_done_twice,
    deliveries::endpoints_are_made_changed_and_removed,
    deliveries::an_event_and_its_deliveries_are_one_transaction,
    deliveries::an_attempt_ends_with_its_log_and_what_it_says_of_the_endpoint,
    deliveries::an_endpoint_is_told_at_its_own_pace,
    deliveries::listing::deliveries_are_counted_and_given_up,
    deliveries::what_was_missed_is_delivered_again,
    deliveries::what_was_kept_long_enough_is_forgotten,
    audit_trail::an_entry_is_there_with_its_change_and_not_without,
    audit_trail::many_at_once_make_one_chain_without_a_gap,
    audit_trail::whatever_is_done_to_a_chain_is_seen,
    audit_trail::what_is_too_old_is_let_go_of_and_the_rest_holds,
    privacy::a_person_is_found_in_whatever_table_they_are_named,
    privacy::an_erasure_leaves_nothing_but_what_is_of_others,
    privacy::an_erasure_within_an_organisation_leaves_the_others_alone,
    privacy::what_others_wrote_is_told_anew_to_their_clients,
    controls::controls_are_set_renewed_cleared_and_end,
    controls::two_who_set_at_once_leave_a_trail_without_a_gap,
    controls::the_trail_keeps_so_many,
    deployments::deployments_are_kept_and_told_by_environment,
    deployments::so_many_are_kept,
    facts::the_database_tells_what_it_keeps_its_promises_by,
    facts::audits_are_remembered_the_last_first,
    flags::flags_are_written_read_and_killed,
    flags::an_experiment_is_frozen_once_it_runs,
    flags::an_exposure_is_recorded_once_at_its_first_moment,
    flags::results_equal_a_naive_model,
    flags::what_old_experiments_found_is_erased,
    images::an_image_belongs_to_the_message_that_carries_it,
    images::images_are_counted_against_the_plan,
    images::the_newest_images_are_told_without_their_pixels,
    inbox::an_event_is_taken_once_whoever_brings_it,
    inbox::the_newest_is_kept_whatever_the_order,
    inbox::an_event_without_a_job_has_its_effect_where_it_is_stored,
    inbox::events_are_listed_and_processed_again,
    inbox::senders_come_change_and_go,
    isolation::rows_of_another_organisation_are_not_there,
    jobs::a_job_is_promised_claimed_and_done,
    jobs::a_key_is_promised_once,
    jobs::every_ending_is_what_it_says,
    jobs::jobs_are_cancelled_wherever_they_are,
    jobs::what_a_dead_worker_left_is_taken_back_and_stays_taken,
    jobs::queues_are_read_paused_and_swept,
    jobs::a_tick_is_taken_once,
    jobs::limits::groups_take_turns_and_priorities_go_first,
    jobs::limits::many_groups_are_served_round_the_ring,
    jobs::limits::limits_hold_over_all_nodes,
    jobs::limits::rates_hold_over_all_nodes,
    jobs::limits::limits_hold_over_all_queues,
    jobs::limits::a_rate_holds_over_all_queues,
    jobs::model::the_model_of_a_job_holds,
    keys::what_is_sealed_is_counted_read_and_exchanged,
    keys::one_key_seals_at_a_time,
    keys::a_key_is_retired_only_when_nothing_needs_it,
    keys::processes_tell_which_keys_they_have,
    knowledge::documents_are_made_changed_and_removed,
    knowledge::both_engines_find_the_same_in_the_same_order,
    knowledge::whatever_is_asked_is_only_words,
    leases::a_lease_has_one_holder,
    leases::the_model_of_a_lease_holds,
    metering::the_model_of_a_reservation_holds,
    metering::a_limit_holds_under_concurrency,
    metering::a_budget_holds_under_concurrency,
    metering::counters_equal_the_rows_that_they_count,
    metering::plans_and_budgets_are_set,
    backups::backups_and_drills_are_remembered,
    backups::a_copy_is_the_database_of_one_moment_while_others_write,
    backups::a_copy_that_is_not_whole_is_refused,
    outreach::an_email_goes_out_once,
    outreach::of_two_runs_one_is_heard,
    outreach::what_is_made_is_read_again,
    outreach::an_account_sends_no_more_than_it_may,
    outreach::stopping::whoever_stops_gets_nothing_more,
    outreach::stopping::what_is_unknown_is_resolved,
    outreach::stopping::an_account_is_woken_and_rests,
    outreach::interleaving::a_stop_before_or_after_each_step_holds,
    outreach::interleaving::a_stop_within_a_claim_holds,
    outreach::interleaving::held::a_stop_within_a_fence_holds,
    outreach::interleaving::held::a_claim_and_a_fence_within_a_stop_hold,
    outreach::interleaving::held::a_stop_within_an_end_holds,
    outreach::interleaving::stops_that_race_with_fences_hold,
    outreach::importing::a_list_is_read_once,
    outreach::importing::a_list_has_its_bounds,
    outreach::tracking::what_readers_do_is_counted,
    outreach::tracking::a_lead_is_converted_once,
    outreach::tracking::leads_are_found_and_sorted,
    outreach::auditing::what_audits_look_for_is_found,
    outreach::gmail::an_account_at_gmail_sends_once_somebody_has_signed_in,
    outreach::gmail::what_gmail_calls_an_email_finds_it,
    outreach::gmail::an_account_that_is_told_to_waits,
    outreach::mailboxes::a_mailbox_is_read_on,
    outreach::mailboxes::what_became_is_noted_once,
    outreach::test_emails::a_test_email_counts_against_its_account,
    outreach::model::the_model_of_outreach_holds,
    outreach::model::many_workers_lose_nothing,
    outreach::month::an_autumn_keeps_within_what_it_may,
    outreach::month::a_spring_keeps_within_what_it_may,
    billing::events_in_any_order_give_one_plan,
    billing::a_plan_changes_with_the_end_of_the_job,
    billing::the_grace_ends_by_time_alone,
    billing::invoices_are_put_together_in_any_order,
    billing::a_subscription_belongs_to_one_organisation,
    batches::batches_do_what_their_members_mean,
    batches::the_model_of_a_stream_holds,
    batches::what_fails_last_is_rolled_back,
    calendars::what_changes_is_owed_until_it_is_written,
    calendars::a_calendar_is_connected_and_removed,
    calendars::what_a_calendar_tells_blocks_moves_or_is_shown,
    calendars::a_booking_and_a_reading_meet,
    calendars::feeds_are_made_read_and_removed,
    calls::a_call_is_pieced_together,
    calls::what_is_silent_is_found_and_what_is_old_is_forgotten,
    calls::calls_are_found_by_their_words,
    calls::messages_are_taken_once_and_readers_are_noted,
    calls::what_was_said_last_is_read_with_what_is_to_be_masked,
    reception::what_is_said_of_a_reception_is_read_again,
    reception::whoever_is_known_twice_is_one_contact,
    reception::crowd::two_hundred_callers_have_twenty_times,
    reception::crowd::a_wish_that_is_repeated_is_one,
    reception::a_time_is_held_moved_and_given_back,
    reception::what_is_free_is_read_of_one_moment,
    reception::the_schema_itself_refuses_an_overlap,
    reception::model::the_model_of_a_calendar_holds,
    streams::no_replica_misses_a_change,
    streams::a_client_catches_up_in_bounded_pages,
    streams::each_stream_has_its_rows,
    streams::a_cursor_that_cannot_be_continued_is_refused,
    streams::a_client_that_begins_below_the_floor_comes_through,
    streams::what_was_there_before_the_index_is_taken_over,
    streams::a_node_sees_the_others_and_what_is_written_beside_them,
    deadlines::a_statement_is_stopped_in_the_database,
    deadlines::an_abandoned_statement_is_stopped_too,
    schema::the_database_answers,
    texts::what_becomes_of_an_appointment_is_told_once,
    texts::a_message_goes_out_once,
    texts::what_is_told_of_a_message_is_kept,
    texts::what_is_overdue_and_what_was_sent_after_stop_is_found,
    traces::a_job_is_told_for_what_it_was_promised,
    voice::a_person_has_so_many_places_over_all_nodes,
    voice::turns_of_speech_are_set_aside_for_and_counted,
    voice::a_reply_is_cut_to_what_was_heard,
}

/// What an unoptimised build keeps of all cases on its stack does not fit on that of a test.
const STACK: usize = 32 << 20;

fn run_all_on_a_large_stack(engine: EngineKind) {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(run_all(engine));
    };
    let thread = std::thread::Builder::new().name("conformance".to_owned()).stack_size(STACK).spawn(run);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn sqlite() {
    run_all_on_a_large_stack(EngineKind::Sqlite);
}

#[test]
fn postgres() {
    run_all_on_a_large_stack(EngineKind::Postgres);
}
