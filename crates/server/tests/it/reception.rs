//! The reception over HTTP: what is offered is told, a time belongs to one, and whoever cannot have it is told what is free.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::Timestamp;
use serde_json::{Value, json};

use crate::support::{ALL_AT_ONCE, Answer, Engine, Person, TestApp, both, text};

both! {
    times_are_offered_taken_moved_and_freed,
    of_many_callers_each_time_has_one,
    what_is_wrong_is_named,
    a_time_that_is_held_is_free_again,
    whoever_watches_is_told_and_who_reads_is_noted,
}

/// A practice that is open at any hour, with a service of half an hour, and so many who do it.
pub(crate) struct Practice<'a> {
    pub(crate) server: &'a TestApp,
    pub(crate) owner: Person,
    pub(crate) service: String,
    pub(crate) staff: Vec<String>,
}

/// Open all day, every day.
pub(crate) fn always() -> Value {
    json!(vec![["00:00-24:00"]; 7])
}

impl<'a> Practice<'a> {
    pub(crate) async fn open(server: &'a TestApp, name: &str, staff: usize) -> Self {
        let owner = server.person(name).await;
        let mut practice = Self { server, owner, service: String::new(), staff: Vec::new() };
        let settings = json!({"time_zone": "Europe/Berlin", "calling_code": 49, "week": always(), "step_minutes": 30,
            "lead_minutes": 0, "hold_minutes": 1});
        practice.send("PUT", "/v1/reception", Some(settings)).await.expect(200);
        let service = json!({"name": "Cleaning", "minutes": 30, "price_micros": 80_000_000, "currency": "EUR"});
        practice.service = text(&practice.send("POST", "/v1/services", Some(service)).await.expect(201)["id"]);
        for number in 0..staff {
            let body = json!({"name": format!("Dr. {number}"), "services": [practice.service]});
            practice.staff.push(text(&practice.send("POST", "/v1/staff", Some(body)).await.expect(201)["id"]));
        }
        practice
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.server.send(method, path, Some(&self.owner.access_token), body).await
    }

    /// The next free times.
    pub(crate) async fn free(&self, more: &str) -> Vec<Value> {
        let path = format!("/v1/availability?service_id={}{more}", self.service);
        self.send("GET", &path, None).await.expect(200)["data"].as_array().expect("times").clone()
    }

    pub(crate) async fn book(&self, start: &Value, more: Value) -> Answer {
        let mut body =
            json!({"service_id": self.service, "starts_at": start, "contact": {"name": "Ada", "phone": "030 901820"}});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.send("POST", "/v1/appointments", Some(body)).await
    }

    /// All appointments of the next days.
    async fn appointments(&self) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        let until = self.server.now().plus(Duration::from_secs(60 * 86_400));
        loop {
            let path = format!("/v1/appointments?limit=100&until={until}{after}");
            let page = self.send("GET", &path, None).await.expect(200);
            all.extend(page["data"].as_array().expect("rows").iter().cloned());
            let Some(next) = page["next"].as_str() else { return all };
            after = format!("&after={next}");
        }
    }
}

