//! What a refusal means: whether to try again, and whom it concerns.
//!
//! Servers agree on the classes (4xx for now, 5xx for good) and on little else. The enhanced code comes first, then words
//! that large receivers write, then the stage. Where nothing speaks against the recipient, the recipient is not blamed.

use super::{Cause, Enhanced, Refused, Reply, Stage};

/// Whom a refusal concerns, and so what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// The address does not exist or takes no mail: it is suppressed when it is for good.
    Recipient,
    /// The mailbox is full: later.
    Full,
    /// The receiver's rules, or the reputation of the sender: nothing against the address.
    Policy,
    /// The sending account: its credentials, its sender address, a block. It is paused.
    Account,
    /// The sender's rate: slower.
    Rate,
    /// This message: its size, its form, its content.
    Message,
    /// The server or the way to it.
    Server,
}

impl About {
    /// The word for it in figures and books.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Full => "full",
            Self::Policy => "policy",
            Self::Account => "account",
            Self::Rate => "rate",
            Self::Message => "message",
            Self::Server => "server",
        }
    }
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the same could go well later. False: trying the same again is of no use.
    pub later: bool,
    /// Whom it concerns.
    pub about: About,
}

const fn later(about: About) -> Verdict {
    Verdict { later: true, about }
}

const fn never(about: About) -> Verdict {
    Verdict { later: false, about }
}

/// What a refusal means.
#[must_use]
pub fn verdict(refused: &Refused) -> Verdict {
    match &refused.cause {
        Cause::Answer(reply) => of_reply(refused.stage, reply),
        Cause::TooLarge { .. } => never(About::Message),
        // Somebody must change the settings of the account first.
        Cause::Unsuitable(_) => never(About::Account),
        Cause::Cut | Cause::TimedOut | Cause::Garbage(_) | Cause::Tls(_) | Cause::Spent => later(About::Server),
    }
}

/// What an answer means that came at a stage; also one that a bounce quotes.
pub(crate) fn of_reply(stage: Stage, reply: &Reply) -> Verdict {
    let text = reply.text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if stage == Stage::SignIn {
        return if reply.class() == 5 {
            never(About::Account)
        } else if says(TOO_MUCH) {
            later(About::Rate)
        } else {
            later(About::Account)
        };
    }
    if let Some(found) = of_the_sender(stage, reply, &says) {
        return found;
    }
    let full = says(FULL) && reply.enhanced.is_none_or(|code| matches!(code.subject, 0 | 2));
    if reply.enhanced.is_some_and(|code| (code.subject, code.detail) == (2, 2)) || full {
        return later(About::Full);
    }
    if of_the_message(stage, reply, &says) {
        return Verdict { later: reply.class() == 4, about: About::Message };
    }
    if reply.class() == 4 { for_now(reply, &says) } else { for_good(stage, reply, &says) }
}

/// Words of a limit on how much is sent.
const TOO_MUCH: &[&str] = &[
    "too many",
    "too much",
    " rate",
    "too quickly",
    "throttl",
    "limit",
    "try again later",
    "concurrent",
    "unusual",
    "deferred",
];
/// Words of a mailbox without room.
const FULL: &[&str] = &[
    "over quota",
    "overquota",
    "mailbox full",
    "mailbox is full",
    "quota exceeded",
    "storage allocation",
    "exceeded its quota",
    "exceeds allowed message quota",
    "out of storage",
];
/// Words of an address that does not exist, which no server writes about anything else.
const UNKNOWN: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no mailbox here",
    "unknown recipient",
    "recipient unknown",
    "recipient not found",
    "recipientnotfound",
    "user not found",
    "mailbox not found",
    "does not exist",
    "doesn't exist",
    "doesn't have a",
    "invalid recipient",
    "invalid mailbox",
    "unrouteable address",
    "unknown local",
    "address unknown",
    "unknown address",
    "not a valid mailbox",
    "account is disabled",
    "account has been disabled",
    "mailbox is disabled",
    "mailbox disabled",
    "is inactive",
    "no longer available",
    "no longer accepts",
];
/// Words of rules and reputations.
const POLICY: &[&str] = &[
    "spam",
    "block",
    "blacklist",
    "denied",
    "policy",
    "policies",
    "reputation",
    "spf",
    "dkim",
    "dmarc",
    "relay",
    "prohibit",
    "not accepted",
    "listed",
    "not allowed",
    "refused",
    "rejected due to",
    "rcpthosts",
];

