//! Plans, usage, reservations, budgets.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use mainstay_domain::{Amounts, Day, Meter, Month, PersonId, Plan, PlanLimits, Spent, TenantId, Timestamp, Usage};
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use super::assistant::{accept, new_conversation, settle};
use super::{Harness, spawn};
use crate::{
    AcceptMessage, Accepted, Bid, Cost, ForgetSwept, GetUsage, ListPlans, ListUsage, SetBudget, SetPlan, SetPlanLimits,
    SettleReply, Store, UsageOf,
};

/// How long what is set aside lasts here.
const LASTS: Duration = Duration::from_secs(3600);

fn bid(least_micros: i64, most_micros: i64) -> Bid {
    Bid { least_micros, most_micros, lasts: LASTS }
}

async fn usage_at(h: &Harness, tenant: TenantId, person: PersonId, at: Timestamp) -> UsageOf {
    let get = GetUsage { tenant, person, month: Month::of(at), day: Day::of(at) };
    h.store.run(&h.call(), get).await.expect("read").expect("an organisation")
}

async fn set_budget(h: &Harness, tenant: TenantId, by: PersonId, member: Option<PersonId>, cost_micros: Option<i64>) {
    let set = SetBudget { tenant, member, cost_micros, by, now: h.now() };
    assert_eq!(h.store.run(&h.call(), set).await, Ok(true));
}

async fn set_limits(h: &Harness, limits: PlanLimits) {
    h.store.run(&h.call(), SetPlanLimits(Plan::Free, limits)).await.expect("set");
}

#[derive(Clone, Debug)]
enum Act {
    /// Which of two people asks, and for how much: 0 is for nothing.
    Ask(usize, i64),
    /// Which reply ends, what it cost in per cent of what was set aside, above 200: nobody knows.
    End(usize, i64),
    Wait(u64),
    Sweep,
    PersonBudget(usize, Option<i64>),
    OrganisationBudget(Option<i64>),
    MessagesPerDay(Option<i64>),
    MessagesPerMonth(Option<i64>),
}

/// A reply that was begun: what was set aside, and whether that was swept.
struct Open {
    turn: AcceptMessage,
    reserved: i64,
    swept: bool,
}

/// What a reservation means, said in the simplest way: sums over all that happened.
#[derive(Default)]
struct Model {
    messages: Vec<(PersonId, Timestamp)>,
    spent: Vec<(PersonId, Timestamp, i64)>,
    open: Vec<Open>,
    budgets: BTreeMap<Option<PersonId>, Option<i64>>,
    limits: PlanLimits,
}

impl Model {
    fn used(&self, person: Option<PersonId>, at: Timestamp) -> (i64, i64, i64, i64) {
        let mine = |who: PersonId| person.is_none_or(|person| person == who);
        let month = |moment| Month::of(moment) == Month::of(at);
        let messages = self.messages.iter().filter(|(who, moment)| mine(*who) && month(*moment));
        let today = messages.clone().filter(|(_, moment)| Day::of(*moment) == Day::of(at)).count();
        let spent = self.spent.iter().filter(|(who, moment, _)| mine(*who) && month(*moment)).map(|row| row.2).sum();
        let open = self.open.iter().filter(|open| !open.swept && mine(open.turn.person) && month(open.turn.now));
        let reserved = open.map(|open| open.reserved).sum();
        (messages.count() as i64, today as i64, spent, reserved)
    }

