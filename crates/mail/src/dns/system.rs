//! The name servers of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// Where they are told.
const FILE: &str = "/etc/resolv.conf";
/// The port of the DNS.
const PORT: u16 = 53;

/// The servers of the file; the one of the machine itself where there is none.
pub(super) fn servers() -> io::Result<Vec<SocketAddr>> {
    match std::fs::read(FILE) {
        Ok(bytes) => Ok(read(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(read("")),
        Err(error) => Err(error),
    }
}

/// The servers of a text as resolv.conf(5) has it. What is no address is passed over.
fn read(text: &str) -> Vec<SocketAddr> {
    let value = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next().unwrap_or_default().to_owned())
    };
    let servers: Vec<SocketAddr> = text.lines().filter_map(value).filter_map(|value| address(&value)).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { servers }
}

/// An address, also one of a link with the number of its interface: `fe80::1%2`.
fn address(text: &str) -> Option<SocketAddr> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some((address, PORT).into()),
        Err(_) => format!("[{text}]:{PORT}").parse::<SocketAddrV6>().ok().map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_the_file_of_the_system() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 # one\n\
                    nameserver fe80::1%2\nnameserver x\noptions timeout:1\nnameserver";
        let servers: Vec<String> = read(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%2]:53"]);
        for text in ["", "nameserver x\n", "\u{fffd}"] {
            assert_eq!(read(text), ["127.0.0.1:53".parse().unwrap()]);
        }
        assert!(servers_of_this_machine_are_some());
    }

    fn servers_of_this_machine_are_some() -> bool {
        servers().is_ok_and(|servers| !servers.is_empty())
    }
}
