//! Replies, automatic answers, wishes to leave.

use super::*;

const FROM: &str = "From: Bob <Bob@B.example>\nTo: Ada <ada@a.example>\nDelivered-To: ada@a.example";

fn answer(more: &str, body: &str) -> Vec<u8> {
    mail(&format!("{FROM}\nIn-Reply-To: <7.x@a.example>\nReferences: <1.x@a.example>\n <7.x@a.example>\n{more}"), body)
}

#[test]
fn a_reply_names_what_it_answers_and_holds_what_was_written() {
    let heard = reply(&answer(
        "Subject: Re: Hello",
        "Yes, let us talk.\n\nBob\n\nOn Sun, 29 Nov 2026 at 20:00, Ada <ada@a.example> wrote:\n> Dear Bob,\n> hello\n",
    ));
    assert_eq!(
        heard,
        Reply {
            from: "bob@b.example".to_owned(),
            message_ids: vec!["7.x@a.example".to_owned(), "1.x@a.example".to_owned()],
            to: vec!["ada@a.example".to_owned()],
            text: "Yes, let us talk.\n\nBob".to_owned(),
            unsubscribe_wish: false,
        }
    );
}

#[test]
fn quotations_of_many_programs_are_cut() {
    let quotations = [
        "On Sun, 29 Nov 2026 at 20:00, Ada wrote:\n> x\n",
        "On Sunday, 29 November 2026 at 20:00:00 GMT+1, Ada Lovelace\n<ada@a.example> wrote:\n> x\n",
        "Am 29.11.26 um 20:00 schrieb Ada:\n> x\n",
        "Le dim. 29 nov. 2026 à 20:00, Ada <ada@a.example> a écrit :\n> x\n",
        "El dom, 29 nov 2026 a las 20:00, Ada (<ada@a.example>) escribió:\n> x\n",
        "Il giorno dom 29 nov 2026 alle ore 20:00 Ada ha scritto:\n> x\n",
        "Op zo 29 nov 2026 om 20:00 schreef Ada <ada@a.example>:\n> x\n",
        "-----Original Message-----\nFrom: Ada\nx\n",
        "-----Ursprüngliche Nachricht-----\nVon: Ada\nx\n",
        "________________________________\nFrom: Ada <ada@a.example>\nSent: Sunday\nx\n",
        "From: Ada <ada@a.example>\nSent: Sunday, 29 November 2026\nTo: Bob\nx\n",
        "Von: Ada <ada@a.example>\nGesendet: Sonntag\nx\n",
        "> quoted\n> only\n",
    ];
    for quotation in quotations {
        let heard = reply(&answer(
            "Content-Type: text/plain; charset=utf-8\nSubject: Re: Hello",
            &format!("Fine.\n\n{quotation}"),
        ));
        assert_eq!(heard.text, "Fine.", "{quotation}");
    }
    let below = "On Sun, 29 Nov 2026, Ada wrote:\n> Shall we?\n\nYes, on Monday.\n> Where?\nIn Berlin.\n";
    assert_eq!(reply(&answer("Subject: Re: Hello", below)).text, "Yes, on Monday.\nIn Berlin.");
    let sentence = "On Monday I am away.\nAm I right?\nThe list I wrote: one, two.\n";
    assert_eq!(reply(&answer("Subject: Re: Hello", sentence)).text, sentence.trim());
}

#[test]
fn html_alone_is_read_as_text() {
    let body = "<div>Yes &amp; thanks</div><br><div class=\"gmail_quote\">On Sun, Nov 29, 2026, Ada wrote:<blockquote>x</blockquote></div>";
    let heard = reply(&answer("Content-Type: text/html; charset=utf-8\nSubject: Re: Hello", body));
    assert_eq!(heard.text, "Yes & thanks");
}

#[test]
fn encodings_are_read() {
    let heard = reply(&answer(
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\nSubject: x",
        "Gr=FC=DFe\n",
    ));
    assert_eq!(heard.text, "Grüße");
    let heard = reply(&answer(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\nSubject: x",
        "R3LDvMOfZQ==\n",
    ));
    assert_eq!(heard.text, "Grüße");
}

#[test]
fn somebody_who_writes_first_is_heard_too() {
    let heard = reply(&mail(&format!("{FROM}\nSubject: A question"), "What does it cost?\n"));
    assert_eq!((heard.message_ids.len(), heard.text.as_str()), (0, "What does it cost?"));
}

