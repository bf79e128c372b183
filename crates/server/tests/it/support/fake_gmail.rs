//! Gmail's API, as far as it is used here: the mail of any account, what was sent by it, and what arrives. It does to what is
//! sent what it is told to.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::fake_google::{FakeGoogle, Held, Shared, refuse};

/// Under which the mail of whoever asks is.
pub(super) const BASE: &str = "/gmail/v1/users/me/";

/// What is done with an email that is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailFault {
    /// It is not taken: this status, and this word for the reason.
    Refuse(u16, &'static str),
    /// The same, and when to come back, in seconds.
    Later(u16, &'static str, u64),
    /// It is taken, and nothing is said.
    Hang,
    /// It is taken, and the answer breaks off in the middle.
    Cut,
    /// It is taken, after so many milliseconds.
    Slow(u64),
}

/// A message of somebody.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) thread: String,
    owner: String,
    pub(crate) to: String,
    /// What it was called when it was handed over.
    pub(crate) message_id: String,
    labels: Vec<&'static str>,
    pub(crate) raw: String,
    /// When it came, by a number that grows.
    history: u64,
}

/// All mail.
#[derive(Default)]
pub(super) struct Mail {
    messages: BTreeMap<String, Message>,
    /// By a part of the address that an email goes to; how often yet.
    faults: Vec<(String, MailFault, u32)>,
    /// Whether what is sent is called otherwise.
    renames: bool,
    /// The history does not reach further back.
    forgotten: u64,
    /// How often each address was offered an email.
    offered: HashMap<String, u32>,
}

impl FakeGoogle {
    /// The next emails to whoever has this in their address end so, as often as that.
    pub(crate) fn mail_to(&self, who: &str, fault: MailFault, times: u32) {
        self.shared.lock().mail.faults.push((who.to_owned(), fault, times));
    }

    /// Emails are called otherwise than they say.
    pub(crate) fn renames_mail(&self) {
        self.shared.lock().mail.renames = true;
    }

    /// A message comes for somebody, and the history up to it is not known any more.
    pub(crate) fn arrives_unseen(&self, owner: &str, raw: &[u8]) {
        let raw = String::from_utf8(raw.to_vec()).unwrap();
        let mut held = self.shared.lock();
        held.keep(owner, raw, None, vec!["INBOX", "UNREAD"]);
        held.mail.forgotten = held.number;
    }

    /// What was taken to be sent, in order.
    pub(crate) fn sent(&self) -> Vec<Message> {
        let held = self.shared.lock();
        let mut sent: Vec<_> =
            held.mail.messages.values().filter(|one| one.labels.contains(&"SENT")).cloned().collect();
        sent.sort_by_key(|one| one.history);
        sent
    }

    /// How often an email to somebody was handed over, whatever came of it.
    pub(crate) fn offered(&self, to: &str) -> u32 {
        self.shared.lock().mail.offered.get(to).copied().unwrap_or(0)
    }

    /// A message comes for somebody, into a thread of theirs or a new one.
    pub(crate) fn arrives(&self, owner: &str, raw: &[u8], thread: Option<&str>) {
        let raw = String::from_utf8(raw.to_vec()).unwrap();
        self.shared.lock().keep(owner, raw, thread, vec!["INBOX", "UNREAD"]);
    }
}

/// The value of a header.
pub(crate) fn header<'a>(raw: &'a str, name: &str) -> Option<&'a str> {
    let head = raw.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn id_of(raw: &str) -> String {
    header(raw, "Message-ID").unwrap_or_default().trim_matches(['<', '>']).to_owned()
}

impl Held {
    fn keep(&mut self, owner: &str, raw: String, thread: Option<&str>, labels: Vec<&'static str>) -> Message {
        self.number += 1;
        let id = format!("m{}", self.number);
        let to = header(&raw, "To").unwrap_or_default();
        let to = to.rsplit('<').next().unwrap_or_default().trim_end_matches('>').to_owned();
        let message = Message {
            thread: thread.map_or_else(|| format!("t{}", self.number), str::to_owned),
            owner: owner.to_owned(),
            message_id: id_of(&raw),
            to,
            labels,
            raw,
            history: self.number,
            id: id.clone(),
        };
        self.mail.messages.insert(id, message.clone());
        message
    }

    /// What is to be done with an email to somebody.
    fn fault_for(&mut self, to: &str) -> Option<MailFault> {
        *self.mail.offered.entry(to.to_owned()).or_default() += 1;
        let found = self.mail.faults.iter_mut().find(|(who, _, times)| *times > 0 && to.contains(who.as_str()))?;
        found.2 -= 1;
        Some(found.1)
    }

    fn send(&mut self, owner: &str, raw: String, thread: Option<&str>) -> Message {
        let taken = self.keep(owner, raw, thread, vec!["SENT"]);
        if self.mail.renames {
            let other =
                taken.raw.replace(&format!("<{}>", taken.message_id), &format!("<{}@mail.gmail.com>", taken.id));
            self.mail.messages.get_mut(&taken.id).unwrap().raw = other;
        }
        taken
    }
}

