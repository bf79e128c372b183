//! What the server has, compared with what the writers know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::ledger::{Outcome, Writer};
use crate::support::binary::{Instance, PATIENCE};

/// Replies whose server was killed are settled within about 15 s of the restart: the lease of 10 s and the rescue every
/// 2 s. The rest is for a machine under load.
const SETTLED: Duration = Duration::from_secs(20);
/// How many acknowledged keys of each writer are sent again.
const REPEATED: usize = 5;
/// How many conversations of each writer are read a second time in small pages.
const READ_TWICE: usize = 2;

/// The figures of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) acknowledged: usize,
    lost: usize,
    twice: usize,
    interrupted: usize,
    slowest_settling: Duration,
    faults: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lost, {} twice, {} other faults, {} replies interrupted, the last settled {} ms after readiness",
            self.lost,
            self.twice,
            self.faults.len(),
            self.interrupted,
            self.slowest_settling.as_millis()
        )
    }
}

impl Tally {
    #[track_caller]
    pub(super) fn demand_perfection(&self) {
        let first: Vec<_> = self.faults.iter().take(20).collect();
        assert!(self.lost == 0 && self.twice == 0 && first.is_empty(), "{self}: {first:#?}");
        assert!(self.acknowledged > 0, "nothing was written");
    }

    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.twice += other.twice;
        self.interrupted += other.interrupted;
        self.faults.extend(other.faults);
    }

    fn fault(&mut self, writer: &Writer, what: impl fmt::Display) {
        self.faults.push(format!("writer {}: {what}", writer.number));
    }
}

/// A conversation with its messages, the oldest first.
type Conversations = BTreeMap<String, Vec<Value>>;

/// Waits until no reply is in the making, repeats what is unknown, and compares everything.
pub(super) async fn verify(server: &Instance, writers: &mut [Writer]) -> Tally {
    let mut tally = Tally { slowest_settling: settled(server, writers).await, ..Tally::default() };
    join_all(writers.iter_mut().map(|writer| repeat(server, writer))).await;
    settled(server, writers).await;
    for part in join_all(writers.iter().map(|writer| compare(server, writer))).await {
        tally.add(part);
    }
    tally
}

/// All conversations, and how many rows the list of them has.
async fn read(server: &Instance, writer: &Writer) -> (usize, Conversations) {
    let mut all = Conversations::new();
    let rows = server.list("/v1/conversations", &writer.token, 100).await;
    for conversation in &rows {
        let id = conversation["id"].as_str().expect("an id").to_owned();
        let mut messages = server.list(&format!("/v1/conversations/{id}/messages"), &writer.token, 100).await;
        messages.reverse();
        all.insert(id, messages);
    }
    (rows.len(), all)
}

/// Waits until each reply that is in the making now has ended, and gives how long that took.
async fn settled(server: &Instance, writers: &[Writer]) -> Duration {
    let begun = Instant::now();
    let mut open = Vec::new();
    let all = join_all(writers.iter().map(|writer| read(server, writer))).await;
    for (writer, (_, conversations)) in writers.iter().zip(all) {
        let streaming = conversations.into_values().flatten().filter(|message| message["status"] == "streaming");
        open.extend(streaming.map(|message| (writer, message["id"].as_str().expect("an id").to_owned())));
    }
    for (writer, id) in open {
        while server.get(&format!("/v1/generations/{id}"), &writer.token).await["reply"]["status"] == "streaming" {
            let took = begun.elapsed();
            assert!(took < SETTLED, "reply {id} of writer {} is still streaming after {took:?}", writer.number);
            sleep(Duration::from_millis(100)).await;
        }
    }
    begun.elapsed()
}

