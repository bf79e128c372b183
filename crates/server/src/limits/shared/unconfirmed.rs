//! Passes that Redis has granted to this node and may not have told the others yet.
//!
//! Redis writes the answers of a round of its loop before the messages of that round. When it is killed in between, a node
//! has a pass of which no other knows, and the shares of all no longer add up. What was written in an earlier round has left
//! it: so the answer to a question that was *sent after* a pass was answered confirms that every node is told of the pass.
//!
//! Until then the pass counts against the share of this node alone, and must fit into it, as if Redis were lost at once. One
//! that does not fit waits for a confirmation, which costs one more question: in a burst, and when little is left.
//!
//! **So in no window do more than the limit `N` pass on `n` nodes together, whenever Redis is killed.** Let `C` be the passes
//! of which all are told, and for each node `e` those of its own that Redis wrote to nobody else, and `f` those of `C` that
//! it has not had confirmed. Let `c` be what Redis had counted before the last of its passes, so `c >= C + e - 1`. That one
//! fitted: `e + f <= (N - (c - (e + f - 1))) / n <= (N - C + f) / n`, so `e <= (N - C) / n`. Alone it adds `x` with
//! `e + f + x <= (N - (C - f)) / n`, so `e + x <= (N - C) / n`. Over all nodes that is `N - C`, and with `C` it is `N`.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::super::key::{Key, Rule};
use super::super::logs::Moment;
use crate::locking::lock;

/// A pass: its moment and what it counted for.
pub(super) type Pass = (Moment, Vec<Key>);

/// The unconfirmed passes of this node, oldest first. There are at most as many as answers come while one question is under
/// way, and so at most twice the commands that may be under way at once.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Passes that were ever confirmed or taken; the oldest of `passes` has this number.
    gone: u64,
    passes: VecDeque<Pass>,
    counts: HashMap<Key, u32>,
}

impl Inner {
    fn pop(&mut self) -> Option<Pass> {
        let pass = self.passes.pop_front()?;
        self.gone += 1;
        for key in &pass.1 {
            if let Some(count) = self.counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(key);
                }
            }
        }
        Some(pass)
    }
}

impl Unconfirmed {
    /// Marks what the answer to a question confirms that is sent now: all passes so far.
    pub(super) fn mark(&self) -> u64 {
        let inner = lock(&self.0);
        inner.gone + inner.passes.len() as u64
    }

    /// A question of this mark was answered: hands over, in their order, the passes of which all nodes are told.
    pub(super) fn confirm(&self, mark: u64, mut told: impl FnMut(Pass)) {
        let mut inner = lock(&self.0);
        while inner.gone < mark
            && let Some(pass) = inner.pop()
        {
            told(pass);
        }
    }

    /// Redis is lost: hands over the passes of which perhaps nobody else is told.
    pub(super) fn give_up(&self, untold: impl FnMut(Pass)) {
        self.confirm(u64::MAX, untold);
    }

