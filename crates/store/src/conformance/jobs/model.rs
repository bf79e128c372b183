//! Random lives of jobs against a simple model of them: a transition takes place if and only if it names the number that
//! the last one gave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{JobId, JobState};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use super::super::Harness;
use super::{KEEPING, claim, finish, job, life, promise, worker};
use crate::{CancelJob, Cancelled, Claimed, Ending, ExpireLeases, NewJob, PromoteJobs, ReplayJobs, RescueJobs};

#[derive(Clone, Debug)]
enum Act {
    Promise { later: bool },
    Claim(usize),
    Finish { token: usize, ending: usize },
    KillWorker(usize),
    Rescue,
    Cancel(usize),
    Replay(usize),
    Wait,
}

/// What a job should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    state: JobState,
    attempt: u32,
    cancel_asked: bool,
    /// The lease of the worker that runs it, and the claim that they hold.
    holder: Option<(i64, i64)>,
}

struct Model<'a> {
    h: &'a Harness,
    round: usize,
    jobs: BTreeMap<JobId, Expected>,
    order: Vec<JobId>,
    /// Their names, their leases, and whether these hold.
    workers: Vec<(String, i64, bool)>,
    dead: BTreeSet<i64>,
    tokens: Vec<Claimed>,
}

pub(in super::super) async fn the_model_of_a_job_holds(h: &Harness) {
    let act = prop_oneof![
        3 => any::<bool>().prop_map(|later| Act::Promise { later }),
        5 => (0usize..3).prop_map(Act::Claim),
        6 => (0usize..64, 0usize..6).prop_map(|(token, ending)| Act::Finish { token, ending }),
        1 => (0usize..3).prop_map(Act::KillWorker),
        2 => Just(Act::Rescue),
        2 => (0usize..32).prop_map(Act::Cancel),
        2 => (0usize..32).prop_map(Act::Replay),
        2 => Just(Act::Wait),
    ];
    let lives = proptest::collection::vec(act, 10..50);
    let mut runner = TestRunner::new(Config::default());
    for round in 0..8 {
        let acts = lives.new_tree(&mut runner).expect("a life").current();
        let mut model = Model {
            h,
            round,
            jobs: BTreeMap::new(),
            order: Vec::new(),
            workers: Vec::new(),
            dead: BTreeSet::new(),
            tokens: Vec::new(),
        };
        for number in 0..3 {
            model.hire(number).await;
        }
        for act in &acts {
            Box::pin(model.follow(act)).await;
            Box::pin(model.compare(&acts)).await;
        }
        // The next round begins with nothing to claim.
        model.clear().await;
    }
}

