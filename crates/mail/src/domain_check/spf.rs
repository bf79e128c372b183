//! Who may send for a domain (SPF, RFC 7208): whether the record is there, is one, is good, and stays within its limits.

mod cure;
mod record;

use super::{CanPass, Finding, Part, Severity};
use crate::dns::{Name, Resolver, Trouble};
use record::{Bad, Mechanism, Record, Target};

/// The most terms that make a receiver ask the DNS (RFC 7208, 4.6.4).
const MOST_LOOKUPS: usize = 10;
/// The most of those that may find nothing.
const MOST_VOIDS: usize = 2;
/// The most servers behind one `mx`.
const MOST_EXCHANGERS: usize = 10;

/// Why a record does not count.
enum Stop {
    /// A limit is passed, which this is.
    TooMany(String),
    /// A record on the way is bad, which makes the whole bad.
    Invalid { at: Name, why: String },
    /// Nobody could say.
    Unanswered(Name, Trouble),
}

pub(super) async fn check(resolver: &Resolver, domain: &Name, sends_through: Option<&str>) -> Part {
    let texts = match resolver.texts(domain).await {
        Ok(texts) => texts,
        Err(trouble) => return Part::unanswered(domain, &trouble),
    };
    let records: Vec<&[u8]> = texts.iter().map(Vec::as_slice).filter(|text| record::is_one(text)).collect();
    let own = match records.as_slice() {
        [] => return missing(domain, &texts, sends_through),
        [own] => String::from_utf8_lossy(own).into_owned(),
        several => {
            let detail = format!(
                "{domain} has {} records of SPF, and receivers then take none of them (RFC 7208, 4.5). Delete all but one, \
                 and let that one name everybody who sends.",
                several.len()
            );
            let finding = Finding::new("spf_several", Severity::Warns, domain, detail);
            return Part::of(CanPass::No, finding.publish(domain, "TXT", cure::merged(several)));
        }
    };
    let mut walk = Walk { resolver, lookups: 0, voids: 0, permits_all: None };
    if let Err(stop) = walk.go(domain, &own).await {
        return stopped(domain, &own, stop);
    }
    let findings = walk.permits_all.map(|at| permits_all(domain, &own, &at)).into_iter().collect();
    Part { findings, can_pass: CanPass::Yes }
}

/// The record, or one that it leads to, allows everybody.
fn permits_all(domain: &Name, own: &str, at: &Name) -> Finding {
    let finding = |detail| Finding::new("spf_permits_all", Severity::Warns, domain, detail);
    if at == domain {
        let what =
            format!("The record of SPF of {domain} allows the whole Internet to send in its name. Let it end in ~all.");
        return finding(what).publish(domain, "TXT", cure::closed(own));
    }
    finding(format!(
        "The record of SPF of {domain} leads to that of {at}, which allows the whole Internet to send. Name the addresses that \
         send for you in place of it, and let the record end in ~all. The record now: {}",
        crate::tags::shown(own)
    ))
}

/// The record does not count, or it is not known whether it does.
fn stopped(domain: &Name, own: &str, stop: Stop) -> Part {
    match stop {
        Stop::TooMany(what) => {
            let detail = format!(
                "The record of SPF of {domain} {what}, and receivers then take it for an error (RFC 7208, 4.6.4). Delete the \
                 include, a, mx, ptr and exists of services that do not send for you any more, and name addresses with ip4 \
                 and ip6 where you know them. The record now: {}",
                crate::tags::shown(own)
            );
            Part::of(CanPass::No, Finding::new("spf_too_many_lookups", Severity::Warns, domain, detail))
        }
        Stop::Invalid { at, why } => {
            let way = if at == *domain { String::new() } else { format!(", which that of {domain} leads to,") };
            let detail = format!(
                "The record of SPF of {at}{way} is not good: {why}. Receivers then take the whole for an error. Correct that \
                 term or delete it."
            );
            Part::of(CanPass::No, Finding::new("spf_invalid", Severity::Warns, at, detail))
        }
        Stop::Unanswered(name, trouble) => Part::unanswered(&name, &trouble),
    }
}

/// None is there, or one that receivers do not know for one.
fn missing(domain: &Name, texts: &[Vec<u8>], sends_through: Option<&str>) -> Part {
    let near = texts.iter().map(|text| String::from_utf8_lossy(text)).find(|text| {
        let start: String = text.trim_start_matches(['"', ' ', '\'']).chars().take(5).collect();
        start.eq_ignore_ascii_case("v=spf") || start.to_ascii_lowercase().starts_with("spf1")
    });
    let value = cure::proposal(sends_through);
    let finding = if let Some(near) = near {
        let detail = format!(
            "The text \"{}\" of {domain} looks like a record of SPF, and receivers do not know it for one: it has to begin \
             with v=spf1 and a space, without quotes. Correct it; a record to begin with follows.",
            crate::tags::shown(&near)
        );
        Finding::new("spf_invalid", Severity::Warns, domain, detail)
    } else {
        let detail = format!(
            "{domain} has no record of SPF, which says who may send in its name. {}",
            cure::advice(sends_through)
        );
        Finding::new("spf_missing", Severity::Warns, domain, detail)
    };
    Part::of(CanPass::No, finding.publish(domain, "TXT", value))
}

