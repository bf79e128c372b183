//! What a conversation with a mail server runs over, and how it is encrypted.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// No wait is longer, whatever is set: the clock of the runtime has an end.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no TLS.
pub(crate) enum NoTls {
    /// The name of the server is no host name.
    Name,
    /// The time ran out.
    TimedOut,
    /// The connection ended.
    Cut,
    /// The handshake failed: versions, certificate, name.
    Failed(String),
}

impl NoTls {
    /// What is to be done when the name is no host name.
    pub(crate) const NAME: &str = "The name of the server is no host name; set it as its certificate has it.";
}

/// The handshake of TLS with a server of this name.
pub(crate) async fn encrypt(
    stream: Box<dyn Stream>,
    name: &str,
    tls: &Arc<ClientConfig>,
    limit: Duration,
) -> Result<Box<dyn Stream>, NoTls> {
    let name = ServerName::try_from(name.to_owned()).map_err(|_| NoTls::Name)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    match timeout(limit.min(LONGEST_WAIT), connector.connect(name, stream)).await {
        Err(_) => Err(NoTls::TimedOut),
        Ok(Err(why)) if why.get_ref().is_some() => Err(NoTls::Failed(why.to_string())),
        Ok(Err(_)) => Err(NoTls::Cut),
        Ok(Ok(stream)) => Ok(Box::new(stream)),
    }
}
