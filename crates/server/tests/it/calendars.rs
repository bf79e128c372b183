//! Calendars over HTTP, with a stand-in for Google: what is booked stands there once, what stands there blocks, and where the
//! two differ people say which holds.

mod feeds;
mod model;
mod outages;
mod signing_in;

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::Timestamp;
use serde_json::{Value, json};

use crate::reception::Practice;
use crate::support::fake_google::{FakeGoogle, Fault};
use crate::support::{Engine, TestApp, both, eventually, text};

both! {
    what_is_booked_stands_in_the_calendar_as_it_is,
    what_stands_in_a_calendar_cannot_be_had,
    what_is_moved_by_hand_is_followed_or_shown,
    what_is_deleted_by_hand_is_shown,
    a_calendar_is_read_page_by_page_and_from_anew,
    notifications_are_taken_from_the_channel_alone,
}

/// A server with a stand-in for Google. Settings that come later count.
pub(crate) async fn start(engine: Engine, settings: &[(&str, &str)]) -> Option<(TestApp, FakeGoogle)> {
    start_with(engine, settings, mainstay_server::app::Outside::default()).await
}

pub(crate) async fn start_with(
    engine: Engine,
    settings: &[(&str, &str)],
    outside: mainstay_server::app::Outside,
) -> Option<(TestApp, FakeGoogle)> {
    let google = FakeGoogle::start().await;
    let own = google.settings();
    let mut all: Vec<(&str, &str)> = own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    all.extend_from_slice(settings);
    Some((TestApp::start_with(engine, &all, outside).await?, google))
}

/// Half an hour from a moment on, as Google writes it.
pub(crate) fn half_an_hour(from: Timestamp) -> (String, String) {
    (from.to_string(), from.plus(Duration::from_secs(1_800)).to_string())
}

pub(crate) fn moment(value: &Value) -> Timestamp {
    text(value).parse().expect("a moment")
}

/// The id of the event of an appointment.
pub(crate) fn event_of(appointment: &str) -> String {
    appointment.replace('-', "")
}

impl Practice<'_> {
    /// Connects the calendar of a member of the staff, and waits until it was read.
    pub(crate) async fn connect(&self, google: &FakeGoogle, staff: &str) {
        self.sign_in(google, staff).await;
        self.until_state(staff, "connected").await;
    }

    pub(crate) async fn sign_in(&self, google: &FakeGoogle, staff: &str) -> Value {
        let begun = self.send("POST", &format!("/v1/staff/{staff}/calendar"), None).await.expect(200);
        let (state, code) = google.allows(&text(&begun["authorization_url"]));
        let back = json!({"state": state, "code": code});
        self.send("POST", "/v1/calendar-sign-ins", Some(back)).await.expect(200)
    }

    pub(crate) async fn until_state(&self, staff: &str, state: &str) {
        let path = format!("/v1/staff/{staff}/calendar");
        eventually(async || {
            let calendar = self.send("GET", &path, None).await.expect(200);
            (calendar["state"] == state).then_some(())
        })
        .await;
    }

    /// Has a calendar read, and waits until it was.
    pub(crate) async fn read(&self, staff: &str) {
        let path = format!("/v1/staff/{staff}/calendar");
        let before = self.send("GET", &path, None).await.expect(200)["synced_at"].clone();
        self.send("POST", &format!("{path}/sync"), None).await.expect(202);
        eventually(async || {
            let calendar = self.send("GET", &path, None).await.expect(200);
            (calendar["synced_at"] != before).then_some(())
        })
        .await;
    }

    pub(crate) async fn booked(&self, start: &Value, more: Value) -> Value {
        self.book(start, more).await.expect(201)
    }

    pub(crate) async fn conflicts(&self) -> Vec<Value> {
        self.send("GET", "/v1/calendar-conflicts", None).await.expect(200)["data"].as_array().expect("rows").clone()
    }

    pub(crate) async fn resolve(&self, conflict: &Value, keep: &str) -> crate::support::Answer {
        let path = format!("/v1/calendar-conflicts/{}/resolve", text(&conflict["id"]));
        self.send("POST", &path, Some(json!({"keep": keep}))).await
    }

    pub(crate) async fn appointment(&self, id: &str) -> Value {
        self.send("GET", &format!("/v1/appointments/{id}"), None).await.expect(200)
    }
}

