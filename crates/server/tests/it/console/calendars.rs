//! Calendars of others on the page of the calendar: connected through a stand-in for Google, what they take, and where they
//! say something else.

use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::view::View;
use crate::calendars::{event_of, half_an_hour, moment, start, until_holds};
use crate::reception::Practice;
use crate::support::{Engine, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_is_connected_and_a_conflict_is_resolved() {
    let Some(browser) = Browser::start().await else { return };
    let (server, google) = start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    google.leads_back_to(&server.address);
    let practice = Practice::open(&server, "ada", 2).await;
    let free = practice.free("&limit=200").await;
    let day = text(&free[60]["local"])[..10].to_owned();
    let at = |time: &str| -> Value {
        let wanted = format!("{day}T{time}");
        free.iter().find(|free| free["local"] == wanted.as_str()).expect("it was free")["starts_at"].clone()
    };
    let view = View { browser };
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/calendar?view=settings", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&practice.owner.email, "password of ada", None).await;
    // By way of Google and back.
    let row = "[data-part=calendars] li[data-name=\"Dr. 0\"]";
    view.click(&format!("{row} [data-action=connect-calendar]")).await;
    view.shows(&format!("['connecting', 'connected'].includes(document.querySelector('{row}')?.dataset.state)")).await;
    view.shows("!location.search.includes('code')").await;
    practice.until_state(&practice.staff[0], "connected").await;
    to_calendars(&view).await;
    view.picture("calendars-settings").await;
    // A feed is made, and its address told.
    view.browser.find("[data-form=feed] [name=name]").await.unwrap().type_text("Everybody").await.unwrap();
    view.click("[data-form=feed] [type=submit]").await;
    view.shows("document.querySelector('[data-feed-url]')?.value.endsWith('.ics')").await;
    view.picture("calendars-feed").await;
    // What something else takes is drawn, and cannot be had.
    let (from, until) = half_an_hour(moment(&at("11:00")));
    google.put("busy00001", json!({"start": {"dateTime": from}, "end": {"dateTime": until}, "summary": "Dentist"}));
    practice.read(&practice.staff[0]).await;
    let more = json!({"staff_id": practice.staff[0]});
    let first = text(&practice.booked(&at("10:00"), more.clone()).await["id"]);
    let second = text(&practice.booked(&at("13:00"), more).await["id"]);
    until_holds(&google, &[(first.clone(), text(&at("10:00"))), (second.clone(), text(&at("13:00")))].into()).await;
    view.browser.goto(&format!("{}/calendar?view=day&day={day}", server.address)).await.unwrap();
    let column = format!("[data-column=\"{}\"]", practice.staff[0]);
    view.shows(&format!("document.querySelectorAll('{column} .busy').length === 1")).await;
    view.shows("!document.body.textContent.includes('Dentist')").await;
    view.shows("document.querySelectorAll('.appointment').length === 2").await;
    view.picture("calendars-busy").await;
    // Moved by hand to where another is: it is seen, and written back.
    let (from, until) = half_an_hour(moment(&at("13:00")));
    google.moves(&event_of(&first), &from, &until);
    google.deletes(&event_of(&second));
    practice.read(&practice.staff[0]).await;
    view.browser.goto(&format!("{}/calendar?view=day&day={day}", server.address)).await.unwrap();
    view.shows("document.querySelectorAll('[data-conflict]').length === 2").await;
    view.picture("calendars-conflict").await;
    view.click("[data-conflict=moved] [data-action=keep-ours]").await;
    view.shows("document.querySelectorAll('[data-conflict]').length === 1").await;
    view.click("[data-conflict=deleted] [data-action=keep-theirs]").await;
    view.shows("document.querySelectorAll('.conflicts').length === 0").await;
    view.shows("document.querySelectorAll('.appointment').length === 1").await;
    until_holds(&google, &[(first, text(&at("10:00")))].into()).await;
    view.fits().await;
    view.browser.set_window(390, 844).await.unwrap();
    view.browser.goto(&format!("{}/calendar?view=settings", server.address)).await.unwrap();
    view.shows(&format!("document.querySelector('{row}')?.dataset.state === 'connected'")).await;
    view.fits().await;
    to_calendars(&view).await;
    view.picture("calendars-phone").await;
    view.mean(&format!("{row} [data-action=disconnect-calendar]")).await;
    view.shows(&format!("document.querySelector('{row}')?.dataset.state === 'none'")).await;
    view.complains_of_nothing_but(&["status of 401"]).await;
}

async fn to_calendars(view: &View) {
    let scroll = "document.querySelector('[data-part=calendars]').scrollIntoView()";
    view.browser.execute(scroll, &[]).await.unwrap();
}
