//! People, sign-ins, members and keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mainstay_domain::{
    ApiKeyScope, EmailAddress, IdempotencyKey, OrganisationName, PersonId, PersonName, Role, SessionId, TenantId,
};

use super::{Harness, spawn};
use crate::{
    AddMember, AdmitOutsidePerson, ApiKey, AuthoriseApiKey, Call, ChangeMember, ChangePassword, Claim, CreateApiKey,
    CreateOrganisation, DisablePerson, EndAllSessions, EndSession, Error, FindOutsidePerson, FindPerson,
    FindPersonByEmail, GetApiKey, ListApiKeys, ListMembers, LookUpApiKey, MemberChanged, MembershipsIn, MembershipsOf,
    NewPerson, NewSession, Once, RevocationsSince, RevokeApiKey, Revoked, RotateSession, Rotated, SetOperator,
    SetPassword, SignUp, SignedUp, SigningKeyOr, StartSession, Store, SwitchSession,
};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn a_person_signs_up_once(h: &Harness) {
    let (tenant, person) = h.person("ada").await;
    let address = EmailAddress::parse("ada@example.com").expect("an address");
    let again = SignUp {
        person: NewPerson {
            id: h.ids.make(),
            email: Some(address.clone()),
            name: PersonName::default(),
            password_hash: None,
            operator: false,
        },
        tenant: h.ids.make(),
        organisation: OrganisationName::parse("again").expect("a name"),
        session: None,
        now: h.now(),
    };
    let other = again.tenant;
    assert_eq!(h.store.run(&h.call(), again).await, Ok(SignedUp::EmailTaken));
    assert_eq!(h.store.run(&h.call(), ListMembers { tenant: other, after: None, limit: 10 }).await, Ok(vec![]));

    let found = h.store.run(&h.call(), FindPersonByEmail(address)).await.expect("found").expect("there");
    assert_eq!((found.id, found.name.as_str(), found.operator_since), (person, "ada", None));
    h.store.run(&h.call(), SetPassword { person, password_hash: "new".to_owned() }).await.expect("set");
    let found = h.store.run(&h.call(), FindPerson(person)).await.expect("found").expect("there");
    assert_eq!(found.password_hash.as_deref(), Some("new"));
    let memberships = MembershipsOf(person).find(&h.store, &h.call()).await.expect("found");
    assert_eq!(memberships.iter().map(|m| (m.tenant, m.role)).collect::<Vec<_>>(), [(tenant, Role::Owner)]);
    let nobody = SetPassword { person: h.ids.make(), password_hash: String::new() };
    assert_eq!(h.store.run(&h.call(), nobody).await, Err(Error::Missing("person")));
}

fn rotate(h: &Harness, id: SessionId, generation: u32) -> RotateSession {
    RotateSession {
        id,
        generation,
        now: h.now(),
        expires_at: h.now().plus(HOUR),
        leeway: Duration::from_secs(20),
        tokens_end: h.now().plus(HOUR),
    }
}

pub(super) async fn sign_ins_rotate_and_notice_reuse(h: &Harness) {
    let (tenant, person) = h.person("bob").await;
    let id = h.ids.make();
    let session = NewSession { id, expires_at: h.now().plus(HOUR) };
    h.store.run(&h.call(), StartSession { session, person, tenant, now: h.now() }).await.expect("started");

    let generation = |rotated: Result<Rotated, Error>| match rotated {
        Ok(Rotated::Good(session)) => Some(session.generation),
        _ => None,
    };
    assert_eq!(generation(h.store.run(&h.call(), rotate(h, id, 0)).await), Some(1));
    // The answer was lost: the same token gives the same successor, for a while.
    h.clock.advance(Duration::from_secs(19));
    assert_eq!(generation(h.store.run(&h.call(), rotate(h, id, 0)).await), Some(1));
    assert_eq!(h.store.run(&h.call(), rotate(h, id, 7)).await, Ok(Rotated::Ended));
    h.clock.advance(Duration::from_secs(1));
    let before = h.store.run(&h.call(), RevocationsSince(0)).await.expect("read").len();
    assert_eq!(h.store.run(&h.call(), rotate(h, id, 0)).await, Ok(Rotated::Reused(person)));
    assert_eq!(h.store.run(&h.call(), rotate(h, id, 1)).await, Ok(Rotated::Ended));
    let feed = h.store.run(&h.call(), RevocationsSince(0)).await.expect("read");
    assert_eq!(feed.len(), before + 1);
    assert_eq!(feed.last().map(|entry| entry.what), Some(Revoked::Session(id)));
}

