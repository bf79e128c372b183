use super::*;

#[test]
fn a_database_belongs_to_an_ordinary_role() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let owner = database.psql(r"\l+ :DBNAME").unwrap().join("\n");
    assert!(owner.starts_with(&format!("{}|owner|", database.name())), "{owner}");
    let roles = database.psql(r"\du owner").unwrap();
    assert_eq!(roles.len(), 1, "{roles:?}");
    assert!(roles[0].contains("Create role") && !roles[0].contains("Superuser"), "{roles:?}");
    assert_eq!(database.url, format!("postgres://owner@127.0.0.1:{}/{}", cluster.port(), database.name()));
}

#[test]
fn databases_are_separate_and_go_with_their_handles() {
    let Some(cluster) = Cluster::shared() else { return };
    let [one, two] = [cluster.database().unwrap(), cluster.database().unwrap()];
    assert_ne!(one.name(), two.name());
    let name = one.name().to_owned();
    drop(one);
    let left = two.psql(r"\l").unwrap();
    assert!(left.iter().any(|line| line.starts_with(&format!("{}|", two.name()))), "{left:?}");
    assert!(!left.iter().any(|line| line.starts_with(&format!("{name}|"))), "{left:?}");
}

#[test]
fn text_sorts_by_language_and_failures_say_why() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().unwrap();
    let row = database.psql(r"\l :DBNAME").unwrap().join("\n");
    assert!(row.contains("|UTF8|") && row.contains("|en-US|icu|"), "{row}");
    let failure = database.psql("nonsense").unwrap_err().to_string();
    assert!(failure.contains("syntax error"), "{failure}");
}

#[test]
fn a_cluster_comes_back_with_its_data_from_every_kind_of_end() {
    let Some(mut cluster) = Cluster::start(Options::default()) else { return };
    let database = cluster.database().unwrap();
    assert_eq!(database.psql("show fsync").unwrap(), ["on"]);
    // The connection works only when the database is still there.
    let port = [cluster.port().to_string()];
    cluster.restart().unwrap();
    assert_eq!(database.psql("show port").unwrap(), port);
    cluster.stop(StopMode::Immediate).unwrap();
    assert!(database.psql("show port").is_err());
    cluster.restart().unwrap();
    assert_eq!(database.psql("show port").unwrap(), port);
    assert!(cluster.log().iter().any(|line| line.contains("was not properly shut down")), "{:?}", cluster.log());
    cluster.kill_9().unwrap();
    cluster.restart().unwrap();
    assert_eq!(database.psql("show port").unwrap(), port);
    let data = cluster.data();
    drop(cluster);
    assert!(!data.exists() && table::working_in(&data).is_empty());
}

#[test]
fn a_paused_cluster_answers_nothing_until_it_is_resumed() {
    let Some(mut cluster) = Cluster::start(Options { fsync: false, ..Options::default() }) else { return };
    let database = cluster.database().unwrap();
    cluster.pause();
    let waiting =
        database.access.client("psql").args(["--dbname", &database.name, "--command", "show port"]).start().unwrap();
    assert!(waiting.wait_blocking(Duration::from_millis(300)).is_err());
    cluster.resume();
    assert!(waiting.wait_blocking(PATIENCE).unwrap().success());
}

#[test]
fn settings_reach_the_server() {
    let settings = vec![("work_mem".to_owned(), "7MB".to_owned())];
    let Some(cluster) = Cluster::start(Options { fsync: false, settings, ..Options::default() }) else { return };
    assert_eq!(cluster.database().unwrap().psql("show work_mem").unwrap(), ["7MB"]);
}

#[test]
#[ignore = "run in a process of its own by the test below, which kills it"]
fn starts_a_cluster_and_hangs() {
    let cluster = Cluster::shared().unwrap();
    println!("server {}", cluster.server.as_ref().unwrap().id());
    let _ = cluster.server.as_ref().unwrap().wait_blocking(PATIENCE);
}

#[tokio::test]
async fn a_killed_test_takes_its_server_with_it() {
    if find_binaries().is_none() {
        return skip("PostgreSQL", "PostgreSQL is not installed");
    }
    let arguments = ["postgres::tests::starts_a_cluster_and_hangs", "--exact", "--ignored", "--nocapture"];
    let test = Program::new(std::env::current_exe().unwrap()).args(arguments).start().unwrap();
    let line = test.wait_for_line("server ", PATIENCE).await.unwrap();
    let server: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let family: Vec<u32> = [vec![server], table::descendants(server)].concat();
    assert!(family.len() > 3 && table::lives(server), "{line}");
    test.kill();
    test.wait(PATIENCE).await.unwrap();
    let ended = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        family.iter().all(|pid| !table::lives(*pid))
    });
    assert!(ended, "PostgreSQL outlived its test by 10 s");
}
