//! A reply that is spoken: followed as it is made, and cut when whoever listens has heard enough.

use std::sync::Arc;

use mainstay_domain::{ConversationId, GenerationId, Result};
use mainstay_store::{Call, CutReply};
use tokio::sync::watch;

use super::live::{Live, Progress};
use super::service::{Assistant, Sent};
use crate::accounts::Member;

/// Follows one reply that this node makes.
pub(crate) struct Listening {
    live: Arc<Live>,
    progress: watch::Receiver<Progress>,
    seen: usize,
}

impl Sent {
    /// Follows the reply; nothing when this request did not begin it.
    pub(crate) fn listening(&self) -> Option<Listening> {
        let live = self.live.clone()?;
        Some(Listening { progress: live.watch(), live, seen: 0 })
    }
}

impl Listening {
    /// What has arrived since the last time; nothing at the end of the reply.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let now = *self.progress.borrow_and_update();
            if now.bytes > self.seen {
                let (text, end) = self.live.text_after(self.seen);
                self.seen = end;
                return Some(text);
            }
            if now.ended || self.progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Why the reply ended early: a code and words.
    pub(crate) fn fault(&self) -> Option<(String, String)> {
        self.live.ending().and_then(|ending| ending.fault)
    }
}

impl Assistant {
    /// Ends a reply where its listener stopped it: what is made no further, and what is stored of it are its first bytes.
    ///
    /// # Errors
    /// As the store.
    pub(crate) async fn cut(
        &self,
        call: &Call,
        by: &Member,
        (conversation, generation): (ConversationId, GenerationId),
        bytes: usize,
    ) -> Result<()> {
        if let Some(live) = self.registry.find(by.tenant, by.person, generation) {
            live.cut(bytes);
            live.stop.cancel();
            let mut progress = live.watch();
            // A deadline that passes first changes nothing: it has been cut where it is made.
            let _ = tokio::time::timeout_at(call.deadline(), progress.wait_for(|progress| progress.ended)).await;
        }
        let now = self.clock.now();
        let cut = CutReply { tenant: by.tenant, person: by.person, conversation, generation, bytes, now };
        self.store.run(call, cut).await?;
        Ok(())
    }
}
