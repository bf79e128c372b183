//! Messages of any bytes: nothing panics, nothing goes on for ever, and what is written well is read back.

use proptest::prelude::*;

use super::super::message::query;
use super::*;

/// An answer to a question for the texts of `a.example`, with what comes after the question.
fn answer(flags: [u8; 2], records: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = query(7, &name("a.example"), Kind::Text, false);
    bytes[2..4].copy_from_slice(&flags);
    bytes[6..8].copy_from_slice(&records.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

/// A record of a type: its owner, and its data with their length.
fn record(owner: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &[0, kind, 0, 1, 0, 0, 0, 60], &length, data].concat()
}

/// Pieces of answers, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let owner = prop_oneof![
        4 => Just(vec![0xc0, 12]),
        1 => any::<u8>().prop_map(|low| vec![0xc0, low]),
        1 => Just(b"\x01b\xc0\x0e".to_vec()),
        1 => Just(vec![0]),
    ];
    let data = prop_oneof![
        Just(b"\x05hello".to_vec()),
        Just(b"\x09hello".to_vec()),
        Just(vec![0xc0, 12]),
        Just(b"\0\x0a\x04mail\xc0\x0c".to_vec()),
        Just(vec![192, 0, 2, 1]),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let whole = (owner, prop::sample::select(vec![1_u8, 5, 15, 16, 28, 41, 99]), data)
        .prop_map(|(owner, kind, data)| record(&owner, kind, &data));
    prop_oneof![6 => whole, 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::read(&bytes);
    }

    #[test]
    fn any_pieces_are_read_without_harm(
        pieces in prop::collection::vec(piece(), 0..12),
        flags in any::<[u8; 2]>(),
        records in 0_u16..14,
    ) {
        let bytes = answer([flags[0] & 6 | 0x80, flags[1]], records, &pieces.concat());
        if let Some(message) = Message::read(&bytes) {
            for kind in [Kind::Text, Kind::Address4, Kind::Address6, Kind::Exchanger, Kind::Alias] {
                let _ = message.follow(&name("a.example"), kind, &mut 0);
            }
        }
    }

    #[test]
    fn any_text_is_a_name_that_fits_or_none(text in ".{0,300}") {
        if let Some(name) = Name::parse(&text) {
            prop_assert!(name.as_str().is_ascii() && name.as_str().len() <= 253);
            prop_assert_eq!(Name::parse(name.as_str()), Some(name));
        }
    }

    #[test]
    fn texts_come_back_as_they_were(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 0..6)) {
        let mut data = Vec::new();
        for string in &strings {
            data.push(u8::try_from(string.len()).unwrap());
            data.extend_from_slice(string);
        }
        let bytes = answer([0x81, 0x80], 1, &record(&[0xc0, 12], 16, &data));
        let message = Message::read(&bytes).unwrap();
        let (_, found) = message.follow(&name("a.example"), Kind::Text, &mut 0).unwrap();
        prop_assert_eq!(found, vec![Data::Text(strings.concat())]);
    }
}

#[test]
fn messages_that_are_none_are_told_apart() {
    let good = answer([0x81, 0x80], 1, &record(&[0xc0, 12], 16, b"\x05hello"));
    let message = Message::read(&good).unwrap();
    assert!(message.answers(&name("a.example"), Kind::Text) && !message.answers(&name("b.example"), Kind::Text));
    assert!(!message.answers(&name("a.example"), Kind::Alias));
    for cut in 0..good.len() {
        assert_eq!(Message::read(&good[..cut]), None, "{cut}");
    }
    let question = answer([1, 0], 0, &[]);
    assert_eq!(Message::read(&question), None, "it is no answer");
    assert_eq!(Message::read(&answer([0xa8, 0], 0, &[])), None, "it is of another kind than a question");
    assert_eq!(Message::read(&answer([0x81, 0x80], 501, &[0; 20_000])), None, "too many records");
    // A name that points to itself, to what comes after it, and at each other.
    for owner in [&[0xc0, 27][..], &[0xc0, 29], &[0xff, 0xff], b"\x01a\xc0\x1b"] {
        assert_eq!(Message::read(&answer([0x81, 0x80], 1, &record(owner, 16, b"\x01x"))), None, "{owner:?}");
    }
    // Data that are longer or shorter than their record says.
    for (kind, data) in [(1, &[1, 2, 3][..]), (1, &[1, 2, 3, 4, 5]), (16, &[9, 1]), (15, &[0]), (5, &[0, 0]), (5, &[])]
    {
        assert_eq!(Message::read(&answer([0x81, 0x80], 1, &record(&[0xc0, 12], kind, data))), None, "{kind} {data:?}");
    }
    let strange = answer([0x81, 0x80], 1, &record(&[0xc0, 12], 5, b"\x02\0.\0"));
    assert!(Message::read(&strange).unwrap().is_empty(), "a name that is none of a host is left out");
    let long = [&b"\x3f".repeat(64).repeat(5)[..], &[0]].concat();
    assert_eq!(Message::read(&answer([0x81, 0x80], 1, &record(&long, 16, b"\x01x"))), None, "a name of 320 bytes");
}