pub(super) async fn sign_ins_switch_and_end(h: &Harness) {
    let (tenant, person) = h.person("cleo").await;
    let (other, _) = h.person("dora").await;
    let id = h.ids.make();
    let session = NewSession { id, expires_at: h.now().plus(HOUR) };
    h.store.run(&h.call(), StartSession { session, person, tenant, now: h.now() }).await.expect("started");
    let switch = SwitchSession { id, person, tenant: other, now: h.now() };
    let switched = h.store.run(&h.call(), switch).await.expect("switched").expect("good");
    assert_eq!(switched.tenant, other);

    let end = EndSession { id, reason: "signed out", now: h.now(), tokens_end: h.now().plus(HOUR) };
    assert_eq!(h.store.run(&h.call(), end).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), end).await, Ok(false), "it has ended before");
    assert_eq!(h.store.run(&h.call(), switch).await, Ok(None));
    assert_eq!(h.store.run(&h.call(), rotate(h, id, 0)).await, Ok(Rotated::Ended));

    let session = NewSession { id: h.ids.make(), expires_at: h.now().plus(HOUR) };
    h.store.run(&h.call(), StartSession { session, person, tenant, now: h.now() }).await.expect("started");
    let all = EndAllSessions { person, reason: "password changed", now: h.now(), tokens_end: h.now().plus(HOUR) };
    h.store.run(&h.call(), all).await.expect("ended");
    h.clock.advance(2 * HOUR);
    assert_eq!(h.store.run(&h.call(), rotate(h, session.id, 0)).await, Ok(Rotated::Ended));
}

pub(super) async fn another_password_and_being_disabled_end_all(h: &Harness) {
    let (tenant, person) = h.person("gil").await;
    let start = async || {
        let session = NewSession { id: h.ids.make(), expires_at: h.now().plus(10 * HOUR) };
        h.store.run(&h.call(), StartSession { session, person, tenant, now: h.now() }).await.expect("started");
        session
    };
    let revoked = async || {
        let feed = h.store.run(&h.call(), RevocationsSince(0)).await.expect("read");
        feed.last().map(|entry| (entry.position, entry.what))
    };
    let (first, next) = (start().await, NewSession { id: h.ids.make(), expires_at: h.now().plus(10 * HOUR) });
    let change = |person, begins| ChangePassword {
        person,
        password_hash: "another".to_owned(),
        begins,
        now: h.now(),
        tokens_end: h.now().plus(HOUR),
    };
    let position = h.store.run(&h.call(), change(person, Some((next, tenant)))).await.expect("changed");
    assert_eq!(revoked().await, Some((position, Revoked::Person(person))));
    assert_eq!(h.store.run(&h.call(), rotate(h, first.id, 0)).await, Ok(Rotated::Ended));
    assert!(matches!(h.store.run(&h.call(), rotate(h, next.id, 0)).await, Ok(Rotated::Good(_))), "the one that began");
    let found = h.store.run(&h.call(), FindPerson(person)).await.expect("read").expect("there");
    assert_eq!(found.password_hash.as_deref(), Some("another"));
    assert_eq!(h.store.run(&h.call(), change(h.ids.make(), None)).await, Err(Error::Missing("person")));

    let disable = |person, disabled| DisablePerson { person, disabled, now: h.now(), tokens_end: h.now().plus(HOUR) };
    let last = start().await;
    h.store.run(&h.call(), disable(person, true)).await.expect("disabled");
    let since = h.now();
    assert_eq!(revoked().await.map(|(_, what)| what), Some(Revoked::Person(person)));
    assert_eq!(h.store.run(&h.call(), rotate(h, last.id, 0)).await, Ok(Rotated::Ended));
    h.clock.advance(Duration::from_secs(60));
    h.store.run(&h.call(), disable(person, true)).await.expect("disabled");
    let disabled = async || h.store.run(&h.call(), FindPerson(person)).await.expect("read").expect("there").disabled_at;
    assert_eq!(disabled().await, Some(since), "since the first time");
    h.store.run(&h.call(), disable(person, false)).await.expect("enabled");
    assert_eq!(disabled().await, None);
    assert_eq!(h.store.run(&h.call(), disable(h.ids.make(), true)).await, Err(Error::Missing("person")));
}

