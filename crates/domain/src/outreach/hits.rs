//! What was done with an email, as far as it is kept: its image and each of its links, by people and by machines.
//!
//! However often they are asked for, an email has two rows for each of them at most. What is told of the email (when it was
//! first opened, and so on) follows from these rows and from nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::tracking::{Hit, HitKind, HitMethod, LinksFollowed, MachineReason, Visitor};
use crate::account::{UnknownWord, words};
use crate::clock::Timestamp;

/// The image of an email, where its links have numbers from 1.
pub const IMAGE: u16 = 0;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// [`IMAGE`], or which link. Equal links are one.
    pub link: u16,
    /// How many links the email has.
    pub links: u16,
    /// With which method.
    pub method: HitMethod,
    /// What the program calls itself; empty when it does not say.
    pub user_agent: String,
    /// Whether the program asks ahead of the person.
    pub prefetch: bool,
    /// Whether it comes from an address of a range that the operator has named as one of machines.
    pub from_machine_range: bool,
    /// When.
    pub at: Timestamp,
}

/// Of whom a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VisitorKind {
    /// Of people, as far as anybody can tell.
    Human,
    /// Of machines.
    Machine,
}

words!(VisitorKind { Human = "human", Machine = "machine" });

/// What was done with the image or a link, by people or by machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HitRow {
    /// [`IMAGE`], or which link.
    pub link: u16,
    /// By whom.
    pub visitor: VisitorKind,
    /// Why the last one was taken for a machine.
    pub reason: Option<MachineReason>,
    /// How often.
    pub hits: u32,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
}

impl HitRow {
    fn key(&self) -> (u16, VisitorKind) {
        (self.link, self.visitor)
    }
}

/// When something first became of an email.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitMarks {
    /// Somebody has opened it. Whoever follows a link has.
    pub opened_at: Option<Timestamp>,
    /// A machine has fetched its image.
    pub machine_opened_at: Option<Timestamp>,
    /// Somebody has followed a link.
    pub clicked_at: Option<Timestamp>,
    /// A machine has.
    pub machine_clicked_at: Option<Timestamp>,
}

/// What follows from something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whose it is.
    pub visitor: Visitor,
    /// The rows that are new or have changed.
    pub put: Vec<HitRow>,
    /// The rows that are no more: they turned out to be a machine's.
    pub removed: Vec<(u16, VisitorKind)>,
}

/// All that is kept of an email.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailHits(BTreeMap<(u16, VisitorKind), HitRow>);

impl FromIterator<HitRow> for EmailHits {
    fn from_iter<I: IntoIterator<Item = HitRow>>(rows: I) -> Self {
        Self(rows.into_iter().map(|row| (row.key(), row)).collect())
    }
}

impl EmailHits {
    /// Notes what was asked for, so long after the recipient's server took the email.
    pub fn note(&mut self, asked: &Asked, after_delivery: Option<Duration>) -> Noted {
        let hit = Hit {
            kind: if asked.link == IMAGE { HitKind::Open } else { HitKind::Click },
            method: asked.method,
            user_agent: &asked.user_agent,
            after_delivery,
            links: self.followed(asked),
            hidden_link: false,
            from_machine_range: asked.from_machine_range,
            prefetch: asked.prefetch,
        };
        let visitor = hit.visitor();
        let (kind, reason) = match visitor {
            Visitor::Human => (VisitorKind::Human, None),
            Visitor::Machine(reason) => (VisitorKind::Machine, Some(reason)),
        };
        let mut changed = BTreeSet::new();
        let (link, at) = (asked.link, asked.at);
        self.add(HitRow { link, visitor: kind, reason, hits: 1, first_at: at, last_at: at }, &mut changed);
        let removed = match reason {
            Some(MachineReason::AllLinks) => self.condemn(at, &mut changed),
            _ => Vec::new(),
        };
        let put = changed.iter().filter_map(|key| self.0.get(key).cloned()).collect();
        Noted { visitor, put, removed }
    }

    /// When something first became of the email.
    #[must_use]
    pub fn marks(&self) -> HitMarks {
        let first = |kind: VisitorKind, wanted: fn(u16) -> bool| {
            self.0.values().filter(|row| row.visitor == kind && wanted(row.link)).map(|row| row.first_at).min()
        };
        HitMarks {
            opened_at: first(VisitorKind::Human, |_| true),
            machine_opened_at: first(VisitorKind::Machine, |link| link == IMAGE),
            clicked_at: first(VisitorKind::Human, |link| link != IMAGE),
            machine_clicked_at: first(VisitorKind::Machine, |link| link != IMAGE),
        }
    }

    /// How many links were followed just now, with this one.
    fn followed(&self, asked: &Asked) -> LinksFollowed {
        let recent = self.0.values().filter(|row| row.link != IMAGE && asked.at.since(row.last_at) <= Hit::TOGETHER);
        let mut followed: BTreeSet<u16> = recent.map(|row| row.link).collect();
        if asked.link != IMAGE {
            followed.insert(asked.link);
        }
        LinksFollowed { followed: u32::try_from(followed.len()).unwrap_or(u32::MAX), all: u32::from(asked.links) }
    }

    fn add(&mut self, new: HitRow, changed: &mut BTreeSet<(u16, VisitorKind)>) {
        let key = new.key();
        changed.insert(key);
        match self.0.get_mut(&key) {
            None => {
                self.0.insert(key, new);
            }
            Some(row) => {
                row.hits = row.hits.saturating_add(new.hits);
                row.first_at = row.first_at.min(new.first_at);
                row.last_at = row.last_at.max(new.last_at);
                row.reason = new.reason.or(row.reason);
            }
        }
    }

    /// Whoever follows all links within seconds has followed those before as a machine too: what people seemed to have
    /// followed first within these seconds was the machine.
    fn condemn(&mut self, at: Timestamp, changed: &mut BTreeSet<(u16, VisitorKind)>) -> Vec<(u16, VisitorKind)> {
        let seemed = |row: &&HitRow| {
            row.visitor == VisitorKind::Human && row.link != IMAGE && at.since(row.first_at) <= Hit::TOGETHER
        };
        let keys: Vec<_> = self.0.values().filter(seemed).map(HitRow::key).collect();
        for key in &keys {
            if let Some(row) = self.0.remove(key) {
                changed.remove(key);
                let reason = Some(MachineReason::AllLinks);
                self.add(HitRow { visitor: VisitorKind::Machine, reason, ..row }, changed);
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests;
