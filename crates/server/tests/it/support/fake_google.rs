//! Google's APIs, as far as they are used here: a real HTTP server on a free loopback port that keeps one account with its
//! calendars, and the mail of any ([`super::fake_gmail`]), and does to requests what it is told to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::fake_gmail::{self, Mail};

pub(crate) const CLIENT_ID: &str = "client-1";
pub(crate) const CLIENT_SECRET: &str = "client-secret-1";
pub(crate) const ACCOUNT: &str = "dr@example.com";
/// What `primary` stands for.
const PRIMARY: &str = ACCOUNT;

/// What is done with a request of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status, and this word for the reason.
    Refuse(u16, &'static str),
    /// It is done, and nothing is said.
    Hang,
    /// It is done, and the answer breaks off in the middle.
    Cut,
}

/// A channel that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) address: String,
    pub(crate) resource: String,
    pub(crate) stopped: bool,
}

#[derive(Default)]
struct Calendar {
    events: BTreeMap<String, Value>,
    /// When each event was changed last, by a number that grows.
    changed: HashMap<String, u64>,
}

pub(super) struct Held {
    calendars: BTreeMap<String, Calendar>,
    pub(super) number: u64,
    /// Sync tokens from before this number are not known any more.
    forgotten: u64,
    page_size: usize,
    /// Codes with what PKCE has to prove, where they were sent to, and whose they are.
    codes: HashMap<String, (String, String, String)>,
    /// Refresh tokens that hold, and whose they are.
    refresh_tokens: HashMap<String, String>,
    access_tokens: HashMap<String, String>,
    /// Who signs in where a browser does.
    who: String,
    pub(super) mail: Mail,
    script: VecDeque<Fault>,
    always: Option<Fault>,
    asked: Vec<String>,
    channels: Vec<Channel>,
    /// Where a browser is led back to, whatever stands in the address: the server of a test learns its port late.
    back: Option<String>,
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Held>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }
}

/// The server. It stops when it is dropped.
pub(crate) struct FakeGoogle {
    pub(crate) url: String,
    pub(super) shared: Shared,
    _tasks: JoinSet<()>,
}

