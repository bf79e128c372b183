//! Which addresses are public, row by row and by property.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::{NotPublic, Rules, is_public, why_not_public};

const NOT_PUBLIC: [(&str, NotPublic); 89] = [
    ("0.0.0.0", NotPublic::Unspecified),
    ("0.255.255.255", NotPublic::Unspecified),
    ("10.0.0.0", NotPublic::Private),
    ("10.255.255.255", NotPublic::Private),
    ("100.64.0.0", NotPublic::Shared),
    ("100.100.100.200", NotPublic::Shared),
    ("100.127.255.255", NotPublic::Shared),
    ("127.0.0.0", NotPublic::Loopback),
    ("127.0.0.1", NotPublic::Loopback),
    ("127.255.255.255", NotPublic::Loopback),
    ("168.63.129.16", NotPublic::Platform),
    ("169.254.0.0", NotPublic::LinkLocal),
    ("169.254.169.254", NotPublic::LinkLocal),
    ("169.254.170.2", NotPublic::LinkLocal),
    ("169.254.255.255", NotPublic::LinkLocal),
    ("172.16.0.0", NotPublic::Private),
    ("172.31.255.255", NotPublic::Private),
    ("192.0.0.0", NotPublic::Protocol),
    ("192.0.0.9", NotPublic::Protocol),
    ("192.0.0.192", NotPublic::Protocol),
    ("192.0.0.255", NotPublic::Protocol),
    ("192.0.2.0", NotPublic::Documentation),
    ("192.0.2.255", NotPublic::Documentation),
    ("192.31.196.1", NotPublic::Protocol),
    ("192.52.193.1", NotPublic::Protocol),
    ("192.88.99.0", NotPublic::Tunnel),
    ("192.88.99.255", NotPublic::Tunnel),
    ("192.168.0.0", NotPublic::Private),
    ("192.168.255.255", NotPublic::Private),
    ("192.175.48.1", NotPublic::Protocol),
    ("198.18.0.0", NotPublic::Benchmarking),
    ("198.19.255.255", NotPublic::Benchmarking),
    ("198.51.100.0", NotPublic::Documentation),
    ("198.51.100.255", NotPublic::Documentation),
    ("203.0.113.0", NotPublic::Documentation),
    ("203.0.113.255", NotPublic::Documentation),
    ("224.0.0.0", NotPublic::Multicast),
    ("239.255.255.255", NotPublic::Multicast),
    ("240.0.0.0", NotPublic::Reserved),
    ("255.255.255.254", NotPublic::Reserved),
    ("255.255.255.255", NotPublic::Broadcast),
    ("::", NotPublic::Unspecified),
    ("::1", NotPublic::Loopback),
    ("::2", NotPublic::Tunnel),
    ("::7f00:1", NotPublic::Tunnel),
    ("::8.8.8.8", NotPublic::Tunnel),
    ("::ffff:0.0.0.0", NotPublic::Unspecified),
    ("::ffff:7f00:1", NotPublic::Loopback),
    ("::ffff:10.1.2.3", NotPublic::Private),
    ("::ffff:169.254.169.254", NotPublic::LinkLocal),
    ("::ffff:255.255.255.255", NotPublic::Broadcast),
    ("::ffff:0:8.8.8.8", NotPublic::Reserved),
    ("64:ff9b::127.0.0.1", NotPublic::Loopback),
    ("64:ff9b::a9fe:a9fe", NotPublic::LinkLocal),
    ("64:ff9b::192.168.0.1", NotPublic::Private),
    ("64:ff9b:0:0:1::8.8.8.8", NotPublic::Reserved),
    ("64:ff9b:1::8.8.8.8", NotPublic::Translated),
    ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", NotPublic::Translated),
    ("64:ff9b:2::1", NotPublic::Reserved),
    ("100::1", NotPublic::Discard),
    ("100:0:0:1::1", NotPublic::Discard),
    ("100:0:0:2::1", NotPublic::Reserved),
    ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NotPublic::Reserved),
    ("2001::1", NotPublic::Tunnel),
    ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", NotPublic::Tunnel),
    ("2001:1::1", NotPublic::Protocol),
    ("2001:2::1", NotPublic::Benchmarking),
    ("2001:3::1", NotPublic::Protocol),
    ("2001:4:112::1", NotPublic::Protocol),
    ("2001:10::1", NotPublic::Protocol),
    ("2001:20::1", NotPublic::Protocol),
    ("2001:30::1", NotPublic::Protocol),
    ("2001:1ff:ffff::1", NotPublic::Protocol),
    ("2001:db8::1", NotPublic::Documentation),
    ("2002::1", NotPublic::Tunnel),
    ("2002:7f00:1::1", NotPublic::Tunnel),
    ("2002:808:808::1", NotPublic::Tunnel),
    ("2620:4f:8000::1", NotPublic::Protocol),
    ("3ffe::1", NotPublic::Reserved),
    ("3fff::1", NotPublic::Documentation),
    ("3fff:fff:ffff::1", NotPublic::Documentation),
    ("4000::1", NotPublic::Reserved),
    ("5f00::1", NotPublic::Segments),
    ("fc00::1", NotPublic::Private),
    ("fd00:ec2::254", NotPublic::Private),
    ("fe80::1", NotPublic::LinkLocal),
    ("febf:ffff::1", NotPublic::LinkLocal),
    ("fec0::1", NotPublic::Private),
    ("ff02::1", NotPublic::Multicast),
];