#[test]
fn a_wish_is_the_whole_first_line() {
    for wish in [
        "STOP",
        "Stop.",
        "unsubscribe",
        "\n\n  Unsubscribe!\n\nBob",
        "Please remove me",
        "Opt-out",
        "Bitte austragen",
        "désabonner",
    ] {
        let heard =
            reply(&answer("Content-Type: text/plain; charset=utf-8\nSubject: Re: Hello", &format!("{wish}\n\n> x\n")));
        assert!(heard.unsubscribe_wish, "{wish}");
    }
    for other in ["Stop by on Monday", "I do not want to unsubscribe", "How do I stop?", "Yes\nstop", ""] {
        assert!(!reply(&answer("Subject: Re: Hello", other)).unsubscribe_wish, "{other}");
    }
    let quoted_only = answer("Subject: Re: Hello", "Thanks\n\nOn 29 Nov 2026 Ada wrote:\n> unsubscribe\n");
    assert!(!reply(&quoted_only).unsubscribe_wish);
}

#[test]
fn machines_that_answer_are_told_by_their_signs() {
    let signs = [
        "Subject: Out of office\nAuto-Submitted: auto-replied",
        "Subject: Re: Hello\nAuto-Submitted: auto-generated (vacation)",
        "Subject: Re: Hello\nX-Autoreply: yes",
        "Subject: Re: Hello\nX-Autorespond: Hello",
        "Subject: Re: Hello\nPrecedence: auto_reply",
        "Subject: Ticket received\nPrecedence: bulk",
        "Subject: Automatic reply: Hello\nX-Auto-Response-Suppress: All",
        "Content-Type: text/plain\nSubject: =?utf-8?Q?Automatische_Antwort=3A_Hello?=\nX-Auto-Response-Suppress: All",
        "Subject: =?utf-8?B?UsOpcG9uc2UgYXV0b21hdGlxdWUgOiBIZWxsbw==?=\nReturn-Path: <>",
        "Subject: Abwesenheitsnotiz\nX-MS-Exchange-Inbox-Rules-Loop: bob@b.example",
        "Return-Path: <>\nSubject: Re: Hello\nX-Loop: bob@b.example",
    ];
    for sign in signs {
        match hear(&answer(sign, "I am away until Monday.\n")) {
            Heard::AutoReply(heard) => {
                assert_eq!((heard.from.as_str(), heard.message_ids[0].as_str()), ("bob@b.example", "7.x@a.example"));
            }
            other => panic!("{sign}: {other:?}"),
        }
    }
}

#[test]
fn people_who_write_like_machines_are_people() {
    for sign in [
        "Subject: Out of office next week?",
        "Subject: Re: Hello\nAuto-Submitted: no",
        "Subject: Automatic reply",
        "Subject: Re: Hello\nX-Auto-Response-Suppress: OOF",
    ] {
        assert!(matches!(hear(&answer(sign, "Shall we talk?\n")), Heard::Reply(_)), "{sign}");
    }
}

#[test]
fn mail_to_many_is_nothing() {
    let letter = mail(
        &format!("{FROM}\nSubject: News\nList-Id: <news.b.example>\nList-Unsubscribe: <https://b.example/u>"),
        "News!\n",
    );
    assert_eq!(hear(&letter), Heard::Other);
}

#[test]
fn a_receipt_is_nothing() {
    let headers = format!(
        "{FROM}\nSubject: Read: Hello\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b1"
    );
    let body = "--b1\nContent-Type: text/plain\n\nYour message was read.\n--b1\nContent-Type: message/disposition-notification\n\n\
        Final-Recipient: rfc822;bob@b.example\nOriginal-Message-ID: <7.x@a.example>\nDisposition: manual-action/MDN-sent-manually; displayed\n\n--b1--\n";
    assert_eq!(hear(&mail(&headers, body)), Heard::Other);
}

#[test]
fn a_mail_program_unsubscribes() {
    let by_address = mail(
        "From: Bob <Bob@B.example>\nTo: unsubscribe+0123456789abcdef@a.example\nSubject: x\nAuto-Submitted: auto-generated",
        "",
    );
    let Heard::Unsubscribe(heard) = hear(&by_address) else { panic!("{:?}", hear(&by_address)) };
    assert_eq!(
        (heard.from.as_str(), heard.to[0].as_str()),
        ("bob@b.example", "unsubscribe+0123456789abcdef@a.example")
    );
    for subject in ["unsubscribe", "Unsubscribe", "unsubscribe 0123456789abcdef0123"] {
        assert!(matches!(hear(&mail(&format!("{FROM}\nSubject: {subject}"), "")), Heard::Unsubscribe(_)), "{subject}");
    }
    for subject in ["Re: unsubscribe", "unsubscribe Bob", "How to unsubscribe"] {
        assert!(matches!(hear(&mail(&format!("{FROM}\nSubject: {subject}"), "x")), Heard::Reply(_)), "{subject}");
    }
}
