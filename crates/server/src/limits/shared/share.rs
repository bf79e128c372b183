//! Deciding without Redis: each node takes its share of what is left.
//!
//! Let `N` be the limit and `n` the number of nodes. Of the passes of one key that still count at a moment, a node knows
//! two sorts: **its own**, decided here since its last gap or granted by Redis when it died ([`super::unconfirmed`]), and
//! **the others**: what Redis had let pass before, on this node or another, and what other nodes made known since. Let there
//! be `own` and `others` of them. The node lets one more pass when
//!
//! ```text
//! own + 1 <= (N - others) / n        rounded down
//! ```
//!
//! **In no window do more than `N` pass on all nodes together**, when all lost Redis at about the same time and each knows
//! what passed before. Let `K` be what Redis had counted and all know. Redis counts no more than the limit, so `K <= N`. Of
//! these let `o` be the node's own, from an earlier gap, so that `others = K - o`, or more when other nodes have made known
//! what they let pass since. It then lets `x` pass with `o + x <= (N - K + o) / n`, and so
//! `x <= (N - K) / n - o * (n - 1) / n <= (N - K) / n`. Over `n` nodes that is no more than `N - K`, and with the `K` no more
//! than `N`. As time goes on passes leave the window. Take any window and for each node its last pass in it: at that moment
//! the rule held with no fewer passes of either sort than are left of them at the end of the window. So it holds for what is
//! left.
//!
//! A limit below the number of nodes lets nothing pass here: a share has no fractions.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::key::{Key, Rule};
use super::super::logs::{Logs, Moment};
use super::super::verdict::{Standing, Verdict};

/// What this node knows of the passes of all.
pub(super) struct Shares {
    window: Moment,
    /// What counts against every node.
    others: Logs,
    /// What counts against this one.
    own: Logs,
    /// Held while a decision is made: it looks at several logs and then writes them.
    deciding: Mutex<()>,
    /// The most passes of a log that can matter.
    most: usize,
}

impl Shares {
    pub(super) fn new(window: Duration, keys: usize, most: usize) -> Self {
        Self {
            window: super::super::logs::micros(window),
            others: Logs::new(window, keys),
            own: Logs::new(window, keys),
            deciding: Mutex::default(),
            most,
        }
    }

    /// Learns of passes that count against every node.
    pub(super) fn learn(&self, key: Key, at: Moment, count: u16) {
        for _ in 0..count {
            self.others.record(key, at, self.most);
        }
    }

    /// Counts a pass against this node: no other may know of it.
    pub(super) fn charge(&self, key: Key, at: Moment) {
        self.own.record(key, at, self.most);
    }

    /// Decides, and counts a pass as this node's own.
    pub(super) fn decide(&self, rules: &[Rule], nodes: usize, now: impl FnOnce() -> Moment) -> (Verdict, Moment) {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let mut standings: Vec<_> = rules.iter().map(|rule| self.look(rule, nodes, now)).collect();
        if standings.iter().all(|standing| !standing.refused) {
            for standing in &mut standings {
                self.own.record(standing.rule.key, now, self.most);
                *standing = Standing { refused: false, ..self.look(&standing.rule, nodes, now) };
            }
        }
        (Verdict { standings, window: Duration::from_micros(self.window) }, now)
    }

    /// A pass of this node's own that was not one after all.
    pub(super) fn give_back(&self, rules: &[Rule], at: Moment) {
        for rule in rules {
            self.own.give_back(rule.key, at);
        }
    }

    fn look(&self, rule: &Rule, nodes: usize, now: Moment) -> Standing {
        let (others, own) = (self.others.moments(&rule.key, now), self.own.moments(&rule.key, now));
        let limit = usize::try_from(rule.limit).unwrap_or(usize::MAX);
        let left = |others: usize, own: usize| (limit.saturating_sub(others) / nodes.max(1)).saturating_sub(own);
        let left_now = left(others.len(), own.len());
        // What leaves the window next is the older of the two logs' oldest, and so on, until one more fits than now.
        let (mut gone_others, mut gone_own, mut more_at) = (0, 0, now + self.window);
        while let Some(at) = oldest(others.get(gone_others), own.get(gone_own)) {
            while others.get(gone_others).is_some_and(|other| *other <= at) {
                gone_others += 1;
            }
            while own.get(gone_own).is_some_and(|own| *own <= at) {
                gone_own += 1;
            }
            if left(others.len() - gone_others, own.len() - gone_own) > left_now {
                more_at = at + self.window;
                break;
            }
        }
        Standing {
            rule: *rule,
            left: u32::try_from(left_now).unwrap_or(u32::MAX),
            more_in: Duration::from_micros(more_at - now),
            refused: left_now == 0,
        }
    }

