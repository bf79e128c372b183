//! Which variant of a step a lead gets, and what a mail is called.
//!
//! As with flags, the choice is a digest of who chooses for whom, so that it is the same on every node and at every time and
//! needs no row. There, variants share one line, and one more moves everybody behind it; an experiment is never changed
//! while it runs, so that does no harm. Variants of a step are added to and taken out of running campaigns. So here each
//! variant draws a number of its own for a lead, and the best wins ("rendezvous hashing", with the weights as Schindelhauer
//! and Schomaker give them: "Weighted Distributed Hash Tables", SPAA 2005). When one is added or gets more weight, leads
//! move to it and between no others; when one is taken out or gets less, only its own leads move. No choice can move fewer.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::text::Refused;

/// The highest weight of a variant.
const HIGHEST_WEIGHT: u16 = 10_000;
/// How many binary digits of a logarithm are reckoned behind the point.
const DIGITS: u32 = 40;

/// A way of writing a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepVariant<'a> {
    /// What it is called in its step: `a`. The choice goes by it, so it stays when the text is changed.
    pub name: &'a str,
    /// How many leads get it, in proportion to the weights of all; 0 for nobody.
    pub weight: u16,
}

impl StepVariant<'_> {
    /// The highest weight.
    pub const HIGHEST_WEIGHT: u16 = HIGHEST_WEIGHT;
}

/// The place of the variant that a lead gets; nothing when all weights are 0.
///
/// It depends on no other step: who gets the one variant here is no likelier than others to get one there.
#[must_use]
pub fn variant(campaign: Uuid, step: u16, lead: Uuid, variants: &[StepVariant<'_>]) -> Option<usize> {
    let mut best: Option<(u64, u16, usize)> = None;
    for (place, one) in variants.iter().enumerate().filter(|(_, one)| one.weight > 0) {
        let drawn = cost(draw(campaign, step, lead, one.name));
        // The least cost for each weight. Cross-multiplied, so that there is no rounding to differ about.
        let less = best.is_none_or(|(cost, weight, _)| {
            u128::from(drawn) * u128::from(weight) < u128::from(cost) * u128::from(one.weight)
        });
        if less {
            best = Some((drawn, one.weight, place));
        }
    }
    best.map(|(_, _, place)| place)
}

/// The number that a variant draws for a lead: the first eight bytes of a SHA-256.
fn draw(campaign: Uuid, step: u16, lead: Uuid, name: &str) -> u64 {
    let mut digest = Sha256::new();
    digest.update(b"step-variant:");
    digest.update(campaign.as_bytes());
    digest.update(step.to_be_bytes());
    digest.update(lead.as_bytes());
    digest.update(name.as_bytes());
    digest.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The negative logarithm, to the base 2, of a drawn number as a part of all: with equal chances for each number it is
/// distributed exponentially, and the least of several that are divided by weights is each one's with its weight's chance.
/// It is reckoned in whole numbers, digit by digit, since libraries differ in the last digit of a logarithm.
fn cost(drawn: u64) -> u64 {
    let drawn = drawn.max(1);
    let whole = drawn.ilog2();
    // From 1 up to, and without, 2, with 63 digits behind the point.
    let mut mantissa = u128::from(drawn) << (63 - whole);
    let mut fraction = 0_u64;
    for _ in 0..DIGITS {
        mantissa = (mantissa * mantissa) >> 63;
        fraction <<= 1;
        if mantissa >> 64 > 0 {
            mantissa >>= 1;
            fraction |= 1;
        }
    }
    (64_u64 << DIGITS) - ((u64::from(whole) << DIGITS) | fraction)
}

/// What a mail is called in its header, without the angle brackets: its id before the domain that it is sent from. It is
/// known before the mail is made, is the same however often it is tried, and leads back from an answer to the mail.
///
/// # Errors
/// When the domain cannot stand in a header: others than ASCII are written in their ASCII form (`xn--`).
pub fn message_id(email: Uuid, domain: &str) -> Result<String, Refused> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() > 253 || !domain.contains('.') || !domain.split('.').all(label) {
        let detail = "Write the domain that mail is sent from in letters, digits and -, such as mail.example.com; one in \
                      another script in its ASCII form, which begins with xn--.";
        return Err(Refused { code: "invalid_domain", detail: detail.to_owned() });
    }
    Ok(format!("{}@{}", email.simple(), domain.to_ascii_lowercase()))
}

/// The id of the mail that a name stands for, with or without the angle brackets; nothing when it is none of ours.
#[must_use]
pub fn email_of(message_id: &str) -> Option<Uuid> {
    let name = message_id.trim();
    let name = name.strip_prefix('<').and_then(|name| name.strip_suffix('>')).unwrap_or(name);
    let (id, domain) = name.split_once('@')?;
    let ours = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && !domain.is_empty();
    if ours { Uuid::try_parse(id).ok() } else { None }
}

#[cfg(test)]
mod tests;