pub(super) async fn answer(
    shared: &Shared,
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let Some(owner) = shared.lock().bearer(headers) else { return refuse(401, "authError") };
    if (method, path) == ("POST", "messages/send") {
        return send(shared, &owner, body).await;
    }
    let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let held = shared.lock();
    let mine = || held.mail.messages.values().filter(|one| one.owner == owner);
    match (method, path.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["profile"]) => {
            axum::Json(json!({"emailAddress": owner, "historyId": held.number.to_string()})).into_response()
        }
        ("GET", ["messages"]) => {
            let wanted = |one: &&Message| query["q"].split(' ').all(|term| matches(one, term));
            let found: Vec<_> =
                mine().filter(wanted).map(|one| json!({"id": one.id, "threadId": one.thread})).collect();
            axum::Json(json!({"messages": found, "resultSizeEstimate": found.len()})).into_response()
        }
        ("GET", ["messages", id]) => match mine().find(|one| one.id == *id) {
            Some(message) => axum::Json(shown(message, &query["format"])).into_response(),
            None => refuse(404, "notFound"),
        },
        ("GET", ["history"]) => {
            let from: u64 = query["startHistoryId"].parse().unwrap();
            if from < held.mail.forgotten {
                return refuse(404, "notFound");
            }
            let mut records: Vec<_> = mine().filter(|one| one.history > from).collect();
            records.sort_by_key(|one| one.history);
            let most: usize = query["maxResults"].parse().unwrap();
            let is_whole = records.len() <= most;
            let record = |one: &&Message| {
                let message = json!({"id": one.id, "threadId": one.thread, "labelIds": one.labels});
                json!({"id": one.history.to_string(), "messagesAdded": [{"message": message}]})
            };
            let page: Vec<_> = records.iter().take(most).map(record).collect();
            let mut answer = json!({"historyId": held.number.to_string(), "history": page});
            if !is_whole {
                answer["nextPageToken"] = json!("more");
            }
            axum::Json(answer).into_response()
        }
        _ => refuse(404, "notFound"),
    }
}

/// Whether a message is what a term of a search asks for.
fn matches(message: &Message, term: &str) -> bool {
    match term.split_once(':') {
        Some(("rfc822msgid", id)) => id_of(&message.raw) == id,
        Some(("in", "sent")) => message.labels.contains(&"SENT"),
        Some(("newer_than", _)) => true,
        _ => panic!("nobody searches for {term}"),
    }
}

fn shown(message: &Message, format: &str) -> Value {
    let mut shown = json!({"id": message.id, "threadId": message.thread, "labelIds": message.labels,
        "historyId": message.history.to_string(), "sizeEstimate": message.raw.len()});
    match format {
        "raw" => shown["raw"] = json!(URL_SAFE.encode(&message.raw)),
        "metadata" => {
            let head = message.raw.split("\r\n\r\n").next().unwrap_or_default();
            let headers = head.lines().filter_map(|line| line.split_once(':'));
            let headers: Vec<_> = headers.map(|(name, value)| json!({"name": name, "value": value.trim()})).collect();
            shown["payload"] = json!({"headers": headers});
        }
        other => panic!("nobody asks for {other}"),
    }
    shown
}

async fn send(shared: &Shared, owner: &str, body: &[u8]) -> Response {
    let body: Value = serde_json::from_slice(body).unwrap();
    let raw = URL_SAFE.decode(body["raw"].as_str().unwrap()).unwrap();
    let raw = String::from_utf8(raw).expect("a message is ASCII");
    let thread = body["threadId"].as_str();
    let to = header(&raw, "To").unwrap().rsplit('<').next().unwrap().trim_end_matches('>').to_owned();
    let fault = shared.lock().fault_for(&to);
    match fault {
        Some(MailFault::Refuse(status, reason)) => return refuse(status, reason),
        Some(MailFault::Later(status, reason, after)) => {
            let mut refused = refuse(status, reason);
            refused.headers_mut().insert("retry-after", HeaderValue::from(after));
            return refused;
        }
        Some(MailFault::Slow(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
        _ => {}
    }
    let taken = {
        let mut held = shared.lock();
        let known = |thread: &&str| held.mail.messages.values().any(|one| one.owner == owner && one.thread == **thread);
        if thread.is_some_and(|thread| !known(&thread)) {
            return refuse(404, "notFound");
        }
        held.send(owner, raw, thread)
    };
    match fault {
        Some(MailFault::Hang) => std::future::pending().await,
        Some(MailFault::Cut) => {
            let pieces = [Ok(Bytes::from("{\"id\": ")), Err(std::io::Error::other("as told"))];
            Response::new(Body::from_stream(stream::iter(pieces)))
        }
        _ => axum::Json(json!({"id": taken.id, "threadId": taken.thread, "labelIds": ["SENT"]})).into_response(),
    }
}
