//! How an answer ends before its end, and how what a turn took is counted.

use std::sync::Arc;
use std::time::Duration;

use mainstay_store::{Call, Cost, SettleSpeech};

use super::answering::Answering;
use super::line::{Dropped, Line};
use super::session::{Capture, Session};
use super::turn::Meter;
use super::wire::ServerFrame;

/// How long storing what a turn took may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Session {
    /// Stops the answer at once, and tells the client to stop playing it.
    pub(super) async fn interrupt(&mut self, line: &mut Line) -> Result<(), Dropped> {
        let Some(turn) = self.silence() else { return Ok(()) };
        line.say(&ServerFrame::Clear { turn }).await
    }

    /// Stops the answer at once. The answer is its turn, if there was one to be heard.
    fn silence(&mut self) -> Option<u32> {
        if !self.answering.as_ref().is_some_and(Answering::is_under_way) {
            self.answering = None;
            return None;
        }
        let heard = self.answering.as_ref().map_or(0, Answering::heard_bytes);
        let was_made = self.answering.as_ref().is_some_and(|answering| answering.work.is_none());
        self.app.voice.figures.interruptions.inc();
        // Drops whoever makes text or sound of it.
        if let Some(answering) = &mut self.answering {
            answering.work = None;
        }
        if !was_made {
            self.settle(true);
        }
        let answering = self.answering.take()?;
        if let Some(reply) = answering.reply {
            let (app, by) = (Arc::clone(&self.app), self.by.clone());
            let before = self.cutting.take();
            self.cutting = Some(Box::pin(async move {
                if let Some(before) = before {
                    before.await;
                }
                if let Err(error) = app.assistant.cut(&Call::within(PATIENCE), &by, reply, heard).await {
                    tracing::warn!(%error, "a reply that was interrupted could not be cut to what was heard");
                }
            }));
        }
        Some(answering.number)
    }

    /// What a session says and hears stops: its line has dropped, or it ends. The reply itself is made to its end.
    pub(super) fn hush(&mut self) {
        self.detector.end();
        self.pre_roll.clear();
        if let Some(capture) = self.capture.take() {
            self.settle_capture(&capture);
        }
        if self.answering.as_ref().is_some_and(|answering| answering.work.is_some()) {
            if let Some(answering) = &mut self.answering {
                answering.work = None;
            }
            self.settle(false);
        }
        self.answering = None;
    }

    /// Counts what the turn under way took.
    pub(super) fn settle(&mut self, interrupted: bool) {
        let Some(answering) = &self.answering else { return };
        let (meter, heard_ms) = (Arc::clone(&answering.meter), answering.heard_ms);
        self.count(&meter, heard_ms, interrupted);
    }

    fn settle_capture(&mut self, capture: &Capture) {
        let meter = Arc::clone(&capture.meter);
        self.count(&meter, capture.ms, false);
    }

    fn count(&mut self, meter: &Meter, heard_ms: u64, interrupted: bool) {
        let (Some(reserved_at), spoken_characters, spoken_cost) = meter.taken() else { return };
        let price = self.app.voice.speech.highest_price();
        let cost = price.of_listening(heard_ms) + spoken_cost;
        let settle = SettleSpeech {
            id: meter.id,
            session: self.id,
            tenant: self.by.tenant,
            person: self.by.person,
            conversation: self.conversation,
            reserved_at,
            heard_ms,
            more_seconds: u32::try_from(heard_ms.div_ceil(1000).saturating_sub(1)).unwrap_or(u32::MAX),
            spoken_characters,
            interrupted,
            cost: if price.is_free() { Cost::Free } else { Cost::Known(cost) },
        };
        let app = Arc::clone(&self.app);
        self.chores.push(Box::pin(async move {
            if let Err(error) = app.store.run(&Call::within(PATIENCE), settle).await {
                tracing::warn!(%error, "what a turn of speech took could not be counted; what was set aside is swept");
            }
        }));
    }
}