/// The neighbours of what is refused, and a few that everybody knows.
const PUBLIC: [&str; 46] = [
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2000::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2003::1",
    "2400:cb00::1",
    "2606:4700:4700::1111",
    "2620:4f:7fff::1",
    "2620:4f:8001::1",
    "2a00:1450::1",
    "2c0f:ffff::1",
    "3ffd:ffff::1",
    "3fff:1000::1",
    "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

#[test]
fn each_address_is_judged_by_its_block() {
    for (text, why) in NOT_PUBLIC {
        assert_eq!(why_not_public(text.parse().unwrap()), Some(why), "{text}");
    }
    for text in PUBLIC {
        assert_eq!(why_not_public(text.parse().unwrap()), None, "{text}");
    }
}

#[test]
fn the_operator_allows_and_refuses_nets() {
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let rules = Rules {
        allow_http: false,
        allowed: nets(&["10.1.0.0/16", "fd00::/8"]),
        refused: nets(&["10.1.9.0/24", "8.8.8.0/24"]),
    };
    let judge = |text: &str| rules.judge(text.parse().unwrap());
    assert_eq!(judge("10.1.2.3"), Ok(()));
    assert_eq!(judge("::ffff:10.1.2.3"), Ok(()), "to this system it is the same address");
    assert_eq!(judge("64:ff9b::10.1.2.3"), Err(NotPublic::Private), "the network behind a NAT64 is another one");
    assert_eq!(judge("fd00::1"), Ok(()));
    assert_eq!(judge("fc00::1"), Err(NotPublic::Private));
    assert_eq!(judge("10.2.0.1"), Err(NotPublic::Private));
    assert_eq!(judge("10.1.9.1"), Err(NotPublic::Operator), "refused goes before allowed");
    for text in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
        assert_eq!(judge(text), Err(NotPublic::Operator), "{text}");
    }
    assert_eq!(judge("8.8.4.4"), Ok(()));
}

/// Any IPv4 address, more often one that is near the rows of the table.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let rows: Vec<u32> =
        NOT_PUBLIC.iter().filter_map(|(text, _)| text.parse::<Ipv4Addr>().ok()).map(u32::from).collect();
    let near = (proptest::sample::select(rows), 0..32_u32, any::<u32>())
        .prop_map(|(row, kept, low)| row ^ low.checked_shr(kept).unwrap_or(0));
    prop_oneof![any::<u32>(), near].prop_map(Ipv4Addr::from)
}

/// An IPv6 address with these two segments somewhere in it.
fn v6(front: &[u16], within: Ipv4Addr, back: u64) -> IpAddr {
    let [a, b, c, d] = within.octets();
    let mut segments = front.to_vec();
    segments.extend([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]);
    let back = back.to_be_bytes();
    segments.extend(back.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).cycle().take(8 - segments.len()));
    IpAddr::V6(Ipv6Addr::from(<[u16; 8]>::try_from(segments).unwrap()))
}

proptest! {
    #[test]
    fn an_embedding_is_as_public_as_what_it_embeds(within in any_v4()) {
        let public = is_public(within.into());
        prop_assert_eq!(is_public(within.to_ipv6_mapped().into()), public);
        prop_assert_eq!(is_public(v6(&[0x64, 0xff9b, 0, 0, 0, 0], within, 0)), public);
    }

    #[test]
    fn no_tunnel_is_public(within in any_v4(), back in any::<u64>()) {
        let (high, low) = ((back >> 48) as u16, back as u16);
        prop_assert!(!is_public(v6(&[0x2002], within, back)), "6to4");
        prop_assert!(!is_public(v6(&[0; 6], within, 0)), "IPv4-compatible");
        prop_assert!(!is_public(v6(&[0x2001, 0], within, back)), "Teredo, the server");
        let client = Ipv4Addr::from(!u32::from(within));
        prop_assert!(!is_public(v6(&[0x2001, 0, high, low, high, low], client, 0)), "Teredo, the client");
        prop_assert!(!is_public(v6(&[0x64, 0xff9b, 1, high, low, 0], within, 0)), "NAT64 of the local network");
    }

    #[test]
    fn public_ipv6_is_global_unicast_or_embeds_public_ipv4(high in any::<u128>(), shift in 0..128_u32) {
        let address = Ipv6Addr::from(high >> shift);
        let embeds = address.to_ipv4_mapped().is_some() || address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
        if is_public(address.into()) {
            prop_assert!(address.segments()[0] >> 13 == 1 || embeds);
        }
    }
}
