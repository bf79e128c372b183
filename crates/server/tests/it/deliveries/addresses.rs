//! Where nothing is ever delivered to: addresses that are not public, by whatever way they are reached.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use mainstay_server::app::Outside;
use mainstay_server::outgoing::Lookup;
use serde_json::{Value, json};

use super::{SETTINGS, endpoint, publish, until};
use crate::support::receiver::{Answering, Receiver};
use crate::support::{Engine, TestApp, both};

both! {
    a_name_that_changes_its_mind_is_never_followed_inside,
}

/// A resolver whose answers change: first an address that may be called, then others that may not.
#[derive(Default)]
pub(crate) struct Rebinding {
    asked: AtomicUsize,
}

const INSIDE: [&str; 5] = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"];

impl Lookup for Rebinding {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let inside = INSIDE[turn % INSIDE.len()];
        let address = match name.as_str() {
            "changes.example" if turn.is_multiple_of(2) => "127.0.0.2",
            _ => inside,
        };
        let address: IpAddr = address.parse().expect("an address");
        Box::pin(async move { Ok(vec![address]) })
    }
}

async fn a_name_that_changes_its_mind_is_never_followed_inside(engine: Engine) {
    let settings: Vec<_> = SETTINGS.into_iter().chain([("deliveries.rest_after_failures", "1000")]).collect();
    let outside = Outside { lookup: Arc::new(Rebinding::default()), ..Outside::default() };
    let Some(server) = TestApp::start_with(engine, &settings, outside).await else { return };
    let (ada, receiver) = (server.person("ada").await, Receiver::start().await);
    let port = receiver.address.port();
    let canaries = [Receiver::on(&format!("127.0.0.1:{port}")).await, Receiver::on(&format!("[::1]:{port}")).await];
    receiver.answer(Answering::Status(302, vec![("location", format!("http://127.0.0.1:{port}/"))]));
    for host in ["changes.example", "inside.example", "127.0.0.2"] {
        endpoint(&server, &ada, json!({"url": format!("http://{host}:{port}/")})).await;
    }
    for n in 0..3 {
        publish(&server, &ada, "a", json!({"n": n})).await;
    }
    let all = |list: &Value| list["data"].as_array().is_some_and(|rows| rows.len() == 9);
    let list = until(&server, &ada, "/v1/webhook-deliveries?state=failed", all).await;
    let errors: Vec<_> = list["data"].as_array().expect("rows").iter().map(|row| row["error"].to_string()).collect();
    assert!(errors.iter().any(|error| error.contains("must be public")), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("Redirects are not followed")), "{errors:?}");
    assert_eq!(canaries.map(|canary| canary.connections()), [0, 0], "the canary was touched");
    // The judge itself.
    assert!(receiver.connections() > 0);
}
