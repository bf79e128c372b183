//! The page of emergency controls, which operators of the installation see.

use mainstay_testing::Browser;
use serde_json::json;

use super::experiments::keep_picture;
use super::view::View;
use crate::support::binary::Installation;

async fn write(page: &View, css: &str, text: &str) {
    let script = "const [css, text] = arguments; const control = document.querySelector(css); control.value = text;
        control.dispatchEvent(new Event('change', {bubbles: true}));";
    page.browser.execute(script, &[json!(css), json!(text)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_turns_a_part_off_and_on_again() {
    let Some(browser) = Browser::start().await else { return };
    let installation = Installation::new();
    installation.people(2).await;
    installation.run(&["user", "operator", "--email", "writer0@example.com"]).await.says(0, &[]);
    let server = installation.serve().await;
    let page = View { browser };
    page.open_to_operators(&server, "/controls").await;
    page.shows("document.querySelector('#controls .nothing')?.textContent.includes('Nothing is set')").await;

    // A switch is off, and nothing else: it is asked whether that is meant.
    write(&page, "[name=name]", "sign_up").await;
    page.shows(
        "document.querySelector('[name=value]').value === 'off' && document.querySelector('[name=value]').readOnly",
    )
    .await;
    page.shows("document.querySelector('#control-about').textContent.includes('Nobody makes an account')").await;
    write(&page, "form[aria-label='Set a control'] [name=reason]", "bots <b>sign</b> up").await;
    page.mean("[data-action=set]").await;
    page.shows("document.querySelector('[data-control=sign_up] .badge')?.textContent === 'off'").await;
    let body = json!({"email": "bob@example.com", "password": "a long password", "name": "Bob"});
    server.send("POST", "/v1/auth/sign-up", "", Some(body.clone())).await.unwrap().refused(503, "switched_off");
    page.shows("document.querySelector('[data-control=sign_up]').textContent.includes('bots <b>sign</b> up')").await;

    // What is refused is said.
    write(&page, "[name=name]", "limits.percent").await;
    write(&page, "[name=value]", "5000").await;
    write(&page, "form[aria-label='Set a control'] [name=reason]", "a storm").await;
    page.click("[data-action=set]").await;
    page.shows("document.querySelector('.listing-notice')?.textContent.includes('1 to 1000 per cent')").await;
    write(&page, "[name=value]", "50").await;
    page.click("[data-action=set]").await;
    page.shows("document.querySelector('[data-control=\"limits.percent\"] .badge')?.textContent === '50'").await;
    keep_picture(&page.browser, "controls.png").await;

    write(&page, "[data-control=sign_up] [name=reason]", "they are gone").await;
    page.click("[data-action=clear-sign_up]").await;
    page.shows("!document.querySelector('[data-control=sign_up]')").await;
    page.shows("document.querySelector('#control-changes li')?.textContent.includes('they are gone')").await;
    page.shows("document.querySelectorAll('#control-changes li').length === 3").await;
    server.send("POST", "/v1/auth/sign-up", "", Some(body)).await.unwrap().expect(201);
    page.browser.set_window(390, 844).await.unwrap();
    keep_picture(&page.browser, "controls-phone.png").await;
    page.shows("document.documentElement.scrollWidth <= innerWidth").await;
    page.complains_of_nothing_but(&["status of 401", "status of 403", "status of 400"]).await;
    server.stop().await;
}
