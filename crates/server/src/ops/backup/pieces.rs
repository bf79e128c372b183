//! Cutting what is read into pieces, and putting pieces together again.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::cipher::Cipher;
use super::manifest::{Manifest, Piece, digest_of};
use super::place::Backups;
use super::{Fault, PIECE};

/// How well pieces are compressed: fast.
const LEVEL: Compression = Compression::new(3);
/// The most bytes that a piece may become again.
const MOST_UNPACKED: u64 = (PIECE as u64) * 2;

/// Cuts a part into pieces and stores them.
pub(super) struct Cutter<'a> {
    backups: &'a Backups,
    cipher: Option<&'a Cipher>,
    id: &'a str,
    part: &'a str,
    open: Vec<u8>,
    /// What was stored.
    pub(super) pieces: Vec<Piece>,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(backups: &'a Backups, cipher: Option<&'a Cipher>, id: &'a str, part: &'a str) -> Self {
        Self { backups, cipher, id, part, open: Vec::with_capacity(PIECE), pieces: Vec::new() }
    }

    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.open.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            if self.open.len() == PIECE {
                self.store().await?;
            }
        }
        Ok(())
    }

    pub(super) async fn end(mut self) -> Result<Vec<Piece>, Fault> {
        if !self.open.is_empty() {
            self.store().await?;
        }
        Ok(self.pieces)
    }

    async fn store(&mut self) -> Result<(), Fault> {
        let name = format!("{}.{:06}", self.part, self.pieces.len());
        let object = format!("{}/{name}", self.id);
        let plain = std::mem::replace(&mut self.open, Vec::with_capacity(PIECE));
        let packed = pack(object.clone(), plain, self.cipher.cloned()).await?;
        let (bytes, sha256) = (packed.len() as u64, digest_of(&packed));
        self.backups.put(&object, Bytes::from(packed)).await?;
        self.pieces.push(Piece { name, bytes, sha256 });
        Ok(())
    }
}

/// Compresses a piece, and encrypts it when there is a key. It takes a while, so not where requests are answered.
async fn pack(object: String, plain: Vec<u8>, cipher: Option<Cipher>) -> Result<Vec<u8>, Fault> {
    beside(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), LEVEL);
        let packed = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let packed = packed.map_err(|error| Fault::Bug(format!("a piece could not be compressed: {error}")))?;
        match cipher {
            Some(cipher) => cipher.seal(&object, packed),
            None => Ok(packed),
        }
    })
    .await
}

async fn beside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::Bug(error.to_string()))?
}

/// Looks whether an object is what was stored, and gives what is in it.
pub(super) async fn unpack(
    id: &str,
    piece: &Piece,
    stored: Option<Vec<u8>>,
    cipher: Option<Cipher>,
) -> Result<Vec<u8>, Fault> {
    let object = format!("{id}/{}", piece.name);
    let damaged = |what: &str| Fault::Damaged { object: object.clone(), what: what.to_owned() };
    let stored = stored.ok_or_else(|| damaged("is missing"))?;
    if stored.len() as u64 != piece.bytes {
        return Err(damaged(&format!("has {} bytes and not {}", stored.len(), piece.bytes)));
    }
    let (wanted, name) = (piece.sha256.clone(), object.clone());
    beside(move || {
        let damaged = |what: String| Fault::Damaged { object: name.clone(), what };
        if digest_of(&stored) != wanted {
            return Err(damaged("has been changed".to_owned()));
        }
        let packed = match cipher {
            Some(cipher) => cipher.open(&name, stored)?,
            None => stored,
        };
        let mut plain = Vec::with_capacity(PIECE);
        let read = GzDecoder::new(&packed[..]).take(MOST_UNPACKED + 1).read_to_end(&mut plain);
        read.map_err(|error| damaged(format!("cannot be unpacked ({error})")))?;
        if plain.len() as u64 > MOST_UNPACKED {
            return Err(damaged("is larger than a piece can be".to_owned()));
        }
        Ok(plain)
    })
    .await
}

/// Reads every piece of a backup and looks whether it is what was stored. The answer is how many there are.
///
/// # Errors
/// When one is damaged or missing, or cannot be decrypted.
pub async fn verify(backups: &Backups, manifest: &Manifest) -> Result<usize, Fault> {
    verify_some(backups, manifest, usize::MAX).await
}

/// The same for the first piece, which is quick.
///
/// # Errors
/// As [`verify`].
pub async fn verify_first(backups: &Backups, manifest: &Manifest) -> Result<usize, Fault> {
    verify_some(backups, manifest, 1).await
}

async fn verify_some(backups: &Backups, manifest: &Manifest, most: usize) -> Result<usize, Fault> {
    let cipher = manifest.cipher(&backups.key)?;
    let mut pieces = 0;
    for piece in manifest.parts.iter().flat_map(|part| &part.pieces).take(most) {
        let stored = backups.get(&format!("{}/{}", manifest.id, piece.name)).await?;
        unpack(&manifest.id, piece, stored, cipher.clone()).await?;
        pieces += 1;
    }
    Ok(pieces)
}