    /// Redis has granted a pass; for each limit it had counted so many before. Whether the pass fits into this node's share,
    /// together with what else is unconfirmed.
    pub(super) fn granted(&self, rules: &[Rule], counted: &[u32], nodes: usize, at: Moment) -> bool {
        let nodes = u32::try_from(nodes.max(1)).unwrap_or(u32::MAX);
        let mut inner = lock(&self.0);
        inner.passes.push_back((at, rules.iter().map(|rule| rule.key).collect()));
        let mut fits = true;
        for (rule, counted) in rules.iter().zip(counted) {
            let count = inner.counts.entry(rule.key).or_default();
            let told = counted.saturating_sub(*count);
            *count += 1;
            fits &= *count <= rule.limit.saturating_sub(told) / nodes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainstay_domain::TenantId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::super::key::Subject;
    use super::super::share::Shares;
    use super::*;

    fn rule(limit: u32) -> Rule {
        Rule { key: Key::overall(Subject::Organisation(TenantId(Uuid::nil()))), name: "organisation", limit }
    }

    enum Asks {
        Pass,
        /// Only for a confirmation; a pass waits for it.
        Confirmation,
    }

    struct Question {
        node: usize,
        mark: u64,
        asks: Asks,
    }

    struct Node {
        shares: Shares,
        unconfirmed: Unconfirmed,
    }

    /// Redis in rounds: it reads questions, then writes the answers, the newest first, and then the messages.
    struct Model {
        limit: u32,
        nodes: Vec<Node>,
        counted: u32,
        under_way: Vec<Question>,
        /// This round's questions, and what was counted before if it is granted.
        round: Vec<(Question, Option<u32>)>,
        /// Requests that were let pass.
        passed: u32,
    }

    impl Model {
        fn new(nodes: usize, limit: u32) -> Self {
            let node = |_| Node {
                shares: Shares::new(Duration::from_secs(60), 100, 1_000),
                unconfirmed: Unconfirmed::default(),
            };
            let nodes = (0..nodes).map(node).collect();
            Self { limit, nodes, counted: 0, under_way: Vec::new(), round: Vec::new(), passed: 0 }
        }

        fn send(&mut self, node: usize, asks: Asks) {
            let mark = self.nodes[node].unconfirmed.mark();
            self.under_way.push(Question { node, mark, asks });
        }

        fn read(&mut self, chosen: usize) {
            if self.under_way.is_empty() {
                return;
            }
            let question = self.under_way.remove(chosen % self.under_way.len());
            let before = self.counted;
            let grants = matches!(question.asks, Asks::Pass) && before < self.limit;
            self.counted += u32::from(grants);
            self.round.push((question, grants.then_some(before)));
        }

        fn answer(&mut self, question: &Question, granted: Option<u32>) {
            let node = &self.nodes[question.node];
            node.unconfirmed.confirm(question.mark, |(at, keys)| node.shares.learn(keys[0], at, 1));
            match granted {
                Some(counted) if node.unconfirmed.granted(&[rule(self.limit)], &[counted], self.nodes.len(), 0) => {
                    self.passed += 1;
                }
                Some(_) => self.send(question.node, Asks::Confirmation),
                None => self.passed += u32::from(matches!(question.asks, Asks::Confirmation)),
            }
        }

        /// Writes a round: so many of its answers, then the messages to so many nodes.
        fn write(&mut self, answers: usize, messages: usize) {
            let round = std::mem::take(&mut self.round);
            for (question, granted) in round.iter().rev().take(answers) {
                self.answer(question, *granted);
            }
            for (index, node) in self.nodes.iter().enumerate().take(messages) {
                let of_others = round.iter().filter(|(question, granted)| granted.is_some() && question.node != index);
                of_others.for_each(|_| node.shares.learn(rule(self.limit).key, 0, 1));
            }
        }

        /// Redis is lost: every node takes what it still may.
        fn go_alone(&mut self) {
            for node in &self.nodes {
                node.unconfirmed.give_up(|(at, keys)| keys.iter().for_each(|key| node.shares.charge(*key, at)));
                while node.shares.decide(&[rule(self.limit)], self.nodes.len(), || 0).0.passes() {
                    self.passed += 1;
                }
            }
        }
    }

    proptest! {
        /// Whenever Redis is killed, between any two of its writes: no more than the limit pass.
        #[test]
        fn whenever_redis_dies_no_more_than_the_limit_pass(
            nodes in 1_usize..5,
            limit in 0_u32..40,
            steps in prop::collection::vec((0_u8..8, 0_usize..64), 0..400),
            written in (0_usize..64, 0_usize..6),
        ) {
            let mut model = Model::new(nodes, limit);
            for (step, chosen) in steps {
                match step {
                    0..=2 => model.send(chosen % nodes, Asks::Pass),
                    3..=6 => model.read(chosen),
                    _ => model.write(usize::MAX, usize::MAX),
                }
            }
            let (answers, messages) = written;
            // Messages are written when all of the answers are.
            let messages = if answers < model.round.len() { 0 } else { messages };
            model.write(answers, messages);
            model.go_alone();
            prop_assert!(model.passed <= limit, "{} of {limit} on {nodes} nodes", model.passed);
        }

        /// Nobody is refused for what is unconfirmed: while Redis lives, all of the limit passes.
        #[test]
        fn while_redis_lives_all_of_the_limit_passes(
            nodes in 1_usize..5,
            limit in 0_u32..40,
            asked in prop::collection::vec(0_usize..5, 40),
        ) {
            let mut model = Model::new(nodes, limit);
            asked.iter().for_each(|node| model.send(node % nodes, Asks::Pass));
            while !model.under_way.is_empty() {
                (0..model.under_way.len()).for_each(|_| model.read(0));
                model.write(usize::MAX, usize::MAX);
            }
            prop_assert_eq!(model.passed, limit);
        }
    }

    #[test]
    fn a_pass_is_confirmed_by_a_later_question_only() {
        let unconfirmed = Unconfirmed::default();
        let before = unconfirmed.mark();
        // Of 60 on 3 nodes 20 fit into a share; the next must wait.
        let fits: Vec<_> = (0..21).map(|counted| unconfirmed.granted(&[rule(60)], &[counted], 3, 7)).collect();
        assert!(fits[..20].iter().all(|fits| *fits) && !fits[20]);
        let mut told = 0;
        unconfirmed.confirm(before, |_| told += 1);
        assert_eq!(told, 0, "the question was sent before");
        unconfirmed.confirm(unconfirmed.mark(), |_| told += 1);
        assert_eq!(told, 21);
        assert!(unconfirmed.granted(&[rule(60)], &[21], 3, 7), "and then there is room again");
    }
}
