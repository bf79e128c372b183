//! TLS that is spoken too kindly, and certificates that end or are for somebody else.

use mainstay_testing::SelfSigned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Colours, GOOD, see};
use crate::support::{Engine, TestApp};

/// Looks at servers with certificates of their own, and at one that takes whatever it is offered.
pub(super) async fn weaken(engine: Engine, colours: &mut Colours) {
    let (old, good) = ("200101000000Z", "491231235959Z");
    for (names, until, well) in [
        (&["localhost"][..], good, true),
        (&["localhost"], "270101000000Z", false),
        (&["somebody-else.example"], good, false),
    ] {
        let (own, folder) = (SelfSigned::between(names, old, until), tempfile::tempdir().expect("a folder"));
        let (certificate, key) = own.write_to(folder.path());
        let (certificate, key) = (format!("{certificate:?}"), format!("{key:?}"));
        let settings = [
            GOOD,
            &[
                ("http.public_url", "\"https://localhost\""),
                ("http.tls.certificate_path", certificate.as_str()),
                ("http.tls.key_path", key.as_str()),
            ],
        ]
        .concat();
        let Some(server) = TestApp::start(engine, &settings).await else { return };
        let address = server.address.replace("http://", "https://");
        let seen = see(&server, &address, "security.certificate").await;
        if well {
            colours.green(&seen);
            colours.green(&see(&server, &address, "security.tls_versions").await);
            let (kind, _answering) = too_kind().await;
            colours.red(&see(&server, &kind, "security.tls_versions").await);
        } else {
            colours.red(&seen);
        }
        server.app.lifecycle.stop_hard();
    }
}

/// The address of a server that would go on with each version and the first suite that it is offered.
async fn too_kind() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("an address"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 1024];
            // Record (5), type and length (4), version (2), random (32), no session (1), length of suites (2), suite.
            let read = stream.read(&mut hello).await.unwrap_or_default();
            if read < 48 {
                continue;
            }
            let mut answer = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, hello[9], hello[10]];
            answer.extend([7; 32]);
            answer.extend([0, hello[46], hello[47], 0]);
            let _ = stream.write_all(&answer).await;
        }
    });
    (address, tasks)
}
