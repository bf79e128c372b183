//! The wire of alerts, for operators of the installation.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::Timestamp;
use mainstay_store::{Alert, AlertReceipt, ListAlerts, ReadAlertReceipts, ReadOpenAlerts};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::rules::text;
use super::send::Unsent;
use super::{installation, message::Message};
use crate::accounts::Operator;
use crate::app::App;
use crate::http::{Document, Json, Problem, RequestContext};

/// How many alerts the history has.
const HISTORY: u32 = 100;

/// What is and was wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertsBody {
    /// What is wrong now, the oldest first.
    firing: Vec<AlertBody>,
    /// What has been wrong for a moment, and is not told of yet.
    pending: Vec<AlertBody>,
    /// What has fired before, the last first, at most 100.
    history: Vec<AlertBody>,
    /// Who is told.
    receivers: Vec<ReceiverBody>,
}

/// One thing that is or was wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AlertBody)]
pub struct AlertBody {
    /// Its id.
    id: Uuid,
    /// The name of the rule.
    rule: String,
    /// What is wrong.
    title: String,
    /// What it is about: a node, a queue, a service; empty for the installation.
    subject: String,
    /// What was measured last.
    value: f64,
    /// What is allowed.
    threshold: f64,
    /// What stands behind the numbers.
    unit: String,
    /// What it mostly comes from.
    cause: String,
    /// What to do first.
    step: String,
    /// Where to look in the console.
    page: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    /// When it had been so for long enough.
    #[schema(value_type = Option<String>, format = DateTime)]
    fired_at: Option<Timestamp>,
    /// When somebody was told last.
    #[schema(value_type = Option<String>, format = DateTime)]
    told_at: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<Alert> for AlertBody {
    fn from(alert: Alert) -> Self {
        let text = |of| text(&alert.rule, of);
        Self {
            id: alert.id,
            title: text(|rule| rule.title),
            subject: alert.subject,
            value: alert.value,
            threshold: alert.threshold,
            unit: text(|rule| rule.unit),
            cause: text(|rule| rule.cause),
            step: text(|rule| rule.step),
            page: text(|rule| rule.page),
            rule: alert.rule,
            began_at: alert.began_at,
            fired_at: alert.fired_at,
            told_at: alert.told_at,
            ended_at: alert.ended_at,
        }
    }
}

/// Who is told of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiverBody {
    /// slack or webhook.
    name: String,
    /// Whether this node is set up to tell it.
    configured: bool,
    /// When it took a message last.
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_at: Option<Timestamp>,
    /// When it took a test message last.
    #[schema(value_type = Option<String>, format = DateTime)]
    tested_at: Option<Timestamp>,
    /// When it did not take a message last.
    #[schema(value_type = Option<String>, format = DateTime)]
    failed_at: Option<Timestamp>,
    /// Why not.
    failure: String,
}

fn receivers(configured: &[&str], receipts: Vec<AlertReceipt>) -> Vec<ReceiverBody> {
    let known = receipts.iter().map(|receipt| receipt.receiver.clone()).collect::<Vec<_>>();
    let told = receipts.into_iter().map(|receipt| ReceiverBody {
        configured: configured.contains(&receipt.receiver.as_str()),
        name: receipt.receiver,
        accepted_at: receipt.accepted_at,
        tested_at: receipt.tested_at,
        failed_at: receipt.failed_at,
        failure: receipt.failure,
    });
    let untold = configured.iter().filter(|name| !known.iter().any(|known| known == *name)).map(|name| ReceiverBody {
        name: (*name).to_owned(),
        configured: true,
        accepted_at: None,
        tested_at: None,
        failed_at: None,
        failure: String::new(),
    });
    told.chain(untold).collect()
}

/// Reads what is wrong, what was, and who is told.
#[utoipa::path(get, path = "/v1/alerts", tag = "operations",
    responses((status = 200, body = AlertsBody), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<AlertsBody>, Problem> {
    let open = app.store.run(&context.call, ReadOpenAlerts).await?;
    let history = app.store.run(&context.call, ListAlerts(HISTORY)).await?;
    let receipts = app.store.run(&context.call, ReadAlertReceipts).await?;
    let (firing, pending): (Vec<_>, Vec<_>) =
        open.into_iter().filter(|alert| alert.ended_at.is_none()).partition(|alert| alert.fired_at.is_some());
    let bodies = |alerts: Vec<Alert>| alerts.into_iter().map(AlertBody::from).collect();
    Ok(Json(AlertsBody {
        firing: bodies(firing),
        pending: bodies(pending),
        history: bodies(history.into_iter().filter(|alert| alert.ended_at.is_some()).collect()),
        receivers: receivers(&app.watching.alerts.sender.receivers(), receipts),
    }))
}

/// What came of a test message.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestedBody {
    /// Each receiver, and whether it took the message.
    receivers: Vec<TestedReceiverBody>,
}

/// What a receiver did with a test message.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestedReceiverBody {
    /// slack or webhook.
    pub name: String,
    /// Whether it took it.
    pub accepted: bool,
    /// Why not; empty when it did.
    pub failure: String,
}

/// Sends a test message to each receiver, and waits for what it answers.
pub async fn test_all(app: &App) -> Vec<TestedReceiverBody> {
    let message = Message::test(&installation(app), app.clock.now());
    let mut tested = Vec::new();
    for name in app.watching.alerts.sender.receivers() {
        let failure = match app.watching.alerts.sender.tell(name, &message).await {
            Ok(()) => String::new(),
            Err(Unsent::Later(after)) => format!("It is to be asked again in {} s.", after.as_secs()),
            Err(Unsent::Failed(why)) => why,
        };
        tested.push(TestedReceiverBody { name: name.to_owned(), accepted: failure.is_empty(), failure });
    }
    tested
}

/// Sends a test message to everybody who is told of alerts, and says whether they took it.
#[utoipa::path(post, path = "/v1/alerts/tests", tag = "operations",
    responses((status = 200, body = TestedBody), (status = "default", body = Document<'static>)))]
pub async fn test(State(app): State<Arc<App>>, context: RequestContext, Operator(_): Operator) -> Json<TestedBody> {
    context.waits();
    Json(TestedBody { receivers: test_all(&app).await })
}
