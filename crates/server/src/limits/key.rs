//! Whose requests are counted, and as what.

use std::net::IpAddr;

use mainstay_domain::{ApiKeyId, PersonId, TenantId};

use super::Class;

/// Somebody whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A person in an organisation.
    Person(TenantId, PersonId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// An organisation with all its members and keys.
    Organisation(TenantId),
    /// Where requests come from.
    Address(Network),
}

impl Subject {
    /// What kind of subject it is, as metrics and lists name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Person(..) => "user",
            Self::ApiKey(_) => "api_key",
            Self::Organisation(_) => "organisation",
            Self::Address(_) => "address",
        }
    }

    /// Which one it is: an id or an address.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Person(_, person) => person.to_string(),
            Self::ApiKey(key) => key.to_string(),
            Self::Organisation(tenant) => tenant.to_string(),
            Self::Address(network) => network.to_string(),
        }
    }
}

/// An address as it is counted: an IPv4 address, or the first 64 bits of an IPv6 address, because whoever has one address
/// there has all of them. An IPv6 address that only wraps an IPv4 address counts as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// An IPv4 address.
    V4(u32),
    /// The first 64 bits of an IPv6 address.
    V6(u64),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX)),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4(bits) => write!(f, "{}", std::net::Ipv4Addr::from_bits(*bits)),
            Self::V6(bits) => write!(f, "{}/64", std::net::Ipv6Addr::from_bits(u128::from(*bits) << 64)),
        }
    }
}

/// One log: a subject, and the class of what it asks for. A limit on everything that a subject does has
/// [`Class::Unlimited`] here, since it is of no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Who.
    pub subject: Subject,
    /// What.
    pub class: Class,
}

impl Key {
    /// A limit on one class of requests.
    #[must_use]
    pub const fn new(subject: Subject, class: Class) -> Self {
        Self { subject, class }
    }

    /// A limit on everything.
    #[must_use]
    pub const fn overall(subject: Subject) -> Self {
        Self { subject, class: Class::Unlimited }
    }
}

/// A limit that a request must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The log that it is kept in.
    pub key: Key,
    /// What the headers call it.
    pub name: &'static str,
    /// The most requests in any window.
    pub limit: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().expect("an address").into()
    }

    #[test]
    fn an_ipv6_address_counts_by_its_first_64_bits_and_a_wrapped_one_as_ipv4() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
        assert_eq!(network("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert_eq!(network("192.0.2.7").to_string(), "192.0.2.7");
    }
}