/// Waits until the calendar has exactly these appointments, each at its time.
pub(crate) async fn until_holds(google: &FakeGoogle, wanted: &BTreeMap<String, String>) {
    let seen = || -> BTreeMap<String, String> {
        let ours = google.events().into_values().filter(|event| !event["extendedProperties"].is_null());
        let of = |event: Value| {
            let id = text(&event["extendedProperties"]["private"]["appointmentId"]);
            (id, text(&event["start"]["dateTime"]))
        };
        ours.map(of).collect()
    };
    for _ in 0..3_000 {
        if seen() == *wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen(), *wanted);
}

async fn what_is_booked_stands_in_the_calendar_as_it_is(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 2).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    // What was booked before is written when the calendar is connected.
    let before = practice.booked(&at(4), json!({"staff_id": staff})).await;
    practice.connect(&google, staff).await;
    let id = text(&before["id"]);
    until_holds(&google, &[(id.clone(), text(&at(4)))].into()).await;
    let event = &google.events()[&event_of(&id)];
    assert_eq!(event["summary"], "Cleaning – Ada");
    assert_eq!(event["description"], "+4930901820");
    assert_eq!((&event["visibility"], &event["start"]["timeZone"]), (&json!("private"), &json!("Europe/Berlin")));
    // Held is not there, booked is.
    let held = json!({"staff_id": staff, "hold": true, "contact": null});
    let held = practice.booked(&at(6), held).await;
    let bea = json!({"name": "Bea", "phone": "+49 30 111111"});
    let bea = practice.send("POST", "/v1/contacts", Some(bea)).await.expect(200);
    let body = json!({"state": "booked", "contact_id": bea["id"]});
    let path = format!("/v1/appointments/{}", text(&held["id"]));
    practice.send("PATCH", &path, Some(body)).await.expect(200);
    let second = text(&held["id"]);
    until_holds(&google, &[(id.clone(), text(&at(4))), (second.clone(), text(&at(6)))].into()).await;
    // Moved, to somebody else, back, and cancelled: always one event, or none.
    let shift = async |to: Value| {
        practice.send("POST", &format!("/v1/appointments/{id}/move"), Some(to)).await.expect(200);
    };
    shift(json!({"starts_at": at(10)})).await;
    until_holds(&google, &[(id.clone(), text(&at(10))), (second.clone(), text(&at(6)))].into()).await;
    shift(json!({"starts_at": at(10), "staff_id": practice.staff[1]})).await;
    until_holds(&google, &[(second.clone(), text(&at(6)))].into()).await;
    shift(json!({"starts_at": at(12), "staff_id": staff})).await;
    until_holds(&google, &[(id.clone(), text(&at(12))), (second.clone(), text(&at(6)))].into()).await;
    practice.send("PATCH", &path, Some(json!({"state": "cancelled"}))).await.expect(200);
    until_holds(&google, &[(id.clone(), text(&at(12)))].into()).await;
    assert_eq!(practice.conflicts().await, Vec::<Value>::new(), "what we write ourselves is no conflict");
    server.tells(&["mainstay_calendar_writes_total{outcome=\"written\"}"]).await;
    // Another calendar of the account; and none.
    let calendar = format!("/v1/staff/{staff}/calendar");
    let choices = practice.send("GET", &format!("{calendar}/choices"), None).await.expect(200);
    assert_eq!(choices["data"].as_array().map(Vec::len), Some(2));
    practice.send("PATCH", &calendar, Some(json!({"calendar": "x"}))).await.refused(400, "invalid_input");
    let second_calendar = "second@group.calendar.google.com";
    practice.send("PATCH", &calendar, Some(json!({"calendar": second_calendar}))).await.expect(200);
    eventually(async || google.events_of(second_calendar).contains_key(&event_of(&id)).then_some(())).await;
    practice.send("DELETE", &calendar, None).await.expect(204);
    practice.send("GET", &calendar, None).await.refused(404, "not_found");
}

