//! The verbs of the assistant, and their rules.

mod conversations;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use mainstay_domain::{
    Clock, ConversationId, ConversationTitle, Error, GenerationId, Ids, ImageId, Kind, MessageId, MessageImage,
    MessageRole, MessageStatus, MessageText, Result,
};
use mainstay_store::{
    AcceptMessage, Accepted, Call, Claim, Exchange, FindUsed, GetExchange, Message, ReadHistory, RequestStop, Said,
    Store, Target,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::live::{Full, Live, Place, Registry};
use super::runner::Terms;
use super::{bids, history};
use crate::accounts::Member;
use crate::app::App;
use crate::billing::{BillingFigures, refusal};
use crate::config;
use crate::controls::{Controls, Part};
use crate::http::idempotency::same;
use crate::images::Images;
use crate::knowledge::Knowledge;
use crate::lifecycle::Lifecycle;
use crate::ops::log::trail::Trail;
use crate::providers::{Figures, Providers};

/// How long storing a message may take. The request may stop waiting before; the message does not get lost by that.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(30);
/// The most earlier messages that are read for the model.
const MOST_HISTORY: u32 = 100;
/// The most titles that one search looks through; the answer says where the next one goes on.
const SEARCH_WALK: u32 = 2000;

/// What a person sends.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// Into which conversation; nothing makes one.
    pub conversation: Option<ConversationId>,
    /// True when the conversation is made with that id, which the client has chosen.
    pub new: bool,
    /// What is written.
    pub content: MessageText,
    /// What comes with it.
    pub images: Vec<ImageId>,
    /// The idempotency key, if there is one.
    pub claim: Option<Claim>,
    /// Whether the reply is watched as it is written.
    pub paced: bool,
}

/// A message that was taken in, and its reply as it was at that moment.
#[derive(Clone)]
pub struct Sent {
    /// The message.
    pub message: Message,
    /// The reply.
    pub reply: Message,
    /// The reply as it is made, when this request began it.
    pub(super) live: Option<Arc<Live>>,
}

impl Sent {
    /// True when this request began the reply, and did not find one that an earlier one had begun.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.live.is_some()
    }
}

/// Conversations and replies.
pub struct Assistant {
    pub(super) settings: config::Assistant,
    pub(super) store: Store,
    pub(super) providers: Providers,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Ids,
    pub(super) lifecycle: Lifecycle,
    pub(super) registry: Arc<Registry>,
    billing: BillingFigures,
    controls: Arc<Controls>,
    pub(super) knowledge: Arc<Knowledge>,
    pub(super) images: Arc<Images>,
    /// Whose tools it uses, once all of it is put together.
    pub(super) app: OnceLock<Weak<App>>,
    /// The number of this node's lease; 0 while it has none.
    pub(super) lease: AtomicI64,
    /// Ends every reply in the making, with what has arrived: the server stops.
    pub(super) closing: CancellationToken,
}

impl Assistant {
    /// The assistant of this node.
    #[must_use]
    pub fn new(
        settings: &config::Assistant,
        store: Store,
        providers: Providers,
        clock: Arc<dyn Clock>,
        ids: Ids,
        (lifecycle, billing, controls): (Lifecycle, BillingFigures, Arc<Controls>),
        (knowledge, images): (Arc<Knowledge>, Arc<Images>),
    ) -> Self {
        Self {
            settings: settings.clone(),
            store,
            providers,
            clock,
            ids,
            lifecycle,
            registry: Arc::default(),
            billing,
            controls,
            knowledge,
            images,
            app: OnceLock::new(),
            lease: AtomicI64::new(0),
            closing: CancellationToken::new(),
        }
    }

    /// Lets replies use the tools of the app that this is a part of.
    pub(crate) fn belongs_to(&self, app: &Arc<App>) {
        let _ = self.app.set(Arc::downgrade(app));
    }

