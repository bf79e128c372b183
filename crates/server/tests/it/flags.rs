//! Flags and experiments over the wire: who gets what, who was shown what, and what came of it.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    EmailAddress, EventName, Experiment, Flag, FlagKey, Measure, Role, Share, TenantId, Unit, Variant, VariantName,
};
use mainstay_server::accounts::{Credential, Member};
use mainstay_store::{
    Call, ExperimentStep, KillFlag, LoadDefinitions, MoveExperiment, Put, PutExperiment, PutFlag, StoredExperiment,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::support::binary::Installation;
use crate::support::{Engine, Person, TestApp, both};

both! {
    a_flag_is_on_for_those_whom_it_names,
    an_exposure_counts_once_and_what_came_before_it_not_at_all,
    an_experiment_is_assigned_while_it_runs_and_its_winner_after_it,
    exposures_survive_a_stop,
    what_is_told_is_bounded,
    only_operators_see_what_was_found,
}

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn key(text: &str) -> FlagKey {
    FlagKey::parse(text).expect("a key")
}

fn call() -> Call {
    Call::within(PATIENCE)
}

/// Waits until a server goes by what is in the database.
async fn settled(server: &TestApp) {
    let version = server.app.store.run(&call(), LoadDefinitions).await.expect("read").version;
    let mut catalogue = server.app.flags.follow();
    let known = timeout(PATIENCE, catalogue.wait_for(|known| known.version() >= version)).await;
    known.expect("the server reads what was written").expect("it lives");
}

pub(crate) async fn put_flag(server: &TestApp, name: &str, flag: Flag) {
    let put = PutFlag { key: key(name), flag, now: server.now() };
    assert_eq!(server.app.store.run(&call(), put).await, Ok(Put::Done));
    settled(server).await;
}

pub(crate) fn experiment(unit: Unit, measure: Measure) -> Experiment {
    let variant = |name: &str| Variant { name: VariantName::parse(name).expect("a name"), weight: 1 };
    Experiment {
        description: String::new(),
        unit,
        traffic: Share::EVERYBODY,
        variants: vec![variant("control"), variant("short")],
        metric: EventName::parse("paid").expect("a name"),
        measure,
    }
}

async fn draft(server: &TestApp, name: &str, experiment: Experiment) {
    let put = PutExperiment { id: server.app.ids.make(), key: key(name), experiment, now: server.now() };
    assert_eq!(server.app.store.run(&call(), put).await, Ok(Put::Done));
    settled(server).await;
}

async fn step(server: &TestApp, name: &str, step: ExperimentStep) {
    let step = MoveExperiment { key: key(name), step, now: server.now() };
    assert_eq!(server.app.store.run(&call(), step).await, Ok(true));
    settled(server).await;
}

pub(crate) async fn running(server: &TestApp, name: &str, experiment: Experiment) {
    draft(server, name, experiment).await;
    step(server, name, ExperimentStep::Start).await;
}

async fn flags(server: &TestApp, person: &Person) -> Value {
    server.send("GET", "/v1/flags", Some(&person.access_token), None).await.expect(200)
}

async fn expose(server: &TestApp, person: &Person, name: &str) -> Value {
    let body = json!({"experiment": name});
    server.send("POST", "/v1/exposures", Some(&person.access_token), Some(body)).await.expect(200)["variant"].clone()
}

async fn tell(server: &TestApp, person: &Person, events: Value) -> (u64, u64) {
    let body = json!({"events": events});
    let told = server.send("POST", "/v1/events", Some(&person.access_token), Some(body)).await.expect(200);
    let count = |name: &str| told[name].as_u64().expect("a count");
    (count("recorded"), count("ignored"))
}

fn stored(server: &TestApp, name: &str) -> StoredExperiment {
    let catalogue = server.app.flags.catalogue();
    catalogue.experiments().iter().find(|one| one.key.as_str() == name).expect("it is known").clone()
}

/// Units, those that converted, and the mean, over both variants.
pub(crate) async fn found(server: &TestApp, name: &str) -> (u64, u64, f64) {
    server.app.flags.flush().await;
    let results = server.app.flags.results(&call(), &stored(server, name), server.now()).await.expect("added up");
    let sum = |of: fn(&mainstay_server::flags::VariantResult) -> u64| results.variants.iter().map(of).sum();
    let (units, converted) = (sum(|one| one.units), sum(|one| one.converted));
    (units, converted, results.variants.iter().map(|one| one.value).sum())
}

fn id(number: u32) -> String {
    format!("01a1ff20-0000-7000-8000-{number:012}")
}

async fn a_flag_is_on_for_those_whom_it_names(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let token = Some(ada.access_token.as_str());
    let none = server.send("GET", "/v1/flags", token, None).await;
    assert_eq!(none.json(), json!({"flags": {}, "experiments": {}}));
    assert_eq!(none.headers["cache-control"], "no-store", "a client keeps it, and no cache in between");

    let mut flag = Flag::off();
    flag.allow.insert(ada.organisation.parse().expect("an id"));
    let begun = Instant::now();
    put_flag(&server, "editor", flag.clone()).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "it takes two seconds at most where there is time");
    assert_eq!(flags(&server, &ada).await["flags"], json!({"editor": true}));
    assert_eq!(flags(&server, &bob).await["flags"], json!({"editor": false}));
    let (tenant, person): (TenantId, _) = (ada.organisation.parse().expect("an id"), ada.id.parse().expect("an id"));
    assert!(server.app.flags.is_on("editor", tenant, person) && !server.app.flags.is_on("none", tenant, person));

    // What has not changed is not sent again.
    let first = server.send("GET", "/v1/flags", token, None).await;
    let tag = first.headers["etag"].to_str().expect("a tag").to_owned();
    let again = server.send_with("GET", "/v1/flags", token, None, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.text.as_str(), &again.headers["etag"]), (304, "", &first.headers["etag"]));
    let others = server.send_with("GET", "/v1/flags", Some(&bob.access_token), None, &[("if-none-match", &tag)]).await;
    assert_eq!(others.status, 200);

    // The kill switch holds whatever the flag says.
    flag.share = Share::EVERYBODY;
    put_flag(&server, "editor", flag).await;
    assert_eq!(flags(&server, &bob).await["flags"], json!({"editor": true}));
    let kill = KillFlag { key: key("editor"), killed: true, now: server.now() };
    assert_eq!(server.app.store.run(&call(), kill).await, Ok(true));
    settled(&server).await;
    let killed = server.send_with("GET", "/v1/flags", token, None, &[("if-none-match", &tag)]).await;
    assert_eq!(killed.expect(200)["flags"], json!({"editor": false}));
}

