//! The text of a policy of DMARC, read (RFC 7489, 6.3, 6.4; RFC 9989, 4.7).

use crate::tags::{shown, tag, tags};

/// What receivers are asked to do with mail that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    None,
    Quarantine,
    Reject,
}

impl Request {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "p=none",
            Self::Quarantine => "p=quarantine",
            Self::Reject => "p=reject",
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "quarantine" => Some(Self::Quarantine),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }
}

/// Whether a name says that it is a public suffix (`psd=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    Yes,
    No,
    Unsaid,
}

/// A policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) request: Request,
    /// For the names below.
    pub(super) below: Request,
    pub(super) strict_dkim: bool,
    pub(super) strict_spf: bool,
    pub(super) suffix: Suffix,
}

/// Whether a text is a policy: its version, and a semicolon or the end.
pub(super) fn is_one(text: &str) -> bool {
    let value = text.strip_prefix('v').and_then(|rest| rest.trim_start_matches([' ', '\t']).strip_prefix('='));
    let rest = value.and_then(|value| value.trim_start_matches([' ', '\t']).strip_prefix("DMARC1"));
    rest.is_some_and(|rest| {
        let rest = rest.trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with(';')
    })
}

impl Record {
    /// Reads a policy. Tags that are not known do not count.
    ///
    /// # Errors
    /// Why a receiver may not take it, in words. `p` has to be there, as RFC 7489 has it and not RFC 9989.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let tags = tags(text)?;
        let request = |name: &str| match tag(&tags, name) {
            None => Ok(None),
            Some(value) => Request::read(value)
                .map(Some)
                .ok_or_else(|| format!("{name}={} is none of none, quarantine and reject", shown(value))),
        };
        let strict = |name: &str| match tag(&tags, name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("r") => Ok(false),
            Some("s") => Ok(true),
            Some(other) => Err(format!("{name}={} is none of r and s", shown(other))),
        };
        let (own, below) = (request("p")?, request("sp")?);
        let own = own.ok_or_else(|| "it asks for nothing: p= is missing".to_owned())?;
        if let Some(share) = tag(&tags, "pct")
            && !share.parse::<u8>().is_ok_and(|share| share <= 100)
        {
            return Err(format!("pct={} is no share from 0 to 100", shown(share)));
        }
        let suffix = match tag(&tags, "psd") {
            Some("y" | "Y") => Suffix::Yes,
            Some("n" | "N") => Suffix::No,
            _ => Suffix::Unsaid,
        };
        Ok(Self {
            request: own,
            below: below.unwrap_or(own),
            strict_dkim: strict("adkim")?,
            strict_spf: strict("aspf")?,
            suffix,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_policy_is_known_by_its_version() {
        for text in ["v=DMARC1", "v=DMARC1; p=none", "v = DMARC1 ;p=none"] {
            assert!(is_one(text), "{text}");
        }
        for text in ["", "v=DMARC", "v=dmarc1; p=none", "v=DMARC10; p=none", "p=none; v=DMARC1", "\"v=DMARC1; p=none\""]
        {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn policies_are_read_or_refused_with_a_reason() {
        let read =
            Record::read("v=DMARC1; p=Reject; sp=none; adkim=s; aspf=r; pct=50; rua=mailto:a@b.example; x=y; psd=n");
        let expected = Record {
            request: Request::Reject,
            below: Request::None,
            strict_dkim: true,
            strict_spf: false,
            suffix: Suffix::No,
        };
        assert_eq!(read, Ok(expected));
        let below = Record::read("v=DMARC1;p=quarantine;").unwrap();
        assert_eq!((below.below, below.suffix), (Request::Quarantine, Suffix::Unsaid));
        for (bad, why) in [
            ("v=DMARC1", "p= is missing"),
            ("v=DMARC1; p=", "none of none"),
            ("v=DMARC1; p=monitor", "none of none"),
            ("v=DMARC1; p=none; sp=x", "sp=x"),
            ("v=DMARC1; p=none; adkim=strict", "adkim=strict"),
            ("v=DMARC1; p=none; aspf=", "aspf="),
            ("v=DMARC1; p=none; pct=101", "pct=101"),
            ("v=DMARC1; p=none; p=reject", "twice"),
            ("v=DMARC1; p=none rua=mailto:a@b.example", "none of none"),
            ("v=DMARC1; none", "no ="),
        ] {
            assert!(Record::read(bad).unwrap_err().contains(why), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in ".{0,120}", tags in "(v=DMARC1|p=[a-z]{0,10}|sp=none|;|=| ){0,8}") {
            let _ = (is_one(&text), Record::read(&text), is_one(&tags), Record::read(&tags));
        }
    }
}