async fn what_stands_in_a_calendar_cannot_be_had(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "bea", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    let span = |place: usize| half_an_hour(moment(&free[place]["starts_at"]));
    let event = |place: usize, more: Value| {
        let (from, until) = span(place);
        let mut event = json!({"start": {"dateTime": from}, "end": {"dateTime": until}, "summary": "private"});
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        event
    };
    google.put("busy00001", event(10, json!({})));
    google.put("free00001", event(12, json!({"transparency": "transparent"})));
    google.put("declined1", event(14, json!({"attendees": [{"self": true, "responseStatus": "declined"}]})));
    // Nothing is offered before it is known.
    google.is(Some(Fault::Refuse(503, "backendError")));
    let begun = practice.send("POST", &format!("/v1/staff/{staff}/calendar"), None).await.expect(200);
    let (state, code) = google.allows(&text(&begun["authorization_url"]));
    google.is(None);
    google.fails(&[]);
    let back = json!({"state": state, "code": code});
    practice.send("POST", "/v1/calendar-sign-ins", Some(back)).await.expect(200);
    practice.until_state(staff, "connected").await;
    practice.book(&at(10), json!({})).await.refused(409, "slot_taken");
    for place in [12, 14] {
        practice.booked(&at(place), json!({})).await;
    }
    let path = format!("/v1/busy-times?staff_id={staff}");
    let busy = practice.send("GET", &path, None).await.expect(200);
    assert_eq!(busy["data"].as_array().map(Vec::len), Some(1), "{busy}");
    assert!(!busy.to_string().contains("private"), "what it is stays there");
    let offered = practice.free("&days=3&limit=60").await;
    assert!(!offered.iter().any(|time| time["starts_at"] == at(10)));
    // While it cannot be read, what is known stays.
    google.is(Some(Fault::Refuse(404, "notFound")));
    practice.send("POST", &format!("/v1/staff/{staff}/calendar/sync"), None).await.expect(202);
    eventually(async || {
        let calendar = practice.send("GET", &format!("/v1/staff/{staff}/calendar"), None).await.expect(200);
        calendar["error"].as_str().map(str::to_owned)
    })
    .await;
    practice.book(&at(10), json!({})).await.refused(409, "slot_taken");
    google.is(None);
    // Moved away: it is free. Over an appointment: it is shown, and seen.
    let (from, until) = span(12);
    google.moves("busy00001", &from, &until);
    practice.read(staff).await;
    practice.booked(&at(10), json!({})).await;
    let found = practice.conflicts().await;
    assert_eq!((found.len(), &found[0]["kind"]), (1, &json!("busy")), "{found:?}");
    practice.resolve(&found[0], "theirs").await.refused(400, "invalid_input");
    practice.resolve(&found[0], "seen").await.expect(204);
    practice.resolve(&found[0], "seen").await.refused(409, "conflict_is_over");
    assert_eq!(practice.conflicts().await, Vec::<Value>::new());
}

