//! A little of everything, so that what is asked for by its id is there; and the wait until all of it is worked on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::World;
use super::minting::{Canary, Kind};
use super::requests::Shot;

/// How long what is promised may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes it. Whatever has room for a canary has one.
pub(super) async fn seed(world: &World) {
    reception(world).await;
    outreach(world).await;
    for (template, body) in [
        ("/v1/webhook-endpoints", json!({"url": format!("http://{}/{}", world.echo.http, word(world, "url"))})),
        ("/v1/conversations", json!({"title": word(world, "title")})),
        ("/v1/documents", json!({"title": "Hours", "content": text(world, "content", Kind::Text)})),
        ("/v1/messages", json!({"content": text(world, "content", Kind::Text)})),
        ("/v1/jobs/probes", json!({"count": 3, "key": "canaries"})),
        ("/v1/api-keys", json!({"name": word(world, "name"), "scopes": ["read"]})),
    ] {
        for _ in 0..3 {
            send(world, "POST", template, &body).await;
        }
    }
    for list in ["/v1/controls", "/v1/queues", "/v1/members", "/v1/jobs", "/v1/inbox"] {
        world.shoot(Shot::new("GET", list)).await;
    }
}

fn canary(world: &World, field: &str) -> Canary {
    world.mint.canary("what is there before", field)
}

fn word(world: &World, field: &str) -> String {
    canary(world, field).word()
}

fn text(world: &World, field: &str, kind: Kind) -> String {
    canary(world, field).written(kind)
}

/// What must be done as it should. The answer.
async fn send(world: &World, method: &str, path: &str, body: &Value) -> Value {
    let answer = world.shoot(Shot::new(method, path).json(body)).await;
    let Some((200..300, answer)) = answer else { panic!("{method} {path}: {answer:?}") };
    answer
}

async fn reception(world: &World) {
    let week =
        json!({"time_zone": "Europe/Berlin", "week": vec![["00:00-24:00"]; 7], "lead_minutes": 0, "calling_code": 49});
    send(world, "PUT", "/v1/reception", &week).await;
    send(world, "PUT", "/v1/phone-agent", &json!({"greeting": "Hello"})).await;
    let twilio = json!({"name": word(world, "name"), "provider": "twilio", "secrets": [super::others::SECRET]});
    let sender = send(world, "POST", "/v1/inbox-sources", &twilio).await;
    world.known.keep("senders", sender["id"].as_str().expect("an id"));
    let account = "AC00000000000000000000000000000000";
    let texts =
        json!({"sender_id": sender["id"], "account_sid": account, "from": "+15005550006", "reminder_minutes": []});
    send(world, "PUT", "/v1/text-settings", &texts).await;
    let vapi = json!({"name": "Calls", "provider": "vapi", "secrets": [super::others::SECRET]});
    let url = send(world, "POST", "/v1/inbox-sources", &vapi).await["url"].as_str().expect("an address").to_owned();
    for number in 0..3 {
        let service = send(world, "POST", "/v1/services", &json!({"name": word(world, "name"), "minutes": 30})).await;
        let staff = json!({"name": text(world, "name", Kind::Name), "services": [service["id"]]});
        send(world, "POST", "/v1/staff", &staff).await;
        send(world, "POST", "/v1/calendar-feeds", &json!({"name": word(world, "name")})).await;
        let whom = ["name", "email", "phone"].map(|field| canary(world, field));
        let [name, email, phone] =
            [(0, Kind::Name), (1, Kind::Email), (2, Kind::Phone)].map(|(at, kind)| whom[at].written(kind));
        let contact = send(world, "POST", "/v1/contacts", &json!({"name": name, "email": email, "phone": phone})).await;
        let free = format!("/v1/availability?service_id={}&limit=20", service["id"].as_str().expect("an id"));
        let free = world.server.get(&free, &world.token()).await;
        world.known.learn("/v1/availability", &free);
        let starts = &free["data"][4 * number]["starts_at"];
        let book = json!({"service_id": service["id"], "starts_at": starts, "contact_id": contact["id"], "note": word(world, "note")});
        send(world, "POST", "/v1/appointments", &book).await;
        let path = &url[url.find("/hooks/").expect("a path")..];
        let called = super::others::vapi_call(&|field| canary(world, field), &["take_message"], number);
        world.shoot(Shot::new("POST", path).header("x-vapi-secret", super::others::SECRET).json(&called)).await;
    }
    for list in ["/v1/calls", "/v1/phone-messages", "/v1/text-messages"] {
        world.shoot(Shot::new("GET", list)).await;
    }
}

