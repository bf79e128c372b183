//! Recordings of pages: nobody sends one who has not agreed, none is kept that can be read, and none for too long.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use mainstay_store::{AuditReplays, FirstChunk};
use serde_json::json;

use super::refusals::Refusals;
use super::{Looked, checks, some};
use crate::accounts::Guest;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;
use crate::ops::replays;

checks! { Security:
    "security.recordings" High Active Laptop refused,
    "Recordings of pages are taken of people who agree alone, and shown to operators alone.",
    "401 without a token; to a guest 403 for the list and for one, 400 for a recording that can be read, and 403 for one that is masked; 409 for both where recordings are off",
    "Compare the server with a release that you trust, and see that nothing stands in front of it that answers /v1/replays.";
    "security.recordings_masked" High Passive Laptop kept,
    "What is kept of pages cannot be read, and goes in time.",
    "in the newest ten recordings every text is made of asterisks and no name is unknown; none is older than replay.keep_days and a day",
    "Find out what writes to the database beside the program. Where recordings are too old, see in the log why housekeeping does not get through.";
}

/// How long the token of a guest is good.
const GUEST: Duration = Duration::from_secs(60);
/// How late housekeeping may be.
const LATE: Duration = Duration::from_secs(86_400);

/// A chunk of a recording with one text in it.
fn chunk(subject: &Subject, text: &str) -> Vec<u8> {
    let step = json!([{"type": 3, "timestamp": 1, "data": {"source": 0, "texts": [{"id": 1, "value": text}]}}]);
    let id: uuid::Uuid = subject.app.ids.make();
    let body = json!({"replay_id": id, "number": 0, "page": "/", "reason": "error", "events": step.to_string()});
    body.to_string().into_bytes()
}

async fn refused(subject: &Subject) -> Looked {
    let guest = subject.app.accounts.guest(GUEST);
    let mut refusals = Refusals::default();
    let one = format!("/v1/replays/{}", subject.app.ids.make::<uuid::Uuid>());
    let post = |text: &str| Some(chunk(subject, text));
    let nobody = [StatusCode::UNAUTHORIZED];
    for (what, method, path, body) in [
        ("one without a token", Method::POST, "/v1/replays", post("**")),
        ("the list without a token", Method::GET, "/v1/replays", None),
        ("one to look at without a token", Method::GET, one.as_str(), None),
    ] {
        let told = subject.live.send(method, path, &[("content-type", "application/json")], body).await?;
        refusals.note(what, told.status, &nobody);
    }
    let (off, forbidden) = (StatusCode::CONFLICT, StatusCode::FORBIDDEN);
    for (what, method, path, body, wanted) in [
        ("the list", Method::GET, "/v1/replays", None, [forbidden, forbidden]),
        ("one to look at", Method::GET, one.as_str(), None, [forbidden, forbidden]),
        ("one that can be read", Method::POST, "/v1/replays", post("Iris"), [StatusCode::BAD_REQUEST, off]),
        ("one of who has not agreed", Method::POST, "/v1/replays", post("****"), [forbidden, off]),
    ] {
        let status = ask(subject, &guest, method, path, body).await?;
        refusals.note(what, status, &wanted);
    }
    Ok(refusals.seen("refused"))
}

/// Asks as a guest.
async fn ask(
    subject: &Subject,
    guest: &Guest,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<StatusCode, Seen> {
    let bearer = format!("Bearer {}", guest.token.expose());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let told = subject.live.send(method, path, &headers, body).await?;
    if told.status == StatusCode::UNAUTHORIZED {
        return Err(Seen::unknown(
            "the server has another key than these settings: is --url the server of these settings?",
        ));
    }
    Ok(told.status)
}

async fn kept(subject: &Subject) -> Looked {
    let before = subject.app.clock.now().minus(subject.app.config.replay.kept() + LATE);
    let (newest, overdue) = subject.app.store.run(&subject.call(), AuditReplays(before)).await?;
    Ok(judge(&newest, overdue))
}

fn judge(newest: &[FirstChunk], overdue: u64) -> Seen {
    let readable = newest.iter().filter(|chunk| !replays::is_masked(&chunk.events));
    let mut wrong: Vec<String> =
        readable.map(|chunk| format!("recording {} of organisation {}", chunk.id, chunk.tenant)).collect();
    let measured = format!("{} of the newest {} can be read; {overdue} kept too long", wrong.len(), newest.len());
    if overdue > 0 {
        wrong.push("recordings that should be gone".to_owned());
    }
    Seen::told(wrong.is_empty(), measured).by(some(&wrong))
}
