//! TLS of the server's own: a certificate and its key from two files, read again when they change.
//!
//! TLS 1.2 and 1.3 with the suites of rustls, all of which have forward secrecy and authenticated encryption; nothing older
//! is spoken (RFC 8996). A renewed certificate is taken for the next handshake; connections that are open stay as they are.
//! A pair that does not fit together is most likely half written: the one before stays, and it is looked again.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mainstay_domain::{Error, Kind, Result, Timestamp};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

use super::metrics::HttpMetrics;
use crate::config;
use crate::lifecycle::Lifecycle;
use crate::locking::lock;

/// The largest file that is read, in bytes: a certificate has some thousand, its chain a few of them.
const LARGEST_FILE: u64 = 256 * 1024;

/// How much of the life of a certificate may be over, in per cent, until it is time to ask why nobody has renewed it: of
/// ninety days, as many have, a renewal after sixty is usual.
pub const MOST_SPENT_PERCENT: f64 = 85.0;

/// A moment after the end of every certificate, in seconds since 1970.
const AFTER_ALL: u64 = 1 << 40;

/// What the server shows to clients, and how it speaks with them.
pub struct Tls {
    settings: config::Tls,
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    looked: Mutex<Looked>,
    figures: TlsFigures,
}

/// What the last looking came to.
struct Looked {
    /// Of both files.
    digest: [u8; 32],
    certificate: Known,
    /// Why what the files hold is not used.
    fault: Option<String>,
}

/// What is known of a certificate.
#[derive(Clone, Debug)]
pub struct Known {
    /// From when on it is good.
    pub from: Timestamp,
    /// Until when it is.
    pub until: Timestamp,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
}

impl Known {
    /// What is to be known of this one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(certificate: CertificateDer<'static>) -> std::result::Result<Self, rustls::Error> {
        known(certificate)
    }

    /// Of the one in the file; its key is not asked for.
    ///
    /// # Errors
    /// When the file cannot be read, or holds none.
    pub fn read(settings: &config::Tls) -> Result<Self> {
        chain(settings).map(|(_, _, known)| known).map_err(|fault| fault.error())
    }

    /// How much of its life is over, in per cent: more than a hundred when it has ended.
    #[must_use]
    pub fn spent_percent(&self, now: Timestamp) -> f64 {
        let life = self.until.since(self.from).as_secs_f64().max(1.0);
        now.since(self.from).as_secs_f64() * 100.0 / life
    }

    /// Whether it is for this name or address.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        let (Ok(parsed), Ok(name)) = (ParsedCertificate::try_from(&self.certificate), ServerName::try_from(host))
        else {
            return false;
        };
        verify_server_name(&parsed, &name).is_ok()
    }
}

/// What is counted of certificates and handshakes.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsFigures {
    until: Gauge<i64, AtomicI64>,
    reloads: Counter,
    faults: Counter,
    failed: Counter,
}

impl TlsFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let until = "When the certificate of this server ends, in seconds since 1970; 0 without one";
        registry.register("mainstay_tls_certificate_not_after_seconds", until, figures.until.clone());
        let reloads = "Times that a renewed certificate was taken";
        registry.register("mainstay_tls_certificate_reloads", reloads, figures.reloads.clone());
        let faults = "Times that the files of the certificate had changed and could not be used";
        registry.register("mainstay_tls_certificate_faults", faults, figures.faults.clone());
        let failed = "Handshakes that came to nothing, or took too long";
        registry.register("mainstay_tls_handshakes_failed", failed, figures.failed.clone());
        figures
    }
}

/// The certificate of the next handshake.
struct Shown(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads the certificate and its key; nothing where none is set.
    ///
    /// # Errors
    /// When one of the files cannot be read or is not what it should be, or when they do not belong together.
    pub fn open(settings: &config::Tls, metrics: &HttpMetrics) -> Result<Option<Arc<Self>>> {
        if !settings.is_on() {
            return Ok(None);
        }
        let pair = Pair::read(settings).map_err(|fault| fault.error())?;
        let shown = Arc::new(Shown(RwLock::new(Arc::new(pair.key))));
        let server = server_config(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>).map_err(Error::internal)?;
        let figures = metrics.tls.clone();
        figures.until.set(pair.known.until.as_seconds());
        Ok(Some(Arc::new(Self {
            settings: settings.clone(),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            shown,
            looked: Mutex::new(Looked { digest: pair.digest, certificate: pair.known, fault: None }),
            figures,
        })))
    }

    /// What is shown to clients.
    #[must_use]
    pub fn certificate(&self) -> Known {
        lock(&self.looked).certificate.clone()
    }

    /// Why what the files hold by now is not used.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        lock(&self.looked).fault.clone()
    }

    /// What shakes hands.
    pub(super) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// A handshake came to nothing.
    pub(super) fn count_failed(&self) {
        self.figures.failed.inc();
    }

    /// How many handshakes came to nothing.
    #[cfg(test)]
    pub(super) fn failed(&self) -> u64 {
        self.figures.failed.get()
    }

    /// Looks from time to time whether the files have changed.
    pub fn start(self: &Arc<Self>, lifecycle: &Lifecycle) {
        let tls = Arc::clone(self);
        lifecycle.spawn_until_stopped("tls_certificate", async move {
            let mut ticks = interval(tls.settings.look());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let looks = Arc::clone(&tls);
                // A disk that hangs holds this thread and no other.
                let _ = tokio::task::spawn_blocking(move || looks.look()).await;
            }
        });
    }

    /// Looks whether the files have changed, and takes what is new.
    fn look(&self) {
        match Pair::read(&self.settings) {
            Ok(pair) => self.take(pair),
            Err(fault) => {
                let mut looked = lock(&self.looked);
                // Once for each fault: it may stay for days.
                if looked.fault.as_ref() != Some(&fault.detail) {
                    self.figures.faults.inc();
                    tracing::error!("the certificate cannot be renewed, and the one before stays: {fault}");
                    looked.fault = Some(fault.detail);
                }
            }
        }
    }

    fn take(&self, pair: Pair) {
        let mut looked = lock(&self.looked);
        looked.fault = None;
        if looked.digest == pair.digest {
            return;
        }
        tracing::info!(until = %pair.known.until, "a renewed certificate is used from now on");
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair.key);
        self.figures.until.set(pair.known.until.as_seconds());
        self.figures.reloads.inc();
        looked.digest = pair.digest;
        looked.certificate = pair.known;
    }
}

