//! Receivers whose TLS fails.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::super::{Fault, Phase};
use super::*;

/// What the client finds at a receiver that does this with its greeting.
async fn fault<T: Send + 'static>(
    settings: Settings,
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Fault, T) {
    let receiver = Receiver::listen(|listener| script(accept(&listener)));
    let url = format!("https://secure.example:{}/", receiver.address.port());
    let failure = post(&client(settings, &Names::new([&[OUTSIDE]])), &url).await.unwrap_err();
    assert!(!failure.inside.is_empty());
    (failure.fault, receiver.outcome().await)
}

fn read_greeting(stream: &mut TcpStream) {
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_is_told_apart() {
    let plain = |mut stream: TcpStream| {
        read_greeting(&mut stream);
        write(&mut stream, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    };
    assert_eq!(fault(settings(), plain).await.0, Fault::TlsFailed);
    let gone = |mut stream: TcpStream| read_greeting(&mut stream);
    assert_eq!(fault(settings(), gone).await.0, Fault::TlsFailed);
}

#[tokio::test]
async fn a_handshake_without_end_is_left_in_time() {
    for settings in [Settings { connect_timeout: SHORT, ..settings() }, Settings { deadline: SHORT, ..settings() }] {
        let silent = |mut stream: TcpStream| {
            read_greeting(&mut stream);
            sees_the_end(&mut stream)
        };
        assert_eq!(fault(settings, silent).await, (Fault::TimedOut(Phase::Connect), true));
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (fault, asked) = fault(settings(), |mut stream| {
        let mut tls = ServerConnection::new(Arc::new(server())).unwrap();
        let end = tls.complete_io(&mut stream);
        (end.is_err(), tls.server_name().map(str::to_owned))
    })
    .await;
    assert_eq!(fault, Fault::TlsFailed);
    assert_eq!(asked, (true, Some("secure.example".to_owned())), "the name is asked for, not the address");
}

fn server() -> ServerConfig {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
    let certificate = CertificateDer::from(self_signed(&key, &random));
    let key = PrivateKeyDer::try_from(document.as_ref().to_vec()).unwrap();
    ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
}

/// The least that is a certificate (RFC 5280, section 4.1), signed with its own key.
fn self_signed(key: &EcdsaKeyPair, random: &SystemRandom) -> Vec<u8> {
    const ECDSA_WITH_SHA256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    const PUBLIC_KEY_ON_P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";
    let bits = |bytes: &[u8]| der(0x03, &[&[0], bytes]);
    let version = der(0xa0, &[&der(0x02, &[&[2]])]);
    let algorithm = der(0x30, &[ECDSA_WITH_SHA256]);
    let name = der(0x30, &[&der(0x31, &[&der(0x30, &[COMMON_NAME, &der(0x0c, &[b"secure.example"])])])]);
    let validity = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"491231235959Z"])]);
    let public = der(0x30, &[&der(0x30, &[PUBLIC_KEY_ON_P256]), &bits(key.public_key().as_ref())]);
    let serial = der(0x02, &[&[1]]);
    let signed = der(0x30, &[&version, &serial, &algorithm, &name, &validity, &name, &public]);
    let signature = key.sign(random, &signed).unwrap();
    der(0x30, &[&signed, &algorithm, &bits(signature.as_ref())])
}

/// One element of ASN.1 (X.690, section 8.1) of at most 65535 bytes.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut element = vec![tag];
    match length {
        [0, short @ 0..=127] => element.push(short),
        [0, long] => element.extend([0x81, long]),
        [high, low] => element.extend([0x82, high, low]),
    }
    element.extend(content);
    element
}
