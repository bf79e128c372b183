//! What people type is hostile; what goes out is clean and reads back as it was.

use mail_parser::{MessageParser, MimeHeaders as _};
use proptest::prelude::*;

use super::*;
use crate::lint::lint;

fn mailbox(name: &str, address: &str) -> Mailbox {
    Mailbox { name: name.to_owned(), address: Address::parse("to", address).unwrap() }
}

fn letter() -> Letter {
    Letter {
        from: mailbox("Ada", "ada@a.example"),
        to: mailbox("", "bob@b.example"),
        reply_to: None,
        subject: "Hello".to_owned(),
        text: "Dear Bob,\n\nhello.\n".to_owned(),
        html: None,
        message_id: "0198.x@a.example".to_owned(),
        date: Timestamp::from_millis(1_795_982_400_000),
        in_reply_to: None,
        references: Vec::new(),
        list_unsubscribe: None,
        list_id: None,
        feedback_id: None,
        auto_submitted: None,
    }
}

fn full() -> Letter {
    Letter {
        reply_to: Some(mailbox("Answers, please", "answers@a.example")),
        html: Some("<p>Dear Bob,</p>\n<p>hello. é</p>\n".to_owned()),
        in_reply_to: Some("0.x@a.example".to_owned()),
        references: vec!["0.x@a.example".to_owned()],
        list_unsubscribe: Some(Unsubscribe {
            https: "https://a.example/u/0123456789abcdef0123456789abcdef".to_owned(),
            mailto: Some("mailto:unsubscribe+0123456789abcdef@a.example".to_owned()),
        }),
        list_id: Some("spring.a.example".to_owned()),
        feedback_id: Some("spring:7:mail:mainstay".to_owned()),
        auto_submitted: Some(AutoSubmitted::Generated),
        ..letter()
    }
}

#[test]
fn a_simple_letter_is_this() {
    let written = String::from_utf8(letter().write().unwrap()).unwrap();
    let expected = "From: Ada <ada@a.example>\r\nTo: <bob@b.example>\r\nSubject: Hello\r\n\
        Date: Sun, 29 Nov 2026 20:00:00 +0000\r\nMessage-ID: <0198.x@a.example>\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Dear Bob,\r\n\r\nhello.\r\n";
    assert_eq!(written, expected);
}

#[test]
fn a_full_letter_has_every_header_once_and_both_bodies() {
    let written = full().write().unwrap();
    assert_eq!(lint(&written), []);
    assert_eq!(full().write().unwrap(), written, "the same letter is the same message");
    let text = String::from_utf8(written.clone()).unwrap();
    let headers = [
        "Reply-To: \"Answers, please\" <answers@a.example>\r\n",
        "In-Reply-To: <0.x@a.example>\r\n",
        "References: <0.x@a.example>\r\n",
        "List-Unsubscribe: <https://a.example/u/0123456789abcdef0123456789abcdef>,\r\n <mailto:unsubscribe+0123456789abcdef@a.example>\r\n",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "List-Id: <spring.a.example>\r\n",
        "Feedback-ID: spring:7:mail:mainstay\r\n",
        "Auto-Submitted: auto-generated\r\n",
    ];
    for header in headers {
        assert_eq!(text.matches(header).count(), 1, "{header}\n{text}");
    }
    let message = MessageParser::default().parse(&written).unwrap();
    assert_eq!(message.body_text(0).unwrap(), "Dear Bob,\r\n\r\nhello.\r\n");
    assert_eq!(message.body_html(0).unwrap(), "<p>Dear Bob,</p>\r\n<p>hello. é</p>\r\n");
    assert_eq!((message.text_body_count(), message.html_body_count(), message.attachment_count()), (1, 1, 0));
    assert_eq!(message.content_type().unwrap().subtype(), Some("alternative"));
}

#[test]
fn html_alone_brings_its_text() {
    let written = Letter { text: " \n".to_owned(), ..full() }.write().unwrap();
    let message = MessageParser::default().parse(&written).unwrap();
    assert_eq!(message.body_text(0).unwrap(), "Dear Bob,\r\n\r\nhello. é\r\n");
}

#[test]
fn a_long_thread_keeps_its_first_and_its_newest() {
    let references: Vec<String> = (0..100).map(|number| format!("{number}@a.example")).collect();
    let written = String::from_utf8(Letter { references, ..letter() }.write().unwrap()).unwrap();
    assert_eq!(lint(written.as_bytes()), []);
    let ids = written.matches("@a.example>").count() - 2;
    assert_eq!(ids, MOST_REFERENCES);
    assert!(
        written.contains("References: <0@a.example> <81@a.example>") && written.contains(" <99@a.example>\r\n"),
        "{written}"
    );
}

