//! People, organisations, and what a member may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{Refused, bounded_line, unprinted};

/// What a member may do in an organisation. The order is the order of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Uses the product; sees what is theirs and what is shared.
    Member,
    /// Also manages members and API keys.
    Admin,
    /// Also manages the organisation itself. There is always at least one.
    Owner,
}

/// What an organisation pays for, and so what it may use. The order is that of what it allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Nothing paid.
    #[default]
    Free,
    /// The first paid plan.
    Core,
    /// The largest plan.
    Studio,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyScope {
    /// Reads conversations and messages.
    Read,
    /// Writes messages, and makes, renames and deletes conversations.
    Write,
    /// Manages members and API keys.
    Admin,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { word: word.to_owned(), known: &[$($word),+] }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A word that stands for none of the values of a set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of {}", known.join(", "))]
pub struct UnknownWord {
    pub(crate) word: String,
    pub(crate) known: &'static [&'static str],
}

words!(Role { Member = "member", Admin = "admin", Owner = "owner" });
words!(Plan { Free = "free", Core = "core", Studio = "studio" });
words!(ApiKeyScope { Read = "read", Write = "write", Admin = "admin" });

/// An address of a person, in the form that identifies them: trimmed, lower case.
///
/// The check is deliberately small (RFC 5321 allows more than any mail system takes): one `@`, a local part of at most
/// 64 bytes, a domain with a dot or `localhost`, no white space or control characters, at most 254 bytes in all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an address.
    ///
    /// # Errors
    /// Says what keeps the text from being an address.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let address = text.trim().to_lowercase();
        let bad =
            |why: &str| Err(Refused { code: "invalid_email", detail: format!("This is not an email address: {why}.") });
        if address.len() > 254 {
            return bad("it is longer than 254 bytes");
        }
        if address.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c)) {
            return bad("it holds a space or a character that an address cannot have");
        }
        match address.split_once('@') {
            None => bad("there is no @ in it"),
            Some((_, domain)) if domain.contains('@') => bad("there is more than one @ in it"),
            Some((local, _)) if local.is_empty() || local.len() > 64 => {
                bad("the part before the @ must have 1 to 64 bytes")
            }
            Some((_, domain)) if !is_domain(domain) => bad("the part after the @ is not a domain"),
            Some(_) => Ok(Self(address)),
        }
    }
}

/// Labels of letters of any script, digits and hyphens.
fn is_domain(domain: &str) -> bool {
    let plain = |one: char| one.is_ascii_alphanumeric() || one == '-' || !one.is_ascii();
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(plain)
    };
    domain == "localhost" || (domain.contains('.') && domain.split('.').all(label))
}

// No `Display`: a line of the log that names it must not be one careless `{}` away.
unprinted!(EmailAddress, "[email]");

/// What a person is called: one line of at most 200 characters, which may be empty.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PersonName(String);

unprinted!(PersonName, "[name]");

impl PersonName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When it is too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        bounded_line(text, 0, 200).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folded_and_checked() {
        assert_eq!(
            EmailAddress::parse("  Ada@Example.COM ").map(|a| a.as_str().to_owned()),
            Ok("ada@example.com".to_owned())
        );
        assert!(EmailAddress::parse("ada@b\u{fc}cher.example").is_ok());
        for bad in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a@b@c.com",
            "ada@example",
            "ada@ex ample.com",
            "a@-x.com",
            "a\n@x.com",
            "ada@example.com*",
            "ada@exam_ple.com",
            "ada@example.com!",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn what_says_who_somebody_is_does_not_print() {
        let email = EmailAddress::parse("ada@example.com").expect("an address");
        let name = PersonName::parse("Ada Lovelace").expect("a name");
        assert_eq!(format!("{:?}", (&email, &name, Some(&email))), "([email], [name], Some([email]))");
    }

    #[test]
    fn roles_are_ordered_by_power_and_read_what_they_print() {
        assert!(Role::Owner > Role::Admin && Role::Admin > Role::Member);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert_eq!(
            "king".parse::<Role>().map_err(|e| e.to_string()),
            Err("\"king\" is none of member, admin, owner".to_owned())
        );
    }
}
