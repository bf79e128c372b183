//! What is looked at, in this order.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use mainstay_client::{Client, SendMessage};
use mainstay_domain::MessageStatus;
use tokio::time::timeout;

use super::Smoke;
use crate::ops::audit::Seen;
use crate::ops::audit::subject::Told;
use crate::outside::SystemEntropy;

/// The one without which nothing else is asked.
pub(super) const FIRST: &str = "smoke.alive";
/// How long a whole turn may take, from signing in to signing out.
const TURN: Duration = Duration::from_secs(60);
/// What is said. It is deleted again.
const QUESTION: &str = "This is a smoke check. Please answer with one word.";

type Look = for<'a> fn(&'a Smoke) -> Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// All of them.
pub(super) static ALL: &[(&str, Look)] = &[
    (FIRST, |smoke| Box::pin(alive(smoke))),
    ("smoke.ready", |smoke| Box::pin(ready(smoke))),
    ("smoke.health", |smoke| Box::pin(health(smoke))),
    ("smoke.build", |smoke| Box::pin(build(smoke))),
    ("smoke.page", |smoke| Box::pin(page(smoke))),
    ("smoke.assets", |smoke| Box::pin(assets(smoke))),
    ("smoke.headers", |smoke| Box::pin(headers(smoke))),
    ("smoke.closed", |smoke| Box::pin(closed(smoke))),
    ("smoke.turn", |smoke| Box::pin(turn(smoke))),
];

/// What a health route says in a few words: its status, and what is not well.
fn words(told: &Told) -> String {
    let body = told.json();
    let checks = body["checks"].as_object().cloned().unwrap_or_default();
    let bad = checks.iter().filter(|(_, check)| check["status"] != "ok");
    let bad: Vec<_> =
        bad.map(|(name, check)| format!("{name}: {}", check["detail"].as_str().unwrap_or_default())).collect();
    let status = body["status"].as_str().unwrap_or("no answer of this program").to_owned();
    if bad.is_empty() { format!("{} {status}", told.status.as_u16()) } else { format!("{status}, {}", bad.join("; ")) }
}

async fn alive(smoke: &Smoke) -> Seen {
    smoke
        .until(|| async {
            match smoke.live.get("/healthz").await {
                Ok(told) => Seen::told(
                    told.status == StatusCode::OK && told.json()["checks"]["process"].is_object(),
                    words(&told),
                ),
                Err(silent) => Seen::fail(silent.to_string()),
            }
        })
        .await
}

async fn ready(smoke: &Smoke) -> Seen {
    smoke.until(|| judged(smoke, "/readyz")).await
}

async fn health(smoke: &Smoke) -> Seen {
    smoke.until(|| judged(smoke, "/health")).await
}

/// Degraded is a warning: it serves, and something else is to be looked at.
async fn judged(smoke: &Smoke, path: &str) -> Seen {
    match smoke.live.get(path).await {
        Err(silent) => Seen::fail(silent.to_string()),
        Ok(told) => match (told.status, told.json()["status"].as_str()) {
            (StatusCode::OK, Some("ok")) => Seen::pass(words(&told)),
            (StatusCode::OK, Some("degraded")) => Seen::warn(words(&told)),
            _ => Seen::fail(words(&told)),
        },
    }
}

async fn build(smoke: &Smoke) -> Seen {
    let seen = smoke.until(|| told_build(smoke)).await;
    // Nobody said what it should be: what it is, is told all the same.
    if smoke.digest.is_none() && smoke.version.is_none() { Seen::pass(seen.measured) } else { seen }
}

async fn told_build(smoke: &Smoke) -> Seen {
    let told = match smoke.live.get("/health").await {
        Err(silent) => return Seen::fail(silent.to_string()),
        Ok(told) => told.json(),
    };
    let text = |name: &str| told[name].as_str().unwrap_or("not told").to_owned();
    let (version, digest) = (text("version"), text("digest"));
    let is_version = smoke.version.as_ref().is_none_or(|wanted| *wanted == version);
    let is_digest = smoke.digest.as_ref().is_none_or(|wanted| wanted.as_str() == digest);
    let mut missing = Vec::new();
    if !is_version {
        missing.push(format!("version {} was expected", smoke.version.as_deref().unwrap_or_default()));
    }
    if let (false, Some(wanted)) = (is_digest, &smoke.digest) {
        missing.push(format!("digest {wanted} was expected"));
    }
    Seen::told(missing.is_empty(), format!("version {version}, digest {digest}")).by(missing.join(", "))
}