impl Model<'_> {
    async fn hire(&mut self, number: usize) {
        let name = format!("{}-{number}-{}", self.round, self.workers.len());
        let lease = worker(self.h, &name).await;
        if number < self.workers.len() {
            self.workers[number] = (name, lease, true);
        } else {
            self.workers.push((name, lease, true));
        }
    }

    async fn follow(&mut self, act: &Act) {
        let h = self.h;
        match act {
            Act::Promise { later } => {
                let run_at = if *later { h.now().plus(Duration::from_secs(1)) } else { h.now() };
                let new = NewJob { run_at, ..job(h) };
                promise(h, vec![new.clone()]).await;
                let state = if *later { JobState::Scheduled } else { JobState::Ready };
                self.jobs.insert(new.id, Expected { state, attempt: 0, cancel_asked: false, holder: None });
                self.order.push(new.id);
            }
            Act::Claim(number) => self.claim(*number).await,
            Act::Finish { token, ending } => {
                if let Some(token) = self.tokens.get(*token % self.tokens.len().max(1)).cloned() {
                    self.finish(&token, *ending).await;
                }
            }
            Act::KillWorker(number) => {
                let prefix: &'static str = format!("worker:{}", self.workers[*number].0).leak();
                h.store.run(&h.call(), ExpireLeases { prefix, now: h.now() }).await.expect("expired");
                self.workers[*number].2 = false;
                self.dead.insert(self.workers[*number].1);
            }
            Act::Rescue => self.rescue().await,
            Act::Cancel(number) => self.cancel(*number).await,
            Act::Replay(number) => {
                let Some(id) = self.order.get(*number % self.order.len().max(1)).copied() else { return };
                let anew = h.store.run(&h.call(), ReplayJobs { jobs: vec![id], now: h.now() }).await.expect("asked");
                let expected = self.jobs.get_mut(&id).expect("known");
                assert_eq!(anew == [id], expected.state.is_end());
                if expected.state.is_end() {
                    *expected = Expected { state: JobState::Ready, attempt: 0, cancel_asked: false, holder: None };
                }
            }
            Act::Wait => {
                h.clock.advance(Duration::from_secs(1));
                h.store.run(&h.call(), PromoteJobs { most: 100, now: h.now() }).await.expect("promoted");
                for expected in self.jobs.values_mut().filter(|expected| expected.state == JobState::Scheduled) {
                    expected.state = JobState::Ready;
                }
            }
        }
    }

    async fn claim(&mut self, number: usize) {
        let (_, lease, alive) = self.workers[number];
        let claimed = claim(self.h, lease, 2).await;
        let ready = self.jobs.values().filter(|expected| expected.state == JobState::Ready).count();
        assert_eq!(claimed.len(), if alive { ready.min(2) } else { 0 });
        for token in claimed {
            let expected = self.jobs.get_mut(&token.id).expect("known");
            assert_eq!((expected.state, expected.attempt + 1), (JobState::Ready, token.attempt));
            expected.state = JobState::Running;
            expected.attempt += 1;
            expected.holder = Some((lease, token.lease));
            self.tokens.push(token);
        }
        if !alive {
            self.hire(number).await;
        }
    }

    async fn finish(&mut self, token: &Claimed, ending: usize) {
        let at = self.h.now().plus(Duration::from_secs(1));
        let error = "x".to_owned();
        let endings = [
            (Ending::Done, JobState::Done, 0),
            (Ending::Retry { at, error: error.clone() }, JobState::Scheduled, 0),
            (Ending::Dead { error }, JobState::Dead, 0),
            (Ending::Snoozed { until: at }, JobState::Scheduled, 1),
            (Ending::Cancelled, JobState::Cancelled, 0),
            (Ending::HandedBack, JobState::Ready, 1),
        ];
        let (ending, mut state, given_back) = endings[ending].clone();
        let mine = finish(self.h, token, ending).await;
        let expected = self.jobs.get_mut(&token.id).expect("known");
        let holds = expected.holder.is_some_and(|(_, lease)| lease == token.lease);
        assert_eq!(mine, holds, "{token:?} {expected:?}");
        if holds {
            if expected.cancel_asked && !state.is_end() {
                state = JobState::Cancelled;
            }
            expected.state = state;
            expected.attempt -= given_back;
            expected.holder = None;
        }
    }

    async fn rescue(&mut self) {
        let rescue = RescueJobs { keeping: KEEPING, now: self.h.now() };
        self.h.store.run_for_jobs(&self.h.call(), rescue).await.expect("rescued");
        for expected in self.jobs.values_mut() {
            let dead = expected.holder.is_some_and(|(worker, _)| self.dead.contains(&worker));
            if dead {
                expected.holder = None;
                expected.state = match (expected.attempt >= 3, expected.cancel_asked) {
                    (true, _) => JobState::Dead,
                    (false, true) => JobState::Cancelled,
                    (false, false) => JobState::Ready,
                };
            }
        }
    }

    async fn cancel(&mut self, number: usize) {
        let Some(job) = self.order.get(number % self.order.len().max(1)).copied() else { return };
        let cancel = CancelJob { job, keep_until: self.h.now(), now: self.h.now() };
        let answer = self.h.store.run(&self.h.call(), cancel).await.expect("asked");
        let expected = self.jobs.get_mut(&job).expect("known");
        match expected.state {
            state if state.is_end() => assert_eq!(answer, Cancelled::Ended(state)),
            JobState::Running => {
                assert_eq!(answer, Cancelled::Asked);
                expected.cancel_asked = true;
            }
            _ => {
                assert_eq!(answer, Cancelled::Done);
                expected.state = JobState::Cancelled;
            }
        }
    }

    async fn compare(&self, acts: &[Act]) {
        for (id, expected) in &self.jobs {
            let stored = life(self.h, *id).await.job;
            let found = (stored.state, stored.attempt);
            assert_eq!(found, (expected.state, expected.attempt), "{id} after {acts:?}");
        }
    }

    async fn clear(&mut self) {
        for job in self.order.clone() {
            let cancel = CancelJob { job, keep_until: self.h.now(), now: self.h.now() };
            self.h.store.run(&self.h.call(), cancel).await.expect("cancelled");
        }
        self.h.clock.advance(super::LASTS * 2);
        let rescue = RescueJobs { keeping: KEEPING, now: self.h.now() };
        self.h.store.run_for_jobs(&self.h.call(), rescue).await.expect("rescued");
    }
}
