//! The calendar, on which everybody in an organisation sees and makes appointments.

use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::view::View;
use crate::calls::{line_of, use_tool};
use crate::reception::Practice;
use crate::support::{Engine, TestApp};

/// What would be seen in the page if it were taken for markup.
pub(super) const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

struct Page<'a> {
    view: View,
    practice: Practice<'a>,
    /// The day that is shown.
    day: String,
    /// The times of it that were free in the beginning.
    free: Vec<Value>,
}

impl Page<'_> {
    /// The moment at which the clock shows this on the day.
    fn at(&self, time: &str) -> &Value {
        let wanted = format!("{}T{time}", self.day);
        &self.free.iter().find(|free| free["local"] == wanted.as_str()).expect("it was free")["starts_at"]
    }

    async fn books(&self, time: &str, staff: usize, name: &str) -> Value {
        let contact = json!({"name": name, "email": format!("of{}@example.com", time.replace(':', ""))});
        let more = json!({"staff_id": self.practice.staff[staff], "contact": contact});
        self.practice.book(self.at(time), more).await.expect(201)
    }

    fn column(&self, staff: usize) -> String {
        format!("[data-column=\"{}\"]", self.practice.staff[staff])
    }

    /// Where the middle of half an hour is in a column of the page, after scrolling to a minute.
    async fn point(&self, (staff, minute): (usize, u32), scrolled: u32) -> (f64, f64) {
        let script = "const [css, minute, scrolled] = arguments;
            const frame = document.querySelector('.calendar');
            const column = frame.querySelector(css);
            const length = column.offsetHeight / Number(frame.style.getPropertyValue('--minutes'));
            frame.scrollTop = scrolled * length - 20;
            const box = column.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + (minute + 15) * length];";
        let found = self
            .view
            .browser
            .execute(script, &[json!(self.column(staff)), json!(minute), json!(scrolled)])
            .await
            .unwrap();
        (found[0].as_f64().unwrap(), found[1].as_f64().unwrap())
    }

    /// Waits until an appointment with these words stands in a column, and gives its id.
    async fn stands(&self, staff: usize, words: &str) -> String {
        let (css, words) = (json!(format!("{} .appointment", self.column(staff))), json!(words));
        let found = format!(
            "[...document.querySelectorAll({css})].find((one) => one.getAttribute('aria-label').includes({words}))?.dataset.id"
        );
        text(&self.view.shows(&found).await).to_owned()
    }

    async fn types(&self, field: &str, words: &str) {
        let css = format!("dialog[open] [name={field}]");
        self.view.browser.find(&css).await.unwrap().type_text(words).await.unwrap();
    }

    async fn drag(&self, from: (usize, u32), to: (usize, u32)) {
        let scrolled = from.1.min(to.1);
        let (start, end) = (self.point(from, scrolled).await, self.point(to, scrolled).await);
        let middle = (f64::midpoint(start.0, end.0), f64::midpoint(start.1, end.1));
        self.view.mouse("mousePressed", start).await;
        for place in [middle, end] {
            self.view.mouse("mouseMoved", place).await;
        }
        self.view.shows("document.querySelector('.ghost')").await;
        self.view.picture("calendar-drag").await;
        self.view.mouse("mouseReleased", end).await;
    }

    async fn stored(&self, id: &str) -> Value {
        self.practice.send("GET", &format!("/v1/appointments/{id}"), None).await.expect(200)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_books_and_moves_and_sees_what_others_do() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let practice = Practice::open(&server, "ada", 2).await;
    let free = practice.free("&limit=200").await;
    // Some day of which nothing is over yet.
    let day = text(&free[60]["local"])[..10].to_owned();
    let page = Page { view: View { browser }, practice, day, free };
    let view = &page.view;
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/calendar?view=day&day={}", server.address, page.day)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&page.practice.owner.email, "password of ada", None).await;
    view.shows("document.querySelectorAll('.column').length === 2").await;
    view.shows("document.querySelector('.special').textContent.includes('Europe/Berlin')").await;
    let made = page.books("10:00", 0, HOSTILE).await;
    // Without a reload, and as text.
    assert_eq!(page.stands(0, HOSTILE).await, text(&made["id"]));
    view.shows("document.querySelectorAll('.calendar img').length === 0").await;
    view.shows("document.title.startsWith('Calendar')").await;
    one_of_two_wins(&page).await;
    dragged(&page, text(&made["id"])).await;
    in_full(&page, text(&made["id"])).await;
    as_a_week_and_on_a_phone(&page).await;
    view.complains_of_nothing_but(&["status of 400", "status of 401", "status of 409"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_was_told_is_shown() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let practice = Practice::open(&server, "ada", 1).await;
    let sender = crate::texts::sender_of(&server, &practice.owner).await;
    practice.send("PUT", "/v1/text-settings", Some(crate::texts::settings(&sender))).await.expect(200);
    let free = practice.free("&limit=200").await;
    let start = &free[60];
    let made = practice.book(&start["starts_at"], json!({})).await.expect(201);
    let view = View { browser };
    let day = &text(&start["local"])[..10];
    view.browser.goto(&format!("{}/calendar?view=day&day={day}", server.address)).await.unwrap();
    view.shows("document.querySelector('#page .off')?.textContent.includes('Sign in')").await;
    view.sign_in(&practice.owner.email, "password of ada", None).await;
    let css = format!(".appointment[data-id=\"{}\"]", text(&made["id"]));
    view.shows(&format!("document.querySelector('{css}')")).await;
    view.click(&css).await;
    view.shows("document.querySelector('dialog .told')?.textContent.includes('That it was made')").await;
    view.picture("calendar-told").await;
    view.complains_of_nothing_but(&["status of 401"]).await;
}

/// Somebody takes the time while the form for it is open.
async fn one_of_two_wins(page: &Page<'_>) {
    let view = &page.view;
    let place = page.point((1, 11 * 60), 11 * 60).await;
    view.mouse("mousePressed", place).await;
    view.mouse("mouseReleased", place).await;
    view.shows("document.querySelector('dialog[open] [name=starts_at]')?.value === '11:00'").await;
    view.shows(&format!("document.querySelector('dialog [name=staff_id]').value === '{}'", page.practice.staff[1]))
        .await;
    view.shows("document.querySelector('dialog [data-time=\"11:00\"]')?.ariaPressed === 'true'").await;
    page.types("name", "Grace Hopper").await;
    page.types("phone", "030 901820").await;
    view.picture("calendar-book").await;
    // On the phone the agent books the same for a caller.
    let line = line_of(&page.practice).await;
    let wish = |time: &str, name: &str| json!({"date": page.day, "time": time, "staff": "Dr. 1", "name": name});
    let agent = async |id: &str, wish: Value| {
        use_tool(page.practice.server, &line, ("call-1", id), "book_appointment", wish).await
    };
    let booked = agent("t1", wish("11:00", "Mary Jackson")).await;
    assert!(booked.as_ref().is_ok_and(|told| told.ends_with(" with Dr. 1.")), "{booked:?}");
    view.click("dialog[open] [type=submit]").await;
    view.shows("document.querySelector('dialog .taken[data-code=slot_taken]')?.textContent.includes('Somebody else has this time already')").await;
    view.picture("calendar-taken").await;
    let first = view.shows("document.querySelector('dialog [data-alternative]').dataset.alternative").await;
    assert_eq!(first, *page.at("11:30"));
    view.click("dialog [data-alternative]").await;
    view.shows("document.querySelector('dialog') === null").await;
    let own = page.stands(1, "Grace Hopper").await;
    assert_eq!(page.stored(&own).await["starts_at"], *page.at("11:30"));
    let other = page.stands(1, "Mary Jackson").await;
    assert_eq!(page.stored(&other).await["starts_at"], *page.at("11:00"));
    // What was booked in the page the agent does not get either, and can tell why.
    let told = agent("t2", wish("11:30", "Eve")).await.expect_err("taken");
    assert!(told.starts_with("That time was just taken. The next free times are "), "{told}");
    // What is wrong is said beside its field.
    view.click("[data-action=book]").await;
    view.shows("document.querySelector('dialog [data-time]')").await;
    view.click("dialog [data-time=\"15:00\"]").await;
    view.click("dialog[open] [type=submit]").await;
    view.shows("document.activeElement.name === 'name' && document.activeElement.ariaInvalid === 'true'").await;
    view.click("dialog [data-action=close]").await;
}

async fn dragged(page: &Page<'_>, id: &str) {
    page.drag((0, 600), (1, 13 * 60)).await;
    assert_eq!(page.stands(1, HOSTILE).await, id);
    page.view.shows("document.querySelector('#status').textContent.includes('Moved to')").await;
    let moved = page.stored(id).await;
    assert_eq!((&moved["starts_at"], &moved["staff_id"]), (page.at("13:00"), &json!(page.practice.staff[1])));
    // To where somebody else is it cannot go, and stays where it was.
    page.drag((1, 13 * 60), (1, 11 * 60)).await;
    page.view.shows("document.querySelector('dialog[data-sheet=move] .taken[data-code=slot_taken]')").await;
    page.view.picture("calendar-move").await;
    page.view.click("dialog [data-action=close]").await;
    assert_eq!(page.stored(id).await["starts_at"], *page.at("13:00"));
    let back = format!("document.querySelector('{} [data-id=\"{id}\"]')?.ariaLabel.includes('1:00')", page.column(1));
    page.view.shows(&back).await;
}

/// By the keyboard: confirmed, moved by the form, cancelled.
async fn in_full(page: &Page<'_>, id: &str) {
    let view = &page.view;
    let open = async || {
        let focus = format!("document.querySelector('.appointment[data-id=\"{id}\"]').focus()");
        view.browser.execute(&focus, &[]).await.unwrap();
        view.press_enter().await;
        view.shows("document.querySelector('dialog[data-sheet=appointment] [data-action=cancelled]')").await;
    };
    open().await;
    view.shows("document.querySelectorAll('dialog img').length === 0").await;
    view.picture("calendar-appointment").await;
    view.click("dialog [data-action=confirmed]").await;
    view.shows("document.querySelector('dialog .facts .badge').textContent === 'confirmed'").await;
    view.shows(&format!("document.querySelector('.appointment[data-id=\"{id}\"]').dataset.state === 'confirmed'"))
        .await;
    view.click("dialog [data-action=move]").await;
    view.shows("document.querySelector('dialog[data-sheet=move] [data-time]')").await;
    view.click("dialog [data-time=\"16:00\"]").await;
    view.click("dialog [type=submit]").await;
    view.shows("document.querySelector('dialog') === null").await;
    assert_eq!(page.stored(id).await["starts_at"], *page.at("16:00"));
    open().await;
    view.mean("dialog [data-action=cancelled]").await;
    view.shows("document.querySelector('dialog .facts .badge').textContent === 'cancelled'").await;
    view.click("dialog [data-action=close]").await;
    view.shows(&format!("document.querySelector('.appointment[data-id=\"{id}\"]') === null")).await;
    view.click("#show-cancelled").await;
    view.shows(&format!("document.querySelector('.appointment[data-id=\"{id}\"]')?.dataset.state === 'cancelled'"))
        .await;
}

async fn as_a_week_and_on_a_phone(page: &Page<'_>) {
    let view = &page.view;
    for (time, staff, name) in
        [("09:00", 0, "Katherine Johnson"), ("09:00", 1, "Dorothy Vaughan"), ("14:00", 0, "Ada Lovelace")]
    {
        page.books(time, staff, name).await;
    }
    page.stands(0, "Ada Lovelace").await;
    view.picture("calendar-day").await;
    view.click("[data-view=week]").await;
    view.shows(
        "document.querySelectorAll('.column').length === 7 && document.querySelectorAll('.appointment').length >= 5",
    )
    .await;
    view.shows(
        "[...document.querySelectorAll('.appointment')].some((one) => one.textContent.includes('Katherine Johnson'))",
    )
    .await;
    view.picture("calendar-week").await;
    view.fits().await;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("calendar-phone-week").await;
    view.click("[data-view=day]").await;
    view.shows("document.querySelectorAll('.column').length === 2").await;
    view.fits().await;
    view.picture("calendar-phone").await;
    view.click("[data-action=book]").await;
    view.shows("document.querySelector('dialog [data-time]')").await;
    view.fits().await;
    view.picture("calendar-phone-book").await;
    view.click("dialog [data-action=close]").await;
    view.browser.set_window(1280, 900).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sets_the_reception_up() {
    let Some(browser) = Browser::start().await else { return };
    let server = TestApp::start(Engine::Sqlite, &[]).await.expect("SQLite is always there");
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let view = View { browser };
    view.browser.set_window(1280, 900).await.unwrap();
    view.browser.goto(&format!("{}/calendar", server.address)).await.unwrap();
    view.sign_in(&bob.email, "password of bob", Some(&ada.organisation)).await;
    view.shows("document.querySelector('#page .nothing')?.textContent.includes('An administrator')").await;
    view.shows("document.querySelector('.operator-head [href=\"/inbox\"]').hidden").await;
    view.sign_in(&ada.email, "password of ada", None).await;
    let fill = async |field: &str, words: &str| {
        let input = view.browser.find(field).await.unwrap();
        input.clear().await.unwrap();
        input.type_text(words).await.unwrap();
    };
    view.shows("document.querySelector('[data-form=hours] [name=week-0]')?.value === '09:00-17:00'").await;
    view.shows("document.querySelector('.operator-head [href=\"/inbox\"]').hidden === false").await;
    view.picture("calendar-set-up").await;
    fill("[data-form=hours] [name=time_zone]", "Europe/Lisbon").await;
    fill("[data-form=hours] [name=week-5]", "nine to ten").await;
    view.click("[data-form=hours] [type=submit]").await;
    view.shows("document.activeElement.name === 'week-5' && document.activeElement.ariaInvalid === 'true'").await;
    fill("[data-form=hours] [name=week-5]", "09:00-12:30, 13:30-15:00").await;
    view.click("[data-form=hours] [type=submit]").await;
    view.click("[data-action=add-service]").await;
    fill("dialog [name=name]", "Cleaning <b>of</b> teeth").await;
    fill("dialog [name=price_micros]", "80.50").await;
    view.click("dialog [type=submit]").await;
    view.shows("document.querySelector('[data-part=service] li')?.textContent.includes('Cleaning <b>of</b> teeth')")
        .await;
    view.click("[data-action=add-staff]").await;
    fill("dialog [name=name]", "Dr. Ines Duarte").await;
    view.click("dialog [type=submit]").await;
    view.shows("document.querySelector('[data-part=staff] li')?.textContent.includes('Cleaning')").await;
    let send = async |path: &str| server.send("GET", path, Some(&ada.access_token), None).await.expect(200);
    let reception = send("/v1/reception").await;
    assert_eq!((&reception["time_zone"], &reception["week"][5][1]), (&json!("Europe/Lisbon"), &json!("13:30-15:00")));
    let service = send("/v1/services").await["data"][0].clone();
    assert_eq!((&service["price_micros"], &service["currency"]), (&json!(80_500_000), &json!("EUR")));
    assert_eq!(send("/v1/staff").await["data"][0]["services"], json!([service["id"]]));
    // A day that is not like others closes the calendar.
    let script = "const day = document.querySelector('[data-form=day] [name=day]'); day.value = '2030-12-24'";
    view.browser.execute(&script.replace("2030-12-24", &server.now().to_string()[..10]), &[]).await.unwrap();
    fill("[data-form=day] [name=name]", "The roof leaks").await;
    view.click("[data-form=day] [type=submit]").await;
    view.shows("document.querySelector('[data-part=days] [data-day]')?.textContent.includes('closed')").await;
    view.picture("calendar-settings").await;
    view.browser.set_window(390, 844).await.unwrap();
    view.fits().await;
    view.picture("calendar-settings-phone").await;
    view.browser.set_window(1280, 900).await.unwrap();
    view.click("[data-view=week]").await;
    view.shows("document.querySelector('.special').textContent.includes('The roof leaks')").await;
    view.shows("document.querySelectorAll('.column').length === 7").await;
    view.complains_of_nothing_but(&["status of 401", "status of 409"]).await;
}
