//! Bounces and complaints.

use super::*;

const POSTFIX: &str = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.a.example (Mail Delivery System)\nTo: bounce+7@a.example\n\
    Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied";

fn told(recipient: &str, status: &str, diagnostic: &str) -> Vec<u8> {
    let status = format!(
        "Reporting-MTA: dns; mx.a.example\nArrival-Date: Sun, 29 Nov 2026 20:00:00 +0000\n\n\
         Final-Recipient: rfc822; {recipient}\nOriginal-Recipient: rfc822;{recipient}\nAction: failed\nStatus: {status}\n\
         Remote-MTA: dns; mx.b.example\nDiagnostic-Code: smtp; {diagnostic}"
    );
    report(POSTFIX, "This is the mail system at host mx.a.example.\n\nI'm sorry to inform you ...", &status)
}

#[test]
fn a_report_of_postfix_is_read_whole() {
    let heard = bounce(&told("Bob@B.example", "5.1.1", "550-5.1.1 The account does not exist\n    550 5.1.1 - gsmtp"));
    assert_eq!(
        heard,
        Bounce {
            recipient: Some("bob@b.example".to_owned()),
            status: Some(Enhanced { class: 5, subject: 1, detail: 1 }),
            action: Action::Failed,
            diagnostic: "550-5.1.1 The account does not exist 550 5.1.1 - gsmtp".to_owned(),
            message_ids: vec!["7.x@a.example".to_owned()],
            kind: BounceKind::Hard,
            to: vec!["bounce+7@a.example".to_owned()],
        }
    );
}

#[test]
fn the_status_and_the_words_say_the_kind() {
    let cases = [
        ("5.1.1", "550 5.1.1 no such user", BounceKind::Hard),
        ("5.0.0", "550 user unknown", BounceKind::Hard),
        ("5.0.0", "550 5.1.1 <bob@b.example>: Recipient address rejected", BounceKind::Hard),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied", BounceKind::Hard),
        ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", BounceKind::Hard),
        ("5.4.4", "Host or domain name not found", BounceKind::Hard),
        ("5.2.2", "552 5.2.2 over quota", BounceKind::Full),
        ("4.2.2", "452 4.2.2 mailbox full", BounceKind::Full),
        ("5.0.0", "552 mailbox is full", BounceKind::Full),
        ("5.7.1", "554 5.7.1 blocked using zen.spamhaus.org", BounceKind::Policy),
        ("5.7.26", "550 5.7.26 unauthenticated", BounceKind::Policy),
        ("5.7.515", "550 5.7.515 Access denied", BounceKind::Policy),
        ("5.3.4", "552 5.3.4 message too large", BounceKind::Policy),
        ("5.7.1", "550 5.7.1 <bob@b.example>: user unknown", BounceKind::Hard),
        ("4.4.7", "delivery time expired", BounceKind::Soft),
        ("4.4.1", "connect to mx.b.example[192.0.2.1]:25: Connection timed out", BounceKind::Soft),
        ("5.4.7", "550 5.4.7 delivery expired", BounceKind::Soft),
        ("4.7.0", "421 4.7.0 too many connections", BounceKind::Soft),
    ];
    for (status, diagnostic, kind) in cases {
        assert_eq!(bounce(&told("bob@b.example", status, diagnostic)).kind, kind, "{status} {diagnostic}");
    }
}

#[test]
fn a_delay_is_not_a_failure() {
    let status = "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; bob@b.example\nAction: delayed\nStatus: 4.4.1\n\
        Diagnostic-Code: smtp; 451 4.4.1 later\nWill-Retry-Until: Mon, 30 Nov 2026 20:00:00 +0000";
    let heard = bounce(&report(POSTFIX, "delayed", status));
    assert_eq!((heard.action, heard.kind), (Action::Delayed, BounceKind::Soft));
    let status = status.replace("delayed", "delivered").replace("4.4.1", "2.0.0");
    assert_eq!(hear(&report(POSTFIX, "delivered", &status)), Heard::Other);
}