async fn what_is_moved_by_hand_is_followed_or_shown(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "cem", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    let by_hand = |id: &str, place: usize| {
        let (from, until) = half_an_hour(moment(&free[place]["starts_at"]));
        google.moves(&event_of(id), &from, &until);
    };
    practice.connect(&google, staff).await;
    let one = text(&practice.booked(&at(4), json!({})).await["id"]);
    let other = text(&practice.booked(&at(20), json!({})).await["id"]);
    until_holds(&google, &[(one.clone(), text(&at(4))), (other.clone(), text(&at(20)))].into()).await;
    // To a free time: the appointment follows.
    by_hand(&one, 8);
    practice.read(staff).await;
    assert_eq!(practice.appointment(&one).await["starts_at"], at(8));
    // To a time that is taken: nothing is moved, and both are told.
    by_hand(&one, 20);
    practice.read(staff).await;
    assert_eq!(practice.appointment(&one).await["starts_at"], at(8));
    let found = practice.conflicts().await;
    assert_eq!((found.len(), &found[0]["kind"], &found[0]["theirs_from"]), (1, &json!("moved"), &at(20)), "{found:?}");
    assert_eq!(practice.resolve(&found[0], "theirs").await.refused(409, "slot_taken")["code"], "slot_taken");
    practice.resolve(&found[0], "ours").await.expect(204);
    until_holds(&google, &[(one.clone(), text(&at(8))), (other.clone(), text(&at(20)))].into()).await;
    // The other makes room, so that it can be followed.
    by_hand(&one, 20);
    practice.read(staff).await;
    let found = practice.conflicts().await;
    practice
        .send("POST", &format!("/v1/appointments/{other}/move"), Some(json!({"starts_at": at(30)})))
        .await
        .expect(200);
    practice.resolve(&found[0], "theirs").await.expect(204);
    assert_eq!(practice.conflicts().await, Vec::<Value>::new());
    until_holds(&google, &[(one.clone(), text(&at(20))), (other.clone(), text(&at(30)))].into()).await;
    // Moved here and there before either is known: it is shown, whichever is found first.
    google.is(Some(Fault::Refuse(503, "backendError")));
    practice
        .send("POST", &format!("/v1/appointments/{one}/move"), Some(json!({"starts_at": at(24)})))
        .await
        .expect(200);
    by_hand(&one, 26);
    google.is(None);
    let found = eventually(async || practice.conflicts().await.into_iter().next()).await;
    assert_eq!((&found["kind"], &found["theirs_from"], &found["ours_from"]), (&json!("moved"), &at(26), &at(24)));
    practice.resolve(&found, "theirs").await.expect(204);
    until_holds(&google, &[(one.clone(), text(&at(26))), (other.clone(), text(&at(30)))].into()).await;
    assert_eq!(practice.appointment(&one).await["starts_at"], at(26));
}

async fn what_is_deleted_by_hand_is_shown(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "dan", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    practice.connect(&google, staff).await;
    let mut ids = Vec::new();
    for place in [4, 8] {
        ids.push(text(&practice.booked(&at(place), json!({})).await["id"]));
    }
    let both: BTreeMap<_, _> = [(ids[0].clone(), text(&at(4))), (ids[1].clone(), text(&at(8)))].into();
    until_holds(&google, &both).await;
    for id in &ids {
        google.deletes(&event_of(id));
    }
    practice.read(staff).await;
    let found = practice.conflicts().await;
    assert_eq!(found.iter().map(|one| text(&one["kind"])).collect::<Vec<_>>(), ["deleted", "deleted"]);
    for id in &ids {
        assert_eq!(practice.appointment(id).await["state"], "booked", "nothing is cancelled in silence");
    }
    let of = |id: &str| found.iter().find(|one| one["appointment_id"] == id).expect("it is shown");
    practice.resolve(of(&ids[0]), "ours").await.expect(204);
    practice.resolve(of(&ids[1]), "theirs").await.expect(204);
    until_holds(&google, &[(ids[0].clone(), text(&at(4)))].into()).await;
    assert_eq!(practice.appointment(&ids[1]).await["state"], "cancelled");
    assert_eq!(practice.conflicts().await, Vec::<Value>::new());
}

