//! Sound in files (RIFF WAVE): one channel of 16 bits.

use bytes::Bytes;

/// Bytes before the samples.
const HEADER: usize = 44;
/// The most bytes in which the samples of a stream must begin.
pub(super) const LONGEST_HEADER: usize = 4096;

/// A file of these samples.
pub(super) fn file(rate: u32, sound: &[Bytes]) -> Vec<u8> {
    let length: usize = sound.iter().map(Bytes::len).sum();
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut file = Vec::with_capacity(HEADER + length);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&size(length + HEADER - 8));
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    file.extend_from_slice(&2u16.to_le_bytes());
    file.extend_from_slice(&16u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&size(length));
    for piece in sound {
        file.extend_from_slice(piece);
    }
    file
}

/// The rate of a file, and where its samples begin; nothing while more of it is needed.
pub(super) fn begin(file: &[u8]) -> Option<(u32, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let (mut at, mut rate) = (12, None);
    loop {
        let length = usize::try_from(number(at + 4)?).ok()?;
        match file.get(at..at + 4)? {
            b"fmt " => rate = Some(number(at + 12)?),
            b"data" => return Some((rate?, at + 8)),
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(length)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = file(16_000, &[Bytes::from_static(&[1, 0, 2, 0]), Bytes::from_static(&[3, 0])]);
        assert_eq!(begin(&file), Some((16_000, HEADER)));
        assert_eq!(file[HEADER..], [1, 0, 2, 0, 3, 0]);
        assert_eq!(begin(&file[..40]), None);
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = begin(&bytes);
        }
    }
}
