//! What is known about a request before any handler runs: its id, its deadline, and where it comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;
use mainstay_domain::{Ids, RequestId, TraceContext};
use mainstay_store::Call;
use uuid::Uuid;

use super::Problem;
use super::metrics::UNMATCHED;
use super::overload::{Admission, Key, Overload, Priority};
use super::routes_table::Policy;
use crate::limits::Tally;
use crate::ops::log::trail::Trail;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Entries of X-Forwarded-For that are looked at, from the right. No honest chain of proxies is longer.
const MOST_HOPS: usize = 32;

/// The bounds that apply where the stack has set none: in tests of a bare router.
const UNSET: Limits = Limits { body: 256 * 1024, json_depth: 32 };

/// The socket that a request came over: set by the server for each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// False for a request of HTTP/1.1 that does not name its host exactly once, which RFC 9112 (3.2) wants refused.
    pub(super) host_named: bool,
}

/// The bounds of the request's body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) body: usize,
    pub(super) json_depth: usize,
}

/// What every handler may ask about its request. As an extractor it never fails.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The id that the answer and the log lines carry.
    pub request_id: RequestId,
    /// The time that is left, and the count of statements, for the store.
    pub call: Call,
    /// Where the request comes from: the peer, or what our own proxies say about it.
    pub client_address: IpAddr,
    /// Whether a browser says that one of our own pages sent it. Cookies count only then.
    pub same_origin: bool,
    /// The template of the path (`/v1/conversations/{id}`), or `unmatched`.
    pub route: Arc<str>,
    /// What the limits said of it.
    pub(crate) tally: Tally,
    pub(super) policy: Option<Policy>,
    pub(super) limits: Limits,
    /// The request's place among those that are worked on; nothing where none is needed.
    pub(super) admission: Option<Admission>,
}

impl RequestContext {
    /// A context for calling a handler without the stack: no id, no address, 30 s.
    #[must_use]
    pub fn detached() -> Self {
        Self {
            request_id: RequestId(Uuid::nil()),
            call: Call::within(Duration::from_secs(30)),
            client_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            same_origin: false,
            route: UNMATCHED.into(),
            tally: Tally::default(),
            policy: None,
            limits: UNSET,
            admission: None,
        }
    }

    /// A context whose request takes a place of its own until the last clone is dropped: for work that is not a route's,
    /// and for tests.
    #[must_use]
    pub fn taking_a_place(overload: &Overload) -> Self {
        Self { admission: Admission::new(overload, None, Priority::Write, 0), ..Self::detached() }
    }

    /// Takes a place among the requests that are worked on, for this organisation or address. Waits a moment when there is
    /// none free. Who has a place already passes.
    ///
    /// # Errors
    /// `overloaded`, with when to come back.
    pub async fn admit(&self, key: Key) -> Result<(), Problem> {
        match &self.admission {
            Some(admission) => admission.enter(key).await,
            None => Ok(()),
        }
    }

    /// The handler begins to wait for something that is not our work: a model, another server, news. Its place is free for
    /// others from here on, and its time ends here.
    pub fn waits(&self) {
        if let Some(admission) = &self.admission {
            admission.leave(self.call.statements() > 0);
        }
        if let Some(trail) = Trail::current() {
            trail.trace().waits();
        }
    }

    /// The bounds of the route from the table, where the route is in it.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        self.policy
    }

    pub(super) fn limits(extensions: &Extensions) -> Limits {
        extensions.get::<Self>().map_or(UNSET, |context| context.limits)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::detached))
    }
}

/// Networks whose word about a request is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// Why a network in the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a network in CIDR form, such as 10.0.0.0/8")]
pub struct NetworkFault(String);