    /// Replies in the making on this node.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.registry.count()
    }

    /// Whether this node holds its lease, without which it begins no replies.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.lease.load(Ordering::Acquire) != 0
    }

    /// The number of this node's lease; 0 while it has none.
    #[must_use]
    pub fn lease_number(&self) -> i64 {
        self.lease.load(Ordering::Acquire)
    }

    /// What the providers did and do.
    #[must_use]
    pub fn provider_figures(&self) -> Vec<Figures> {
        self.providers.figures()
    }

    /// Which providers answer, in order.
    #[must_use]
    pub fn provider_names(&self) -> Vec<&'static str> {
        self.providers.names()
    }

    /// Ends all replies in the making; each is settled with what has arrived.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Takes a message in and begins its reply. A repeat with the same idempotency key finds what the first one made.
    ///
    /// # Errors
    /// `not_found` for a conversation, `idempotency_key_reused`, `too_many_replies`, `quota_exceeded`, `budget_spent`,
    /// `switched_off`, `overloaded`, `not_ready` while this node stops or has no lease.
    pub async fn send(self: &Arc<Self>, call: &Call, by: &Member, request: SendRequest) -> Result<Sent> {
        // The second time only when the first claimant of the key was refused meanwhile.
        let images = match self.images.sendable(call, (by.tenant, by.person), &request.images).await {
            Ok(images) => images,
            // Those of a repeat were sent by the first.
            Err(refused) => return self.repeat(call, by, request.claim.as_ref()).await?.ok_or(refused),
        };
        for _ in 0..2 {
            let (accept, place) = match self.begin(by, &request, &images) {
                Ok(begun) => begun,
                // A repeat begins nothing, so it finds what the first one made even where there is no room.
                Err(refused) => return self.repeat(call, by, request.claim.as_ref()).await?.ok_or(refused),
            };
            let sent = sent(&accept, place.live());
            match self.accept(call, by, (accept, place), request.paced).await? {
                Accepted::Taken(_) => return Ok(sent),
                Accepted::Spent(spent) => {
                    self.billing.refused(spent);
                    return Err(refusal(spent, self.clock.now()));
                }
                Accepted::NoConversation => return Err(Error::not_found("conversation")),
                Accepted::Repeat => {
                    if let Some(sent) = self.repeat(call, by, request.claim.as_ref()).await? {
                        return Ok(sent);
                    }
                }
            }
        }
        let detail = "Another request with this Idempotency-Key is under way. Repeat it in a moment.";
        Err(Error::new(Kind::Conflict, "in_progress", detail).retry_after(Duration::from_secs(1)))
    }

    /// What a request with the same idempotency key has made before, if there was one.
    async fn repeat(&self, call: &Call, by: &Member, claim: Option<&Claim>) -> Result<Option<Sent>> {
        let Some(claim) = claim else { return Ok(None) };
        let find = FindUsed { tenant: by.tenant, person: by.person, key: claim.key.clone() };
        let Some(used) = self.store.run(call, find).await? else { return Ok(None) };
        let reply = same(&used, "message", Some(&claim.fingerprint))?;
        let exchange = self.exchange(call, by, GenerationId(reply)).await?;
        Ok(Some(exchange.into()))
    }

    /// What is to be stored for a message, and the place of its reply among those in the making.
    fn begin(&self, by: &Member, request: &SendRequest, images: &[MessageImage]) -> Result<(AcceptMessage, Place)> {
        self.controls.check(Part::Messages)?;
        if request.new || request.conversation.is_none() {
            self.controls.check(Part::Conversations)?;
        }
        let accept = self.acceptance(by, request, images)?;
        let live = Live::new((by.tenant, by.person), accept.target.id(), accept.reply.into(), accept.lease, accept.now);
        let (most, each) = (self.settings.max_generations, self.settings.max_generations_per_person);
        let place = self.registry.enter(live, most, each).map_err(full)?;
        Ok((accept, place))
    }

    /// Stores the message in a task of the server's own, which then makes the reply: a client that goes away between the
    /// two leaves nothing half done.
    async fn accept(
        self: &Arc<Self>,
        call: &Call,
        by: &Member,
        (accept, place): (AcceptMessage, Place),
        paced: bool,
    ) -> Result<Accepted> {
        let (answer, answered) = oneshot::channel();
        let (assistant, count, by) = (Arc::clone(self), call.clone(), by.clone());
        let (new, message) = (matches!(accept.target, Target::New(..)), accept.message);
        let (question, images) = (accept.content.as_str().to_owned(), accept.images.clone());
        self.lifecycle.spawn_work("generation", async move {
            let storing = count.extended(Instant::now() + ACCEPT_PATIENCE);
            let accepted = assistant.store.accept_message(&storing, accept).await;
            let begun = if let Ok(Accepted::Taken(reserved_micros)) = accepted {
                Some((place, Terms { paced, reserved_micros }))
            } else {
                None
            };
            // A caller that has gone away finds the message by its idempotency key.
            let _ = answer.send(accepted);
            let Some((place, terms)) = begun else { return };
            // Boxed one by one: each is large, and only one of them is under way at a time.
            let rest = Box::pin(async move {
                let earlier =
                    if new { Vec::new() } else { Box::pin(assistant.earlier(&storing, place.live(), message)).await };
                let heard = history::turns(earlier, (&question, images), budget(&assistant.settings));
                let tenant = place.live().tenant;
                let turns = Box::pin(assistant.with_pictures(&storing, tenant, heard)).await;
                let known = Box::pin(assistant.known(&storing, tenant, &question)).await;
                let offer = Box::pin(assistant.offer(&storing, &by, place.live())).await;
                Box::pin(assistant.make(place, (turns, known, offer), terms)).await;
            });
            // The request may be over long before.
            match Trail::current() {
                Some(trail) => trail.child().within(rest).await,
                None => rest.await,
            }
        });
        match tokio::time::timeout_at(call.deadline(), answered).await {
            Ok(Ok(accepted)) => Ok(accepted?),
            Ok(Err(_)) => Err(Error::internal("the task that stores a message ended without an answer")),
            Err(_) => Err(mainstay_store::Error::OutcomeUnknown.into()),
        }
    }

    fn acceptance(&self, by: &Member, request: &SendRequest, images: &[MessageImage]) -> Result<AcceptMessage> {
        let lease = self.lease.load(Ordering::Acquire);
        if lease == 0 || self.lifecycle.stopping() || self.closing.is_cancelled() {
            let detail = "This node cannot begin replies at the moment. Try again.";
            return Err(Error::new(Kind::Unavailable, "not_ready", detail).retry_after(Duration::from_secs(1)));
        }
        let target = match request.conversation {
            Some(id) if request.new => Target::New(id, ConversationTitle::from_message(&request.content)),
            Some(id) => Target::Existing(id),
            None => Target::New(self.ids.make(), ConversationTitle::from_message(&request.content)),
        };
        Ok(AcceptMessage {
            tenant: by.tenant,
            person: by.person,
            target,
            message: self.ids.make(),
            reply: self.ids.make(),
            content: request.content.clone(),
            images: images.to_vec(),
            lease,
            claim: request.claim.clone(),
            bid: bids::bid(&self.settings, &self.providers, request),
            now: self.clock.now(),
        })
    }

    /// What was said before a question, the newest first. A reply can be made without it, so a failure is logged.
    async fn earlier(&self, call: &Call, live: &Live, question: MessageId) -> Vec<Said> {
        let (tenant, conversation) = (live.tenant, live.conversation);
        let read = ReadHistory { tenant, conversation, before: question, limit: MOST_HISTORY };
        self.store.run(call, read).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the history of a conversation could not be read; it is answered without");
            Vec::new()
        })
    }

    /// A reply and its question, with the text that has arrived until now.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn exchange(&self, call: &Call, by: &Member, generation: GenerationId) -> Result<Exchange> {
        let get = GetExchange { tenant: by.tenant, person: by.person, generation };
        let mut exchange = self.store.run(call, get).await?.ok_or_else(|| Error::not_found("generation"))?;
        if exchange.reply.status == MessageStatus::Streaming
            && let Some(live) = self.registry.find(by.tenant, by.person, generation)
        {
            exchange.reply.content = live.text();
        }
        Ok(exchange)
    }

    /// Asks a reply to stop, wherever it is made. Nothing happens when it has ended.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn stop(&self, call: &Call, by: &Member, generation: GenerationId) -> Result<Exchange> {
        if let Some(live) = self.registry.find(by.tenant, by.person, generation) {
            live.stop.cancel();
            let mut progress = live.watch();
            // Waiting for the end makes the answer show it; a deadline that passes first changes nothing.
            let ended = tokio::time::timeout_at(call.deadline(), progress.wait_for(|progress| progress.ended));
            let _ = ended.await;
        } else {
            let now = self.clock.now();
            let ask = RequestStop { tenant: by.tenant, person: by.person, generation, now };
            self.store.run(call, ask).await?;
        }
        self.exchange(call, by, generation).await
    }
}