fn change(h: &Harness, tenant: TenantId, person: PersonId, role: Option<Role>) -> ChangeMember {
    ChangeMember { tenant, person, role, now: h.now(), tokens_end: h.now().plus(HOUR) }
}

pub(super) async fn members_come_and_go_but_the_last_owner_stays(h: &Harness) {
    let (tenant, owner) = h.person("eve").await;
    let (_, guest) = h.person("fay").await;
    let add = AddMember { tenant, person: guest, role: Role::Member, now: h.now() };
    assert_eq!(h.store.run(&h.call(), add).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), add).await, Ok(false));
    let members = h.store.run(&h.call(), ListMembers { tenant, after: None, limit: 10 }).await.expect("listed");
    assert_eq!(members.len(), 2);
    let page = ListMembers { tenant, after: Some(members[0].person), limit: 10 };
    assert_eq!(h.store.run(&h.call(), page).await.expect("listed"), members[1..]);

    let outcome = h.store.run(&h.call(), change(h, tenant, owner, None)).await;
    assert_eq!(outcome, Ok(MemberChanged::LastOwner));
    // Which of two came first is told by positions: the clock of this test stands still.
    let role_of_guest = || async {
        let there = MembershipsIn { person: guest, tenants: vec![tenant] };
        h.store.run(&h.call(), there).await.expect("read").first().map(|found| (found.role, found.as_of))
    };
    let before = role_of_guest().await.expect("a member");
    let outcome = h.store.run(&h.call(), change(h, tenant, guest, Some(Role::Owner))).await;
    let Ok(MemberChanged::Done(position)) = outcome else { panic!("{outcome:?}") };
    let after = role_of_guest().await.expect("a member");
    assert_eq!((before.0, after.0), (Role::Member, Role::Owner));
    assert!(before.1 < position && position <= after.1, "{} {position} {}", before.1, after.1);
    // Two owners leave at the same moment: one stays.
    let call = h.call();
    let leave = |person| h.store.run(&call, change(h, tenant, person, None));
    let (first, second) = tokio::join!(leave(owner), leave(guest));
    let mut outcomes = [first.expect("ran"), second.expect("ran")];
    outcomes.sort_by_key(|outcome| *outcome == MemberChanged::LastOwner);
    assert!(matches!(outcomes, [MemberChanged::Done(_), MemberChanged::LastOwner]), "{outcomes:?}");
    let stranger = change(h, tenant, h.ids.make(), None);
    assert_eq!(h.store.run(&h.call(), stranger).await, Ok(MemberChanged::NoMember));
}

