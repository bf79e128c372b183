//! One virtual user: when they mean to do what, their socket, and one request at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mainstay_client::{
    Client, Cursor, Disconnection, Error, Listing, Live, LiveEvent, LivePolicy, RawFrame, SendMessage, StreamName,
};
use mainstay_domain::Entropy;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use crate::options::Profile;
use crate::recorder::{Operation, Recorder};

/// Messages of a conversation, before a new one is begun.
const CONVERSATION: u32 = 10;
/// How long a request that is on its way when the user leaves is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is meant to begin this shortly before a user leaves may remain undone.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// How long a user leaves sync alone after it failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(20);

/// What all virtual users of a run share.
pub(crate) struct Shared {
    pub(crate) recorder: Recorder,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) profile: Profile,
    /// The mean time between two things that a user means to do.
    pub(crate) think: Duration,
}

impl Shared {
    /// The time until a user means to do the next thing: people do not know of each other, so it is exponential.
    fn think(&self) -> Duration {
        self.think.mul_f64((-(1.0 - self.entropy.fraction()).ln()).min(5.0))
    }
}

/// When a user comes and goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) arrive: Instant,
    pub(crate) leave: Instant,
    /// When their socket is cut.
    pub(crate) cut: Option<Instant>,
}

/// What came of a request.
enum Outcome {
    Sent(Uuid),
    Read,
    Synced(Brief),
}

type Busy = Pin<Box<dyn Future<Output = (Operation, Instant, Result<Outcome, Error>)> + Send>>;

/// What there is to do at a moment.
#[derive(Clone, Copy)]
enum Due {
    Leave,
    Cut,
    Act,
    Sync,
}

/// What a user reads of a page of changes.
#[derive(Deserialize)]
struct Brief {
    cursor: Cursor,
    complete: bool,
    #[serde(default)]
    next_sync_after_ms: Option<u64>,
}

/// What a user reads of a frame.
#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(rename = "type", borrow)]
    what: &'a str,
    #[serde(default)]
    kind: Option<&'a str>,
    #[serde(default)]
    stream: Option<StreamName>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    cursor: Option<Cursor>,
    #[serde(default)]
    safety_sync_after_ms: Option<u64>,
}

/// A virtual user.
pub(crate) struct User {
    shared: Arc<Shared>,
    client: Client,
    schedule: Schedule,
    live: Option<Live>,
    open: bool,
    /// Since when they want a socket and have none; with what that is called.
    wanted: Option<(Operation, Instant)>,
    next_act: Option<Instant>,
    next_sync: Option<Instant>,
    busy: Option<Busy>,
    /// When the message was sent that the socket has not told of yet.
    sent: Option<Instant>,
    conversation: Option<Uuid>,
    messages: u32,
    cursor: Option<Cursor>,
    safety: Option<Duration>,
}

impl User {
    pub(crate) fn new(shared: Arc<Shared>, client: Client, schedule: Schedule) -> Self {
        Self {
            shared,
            client,
            schedule,
            live: None,
            open: false,
            wanted: None,
            next_act: None,
            next_sync: None,
            busy: None,
            sent: None,
            conversation: None,
            messages: 0,
            cursor: None,
            safety: None,
        }
    }

    /// Comes, does what they mean to do, and leaves.
    pub(crate) async fn live(mut self) {
        sleep_until(self.schedule.arrive).await;
        self.arrive();
        loop {
            let (at, due) = self.due();
            tokio::select! {
                biased;
                event = next_event(&mut self.live) => self.heard(event),
                (operation, meant, outcome) = working(&mut self.busy) => {
                    self.busy = None;
                    self.done(operation, meant, outcome);
                }
                () = sleep_until(at) => match due {
                    Due::Leave => break,
                    Due::Cut => self.cut(),
                    Due::Act => self.act(at),
                    Due::Sync => self.sync(at),
                },
            }
        }
        self.leave().await;
    }

    fn arrive(&mut self) {
        let (now, profile) = (self.schedule.arrive, self.shared.profile);
        if profile.has_sockets() {
            let policy = LivePolicy { cap: Duration::from_secs(20), ..LivePolicy::default() };
            self.live = Some(Live::with_policy(self.client.clone(), policy));
            self.wanted = Some((Operation::Connect, now));
        }
        if matches!(profile, Profile::Chat | Profile::Mixed) {
            self.next_act = Some(now + self.shared.think.mul_f64(self.shared.entropy.fraction()));
        }
        if matches!(profile, Profile::Sync | Profile::Mixed) {
            self.next_sync = Some(now);
        }
    }