fn budget(settings: &config::Assistant) -> usize {
    usize::try_from(settings.history_tokens).unwrap_or(usize::MAX)
}

fn full(full: Full) -> Error {
    match full {
        Full::Person => {
            let detail = "As many replies as one person may have are in the making. Wait for one to end, or stop one.";
            Error::new(Kind::TooManyRequests, "too_many_replies", detail).retry_after(Duration::from_secs(2))
        }
        Full::Node => {
            let detail = "As many replies as this node can make are in the making. Try again in a moment.";
            Error::new(Kind::Unavailable, "overloaded", detail).retry_after(Duration::from_secs(2))
        }
    }
}

/// What the client is shown of a message that was just taken in.
fn sent(accept: &AcceptMessage, live: &Arc<Live>) -> Sent {
    let message = |id: MessageId, role, status, content: &str, images: &[MessageImage]| Message {
        id,
        conversation: accept.target.id(),
        role,
        status,
        content: content.to_owned(),
        ordinal: 0,
        provider: None,
        model: None,
        usage: None,
        cost_micros: 0,
        fault: None,
        images: images.to_vec(),
        tools: Vec::new(),
        created_at: accept.now,
    };
    Sent {
        message: message(
            accept.message,
            MessageRole::User,
            MessageStatus::Final,
            accept.content.as_str(),
            &accept.images,
        ),
        reply: message(accept.reply, MessageRole::Assistant, MessageStatus::Streaming, "", &[]),
        live: Some(Arc::clone(live)),
    }
}

impl From<Exchange> for Sent {
    fn from(exchange: Exchange) -> Self {
        Self { message: exchange.message, reply: exchange.reply, live: None }
    }
}
