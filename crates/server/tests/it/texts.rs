//! Text messages by way of Twilio: once for each reason, in order for each appointment, none to whoever wants none, and none lost.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_server::app::Outside;
use ring::hmac;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::calls::{given, line_of, use_tool};
use crate::faults::clock::Jumping;
use crate::inbox::{Sender, post, sender, settled, shuffled};
use crate::reception::Practice;
use crate::support::fake_twilio::{FakeTwilio, Fault, Taken};
use crate::support::{Answer, Engine, Person, TestApp, both, text};

both! {
    what_becomes_of_an_appointment_is_told,
    whoever_wants_none_gets_none,
    what_nobody_knows_of_is_looked_for_before_it_is_sent_again,
    an_hour_without_the_provider_loses_nothing,
    what_the_provider_tells_in_any_order_is_one_state,
    a_link_cancels_and_only_as_it_was_made,
    a_link_gives_the_appointment_to_a_calendar,
    what_is_said_of_text_messages_is_checked,
}

pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
pub(crate) const TOKEN: &str = "the token of the account";
const ADA: &str = "+4930901820";
const PATIENCE: Duration = Duration::from_secs(120);

/// A practice that sends text messages, the provider, and the clock of both.
struct Clinic {
    server: TestApp,
    twilio: FakeTwilio,
    clock: Arc<Jumping>,
}

async fn clinic(engine: Engine) -> Option<Clinic> {
    let clock = Arc::new(Jumping::default());
    let twilio = FakeTwilio::start(Arc::clone(&clock) as _).await;
    let url = json!(twilio.url).to_string();
    let settings = [
        ("texts.twilio_url", url.as_str()),
        ("texts.first_byte_timeout_ms", "1000"),
        ("http.public_url", r#""https://clinic.example.com""#),
        ("jobs.poll_ms", "100"),
        // After a jump of the clock a worker has to have its lease anew.
        ("jobs.rescue_after_seconds", "2"),
        ("texts.retry_seconds", "1"),
        ("texts.find_seconds", "2"),
        ("auth.access_token_seconds", "86400"),
        ("providers.breaker_open_ms", "1000"),
    ];
    let outside = Outside { clock: Arc::clone(&clock) as _, ..Outside::default() };
    let server = TestApp::start_with(engine, &settings, outside).await?;
    Some(Clinic { server, twilio, clock })
}

/// A sender by which the callbacks of the provider come.
pub(crate) async fn sender_of(server: &TestApp, person: &Person) -> Sender {
    sender(server, person, json!({"name": "Texts", "provider": "twilio", "secrets": [TOKEN]})).await
}

/// That an organisation sends text messages, and reminds nobody.
pub(crate) fn settings(sender: &Sender) -> Value {
    json!({"sender_id": sender.id, "account_sid": ACCOUNT, "from": "+15005550006", "reminder_minutes": []})
}

async fn set_up(practice: &Practice<'_>, more: Value) -> Sender {
    let sender = sender_of(practice.server, &practice.owner).await;
    let mut settings = settings(&sender);
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    practice.send("PUT", "/v1/text-settings", Some(settings)).await.expect(200);
    sender
}

/// All messages, the first first.
async fn texts(practice: &Practice<'_>) -> Vec<Value> {
    let page = practice.send("GET", "/v1/text-messages?limit=100", None).await.expect(200);
    let mut rows = page["data"].as_array().expect("rows").clone();
    rows.reverse();
    rows
}

impl Clinic {
    /// Looks until it is so.
    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < end, "{what} never came");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn taken(&self, count: usize) -> Vec<Taken> {
        let look = async || Some(self.twilio.taken()).filter(|taken| taken.len() >= count);
        self.until("the message", look).await
    }

    /// The link of the first message, at this server.
    async fn link(&self) -> String {
        let first = self.taken(1).await.remove(0);
        let (_, link) = first.body.split_once("https://clinic.example.com").expect("a link");
        format!("{}{}", self.server.address, link.split(' ').next().expect("its path"))
    }

    /// Waits until it is stored that the provider has so many. What is asked of it later is due so long after that.
    async fn accepted(&self, practice: &Practice<'_>, count: usize) {
        let has = |one: &Value| matches!(one["state"].as_str(), Some("accepted" | "sent" | "delivered"));
        let look = async || (texts(practice).await.iter().filter(|one| has(one)).count() >= count).then_some(());
        self.until("the provider's answer", look).await;
    }

    async fn ended(&self, practice: &Practice<'_>) -> Vec<Value> {
        let look = async || {
            let all = texts(practice).await;
            let owed = |one: &Value| {
                matches!(one["state"].as_str(), Some("waiting" | "sending" | "unknown")) && one["reason"] != "reminder"
            };
            (!all.iter().any(owed)).then_some(all)
        };
        self.until("the end of the messages", look).await
    }
}