async fn outreach(world: &World) {
    let (smtp, imap) = (world.echo.smtp, world.echo.imap);
    for number in 0..3 {
        // The first is a server that nobody has.
        let host = if number == 0 { format!("{}.example.invalid", word(world, "host")) } else { smtp.ip().to_string() };
        let name = text(world, "name", Kind::Name);
        let account = json!({"address": text(world, "address", Kind::Email), "sender_name": name, "host": host,
            "port": smtp.port(), "security": "none", "daily_cap": 10});
        let account = send(world, "POST", "/v1/sending-accounts", &account).await;
        let mailbox = json!({"host": host, "port": imap.port(), "security": "none", "user_name": word(world, "user_name"),
            "password": text(world, "password", Kind::Password)});
        let path = format!("/v1/sending-accounts/{}/mailbox", account["id"].as_str().expect("an id"));
        world.shoot(Shot::new("PUT", &path).json(&mailbox)).await;
        let campaign =
            json!({"name": word(world, "name"), "time_zone": "UTC", "sending_window": "mon-sun 00:00-24:00"});
        let campaign = send(world, "POST", "/v1/campaigns", &campaign).await;
        let of = format!("/v1/campaigns/{}", campaign["id"].as_str().expect("an id"));
        let variant = json!({"name": "A", "subject": word(world, "subject"), "text": text(world, "text", Kind::Text)});
        let steps = json!({"steps": [{"delay": "0d", "variants": [variant]}]});
        send(world, "PUT", &format!("{of}/steps"), &steps).await;
        send(world, "PUT", &format!("{of}/accounts"), &json!({"account_ids": [account["id"]]})).await;
        let leads = json!({"leads": [{"email": text(world, "email", Kind::Email)}]});
        let leads = send(world, "POST", &format!("{of}/leads"), &leads).await;
        world.known.learn("/v1/leads", &leads);
        let import = send(world, "POST", &format!("{of}/imports"), &json!({"name": "people.csv"})).await;
        world.known.learn("/v1/imports", &import);
        world.shoot(Shot::new("POST", &format!("{of}/launch"))).await;
        let (begun, list) =
            (Instant::now(), format!("/v1/emails?campaign_id={}", campaign["id"].as_str().unwrap_or_default()));
        // A job makes them.
        while begun.elapsed() < PATIENCE {
            let token = world.token();
            let emails = world.server.get(&list, &token).await;
            world.known.learn("/v1/emails", &emails);
            if emails["data"].as_array().is_some_and(|rows| !rows.is_empty()) {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Waits until nothing is due any more, or for so long that enough was done.
pub(super) async fn settle(world: &World) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let token = world.token();
        let answer = world.server.send("GET", "/v1/queues", &token, None).await.expect("an answer").json();
        let queues = answer["data"].as_array().cloned().unwrap_or_default();
        let is_at_rest = |queue: &Value| {
            let stands = queue["paused_at"].is_string() || queue["off_until"].is_string();
            queue["running"] == 0 && (queue["ready"] == 0 || stands)
        };
        if !queues.is_empty() && queues.iter().all(is_at_rest) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(world.echo.asked() > 20, "services of others were asked {} times", world.echo.asked());
}
