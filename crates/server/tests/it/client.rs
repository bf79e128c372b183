//! The typed client against the real server.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_client::{
    Client, Error, Follower, Listing, Live, Memory, Mutation, MutationStatus, OutcomeEvent, Recorded, Replica,
    ReplyEvent, SendMessage,
};
use mainstay_domain::{ApiKeyScope, Flag, Measure, MessageStatus, Role, Secret, Share, Unit};
use mainstay_server::app::Outside;
use tokio::time::{Instant, timeout_at};

use crate::flags::{experiment, found, put_flag, running};
use crate::support::{Engine, TestApp, both};

fn client(app: &TestApp) -> Client {
    Client::builder(&app.address, Outside::default().entropy).build().expect("a client")
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

async fn accounts(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let anybody = client(&app);
    let password = secret("a long password");
    let (ada, who) = anybody.sign_up("ada@example.com", &password, "Ada").await.expect("signed up");
    assert_eq!(who.user.name, "Ada");
    anybody.sign_up("bob@example.com", &password, "Bob").await.expect("signed up");
    let taken = anybody.sign_up("ada@example.com", &password, "Ada").await.expect_err("refused");
    assert_eq!(taken.code(), Some("email_taken"));
    let bad = anybody.sign_up("not an address", &password, "").await.expect_err("refused");
    assert_eq!(bad.problem().expect("a problem").fields[0].field, "email");
    // A further organisation, with a member of another role.
    let organisation = ada.create_organisation("Ada and friends").await.expect("made");
    let before = ada.tokens().expect("a sign-in");
    ada.switch(organisation.id).await.expect("switched");
    assert_ne!(ada.tokens().expect("a sign-in").access_token, before.access_token);
    let me = ada.me().await.expect("me");
    assert_eq!((me.organisation.id, me.role, me.memberships.len()), (organisation.id, Role::Owner, 2));
    let bob = ada.add_member("bob@example.com", Role::Member).await.expect("added");
    ada.change_member(bob.id, Role::Admin).await.expect("changed");
    let members = ada.members(&Listing { limit: Some(1), ..Listing::default() }).await.expect("members");
    assert_eq!(members.data.len(), 1);
    let rest = Listing::default().after(members.next.expect("a second page"));
    assert_eq!(ada.members(&rest).await.expect("members").data.len(), 1);
    ada.remove_member(bob.id).await.expect("removed");
    let made = ada.create_api_key("reader", &[ApiKeyScope::Read]).await.expect("a key");
    let reader = anybody.with_token(&made.secret.expect("told once")).expect("a client");
    assert_eq!(reader.me().await.expect("me").organisation.id, organisation.id);
    assert_eq!(reader.create_conversation(None).await.expect_err("refused").status(), Some(403));
    assert_eq!(
        ada.api_keys(&Listing::default()).await.expect("keys").data,
        [ada.api_key(made.key.id).await.expect("a key")]
    );
    ada.revoke_api_key(made.key.id).await.expect("revoked");
    assert_eq!(reader.me().await.expect_err("revoked").status(), Some(401));
    // The pair is renewed, and ends.
    let before = ada.tokens().expect("a sign-in");
    ada.refresh().await.expect("renewed");
    assert_ne!(ada.tokens().expect("a sign-in").refresh_token, before.refresh_token);
    ada.sign_out().await.expect("signed out");
    assert!(matches!(ada.me().await, Err(Error::SignedOut(_))));
    let (again, _) = anybody.sign_in("ada@example.com", &password).await.expect("signed in");
    again.me().await.expect("me");
}

async fn conversations(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let (ada, _) = client(&app).sign_up("ada@example.com", &secret("a long password"), "Ada").await.expect("signed up");
    let message = SendMessage::new("Hello, who are you?").with_key("once");
    let sent = ada.send(&message).await.expect("sent");
    assert_eq!(sent.reply.status, MessageStatus::Final);
    assert_eq!(ada.send(&message).await.expect("the same").generation_id, sent.generation_id);
    let mut stream = ada.send_streaming(SendMessage::new("And now?").into_conversation(sent.conversation_id));
    let (mut text, mut reply) = (String::new(), None);
    while let Some(event) = stream.next().await.expect("a reply") {
        match event {
            ReplyEvent::Token { text: more, .. } => text.push_str(&more),
            ReplyEvent::Done { reply: done, .. } => reply = Some(done),
            _ => {}
        }
    }
    let reply = reply.expect("it is done");
    assert_eq!(reply.content, text);
    let generation = stream.generation().expect("it was told");
    // From the middle on.
    let (mut rest, mut follow) = (String::new(), ada.follow(generation, 10));
    while let Some(event) = follow.next().await.expect("a reply") {
        if let ReplyEvent::Token { text: more, .. } = event {
            rest.push_str(&more);
        }
    }
    assert_eq!(rest, text[10..]);
    assert_eq!(
        ada.generation(generation).await.expect("a reply").reply,
        ada.stop(generation).await.expect("over").reply
    );
    let messages = ada.messages(sent.conversation_id, &Listing::default()).await.expect("messages");
    assert_eq!(messages.data.len(), 4);
    assert_eq!(messages.data[0].content, text);
    let renamed = ada.rename_conversation(sent.conversation_id, "Who is it").await.expect("renamed");
    assert_eq!(ada.conversation(renamed.id).await.expect("a conversation").title, "Who is it");
    let empty = ada.create_conversation(Some("Another")).await.expect("made");
    let found = Listing { search: Some("another".to_owned()), ..Listing::default() };
    assert_eq!(ada.conversations(&found).await.expect("found").data, [empty]);
    ada.delete_conversation(renamed.id).await.expect("deleted");
    assert_eq!(ada.conversation(renamed.id).await.expect_err("gone").code(), Some("not_found"));
}

both!(accounts, conversations, usage_and_budgets, flags_and_experiments, a_replica_follows_the_server);

async fn usage_and_budgets(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let anybody = client(&app);
    let (ada, who) = anybody.sign_up("ada@example.com", &secret("a long password"), "Ada").await.expect("signed up");
    let (bob, _) = anybody.sign_up("bob@example.com", &secret("a long password"), "Bob").await.expect("signed up");
    ada.add_member("bob@example.com", Role::Member).await.expect("added");
    bob.switch(who.organisation.id).await.expect("switched");
    ada.send(&SendMessage::new("Hello")).await.expect("sent");
    ada.set_organisation_budget(Some(25_000_000)).await.expect("set");
    ada.set_member_budget(who.user.id, Some(2_000_000)).await.expect("set");
    let usage = ada.usage(None).await.expect("usage");
    assert_eq!((usage.used.amounts.messages, usage.budget.left_micros), (1, Some(2_000_000)));
    assert_eq!(usage.limits.expect("of this month").messages.day.used, 1);
    let organisation = usage.organisation.expect("administrators are told");
    assert_eq!((organisation.used.amounts.messages, organisation.budget.cost_micros), (1, Some(25_000_000)));
    let members = ada.members_usage(Some(usage.month), &Listing::default()).await.expect("members");
    assert_eq!((members.data.len(), members.data[0].id, members.data[0].used.amounts.messages), (1, who.user.id, 1));
    // Another month, in which nothing was used and nothing is limited any more.
    let earlier = ada.usage(Some("2020-01".parse().expect("a month"))).await.expect("usage");
    assert_eq!((earlier.used.amounts.messages, earlier.limits), (0, None));
    ada.set_organisation_budget(None).await.expect("removed");
    assert_eq!(ada.usage(None).await.expect("usage").organisation.expect("told").budget.cost_micros, None);
    // A member is told of themselves only.
    let of_bob = bob.usage(None).await.expect("usage");
    assert_eq!((of_bob.used.amounts.messages, of_bob.organisation), (0, None));
    assert_eq!(bob.set_organisation_budget(None).await.expect_err("refused").status(), Some(403));
}

async fn flags_and_experiments(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    put_flag(&app, "editor", Flag { share: Share::EVERYBODY, ..Flag::off() }).await;
    running(&app, "intro", experiment(Unit::Person, Measure::Conversion)).await;
    let (ada, _) = client(&app).sign_up("ada@example.com", &secret("a long password"), "Ada").await.expect("signed up");
    let flags = ada.flags().await.expect("flags");
    assert_eq!(flags.flags, BTreeMap::from([("editor".to_owned(), true)]));
    let variant = ada.expose("intro").await.expect("exposed");
    assert!(variant.is_some());
    assert_eq!(flags.experiments.get("intro"), variant.as_ref());
    assert_eq!(ada.expose("another").await.expect_err("there is none").code(), Some("not_found"));
    let event = |name: &str| OutcomeEvent { id: ada.new_id(), name: name.to_owned(), value: None, at: None };
    let events = [event("paid"), event("looked")];
    for _ in 0..2 {
        assert_eq!(ada.record_events(&events).await.expect("told"), Recorded { recorded: 1, ignored: 1 });
    }
    assert_eq!(found(&app, "intro").await.1, 1);
}

async fn a_replica_follows_the_server(engine: Engine) {
    let Some(app) = TestApp::start(engine, &[]).await else { return };
    let (ada, _) = client(&app).sign_up("ada@example.com", &secret("a long password"), "Ada").await.expect("signed up");
    let mut follower = Follower::new(Live::new(ada.clone()), ada.clone(), Replica::new(Memory::default()));
    let mut kept = Vec::new();
    for round in 0..6 {
        let sent = ada.send(&SendMessage::new(format!("Question {round}"))).await.expect("sent");
        kept.push(sent.conversation_id);
        match round {
            2 => ada.delete_conversation(kept[0]).await.expect("deleted"),
            3 => drop(ada.rename_conversation(kept[1], "Another name").await.expect("renamed")),
            // What happens while the socket is away comes by sync.
            4 => follower.cut(),
            _ => {}
        }
        let wanted = until_equal(&mut follower, &ada).await;
        assert!(wanted.is_empty(), "round {round}: {wanted:?}");
    }
    assert_eq!(follower.replica().counters().divergences, 0);
    let mut other = Replica::new(Memory::default());
    let synced = other.sync(&ada).await.expect("synced");
    assert!(synced.pages >= 1);
    assert_eq!(follower.replica().differences(&other), [""; 0]);
    // Written offline, and sent twice.
    let (id, new, device) = (ada.new_id(), ada.new_id(), ada.new_id());
    let content = "Written offline".to_owned();
    let mutation = Mutation::SendMessage { id, conversation_id: new, content, new: true };
    let status = async || ada.mutate(device, std::slice::from_ref(&mutation)).await.expect("taken")[0].status;
    assert_eq!(status().await, MutationStatus::Applied);
    assert_eq!(status().await, MutationStatus::Repeated);
    assert_eq!(ada.conversation(new).await.expect("made").id, new);
    assert!(!ada.live_ticket().await.expect("a ticket").ticket.is_empty());
}

/// Follows until the replica is what the server lists, for at most half a minute: what differs then.
async fn until_equal(follower: &mut Follower, client: &Client) -> Vec<String> {
    let due = Instant::now() + Duration::from_secs(30);
    loop {
        let differences = follower.replica().differences_from_server(client).await.expect("lists");
        if differences.is_empty() || timeout_at(due, follower.next()).await.is_err() {
            return differences;
        }
    }
}