/// An event of the provider: its body, and its signature for this address.
pub(crate) fn event(url: &str, token: &str, fields: &[(&str, &str)]) -> (String, String) {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()).as_ref());
    (form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish(), signature)
}

/// A callback of the provider, signed.
async fn call_back(clinic: &Clinic, sender: &Sender, token: &str, fields: &[(&str, &str)]) -> Answer {
    let (body, signature) = event(&format!("https://clinic.example.com{}", sender.path), token, fields);
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-twilio-signature", signature.as_str())];
    post(&clinic.server, &sender.path, &headers, &body).await
}

async fn status(clinic: &Clinic, sender: &Sender, sid: &str, state: &str) -> Answer {
    let fields =
        [("MessageSid", sid), ("MessageStatus", state), ("To", ADA), ("AccountSid", ACCOUNT), ("New", "field")];
    call_back(clinic, sender, TOKEN, &fields).await
}

async fn write_back(clinic: &Clinic, sender: &Sender, sid: &str, body: &str) {
    let fields = [("MessageSid", sid), ("From", ADA), ("To", "+15005550006"), ("Body", body), ("NumMedia", "0")];
    let answer = call_back(clinic, sender, TOKEN, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    settled(&clinic.server, sender).await;
}

async fn what_becomes_of_an_appointment_is_told(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 2).await;
    set_up(&practice, json!({"reminder_minutes": [120]})).await;
    let line = line_of(&practice).await;
    let free = practice.free("&limit=400").await;
    // By phone, told to the agent twice.
    let (day, time) = given(&free[30]);
    let wish = json!({"service": "Cleaning", "date": day, "time": time, "name": "Ada", "phone": ADA});
    for _ in 0..2 {
        use_tool(&clinic.server, &line, ("call-1", "t1"), "book_appointment", wish.clone()).await.expect("booked");
    }
    let first = clinic.taken(1).await.remove(0);
    assert_eq!(first.to, ADA);
    assert!(first.body.starts_with("ada: Cleaning with Dr. "), "{}", first.body);
    assert!(first.body.contains("Cancel: https://clinic.example.com/a/"), "{}", first.body);
    assert!(first.callback.is_some_and(|url| url.starts_with("https://clinic.example.com/hooks/twilio/")));
    assert_eq!(first.authorization, format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{TOKEN}"))));
    // It is moved, and whoever it is for is reminded of the new time only.
    let id = text(&texts(&practice).await[0]["appointment_id"]);
    let body = json!({"starts_at": free[12]["starts_at"]});
    practice.send("POST", &format!("/v1/appointments/{id}/move"), Some(body)).await.expect(200);
    let moved = clinic.taken(2).await.remove(1);
    assert!(moved.body.contains("is now on"), "{}", moved.body);
    clinic.accepted(&practice, 2).await;
    let begins = clinic.server.app.clock.now();
    let starts: mainstay_domain::Timestamp = text(&free[12]["starts_at"]).parse().expect("a moment");
    clinic.clock.forward(starts.since(begins).checked_sub(Duration::from_secs(7_000)).expect("it is later"));
    let reminder = clinic.taken(3).await.remove(2);
    assert!(reminder.body.contains("reminder of your Cleaning"), "{}", reminder.body);
    clinic.accepted(&practice, 3).await;
    let late: mainstay_domain::Timestamp = text(&free[30]["starts_at"]).parse().expect("a moment");
    clinic
        .clock
        .forward(late.since(clinic.server.app.clock.now()).checked_sub(Duration::from_secs(60)).expect("later"));
    let dropped = async || {
        let all = texts(&practice).await;
        let dropped = all.iter().filter(|one| one["state"] == "dropped").count();
        (dropped == 1 && all.len() == 4).then_some(all)
    };
    let all = clinic.until("the reminder of the first time", dropped).await;
    assert_eq!(clinic.twilio.taken().len(), 3, "{all:?}");
    // What became of those that were sent is asked for, with their price.
    let priced = async || {
        let all = texts(&practice).await;
        let sent: Vec<Value> = all.into_iter().filter(|one| one["state"] == "delivered").collect();
        (sent.len() == 3).then_some(sent)
    };
    for one in clinic.until("the price", priced).await {
        assert_eq!(
            (&one["price_micros"], &one["currency"], &one["segments"]),
            (&json!(7_500), &json!("USD"), &json!(1))
        );
    }
    clinic.server.tells(&["mainstay_text_attempts_total{outcome=\"accepted\"} 3"]).await;
}

async fn whoever_wants_none_gets_none(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 2).await;
    let sender = set_up(&practice, json!({})).await;
    let free = practice.free("&limit=400").await;
    practice.book(&free[50]["starts_at"], json!({})).await.expect(201);
    clinic.taken(1).await;
    write_back(&clinic, &sender, "SM90000000000000000000000000000001", "Stop.").await;
    let opted: Value = practice.send("GET", "/v1/text-opt-outs", None).await.expect(200);
    assert_eq!(opted["data"][0]["phone"], ADA);
    practice.book(&free[60]["starts_at"], json!({})).await.expect(201);
    let all = clinic.ended(&practice).await;
    assert_eq!((&all[1]["state"], clinic.twilio.taken().len()), (&json!("dropped"), 1), "{all:?}");
    // A repeat of an old event changes nothing; what is said anew does.
    clinic.clock.forward(Duration::from_secs(5));
    write_back(&clinic, &sender, "SM90000000000000000000000000000002", "START").await;
    write_back(&clinic, &sender, "SM90000000000000000000000000000001", "Stop.").await;
    practice.book(&free[70]["starts_at"], json!({})).await.expect(201);
    clinic.taken(2).await;
    // The provider knows of a stop that was never told here.
    clinic.twilio.fails(&[Fault::Refuse(21_610)]);
    practice.book(&free[80]["starts_at"], json!({})).await.expect(201);
    let all = clinic.ended(&practice).await;
    assert_eq!((&all[3]["state"], &all[3]["error_code"]), (&json!("failed"), &json!(21_610)));
    assert_eq!(practice.send("GET", "/v1/text-opt-outs", None).await.expect(200)["data"][0]["phone"], ADA);
    // Whatever else is written is for the staff.
    write_back(&clinic, &sender, "SM90000000000000000000000000000003", "I am late.\u{0}").await;
    let messages = practice.send("GET", "/v1/phone-messages", None).await.expect(200);
    assert_eq!((&messages["data"][0]["body"], &messages["data"][0]["name"]), (&json!("I am late."), &json!("Ada")));
    let forged =
        call_back(&clinic, &sender, "another", &[("MessageSid", "SM1"), ("From", ADA), ("Body", "STOP")]).await;
    assert_eq!(forged.status, 401);
}

