//! By what a repeat of an event is known.

use mainstay_domain::hexadecimal;
use ring::digest::{Context, SHA256, digest};

/// The longest identity, in bytes.
pub const MOST_IDENTITY_BYTES: usize = 200;

/// The identity that the sender gives, as it is, or its digest when it is no short line.
pub(super) fn given(identity: &str) -> String {
    made(&[identity])
}

/// An identity made of the parts that set an event apart. Where they could be mistaken for others when written side by
/// side, it is their digest.
pub(super) fn made(parts: &[&str]) -> String {
    let plain = |part: &&str| !part.is_empty() && !part.contains(|c: char| c.is_control());
    let apart = parts.len() == 1 || parts.iter().all(|part| !part.contains(':'));
    let joined = parts.join(":");
    if apart && parts.iter().all(plain) && joined.len() <= MOST_IDENTITY_BYTES {
        return joined;
    }
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    format!("sha256:{}", hexadecimal(context.finish().as_ref()))
}

/// The digest of bytes in which nothing sets the event apart: only what is the same to the letter is a repeat.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(digest(&SHA256, bytes).as_ref()))
}
