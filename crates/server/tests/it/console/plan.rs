//! The page of the plan, and that a failure of the provider stays on it.

use std::time::Duration;

use mainstay_server::billing::apply_fastspring;
use mainstay_testing::Browser;
use serde_json::{Value, json};

use super::experiments::keep_picture;
use crate::support::fake_fastspring::{FakeFastSpring, Fault};
use crate::support::{Engine, TestApp};

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000;

async fn shows(browser: &Browser, css: &str, text: &str) {
    let script = format!("return document.querySelector('{css}')?.textContent.includes({})", json!(text));
    if browser.wait_for(&script, PATIENCE).await.is_err() {
        let found = browser.execute(&format!("return document.querySelector('{css}')?.textContent"), &[]).await;
        panic!("{css} shows {found:?}, not {text:?}; the console: {:?}", browser.console().await);
    }
}

async fn click(browser: &Browser, text: &str) {
    let script = "const [text] = arguments;
        [...document.querySelectorAll('#plan button')].find((one) => one.textContent.startsWith(text)).click();";
    browser.execute(script, &[json!(text)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_the_plan_changes_it_and_a_failure_stays_there() {
    let Some(browser) = Browser::start().await else { return };
    let fake = FakeFastSpring::start().await;
    let url = json!(fake.url).to_string();
    let settings = [
        ("billing.fastspring.storefront", r#""acme.onfastspring.com""#),
        ("billing.fastspring.products", r#"["core-monthly = core", "studio-monthly = studio"]"#),
        ("billing.fastspring.api_username", r#""acme""#),
        ("billing.fastspring.api_password", r#""s3cret""#),
        ("billing.fastspring.api_url", url.as_str()),
    ];
    let server = TestApp::start(Engine::Sqlite, &settings).await.expect("SQLite is always there");
    let ada = server.person("ada").await;
    let now = server.now().as_millis();
    let tell = async |id: &str, kind: &str, created: i64, data: Value| {
        let event = json!({"id": id, "live": true, "type": kind, "created": created, "data": data});
        apply_fastspring(&server.app, None, &event).await.expect("applied");
    };
    let subscription = json!({
        "subscription": "sub1", "state": "active", "product": "core-monthly", "changed": now - DAY, "next": now + 29 * DAY,
        "tags": {"organisation": ada.organisation},
    });

    browser.goto(&format!("{}/plan", server.address)).await.unwrap();
    shows(&browser, "#plan .off", "Sign in").await;
    let sign_in = "const done = arguments[0];
        const body = JSON.stringify({email: 'ada@example.com', password: 'password of ada', session: 'cookie'});
        fetch('/v1/auth/sign-in', {method: 'POST', headers: {'content-type': 'application/json'}, body})
            .then((answer) => done(answer.status));";
    assert_eq!(browser.execute_async(sign_in, &[]).await.unwrap(), json!(200));
    browser.refresh().await.unwrap();
    shows(&browser, "#plan .plan-words", "Nothing is paid.").await;
    shows(&browser, "#plan .offers", "Get CoreGet Studio").await;
    shows(&browser, "#limits", "As much as you like.").await;
    shows(&browser, "#invoices", "There are none.").await;
    shows(&browser, "#history", "It has never changed.").await;
    // The provider fails: it is said, and the rest stands.
    fake.fails(&[Fault::Status(500), Fault::Status(500)]);
    click(&browser, "Get Core").await;
    shows(&browser, "#notice .off", "cannot be asked just now").await;
    shows(&browser, "#plan .offers", "Get CoreGet Studio").await;
    keep_picture(&browser, "plan-trouble.png").await;

    // It is bought elsewhere and told.
    tell("e1", "subscription.activated", now - DAY, subscription).await;
    let order = json!({
        "id": "order-1", "reference": "<b>ACME-1", "currency": "USD", "total": 9.5, "changed": now - DAY,
        "invoiceUrl": "https://acme.onfastspring.com/invoice/1", "items": [{"subscription": "sub1"}],
    });
    tell("o1", "order.completed", now - DAY, order).await;
    browser.refresh().await.unwrap();
    shows(&browser, "#plan .plan-words", "Paid; the next payment is on").await;
    shows(&browser, "#plan .offers", "Upgrade to StudioCancel the subscription").await;
    shows(&browser, "#invoices", "<b>ACME-1").await;
    shows(&browser, "#history .cause", "subscription.activated (e1)").await;
    keep_picture(&browser, "plan.png").await;

    // What is asked for shows when it is told, without a reload.
    click(&browser, "Upgrade to Studio").await;
    shows(&browser, "#notice .said", "The change was asked for.").await;
    let larger = json!({
        "subscription": "sub1", "state": "active", "product": "studio-monthly", "changed": now, "next": now + 29 * DAY,
    });
    tell("e2", "subscription.updated", now, larger).await;
    shows(&browser, "#plan .plan-name", "studio").await;
    shows(&browser, "#plan .offers", "Downgrade to Core").await;
    click(&browser, "Cancel the subscription").await;
    shows(&browser, "#plan .offers", "Cancel it; the plan ends on").await;
    click(&browser, "Keep it").await;

    // A payment fails.
    tell("e3", "subscription.charge.failed", now, json!({"subscription": "sub1"})).await;
    browser.refresh().await.unwrap();
    shows(&browser, "#plan .is-urgent .plan-words", "Payment failed; the plan stays until").await;
    keep_picture(&browser, "plan-overdue.png").await;

    // The menu of the console leads there, and the console works on.
    browser.goto(&server.address).await.unwrap();
    browser.wait_for("return document.querySelector('#account-menu')?.hidden === false", PATIENCE).await.unwrap();
    browser.find("#account-menu").await.unwrap().click().await.unwrap();
    browser.find("#show-plan").await.unwrap().click().await.unwrap();
    shows(&browser, "#plan .plan-name", "studio").await;
    for line in browser.console().await.unwrap() {
        let known = ["status of 401", "status of 503"].iter().any(|part| format!("{line:?}").contains(part));
        assert!(known, "{line:?}");
    }
}