async fn what_nobody_knows_of_is_looked_for_before_it_is_sent_again(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 2).await;
    set_up(&practice, json!({})).await;
    let free = practice.free("&limit=400").await;
    let faults = [
        Fault::HangAfterTaking,
        Fault::CutAfterTaking,
        Fault::FailAfterTaking,
        Fault::Hang,
        Fault::Status(500),
        Fault::Status(429),
        Fault::Status(401),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        clinic.twilio.fails(&[fault]);
        practice.book(&free[100 + 10 * number]["starts_at"], json!({})).await.expect(201);
        let all = clinic.ended(&practice).await;
        // What is found in the list is further by then.
        assert!(["accepted", "sent"].contains(&text(&all[number]["state"]).as_str()), "{fault:?}: {:?}", all[number]);
        assert_eq!(all[number]["error"], Value::Null, "{fault:?}");
        assert_eq!(clinic.twilio.taken().len(), number + 1, "{fault:?}");
    }
    let mut bodies: Vec<String> = clinic.twilio.taken().into_iter().map(|taken| taken.body).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), faults.len(), "each once");
}

async fn an_hour_without_the_provider_loses_nothing(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 3).await;
    set_up(&practice, json!({})).await;
    let free = practice.free("&limit=400").await;
    clinic.twilio.is_away(true);
    let mut ids = Vec::new();
    for number in 0..5 {
        let phone = format!("+4930{}", 901_820 + number);
        let contact = json!({"contact": {"name": "x", "phone": phone}});
        let booked = practice.book(&free[200 + number]["starts_at"], contact).await.expect(201);
        let (id, to) = (text(&booked["id"]), json!({"starts_at": free[300 + number]["starts_at"]}));
        practice.send("POST", &format!("/v1/appointments/{id}/move"), Some(to)).await.expect(200);
        let cancel = json!({"state": "cancelled"});
        practice.send("PATCH", &format!("/v1/appointments/{id}"), Some(cancel)).await.expect(200);
        ids.push(phone);
    }
    // Each is tried, in vain, before and after an hour.
    let tried = async |count: usize| {
        let look = async || (clinic.twilio.refused() >= count).then_some(());
        clinic.until("an attempt", look).await;
    };
    tried(3).await;
    clinic.clock.forward(Duration::from_secs(3_600));
    tried(clinic.twilio.refused() + 3).await;
    assert_eq!(clinic.twilio.taken().len(), 0);
    clinic.twilio.is_away(false);
    clinic.ended(&practice).await;
    let taken = clinic.twilio.taken();
    assert_eq!(taken.len(), 15, "each once");
    for phone in ids {
        let bodies: Vec<&str> =
            taken.iter().filter(|taken| taken.to == phone).map(|taken| taken.body.as_str()).collect();
        assert!(bodies[0].contains("Cleaning with") && bodies[1].contains("is now on"), "{bodies:?}");
        assert!(bodies[2].ends_with("is cancelled."), "{bodies:?}");
    }
}

