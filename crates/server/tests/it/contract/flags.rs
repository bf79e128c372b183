//! The operations of flags and experiments.

use std::time::Duration;

use mainstay_domain::{EmailAddress, FlagKey};
use mainstay_store::{Call, ExperimentStep, MoveExperiment, PutExperiment};
use serde_json::json;

use super::{Driver, text};
use crate::support::Person;

/// What a client does that shows a variant, and what an operator sees of it.
pub(super) async fn drive(driver: &mut Driver<'_>, ada: &Person) {
    let app = &driver.server.app;
    let call = || Call::within(Duration::from_secs(30));
    let email = EmailAddress::parse(&ada.email).expect("an address");
    app.accounts.set_operator(&call(), &email, true).await.expect("marked");
    let experiment = serde_json::from_value(json!({
        "unit": "person", "traffic": 10_000, "metric": "paid", "measure": "conversion",
        "variants": [{"name": "control", "weight": 1}, {"name": "short", "weight": 1}],
    }));
    let (key, now) = (FlagKey::parse("intro").expect("a key"), app.clock.now());
    let experiment = experiment.expect("an experiment");
    let put = PutExperiment { id: app.ids.make(), key: key.clone(), experiment, now };
    app.store.run(&call(), put).await.expect("made");
    let start = MoveExperiment { key, step: ExperimentStep::Start, now };
    app.store.run(&call(), start).await.expect("started");
    app.flags.load(&call()).await.expect("read");
    let token = Some(ada.access_token.as_str());
    let flags = driver.call("GET /v1/flags", None, token, None, &[]).await;
    let tag = flags.headers["etag"].to_str().expect("a tag").to_owned();
    let again = driver.call("GET /v1/flags", None, token, None, &[("if-none-match", &tag)]).await;
    assert_eq!((flags.status, again.status), (200, 304));
    driver.good(200, "POST /v1/exposures", None, token, Some(json!({"experiment": "intro"}))).await;
    let event = json!({"id": "01a1ff20-0000-7000-8000-000000000001", "name": "paid", "value": 2});
    driver.good(200, "POST /v1/events", None, token, Some(json!({"events": [event]}))).await;
    let list = driver.good(200, "GET /v1/experiments", None, token, None).await;
    let id = text(&list["data"][0]["id"]);
    driver.good(200, "GET /v1/experiments/{id}", Some(&id), token, None).await;
}
