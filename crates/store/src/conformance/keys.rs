//! Secrets under keys: what is sealed and what is not, which key seals, and when one is retired.

use std::time::Duration;

use mainstay_domain::{KeyState, KeyVersion, PersonId, Sealed, Secret, SendingAccountId, TenantId};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use super::{EngineKind, Harness, sealed_under};
use crate::{
    AccountSettings, ActivateKey, Activated, CountSealed, CreateEndpoint, CreateInboxSource, EndpointSettings,
    ExchangeSealed, ForgetKeyHolder, GetInboxSource, InboxSource, Intent, KEY_ROTATION_KIND, KeyHolder, KeyUse,
    ListJobs, ListKeyHolders, ListKeyUses, ListKeys, LoseKey, MailboxSettings, MakeKeyKnown, PutAccount, PutMailbox,
    ReadPlain, ReadSealed, RegisterKeyUse, ReleaseKeyUse, Result, RetireKey, Retired, SealedColumn, SealedRow,
    SigningKeyOr, TellKeys,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn key(number: u32) -> KeyVersion {
    KeyVersion::new(number).expect("a number")
}

async fn run<I: Intent>(h: &Harness, intent: I) -> Result<I::Output> {
    h.store.run(&h.call(), intent).await
}

/// Makes a row in every sealed column of an organisation, sealed under a key.
async fn fill(h: &Harness, (tenant, person): (TenantId, PersonId), under: KeyVersion) {
    let source = InboxSource {
        id: h.ids.make(),
        name: "sender".to_owned(),
        provider: "generic".to_owned(),
        scheme: sealed_under(under, "scheme"),
        key: format!("key of {}", h.ids.make::<Uuid>()),
        created_at: h.now(),
        disabled_at: None,
    };
    run(h, CreateInboxSource { tenant, person, source, claim: None }).await.expect("made");
    let settings = EndpointSettings {
        url: "https://example.com/hook".to_owned(),
        description: String::new(),
        event_types: Vec::new(),
        rate_per_minute: None,
    };
    let (id, secrets, now) = (h.ids.make(), sealed_under(under, "secrets"), h.now());
    run(h, CreateEndpoint { id, tenant, person, settings, secrets, claim: None, now }).await.expect("made");
}

/// An account of an organisation with both of its secrets, and that of its mailbox, sealed under a key.
async fn fill_account(h: &Harness, tenant: TenantId, under: KeyVersion) {
    let id: SendingAccountId = h.ids.make();
    let settings = AccountSettings {
        secret: Some(sealed_under(under, "password")),
        dkim_key: Some(sealed_under(under, "dkim")),
        ..super::outreach::sender(1)
    };
    let put = PutAccount { tenant, id, address: format!("{id}@example.com"), new: true, settings, now: h.now() };
    assert_eq!(run(h, put).await, Ok(true));
    let settings =
        MailboxSettings { secret: sealed_under(under, "mailbox"), ..super::outreach::mailboxes::settings("h") };
    assert_eq!(run(h, PutMailbox { tenant, account: id, settings, now: h.now() }).await, Ok(true));
}

async fn counts(h: &Harness, under: KeyVersion) -> Vec<u32> {
    let mut counts = Vec::new();
    for column in SealedColumn::ALL {
        counts.push(run(h, CountSealed { column: *column, key: under }).await.expect("counted"));
    }
    counts
}

fn of(rows: &[SealedRow]) -> Vec<(TenantId, Uuid)> {
    rows.iter().map(|row| (row.tenant, row.id)).collect()
}

pub(super) async fn what_is_sealed_is_counted_read_and_exchanged(h: &Harness) {
    let (one, two) = (h.person("kim").await, h.person("lea").await);
    for person in [one, two, one, two, one] {
        fill(h, person, key(1)).await;
        fill_account(h, person.0, key(1)).await;
    }
    let candidate = sealed_under(key(1), "signing");
    run(h, SigningKeyOr { name: "tokens", id: uuid::Uuid::nil(), candidate, now: h.now() }).await.expect("made");
    assert_eq!((counts(h, key(1)).await, counts(h, key(2)).await), (vec![5, 5, 0, 5, 5, 5, 1], vec![0; 7]));
    for column in SealedColumn::ALL.iter().copied() {
        // The tokens of calendars belong to staff, and have a case of their own.
        if column == SealedColumn::CalendarToken {
            continue;
        }
        // In pages, which go over organisations.
        let read = ReadSealed { column, key: key(1), after: None, most: 2 };
        if column == SealedColumn::SigningKey {
            assert_eq!(of(&run(h, read).await.expect("read")), [(TenantId(Uuid::nil()), Uuid::nil())]);
            continue;
        }
        let first = run(h, read).await.expect("read");
        let last = of(&first)[1];
        let rest = run(h, ReadSealed { after: Some(last), most: 10, ..read }).await.expect("read");
        assert_eq!((first.len(), rest.len()), (2, 3));
        let mut all = of(&[first.clone(), rest.clone()].concat());
        assert!(all.is_sorted(), "{all:?}");
        all.dedup();
        assert_eq!(all.len(), 5);
        assert!(first.iter().all(|row| Sealed::parse(row.stored.expose()).is_some()));

        // What was changed meanwhile stays as it is.
        let stale = SealedRow { stored: Secret::new("something else".to_owned()), ..first[1].clone() };
        let gone = SealedRow { id: h.ids.make(), ..first[0].clone() };
        let new = sealed_under(key(2), "anew");
        let rows = [first[0].clone(), stale, gone].map(|row| (row, new.clone())).to_vec();
        let exchange = ExchangeSealed { column, rows };
        assert_eq!(h.store.run_for_jobs(&h.call(), exchange.clone()).await, Ok(1));
        assert_eq!(h.store.run_for_jobs(&h.call(), exchange).await, Ok(0));
        assert_eq!(run(h, CountSealed { column, key: key(2) }).await, Ok(1));
        // Nothing is plain, as nothing plain can be written. The test writes it beside the store.
        assert_eq!(run(h, ReadPlain { column, most: 10 }).await, Ok(Vec::new()));
        beside(h, &format!("UPDATE {} SET {} = '{{\"plain\"}}'", column.table(), column.column())).await;
        let plain = run(h, ReadPlain { column, most: 4 }).await.expect("read");
        assert_eq!((plain.len(), plain[0].stored.expose()), (4, "{\"plain\"}"));
        let rows = plain.into_iter().map(|row| (row, new.clone())).collect();
        assert_eq!(h.store.run_for_jobs(&h.call(), ExchangeSealed { column, rows }).await, Ok(4));
        assert_eq!(run(h, ReadPlain { column, most: 4 }).await.map(|rows| rows.len()), Ok(1));
    }
    // What is not sealed is not carried about.
    let left = run(h, ReadPlain { column: SealedColumn::InboxScheme, most: 1 }).await.expect("read").remove(0);
    let read = run(h, GetInboxSource { tenant: left.tenant, id: left.id.into() }).await.expect("read").expect("there");
    assert_eq!(read.scheme, Sealed::nothing());
    // The row of the key that signs.
    beside(h, "UPDATE signing_key SET secret = 'plain'").await;
    let column = SealedColumn::SigningKey;
    let plain = run(h, ReadPlain { column, most: 10 }).await.expect("read");
    assert_eq!(of(&plain), [(TenantId(Uuid::nil()), Uuid::nil())]);
    let rows = vec![(plain[0].clone(), sealed_under(key(3), "signing"))];
    assert_eq!(h.store.run_for_jobs(&h.call(), ExchangeSealed { column, rows }).await, Ok(1));
    assert_eq!(counts(h, key(3)).await, [0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(h.store.run_for_jobs(&h.call(), ExchangeSealed { column, rows: Vec::new() }).await, Ok(0));
}

/// What was plain once is overwritten where it stood.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_leaves_nothing_plain_in_the_file() {
    let h = Harness::open(EngineKind::Sqlite).await.expect("SQLite is always there");
    let person = h.person("nea").await;
    for _ in 0..20 {
        fill(&h, person, key(1)).await;
    }
    let plain = "a secret that was plain and that nobody may find again";
    for column in [SealedColumn::InboxScheme, SealedColumn::EndpointSecrets] {
        beside(&h, &format!("UPDATE {} SET {} = '{{\"{plain}\"}}'", column.table(), column.column())).await;
    }
    beside(&h, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let path = h.options.sqlite_path().expect("a path");
    let found = || {
        let bytes = std::fs::read(&path).expect("the file");
        bytes.windows(plain.len()).filter(|window| *window == plain.as_bytes()).count()
    };
    assert!(found() >= 40, "the judge itself");
    for column in [SealedColumn::InboxScheme, SealedColumn::EndpointSecrets] {
        let rows = run(&h, ReadPlain { column, most: 100 }).await.expect("read");
        let rows: Vec<_> = rows.into_iter().map(|row| (row, sealed_under(key(1), &"anew".repeat(40)))).collect();
        assert_eq!(h.store.run_for_jobs(&h.call(), ExchangeSealed { column, rows }).await, Ok(20));
    }
    beside(&h, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    assert_eq!(found(), 0);
}

/// Writes what no intent can.
pub(super) async fn beside(h: &Harness, text: &str) {
    match &h.database {
        None => {
            let path = h.options.sqlite_path().expect("a path");
            let mut connection =
                SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connected");
            sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await.expect("written");
        }
        Some(database) => {
            let mut connection = PgConnection::connect(&database.superuser_url).await.expect("connected");
            sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await.expect("written");
        }
    }
}

async fn known(h: &Harness, version: KeyVersion, check: &str) -> bool {
    run(h, MakeKeyKnown { version, check: check.to_owned(), now: h.now() }).await.expect("asked")
}

async fn activate(h: &Harness, version: KeyVersion, first: bool) -> Activated {
    run(h, ActivateKey { version, first, job: h.ids.make(), now: h.now() }).await.expect("asked")
}

async fn states(h: &Harness) -> Vec<(u32, KeyState)> {
    let keys = run(h, ListKeys).await.expect("read");
    keys.into_iter().map(|key| (key.version.number(), key.state)).collect()
}

async fn rotations(h: &Harness) -> usize {
    let filter = crate::JobFilter { kind: KEY_ROTATION_KIND.to_owned(), ..crate::JobFilter::default() };
    run(h, ListJobs { filter, after: None, limit: 100 }).await.expect("listed").jobs.len()
}

pub(super) async fn one_key_seals_at_a_time(h: &Harness) {
    assert_eq!(states(h).await, []);
    assert!(known(h, key(1), "a").await && known(h, key(1), "a").await);
    assert!(!known(h, key(1), "b").await, "another key under its number");
    assert_eq!((activate(h, key(1), true).await, rotations(h).await), (Activated::Now, 0));
    assert_eq!((activate(h, key(1), true).await, rotations(h).await), (Activated::Already, 0));
    assert_eq!(activate(h, key(2), false).await, Activated::Impossible);
    known(h, key(2), "b").await;
    assert_eq!(activate(h, key(2), true).await, Activated::Another, "it is not the first");
    assert_eq!(states(h).await, [(1, KeyState::Active), (2, KeyState::Added)]);
    h.clock.advance(SECOND);
    assert_eq!((activate(h, key(2), false).await, rotations(h).await), (Activated::Now, 1));
    let keys = run(h, ListKeys).await.expect("read");
    assert_eq!((keys[0].state, keys[0].replaced_at), (KeyState::Retiring, Some(h.now())));
    assert_eq!((keys[1].state, keys[1].activated_at, keys[1].check.as_str()), (KeyState::Active, Some(h.now()), "b"));
    // What is left is sealed anew once more; one job is enough.
    assert_eq!((activate(h, key(2), false).await, rotations(h).await), (Activated::Already, 1));
    // Back again.
    assert_eq!((activate(h, key(1), false).await, rotations(h).await), (Activated::Now, 2));
    assert_eq!(states(h).await, [(1, KeyState::Active), (2, KeyState::Retiring)]);
    assert_eq!((run(h, LoseKey(key(2))).await, run(h, LoseKey(key(3))).await), (Ok(true), Ok(false)));
    assert_eq!(activate(h, key(2), false).await, Activated::Impossible);
}

pub(super) async fn a_key_is_retired_only_when_nothing_needs_it(h: &Harness) {
    let person = h.person("mio").await;
    for (number, check) in [(1, "a"), (2, "b")] {
        known(h, key(number), check).await;
    }
    activate(h, key(1), true).await;
    fill(h, person, key(1)).await;
    let retire = async |number| {
        let (replaced_before, heard_after) = (h.now().minus(MINUTE), h.now().minus(MINUTE));
        let retire = RetireKey { version: key(number), replaced_before, heard_after, now: h.now() };
        run(h, retire).await.expect("asked")
    };
    assert_eq!((retire(1).await, retire(9).await), (Retired::Active, Retired::Unknown));
    let replaced = h.now();
    activate(h, key(2), false).await;
    assert_eq!(retire(1).await, Retired::TooEarly(replaced.plus(MINUTE)));
    let tell = |sealing| KeyHolder {
        holder: "process 7".to_owned(),
        versions: vec![key(1), key(2)],
        sealing: key(sealing),
        seen_at: h.now(),
    };
    h.clock.advance(MINUTE);
    run(h, TellKeys { holder: tell(1), gone_before: h.now().minus(MINUTE) }).await.expect("told");
    assert_eq!(retire(1).await, Retired::Sealing(vec!["process 7".to_owned()]));
    run(h, TellKeys { holder: tell(2), gone_before: h.now().minus(MINUTE) }).await.expect("told");
    let rows = vec![(SealedColumn::InboxScheme, 1), (SealedColumn::EndpointSecrets, 1)];
    assert_eq!(retire(1).await, Retired::Rows(rows));

    // A backup that is made now needs both keys, also when the rows have gone over.
    let backup = RegisterKeyUse { holder: "backup one".to_owned(), now: h.now() };
    assert_eq!(run(h, backup.clone()).await, Ok(vec![key(1), key(2)]));
    assert_eq!(run(h, backup).await, Ok(vec![key(1), key(2)]), "it is registered once");
    let need = |number| KeyUse { holder: "backup one".to_owned(), version: key(number), since: h.now() };
    assert_eq!(run(h, ListKeyUses).await, Ok(vec![need(1), need(2)]));
    for column in [SealedColumn::InboxScheme, SealedColumn::EndpointSecrets] {
        let read = ReadSealed { column, key: key(1), after: None, most: 10 };
        let rows = run(h, read).await.expect("read").into_iter();
        let rows = rows.map(|row| (row, sealed_under(key(2), "anew"))).collect();
        assert_eq!(h.store.run_for_jobs(&h.call(), ExchangeSealed { column, rows }).await, Ok(1));
    }
    assert_eq!(retire(1).await, Retired::Backups(vec!["backup one".to_owned()]));
    assert_eq!(states(h).await, [(1, KeyState::Retiring), (2, KeyState::Active)]);
    let release = ReleaseKeyUse("backup one".to_owned());
    assert_eq!((run(h, release.clone()).await, run(h, release).await), (Ok(true), Ok(false)));
    assert_eq!((retire(1).await, retire(1).await), (Retired::Now, Retired::Already));
    assert_eq!(states(h).await, [(1, KeyState::Retired), (2, KeyState::Active)]);
    // What is made from now on does not need it.
    let backup = RegisterKeyUse { holder: "backup two".to_owned(), now: h.now() };
    assert_eq!(run(h, backup).await, Ok(vec![key(2)]));
    // One that never sealed may go at once.
    known(h, key(3), "c").await;
    assert_eq!(retire(3).await, Retired::Now);
}

pub(super) async fn processes_tell_which_keys_they_have(h: &Harness) {
    let holder = |name: &str, versions: &[u32]| KeyHolder {
        holder: name.to_owned(),
        versions: versions.iter().map(|number| key(*number)).collect(),
        sealing: key(1),
        seen_at: h.now(),
    };
    let tell = async |holder: KeyHolder| {
        run(h, TellKeys { holder, gone_before: h.now().minus(MINUTE) }).await.expect("told");
    };
    let first = holder("a", &[1]);
    tell(first.clone()).await;
    h.clock.advance(SECOND * 40);
    let second = holder("b", &[1, 2]);
    tell(second.clone()).await;
    let list = async || run(h, ListKeyHolders(h.now().minus(MINUTE))).await.expect("listed");
    assert_eq!(list().await, [first, second.clone()]);
    // Who has told nothing for long is gone; who tells again is there once.
    h.clock.advance(SECOND * 30);
    let again = holder("b", &[1, 2, 3]);
    tell(again.clone()).await;
    assert_eq!(list().await, [again]);
    run(h, ForgetKeyHolder("b".to_owned())).await.expect("forgotten");
    assert_eq!(list().await, []);
    assert!(run(h, ListKeyHolders(h.now().minus(MINUTE * 60))).await.expect("listed").is_empty(), "the old one too");
}
