//! Deployments: what was put where, and what came of it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::account::{UnknownWord, words};
use crate::text::{Refused, bounded_line};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeploymentKind {
    /// A build took the place of another one.
    Deploy,
    /// A build that had run before came back.
    Rollback,
}

words!(DeploymentKind { Deploy = "deploy", Rollback = "rollback" });

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeploymentOutcome {
    /// The build serves.
    Succeeded,
    /// It was not put in place, or nobody knows in which state it was left.
    Failed,
    /// It was put in place, did not hold, and what ran before runs again.
    RolledBack,
}

words!(DeploymentOutcome { Succeeded = "succeeded", Failed = "failed", RolledBack = "rolled_back" });

/// The name of an environment: 1 to 40 lower-case letters, digits and hyphens, such as `production`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EnvironmentName(String);

impl EnvironmentName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty, too long, or holds anything else.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let name = bounded_line(text, 1, 40)?;
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            let detail = "Use lower-case letters, digits and hyphens only, as in `production`.".to_owned();
            return Err(Refused { code: "invalid_name", detail });
        }
        Ok(Self(name))
    }
}

/// By what a build is known: SHA-256 of its file, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BuildDigest(String);

impl BuildDigest {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a digest, with or without `sha256:` before it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let digits = text.trim();
        let digits = digits.strip_prefix("sha256:").unwrap_or(digits).to_ascii_lowercase();
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let detail = "A digest is 64 hexadecimal digits (SHA-256), with or without `sha256:`.".to_owned();
            return Err(Refused { code: "invalid_digest", detail });
        }
        Ok(Self(digits))
    }
}

impl fmt::Display for BuildDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sixty_four_digits() {
        let digits = "0a".repeat(32);
        let known = BuildDigest::parse(&digits).expect("a digest");
        assert_eq!(BuildDigest::parse(&format!("sha256:{}", digits.to_uppercase())).as_ref().ok(), Some(&known));
        for bad in ["", "sha256:", &digits[1..], &format!("{}g", &digits[1..]), &format!("sha512:{digits}")] {
            assert!(BuildDigest::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn an_environment_has_a_plain_name() {
        assert!(EnvironmentName::parse("production-2").is_ok());
        for bad in ["", "Production", "a b", "a_b", &"a".repeat(41)] {
            assert!(EnvironmentName::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
