//! What the provider of billing tells, and the plans that follow.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{
    Charge, Cursor, JobPriority, JobState, PersonId, Plan, SubscriptionEvent, SubscriptionState, TenantId, Timestamp,
};
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};

use super::{EngineKind, Harness};
use crate::sql::Sql;
use crate::tx::{Scope, Tx};
use crate::{
    AcquireLease, AppliedEvent, ApplyBillingEvent, BillingOf, BillingRules, ClaimJobs, Claimed, Enqueue, Error,
    EventOf, Fence, FindPayer, GetBilling, GetJob, GetPositions, Intent, Invoice, InvoiceState, JobFilter,
    ListInvoices, ListJobs, ListPlanChanges, Migrator, NewJob, OpenQueues, OverallLimits, Payer, PromoteJobs,
    QueueLimits, Result, ReviewPlan, SetPlan, SyncPage, SyncedRow,
};

const QUEUE: &str = "billing";
const DAY: Duration = Duration::from_secs(86_400);
const GRACE: Duration = Duration::from_secs(7 * 86_400);

fn rules() -> BillingRules {
    let plans = [("core-monthly", Plan::Core), ("studio-monthly", Plan::Studio)];
    BillingRules { grace: GRACE, plans: plans.map(|(path, plan)| (path.to_owned(), plan)).into() }
}

fn review(h: &Harness, tenant: TenantId) -> NewJob {
    NewJob {
        id: h.ids.make(),
        queue: QUEUE,
        kind: "billing_review",
        group: tenant.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: "{}".to_owned(),
        unique: None,
        run_at: h.now(),
        most_attempts: 3,
        trace: None,
    }
}

fn event(id: &str, subscription: &str, created: Timestamp) -> SubscriptionEvent {
    SubscriptionEvent {
        id: id.to_owned(),
        kind: "subscription.updated".to_owned(),
        subscription: subscription.to_owned(),
        created,
        changed: None,
        state: None,
        product: None,
        period_end: None,
        charge: None,
    }
}

fn active(id: &str, subscription: &str, product: &str, created: Timestamp) -> SubscriptionEvent {
    let (state, product) = (Some(SubscriptionState::Active), Some(product.to_owned()));
    SubscriptionEvent { state, product, ..event(id, subscription, created) }
}

fn apply(h: &Harness, tenant: TenantId, event: SubscriptionEvent) -> ApplyBillingEvent {
    ApplyBillingEvent {
        tenant,
        event: EventOf::Subscription(event),
        account: None,
        invoice: None,
        rules: rules(),
        review: review(h, tenant),
        fence: None,
        now: h.now(),
    }
}

async fn run(h: &Harness, apply: ApplyBillingEvent) -> Result<AppliedEvent> {
    Box::pin(h.store.run_for_jobs(&h.call(), apply)).await
}

async fn standing(h: &Harness, tenant: TenantId) -> BillingOf {
    h.store.run(&h.call(), GetBilling { tenant, history: 20 }).await.expect("read").expect("an organisation")
}

/// A subscription that begins, fails to pay, pays, is cancelled, is taken up again and becomes a larger one; and another
/// that ends.
fn a_day(begin: Timestamp, tag: &str) -> Vec<SubscriptionEvent> {
    let (one, two) = (format!("one-{tag}"), format!("two-{tag}"));
    let at = |minutes: u64| begin.plus(Duration::from_secs(60 * minutes));
    let state = |id: &str, minutes, state| SubscriptionEvent { state: Some(state), ..event(id, &one, at(minutes)) };
    let charge = |id: &str, minutes, charge| SubscriptionEvent { charge: Some(charge), ..event(id, &one, at(minutes)) };
    vec![
        active("e1", &one, "core-monthly", at(1)),
        charge("e2", 2, Charge::Failed),
        charge("e3", 3, Charge::Succeeded),
        SubscriptionEvent { period_end: Some(at(9999)), ..state("e4", 4, SubscriptionState::Canceled) },
        state("e5", 5, SubscriptionState::Active),
        active("e6", &one, "studio-monthly", at(6)),
        active("e7", &two, "core-monthly", at(7)),
        SubscriptionEvent { state: Some(SubscriptionState::Deactivated), ..event("e8", &two, at(8)) },
    ]
}

