//! What receivers are to do with mail that nobody speaks for (DMARC, RFC 7489).
//!
//! A domain without a policy falls under that of its organisation. RFC 7489 finds the organisation by a list of public
//! suffixes; RFC 9989 does without one and walks up the names, and so does this: from the domain to its parents, at most
//! eight names, and the shortest one that has a policy is the organisation, unless a policy says otherwise (`psd=`). Two
//! differences are known. The walk ends at names of two labels, so that what a registry publishes for its whole top-level
//! domain does not count. And under a suffix of two labels whose registry has a policy without saying what it is, the suffix is
//! taken for the organisation.

mod record;

use super::{CanPass, Finding, Names, Sender, Severity};
use crate::dns::{Name, Resolver, Trouble};
use record::{Record, Request, Suffix};

/// The most names that are asked (RFC 9989, 4.10).
const MOST_NAMES: usize = 8;
/// The fewest labels of a name that can be an organisation.
const FEWEST_LABELS: usize = 2;
/// The policy that asks for nothing, which is enough for receivers, to begin with.
const PROPOSAL: &str = "v=DMARC1; p=none";

/// The policy that a domain falls under.
pub(super) struct Policy {
    /// The shortest name whose mail may speak for the domain.
    organisation: Name,
    request: Request,
    strict_dkim: bool,
    strict_spf: bool,
}

/// What a name has.
enum Level {
    Nothing,
    One(Record),
    /// What does not count, with its code and why.
    Bad(&'static str, String),
}

/// The findings, and the policy where there is one that counts.
pub(super) async fn check(resolver: &Resolver, domain: &Name) -> (Vec<Finding>, Option<Policy>) {
    let (mut organisation, mut before) = (domain.clone(), domain.clone());
    let mut found: Option<(Name, Record)> = None;
    let mut bad: Option<Finding> = None;
    for name in names(domain) {
        let own = name == *domain;
        let level = match level(resolver, &name).await {
            Ok(level) => level,
            // With a policy in hand it is only not known whether a shorter name has one, too.
            Err(_) if found.is_some() => break,
            Err((at, trouble)) => return (vec![bad.unwrap_or_else(|| Finding::unanswered(&at, &trouble))], None),
        };
        match level {
            Level::Nothing => {}
            Level::Bad(code, why) => bad = bad.or_else(|| Some(at_fault(code, &name, &why))),
            // This is a registry, and the organisation is what stands right below it.
            Level::One(record) if record.suffix == Suffix::Yes && !own => {
                organisation = before;
                break;
            }
            Level::One(record) => {
                let last = record.suffix != Suffix::Unsaid;
                organisation = name.clone();
                if found.as_ref().is_none_or(|(at, _)| at != domain) {
                    found = Some((name.clone(), record));
                }
                if last {
                    break;
                }
            }
        }
        before = name;
    }
    let own_is_bad = bad.as_ref().is_some_and(|finding| finding.name == domain.to_string());
    let Some((at, record)) = found else { return (vec![bad.unwrap_or_else(|| missing(domain))], None) };
    let request = if at == *domain { record.request } else { record.below };
    let policy = Policy { organisation, request, strict_dkim: record.strict_dkim, strict_spf: record.strict_spf };
    // A bad record of a parent changes nothing where another one counts.
    (bad.filter(|_| own_is_bad).into_iter().collect(), Some(policy))
}

/// The domain and its parents, as far as they are asked.
fn names(domain: &Name) -> Vec<Name> {
    let mut names = vec![domain.clone()];
    let mut name = domain.clone();
    while let Some(parent) = name.parent().filter(|parent| parent.labels().count() >= FEWEST_LABELS) {
        if parent.labels().count() < MOST_NAMES {
            names.push(parent.clone());
        }
        name = parent;
    }
    names
}

async fn level(resolver: &Resolver, name: &Name) -> Result<Level, (Name, Trouble)> {
    let Some(at) = name.below("_dmarc") else { return Ok(Level::Nothing) };
    let texts = resolver.texts(&at).await.map_err(|trouble| (at, trouble))?;
    let texts: Vec<String> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let records: Vec<&String> = texts.iter().filter(|text| record::is_one(text)).collect();
    Ok(match records.as_slice() {
        [record] => Record::read(record).map_or_else(|why| Level::Bad("dmarc_invalid", why), Level::One),
        [] => match texts.iter().find(|text| text.to_ascii_lowercase().contains("dmarc")) {
            Some(near) => {
                let why = format!("\"{}\" does not begin with v=DMARC1 and a semicolon", crate::tags::shown(near));
                Level::Bad("dmarc_invalid", why)
            }
            None => Level::Nothing,
        },
        several => Level::Bad("dmarc_several", format!("there are {} of them where one belongs", several.len())),
    })
}

fn proposed(finding: Finding, domain: &Name) -> Finding {
    finding.publish(format!("_dmarc.{domain}"), "TXT", PROPOSAL)
}

fn missing(domain: &Name) -> Finding {
    let detail = format!(
        "{domain} has no policy of DMARC, which large receivers ask for of senders of some 5,000 emails a day. One that asks \
         for nothing is enough; with rua=mailto: and an address of yours at its end, receivers report to it."
    );
    proposed(Finding::new("dmarc_missing", Severity::Warns, domain, detail), domain)
}

fn at_fault(code: &'static str, domain: &Name, why: &str) -> Finding {
    let detail = format!(
        "The policy of DMARC of {domain} does not count: {why}. Let there be one record that is right; a record to begin with \
         follows."
    );
    proposed(Finding::new(code, Severity::Warns, domain, detail), domain)
}

impl Policy {
    /// Whether neither SPF nor DKIM is for the domain of the address, though one of them may pass.
    pub(super) fn unaligned(&self, names: &Names, sender: &Sender<'_>, spf: CanPass, dkim: CanPass) -> Option<Finding> {
        let domain = names.domain.as_ref()?;
        // Worse is told already.
        if spf == CanPass::No && dkim == CanPass::No {
            return None;
        }
        let speaks = |name: &Option<Name>, strict: bool| {
            name.as_ref().is_some_and(|name| if strict { name == domain } else { name.is_within(&self.organisation) })
        };
        let by_spf = spf != CanPass::No && speaks(&names.envelope, self.strict_spf);
        // Whoever signs in place of the account may sign for the domain.
        let by_dkim = sender.dkim.is_none() || (dkim != CanPass::No && speaks(&names.dkim, self.strict_dkim));
        if by_spf || by_dkim {
            return None;
        }
        let detail = format!(
            "Neither SPF nor DKIM can pass for {domain} itself, which its policy of DMARC ({}) asks for. Let the account sign \
             with a key of {domain} that is in the DNS, or let bounces go to {domain} and name its servers in SPF.",
            self.request.as_str()
        );
        let mut finding = Finding::new("dmarc_not_aligned", Severity::Warns, domain, detail);
        if self.request != Request::None {
            finding.block("Receivers are told to put this mail aside or to refuse it.");
        }
        Some(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_goes_up_and_leaves_the_middle_of_long_names_out() {
        let names = |text: &str| -> Vec<String> {
            names(&Name::parse(text).unwrap()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(names("a.b.example.com"), ["a.b.example.com", "b.example.com", "example.com"]);
        assert_eq!(names("example.com"), ["example.com"]);
        assert_eq!(names("localhost"), ["localhost"]);
        let long = names("1.2.3.4.5.6.7.8.9.10.example.com");
        assert_eq!(long.len(), 7);
        assert_eq!(long[1], "6.7.8.9.10.example.com");
    }
}
