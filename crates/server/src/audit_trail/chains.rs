//! Whether chains hold: each from its first entry that is kept to its last.

use mainstay_domain::{Error, Kind, Result, TenantId, hexadecimal};
use mainstay_store::{AuditTrail, AuditWalk, BrokenTrail, Call, Digest, ReadAuditLinks, Store};

/// Entries that are read at once.
const PAGE: u32 = 500;

/// What going along a chain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Where it stands; nothing when nothing was ever written.
    pub stands: Option<AuditTrail>,
    /// How many entries were looked at.
    pub entries: u64,
    /// Where it does not hold; nothing when it does.
    pub broken: Option<BrokenTrail>,
}

/// A place in a chain that was noted outside of the database, and must still be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The entry.
    pub position: i64,
    /// Its digest.
    pub digest: Digest,
}

impl Anchor {
    /// Reads `POSITION:DIGEST`, as [`anchor`] writes it.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            let detail = "It is the number of an entry, a colon, and 64 hexadecimal digits.";
            Error::new(Kind::Invalid, "bad_anchor", detail)
        };
        let (position, digits) = text.split_once(':').ok_or_else(bad)?;
        let mut digest = Digest::default();
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(bad());
        }
        for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self { position: position.parse().map_err(|_| bad())?, digest })
    }
}

/// A place in a chain, to be kept elsewhere.
#[must_use]
pub fn anchor(position: i64, digest: &Digest) -> String {
    format!("{position}:{}", hexadecimal(digest))
}

/// Goes along a chain, as long as the call lasts. A chain that grows meanwhile is followed to where it stands in the end.
///
/// # Errors
/// `anchor_missing` when the place that was noted elsewhere is not in it; as the store.
pub async fn walk(store: &Store, call: &Call, tenant: TenantId, noted: Option<Anchor>) -> Result<Walked> {
    let read = async |after| store.run(call, ReadAuditLinks { tenant, after, limit: PAGE }).await;
    let Some((mut stands, _)) = read(i64::MAX).await? else {
        return noted.map_or(Ok(Walked { stands: None, entries: 0, broken: None }), |_| Err(missing()));
    };
    let mut along = AuditWalk::along(&stands);
    let (mut entries, mut met) =
        (0, noted.is_none_or(|noted| (noted.position, noted.digest) == (stands.floor, stands.floor_digest)));
    loop {
        let Some((now, events)) = read(along.position()).await? else { return Err(missing()) };
        if now.floor > along.position() {
            // What was too old has gone meanwhile.
            along = AuditWalk::along(&now);
            continue;
        }
        stands = now;
        met |= noted.is_some_and(|noted| {
            events.iter().any(|event| (event.position, event.digest) == (noted.position, noted.digest))
        });
        entries += events.len() as u64;
        let held = along.over(&events).and_then(|()| if events.is_empty() { along.end(&stands) } else { Ok(()) });
        if let Err(broken) = held {
            return Ok(Walked { stands: Some(stands), entries, broken: Some(broken) });
        }
        if events.is_empty() {
            return if met { Ok(Walked { stands: Some(stands), entries, broken: None }) } else { Err(missing()) };
        }
    }
}

fn missing() -> Error {
    let detail =
        "The entry that was noted is not in the chain: it is older than what is kept, or the chain was written anew.";
    Error::new(Kind::Conflict, "anchor_missing", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read_as_it_is_written() {
        let noted = Anchor { position: 12, digest: [0xab; 32] };
        assert_eq!(Anchor::parse(&anchor(noted.position, &noted.digest)).ok(), Some(noted));
        for bad in ["", "12", "12:ab", "x:00", &format!("1:{}", "g".repeat(64)), &format!("1:{}", "é".repeat(32))] {
            assert_eq!(Anchor::parse(bad).err().map(|error| error.code), Some("bad_anchor"), "{bad}");
        }
    }
}