/// Sends again what is unknown, until it is acknowledged, and some of what is: those must give the same answer.
async fn repeat(server: &Instance, writer: &mut Writer) {
    let begun = Instant::now();
    let count = writer.entries.len();
    let step = (count / REPEATED).max(1);
    let chosen =
        |index: usize, writer: &Writer| index.is_multiple_of(step) || writer.entries[index].acknowledged.is_none();
    for index in (0..count).filter(|&index| chosen(index, writer)).collect::<Vec<_>>() {
        while writer.attempt(server, index, index % 2 == 0).await != Outcome::Acknowledged {
            assert!(begun.elapsed() < PATIENCE, "{} cannot be repeated", writer.entries[index].key);
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn compare(server: &Instance, writer: &Writer) -> Tally {
    let mut tally = Tally { faults: writer.faults.clone(), ..Tally::default() };
    let (rows, conversations) = read(server, writer).await;
    if rows != conversations.len() {
        tally.fault(writer, format_args!("{} conversations in a list of {rows} rows", conversations.len()));
    }
    // Content -> where it stands: the conversation, and the ids of the message and of what follows it.
    let mut places: BTreeMap<&str, Vec<(&str, &str, &str)>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (conversation, messages) in &conversations {
        for message in messages {
            if !ids.insert(text(message, "id")) {
                tally.fault(writer, format_args!("message {} stands twice", message["id"]));
            }
        }
        for pair in messages.chunks(2) {
            let [question, reply] = pair else {
                tally.fault(writer, format_args!("{conversation} ends with a message without a reply"));
                continue;
            };
            check_pair(&mut tally, writer, question, reply);
            let place = (conversation.as_str(), text(question, "id"), text(reply, "id"));
            places.entry(text(question, "content")).or_default().push(place);
        }
    }
    for entry in &writer.entries {
        let found = places.remove(entry.content.as_str()).unwrap_or_default();
        let Some(acknowledged) = &entry.acknowledged else {
            tally.fault(writer, format_args!("{} was never acknowledged", entry.key));
            continue;
        };
        tally.acknowledged += 1;
        match found.as_slice() {
            [] => {
                tally.lost += 1;
                tally.fault(writer, format_args!("{} is lost: {acknowledged:?}", entry.key));
            }
            [(conversation, message, reply)] => {
                let same = *conversation == acknowledged.conversation
                    && *message == acknowledged.message
                    && *reply == acknowledged.reply;
                if !same {
                    tally.fault(writer, format_args!("{} is {found:?} and not {acknowledged:?}", entry.key));
                }
            }
            several => {
                tally.twice += 1;
                tally.fault(writer, format_args!("{} stands {} times: {several:?}", entry.key, several.len()));
            }
        }
    }
    if let Some((content, place)) = places.first_key_value() {
        tally.fault(writer, format_args!("{} messages nobody sent, as {content:?} at {place:?}", places.len()));
    }
    let counted = server.get("/v1/usage", &writer.token).await;
    let all = || conversations.values().flatten();
    let tokens = |kind: &str| all().map(|message| message["usage"][kind].as_i64().unwrap_or(0)).sum::<i64>();
    let questions = all().filter(|message| message["role"] == "user").count();
    for (name, rows) in [
        ("messages", i64::try_from(questions).unwrap_or(i64::MAX)),
        ("input_tokens", tokens("input_tokens")),
        ("output_tokens", tokens("output_tokens")),
    ] {
        if counted[name] != rows {
            tally.fault(writer, format_args!("{} {name} are counted, and the rows say {rows}", counted[name]));
        }
    }
    // A page goes on by the ordinal: two messages with the same one, or an order that is none, would show here.
    for (conversation, messages) in conversations.iter().take(READ_TWICE) {
        let mut again = server.list(&format!("/v1/conversations/{conversation}/messages"), &writer.token, 3).await;
        again.reverse();
        if again != *messages {
            tally.fault(writer, format_args!("{conversation} reads differently in small pages"));
        }
    }
    tally
}

fn check_pair(tally: &mut Tally, writer: &Writer, question: &Value, reply: &Value) {
    if (text(question, "role"), text(reply, "role")) != ("user", "assistant") || text(question, "status") != "final" {
        tally.fault(writer, format_args!("not a message and its reply: {question} and {reply}"));
    }
    match text(reply, "status") {
        "final" if !text(reply, "content").is_empty() => {}
        "interrupted" if !text(&reply["error"], "code").is_empty() => tally.interrupted += 1,
        _ => tally.fault(writer, format_args!("a reply that is neither whole nor interrupted: {reply}")),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
