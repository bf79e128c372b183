//! One voice session: a task that owns all that belongs to it, so that whatever way it ends nothing of it is left.
//!
//! The session outlives its line by a little: while it waits to be resumed it keeps its place, its conversation and its turns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mainstay_domain::ConversationId;
use mainstay_store::{Call, EndVoiceSession};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_websockets::Message;
use uuid::Uuid;

use super::answering::Answering;
use super::desk::{Place, Seat};
use super::detector::Detector;
use super::figures::Why;
use super::gate::Gate;
use super::line::{Dropped, Line};
use super::reason::Reason;
use super::speech::{Ears, Sound, Transcribed};
use super::turn::{End, Meter, TurnEvent, Work};
use super::wire::{Encoding, LARGEST_FRAME, Limits, ServerFrame, Start};
use crate::accounts::Member;
use crate::app::App;

/// How often small things are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A silent line is pinged this often, and has dropped when it stays silent for three times as long.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long what is still to be stored may take when a session has ended.
const STORING: Duration = Duration::from_secs(10);
/// Latencies that are remembered for the median of a session.
const MOST_LATENCIES: usize = 256;
/// Things that those who listen have understood and that wait for the session.
const MOST_HEARD: usize = 64;
/// Lines that wait to take the session over.
const MOST_LINES: usize = 2;

/// Speech that is collected.
pub(super) struct Capture {
    pub(super) sound: Vec<Bytes>,
    pub(super) ms: u64,
    /// What was understood of it, where it is transcribed while it is said.
    pub(super) text: String,
    pub(super) meter: Arc<Meter>,
    /// Until when its last words are waited for: speech is over.
    pub(super) closing: Option<(Instant, Instant)>,
}

/// The connection to those who transcribe while somebody speaks.
pub(super) struct Hearing {
    pub(super) sound: Arc<Sound>,
    work: Option<Work<()>>,
    from: mpsc::Receiver<Transcribed>,
}

/// A session.
pub(super) struct Session {
    pub(super) app: Arc<App>,
    pub(super) by: Member,
    pub(super) id: Uuid,
    token: String,
    // Both end with the session.
    seat: Seat,
    place: Place,
    lines: mpsc::Receiver<Line>,
    pub(super) encoding: Encoding,
    pub(super) language: String,
    pub(super) conversation: Option<ConversationId>,
    pub(super) turn: u32,
    pub(super) detector: Detector,
    pub(super) gate: Gate,
    /// What was heard last, for the beginning of speech that is not noticed yet.
    pub(super) pre_roll: VecDeque<Bytes>,
    pub(super) capture: Option<Capture>,
    pub(super) answering: Option<Answering>,
    pub(super) hearing: Option<Hearing>,
    /// The reply before is cut to what was heard.
    pub(super) cutting: Option<Work<()>>,
    pub(super) chores: FuturesUnordered<Work<()>>,
    pub(super) began: Instant,
    pub(super) active_at: Instant,
    pub(super) bad_frames: u32,
    latencies: Vec<u64>,
    ticks: Interval,
}

/// What happens next.
pub(super) enum Next {
    Frame(Message),
    /// The line ended; true when the client said so.
    Gone(bool),
    Taken(Box<Line>),
    Heard(Transcribed),
    Told(TurnEvent),
    Ended(End),
    SoundDue,
    Tick,
    PlaceLost,
    Stopping,
    Nothing,
}

/// How the time on a line ended.
enum Held {
    Ended(Reason),
    Dropped,
    Replaced(Box<Line>),
}

impl Session {
    pub(super) fn new(
        app: &Arc<App>,
        by: Member,
        start: &Start,
        language: String,
        (seat, place): (Seat, Place),
    ) -> Self {
        let (voice, mut seat) = (&app.config.voice, seat);
        let (to_lines, lines) = mpsc::channel(MOST_LINES);
        let mut secret = [0; 24];
        app.entropy.fill(&mut secret);
        let token = mainstay_domain::hexadecimal(&secret);
        seat.make_known(&token, (by.tenant, by.person), to_lines);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hearing = app.voice.speech.streams().is_some().then(|| listen(app, start.encoding, &language));
        Self {
            id: app.ids.make(),
            token,
            seat,
            place,
            lines,
            encoding: start.encoding,
            language,
            conversation: start.conversation_id.map(ConversationId),
            turn: 0,
            detector: Detector::new(voice.start_ms, voice.end_ms),
            gate: Gate::new(voice.chunks_per_second, voice.chunk_burst),
            pre_roll: VecDeque::new(),
            capture: None,
            answering: None,
            hearing,
            cutting: None,
            chores: FuturesUnordered::new(),
            began: Instant::now(),
            active_at: Instant::now(),
            bad_frames: 0,
            latencies: Vec::new(),
            ticks,
            app: Arc::clone(app),
            by,
        }
    }

