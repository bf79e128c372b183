//! Rules that several sections share.

use ipnet::IpNet;
use mainstay_domain::Secret;
use reqwest::Url;

use super::Fault;
use super::value::shorten;

/// Whether an address may have a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    None,
    Any,
}

/// Checks an http or https address. A user name or a password in it is a fault, since these addresses are shown and
/// logged; for the same reason no message shows the address.
pub(super) fn web_address(key: &str, address: &str, path: Path) -> Result<(), Fault> {
    let example = match path {
        Path::None => "Write it as https://chat.example.com",
        Path::Any => "Write it as https://api.example.com/v1",
    };
    let fault = |reason: &str| Err(Fault::new(key, reason, example));
    let Ok(url) = Url::parse(address) else { return fault("is not a well-formed address with its scheme") };
    if !matches!(url.scheme(), "http" | "https") {
        fault("is not an http or https address")
    } else if !url.username().is_empty() || url.password().is_some() {
        fault("holds a user name or a password, which would be shown and logged")
    } else if url.query().is_some() || url.fragment().is_some() {
        fault("has a question mark or a hash mark in it")
    } else if path == Path::None && url.path() != "/" {
        fault("has a path, and Mainstay is always served from the root of its host")
    } else {
        Ok(())
    }
}

/// The address of a server with its user and password, when it is sound. A / or # of a password that is not
/// percent-encoded ends the host too early, and the @ comes after it.
pub(super) fn server_address(address: &Secret) -> Option<Url> {
    Url::parse(address.expose()).ok().filter(|url| !url.path().contains('@') && url.fragment().is_none())
}

/// True for a web address without encryption that leaves this machine.
pub(super) fn is_open(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // RFC 6761, section 6.3: every name under localhost is this machine.
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A value that is not secret, for a message.
pub(super) fn shown(text: &str) -> String {
    shorten(text, 60)
}

/// Makes an accessor of type `Duration` for each setting that is a time.
macro_rules! durations {
    ($section:ty { $($name:ident: $unit:ident($field:ident)),+ $(,)? }) => {
        impl $section {
            $(
                #[doc = concat!("The setting `", stringify!($field), "` as a duration.")]
                #[must_use]
                pub const fn $name(&self) -> std::time::Duration {
                    std::time::Duration::$unit(self.$field)
                }
            )+
        }
    };
}
pub(super) use durations;

/// The networks of a list of texts.
pub(super) fn networks(list: &[String]) -> Vec<IpNet> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The fault of a list of networks in which something is none.
pub(super) fn no_network(key: &str, list: &[String]) -> Option<Fault> {
    let bad = list.iter().find(|text| text.parse::<IpNet>().is_err())?;
    let reason = format!("'{}' is no network", shown(bad));
    Some(Fault::new(key, reason, "Write it as 10.1.0.0/16 or fd00:1::/32"))
}
