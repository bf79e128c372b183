//! A day on the phone, told by the providers in any order, twice, and with the server killed: what is there in the end is the
//! same each time. Each appointment has its entry in the calendar, and its text messages were sent, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan as _;
use mainstay_domain::Clock as _;
use mainstay_server::outside::SystemClock;
use mainstay_testing::postgres::{Cluster, Options};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{cycles, report};
use crate::calls::{SECRET, events_of, message_of};
use crate::inbox::path_of;
use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::chance::Chance;
use crate::support::fake_google::{self, FakeGoogle};
use crate::support::fake_twilio::{self, FakeTwilio};
use crate::support::text;
use crate::texts::{ACCOUNT, TOKEN};

/// Calls of the day.
const CALLS: usize = 24;

/// What is told by a provider, again and again until it is taken.
#[derive(Clone)]
struct Event {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    /// What answers are compared by, where one is waited for.
    question: Option<String>,
}

/// Everything that the server speaks with.
struct World {
    installation: Installation,
    /// Where it is, each time that it is started: events are signed for this address.
    address: String,
    google: FakeGoogle,
    twilio: FakeTwilio,
}

/// An organisation with its hooks.
struct Practice {
    token: String,
    phone: String,
    texts: String,
    calendar: String,
}

/// What there is at the end of the day, without what differs from day to day.
#[derive(Debug, PartialEq)]
struct Outcome {
    calls: BTreeMap<String, Value>,
    appointments: BTreeSet<String>,
    texts: BTreeSet<String>,
    entries: BTreeSet<String>,
    /// What was sent to each number, in its order.
    sent: BTreeMap<String, Vec<String>>,
    /// What the agent was told, by call and use of a tool.
    answers: BTreeMap<String, Value>,
}

async fn world(installation: Installation) -> World {
    let (installation, google) = super::calendars::with_google(installation).await;
    let twilio = FakeTwilio::start(Arc::new(SystemClock)).await;
    let port = mainstay_testing::free_port().expect("a port").to_string();
    let address = format!("http://127.0.0.1:{port}");
    let installation = [
        ("texts.twilio_url", twilio.url.as_str()),
        ("texts.first_byte_timeout_ms", "1000"),
        ("texts.retry_seconds", "1"),
        ("texts.find_seconds", "2"),
        ("http.public_url", address.as_str()),
        ("jobs.rescue_after_seconds", "5"),
        ("inbox.answer_timeout_ms", "19000"),
        ("database.acquire_timeout_ms", "25000"),
        ("providers.breaker_open_ms", "1000"),
    ]
    .into_iter()
    .fold(installation.with("PORT", &port), |installation, (key, value)| installation.set(key, value));
    World { installation, address, google, twilio }
}

async fn set_up(world: &World, server: &Instance, token: &str) -> Practice {
    let send = async |method: &str, path: &str, body: Value| {
        server.send(method, path, token, Some(body)).await.expect("an answer")
    };
    let settings =
        json!({"time_zone": "UTC", "week": crate::reception::always(), "lead_minutes": 0, "step_minutes": 30});
    send("PUT", "/v1/reception", settings).await.expect(200);
    send("PUT", "/v1/phone-agent", json!({"greeting": "Hello, this is the practice."})).await.expect(200);
    let service = send("POST", "/v1/services", json!({"name": "Cleaning", "minutes": 30})).await.expect(201);
    let staff = json!({"name": "Dr. Bell", "services": [service["id"]]});
    let staff = text(&send("POST", "/v1/staff", staff).await.expect(201)["id"]);
    let hook = async |provider: &str, secret: &str| {
        let body = json!({"name": provider, "provider": provider, "secrets": [secret]});
        let made = send("POST", "/v1/inbox-sources", body).await.expect(201);
        (text(&made["id"]), path_of(&made))
    };
    let (_, phone) = hook("vapi", SECRET).await;
    let (sender, texts) = hook("twilio", TOKEN).await;
    let settings = json!({"sender_id": sender, "account_sid": ACCOUNT, "from": "+15005550006", "reminder_minutes": []});
    send("PUT", "/v1/text-settings", settings).await.expect(200);
    super::calendars::connect(server, &world.google, &staff, token).await;
    Practice { token: token.to_owned(), phone, texts, calendar: format!("/v1/staff/{staff}/calendar") }
}

fn number_of(call: usize) -> String {
    format!("+493090182{call:02}")
}

/// The day of the appointments, and the time of the one with this number.
fn time_of(day: jiff::civil::Date, place: usize) -> (String, String) {
    let time = day.at(0, 0, 0, 0).checked_add((30 * i64::try_from(place).expect("small")).minutes()).expect("a time");
    (time.strftime("%Y-%m-%d").to_string(), time.strftime("%H:%M").to_string())
}