/// Goes over a record and those that it leads to, as far as that can be done without the address of a sender.
///
/// All of it is gone over, where a receiver stops at the first term that matches: what is told is the worst case.
struct Walk<'a> {
    resolver: &'a Resolver,
    lookups: usize,
    voids: usize,
    /// Whose record allows everybody.
    permits_all: Option<Name>,
}

impl Walk<'_> {
    async fn go(&mut self, domain: &Name, own: &str) -> Result<(), Stop> {
        // Each with whether what it allows is allowed in the end. Every one but the first was paid for with a lookup, so the
        // list is short, in a circle too.
        let mut waiting = vec![(domain.clone(), own.to_owned(), true)];
        while let Some((domain, text, counts)) = waiting.pop() {
            let record = Record::read(&text).map_err(|bad| invalid(&domain, &bad))?;
            for term in &record.terms {
                if counts && term.passes && term.mechanism.is_everybody() {
                    self.permits_all = Some(domain.clone());
                }
                match &term.mechanism {
                    Mechanism::All => break,
                    Mechanism::Include(target) => {
                        self.look_up()?;
                        if let Target::Name(name) = target {
                            let text = self.record_of(name, &domain, "include").await?;
                            waiting.push((name.clone(), text, counts && term.passes));
                        }
                    }
                    Mechanism::Address(target) => self.address(target, &domain).await?,
                    Mechanism::Exchanger(target) => self.exchanger(target, &domain).await?,
                    Mechanism::Exists(target) => self.address(&Some(target.clone()), &domain).await?,
                    Mechanism::Pointer => self.look_up()?,
                    Mechanism::Network { .. } => {}
                }
            }
            let all = record.terms.iter().any(|term| matches!(term.mechanism, Mechanism::All));
            if let Some(redirect) = record.redirect.filter(|_| !all) {
                self.look_up()?;
                if let Target::Name(name) = redirect {
                    let text = self.record_of(&name, &domain, "redirect").await?;
                    waiting.push((name, text, counts));
                }
            }
        }
        Ok(())
    }

    fn look_up(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > MOST_LOOKUPS {
            return Err(Stop::TooMany(format!("needs more than {MOST_LOOKUPS} questions to the DNS")));
        }
        Ok(())
    }

    fn found(&mut self, anything: bool, name: &Name) -> Result<(), Stop> {
        self.voids += usize::from(!anything);
        if self.voids > MOST_VOIDS {
            let what = format!("names more than {MOST_VOIDS} domains that have nothing, the last one {name}");
            return Err(Stop::TooMany(what));
        }
        Ok(())
    }

    /// The one record of a domain that another one leads to. Without it, the other one is an error (RFC 7208, 5.2, 6.1).
    async fn record_of(&mut self, name: &Name, from: &Name, term: &str) -> Result<String, Stop> {
        let texts = self.resolver.texts(name).await.map_err(|trouble| unanswered(name, trouble))?;
        let mut records = texts.iter().filter(|text| record::is_one(text));
        let why = match (records.next(), records.next()) {
            (Some(record), None) => return Ok(String::from_utf8_lossy(record).into_owned()),
            (Some(_), Some(_)) => "which has several records of SPF",
            (None, _) => "which has no record of SPF",
        };
        Err(Stop::Invalid { at: from.clone(), why: format!("it leads to {name} ({term}), {why}") })
    }

    async fn address(&mut self, target: &Option<Target>, domain: &Name) -> Result<(), Stop> {
        self.look_up()?;
        // A name that is made from the sender's address cannot be looked up without it.
        let Some(name) = Target::name(target, domain) else { return Ok(()) };
        let found = self.resolver.addresses(name).await.map_err(|trouble| unanswered(name, trouble))?;
        self.found(!found.is_empty(), name)
    }

    async fn exchanger(&mut self, target: &Option<Target>, domain: &Name) -> Result<(), Stop> {
        self.look_up()?;
        let Some(name) = Target::name(target, domain) else { return Ok(()) };
        let found = self.resolver.mail_exchangers(name).await.map_err(|trouble| unanswered(name, trouble))?;
        if found.len() > MOST_EXCHANGERS {
            let what = format!("names the servers for mail of {name}, which are more than {MOST_EXCHANGERS}");
            return Err(Stop::TooMany(what));
        }
        self.found(!found.is_empty(), name)
    }
}

fn unanswered(name: &Name, trouble: Trouble) -> Stop {
    Stop::Unanswered(name.clone(), trouble)
}

fn invalid(at: &Name, bad: &Bad) -> Stop {
    Stop::Invalid { at: at.clone(), why: format!("\"{}\" {}", crate::tags::shown(&bad.term), bad.why) }
}