impl FakeGoogle {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calendars = [PRIMARY, "second@group.calendar.google.com"];
        let held = Held {
            calendars: calendars.into_iter().map(|id| (id.to_owned(), Calendar::default())).collect(),
            number: 0,
            forgotten: 0,
            page_size: 1_000,
            codes: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            who: ACCOUNT.to_owned(),
            mail: Mail::default(),
            script: VecDeque::new(),
            always: None,
            asked: Vec::new(),
            channels: Vec::new(),
            back: None,
        };
        let shared = Shared(Arc::new(Mutex::new(held)));
        let router = axum::Router::new().fallback(answer).with_state(shared.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _tasks: tasks }
    }

    /// The settings by which a server uses it.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let text = |text: &str| json!(text).to_string();
        let at = |path: &str| text(&format!("{}{path}", self.url));
        [
            ("calendars.google.client_id", text(CLIENT_ID)),
            ("calendars.google.client_secret", text(CLIENT_SECRET)),
            ("calendars.google.authorization_url", at("/auth")),
            ("calendars.google.token_url", at("/token")),
            ("calendars.google.revoke_url", at("/revoke")),
            ("calendars.google.api_url", at("/calendar/v3")),
            ("calendars.google.first_byte_timeout_ms", "500".to_owned()),
            ("outreach.gmail.api_url", at("")),
            ("outreach.gmail.first_byte_timeout_ms", "3000".to_owned()),
            // What fails here is to be tried again, however often it fails.
            ("providers.breaker_failures", "1000".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The next requests of the API go wrong in these ways.
    pub(crate) fn fails(&self, faults: &[Fault]) {
        self.shared.lock().script = faults.iter().copied().collect();
    }

    /// Every request of the API goes wrong in this way from now on, or none.
    pub(crate) fn is(&self, fault: Option<Fault>) {
        self.shared.lock().always = fault;
    }

    /// Pages are this long.
    pub(crate) fn pages_of(&self, events: usize) {
        self.shared.lock().page_size = events;
    }

    /// The sync tokens that were given are not known any more.
    pub(crate) fn forgets_tokens(&self) {
        let mut held = self.shared.lock();
        held.number += 1;
        held.forgotten = held.number;
    }

    /// The account's owner takes the access away.
    pub(crate) fn revokes(&self) {
        let mut held = self.shared.lock();
        held.refresh_tokens.clear();
        held.access_tokens.clear();
    }

    /// Access tokens end before their time.
    pub(crate) fn ends_access_tokens(&self) {
        self.shared.lock().access_tokens.clear();
    }

    /// The account's owner allows what is asked: the state and the code to come back with.
    pub(crate) fn allows(&self, authorization_url: &str) -> (String, String) {
        allow(&self.shared, authorization_url)
    }

    /// Whoever signs in from now on has this account.
    pub(crate) fn is_signed_in(&self, address: &str) {
        self.shared.lock().who = address.to_owned();
    }

    /// What was asked since somebody looked last: methods and paths.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().asked)
    }

    /// Browsers are led back to this server.
    pub(crate) fn leads_back_to(&self, address: &str) {
        self.shared.lock().back = Some(address.to_owned());
    }

    /// The channels that were opened.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.shared.lock().channels.clone()
    }

    /// The events of the account's own calendar that are there, by their ids.
    pub(crate) fn events(&self) -> BTreeMap<String, Value> {
        self.events_of(PRIMARY)
    }

    pub(crate) fn events_of(&self, calendar: &str) -> BTreeMap<String, Value> {
        let held = self.shared.lock();
        let events = held.calendars[calendar].events.iter();
        let there = events.filter(|(_, event)| event["status"] != "cancelled");
        there.map(|(id, event)| (id.clone(), event.clone())).collect()
    }

    /// Somebody writes an event by hand.
    pub(crate) fn put(&self, id: &str, event: Value) {
        let mut held = self.shared.lock();
        let mut event = event;
        event["id"] = json!(id);
        if event["status"].is_null() {
            event["status"] = json!("confirmed");
        }
        held.store(PRIMARY, id, event);
    }

    /// Somebody moves an event by hand.
    pub(crate) fn moves(&self, id: &str, from: &str, until: &str) {
        let mut held = self.shared.lock();
        let mut event = held.calendars[PRIMARY].events[id].clone();
        event["start"] = json!({"dateTime": from});
        event["end"] = json!({"dateTime": until});
        held.store(PRIMARY, id, event);
    }

    /// Somebody deletes an event by hand.
    pub(crate) fn deletes(&self, id: &str) {
        let mut held = self.shared.lock();
        held.delete(PRIMARY, id);
    }
}

impl Held {
    fn store(&mut self, calendar: &str, id: &str, mut event: Value) -> Value {
        self.number += 1;
        event["etag"] = json!(format!("\"{}\"", self.number));
        let calendar = self.calendars.get_mut(calendar).unwrap();
        calendar.events.insert(id.to_owned(), event.clone());
        calendar.changed.insert(id.to_owned(), self.number);
        event
    }

    fn delete(&mut self, calendar: &str, id: &str) {
        let private = self.calendars[calendar].events[id]["extendedProperties"].clone();
        let gone = json!({"id": id, "status": "cancelled", "extendedProperties": private});
        self.store(calendar, id, gone);
    }
}

fn allow(shared: &Shared, authorization_url: &str) -> (String, String) {
    let url = reqwest::Url::parse(authorization_url).unwrap();
    let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(asked["client_id"], CLIENT_ID);
    assert_eq!((asked["response_type"].as_str(), asked["access_type"].as_str()), ("code", "offline"));
    assert_eq!(asked["code_challenge_method"], "S256");
    let mut held = shared.lock();
    held.number += 1;
    let code = format!("code-{}", held.number);
    let who = held.who.clone();
    held.codes.insert(code.clone(), (asked["code_challenge"].clone(), asked["redirect_uri"].clone(), who));
    (asked["state"].clone(), code)
}

