//! Handshakes of TLS as a stranger makes them: with versions and suites that no client of today offers, and to see which
//! certificate is shown.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::locking::lock;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The numbers of versions (RFC 8446, section 4.1.2): SSL 3.0 to TLS 1.2.
pub const VERSIONS: [(u16, &str); 4] =
    [(0x0300, "SSL 3.0"), (0x0301, "TLS 1.0"), (0x0302, "TLS 1.1"), (TLS12, "TLS 1.2")];

/// The number of TLS 1.2.
pub const TLS12: u16 = 0x0303;

/// Suites of TLS 1.2 that are good today: ephemeral keys, authenticated encryption (RFC 9325, section 4.2).
pub const GOOD: [u16; 6] = [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9];

/// Suites that are not, with what is wrong.
pub const WEAK: [(u16, &str); 12] = [
    (0x0002, "no encryption"),
    (0x0005, "RC4"),
    (0x000a, "3DES"),
    (0x0018, "anonymous keys"),
    (0x002f, "no forward secrecy, CBC"),
    (0x0035, "no forward secrecy, CBC"),
    (0x009c, "no forward secrecy"),
    (0x009d, "no forward secrecy"),
    (0xc009, "CBC"),
    (0xc013, "CBC"),
    (0xc011, "RC4"),
    (0xc012, "3DES"),
];

/// What a server answered to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It would go on, in this version and with this suite.
    Accepts {
        /// The number of the version.
        version: u16,
        /// The number of the suite.
        suite: u16,
    },
    /// It refuses, with this alert (RFC 8446, section 6).
    Refuses(u8),
    /// It closed the connection, or said nothing of TLS.
    Closes,
}

/// Offers a server one version and some suites.
///
/// # Errors
/// When there is no connection, or no answer in time.
pub async fn offer(address: (&str, u16), version: u16, suites: &[u16]) -> io::Result<Reply> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&hello(version, suites)).await?;
        let mut head = [0; 5];
        if stream.read_exact(&mut head).await.is_err() {
            return Ok(Reply::Closes);
        }
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]])).min(512)];
        if stream.read_exact(&mut body).await.is_err() {
            return Ok(Reply::Closes);
        }
        Ok(reply(head[0], &body))
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads the first record of an answer.
fn reply(kind: u8, body: &[u8]) -> Reply {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    match (kind, body) {
        (ALERT, [_, alert, ..]) => Reply::Refuses(*alert),
        // Type, length (3), version (2), random (32), session (1 + n), suite (2).
        (HANDSHAKE, [SERVER_HELLO, _, _, _, high, low, rest @ ..]) => {
            let after = rest.get(32).map(|session| 33 + usize::from(*session));
            let suite = after.and_then(|at| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?])));
            suite.map_or(Reply::Closes, |suite| Reply::Accepts { version: u16::from_be_bytes([*high, *low]), suite })
        }
        _ => Reply::Closes,
    }
}

/// A greeting (RFC 5246, section 7.4.1.2) that offers nothing newer than this version.
fn hello(version: u16, suites: &[u16]) -> Vec<u8> {
    // Curves x25519 and P-256; points as they are; signatures with SHA-256 and SHA-1, by ECDSA and RSA.
    let extensions = [
        extension(10, &lengthened(&[0x00, 0x1d, 0x00, 0x17])),
        extension(11, &[1, 0]),
        extension(13, &lengthened(&[4, 3, 8, 4, 4, 1, 5, 1, 2, 3, 2, 1])),
    ]
    .concat();
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let body = [&version.to_be_bytes()[..], &[0x5a; 32], &[0], &lengthened(&suites), &[1, 0], &lengthened(&extensions)]
        .concat();
    let message = [&[1, 0][..], &lengthened(&body)].concat();
    let record = version.min(0x0301).to_be_bytes();
    [&[22][..], &record, &lengthened(&message)].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &lengthened(content)].concat()
}

/// With its length in front. What is built here has some hundred bytes.
fn lengthened(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], content].concat()
}

/// The certificate that a server shows to who asks for this name, whoever vouches for it.
///
/// # Errors
/// When there is no connection, or no handshake in time.
pub async fn shown(address: (&str, u16), name: &str) -> io::Result<CertificateDer<'static>> {
    let whoever = Arc::new(Whoever::new(None));
    let config = client(Arc::clone(&whoever)).map_err(io::Error::other)?;
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let handshake = async {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    timeout(PATIENCE, handshake).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    lock(&whoever.seen).take().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A client that believes the holder of one certificate, under whatever name it is reached, and nobody else: for asking the
/// server of this machine by its local address.
///
/// # Errors
/// When rustls cannot be set up.
pub fn believing(certificate: CertificateDer<'static>) -> Result<ClientConfig, rustls::Error> {
    client(Arc::new(Whoever::new(Some(certificate))))
}

fn client(verifier: Arc<Whoever>) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Takes the certificate that is expected, or whichever comes, and notes it. That its holder has the key is checked.
struct Whoever {
    expected: Option<CertificateDer<'static>>,
    seen: Mutex<Option<CertificateDer<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl Whoever {
    fn new(expected: Option<CertificateDer<'static>>) -> Self {
        Self { expected, seen: Mutex::default(), provider: Arc::new(ring::default_provider()) }
    }
}

impl fmt::Debug for Whoever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whoever")
    }
}

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.expected.as_ref().is_some_and(|expected| expected != certificate) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        *lock(&self.seen) = Some(certificate.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
