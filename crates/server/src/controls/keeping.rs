//! What runs for as long as the node serves: it reads what is set, and does what does not wait for a request.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Result;
use mainstay_store::Call;
use tokio::time::{sleep, timeout};

use super::control::Part;
use super::snapshot::Active;
use crate::app::App;

/// Within what time a node hears of controls that are set, as the spread and the patience below have it.
pub(crate) const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is read, in the middle.
const EVERY: Duration = Duration::from_secs(2);
/// By how much of itself that differs: nodes that began together do not read together.
const SPREAD: f64 = 0.25;
/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the first reading may take.
const OPENING: Duration = Duration::from_secs(5);

/// Reads what is set for the first time, and starts what keeps reading.
///
/// # Errors
/// When it cannot be read.
pub async fn start(app: &Arc<App>) -> Result<()> {
    app.controls.read(&app.store, &Call::within(OPENING)).await?;
    let keeper = Arc::clone(app);
    app.lifecycle.spawn_until_drained("controls", async move { keep(&keeper).await });
    Ok(())
}

async fn keep(app: &App) {
    let mut known = Vec::new();
    let mut failing = false;
    loop {
        act(app, &mut known);
        let pause = EVERY.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * app.entropy.fraction());
        tokio::select! {
            () = sleep(pause) => {}
            () = app.controls.outdated.notified() => {}
        }
        // A store that hangs must not keep what has ended from ending.
        let read = timeout(PATIENCE, app.controls.read(&app.store, &Call::within(PATIENCE))).await;
        let fault = match read {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(late) => Some(late.to_string()),
        };
        if let (Some(error), false) = (&fault, failing) {
            tracing::warn!(error, "controls cannot be read; the last ones hold, and it is tried again");
        }
        failing = fault.is_some();
    }
}

/// Does what follows from what is set and has not been done yet.
fn act(app: &App, known: &mut Vec<Active>) {
    let now = app.controls.in_force();
    if now != *known {
        let set =
            now.iter().map(|active| format!("{} = {}", active.control.name(), active.setting)).collect::<Vec<_>>();
        tracing::info!(set = set.join(", "), "other controls hold here now");
        // What was off may be on.
        if let Some(worker) = app.worker.get() {
            worker.hint(&[]);
        }
        *known = now;
    }
    if let Some(until) = app.controls.off_until(Part::Live) {
        app.hub.end_all_until_later(app.controls.wait(until));
    }
}
