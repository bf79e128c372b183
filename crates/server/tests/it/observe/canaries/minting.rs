//! Canaries: texts that are nowhere else, each of which says in which field of which operation it was sent.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::search;

/// What each canary has in it, but for numbers of telephones. No hexadecimal text has these letters.
pub(super) const MARKER: &str = "zqkvxj";
/// How many letters say which canary it is, behind the marker.
pub(super) const LETTERS: usize = 5;
/// What the numbers of telephones begin with, behind the country; six digits say which canary it is.
pub(super) const AREA: &str = "5005";

/// What a canary looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Name,
    Email,
    Phone,
    /// With the beginning that keys of a known provider have.
    Key,
    /// A secret that nothing tells from a word.
    Password,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [Self::Text, Self::Name, Self::Email, Self::Phone, Self::Key, Self::Password];
}

/// Where a canary was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) operation: String,
    pub(super) field: String,
}

/// Makes canaries, and knows them again.
#[derive(Debug, Default)]
pub(super) struct Mint(Mutex<Vec<Place>>);

/// One canary, in whatever form a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Canary(usize);

impl Canary {
    /// The marker and the number, in small letters.
    pub(super) fn word(self) -> String {
        let letters =
            (0..LETTERS).map(|place| char::from(b'a' + u8::try_from(self.0 >> (4 * place) & 15).unwrap_or(0)));
        letters.fold(MARKER.to_owned(), |mut word, letter| {
            word.push(letter);
            word
        })
    }

    pub(super) fn written(self, kind: Kind) -> String {
        let word = self.word();
        match kind {
            Kind::Text => format!("Please tell {word} about the results."),
            Kind::Name => format!("Z{} Kanari", &word[1..]),
            Kind::Email => format!("{word}@example.org"),
            Kind::Phone => format!("+1{AREA}{:06}", self.0),
            // Put together here, so that nothing in the tree has the form of a key.
            Kind::Key => ["sk", "live", &format!("{word}0123456789")].join("_"),
            Kind::Password => format!("{word}-Flug-77"),
        }
    }
}

impl Mint {
    /// A canary for a field.
    pub(super) fn canary(&self, operation: &str, field: &str) -> Canary {
        let mut places = self.0.lock().unwrap();
        places.push(Place { operation: operation.to_owned(), field: field.to_owned() });
        Canary(places.len() - 1)
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Where what is in a text was sent.
    pub(super) fn places_in(&self, text: &str) -> BTreeSet<Place> {
        let found = search::numbers_in(text);
        let places = self.0.lock().unwrap();
        let nobody = Place { operation: "?".to_owned(), field: "part of a canary".to_owned() };
        let place = |number: Option<usize>| match number {
            Some(number) => places.get(number).cloned(),
            None => Some(nobody.clone()),
        };
        found.into_iter().filter_map(place).collect()
    }
}
