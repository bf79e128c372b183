//! Flags and experiments: definitions, exposures, outcomes and what is added up of them.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::{
    EventName, Experiment, ExperimentId, ExperimentState, Flag, FlagKey, Measure, PersonId, Share, TenantId, Unit,
    Variant, VariantName,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::{Harness, spawn};
use crate::sql::Sql;
use crate::tx::{Scope, Tx};
use crate::{
    Definitions, Error, ExperimentStep, Exposure, Intent, KillFlag, LoadDefinitions, MOST_EXPERIMENTS, MOST_FLAGS,
    MoveExperiment, Outcome, Put, PutExperiment, PutFlag, RecordExposures, RecordOutcomes, RemoveFlag, Result,
    ResultsOf, VariantFigures, WatchNodes,
};

fn key(text: &str) -> FlagKey {
    FlagKey::parse(text).expect("a key")
}

fn experiment(metric: &str) -> Experiment {
    let variant = |name: &str| Variant { name: VariantName::parse(name).expect("a name"), weight: 1 };
    Experiment {
        description: String::new(),
        unit: Unit::Person,
        traffic: Share::EVERYBODY,
        variants: vec![variant("control"), variant("short"), variant("long")],
        metric: EventName::parse(metric).expect("a name"),
        measure: Measure::Conversion,
    }
}

async fn load(h: &Harness) -> Definitions {
    h.store.run(&h.call(), LoadDefinitions).await.expect("read")
}

async fn step(h: &Harness, name: &str, step: ExperimentStep) -> bool {
    h.store.run(&h.call(), MoveExperiment { key: key(name), step, now: h.now() }).await.expect("done")
}

async fn version_that_nodes_see(h: &Harness) -> i64 {
    h.store.run(&h.call(), WatchNodes { prefix: "node:", now: h.now() }).await.expect("read").flags
}

pub(super) async fn flags_are_written_read_and_killed(h: &Harness) {
    assert_eq!(load(h).await, Definitions::default());
    let mut flag = Flag { share: Share::parse("12.5").expect("a share"), unit: Unit::Person, ..Flag::off() };
    flag.allow.insert(h.ids.make());
    let put = |name: &str, flag: &Flag| PutFlag { key: key(name), flag: flag.clone(), now: h.now() };
    assert_eq!(h.store.run(&h.call(), put("editor", &flag)).await, Ok(Put::Done));
    let found = load(h).await;
    assert_eq!((found.version, found.flags.len()), (1, 1));
    assert_eq!((&found.flags[0].flag, found.flags[0].killed), (&flag, false));
    assert_eq!(version_that_nodes_see(h).await, 1);

    // Whether it is killed is apart from what it says, so that who changes that does not bring it back.
    let kill = |killed| KillFlag { key: key("editor"), killed, now: h.now() };
    assert_eq!(h.store.run(&h.call(), kill(true)).await, Ok(true));
    flag.share = Share::EVERYBODY;
    assert_eq!(h.store.run(&h.call(), put("editor", &flag)).await, Ok(Put::Done));
    let found = load(h).await;
    assert_eq!((&found.flags[0].flag, found.flags[0].killed, found.version), (&flag, true, 3));
    assert_eq!(h.store.run(&h.call(), kill(false)).await, Ok(true));
    assert!(!load(h).await.flags[0].killed);
    let none = KillFlag { key: key("none"), killed: true, now: h.now() };
    assert_eq!(h.store.run(&h.call(), none).await, Ok(false));

    for number in 1..MOST_FLAGS {
        assert_eq!(h.store.run(&h.call(), put(&format!("f{number}"), &flag)).await, Ok(Put::Done));
    }
    assert_eq!(h.store.run(&h.call(), put("one-more", &flag)).await, Ok(Put::TooMany));
    assert_eq!(h.store.run(&h.call(), put("editor", &flag)).await, Ok(Put::Done), "one that is there may be changed");
    assert_eq!(h.store.run(&h.call(), RemoveFlag(key("editor"))).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), RemoveFlag(key("editor"))).await, Ok(false));
    assert_eq!(h.store.run(&h.call(), put("one-more", &flag)).await, Ok(Put::Done));
    let found = load(h).await;
    assert_eq!(found.flags.len(), usize::try_from(MOST_FLAGS).expect("a number"));
    assert_eq!(found.version, version_that_nodes_see(h).await);
}

