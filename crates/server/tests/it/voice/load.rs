//! Many sessions at once: what of a turn is the server's own, and what a session takes of its memory. A few of each here, as
//! many as `bench/voice.sh` says there.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_testing::postgres::Cluster;
use serde_json::json;

use super::caller::{Caller, silence, voice};
use super::fakes::FakeSpeech;
use crate::support::binary::{Installation, Instance};
use crate::support::eventually;
use crate::support::fake_provider::{Behaviour, FakeProvider};

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A figure of the server, added up.
async fn figure(server: &Instance, name: &str) -> f64 {
    let text = server.send("GET", "/metrics", "", None).await.expect("an answer").text;
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Speaks so many turns, in the time that speaking takes. The answers are the milliseconds from the end of each to its first
/// sound.
async fn converse(mut caller: Caller, turns: usize, wait: Duration) -> (Caller, Vec<u64>) {
    tokio::time::sleep(wait).await;
    let mut sound = silence(300);
    sound.extend(voice(700));
    sound.extend(silence(720));
    let mut latencies = Vec::new();
    for _ in 0..turns {
        for chunk in sound.chunks(640) {
            caller.send(chunk).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let latency = caller.until("latency").await;
        latencies.push(latency["first_audio_ms"].as_u64().expect("a number"));
        caller.until("audio_end").await;
    }
    (caller, latencies)
}

/// What the plan allows is not what is measured.
async fn no_limits(installation: &Installation) {
    let mut limits = vec!["plan", "limits", "free"];
    for limit in [
        "--messages-per-day",
        "--messages-per-month",
        "--voice-seconds-per-day",
        "--voice-seconds-per-month",
        "--cost-per-month",
    ] {
        limits.extend([limit, "none"]);
    }
    installation.run(&limits).await.says(0, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_speak_at_once_and_leave_nothing_behind() {
    let (idle, talking, turns) = (number("VOICE_IDLE", 20), number("VOICE_TALKING", 10), number("VOICE_TURNS", 2));
    let (model, speech) = (FakeProvider::start().await, FakeSpeech::start().await);
    model.usually(Behaviour::words("We are open from nine."));
    speech.usually_hears("When is it open?");
    let database = if std::env::var("VOICE_ENGINE").is_ok_and(|engine| engine == "postgres") {
        let Some(cluster) = Cluster::shared() else { return };
        Some(cluster.database().expect("a database"))
    } else {
        None
    };
    let installation =
        database.iter().fold(Installation::new(), |installation, database| installation.on(&database.url));
    let installation = installation
        .with("OPENAI_BASE_URL", &model.openai_url())
        .with("MAINSTAY_VOICE__OPENAI__BASE_URL", &speech.url)
        .with("MAINSTAY_VOICE__SESSIONS_FREE", "100")
        // A person speaks in fifty sessions here, which may all have said something at the same moment.
        .with("MAINSTAY_ASSISTANT__MAX_GENERATIONS_PER_PERSON", "100")
        .with("MAINSTAY_VOICE__IDLE_SECONDS", "3600")
        .with("MAINSTAY_VOICE__RESUME_SECONDS", "10")
        .with("MAINSTAY_LIVE__CONNECTS_PER_SECOND", "10000")
        .with("MAINSTAY_HTTP__MAX_CONNECTIONS", "4000");
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let server = installation.serve().await;
    let people = installation.people((idle + talking).div_ceil(50)).await;
    no_limits(&installation).await;
    // One session before anything is measured: what is made once is made then.
    let (one, _) = converse(open(&server, &people, 0).await, 1, Duration::ZERO).await;
    drop(one);
    eventually(async || (figure(&server, "mainstay_voice_sessions_waiting").await < 2.0).then_some(())).await;
    let first = crowd(&server, &people, idle, (talking, turns)).await;
    if std::env::var("VOICE_TALKING").is_ok() {
        assert!(first.p99 < 50, "p99 is {} ms", first.p99);
        assert!(first.each < 200.0, "a session takes {:.0} KiB", first.each);
        // The first crowd fills what is kept for good: the database's pages, prepared statements. After the second there is
        // no more than before it. Of a crowd that only speaks, what SQLite keeps of what was said is more than its sessions.
        let second = crowd(&server, &people, idle, (talking, turns)).await;
        let alone = idle == 0 && database.is_none();
        assert!(
            alone || second.after < second.before * BASELINE,
            "{} bytes before, {} after",
            second.before,
            second.after
        );
    }
}

/// A session of somebody.
async fn open(server: &Instance, people: &[String], number: usize) -> Caller {
    let mut caller = Caller::open_at(&server.address, &people[number / 50], "").await.expect("a line");
    caller.say(json!({"type": "start"})).await;
    caller.until("ready").await;
    caller
}

/// What a crowd of sessions took.
struct Took {
    /// From the end of speech to the first sound, in milliseconds.
    p99: u64,
    /// Of memory, each, in KiB.
    each: f64,
    /// What was resident before they came, in bytes.
    before: f64,
    /// What was resident when all were gone, in bytes.
    after: f64,
}

/// As near to what it was before as counts as what it was before.
const BASELINE: f64 = 1.1;

/// What is resident as soon as it is below a mark, or half a minute later. The allocator gives memory back while a server
/// works, so it is asked for something meanwhile.
async fn settled(server: &Instance, mark: f64) -> f64 {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let now = figure(server, "mainstay_process_resident_bytes").await;
        if now < mark || tokio::time::Instant::now() > deadline {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Many sessions at once, of which some speak; then all are cut off.
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn crowd(server: &Instance, people: &[String], idle: usize, (talking, turns): (usize, usize)) -> Took {
    let all = idle + talking;
    let before = figure(server, "mainstay_process_resident_bytes").await;
    let mut resting = Vec::new();
    for number in 0..idle {
        resting.push(open(server, people, number).await);
    }
    let while_idle = figure(server, "mainstay_process_resident_bytes").await;
    let mut speaking = Vec::new();
    for number in idle..all {
        speaking.push(open(server, people, number).await);
    }
    let spread = Duration::from_secs(2);
    let conversations = speaking
        .into_iter()
        .enumerate()
        .map(|(number, caller)| converse(caller, turns, spread.mul_f64(number as f64 / talking as f64)));
    let (talks, most) = tokio::join!(join_all(conversations), async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        figure(server, "mainstay_process_resident_bytes").await
    });
    let (callers, latencies): (Vec<_>, Vec<_>) = talks.into_iter().unzip();
    let mut latencies: Vec<u64> = latencies.into_iter().flatten().collect();
    latencies.sort_unstable();
    let percentile = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{talking} speak, {idle} are idle: p50 {} ms, p99 {} ms from the end of speech to the first sound",
        percentile(0.5),
        percentile(0.99)
    );
    let each = |bytes: f64, count: usize| bytes.max(0.0) / count.max(1) as f64 / 1024.0;
    println!(
        "memory: {:.0} KiB an idle session, {:.0} KiB a session over all",
        each(while_idle - before, idle),
        each(most - before, all)
    );
    assert_eq!(latencies.len(), talking * turns);
    drop((resting, callers));
    // All were cut off without a word: they wait, and are then gone.
    eventually(async || (figure(server, "mainstay_voice_sessions_waiting").await >= all as f64).then_some(())).await;
    let gone = async || (figure(server, "mainstay_voice_places").await < 1.0).then_some(());
    eventually_within(Duration::from_secs(90), gone).await;
    eventually(async || (figure(server, "mainstay_voice_sessions ").await < 1.0).then_some(())).await;
    let gone = tokio::time::Instant::now();
    let after = settled(server, before * BASELINE).await;
    println!(
        "memory: {:.1} MiB before, {:.1} MiB with all, {:.1} MiB {:.1} s after",
        before / 1048576.0,
        most / 1048576.0,
        after / 1048576.0,
        gone.elapsed().as_secs_f64()
    );
    Took { p99: percentile(0.99), each: each(most - before, all), before, after }
}

async fn eventually_within<T>(limit: Duration, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
