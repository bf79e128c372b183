//! Opening a live socket: an HTTP request like any other, on the connections and with the TLS of the client, that becomes a
//! WebSocket (RFC 6455, section 4.1). So a refusal before the upgrade is a problem like any other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    AUTHORIZATION, CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{Response, StatusCode, Upgraded};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Config, Limits, WebSocketStream};

use crate::client::Client;
use crate::credentials::Authorisation;
use crate::error::{Error, TransportFault};

/// A socket on whatever the connection is.
pub(super) type Socket = WebSocketStream<Upgraded>;

/// The largest frame that is taken, in bytes: more than a message can be.
const LARGEST_FRAME: usize = 2 * 1024 * 1024;
/// What is written at once. The client hardly writes.
const WRITE_BUFFER: usize = 1024;
/// What a server appends to the key before it hashes it (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Opens a socket. Waits for its turn first.
pub(super) async fn open(client: Client) -> Result<Socket, Error> {
    let _turn = client.shared.connecting.acquire().await;
    let mut key = [0; 16];
    client.shared.entropy.fill(&mut key);
    let key = STANDARD.encode(key);
    let authorisation = client.authorise(false).await?;
    let response = match ask(&client, &key, &authorisation).await {
        Err(error) if error.status() == Some(401) => match client.renewed(&authorisation).await? {
            Some(authorisation) => ask(&client, &key, &authorisation).await?,
            None => return Err(error),
        },
        answer => answer?,
    };
    if !is_upgrade(response.headers(), &key) {
        return Err(Error::decode("the handshake", "the answer is not one to this request"));
    }
    let stream = within(client.shared.timeouts.first_byte, response.upgrade()).await?;
    let config = Config::default().flush_threshold(WRITE_BUFFER).frame_size(LARGEST_FRAME);
    let limits = Limits::default().max_payload_len(Some(LARGEST_FRAME));
    Ok(ClientBuilder::new().config(config).limits(limits).take_over(stream))
}

async fn within(wait: Duration, upgrade: impl Future<Output = reqwest::Result<Upgraded>>) -> Result<Upgraded, Error> {
    match timeout(wait, upgrade).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Error::transport(TransportFault::Broken, error)),
        Err(_) => Err(Error::transport(TransportFault::FirstByte, "the connection was not handed over")),
    }
}

async fn ask(client: &Client, key: &str, authorisation: &Authorisation) -> Result<Response, Error> {
    let shared = &client.shared;
    let mut request = shared
        .http
        .get(client.url("/v1/live", &[])?)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key);
    if let Some(header) = &authorisation.header {
        request = request.header(AUTHORIZATION, header);
    }
    let response = client.begun(request, shared.timeouts.connect + shared.timeouts.first_byte).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    if response.status().is_success() {
        return Err(Error::decode("the handshake", format_args!("status {}", response.status())));
    }
    Err(client.problem(response).await)
}

/// Whether the answer is to this very request (RFC 6455, section 4.1, the checks of the client).
fn is_upgrade(headers: &HeaderMap, key: &str) -> bool {
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    let is = |name, wanted: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    is(UPGRADE, "websocket")
        && headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value.as_bytes() == accept.as_bytes())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn only_the_answer_to_this_request_is_taken() {
        // The example of RFC 6455, section 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(!is_upgrade(&headers, key));
        headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(is_upgrade(&headers, key));
        assert!(!is_upgrade(&headers, "another key"));
    }
}
