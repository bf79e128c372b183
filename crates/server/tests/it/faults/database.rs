//! PostgreSQL hangs, or is slow: what is answered, what is known of it, and that nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_testing::postgres::{Cluster, Options};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep, timeout};

use crate::support::binary::{Installation, Instance, PATIENCE};

/// How long a request may take while the database does not answer: its deadline, and what a busy machine adds.
const DEADLINE: Duration = Duration::from_secs(6);
const LATE: Duration = Duration::from_secs(4);
/// Within what time the server is ready again, once the database answers.
const RECOVERS: Duration = Duration::from_secs(10);

fn installation(url: &str) -> Installation {
    let deadline = DEADLINE.as_millis().to_string();
    Installation::new().on(url).with("MAINSTAY_HTTP__REQUEST_TIMEOUT_MS", &deadline)
}

/// One request of each sort while the database does not answer.
async fn refused(server: &Instance, token: &str) {
    let asks = [
        ("GET", "/v1/me", None),
        ("GET", "/v1/conversations", None),
        ("POST", "/v1/conversations", Some(json!({"title": "Meanwhile"}))),
        ("POST", "/v1/auth/sign-in", Some(json!({"email": "writer0@example.com", "password": "password of writer 0"}))),
    ];
    join_all(asks.into_iter().map(async |(method, path, body)| {
        let begun = Instant::now();
        let token = if path.starts_with("/v1/auth") { "" } else { token };
        let answer = server.send(method, path, token, body).await.expect("each request is answered");
        let took = begun.elapsed();
        assert!(matches!(answer.status, 503 | 504), "{method} {path}: {} {}", answer.status, answer.text);
        assert!(answer.headers.contains_key("retry-after"), "{method} {path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(took < DEADLINE + LATE, "{method} {path} took {took:?}");
    }))
    .await;
}

/// Waits until readiness is as wanted; while that is waited for, the process always says that it lives.
async fn until_ready(server: &Instance, wanted: bool) {
    let begun = Instant::now();
    loop {
        let ready = server.send("GET", "/readyz", "", None).await.expect("an answer");
        let live = timeout(Duration::from_secs(2), server.send("GET", "/healthz", "", None)).await.expect("at once");
        assert_eq!(live.expect("an answer").status, 200);
        if (ready.status == 200) == wanted {
            return;
        }
        assert!(begun.elapsed() < RECOVERS, "readiness stays {}", ready.text);
        sleep(Duration::from_millis(50)).await;
    }
}

/// Titles that writers have sent, and those of them that were acknowledged.
#[derive(Default)]
struct Written {
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
}

/// Writes until it is told to stop: each title once, and again with the same key when nothing is known of it.
async fn write(
    server: &Instance,
    token: &str,
    name: usize,
    ends: &AtomicBool,
    written: &Mutex<Written>,
    so_far: &watch::Sender<usize>,
) {
    for number in 0.. {
        let title = format!("writer {name} number {number}");
        written.lock().expect("no panic").sent.insert(title.clone());
        loop {
            let request = server.request("POST", "/v1/conversations", token).header("idempotency-key", &title);
            let answer = request.json(&json!({"title": title})).send().await;
            if answer.is_ok_and(|answer| answer.status().as_u16() == 201) {
                written.lock().expect("no panic").acknowledged.insert(title);
                so_far.send_modify(|count| *count += 1);
                break;
            }
            if ends.load(Ordering::Acquire) {
                return;
            }
            // As a client would: at its own pace, and not as fast as it can.
            sleep(Duration::from_millis(20)).await;
        }
        if ends.load(Ordering::Acquire) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_hangs_is_told_and_loses_nothing() {
    let Some(mut cluster) = Cluster::start(Options { fsync: false, ..Options::default() }) else { return };
    let database = cluster.database().expect("a database");
    let installation = installation(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let token = installation.people(1).await.remove(0);
    let set = ["ops", "set", "sign_up", "off", "--for", "1h", "--reason", "to be seen"];
    installation.run(&set).await.says(0, &["sign_up is off"]);
    let server = installation.serve().await;
    let (ends, written, (so_far, mut count)) = (AtomicBool::new(false), Mutex::default(), watch::channel(0));
    let hang = async {
        for _ in 0..2 {
            let more = *count.borrow() + 20;
            count.wait_for(|count| *count >= more).await.expect("they write");
            block_in_place(|| cluster.pause());
            refused(&server, &token).await;
            until_ready(&server, false).await;
            // What an operator has set holds on, and costs nothing.
            let body = json!({"email": "bob@example.com", "password": "a long password", "name": "Bob"});
            let begun = Instant::now();
            let off = server.send("POST", "/v1/auth/sign-up", "", Some(body)).await.expect("an answer");
            off.refused(503, "switched_off");
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            block_in_place(|| cluster.resume());
            until_ready(&server, true).await;
            let begun = Instant::now();
            while server.send("GET", "/v1/conversations", &token, None).await.expect("an answer").status != 200 {
                assert!(begun.elapsed() < RECOVERS, "requests do not recover");
                sleep(Duration::from_millis(50)).await;
            }
        }
        let more = *count.borrow() + 20;
        count.wait_for(|count| *count >= more).await.expect("they write again");
        ends.store(true, Ordering::Release);
    };
    let writers = join_all((0..4).map(|name| write(&server, &token, name, &ends, &written, &so_far)));
    timeout(3 * PATIENCE, async { tokio::join!(hang, writers) }).await.expect("in time");

    let kept = server.list("/v1/conversations", &token, 100).await;
    let titles: Vec<_> = kept.iter().map(|row| row["title"].as_str().expect("a title").to_owned()).collect();
    let of_writers: Vec<String> = titles.into_iter().filter(|title| title.starts_with("writer ")).collect();
    let kept: BTreeSet<String> = of_writers.iter().cloned().collect();
    let Written { sent, acknowledged } = written.into_inner().expect("no panic");
    assert!(acknowledged.is_subset(&kept), "lost: {:?}", acknowledged.difference(&kept).collect::<Vec<_>>());
    assert!(kept.is_subset(&sent));
    assert_eq!(of_writers.len(), kept.len(), "something was written twice");
    assert_eq!(server.stop().await, Some(0));
}

/// What stands between the server and PostgreSQL, and keeps everything for a while.
struct Slow {
    port: u16,
    delay_ms: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Slow {
    async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let delay_ms = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let delay = Arc::clone(&delay_ms);
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                open.spawn(pass(near_in, far_out, Arc::clone(&delay)));
                open.spawn(pass(far_in, near_out, Arc::clone(&delay)));
            }
        });
        Self { port: own, delay_ms, _tasks: tasks }
    }

    fn set(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).expect("it fits"), Ordering::Release);
    }
}