/// An event of the provider of the phone.
fn heard(practice: &Practice, message: &Value) -> Event {
    let headers = vec![("content-type", "application/json".to_owned()), ("x-vapi-secret", SECRET.to_owned())];
    Event { path: practice.phone.clone(), headers, body: message.to_string(), question: None }
}

/// The use of a tool, in the shape that this call's provider writes.
fn tool(practice: &Practice, call: usize, name: &str, given: &Value) -> Event {
    let id = format!("call-{call}-{name}");
    let words = given.to_string();
    let more = match call % 6 {
        0 => json!({"toolCallList": [{"id": id, "type": "function", "function": {"name": name, "arguments": given}}]}),
        1 => json!({"toolCallList": [{"id": id, "function": {"name": name, "arguments": words}}]}),
        2 => json!({"toolCallList": [{"id": id, "name": name, "parameters": given}]}),
        3 => json!({"toolCalls": [{"id": id, "function": {"name": name, "arguments": words}}], "toolCallList": []}),
        4 => json!({"toolWithToolCallList": [{"type": "function", "function": {"name": name},
            "toolCall": {"id": id, "type": "function", "function": {"name": name, "parameters": given}}}]}),
        _ => json!({"functionCall": {"name": name, "parameters": given}}),
    };
    let kind = if call % 6 == 5 { "function-call" } else { "tool-calls" };
    let message = message_of((&format!("call-{call}"), &number_of(call)), kind, more);
    Event { question: Some(id), ..heard(practice, &message) }
}

/// What the agent does in a call, in its order: it books, in some calls it moves or cancels, in some it only asks.
fn uses(practice: &Practice, call: usize, day: jiff::civil::Date) -> Vec<Event> {
    let at = |place: usize| {
        let (date, time) = time_of(day, place);
        json!({"date": date, "time": time, "name": format!("Caller {call}")})
    };
    let tool = |name: &str, given: Value| tool(practice, call, name, &given);
    let asked = || tool("opening_hours", json!({"date": day.to_string()}));
    let booked = || tool("book_appointment", at(call));
    match call % 4 {
        0 => vec![tool("check_availability", at(call)), booked()],
        1 => vec![booked(), tool("reschedule_appointment", at(CALLS + call))],
        2 => vec![booked(), asked(), tool("cancel_appointment", json!({}))],
        _ if call % 8 == 3 => vec![asked()],
        _ => vec![asked(), booked()],
    }
}

/// What else is told of a call.
fn told(practice: &Practice, call: usize) -> Vec<Event> {
    events_of(call, &number_of(call)).iter().map(|message| heard(practice, message)).collect()
}

/// All of a call. What is only told comes at any moment and twice; the agent goes on when it has an answer, and asks again later.
fn all_of(practice: &Practice, call: usize, day: jiff::civil::Date, chance: Option<&mut Chance>) -> Vec<Event> {
    let mut events = uses(practice, call, day);
    let Some(chance) = chance else {
        events.extend(told(practice, call));
        return events;
    };
    for (place, again) in events.clone().into_iter().enumerate().rev() {
        let after = chance.below(u64::try_from(events.len() - place).expect("small"));
        events.insert(place + 1 + usize::try_from(after).expect("small"), again);
    }
    for event in told(practice, call).into_iter().flat_map(|event| [event.clone(), event]) {
        let place = chance.below(u64::try_from(events.len() + 1).expect("small"));
        events.insert(usize::try_from(place).expect("small"), event);
    }
    events
}

/// What becomes of the messages that were sent, as their provider tells it: in no order, and twice.
fn delivered(world: &World, practice: &Practice, chance: Option<&mut Chance>) -> Vec<Event> {
    let mut events = Vec::new();
    for taken in world.twilio.taken() {
        for state in ["sent", "delivered"] {
            let fields = [
                ("MessageSid", taken.sid.as_str()),
                ("MessageStatus", state),
                ("To", taken.to.as_str()),
                ("AccountSid", ACCOUNT),
            ];
            let (body, signature) =
                crate::texts::event(&format!("{}{}", world.address, practice.texts), TOKEN, &fields);
            let form = "application/x-www-form-urlencoded".to_owned();
            let headers = vec![("content-type", form), ("x-twilio-signature", signature)];
            events.push(Event { path: practice.texts.clone(), headers, body, question: None });
        }
    }
    let Some(chance) = chance else { return events };
    crate::inbox::shuffled([events.clone(), events].concat(), chance.below(u64::MAX))
}

