//! The page of campaigns: an administrator writes one, reads a list in, launches it and sees what comes of it; members look on.

use std::time::Duration;

use mainstay_testing::smtp_sink::Kept;
use serde_json::json;

use super::calendar::HOSTILE;
use super::office::Office;
use crate::support::{Person, eventually, text};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// As a spreadsheet program writes it: two rows are bad, one is there twice, one is suppressed.
const LIST: &str = "E-Mail;Vorname;Firma;Job title\\r\\n\
    ada@lead.example;<b>Zoe</b>;Acme;=SUM(A1)\\r\\n\
    nobody;<i>Eve</i>;;\\r\\n\
    ADA@lead.example;Again;;\\r\\n\
    eve@no.example;Eve;;\\r\\n\
    bob@lead.example;Bob;too;many;columns\\r\\n\
    bob@lead.example;Bob;;\\r\\n\
    cy@lead.example;;;\\r\\n";

/// What somebody reads mail with.
pub(super) const READER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// The path of the image by which it is noted that an email was opened.
fn image_of(kept: &Kept) -> String {
    let message = String::from_utf8(kept.bytes.as_ref().expect("kept").to_vec()).expect("ASCII");
    let message = message.replace("=\r\n", "").replace("=3D", "=");
    let (_, path) = message.split_once("https://mail.example.com/t/").expect("an image");
    format!("/t/{}", path.split('"').next().expect("its end"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_writes_a_campaign_launches_it_and_sees_what_comes_of_it() {
    let Some(office) = Office::open().await else { return };
    let view = &office.view;
    let bob = office.server.person("bob").await;
    office.send("POST", "/v1/members", Some(json!({"email": bob.email, "role": "member"})), 201).await;
    office.arrive("/campaigns").await;
    view.counts("#campaigns .nothing", "There are no campaigns yet").await;
    let campaign = one_is_made(&office).await;
    the_checklist_is_there_before(&office).await;
    what_is_missing_is_told(&office).await;
    the_sequence_is_written(&office, &campaign).await;
    a_list_is_read_in(&office).await;
    who_sends_is_chosen(&office, &campaign).await;
    a_text_is_tried(&office).await;
    what_leads_lack_is_told(&office).await;
    it_is_launched(&office, &campaign).await;
    tables_are_saved(&office).await;
    a_lead_is_stopped(&office).await;
    settings_are_changed(&office, &campaign).await;
    on_a_phone(&office, &campaign).await;
    for_members(&office, &campaign, &bob).await;
    view.shows("!document.title.includes('taken')").await;
    view.complains_of_nothing_but(&["status of 400", "status of 401"]).await;
}

/// Made in the window of the list, with a name that would be markup.
pub(super) async fn one_is_made(office: &Office) -> String {
    let view = &office.view;
    view.click("[data-action=add-campaign]").await;
    view.shows("document.activeElement.name === 'name'").await;
    view.shows("[...document.querySelectorAll('[data-form=campaign] :is(input, select, textarea)')].every((one) => one.labels.length === 1)").await;
    office.write("[data-form=campaign] [name=name]", HOSTILE).await;
    office.write("[data-form=campaign] [name=time_zone]", "Nowhere").await;
    view.click("[data-form=campaign] [type=submit]").await;
    office.refuses("[data-form=campaign] [name=time_zone]", "").await;
    office.write("[data-form=campaign] [name=time_zone]", "Europe/Berlin").await;
    office.write("[data-form=campaign] [name=sending_window]", "mon-sun 00:00-24:00").await;
    view.picture("campaign-new").await;
    view.click("[data-form=campaign] [type=submit]").await;
    let heading = json!(format!("{HOSTILE} draft"));
    view.shows(&format!("document.querySelector('.campaign-name')?.textContent === {heading}")).await;
    view.shows("document.querySelectorAll('.campaign-name img').length === 0").await;
    text(&view.shows("new URLSearchParams(location.search).get('campaign')").await)
}

/// It opens by itself while nothing was launched, and leads to where each thing is mended.
async fn the_checklist_is_there_before(office: &Office) {
    let view = &office.view;
    view.counts("[data-part=checklist] .verdict", "2 things stand in the way.").await;
    view.counts("[data-check=missing]", "stands in the way").await;
    view.counts("[data-check=postal_address_missing]", "would harm").await;
    view.shows("document.querySelectorAll('.checks [data-severity=blocks] .cures a').length === 2").await;
    view.picture("campaign-draft").await;
}

async fn what_is_missing_is_told(office: &Office) {
    let view = &office.view;
    view.mean("[data-action=launch]").await;
    view.counts(".missing", "2 things are missing").await;
    view.counts(".missing [data-field=steps]", "Write at least one step").await;
    view.counts(".missing [data-field=account_ids]", "Name an account that sends").await;
    view.picture("campaign-missing").await;
    view.click(".missing [data-field=steps] a").await;
    view.shows("document.querySelector('.parts [data-part=sequence][aria-current]')").await;
}

async fn the_sequence_is_written(office: &Office, campaign: &str) {
    let view = &office.view;
    // What is wrong with a text is told at its part, with the cursor where it is.
    office.write("[data-step='1'] [name=subject]", "Hello {{first_name | \"there\"}}").await;
    office.write("[data-step='1'] [name=text]", "Dear\n {{first_name").await;
    view.click("[data-action=save-steps]").await;
    office.refuses("[data-step='1'] [name=text]", "Line 2, column 2").await;
    view.shows("document.activeElement.name === 'text' && document.activeElement.selectionStart === 6").await;
    // A field is put in where the cursor is.
    office.write("[data-step='1'] [name=text]", "Dear ").await;
    view.browser
        .execute("const text = document.querySelector('[name=text]'); text.focus(); text.setSelectionRange(5, 5)", &[])
        .await
        .unwrap();
    office.write("[name=instead]", "").await;
    view.click("[data-action=insert-field]").await;
    view.shows("document.querySelector('[name=text]').value === 'Dear {{first_name}}'").await;
    let first = "[data-step='1'] .variant:nth-of-type(1)";
    view.click(&format!("{first} summary")).await;
    office.write(&format!("{first} [name=html]"), "<p>Dear {{first_name | \"friend\"}}</p>").await;
    // Another text of the step, with HTML and a larger share, and a second step.
    view.click("[data-step='1'] [data-action=add-variant]").await;
    view.shows("document.querySelectorAll('[data-step=\"1\"] .variant').length === 2").await;
    let second = "[data-step='1'] .variant:nth-of-type(2)";
    office.write(&format!("{second} [name=weight]"), "3").await;
    view.counts(second, "75 % of the leads").await;
    office.write(&format!("{second} [name=subject]"), "Good day").await;
    office.write(&format!("{second} [name=text]"), "Good day").await;
    view.click(&format!("{second} summary")).await;
    office
        .write(
            &format!("{second} [name=html]"),
            "<p>Good <em>day</em></p><script>parent.document.title='taken'</script>",
        )
        .await;
    view.click("[data-action=add-step]").await;
    office.write("[data-step='2'] [name=delay]", "900").await;
    office.write("[data-step='2'] [name=text]", "Did you see it?").await;
    view.click("[data-action=save-steps]").await;
    office.refuses("[data-step='2'] [name=delay]", "at most 365d").await;
    office.write("[data-step='2'] [name=delay]", "2").await;
    // What is not saved stays while another part is looked at.
    office.part("figures").await;
    office.part("sequence").await;
    view.counts(".save-bar", "Not saved yet").await;
    view.shows("document.querySelector('[data-step=\"2\"] [name=delay]')?.value === '2'").await;
    view.click("[data-action=save-steps]").await;
    view.counts(".save-bar", "The sequence is saved").await;
    view.picture("campaign-sequence").await;
    let kept = office.send("GET", &format!("/v1/campaigns/{campaign}/steps"), None, 200).await;
    assert_eq!((&kept["steps"][1]["delay"], &kept["steps"][0]["variants"][1]["weight"]), (&json!("2d"), &json!(3)));
    assert_eq!(kept["steps"][0]["variants"][0]["text"], "Dear {{first_name}}");
}

async fn a_list_is_read_in(office: &Office) {
    let view = &office.view;
    office.send("POST", "/v1/suppressions", Some(json!({"subjects": ["@no.example"]})), 201).await;
    office.part("import").await;
    view.counts(".imports .nothing", "Nothing was imported yet").await;
    office.choose_file("empty.csv", "''").await;
    view.shows("document.querySelector('.part-place .notice')").await;
    office.choose_file("people.csv", &format!("\"{LIST}\"")).await;
    view.shows("document.querySelectorAll('.columns tbody tr').length === 4").await;
    view.counts("[data-column='1'] .values", "<b>Zoe</b>").await;
    view.shows("document.querySelectorAll('.values :is(b, i)').length === 0").await;
    // The mapping by hand: two columns cannot be the same, and a field of one's own has a name.
    office.write("[name=column-2]", "first_name").await;
    view.counts(".columns .field-error", "Two columns are").await;
    office.write("[name=column-2]", "company").await;
    office.write("[name=field-3]", "").await;
    view.counts(".columns .field-error", "Give the field for Job title a name").await;
    office.write("[name=field-3]", "post").await;
    view.picture("campaign-columns").await;
    view.click("[data-action=begin-import]").await;
    view.counts(".import h3", "finished").await;
    for (name, words) in [("added", "4 added"), ("duplicates", "1 there"), ("suppressed", "1 not"), ("bad", "2 bad")] {
        view.counts(&format!(".import [data-count={name}]"), words).await;
    }
    view.click(".import [data-part=faults] summary").await;
    view.shows("document.querySelectorAll('.faults tbody tr').length === 2").await;
    view.counts(".faults tbody tr", "nobody;<i>Eve</i>").await;
    view.shows("document.querySelectorAll('.faults i').length === 0").await;
    view.picture("campaign-imported").await;
    // The table of bad rows is a file, which the browser makes of what it has fetched with its token.
    let script =
        "URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text)); return 'blob:nothing'; };
        HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };";
    view.browser.execute(script, &[]).await.unwrap();
    view.click(".import [data-action=faults-file]").await;
    view.shows("window.savedAs === 'people-faults.csv' && window.saved?.includes('invalid_email')").await;
}

/// All leads, and all figures, as files that the browser makes of what it has fetched with its token.
async fn tables_are_saved(office: &Office) {
    let view = &office.view;
    let script =
        "URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text)); return 'blob:nothing'; };
        HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };";
    view.browser.execute(script, &[]).await.unwrap();
    office.part("figures").await;
    view.click("[data-action=figures-file]").await;
    view.shows("/^[a-z0-9-]+-figures\\.csv$/.test(window.savedAs) && window.saved?.startsWith('day,step,')").await;
    office.part("leads").await;
    view.click("[data-action=leads-file]").await;
    view.shows("/^[a-z0-9-]+-leads\\.csv$/.test(window.savedAs) && window.saved?.split('\\r\\n').length === 6").await;
    view.shows("window.saved.includes(\"'=SUM(A1)\")").await;
}

async fn who_sends_is_chosen(office: &Office, campaign: &str) {
    let view = &office.view;
    office.part("settings").await;
    view.counts("[data-part=accounts]", "There is no account that sends").await;
    let id = office.account("ada@example.com").await;
    office.goto(&format!("/campaigns?campaign={campaign}&part=settings")).await;
    view.click(&format!("[name=account-{id}]")).await;
    view.click("[data-form=accounts] [type=submit]").await;
    view.counts("section[data-part=accounts] .told", "It is saved").await;
    // It is noted who opens them.
    view.click("[data-form=settings] [name=track_opens]").await;
    office.write("[data-form=settings] [name=goal_url]", "ftp://shop.example/").await;
    view.click("[data-form=settings] [type=submit]").await;
    office.refuses("[data-form=settings] [name=goal_url]", "https://example.com/thanks").await;
    office.write("[data-form=settings] [name=goal_url]", "https://shop.example/thanks").await;
    view.click("[data-form=settings] [type=submit]").await;
    view.counts(".part-place .told", "The settings are saved").await;
    let kept = office.send("GET", &format!("/v1/campaigns/{campaign}"), None, 200).await;
    let noted = json!([true, false, "https://shop.example/thanks"]);
    assert_eq!(json!([kept["track_opens"], kept["track_clicks"], kept["goal_url"]]), noted);
    let used = office.send("GET", &format!("/v1/campaigns/{campaign}/accounts"), None, 200).await;
    assert_eq!(used["account_ids"], json!([id]));
}

async fn a_text_is_tried(office: &Office) {
    let view = &office.view;
    office.part("sequence").await;
    view.shows("document.querySelector('.trial [name=which]')?.options.length === 3").await;
    // Whoever has no first name would get no email.
    view.click("[data-action=preview]").await;
    view.counts(".letter-place", "There is nothing for first_name").await;
    let script = "const [name, text] = arguments;
        const select = document.querySelector(`.trial [name=${name}]`);
        select.value = [...select.options].find((option) => option.text === text).value;";
    let choose =
        async |name: &str, text: &str| view.browser.execute(script, &[json!(name), json!(text)]).await.unwrap();
    choose("lead", "ada@lead.example").await;
    view.click("[data-action=preview]").await;
    view.counts(".letter-place pre", "Dear <b>Zoe</b>").await;
    view.counts(".letter-place .subject", "Hello <b>Zoe</b>").await;
    // HTML is in a frame that runs nothing.
    choose("which", "Step 1, B").await;
    view.click("[data-action=preview]").await;
    view.shows("document.querySelector('iframe.letter')?.getAttribute('sandbox') === ''").await;
    view.shows("document.querySelector('iframe.letter').srcdoc.includes('<em>day</em>')").await;
    view.shows("document.querySelectorAll('.letter-place em').length === 0").await;
    view.click(".trial details summary").await;
    view.shows("document.querySelector('[data-form=test-email] [name=account_id]')?.options.length === 1").await;
    view.click("[data-form=test-email] [type=submit]").await;
    view.counts(".trial [data-outcome=accepted]", "Its server has taken it").await;
    assert_eq!(office.sink.count(), 1);
    view.picture("campaign-trial").await;
}

async fn what_leads_lack_is_told(office: &Office) {
    let view = &office.view;
    view.mean("[data-action=launch]").await;
    view.counts(".missing", "One thing is missing").await;
    view.counts(".missing [data-field='leads.first_name']", "has no first_name").await;
    view.click(".missing [data-field='leads.first_name'] a").await;
    view.counts(".item h2", "cy@lead.example").await;
    office.part("sequence").await;
    office.write("[data-step='1'] [name=text]", "Dear {{first_name | \"friend\"}}").await;
    view.click("[data-action=save-steps]").await;
    view.counts(".save-bar", "The sequence is saved").await;
}

async fn it_is_launched(office: &Office, campaign: &str) {
    let view = &office.view;
    office.part("figures").await;
    office.figure("leads", "4").await;
    office.figure("sent", "0").await;
    view.browser.execute("window.stays = true", &[]).await.unwrap();
    view.mean("[data-action=launch]").await;
    view.counts(".campaign-name .badge", "running").await;
    assert!(office.sink.wait_for(4, PATIENCE).await, "a test and three leads");
    office.figure("sent", "3").await;
    office.figure("leads", "3 active · 1 stopped").await;
    view.shows("document.querySelectorAll('.plot .whole').length === 1").await;
    view.counts(".plot title", "3 sent").await;
    view.shows("document.querySelectorAll('.figure-tables table').length === 3").await;
    view.counts(".figure-tables", "ada@example.com").await;
    machines_are_told_apart(office, campaign).await;
    // Somebody leaves, and the page hears of it.
    let emails = office.send("GET", &format!("/v1/emails?campaign_id={campaign}"), None, 200).await;
    let sent = emails["data"].as_array().expect("rows").iter().filter(|email| email["state"] == "accepted").count();
    assert_eq!(sent, 3);
    office.send("POST", "/v1/suppressions", Some(json!({"subjects": ["cy@lead.example"]})), 201).await;
    office.figure("leads", "2 active · 2 stopped").await;
    view.shows("window.stays === true").await;
    view.picture("campaign-figures").await;
}

/// A program looks at an email as it arrives, and then somebody does.
async fn machines_are_told_apart(office: &Office, campaign: &str) {
    let image = format!("{}{}", office.server.address, image_of(office.sink.kept().last().expect("an email")));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let opens = async |agent: &str| client.get(&image).header("user-agent", agent).send().await.expect("an answer");
    assert_eq!(opens("curl/8.0").await.status(), 200);
    office.figure("opened", "0").await;
    office.figure("opened", "1 by machines").await;
    office.figure("clicked", "not noted").await;
    // Nobody reads an email in the second in which it comes: somebody goes on until it counts.
    let path = format!("/v1/campaigns/{campaign}/figures");
    eventually(async || {
        opens(READER).await;
        let figures = office.send("GET", &path, None, 200).await;
        figures["data"].as_array().expect("rows").iter().any(|row| row["kind"] == "opened").then_some(())
    })
    .await;
    office.figure("opened", "33.3").await;
    office.view.counts(".plot title", "3 sent, 1 opened").await;
    office.view.counts(".figure-tables", "1 + 1").await;
}

async fn a_lead_is_stopped(office: &Office) {
    let view = &office.view;
    office.part("leads").await;
    view.rows(4).await;
    view.shows("document.querySelector('#filter-sort').selectedOptions[0].text === 'newest first'").await;
    // By words, by state, and in another order.
    view.choose("sort", "address, A to Z").await;
    view.shows("document.querySelector('.listing tbody a')?.textContent === 'ada@lead.example'").await;
    view.choose("sort", "address, Z to A").await;
    view.shows("document.querySelector('.listing tbody a')?.textContent === 'eve@no.example'").await;
    view.choose("state", "stopped").await;
    view.rows(2).await;
    view.picture("campaign-leads").await;
    view.click("[data-action=reset]").await;
    view.rows(4).await;
    view.browser.find("#filter-query").await.unwrap().type_text("acme").await.unwrap();
    view.click(".filters [type=submit]").await;
    view.rows(1).await;
    view.click(".listing tbody a").await;
    view.is("active").await;
    view.item_says(&["<b>Zoe</b>", "=SUM(A1)", "post", "Acme"]).await;
    view.shows("document.querySelectorAll('.item dd :is(b, i)').length === 0").await;
    view.shows("document.querySelectorAll('[data-part=sent] [data-email]').length === 2").await;
    view.counts("[data-part=sent]", "accepted").await;
    view.mean(".item [data-action=stop-lead]").await;
    view.is("stopped").await;
    view.counts("[data-part=sent]", "cancelled").await;
    view.shows("document.querySelector('[data-action=stop-lead]') === null").await;
    view.picture("campaign-lead").await;
    view.click(".item .back").await;
    view.rows(1).await;
    view.click("[data-action=reset]").await;
    view.rows(4).await;
    // One is added by hand, once.
    for (words, rows) in [("It is added.", 5), ("in this campaign already", 5)] {
        view.click("[data-action=add-lead]").await;
        office.write("[data-form=lead] [name=email]", "dee@lead.example").await;
        office.write("[data-form=lead] [name=fields]", "job_title").await;
        view.click("[data-form=lead] [type=submit]").await;
        office.refuses("[data-form=lead] [name=fields]", "has no colon").await;
        office.write("[data-form=lead] [name=fields]", "job_title: Engineer").await;
        view.click("[data-form=lead] [type=submit]").await;
        view.counts(".part-place > .told", words).await;
        view.rows(rows).await;
    }
    assert!(office.sink.wait_for(5, PATIENCE).await, "who is added while it runs is written to");
}

async fn settings_are_changed(office: &Office, campaign: &str) {
    let view = &office.view;
    office.part("settings").await;
    office.write("[data-form=settings] [name=name]", "Spring <u>fair").await;
    office.write("[data-form=settings] [name=sending_window]", "always").await;
    view.click("[data-form=settings] [type=submit]").await;
    office.refuses("[data-form=settings] [name=sending_window]", "").await;
    office.write("[data-form=settings] [name=sending_window]", "mon-fri 09:00-17:00").await;
    view.click("[data-form=settings] [type=submit]").await;
    view.counts(".part-place .told", "The settings are saved").await;
    view.counts(".campaign-name", "Spring <u>fair").await;
    view.mean("[data-action=pause]").await;
    view.counts(".campaign-name .badge", "paused").await;
    let found = office.send("GET", &format!("/v1/campaigns/{campaign}"), None, 200).await;
    assert_eq!((&found["state"], &found["sending_window"]), (&json!("paused"), &json!("mon-fri 09:00-17:00")));
    view.picture("campaign-settings").await;
    view.click(".back").await;
    view.counts("#campaigns tbody", "Spring <u>fair").await;
    view.counts("#campaigns tbody [data-label=Sent]", "4").await;
    view.picture("campaigns").await;
}

async fn on_a_phone(office: &Office, campaign: &str) {
    let view = &office.view;
    let size = json!({"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": true});
    view.browser.devtools("Emulation.setDeviceMetricsOverride", size).await.unwrap();
    let parts = [
        ("figures", ".figure-tables table"),
        ("sequence", ".step"),
        ("leads", ".listing tbody"),
        ("import", ".import"),
        ("settings", "[data-form=accounts]"),
    ];
    for (part, css) in parts {
        office.goto(&format!("/campaigns?campaign={campaign}&part={part}")).await;
        view.shows(&format!("document.querySelector({})?.checkVisibility()", json!(css))).await;
        view.fits().await;
        view.picture(&format!("campaign-{part}-phone")).await;
    }
    office.goto("/campaigns").await;
    view.shows("document.querySelector('#campaigns tbody')").await;
    view.fits().await;
    view.browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await.unwrap();
}

async fn for_members(office: &Office, campaign: &str, bob: &Person) {
    let view = &office.view;
    view.sign_in(&bob.email, "password of bob", Some(&office.owner.organisation)).await;
    view.counts("#campaigns tbody", "Spring <u>fair").await;
    view.shows("document.querySelector('[data-action=add-campaign]') === null").await;
    office.goto(&format!("/campaigns?campaign={campaign}")).await;
    office.figure("sent", "4").await;
    view.shows("document.querySelectorAll('.item-buttons button').length === 0").await;
    office.part("sequence").await;
    view.shows("document.querySelector('.variant')?.disabled").await;
    view.shows("['save-steps', 'add-step', 'add-variant'].every((name) => !document.querySelector(`[data-action=${name}]`).checkVisibility())").await;
    view.shows("document.querySelector('[data-form=test-email]') === null").await;
    view.click("[data-action=preview]").await;
    view.counts(".letter-place pre", "Dear friend").await;
    office.part("leads").await;
    view.rows(5).await;
    view.click(".listing tbody a").await;
    view.shows("document.querySelector('.item h2')").await;
    view.shows("document.querySelectorAll('[data-action=add-lead], [data-action=stop-lead]').length === 0").await;
    office.part("import").await;
    view.shows("document.querySelector('.import') && document.querySelector('[name=file]') === null").await;
    office.part("settings").await;
    view.shows("document.querySelector('[data-form=settings] fieldset')?.disabled").await;
    view.shows("document.querySelectorAll('.part-place [type=submit]').length === 0").await;
}

/// Nine megabytes: a few long rows, of which what is long is left out.
const LONG_LIST: &str = "['email,note\\n', ...Array.from({length: 1150}, (_, n) => `lead${n}@example.com,${'x'.repeat(8000)}\\n`)].join('')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_goes_on_after_a_line_that_broke_and_after_a_reload() {
    let Some(office) = Office::open().await else { return };
    let view = &office.view;
    let wish = json!({"name": "A long list", "time_zone": "UTC"});
    let campaign = text(&office.send("POST", "/v1/campaigns", Some(wish), 201).await["id"]);
    office.arrive(&format!("/campaigns?campaign={campaign}&part=import")).await;
    // The second part never gets an answer.
    view.shows("document.querySelector('[name=file]')").await;
    let script = "window.realFetch = window.fetch;
        window.fetch = (url, options) => {
            const query = new URL(url, location.origin).searchParams;
            if (String(url).includes('/content') && query.get('offset') !== '0') return new Promise(() => {});
            return window.realFetch(url, options);
        };";
    view.browser.execute(script, &[]).await.unwrap();
    office.choose_file("people.csv", LONG_LIST).await;
    view.shows("document.querySelector('[name=column-1]')").await;
    office.write("[name=column-1]", "skip").await;
    view.click("[data-action=begin-import]").await;
    view.shows("document.querySelector('.import progress')?.value > 0").await;
    view.counts(".import", "Keep this page open").await;
    view.picture("campaign-importing").await;
    // Looking at another part ends nothing.
    office.part("figures").await;
    office.part("import").await;
    view.counts(".import", "Keep this page open").await;

    view.browser.refresh().await.unwrap();
    view.counts(".import", "Choose the same file above").await;
    // What breaks once is tried again by itself.
    let script = "window.realFetch = window.fetch;
        window.fetch = (url, options) => {
            if (!String(url).includes('/content') || window.broke) return window.realFetch(url, options);
            window.broke = true;
            return Promise.reject(new TypeError('the line broke'));
        };";
    view.browser.execute(script, &[]).await.unwrap();
    office.choose_file("people.csv", LONG_LIST).await;
    view.counts(".chosen", "It was begun already").await;
    view.click("[data-action=go-on]").await;
    view.counts(".import h3", "finished").await;
    view.shows("window.broke === true").await;
    for (name, words) in [("added", "1,150 added"), ("duplicates", "0 there"), ("bad", "0 bad")] {
        view.counts(&format!(".import [data-count={name}]"), words).await;
    }
    view.shows("document.querySelectorAll('.import').length === 1").await;
    view.complains_of_nothing_but(&["status of 401"]).await;
}