pub(super) async fn events_in_any_order_give_one_plan(h: &Harness) {
    let mut runner = TestRunner::new(Config::default());
    for round in 0..12 {
        let (tenant, _) = h.person(&format!("shuffled{round}")).await;
        let mut day = a_day(h.now(), &round.to_string());
        day.extend(day.clone());
        if round > 0 {
            day = Just(day).prop_shuffle().new_tree(&mut runner).expect("an order").current();
        }
        let order: Vec<_> = day.iter().map(|event| event.id.clone()).collect();
        for event in day {
            run(h, apply(h, tenant, event)).await.expect("applied");
        }
        let found = standing(h, tenant).await;
        assert_eq!(found.plan, Plan::Studio, "{order:?}");
        let states: BTreeMap<_, _> =
            found.subscriptions.iter().map(|known| (known.id().to_owned(), known.state())).collect();
        let expected = [("one", SubscriptionState::Active), ("two", SubscriptionState::Deactivated)];
        assert_eq!(states, expected.map(|(id, state)| (format!("{id}-{round}"), Some(state))).into(), "{order:?}");
        // Each change begins where the one before it ended, and the last ends where the plan is.
        let mut plan = Plan::Free;
        for change in found.history.iter().rev() {
            assert_eq!((change.from, change.event.is_some()), (plan, true), "{order:?}: {:?}", found.history);
            assert!(change.from != change.to && change.cause.contains(change.event.as_deref().unwrap_or("none")));
            plan = change.to;
        }
        assert_eq!(plan, Plan::Studio, "{order:?}");
    }
}

/// A job of the queue that this worker has.
async fn claimed(h: &Harness, worker: i64, tenant: TenantId, promised: Option<NewJob>) -> Claimed {
    let jobs = promised.into_iter().collect();
    h.store.run(&h.call(), Enqueue { jobs, now: h.now() }).await.expect("enqueued");
    let promote = PromoteJobs { now: h.now(), most: 100 };
    Box::pin(h.store.run_for_jobs(&h.call(), promote)).await.expect("promoted");
    let claim = ClaimJobs {
        queue: QUEUE,
        worker,
        most: 10,
        limits: QueueLimits::default(),
        overall: OverallLimits::default(),
        now: h.now(),
    };
    let claims = Box::pin(h.store.run_for_jobs(&h.call(), claim)).await.expect("claimed");
    claims.jobs.into_iter().find(|job| job.tenant == Some(tenant)).expect("a job")
}

async fn worker(h: &Harness) -> i64 {
    h.store.run(&h.call(), OpenQueues(vec![QUEUE])).await.expect("opened");
    let name = format!("worker:billing-{}", h.now());
    let acquire = AcquireLease { name, holder: "b".to_owned(), now: h.now(), lasts: 400 * DAY };
    h.store.run(&h.call(), acquire).await.expect("asked").expect("free")
}

fn fence(h: &Harness, job: &Claimed) -> Fence {
    Fence { job: job.id, lease: job.lease, keep_until: h.now().plus(DAY) }
}

pub(super) async fn a_plan_changes_with_the_end_of_the_job(h: &Harness) {
    let (tenant, person) = h.person("payer").await;
    let worker = worker(h).await;
    let job = claimed(h, worker, tenant, Some(NewJob { kind: "inbox", ..review(h, tenant) })).await;
    let before = h.store.run(&h.call(), page(tenant, person, Cursor::default())).await.expect("read").expect("a page");
    let event = active("e1", "paid-1", "core-monthly", h.now());
    let fenced = ApplyBillingEvent { fence: Some(fence(h, &job)), ..apply(h, tenant, event.clone()) };
    let applied = run(h, fenced.clone()).await.expect("applied");
    assert_eq!(applied.plan, Some((Plan::Free, Plan::Core)));
    let life = h.store.run(&h.call(), GetJob(job.id)).await.expect("read").expect("a job");
    assert_eq!(life.job.state, JobState::Done);
    // Somebody who was overtaken changes nothing, whatever the event says.
    let late = EventOf::Subscription(active("e2", "paid-1", "studio-monthly", h.now()));
    assert_eq!(run(h, ApplyBillingEvent { event: late, ..fenced }).await, Err(Error::Fenced));
    assert_eq!(standing(h, tenant).await.plan, Plan::Core);
    // Those who follow the organisation see its plan, and what they count is right.
    let after = h.store.run(&h.call(), page(tenant, person, before.cursor)).await.expect("read").expect("a page");
    let rows: Vec<_> = after.changes.iter().filter_map(|change| change.row.clone()).collect();
    let [SyncedRow::Organisation(row)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.tenant, row.plan), (tenant, Plan::Core));
    // What an operator sets stays until billing has something new to say.
    let set = |tenant, plan| SetPlan { tenant, plan, cause: "a gift".to_owned(), now: h.now() };
    assert_eq!(h.store.run(&h.call(), set(tenant, Plan::Studio)).await, Ok(true));
    assert_eq!(run(h, apply(h, tenant, event)).await.expect("applied").plan, None);
    let history = h.store.run(&h.call(), ListPlanChanges { tenant, limit: 10 }).await.expect("listed");
    let told: Vec<_> = history.iter().map(|change| (change.to, change.event.as_deref())).collect();
    assert_eq!(told, [(Plan::Studio, None), (Plan::Core, Some("e1"))]);
    assert_eq!(history, standing(h, tenant).await.history);
    let look = ReviewPlan { tenant, rules: rules(), review: review(h, tenant), fence: None, now: h.now() };
    assert_eq!(h.store.run(&h.call(), look).await, Ok(Some((Plan::Studio, Plan::Core))));
}

