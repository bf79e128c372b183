//! What the DNS says about a domain that mail is sent from: SPF (RFC 7208), the key of DKIM (RFC 6376, RFC 8463), DMARC
//! (RFC 7489, with the walk up the names of RFC 9989), whether answers can come back, and whether links lead anywhere.
//!
//! [`check`] gives [`Finding`]s: each has a stable code, says how bad it is, and tells the cure with the record to publish.
//! An empty list means that nothing was found, not that every receiver will be pleased: through which addresses a provider
//! sends is not known here, so SPF is judged as a record and not for an address.
//!
//! How bad a finding is follows what Gmail, Yahoo and Microsoft ask of senders. They refuse mail that neither SPF nor DKIM
//! speaks for, whatever its amount. Of senders of some 5,000 a day they want both, and DMARC, and that one of the two is for
//! the domain of `From`; below that, the lack of it costs places in the inbox.
//!
//! | code | severity | what it means |
//! |---|---|---|
//! | `domain_invalid` | blocks | a name that was given is none |
//! | `dns_unanswered` | warns | nobody could say what a name has, which is not that it has nothing |
//! | `dns_alias_loop` | as the record missing | the aliases of a name lead round in a circle |
//! | `spf_missing`, `spf_several`, `spf_invalid`, `spf_too_many_lookups` | warns; blocks where DKIM fails, too | SPF cannot pass |
//! | `spf_permits_all` | warns | anybody may send in the name of the domain |
//! | `dkim_missing`, `dkim_several`, `dkim_invalid`, `dkim_key_revoked`, `dkim_key_differs`, `dkim_testing` | warns; blocks where SPF fails, too | DKIM cannot pass |
//! | `dkim_key_short` | warns; below 1024 bits as `dkim_invalid` | an RSA key of fewer than 2048 bits |
//! | `dkim_key_not_widely_read` | warns | an Ed25519 key and no other: many receivers read RSA alone |
//! | `dkim_unknown` | informs | the account has no key, so that the provider signs, or nobody |
//! | `dmarc_missing`, `dmarc_several`, `dmarc_invalid` | warns | no policy counts |
//! | `dmarc_not_aligned` | warns; blocks where the policy is to quarantine or reject | neither SPF nor DKIM is for the domain of `From` |
//! | `mx_missing`, `mx_null`, `mx_unresolvable` | warns; blocks where bounces go and no server can be found at all | nothing can come back |
//! | `tracking_domain_missing` | blocks | the links in the mail, that for unsubscribing too, lead nowhere |

mod dkim;
mod dmarc;
mod finding;
mod reach;
mod spf;

use std::time::Duration;

use tokio::time::timeout;

use crate::dkim::PublicKey;
use crate::dns::{Name, Resolver, Trouble};
pub use finding::{Finding, Publish, Severity};

/// The longest that one part of the check may take: SPF can ask for twenty names in turn.
const LONGEST: Duration = Duration::from_secs(30);

/// The key of DKIM that mail is signed with.
#[derive(Clone, Copy, Debug)]
pub struct DkimKey<'a> {
    /// The name of the key within the domain (`s=`).
    pub selector: &'a str,
    /// The domain that signs (`d=`).
    pub domain: &'a str,
    /// What our private key is verified with. `None` for a key that the provider has, of which the name alone is known.
    pub public_key: Option<&'a PublicKey>,
}

/// Who sends, and how.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The domain of the address in `From`. Domains may be in other letters than ASCII.
    pub domain: &'a str,
    /// The domain of the sender in the envelope (`MAIL FROM`), where bounces go and for which SPF speaks.
    pub envelope_domain: &'a str,
    /// The key that signs. `None` where the account has none and the provider signs, or nobody.
    pub dkim: Option<DkimKey<'a>>,
    /// The host of the links in the mail.
    pub tracking_domain: Option<&'a str>,
    /// The host that the tracking domain should be an alias of, for the record to publish.
    pub tracking_target: Option<&'a str>,
    /// The host of the server that mail is handed to, for the record to publish.
    pub sends_through: Option<&'a str>,
}

/// Whether SPF or DKIM can pass, as far as it can be known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CanPass {
    Yes,
    No,
    Unknown,
}

/// What a part of the check found.
struct Part {
    findings: Vec<Finding>,
    can_pass: CanPass,
}

