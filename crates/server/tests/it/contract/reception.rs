//! The operations of the reception and of calls.

use std::time::Duration;

use mainstay_store::{Call, OptOut};
use serde_json::{Value, json};

use super::{Driver, text};
use crate::reception::always;
use crate::support::{Person, TestApp};

pub(super) fn service(name: &str) -> Value {
    json!({"name": name, "minutes": 30})
}

/// What an administrator sets up, and what is then booked, moved and looked up.
pub(super) async fn drive(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let settings = json!({"time_zone": "UTC", "week": always(), "lead_minutes": 0});
    driver.good(200, "PUT /v1/reception", None, token, Some(settings)).await;
    driver.good(200, "GET /v1/reception", None, token, None).await;
    let sender = crate::texts::sender_of(driver.server, ada).await;
    let settings = crate::texts::settings(&sender);
    driver.good(200, "PUT /v1/text-settings", None, token, Some(settings)).await;
    driver.good(200, "GET /v1/text-settings", None, token, None).await;
    let made = driver.good(201, "POST /v1/services", None, token, Some(service("Cleaning"))).await;
    let service = text(&made["id"]);
    driver.good(200, "GET /v1/services", None, token, None).await;
    driver.good(200, "GET /v1/services/{id}", Some(&service), token, None).await;
    let body = json!({"before_minutes": 5, "after_minutes": 5, "price_micros": 80_000_000, "currency": "EUR"});
    driver.good(200, "PATCH /v1/services/{id}", Some(&service), token, Some(body)).await;
    let body = json!({"name": "Dr. Lee", "services": [service]});
    let made = driver.good(201, "POST /v1/staff", None, token, Some(body)).await;
    let staff = text(&made["id"]);
    driver.good(200, "GET /v1/staff", None, token, None).await;
    driver.good(200, "GET /v1/staff/{id}", Some(&staff), token, None).await;
    let body = json!({"week": always(), "services": [service]});
    driver.good(200, "PATCH /v1/staff/{id}", Some(&staff), token, Some(body)).await;
    let day = Some("2030-12-24");
    driver.good(200, "PUT /v1/special-days/{day}", day, token, Some(json!({"name": "A holiday"}))).await;
    let own = format!("2030-12-24?staff_id={staff}");
    driver.good(200, "PUT /v1/special-days/{day}", Some(&own), token, Some(json!({"name": "Away"}))).await;
    driver.good(200, "GET /v1/special-days", None, token, None).await;
    driver.good(204, "DELETE /v1/special-days/{day}", day, token, None).await;
    let server = driver.server;
    let ask = format!("/v1/availability?service_id={service}&limit=4");
    let free = server.send("GET", &ask, token, None).await.expect(200)["data"].clone();
    driver.seen.entry(("GET".to_owned(), "/v1/availability".to_owned())).or_default().insert(200);
    // Two contacts who turn out to be one.
    let mut contact = Value::Null;
    for body in [
        json!({"name": "Bea", "phone": "+49 30 111111"}),
        json!({"email": "bea@example.com"}),
        json!({"phone": "+49 30 111111", "email": "bea@example.com", "note": "Likes mornings"}),
    ] {
        contact = driver.good(200, "POST /v1/contacts", None, token, Some(body)).await;
    }
    let contact = text(&contact["id"]);
    driver.good(200, "GET /v1/contacts", None, token, None).await;
    driver.good(200, "GET /v1/contacts/{id}", Some(&contact), token, None).await;
    let body = json!({"name": "Beatrix", "phone": "+49 30 222222"});
    driver.good(200, "PATCH /v1/contacts/{id}", Some(&contact), token, Some(body)).await;
    let body = json!({"service_id": service, "starts_at": free[0]["starts_at"], "contact": {"phone": "+49 30 222222",
        "email": "bea@example.com", "note": "Brings a friend"}});
    let key = [("idempotency-key", "an appointment")];
    let made = driver.call("POST /v1/appointments", None, token, Some(body.clone()), &key).await.expect(201);
    let made = text(&made["id"]);
    for (operation, body) in [
        ("POST /v1/appointments", body.clone()),
        ("POST /v1/appointments", json!({"service_id": service, "starts_at": "2020-01-01T00:00:00Z", "hold": true})),
    ] {
        assert_eq!(driver.call(operation, None, token, Some(body), &[]).await.status, 409);
    }
    driver.good(200, "GET /v1/appointments", None, token, None).await;
    driver.good(200, "GET /v1/appointments/{id}", Some(&made), token, None).await;
    driver.good(200, "GET /v1/contacts/{id}/appointments", Some(&contact), token, None).await;
    let to = json!({"starts_at": free[2]["starts_at"]});
    driver.good(200, "POST /v1/appointments/{id}/move", Some(&made), token, Some(to)).await;
    let body = json!({"state": "confirmed", "note": "A note", "contact_id": contact});
    driver.good(200, "PATCH /v1/appointments/{id}", Some(&made), token, Some(body)).await;
    let free = server.send("GET", &ask, token, None).await.expect(200)["data"][3]["starts_at"].clone();
    let again = json!({"service_id": service, "starts_at": free, "contact_id": contact});
    let again = server.send("POST", "/v1/appointments", token, Some(again)).await.expect(201);
    drive_texts(driver, ada, &text(&again["id"])).await;
    drive_calls(driver, ada).await;
}

