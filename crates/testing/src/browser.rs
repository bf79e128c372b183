//! stub
use crate::{Result, while_doing};
/// b
pub struct Browser;
pub(crate) fn http_client() -> Result<reqwest::Client> {
    // A client is built with a TLS provider even where only plain HTTP is spoken. An error says that one is installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().map_err(while_doing("building an HTTP client"))
}