async fn an_exposure_counts_once_and_what_came_before_it_not_at_all(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    running(&server, "intro", experiment(Unit::Person, Measure::Mean)).await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(server.person(&format!("p{number}")).await);
    }
    // Before anybody was shown anything.
    let early = json!([{"id": id(1), "name": "paid", "value": 100}]);
    assert_eq!(tell(&server, &people[0], early.clone()).await, (1, 0));
    assert_eq!(found(&server, "intro").await.0, 0);
    // Each is shown their variant many times at once, while it is being written.
    let variant = flags(&server, &people[0]).await["experiments"]["intro"].clone();
    let (all, ()) =
        tokio::join!(join_all((0..120).map(|number| expose(&server, &people[number % 6], "intro"))), async {
            for _ in 0..20 {
                server.app.flags.flush().await;
                tokio::task::yield_now().await;
            }
        });
    assert_eq!(all[0], variant);
    assert!(all.chunks(6).all(|chunk| chunk == &all[..6]), "everybody keeps their variant");
    assert_eq!(found(&server, "intro").await, (6, 0, 0.0));

    // After it, once for each id; what nobody counts is ignored, and so is what is dated before the exposure.
    let events = json!([
        {"id": id(2), "name": "paid", "value": 2.5},
        {"id": id(3), "name": "paid"},
        {"id": id(2), "name": "paid", "value": 2.5},
        {"id": id(4), "name": "looked"},
        {"id": id(5), "name": "paid", "value": 1000, "at": server.now().minus(Duration::from_secs(3600))},
    ]);
    for _ in 0..2 {
        assert_eq!(tell(&server, &people[0], events.clone()).await, (4, 1));
        assert_eq!(tell(&server, &people[0], early.clone()).await, (1, 0));
    }
    let (units, converted, _) = found(&server, "intro").await;
    assert_eq!((units, converted), (6, 1));
    let results = server.app.flags.results(&call(), &stored(&server, "intro"), server.now()).await.expect("added up");
    let of_hers = results.variants.iter().find(|one| json!(one.name) == variant).expect("her variant");
    let total = of_hers.value * f64::from(u32::try_from(of_hers.units).expect("few"));
    assert!((total - 3.5).abs() < 1e-9, "{results:?}");
    // Another organisation's event with the same id is another event.
    assert_eq!(tell(&server, &people[1], json!([{"id": id(2), "name": "paid"}])).await, (1, 0));
    assert_eq!(found(&server, "intro").await.1, 2);
}

