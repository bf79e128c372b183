//! Servers that say anything: nothing panics, nothing waits for ever, and nothing is kept beyond its bounds.

use std::io::{BufRead as _, BufReader, Write as _};

use proptest::prelude::*;

use super::*;
use crate::imap::response::Response;
use crate::imap::wire::{Bounds, Wire};

/// Pieces of what servers say, good and bad. `{tag}` stands for the tag of the command.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "{tag} OK done\r\n",
        "{tag} NO [UNAVAILABLE] later\r\n",
        "{tag} BAD what\r\n",
        "{tag} OK [CAPABILITY IMAP4rev1 SPECIAL-USE LIST-EXTENDED] x\r\n",
        "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n{tag} OK [READ-ONLY] open\r\n",
        "* SEARCH 1 2 4294967295\r\n{tag} OK done\r\n",
        "* SEARCH 1\r\n",
        "* 1 FETCH (UID 1 RFC822.SIZE 5 BODY[]<0> {5}\r\nhello)\r\n{tag} OK done\r\n",
        "* 1 FETCH (UID 1 BODY[] {99}\r\n",
        "* 1 FETCH (UID 1 BODY[] {4294967296}\r\n",
        "* 1 FETCH (BODY[] NIL)\r\n",
        "* 1 FETCH ((((((((((((((((((((\r\n",
        "* 1 FETCH (UID\r\n",
        "* LIST (\\Sent) \"/\" \"Sent\"\r\n{tag} OK done\r\n",
        "* LIST () NIL {4}\r\nS\r\nt\r\n",
        "* BYE so long\r\n",
        "* PREAUTH x\r\n",
        "A999 OK x\r\n",
        "+ go on\r\n",
        "* 99999999999999999999 EXISTS\r\n",
        "* OK [",
        "\r\n",
        "\n\n",
        "* ",
    ]);
    prop_oneof![
        6 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (1_usize..9_000).prop_map(|length| vec![b'('; length]),
    ]
}

/// A server that says these pieces one after each line that it hears, or all at once, and then goes.
fn say(pieces: Vec<Vec<u8>>, together: bool) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(40))).unwrap();
        let mut commands = BufReader::new(stream.try_clone().unwrap());
        let _ = stream.write_all(b"* PREAUTH [CAPABILITY IMAP4rev1] x\r\n");
        let mut tag = "A1".to_owned();
        for piece in pieces {
            let mut line = String::new();
            if !together && commands.read_line(&mut line).is_ok_and(|count| count > 0) {
                tag = line.split(' ').next().unwrap_or_default().to_owned();
            }
            let text = String::from_utf8(piece);
            let bytes = text.map_or_else(|other| other.into_bytes(), |text| text.replace("{tag}", &tag).into_bytes());
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    address
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_server_is_survived(pieces in prop::collection::vec(piece(), 0..8), together: bool, good_start: bool) {
        let mut pieces = pieces;
        if good_start {
            let opened = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n{tag} OK x\r\n";
            pieces.insert(0, opened.to_vec());
        }
        let address = say(pieces, together);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let settings = settings(Security::None, SignIn::None);
            let Ok(mut session) = Session::sign_in(stream, &settings, &all(SHORT)).await else { return };
            let clear = |failed: &Failed| matches!(failed.cause, Cause::Answer(_) | Cause::Unsuitable(_));
            if let Err(failed) = session.open("INBOX").await {
                assert!(session.is_spent() != clear(&failed), "{failed:?}");
            }
            if let Ok(letters) = session.newer(0, 3).await {
                assert!(letters.len() <= 3 && letters.is_sorted_by_key(|letter| letter.uid), "{letters:?}");
            }
            let _ = session.find_message_id("1@x").await;
            let _ = session.sent_folder().await;
            session.sign_out().await;
        });
    }

    #[test]
    fn any_bytes_are_read_within_bounds(pieces in prop::collection::vec(piece(), 0..30)) {
        let bytes = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let total = bytes.len();
            let stream = tokio::io::join(std::io::Cursor::new(bytes), tokio::io::sink());
            let mut wire = Wire::new(Box::new(stream), PATIENCE);
            let mut bounds = Bounds::new(PATIENCE);
            let mut kept = 0;
            // Each response takes at least one byte, so this ends.
            for _ in 0..=total {
                match wire.response(&mut bounds).await {
                    Err(_) => return,
                    Ok(Response::Fetch(found)) => kept += found.body.map_or(0, |body| body.len()),
                    Ok(Response::List(listed)) => kept += listed.name.len(),
                    Ok(_) => {}
                }
            }
            assert!(kept <= total);
            panic!("more responses than bytes");
        });
    }
}
