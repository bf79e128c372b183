//! Receivers whose TLS fails.

use mainstay_testing::SelfSigned;
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
    let own = SelfSigned::of(&["secure.example"]);
    ServerConfig::builder().with_no_client_auth().with_single_cert(vec![own.certificate()], own.key()).unwrap()
}
