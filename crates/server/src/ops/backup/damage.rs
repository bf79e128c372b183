//! Whether damage would be noticed: the smallest piece of a real backup, in memory, cut, with a bit turned, and taken away.

use super::Fault;
use super::manifest::Manifest;
use super::pieces::unpack;
use super::place::Backups;

/// Damages a copy of a piece in three ways. The answer says what was not refused; it is empty when all is well.
///
/// # Errors
/// When the backup cannot be read, or is damaged already.
pub async fn tells_damage(backups: &Backups, manifest: &Manifest) -> Result<Vec<&'static str>, Fault> {
    let cipher = manifest.cipher(&backups.key)?;
    let pieces = manifest.parts.iter().flat_map(|part| &part.pieces);
    let Some(piece) = pieces.min_by_key(|piece| piece.bytes) else { return Ok(vec!["an empty backup"]) };
    let id = manifest.id.as_str();
    let stored = backups.get(&format!("{id}/{}", piece.name)).await?;
    unpack(id, piece, stored.clone(), cipher.clone()).await?;
    let whole = stored.unwrap_or_default();
    let truncated = whole[..whole.len() - 1].to_vec();
    let mut flipped = whole;
    if let Some(byte) = flipped.last_mut() {
        *byte ^= 1;
    }
    let mut passed = Vec::new();
    for (what, copy) in
        [("a truncated piece", Some(truncated)), ("a flipped bit", Some(flipped)), ("a missing piece", None)]
    {
        if !matches!(unpack(id, piece, copy, cipher.clone()).await, Err(Fault::Damaged { .. })) {
            passed.push(what);
        }
    }
    Ok(passed)
}
