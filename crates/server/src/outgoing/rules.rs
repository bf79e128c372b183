//! Which URLs may be called: the rules for their text, and for the addresses behind them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use http::Uri;
use ipnet::IpNet;
use url::{Host, ParseError, Url};

use super::address::{NotPublic, embedded, why_not_public};

/// The longest URL, in characters, as it is written and as it is sent. RFC 9110, section 4.1 asks for 8000 at least of
/// whoever must take any URL; nobody needs that for an endpoint, and it is stored with each.
const MAX_URL_CHARS: usize = 2048;

/// What the operator allows. The default is https to public addresses.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Whether plain http is allowed. Anybody on the way can read and change what is sent.
    pub allow_http: bool,
    /// Nets that are called although they are not public: receivers in the operator's own network.
    pub allowed: Vec<IpNet>,
    /// Nets that are never called, although they are public or allowed: the operator's own public addresses, or a NAT64
    /// prefix of the local network, which hides private IPv4 addresses in public IPv6 ones.
    pub refused: Vec<IpNet>,
}

impl Rules {
    /// Everything is allowed: for addresses that the operator names, and who may have a receiver of their own next door.
    #[must_use]
    pub fn anywhere() -> Self {
        let allowed = ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
        Self { allow_http: true, allowed, refused: Vec::new() }
    }
}

/// Why a URL cannot be called, whatever its host would answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUrl {
    /// It is longer than 2048 characters.
    TooLong,
    /// It is not a URL.
    NotUrl,
    /// It begins with neither https:// nor, where that is allowed, http://.
    Scheme {
        /// Whether http would have done.
        allow_http: bool,
    },
    /// It names no host.
    NoHost,
    /// It has a user name or a password.
    Credentials,
    /// It has a fragment, which is never sent.
    Fragment,
    /// Its host is written as an address, or as a name for this host, that is not public.
    Address(NotPublic),
}

impl BadUrl {
    /// A stable code in `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotUrl => "not_a_url",
            Self::Scheme { .. } => "scheme_not_allowed",
            Self::NoHost => "no_host",
            Self::Credentials => "has_credentials",
            Self::Fragment => "has_fragment",
            Self::Address(_) => "address_not_public",
        }
    }
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the URL may have at most {MAX_URL_CHARS} characters"),
            Self::NotUrl => f.write_str("this is not a URL"),
            Self::Scheme { allow_http: false } => f.write_str("the URL must begin with https://"),
            Self::Scheme { allow_http: true } => f.write_str("the URL must begin with https:// or http://"),
            Self::NoHost => f.write_str("the URL names no host"),
            Self::Credentials => f.write_str("the URL must have no user name and no password"),
            Self::Fragment => f.write_str("the URL must have no fragment: what follows # is never sent"),
            Self::Address(why) => write!(f, "the host must be public, and this is {why}"),
        }
    }
}

impl std::error::Error for BadUrl {}

/// Reads the URL of an endpoint. What comes back is the text to store: the host is in the one form that is compared and
/// dialled, so that `http://2130706433/` is already `http://127.0.0.1/`. A host that is a name is not looked up: what it
/// stands for may change, and is judged whenever a connection is made.
///
/// # Errors
///
/// When this URL could never be called.
pub fn validate_url(text: &str, rules: &Rules) -> Result<Url, BadUrl> {
    if text.chars().nth(MAX_URL_CHARS).is_some() {
        return Err(BadUrl::TooLong);
    }
    // The parser drops these in silence (WHATWG URL, section 4.4), and then what was shown is not what is called.
    if text.chars().any(|character| character.is_ascii_control() || character.is_whitespace()) {
        return Err(BadUrl::NotUrl);
    }
    let url = Url::parse(text).map_err(|error| match error {
        ParseError::EmptyHost => BadUrl::NoHost,
        _ => BadUrl::NotUrl,
    })?;
    rules.check(&url)?;
    Ok(url)
}

impl Rules {
    /// What [`validate_url`] checks, for a URL that was stored earlier, perhaps under other rules.
    pub(super) fn check(&self, url: &Url) -> Result<(), BadUrl> {
        if url.as_str().len() > MAX_URL_CHARS {
            return Err(BadUrl::TooLong);
        }
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            _ => return Err(BadUrl::Scheme { allow_http: self.allow_http }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::Credentials);
        }
        if url.fragment().is_some() {
            return Err(BadUrl::Fragment);
        }
        // What is judged here is the host of the URL; what is dialled is the host of the request, which another parser reads.
        if url.as_str().parse::<Uri>().ok().as_ref().and_then(Uri::host) != url.host_str() {
            return Err(BadUrl::NotUrl);
        }
        let literal = match url.host() {
            None => return Err(BadUrl::NoHost),
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(name)) if is_this_host(name) => Ipv4Addr::LOCALHOST.into(),
            Some(Host::Domain(_)) => return Ok(()),
        };
        self.judge(literal).map_err(BadUrl::Address)
    }

    /// Whether this address may be dialled.
    pub(super) fn judge(&self, address: IpAddr) -> Result<(), NotPublic> {
        let within = match address {
            IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        if self.refused.iter().any(|net| net.contains(&address) || within.is_some_and(|it| net.contains(&it))) {
            return Err(NotPublic::Operator);
        }
        // An IPv4-mapped address is the IPv4 address, to this system. What a NAT64 would reach is in another network.
        let canonical = address.to_canonical();
        if self.allowed.iter().any(|net| net.contains(&canonical)) {
            return Ok(());
        }
        why_not_public(address).map_or(Ok(()), Err)
    }
}

/// RFC 6761, section 6.3: `localhost` and the names below it are this host, whatever a resolver says.
fn is_this_host(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}