impl Part {
    fn of(can_pass: CanPass, finding: Finding) -> Self {
        Self { findings: vec![finding], can_pass }
    }

    /// That nobody could say what a name has. A circle of aliases has no record in it, whoever asks.
    fn unanswered(name: &Name, trouble: &Trouble) -> Self {
        let can_pass = if *trouble == Trouble::AliasLoop { CanPass::No } else { CanPass::Unknown };
        Self::of(can_pass, Finding::unanswered(name, trouble))
    }
}

/// The names of a sender, read. One that is none is missing.
struct Names {
    domain: Option<Name>,
    envelope: Option<Name>,
    dkim: Option<Name>,
    tracking: Option<Name>,
}

impl Names {
    fn read(sender: &Sender<'_>, findings: &mut Vec<Finding>) -> Self {
        let mut read = |text: &str, what: &str| {
            let name = Name::parse(text);
            if name.is_none() {
                let why = format!("\"{}\", {what}, is no name of a domain; correct it.", crate::tags::shown(text));
                findings.push(Finding::new("domain_invalid", Severity::Blocks, text, why));
            }
            name
        };
        Self {
            domain: read(sender.domain, "the domain of the sender's address"),
            envelope: read(sender.envelope_domain, "the domain that bounces go to"),
            dkim: sender.dkim.and_then(|key| read(key.domain, "the domain of the key for DKIM")),
            tracking: sender.tracking_domain.and_then(|domain| read(domain, "the domain of the links")),
        }
    }
}

/// Asks the DNS about a sender. It takes at most half a minute, the parts of it at once.
///
/// The findings stand in the order SPF, DKIM, DMARC, MX, tracking domain. It has no errors of its own: what cannot be found
/// out is a finding.
pub async fn check(resolver: &Resolver, sender: &Sender<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names = Names::read(sender, &mut findings);
    let of_spf = async {
        let Some(domain) = &names.envelope else { return unknown() };
        within(domain, spf::check(resolver, domain, sender.sends_through)).await.unwrap_or_else(unheard)
    };
    let of_dkim = async {
        let Some(key) = sender.dkim else { return dkim::unknown(sender.domain) };
        let Some(domain) = &names.dkim else { return unknown() };
        within(domain, dkim::check(resolver, domain, &key)).await.unwrap_or_else(unheard)
    };
    let of_dmarc = async {
        let domain = names.domain.as_ref()?;
        Some(within(domain, dmarc::check(resolver, domain)).await.unwrap_or_else(|finding| (vec![finding], None)))
    };
    let of_mail = async {
        let (Some(domain), Some(envelope)) = (&names.domain, &names.envelope) else { return Vec::new() };
        within(domain, reach::mail(resolver, domain, envelope)).await.unwrap_or_else(|finding| vec![finding])
    };
    let of_links = async {
        let Some(domain) = &names.tracking else { return Vec::new() };
        let links = reach::links(resolver, domain, sender.tracking_target);
        within(domain, links).await.unwrap_or_else(|finding| vec![finding])
    };
    let (mut spf, mut dkim, dmarc, mail, links) = tokio::join!(of_spf, of_dkim, of_dmarc, of_mail, of_links);
    let (of_dmarc, policy) = dmarc.unwrap_or_default();
    if spf.can_pass == CanPass::No && dkim.can_pass == CanPass::No {
        for finding in spf.findings.iter_mut().chain(&mut dkim.findings) {
            finding.block("Neither SPF nor DKIM can pass for this mail, and large receivers refuse such mail.");
        }
    }
    let unaligned = policy.and_then(|policy| policy.unaligned(&names, sender, spf.can_pass, dkim.can_pass));
    for part in [spf.findings, dkim.findings, of_dmarc, unaligned.into_iter().collect(), mail, links] {
        findings.extend(part);
    }
    findings
}

/// What a part gives in its time, or that it did not.
async fn within<T>(name: &Name, part: impl Future<Output = T>) -> Result<T, Finding> {
    timeout(LONGEST, part).await.map_err(|_| Finding::unanswered(name, &Trouble::TimedOut))
}

fn unknown() -> Part {
    Part { findings: Vec::new(), can_pass: CanPass::Unknown }
}

fn unheard(finding: Finding) -> Part {
    Part::of(CanPass::Unknown, finding)
}

#[cfg(test)]
mod tests;