pub(super) async fn an_experiment_is_frozen_once_it_runs(h: &Harness) {
    let put = |name: &str, metric: &str| PutExperiment {
        id: h.ids.make(),
        key: key(name),
        experiment: experiment(metric),
        now: h.now(),
    };
    assert_eq!(h.store.run(&h.call(), put("intro", "seen")).await, Ok(Put::Done));
    let first = load(h).await.experiments[0].clone();
    assert_eq!(h.store.run(&h.call(), put("intro", "paid")).await, Ok(Put::Done), "a draft may be changed");
    let draft = load(h).await.experiments[0].clone();
    assert_eq!((draft.id, draft.state, draft.experiment.metric.as_str()), (first.id, ExperimentState::Draft, "paid"));
    let winner = VariantName::parse("short").ok();
    assert!(!step(h, "intro", ExperimentStep::Stop { winner: None }).await, "it does not run");
    assert!(step(h, "intro", ExperimentStep::Start).await);
    assert!(!step(h, "intro", ExperimentStep::Start).await, "it runs already");
    assert!(!step(h, "intro", ExperimentStep::Remove).await, "it runs");
    assert_eq!(h.store.run(&h.call(), put("intro", "other")).await, Ok(Put::NotDraft));
    assert!(step(h, "intro", ExperimentStep::Stop { winner: None }).await);
    let stopped_at = load(h).await.experiments[0].stopped_at;
    h.clock.advance(Duration::from_secs(1));
    assert!(step(h, "intro", ExperimentStep::Stop { winner: winner.clone() }).await, "a winner may be named later");
    let stopped = load(h).await.experiments[0].clone();
    assert_eq!((stopped.state, stopped.winner, stopped.stopped_at), (ExperimentState::Stopped, winner, stopped_at));
    assert!(stopped.started_at.is_some() && stopped_at.is_some());
    assert_eq!(h.store.run(&h.call(), put("intro", "other")).await, Ok(Put::NotDraft));

    // Removed, its key is free for another one.
    assert!(step(h, "intro", ExperimentStep::Remove).await);
    assert!(!step(h, "intro", ExperimentStep::Remove).await);
    assert_eq!(h.store.run(&h.call(), put("intro", "seen")).await, Ok(Put::Done));
    let again = load(h).await.experiments[0].clone();
    assert!(again.id != first.id && again.state == ExperimentState::Draft);
    for number in 1..MOST_EXPERIMENTS {
        assert_eq!(h.store.run(&h.call(), put(&format!("e{number}"), "seen")).await, Ok(Put::Done));
    }
    assert_eq!(h.store.run(&h.call(), put("one-more", "seen")).await, Ok(Put::TooMany));
}

#[derive(sqlx::FromRow)]
struct Row {
    number: i64,
    first: i64,
}

/// How many exposures a transaction of this scope can see, and the first moment among them.
struct Seen(Scope);

impl Intent for Seen {
    type Output = (i64, i64);
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        self.0.clone()
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<(i64, i64)> {
        let sqlite = "SELECT count(*) AS number, coalesce(min(exposed_at), 0) AS first FROM exposure";
        let postgres = "SELECT count(*) AS number,
                        coalesce(round(extract(epoch FROM min(exposed_at)) * 1000), 0)::bigint AS first FROM exposure";
        let row: Option<Row> = tx.query(Sql::plain("test", sqlite, postgres)).row().await?;
        Ok(row.map_or((0, 0), |row| (row.number, row.first)))
    }
}