    /// What a person who asks must be told.
    fn verdict(&self, person: PersonId, asked: i64, at: Timestamp) -> Accepted {
        let (messages, today, mine, mine_reserved) = self.used(Some(person), at);
        let (_, _, all, all_reserved) = self.used(None, at);
        if self.limits.messages.per_month.is_some_and(|limit| messages + 1 > limit) {
            return Accepted::Spent(Spent::Monthly(Meter::Messages));
        }
        if self.limits.messages.per_day.is_some_and(|limit| today + 1 > limit) {
            return Accepted::Spent(Spent::Daily(Meter::Messages));
        }
        if asked == 0 {
            return Accepted::Taken(0);
        }
        let cap = |who| self.budgets.get(&who).copied().flatten();
        let person = cap(Some(person)).map(|cap| (cap - mine - mine_reserved, Spent::PersonBudget));
        let organisation = cap(None).map(|cap| (cap - all - all_reserved, Spent::OrganisationBudget));
        match person.into_iter().chain(organisation).min_by_key(|(left, _)| *left) {
            Some((left, spent)) if left < asked / 4 => Accepted::Spent(spent),
            Some((left, _)) => Accepted::Taken(asked.min(left)),
            None => Accepted::Taken(asked),
        }
    }
}

/// Random schedules of two people, compared step by step with what reservations mean.
pub(super) async fn the_model_of_a_reservation_holds(h: &Harness) {
    let budget = || prop_oneof![2 => (0i64..4000).prop_map(Some), 1 => Just(None)];
    let limit = || prop_oneof![1 => (0i64..12).prop_map(Some), 1 => Just(None)];
    let act = prop_oneof![
        8 => (0usize..2, prop_oneof![1 => Just(0i64), 4 => 1i64..1000]).prop_map(|(who, asked)| Act::Ask(who, asked)),
        6 => (0usize..20, 0i64..260).prop_map(|(which, share)| Act::End(which, share)),
        2 => prop_oneof![3 => 1u64..3600, 1 => 3600u64..86_400, 1 => 86_400u64..(40 * 86_400)].prop_map(Act::Wait),
        2 => Just(Act::Sweep),
        1 => (0usize..2, budget()).prop_map(|(who, cap)| Act::PersonBudget(who, cap)),
        1 => budget().prop_map(Act::OrganisationBudget),
        1 => limit().prop_map(Act::MessagesPerDay),
        1 => limit().prop_map(Act::MessagesPerMonth),
    ];
    let schedules = proptest::collection::vec(act, 1..60);
    let mut runner = TestRunner::new(Config::default());
    for round in 0..10 {
        let (tenant, one) = h.person(&format!("model{round}")).await;
        let other = h.ids.make();
        let schedule = schedules.new_tree(&mut runner).expect("a schedule").current();
        set_limits(h, PlanLimits::default()).await;
        follow(h, tenant, [one, other], &schedule).await;
    }
    assert!(h.store.run(&h.call(), ForgetSwept(h.now())).await.is_ok());
}

