//! A random schedule against a simple model: people book, move and cancel, somebody moves and deletes by hand, Google is away
//! now and then. In the end the calendar and the reception say the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{event_of, half_an_hour, moment, owed, start, until_holds};
use crate::reception::Practice;
use crate::support::chance::Chance;
use crate::support::fake_google::Fault;
use crate::support::{Engine, both, eventually, text};

both! {
    the_calendar_ends_as_the_reception_does,
}

const STEPS: u64 = 60;
const PLACES: u64 = 24;

async fn the_calendar_ends_as_the_reception_does(engine: Engine) {
    let Some((server, google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 2).await;
    let staff = &practice.staff[0];
    let free = practice.free("&days=4&limit=100").await;
    let at = |place: u64| free[usize::try_from(place).expect("a place") + 8]["starts_at"].clone();
    practice.connect(&google, staff).await;
    let mut chance = Chance::seeded();
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..STEPS {
        let place = at(chance.below(PLACES));
        let known =
            (!ids.is_empty()).then(|| ids[usize::try_from(chance.below(ids.len() as u64)).expect("a place")].clone());
        let who = practice.staff[usize::from(chance.below(4) == 0)].clone();
        match (chance.below(10), known) {
            (0..=2, _) | (_, None) => {
                let answer = practice.book(&place, json!({"staff_id": who})).await;
                if answer.status == 201 {
                    ids.push(text(&answer.json()["id"]));
                }
            }
            (3 | 4, Some(id)) => {
                let to = json!({"starts_at": place, "staff_id": who});
                practice.send("POST", &format!("/v1/appointments/{id}/move"), Some(to)).await;
            }
            (5, Some(id)) => {
                practice.send("PATCH", &format!("/v1/appointments/{id}"), Some(json!({"state": "cancelled"}))).await;
            }
            (6, Some(id)) if google.events().contains_key(&event_of(&id)) => {
                let (from, until) = half_an_hour(moment(&place));
                google.moves(&event_of(&id), &from, &until);
            }
            (7, Some(id)) if google.events().contains_key(&event_of(&id)) => google.deletes(&event_of(&id)),
            (8, _) => {
                let faults = [Fault::Refuse(503, "x"), Fault::Cut, Fault::Refuse(429, "x"), Fault::Refuse(410, "x")];
                google.fails(&faults[..usize::try_from(1 + chance.below(3)).expect("a few")]);
            }
            _ => {
                practice.send("POST", &format!("/v1/staff/{staff}/calendar/sync"), None).await.expect(202);
            }
        }
    }
    google.fails(&[]);
    // Whoever decides takes the one or the other, until nothing is left to decide and all is written.
    eventually(async || {
        practice.read(staff).await;
        for conflict in practice.conflicts().await {
            if practice.resolve(&conflict, "theirs").await.status >= 400 {
                practice.resolve(&conflict, "ours").await;
            }
        }
        (practice.conflicts().await.is_empty() && owed(&practice).await == 0).then_some(())
    })
    .await;
    let mut wanted = BTreeMap::new();
    for id in &ids {
        let appointment: Value = practice.appointment(id).await;
        if appointment["state"] == "booked" && appointment["staff_id"] == *staff {
            wanted.insert(id.clone(), text(&appointment["starts_at"]));
        }
    }
    until_holds(&google, &wanted).await;
    assert_eq!(practice.conflicts().await, Vec::<Value>::new());
}