#[test]
fn what_cannot_be_sent_is_refused_by_its_field() {
    let long = "x".repeat(3_000_000);
    let id = |id: &str| Letter { message_id: id.to_owned(), ..letter() };
    let unsubscribe = |https: &str, mailto: Option<&str>| Letter {
        list_unsubscribe: Some(Unsubscribe { https: https.to_owned(), mailto: mailto.map(str::to_owned) }),
        ..letter()
    };
    let cases = [
        (Letter { subject: "é".repeat(2_001), ..letter() }, "subject"),
        (Letter { from: mailbox(&"é".repeat(1_001), "a@a.example"), ..letter() }, "from.name"),
        (Letter { text: long.clone(), ..letter() }, "text"),
        (Letter { html: Some(long), ..letter() }, "html"),
        (id("x"), "message_id"),
        (id("a@b@c"), "message_id"),
        (id("a@b>\r\nBcc: <c@d.example"), "message_id"),
        (id("a b@c"), "message_id"),
        (id("é@c"), "message_id"),
        (id(""), "message_id"),
        (Letter { in_reply_to: Some("a@b\nX: y".to_owned()), ..letter() }, "in_reply_to"),
        (Letter { references: vec!["a@b".to_owned(), "> <".to_owned()], ..letter() }, "references"),
        (Letter { list_id: Some("a>\r\nX: <y".to_owned()), ..letter() }, "list_id"),
        (Letter { feedback_id: Some("a\r\nX: y".to_owned()), ..letter() }, "feedback_id"),
        (unsubscribe("http://a.example/u", None), "list_unsubscribe.https"),
        (unsubscribe("https://a.example/u> <x", None), "list_unsubscribe.https"),
        (unsubscribe("https://a.example/\r\nBcc: x", None), "list_unsubscribe.https"),
        (unsubscribe("https://", None), "list_unsubscribe.https"),
        (unsubscribe("https://a.example/u", Some("https://a.example")), "list_unsubscribe.mailto"),
        (Letter { date: Timestamp::from_millis(i64::MAX), ..letter() }, "date"),
        (Letter { date: Timestamp::from_millis(-1), ..letter() }, "date"),
    ];
    for (letter, field) in cases {
        assert_eq!(letter.write().map_err(|fault| fault.field), Err(field.to_owned()));
    }
}

#[test]
fn no_typed_text_adds_a_header() {
    let evil = "x\r\nBcc: eve@e.example\r\n\r\nbody\u{2028}Bcc: y\u{85}Bcc: z";
    let written = Letter {
        from: mailbox(evil, "a@a.example"),
        to: mailbox(evil, "b@b.example"),
        subject: evil.to_owned(),
        ..letter()
    };
    let written = written.write().unwrap();
    assert_eq!(lint(&written), []);
    let message = MessageParser::default().parse(&written).unwrap();
    assert!(message.bcc().is_none());
    assert_eq!(message.subject(), Some(one_line(evil).as_str()));
}

/// Texts that people and attackers type.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z ,.!?'\"<>@()\\\\;:=_-]{0,12}",
        2 => any::<String>().prop_map(|text| text.chars().take(12).collect()),
        1 => "[\\x00-\\x1f\\x7f-\\u{9f}\\u{2028}\\u{2029}]{1,3}".prop_map(|text| text),
        1 => prop::sample::select(vec![
            "\r\nBcc: eve@e.example\r\n", "\n.\n", "\n..\n", "\nFrom here\n", ".\r\n", "=?utf-8?Q?x?=", "=?x", "?=", "  ", "\t",
            "\u{202E}evil\u{202C}", "שלום", "مرحبا", "👩‍👩‍👧‍👦", "🇩🇪", "e\u{301}", "日本語テキスト", "--=_", "=3D", "=\r\n", "\u{feff}", "\u{a0}",
        ]).prop_map(str::to_owned),
    ];
    prop_oneof![
        20 => prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        1 => Just("w".repeat(2_000)),
        1 => Just("ü".repeat(900)),
    ]
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_letter_is_clean_and_reads_back(
        names in (hostile(), hostile(), hostile()),
        subject in hostile(),
        text in hostile(),
        html in prop::option::of(hostile()),
        long in prop::sample::select(vec![0_usize, 0, 0, 10_000]),
        bare: bool,
    ) {
        let (from, to, reply) = names;
        let text = text + &"W".repeat(long);
        let base = if bare { letter() } else { full() };
        let sent = Letter {
            from: mailbox(&short(&from, 900), "ada@a.example"),
            to: mailbox(&short(&to, 900), "\"b..b\"@bücher.example"),
            reply_to: (!bare).then(|| mailbox(&short(&reply, 900), "r@a.example")),
            subject: subject.clone(),
            text: text.clone(),
            html: html.clone(),
            ..base
        };
        let written = sent.write().unwrap();
        prop_assert_eq!(lint(&written), [], "{}", String::from_utf8_lossy(&written));
        let message = MessageParser::default().parse(&written).unwrap();
        prop_assert_eq!(message.subject().unwrap_or_default(), one_line(&subject));
        let name = |address: Option<&mail_parser::Address<'_>>| {
            address.and_then(|address| address.first()).and_then(|one| one.name()).unwrap_or_default().to_owned()
        };
        prop_assert_eq!(name(message.from()), one_name(&sent.from.name));
        prop_assert_eq!(name(message.to()), one_name(&sent.to.name));
        prop_assert_eq!(message.from().and_then(|from| from.first()).and_then(|one| one.address()), Some("ada@a.example"));
        let expected = match &html {
            Some(html) if text.trim().is_empty() => lines_of(&text_of(html)),
            _ => lines_of(&text),
        };
        let body = message.text_body.first().and_then(|part| message.part(*part)).and_then(|part| part.text_contents());
        prop_assert_eq!(body.unwrap_or_default(), expected);
        if let Some(html) = &html {
            let body = message.html_body.first().and_then(|part| message.part(*part)).and_then(|part| part.text_contents());
            prop_assert_eq!(body.unwrap_or_default(), lines_of(html));
        }
    }

    #[test]
    fn any_html_gives_a_text(html in "(<|>|/|a|p|li|br|script|style| href=|\"|'|&|;|#|x|1|-|!|é| |\n){0,60}") {
        let _ = text_of(&html);
    }

    #[test]
    fn any_bytes_are_linted(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = lint(&bytes);
    }
}