async fn follow(h: &Harness, tenant: TenantId, people: [PersonId; 2], schedule: &[Act]) {
    let call = h.call();
    let mut model = Model::default();
    for act in schedule {
        match *act {
            Act::Wait(seconds) => h.clock.advance(Duration::from_secs(seconds)),
            Act::Ask(who, asked) => {
                let bid = (asked > 0).then(|| bid(asked / 4, asked));
                let turn = AcceptMessage { bid, ..accept(h, tenant, people[who], new_conversation(h)) };
                let told = h.store.accept_message(&call, turn.clone()).await.expect("asked");
                assert_eq!(told, model.verdict(people[who], asked, h.now()), "{schedule:?}");
                if let Accepted::Taken(reserved) = told {
                    model.messages.push((turn.person, turn.now));
                    model.open.push(Open { turn, reserved, swept: false });
                }
            }
            Act::End(which, share) if !model.open.is_empty() => {
                let open = model.open.swap_remove(which % model.open.len());
                let known = open.reserved * share / 100;
                let cost = match (open.reserved, share) {
                    (0, _) => Cost::Free,
                    (_, 200..) => Cost::AllReserved,
                    _ => Cost::Known(known),
                };
                let end = SettleReply { cost, now: h.now(), ..settle(&open.turn, "done") };
                assert_eq!(h.store.settle_reply(&call, end.clone()).await, Ok(true));
                assert_eq!(h.store.settle_reply(&call, end).await, Ok(false), "it is settled once");
                let spent = if cost == Cost::AllReserved { open.reserved } else { known };
                // What was swept counts as spent until now.
                let correction = if open.swept { spent - open.reserved } else { spent };
                model.spent.push((open.turn.person, open.turn.now, correction));
            }
            Act::End(..) => {}
            Act::Sweep => {
                let now = h.now();
                let due = |open: &&mut Open| !open.swept && open.reserved > 0 && open.turn.now.plus(LASTS) <= now;
                let mut count = 0;
                for open in model.open.iter_mut().filter(due) {
                    open.swept = true;
                    count += 1;
                    model.spent.push((open.turn.person, open.turn.now, open.reserved));
                }
                assert_eq!(h.store.sweep_reservations(&call, now).await, Ok(count), "{schedule:?}");
            }
            Act::PersonBudget(0, cap) => {
                set_budget(h, tenant, people[0], Some(people[0]), cap).await;
                model.budgets.insert(Some(people[0]), cap);
            }
            // Only members have budgets, and the other is none.
            Act::PersonBudget(..) => {
                let set =
                    SetBudget { tenant, member: Some(people[1]), cost_micros: Some(1), by: people[0], now: h.now() };
                assert_eq!(h.store.run(&call, set).await, Ok(false));
            }
            Act::OrganisationBudget(cap) => {
                set_budget(h, tenant, people[0], None, cap).await;
                model.budgets.insert(None, cap);
            }
            Act::MessagesPerDay(limit) => {
                model.limits.messages.per_day = limit;
                set_limits(h, model.limits).await;
            }
            Act::MessagesPerMonth(limit) => {
                model.limits.messages.per_month = limit;
                set_limits(h, model.limits).await;
            }
        }
        compare(h, tenant, people, &model).await;
    }
    // The next round begins with nothing overdue.
    let settled = join_all(model.open.iter().map(|open| {
        let cost = if open.reserved == 0 { Cost::Free } else { Cost::Known(0) };
        h.store.settle_reply(&call, SettleReply { cost, ..settle(&open.turn, "done") })
    }));
    assert!(settled.await.into_iter().all(|settled| settled == Ok(true)));
}

async fn compare(h: &Harness, tenant: TenantId, people: [PersonId; 2], model: &Model) {
    let moments = [h.now(), h.now().minus(Duration::from_secs(31 * 86_400))];
    for (person, at) in people.into_iter().flat_map(|person| moments.map(|at| (person, at))) {
        let usage = usage_at(h, tenant, person, at).await;
        let of = |used: crate::UsedOf| {
            (used.month.messages, used.today.messages, used.month.cost_micros, used.reserved_micros)
        };
        let (mut mine, mut all) = (model.used(Some(person), at), model.used(None, at));
        if at != h.now() {
            // Of an earlier month only the sums are kept.
            (mine.1, all.1) = (usage.person.today.messages, usage.organisation.today.messages);
        }
        assert_eq!(of(usage.person), mine);
        assert_eq!(of(usage.organisation), all);
    }
}

/// Of many that ask at the same moment, exactly as many are let in as the plan allows, each day anew.
pub(super) async fn a_limit_holds_under_concurrency(h: &Harness) {
    let (tenant, person) = h.person("limit").await;
    let mut limits = PlanLimits::default();
    limits.messages.per_day = Some(60);
    limits.messages.per_month = Some(100);
    set_limits(h, limits).await;
    for (taken, spent) in [(60, Spent::Daily(Meter::Messages)), (40, Spent::Monthly(Meter::Messages))] {
        let turns = (0..150).map(|_| accept(h, tenant, person, new_conversation(h)));
        let told = join_all(turns.map(|turn| async { h.store.accept_message(&h.call(), turn).await })).await;
        let (took, refused): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| *told == Ok(Accepted::Taken(0)));
        assert_eq!(took.len(), taken);
        assert!(refused.iter().all(|told| *told == Ok(Accepted::Spent(spent))), "{refused:?}");
        h.clock.advance(Duration::from_secs(86_400));
    }
    set_limits(h, PlanLimits::default()).await;
}