    /// Serves the session until it ends.
    pub(super) async fn run(mut self, first: Line) {
        let mut line = Some(first);
        let mut resumed = false;
        let reason = loop {
            let Some(mut current) = (match line.take() {
                Some(line) => Some(line),
                None => self.wait().await,
            }) else {
                break if self.app.lifecycle.stopping() { Reason::ServerStopping } else { Reason::Dropped };
            };
            let held = match self.ready(&mut current, std::mem::replace(&mut resumed, true)).await {
                Ok(()) => self.hold(&mut current).await,
                Err(Dropped) => Held::Dropped,
            };
            match held {
                Held::Ended(reason) => {
                    self.hush();
                    let frame = ServerFrame::Ended { reason: reason.code(), duration_ms: self.lasted() };
                    let _ = current.say(&frame).await;
                    let finishing = self.finish(reason);
                    tokio::join!(finishing, current.close(reason.close_code(), reason.code()));
                    return;
                }
                Held::Dropped => self.hush(),
                Held::Replaced(next) => {
                    self.hush();
                    self.chores.push(Box::pin(current.close(4409, "replaced")));
                    line = Some(*next);
                }
            }
        };
        self.finish(reason).await;
    }

    async fn ready(&mut self, line: &mut Line, resumed: bool) -> Result<(), Dropped> {
        // A line that takes over brings a place that is not needed.
        drop(line.place.take());
        if resumed {
            self.app.voice.figures.resumed.inc();
        }
        self.active_at = Instant::now();
        let voice = &self.app.config.voice;
        let limits = Limits {
            chunks_per_second: voice.chunks_per_second,
            chunk_burst: voice.chunk_burst,
            max_frame_bytes: LARGEST_FRAME,
            max_session_ms: voice.max_session_seconds * 1000,
            max_turn_ms: voice.max_turn_seconds * 1000,
            idle_ms: voice.idle_seconds * 1000,
            resume_ms: voice.resume_seconds * 1000,
        };
        let frame = ServerFrame::Ready {
            session_id: self.id,
            resume_token: &self.token,
            resumed,
            conversation_id: self.conversation.map(ConversationId::uuid),
            turn: self.turn,
            limits,
        };
        line.say(&frame).await
    }

    /// Waits for a line that resumes the session.
    async fn wait(&mut self) -> Option<Line> {
        self.seat.set_waiting(true);
        let until = Instant::now() + self.app.config.voice.resume();
        let found = loop {
            let (stopped, lost) = (self.app.lifecycle.stopped(), self.place.lost.clone());
            tokio::select! {
                biased;
                () = stopped => break None,
                () = lost.cancelled() => break None,
                line = self.lines.recv() => break line,
                () = sleep_until(until) => break None,
                () = work(&mut self.cutting) => {}
                Some(()) = self.chores.next(), if !self.chores.is_empty() => {}
            }
        };
        self.seat.set_waiting(false);
        found
    }

    async fn hold(&mut self, line: &mut Line) -> Held {
        loop {
            let next = self.next(line).await;
            let acted = match next {
                Next::Gone(true) => return Held::Ended(Reason::HungUp),
                Next::Gone(false) => return Held::Dropped,
                Next::Taken(line) => return Held::Replaced(line),
                Next::PlaceLost => return Held::Ended(Reason::PlaceLost),
                Next::Stopping => return Held::Ended(Reason::ServerStopping),
                next => self.act(line, next).await,
            };
            match acted {
                Ok(None) => {}
                Ok(Some(reason)) => return Held::Ended(reason),
                Err(Dropped) => return Held::Dropped,
            }
        }
    }

    async fn next(&mut self, line: &mut Line) -> Next {
        let due = self.answering.as_ref().and_then(|answering| answering.pacer.due());
        let stopping = self.app.lifecycle.stopped();
        let (mut events, mut ending) = (None, None);
        if let Some(answering) = &mut self.answering {
            // Whoever makes sound waits while enough of it waits to be sent.
            events = answering.pacer.has_room().then_some(&mut answering.events);
            ending = Some(&mut answering.work);
        }
        let (mut heard, mut listening) = (None, None);
        if let Some(hearing) = &mut self.hearing {
            (heard, listening) = (Some(&mut hearing.from), Some(&mut hearing.work));
        }
        tokio::select! {
            biased;
            () = stopping => Next::Stopping,
            () = self.place.lost.cancelled() => Next::PlaceLost,
            () = at(due) => Next::SoundDue,
            Some(heard) = receive(&mut heard) => Next::Heard(heard),
            Some(event) = receive(&mut events) => Next::Told(event),
            end = ended(&mut ending) => Next::Ended(end),
            message = line.socket.next() => match message {
                Some(Ok(message)) if message.is_close() => Next::Gone(true),
                Some(Ok(message)) => Next::Frame(message),
                Some(Err(error)) => {
                    tracing::debug!(%error, "the line of a voice session broke");
                    Next::Gone(false)
                }
                None => Next::Gone(false),
            },
            () = listened(&mut listening) => Next::Nothing,
            Some(line) = self.lines.recv() => Next::Taken(Box::new(line)),
            () = work(&mut self.cutting) => Next::Nothing,
            Some(()) = self.chores.next(), if !self.chores.is_empty() => Next::Nothing,
            _ = self.ticks.tick() => Next::Tick,
        }
    }

