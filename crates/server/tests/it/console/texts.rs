//! The page of text messages: an administrator says how they are sent, and everybody sees what became of them.

use std::sync::Arc;
use std::time::Duration;

use mainstay_server::app::Outside;
use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::calendar::HOSTILE;
use super::view::View;
use crate::faults::clock::Jumping;
use crate::reception::Practice;
use crate::support::fake_twilio::{FakeTwilio, Fault};
use crate::support::{Engine, TestApp, text};

const ACCOUNT: &str = "AC00000000000000000000000000000001";

struct Page<'a> {
    view: View,
    practice: Practice<'a>,
    twilio: FakeTwilio,
    clock: Arc<Jumping>,
    free: Vec<Value>,
}

impl Page<'_> {
    /// Fills a field of the settings anew.
    async fn write(&self, field: &str, words: &str) {
        let script = "const [field, words] = arguments;
            document.querySelector(`[data-form=texts] [name=${field}]`).value = words;";
        self.view.browser.execute(script, &[json!(field), json!(words)]).await.unwrap();
    }

    /// Waits until what is beside a field says so.
    async fn refuses(&self, field: &str, words: &str) {
        let script = format!(
            "(() => {{
                const control = document.querySelector('[data-form=texts] [name={field}]');
                const said = control && document.getElementById(`${{control.id}}-error`).textContent;
                return control?.getAttribute('aria-invalid') === 'true' && said.includes({});
            }})()",
            json!(words)
        );
        self.view.shows(&script).await;
    }

    /// Waits until a page that was just opened shows so many messages.
    async fn opens_with(&self, count: usize) {
        self.view.shows("document.querySelector('.listing table')").await;
        self.view.rows(count).await;
    }

    async fn save(&self) {
        self.view.click("[data-form=texts] [type=submit]").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sets_text_messages_up_and_sees_what_becomes_of_them() {
    let Some(browser) = Browser::start().await else { return };
    let clock = Arc::new(Jumping::default());
    let twilio = FakeTwilio::start(Arc::clone(&clock) as _).await;
    let url = json!(twilio.url).to_string();
    let settings = [
        ("texts.twilio_url", url.as_str()),
        ("jobs.poll_ms", "100"),
        // After a jump of the clock a worker has to have its lease anew.
        ("jobs.rescue_after_seconds", "2"),
        ("auth.access_token_seconds", "86400"),
    ];
    let outside = Outside { clock: Arc::clone(&clock) as _, ..Outside::default() };
    let server = TestApp::start_with(Engine::Sqlite, &settings, outside).await.expect("SQLite is always there");
    let practice = Practice::open(&server, "ada", 2).await;
    let free = practice.free("&limit=400").await;
    let page = Page { view: View { browser }, practice, twilio, clock, free };
    let view = &page.view;
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/texts", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&page.practice.owner.email, "password of ada", None).await;
    set_up(&page).await;
    sent_and_delivered(&page).await;
    refused(&page).await;
    filtered(&page).await;
    view.picture("texts").await;
    on_a_phone(&page).await;
    what_the_link_opens(&page).await;
    for_members(&page).await;
    view.complains_of_nothing_but(&["status of 400", "status of 401", "status of 404"]).await;
}

/// From nothing: the sender, then the settings, whose faults stand beside the fields.
async fn set_up(page: &Page<'_>) {
    let view = &page.view;
    view.counts("[data-part=settings] summary", "not set up").await;
    view.shows("document.querySelector('[data-part=settings]').open").await;
    view.rows(0).await;
    view.shows("document.querySelector('[data-form=text-sender]')").await;
    view.browser.find("[name=secrets]").await.unwrap().type_text("the token of the account").await.unwrap();
    view.click("[data-form=text-sender] [type=submit]").await;
    view.shows("document.querySelector('[data-form=texts]')").await;
    view.shows("document.querySelector('[data-part=settings] code').textContent.includes('/hooks/twilio/')").await;
    let labelled = "[...document.querySelectorAll('[data-form=texts] :is(input, select, textarea)')].every((one) => one.labels.length === 1)";
    view.shows(labelled).await;
    for (field, words) in [("account_sid", "AC1"), ("from", "clinic"), ("quiet_hours", "9pm")] {
        view.browser.find(&format!("[name={field}]")).await.unwrap().type_text(words).await.unwrap();
    }
    page.write("reminder_minutes", "soon").await;
    page.save().await;
    page.refuses("reminder_minutes", "1440, 120").await;
    page.write("reminder_minutes", "1").await;
    page.write("moved", "{name}").await;
    page.save().await;
    page.refuses("account_sid", "32 hexadecimal digits").await;
    page.refuses("from", "+15005550006").await;
    page.refuses("quiet_hours", "21:00-08:00").await;
    page.refuses("reminder_minutes", "from 15 to").await;
    page.refuses("moved", "{organisation}").await;
    view.shows("document.activeElement.name === 'account_sid'").await;
    view.fits().await;
    view.picture("texts-settings").await;
    let good = [
        ("account_sid", ACCOUNT),
        ("from", "+15005550006"),
        ("quiet_hours", ""),
        ("reminder_minutes", ""),
        ("moved", ""),
    ];
    for (field, words) in good {
        page.write(field, words).await;
    }
    page.write("confirmation", &format!("{HOSTILE} {{day}}")).await;
    page.save().await;
    view.counts("[data-part=settings] .told", "It is saved.").await;
    view.counts("[data-part=settings] summary", "on").await;
    let stored = page.practice.send("GET", "/v1/text-settings", None).await.expect(200);
    assert_eq!((&stored["account_sid"], &stored["reminder_minutes"]), (&json!(ACCOUNT), &json!([])));
    assert_eq!(
        (&stored["quiet_hours"], stored["wording"].as_object().map(serde_json::Map::len)),
        (&json!(null), Some(1))
    );
    view.click("[data-part=settings] summary").await;
}

/// What is booked is told, and the page shows it by itself: sent, and later delivered, with its price.
async fn sent_and_delivered(page: &Page<'_>) {
    let view = &page.view;
    page.practice.book(&page.free[50]["starts_at"], json!({})).await.expect(201);
    view.rows(1).await;
    view.counts(".listing tbody", "accepted").await;
    view.counts(".listing tbody", "+4930901820").await;
    view.click(".listing tbody a").await;
    view.is("accepted").await;
    // The provider is asked what became of it ten minutes later.
    page.clock.forward(Duration::from_secs(660));
    view.is("delivered").await;
    view.item_says(&["That it was made", "$0.0075", HOSTILE, "All messages about this appointment"]).await;
    view.shows("document.querySelectorAll('#page img').length === 0").await;
    view.shows("document.title.startsWith('Text messages')").await;
    view.picture("texts-text").await;
    view.click(".item .back").await;
    view.rows(1).await;
    view.counts(".listing tbody", "$0.0075").await;
}

/// The provider refuses one: why, and what can be done, is said; and who wants none is listed.
async fn refused(page: &Page<'_>) {
    let view = &page.view;
    page.twilio.fails(&[Fault::Refuse(21_610)]);
    page.practice.book(&page.free[60]["starts_at"], json!({})).await.expect(201);
    view.rows(2).await;
    view.counts(".listing tbody", "failed").await;
    view.click(".listing tbody a").await;
    view.is("failed").await;
    view.item_says(&["What went wrong", "as told", "Error 21610 at Twilio", "once they write START"]).await;
    view.picture("texts-failed").await;
    view.click(".item .back").await;
    view.rows(2).await;
    view.click("[data-part=opt-outs] summary").await;
    view.shows("document.querySelectorAll('[data-phone=\"+4930901820\"]').length === 1").await;
}

async fn filtered(page: &Page<'_>) {
    let view = &page.view;
    view.choose("state", "failed").await;
    view.rows(1).await;
    view.choose("state", "undelivered").await;
    view.rows(0).await;
    view.click("[data-action=reset]").await;
    view.rows(2).await;
    // With the keyboard: the link of a message, and from it to all of its appointment.
    view.browser.execute("document.querySelector('.listing tbody a').focus()", &[]).await.unwrap();
    view.press_enter().await;
    view.is("failed").await;
    view.click(".item a[href*=appointment_id]").await;
    view.shows("new URLSearchParams(location.search).has('appointment_id')").await;
    page.opens_with(1).await;
    view.shows("document.querySelector('#filter-appointment_id').checkVisibility()").await;
    view.click("[data-action=reset]").await;
    view.rows(2).await;
}

async fn on_a_phone(page: &Page<'_>) {
    let view = &page.view;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("texts-phone").await;
    view.click(".listing tbody a").await;
    view.is("failed").await;
    view.fits().await;
    view.picture("texts-phone-failed").await;
    view.click(".item .back").await;
    view.rows(2).await;
    view.click("[data-part=settings] summary").await;
    view.fits().await;
    view.picture("texts-phone-settings").await;
    view.browser.set_window(1280, 900).await.unwrap();
}

/// The page of somebody who has the link offers the appointment to their calendar, until it is cancelled.
async fn what_the_link_opens(page: &Page<'_>) {
    let (view, practice) = (&page.view, &page.practice);
    let texts = practice.send("GET", "/v1/text-messages", None).await.expect(200);
    let appointment = text(&texts["data"][0]["appointment_id"]).parse().expect("an id");
    let link = practice.server.app.texts.links().of(practice.owner.organisation.parse().expect("an id"), appointment);
    let (_, token) = link.rsplit_once('/').expect("a token");
    view.browser.set_window(390, 844).await.unwrap();
    view.browser.goto(&format!("{}/a/{token}", practice.server.address)).await.unwrap();
    let offer = format!("document.querySelector('main a')?.getAttribute('href') === '/a/{token}/appointment.ics'");
    view.shows(&offer).await;
    view.fits().await;
    view.picture("texts-link").await;
    view.browser.execute("document.querySelector('main button').focus()", &[]).await.unwrap();
    view.press_enter().await;
    view.shows("document.querySelector('main [role=status]')?.textContent.includes('is cancelled')").await;
    view.shows("document.querySelector('main a') === null").await;
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/texts", practice.server.address)).await.unwrap();
    page.opens_with(3).await;
    view.counts(".listing tbody", "That it is cancelled").await;
}

/// Who manages nothing sees what became of messages, and not how they are sent.
async fn for_members(page: &Page<'_>) {
    let (view, practice) = (&page.view, &page.practice);
    let bob = practice.server.person("bob").await;
    let add = json!({"email": bob.email, "role": "member"});
    practice.send("POST", "/v1/members", Some(add)).await.expect(201);
    view.sign_in(&bob.email, "password of bob", Some(&practice.owner.organisation)).await;
    page.opens_with(3).await;
    view.shows("document.querySelectorAll('#page details, #page [data-form]').length === 0").await;
    // The menu leads there.
    view.browser.goto(&practice.server.address).await.unwrap();
    view.shows("document.querySelector('#account-menu')?.hidden === false").await;
    view.click("#account-menu").await;
    view.click("#show-texts").await;
    page.opens_with(3).await;
}
