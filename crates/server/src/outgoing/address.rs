//! Which IP addresses are public: reachable over the internet, and nobody's own network.
//!
//! The tables follow the special-purpose registries of IANA ("iana-ipv4-special-registry" and
//! "iana-ipv6-special-registry"), the registry of multicast and the RFCs named beside each row. Where the registry calls a
//! part of a refused block reachable (anycast of a protocol), it stays refused: no receiver is there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublic {
    /// No address at all, or "this network".
    Unspecified,
    /// This host.
    Loopback,
    /// A private network.
    Private,
    /// One link only; the metadata services of clouds are here.
    LinkLocal,
    /// Shared between a carrier and its customers; some clouds have services here.
    Shared,
    /// For measuring devices.
    Benchmarking,
    /// For examples in texts.
    Documentation,
    /// For the IETF's protocols.
    Protocol,
    /// A group of hosts.
    Multicast,
    /// Everybody on the link.
    Broadcast,
    /// Set aside, or given to nobody.
    Reserved,
    /// A tunnel whose other end is an IPv4 address of the sender's choice.
    Tunnel,
    /// IPv6 that is translated to IPv4 by rules of the local network.
    Translated,
    /// Packets to it are thrown away.
    Discard,
    /// Identifiers of segment routing.
    Segments,
    /// A service of the cloud that this program may run in.
    Platform,
    /// The operator has refused it.
    Operator,
}

impl NotPublic {
    /// What the address is, as the end of a sentence.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unspecified => "no address of a host",
            Self::Loopback => "a loopback address",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "a link-local address",
            Self::Shared => "an address shared by a carrier",
            Self::Benchmarking => "an address for benchmarks",
            Self::Documentation => "an address for documentation",
            Self::Protocol => "an address of a protocol",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Reserved => "a reserved address",
            Self::Tunnel => "an address of a tunnel",
            Self::Translated => "an address that the local network translates",
            Self::Discard => "an address that discards what it is sent",
            Self::Segments => "an identifier of segment routing",
            Self::Platform => "an address of the hosting platform",
            Self::Operator => "an address that is refused here",
        }
    }
}

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phrase())
    }
}

/// The first row that has the address decides.
const V4: [(Ipv4Net, NotPublic); 20] = [
    // RFC 791, section 3.2. Linux connects 0.0.0.0 to this host.
    (v4([0, 0, 0, 0], 8), NotPublic::Unspecified),
    // RFC 1918.
    (v4([10, 0, 0, 0], 8), NotPublic::Private),
    (v4([172, 16, 0, 0], 12), NotPublic::Private),
    (v4([192, 168, 0, 0], 16), NotPublic::Private),
    // RFC 6598. 100.100.100.200 is the metadata service of one cloud.
    (v4([100, 64, 0, 0], 10), NotPublic::Shared),
    // RFC 1122, section 3.2.1.3.
    (v4([127, 0, 0, 0], 8), NotPublic::Loopback),
    // RFC 3927. 169.254.169.254 is the metadata service of most clouds.
    (v4([169, 254, 0, 0], 16), NotPublic::LinkLocal),
    // Microsoft, "What is IP address 168.63.129.16": the host of a virtual machine, which hands out its configuration.
    (v4([168, 63, 129, 16], 32), NotPublic::Platform),
    // RFC 6890, with DS-Lite, PCP, TURN and NAT64 discovery. 192.0.0.192 is the metadata service of one cloud.
    (v4([192, 0, 0, 0], 24), NotPublic::Protocol),
    // RFC 5737.
    (v4([192, 0, 2, 0], 24), NotPublic::Documentation),
    (v4([198, 51, 100, 0], 24), NotPublic::Documentation),
    (v4([203, 0, 113, 0], 24), NotPublic::Documentation),
    // RFC 7535 and RFC 7534: the sink for questions about private addresses.
    (v4([192, 31, 196, 0], 24), NotPublic::Protocol),
    (v4([192, 175, 48, 0], 24), NotPublic::Protocol),
    // RFC 7450: relays of multicast.
    (v4([192, 52, 193, 0], 24), NotPublic::Protocol),
    // RFC 7526: relays of 6to4, withdrawn.
    (v4([192, 88, 99, 0], 24), NotPublic::Tunnel),
    // RFC 2544.
    (v4([198, 18, 0, 0], 15), NotPublic::Benchmarking),
    // RFC 5771.
    (v4([224, 0, 0, 0], 4), NotPublic::Multicast),
    // RFC 919. Before the reserved block that it lies in.
    (v4([255, 255, 255, 255], 32), NotPublic::Broadcast),
    // RFC 1112, section 4.
    (v4([240, 0, 0, 0], 4), NotPublic::Reserved),
];

/// The first row that has the address decides.
const V6: [(Ipv6Net, NotPublic); 19] = [
    // RFC 4291, sections 2.5.2 and 2.5.3.
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), NotPublic::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), NotPublic::Loopback),
    // RFC 4291, section 2.5.5.1: "IPv4-compatible", withdrawn.
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), NotPublic::Tunnel),
    // RFC 8215: translated by rules that cannot be known here.
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), NotPublic::Translated),
    // RFC 6666, and RFC 9780 for the dummy prefix beside it.
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), NotPublic::Discard),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), NotPublic::Discard),
    // RFC 4380: Teredo.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), NotPublic::Tunnel),
    // RFC 5180.
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), NotPublic::Benchmarking),
    // RFC 2928, with ORCHID (RFC 4843), ORCHIDv2 (RFC 7343) and DRIP (RFC 9374), which no packet is sent to.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), NotPublic::Protocol),
    // RFC 3849 and RFC 9637.
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), NotPublic::Documentation),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), NotPublic::Documentation),
    // RFC 3056: 6to4. The IPv4 address within may be anybody's, and RFC 7526 has withdrawn the relays.
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), NotPublic::Tunnel),
    // RFC 7534: the sink for questions about private addresses.
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), NotPublic::Protocol),
    // RFC 3701: the old experimental network, given back.
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), NotPublic::Reserved),
    // RFC 9602.
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), NotPublic::Segments),
    // RFC 4193. fd00:ec2::254 and fd20:ce::254 are metadata services.
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), NotPublic::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), NotPublic::LinkLocal),
    // RFC 3879: site-local, withdrawn and still routed in places.
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), NotPublic::Private),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), NotPublic::Multicast),
];

/// RFC 6052, section 2.1: IPv4 as a NAT64 shows it. On a network without IPv4 every receiver that has only IPv4 is here.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// RFC 4291, section 2.4.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(segments: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// Whether the address is public.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    why_not_public(address).is_none()
}

/// Why the address is not public. None when it is.
#[must_use]
pub fn why_not_public(address: IpAddr) -> Option<NotPublic> {
    let address = match address {
        IpAddr::V4(address) => return why_not_public_v4(address),
        IpAddr::V6(address) => address,
    };
    if let Some(within) = embedded(address) {
        return why_not_public_v4(within);
    }
    let row = V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why);
    // Outside global unicast nothing is public only because it has no row.
    row.or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some(NotPublic::Reserved))
}

fn why_not_public_v4(address: Ipv4Addr) -> Option<NotPublic> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why)
}

/// The IPv4 address that packets to this one reach: of an IPv4-mapped address (RFC 4291, section 2.5.5.2), which the
/// system itself turns into IPv4, and of the well-known prefix of NAT64.
pub(super) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    let [.., a, b, c, d] = address.octets();
    NAT64.contains(&address).then(|| Ipv4Addr::new(a, b, c, d))
}