async fn a_calendar_is_read_page_by_page_and_from_anew(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "eva", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    google.pages_of(2);
    let put = |number: usize| {
        let (from, until) = half_an_hour(moment(&free[10 + number]["starts_at"]));
        let event = json!({"start": {"dateTime": from}, "end": {"dateTime": until}});
        google.put(&format!("event{number}"), event);
    };
    (0..7).for_each(put);
    practice.connect(&google, staff).await;
    let lists = |asked: Vec<String>| asked.iter().filter(|what| what.ends_with("/events")).count();
    assert_eq!(lists(google.asked()), 4, "seven in pages of two");
    let busy = async || {
        let answer = practice.send("GET", &format!("/v1/busy-times?staff_id={staff}"), None).await.expect(200);
        answer["data"].as_array().expect("times").len()
    };
    assert_eq!(busy().await, 7);
    // What has changed alone.
    google.deletes("event0");
    practice.read(staff).await;
    assert_eq!((busy().await, lists(google.asked())), (6, 1));
    // The place is not known any more: all of it is read, and what is gone is gone.
    google.deletes("event1");
    google.forgets_tokens();
    put(7);
    practice.read(staff).await;
    assert_eq!(busy().await, 6);
    assert_eq!(lists(google.asked()), 1 + 3);
}

async fn notifications_are_taken_from_the_channel_alone(engine: Engine) {
    let settings = [("http.public_url", "\"https://chat.example.com\"")];
    let Some((server, google)) = start(engine, &settings).await else { return };
    let practice = Practice::open(&server, "fay", 1).await;
    let staff = &practice.staff[0];
    practice.connect(&google, staff).await;
    let channel = eventually(async || google.channels().into_iter().next()).await;
    let path = channel.address.strip_prefix("https://chat.example.com").expect("our address").to_owned();
    let told = async |id: &str, token: &str, resource: &str, state: &str| {
        let headers = [
            ("x-goog-channel-id", id),
            ("x-goog-channel-token", token),
            ("x-goog-resource-id", resource),
            ("x-goog-resource-state", state),
        ];
        server.send_with("POST", &path, None, None, &headers).await
    };
    let (id, token, resource) = (channel.id.as_str(), channel.token.as_str(), channel.resource.as_str());
    // The channel is kept a moment after it was opened.
    eventually(async || (told(id, token, resource, "sync").await.status == 204).then_some(())).await;
    google.asked();
    let free = practice.free("&days=3&limit=60").await;
    let (from, until) = half_an_hour(moment(&free[10]["starts_at"]));
    google.put("event1", json!({"start": {"dateTime": from}, "end": {"dateTime": until}}));
    for (id, token, resource) in [("x", token, resource), (id, "x", resource), (id, token, "x"), ("", "", "")] {
        told(id, token, resource, "exists").await.refused(404, "not_found");
    }
    told(id, token, resource, "sync").await.expect(204);
    let other = server.send("POST", "/calendars/x/y/notifications", None, None).await;
    assert_eq!(other.status, 404, "{}", other.text);
    assert_eq!(google.asked(), Vec::<String>::new(), "nothing was read for it");
    for _ in 0..20 {
        told(id, token, resource, "exists").await.expect(204);
    }
    eventually(async || {
        let path = format!("/v1/busy-times?staff_id={staff}");
        let busy = practice.send("GET", &path, None).await.expect(200);
        (busy["data"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    // Disconnecting ends it.
    practice.send("DELETE", &format!("/v1/staff/{staff}/calendar"), None).await.expect(204);
    assert!(google.channels()[0].stopped);
    told(id, token, resource, "exists").await.refused(404, "not_found");
}

/// How many appointments are owed to a calendar.
pub(crate) async fn owed(practice: &Practice<'_>) -> usize {
    let call = mainstay_store::Call::within(Duration::from_secs(5));
    let find =
        mainstay_store::FindNeglected { unread_since: Timestamp::EPOCH, owed_since: practice.server.now(), limit: 100 };
    practice.server.app.store.run(&call, find).await.expect("found").owed.len()
}
