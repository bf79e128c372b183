//! Feature flags and experiments.

use std::collections::BTreeMap;

use mainstay_domain::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;

/// What the person gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Flags {
    /// Whether each flag is on.
    pub flags: BTreeMap<String, bool>,
    /// The variant of each experiment that the person takes part in. Tell with [`Client::expose`] when it is shown.
    pub experiments: BTreeMap<String, String>,
}

/// Something that the person did, for experiments to count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeEvent {
    /// The client's own id for it, by which a repeat is known.
    pub id: Uuid,
    /// What: lower case letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// How much; 1 when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// When, for what is told late; now when it is left out. At most 30 days ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What became of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Recorded {
    /// How many are stored now, those among them that were stored before.
    pub recorded: usize,
    /// How many no running experiment of the person counts. They are not kept.
    pub ignored: usize,
}

#[derive(Serialize)]
struct Exposure<'a> {
    experiment: &'a str,
}

#[derive(Deserialize)]
struct Exposed {
    variant: Option<String>,
}

#[derive(Serialize)]
struct Events<'a> {
    events: &'a [OutcomeEvent],
}

impl Client {
    /// The flags and variants of the person. Asking exposes nobody.
    ///
    /// # Errors
    /// As every call.
    pub async fn flags(&self) -> Result<Flags, Error> {
        self.json(&Call::get("/v1/flags")).await
    }

    /// Tells that the person is shown their variant of an experiment now, which is the answer; nothing when they take no
    /// part. Only the first time counts.
    ///
    /// # Errors
    /// As every call; `not_found` when there is no such experiment.
    pub async fn expose(&self, experiment: &str) -> Result<Option<String>, Error> {
        let call = Call::post("/v1/exposures").repeatable().json(&Exposure { experiment })?;
        let Exposed { variant } = self.json(&call).await?;
        Ok(variant)
    }

    /// Tells what the person did, 1 to 100 events at once. Each counts once, however often it is told.
    ///
    /// # Errors
    /// As every call.
    pub async fn record_events(&self, events: &[OutcomeEvent]) -> Result<Recorded, Error> {
        self.json(&Call::post("/v1/events").repeatable().json(&Events { events })?).await
    }
}
