//! The audit is audited: for every check the control that it watches is broken, and the check turns red; and it is green before.

mod backups;
mod conversations;
mod deployments;
mod outreach;
mod proxy;
mod recordings;
mod spoils;
mod transport;
mod worlds;

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{InboxEventId, InboxSourceId, JobPriority, TenantId};
use mainstay_server::app::{Service, store_options};
use mainstay_server::ops::audit::{self, Check, Finding, Live, Mode, Profile, Subject, Verdict, list};
use mainstay_store::{Call, Enqueue, Migrator, NewJob, PauseQueue, Processing, ReceiveEvent};
use tokio::time::{Instant, sleep};

use self::proxy::Proxy;
use self::spoils::SPOILS;
use crate::support::receiver::Receiver;
use crate::support::{Engine, TestApp, both};

both! {
    every_check_turns_red_when_its_control_is_broken,
}

/// Settings that break one control each, for a server that has them from its start.
const SETTINGS: &[(&str, &[(&str, &str)])] = &[
    ("security.slow_requests", &[("http.header_timeout_ms", "60000")]),
    ("security.private_networks", &[("deliveries.allow_private", r#"["10.0.0.0/8"]"#)]),
    ("security.passwords", &[("auth.password_memory_kib", "64")]),
    ("security.https", &[("http.public_url", "\"\"")]),
    ("security.rate_limits", &[("limits.free.sync", "0")]),
    ("capacity.overload", &[("overload.enabled", "false")]),
    ("capacity.voice", &[("voice.sessions_free", "3")]),
    ("resilience.drain", &[("lifecycle.drain_seconds", "2"), ("jobs.stop_grace_seconds", "1")]),
    ("resilience.timeouts", &[("providers.idle_timeout_ms", "600000")]),
    ("resilience.retries", &[("providers.retry_budget_percent", "100")]),
    ("resilience.redis", &[("redis.url", "\"\"")]),
    ("resilience.deliveries", &[("deliveries.retry_seconds", r#"["5", "30"]"#)]),
    ("observability.metrics_closed", &[("http.metrics_networks", r#"["0.0.0.0/0"]"#)]),
    ("observability.log_format", &[("log.format", "\"text\"")]),
    ("observability.log_level", &[("log.level", "\"off\"")]),
    ("observability.traces", &[("traces.endpoint", "\"\"")]),
    ("delivery.settings", &[("http.public_url", "\"http://chat.example.com\"")]),
    ("delivery.public_url", &[("http.public_url", "\"http://127.0.0.1:9\"")]),
    ("outreach.mail", &[("http.public_url", "\"http://chat.example.com\"")]),
];

/// What a good server has set, beside its public address.
const GOOD: &[(&str, &str)] = &[
    ("auth.password_memory_kib", "19456"),
    ("auth.password_passes", "2"),
    ("log.format", "\"json\""),
    // Nobody listens there: what receivers have done stands in rows.
    ("alerts.slack_url", "\"https://127.0.0.1:9/services/x\""),
    ("http.header_timeout_ms", "300"),
    // How full the disk of this machine is does not matter here.
    ("alerts.disk_percent", "100"),
    // A whole run takes some seconds, and the machine may be busy.
    ("jobs.oldest_seconds", "3600"),
];

/// Looks with one check.
async fn see(server: &TestApp, address: &str, id: &str) -> Finding {
    let check: &'static Check =
        list::ALL.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}"));
    let table = Service::new(&server.app).expect("a service").table;
    let live = Live::new(address).expect("an address");
    let subject = Subject { app: server.app.clone(), live, profile: Profile::Cluster, table };
    audit::run(&subject, &[check]).await.findings.remove(0)
}

/// Which checks were seen in which colour.
#[derive(Default)]
struct Colours {
    red: BTreeSet<&'static str>,
    green: BTreeSet<&'static str>,
    /// What cannot be broken on this machine.
    cannot_be_red: BTreeSet<&'static str>,
}

impl Colours {
    /// A check was red as the report of the program said.
    fn was_red(&mut self, id: &'static str) {
        self.red.insert(id);
    }

    fn cannot_be_red(&mut self, id: &'static str) {
        self.cannot_be_red.insert(id);
    }

    /// Demands that a check is red.
    #[track_caller]
    fn red(&mut self, finding: &Finding) {
        assert_eq!(finding.verdict, Verdict::Fail, "{}: {} ({})", finding.id, finding.measured, finding.evidence);
        assert!(finding.cure.is_some_and(|cure| !cure.is_empty()), "{} has a cure", finding.id);
        self.red.insert(finding.id);
    }

    /// Demands that a check is green.
    #[track_caller]
    fn green(&mut self, finding: &Finding) {
        assert_eq!(finding.verdict, Verdict::Pass, "{}: {} ({})", finding.id, finding.measured, finding.evidence);
        self.green.insert(finding.id);
    }
}

async fn every_check_turns_red_when_its_control_is_broken(engine: Engine) {
    let mut colours = Colours::default();
    let (mut proxy, collector) = (Proxy::new().await, Receiver::start().await);
    let (public, traces) = (format!("\"{}\"", proxy.address), format!("\"http://{}\"", collector.address));
    let good = [GOOD, &[("http.public_url", public.as_str()), ("traces.endpoint", &traces)]].concat();
    let Some(server) = TestApp::start(engine, &good).await else { return };
    proxy.serve(&server);
    spoil_answers(&server, &proxy, &mut colours).await;
    break_settings(engine, &traces, &mut colours).await;
    backups::damage(engine, &mut colours).await;
    worlds::change(engine, &mut colours).await;
    transport::weaken(engine, &mut colours).await;
    outreach::neglect(engine, &mut colours).await;
    spoil_rows(&server, &proxy.address, &mut colours).await;
    conversations::neglect(&server, &proxy, &mut colours).await;
    recordings::neglect(&server, &proxy, &mut colours).await;
    leave_a_calendar(&server, &proxy.address, &mut colours).await;
    break_the_database(engine, server, &mut colours).await;
    let all: BTreeSet<&str> = list::ALL.iter().map(|check| check.id).collect();
    // What only PostgreSQL has, only PostgreSQL shows; and pages that are broken are judged in a unit test.
    let without = |seen: &BTreeSet<&'static str>, besides: &[&str]| {
        all.iter().filter(|id| !seen.contains(*id) && !besides.contains(id)).copied().collect::<Vec<_>>()
    };
    let (no_red, no_green): (&[&str], &[&str]) = match engine {
        Engine::Sqlite => (
            &[
                "security.row_level",
                "data.integrity",
                "data.no_overlap",
                "data.durable_commits",
                "data.checksums",
                "data.archive",
                "capacity.connections",
                // Nothing but SQL miscounts: `store::conformance::outreach::auditing` does on both engines.
                "outreach.figures",
                // Nor does anything but SQL change an entry: `store::conformance::audit_trail` does.
                "observability.audit_trail",
            ],
            &["security.row_level", "data.checksums", "data.archive", "capacity.connections", "resilience.nodes"],
        ),
        Engine::Postgres => (
            &["security.secret_files", "security.keys_apart", "capacity.disk", "capacity.memory"],
            &["security.secret_files", "security.keys_apart", "capacity.disk", "capacity.memory"],
        ),
    };
    let cannot: Vec<&str> = colours.cannot_be_red.iter().copied().collect();
    assert_eq!(without(&colours.red, &[no_red, &cannot].concat()), [""; 0], "never seen red");
    // What is tried here is a debug build: `.ci/run` sees the green of this one on the release build.
    assert_eq!(without(&colours.green, &[no_green, &["delivery.release_build"]].concat()), [""; 0], "never seen green");
}

async fn spoil_answers(server: &TestApp, proxy: &Proxy, colours: &mut Colours) {
    for (id, spoil) in SPOILS {
        proxy.spoil(None);
        if *id != "resilience.nodes" {
            colours.green(&see(server, &proxy.address, id).await);
        }
        proxy.spoil(Some(*spoil));
        colours.red(&see(server, &proxy.address, id).await);
    }
    proxy.spoil(None);
    // The server itself cuts off who is slow; the one in between waits.
    colours.green(&see(server, &server.address, "security.slow_requests_cut").await);
    colours.red(&see(server, &proxy.address, "security.slow_requests_cut").await);
    // Where nobody answers nothing is known, and that is no pass.
    let deaf = "http://127.0.0.1:9";
    for check in list::ALL.iter().filter(|check| check.id.starts_with("resilience.li")) {
        assert_eq!(see(server, deaf, check.id).await.verdict, Verdict::Unknown);
    }
}

async fn break_settings(engine: Engine, traces: &str, colours: &mut Colours) {
    let https = [GOOD, &[("http.public_url", "\"https://chat.example.com\""), ("traces.endpoint", traces)]].concat();
    let Some(good) = TestApp::start(engine, &https).await else { return };
    for (id, _) in SETTINGS {
        if !["resilience.redis", "delivery.public_url"].contains(id) {
            colours.green(&see(&good, &good.address, id).await);
        }
    }
    for (id, settings) in SETTINGS {
        let others = https.iter().filter(|(key, _)| !settings.iter().any(|(own, _)| own == key));
        let settings: Vec<_> = others.chain(*settings).copied().collect();
        let Some(server) = TestApp::start(engine, &settings).await else { return };
        colours.red(&see(&server, &server.address, id).await);
        server.app.lifecycle.stop_hard();
    }
    good.app.lifecycle.stop_hard();
}

fn call() -> Call {
    Call::within(Duration::from_secs(20))
}

/// Rows that say that something was forgotten, given up or left lying.
async fn spoil_rows(server: &TestApp, address: &str, colours: &mut Colours) {
    let ids = [
        "data.dead_jobs",
        "data.waiting_jobs",
        "data.paused_queues",
        "data.retention",
        "data.call_retention",
        "delivery.controls_forgotten",
        "observability.operators",
        "observability.audited",
        "observability.alerts",
    ];
    for id in &ids[..6] {
        colours.green(&see(server, address, id).await);
    }
    for id in &ids[6..] {
        colours.red(&see(server, address, id).await);
    }
    let store = &server.app.store;
    let job = |queue, run_at| NewJob {
        id: server.app.ids.make(),
        queue,
        kind: "probe",
        group: "g".to_owned(),
        tenant: None,
        priority: JobPriority::Normal,
        // Not what a probe is told by: its only attempt fails.
        arguments: "{}".to_owned(),
        unique: None,
        run_at,
        most_attempts: 1,
        trace: None,
    };
    store.run(&call(), Enqueue { jobs: vec![job("probes", server.now())], now: server.now() }).await.expect("promised");
    let begun = Instant::now();
    while see(server, address, "data.dead_jobs").await.verdict == Verdict::Pass {
        assert!(begun.elapsed() < Duration::from_secs(30), "it was not given up");
        sleep(Duration::from_millis(50)).await;
    }
    colours.red(&see(server, address, "data.dead_jobs").await);
    // It has waited for two hours, in a queue that nobody works on yet.
    let old = server.now().minus(Duration::from_secs(7200));
    store
        .run(&call(), PauseQueue { queue: "billing".to_owned(), paused_at: Some(server.now()) })
        .await
        .expect("paused");
    colours.red(&see(server, address, "data.paused_queues").await);
    store.run(&call(), mainstay_store::OpenQueues(vec!["nobody's"])).await.expect("opened");
    store.run(&call(), Enqueue { jobs: vec![job("nobody's", old)], now: server.now() }).await.expect("promised");
    colours.red(&see(server, address, "data.waiting_jobs").await);
    keep_too_long(server, address, colours).await;
    forget_a_control(server).await;
    colours.red(&see(server, address, "delivery.controls_forgotten").await);
    let ada = server.person("ada").await;
    let email = mainstay_domain::EmailAddress::parse(&ada.email).expect("an address");
    server.app.accounts.set_operator(&call(), &email, true).await.expect("marked");
    colours.green(&see(server, address, "observability.operators").await);
    let run = mainstay_store::AuditRun {
        id: server.app.ids.make::<InboxEventId>().uuid(),
        at: server.now(),
        profile: "server".to_owned(),
        score: 900,
        report: "{}".to_owned(),
    };
    store.run(&call(), mainstay_store::RecordAudit(run)).await.expect("recorded");
    colours.green(&see(server, address, "observability.audited").await);
    spoil_receipts(server, address, colours).await;
    deployments::forget(server, address, colours).await;
}

/// An event of the inbox and a call that are older than they are kept.
async fn keep_too_long(server: &TestApp, address: &str, colours: &mut Colours) {
    let store = &server.app.store;
    let event: InboxEventId = server.app.ids.make();
    let (tenant, source): (TenantId, InboxSourceId) = (server.app.ids.make(), server.app.ids.make());
    let event = ReceiveEvent {
        id: event,
        tenant,
        source,
        provider: "generic",
        identity: "old".to_owned(),
        kind: "k".to_owned(),
        version: None,
        payload: "{}".into(),
        processing: Processing::Kept,
        now: server.now().minus(Duration::from_secs(60 * 86_400)),
    };
    store.receive_event(&call(), event).await.expect("received");
    colours.red(&see(server, address, "data.retention").await);
    let bea = server.person("bea").await;
    let heard = mainstay_store::HearCall {
        tenant: TenantId(bea.organisation.parse().expect("an id")),
        provider_id: "old".to_owned(),
        id: server.app.ids.make(),
        told: mainstay_domain::CallTold::default(),
        contact: None,
        fence: None,
        now: server.now().minus(Duration::from_secs(92 * 86_400)),
    };
    store.run(&call(), heard).await.expect("heard");
    colours.red(&see(server, address, "data.call_retention").await);
}

/// What whoever is told of alerts did with test messages.
async fn spoil_receipts(server: &TestApp, address: &str, colours: &mut Colours) {
    let store = &server.app.store;
    let receipt = |days: u64| mainstay_store::RecordAlertReceipt {
        receiver: "slack",
        failure: None,
        test: true,
        now: server.now().minus(Duration::from_secs(days * 86_400)),
    };
    // What is older than allowed says nothing any more, and that is no pass.
    store.run(&call(), receipt(31)).await.expect("kept");
    assert_eq!(see(server, address, "observability.alerts").await.verdict, Verdict::Unknown);
    store.run(&call(), receipt(29)).await.expect("kept");
    colours.green(&see(server, address, "observability.alerts").await);
}

/// A calendar whose account would have to be connected again, for two days.
async fn leave_a_calendar(server: &TestApp, address: &str, colours: &mut Colours) {
    colours.green(&see(server, address, "data.calendars").await);
    // Nobody reads it meanwhile, and finds only now that it cannot be read.
    let paused = PauseQueue { queue: "calendars".to_owned(), paused_at: Some(server.now()) };
    server.app.store.run(&call(), paused).await.expect("paused");
    let ids = &server.app.ids;
    let (tenant, staff, id): (TenantId, mainstay_domain::StaffId, mainstay_domain::CalendarConnectionId) =
        (ids.make(), ids.make(), ids.make());
    let now = server.now().minus(Duration::from_secs(2 * 86_400));
    let who =
        mainstay_store::Staff { id: staff, name: "Dr.".to_owned(), week: None, archived_at: None, created_at: now };
    server.app.store.run(&call(), mainstay_store::CreateStaff { tenant, staff: who, claim: None }).await.expect("made");
    let column = mainstay_store::SealedColumn::CalendarToken;
    let place = mainstay_server::keys::Place { column, tenant, row: id.uuid() };
    let token = server.app.keys.seal(place, &mainstay_domain::Secret::new("t".to_owned())).expect("sealed");
    let (account, calendar) = ("a@example.com".to_owned(), "primary".to_owned());
    let connect = mainstay_store::ConnectCalendar { id, tenant, staff, account, calendar, token, now };
    server.app.store.run(&call(), connect).await.expect("connected");
    let failed = mainstay_store::CalendarFailed { tenant, id, reconnect: true, error: "x".to_owned(), now };
    server.app.store.run(&call(), failed).await.expect("noted");
    colours.red(&see(server, address, "data.calendars").await);
}

/// A control that was set 31 days ago, and never ended since.
async fn forget_a_control(server: &TestApp) {
    let author = mainstay_store::ControlAuthor { person: None, name: "nobody".to_owned() };
    let change = mainstay_store::ChangeControl {
        id: server.app.ids.make::<InboxEventId>().uuid(),
        name: "sync.interval".to_owned(),
        to: Some(("60".to_owned(), server.now().plus(Duration::from_secs(3600)))),
        reason: "forgotten".to_owned(),
        author,
        now: server.now().minus(Duration::from_secs(31 * 86_400)),
    };
    server.app.store.run(&call(), change).await.expect("set");
}

async fn break_the_database(engine: Engine, server: TestApp, colours: &mut Colours) {
    let address = server.address.clone();
    for id in ["data.migrations", "data.integrity", "data.no_overlap"] {
        colours.green(&see(&server, &address, id).await);
    }
    colours.green(&see(&server, &address, "observability.audit_trail").await);
    if engine == Engine::Postgres {
        server.psql("UPDATE audit_event SET action = 'something else' WHERE position = 1");
        colours.red(&see(&server, &address, "observability.audit_trail").await);
    }
    let last = list_of_migrations(&server).await;
    let mut migrator = Migrator::open(&store_options(&server.app.config.database)).await.expect("opened");
    migrator.down(last - 1, Duration::from_secs(10)).await.expect("taken back");
    colours.red(&see(&server, &address, "data.migrations").await);
    migrator.up(server.now(), Duration::from_secs(10)).await.expect("applied");
    colours.green(&see(&server, &address, "data.migrations").await);
    drop(migrator);
    match engine {
        Engine::Postgres => {
            colours.green(&see(&server, &address, "security.row_level").await);
            server.psql("ALTER TABLE message NO FORCE ROW LEVEL SECURITY");
            colours.red(&see(&server, &address, "security.row_level").await);
            server.psql("ALTER TABLE appointment DROP CONSTRAINT appointment_overlap");
            colours.red(&see(&server, &address, "data.no_overlap").await);
            server.psql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'person_operator'::regclass");
            colours.red(&see(&server, &address, "data.integrity").await);
        }
        Engine::Sqlite => {
            let file = store_options(&server.app.config.database).sqlite_path().expect("a file");
            colours.green(&see(&server, &address, "security.secret_files").await);
            open_to_all(&file);
            colours.red(&see(&server, &address, "security.secret_files").await);
        }
    }
}

/// Figures say more than there are rows.
fn miscount(server: &TestApp) {
    server.psql("UPDATE outreach_figure SET number = number + 1 WHERE kind = 'accepted'");
}

async fn list_of_migrations(server: &TestApp) -> i64 {
    let mut migrator = Migrator::open(&store_options(&server.app.config.database)).await.expect("opened");
    migrator.status().await.expect("read").last().expect("some").version
}

fn open_to_all(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).expect("changed");
}

#[test]
fn every_check_has_a_name_a_threshold_and_a_cure() {
    let ids: BTreeSet<&str> = list::ALL.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), list::ALL.len(), "an id stands twice");
    for check in list::ALL.iter() {
        assert_eq!(check.id.split('.').next(), Some(check.group.word()), "{}", check.id);
        for text in [check.title, check.threshold, check.cure] {
            assert!(!text.is_empty() && !text.contains("  "), "{}: {text}", check.id);
        }
        assert!(check.title.ends_with('.') && check.cure.ends_with('.'), "{}", check.id);
    }
    let asked = |profile| list::asked_of(profile, Mode::Passive);
    assert!(asked(Profile::Laptop) < asked(Profile::Server) && asked(Profile::Server) < asked(Profile::Cluster));
}
