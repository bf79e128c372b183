//! The name server answers as one does, and misbehaves as it is told.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A question for a name and a type with the id 7, with room for a small answer or, with EDNS, for one of 1,232 bytes.
fn question(name: &str, kind: u16, extended: bool) -> Vec<u8> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(extended)];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    if extended {
        bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    bytes
}

fn client(server: &NameServer) -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn hear(socket: &std::net::UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 4_096];
    let length = socket.recv(&mut bytes).unwrap();
    bytes[..length].to_vec()
}

fn ask(server: &NameServer, query: &[u8]) -> Vec<u8> {
    let socket = client(server);
    socket.send(query).unwrap();
    hear(&socket)
}

fn ask_by_tcp(server: &NameServer, query: &[u8]) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&u16::try_from(query.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(query).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// The code, whether it was cut, and how many records there are.
fn told(answer: &[u8]) -> (u8, bool, u8) {
    (answer[3] & 15, answer[2] & 2 != 0, answer[7])
}

#[test]
fn records_are_told_and_changed() {
    let server = NameServer::start().unwrap();
    let query = question("A.example", 1, false);
    assert_eq!(told(&ask(&server, &query)), (3, false, 0));
    server.set("a.Example", RecordType::A, &["192.0.2.1", "192.0.2.2"]).unwrap();
    let answer = ask(&server, &query);
    assert_eq!(told(&answer), (0, false, 2));
    assert_eq!(answer[..2], [0, 7]);
    assert!(answer.ends_with(&[0, 4, 192, 0, 2, 2]));
    assert_eq!(told(&ask(&server, &question("a.example", 16, false))), (0, false, 0), "no text, but the name is there");
    assert_eq!(told(&ask(&server, &question("example", 16, false))), (0, false, 0), "a name is below it");
    server.set("a.example", RecordType::A, &[]).unwrap();
    assert_eq!(told(&ask(&server, &query)), (3, false, 0));
    assert!(server.set("a.example", RecordType::A, &["x"]).is_err());
    assert_eq!(server.asked().len(), 5);
    assert_eq!(server.asked()[0].name, "a.example");
}

#[test]
fn aliases_are_followed_to_their_end_or_once_round() {
    let server = NameServer::start().unwrap();
    server.set("a.example", RecordType::Cname, &["b.example"]).unwrap();
    server.set("b.example", RecordType::Cname, &["c.example"]).unwrap();
    server.set("c.example", RecordType::Mx, &["10 mail.example"]).unwrap();
    assert_eq!(told(&ask(&server, &question("a.example", 15, false))), (0, false, 3));
    server.fault("a.example", NameFault::AliasOnly);
    assert_eq!(told(&ask(&server, &question("a.example", 15, false))), (0, false, 1));
    server.heal();
    server.set("c.example", RecordType::Mx, &[]).unwrap();
    server.set("c.example", RecordType::Cname, &["a.example"]).unwrap();
    assert_eq!(told(&ask(&server, &question("a.example", 15, false))), (0, false, 3));
}

#[test]
fn what_does_not_fit_is_told_by_tcp() {
    let server = NameServer::start().unwrap();
    server.set("a.example", RecordType::Txt, &["x".repeat(600).as_str()]).unwrap();
    assert_eq!(told(&ask(&server, &question("a.example", 16, false))), (0, true, 0));
    assert_eq!(told(&ask(&server, &question("a.example", 16, true))), (0, false, 1));
    assert_eq!(told(&ask_by_tcp(&server, &question("a.example", 16, false))), (0, false, 1));
    let by_tcp: Vec<bool> = server.asked().iter().map(|asked| asked.by_tcp).collect();
    assert_eq!(by_tcp, [false, false, true]);
}

#[test]
fn faults_act_on_their_name_as_often_as_they_should() {
    let server = NameServer::start().unwrap();
    server.set("a.example", RecordType::A, &["192.0.2.1"]).unwrap();
    let query = question("a.example", 1, true);
    server.fault_times("a.example", NameFault::Code(2), 1);
    assert_eq!(told(&ask(&server, &query)), (2, false, 0));
    assert_eq!(told(&ask(&server, &query)), (0, false, 1));
    server.fault("b.example", NameFault::Code(5));
    assert_eq!(told(&ask(&server, &query)), (0, false, 1));
    server.fault("*", NameFault::NoExtensions);
    assert_eq!(told(&ask(&server, &query)), (1, false, 0));
    assert_eq!(told(&ask(&server, &question("a.example", 1, false))), (0, false, 1));
    server.heal();
    server.fault("*", NameFault::Truncated);
    assert_eq!(told(&ask(&server, &query)), (0, true, 0));
    assert_eq!(told(&ask_by_tcp(&server, &query)), (0, false, 1));
    server.heal();
    server.fault("*", NameFault::WrongId);
    assert_eq!(ask(&server, &query)[..2], [0, 6]);
    server.heal();
    server.fault("*", NameFault::Garbage(vec![255; 3]));
    assert_eq!(ask(&server, &query), [0, 7, 255, 255, 255]);
    server.heal();
    server.fault("*", NameFault::Forged);
    let socket = client(&server);
    socket.send(&query).unwrap();
    let (first, second, third) = (hear(&socket), hear(&socket), hear(&socket));
    assert_eq!((first[1], second[13], told(&third)), (6, b'o', (0, false, 1)));
    server.heal();
    server.fault_times("a.example", NameFault::Silence, 1);
    socket.send(&query).unwrap();
    socket.send(&question("a.example", 16, true)).unwrap();
    assert_eq!(told(&hear(&socket)), (0, false, 0), "the answer is that to the second question");
}
