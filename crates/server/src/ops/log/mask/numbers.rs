//! Numbers of phones and of payment cards, among many numbers that are neither.

use super::{CARD, Found, PHONE};

/// The most digits of a number that is looked at, and one more.
const MOST_DIGITS: usize = 20;
/// The most groups of digits that a number is written in.
const MOST_GROUPS: usize = 8;

/// Digits as they are written, in groups.
struct Written {
    /// The digits without what stands between.
    digits: [u8; MOST_DIGITS],
    count: usize,
    /// How many digits each group has.
    groups: [usize; MOST_GROUPS],
    group_count: usize,
    /// Behind the last digit.
    end: usize,
    /// What stands between the groups, where it is the same everywhere.
    between: Option<u8>,
}

impl Written {
    fn digits(&self) -> &[u8] {
        &self.digits[..self.count]
    }

    fn groups(&self) -> &[usize] {
        &self.groups[..self.group_count]
    }
}

/// Reads digits from here on; nothing when there are too many of them, or letters among them.
fn read(line: &[u8], from: usize) -> Option<Written> {
    let mut written = Written {
        digits: [0; MOST_DIGITS],
        count: 0,
        groups: [0; MOST_GROUPS],
        group_count: 0,
        end: from,
        between: None,
    };
    let (mut at, mut mixed) = (from, false);
    loop {
        let begun = at;
        while let Some(digit) = line.get(at).filter(|byte| byte.is_ascii_digit()) {
            *written.digits.get_mut(written.count)? = digit - b'0';
            written.count += 1;
            at += 1;
        }
        if at == begun {
            break;
        }
        // A group that cannot be kept ends the number.
        *written.groups.get_mut(written.group_count)? = at - begun;
        written.group_count += 1;
        written.end = at;
        let separators =
            line[at..].iter().take(3).take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'/'));
        let separators = separators.count();
        if separators == 0 || separators > 2 || !line.get(at + separators).is_some_and(u8::is_ascii_digit) {
            break;
        }
        let sign = (separators == 1).then(|| line[at]);
        mixed |= written.group_count > 1 && sign != written.between;
        written.between = sign;
        at += separators;
    }
    if mixed {
        written.between = None;
    }
    let goes_on = line
        .get(written.end)
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%') || *byte >= 0x80);
    (!goes_on && written.count > 0).then_some(written)
}

/// `8-4-4-4-12` digits, also those of a UUID that has no letter.
fn is_uuid(line: &[u8], start: usize) -> bool {
    let Some(text) = line.get(start..start + 36) else { return false };
    let hyphens = [8, 13, 18, 23];
    text.iter()
        .enumerate()
        .all(|(at, byte)| if hyphens.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// A phone number or the number of a card that begins here.
pub(super) fn number(line: &[u8], start: usize) -> Option<Found> {
    match line.get(start)? {
        b'+' => return international(line, start + 1).map(|found| Found { start, ..found }),
        b'(' => return bracketed(line, start),
        _ if is_uuid(line, start) => return None,
        _ => {}
    }
    let written = read(line, start)?;
    let instead = if is_card(&written) {
        CARD
    } else if is_american(&written) || is_national(&written) {
        PHONE
    } else {
        return None;
    };
    Some(Found { start, end: written.end, instead })
}

/// A phone number as E.164 has it, behind its `+`.
pub(super) fn international(line: &[u8], start: usize) -> Option<Found> {
    let open = usize::from(line.get(start) == Some(&b'('));
    let written = read(line, start + open)?;
    let fits = (8..=15).contains(&written.count) && written.digits().first() != Some(&0);
    fits.then_some(Found { start, end: written.end, instead: PHONE })
}

/// `(212) 555-1234` and `(030) 123456`.
fn bracketed(line: &[u8], start: usize) -> Option<Found> {
    let written = read(line, start + 1)?;
    let closes = line.get(start + 1 + written.groups().first()?) == Some(&b')');
    let area = written.groups().first().is_some_and(|area| (2..=5).contains(area));
    let fits = (9..=12).contains(&written.count) && written.groups().len() > 1;
    (closes && area && fits).then_some(Found { start, end: written.end, instead: PHONE })
}

/// `212-555-1234`, with the code of the country before it or without.
fn is_american(written: &Written) -> bool {
    let groups = written.groups();
    let digits = written.digits();
    let (groups, digits) = match groups.split_first() {
        Some((1, rest)) if digits.first() == Some(&1) => (rest, &digits[1..]),
        _ => (groups, digits),
    };
    // No code of an area begins with 0 or 1.
    groups == [3, 3, 4] && digits.first().is_some_and(|digit| *digit >= 2)
}

/// `0170 1234567` and `01 23 45 67 89`: what begins with one zero is no number that is counted with.
fn is_national(written: &Written) -> bool {
    let [0, second, ..] = written.digits() else { return false };
    if *second == 0 || !(9..=12).contains(&written.count) {
        return false;
    }
    match written.groups() {
        [_] => written.count >= 10,
        [2, 2, 2, 2, 2] => true,
        [first, rest @ ..] => (3..=5).contains(first) && rest.len() <= 4 && rest.iter().all(|group| *group >= 2),
        [] => false,
    }
}

/// The number of a payment card: as long as those of its network, written as they are, and right by its last digit.
fn is_card(written: &Written) -> bool {
    let digits = written.digits();
    if digits.len() < 13 || digits.len() > 19 {
        return false;
    }
    let first = digits.iter().take(4).fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let network = matches!(
        (first, digits.len()),
        (4000..=4999, 13 | 16 | 19)
            | (3400..=3499 | 3700..=3799, 15)
            | (5100..=5599 | 2221..=2720 | 3528..=3589, 16)
            | (3000..=3059 | 3600..=3699 | 3800..=3899, 14)
            | (6011 | 6200..=6299 | 6440..=6599 | 5000..=5099 | 5600..=5899 | 6300..=6399, 16..=19)
    );
    let way = match written.groups() {
        [_] => true,
        [4, 4, 4, 4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5] => matches!(written.between, Some(b' ' | b'-')),
        _ => false,
    };
    network && way && luhn(digits)
}

/// The check of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let doubled = u32::from(*digit) << (at % 2);
            doubled / 10 + doubled % 10
        })
        .sum();
    sum.is_multiple_of(10)
}