/// Tells an event until it is taken. The answer is what was said to it.
async fn tell(client: &reqwest::Client, address: &str, starts: &mut watch::Receiver<u64>, event: &Event) -> Value {
    loop {
        starts.mark_unchanged();
        let mut request = client.post(format!("{address}{}", event.path)).body(event.body.clone());
        for (name, value) in &event.headers {
            request = request.header(*name, value);
        }
        if let Ok(response) = request.send().await {
            let (status, body) = (response.status().as_u16(), response.text().await);
            match (status, body) {
                // What failed for a moment is asked again.
                (200..=299, Ok(body)) if !body.contains("I cannot do that right now") => {
                    return serde_json::from_str(&body).unwrap_or(Value::Null);
                }
                (200..=299 | 503 | 504, _) => {}
                (status, body) => panic!("{status}: {body:?}"),
            }
        }
        // The server was killed, and may have been started anew before that was noticed here.
        let _ = tokio::time::timeout(Duration::from_millis(100), starts.changed()).await;
    }
}

/// Tells all events, those of each list one after the other, while the server is killed. The answer is what was answered.
async fn play(
    world: &World,
    lists: Vec<Vec<Event>>,
    kills: u64,
    chance: &mut Chance,
) -> (BTreeMap<String, Value>, Instance) {
    let mut server = world.installation.serve().await;
    let (started, starts) = watch::channel(0);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
    let mut tellers = JoinSet::new();
    for list in lists {
        let (client, address, mut starts) = (client.clone(), world.address.clone(), starts.clone());
        tellers.spawn(async move {
            let mut answers = Vec::new();
            for event in list {
                let answer = tell(&client, &address, &mut starts, &event).await;
                answers.extend(event.question.map(|question| (question, answer)));
            }
            answers
        });
    }
    for kill in 0..kills {
        use fake_twilio::Fault::{CutAfterTaking, FailAfterTaking, HangAfterTaking, Status};
        world.twilio.fails(&[HangAfterTaking, Status(503), CutAfterTaking, FailAfterTaking]);
        world.google.is([None, Some(fake_google::Fault::Hang), Some(fake_google::Fault::Cut)][kill as usize % 3]);
        // The moment is the point of the test, so it is waited for by the clock.
        sleep(Duration::from_millis(100 + chance.below(500))).await;
        server.process.kill();
        server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
        server = world.installation.serve().await;
        started.send_replace(kill + 1);
    }
    world.google.is(None);
    world.twilio.fails(&[]);
    let mut answers = BTreeMap::new();
    for (question, answer) in tellers.join_all().await.into_iter().flatten() {
        let first = answers.entry(question.clone()).or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "{question} is answered in the same way each time");
    }
    (answers, server)
}

/// What differs from day to day is taken out.
fn bare(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| {
                !(name == "id"
                    || name.ends_with("_id") && name != "provider_id"
                    || name == "created_at"
                    || name == "at")
            });
            object.values_mut().for_each(bare);
        }
        Value::Array(all) => all.iter_mut().for_each(bare),
        _ => {}
    }
}

async fn look(world: &World, practice: &Practice, server: &Instance, answers: &BTreeMap<String, Value>) -> Outcome {
    let mut calls = BTreeMap::new();
    for call in server.list("/v1/calls", &practice.token, 50).await {
        let mut whole = server.get(&format!("/v1/calls/{}", text(&call["id"])), &practice.token).await;
        bare(&mut whole);
        calls.insert(text(&whole["provider_id"]), whole);
    }
    let mut appointments = BTreeSet::new();
    let until = SystemClock.now().plus(Duration::from_secs(10 * 86_400));
    let page = server.get(&format!("/v1/appointments?limit=100&until={until}"), &practice.token).await;
    assert!(page["next"].is_null());
    for row in page["data"].as_array().expect("rows") {
        let state = if row["state"] == "cancelled" { "cancelled" } else { "booked" };
        assert!(appointments.insert(format!("{} {} {state}", text(&row["starts_at"]), row["contact"])));
    }
    let rows = server.list("/v1/text-messages", &practice.token, 50).await;
    let texts =
        rows.iter().map(|row| format!("{} {} {}", text(&row["phone"]), text(&row["reason"]), text(&row["state"])));
    let entries = world.google.events().into_values().map(|event| text(&event["start"]["dateTime"]));
    let mut sent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for taken in world.twilio.taken() {
        // The link in it is of one appointment.
        let words = taken.body.split(" Cancel: ").next().unwrap_or_default().to_owned();
        sent.entry(taken.to).or_default().push(words);
    }
    let texts: BTreeSet<String> = texts.collect();
    assert_eq!(texts.len(), rows.len(), "a message stands there twice");
    Outcome { calls, appointments, texts, entries: entries.collect(), sent, answers: answers.clone() }
}

/// How many messages are owed for a call.
fn owed(call: usize) -> usize {
    match call % 4 {
        1 | 2 => 2,
        3 if call % 8 == 3 => 0,
        _ => 1,
    }
}