pub(super) fn refuse(status: u16, reason: &str) -> Response {
    let error = json!({"code": status, "message": "as told", "errors": [{"domain": "global", "reason": reason}]});
    (StatusCode::from_u16(status).unwrap(), axum::Json(json!({"error": error}))).into_response()
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let form: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    match path.as_str() {
        "/auth" => {
            let (state, code) = allow(&shared, &format!("http://localhost{path}?{query}"));
            let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let redirect = asked["redirect_uri"].clone();
            let redirect = shared.lock().back.as_ref().map_or(redirect.clone(), |address| {
                let page = if redirect.ends_with("/calendar") { "calendar" } else { "sending-accounts" };
                format!("{address}/{page}")
            });
            let back = format!("{redirect}?state={state}&code={code}");
            return (StatusCode::FOUND, [("location", back)]).into_response();
        }
        "/revoke" => {
            shared.lock().refresh_tokens.retain(|token, _| Some(token) != form.get("token"));
            return StatusCode::OK.into_response();
        }
        _ => {}
    }
    let what = format!("{} {path}", head.method);
    let fault = {
        let mut held = shared.lock();
        held.asked.push(what);
        held.script.pop_front().or(held.always)
    };
    if let Some(Fault::Refuse(status, reason)) = fault {
        return refuse(status, reason);
    }
    if let Some(path) = path.strip_prefix(fake_gmail::BASE) {
        return fake_gmail::answer(&shared, head.method.as_str(), path, &query, &head.headers, &body).await;
    }
    let answer = match path.as_str() {
        "/token" => token(&mut shared.lock(), &form),
        path => api(&mut shared.lock(), head.method.as_str(), path, &query, &head.headers, &body),
    };
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Cut) => {
            let pieces = [Ok(Bytes::from("{\"id\": ")), Err(std::io::Error::other("as told"))];
            Response::new(Body::from_stream(stream::iter(pieces)))
        }
        _ => answer,
    }
}

fn token(held: &mut Held, form: &HashMap<String, String>) -> Response {
    let bad = |error: &str| (StatusCode::BAD_REQUEST, axum::Json(json!({"error": error}))).into_response();
    if form.get("client_id").map(String::as_str) != Some(CLIENT_ID)
        || form.get("client_secret").map(String::as_str) != Some(CLIENT_SECRET)
    {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"error": "invalid_client"}))).into_response();
    }
    held.number += 1;
    let access = format!("access-{}", held.number);
    let mut answer = json!({"access_token": access, "expires_in": 3600, "token_type": "Bearer"});
    match form["grant_type"].as_str() {
        "authorization_code" => {
            let Some((challenge, redirect, who)) = held.codes.remove(&form["code"]) else {
                return bad("invalid_grant");
            };
            let proof = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
            if URL_SAFE_NO_PAD.encode(proof) != challenge || redirect != form["redirect_uri"] {
                return bad("invalid_grant");
            }
            let refresh = format!("refresh-{}", held.number);
            held.refresh_tokens.insert(refresh.clone(), who.clone());
            answer["refresh_token"] = json!(refresh);
            held.access_tokens.insert(access, who);
        }
        _ => {
            let Some(who) = held.refresh_tokens.get(&form["refresh_token"]).cloned() else {
                return bad("invalid_grant");
            };
            held.access_tokens.insert(access, who);
        }
    }
    axum::Json(answer).into_response()
}

impl Held {
    /// Whose access token a request has.
    pub(super) fn bearer(&self, headers: &HeaderMap) -> Option<String> {
        let bearer = headers.get("authorization")?.to_str().ok()?;
        self.access_tokens.get(bearer.strip_prefix("Bearer ")?).cloned()
    }
}

