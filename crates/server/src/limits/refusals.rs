//! Lives in one process: what was refused in the last hour, for the administrators of each organisation. Each node tells
//! what it refused itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::{TenantId, Timestamp};

use super::Class;
use super::key::{Rule, Subject};

/// For how long a refusal is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// Rows of all organisations together. Past that the ones that are over go, else the oldest tenth.
const MOST: usize = 10_000;
/// Rows of one organisation. Past that further ones are not kept.
const MOST_OF_ONE: usize = 500;
/// The length of the slots that are counted apart, so that what is older than an hour goes.
const SLOT: Duration = Duration::from_secs(300);

/// What was refused, by whom and where, in the last hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose limit it was.
    pub subject: Subject,
    /// Of which class the requests were.
    pub class: Class,
    /// Method and path of the route.
    pub route: String,
    /// The limit.
    pub limit: u32,
    /// How many requests were refused in the last hour.
    pub count: u64,
    /// The last refusal.
    pub last: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    tenant: TenantId,
    subject: Subject,
    class: Class,
    route: String,
}

#[derive(Debug)]
struct Row {
    limit: u32,
    /// The beginning of a slot and the refusals in it, oldest first; at most as many as an hour has, and one.
    slots: Vec<(Timestamp, u64)>,
    last: Timestamp,
}

impl Row {
    fn forget(&mut self, now: Timestamp) {
        self.slots.retain(|(begun, _)| now.since(*begun) < KEPT);
    }
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<Place, Row>,
    /// How many rows each organisation has.
    of: HashMap<TenantId, usize>,
    /// When it was last looked for rows that are over.
    swept: Option<Timestamp>,
}

/// The refusals of the last hour.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Table>);

impl Refusals {
    pub(super) fn add(&self, tenant: TenantId, rule: &Rule, class: Class, route: &str, now: Timestamp) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Place { tenant, subject: rule.key.subject, class, route: route.to_owned() };
        if !table.rows.contains_key(&place) && !table.has_room(tenant, now) {
            return;
        }
        let Table { rows, of, .. } = &mut *table;
        let row = rows.entry(place).or_insert_with(|| {
            *of.entry(tenant).or_default() += 1;
            Row { limit: rule.limit, slots: Vec::new(), last: now }
        });
        row.forget(now);
        (row.limit, row.last) = (rule.limit, now);
        match row.slots.last_mut() {
            Some((begun, count)) if now.since(*begun) < SLOT => *count += 1,
            _ => row.slots.push((now, 1)),
        }
    }

    /// The refusals of an organisation, the newest first, at most so many.
    pub(super) fn of(&self, tenant: TenantId, now: Timestamp, most: usize) -> Vec<Refused> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = table
            .rows
            .iter_mut()
            .filter(|(place, _)| place.tenant == tenant)
            .filter_map(|(place, row)| {
                row.forget(now);
                let count = row.slots.iter().map(|(_, count)| count).sum();
                let Place { subject, class, ref route, .. } = *place;
                let refused = Refused { subject, class, route: route.clone(), limit: row.limit, count, last: row.last };
                (count > 0).then_some(refused)
            })
            .collect();
        all.sort_by(|one, other| other.last.cmp(&one.last).then_with(|| one.route.cmp(&other.route)));
        all.truncate(most);
        all
    }
}

impl Table {
    /// Whether there is room for one more row of an organisation, which is made if need be.
    fn has_room(&mut self, tenant: TenantId, now: Timestamp) -> bool {
        let full = |table: &Self| table.of.get(&tenant).is_some_and(|rows| *rows >= MOST_OF_ONE);
        let due = self.swept.is_none_or(|at| now.since(at) >= SLOT);
        if self.rows.len() >= MOST || (full(self) && due) {
            self.swept = Some(now);
            self.rows.retain(|_, row| now.since(row.last) < KEPT);
            if self.rows.len() >= MOST {
                // Many at once, so that this is not done for each.
                let mut ages: Vec<_> = self.rows.values().map(|row| row.last).collect();
                let (_, newest_gone, _) = ages.select_nth_unstable(MOST / 10);
                let newest_gone = *newest_gone;
                let mut going = MOST / 10;
                self.rows.retain(|_, row| {
                    let goes = going > 0 && row.last <= newest_gone;
                    going -= usize::from(goes);
                    !goes
                });
            }
            self.of.clear();
            for place in self.rows.keys() {
                *self.of.entry(place.tenant).or_default() += 1;
            }
        }
        !full(self)
    }
}

#[cfg(test)]
mod tests {
    use mainstay_domain::PersonId;
    use uuid::Uuid;

    use super::super::key::Key;
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn rule(number: u128) -> Rule {
        let subject = Subject::Person(tenant(1), PersonId(Uuid::from_u128(number)));
        Rule { key: Key::new(subject, Class::Other), name: "user", limit: 60 }
    }

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_millis(number * 60_000)
    }

    #[test]
    fn refusals_are_counted_for_an_hour_and_seen_by_their_own_organisation() {
        let refusals = Refusals::default();
        for at in [0, 1, 30, 59] {
            refusals.add(tenant(1), &rule(1), Class::Other, "GET /v1/me", minute(at));
        }
        refusals.add(tenant(1), &rule(1), Class::Other, "GET /v1/members", minute(58));
        refusals.add(tenant(2), &rule(1), Class::Other, "GET /v1/me", minute(59));
        let counts = |now| -> Vec<_> {
            refusals.of(tenant(1), minute(now), 100).into_iter().map(|one| (one.route, one.count)).collect()
        };
        assert_eq!(counts(59), [("GET /v1/me".to_owned(), 4), ("GET /v1/members".to_owned(), 1)]);
        assert_eq!(counts(61), [("GET /v1/me".to_owned(), 2), ("GET /v1/members".to_owned(), 1)]);
        assert_eq!(counts(118), [("GET /v1/me".to_owned(), 1)]);
        assert_eq!(counts(119), []);
        assert_eq!(refusals.of(tenant(3), minute(59), 100), []);
    }

    #[test]
    fn rows_are_bounded_for_one_organisation_and_for_all() {
        let refusals = Refusals::default();
        for number in 0..1_000 {
            refusals.add(tenant(1), &rule(number), Class::Other, "GET /v1/me", minute(0));
        }
        assert_eq!(refusals.of(tenant(1), minute(0), 10_000).len(), MOST_OF_ONE);
        for number in 0..20_000 {
            refusals.add(tenant(number), &rule(1), Class::Other, "GET /v1/me", minute(1));
        }
        assert!(refusals.0.lock().expect("no panic").rows.len() <= MOST);
        assert_eq!(refusals.of(tenant(19_999), minute(1), 100).len(), 1);
        // An hour later there is room again.
        refusals.add(tenant(1), &rule(5_000), Class::Other, "GET /v1/me", minute(100));
        assert_eq!(refusals.of(tenant(1), minute(100), 10_000).len(), 1);
        assert_eq!(refusals.of(tenant(19_999), minute(100), 100), []);
    }
}
