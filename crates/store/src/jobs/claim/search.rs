//! What a claim takes: group after group in turn, priority after priority, within the limits.

use std::collections::{BTreeMap, VecDeque};

use mainstay_domain::JobPriority;
use uuid::Uuid;

use super::super::rate::{Bucket, Rate};
use super::{
    ClaimJobs, Claims, FenceRow, GROUPS, GROUPS_AT_ONCE, GroupRow, HEADS, HeadRow, LAST_GROUP, MOST_STEPS, NameRow,
    RATES, RING, RUNNING_OF, RateRow, SPEND, SpendRow, TAKE, TakenRow, claimed,
};
use crate::error::Result;
use crate::tx::Tx;
use crate::value::{At, count, json};

/// What is ready of one priority, in the order of the turns.
#[derive(Default)]
struct Ring {
    /// The groups that have something ready.
    groups: Vec<String>,
    /// The first of each group, of those that were read.
    piles: BTreeMap<String, VecDeque<FenceRow>>,
    /// How many were read of groups that may have more.
    cut: BTreeMap<String, usize>,
    /// True when these are all groups.
    whole: bool,
}

impl Ring {
    /// Takes rows in, and their groups.
    fn read(&mut self, rows: Vec<HeadRow>) {
        for row in &rows {
            if self.groups.last() != Some(&row.group_key) {
                self.groups.push(row.group_key.clone());
            }
        }
        self.pile(rows);
    }

    fn pile(&mut self, rows: Vec<HeadRow>) {
        for HeadRow { id, lease, group_key } in rows {
            self.piles.entry(group_key).or_default().push_back(FenceRow { id, lease });
        }
    }

    /// Takes in groups of which nothing was read.
    fn others(&mut self, groups: Vec<String>) {
        self.groups.extend(groups);
    }

    /// Notes groups of which as much was read as was asked for.
    fn cut(&mut self, groups: &[String], asked: usize) {
        for group in groups {
            let read = self.piles.get(group).map_or(0, VecDeque::len);
            if read >= asked {
                self.cut.insert(group.clone(), read);
            }
        }
    }
}