async fn an_experiment_is_assigned_while_it_runs_and_its_winner_after_it(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    // Bob in Ada's organisation: where organisations are assigned he gets what she gets.
    let body = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(body)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let switched = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let token = switched["access_token"].as_str().expect("a token").to_owned();
    let bob = Person { access_token: token, ..bob };

    draft(&server, "intro", experiment(Unit::Organisation, Measure::Conversion)).await;
    assert_eq!(flags(&server, &ada).await["experiments"], json!({}));
    let body = json!({"experiment": "intro"});
    let refused = server.send("POST", "/v1/exposures", Some(&ada.access_token), Some(body.clone())).await;
    refused.refused(404, "not_found");
    step(&server, "intro", ExperimentStep::Start).await;
    let variant = expose(&server, &ada, "intro").await;
    assert_eq!(flags(&server, &bob).await["experiments"]["intro"], variant);
    assert_eq!(expose(&server, &bob, "intro").await, variant);
    assert_eq!(tell(&server, &bob, json!([{"id": id(1), "name": "paid"}])).await, (1, 0));
    assert_eq!(tell(&server, &ada, json!([{"id": id(1), "name": "paid"}])).await, (1, 0));
    let (units, converted, _) = found(&server, "intro").await;
    assert_eq!((units, converted), (1, 1), "the organisation is one unit");

    let winner = VariantName::parse("short").ok();
    step(&server, "intro", ExperimentStep::Stop { winner }).await;
    for person in [&ada, &bob] {
        assert_eq!(flags(&server, person).await["experiments"]["intro"], "short");
        assert_eq!(expose(&server, person, "intro").await, "short");
    }
    assert_eq!(tell(&server, &ada, json!([{"id": id(2), "name": "paid"}])).await, (0, 1), "nobody counts it any more");
    step(&server, "intro", ExperimentStep::Stop { winner: None }).await;
    assert_eq!(flags(&server, &ada).await["experiments"], json!({}));
    assert_eq!(found(&server, "intro").await.0, 1);
}

async fn exposures_survive_a_stop(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    running(&server, "intro", experiment(Unit::Person, Measure::Conversion)).await;
    let ada = server.person("ada").await;
    expose(&server, &ada, "intro").await;
    let server = server.restart(&[]).await;
    settled(&server).await;
    let results = server.app.flags.results(&call(), &stored(&server, "intro"), server.now()).await.expect("added up");
    assert_eq!(results.variants.iter().map(|one| one.units).sum::<u64>(), 1);
}

async fn what_is_told_is_bounded(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    running(&server, "intro", experiment(Unit::Person, Measure::Mean)).await;
    let send = async |events: Value| {
        server.send("POST", "/v1/events", Some(&ada.access_token), Some(json!({"events": events}))).await
    };
    let many =
        |count: u32| json!((0..count).map(|number| json!({"id": id(number), "name": "paid"})).collect::<Vec<_>>());
    send(many(100)).await.expect(200);
    for (events, field) in [
        (many(0), "events"),
        (many(101), "events"),
        (json!([{"id": id(1), "name": "Paid"}]), "events[0].name"),
        (json!([{"id": id(1), "name": "paid"}, {"id": id(2), "name": "paid", "value": 1e10}]), "events[1].value"),
        (json!([{"id": id(1), "name": "paid", "at": "2001-01-01T00:00:00.000Z"}]), "events[0].at"),
        (json!([{"id": id(1), "name": "paid", "at": "2999-01-01T00:00:00.000Z"}]), "events[0].at"),
    ] {
        let problem = send(events).await.refused(400, "invalid_input");
        assert_eq!(problem["fields"][0]["field"], field, "{problem}");
    }
}

