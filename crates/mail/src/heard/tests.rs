//! Samples in the shapes that servers and programs write, each told apart.

mod bounces;
mod people;

use proptest::prelude::*;

use super::*;

/// A message of these headers and this body.
fn mail(headers: &str, body: &str) -> Vec<u8> {
    format!("{}\n\n{body}", headers.trim_end()).replace('\n', "\r\n").into_bytes()
}

/// A report in parts: the text for people, the status, the copy of the original headers.
fn report(headers: &str, text: &str, status: &str) -> Vec<u8> {
    let headers = format!(
        "{headers}\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b1\""
    );
    let body = format!(
        "--b1\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n\n--b1\nContent-Type: message/delivery-status\n\n{status}\n\n\
         --b1\nContent-Type: text/rfc822-headers\n\nFrom: Ada <ada@a.example>\nTo: <bob@b.example>\nSubject: Hello\n\
         Message-ID: <7.x@a.example>\n\n--b1--\n"
    );
    mail(&headers, &body)
}

fn bounce(raw: &[u8]) -> Bounce {
    match hear(raw) {
        Heard::Bounce(bounce) => bounce,
        other => panic!("{other:?}\n{}", String::from_utf8_lossy(raw)),
    }
}

fn reply(raw: &[u8]) -> Reply {
    match hear(raw) {
        Heard::Reply(reply) => reply,
        other => panic!("{other:?}\n{}", String::from_utf8_lossy(raw)),
    }
}

#[test]
fn what_is_no_mail_is_nothing() {
    for raw in [b"".as_slice(), b"\0", b"\r\n\r\n", b"hello", b"Subject: x\r\n\r\nno sender", b":\n:\n\n"] {
        assert_eq!(hear(raw), Heard::Other, "{raw:?}");
    }
}

#[test]
fn a_huge_message_is_read_within_bounds() {
    let mut raw =
        mail("From: <b@b.example>\nTo: <a@a.example>\nSubject: Re: x\nIn-Reply-To: <7.x@a.example>", "fine\n");
    raw.extend(std::iter::repeat_n(*b"word and more\r\n", 1_000_000).flatten());
    let heard = reply(&raw);
    assert!(heard.text.starts_with("fine\nword") && heard.text.chars().count() <= MOST_TEXT);
    let references = (0..5_000).map(|n| format!(" <{n}@x>\n")).collect::<String>();
    let many = mail(&format!("From: <b@b.example>\nSubject: x\nReferences:{references}"), "x");
    assert!(reply(&many).message_ids.len() <= MOST_IDS);
    assert_eq!(reply(&many).message_ids[0], "4999@x", "the newest first");
}

#[test]
fn messages_inside_messages_without_end_are_survived() {
    for inside in ["Content-Type: message/rfc822\r\n\r\n", "content-type: MESSAGE/GLOBAL\n\n"] {
        let raw = format!("From: b@b.example\r\n{}hello", inside.repeat(30_000));
        assert!(matches!(hear(raw.as_bytes()), Heard::Reply(_) | Heard::Other));
    }
    let digest = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n".repeat(15_000);
    assert!(matches!(hear(format!("From: b@b.example\r\n{digest}").as_bytes()), Heard::Reply(_) | Heard::Other));
    let mixed = (0..10_000)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
        .collect::<String>();
    assert!(matches!(hear(format!("From: b@b.example\r\n{mixed}").as_bytes()), Heard::Reply(_) | Heard::Other));
}

/// Pieces of mail, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "From: MAILER-DAEMON@x.example\r\n",
        "Return-Path: <>\r\n",
        "Subject: Undelivered Mail Returned to Sender\r\n",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n",
        "Content-Type: message/delivery-status\r\n",
        "Content-Type: message/feedback-report\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "\r\n\r\n",
        "\r\n--b\r\n",
        "\r\n--b--\r\n",
        "Final-Recipient: rfc822; a@b.example\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Status: 99999999999.5.x\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no\r\n ",
        "Message-ID: <x@y>\r\n",
        "In-Reply-To: <x@y>\r\n",
        "550 5.1.1 <a@b.example> é\r\n",
        "On Monday, Ada wrote:\r\n> x\r\n",
        "<html><p>",
    ]);
    prop_oneof![
        8 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => any::<String>().prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_heard(pieces in prop::collection::vec(piece(), 0..25)) {
        let raw = pieces.concat();
        match hear(&raw) {
            Heard::Bounce(bounce) => {
                prop_assert!(bounce.diagnostic.len() <= MOST_DIAGNOSTIC && !bounce.diagnostic.contains('\n'));
                prop_assert!(bounce.message_ids.len() <= MOST_IDS);
            }
            Heard::Reply(reply) => prop_assert!(reply.text.chars().count() <= MOST_TEXT),
            _ => {}
        }
    }
}