fn page(tenant: TenantId, person: PersonId, after: Cursor) -> SyncPage {
    SyncPage { tenant, person, after, limit: 20 }
}

pub(super) async fn the_grace_ends_by_time_alone(h: &Harness) {
    let (tenant, _) = h.person("late").await;
    let worker = worker(h).await;
    run(h, apply(h, tenant, active("e1", "late-1", "core-monthly", h.now()))).await.expect("applied");
    for id in ["e2", "e3", "e2"] {
        let failed = SubscriptionEvent { charge: Some(Charge::Failed), ..event(id, "late-1", h.now()) };
        let applied = run(h, apply(h, tenant, failed)).await.expect("applied");
        assert_eq!(applied.plan, None, "the plan stays during the grace");
    }
    let filter = JobFilter { group: tenant.to_string(), ..JobFilter::default() };
    let listed = Box::pin(h.store.run(&h.call(), ListJobs { filter, after: None, limit: 10 })).await.expect("listed");
    let due: Vec<_> = listed.jobs.iter().map(|job| (job.kind.as_str(), job.run_at)).collect();
    assert_eq!(due, [("billing_review", h.now().plus(GRACE))], "promised once");
    // Who looks too early promises to look again.
    let look =
        |fence| ReviewPlan { tenant, rules: rules(), review: review(h, tenant), fence: Some(fence), now: h.now() };
    let early = claimed(h, worker, tenant, Some(review(h, tenant))).await;
    assert_eq!(Box::pin(h.store.run_for_jobs(&h.call(), look(fence(h, &early)))).await, Ok(None));
    h.clock.advance(GRACE);
    let job = claimed(h, worker, tenant, None).await;
    let look = look(fence(h, &job));
    assert_eq!(
        Box::pin(h.store.run_for_jobs(&h.call(), ReviewPlan { now: h.now(), ..look.clone() })).await,
        Ok(Some((Plan::Core, Plan::Free)))
    );
    assert_eq!(Box::pin(h.store.run_for_jobs(&h.call(), look)).await, Err(Error::Fenced));
    let found = standing(h, tenant).await;
    assert_eq!((found.plan, found.history.len()), (Plan::Free, 2));
    assert!(found.history[0].cause.contains("the grace ended"), "{:?}", found.history);
    // The money comes after all.
    let paid = SubscriptionEvent { charge: Some(Charge::Succeeded), ..event("e4", "late-1", h.now()) };
    let applied = run(h, apply(h, tenant, paid)).await.expect("applied");
    assert_eq!(applied.plan, Some((Plan::Free, Plan::Core)));
}

pub(super) async fn invoices_are_put_together_in_any_order(h: &Harness) {
    let invoice = |whole, state, total_micros| Invoice {
        id: "order-1".to_owned(),
        reference: if whole { "ACME-1".to_owned() } else { String::new() },
        total_micros,
        currency: "USD".to_owned(),
        url: if whole { "https://example.com/1".to_owned() } else { String::new() },
        state,
        whole,
        issued_at: h.now(),
    };
    let all = [
        invoice(false, InvoiceState::Failed, 1),
        invoice(false, InvoiceState::Paid, 2),
        invoice(true, InvoiceState::Paid, 99_000_000),
        invoice(false, InvoiceState::Returned, 4),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 2, 0], [1, 3, 0, 2]] {
        let (tenant, _) = h.person(&format!("invoice{order:?}").replace(['[', ']', ',', ' '], "")).await;
        for place in order {
            let order = ApplyBillingEvent {
                event: EventOf::Order,
                invoice: Some(all[place].clone()),
                ..apply(h, tenant, event("e1", "none", h.now()))
            };
            assert_eq!(run(h, order).await, Ok(AppliedEvent::default()));
        }
        let listed = h.store.run(&h.call(), ListInvoices { tenant, limit: 10 }).await.expect("listed");
        let expected = Invoice { state: InvoiceState::Returned, ..all[2].clone() };
        assert_eq!(listed, [expected], "{order:?}");
    }
}

