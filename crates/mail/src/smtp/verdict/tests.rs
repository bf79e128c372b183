//! Answers in the forms that large receivers and the common servers give, and what they mean.

use super::*;

use About::{Account, Full, Message, Policy, Rate, Recipient, Server};
use Stage::{Body, Greeting, Hello, Sender, SignIn};

/// The stage, the answer, whether later, whom it concerns.
const ANSWERS: &[(Stage, &str, bool, About)] = &[
    // Gmail and Google Workspace.
    (
        Stage::Recipient,
        "550-5.1.1 The email account that you tried to reach does not exist. - gsmtp\n550 5.1.1 - gsmtp",
        false,
        Recipient,
    ),
    (Stage::Recipient, "550 5.2.1 The email account that you tried to reach is disabled. - gsmtp", false, Recipient),
    (Stage::Recipient, "452 4.2.2 The email account that you tried to reach is over quota. - gsmtp", true, Full),
    (Stage::Recipient, "552 5.2.2 The email account that you tried to reach is over quota. - gsmtp", true, Full),
    (
        Stage::Recipient,
        "450 4.2.1 The user you are trying to contact is receiving mail too quickly. - gsmtp",
        true,
        Rate,
    ),
    (Stage::Recipient, "452 4.5.3 Your message has too many recipients. - gsmtp", true, Rate),
    (Body, "421 4.7.28 Gmail has detected an unusual rate of mail from your address. - gsmtp", true, Rate),
    (Greeting, "421 4.7.0 Try again later, closing connection. - gsmtp", true, Rate),
    (Body, "421 4.4.5 Server busy, try again later. - gsmtp", true, Server),
    (Body, "451 4.3.0 Mail server temporarily rejected message. - gsmtp", true, Server),
    (Body, "550 5.7.26 This mail has been blocked because the sender is unauthenticated. - gsmtp", false, Policy),
    (Body, "421 4.7.26 This mail has been rate limited because the sender is unauthenticated. - gsmtp", true, Policy),
    (Body, "550 5.7.1 Our system has detected that this message is likely unsolicited mail. - gsmtp", false, Policy),
    (Body, "550 5.7.1 This message is not RFC 5322 compliant: duplicate headers. - gsmtp", false, Message),
    (
        Body,
        "552 5.7.0 This message was blocked because its content presents a potential security issue. - gsmtp",
        false,
        Message,
    ),
    (Stage::Data, "550 5.4.5 Daily user sending limit exceeded. - gsmtp", true, Rate),
    (Stage::Sender, "552 5.3.4 Your message exceeded Google's message size limits. - gsmtp", false, Message),
    (SignIn, "535 5.7.8 Username and Password not accepted. - gsmtp", false, Account),
    (SignIn, "534 5.7.9 Application-specific password required. - gsmtp", false, Account),
    (SignIn, "454 4.7.0 Too many login attempts, please try again later. - gsmtp", true, Rate),
    (Sender, "530 5.7.0 Authentication Required. - gsmtp", false, Account),
    // Exchange Online and Outlook.com.
    (
        Stage::Recipient,
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        false,
        Recipient,
    ),
    (
        Stage::Recipient,
        "550 5.4.1 Recipient address rejected: Access denied. [x.prod.protection.outlook.com]",
        false,
        Recipient,
    ),
    (Stage::Recipient, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", false, Recipient),
    (Body, "550 5.7.515 Access denied, sending domain doesn't meet the required authentication level.", false, Policy),
    (Body, "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", false, Policy),
    (Body, "550 5.7.705 Service unavailable. Access denied, tenant has exceeded threshold.", false, Account),
    (Body, "550 5.1.8 Access denied, bad outbound sender", false, Account),
    (Body, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", true, Full),
    (Body, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", true, Rate),
    (Body, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied", false, Account),
    (Body, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", false, Account),
    (Sender, "530 5.7.57 Client not authenticated to send mail.", false, Account),
    (
        SignIn,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        false,
        Account,
    ),
    (Body, "432 4.3.2 STOREDRV; recipient thread limit exceeded", true, Rate),
    (Greeting, "451 4.7.500 Server busy. Please try again later.", true, Rate),
    (
        Greeting,
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent: part of their network is on our block list (S3150).",
        false,
        Policy,
    ),
    (
        Greeting,
        "421 RP-001 The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed.",
        true,
        Rate,
    ),
    (Stage::Recipient, "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized", false, Policy),
    // Yahoo and AOL.
    (
        Greeting,
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
        true,
        Rate,
    ),
    (Greeting, "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; blocked", false, Policy),
    (Body, "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]", false, Recipient),
    (
        Body,
        "554 delivery error: dd Sorry, your message cannot be delivered. This mailbox is disabled (554.30).",
        false,
        Recipient,
    ),
    (Body, "554 5.7.9 Message not accepted for policy reasons.", false, Policy),
    (Body, "451 Resources temporarily unavailable. Please try again later [#4.16.1].", true, Rate),
    (Stage::Recipient, "552 1 Requested mail action aborted, mailbox not found", false, Recipient),
    (Stage::Recipient, "450 User is receiving mail too quickly", true, Rate),
    // Postfix.
    (
        Stage::Recipient,
        "550 5.1.1 <x@y.example>: Recipient address rejected: User unknown in virtual mailbox table",
        false,
        Recipient,
    ),
    (Stage::Recipient, "450 4.1.1 <x@y.example>: Recipient address rejected: unverified address", true, Recipient),
    (Stage::Recipient, "450 4.2.0 <x@y.example>: Recipient address rejected: Greylisted, see our page", true, Rate),
    (Stage::Recipient, "454 4.7.1 <x@y.example>: Relay access denied", true, Policy),
    (Stage::Recipient, "554 5.7.1 <x@y.example>: Relay access denied", false, Policy),
    (
        Stage::Recipient,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        false,
        Policy,
    ),
    (Sender, "553 5.7.1 <x@y.example>: Sender address rejected: not owned by user ada", false, Account),
    (Sender, "450 4.1.8 <x@y.example>: Sender address rejected: Domain not found", true, Account),
    (Sender, "452 4.3.1 Insufficient system storage", true, Server),
    (Sender, "552 5.3.4 Message size exceeds fixed limit", false, Message),
    (Greeting, "421 4.7.0 mx.example Error: too many connections from 192.0.2.1", true, Rate),
    (Stage::Data, "554 5.5.1 Error: no valid recipients", false, Server),
    (Hello, "421 4.3.2 Service shutting down", true, Server),
    // Exim, qmail and others.
    (Stage::Recipient, "550 Unrouteable address", false, Recipient),
    (Stage::Recipient, "550 relay not permitted", false, Policy),
    (Stage::Recipient, "451 Temporary local problem - please try later", true, Rate),
    (Stage::Recipient, "550 Administrative prohibition", false, Policy),
    (Body, "550 Administrative prohibition", false, Policy),
    (Sender, "550 Verification failed: sender verify failed", false, Account),
    (Stage::Recipient, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", false, Policy),
    (Stage::Recipient, "552 mailbox full", true, Full),
    (Stage::Recipient, "550 5.1.2 no such domain", false, Recipient),
    (Stage::Recipient, "550 5.4.310 DNS domain y.example does not exist", false, Recipient),
    (Stage::Recipient, "421 Service not available, closing transmission channel", true, Server),
    (Greeting, "554 No SMTP service here", false, Policy),
    (Body, "554 Transaction failed: spam", false, Policy),
];

#[test]
fn known_answers_mean_what_they_mean() {
    let mut wrong = Vec::new();
    for (stage, answer, later, about) in ANSWERS {
        let reply = Reply::parse(answer).unwrap_or_else(|| panic!("{answer}"));
        let refused = Refused { stage: *stage, cause: Cause::Answer(reply) };
        let found = verdict(&refused);
        if found != (Verdict { later: *later, about: *about }) {
            wrong.push(format!("{answer}\n    {found:?}, not later: {later}, about: {about:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(ANSWERS.len() >= 40);
}

#[test]
fn what_is_no_answer_is_for_now_unless_it_is_ours() {
    let of = |cause| verdict(&Refused { stage: Stage::Recipient, cause });
    for cause in [Cause::Cut, Cause::TimedOut, Cause::Garbage("x"), Cause::Tls(String::new()), Cause::Spent] {
        assert_eq!(of(cause), Verdict { later: true, about: Server });
    }
    assert_eq!(of(Cause::TooLarge { most: 1 }), Verdict { later: false, about: Message });
    assert_eq!(of(Cause::Unsuitable("x")), Verdict { later: false, about: Account });
}
