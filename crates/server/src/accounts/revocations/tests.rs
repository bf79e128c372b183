use mainstay_domain::Role;
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_800_000_905_000);

/// The position of the entries of these tests.
const POSITION: i64 = 1000;

/// `read` is how far before or after the entries the role was read. The clock says nothing: it is one and the same here.
fn claims(person: u128, tenant: u128, session: u128, read: i64) -> Claims {
    Claims {
        person: PersonId(Uuid::from_u128(person)),
        tenant: TenantId(Uuid::from_u128(tenant)),
        role: Role::Member,
        session: SessionId(Uuid::from_u128(session)),
        as_of: POSITION + read,
        // Later than every entry: a slow commit, or another clock.
        issued_at: NOW.plus(Duration::from_secs(1)),
        expires_at: LATER,
    }
}

fn entry(revoked: Revoked) -> Revocation {
    Revocation { revoked, until: LATER }
}

#[test]
fn each_kind_ends_what_it_names_and_nothing_else() {
    let person = PersonId(Uuid::from_u128(1));
    let tenant = TenantId(Uuid::from_u128(2));
    let cases = [
        (Revoked::Session(SessionId(Uuid::from_u128(3))), claims(1, 2, 3, 100), claims(1, 2, 4, -100)),
        (Revoked::Person(person, POSITION, NOW), claims(1, 9, 9, -1), claims(1, 9, 9, 0)),
        (Revoked::Person(person, POSITION, NOW), claims(1, 2, 3, -1), claims(8, 2, 3, -1)),
        (Revoked::Membership(person, tenant, POSITION), claims(1, 2, 9, -1), claims(1, 2, 9, 0)),
        (Revoked::Membership(person, tenant, POSITION), claims(1, 2, 3, -1), claims(1, 8, 3, -1)),
        (Revoked::Membership(person, tenant, POSITION), claims(1, 2, 3, -1), claims(8, 2, 3, -1)),
    ];
    for (revoked, ended, other) in cases {
        let view = Revocations::default();
        assert!(!view.is_revoked(&ended));
        view.apply_local(&entry(revoked));
        assert!(view.is_revoked(&ended), "{revoked:?}");
        assert!(!view.is_revoked(&other), "{revoked:?} also ended {other:?}");
    }
    let view = Revocations::default();
    view.apply_local(&entry(Revoked::ApiKey(ApiKeyId(Uuid::from_u128(5)))));
    assert!(view.is_api_key_revoked(ApiKeyId(Uuid::from_u128(5))));
    assert!(!view.is_api_key_revoked(ApiKeyId(Uuid::from_u128(6))));
}

#[test]
fn an_older_entry_never_narrows_a_newer_one() {
    let person = PersonId(Uuid::from_u128(1));
    let view = Revocations::default();
    view.apply_local(&Revocation { revoked: Revoked::Person(person, POSITION, NOW), until: LATER });
    let earlier = NOW.minus(Duration::from_secs(60));
    let older = Revoked::Person(person, POSITION - 1, earlier);
    view.apply(&[Revocation { revoked: older, until: NOW }], 1, Instant::now());
    view.prune(NOW);
    assert!(view.is_revoked(&claims(1, 2, 3, -1)));
    assert_eq!(view.len(), 1);
    // A token of an outside issuer knows only when it was made.
    assert!(view.is_outside_revoked(person, NOW.minus(Duration::from_millis(1))));
    assert!(!view.is_outside_revoked(person, NOW));
}

#[test]
fn entries_go_when_their_tokens_have_expired() {
    let view = Revocations::default();
    for revoked in [
        Revoked::Session(SessionId(Uuid::from_u128(3))),
        Revoked::Person(PersonId(Uuid::from_u128(1)), POSITION, NOW),
        Revoked::Membership(PersonId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)), POSITION),
        Revoked::ApiKey(ApiKeyId(Uuid::from_u128(5))),
    ] {
        view.apply_local(&entry(revoked));
    }
    view.prune(LATER.minus(Duration::from_millis(1)));
    assert_eq!(view.len(), 4);
    view.prune(LATER);
    assert!(view.is_empty());
}

#[test]
fn a_view_is_ready_only_while_the_feed_is_read() {
    let (view, start) = (Revocations::default(), Instant::now());
    let refusal = view.ready(start).unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (Kind::Unavailable, "revocations_unknown"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    assert_eq!(view.freshness(start), None);

    view.apply(&[], 0, start);
    assert!(view.ready(start + MOST_STALE).is_ok());
    assert!(view.ready(start + MOST_STALE + Duration::from_millis(1)).is_err());
    assert_eq!(view.freshness(start + Duration::from_secs(2)), Some(Duration::from_secs(2)));

    // What this node revokes itself says nothing about the feed.
    view.apply_local(&entry(Revoked::Session(SessionId(Uuid::from_u128(3)))));
    assert!(view.ready(start + Duration::from_secs(6)).is_err());
    view.apply(&[], 0, start + Duration::from_secs(6));
    assert!(view.ready(start + Duration::from_secs(6)).is_ok());
}

#[test]
fn two_readings_that_cross_leave_the_later_position_and_time() {
    let (view, start) = (Revocations::default(), Instant::now());
    view.apply(&[entry(Revoked::Session(SessionId(Uuid::from_u128(2))))], 20, start + Duration::from_secs(2));
    view.apply(&[entry(Revoked::Session(SessionId(Uuid::from_u128(1))))], 10, start);
    assert_eq!((view.position(), view.len()), (20, 2));
    assert_eq!(view.freshness(start + Duration::from_secs(2)), Some(Duration::ZERO));
}

#[test]
fn a_view_without_room_refuses_and_forgets_nothing() {
    let (view, start) = (Revocations::new(2), Instant::now());
    let session = |number| entry(Revoked::Session(SessionId(Uuid::from_u128(number))));
    view.apply(&[session(1), session(2), session(1)], 3, start);
    assert!(view.ready(start).is_ok());
    view.apply(&[session(3)], 4, start);
    assert!(view.ready(start).is_err());
    assert!(view.is_revoked(&claims(9, 9, 1, 0)) && view.is_revoked(&claims(9, 9, 2, 0)));
}