impl TrustedProxies {
    /// Reads the setting `http.trusted_proxies`. A bare address stands for itself.
    ///
    /// # Errors
    /// When an entry is no network.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, NetworkFault> {
        let network = |entry: &T| {
            let entry = entry.as_ref().trim();
            let network = entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| NetworkFault(entry.to_owned()))
        };
        entries.iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from: the peer, or, when the peer is a proxy of ours, the last address in X-Forwarded-For
    /// that is not. What stands further left was written by the client and is not looked at.
    pub(super) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trust(client) {
            return client;
        }
        let lines = headers.get_all(X_FORWARDED_FOR);
        let entries = lines.iter().rev().filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for entry in entries.take(MOST_HOPS) {
            let Some(address) = hop(entry.trim()) else { break };
            client = address;
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    /// The trace that the request says it belongs to, and whether a proxy of ours says so.
    pub(super) fn trace(&self, peer: IpAddr, headers: &HeaderMap) -> (Option<TraceContext>, bool) {
        let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(TraceContext::parse);
        (given, self.trust(peer.to_canonical()))
    }

    /// The id that a proxy of ours has given, or a new one.
    pub(super) fn request_id(&self, peer: IpAddr, headers: &HeaderMap, ids: &Ids) -> RequestId {
        let given = headers.get(X_REQUEST_ID).filter(|_| self.trust(peer.to_canonical()));
        let given = given.and_then(|value| value.to_str().ok()).and_then(|text| Uuid::try_parse(text).ok());
        given.map_or_else(|| ids.make(), RequestId)
    }
}

/// One entry of X-Forwarded-For: an address, which some proxies write with a port.
fn hop(entry: &str) -> Option<IpAddr> {
    let address = entry.parse().or_else(|_| entry.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{Entropy, ManualClock, Timestamp};

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn proxies() -> TrustedProxies {
        TrustedProxies::parse(&["10.0.0.0/8", "fd00::/8", "192.0.2.7"]).expect("networks")
    }

    fn client(peer: &str, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, axum::http::HeaderValue::from_static(line));
        }
        proxies().client_address(peer.parse().expect("address"), &headers).to_string()
    }

    #[test]
    fn a_peer_that_is_no_proxy_of_ours_cannot_say_who_it_is() {
        assert_eq!(client("203.0.113.5", &["198.51.100.1"]), "203.0.113.5");
    }

    #[test]
    fn the_rightmost_address_that_is_not_ours_is_the_client() {
        assert_eq!(client(PROXY, &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(PROXY, &["1.1.1.1, 198.51.100.1, 10.2.3.4"]), "198.51.100.1");
        assert_eq!(client(PROXY, &["1.1.1.1, 198.51.100.1", "10.2.3.4,192.0.2.7"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(PROXY, &["198.51.100.1:55123"]), "198.51.100.1");
        assert_eq!(client(PROXY, &["[2001:db8::1]:443"]), "2001:db8::1");
    }

    #[test]
    fn without_a_usable_entry_the_last_known_hop_is_the_client() {
        assert_eq!(client(PROXY, &[]), PROXY);
        assert_eq!(client(PROXY, &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client(PROXY, &["1.1.1.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(PROXY, &[""]), PROXY);
    }

    #[test]
    fn an_endless_list_is_not_read_to_its_end() {
        let line: &'static str = Box::leak(vec!["10.0.0.2"; 10_000].join(",").into_boxed_str());
        assert_eq!(client(PROXY, &[line]), "10.0.0.2");
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        assert!(TrustedProxies::parse(&["10.0.0.0/33"]).is_err());
        assert!(TrustedProxies::parse(&["proxy.internal"]).is_err());
    }

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(1);
        }
    }

    #[test]
    fn a_request_id_is_taken_from_our_proxies_only_and_only_when_it_is_a_uuid() {
        let ids = Ids::new(Arc::new(ManualClock::new(Timestamp::from_millis(1))), Arc::new(Fixed));
        let id = |peer: &str, text: &'static str| {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, axum::http::HeaderValue::from_static(text))]);
            proxies().request_id(peer.parse().expect("address"), &headers, &ids).to_string()
        };
        let given = "0198c0de-0000-7000-8000-000000000001";
        let own = ids.make::<RequestId>().to_string();
        assert_eq!(id(PROXY, given), given);
        assert_eq!(id("203.0.113.5", given), own);
        assert_eq!(id(PROXY, "forged line"), own);
    }
}