    /// What comes next, and when. While a request is on its way the next one waits, and its time runs.
    fn due(&self) -> (Instant, Due) {
        let free = self.busy.is_none();
        let act = self.next_act.filter(|_| free).map(|at| (at, Due::Act));
        let sync = self.next_sync.filter(|_| free).map(|at| (at, Due::Sync));
        let cut = self.schedule.cut.map(|at| (at, Due::Cut));
        let leave = (self.schedule.leave, Due::Leave);
        [act, sync, cut].into_iter().flatten().fold(leave, |first, other| if other.0 < first.0 { other } else { first })
    }

    fn act(&mut self, meant: Instant) {
        self.next_act = Some(meant + self.shared.think());
        let client = self.client.clone();
        let choice = self.shared.entropy.fraction();
        self.busy = Some(match self.conversation {
            Some(id) if choice < 0.25 => Box::pin(async move {
                let listing = Listing { limit: Some(20), ..Listing::default() };
                (Operation::Messages, meant, client.messages(id, &listing).await.map(|_| Outcome::Read))
            }),
            _ if choice < 0.5 => Box::pin(async move {
                let listing = Listing { limit: Some(20), ..Listing::default() };
                (Operation::Conversations, meant, client.conversations(&listing).await.map(|_| Outcome::Read))
            }),
            current => {
                let into = current.filter(|_| !self.messages.is_multiple_of(CONVERSATION));
                self.messages += 1;
                let text =
                    format!("Message {} of a virtual user: what would you do on a day like this one?", self.messages);
                let message = SendMessage { conversation_id: into, ..SendMessage::new(text) };
                self.sent = self.open.then(Instant::now);
                Box::pin(async move {
                    let sent = client.send(&message).await;
                    (Operation::Message, meant, sent.map(|sent| Outcome::Sent(sent.conversation_id)))
                })
            }
        });
    }

    fn sync(&mut self, meant: Instant) {
        self.next_sync = None;
        let (client, cursor) = (self.client.clone(), self.cursor);
        self.busy = Some(Box::pin(async move {
            let page = client.sync_raw(cursor.as_ref(), Some(50)).await.and_then(|body| {
                let decode = |error: serde_json::Error| Error::Decode { what: "a page", detail: error.to_string() };
                serde_json::from_slice(&body).map_err(decode)
            });
            (Operation::Sync, meant, page.map(Outcome::Synced))
        }));
    }

    fn done(&mut self, operation: Operation, meant: Instant, outcome: Result<Outcome, Error>) {
        match outcome {
            Ok(outcome) => {
                self.shared.recorder.took(operation, meant);
                match outcome {
                    Outcome::Sent(conversation) => self.conversation = Some(conversation),
                    Outcome::Read => {}
                    Outcome::Synced(page) => self.synced(&page, meant),
                }
            }
            Err(error) if operation == Operation::Sync && error.is_resync() => {
                self.cursor = None;
                self.next_sync = Some(Instant::now());
            }
            Err(error) => {
                self.shared.recorder.failed(operation, error.kind());
                if operation == Operation::Sync {
                    let spread = AFTER_A_FAILURE.mul_f64(self.shared.entropy.fraction());
                    self.next_sync = Some(Instant::now() + error.retry_after().unwrap_or_default() + spread);
                }
            }
        }
    }

    fn synced(&mut self, page: &Brief, meant: Instant) {
        self.cursor = Some(match self.cursor {
            // The socket may have been faster.
            Some(here) if here.has_reached(&page.cursor) => here,
            _ => page.cursor,
        });
        let paced = page.next_sync_after_ms.map(Duration::from_millis);
        self.next_sync = if !page.complete {
            Some(Instant::now())
        } else if self.shared.profile == Profile::Sync {
            Some(meant + self.shared.think())
        } else {
            self.safety.filter(|_| self.open).or(paced).map(|after| Instant::now() + after)
        };
    }

