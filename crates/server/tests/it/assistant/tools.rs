//! The assistant in the chat uses the tools of the reception.

use serde_json::{Value, json};

use super::{Stage, id};
use crate::calls::given;
use crate::reception::Practice;
use crate::support::events::{ServerEvent, text};
use crate::support::fake_provider::{Behaviour, FakeProvider, pieces};
use crate::support::{Engine, TestApp, both};

both! {
    an_appointment_is_booked_by_chat,
    a_contact_is_named_and_the_reading_is_noted,
    what_breaks_off_books_once,
    by_chat_nobody_may_more_than_by_the_api,
    the_offline_responder_looks_up_times_and_hours,
}

/// What a member says, with its reply.
async fn say(practice: &Practice<'_>, content: &str) -> Value {
    practice.send("POST", "/v1/messages", Some(json!({"content": content}))).await.expect(201)["reply"].clone()
}

/// The tools of a reply: name, state and answer.
fn tools(reply: &Value) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let all = reply["tools"].as_array().into_iter().flatten();
    all.map(|used| (word(&used["name"]), word(&used["state"]), word(&used["answer"]))).collect()
}

fn booking((day, time): &(String, String), name: &str) -> Value {
    json!({"service": "cleaning", "date": day, "time": time, "name": name})
}

/// What the model was told of its last use.
fn told(provider: &FakeProvider) -> Value {
    let body = provider.received().pop().expect("a request").body;
    let last = body["messages"].as_array().expect("messages").last().expect("one")["content"].clone();
    let content = last[0]["content"].as_str().expect("a result");
    serde_json::from_str(content).expect("data")
}

async fn an_appointment_is_booked_by_chat(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let practice = Practice::open(&stage.server, "owner", 1).await;
    let free = practice.free("&limit=3").await;
    let slot = given(&free[0]);
    let provider = &stage.provider;
    provider.push(Behaviour::Uses(
        pieces("One moment."),
        vec![("book_appointment".to_owned(), booking(&slot, "Bea").to_string())],
    ));
    provider.push(Behaviour::words("It is booked."));
    let body = Some(json!({"content": "Book the first for Bea, please."}));
    let token = &practice.owner.access_token;
    let events = stage.server.events("POST", "/v1/messages", token, body, &[]).await.rest().await;
    assert_eq!(text(&events), "One moment.\n\nIt is booked.");
    let seen: Vec<&ServerEvent> = events.iter().filter(|event| event.event == "tool").collect();
    let last = seen.last().expect("it is told").data.clone();
    assert_eq!(
        (&last["index"], &last["name"], &last["state"]),
        (&json!(0), &json!("book_appointment"), &json!("done"))
    );
    let done = events.last().expect("an end").data["reply"].clone();
    let all = tools(&done);
    assert!(all.len() == 1 && all[0].2.starts_with("Booked: Cleaning on ") && all[0].1 == "done", "{all:?}");
    assert_eq!(done["usage"], json!({"input_tokens": 32, "output_tokens": 84}), "of both requests");
    assert_ne!(practice.free("&limit=3").await[0], free[0], "it is taken");
    let first = &provider.received()[0].body;
    let system = first["system"].as_str().expect("instructions");
    assert!(system.contains("Europe/Berlin") && system.contains("Today is 20"), "{system}");
    assert_eq!(first["tools"].as_array().map(Vec::len), Some(8));
    assert!(told(provider)["result"].as_str().is_some_and(|line| line.starts_with("Booked")));

    // It stands beside the message, also for whoever syncs.
    let path = format!("/v1/generations/{}", id(&done["id"]));
    assert_eq!(tools(&practice.send("GET", &path, None).await.expect(200)["reply"]), all);
    let synced = practice.send("GET", "/v1/sync", None).await.expect(200);
    let rows = synced["changes"].as_array().expect("changes").iter();
    let rows: Vec<&Value> = rows.map(|change| &change["row"]).filter(|row| row["id"] == done["id"]).collect();
    assert!(rows.len() == 1 && tools(rows[0]) == all, "{rows:?}");
    // Whoever follows it later is told as well.
    let path = format!("{path}/events");
    let later = stage.server.events("GET", &path, token, None, &[]).await.rest().await;
    assert_eq!(later.iter().filter(|event| event.event == "tool").count(), 1);

    // Taken: the model is told which times are free.
    provider.push(Behaviour::uses("book_appointment", &booking(&slot, "Cid")));
    provider.push(Behaviour::words("Sorry."));
    let reply = say(&practice, "The same for Cid.").await;
    let all = tools(&reply);
    assert!(all[0].1 == "refused" && all[0].2.contains("The next free times are "), "{all:?}");
    assert!(told(provider)["error"].is_string());

    // Where there is no reception nothing is offered.
    stage.say(json!({"content": "Hello"})).await.expect(201);
    let last = provider.received().pop().expect("a request").body;
    assert!(last.get("tools").is_none() && !last["system"].as_str().unwrap_or_default().contains("Today"), "{last}");
}