async fn times_are_offered_taken_moved_and_freed(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let free = practice.free("&limit=3").await;
    assert_eq!(free.iter().map(|time| time["staff"].as_u64()).collect::<Vec<_>>(), [Some(1); 3]);
    let local = text(&free[0]["local"]);
    assert!(local.ends_with(":00") || local.ends_with(":30"), "{local}");
    // Made, with a key: again it is the same one.
    let key = [("idempotency-key", "first")];
    let body = json!({"service_id": practice.service, "starts_at": free[0]["starts_at"],
        "contact": {"name": "Bea", "phone": "+49 30 111111", "email": "bea@example.com"}, "note": "Likes mornings"});
    let token = Some(practice.owner.access_token.as_str());
    let made = server.send_with("POST", "/v1/appointments", token, Some(body.clone()), &key).await.expect(201);
    assert_eq!((&made["state"], &made["staff_id"]), (&json!("booked"), &json!(practice.staff[0])));
    let again = server.send_with("POST", "/v1/appointments", token, Some(body), &key).await.expect(201);
    assert_eq!(again, made);
    let another = json!({"service_id": practice.service, "starts_at": free[1]["starts_at"], "hold": true});
    let reused = server.send_with("POST", "/v1/appointments", token, Some(another), &key).await;
    reused.refused(422, "idempotency_key_reused");
    // Taken: the next are told.
    let taken = practice.book(&free[0]["starts_at"], json!({})).await.refused(409, "slot_taken");
    assert_eq!(taken["alternatives"][0], free[1]["starts_at"]);
    assert_eq!(taken["alternatives"].as_array().map(Vec::len), Some(5));
    assert_eq!(practice.free("&limit=1").await[0], free[1]);
    // Moved: the old time is free again. To where it stands it may be moved, too.
    let path = format!("/v1/appointments/{}", text(&made["id"]));
    let to = json!({"starts_at": free[2]["starts_at"]});
    for _ in 0..2 {
        let moved = practice.send("POST", &format!("{path}/move"), Some(to.clone())).await.expect(200);
        assert_eq!((&moved["id"], &moved["starts_at"]), (&made["id"], &free[2]["starts_at"]));
    }
    assert_eq!(practice.free("&limit=2").await, free[..2]);
    let other = practice.book(&free[1]["starts_at"], json!({})).await.expect(201);
    let to = json!({"starts_at": free[1]["starts_at"]});
    practice.send("POST", &format!("{path}/move"), Some(to)).await.refused(409, "slot_taken");
    // Cancelled: free, and it stays so.
    let cancelled = practice.send("PATCH", &path, Some(json!({"state": "cancelled"}))).await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    practice.send("PATCH", &path, Some(json!({"state": "booked"}))).await.refused(409, "ended");
    assert_eq!(practice.free("&limit=2").await, [free[0].clone(), free[2].clone()]);
    // A contact has their appointments.
    let of = format!("/v1/contacts/{}/appointments", text(&made["contact_id"]));
    let rows = practice.send("GET", &of, None).await.expect(200)["data"].clone();
    assert_eq!(
        rows.as_array().map(|rows| rows.iter().map(|row| row["id"].clone()).collect()),
        Some(vec![made["id"].clone()])
    );
    assert_ne!(other["contact_id"], made["contact_id"]);
    let reached = practice.send("GET", &path, None).await.expect(200);
    assert_eq!(reached["note"], "Likes mornings");
}