/// However many ask at once, what they cost together stays within the budget, and what is left is given to whoever can use
/// it.
pub(super) async fn a_budget_holds_under_concurrency(h: &Harness) {
    let (tenant, person) = h.person("budget").await;
    set_budget(h, tenant, person, None, Some(10_000)).await;
    let turn = || AcceptMessage { bid: Some(bid(100, 900)), ..accept(h, tenant, person, new_conversation(h)) };
    let one = |turn: AcceptMessage| async move {
        match h.store.accept_message(&h.call(), turn.clone()).await {
            Ok(Accepted::Taken(reserved)) => {
                assert!((100..=900).contains(&reserved));
                // Two thirds of it turn out to be needed.
                let end = SettleReply { cost: Cost::Known(reserved * 2 / 3), ..settle(&turn, "done") };
                assert_eq!(h.store.settle_reply(&h.call(), end).await, Ok(true));
                None
            }
            Ok(Accepted::Spent(spent)) => Some(spent),
            other => panic!("{other:?}"),
        }
    };
    let turns: Vec<_> = (0..200).map(|_| turn()).collect();
    let refused: Vec<_> =
        stream::iter(turns).map(one).buffer_unordered(32).filter_map(|told| async move { told }).collect().await;
    let usage = usage_at(h, tenant, person, h.now()).await;
    assert_eq!(usage.organisation.reserved_micros, 0);
    let spent = usage.organisation.month.cost_micros;
    assert!((9_900..=10_000).contains(&spent), "{spent} of 10000 are spent, and less than the least bid is left");
    assert!(!refused.is_empty() && refused.iter().all(|spent| *spent == Spent::OrganisationBudget));
    assert_eq!(usage.person.month.cost_micros, spent);
}

/// Ten thousand messages at once, of which some are given up by their callers, some are never settled and are rescued, and
/// some are swept first: the counters are what the rows say.
pub(super) async fn counters_equal_the_rows_that_they_count(h: &Harness) {
    const MESSAGES: usize = 10_000;
    let people = join_all((0..8).map(|n| async move { h.person(&format!("counted{n}")).await })).await;
    let turns: Vec<_> = (0..MESSAGES)
        .map(|n| {
            let (tenant, person) = people[n % people.len()];
            let bid = (n % 3 > 0).then(|| bid(10, 1000));
            (n, AcceptMessage { bid, ..accept(h, tenant, person, new_conversation(h)) })
        })
        .collect();
    stream::iter(turns)
        .for_each_concurrent(100, |(n, turn)| async move {
            let store = h.store.clone();
            let work = spawn(one_turn(store, h.call(), n, turn));
            if n.is_multiple_of(11) {
                // Its caller goes away at whatever point it has reached.
                tokio::task::yield_now().await;
                work.abort();
            }
            let _ = work.await;
        })
        .await;
    h.clock.advance(LASTS * 2);
    for _ in 0..=MESSAGES / 1000 {
        // Half of what is left is swept before it is settled.
        h.store.sweep_reservations(&h.call(), h.now()).await.expect("swept");
    }
    while h.store.interrupt_replies_of(&h.call(), 7, h.now()).await.expect("rescued") > 0 {}
    let mut all = Amounts::default();
    for (tenant, person) in people {
        let usage = usage_at(h, tenant, person, super::START).await;
        let rows = rows_of(h, tenant).await;
        assert_eq!(usage.organisation.month, rows);
        assert_eq!((usage.person.month, usage.person.reserved_micros), (rows, 0));
        all += rows;
    }
    assert!(all.messages > 9_000 && all.cost_micros > 0 && all.output_tokens > 0, "{all:?}");
}