#[test]
fn of_several_recipients_the_failed_one_is_told() {
    let status = "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; one@b.example\nAction: delivered\nStatus: 2.0.0\n\n\
        Final-Recipient: rfc822; two@b.example\nAction: failed\nStatus: 5.1.1\n\n";
    let heard = bounce(&report(POSTFIX, "x", status));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("two@b.example"), BounceKind::Hard));
}

#[test]
fn the_address_that_was_written_to_comes_before_that_of_an_alias() {
    let status = "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; bob.new@c.example\nOriginal-Recipient: rfc822;bob@b.example\n\
        Action: failed\nStatus: 5.1.1";
    assert_eq!(bounce(&report(POSTFIX, "x", status)).recipient.as_deref(), Some("bob@b.example"));
    let status = status.replace("rfc822;bob@b.example", "x400; /o=x");
    assert_eq!(bounce(&report(POSTFIX, "x", &status)).recipient.as_deref(), Some("bob.new@c.example"));
}

#[test]
fn exchange_online_reports() {
    let headers = "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@a.example>\nTo: ada@a.example\n\
        Subject: Undeliverable: Hello\nIn-Reply-To: <7.x@a.example>\nReferences: <7.x@a.example>\n\
        X-MS-Exchange-Message-Is-Ndr:\nAuto-Submitted: auto-replied";
    let status = "Reporting-MTA: dns;AM0PR01.prod.exchangelabs.com\nReceived-From-MTA: dns;AM0PR02\n\n\
        Final-Recipient: rfc822;bob@b.example\nAction: failed\nStatus: 5.1.10\n\
        Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient bob@b.example not found by SMTP address lookup";
    let heard = bounce(&report(headers, "bob@b.example couldn't be found.", status));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("bob@b.example"), BounceKind::Hard));
    assert_eq!(heard.message_ids, ["7.x@a.example"]);
}

#[test]
fn exchange_in_words() {
    let headers =
        "From: postmaster@b.example\nTo: ada@a.example\nSubject: Undeliverable: Hello\nIn-Reply-To: <7.x@a.example>";
    let text = "Delivery has failed to these recipients or groups:\n\nBob (bob@b.example)<mailto:bob@b.example>\n\
        The email address you entered couldn't be found. Please check it and try again.\n\n\
        Diagnostic information for administrators:\n\nGenerating server: X.b.example\n\nbob@b.example\n\
        Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'\n\nOriginal message headers:\n\n\
        Received: from y\nMessage-ID: <7.x@a.example>\n";
    let heard = bounce(&mail(headers, text));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("bob@b.example"), BounceKind::Hard));
    assert_eq!(heard.message_ids, ["7.x@a.example"]);
    let old = "Your message did not reach some or all of the intended recipients.\n\n      Subject:  Hello\n      Sent:     29.11.2026 20:00\n\n\
        The following recipient(s) could not be reached:\n\n      bob@b.example on 29.11.2026 20:01\n            \
        The e-mail account does not exist at the organization this message was sent to.\n            <mx.b.example #5.1.1>\n";
    let heard = bounce(&mail(
        "From: System Administrator <postmaster@b.example>\nTo: ada@a.example\nSubject: Undeliverable: Hello",
        old,
    ));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("bob@b.example"), BounceKind::Hard));
    assert_eq!(heard.status.map(|status| status.to_string()), Some("5.1.1".to_owned()));
}