    /// Whether nothing has passed here by a share that still counts, as far as was swept.
    pub(super) fn let_nothing_pass(&self) -> bool {
        self.own.keys() == 0
    }

    pub(super) fn sweep(&self, now: Moment) {
        self.others.sweep(now);
        self.own.sweep(now);
    }

    pub(super) fn keys(&self) -> usize {
        self.others.keys() + self.own.keys()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.others.evicted() + self.own.evicted()
    }
}

fn oldest(one: Option<&Moment>, other: Option<&Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min().copied()
}

#[cfg(test)]
mod tests {
    use mainstay_domain::TenantId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::super::key::Subject;
    use super::*;

    const WINDOW: u64 = 1_000;

    fn rule(limit: u32) -> Rule {
        Rule { key: Key::overall(Subject::Organisation(TenantId(Uuid::nil()))), name: "organisation", limit }
    }

    fn shares() -> Shares {
        Shares::new(Duration::from_micros(WINDOW), 1_000, 100)
    }

    proptest! {
        /// Nodes know what passed before, from there on they are alone, and now and then one makes known what it let
        /// pass. In no window are there more than the limit.
        #[test]
        fn the_sum_over_the_nodes_stays_under_the_limit(
            nodes in 1_usize..6,
            limit in 0_u32..40,
            before in prop::collection::vec(0_u64..900, 0..40),
            steps in prop::collection::vec((0_u64..120, 0_usize..6, prop::bool::weighted(0.1)), 1..300),
        ) {
            let all: Vec<_> = (0..nodes).map(|_| shares()).collect();
            let mut passes: Vec<Moment> = before;
            passes.sort_unstable();
            passes.truncate(limit as usize);
            for share in &all {
                passes.iter().for_each(|at| share.learn(rule(limit).key, *at, 1));
            }
            let mut now = 900;
            let mut mine = vec![Vec::new(); nodes];
            for (step, node, tells) in steps {
                now += step;
                let node = node % nodes;
                let (verdict, at) = all[node].decide(&[rule(limit)], nodes, || now);
                if verdict.passes() {
                    passes.push(at);
                    mine[node].push(at);
                }
                if tells {
                    // What was written once is not written again.
                    for at in mine[node].drain(..) {
                        for (other, share) in all.iter().enumerate() {
                            if other != node {
                                share.learn(rule(limit).key, at.max(now), 1);
                            }
                        }
                    }
                }
            }
            // The wait is true when nothing else is sent.
            for share in all.iter().filter(|_| limit as usize >= nodes) {
                while share.decide(&[rule(limit)], nodes, || now).0.passes() {}
                let wait = share.look(&rule(limit), nodes, now).more_in;
                let wait = u64::try_from(wait.as_micros()).unwrap();
                prop_assert_eq!(share.look(&rule(limit), nodes, now + wait - 1).left, 0);
                prop_assert!(share.look(&rule(limit), nodes, now + wait).left > 0);
            }
            for at in &passes {
                let inside = passes.iter().filter(|one| **one >= *at && **one < at + WINDOW).count();
                prop_assert!(inside <= limit as usize, "{inside} of {limit} on {nodes} nodes");
            }
        }
    }

    #[test]
    fn one_node_alone_has_all_of_it_and_three_have_a_third_each() {
        let alone = shares();
        let passed = (0..100).filter(|_| alone.decide(&[rule(60)], 1, || 5).0.passes()).count();
        assert_eq!(passed, 60);
        let third = shares();
        third.learn(rule(60).key, 0, 30);
        let passed = (0..100).filter(|_| third.decide(&[rule(60)], 3, || 5).0.passes()).count();
        assert_eq!(passed, 10);
        let (refused, _) = third.decide(&[rule(60)], 3, || 5);
        assert_eq!(refused.wait(), Duration::from_micros(995), "when what passed before has gone");
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let shares = shares();
        let (verdict, at) = shares.decide(&[rule(1)], 1, || 5);
        assert!(verdict.passes() && !shares.decide(&[rule(1)], 1, || 5).0.passes());
        shares.give_back(&[rule(1)], at);
        assert!(shares.decide(&[rule(1)], 1, || 5).0.passes());
    }
}