async fn what_the_provider_tells_in_any_order_is_one_state(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 2).await;
    let sender = set_up(&practice, json!({})).await;
    let free = practice.free("&limit=400").await;
    for number in 0..3 {
        practice.book(&free[50 + number]["starts_at"], json!({})).await.expect(201);
    }
    let taken = clinic.taken(3).await;
    clinic.ended(&practice).await;
    let mut told = Vec::new();
    for (one, end) in taken.iter().zip(["delivered", "undelivered", "read"]) {
        for state in ["queued", "sending", "sent", end, "a word of tomorrow"] {
            told.extend([(one.sid.clone(), state), (one.sid.clone(), state)]);
        }
    }
    told.push(("SM0000000000000000000000000000ffff".to_owned(), "delivered"));
    for (sid, state) in shuffled(told, 7) {
        assert_eq!(status(&clinic, &sender, &sid, state).await.status, 200);
    }
    settled(&clinic.server, &sender).await;
    let all = texts(&practice).await;
    let mut states: Vec<String> = all.iter().map(|one| text(&one["state"])).collect();
    states.sort_unstable();
    assert_eq!(states, ["delivered", "read", "undelivered"]);
}

async fn a_link_cancels_and_only_as_it_was_made(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 1).await;
    set_up(&practice, json!({})).await;
    let service = format!("/v1/services/{}", practice.service);
    practice.send("PATCH", &service, Some(json!({"name": "<b>Cleaning</b>"}))).await.expect(200);
    let free = practice.free("&limit=400").await;
    practice.book(&free[50]["starts_at"], json!({})).await.expect(201);
    let url = clinic.link().await;
    let client = &clinic.server.client;
    // A program that looks at what is in messages opens it, and nothing happens.
    for _ in 0..2 {
        let page = client.get(&url).send().await.expect("an answer");
        assert_eq!(page.headers()["cache-control"], "no-store");
        let page = page.text().await.expect("a page");
        assert!(page.contains("Cancel this appointment") && page.contains("&#60;b&#62;Cleaning"), "{page}");
    }
    assert_eq!(client.post(forged(&url)).send().await.expect("an answer").status(), 404);
    for _ in 0..2 {
        let page = client.post(&url).send().await.expect("an answer");
        assert_eq!(page.status(), 200);
        assert!(page.text().await.expect("a page").contains("is cancelled"));
    }
    let taken = clinic.taken(2).await;
    assert!(taken[1].body.ends_with("is cancelled."), "{}", taken[1].body);
    practice.book(&free[50]["starts_at"], json!({})).await.expect(201);
}

/// The link with another signature.
fn forged(link: &str) -> String {
    let (kept, last) = link.split_at(link.len() - 1);
    format!("{kept}{}", if last == "A" { "B" } else { "A" })
}

/// What a line of a calendar says.
fn line<'a>(file: &'a str, name: &str) -> &'a str {
    let line = file.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is missing in {file}"))
}