async fn of_many_callers_each_time_has_one(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[ALL_AT_ONCE, ("database.acquire_timeout_ms", "25000")]).await else {
        return;
    };
    let practice = Practice::open(&server, "ada", 2).await;
    let from = practice.free("&limit=3").await;
    let callers = (0..60).map(|caller| practice.book(&from[caller % 3]["starts_at"], json!({})));
    let (mut made, mut told) = (Vec::new(), 0);
    for answer in join_all(callers).await {
        match answer.status {
            201 => made.push(answer.json()),
            _ => {
                let problem = answer.refused(409, "slot_taken");
                assert!(!problem["alternatives"].as_array().expect("times").is_empty(), "{problem}");
                told += 1;
            }
        }
    }
    assert_eq!((made.len(), told), (6, 54));
    // One key, twenty times at once: it is one appointment.
    let last = practice.free("&limit=1").await[0]["starts_at"].clone();
    let body = Some(json!({"starts_at": last, "service_id": practice.service, "hold": true}));
    let key = [("idempotency-key", "together")];
    let token = Some(practice.owner.access_token.as_str());
    let together = (0..20).map(|_| server.send_with("POST", "/v1/appointments", token, body.clone(), &key));
    let ids: BTreeSet<String> =
        join_all(together).await.into_iter().map(|answer| answer.expect(201)["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    let places: BTreeSet<_> =
        made.iter().map(|one| (one["staff_id"].to_string(), one["starts_at"].to_string())).collect();
    assert_eq!(places.len(), 6, "nobody does two things at once");
    assert_eq!(practice.appointments().await.len(), 7);
    let next = practice.free("&limit=2").await;
    assert_eq!((&next[0]["staff"], &next[1]["staff"]), (&json!(1), &json!(2)));
}

async fn what_is_wrong_is_named(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let nobody = server.person("nobody").await;
    let token = Some(nobody.access_token.as_str());
    server.send("GET", "/v1/reception", token, None).await.refused(409, "reception_not_set_up");
    let service = "01a1ff20-0000-7000-8000-000000000001";
    let ask = format!("/v1/availability?service_id={service}");
    server.send("GET", &ask, token, None).await.refused(409, "reception_not_set_up");
    let wrong = json!({"time_zone": "Mars/Olympus", "calling_code": 0, "week": always(), "step_minutes": 7,
        "hold_minutes": 0, "lead_minutes": 99999, "horizon_days": 0});
    let refused = server.send("PUT", "/v1/reception", token, Some(wrong)).await.refused(400, "invalid_input");
    let fields: Vec<_> = refused["fields"].as_array().expect("fields").iter().map(|one| text(&one["field"])).collect();
    assert_eq!(fields, ["time_zone", "step_minutes", "calling_code", "hold_minutes", "lead_minutes", "horizon_days"]);
    let overlap = json!({"time_zone": "UTC", "week": [["09:00-12:00", "11:00-13:00"], [], [], [], [], [], []]});
    let refused = server.send("PUT", "/v1/reception", token, Some(overlap)).await.expect(400);
    assert!(refused["fields"][0]["field"].as_str().is_some_and(|field| field.starts_with("week")), "{refused}");
    let practice = Practice::open(&server, "ada", 1).await;
    for (body, field) in [
        (json!({"name": "", "minutes": 4}), vec!["name", "minutes"]),
        (json!({"name": "A"}), vec!["minutes"]),
        (json!({"name": "A", "minutes": 30, "price_micros": 5}), vec!["currency"]),
        (json!({"name": "A", "minutes": 30, "price_micros": -5, "currency": "euro"}), vec!["price_micros", "currency"]),
    ] {
        let refused = practice.send("POST", "/v1/services", Some(body)).await.refused(400, "invalid_input");
        let fields = refused["fields"].as_array().expect("fields").iter().map(|one| text(&one["field"]));
        assert_eq!(fields.collect::<Vec<_>>(), field);
    }
    let unknown = json!({"name": "Dr. X", "services": [service]});
    practice.send("POST", "/v1/staff", Some(unknown)).await.refused(400, "invalid_input");
    let contact = json!({"phone": "call me", "email": "ada@"});
    practice.send("POST", "/v1/contacts", Some(contact)).await.refused(400, "invalid_input");
    practice.send("POST", "/v1/contacts", Some(json!({}))).await.refused(400, "invalid_input");
    // Between two beginnings, in the past, too far ahead: never, and the next are told.
    let free = practice.free("&limit=1").await;
    let start: Timestamp = text(&free[0]["starts_at"]).parse().expect("a moment");
    let minute = Duration::from_secs(60);
    for at in [start.plus(minute), start.minus(minute * 60 * 24), start.plus(minute * 60 * 24 * 100)] {
        practice.book(&json!(at), json!({})).await.refused(409, "not_offered");
    }
    // At the desk it may be, when it is said who does it.
    let at = json!(start.plus(minute));
    practice.book(&at, json!({"outside_hours": true})).await.refused(400, "invalid_input");
    let desk = json!({"outside_hours": true, "staff_id": practice.staff[0]});
    practice.book(&at, desk.clone()).await.expect(201);
    practice.book(&at, desk).await.refused(409, "slot_taken");
    for more in ["&days=0", "&days=63", "&limit=0", "&after=x", "&from=2026-02-30"] {
        let path = format!("/v1/availability?service_id={}{more}", practice.service);
        practice.send("GET", &path, None).await.expect(400);
    }
    // A day on which it is closed.
    let day = text(&free[0]["local"])[..10].to_owned();
    let closed = json!({"name": "A holiday", "openings": []});
    practice.send("PUT", &format!("/v1/special-days/{day}"), Some(closed)).await.expect(200);
    assert!(practice.free("").await.iter().all(|time| !text(&time["local"]).starts_with(&day)));
    let days = practice.send("GET", "/v1/special-days", None).await.expect(200);
    assert_eq!(
        (days["data"][0]["day"].as_str(), days["data"][0]["name"].as_str()),
        (Some(day.as_str()), Some("A holiday"))
    );
    practice.send("DELETE", &format!("/v1/special-days/{day}"), None).await.expect(204);
    practice.send("DELETE", &format!("/v1/special-days/{day}"), None).await.refused(404, "not_found");
    practice.send("PUT", "/v1/special-days/2026-02-30", Some(json!({"name": "x"}))).await.refused(400, "invalid_input");
    // What is archived is not offered.
    let path = format!("/v1/services/{}", practice.service);
    practice.send("PATCH", &path, Some(json!({"archived": true}))).await.expect(200);
    let ask = format!("/v1/availability?service_id={}", practice.service);
    practice.send("GET", &ask, None).await.refused(409, "service_archived");
}

async fn a_time_that_is_held_is_free_again(engine: Engine) {
    let clock = std::sync::Arc::new(mainstay_domain::ManualClock::new(Timestamp::from_millis(1_774_400_000_000)));
    let outside = mainstay_server::app::Outside {
        clock: std::sync::Arc::clone(&clock) as std::sync::Arc<dyn mainstay_domain::Clock>,
        ..mainstay_server::app::Outside::default()
    };
    let Some(server) = TestApp::start_with(engine, &[], outside).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let free = practice.free("&limit=2").await;
    let hold = json!({"service_id": practice.service, "starts_at": free[0]["starts_at"], "hold": true});
    let held = practice.send("POST", "/v1/appointments", Some(hold.clone())).await.expect(201);
    assert_eq!((&held["state"], &held["contact_id"]), (&json!("held"), &Value::Null));
    practice.book(&free[0]["starts_at"], json!({})).await.refused(409, "slot_taken");
    // Whoever makes up their mind in time has it.
    let path = format!("/v1/appointments/{}", text(&held["id"]));
    practice.send("PATCH", &path, Some(json!({"state": "booked"}))).await.refused(409, "ended");
    let contact = practice.send("POST", "/v1/contacts", Some(json!({"name": "Cleo"}))).await.expect(200);
    let booked = json!({"state": "booked", "contact_id": contact["id"]});
    practice.send("PATCH", &path, Some(booked)).await.expect(200);
    let hold = json!({"service_id": practice.service, "starts_at": free[1]["starts_at"], "hold": true});
    practice.send("POST", "/v1/appointments", Some(hold)).await.expect(201);
    clock.advance(Duration::from_secs(61));
    let start = &practice.free("&limit=1").await[0]["starts_at"];
    assert_eq!(start, &free[1]["starts_at"], "nobody has it any more");
    practice.book(start, json!({})).await.expect(201);
}

async fn whoever_watches_is_told_and_who_reads_is_noted(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let board = async || {
        let page = practice.send("GET", "/v1/sync", None).await.expect(200);
        let changes = page["changes"].as_array().expect("changes").clone();
        changes.into_iter().find(|change| change["kind"] == "board").map(|change| change["row"].clone())
    };
    assert_eq!(board().await, None);
    let free = practice.free("&limit=2").await;
    let made = practice.book(&free[0]["starts_at"], json!({})).await.expect(201);
    assert_eq!(board().await, Some(json!({"appointments": 1, "calls": 0})));
    practice.book(&free[0]["starts_at"], json!({})).await.refused(409, "slot_taken");
    assert_eq!(board().await, Some(json!({"appointments": 1, "calls": 0})), "nothing has happened");
    let path = format!("/v1/appointments/{}", text(&made["id"]));
    practice.send("PATCH", &path, Some(json!({"state": "confirmed"}))).await.expect(200);
    assert_eq!(board().await, Some(json!({"appointments": 2, "calls": 0})));
    let contact = format!("/v1/contacts/{}", text(&made["contact_id"]));
    practice.send("GET", &contact, None).await.expect(200);
    practice.send("GET", "/v1/contacts", None).await.expect(200);
    let log = practice.send("GET", "/v1/access-log", None).await.expect(200);
    let read: Vec<_> =
        log["data"].as_array().expect("rows").iter().map(|row| (&row["what"], &row["subject_id"])).collect();
    assert_eq!(read, [(&json!("contacts"), &Value::Null), (&json!("contact"), &made["contact_id"])]);
    assert!(log["data"].as_array().expect("rows").iter().all(|row| row["person_id"] == json!(practice.owner.id)));
}
