//! Twilio's API of messages (twilio.com/docs/messaging/api/message-resource), as far as it is used here.
//!
//! It has no key that would make a message that is sent twice one message. So whoever does not know whether it has one looks
//! at its list before sending again.

use std::sync::Arc;

use jiff::fmt::rfc2822;
use mainstay_domain::{Clock, Result, Secret, TextState, TextTold, Timestamp};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::config;
use crate::providers::api::{Api, ApiFault, Saying, Service};

/// The largest answer that is read, in bytes.
const LARGEST: usize = 1024 * 1024;
/// How many messages are looked at in a list: those to one number on a day or two.
const LISTED: usize = 100;
/// That whoever the message goes to has said stop (twilio.com/docs/api/errors/21610).
pub(super) const STOPPED: i64 = 21_610;

/// An account there, and what it is proven by.
pub(super) struct Account<'a> {
    pub(super) id: &'a str,
    pub(super) token: &'a Secret,
}

/// A message that is to be sent.
pub(super) struct Letter<'a> {
    pub(super) to: &'a str,
    /// Our number, or the id of a service that has numbers.
    pub(super) sender: &'a str,
    pub(super) body: &'a str,
    /// Where the provider tells what becomes of it, if it can.
    pub(super) callback: Option<String>,
}

impl Letter<'_> {
    fn form(&self) -> String {
        let sender = if self.sender.starts_with('+') { "From" } else { "MessagingServiceSid" };
        let mut fields = vec![("To", self.to), ("Body", self.body), (sender, self.sender)];
        fields.extend(self.callback.as_deref().map(|callback| ("StatusCallback", callback)));
        encoded(&fields)
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A message as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The provider's id.
    pub(super) id: String,
    pub(super) body: String,
    /// When the provider took it.
    pub(super) created_at: Option<Timestamp>,
    /// Whether it is one of ours, and not one that came.
    pub(super) outbound: bool,
    pub(super) told: TextTold,
}

/// The API.
pub(crate) struct TwilioApi {
    api: Api,
}

impl TwilioApi {
    pub(super) fn new(settings: &config::Texts, shared: &config::Providers, clock: Arc<dyn Clock>) -> Result<Self> {
        let service = Service::new("twilio", &settings.twilio_url, settings.first_byte_timeout(), LARGEST);
        Ok(Self { api: Api::new(&service, shared, clock)? })
    }

    /// Its health.
    pub(crate) const fn api(&self) -> &Api {
        &self.api
    }

    /// Sends a message.
    pub(super) async fn send(&self, account: &Account<'_>, letter: &Letter<'_>) -> Result<Found, ApiFault> {
        let request = self.request(Method::POST, account, ".json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(letter.form());
        let answer = self.api.call(request, Saying::Once).await?;
        // It was taken, whatever is written in the answer: what cannot be read is found in the list.
        found(&answer).ok_or_else(|| ApiFault::Unknown("the answer names no message".to_owned()))
    }

    /// Reads a message.
    pub(super) async fn fetch(&self, account: &Account<'_>, id: &str) -> Result<Found, ApiFault> {
        let answer = self.get(account, &format!("/{id}.json")).await?;
        found(&answer).ok_or_else(|| ApiFault::Unknown("the answer names no message".to_owned()))
    }

    /// The newest messages to a number from a day on.
    pub(super) async fn list(&self, account: &Account<'_>, to: &str, since: Timestamp) -> Result<Vec<Found>, ApiFault> {
        let day = since.to_string().chars().take(10).collect::<String>();
        let (day, size) = (day.as_str(), LISTED.to_string());
        let query = encoded(&[("To", to), ("DateSent>", day), ("PageSize", &size)]);
        let answer = self.get(account, &format!(".json?{query}")).await?;
        let messages = answer["messages"].as_array();
        let messages = messages.ok_or_else(|| ApiFault::Unknown("the answer has no list".to_owned()))?;
        Ok(messages.iter().filter_map(found).collect())
    }

    async fn get(&self, account: &Account<'_>, path: &str) -> Result<Value, ApiFault> {
        self.api.call(self.request(Method::GET, account, path), Saying::Again).await
    }

    fn request(&self, method: Method, account: &Account<'_>, path: &str) -> reqwest::RequestBuilder {
        let request = self.api.request(method, &format!("/2010-04-01/Accounts/{}/Messages{path}", account.id));
        request.basic_auth(account.id, Some(account.token.expose()))
    }
}

/// The state that a word of the provider stands for; nothing for one that is not known.
pub(super) fn state(word: &str) -> Option<TextState> {
    match word {
        "accepted" | "scheduled" | "queued" | "sending" => Some(TextState::Accepted),
        "sent" | "partially_delivered" => Some(TextState::Sent),
        "delivered" => Some(TextState::Delivered),
        "read" => Some(TextState::Read),
        "undelivered" => Some(TextState::Undelivered),
        "failed" | "canceled" => Some(TextState::Failed),
        _ => None,
    }
}

/// A number that may be written as a text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn found(message: &Value) -> Option<Found> {
    let moment = |value: &Value| {
        let moment = rfc2822::parse(value.as_str()?).ok()?;
        Some(Timestamp::from_millis(moment.timestamp().as_millisecond()))
    };
    let id = message["sid"].as_str().filter(|id| is_id(id))?;
    let price = micros(&message["price"]).zip(message["price_unit"].as_str().map(str::to_uppercase));
    Some(Found {
        id: id.to_owned(),
        body: message["body"].as_str().unwrap_or_default().to_owned(),
        created_at: moment(&message["date_created"]),
        outbound: message["direction"].as_str().is_none_or(|direction| direction.starts_with("outbound")),
        told: TextTold {
            state: message["status"].as_str().and_then(state),
            error_code: number(&message["error_code"]),
            segments: number(&message["num_segments"]).filter(|segments| *segments > 0),
            price: price.filter(|(_, currency)| currency.len() == 3),
        },
    })
}

/// What a message cost, in millionths. The provider writes it as what is taken from the account: below zero.
fn micros(value: &Value) -> Option<i64> {
    let amount = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    let amount = amount.abs();
    (amount < 1e6).then(|| format!("{amount:.6}").replace('.', "").parse().ok()).flatten()
}

/// Whether a text can be an id of the provider: it goes into an address.
pub(super) fn is_id(text: &str) -> bool {
    (10..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_read() {
        let message = json!({"sid": "SM00000000000000000000000000000001", "body": "Hello", "direction": "outbound-api",
            "date_created": "Mon, 02 Mar 2026 09:00:00 +0000", "error_code": null, "num_segments": "2", "price": "-0.00750",
            "price_unit": "usd", "status": "sent"});
        let read = found(&message).expect("a message");
        assert_eq!(read.created_at, "2026-03-02T09:00:00.000Z".parse().ok());
        let told = TextTold {
            state: Some(TextState::Sent),
            error_code: None,
            segments: Some(2),
            price: Some((7_500, "USD".to_owned())),
        };
        assert_eq!((read.told, read.outbound, read.body.as_str()), (told, true, "Hello"));
        let bare = found(&json!({"sid": "SM00000000000000000000000000000001", "price": null, "status": "new_word"}));
        let bare = bare.expect("a message");
        assert_eq!((bare.told, bare.created_at), (TextTold::default(), None));
        for bad in [json!({}), json!([]), json!({"sid": 7}), json!({"sid": "../Accounts/AC00000"})] {
            assert_eq!(found(&bad), None, "{bad}");
        }
    }
}