async fn a_link_gives_the_appointment_to_a_calendar(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 1).await;
    set_up(&practice, json!({})).await;
    let service = format!("/v1/services/{}", practice.service);
    practice.send("PATCH", &service, Some(json!({"name": "Cleaning, deep; \u{fc}\u{fc}"}))).await.expect(200);
    let free = practice.free("&limit=400").await;
    let contact = json!({"name": "Mrs. Secret", "phone": ADA, "email": "secret@example.com"});
    let more = json!({"contact": contact, "note": "a secret note"});
    let booked = practice.book(&free[50]["starts_at"], more).await.expect(201);
    let url = clinic.link().await;
    let get = async |url: String| clinic.server.client.get(url).send().await.expect("an answer");
    let read = async || get(format!("{url}/appointment.ics")).await.text().await.expect("a file");
    let token = url.rsplit_once('/').expect("a token").1;
    let offer = format!("href=\"/a/{token}/appointment.ics\"");
    assert!(get(url.clone()).await.text().await.expect("a page").contains(&offer));

    let answer = get(format!("{url}/appointment.ics")).await;
    let headers = answer.headers().clone();
    for (name, value) in [
        ("content-type", "text/calendar; charset=utf-8; method=PUBLISH"),
        ("content-disposition", "attachment; filename=\"appointment.ics\""),
        ("cache-control", "private, no-store"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let first = answer.text().await.expect("a file");
    let moment = |at: &Value| text(at).replace(['-', ':'], "").replace(".000", "");
    assert_eq!((line(&first, "METHOD"), line(&first, "STATUS")), ("PUBLISH", "CONFIRMED"));
    assert_eq!(line(&first, "UID"), text(&booked["id"]));
    assert_eq!(line(&first, "DTSTART"), moment(&booked["starts_at"]));
    assert_eq!(line(&first, "DTEND"), moment(&booked["ends_at"]));
    assert!(line(&first, "SUMMARY").starts_with("Cleaning\\, deep\\; \u{fc}\u{fc} \u{2013} "), "{first}");
    assert_eq!(line(&first, "DESCRIPTION"), "With Dr. 0");
    for hidden in ["ecret", "901820", token] {
        assert!(!first.contains(hidden), "{hidden} is in {first}");
    }
    assert_eq!(get(format!("{}/appointment.ics", forged(&url))).await.status(), 404);

    // What happens to it is a later word on the same event.
    let number = |file: &str| line(file, "SEQUENCE").parse::<u64>().expect("a number");
    clinic.clock.forward(Duration::from_secs(5));
    let to = json!({"starts_at": free[60]["starts_at"]});
    practice.send("POST", &format!("/v1/appointments/{}/move", text(&booked["id"])), Some(to)).await.expect(200);
    let moved = read().await;
    assert_eq!((line(&moved, "UID"), line(&moved, "STATUS")), (line(&first, "UID"), "CONFIRMED"));
    assert_eq!(line(&moved, "DTSTART"), moment(&free[60]["starts_at"]));
    clinic.clock.forward(Duration::from_secs(5));
    let page = clinic.server.client.post(&url).send().await.expect("an answer").text().await.expect("a page");
    assert!(!page.contains("appointment.ics"), "{page}");
    let cancelled = read().await;
    assert_eq!((line(&cancelled, "UID"), line(&cancelled, "STATUS")), (line(&first, "UID"), "CANCELLED"));
    assert!(number(&first) < number(&moved) && number(&moved) < number(&cancelled), "{cancelled}");
}

async fn what_is_said_of_text_messages_is_checked(engine: Engine) {
    let Some(clinic) = clinic(engine).await else { return };
    let practice = Practice::open(&clinic.server, "ada", 1).await;
    practice.send("GET", "/v1/text-settings", None).await.refused(404, "not_found");
    let bad = json!({"sender_id": practice.service, "account_sid": "AC1", "from": "clinic", "reminder_minutes": [1],
        "quiet_hours": "9pm", "wording": {"moved": "{name}"}});
    let refused = practice.send("PUT", "/v1/text-settings", Some(bad)).await.refused(400, "invalid_input");
    let fields: Vec<String> =
        refused["fields"].as_array().expect("fields").iter().map(|one| text(&one["field"])).collect();
    for field in ["sender_id", "account_sid", "from", "reminder_minutes", "quiet_hours", "wording.moved"] {
        assert!(fields.iter().any(|one| one == field), "{field}: {refused}");
    }
    set_up(
        &practice,
        json!({"quiet_hours": "21:00-08:00", "reminder_minutes": [60, 1_440, 60], "wording": {"moved": "Neu: {time}"}}),
    )
    .await;
    let put = practice.send("GET", "/v1/text-settings", None).await.expect(200);
    assert_eq!((&put["quiet_hours"], &put["reminder_minutes"]), (&json!("21:00-08:00"), &json!([1_440, 60])));
    assert!(!put.to_string().contains(TOKEN));
    let refused = practice.send("GET", "/v1/text-messages?state=lost", None).await.refused(400, "invalid_input");
    assert_eq!(refused["fields"][0]["field"], "state", "{refused}");
    let missing = format!("/v1/text-messages/{}", practice.service);
    practice.send("GET", &missing, None).await.refused(404, "not_found");
}