    /// Once in a while: what is over, who is silent.
    pub(super) async fn tick(&mut self, line: &mut Line) -> Result<Option<Reason>, Dropped> {
        let (voice, now) = (&self.app.config.voice, Instant::now());
        if now.saturating_duration_since(self.began) >= voice.max_session() {
            return Ok(Some(Reason::TooLong));
        }
        if !self.app.accounts.stands(&line.standing) {
            return Ok(Some(Reason::SignedOut));
        }
        let busy = self.capture.is_some() || self.answering.as_ref().is_some_and(Answering::is_under_way);
        if busy {
            self.active_at = now;
        } else if now.saturating_duration_since(self.active_at) >= voice.idle() {
            return Ok(Some(Reason::Idle));
        }
        if now.saturating_duration_since(line.heard_at) >= 3 * PING_EVERY {
            return Err(Dropped);
        }
        if now.saturating_duration_since(line.heard_at.max(line.pinged_at)) >= PING_EVERY {
            line.pinged_at = now;
            line.send(Message::ping(Bytes::new())).await?;
        }
        Ok(None)
    }

    pub(super) fn lasted(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn remember(&mut self, latency_ms: u64) {
        if self.latencies.len() < MOST_LATENCIES {
            self.latencies.push(latency_ms);
        }
    }

    /// Stores what is still to be stored.
    async fn finish(&mut self, reason: Reason) {
        self.hush();
        let storing = async {
            if let Some(mut hearing) = self.hearing.take() {
                hearing.sound.close();
                // Nobody waits for what is still understood.
                drop(hearing.from);
                work(&mut hearing.work).await;
            }
            work_if_any(&mut self.cutting).await;
            while self.chores.next().await.is_some() {}
        };
        if timeout(STORING, storing).await.is_err() {
            tracing::warn!(session = %self.id, "what a voice session took could not all be stored; what was set aside is swept");
        }
        self.latencies.sort_unstable();
        let median = self.latencies.get(self.latencies.len() / 2).copied();
        let (id, tenant, now) = (self.id, self.by.tenant, self.app.clock.now());
        let end = EndVoiceSession { id, tenant, reason: reason.code(), latency_ms: median, now };
        if let Err(error) = self.app.store.run(&Call::within(STORING), end).await {
            tracing::warn!(%error, session = %self.id, "the end of a voice session could not be stored; it is found later");
        }
        self.app.voice.figures.ended.get_or_create(&Why { why: reason.code() }).inc();
    }
}

/// Connects to those who transcribe while somebody speaks.
fn listen(app: &Arc<App>, encoding: Encoding, language: &str) -> Hearing {
    let (to, from) = mpsc::channel(MOST_HEARD);
    let sound = Arc::new(Sound::default());
    let ears = Ears { sound: Arc::clone(&sound), encoding, language: language.to_owned(), to };
    let app = Arc::clone(app);
    let listening: Work<()> = Box::pin(async move {
        if let Some(deepgram) = app.voice.speech.streams() {
            deepgram.listen(ears).await;
        }
    });
    Hearing { sound, work: Some(listening), from }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn receive<T>(from: &mut Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match from {
        Some(from) => from.recv().await,
        None => None,
    }
}

/// Does a piece of work to its end, and takes it away then. For ever where there is none.
async fn work(of: &mut Option<Work<()>>) {
    match of {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
    *of = None;
}

async fn work_if_any(of: &mut Option<Work<()>>) {
    if of.is_some() {
        work(of).await;
    }
}

async fn listened(of: &mut Option<&mut Option<Work<()>>>) {
    match of {
        Some(of) => work(of).await,
        None => std::future::pending().await,
    }
}

/// The end of a turn's work, which is taken away then.
async fn ended(of: &mut Option<&mut Option<Work<End>>>) -> End {
    let Some(slot) = of else { return std::future::pending().await };
    let Some(work) = slot else { return std::future::pending().await };
    let end = work.await;
    **slot = None;
    end
}
