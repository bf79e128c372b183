//! Google is away, for an hour or for one answer: nothing is lost, and nothing stands there twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, ManualClock, Timestamp};
use mainstay_server::app::Outside;
use serde_json::{Value, json};

use super::{event_of, owed, start, start_with, until_holds};
use crate::reception::Practice;
use crate::support::fake_google::Fault;
use crate::support::{Engine, both, eventually, text};

both! {
    an_outage_of_an_hour_loses_nothing,
    an_answer_that_was_lost_makes_no_second_event,
    every_way_of_failing_ends_well,
    an_account_that_is_connected_again_gets_what_it_is_owed,
}

const MINUTE: Duration = Duration::from_secs(60);

async fn an_outage_of_an_hour_loses_nothing(engine: Engine) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_774_400_000_000)));
    let outside = Outside { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Outside::default() };
    // Whoever works there stays signed in over the hour.
    let settings = [("auth.access_token_seconds", "86400")];
    let Some((server, google)) = start_with(engine, &settings, outside).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=4&limit=100").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    practice.connect(&google, staff).await;
    let kept = text(&practice.booked(&at(10), json!({})).await["id"]);
    until_holds(&google, &[(kept.clone(), text(&at(10)))].into()).await;
    google.asked();
    google.is(Some(Fault::Refuse(503, "backendError")));
    // For an hour people book, move and cancel, and the calendar hears of nothing.
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let mut ids = Vec::new();
    for number in 0..12 {
        let id = text(&practice.booked(&at(20 + number), json!({})).await["id"]);
        wanted.insert(id.clone(), text(&at(20 + number)));
        ids.push(id);
        clock.advance(4 * MINUTE);
        eventually(async || (!google.asked().is_empty()).then_some(())).await;
    }
    let change = async |id: &str, body: Value| {
        practice.send("PATCH", &format!("/v1/appointments/{id}"), Some(body)).await.expect(200);
    };
    for (place, id) in ids.iter().enumerate().take(4) {
        let to = json!({"starts_at": at(40 + place)});
        practice.send("POST", &format!("/v1/appointments/{id}/move"), Some(to)).await.expect(200);
        wanted.insert(id.clone(), text(&at(40 + place)));
    }
    for id in &ids[8..] {
        change(id, json!({"state": "cancelled"})).await;
        wanted.remove(id);
    }
    change(&kept, json!({"state": "cancelled"})).await;
    clock.advance(10 * MINUTE);
    google.is(None);
    // The longest wait between two attempts is five minutes, give or take a fifth.
    clock.advance(7 * MINUTE);
    until_holds(&google, &wanted).await;
    assert_eq!(google.events().len(), wanted.len(), "each exactly once");
    assert_eq!(practice.conflicts().await, Vec::<Value>::new());
}

async fn an_answer_that_was_lost_makes_no_second_event(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "bea", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    practice.connect(&google, staff).await;
    // Made, changed and taken away, and the answer never comes.
    for (place, fault) in [(4, Fault::Hang), (8, Fault::Cut)] {
        google.fails(&[fault]);
        let id = text(&practice.booked(&at(place), json!({})).await["id"]);
        until_holds(&google, &[(id.clone(), text(&at(place)))].into()).await;
        // The next attempt finds its own.
        eventually(async || (owed(&practice).await == 0).then_some(())).await;
        google.fails(&[fault]);
        let to = json!({"starts_at": at(place + 20)});
        practice.send("POST", &format!("/v1/appointments/{id}/move"), Some(to)).await.expect(200);
        until_holds(&google, &[(id.clone(), text(&at(place + 20)))].into()).await;
        eventually(async || (owed(&practice).await == 0).then_some(())).await;
        google.fails(&[fault]);
        practice
            .send("PATCH", &format!("/v1/appointments/{id}"), Some(json!({"state": "cancelled"})))
            .await
            .expect(200);
        until_holds(&google, &BTreeMap::new()).await;
    }
    // The entries are settled in the end, and nobody is asked to decide anything.
    eventually(async || (owed(&practice).await == 0).then_some(())).await;
    assert_eq!(practice.conflicts().await, Vec::<Value>::new());
    assert_eq!(google.events().len(), 0);
}

async fn every_way_of_failing_ends_well(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "cem", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    practice.connect(&google, staff).await;
    let faults = [
        Fault::Refuse(403, "rateLimitExceeded"),
        Fault::Refuse(403, "userRateLimitExceeded"),
        Fault::Refuse(429, "rateLimitExceeded"),
        Fault::Refuse(500, "backendError"),
        Fault::Refuse(412, "conditionNotMet"),
        Fault::Refuse(401, "authError"),
    ];
    let mut wanted = BTreeMap::new();
    for (place, fault) in faults.into_iter().enumerate() {
        let start = &free[4 + 2 * place]["starts_at"];
        google.fails(&[fault]);
        wanted.insert(text(&practice.booked(start, json!({})).await["id"]), text(start));
        until_holds(&google, &wanted).await;
    }
    // An id that somebody else has used up: the next one is taken.
    let start = &free[30]["starts_at"];
    google.is(Some(Fault::Refuse(500, "backendError")));
    let id = text(&practice.booked(start, json!({})).await["id"]);
    google.put(
        &event_of(&id),
        json!({"summary": "theirs", "transparency": "transparent",
        "start": {"dateTime": "2020-01-01T00:00:00Z"}, "end": {"dateTime": "2020-01-01T01:00:00Z"}}),
    );
    google.is(None);
    wanted.insert(id.clone(), text(start));
    until_holds(&google, &wanted).await;
    assert!(google.events().contains_key(&format!("{}1", event_of(&id))));
    assert_eq!(google.events()[&event_of(&id)]["summary"], "theirs");
    // Access tokens that end are fetched anew.
    google.ends_access_tokens();
    let start = &free[34]["starts_at"];
    wanted.insert(text(&practice.booked(start, json!({})).await["id"]), text(start));
    until_holds(&google, &wanted).await;
    practice.until_state(staff, "connected").await;
}

async fn an_account_that_is_connected_again_gets_what_it_is_owed(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "dan", 1).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    google.put("busy00001", busy(&at(30)));
    practice.connect(&google, staff).await;
    google.revokes();
    let first = text(&practice.booked(&at(4), json!({})).await["id"]);
    practice.until_state(staff, "reconnect").await;
    google.asked();
    let second = text(&practice.booked(&at(8), json!({})).await["id"]);
    let to = json!({"starts_at": at(12)});
    practice.send("POST", &format!("/v1/appointments/{first}/move"), Some(to)).await.expect(200);
    // What was known of the calendar still holds, and it is said that it is old.
    practice.book(&at(30), json!({})).await.refused(409, "slot_taken");
    assert_eq!(google.events().len(), 1);
    assert_eq!(google.asked(), Vec::<String>::new(), "nobody knocks in vain");
    practice.sign_in(&google, staff).await;
    until_holds(&google, &[(first, text(&at(12))), (second, text(&at(8)))].into()).await;
    practice.until_state(staff, "connected").await;
}

fn busy(start: &Value) -> Value {
    let (from, until) = super::half_an_hour(super::moment(start));
    json!({"start": {"dateTime": from}, "end": {"dateTime": until}})
}