pub(super) async fn a_subscription_belongs_to_one_organisation(h: &Harness) {
    let (mine, _) = h.person("first").await;
    let (theirs, _) = h.person("second").await;
    let find = || FindPayer { account: Some("acct".to_owned()), subscription: Some("shared".to_owned()) };
    assert_eq!(h.store.run(&h.call(), find()).await, Ok(Payer::default()));
    let event = active("e1", "shared", "core-monthly", h.now());
    let with_account =
        |tenant| ApplyBillingEvent { account: Some("acct".to_owned()), ..apply(h, tenant, event.clone()) };
    run(h, with_account(mine)).await.expect("applied");
    assert_eq!(h.store.run(&h.call(), find()).await, Ok(Payer { by_subscription: Some(mine), by_account: Some(mine) }));
    assert_eq!(run(h, with_account(theirs)).await, Err(Error::Conflict));
    let found = standing(h, theirs).await;
    assert_eq!((found.plan, found.account, found.subscriptions), (Plan::Free, None, vec![]));
    assert_eq!(standing(h, mine).await.account.as_deref(), Some("acct"));
    assert_eq!(run(h, with_account(h.ids.make())).await, Err(Error::Missing("organisation")));
    let nobody = GetBilling { tenant: h.ids.make(), history: 1 };
    assert_eq!(h.store.run(&h.call(), nobody).await, Ok(None));
    // A worker's transaction writes rows of the organisation that it names, and of no other.
    if h.store.engine_name() == "postgresql" {
        let write = Box::pin(h.store.run_for_jobs(&h.call(), WriteAs(theirs, mine))).await;
        assert!(matches!(write, Err(Error::Isolation(_))), "{write:?}");
        assert_eq!(Box::pin(h.store.run_for_jobs(&h.call(), Spoil(theirs, mine))).await, Ok([0, 0, 0]));
        assert_eq!(standing(h, mine).await.plan, Plan::Core);
    }
}

/// Writes, in the scope of the first organisation, a row of the second.
struct WriteAs(TenantId, TenantId);

impl Intent for WriteAs {
    type Output = u64;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let text = "INSERT INTO stream (tenant_id, stream_id, head, epoch, floor) VALUES ($1, $1, 0, 0, 0)";
        tx.query(Sql::plain("test", text, text)).bind(self.1.uuid()).run().await
    }
}

/// Changes, in the scope of the first organisation, rows of the second, and tells how many.
struct Spoil(TenantId, TenantId);

impl Intent for Spoil {
    type Output = [u64; 3];
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<[u64; 3]> {
        let mut found = [0; 3];
        let texts = [
            "UPDATE organisation SET plan = 'free' WHERE tenant_id = $1",
            "UPDATE stream SET head = 0 WHERE tenant_id = $1",
            "UPDATE change SET seq = seq + 1000 WHERE tenant_id = $1",
        ];
        for (place, text) in texts.into_iter().enumerate() {
            found[place] = tx.query(Sql::plain("test", text, text)).bind(self.1.uuid()).run().await?;
        }
        Ok(found)
    }
}

/// The migration goes down with rows in its tables, and what others count is right after that.
async fn what_changed_plans_can_be_taken_back(engine: EngineKind) {
    let Some(h) = Harness::open(engine).await else { return };
    let (tenant, person) = h.person("undone").await;
    run(&h, apply(&h, tenant, active("e1", "undone-1", "core-monthly", h.now()))).await.expect("applied");
    let positions = async || h.store.run(&h.call(), GetPositions { tenant, person }).await;
    let before = positions().await.expect("read").organisation;
    assert_eq!(before.live_rows, 2, "the owner and the organisation");
    let mut migrator = Migrator::open(&h.options).await.expect("opened");
    migrator.down(9, Duration::from_secs(10)).await.expect("undone");
    let after = positions().await.expect("read").organisation;
    assert_eq!((after.live_rows, after.live_sum, after.epoch), (1, 1, before.epoch + 1));
    migrator.up(h.now(), Duration::from_secs(10)).await.expect("applied again");
    let page = h.store.run(&h.call(), page(tenant, person, Cursor::default())).await.expect("read").expect("a page");
    assert!(matches!(page.changes[..], [crate::Change { row: Some(SyncedRow::Member(_)), .. }]), "{page:?}");
    h.store.close().await;
}

#[tokio::test]
async fn what_changed_plans_can_be_taken_back_on_sqlite() {
    what_changed_plans_can_be_taken_back(EngineKind::Sqlite).await;
}

#[tokio::test]
async fn what_changed_plans_can_be_taken_back_on_postgres() {
    what_changed_plans_can_be_taken_back(EngineKind::Postgres).await;
}