pub(super) async fn api_keys_live_and_die(h: &Harness) {
    let (tenant, person) = h.person("gus").await;
    let claim = Claim { key: IdempotencyKey::parse("k1").expect("a key"), fingerprint: "f".to_owned() };
    let create = |hash: &str| CreateApiKey {
        id: h.ids.make(),
        tenant,
        person,
        name: "robot".to_owned(),
        prefix: "mk_abc".to_owned(),
        hash: format!("{hash}{tenant}"),
        scopes: vec![ApiKeyScope::Read, ApiKeyScope::Write],
        claim: Some(claim.clone()),
        now: h.now(),
    };
    let first = create("one");
    assert_eq!(h.store.run(&h.call(), first.clone()).await, Ok(Once::Done(first.id)));
    let Ok(Once::Repeat(used)) = h.store.run(&h.call(), create("two")).await else { panic!("the key was used") };
    assert_eq!(used.resource_id, first.id.uuid());

    assert_eq!(h.store.run(&h.call(), LookUpApiKey(first.hash.clone())).await, Ok(Some((tenant, first.id))));
    let authorise = AuthoriseApiKey { tenant, id: first.id };
    let authority = h.store.run(&h.call(), authorise).await.expect("read").expect("good");
    assert_eq!((authority.person, authority.role, authority.scopes.len()), (person, Role::Owner, 2));
    let key: ApiKey = h.store.run(&h.call(), GetApiKey { tenant, id: first.id }).await.expect("read").expect("there");
    let list = ListApiKeys { tenant, after: None, limit: 5 };
    assert_eq!(h.store.run(&h.call(), list).await, Ok(vec![key.clone()]));
    let list = ListApiKeys { after: Some((key.created_at, key.id)), ..list };
    assert_eq!(h.store.run(&h.call(), list).await, Ok(vec![]));

    // The key of somebody who is let in no more opens nothing.
    let disable = |disabled| DisablePerson { person, disabled, now: h.now(), tokens_end: h.now().plus(HOUR) };
    h.store.run(&h.call(), disable(true)).await.expect("disabled");
    assert_eq!(h.store.run(&h.call(), authorise).await, Ok(None));
    h.store.run(&h.call(), disable(false)).await.expect("enabled");
    assert!(h.store.run(&h.call(), authorise).await.expect("read").is_some());

    let revoke = RevokeApiKey { tenant, id: first.id, now: h.now(), forgotten_at: h.now().plus(HOUR) };
    assert_eq!(h.store.run(&h.call(), revoke).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), revoke).await, Ok(false));
    assert_eq!(h.store.run(&h.call(), authorise).await, Ok(None));
    assert_eq!(h.store.run(&h.call(), LookUpApiKey(first.hash)).await, Ok(None));
}

pub(super) async fn outside_people_are_made_once(h: &Harness) {
    h.person("hal").await;
    let admit = |email: &str| AdmitOutsidePerson {
        issuer: "https://issuer.example".to_owned(),
        subject: "subject".to_owned(),
        person: NewPerson {
            id: h.ids.make(),
            email: Some(EmailAddress::parse(email).expect("an address")),
            name: PersonName::default(),
            password_hash: None,
            operator: false,
        },
        tenant: h.ids.make(),
        organisation: OrganisationName::parse("outside").expect("a name"),
        now: h.now(),
    };
    let person = h.store.run(&h.call(), admit("hal@example.com")).await.expect("admitted");
    assert!(matches!(h.store.run(&h.call(), admit("ida@example.com")).await, Err(Error::Unique(_))));
    let find = FindOutsidePerson { issuer: "https://issuer.example".to_owned(), subject: "subject".to_owned() };
    let found = h.store.run(&h.call(), find).await.expect("read").expect("there");
    assert_eq!((found.id, found.email), (person, None), "an address that somebody has is not taken over");
}

pub(super) async fn organisations_and_operators(h: &Harness) {
    let (caller_tenant, owner) = h.person("jo").await;
    let create = CreateOrganisation {
        tenant: h.ids.make(),
        name: OrganisationName::parse("second").expect("a name"),
        owner,
        caller_tenant,
        claim: None,
        now: h.now(),
    };
    assert_eq!(h.store.run(&h.call(), create.clone()).await, Ok(Once::Done(create.tenant)));
    let memberships = MembershipsOf(owner).find(&h.store, &h.call()).await.expect("found");
    assert_eq!(memberships.len(), 2);
    h.store.run(&h.call(), SetOperator { person: owner, since: Some(h.now()) }).await.expect("set");
    let person = h.store.run(&h.call(), FindPerson(owner)).await.expect("found").expect("there");
    assert_eq!(person.operator_since, Some(h.now()));
}

