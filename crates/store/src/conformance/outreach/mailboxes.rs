//! Mailboxes: how far each is read, and what is found in it.

use mainstay_domain::{AccountState, EmailState};

use super::super::{Harness, sealed};
use super::{Agency, accepted, sender};
use crate::{
    AccountsInUse, Became, FindLastTo, GetAccount, GetMailbox, ListUnknown, MailboxRead, MailboxSettings, NoteBecame,
    NoteMailbox, PutMailbox, RemoveMailbox,
};

pub(in super::super) fn settings(host: &str) -> MailboxSettings {
    MailboxSettings {
        host: host.to_owned(),
        port: 993,
        security: "tls".to_owned(),
        user_name: "ada".to_owned(),
        secret: sealed("password"),
        folder: "INBOX".to_owned(),
    }
}

pub(in super::super) async fn a_mailbox_is_read_on(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(100)).await;
    let put = |host: &str| PutMailbox { tenant, account, settings: settings(host), now: h.now() };
    let get = GetMailbox { tenant, account };
    assert_eq!(agency.run(get).await, None);
    assert!(!agency.run(PutMailbox { account: h.ids.make(), ..put("a.example") }).await, "there is no such account");
    assert!(agency.run(put("a.example")).await);
    let mailbox = agency.run(get).await.expect("it is there");
    assert_eq!((mailbox.read, mailbox.state, mailbox.looked_at), (None, AccountState::Active, None));
    assert_eq!(mailbox.settings, settings("a.example"));
    let note = |read: MailboxRead| NoteMailbox { tenant, account, read, now: h.now() };
    agency.run(note(MailboxRead::To(7, 40))).await;
    agency.run(note(MailboxRead::ToTheEnd(7, 41))).await;
    agency.run(note(MailboxRead::Away("busy".to_owned()))).await;
    let mailbox = agency.run(get).await.expect("it is there");
    assert_eq!((mailbox.read, mailbox.looked_at), (Some((7, 41)), Some(h.now())));
    assert_eq!((mailbox.state, mailbox.reason.as_deref()), (AccountState::Active, Some("busy")));
    agency.run(note(MailboxRead::Halted("wrong password".to_owned()))).await;
    assert_eq!(agency.run(get).await.expect("it is there").state, AccountState::Reconnect);
    // The same mailbox goes on where it was, and another one begins anew.
    assert!(agency.run(put("a.example")).await);
    let mailbox = agency.run(get).await.expect("it is there");
    assert_eq!((mailbox.read, mailbox.state, mailbox.reason), (Some((7, 41)), AccountState::Active, None));
    assert!(agency.run(put("b.example")).await);
    assert_eq!(agency.run(get).await.expect("it is there").read, None);
    let other = Agency::open(h, "other").await;
    assert_eq!(other.run(GetMailbox { tenant: other.tenant, account }).await, None);
    assert!(!other.run(RemoveMailbox { tenant: other.tenant, account }).await);
    assert!(agency.run(RemoveMailbox { tenant, account }).await);
    assert!(!agency.run(RemoveMailbox { tenant, account }).await);
}

pub(in super::super) async fn what_became_is_noted_once(h: &Harness) {
    let agency = Agency::open(h, "agency").await;
    let tenant = agency.tenant;
    let account = agency.account("ada@example.com", sender(100)).await;
    let made = agency.campaign("Spring", &[account]).await;
    agency.add(made.id, &["a@one.test", "b@two.test"]).await;
    let other = agency.account("bob@example.com", sender(100)).await;
    let in_use = agency.run(AccountsInUse { tenant, campaign: made.id, limit: 10 }).await;
    assert_eq!(in_use.iter().map(|one| one.id).collect::<Vec<_>>(), [account], "{other} does not send for it");
    agency.launch(made.id).await;
    let run = agency.begin(account).await;
    let claimed = agency.claim(&run, 2).await;
    for email in &claimed {
        assert!(agency.fence(&run, email).await);
    }
    assert!(agency.end(&run, &claimed[0], true, accepted(None)).await);
    let find = |address: &str| FindLastTo { tenant, account, address: address.to_owned() };
    assert_eq!(agency.run(find("a@one.test")).await, Some(claimed[0].id));
    assert_eq!(agency.run(find("c@one.test")).await, None);
    let list = ListUnknown { tenant, account, limit: 10 };
    assert_eq!(agency.run(list).await, []);
    assert_eq!(agency.begin(account).await.left, (0, 1));
    assert_eq!(agency.run(list).await, [(claimed[1].id, claimed[1].message_id.clone())]);
    let became = |became: Became| NoteBecame { tenant, email: claimed[0].id, became, now: h.now() };
    assert!(agency.run(became(Became::Bounced)).await);
    assert!(!agency.run(became(Became::Bounced)).await, "once");
    assert!(agency.run(became(Became::Replied)).await);
    let email = agency.email(claimed[0].id).await;
    assert_eq!((email.state, email.bounced_at, email.replied_at), (EmailState::Accepted, Some(h.now()), Some(h.now())));
    let health = agency.run(GetAccount { tenant, id: account }).await.expect("it is there").health;
    assert_eq!((health.0, health.1), (1, 1));
    let figures = agency.figures(made.id).await;
    assert_eq!((figures["bounced"], figures["replied"]), (1, 1));
}