async fn page(smoke: &Smoke) -> Seen {
    match smoke.live.get("/").await {
        Err(silent) => Seen::fail(silent.to_string()),
        Ok(told) => {
            let is_page = told.header("content-type").starts_with("text/html") && !told.assets().is_empty();
            let measured = format!("{} {}", told.status.as_u16(), told.header("content-type"));
            Seen::told(told.status == StatusCode::OK && is_page, measured)
        }
    }
}

async fn assets(smoke: &Smoke) -> Seen {
    let page = match smoke.live.get("/").await {
        Err(silent) => return Seen::fail(silent.to_string()),
        Ok(told) => told,
    };
    let (all, mut wrong) = (page.assets(), Vec::new());
    for name in &all {
        match smoke.live.get(&format!("/assets/{name}")).await {
            Ok(told) if told.status == StatusCode::OK && !told.text.is_empty() => {}
            Ok(told) => wrong.push(format!("{name}: {}", told.status.as_u16())),
            Err(silent) => wrong.push(format!("{name}: {silent}")),
        }
    }
    let measured = format!("{} of {} files", all.len() - wrong.len(), all.len());
    Seen::told(wrong.is_empty() && !all.is_empty(), measured).by(wrong.join("; "))
}

async fn headers(smoke: &Smoke) -> Seen {
    let page = match smoke.live.get("/").await {
        Err(silent) => return Seen::fail(silent.to_string()),
        Ok(told) => told,
    };
    let policy = page.header("content-security-policy");
    let mut missing = Vec::new();
    if policy.is_empty() || policy.contains("unsafe-inline") {
        missing.push("content-security-policy");
    }
    let fixed = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    missing.extend(fixed.into_iter().filter(|(name, value)| page.header(name) != *value).map(|(name, _)| name));
    if smoke.live.base().scheme() == "https" && page.header("strict-transport-security").is_empty() {
        missing.push("strict-transport-security");
    }
    let measured = if missing.is_empty() { "all are there" } else { "some are missing or changed" };
    Seen::told(missing.is_empty(), measured).by(missing.join(", "))
}

async fn closed(smoke: &Smoke) -> Seen {
    match smoke.live.get("/v1/conversations").await {
        Err(silent) => Seen::fail(silent.to_string()),
        Ok(told) => {
            let code = told.json()["code"].as_str().unwrap_or_default().to_owned();
            let measured = format!("without a token {} {code}", told.status.as_u16());
            Seen::told(told.status == StatusCode::UNAUTHORIZED && !code.is_empty(), measured)
        }
    }
}

async fn turn(smoke: &Smoke) -> Seen {
    if smoke.person.is_none() {
        return Seen::not_applicable("nobody was named who could sign in");
    }
    match timeout(TURN, talk(smoke)).await {
        Err(_) => Seen::fail(format!("no answer within {} s", TURN.as_secs())),
        Ok(Err(error)) => Seen::fail(error.to_string()),
        Ok(Ok(seen)) => seen,
    }
}

/// Signs in, says something, and takes it away again.
async fn talk(smoke: &Smoke) -> Result<Seen, mainstay_client::Error> {
    let Some((email, password)) = &smoke.person else { return Ok(Seen::not_applicable("nobody")) };
    let client = Client::builder(&smoke.address, Arc::new(SystemEntropy)).user_agent("mainstay-smoke").build()?;
    let (person, _) = client.sign_in(email, password).await?;
    let sent = person.send(&SendMessage::new(QUESTION)).await?;
    let (length, provider) = (sent.reply.content.chars().count(), sent.reply.provider.unwrap_or_default());
    let whole = sent.reply.status == MessageStatus::Final && length > 0;
    person.delete_conversation(sent.conversation_id).await?;
    person.sign_out().await?;
    Ok(Seen::told(whole, format!("signed in, and {length} characters came from {provider}: {}", sent.reply.status)))
}
