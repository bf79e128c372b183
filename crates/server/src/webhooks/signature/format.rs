//! Which bytes an HMAC is made of: text with places for the parts of a request.

use std::fmt;
use std::str::FromStr;

/// The longest format, in bytes.
const MOST_BYTES: usize = 200;

/// The text of which the HMAC is made, such as `{timestamp}.{body}`. The places are those of Vapi's `payloadFormat`:
/// `{body}` `{timestamp}` `{method}` `{url}` `{svix-id}`.
///
/// `{body}` stands in it once. A moment counts only if it is signed: without `{timestamp}` none is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Body,
    Timestamp,
    Method,
    Url,
    Id,
}

/// Why a text is no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// Longer than any that is in use.
    #[error("The format has more than {MOST_BYTES} bytes.")]
    TooLong,
    /// Braces that name no place.
    #[error(
        "The format names an unknown place. There are {{body}}, {{timestamp}}, {{method}}, {{url}} and {{svix-id}}."
    )]
    UnknownPlace,
    /// The body is not signed, or twice.
    #[error("The format must have {{body}} in it once: what is not signed can be changed on its way.")]
    Body,
    /// Two places touch, or what stands between them could be a part of one, so that their border could be moved.
    #[error(
        "Between two places of the format must stand a dot or the like, and no letter, digit, hyphen or underscore, so \
         that no part can pass for another."
    )]
    Touching,
}

impl BadFormat {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "format_too_long",
            Self::UnknownPlace => "format_unknown_place",
            Self::Body => "format_without_body",
            Self::Touching => "format_touching",
        }
    }

    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn detail(self) -> String {
        self.to_string()
    }
}

impl PayloadFormat {
    /// The body alone. A repeat of it is good for ever.
    #[must_use]
    pub fn body() -> Self {
        Self(vec![Piece::Body])
    }

    /// `{timestamp}.{body}`: what Vapi and most others sign.
    #[must_use]
    pub fn timestamp_and_body() -> Self {
        Self(vec![Piece::Timestamp, Piece::Text(".".to_owned()), Piece::Body])
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    pub(super) fn has(&self, piece: &Piece) -> bool {
        self.0.contains(piece)
    }
}

impl FromStr for PayloadFormat {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        if text.len() > MOST_BYTES {
            return Err(BadFormat::TooLong);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, place) = rest.split_once('{').unwrap_or((rest, ""));
            if before.contains('}') {
                return Err(BadFormat::UnknownPlace);
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            if before.len() == rest.len() {
                break;
            }
            let (name, after) = place.split_once('}').ok_or(BadFormat::UnknownPlace)?;
            pieces.push(Piece::named(name).ok_or(BadFormat::UnknownPlace)?);
            rest = after;
        }
        if pieces.iter().filter(|piece| **piece == Piece::Body).count() != 1 {
            return Err(BadFormat::Body);
        }
        let touch = |pair: &[Piece]| !pair.iter().any(|piece| matches!(piece, Piece::Text(_)));
        let blur = |three: &[Piece]| match three {
            [before, Piece::Text(text), after] => {
                let places = !matches!((before, after), (Piece::Text(_), _) | (_, Piece::Text(_)));
                places && text.chars().any(|character| character.is_alphanumeric() || "-_".contains(character))
            }
            _ => false,
        };
        if pieces.windows(2).any(touch) || pieces.windows(3).any(blur) {
            return Err(BadFormat::Touching);
        }
        Ok(Self(pieces))
    }
}

impl fmt::Display for PayloadFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| {
            f.write_str(match piece {
                Piece::Text(text) => text,
                Piece::Body => "{body}",
                Piece::Timestamp => "{timestamp}",
                Piece::Method => "{method}",
                Piece::Url => "{url}",
                Piece::Id => "{svix-id}",
            })
        })
    }
}

impl Piece {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "body" => Self::Body,
            "timestamp" => Self::Timestamp,
            "method" => Self::Method,
            "url" => Self::Url,
            "svix-id" => Self::Id,
            _ => return None,
        })
    }
}
