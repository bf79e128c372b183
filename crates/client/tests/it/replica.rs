//! A follower over real sockets: it syncs, listens, is cut off, and ends with what the server has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_client::{Follower, Live, LivePolicy, Memory, Replica, Step, Storage as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use uuid::Uuid;

use crate::calls::secret;
use crate::support::{Fake, Reply, Request, web_socket};

/// A server of one stream: the number of each row, and whether it is gone.
struct Server {
    rows: Mutex<BTreeMap<Uuid, (u64, bool)>>,
    head: watch::Sender<u64>,
}

impl Server {
    fn new() -> Arc<Self> {
        Arc::new(Self { rows: Mutex::default(), head: watch::Sender::new(0) })
    }

    /// Writes or deletes a row.
    fn write(&self, id: u128, gone: bool) {
        let mut rows = self.rows.lock().expect("rows");
        let head = *self.head.borrow() + 1;
        rows.insert(Uuid::from_u128(id), (head, gone));
        self.head.send_replace(head);
    }

    fn change(id: Uuid, seq: u64, gone: bool) -> Value {
        let row = (!gone).then(|| json!({"id": id, "title": format!("Number {seq}")}));
        json!({"type": "change", "stream": "membership", "kind": "conversation", "id": id, "seq": seq, "deleted": gone,
            "parent": null, "row": row})
    }

    /// The changes after a number, in order.
    fn after(&self, seq: u64) -> Vec<(u64, Value)> {
        let rows = self.rows.lock().expect("rows");
        let later = rows.iter().filter(|(_, (at, _))| *at > seq);
        let mut later: Vec<_> = later.map(|(id, (at, gone))| (*at, Self::change(*id, *at, *gone))).collect();
        later.sort_by_key(|(at, _)| *at);
        later
    }

    fn page(&self, request: &Request) -> Reply {
        let query = request.path.split_once('?').map_or("", |(_, query)| query);
        let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor=1."));
        let from = cursor.and_then(|cursor| cursor.split('-').next()?.parse().ok()).unwrap_or(0);
        let mut changes = self.after(from);
        let complete = changes.len() <= 7;
        changes.truncate(7);
        let head = if complete { *self.head.borrow() } else { changes.last().map_or(from, |(at, _)| *at) };
        let live = self.live();
        Reply::Json(
            200,
            json!({"changes": changes.iter().map(|(_, change)| change).collect::<Vec<_>>(),
            "cursor": format!("1.{head}-1.0"), "complete": complete, "epoch": "1", "next_sync_after_ms": 60_000,
            "checksum": {"count": live.len(), "sum": live.values().sum::<u64>()}}),
        )
    }

    fn live(&self) -> BTreeMap<Uuid, u64> {
        let rows = self.rows.lock().expect("rows");
        rows.iter().filter(|(_, (_, gone))| !gone).map(|(id, (seq, _))| (*id, *seq)).collect()
    }

    /// Pushes what is written from now on; breaks off after some frames, in the middle of one.
    async fn push(self: Arc<Self>, mut stream: TcpStream, frames: usize) {
        let mut head = self.head.subscribe();
        let mut told = *head.borrow_and_update();
        let ready = json!({"type": "ready", "cursor": format!("1.{told}-1.0"), "epoch": "1", "next_sync_after_ms": 60_000,
            "safety_sync_after_ms": 60_000});
        let mut frames = frames;
        let mut send = async |value: &Value| {
            // Long enough for the longer of the two small forms of a frame's length.
            let text = format!("{:200}", value.to_string());
            let length = u16::try_from(text.len()).expect("a short text").to_be_bytes();
            let bytes = [&[0x81, 126], &length[..], text.as_bytes()].concat();
            frames = frames.saturating_sub(1);
            let whole = if frames == 0 { bytes.len() / 2 } else { bytes.len() };
            stream.write_all(&bytes[..whole]).await.is_ok() && frames > 0
        };
        if !send(&ready).await {
            return;
        }
        while head.changed().await.is_ok() {
            for (at, change) in self.after(told) {
                if !send(&change).await {
                    return;
                }
                told = at;
            }
        }
    }
}

fn rows(replica: &Replica) -> BTreeMap<Uuid, u64> {
    let mut rows = BTreeMap::new();
    replica.storage().each(&mut |key, row| {
        rows.insert(key.id, row.seq);
    });
    rows
}

#[tokio::test]
async fn a_follower_ends_with_what_the_server_has() {
    let server = Server::new();
    for id in 0..30 {
        server.write(id, false);
    }
    let serving = Arc::clone(&server);
    let fake = Fake::start(move |request, number| match request.path.as_str() {
        "/v1/live" if number % 5 == 4 => Reply::Json(503, json!({"code": "overloaded"})),
        "/v1/live" => {
            let server = Arc::clone(&serving);
            web_socket(request, b"", move |stream| server.push(stream, 20))
        }
        _ if number % 7 == 3 => Reply::Cut("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"chan".to_owned()),
        _ => serving.page(request),
    })
    .await;
    let client = fake.builder().token(secret("key")).build().expect("a client");
    let policy = LivePolicy { base: Duration::from_millis(5), cap: Duration::from_millis(20), ..LivePolicy::default() };
    let live = Live::with_policy(client.clone(), policy);
    let mut follower = Follower::new(live, client, Replica::new(Memory::default()));
    let (mut cuts, mut pushed) = (0, 0);
    for round in 0..200u128 {
        // Rows are written again, deleted, and come back.
        server.write(round % 40, round % 3 == 1);
        let written = *server.head.borrow();
        loop {
            let step = follower.next().await.expect("it goes on");
            match step {
                Step::Disconnected(_) => cuts += 1,
                Step::Changed => pushed += 1,
                _ => {}
            }
            if follower.is_live() && follower.replica().cursor().is_some_and(|cursor| cursor.membership.head >= written)
            {
                break;
            }
        }
        assert_eq!(rows(follower.replica()), server.live(), "in round {round}");
    }
    assert!(cuts >= 8 && pushed > 100, "{cuts} cuts, {pushed} changes pushed");
    assert_eq!(follower.replica().counters().divergences, 0);
}
