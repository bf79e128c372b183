//! A server with a certificate of its own, as a process: people, sockets, the audit, and what it says when its files are wrong.

use std::sync::Arc;
use std::time::Duration;

use mainstay_testing::{Process, SelfSigned, free_port};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::binary::{Installation, PATIENCE};

struct Secured {
    installation: Installation,
    own: SelfSigned,
    folder: tempfile::TempDir,
}

fn secured() -> Secured {
    let (own, folder) = (SelfSigned::of(&["localhost", "127.0.0.1"]), tempfile::tempdir().expect("a folder"));
    let (certificate, key) = own.write_to(folder.path());
    let installation = Installation::new()
        .set("http.tls.certificate_path", &certificate.display().to_string())
        .set("http.tls.key_path", &key.display().to_string());
    Secured { installation, own, folder }
}

async fn greeted(installation: &Installation) -> Process {
    let process = installation.program(&[]).start().expect("it starts");
    process.wait_for_line("Mainstay serves on https://", PATIENCE).await.expect("it greets");
    process
}

/// Starts it on a free port, which is told.
async fn start(installation: Installation) -> (Process, u16, Installation) {
    let port = free_port().expect("a port");
    let installation = installation.with("PORT", &port.to_string());
    (greeted(&installation).await, port, installation)
}

fn client(own: &CertificateDer<'_>) -> reqwest::Client {
    let root = reqwest::Certificate::from_der(own).expect("a root");
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(30));
    builder.tls_certs_only([root]).build().expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_sockets_come_by_tls_and_others_are_sent_on() {
    let Secured { installation, own, folder: _folder } = secured();
    let plain = free_port().expect("a port");
    let installation =
        installation.set("http.tls.redirect_port", &plain.to_string()).set("http.public_url", "https://localhost");
    let (process, port, _installation) = start(installation).await;
    let (base, client) = (format!("https://127.0.0.1:{port}"), client(&own.certificate()));
    let body = json!({"email": "ada@example.com", "password": "the password of ada"});
    let answer = client.post(format!("{base}/v1/auth/sign-up")).json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert_eq!(header("strict-transport-security"), "max-age=31536000; includeSubDomains; preload");
    let token = answer.json::<Value>().await.expect("JSON")["access_token"].as_str().expect("a token").to_owned();
    // A socket, upgraded under TLS.
    let ticket = client.post(format!("{base}/v1/live/tickets")).bearer_auth(&token).send().await.expect("an answer");
    let ticket = ticket.json::<Value>().await.expect("JSON")["ticket"].as_str().expect("a ticket").to_owned();
    let mut roots = RootCertStore::empty();
    roots.add(own.certificate()).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake");
    let uri = format!("wss://localhost/v1/live?ticket={ticket}").parse().expect("an address");
    let (mut socket, _) = tokio_websockets::ClientBuilder::from_uri(uri).connect_on(stream).await.expect("a socket");
    let first = futures_util::StreamExt::next(&mut socket).await.expect("a message").expect("whole");
    assert_eq!(serde_json::from_str::<Value>(first.as_text().expect("text")).expect("JSON")["type"], "ready");
    // Who types the name alone.
    let sent = client.get(format!("http://127.0.0.1:{plain}/a?b=c")).send().await.expect("an answer");
    assert_eq!(sent.status(), 308);
    assert_eq!(sent.headers()["location"], "https://localhost/a?b=c");
    process.terminate();
    assert_eq!(process.wait(PATIENCE).await.expect("it ends").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_asks_a_server_with_a_certificate_of_its_own() {
    let Secured { installation, folder: _folder, .. } = secured();
    let port = free_port().expect("a port").to_string();
    let installation = installation.with("PORT", &port);
    let _process = greeted(&installation).await;
    for id in ["security.tls_versions", "security.certificate", "security.headers", "security.slow_requests_cut"] {
        let done = installation.run(&["audit", "--only", id, "--profile", "server"]).await;
        done.says(0, &["pass", id]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_wrong_keep_it_from_starting_and_are_named() {
    let Secured { installation, folder, .. } = secured();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, SelfSigned::of(&["localhost"]).key_pem()).expect("written");
    let done = installation.run(&["serve"]).await;
    done.says(1, &["http.tls.key_path", "key.pem", "does not belong to"]);
    std::fs::remove_file(&key).expect("removed");
    installation.run(&["serve"]).await.says(1, &["http.tls.key_path", "cannot be read"]);
    let half = Installation::new().set("http.tls.key_path", "key.pem");
    half.run(&["config", "check"]).await.says(1, &["http.tls.certificate_path", "is not set although"]);
}