async fn only_operators_see_what_was_found(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    running(&server, "intro", experiment(Unit::Person, Measure::Conversion)).await;
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    for person in [&ada, &bob] {
        expose(&server, person, "intro").await;
    }
    assert_eq!(found(&server, "intro").await.0, 2);
    let path = format!("/v1/experiments/{}", stored(&server, "intro").id);
    let token = Some(ada.access_token.as_str());
    let mark = async |operator| {
        let email = EmailAddress::parse(&ada.email).expect("an address");
        server.app.accounts.set_operator(&call(), &email, operator).await.expect("marked");
    };
    for path in ["/v1/experiments", &path] {
        server.send("GET", path, token, None).await.refused(403, "forbidden");
    }
    mark(true).await;
    let list = server.send("GET", "/v1/experiments", token, None).await.expect(200);
    assert_eq!((&list["data"][0]["key"], &list["data"][0]["state"]), (&json!("intro"), &json!("running")));
    let results = server.send("GET", &path, token, None).await.expect(200);
    let units = |place: usize| results["results"]["variants"][place]["units"].as_u64().expect("a count");
    assert_eq!(units(0) + units(1), 2, "of all organisations: {results}");
    assert_eq!(results["results"]["comparisons"][0]["verdict"], "not_enough_data");
    let unknown = format!("/v1/experiments/{}", id(1));
    server.send("GET", &unknown, token, None).await.refused(404, "not_found");
    // A key of an operator does not reach over organisations.
    let body = json!({"name": "a key", "scopes": ["read", "admin"]});
    let made = server.send("POST", "/v1/api-keys", token, Some(body)).await.expect(201);
    server.send("GET", &path, made["secret"].as_str(), None).await.refused(403, "forbidden");
    mark(false).await;
    server.send("GET", &path, token, None).await.refused(403, "forbidden");
}

/// Two nodes are told of the same people at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_nodes_a_person_is_exposed_once_and_both_hear_of_a_change() {
    let Some(one) = TestApp::start(Engine::Postgres, &[]).await else { return };
    let two = one.second_node().await;
    running(&one, "intro", experiment(Unit::Person, Measure::Conversion)).await;
    settled(&two).await;
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(one.person(&format!("p{number}")).await);
    }
    let exposures =
        (0..40).map(|number| expose(if number % 2 == 0 { &one } else { &two }, &people[number % 5], "intro"));
    let all = join_all(exposures).await;
    assert!(all.chunks(5).all(|chunk| chunk == &all[..5]), "both nodes say the same");
    two.app.flags.flush().await;
    assert_eq!(found(&one, "intro").await.0, 5);
    let mut heard = two.app.flags.follow();
    heard.mark_unchanged();
    let put = PutFlag { key: key("editor"), flag: Flag { share: Share::EVERYBODY, ..Flag::off() }, now: one.now() };
    assert_eq!(one.app.store.run(&call(), put).await, Ok(Put::Done));
    timeout(PATIENCE, heard.changed()).await.expect("it hears").expect("it lives");
    assert_eq!(flags(&two, &people[0]).await["flags"], json!({"editor": true}));
}