async fn a_contact_is_named_and_the_reading_is_noted(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let practice = Practice::open(&stage.server, "owner", 1).await;
    let contact = json!({"name": "Bea Moss", "phone": "+49 30 111111"});
    practice.send("POST", "/v1/contacts", Some(contact)).await.expect(200);
    let uses = async |name: &str, given: Value| {
        stage.provider.push(Behaviour::uses(name, &given));
        stage.provider.push(Behaviour::words("So it is."));
        tools(&say(&practice, "Please.").await).remove(0)
    };
    let found = uses("find_contact", json!({"name": "bea moss"})).await;
    assert!(found.2.starts_with("Bea Moss is known"), "{found:?}");
    let log = practice.send("GET", "/v1/access-log", None).await.expect(200);
    assert!(log["data"].as_array().is_some_and(|rows| rows.iter().any(|row| row["what"] == "contact")), "{log}");
    let slot = given(&practice.free("&limit=1").await[0]);
    uses("book_appointment", booking(&slot, "Bea Moss")).await;
    let contacts = practice.send("GET", "/v1/contacts", None).await.expect(200);
    assert_eq!(contacts["data"].as_array().map(Vec::len), Some(1), "she is there already: {contacts}");
    let cancelled = uses("cancel_appointment", json!({"phone": "030 111111"})).await;
    assert!(cancelled.2.ends_with(" is cancelled."), "{cancelled:?}");
    let nobody = uses("cancel_appointment", json!({})).await;
    assert_eq!((nobody.1.as_str(), nobody.2.contains("Who is it?")), ("refused", true), "{nobody:?}");
    // What cannot be read is told, and the reply goes on.
    let bad = vec![("take_message".to_owned(), "{\"message\": \"Ca".to_owned())];
    stage.provider.push(Behaviour::Uses(Vec::new(), bad));
    let fine = json!({"message": "Call her back."});
    stage.provider.push(Behaviour::uses("take_message", &fine));
    stage.provider.push(Behaviour::words("Taken."));
    let states: Vec<String> = tools(&say(&practice, "Take it down.").await).into_iter().map(|used| used.1).collect();
    assert_eq!(states, ["refused", "done"]);
    let kept = practice.send("GET", "/v1/phone-messages", None).await.expect(200);
    assert_eq!(kept["data"][0]["body"], "Call her back.");
}