async fn one_turn(store: Store, call: crate::Call, n: usize, turn: AcceptMessage) {
    let Ok(Accepted::Taken(reserved)) = store.accept_message(&call, turn.clone()).await else { return };
    if n.is_multiple_of(13) {
        return;
    }
    let cost = if reserved == 0 { Cost::Free } else { Cost::Known(reserved / 3) };
    let usage = Some(Usage { input_tokens: n as u32 % 17, output_tokens: n as u32 % 23 });
    let _ = store.settle_reply(&call, SettleReply { usage, cost, ..settle(&turn, "done") }).await;
}

/// What the messages of an organisation say, asked past the store.
async fn rows_of(h: &Harness, tenant: TenantId) -> Amounts {
    let sum = |column: &str| format!("CAST(coalesce(sum({column}), 0) AS bigint)");
    let text = |tenant: String| {
        let (read, wrote, cost) = (sum("input_tokens"), sum("output_tokens"), sum("cost_micros"));
        format!(
            "SELECT count(CASE WHEN role = 'user' THEN 1 END), {read}, {wrote}, {cost} FROM message WHERE tenant_id = {tenant}"
        )
    };
    let read = |row: [i64; 4]| Amounts {
        messages: row[0],
        input_tokens: row[1],
        output_tokens: row[2],
        cost_micros: row[3],
        ..Amounts::default()
    };
    if let Some(database) = &h.database {
        let mut connection = PgConnection::connect(&database.superuser_url).await.expect("connected");
        let text = text(format!("'{tenant}'"));
        let row = sqlx::raw_sql(AssertSqlSafe(text)).fetch_one(&mut connection).await.expect("summed");
        return read([0, 1, 2, 3].map(|column| row.get(column)));
    }
    let path = h.options.sqlite_path().expect("a path");
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connected");
    let text = text(format!("x'{}'", tenant.uuid().simple()));
    let row = sqlx::raw_sql(AssertSqlSafe(text)).fetch_one(&mut connection).await.expect("summed");
    read([0, 1, 2, 3].map(|column| row.get(column)))
}

pub(super) async fn plans_and_budgets_are_set(h: &Harness) {
    let (tenant, person) = h.person("plans").await;
    let plans = h.store.run(&h.call(), ListPlans).await.expect("listed");
    assert_eq!(plans.iter().map(|(plan, _)| *plan).collect::<Vec<_>>(), [Plan::Core, Plan::Free, Plan::Studio]);
    let set = |tenant| SetPlan { tenant, plan: Plan::Core, cause: "asked for".to_owned(), now: h.now() };
    assert_eq!(h.store.run(&h.call(), set(tenant)).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), set(h.ids.make())).await, Ok(false));
    set_budget(h, tenant, person, None, Some(5)).await;
    set_budget(h, tenant, person, Some(person), Some(7)).await;
    let limits = usage_at(h, tenant, person, h.now()).await.limits;
    assert_eq!((limits.plan, limits.person_budget, limits.organisation_budget), (Plan::Core, Some(7), Some(5)));
    assert_eq!(Some(&(limits.plan, limits.limits)), plans.first());
    // A repeat of a commit that was not confirmed is told what is set aside.
    set_budget(h, tenant, person, None, None).await;
    let turn = AcceptMessage { bid: Some(bid(1, 3)), ..accept(h, tenant, person, new_conversation(h)) };
    h.store.inner.lost_commits.store(1, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(3)));
    let list = ListUsage {
        tenant,
        month: Month::of(h.now()),
        day: Day::of(h.now()),
        after: PersonId(uuid::Uuid::nil()),
        limit: 10,
    };
    let listed = h.store.run(&h.call(), list).await.expect("listed");
    assert_eq!(listed.len(), 1, "the organisation's own row is none of a person");
    assert_eq!((listed[0].person, listed[0].used.month.messages, listed[0].used.reserved_micros), (person, 1, 3));
    assert_eq!((listed[0].name.as_str(), listed[0].budget), ("plans", Some(7)));
    let next = ListUsage { after: person, ..list };
    assert_eq!(h.store.run(&h.call(), next).await, Ok(vec![]));
}
