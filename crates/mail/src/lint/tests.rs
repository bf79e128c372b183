//! Every fault is seen in a message that has it, and a clean one has none.

use super::*;

const CLEAN: &str = "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.example; s=s;\r\n \
    h=From:From:To:Subject:Date:Message-ID:Reply-To:MIME-Version:Content-Type:\r\n \
    List-Unsubscribe:List-Unsubscribe-Post:In-Reply-To:References; bh=eA==; b=eA==\r\n\
    From: \"Ada, Countess\" <ada@a.example>\r\nTo: =?utf-8?Q?Zo=C3=AB?= X <\"a..b\"@b.example>\r\n\
    Reply-To: <ada@a.example>\r\nSubject: Hello\r\n there\r\nDate: Sun, 29 Nov 2026 20:00:00 +0000\r\n\
    Message-ID: <1@a.example>\r\nIn-Reply-To: <0@a.example>\r\nReferences: <0@a.example>\r\n <x@b.example>\r\n\
    List-Unsubscribe: <https://a.example/u/1>,\r\n <mailto:u@a.example>\r\n\
    List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative;\r\n boundary=\"=_1\"\r\n\r\n\
    --=_1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=\r\n=C3=9Fe\r\n\r\n\
    --=_1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+eDwvcD4=\r\n\r\n--=_1--\r\n";

fn codes(message: &str) -> Vec<&'static str> {
    lint(message.as_bytes()).into_iter().map(|fault| fault.code).collect()
}

#[test]
fn a_clean_message_has_no_fault() {
    assert_eq!(lint(CLEAN.as_bytes()), []);
}

#[test]
fn every_fault_is_seen() {
    let long = format!("Subject: {}\r\nX", "x".repeat(1_000));
    let cases: &[(&str, &str, &str)] = &[
        ("duplicate_header", "\r\nSubject:", "\r\nSubject: twice\r\nSubject:"),
        ("duplicate_header", "\r\nMessage-ID:", "\r\nmessage-id: <2@a.example>\r\nMessage-ID:"),
        ("duplicate_header", "\r\nList-Unsubscribe:", "\r\nList-Unsubscribe: <https://a>\r\nList-Unsubscribe:"),
        ("missing_header", "\r\nDate:", "\r\nX-Date:"),
        ("missing_header", "\r\nMIME-Version:", "\r\nX-Version:"),
        ("bare_line_feed", "Hello\r\n", "Hello\n"),
        ("bare_carriage_return", "Hello", "Hel\rlo"),
        ("control_character", "Hello", "Hel\0lo"),
        ("line_too_long", "Subject: Hello", &long),
        ("no_last_line_end", "--=_1--\r\n", "--=_1--"),
        ("eight_bit_header", "Hello", "Grüße"),
        ("empty_fold", "Hello\r\n", "Hello\r\n \r\n"),
        ("no_header", "Subject: Hello\r\n there", "Subject: Hello\r\nthere"),
        ("bad_encoded_word", "=?utf-8?Q?Zo=C3=AB?=", "=?utf-8?Q?Zo=C3?="),
        ("bad_encoded_word", "=?utf-8?Q?Zo=C3=AB?=", "=?latin1?Q?Zo?="),
        ("bad_encoded_word", "=?utf-8?Q?Zo=C3=AB?=", "=?utf-8?B?Zo?="),
        ("bad_encoded_word", "=?utf-8?Q?Zo=C3=AB?=", "=?utf-8?Q?Zo=0D=0ABcc?="),
        ("bad_address", "<ada@a.example>\r\nTo", "ada@a.example\r\nTo"),
        ("bad_address", "\"Ada, Countess\"", "Ada, Countess"),
        ("bad_address", "\"Ada, Countess\"", "\"=?utf-8?Q?x?=\""),
        ("bad_address", "<\"a..b\"@b.example>", "<a..b@b.example>"),
        ("bad_message_id", "<1@a.example>", "1@a.example"),
        ("bad_message_id", "<x@b.example>", "<x y@b.example>"),
        ("bad_date", "Sun, 29 Nov 2026", "Sunday 29th of November"),
        ("bad_mime_version", "MIME-Version: 1.0", "MIME-Version: 2"),
        ("bad_unsubscribe", "List-Unsubscribe=One-Click\r\n", "yes\r\n"),
        ("bad_unsubscribe", "<https://a.example/u/1>", "<http://a.example/u/1>"),
        ("bad_unsubscribe", "<https://a.example/u/1>", "https://a.example/u/1"),
        ("not_signed", ":List-Unsubscribe-Post:", ":"),
        ("not_signed", "h=From:From:", "h=From:"),
        ("bad_signature", "c=relaxed/relaxed", "c=simple/simple"),
        ("bad_signature", " b=eA==", " b="),
        ("bad_boundary", "--=_1--", "--=_2--"),
        ("bad_boundary", "boundary=\"=_1\"", "x=1"),
        ("bad_content_type", "multipart/alternative;", "multipart;"),
        ("text_not_first", "text/plain", "text/html"),
        ("two_texts", "text/html", "text/plain"),
        ("bad_charset", "text/plain; charset=utf-8", "text/plain"),
        ("bad_charset", "=C3=9Fe", "=C3e"),
        ("bad_encoding", "=C3=9Fe", "=c3=9fe"),
        ("bad_encoding", "=C3=9Fe\r\n", "=C3=9Fe \r\n"),
        ("bad_encoding", "PHA+eDwvcD4=", "PHA+eDwvcD4"),
        ("bad_encoding", "quoted-printable", "7bit\r\nX: y\r\n\r\né"),
        ("no_body", "\r\n\r\n", "\r\n"),
    ];
    for (code, from, to) in cases {
        let bad = if *code == "no_body" { CLEAN.replace(from, to) } else { CLEAN.replacen(from, to, 1) };
        assert_ne!(bad, CLEAN, "{from}");
        assert!(codes(&bad).contains(code), "{code}, {to}: {:?}", lint(bad.as_bytes()));
    }
}