fn server_config(shown: Arc<dyn ResolvesServerCert>) -> std::result::Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Who comes back does without half of the work; the keys of tickets change by themselves.
    server.ticketer = ring::Ticketer::new()?;
    Ok(server)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What is wrong with one of the files.
struct Unusable {
    key: &'static str,
    detail: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.detail)
    }
}

impl Unusable {
    fn error(&self) -> Error {
        let detail = format!(
            "{self}. The certificate is a file in PEM with the server's own certificate first; the key is its private key."
        );
        Error::new(Kind::Invalid, "bad_certificate", detail)
    }
}

const CERTIFICATE: &str = "http.tls.certificate_path";
const KEY: &str = "http.tls.key_path";

/// A certificate with its chain, and its key.
struct Pair {
    key: CertifiedKey,
    known: Known,
    digest: [u8; 32],
}

impl Pair {
    fn read(settings: &config::Tls) -> std::result::Result<Self, Unusable> {
        let (certificate, path) = (&settings.certificate_path, &settings.key_path);
        let (chain_text, chain, known) = chain(settings)?;
        let key_text = read(KEY, path)?;
        // What the file holds must not be told.
        let private = PrivateKeyDer::from_pem_slice(key_text.as_bytes())
            .map_err(|_| bad(KEY, path, &"has no private key in PEM, or one that asks for a password"))?;
        let key = CertifiedKey::from_der(chain, private, &provider())
            .map_err(|error| bad(KEY, path, &format!("does not belong to {certificate}: {error}")))?;
        let mut digest = ::ring::digest::Context::new(&::ring::digest::SHA256);
        digest.update(chain_text.as_bytes());
        digest.update(key_text.as_bytes());
        let digest = digest.finish().as_ref().try_into().unwrap_or_default();
        Ok(Self { key, known, digest })
    }
}

/// The file with the certificates, what they are, and what is known of the first.
fn chain(settings: &config::Tls) -> std::result::Result<(String, Vec<CertificateDer<'static>>, Known), Unusable> {
    let path = &settings.certificate_path;
    let text = read(CERTIFICATE, path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| bad(CERTIFICATE, path, &format!("is not PEM: {error}")))?;
    let own = chain.first().cloned().ok_or_else(|| bad(CERTIFICATE, path, &"has no certificate"))?;
    let known = known(own).map_err(|error| bad(CERTIFICATE, path, &format!("cannot be read: {error}")))?;
    Ok((text, chain, known))
}

fn bad(key: &'static str, path: &str, what: &dyn fmt::Display) -> Unusable {
    Unusable { key, detail: format!("{path} {what}") }
}

fn read(key: &'static str, path: &str) -> std::result::Result<String, Unusable> {
    config::read_bounded(Path::new(path), LARGEST_FILE)
        .map_err(|reason| Unusable { key, detail: format!("{path} {reason}") })
}

/// From when until when it is good. It is asked of the verifier: before all time it answers when it begins, and after all
/// time when it ends.
fn known(certificate: CertificateDer<'static>) -> std::result::Result<Known, rustls::Error> {
    let parsed = ParsedCertificate::try_from(&certificate)?;
    let (nobody, provider) = (RootCertStore::empty(), provider());
    let algorithms = provider.signature_verification_algorithms.all;
    let at = |second| {
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(second));
        verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], moment, algorithms)
    };
    let from = match at(0) {
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => not_before,
        _ => UnixTime::since_unix_epoch(Duration::ZERO),
    };
    let until = match at(AFTER_ALL) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => not_after,
        Err(error) => return Err(error),
        Ok(()) => return Err(CertificateError::BadEncoding.into()),
    };
    Ok(Known { from: moment(from), until: moment(until), certificate })
}

fn moment(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000))
}
