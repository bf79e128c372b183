//! One pass over a JSON text that makes nothing: depth, keys that stand twice, the length of arrays, NUL.
//!
//! The syntax is serde_json's own, so that what passes here is exactly what it can read. Memory: the keys of the objects
//! that are open, which the size of the body bounds.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use mainstay_domain::{Error, FieldFault};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::fault;

/// The most items in one array.
const MOST_ITEMS: usize = 1000;

/// Up to so many keys a list is faster than a set.
const FEW_KEYS: usize = 12;

/// Refuses a text that is not JSON or breaks a bound.
pub(super) fn check(text: &str, depth: usize) -> Result<(), Error> {
    let mut state = State { left: depth, found: None };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Value(&mut state).deserialize(&mut reader).and_then(|()| reader.end());
    match (read, state.found) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(found)) => Err(found.into_error(depth)),
        (Err(error), None) => Err(fault::malformed(format!("The body is not JSON: {error}."))),
    }
}

struct State {
    /// How many more levels may open.
    left: usize,
    found: Option<Found>,
}

/// What was found, and the way to it from the inside out.
struct Found {
    what: What,
    path: Vec<Segment>,
}

#[derive(Clone, Copy)]
enum What {
    TooDeep,
    Twice,
    TooManyItems,
    Nul,
}

enum Segment {
    Key(String),
    Item(usize),
}

impl Found {
    fn into_error(self, depth: usize) -> Error {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Key(key) => fault::push_key(&mut path, key),
                Segment::Item(index) => fault::push_index(&mut path, *index),
            }
        }
        let (code, detail) = match self.what {
            What::TooDeep => ("too_deep", format!("objects and arrays may be nested {depth} deep")),
            What::Twice => ("duplicate", "the key stands in its object more than once".to_owned()),
            What::TooManyItems => ("too_many_items", format!("an array may have {MOST_ITEMS} items")),
            What::Nul => ("control_characters", "text may not contain the character NUL (\\u0000)".to_owned()),
        };
        Error::invalid(vec![FieldFault::new(fault::shown(path), code, detail)])
    }
}

impl State {
    /// Ends the pass. The error's own text is never seen.
    fn stop<E: de::Error>(&mut self, what: What, path: Vec<Segment>) -> E {
        self.found = Some(Found { what, path });
        E::custom("refused")
    }

    /// Adds where a refusal inside came from, on its way out.
    fn through(&mut self, segment: impl FnOnce() -> Segment) {
        if let Some(found) = &mut self.found {
            found.path.push(segment());
        }
    }

    fn open<E: de::Error>(&mut self) -> Result<(), E> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.stop(What::TooDeep, Vec::new())),
        }
    }
}

/// Reads any value and keeps nothing of it.
struct Value<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        // The text is unescaped here: a NUL can only have been written as \u0000.
        if text.as_bytes().contains(&0) { Err(self.0.stop(What::Nul, Vec::new())) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let state = self.0;
        state.open()?;
        let mut index = 0;
        loop {
            match items.next_element_seed(Value(state)) {
                Ok(None) => break,
                Ok(Some(())) if index == MOST_ITEMS => return Err(state.stop(What::TooManyItems, Vec::new())),
                Ok(Some(())) => index += 1,
                Err(error) => {
                    state.through(|| Segment::Item(index));
                    return Err(error);
                }
            }
        }
        state.left += 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let state = self.0;
        state.open()?;
        let mut keys = Keys::default();
        while let Some(Key(key)) = entries.next_key()? {
            if key.as_bytes().contains(&0) {
                return Err(state.stop(What::Nul, vec![Segment::Key(key.into_owned())]));
            }
            if keys.contain(&key) {
                return Err(state.stop(What::Twice, vec![Segment::Key(key.into_owned())]));
            }
            if let Err(error) = entries.next_value_seed(Value(state)) {
                state.through(|| Segment::Key(key.into_owned()));
                return Err(error);
            }
            keys.insert(key);
        }
        state.left += 1;
        Ok(())
    }
}

/// The keys of one object, without their escapes: `"a"` and `"\u0061"` are the same key.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    fn contain(&self, key: &str) -> bool {
        self.few.iter().any(|known| known == key) || self.many.contains(key)
    }

    fn insert(&mut self, key: Cow<'de, str>) {
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
    }
}

/// A key, borrowed from the body unless it has escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}
