//! Headers of a webhook: each stands once, or it is not taken.

use http::header::{HeaderMap, HeaderName};

/// The longest value that is looked at, in bytes. Ten signatures of 64 bytes fit.
const MOST_BYTES: usize = 2048;

/// The value of a header, if it is there.
///
/// # Errors
/// Says why it cannot be used. A second value is refused: whoever checks one and uses the other can be deceived.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("it stands there more than once");
    }
    if value.len() > MOST_BYTES {
        return Err("it is too long");
    }
    value.to_str().map(Some).map_err(|_| "it holds bytes that are not printable ASCII")
}