/// What was promised of an appointment, and the page of its link.
async fn drive_texts(driver: &mut Driver<'_>, ada: &Person, appointment: &str) {
    let token = Some(ada.access_token.as_str());
    let texts = driver.good(200, "GET /v1/text-messages", None, token, None).await;
    driver.good(200, "GET /v1/text-messages/{id}", Some(&text(&texts["data"][0]["id"])), token, None).await;
    driver.server.send("GET", "/v1/text-messages?state=read", token, None).await.expect(200);
    driver.good(200, "GET /v1/text-opt-outs", None, token, None).await;
    let ids = (ada.organisation.parse().expect("an id"), appointment.parse().expect("an id"));
    let link = driver.server.app.texts.links().of(ids.0, ids.1);
    let (_, link) = link.rsplit_once('/').expect("a token");
    for operation in ["GET /a/{token}", "GET /a/{token}/appointment.ics", "POST /a/{token}"] {
        assert_eq!(driver.call(operation, Some(link), None, None, &[]).await.status, 200);
    }
}

async fn drive_calls(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    let agent = json!({"greeting": "Hello", "transfer_number": "+49 30 901820"});
    driver.good(200, "PUT /v1/phone-agent", None, token, Some(agent)).await;
    driver.good(200, "GET /v1/phone-agent", None, token, None).await;
    let body = json!({"name": "phone", "provider": "vapi", "secrets": ["a secret"]});
    let sender = crate::inbox::sender(driver.server, ada, body).await;
    crate::calls::take_message(driver.server, &sender, "a secret", "call-1").await;
    let calls = driver.good(200, "GET /v1/calls", None, token, None).await;
    driver.good(200, "GET /v1/calls/{id}", Some(&text(&calls["data"][0]["id"])), token, None).await;
    let messages = driver.good(200, "GET /v1/phone-messages", None, token, None).await;
    let message = text(&messages["data"][0]["id"]);
    let body = Some(json!({"handled": true}));
    driver.good(200, "PATCH /v1/phone-messages/{id}", Some(&message), token, body).await;
    driver.good(200, "GET /v1/access-log", None, token, None).await;
}

/// Five of everything that is listed; the answer is a contact who has five appointments.
pub(super) async fn five(server: &TestApp, ada: &Person) -> String {
    let token = Some(ada.access_token.as_str());
    let settings = json!({"time_zone": "UTC", "week": always(), "lead_minutes": 0, "horizon_days": 60});
    server.send("PUT", "/v1/reception", token, Some(settings)).await.expect(200);
    let (mut service_id, mut contact) = (String::new(), String::new());
    for number in 0..5 {
        let body = service(&format!("Service {number}"));
        service_id = text(&server.send("POST", "/v1/services", token, Some(body)).await.expect(201)["id"]);
        let body = json!({"name": format!("Dr. {number}"), "services": [service_id]});
        server.send("POST", "/v1/staff", token, Some(body)).await.expect(201);
        let body = json!({"name": format!("Contact {number}"), "phone": format!("+49 30 11111{number}")});
        contact = text(&server.send("POST", "/v1/contacts", token, Some(body)).await.expect(200)["id"]);
    }
    let texts = crate::texts::sender_of(server, ada).await;
    server.send("PUT", "/v1/text-settings", token, Some(crate::texts::settings(&texts))).await.expect(200);
    let ask = format!("/v1/availability?service_id={service_id}&limit=10");
    let free = server.send("GET", &ask, token, None).await.expect(200)["data"].clone();
    let body = json!({"name": "phone", "provider": "vapi", "secrets": ["a secret"]});
    let sender = crate::inbox::sender(server, ada, body).await;
    for number in 0..5 {
        let start = &free[number * 2]["starts_at"];
        let body = json!({"service_id": service_id, "starts_at": start, "contact_id": contact});
        server.send("POST", "/v1/appointments", token, Some(body)).await.expect(201);
        crate::calls::take_message(server, &sender, "a secret", &format!("call-{number}")).await;
        server.send("GET", &format!("/v1/contacts/{contact}"), token, None).await.expect(200);
        let (phone, at) = (format!("+493090182{number}"), server.now());
        let stop = OptOut { tenant: texts.tenant, phone, digest: String::new(), stopped: true, at, fence: None };
        server.app.store.run(&Call::within(Duration::from_secs(10)), stop).await.expect("stored");
    }
    contact
}
