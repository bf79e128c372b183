//! The audit trail: an entry for each change and none without, and chains that show what was done to them.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{InboxEventId, TenantId, Timestamp};

use super::Harness;
use super::keys::beside;
use crate::{
    AuditEvent, AuditNote, AuditTrail, AuditWalk, BrokenTrail, Call, ChangeControl, ChangePassword, ControlAuthor,
    Error, GENESIS, INSTALLATION, ListAuditEvents, ListAuditTrails, ListControls, ListOldAuditTrails, NewSession,
    ReadAuditLinks, RecordAuditNote, StartSession, TrimAuditTrail,
};

const DAY: Duration = Duration::from_secs(86_400);

fn note(tenant: TenantId, at: Timestamp, action: &str) -> AuditNote {
    let content = format!(r#"{{"by":{{"name":"Ada"}},"of":"{action}"}}"#);
    AuditNote { tenant, at, action: action.to_owned(), content, salt: [7; 16] }
}

async fn list(h: &Harness, tenant: TenantId) -> Vec<AuditEvent> {
    let mut events =
        h.store.run(&h.call(), ListAuditEvents { tenant, before: None, limit: 1_000 }).await.expect("listed");
    events.reverse();
    events
}

async fn record(h: &Harness, tenant: TenantId, actions: &[&str]) {
    for action in actions {
        h.clock.advance(Duration::from_millis(1));
        h.store.run(&h.call(), RecordAuditNote(note(tenant, h.now(), action))).await.expect("recorded");
    }
}

/// Walks a chain by pages of two.
async fn walk(h: &Harness, tenant: TenantId) -> Result<AuditTrail, BrokenTrail> {
    let read = async |after| {
        let links = ReadAuditLinks { tenant, after, limit: 2 };
        h.store.run(&h.call(), links).await.expect("read").expect("a chain")
    };
    let (mut trail, _) = read(i64::MAX).await;
    let mut along = AuditWalk::along(&trail);
    loop {
        let (stands, events) = read(along.position()).await;
        trail = stands;
        if events.is_empty() {
            return along.end(&trail).map(|()| trail);
        }
        along.over(&events)?;
    }
}

pub(super) async fn an_entry_is_there_with_its_change_and_not_without(h: &Harness) {
    let tenant = h.ids.make::<TenantId>();
    let control = |name: &str, to: Option<&str>| ChangeControl {
        id: h.ids.make::<InboxEventId>().uuid(),
        name: name.to_owned(),
        to: to.map(|value| (value.to_owned(), h.now().plus(DAY))),
        reason: "r".to_owned(),
        author: ControlAuthor { person: None, name: "x".to_owned() },
        now: h.now(),
    };
    let audited = |action: &str| {
        let call = h.call();
        call.audited(note(tenant, h.now(), action));
        call
    };
    // Whatever only reads leaves nothing, also when the call then goes on to change something.
    let call = audited("set");
    h.store.run(&call, ListControls { now: h.now() }).await.expect("listed");
    assert_eq!(list(h, tenant).await, []);
    h.store.run(&call, control("audited", Some("off"))).await.expect("set");
    // The same call again, and a clone of it with another deadline: it was one thing that somebody did.
    h.store.run(&call, control("audited", Some("on"))).await.expect("set");
    let later = call.extended(call.deadline());
    h.store.run(&later, control("audited", None)).await.expect("cleared");
    let told = list(h, tenant).await;
    assert_eq!(told.iter().map(|event| (event.position, event.action.as_str())).collect::<Vec<_>>(), [(1, "set")]);
    assert_eq!(told[0].content.as_deref(), Some(r#"{"by":{"name":"Ada"},"of":"set"}"#));
    // A change that fails takes its entry with it: the sign-in that is to begin is there already.
    let (home, person) = h.person("noted").await;
    let session = NewSession { id: h.ids.make(), expires_at: h.now().plus(DAY) };
    h.store.run(&h.call(), StartSession { session, person, tenant: home, now: h.now() }).await.expect("started");
    let change = ChangePassword {
        person,
        password_hash: "never".to_owned(),
        begins: Some((session, home)),
        now: h.now(),
        tokens_end: h.now(),
    };
    let call = audited("never");
    assert!(matches!(h.store.run(&call, change.clone()).await, Err(Error::Unique(_))));
    assert_eq!(list(h, tenant).await.len(), 1);
    let begins = Some((NewSession { id: h.ids.make(), ..session }, home));
    h.store.run(&call, ChangePassword { begins, ..change }).await.expect("changed");
    assert_eq!(list(h, tenant).await.len(), 2, "the same call tried again");
    // A chain of another organisation than the one that is changed, and of the installation.
    let installation = h.call();
    installation.audited(note(INSTALLATION, h.now(), "installation"));
    h.store.run(&installation, control("audited", Some("off"))).await.expect("set");
    assert_eq!(list(h, INSTALLATION).await.last().map(|event| event.action.clone()), Some("installation".to_owned()));
    assert!(walk(h, tenant).await.is_ok() && walk(h, INSTALLATION).await.is_ok());
}

pub(super) async fn many_at_once_make_one_chain_without_a_gap(h: &Harness) {
    let tenant = h.ids.make::<TenantId>();
    let all = (0..40).map(|number| {
        let entry = RecordAuditNote(note(tenant, h.now(), &format!("a{number}")));
        async move { h.store.run(&Call::within(Duration::from_secs(60)), entry).await }
    });
    assert!(join_all(all).await.into_iter().all(|recorded| recorded == Ok(())));
    let places: Vec<_> = list(h, tenant).await.iter().map(|event| event.position).collect();
    assert_eq!(places, (1..=40).collect::<Vec<_>>());
    assert_eq!(walk(h, tenant).await.map(|trail| trail.position), Ok(40));
}

pub(super) async fn whatever_is_done_to_a_chain_is_seen(h: &Harness) {
    let id = |tenant: TenantId| match &h.database {
        None => format!("x'{}'", tenant.uuid().simple()),
        Some(_) => format!("'{tenant}'"),
    };
    for (what, broken) in [
        ("UPDATE audit_event SET action = 'b' WHERE position = 2", BrokenTrail::At(2)),
        ("UPDATE audit_event SET content = '{}' WHERE position = 3", BrokenTrail::At(3)),
        ("UPDATE audit_event SET content = NULL WHERE position = 3", BrokenTrail::At(3)),
        ("UPDATE audit_event SET content_digest = digest WHERE position = 3", BrokenTrail::At(3)),
        ("DELETE FROM audit_event WHERE position = 3", BrokenTrail::At(3)),
        ("DELETE FROM audit_event WHERE position = 1", BrokenTrail::At(1)),
        ("DELETE FROM audit_event WHERE position = 5", BrokenTrail::Ends { found: 4, wanted: 5 }),
        ("UPDATE audit_event SET position = 9 WHERE position = 4", BrokenTrail::At(4)),
        ("UPDATE audit_trail SET position = 4 WHERE position = 5", BrokenTrail::Ends { found: 5, wanted: 4 }),
    ] {
        let tenant = h.ids.make::<TenantId>();
        record(h, tenant, &["a", "a", "a", "a", "a"]).await;
        assert_eq!(walk(h, tenant).await.map(|trail| trail.position), Ok(5));
        beside(h, &format!("{what} AND tenant_id = {}", id(tenant))).await;
        assert_eq!(walk(h, tenant).await, Err(broken), "{what}");
    }
    // What is said can be taken away, and the chain holds.
    let tenant = h.ids.make::<TenantId>();
    record(h, tenant, &["a", "b", "c"]).await;
    let erase = "UPDATE audit_event SET content = NULL, salt = NULL WHERE position = 2";
    beside(h, &format!("{erase} AND tenant_id = {}", id(tenant))).await;
    assert_eq!(walk(h, tenant).await.map(|trail| trail.position), Ok(3));
    assert_eq!(list(h, tenant).await[1].content, None);
}

pub(super) async fn what_is_too_old_is_let_go_of_and_the_rest_holds(h: &Harness) {
    let (tenant, other) = (h.ids.make::<TenantId>(), h.ids.make::<TenantId>());
    let old = h.now().minus(10 * DAY);
    for (at, whose) in [(old, tenant), (old, tenant), (old, tenant), (h.now(), tenant), (h.now(), other)] {
        h.store.run(&h.call(), RecordAuditNote(note(whose, at, "a"))).await.expect("recorded");
    }
    let before = h.now().minus(DAY);
    let found = h.store.run(&h.call(), ListOldAuditTrails { before, limit: 100 }).await.expect("listed");
    assert_eq!(found, [tenant]);
    let trim = |limit| TrimAuditTrail { tenant, before, limit };
    assert_eq!(h.store.run_for_jobs(&h.call(), trim(2)).await, Ok(2));
    assert_eq!(walk(h, tenant).await.map(|trail| trail.floor), Ok(2));
    assert_eq!(h.store.run_for_jobs(&h.call(), trim(10)).await, Ok(1));
    assert_eq!(h.store.run_for_jobs(&h.call(), trim(10)).await, Ok(0), "what is young stays");
    let trail = walk(h, tenant).await.expect("it holds");
    assert_eq!((trail.floor, trail.position), (3, 4));
    record(h, tenant, &["b"]).await;
    assert_eq!(walk(h, tenant).await.map(|trail| trail.position), Ok(5));
    let all = h.store.run(&h.call(), ListAuditTrails { after: INSTALLATION, limit: 1_000 }).await.expect("listed");
    assert!(all.iter().any(|trail| trail.tenant == tenant && trail.floor == 3));
    assert!(all.iter().any(|trail| trail.tenant == other && (trail.floor, trail.floor_digest) == (0, GENESIS)));
}