/// Sixteen writers at once tell of the same people, in other orders and with other moments.
pub(super) async fn an_exposure_is_recorded_once_at_its_first_moment(h: &Harness) {
    let (id, tenant): (ExperimentId, TenantId) = (h.ids.make(), h.ids.make());
    let other: TenantId = h.ids.make();
    let people: Vec<Uuid> = (0..50).map(|_| h.ids.make::<PersonId>().uuid()).collect();
    let first = h.now();
    let writers: Vec<_> = (0..16u64)
        .map(|writer| {
            let (store, mut people) = (h.store.clone(), people.clone());
            // Who is first differs, and the earliest moment is not the first one to be written.
            let at = first.plus(Duration::from_millis((writer + 7) % 16));
            people.rotate_left(usize::try_from(writer * 3).expect("small"));
            let call = h.call();
            spawn(async move {
                for chunk in people.chunks(7) {
                    let exposure = |unit: &Uuid| Exposure { experiment: id, tenant, unit: *unit, variant: 1, at };
                    let mut rows: Vec<_> = chunk.iter().map(exposure).collect();
                    rows.push(Exposure { tenant: other, ..rows[0] });
                    store.run(&call, RecordExposures(rows)).await.expect("recorded");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let found = h.store.run(&h.call(), ResultsOf(id)).await.expect("read");
    let units: u64 = found.iter().map(|figures| figures.units).sum();
    assert_eq!(found.len(), 1);
    let (all, earliest) = h.store.run(&h.call(), Seen(Scope::Tenants(vec![tenant, other]))).await.expect("read");
    assert_eq!((all, earliest), (i64::try_from(units).expect("small"), first.as_millis()));
    if h.store.engine_name() == "postgresql" {
        // A statement that forgot its tenant is stopped by the policies.
        assert_eq!(h.store.run(&h.call(), Seen(Scope::Tenant(tenant))).await, Ok((50, first.as_millis())));
        assert_eq!(h.store.run(&h.call(), Seen(Scope::Tenant(h.ids.make()))).await, Ok((0, 0)));
        assert_eq!(h.store.run(&h.call(), Seen(Scope::Global)).await, Ok((0, 0)));
        let stray = h.store.run(&h.call(), WriteAs { scope: other, tenant, experiment: id }).await;
        assert!(matches!(stray, Err(Error::Isolation(_))), "{stray:?}");
    }
}

/// Writes an exposure of one organisation in the scope of another.
struct WriteAs {
    scope: TenantId,
    tenant: TenantId,
    experiment: ExperimentId,
}

impl Intent for WriteAs {
    type Output = u64;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.scope)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let text = "INSERT INTO exposure (experiment_id, tenant_id, unit_id, variant, exposed_at)
                    VALUES ($1, $2, $2, 0, $3)";
        let sql = Sql::plain("test", text, text);
        let at = crate::value::At(mainstay_domain::Timestamp::EPOCH);
        tx.query(sql).bind(self.experiment.uuid()).bind(self.tenant.uuid()).bind(at).run().await
    }
}

/// What happened to a person, by their number: shown a variant at a moment, or an event with a value.
#[derive(Clone, Copy, Debug)]
enum Happened {
    Shown { person: u64, at: u64 },
    Did { person: u64, event: u8, value: i32, at: u64 },
}

fn happenings() -> impl Strategy<Value = Vec<Happened>> {
    let shown = (0..40u64, 0..100u64).prop_map(|(person, at)| Happened::Shown { person, at });
    let did = (0..40u64, 0..30u8, -500..1000i32, 0..100u64).prop_map(|(person, event, value, at)| Happened::Did {
        person,
        event,
        value,
        at,
    });
    prop::collection::vec(prop_oneof![shown, did], 1..300)
}

/// What should be found, the simplest way.
fn model(all: &[Happened]) -> Vec<VariantFigures> {
    let (mut shown, mut did) = (BTreeMap::new(), BTreeMap::new());
    for happened in all {
        match *happened {
            Happened::Shown { person, at } => {
                let first = shown.entry(person).or_insert(at);
                *first = at.min(*first);
            }
            Happened::Did { person, event, value, at } => {
                did.entry((person, event)).or_insert((value, at));
            }
        }
    }
    (0..3)
        .filter_map(|variant| {
            let totals: Vec<(bool, f64)> = shown
                .iter()
                .filter(|(person, _)| **person % 3 == variant)
                .map(|(person, first)| {
                    let own = did.iter().filter(|((who, _), (_, at))| who == person && at >= first);
                    let values: Vec<_> = own.map(|(_, (value, _))| f64::from(*value) / 8.0).collect();
                    (!values.is_empty(), values.iter().sum())
                })
                .collect();
            let units = totals.len() as f64;
            let mean = totals.iter().map(|(_, total)| total).sum::<f64>() / units;
            (units > 0.0).then(|| VariantFigures {
                variant: usize::try_from(variant).expect("small"),
                units: totals.len() as u64,
                converted: totals.iter().filter(|(converted, _)| *converted).count() as u64,
                mean,
                squares: totals.iter().map(|(_, total)| (total - mean).powi(2)).sum(),
            })
        })
        .collect()
}

/// Random histories, told in any order: an outcome may be written before the exposure that came before it.
pub(super) async fn results_equal_a_naive_model(h: &Harness) {
    let mut runner = TestRunner::deterministic();
    for round in 0..20 {
        let all = happenings().new_tree(&mut runner).expect("a history").current();
        let id: ExperimentId = h.ids.make();
        let start = h.now();
        // Each person has an organisation of their own, so that the sum goes over many.
        let tenant = |person: u64| TenantId(Uuid::from_u128(u128::from(person) + 1));
        let who = |person: u64| PersonId(Uuid::from_u128(u128::from(person) + 1_000));
        for happened in &all {
            match *happened {
                Happened::Shown { person, at } => {
                    let exposure = Exposure {
                        experiment: id,
                        tenant: tenant(person),
                        unit: who(person).uuid(),
                        variant: usize::try_from(person % 3).expect("small"),
                        at: start.plus(Duration::from_millis(at)),
                    };
                    h.store.run(&h.call(), RecordExposures(vec![exposure])).await.expect("recorded");
                }
                Happened::Did { person, event, value, at } => {
                    let outcome = Outcome {
                        experiment: id,
                        unit: who(person).uuid(),
                        event: Uuid::from_u128(u128::from(event)),
                        value: f64::from(value) / 8.0,
                        at: start.plus(Duration::from_millis(at)),
                    };
                    // A client that is not sure sends it twice, also in one request.
                    let record = RecordOutcomes {
                        tenant: tenant(person),
                        person: who(person),
                        outcomes: vec![outcome, outcome],
                    };
                    h.store.run(&h.call(), record).await.expect("recorded");
                }
            }
        }
        let found = h.store.run(&h.call(), ResultsOf(id)).await.expect("read");
        let expected = model(&all);
        assert_eq!(found.len(), expected.len(), "round {round}: {found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            let counts = |figures: &VariantFigures| (figures.variant, figures.units, figures.converted);
            assert_eq!(counts(found), counts(expected), "round {round}");
            let near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * (1.0 + other.abs());
            assert!(near(found.mean, expected.mean), "round {round}: {found:?} {expected:?}");
            assert!(near(found.squares, expected.squares), "round {round}: {found:?} {expected:?}");
        }
    }
    assert_eq!(h.store.run(&h.call(), ResultsOf(h.ids.make())).await, Ok(Vec::new()), "nobody was shown anything");
}

pub(super) async fn what_old_experiments_found_is_erased(h: &Harness) {
    let tenant: TenantId = h.ids.make();
    let mut ids = BTreeMap::new();
    for name in ["kept", "old", "removed"] {
        let id: ExperimentId = h.ids.make();
        let put = PutExperiment { id, key: key(name), experiment: experiment("paid"), now: h.now() };
        assert_eq!(h.store.run(&h.call(), put).await, Ok(Put::Done));
        assert!(step(h, name, ExperimentStep::Start).await);
        let people: Vec<PersonId> = (0..1_200).map(|_| h.ids.make()).collect();
        let exposure =
            |person: &PersonId| Exposure { experiment: id, tenant, unit: person.uuid(), variant: 0, at: h.now() };
        let rows = people.iter().map(exposure).collect();
        h.store.run(&h.call(), RecordExposures(rows)).await.expect("recorded");
        let outcomes =
            vec![Outcome { experiment: id, unit: people[0].uuid(), event: id.uuid(), value: 1.0, at: h.now() }];
        h.store.run(&h.call(), RecordOutcomes { tenant, person: people[0], outcomes }).await.expect("recorded");
        ids.insert(name, id);
    }
    assert!(step(h, "old", ExperimentStep::Stop { winner: None }).await);
    assert!(step(h, "removed", ExperimentStep::Stop { winner: None }).await);
    h.clock.advance(Duration::from_secs(100));
    assert!(step(h, "kept", ExperimentStep::Stop { winner: None }).await);
    assert!(step(h, "removed", ExperimentStep::Remove).await);
    let before = h.now().minus(Duration::from_secs(50));
    let erase = async |removed| h.store.erase_experiments(&h.call(), before, removed, h.now()).await.expect("erased");
    let mut bites = 0;
    while erase(before).await {
        bites += 1;
        assert!(bites < 10, "it never ends");
    }
    assert_eq!(bites, 3, "1,200 rows of the old one are two bites, and one that finds nothing left");
    while erase(h.now()).await {
        bites += 1;
        assert!(bites < 20, "it never ends");
    }
    for (name, left) in [("kept", 1_200), ("old", 0), ("removed", 0)] {
        let found = h.store.run(&h.call(), ResultsOf(ids[name])).await.expect("read");
        assert_eq!(found.iter().map(|figures| figures.units).sum::<u64>(), left, "{name}");
    }
    let names: Vec<_> = load(h).await.experiments.into_iter().map(|one| one.key.to_string()).collect();
    assert_eq!(names, ["kept", "old"], "what it was stays known until it is removed");
}