/// What concerns the account that sends: its credentials, its right to the address, a block, its allowance.
fn of_the_sender(stage: Stage, reply: &Reply, says: &dyn Fn(&[&str]) -> bool) -> Option<Verdict> {
    let code = reply.enhanced.map_or((0, 0), |code| (code.subject, code.detail));
    let gentle = reply.class() == 4;
    // The allowance of a day comes back by itself, although it is refused with a 5xx.
    if code == (4, 5) && reply.class() == 5
        || says(&["sending quota", "sending limit", "submissionquota", "daily sending", "hourly sending", "daily user"])
    {
        return Some(later(About::Rate));
    }
    let blocked = matches!(code, (7, 501..=503 | 700..=702 | 704..=707 | 709..=750));
    // Of a message, some receivers say 5.7.9 for their policy.
    let rights = matches!(code, (7, 57 | 60 | 139)) || matches!(code, (7, 8 | 9)) && stage <= Stage::Sender;
    let sender = matches!(code, (1, 7 | 8));
    let words = says(&[
        "not authenticated",
        "authentication required",
        "authentication is required",
        "sendasdenied",
        "not owned by",
        "sender address rejected",
        "sender verify failed",
        "bad outbound sender",
    ]);
    if matches!(reply.code, 530 | 534 | 535 | 538) || blocked || rights || sender || words {
        return Some(Verdict { later: gentle, about: About::Account });
    }
    None
}

fn of_the_message(stage: Stage, reply: &Reply, says: &dyn Fn(&[&str]) -> bool) -> bool {
    let code = reply.enhanced.map_or((0, 0), |code| (code.subject, code.detail));
    if code == (3, 4) || code == (2, 3) || code.0 == 6 {
        return true;
    }
    let form = &[
        "rfc 5322",
        "rfc5322",
        "duplicate header",
        "virus",
        "security issue",
        "message size",
        "message too large",
        "too big",
    ];
    says(form) && (stage == Stage::Body || matches!(reply.code, 552 | 523))
}

fn for_now(reply: &Reply, says: &dyn Fn(&[&str]) -> bool) -> Verdict {
    let Some(Enhanced { subject, detail, .. }) = reply.enhanced else {
        return match reply.code {
            _ if says(UNKNOWN) => later(About::Recipient),
            421 if !says(TOO_MUCH) => later(About::Server),
            421 | 450 | 451 => later(About::Rate),
            _ if says(TOO_MUCH) => later(About::Rate),
            _ => later(About::Server),
        };
    };
    match (subject, detail) {
        (1, _) => later(About::Recipient),
        (2, _) | (5, 3) => later(About::Rate),
        // What is not authenticated, has no reverse name, or may not be relayed.
        (7, 23 | 25..=27 | 29..=32 | 40) => later(About::Policy),
        (7, _) if says(&["relay", "not in whitelist", "tls required"]) => later(About::Policy),
        (7, _) => later(About::Rate),
        (3 | 4, _) if says(&["too many", "thread limit", "throttl", "rate limit"]) => later(About::Rate),
        _ => later(About::Server),
    }
}

fn for_good(stage: Stage, reply: &Reply, says: &dyn Fn(&[&str]) -> bool) -> Verdict {
    if matches!(stage, Stage::Greeting | Stage::Hello | Stage::StartTls) {
        return never(if says(POLICY) || reply.code == 554 { About::Policy } else { About::Server });
    }
    if says(UNKNOWN) {
        return never(About::Recipient);
    }
    let generic = || match stage {
        _ if says(POLICY) => About::Policy,
        Stage::Sender => About::Account,
        Stage::Recipient if matches!(reply.code, 550 | 551 | 553) => About::Recipient,
        Stage::Body => About::Policy,
        _ => About::Server,
    };
    let Some(Enhanced { subject, detail, .. }) = reply.enhanced else { return never(generic()) };
    never(match (subject, detail) {
        (1, _) if stage == Stage::Sender => About::Account,
        (1, _) | (2, 1) => About::Recipient,
        (7, _) => About::Policy,
        // No such domain, no way to it; and what a directory at the edge says of an unknown address.
        (4, 4 | 310) => About::Recipient,
        (4, 1) if says(&["recipient address rejected", "no answer from host"]) => About::Recipient,
        (5, 0) if says(&["mailbox unavailable"]) => About::Recipient,
        (0 | 2, _) => generic(),
        _ => About::Server,
    })
}

#[cfg(test)]
mod tests;