pub(super) async fn the_signing_key_is_made_once(h: &Harness) {
    let key = |text: &str| SigningKeyOr {
        name: "tokens",
        id: uuid::Uuid::nil(),
        candidate: super::sealed(text),
        now: h.now(),
    };
    let first = h.store.run(&h.call(), key("one")).await.expect("made");
    assert_eq!(first.body(), "one");
    assert_eq!(h.store.run(&h.call(), key("two")).await, Ok(first));
}

/// Follows the feed until told to stop and nothing is left; the answer is whom it then knows to be revoked.
async fn follow_the_feed(store: Store, from: i64, over: Arc<AtomicBool>) -> BTreeSet<PersonId> {
    let (mut known, mut position) = (BTreeSet::new(), from);
    loop {
        let last_look = over.load(Ordering::SeqCst);
        let call = Call::within(Duration::from_secs(60));
        let entries = store.run(&call, RevocationsSince(position)).await.expect("read");
        for entry in &entries {
            assert!(entry.position > position, "{} came after {position}", entry.position);
            position = entry.position;
            if let Revoked::Person(person) = entry.what {
                known.insert(person);
            }
        }
        if last_look && entries.is_empty() {
            return known;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn a_reader_of_the_feed_misses_nothing(h: &Harness) {
    let from = h.store.run(&h.call(), RevocationsSince(0)).await.expect("read").last().map_or(0, |last| last.position);
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3).map(|_| spawn(follow_the_feed(h.store.clone(), from, Arc::clone(&over)))).collect();
    let mut all = BTreeSet::new();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let people: Vec<PersonId> = (0..20).map(|_| h.ids.make()).collect();
            all.extend(people.iter().copied());
            // Each has a clock of its own, and what is committed late may be dated early.
            let (store, now) = (h.store.clone(), h.now().minus(Duration::from_secs(writer)));
            spawn(async move {
                let call = Call::within(Duration::from_secs(60));
                for person in people {
                    let end = EndAllSessions { person, reason: "test", now, tokens_end: now.plus(HOUR) };
                    store.run(&call, end).await.expect("ended");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        assert_eq!(reader.await.expect("a reader"), all, "a reader missed a revocation");
    }
}

/// While a role goes to and fro, everybody who reads it can tell whether the reading is from before a change.
pub(super) async fn a_role_is_read_together_with_the_position_of_the_feed(h: &Harness) {
    let (tenant, _) = h.person("ria").await;
    let (_, guest) = h.person("sol").await;
    let add = AddMember { tenant, person: guest, role: Role::Member, now: h.now() };
    assert_eq!(h.store.run(&h.call(), add).await, Ok(true));
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, over) = (h.store.clone(), Arc::clone(&over));
            spawn(async move {
                let mut seen = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    let call = Call::within(Duration::from_secs(60));
                    let there = MembershipsIn { person: guest, tenants: vec![tenant] };
                    let found = store.run(&call, there).await.expect("read").remove(0);
                    seen.push((found.as_of, found.role));
                    tokio::task::yield_now().await;
                }
                seen
            })
        })
        .collect();
    let mut roles = BTreeMap::from([(0, Role::Member)]);
    for role in [Role::Admin, Role::Member].into_iter().cycle().take(40) {
        let outcome = h.store.run(&h.call(), change(h, tenant, guest, Some(role))).await;
        let Ok(MemberChanged::Done(position)) = outcome else { panic!("{outcome:?}") };
        roles.insert(position, role);
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        for (as_of, role) in reader.await.expect("a reader") {
            let true_then = roles.range(..=as_of).next_back().map(|(_, role)| *role);
            assert_eq!(Some(role), true_then, "read as of {as_of}");
        }
    }
}
