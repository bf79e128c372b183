//! The operations of calendars.

use std::time::Duration;

use mainstay_domain::{CalendarConnectionId, Span, StaffId, TenantId};
use mainstay_store::{CalendarWasRead, Call, ConnectCalendar, SealedColumn, SeenEvent, SetCalendarChannel};
use serde_json::json;
use uuid::Uuid;

use super::{Driver, text};
use crate::support::fake_google::FakeGoogle;
use crate::support::{Person, TestApp, eventually};

/// What is connected, read, found to differ and resolved.
pub(super) async fn drive(driver: &mut Driver<'_>, google: &FakeGoogle, ada: &Person) {
    let (server, token) = (driver.server, Some(ada.access_token.as_str()));
    let staff = driver.good(200, "GET /v1/staff", None, token, None).await;
    let staff = text(&staff["data"][0]["id"]);
    for _ in 0..2 {
        let begun = driver.good(200, "POST /v1/staff/{id}/calendar", Some(&staff), token, None).await;
        let (state, code) = google.allows(&text(&begun["authorization_url"]));
        let back = json!({"state": state, "code": code});
        driver.good(200, "POST /v1/calendar-sign-ins", None, token, Some(back)).await;
    }
    let path = format!("/v1/staff/{staff}/calendar");
    eventually(async || {
        let calendar = server.send("GET", &path, token, None).await.expect(200);
        (calendar["state"] == "connected" && !google.events().is_empty()).then_some(())
    })
    .await;
    driver.good(200, "GET /v1/staff/{id}/calendar", Some(&staff), token, None).await;
    driver.good(200, "GET /v1/staff/{id}/calendar/choices", Some(&staff), token, None).await;
    driver.good(202, "POST /v1/staff/{id}/calendar/sync", Some(&staff), token, None).await;
    driver.good(200, "GET /v1/calendar-connections", None, token, None).await;
    server.send("GET", &format!("/v1/busy-times?staff_id={staff}"), token, None).await.expect(200);
    driver.seen.entry(("GET".to_owned(), "/v1/busy-times".to_owned())).or_default().insert(200);
    // What is changed is written.
    let made = server.send("GET", "/v1/appointments?limit=1", token, None).await.expect(200)["data"][0].clone();
    let id = text(&made["id"]);
    let move_ = json!({"starts_at": made["starts_at"]});
    driver.good(200, "POST /v1/appointments/{id}/move", Some(&id), token, Some(move_)).await;
    driver.good(200, "PATCH /v1/appointments/{id}", Some(&id), token, Some(json!({"note": "Another"}))).await;
    // Deleted by hand, it is a conflict, once with each end.
    for keep in ["ours", "theirs"] {
        let event = crate::calendars::event_of(&id);
        eventually(async || google.events().contains_key(&event).then_some(())).await;
        let conflict = eventually(async || {
            if google.events().contains_key(&event) {
                google.deletes(&event);
            }
            server.send("POST", &format!("{path}/sync"), token, None).await.expect(202);
            let found = server.send("GET", "/v1/calendar-conflicts", token, None).await.expect(200);
            found["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        driver.good(200, "GET /v1/calendar-conflicts", None, token, None).await;
        let body = Some(json!({"keep": keep}));
        driver.good(204, "POST /v1/calendar-conflicts/{id}/resolve", Some(&conflict), token, body).await;
    }
    drive_feeds(driver, ada).await;
    let body = Some(json!({"calendar": "second@group.calendar.google.com"}));
    driver.good(200, "PATCH /v1/staff/{id}/calendar", Some(&staff), token, body).await;
    notify(driver, ada, &staff).await;
    driver.good(204, "DELETE /v1/staff/{id}/calendar", Some(&staff), token, None).await;
}

async fn drive_feeds(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let staff = driver.good(200, "GET /v1/staff", None, token, None).await["data"][0]["id"].clone();
    let body = json!({"name": "All", "staff_id": staff});
    let key = [("idempotency-key", "a feed")];
    let feed = driver.call("POST /v1/calendar-feeds", None, token, Some(body), &key).await.expect(201);
    driver.good(200, "GET /v1/calendar-feeds", None, token, None).await;
    let url = text(&feed["url"]);
    let file = &url[url.rfind('/').expect("a path") + 1..];
    driver.call("GET /calendars/{file}", Some(file), None, None, &[]).await;
    driver.good(204, "DELETE /v1/calendar-feeds/{id}", Some(&text(&feed["id"])), token, None).await;
}

/// A channel that was opened elsewhere: this server has no https address.
async fn notify(driver: &mut Driver<'_>, ada: &Person, staff: &str) {
    let app = &driver.server.app;
    let tenant: TenantId = ada.organisation.parse().expect("an id");
    let of = mainstay_store::GetCalendarOf { tenant, staff: staff.parse().expect("an id") };
    let connection = app.store.run(&call(), of).await.expect("read").expect("it is there");
    let token = "a token";
    let hash = mainstay_domain::hexadecimal(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    let (id, resource) = (Uuid::from_u128(7), "resource".to_owned());
    let expires_at = driver.server.now().plus(Duration::from_secs(86_400));
    let channel = mainstay_store::CalendarChannel { id, resource, hash, expires_at };
    app.store.run(&call(), SetCalendarChannel { tenant, id: connection.id, channel }).await.expect("set");
    let place = format!("{tenant}/{}", connection.id);
    let id = id.to_string();
    let headers = [
        ("x-goog-channel-id", id.as_str()),
        ("x-goog-channel-token", token),
        ("x-goog-resource-id", "resource"),
        ("x-goog-resource-state", "exists"),
    ];
    let operation = "POST /calendars/{organisation}/{connection}/notifications";
    driver.call(operation, Some(&place), None, None, &headers).await.expect(204);
}

fn call() -> Call {
    Call::within(Duration::from_secs(20))
}

/// Five of everything that is listed.
pub(super) async fn five(server: &TestApp, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let tenant: TenantId = ada.organisation.parse().expect("an id");
    for number in 0..5 {
        let feed = json!({"name": format!("Feed {number}")});
        server.send("POST", "/v1/calendar-feeds", token, Some(feed)).await.expect(201);
    }
    let appointments = server.send("GET", "/v1/appointments?limit=100", token, None).await.expect(200);
    let busy = appointments["data"][0]["staff_id"].clone();
    let staff = server.send("GET", "/v1/staff", token, None).await.expect(200);
    for one in staff["data"].as_array().expect("rows") {
        let staff: StaffId = text(&one["id"]).parse().expect("an id");
        let (app, now) = (&server.app, server.now());
        let id: CalendarConnectionId = app.ids.make();
        let place = mainstay_server::keys::Place { column: SealedColumn::CalendarToken, tenant, row: id.uuid() };
        let token = app.keys.seal(place, &mainstay_domain::Secret::new("t".to_owned())).expect("sealed");
        let (account, calendar) = ("a@example.com".to_owned(), "primary".to_owned());
        let connect = ConnectCalendar { id, tenant, staff, account, calendar, token, now };
        app.store.run(&call(), connect).await.expect("connected");
        if one["id"] != busy {
            continue;
        }
        let over = Span::new(now, now.plus(Duration::from_secs(86_400)));
        let event = SeenEvent { id: "abcde".to_owned(), etag: None, busy: over, there: over, ours: None };
        let read = CalendarWasRead {
            tenant,
            id,
            seen: 1,
            began_at: now,
            whole: false,
            events: vec![event],
            sync_token: None,
            fence: None,
            now,
        };
        app.store.run(&call(), read).await.expect("read");
    }
}
