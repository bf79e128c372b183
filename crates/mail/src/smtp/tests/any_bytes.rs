//! Servers that say anything: nothing panics, nothing waits for ever, and nothing is accepted without the word for it.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;

/// Pieces of what servers say, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "220 x\r\n",
        "250 x\r\n",
        "250-x\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 AUTH=PLAIN\r\n",
        "250-x\r\n250-SIZE 99999999999999999999999\r\n250 PIPELINING\r\n",
        "354 go\r\n",
        "421 bye\r\n",
        "450 4.2.0 later\r\n",
        "550 5.1.1 no\r\n",
        "250 one\r\n251 two\r\n",
        "250-half\r\n",
        "250 \n",
        "250\r\n",
        "999 x\r\n",
        "\r\n",
        "2",
        "50 2.0.0 x\r\n",
        "250 9.9.9 x\r\n",
        "550 5.999.99999 x\r\n",
    ]);
    prop_oneof![
        6 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (1_usize..9_000).prop_map(|length| vec![b'2'; length]),
    ]
}

/// A server that says these pieces one after each thing that it hears, and then goes.
fn say(pieces: Vec<Vec<u8>>, together: bool) -> (std::net::SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(40))).unwrap();
        let mut heard = Vec::new();
        let mut bytes = [0; 4_096];
        for (place, piece) in pieces.iter().enumerate() {
            if stream.write_all(piece).is_err() {
                break;
            }
            if !together || place + 1 == pieces.len() {
                match stream.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(count) => heard.extend_from_slice(&bytes[..count]),
                    Err(_) => {}
                }
            }
        }
        let _ = tell.send(heard);
    });
    (address, told)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_server_is_survived(pieces in prop::collection::vec(piece(), 0..8), together: bool, good_start: bool) {
        let mut pieces = pieces;
        if good_start {
            pieces.splice(0..0, [b"220 x\r\n".to_vec(), b"250-x\r\n250 PIPELINING\r\n".to_vec()]);
        }
        let total: Vec<u8> = pieces.concat();
        let (address, told) = say(pieces, together);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let timeouts = Timeouts { rest: Duration::from_millis(20), ..hasty() };
            let mut session = match Session::open(stream, &plain(), &timeouts).await {
                Ok(session) => session,
                Err(refused) => return Outcome::Refused(refused),
            };
            let outcome = send(&mut session, "b@y.example", "1@x").await;
            if matches!(outcome, Outcome::Unknown { .. }) {
                assert!(session.is_spent());
            }
            outcome
        });
        let heard = told.recv_timeout(PATIENCE).unwrap();
        if let Outcome::Accepted(reply) = &outcome {
            prop_assert_eq!(reply.class(), 2);
            prop_assert!(total.windows(4).any(|four| four == b"354 " || four == b"354\r"), "without the word to begin");
        }
        let begun = heard.windows(11).any(|part| part == b"Message-ID:");
        if begun && let Outcome::Refused(refused) = &outcome {
            // Once the message was on its way only a clear no is a refusal.
            let no = matches!(&refused.cause, Cause::Answer(reply) if matches!(reply.class(), 4 | 5));
            prop_assert!(refused.stage == Stage::Body && no, "{:?}", refused);
        }
    }
}
