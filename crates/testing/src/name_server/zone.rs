//! What the name server has, what goes wrong with it, and what it was asked.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{NameFault, Rule};
use super::wire::{Query, Reply, encode_data};
use crate::{Failure, Result};

/// How many aliases are followed for one answer.
const MOST_ALIASES: usize = 16;
/// NXDOMAIN.
const NO_SUCH_NAME: u8 = 3;
/// FORMERR.
const BAD_FORMAT: u8 = 1;

/// A type of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// An address of version 4.
    A,
    /// An address of version 6.
    Aaaa,
    /// The name that this one is an alias of.
    Cname,
    /// A server that takes mail: a preference and a name.
    Mx,
    /// A text.
    Txt,
}

impl RecordType {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Cname => 5,
            Self::Mx => 15,
            Self::Txt => 16,
            Self::Aaaa => 28,
        }
    }
}

/// A question that the server was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name, in small letters.
    pub name: String,
    /// The number of the type.
    pub kind: u16,
    /// Whether it came by TCP.
    pub by_tcp: bool,
    /// Whether it came with EDNS.
    pub extended: bool,
}

#[derive(Default)]
pub(super) struct Zone(Mutex<Books>);

#[derive(Default)]
struct Books {
    /// The data of the records of a name and a type.
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
    /// The names that aliases stand for.
    aliases: HashMap<String, String>,
    faults: Vec<Rule>,
    asked: Vec<Asked>,
}

impl Zone {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, name: &str, kind: RecordType, values: &[&str]) -> Result<()> {
        let name = name.to_lowercase();
        let data = values.iter().map(|value| {
            encode_data(kind, value).ok_or_else(|| Failure(format!("{value:?} is no value of a record {kind:?}")))
        });
        let data = data.collect::<Result<Vec<_>>>()?;
        let mut books = self.books();
        if kind == RecordType::Cname {
            match values.first() {
                Some(target) => books.aliases.insert(name.clone(), target.to_lowercase()),
                None => books.aliases.remove(&name),
            };
        }
        if data.is_empty() {
            books.records.remove(&(name, kind.number()));
        } else {
            books.records.insert((name, kind.number()), data);
        }
        Ok(())
    }

    pub(super) fn add_fault(&self, name: &str, fault: NameFault, times: Option<u32>) {
        self.books().faults.push(Rule { name: name.to_lowercase(), fault, times });
    }

    pub(super) fn clear_faults(&self) {
        self.books().faults.clear();
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.books().asked.clone()
    }

    /// The messages that answer one, in order. None for what is no question.
    pub(super) fn answers(&self, bytes: &[u8], by_tcp: bool) -> Vec<Vec<u8>> {
        let Some(query) = Query::read(bytes) else { return Vec::new() };
        let mut books = self.books();
        let asked = Asked { name: query.name.clone(), kind: query.kind, by_tcp, extended: query.extended };
        books.asked.push(asked);
        let fault = books.faults.iter_mut().find_map(|rule| rule.acts(&query.name).then(|| rule.fault.clone()));
        let other_id = [query.id[0], query.id[1] ^ 1];
        let mut reply = books.reply(&query);
        match fault {
            Some(NameFault::AliasOnly) => reply.records.truncate(1),
            Some(NameFault::Silence) => return Vec::new(),
            Some(NameFault::Code(code)) => reply = Reply { code, ..Reply::to(&query) },
            Some(NameFault::NoExtensions) if query.extended => {
                reply = Reply { code: BAD_FORMAT, ..Reply::to(&query) };
            }
            Some(NameFault::Truncated) if !by_tcp => reply = Reply { truncated: true, ..Reply::to(&query) },
            Some(NameFault::TruncatedAlways) => reply = Reply { truncated: true, ..Reply::to(&query) },
            Some(NameFault::WrongId) => reply.id = other_id,
            Some(NameFault::OtherQuestion) => return vec![reply.write_for_other()],
            Some(NameFault::Forged) if !by_tcp => {
                let whole = reply.write();
                let empty = Reply { id: other_id, ..Reply::to(&query) };
                return vec![empty.write(), Reply::to(&query).write_for_other(), whole];
            }
            Some(NameFault::Garbage(bytes)) => return vec![[query.id.as_slice(), &bytes].concat()],
            Some(NameFault::Referral) => reply = Reply { recursive: false, ..Reply::to(&query) },
            _ => {}
        }
        let whole = reply.write();
        if !by_tcp && whole.len() > query.size {
            return vec![Reply { truncated: true, ..Reply::to(&query) }.write()];
        }
        vec![whole]
    }
}

impl Books {
    /// The usual answer: the aliases on the way, and the records at their end.
    fn reply<'a>(&self, query: &'a Query) -> Reply<'a> {
        let mut reply = Reply::to(query);
        let mut name = query.name.clone();
        let mut seen = Vec::new();
        while seen.len() < MOST_ALIASES && !seen.contains(&name) {
            if let Some(found) = self.records.get(&(name.clone(), query.kind)) {
                reply.records.extend(found.iter().map(|data| (name.clone(), query.kind, data.clone())));
                return reply;
            }
            let cname = RecordType::Cname.number();
            let alias = self.records.get(&(name.clone(), cname)).and_then(|data| data.first());
            let (Some(data), Some(target)) = (alias, self.aliases.get(&name)) else { break };
            reply.records.push((name.clone(), cname, data.clone()));
            seen.push(std::mem::replace(&mut name, target.clone()));
        }
        if !self.exists(&name) {
            reply.code = NO_SUCH_NAME;
        }
        reply
    }

    /// Whether a name has any record, or a name below it has.
    fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        self.records.keys().any(|(owner, _)| owner == name || owner.ends_with(&below))
    }
}