fn api(held: &mut Held, method: &str, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if held.bearer(headers).is_none() {
        return refuse(401, "authError");
    }
    let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let path = path.strip_prefix("/calendar/v3/").unwrap_or_default();
    let parts: Vec<String> = path
        .split('/')
        .map(|part| form_urlencoded::parse(part.as_bytes()).next().map_or(String::new(), |(name, _)| name.into_owned()))
        .collect();
    let mut parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if parts.get(1) == Some(&"primary") {
        parts[1] = PRIMARY;
    }
    match (method, parts.as_slice()) {
        ("GET", ["users", "me", "calendarList"]) => {
            let items = held.calendars.keys().map(|id| json!({"id": id, "summary": format!("Calendar {id}")}));
            axum::Json(json!({"items": items.collect::<Vec<_>>()})).into_response()
        }
        ("POST", ["channels", "stop"]) => {
            let stopped =
                held.channels.iter_mut().find(|one| body["id"] == one.id && body["resourceId"] == one.resource);
            match stopped {
                Some(channel) => channel.stopped = true,
                None => return refuse(404, "notFound"),
            }
            StatusCode::NO_CONTENT.into_response()
        }
        (_, [_, calendar, ..]) if !held.calendars.contains_key(*calendar) => refuse(404, "notFound"),
        ("GET", ["calendars", calendar]) => {
            axum::Json(json!({"id": calendar, "timeZone": "Europe/Berlin"})).into_response()
        }
        ("POST", ["calendars", _, "events", "watch"]) => {
            held.number += 1;
            let channel = Channel {
                id: body["id"].as_str().unwrap().to_owned(),
                token: body["token"].as_str().unwrap().to_owned(),
                address: body["address"].as_str().unwrap().to_owned(),
                resource: format!("resource-{}", held.number),
                stopped: false,
            };
            held.channels.push(channel.clone());
            // As far ahead as any test goes.
            let answer = json!({"kind": "api#channel", "id": channel.id, "resourceId": channel.resource,
                "expiration": "4102444800000"});
            axum::Json(answer).into_response()
        }
        ("GET", ["calendars", calendar, "events"]) => list(held, calendar, &query),
        ("POST", ["calendars", calendar, "events"]) => insert(held, calendar, body),
        (method, ["calendars", calendar, "events", id]) => one(held, (method, calendar, id), header("if-match"), body),
        _ => refuse(404, "notFound"),
    }
}

fn list(held: &Held, calendar: &str, query: &HashMap<String, String>) -> Response {
    assert_eq!(query["singleEvents"], "true");
    let since = match query.get("syncToken") {
        None => None,
        Some(token) => match token.strip_prefix('s').and_then(|number| number.parse::<u64>().ok()) {
            Some(number) if number >= held.forgotten => Some(number),
            _ => return refuse(410, "fullSyncRequired"),
        },
    };
    let calendar = &held.calendars[calendar];
    let wanted = calendar.events.iter().filter(|(id, event)| match since {
        None => event["status"] != "cancelled",
        Some(since) => calendar.changed[*id] > since,
    });
    let from: usize = query.get("pageToken").map_or(0, |token| token.parse().unwrap());
    let most: usize = query.get("maxResults").map_or(250, |most| most.parse().unwrap()).min(held.page_size);
    let all: Vec<Value> = wanted.map(|(_, event)| event.clone()).collect();
    let page: Vec<Value> = all.iter().skip(from).take(most).cloned().collect();
    let mut answer = json!({"kind": "calendar#events", "timeZone": "Europe/Berlin", "items": page});
    if from + most < all.len() {
        answer["nextPageToken"] = json!((from + most).to_string());
    } else {
        answer["nextSyncToken"] = json!(format!("s{}", held.number));
    }
    axum::Json(answer).into_response()
}

fn insert(held: &mut Held, calendar: &str, body: Value) -> Response {
    let id = body["id"].as_str().unwrap_or_default().to_owned();
    let legal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
    if !(5..=1024).contains(&id.len()) || !id.bytes().all(legal) || body["start"].is_null() || body["end"].is_null() {
        return refuse(400, "invalid");
    }
    if held.calendars[calendar].events.contains_key(&id) {
        return refuse(409, "duplicate");
    }
    axum::Json(held.store(calendar, &id, without_nulls(body))).into_response()
}

fn one(held: &mut Held, (method, calendar, id): (&str, &str, &str), if_match: Option<String>, body: Value) -> Response {
    let Some(event) = held.calendars[calendar].events.get(id).cloned() else { return refuse(404, "notFound") };
    let gone = event["status"] == "cancelled";
    if if_match.is_some_and(|version| event["etag"] != version) {
        return refuse(412, "conditionNotMet");
    }
    match method {
        "GET" => axum::Json(event).into_response(),
        "DELETE" if gone => refuse(410, "deleted"),
        "DELETE" => {
            held.delete(calendar, id);
            StatusCode::NO_CONTENT.into_response()
        }
        "PATCH" => {
            let mut patched = event;
            for (name, value) in body.as_object().unwrap() {
                patched[name] = without_nulls(value.clone());
            }
            axum::Json(held.store(calendar, id, patched)).into_response()
        }
        _ => refuse(405, "notAllowed"),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        other => other,
    }
}
