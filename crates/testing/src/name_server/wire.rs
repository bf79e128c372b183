//! Messages of the DNS (RFC 1035, 4), as far as a server of tests needs them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::zone::RecordType;

/// The type of the record of EDNS (RFC 6891).
const OPT: u16 = 41;
/// The largest answer by UDP to a question without EDNS, in bytes.
const PLAIN_SIZE: usize = 512;
/// The question's name, by a pointer to it.
const QUESTION_NAME: [u8; 2] = [0xc0, 12];

/// A question as it came.
pub(super) struct Query {
    pub(super) id: [u8; 2],
    /// In small letters, without the last dot.
    pub(super) name: String,
    pub(super) kind: u16,
    /// Whether it came with EDNS.
    pub(super) extended: bool,
    /// The largest answer by UDP that the client takes, in bytes.
    pub(super) size: usize,
    /// The bytes of the question, letters as they came.
    question: Vec<u8>,
}

impl Query {
    /// Reads a message with one question. `None` when it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let id = [*bytes.first()?, *bytes.get(1)?];
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = bytes.get(at..at + length)?;
            labels.push(String::from_utf8_lossy(label).to_lowercase());
            at += length;
        }
        let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let kind = number(at)?;
        let question = bytes.get(12..at + 4)?.to_vec();
        // The record of EDNS is the only one that a question brings: the root, its type, the size in place of a class.
        let extended = bytes.get(at + 4) == Some(&0) && number(at + 5) == Some(OPT);
        let size = if extended { usize::from(number(at + 7)?) } else { PLAIN_SIZE };
        Some(Self { id, name: labels.join("."), kind, extended, size: size.max(PLAIN_SIZE), question })
    }
}

/// An answer in the making.
pub(super) struct Reply<'a> {
    pub(super) query: &'a Query,
    pub(super) id: [u8; 2],
    pub(super) code: u8,
    pub(super) truncated: bool,
    /// Whether the server asks others for what it does not have.
    pub(super) recursive: bool,
    /// Owner, type and data of each record.
    pub(super) records: Vec<(String, u16, Vec<u8>)>,
}

impl<'a> Reply<'a> {
    pub(super) fn to(query: &'a Query) -> Self {
        Self { query, id: query.id, code: 0, truncated: false, recursive: true, records: Vec::new() }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        self.write_for(&self.query.question)
    }

    /// The answer to another question.
    pub(super) fn write_for_other(&self) -> Vec<u8> {
        let mut question = encode_name("other.example");
        question.extend_from_slice(&[0, 16, 0, 1]);
        self.write_for(&question)
    }

    fn write_for(&self, question: &[u8]) -> Vec<u8> {
        let mut bytes = self.id.to_vec();
        // An answer to a question that wished for recursion.
        bytes.push(0x81 | if self.truncated { 2 } else { 0 });
        bytes.push(self.code | if self.recursive { 0x80 } else { 0 });
        bytes.extend_from_slice(&[0, 1]);
        bytes.extend_from_slice(&u16::try_from(self.records.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0]);
        bytes.extend_from_slice(question);
        for (owner, kind, data) in &self.records {
            if *owner == self.query.name {
                bytes.extend_from_slice(&QUESTION_NAME);
            } else {
                bytes.extend(encode_name(owner));
            }
            bytes.extend_from_slice(&kind.to_be_bytes());
            // The class, and a minute to live.
            bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
    }
}

/// A name as labels with their lengths. The root is a dot or nothing.
fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The data of a record from its text. `None` when it is none of the type.
pub(super) fn encode_data(kind: RecordType, value: &str) -> Option<Vec<u8>> {
    match kind {
        RecordType::A => value.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec()),
        RecordType::Aaaa => value.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec()),
        RecordType::Cname => Some(encode_name(value)),
        RecordType::Mx => {
            let (preference, host) = value.split_once(' ')?;
            let mut bytes = preference.parse::<u16>().ok()?.to_be_bytes().to_vec();
            bytes.extend(encode_name(host));
            Some(bytes)
        }
        RecordType::Txt => {
            let mut bytes = Vec::with_capacity(value.len() + 8);
            for string in value.as_bytes().chunks(255) {
                bytes.push(u8::try_from(string.len()).unwrap_or(u8::MAX));
                bytes.extend_from_slice(string);
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
            Some(bytes)
        }
    }
}