#[test]
fn qmail_in_words() {
    let headers = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.b.example\nTo: bounce+7@a.example\nSubject: failure notice";
    let text = "Hi. This is the qmail-send program at mx.b.example.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\
        This is a permanent error; I've given up. Sorry it didn't work out.\n\n<bob@b.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n\
        --- Below this line is a copy of the message.\n\nReturn-Path: <bounce+7@a.example>\nFrom: ada@a.example\nTo: bob@b.example\n\
        Message-ID: <7.x@a.example>\nSubject: 550 5.7.1 is only a subject\n\nhello\n";
    let heard = bounce(&mail(headers, text));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("bob@b.example"), BounceKind::Hard));
    assert_eq!(heard.message_ids, ["7.x@a.example"]);
    let full = text.replace("Sorry, no mailbox here by that name. (#5.1.1)", "user is over quota (#5.2.2)");
    assert_eq!(bounce(&mail(headers, &full)).kind, BounceKind::Full);
}

#[test]
fn exim_in_words() {
    let headers = "Return-path: <>\nFrom: Mail Delivery System <Mailer-Daemon@mx.a.example>\nTo: ada@a.example\n\
        X-Failed-Recipients: bob@b.example\nAuto-Submitted: auto-replied\nSubject: Mail delivery failed: returning message to sender";
    let text = "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\n\
        recipients. This is a permanent error. The following address(es) failed:\n\n  bob@b.example\n    host mx.b.example [192.0.2.1]\n    \
        SMTP error from remote mail server after RCPT TO:<bob@b.example>:\n    550 Unrouteable address\n\n\
        ------ This is a copy of the message, including all the headers. ------\n\nMessage-ID: <7.x@a.example>\nFrom: ada@a.example\n\nhello\n";
    let heard = bounce(&mail(headers, text));
    assert_eq!(
        (heard.recipient.as_deref(), heard.kind, heard.action),
        (Some("bob@b.example"), BounceKind::Hard, Action::Failed)
    );
    assert_eq!(heard.message_ids, ["7.x@a.example"]);
    let late = "This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered to one or more of its\n\
        recipients after more than 24 hours on the queue on mx.a.example.\n\nThe address to which the message has not yet been delivered is:\n\n  bob@b.example\n\n\
        No action is required on your part. Delivery attempts will continue for some time.\n";
    let headers =
        headers.replace("Mail delivery failed: returning message to sender", "Warning: message 1abc delayed 24 hours");
    let heard = bounce(&mail(&headers, late));
    assert_eq!((heard.action, heard.kind), (Action::Delayed, BounceKind::Soft));
}

#[test]
fn gmail_with_a_report_inside() {
    let headers = "Return-Path: <>\nFrom: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nTo: ada@a.example\n\
        Auto-Submitted: auto-replied\nSubject: Delivery Status Notification (Failure)\nReferences: <7.x@a.example>\n\
        In-Reply-To: <7.x@a.example>\nX-Failed-Recipients: bob@b.example";
    let status = "Reporting-MTA: dns; googlemail.com\nArrival-Date: Sun, 29 Nov 2026 12:00:00 -0800 (PST)\n\n\
        Final-Recipient: rfc822; bob@b.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.b.example\n\
        Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try\n\
        \x20550-5.1.1 double-checking the recipient's email address.\n 550 5.1.1 - gsmtp";
    let heard =
        bounce(&report(headers, "** Address not found **\n\nYour message wasn't delivered to bob@b.example", status));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("bob@b.example"), BounceKind::Hard));
    let text = "** Message blocked **\n\nYour message to bob@b.example has been blocked. See technical details below.\n\n\
        The response from the remote server was:\n\n550 5.7.1 [192.0.2.1] Our system has detected spam\n";
    let heard = bounce(&mail(headers, text));
    assert_eq!(
        (heard.kind, heard.message_ids.as_slice()),
        (BounceKind::Policy, ["7.x@a.example".to_owned()].as_slice())
    );
}

