//! Messages of the DNS (RFC 1035, 4): the question as bytes, the answer read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{MOST_ALIASES, Name, Trouble};

/// The class of the Internet.
const INTERNET: u16 = 1;
/// The type of the record that extends a question (EDNS, RFC 6891).
const OPT: u16 = 41;
/// The largest answer that is wished for by UDP, in bytes: it passes any network in one piece.
pub(super) const DATAGRAM_SIZE: u16 = 1_232;
/// The most records of one answer.
const MOST_RECORDS: u16 = 500;
/// The longest name on the wire, in bytes.
const LONGEST_NAME: usize = 255;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address4 = 1,
    Alias = 5,
    Exchanger = 15,
    Text = 16,
    Address6 = 28,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    Alias(Name),
    Exchanger(u16, Name),
    Text(Vec<u8>),
}

#[derive(Debug, PartialEq, Eq)]
struct Record {
    owner: Name,
    kind: u16,
    data: Data,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    /// Zero when all is well (RFC 1035, 4.1.1).
    pub(super) code: u8,
    /// Whether it was cut to fit.
    pub(super) truncated: bool,
    /// Whether the server is one of those that hold the name, or asks others.
    pub(super) competent: bool,
    question: Option<(Name, u16)>,
    records: Vec<Record>,
}

/// The bytes of a question.
pub(super) fn query(id: u16, name: &Name, kind: Kind, extended: bool) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    // Others are to be asked in turn. One question, no answers, and with EDNS one record more.
    bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(extended)]);
    for label in name.labels() {
        bytes.push(u8::try_from(label.len()).unwrap_or_default());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&(kind as u16).to_be_bytes());
    bytes.extend_from_slice(&INTERNET.to_be_bytes());
    if extended {
        bytes.push(0);
        bytes.extend_from_slice(&OPT.to_be_bytes());
        bytes.extend_from_slice(&DATAGRAM_SIZE.to_be_bytes());
        bytes.extend_from_slice(&[0; 6]);
    }
    bytes
}

impl Message {
    /// Reads an answer. `None` for what is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.number()?;
        let [first, second] = reader.array()?;
        let answer = first & 0x80 != 0;
        let ordinary = first & 0x78 == 0;
        let (questions, answers) = (reader.number()?, reader.number()?);
        reader.take(4)?;
        if !answer || !ordinary || questions > 1 || answers > MOST_RECORDS {
            return None;
        }
        let mut question = None;
        if questions == 1 {
            let (name, kind, class) = (reader.name()?, reader.number()?, reader.number()?);
            question = name.filter(|_| class == INTERNET).map(|name| (name, kind));
        }
        let mut records = Vec::new();
        let truncated = first & 2 != 0;
        // Where it was cut is nobody's to know, and it is asked for again.
        if !truncated {
            for _ in 0..answers {
                records.extend(reader.record()?);
            }
        }
        let competent = first & 4 != 0 || second & 0x80 != 0;
        Some(Self { id, code: second & 15, truncated, competent, question, records })
    }

    /// Whether it answers this question.
    pub(super) fn answers(&self, name: &Name, kind: Kind) -> bool {
        self.question.as_ref().is_some_and(|(asked, number)| asked == name && *number == kind as u16)
    }

    /// Whether it repeats no question at all, as some servers do when they decline one.
    pub(super) fn has_no_question(&self) -> bool {
        self.question.is_none()
    }

    /// Whether there is any record in it.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Goes from a name through its aliases to the records of a kind: where the way ends, and what is there.
    pub(super) fn follow(&self, name: &Name, kind: Kind, aliases: &mut usize) -> Result<(Name, Vec<Data>), Trouble> {
        let mut name = name.clone();
        loop {
            let of = |kind: Kind| self.records.iter().filter(move |record| record.kind == kind as u16);
            let found: Vec<Data> =
                of(kind).filter(|record| record.owner == name).map(|record| record.data.clone()).collect();
            if !found.is_empty() {
                return Ok((name, found));
            }
            let alias = of(Kind::Alias).find(|record| record.owner == name).map(|record| &record.data);
            let Some(Data::Alias(target)) = alias else { return Ok((name, found)) };
            *aliases += 1;
            if *aliases > MOST_ALIASES || *target == name {
                return Err(Trouble::AliasLoop);
            }
            name = target.clone();
        }
    }
}

/// Goes over the bytes of a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A name, with what it points to. The inner `None` is one that no name of ours is.
    fn name(&mut self) -> Option<Option<Name>> {
        let mut labels = Vec::new();
        let mut length = 1;
        // Where the part of the name begins that is being read: a pointer leads before it, so that every name ends.
        let (mut at, mut begin) = (self.at, self.at);
        let mut after = None;
        loop {
            let size = usize::from(*self.bytes.get(at)?);
            match size {
                0 => break,
                1..=63 => {
                    labels.push(self.bytes.get(at + 1..at + 1 + size)?);
                    at += 1 + size;
                    length += 1 + size;
                    if length > LONGEST_NAME {
                        return None;
                    }
                }
                0xc0.. => {
                    let low = usize::from(*self.bytes.get(at + 1)?);
                    after = after.or(Some(at + 2));
                    at = (size & 0x3f) << 8 | low;
                    if at >= begin {
                        return None;
                    }
                    begin = at;
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at + 1);
        Some(Name::from_labels(&labels))
    }

    /// A record. The inner `None` is one that says nothing here.
    fn record(&mut self) -> Option<Option<Record>> {
        let owner = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        // How long it may be kept.
        self.take(4)?;
        let length = usize::from(self.number()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let data = if class == INTERNET { self.data(kind, end)? } else { None };
        self.at = end;
        Some(owner.zip(data).map(|(owner, data)| Record { owner, kind, data }))
    }

    fn data(&mut self, kind: u16, end: usize) -> Option<Option<Data>> {
        let data = match kind {
            1 => Some(Data::Address(Ipv4Addr::from(self.array::<4>()?).into())),
            28 => Some(Data::Address(Ipv6Addr::from(self.array::<16>()?).into())),
            5 => self.name()?.map(Data::Alias),
            15 => {
                let preference = self.number()?;
                self.name()?.map(|host| Data::Exchanger(preference, host))
            }
            16 => {
                let mut text = Vec::new();
                while self.at < end {
                    let [length] = self.array()?;
                    text.extend_from_slice(self.take(usize::from(length))?);
                }
                Some(Data::Text(text))
            }
            _ => return Some(None),
        };
        (self.at == end).then_some(data)
    }
}