/// One day. The answer is what there is at its end.
async fn live(world: &World, day: jiff::civil::Date, kills: u64, chance: &mut Chance) -> Outcome {
    let token = world.installation.people(1).await.remove(0);
    let server = world.installation.serve().await;
    let practice = set_up(world, &server, &token).await;
    assert_eq!(server.stop().await, Some(0));
    let lists = (0..CALLS).map(|call| all_of(&practice, call, day, (kills > 0).then_some(&mut *chance))).collect();
    let (answers, server) = play(world, lists, kills, chance).await;
    for (question, answer) in &answers {
        // The old form does not tell an error from an answer.
        let told = answer["results"][0]["result"].as_str().or(answer["result"].as_str()).unwrap_or_default();
        let is_done = ["Yes", "Booked", "Moved", "On "].iter().any(|word| told.starts_with(word))
            || told.ends_with(" is cancelled.");
        assert!(is_done, "{question}: {answer}");
    }
    let messages: usize = (0..CALLS).map(owed).sum();
    let booked = (0..CALLS).filter(|call| owed(*call) > 0 && call % 4 != 2).count();
    // What a worker that died has left is taken back when its lease has ended.
    until("all is sent and written", async || {
        let texts = server.list("/v1/text-messages", &token, 50).await;
        let (entries, all) = (world.google.events().len(), states(&texts));
        // What was found in the list of the provider is known to be sent already.
        let known: usize = ["accepted", "sent"].iter().filter_map(|state| all.get(*state)).sum();
        (known != messages || known != texts.len() || entries != booked)
            .then(|| format!("{all:?} of {messages} messages, {entries} of {booked} entries"))
    })
    .await;
    assert_eq!(server.stop().await, Some(0));
    let events = delivered(world, &practice, (kills > 0).then_some(&mut *chance));
    let lists = events.chunks(8).map(<[Event]>::to_vec).collect();
    let (_, server) = play(world, lists, kills.min(2), chance).await;
    until("all is delivered and every call is over", async || {
        let texts = states(&server.list("/v1/text-messages", &token, 50).await);
        let calls = states(&server.list("/v1/calls", &token, 50).await);
        (texts.keys().ne(["delivered"]) || calls.keys().ne(["ended"])).then(|| format!("{texts:?}, {calls:?}"))
    })
    .await;
    let outcome = look(world, &practice, &server, &answers).await;
    assert_eq!(server.get("/v1/calendar-conflicts", &token).await["data"], json!([]));
    assert_eq!(server.get(&practice.calendar, &token).await["state"], "connected");
    assert_eq!(server.stop().await, Some(0));
    for call in 0..CALLS {
        let sent = outcome.sent.get(&number_of(call)).map_or(0, Vec::len);
        assert_eq!(sent, owed(call), "messages of call {call}: {:?}", outcome.sent);
    }
    assert_eq!((outcome.entries.len(), outcome.calls.len()), (booked, CALLS));
    outcome
}

/// How many rows are in each state.
fn states(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    rows.iter().for_each(|row| *states.entry(text(&row["state"])).or_default() += 1);
    states
}

/// Waits until nothing is missing any more.
async fn until(what: &str, missing: impl AsyncFn() -> Option<String>) {
    let deadline = tokio::time::Instant::now() + 2 * PATIENCE;
    while let Some(missing) = missing().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: {missing}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The day in order, and the same day in disorder, on an installation each.
async fn same_in_the_end(engine: &str, worlds: [World; 2]) {
    let mut chance = Chance::seeded();
    let now = jiff::Timestamp::from_millisecond(SystemClock.now().as_millis()).expect("a moment");
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = today.checked_add(3.days()).expect("a day");
    let [ordered, disordered] = worlds;
    let wanted = live(&ordered, day, 0, &mut chance).await;
    let found = live(&disordered, day, cycles(), &mut chance).await;
    for (call, wanted) in &wanted.calls {
        assert_eq!(found.calls.get(call), Some(wanted));
    }
    assert_eq!(found, wanted);
    report(&format!("{engine}: {} kills, {CALLS} calls, {} entries", cycles() + 2, wanted.entries.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_lives_the_same_day_in_any_order() {
    let worlds = [world(super::installation()).await, world(super::installation()).await];
    Box::pin(same_in_the_end("SQLite", worlds)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_lives_the_same_day_in_any_order() {
    let Some(cluster) = Cluster::start(Options::default()) else { return };
    let databases = [cluster.database().expect("a database"), cluster.database().expect("a database")];
    let mut worlds = Vec::new();
    for database in &databases {
        let world = world(super::installation().on(&database.url)).await;
        world.installation.run(&["migrate", "up"]).await.says(0, &["applied 0001"]);
        worlds.push(world);
    }
    let Ok(worlds) = <[World; 2]>::try_from(worlds) else { unreachable!("there are two") };
    Box::pin(same_in_the_end("PostgreSQL", worlds)).await;
}
