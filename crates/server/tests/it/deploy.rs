//! Deployments, by the scripts of `deploy/pipeline`, to processes on this machine.

mod balancer;
mod files;
mod load;
mod rehearsal;
mod smoke;
mod world;

use mainstay_server::ops::build::VERSION;
use serde_json::{Value, json};

use self::balancer::Balancer;
use self::load::Load;
use self::world::World;
use crate::support::binary::MAINSTAY;

fn registered(register: &Value) -> Vec<(&str, &str, &str)> {
    let rows = register.as_array().expect("a list").iter();
    rows.map(|one| {
        let word = |name: &str| one[name].as_str().expect("a word");
        (word("kind"), word("outcome"), word("digest"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_are_replaced_and_put_back_under_load_and_no_request_fails() {
    let Some(world) = World::new().await else { return };
    let first = world.program("first", b"");
    let second = world.program("second", b"another build");
    for program in [&first, &second] {
        world.passed(program, &["tests", "staging"]).await;
    }
    world.promote(&first, &[]).await.says(0, &["It may be deployed", "It serves", "DEPLOYED"]);
    let before = world.told().await;
    assert_eq!(before, [first.digest.clone(), first.digest.clone()]);

    let balancer = Balancer::start(&world.ports).await;
    let load = Load::start(&balancer.address, &world.tokens);
    load.each_goes_on().await;
    let commit = world.repository();
    let tag = [("DEPLOY_TAG", "yes"), ("DEPLOY_COMMIT", commit.as_str())];
    world.promote(&second, &tag).await.says(0, &["DEPLOYED", "tagged"]);
    assert!(world.git(&["tag", "--list", "production-*", "--points-at", "HEAD"]).starts_with("production-"));
    assert_eq!(world.told().await, [second.digest.clone(), second.digest.clone()]);
    load.each_goes_on().await;
    world.rollback().await.says(0, &["ROLLED BACK"]);
    assert_eq!(world.told().await, before);
    load.each_goes_on().await;
    let (answered, failed) = load.stop().await;
    assert_eq!(failed, [""; 0], "of {answered} requests");
    assert!(answered > 50 && balancer.served().iter().all(|node| *node > 0), "{answered} {:?}", balancer.served());

    let register = world.register().await;
    let expected = [
        ("rollback", "succeeded", first.digest.as_str()),
        ("deploy", "succeeded", &second.digest),
        ("deploy", "succeeded", &first.digest),
    ];
    assert_eq!(registered(&register), expected);
    assert_eq!((&register[0]["environment"], &register[0]["who"]), (&json!("production"), &json!("a test")));
    assert_eq!((&register[1]["commit"], &register[1]["version"]), (&json!(commit), &json!(VERSION)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_hold_is_put_back_by_itself_and_recorded() {
    let Some(world) = World::new().await else { return };
    let good = world.program("good", b"");
    world.passed(&good, &["tests", "staging"]).await;
    world.promote(&good, &[]).await.says(0, &["DEPLOYED"]);
    let processes = world.processes();

    // It passes preflight, and what it starts is another build than the one that was deployed.
    let false_one = world.script("false", &format!("#!/bin/sh\nexec {MAINSTAY} \"$@\"\n"));
    let done = world.promote(&false_one, &[]).await;
    done.says(1, &["FAILED   smoke.build", "was expected", "ROLLBACK", "what ran before serves again"]);
    // It does not even start.
    let dead = format!("#!/bin/sh\n[ \"$1\" = serve ] && exit 7\nexec {MAINSTAY} \"$@\"\n");
    let dead = world.script("dead", &dead);
    let done = world.promote(&dead, &[("DEPLOY_SMOKE_SECONDS", "3")]).await;
    done.says(1, &["FAILED   smoke.alive", "ROLLBACK", "what ran before serves again"]);

    assert_eq!(world.told().await, [good.digest.clone(), good.digest.clone()]);
    let now = world.processes();
    assert!(now[0] != processes[0] && now[1] == processes[1], "the second node was never touched");
    let register = world.register().await;
    let expected = [
        ("deploy", "rolled_back", dead.digest.as_str()),
        ("deploy", "rolled_back", &false_one.digest),
        ("deploy", "succeeded", &good.digest),
    ];
    assert_eq!(registered(&register), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_has_its_reason_and_changes_nothing() {
    let Some(mut world) = World::new().await else { return };
    let program = world.program("program", b"");
    // Never tested; then tested, and not in staging.
    world.promote(&program, &[]).await.says(2, &["REFUSED  evidence", "was never tested"]);
    world.passed(&program, &["tests"]).await;
    world.promote(&program, &[]).await.says(2, &["REFUSED  preflight.build", "it has not passed staging"]);
    let other = world.program("other", b"another build");
    world.passed(&program, &["staging"]).await;
    world.promote(&other, &[]).await.says(2, &["REFUSED  preflight.build", "tests and staging"]);
    // A variable of the pipeline, and one of the installation.
    world.promote(&program, &[("LOCAL_PORTS", "")]).await.says(2, &["REFUSED  variables: LOCAL_PORTS is not set"]);
    world.promote(&program, &[("DEPLOY_TARGET", "moon")]).await.says(2, &["which is none of", "local", "systemd"]);
    let url = world.set("DATABASE_URL", None);
    world.promote(&program, &[]).await.says(2, &["REFUSED  preflight.variables", "missing: database.url"]);
    // A service that does not answer.
    world.set("DATABASE_URL", Some("postgres://nobody@127.0.0.1:9/none"));
    world.promote(&program, &[]).await.says(2, &["REFUSED  preflight.database"]);
    world.set("DATABASE_URL", url.as_deref());
    let redis = world.set("REDIS_URL", Some("redis://127.0.0.1:9/"));
    world.promote(&program, &[]).await.says(2, &["REFUSED  preflight.redis"]);
    world.set("REDIS_URL", redis.as_deref());
    // A schema that is behind: by the pipeline, and by the start itself.
    world.installation.run(&["migrate", "down", "--to", "32", "--yes"]).await.says(0, &[]);
    let refuse = [("DEPLOY_MIGRATIONS", "refuse")];
    world.promote(&program, &refuse).await.says(2, &["REFUSED  preflight.migrations", "33 deployments"]);
    world.installation.run(&["serve"]).await.says(1, &["Migrations are pending"]);
    assert!(world.is_untouched(), "nothing was put in place");
    // The pipeline may also apply them, where they only add.
    world.promote(&program, &[]).await.says(0, &["DEPLOYED"]);
    assert_eq!(world.told().await, [program.digest.clone(), program.digest]);
}
