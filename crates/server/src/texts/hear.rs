//! What the provider tells of messages, and what people write back.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{PhoneMessageId, PhoneNumber, TextTold};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{FindContacts, HearText, Heard, OptOut, PhoneMessage, TakeMessage};
use serde_json::Value;

use super::twilio;
use crate::app::App;
use crate::webhooks::processors::ToProcess;

/// The kinds of events.
pub(crate) const STATUS: &str = "message.status";
pub(crate) const RECEIVED: &str = "message.received";

/// When a callback is told again that was faster than the answer to the request.
const SOON: Duration = Duration::from_secs(10);
/// The longest message that is taken, in characters.
const LONGEST: usize = 2_000;

/// What somebody may write to get no more messages, and to get them again (twilio.com/docs/messaging/tutorials/advanced-opt-out).
const STOP: [&str; 8] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"];
const START: [&str; 2] = ["START", "UNSTOP"];

/// What somebody who writes wants of the messages to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    None,
    Some,
    Nothing,
}

fn read(event: &ToProcess) -> Result<Value, Failure> {
    serde_json::from_str(&event.event.payload)
        .map_err(|error| Failure::new(format_args!("what arrived cannot be read: {error}")).retry(Retry::Never))
}

/// Takes in a status of a message.
pub(crate) async fn heard(app: Arc<App>, context: JobContext, event: ToProcess) -> JobResult {
    let fields = read(&event)?;
    let text = |names: &[&str]| names.iter().find_map(|name| fields[*name].as_str());
    let (Some(id), Some(word)) = (text(&["MessageSid", "SmsSid"]), text(&["MessageStatus", "SmsStatus"])) else {
        return Err(Failure::new("the event names no message or no status").retry(Retry::Never));
    };
    let Some(state) = twilio::state(word) else { return Ok(Done::Finished) };
    let told = TextTold {
        state: Some(state),
        error_code: text(&["ErrorCode"]).and_then(|code| code.parse().ok()),
        ..TextTold::default()
    };
    let hear = HearText {
        tenant: event.tenant,
        provider_id: id.to_owned(),
        told,
        phone: text(&["To"]).map(str::to_owned),
        fence: Some(context.fence),
        now: app.clock.now(),
    };
    match app.store.run_for_jobs(&context.call(), hear).await? {
        Heard::Of(_) => {
            app.texts.figures.told(state.as_str());
            Ok(Done::Settled)
        }
        Heard::Unknown => Ok(Done::Settled),
        Heard::NotYet => Err(Failure::new("the id of the message is not known yet").retry(Retry::After(SOON))),
    }
}

fn wants(fields: &Value) -> Wants {
    let word = |text: &str| text.trim().trim_matches(|one: char| !one.is_alphanumeric()).to_uppercase();
    // The provider says it itself where its advanced opt-out is on.
    let told = fields["OptOutType"].as_str().map(word);
    let said = told.or_else(|| fields["Body"].as_str().map(word)).unwrap_or_default();
    match said.as_str() {
        said if STOP.contains(&said) => Wants::None,
        said if START.contains(&said) => Wants::Some,
        _ => Wants::Nothing,
    }
}

/// Takes in what somebody has written: that they want no more messages, or want them again; else it is a message for the staff.
pub(crate) async fn received(app: Arc<App>, context: JobContext, event: ToProcess) -> JobResult {
    let fields = read(&event)?;
    let from = fields["From"].as_str().and_then(|from| PhoneNumber::parse(from, None).ok());
    // Numbers that are no telephones, such as names and short codes, are nobody whom a message goes to.
    let Some(from) = from else { return Ok(Done::Finished) };
    let (tenant, now, call) = (event.tenant, app.clock.now(), context.call());
    let wants = wants(&fields);
    if wants != Wants::Nothing {
        let stopped = wants == Wants::None;
        let phone = from.as_str().to_owned();
        let at = event.event.event.received_at;
        let digest = app.keys.objection(tenant, &phone);
        let out = OptOut { tenant, phone, digest, stopped, at, fence: Some((context.fence, now)) };
        app.store.run_for_jobs(&call, out).await?;
        if stopped {
            app.texts.figures.stopped();
        }
        return Ok(Done::Settled);
    }
    let body: String = fields["Body"].as_str().unwrap_or_default().replace('\0', "").chars().take(LONGEST).collect();
    let find = FindContacts { tenant, phone: Some(from.clone()), email: None, name: None };
    let contact = app.store.run(&call, find).await?.into_iter().next();
    let message = PhoneMessage {
        id: PhoneMessageId(event.event.event.id.uuid()),
        call: None,
        contact: contact.as_ref().map(|contact| contact.id),
        name: contact.map(|contact| contact.name).unwrap_or_default(),
        phone: Some(from.as_str().to_owned()),
        body: if body.trim().is_empty() { "(a text message without words)".to_owned() } else { body },
        created_at: event.event.event.received_at,
        handled: None,
    };
    app.store.run(&call, TakeMessage { tenant, message }).await?;
    Ok(Done::Finished)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stop_and_start_are_understood() {
        for stop in ["STOP", " stop ", "Stop.", "unsubscribe", "Cancel", "\"STOP\""] {
            assert_eq!(wants(&json!({"Body": stop})), Wants::None, "{stop}");
        }
        assert_eq!(wants(&json!({"Body": "start"})), Wants::Some);
        assert_eq!(wants(&json!({"Body": "please no more", "OptOutType": "STOP"})), Wants::None);
        for other in ["", "stop it", "I will start at 9", "yes", "help"] {
            assert_eq!(wants(&json!({"Body": other})), Wants::Nothing, "{other}");
        }
    }
}
