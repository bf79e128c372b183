//! Accounts at Gmail: that somebody has signed in, what Gmail calls their emails, and until when they wait.

use std::time::Duration;

use mainstay_domain::AccountState;

use super::super::{Harness, sealed};
use super::mailboxes::settings;
use super::{Agency, said, sender};
use crate::{
    AccountSettings, EmailClaim, EmailEnd, FindByMessage, FindByThread, GetAccount, GetMailbox, MailboxRead,
    NoteMailbox, NoteProvider, SendNotBefore, SetAccountState, SignInAccount,
};

fn at_gmail() -> AccountSettings {
    AccountSettings { kind: "gmail".to_owned(), secret: None, ..sender(100) }
}

pub(in super::super) async fn an_account_at_gmail_sends_once_somebody_has_signed_in(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let by_smtp = agency.account("bob@example.com", sender(100)).await;
    let id = agency.account("ada@example.com", at_gmail()).await;
    let get = GetAccount { tenant, id };
    let made = agency.run(get).await.expect("an account");
    assert_eq!((made.state, made.reason.is_some()), (AccountState::Reconnect, true));
    let sign_in = || SignInAccount { tenant, id, secret: sealed("token"), mailbox: settings("gmail"), now: h.now() };
    assert!(!agency.run(SignInAccount { id: by_smtp, ..sign_in() }).await, "it has a password");
    let other = Agency::open(h, "other").await;
    assert!(!other.run(SignInAccount { tenant: other.tenant, ..sign_in() }).await);
    assert_eq!(agency.run(GetMailbox { tenant, account: id }).await, None);
    assert!(agency.run(sign_in()).await);
    let account = agency.run(get).await.expect("an account");
    assert_eq!((account.state, account.reason), (AccountState::Active, None));
    assert_eq!(account.settings.secret, Some(sealed("token")));
    // Its mailbox goes on where it was when somebody signs in again; and whoever has it rest has it rest.
    let read = |end| MailboxRead::History("77".to_owned(), end);
    agency.run(NoteMailbox { tenant, account: id, read: read(false), now: h.now() }).await;
    assert_eq!(agency.run(GetMailbox { tenant, account: id }).await.expect("a mailbox").looked_at, None);
    agency.run(NoteMailbox { tenant, account: id, read: read(true), now: h.now() }).await;
    let state = AccountState::Paused;
    agency.run(SetAccountState { tenant, id, state, reason: Some("tired".to_owned()), now: h.now() }).await;
    assert!(agency.run(sign_in()).await);
    let mailbox = agency.run(GetMailbox { tenant, account: id }).await.expect("a mailbox");
    assert_eq!((mailbox.history.as_deref(), mailbox.looked_at), (Some("77"), Some(h.now())));
    let account = agency.run(get).await.expect("an account");
    assert_eq!((account.state, account.reason.as_deref()), (AccountState::Paused, Some("tired")));
}

pub(in super::super) async fn what_gmail_calls_an_email_finds_it(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    agency.add(made.id, &["a@one.test"]).await;
    agency.launch(made.id).await;
    let run = agency.begin(account).await;
    let first = agency.claim(&run, 1).await.remove(0);
    assert!(agency.fence(&run, &first).await);
    let next = agency.next(&made, &first).expect("a second step");
    let provider = Some(("m1".to_owned(), Some("t1".to_owned())));
    let end = EmailEnd::Accepted { said: said(200), provider, next: Some(next.clone()) };
    assert!(agency.end(&run, &first, true, end).await);
    let by_thread = |thread: &str| FindByThread { tenant, account, thread: thread.to_owned() };
    assert_eq!(agency.run(by_thread("t1")).await, Some(first.id));
    assert_eq!(agency.run(by_thread("t2")).await, None);
    assert_eq!(agency.run(FindByThread { account: h.ids.make(), ..by_thread("t1") }).await, None);
    let message_id = Some("theirs@mail.test".to_owned());
    let note = NoteProvider { tenant, id: first.id, provider_id: None, thread: None, message_id };
    assert!(agency.run(note.clone()).await);
    assert!(!agency.run(NoteProvider { id: h.ids.make(), ..note.clone() }).await);
    // By either name, and what follows answers to theirs, in the same thread.
    for name in ["theirs@mail.test", first.message_id.as_str()] {
        let message_ids = vec!["x@y".to_owned(), name.to_owned()];
        assert_eq!(agency.run(FindByMessage { tenant, message_ids }).await.expect("one of ours").id, first.id);
    }
    h.clock.advance(next.due_at.since(h.now()));
    let second = agency.claim(&run, 1).await.remove(0);
    let earlier = &second.earlier[0];
    assert_eq!((earlier.message_id.as_str(), earlier.thread.as_deref()), ("theirs@mail.test", Some("t1")));
    let other = Agency::open(h, "other").await;
    let message_ids = vec!["theirs@mail.test".to_owned()];
    assert_eq!(other.run(FindByMessage { tenant: other.tenant, message_ids }).await, None);
    assert!(!other.run(NoteProvider { tenant: other.tenant, ..note }).await);
}

pub(in super::super) async fn an_account_that_is_told_to_waits(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let account = agency.account("ada@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    agency.add(made.id, &["a@one.test"]).await;
    agency.launch(made.id).await;
    let over = agency.begin(account).await;
    let run = agency.begin(account).await;
    let (soon, later) = (h.now().plus(Duration::from_secs(60)), h.now().plus(Duration::from_secs(3_600)));
    agency.run(SendNotBefore { run: agency.of(&over), until: later }).await;
    agency.run(SendNotBefore { run: agency.of(&run), until: soon }).await;
    assert_eq!(agency.try_claim(&run, 1).await, Ok(EmailClaim::Wait(soon)), "a run that is over says nothing");
    agency.run(SendNotBefore { run: agency.of(&run), until: later }).await;
    agency.run(SendNotBefore { run: agency.of(&run), until: soon }).await;
    assert_eq!(agency.try_claim(&run, 1).await, Ok(EmailClaim::Wait(later)), "the longer wait counts");
    h.clock.advance(Duration::from_secs(3_600));
    assert_eq!(agency.claim(&run, 1).await.len(), 1);
}