    fn heard(&mut self, event: Result<LiveEvent, Error>) {
        let recorder = &self.shared.recorder;
        match event {
            Ok(LiveEvent::Connected) => {
                self.open = true;
                recorder.socket(1);
            }
            Ok(LiveEvent::Frame(raw)) => {
                recorder.frame();
                self.frame(&raw);
            }
            Ok(LiveEvent::Disconnected { cause, .. }) => {
                let name = if self.open { Operation::Reconnect } else { Operation::Connect };
                match &cause {
                    Disconnection::Failed(error) if error.retry_after().is_some() => recorder.postponed(error.kind()),
                    Disconnection::Failed(error) => recorder.failed(name, error.kind()),
                    Disconnection::Closed(closure) => recorder.failed(name, &format!("closed_{}", closure.code)),
                    _ => {}
                }
                self.lost();
            }
            Ok(_) => {}
            Err(error) => {
                recorder.failed(Operation::Connect, error.kind());
                self.lost();
                self.live = None;
            }
        }
    }

    /// The socket is not there any more.
    fn lost(&mut self) {
        if std::mem::take(&mut self.open) {
            self.shared.recorder.socket(-1);
            self.wanted.get_or_insert((Operation::Reconnect, Instant::now()));
        }
        self.sent = None;
    }

    fn cut(&mut self) {
        self.schedule.cut = None;
        if let Some(live) = self.live.as_mut().filter(|_| self.open) {
            live.cut();
            self.shared.recorder.cut();
            self.lost();
        }
    }

    fn frame(&mut self, raw: &RawFrame) {
        let Ok(frame) = serde_json::from_slice::<Heard<'_>>(raw.bytes()) else {
            self.shared.recorder.failed(Operation::Connect, "decode");
            return;
        };
        match (frame.what, frame.stream, frame.seq) {
            ("ready", ..) => {
                if let Some((operation, since)) = self.wanted.take() {
                    self.shared.recorder.took(operation, since);
                }
                self.safety = frame.safety_sync_after_ms.map(Duration::from_millis);
                let behind = match (self.cursor, frame.cursor) {
                    (Some(here), Some(there)) => !here.has_reached(&there),
                    _ => true,
                };
                if behind && self.shared.profile == Profile::Mixed && self.busy.is_none() {
                    self.next_sync = Some(Instant::now());
                }
            }
            ("change", Some(stream), Some(seq)) => {
                if frame.kind == Some("message")
                    && let Some(sent) = self.sent.take()
                {
                    self.shared.recorder.took(Operation::Delivery, sent);
                }
                let mixed = self.shared.profile == Profile::Mixed;
                match self.cursor.as_mut().map(|cursor| cursor.position_mut(stream)) {
                    // Only a page tells the epoch of a stream that has just begun.
                    Some(position) if position.epoch == 0 => {
                        self.next_sync = self.next_sync.filter(|_| !mixed).or(mixed.then(Instant::now));
                    }
                    Some(position) => position.head = position.head.max(seq),
                    None => {}
                }
            }
            ("resync", ..) if self.shared.profile == Profile::Mixed => self.next_sync = Some(Instant::now()),
            _ => {}
        }
    }

    async fn leave(mut self) {
        let recorder = &self.shared.recorder;
        if let Some(busy) = &mut self.busy {
            match timeout_at(Instant::now() + PATIENCE, busy).await {
                Ok((operation, meant, Ok(_))) => recorder.took(operation, meant),
                Ok((operation, _, Err(error))) => recorder.failed(operation, error.kind()),
                Err(_) => recorder.failed(Operation::Message, "unfinished"),
            }
        }
        // What they meant to do while they waited for an answer, and never came to; but for what came up in the last moment,
        // when an answer that takes a little is nobody's fault. That answer is counted with the time that it took.
        while let Some(meant) = self.next_act.filter(|meant| *meant + LAST_MOMENT < self.schedule.leave) {
            recorder.failed(Operation::Message, "not_begun");
            self.next_act = Some(meant + self.shared.think());
        }
        if let Some(live) = self.live.take() {
            live.close().await;
        }
        if self.open {
            recorder.socket(-1);
        }
    }
}

async fn next_event(live: &mut Option<Live>) -> Result<LiveEvent, Error> {
    match live {
        Some(live) => live.next().await,
        None => std::future::pending().await,
    }
}

async fn working(busy: &mut Option<Busy>) -> (Operation, Instant, Result<Outcome, Error>) {
    match busy {
        Some(busy) => busy.await,
        None => std::future::pending().await,
    }
}
