//! Lists, page by page: `{"data": [...], "next": "cursor" | null}`, `?limit=` and `?after=`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Rows of a page when the client does not say.
const USUAL: u32 = 50;
/// The most rows of a page.
const MOST: u32 = 100;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

impl PageQuery {
    /// How many rows.
    ///
    /// # Errors
    /// `invalid_input` when it is out of bounds.
    pub fn limit(&self) -> Result<u32> {
        limit(self.limit)
    }

    /// The place after which the page begins, read from the cursor.
    ///
    /// # Errors
    /// `invalid_input` when it is none of ours.
    pub fn cursor<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        cursor(self.after.as_deref(), read)
    }
}

/// Checks `?limit=`.
///
/// # Errors
/// `invalid_input` when it is out of bounds.
pub fn limit(limit: Option<u32>) -> Result<u32> {
    match limit {
        None => Ok(USUAL),
        Some(rows @ 1..=MOST) => Ok(rows),
        Some(_) => Err(Error::invalid_field("limit", "out_of_range", format!("A page has 1 to {MOST} rows."))),
    }
}

/// Reads `?after=`.
///
/// # Errors
/// `invalid_input` when it is none of ours.
pub fn cursor<T>(after: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    let Some(cursor) = after else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| read(&text));
    let bad =
        || Error::invalid_field("after", "invalid_cursor", "This is no cursor of this list: send `next` of a page.");
    place.map(Some).ok_or_else(bad)
}

/// A cursor for a place.
#[must_use]
pub fn cursor_for(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// A place by a moment and an id, as [`moment_and_id`] reads it.
#[must_use]
pub fn place(moment: Timestamp, id: impl fmt::Display) -> String {
    format!("{}.{id}", moment.as_millis())
}

/// Reads a place of the form `<milliseconds>.<id>`.
#[must_use]
pub fn moment_and_id(text: &str) -> Option<(Timestamp, Uuid)> {
    moment_and(text, |id| Uuid::try_parse(id).ok())
}

/// Reads a place of the form `<milliseconds>.<what else tells it from others>`.
#[must_use]
pub fn moment_and<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<(Timestamp, T)> {
    let (millis, rest) = text.split_once('.')?;
    let millis: i64 = millis.parse().ok().filter(|millis| (0..=253_402_300_799_999).contains(millis))?;
    Some((Timestamp::from_millis(millis), read(rest)?))
}

/// One page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// For `?after=` of the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The page of these rows. A full page may have a next one, which begins after `place` of its last row.
    pub fn of<R>(rows: Vec<R>, limit: u32, place: impl Fn(&R) -> String) -> Self
    where
        T: From<R>,
    {
        let full = rows.len() >= limit as usize;
        let next = rows.last().filter(|_| full).map(|row| cursor_for(&place(row)));
        Self { data: rows.into_iter().map(T::from).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_cursors_are_checked() {
        assert_eq!(limit(None).ok(), Some(50));
        assert_eq!(limit(Some(100)).ok(), Some(100));
        assert!(limit(Some(0)).is_err() && limit(Some(101)).is_err());
        let place = (Timestamp::from_millis(5), Uuid::from_u128(7));
        let text = cursor_for(&format!("5.{}", place.1));
        assert_eq!(cursor(Some(&text), moment_and_id).ok(), Some(Some(place)));
        for bad in ["", "!", "MS4y", "\u{1F980}"] {
            assert!(cursor(Some(bad), moment_and_id).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn only_a_full_page_has_a_next_one() {
        let page: Page<u8> = Page::of(vec![1u8, 2], 2, ToString::to_string);
        assert_eq!(page.next.as_deref(), Some(cursor_for("2").as_str()));
        let page: Page<u8> = Page::of(vec![1u8], 2, ToString::to_string);
        assert_eq!(page.next, None);
    }
}