/// Nothing is lost, and nobody is kept waiting, while the database takes no rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exposures_wait_while_the_database_is_away() {
    let Some(server) = TestApp::start(Engine::Postgres, &[]).await else { return };
    running(&server, "intro", experiment(Unit::Person, Measure::Conversion)).await;
    let ada = server.person("ada").await;
    server.app.store.close().await;
    let member = Member {
        tenant: ada.organisation.parse().expect("an id"),
        person: ada.id.parse().expect("an id"),
        role: Role::Owner,
        credential: Credential::Session(server.app.ids.make()),
    };
    let shown = server.app.flags.expose(&member, "intro", server.now()).expect("it is taken");
    assert!(shown.is_some());
    server.app.flags.flush().await;
    let figures = server.send("GET", "/metrics", None, None).await.text;
    for figure in ["mainstay_exposures_waiting 1", "mainstay_exposures_lost_total 0"] {
        assert!(figures.lines().any(|line| line == figure), "{figure} is missing in\n{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_rolls_out_and_a_running_server_follows() {
    let installation = Installation::new();
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    let me = server.get("/v1/me", &token).await;
    let organisation = me["organisation"]["id"].as_str().expect("an id").to_owned();
    installation.run(&["flag", "list"]).await.says(0, &["There are no flags."]);
    installation.run(&["flag", "set", "New"]).await.says(2, &["lower case"]);
    installation.run(&["flag", "set", "editor", "--percent", "101"]).await.says(2, &["from 0 to 100"]);
    installation
        .run(&["flag", "set", "editor", "--percent", "0", "--allow", &organisation])
        .await
        .says(0, &["editor is off, 1 organisation allowed."]);
    until(&server, &token, &json!({"editor": true})).await;
    installation.run(&["flag", "kill", "editor"]).await.says(0, &["off for everybody"]);
    until(&server, &token, &json!({"editor": false})).await;
    let set = ["flag", "set", "editor", "--percent", "12.5", "--of", "person", "--description", "The new editor"];
    installation.run(&set).await.says(0, &["editor is killed (was on for 12.5 % of persons, 1 organisation allowed)."]);
    installation.run(&["flag", "restore", "editor"]).await.says(0, &["again"]);
    until(&server, &token, &json!({"editor": true})).await;
    installation.run(&["flag", "list"]).await.says(0, &["editor", "12.5 % of persons", "The new editor"]);
    let check = ["flag", "check", "editor", "--organisation", &organisation];
    installation.run(&check).await.says(0, &["on: the organisation is allowed"]);
    installation.run(&["flag", "set", "editor", "--unlist", &organisation]).await.says(0, &["12.5 % of persons."]);
    installation.run(&check).await.says(1, &["name one"]);
    installation.run(&["flag", "set", "editor", "--deny", &organisation, "--on"]).await.says(0, &["editor is on, 1"]);
    installation.run(&check).await.says(0, &["off: the organisation is denied"]);
    installation.run(&["flag", "remove", "editor"]).await.says(0, &["editor is removed."]);
    until(&server, &token, &json!({})).await;
    for command in ["kill", "restore", "remove"] {
        installation.run(&["flag", command, "editor"]).await.says(1, &["There is no flag editor."]);
    }
    server.stop().await;
}

/// Asks until the flags are these. There is no signal to wait for in another process.
async fn until(server: &crate::support::binary::Instance, token: &str, expected: &Value) {
    let begun = Instant::now();
    loop {
        let found = server.get("/v1/flags", token).await;
        if found["flags"] == *expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{found} is not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_runs_an_experiment() {
    let installation = Installation::new();
    let tokens = installation.people(4).await;
    let create = |extra: &[&'static str]| {
        let words = ["experiment", "create", "intro", "--metric", "paid", "--variant", "control=3"];
        words.into_iter().chain(extra.iter().copied()).collect::<Vec<_>>()
    };
    installation.run(&create(&[])).await.says(1, &["2 to 8 variants"]);
    installation.run(&create(&["--variant", "control=1"])).await.says(1, &["a name of its own"]);
    installation.run(&create(&["--variant", "short"])).await.says(2, &["such as control=1"]);
    let good = create(&["--variant", "short=1", "--description", "<b>A shorter intro"]);
    installation.run(&good).await.says(0, &["intro is a draft"]);
    installation.run(&["experiment", "stop", "intro"]).await.says(1, &["it was not started"]);
    installation.run(&["experiment", "start", "intro"]).await.says(0, &["intro runs."]);
    installation.run(&["experiment", "start", "intro"]).await.says(1, &["it runs already"]);
    installation.run(&good).await.says(1, &["has been started"]);
    installation.run(&["experiment", "remove", "intro"]).await.says(1, &["stop it first"]);
    let server = installation.serve().await;
    for token in &tokens {
        let body = json!({"experiment": "intro"});
        server.send("POST", "/v1/exposures", token, Some(body)).await.expect("an answer").expect(200);
    }
    // The stop writes what waits.
    assert_eq!(server.stop().await, Some(0));
    let results = installation.run(&["experiment", "results", "intro", "--json"]).await;
    let results: Value = serde_json::from_str(&results.says(0, &[]).text).expect("JSON");
    let units = |place: usize| results["variants"][place]["units"].as_u64().expect("a count");
    assert_eq!(units(0) + units(1), 4, "{results}");
    let text = installation.run(&["experiment", "results", "intro"]).await;
    text.says(0, &["control", "short", "95 % interval", "not enough data"]);
    let page = installation.run(&["experiment", "results", "intro", "--html"]).await;
    page.says(0, &["<h1>Experiment intro</h1>", "&lt;b&gt;A shorter intro", "</html>"]);
    installation.run(&["experiment", "stop", "intro", "--winner", "long"]).await.says(1, &["no variant long"]);
    installation.run(&["experiment", "stop", "intro", "--winner", "short"]).await.says(0, &["intro is stopped."]);
    installation.run(&["experiment", "start", "intro"]).await.says(1, &["not started again"]);
    installation.run(&["experiment", "list"]).await.says(0, &["intro", "short for everybody", "control=3 short=1"]);
    installation.run(&["experiment", "remove", "intro"]).await.says(0, &["intro is removed."]);
    installation.run(&["experiment", "results", "intro"]).await.says(1, &["There is no experiment intro."]);
    installation.run(&["experiment", "list"]).await.says(0, &["There are no experiments."]);
}
