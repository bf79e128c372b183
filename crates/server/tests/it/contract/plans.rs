//! The operations of plans.

use mainstay_server::billing::apply_fastspring;
use serde_json::json;

use super::Driver;
use crate::support::fake_fastspring::FakeFastSpring;
use crate::support::{Engine, Person, TestApp};

/// A server that sells plans, and who takes the money.
pub(super) async fn start(engine: Engine, more: &[(&str, &str)]) -> Option<(TestApp, FakeFastSpring)> {
    let fake = FakeFastSpring::start().await;
    let url = json!(fake.url).to_string();
    let mut settings = vec![
        ("billing.fastspring.storefront", r#""acme.onfastspring.com""#),
        ("billing.fastspring.products", r#"["core-monthly = core", "studio-monthly = studio"]"#),
        ("billing.fastspring.api_username", r#""acme""#),
        ("billing.fastspring.api_password", r#""s3cret""#),
        ("billing.fastspring.api_url", url.as_str()),
    ];
    settings.extend_from_slice(more);
    Some((TestApp::start(engine, &settings).await?, fake))
}

/// What an administrator does who buys a plan, changes it and cancels it.
pub(super) async fn drive(driver: &mut Driver<'_>, ada: &Person) {
    let token = Some(ada.access_token.as_str());
    driver.good(200, "POST /v1/checkout-sessions", None, token, Some(json!({"plan": "core"}))).await;
    let app = &driver.server.app;
    let now = app.clock.now().as_millis();
    let event = json!({"id": "e1", "live": true, "type": "subscription.activated", "created": now, "data": {
        "subscription": "sub1", "state": "active", "product": "core-monthly", "tags": {"organisation": ada.organisation},
    }});
    apply_fastspring(app, None, &event).await.expect("applied");
    driver.good(200, "GET /v1/plan", None, token, None).await;
    driver.good(202, "POST /v1/plan/change", None, token, Some(json!({"plan": "studio"}))).await;
    driver.good(202, "POST /v1/plan/cancel", None, token, None).await;
    driver.good(200, "GET /v1/invoices", None, token, None).await;
}