async fn what_breaks_off_books_once(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("providers.max_retries", "2")]).await else { return };
    let practice = Practice::open(&stage.server, "owner", 3).await;
    let free = practice.free("&limit=1").await;
    let wish = booking(&given(&free[0]), "Bea");
    let uses = vec![("book_appointment".to_owned(), wish.to_string())];
    // Before the answer is whole; and after it was used, so that the model asks for the same again.
    stage.provider.push(Behaviour::CutAfterUses(Vec::new(), uses.clone()));
    stage.provider.push(Behaviour::Uses(Vec::new(), uses.clone()));
    stage.provider.push(Behaviour::CutAfter(Vec::new()));
    stage.provider.push(Behaviour::Uses(Vec::new(), uses));
    stage.provider.push(Behaviour::words("Booked."));
    let reply = say(&practice, "Book it.").await;
    let states: Vec<String> = tools(&reply).into_iter().map(|used| used.1).collect();
    assert_eq!((&reply["status"], states), (&json!("final"), vec!["done".to_owned(); 2]), "{reply}");
    assert_eq!(practice.free("&limit=1").await[0]["staff"], json!(2), "one of three is taken");

    // It fails for good after it was done: the text says what was done, and so does the history of the next.
    let cancel = json!({"name": "Bea"});
    stage.provider.push(Behaviour::uses("cancel_appointment", &cancel));
    for _ in 0..3 {
        stage.provider.push(Behaviour::status(401, "authentication_error"));
    }
    let failed = say(&practice, "Cancel it.").await;
    assert_eq!(failed["status"], "interrupted", "{failed}");
    assert!(failed["content"].as_str().is_some_and(|text| text.contains(r"is cancelled\.")), "{failed}");
    assert_eq!(practice.free("&limit=1").await[0]["staff"], json!(3), "it is free again");
}

async fn by_chat_nobody_may_more_than_by_the_api(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let practice = Practice::open(&stage.server, "owner", 1).await;
    let slot = given(&practice.free("&limit=1").await[0]);
    // A key that may only read sends nothing, and so uses nothing.
    let body = Some(json!({"name": "reader", "scopes": ["read"]}));
    let key = practice.send("POST", "/v1/api-keys", body).await.expect(201);
    let secret = key["key"].as_str().or(key["secret"].as_str()).expect("the key").to_owned();
    let body = Some(json!({"content": "Book it."}));
    stage.server.send("POST", "/v1/messages", Some(&secret), body.clone()).await.refused(403, "forbidden");
    assert_eq!(stage.provider.counts().requests, 0);
    // Somebody of another organisation has none of it, whatever their model writes.
    let other = Practice::open(&stage.server, "eve", 1).await;
    practice.send("POST", "/v1/contacts", Some(json!({"name": "Bea", "phone": "+49 30 111111"}))).await.expect(200);
    stage.provider.push(Behaviour::uses("find_contact", &json!({"phone": "+49 30 111111", "tenant": "owner"})));
    stage.provider.push(Behaviour::words("Nobody."));
    let reply = say(&other, "Who is Bea?").await;
    assert_eq!(tools(&reply)[0].1, "refused", "{reply}");
    stage.provider.push(Behaviour::uses("book_appointment", &booking(&slot, "Eve")));
    stage.provider.push(Behaviour::words("Booked."));
    say(&other, "Book it.").await;
    assert_eq!(given(&practice.free("&limit=1").await[0]), slot, "it was booked in their own calendar only");
}

async fn the_offline_responder_looks_up_times_and_hours(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "owner", 1).await;
    let reply = say(&practice, "When can I come for a cleaning?").await;
    let all = tools(&reply);
    assert!(all.len() == 1 && all[0].0 == "check_availability" && all[0].1 == "done", "{reply}");
    assert!(
        reply["content"].as_str().is_some_and(|text| text.starts_with("The next free times for Cleaning")),
        "{reply}"
    );
    let reply = say(&practice, "Are you open tomorrow?").await;
    assert!(reply["content"].as_str().is_some_and(|text| text.contains("it is open all day")), "{reply}");
    let reply = say(&practice, "Free times tomorrow?").await;
    assert!(reply["content"].as_str().is_some_and(|text| text.starts_with("Free for Cleaning")), "{reply}");
    let reply = say(&practice, "Who wrote Ulysses?").await;
    assert!(
        tools(&reply).is_empty() && reply["content"].as_str().is_some_and(|text| text.contains("No language model"))
    );
}
