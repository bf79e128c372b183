//! The key that mail is signed with (DKIM): whether receivers find it, and whether it is ours.

use super::{CanPass, DkimKey, Finding, Part, Severity};
use crate::dkim::{KeyRecord, PublicKey};
use crate::dns::{Name, Resolver};

/// The fewest bits of RSA that receivers take (RFC 8301).
const FEWEST_BITS: usize = 1024;
/// The bits of RSA that are advised.
const GOOD_BITS: usize = 2048;

/// What is told where the account has no key of its own.
pub(super) fn unknown(domain: &str) -> Part {
    let detail = format!(
        "The account has no key for DKIM, so that its provider signs, or nobody does, which cannot be seen from here. Send an \
         email to a mailbox of yours and look in its headers for dkim=pass with d={domain}; where it is missing, let the \
         provider sign for {domain}, or give the account a key."
    );
    Part::of(CanPass::Unknown, Finding::new("dkim_unknown", Severity::Informs, domain, detail))
}

pub(super) async fn check(resolver: &Resolver, domain: &Name, key: &DkimKey<'_>) -> Part {
    let Some(name) = domain.below(&format!("{}._domainkey", key.selector)) else {
        let detail = format!("\"{}\" is no name for a key; correct the selector.", crate::tags::shown(key.selector));
        return Part::of(CanPass::No, Finding::new("domain_invalid", Severity::Blocks, key.selector, detail));
    };
    let texts = match resolver.texts(&name).await {
        Ok(texts) => texts,
        Err(trouble) => return Part::unanswered(&name, &trouble),
    };
    let at = At { name: &name, ours: key.public_key };
    let text = match texts.as_slice() {
        [] => {
            let detail = format!("{name} has no key for DKIM, so that receivers cannot verify what is signed with it.");
            return at.fails("dkim_missing", detail);
        }
        [text] => text,
        several => {
            let detail = format!(
                "{name} has {} texts where one key belongs, and it is chance which one a receiver takes. Delete all but the \
                 right one.",
                several.len()
            );
            return at.fails("dkim_several", detail);
        }
    };
    match KeyRecord::read(text) {
        Ok(record) => at.judge(record),
        Err(why) => at.fails("dkim_invalid", format!("The key for DKIM of {name} is not good: {why}.")),
    }
}

/// Where the key is, and which one should be there.
struct At<'a> {
    name: &'a Name,
    ours: Option<&'a PublicKey>,
}

impl At<'_> {
    fn finding(&self, code: &'static str, detail: String) -> Finding {
        let finding = Finding::new(code, Severity::Warns, self.name, detail);
        match self.ours {
            Some(ours) => finding.publish(self.name, "TXT", ours.record()),
            None => {
                Finding { detail: format!("{} Publish the one that your provider gives.", finding.detail), ..finding }
            }
        }
    }

    fn fails(&self, code: &'static str, detail: String) -> Part {
        Part::of(CanPass::No, self.finding(code, detail))
    }

    fn judge(&self, record: KeyRecord) -> Part {
        let name = self.name;
        let Some(key) = record.key else {
            let detail = format!("The key of {name} was taken back: its p= is empty. Whatever it signs fails.");
            return self.fails("dkim_key_revoked", detail);
        };
        if self.ours.is_some_and(|ours| !ours.is_same(&key)) {
            let detail = format!(
                "The key in the DNS at {name} is not the one of this account, so that every signature fails. Publish the right \
                 one, or sign with a selector of its own."
            );
            return self.fails("dkim_key_differs", detail);
        }
        let bits = key.bits().unwrap_or(GOOD_BITS);
        if bits < GOOD_BITS {
            let detail = format!(
                "The key of {name} has {bits} bits. Receivers refuse keys below {FEWEST_BITS} bits, and {GOOD_BITS} are \
                 advised. Make a new one with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{GOOD_BITS}`, and \
                 publish it under a new selector."
            );
            let can_pass = if bits < FEWEST_BITS { CanPass::No } else { CanPass::Yes };
            return Part::of(can_pass, Finding::new("dkim_key_short", Severity::Warns, name, detail));
        }
        if record.testing {
            let detail = format!(
                "The key of {name} says that it is only a test (t=y), so that receivers treat the mail as if it were not \
                 signed. Take t=y out."
            );
            return self.fails("dkim_testing", detail);
        }
        if key.kind() != "rsa" {
            let detail = format!(
                "The key of {name} is of the kind {}, and many receivers read RSA alone: for them the mail is not signed. Sign \
                 with an RSA key of {GOOD_BITS} bits.",
                key.kind()
            );
            let finding = Finding::new("dkim_key_not_widely_read", Severity::Warns, name, detail);
            return Part::of(CanPass::Yes, finding);
        }
        Part { findings: Vec::new(), can_pass: CanPass::Yes }
    }
}