/// Passes on what comes, after the delay of that moment.
async fn pass(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    delay_ms: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        sleep(Duration::from_millis(delay_ms.load(Ordering::Acquire))).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_database_is_waited_for_until_the_deadline() {
    let Some(cluster) = Cluster::start(Options { fsync: false, ..Options::default() }) else { return };
    let database = cluster.database().expect("a database");
    let slow = Slow::before(cluster.port()).await;
    let url = database.url.replace(&format!(":{}/", cluster.port()), &format!(":{}/", slow.port));
    let installation = installation(&url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    // Slow, and within its time: everything is done, a little later.
    slow.set(Duration::from_millis(50));
    for number in 0..3 {
        let title = json!({"title": format!("Slow {number}")});
        server.send("POST", "/v1/conversations", &token, Some(title)).await.expect("an answer").expect(201);
    }
    assert_eq!(server.list("/v1/conversations", &token, 100).await.len(), 3);
    // Slower than any deadline.
    slow.set(Duration::from_secs(20));
    refused(&server, &token).await;
    until_ready(&server, false).await;
    slow.set(Duration::ZERO);
    // What was sent before is still on its way, and is waited for by nobody.
    until_ready_after(&server, Duration::from_secs(20)).await;
    let title = json!({"title": "After"});
    server.send("POST", "/v1/conversations", &token, Some(title)).await.expect("an answer").expect(201);
    assert_eq!(server.stop().await, Some(0));
}

async fn until_ready_after(server: &Instance, still: Duration) {
    let begun = Instant::now();
    while server.send("GET", "/readyz", "", None).await.expect("an answer").status != 200 {
        assert!(begun.elapsed() < still + RECOVERS, "not ready again");
        sleep(Duration::from_millis(50)).await;
    }
}