/// A claim under way.
pub(super) struct Search<'a> {
    claim: &'a ClaimJobs,
    /// The group that was served last, by priority.
    pub(super) turns: Vec<String>,
    /// The rates that were looked at, by group; the empty one is the queue's own.
    rates: BTreeMap<String, Bucket>,
    found: Vec<FenceRow>,
    /// How many of each group were found.
    held: BTreeMap<String, usize>,
    pub(super) answer: Claims,
    room: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(claim: &'a ClaimJobs, turns: Vec<String>, room: usize) -> Self {
        let (rates, held) = (BTreeMap::new(), BTreeMap::new());
        Self { claim, turns, rates, found: Vec::new(), held, answer: Claims::default(), room }
    }

    /// Reads the queue's own rate.
    pub(super) async fn whole_rate(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        if let Some(rate) = self.claim.limits.rate {
            self.read_rates(tx, rate, vec![String::new()]).await?;
            if let Some(bucket) = self.rates.get("") {
                let allowed = bucket.room(self.claim.now);
                if allowed < self.room {
                    self.room = allowed;
                    let next = bucket.next_at();
                    self.answer.next_at = Some(self.answer.next_at.map_or(next, |known| known.max(next)));
                }
            }
        }
        Ok(())
    }

    async fn read_rates(&mut self, tx: &mut Tx<'_>, rate: Rate, groups: Vec<String>) -> Result<()> {
        let names = json(&groups)?;
        let rows: Vec<RateRow> = tx.query(RATES).bind(self.claim.queue).bind(names).rows().await?;
        let known: BTreeMap<_, _> = rows.into_iter().map(|row| (row.group_key, row.full_at.0)).collect();
        for group in groups {
            let full_at = known.get(&group).copied();
            self.rates.entry(group).or_insert_with(|| Bucket::new(rate, full_at, self.claim.now));
        }
        Ok(())
    }

    /// Goes through the groups of each priority in turn until there is no more room. True when the turns have moved.
    pub(super) async fn look(&mut self, tx: &mut Tx<'_>) -> Result<bool> {
        let mut moved = false;
        for priority in JobPriority::ALL {
            let (place, priority) = (self.turns.len(), priority.number());
            let place = usize::try_from(priority).unwrap_or(place);
            if self.turns.len() <= place {
                self.turns.resize(place + 1, String::new());
            }
            for _ in 0..MOST_STEPS {
                if self.left() == 0 {
                    self.answer.more = self.room > 0;
                    return Ok(moved);
                }
                let turn = self.turns[place].clone();
                let mut ring = self.ring(tx, priority, turn).await?;
                let (served, cut) = self.serve(tx, priority, &mut ring).await?;
                if let Some(served) = served.filter(|served| *served != self.turns[place]) {
                    self.turns[place] = served;
                    moved = true;
                }
                if cut && self.left() > 0 {
                    // Some group has more than its share: it goes before anything of a lower priority.
                    self.answer.more = true;
                    return Ok(moved);
                }
                if self.left() == 0 {
                    continue;
                }
                if ring.whole {
                    break;
                }
                // Groups that may not begin anything stand before others: the next step goes on behind them.
                if let Some(last) = ring.groups.last() {
                    self.turns[place].clone_from(last);
                    moved = true;
                }
            }
        }
        Ok(moved)
    }

    fn left(&self) -> usize {
        self.room.saturating_sub(self.found.len())
    }

    /// What is ready of a priority, from the group after the one that was served last round to that one.
    async fn ring(&self, tx: &mut Tx<'_>, priority: i64, turn: String) -> Result<Ring> {
        let mut ring = Ring::default();
        // The two halves of the ring: from the turn to the end, and from the beginning to the turn.
        let halves = if turn.is_empty() {
            vec![(String::new(), LAST_GROUP.to_owned())]
        } else {
            vec![(turn.clone(), LAST_GROUP.to_owned()), (String::new(), turn)]
        };
        let mut left = self.left() + 1;
        for (after, until) in halves {
            if left > 0 {
                let rows: Vec<HeadRow> = tx
                    .query(RING)
                    .bind(self.claim.queue)
                    .bind(priority)
                    .bind(after.clone())
                    .bind(until.clone())
                    .bind(i64::try_from(left).unwrap_or(i64::MAX))
                    .rows()
                    .await?;
                left -= rows.len().min(left);
                ring.read(rows);
                if left > 0 {
                    continue;
                }
                // There is more than there is room for: who else waits?
                let last = ring.groups.last().cloned().unwrap_or(after);
                ring.cut(std::slice::from_ref(&last), 0);
                ring.others(self.groups(tx, priority, last, until, ring.groups.len()).await?);
            } else {
                ring.others(self.groups(tx, priority, after, until, ring.groups.len()).await?);
            }
        }
        ring.whole = ring.groups.len() < GROUPS_AT_ONCE;
        Ok(ring)
    }

    async fn groups(
        &self,
        tx: &mut Tx<'_>,
        priority: i64,
        after: String,
        until: String,
        known: usize,
    ) -> Result<Vec<String>> {
        let most = GROUPS_AT_ONCE.saturating_sub(known);
        if most == 0 || after >= until {
            return Ok(Vec::new());
        }
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let query = tx.query(GROUPS).bind(self.claim.queue).bind(priority).bind(after).bind(until).bind(most);
        let rows: Vec<NameRow> = query.rows().await?;
        Ok(rows.into_iter().map(|row| row.group_key).collect())
    }

    /// How many of each group may begin.
    async fn allowances(&mut self, tx: &mut Tx<'_>, groups: &[String]) -> Result<BTreeMap<String, usize>> {
        let limits = self.claim.limits;
        let mut allowed: BTreeMap<_, _> = groups.iter().map(|group| (group.clone(), usize::MAX)).collect();
        if let Some(limit) = limits.running_per_group {
            let names = json(groups)?;
            let rows: Vec<GroupRow> = tx.query(RUNNING_OF).bind(self.claim.queue).bind(names).rows().await?;
            for row in rows {
                let held = self.held.get(&row.group_key).copied().unwrap_or(0);
                let room = (limit.saturating_sub(count(row.running)) as usize).saturating_sub(held);
                allowed.insert(row.group_key, room);
            }
        }
        if let Some(rate) = limits.rate_per_group {
            let unread: Vec<_> = groups.iter().filter(|group| !self.rates.contains_key(*group)).cloned().collect();
            if !unread.is_empty() {
                self.read_rates(tx, rate, unread).await?;
            }
            for group in groups {
                let Some(bucket) = self.rates.get(group) else { continue };
                let (room, next) = (bucket.room(self.claim.now), bucket.next_at());
                let most = allowed.entry(group.clone()).or_insert(usize::MAX);
                if room < *most {
                    *most = room;
                    self.answer.next_at = Some(self.answer.next_at.map_or(next, |known| known.min(next)));
                }
            }
        }
        Ok(allowed)
    }

    /// Takes from each group in turn, in rounds of one, until there is no more room. The answer is the group that was served
    /// last, and whether a group may have more that could begin.
    async fn serve(&mut self, tx: &mut Tx<'_>, priority: i64, ring: &mut Ring) -> Result<(Option<String>, bool)> {
        let allowed = self.allowances(tx, &ring.groups).await?;
        let allowed = |group: &String| allowed.get(group).copied().unwrap_or(0);
        let open: Vec<String> = ring.groups.iter().filter(|group| allowed(group) > 0).cloned().collect();
        if open.is_empty() {
            return Ok((None, false));
        }
        let share = self.left().div_ceil(open.len());
        let unread: Vec<_> = open.iter().filter(|group| !ring.piles.contains_key(*group)).cloned().collect();
        if !unread.is_empty() {
            let names = json(&unread)?;
            let query = tx.query(HEADS).bind(names).bind(self.claim.queue).bind(priority);
            ring.pile(query.bind(i64::try_from(share).unwrap_or(i64::MAX)).rows().await?);
            ring.cut(&unread, share);
        }
        let mut last = None;
        for round in 0.. {
            let mut any = false;
            for group in open.iter().filter(|group| allowed(group) > round) {
                if self.left() == 0 {
                    return Ok((last, true));
                }
                let Some(head) = ring.piles.get_mut(group).and_then(VecDeque::pop_front) else { continue };
                any = true;
                self.found.push(head);
                *self.held.entry(group.clone()).or_default() += 1;
                for bucket in [group.as_str(), ""] {
                    if let Some(bucket) = self.rates.get_mut(bucket) {
                        bucket.spend(1);
                    }
                }
                if round == 0 {
                    last = Some(group.clone());
                }
            }
            if !any {
                break;
            }
        }
        Ok((last, ring.cut.iter().any(|(group, read)| allowed(group) > *read)))
    }

    /// Takes what was found.
    pub(super) async fn take(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        let now = self.claim.now;
        let rows: Vec<TakenRow> = tx.batch(TAKE, &self.found).bind(self.claim.worker).bind(At(now)).rows().await?;
        let mut jobs: BTreeMap<Uuid, TakenRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let in_turn = self.found.iter().filter_map(|found| jobs.remove(&found.id));
        self.answer.jobs = in_turn.map(|row| claimed(row, now)).collect();
        let spent: Vec<_> = self
            .rates
            .iter()
            .filter(|(_, bucket)| bucket.is_spent())
            .map(|(group, bucket)| SpendRow { group_key: group.clone(), full_at: bucket.full_at() })
            .collect();
        if !spent.is_empty() {
            tx.batch(SPEND, &spent).bind(self.claim.queue).run().await?;
        }
        Ok(())
    }
}
