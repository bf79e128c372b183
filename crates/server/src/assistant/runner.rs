//! Making one reply, from the first token to the last commit.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{MessageStatus, TenantId};
use mainstay_store::trace::StepKind;
use mainstay_store::{Call, Cost, Error, SettleReply};
use tokio::time::{Instant, sleep};

use super::bids;
use super::live::{Ending, Live, Making, Place};
use super::service::Assistant;
use super::tools::Offer;
use crate::ops::log::trail::Trail;
use crate::providers::{Completion, Fault, Known, ReplyRequest, Turn};

/// How long a settled reply is offered to the database before it is given up; it is then marked when its lease ends.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// How long one try may take.
const SETTLE_TRY: Duration = Duration::from_secs(10);
/// The pause between tries.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// On which terms a reply is made.
pub(super) struct Terms {
    /// Whether it is watched as it is written.
    pub(super) paced: bool,
    /// What is set aside for it, in millionths.
    pub(super) reserved_micros: i64,
}

/// What a reply is made of: the conversation, what the organisation knows, and what may be used.
pub(super) type Sources = (Vec<Turn>, Option<Known>, Option<Offer>);

/// Why the making of a reply ended.
enum Outcome {
    Complete(Completion),
    Failed(Fault),
    Stopped,
    Lost,
    ServerStops,
}

impl Assistant {
    /// Makes a reply and settles it. Runs as work of the server, whether or not anybody listens.
    pub(super) async fn make(self: Arc<Self>, place: Place, sources: Sources, terms: Terms) {
        let live = Arc::clone(place.live());
        let request = self.request(live.tenant, sources, &terms);
        let deadline = Instant::now() + self.settings.reply_timeout();
        let outcome = {
            let mut sink: &Live = &live;
            let reply = self.providers.reply(&request, deadline, &mut sink);
            tokio::select! {
                biased;
                () = live.lost.cancelled() => Outcome::Lost,
                () = live.stop.cancelled() => Outcome::Stopped,
                () = self.closing.cancelled() => Outcome::ServerStops,
                done = reply => match done {
                    Ok(completion) => Outcome::Complete(completion),
                    Err(fault) => Outcome::Failed(fault),
                },
            }
        };
        let ending = ending(outcome, &live, &terms);
        let failed = failure(ending.as_ref());
        if let Some(ending) = ending {
            self.settle(&live, ending).await;
        }
        if let Some(trail) = Trail::current() {
            let mut attributes = trail.attributes();
            attributes.push(("mainstay.generation_id", live.generation.to_string().into()));
            trail.trace().end((StepKind::Work, "generation".into()), failed, attributes);
        }
    }

    fn request(&self, tenant: TenantId, (turns, known, offer): Sources, terms: &Terms) -> ReplyRequest {
        let (mut system, most) = (self.settings.system_prompt.clone(), self.settings.max_reply_tokens);
        let tools = offer.map(|offer| {
            system = format!("{}\n\n{}", system.trim(), offer.instructions).trim().to_owned();
            offer.tools
        });
        let request =
            ReplyRequest { known, tools, paced: terms.paced, ..ReplyRequest::of(tenant, system, turns, most) };
        bids::within(&self.providers, request, terms.reserved_micros)
    }

    /// Stores how a reply ended. The listeners are told afterwards: what they are told is on the disk.
    pub(super) async fn settle(&self, live: &Live, ending: Ending) {
        let settle = SettleReply {
            tenant: live.tenant,
            person: live.person,
            generation: live.generation,
            lease: live.lease,
            status: ending.status,
            content: Some(live.text()),
            tools: live.tools(),
            provider: ending.provider.clone(),
            model: ending.model.clone(),
            usage: ending.usage,
            cost: ending.cost,
            fault: ending.fault.clone(),
            now: self.clock.now(),
        };
        let give_up = Instant::now() + SETTLE_PATIENCE;
        loop {
            match self.store.settle_reply(&Call::within(SETTLE_TRY), settle.clone()).await {
                Ok(true) => return live.end(ending),
                Ok(false) => {
                    tracing::warn!(generation = %live.generation, "a reply belonged to another when it was settled");
                    return;
                }
                Err(error) if Instant::now() < give_up && may_pass(&error) => {
                    tracing::warn!(generation = %live.generation, %error, "a reply could not be stored; it is tried again");
                    sleep(SETTLE_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(generation = %live.generation, %error, "a reply could not be stored");
                    return;
                }
            }
        }
    }
}

/// What the trace of a generation says of its end, when it did not end well.
fn failure(ending: Option<&Ending>) -> Option<String> {
    match ending {
        None => Some("the reply belongs to another node now".to_owned()),
        Some(ending) if matches!(ending.status, MessageStatus::Failed | MessageStatus::Interrupted) => {
            Some(ending.fault.as_ref().map_or("interrupted", |(code, _)| code).to_owned())
        }
        Some(_) => None,
    }
}

/// True for a failure that may be over in a moment.
fn may_pass(error: &Error) -> bool {
    !matches!(error, Error::Bug(_) | Error::Corrupt(_) | Error::Isolation(_) | Error::Constraint(_))
}

/// Why a reply that is whole ends early.
const CUT_AT_LIMIT: (&str, &str) = (
    "max_tokens",
    "The reply was cut because it reached its largest length (assistant.max_reply_tokens, and 256 KiB at most).",
);
const SERVER_STOPPED: (&str, &str) = ("server_stopped", "The server was stopped while it was answering.");

/// What is stored for an outcome; nothing when the reply belongs to another. Who made it and what it took is stored
/// however it ended.
fn ending(outcome: Outcome, live: &Live, terms: &Terms) -> Option<Ending> {
    let owned = |(code, detail): (&str, &str)| (code.to_owned(), detail.to_owned());
    let (status, fault) = match outcome {
        Outcome::Lost => return None,
        Outcome::Complete(completion) => (MessageStatus::Final, completion.truncated.then(|| owned(CUT_AT_LIMIT))),
        Outcome::Stopped => (MessageStatus::Stopped, None),
        Outcome::ServerStops => (MessageStatus::Interrupted, Some(owned(SERVER_STOPPED))),
        Outcome::Failed(fault) => {
            tracing::warn!(generation = %live.generation, provider = fault.provider, kind = %fault.kind, inside = fault.inside, "a reply failed");
            let status = if live.has_text() { MessageStatus::Interrupted } else { MessageStatus::Failed };
            (status, Some((fault.kind.code().to_owned(), fault.detail)))
        }
    };
    let Making { provider, model, usage, cost_micros } = live.making();
    // Where nothing was set aside, nothing costs anything.
    let cost = if terms.reserved_micros > 0 { Cost::Known(cost_micros) } else { Cost::Free };
    Some(Ending { status, usage, provider, model, fault, cost })
}