#[test]
fn a_report_with_the_whole_original_in_base64() {
    let headers = format!("{POSTFIX}\nMIME-Version: 1.0\nContent-Type: multipart/report; boundary=b1");
    let status = "UmVwb3J0aW5nLU1UQTogZG5zOyB4CgpGaW5hbC1SZWNpcGllbnQ6IHJmYzgyMjsgYm9iQGIuZXhhbXBsZQpBY3Rpb246IGZhaWxlZApTdGF0dXM6IDUuMS4xCg==";
    let body = format!(
        "--b1\n\nno type here\n--b1\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n{status}\n\
         --b1\nContent-Type: message/rfc822\n\nFrom: ada@a.example\nTo: bob@b.example\nMessage-ID:\n <7.x@a.example>\nSubject: x\n\nhello\n--b1--\n"
    );
    let heard = bounce(&mail(&headers, &body));
    assert_eq!((heard.recipient.as_deref(), heard.kind), (Some("bob@b.example"), BounceKind::Hard));
    assert_eq!(heard.message_ids, ["7.x@a.example"]);
}

#[test]
fn an_address_in_other_letters_is_read() {
    let status = "Reporting-MTA: dns; x\n\nFinal-Recipient: utf-8; bücher@b.example\nAction: failed\nStatus: 5.6.7";
    let raw = report(POSTFIX, "x", status);
    let raw = String::from_utf8(raw).unwrap().replace("message/delivery-status", "message/global-delivery-status");
    assert_eq!(bounce(raw.as_bytes()).recipient.as_deref(), Some("bücher@b.example"));
}

fn feedback(kind: &str, more: &str) -> Vec<u8> {
    let headers = "From: <fbl@provider.example>\nTo: <complaints@a.example>\nSubject: FW: Hello\nMIME-Version: 1.0\n\
        Content-Type: multipart/report; report-type=feedback-report; boundary=b1";
    let body = format!(
        "--b1\nContent-Type: text/plain\n\nThis is an email abuse report\n--b1\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: {kind}\nUser-Agent: SomeGenerator/1.0\nVersion: 1\nOriginal-Mail-From: <bounce+7@a.example>\n{more}\n\
         --b1\nContent-Type: message/rfc822\n\nFrom: <ada@a.example>\nTo: <bob@b.example>\nSubject: Hello\nMessage-ID: <7.x@a.example>\n\nx\n--b1--\n"
    );
    mail(headers, &body)
}

#[test]
fn complaints_are_told_from_other_reports() {
    let Heard::Complaint(heard) = hear(&feedback("abuse", "Original-Rcpt-To: <Bob@B.example>\n")) else {
        panic!("no complaint")
    };
    assert_eq!((heard.recipient.as_deref(), heard.kind.as_str()), (Some("bob@b.example"), "abuse"));
    assert_eq!(
        (heard.message_ids.as_slice(), heard.to.as_slice()),
        (["7.x@a.example".to_owned()].as_slice(), ["complaints@a.example".to_owned()].as_slice())
    );
    // Some providers leave the recipient out; the copy has it.
    let Heard::Complaint(heard) = hear(&feedback("fraud", "")) else { panic!("no complaint") };
    assert_eq!((heard.recipient.as_deref(), heard.kind.as_str()), (Some("bob@b.example"), "fraud"));
    assert_eq!(hear(&feedback("not-spam", "")), Heard::Other);
    assert_eq!(hear(&feedback("auth-failure", "")), Heard::Other);
}

#[test]
fn a_person_who_writes_of_bounces_is_a_person() {
    let heard = reply(&mail(
        "From: Bob <bob@b.example>\nTo: ada@a.example\nSubject: Re: your mail came back\nIn-Reply-To: <7.x@a.example>",
        "I got a failure notice: 550 5.1.1 user unknown for carol@b.example, could not be delivered to her.\n",
    ));
    assert!(heard.text.starts_with("I got a failure"));
    let system = mail(
        "From: postmaster@b.example\nTo: ada@a.example\nSubject: Planned maintenance",
        "We move on Monday, 5 p.m.\n",
    );
    assert!(matches!(hear(&system), Heard::Reply(_)));
}
