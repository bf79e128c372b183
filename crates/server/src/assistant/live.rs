//! Replies that this node makes at this moment. They live in this process only: on another node their text is read from
//! what is saved once a second, and a stop is asked for through the database.
//!
//! The text itself is the log of its events: a listener remembers how many bytes it has seen, and goes on from there. So
//! nothing is buffered for anybody, a slow listener costs nothing, and one that comes back misses nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mainstay_domain::{
    ConversationId, GenerationId, MessageStatus, PersonId, TenantId, Timestamp, ToolState, ToolUsed, Usage,
};
use mainstay_store::Cost;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::locking::lock;
use crate::providers::{MAX_REPLY_BYTES, Sink};

/// Where a reply stands, for whoever waits for a change: how long its text is, how often its tools changed, and whether it has
/// ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) bytes: usize,
    pub(super) tools: usize,
    pub(super) ended: bool,
}

/// How a reply ended.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) status: MessageStatus,
    pub(super) usage: Option<Usage>,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) fault: Option<(String, String)>,
    pub(super) cost: Cost,
}

impl Ending {
    /// What it cost, in millionths.
    pub(super) const fn cost_micros(&self) -> i64 {
        match self.cost {
            Cost::Known(cost) => cost,
            Cost::Free | Cost::AllReserved => 0,
        }
    }
}

/// Who makes a reply, and what it has taken until now. Empty until a provider has accepted the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Making {
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    /// In millionths.
    pub(super) cost_micros: i64,
}

/// A reply in the making.
pub(super) struct Live {
    pub(super) tenant: TenantId,
    pub(super) person: PersonId,
    pub(super) conversation: ConversationId,
    pub(super) generation: GenerationId,
    pub(super) lease: i64,
    pub(super) begun_at: Timestamp,
    /// Asks the maker to stop.
    pub(super) stop: CancellationToken,
    /// Tells the maker that the reply belongs to another by now.
    pub(super) lost: CancellationToken,
    text: Mutex<String>,
    /// Set under the lock of the text, when its listener has heard enough.
    is_cut: AtomicBool,
    making: Mutex<Making>,
    /// What tools do for it. How many there may be is bounded by the rounds of a reply.
    tools: Mutex<Vec<ToolUsed>>,
    ending: Mutex<Option<Ending>>,
    progress: watch::Sender<Progress>,
}

/// What comes after the first `from` bytes of a text. A place inside a character is moved to its end.
pub(super) fn rest(text: &str, from: usize) -> &str {
    &text[text.ceil_char_boundary(from.min(text.len()))..]
}

impl Live {
    pub(super) fn new(
        (tenant, person): (TenantId, PersonId),
        conversation: ConversationId,
        generation: GenerationId,
        lease: i64,
        begun_at: Timestamp,
    ) -> Self {
        Self {
            tenant,
            person,
            conversation,
            generation,
            lease,
            begun_at,
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
            text: Mutex::default(),
            is_cut: AtomicBool::new(false),
            making: Mutex::default(),
            tools: Mutex::default(),
            ending: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Adds what has arrived. NUL is left out: no database text can hold it. Past the bound nothing is added.
    pub(super) fn append(&self, piece: &str) {
        let bytes = {
            let mut text = lock(&self.text);
            if self.is_cut.load(Ordering::Acquire) {
                return;
            }
            let room = MAX_REPLY_BYTES.saturating_sub(text.len());
            let fits = piece.floor_char_boundary(room.min(piece.len()));
            text.extend(piece[..fits].chars().filter(|character| *character != '\0'));
            text.len()
        };
        self.progress.send_modify(|progress| progress.bytes = bytes);
    }

    /// Cuts the text to its first bytes; nothing is added to it from here on. A place inside a character is moved to its
    /// beginning.
    pub(super) fn cut(&self, bytes: usize) {
        let mut text = lock(&self.text);
        self.is_cut.store(true, Ordering::Release);
        let end = text.floor_char_boundary(bytes.min(text.len()));
        text.truncate(end);
        let kept = text.trim_end().len();
        text.truncate(kept);
    }

    /// A tool is being used. The answer is its place.
    pub(super) fn tool_begins(&self, name: &str) -> usize {
        let place = {
            let mut tools = lock(&self.tools);
            tools.push(ToolUsed { name: name.to_owned(), state: ToolState::Running, answer: String::new() });
            tools.len() - 1
        };
        self.progress.send_modify(|progress| progress.tools += 1);
        place
    }

    /// What came of a use. NUL is left out: no database text can hold it.
    pub(super) fn tool_ends(&self, place: usize, state: ToolState, answer: &str) {
        if let Some(used) = lock(&self.tools).get_mut(place) {
            (used.state, used.answer) = (state, answer.replace('\0', ""));
        }
        self.progress.send_modify(|progress| progress.tools += 1);
    }

    /// What tools did until now.
    pub(super) fn tools(&self) -> Vec<ToolUsed> {
        lock(&self.tools).clone()
    }

    pub(super) fn making(&self) -> Making {
        lock(&self.making).clone()
    }

    pub(super) fn text(&self) -> String {
        lock(&self.text).clone()
    }

    /// How long the text is now.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.text).len()
    }

    /// What came after `from` bytes, and where it ends. A place inside a character is moved to its end.
    pub(super) fn text_after(&self, from: usize) -> (String, usize) {
        let text = lock(&self.text);
        (rest(&text, from).to_owned(), text.len())
    }

    /// Whether any text has arrived.
    pub(super) fn has_text(&self) -> bool {
        !lock(&self.text).is_empty()
    }

    /// Keeps how the reply ended. Whoever waits is told when its place is given back: then there is room for the next.
    pub(super) fn end(&self, ending: Ending) {
        *lock(&self.ending) = Some(ending);
    }

    pub(super) fn ending(&self) -> Option<Ending> {
        lock(&self.ending).clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

impl Sink for &Live {
    fn text(&mut self, text: &str) {
        self.append(text);
    }

    fn maker(&mut self, provider: &str, model: &str) {
        let mut making = lock(&self.making);
        making.provider = Some(provider.to_owned());
        making.model = Some(model.to_owned());
    }

    fn usage(&mut self, usage: Usage, cost_micros: i64) {
        let mut making = lock(&self.making);
        making.usage = Some(usage);
        making.cost_micros = cost_micros;
    }
}

/// All replies that this node makes.
#[derive(Default)]
pub(super) struct Registry {
    live: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    by_id: HashMap<GenerationId, Arc<Live>>,
    by_person: HashMap<(TenantId, PersonId), usize>,
}

/// Why a reply cannot be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// This node makes as many as it may.
    Node,
    /// This person has as many in the making as they may.
    Person,
}

/// A place among the replies in the making. It is given back when this is dropped, and with it the reply leaves the list.
pub(super) struct Place {
    registry: Arc<Registry>,
    live: Arc<Live>,
}

impl Place {
    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lists = lock(&self.registry.live);
        lists.by_id.remove(&self.live.generation);
        let owner = (self.live.tenant, self.live.person);
        if let Some(count) = lists.by_person.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                lists.by_person.remove(&owner);
            }
        }
        drop(lists);
        // Here and nowhere else, so that nobody waits for an end that nobody will bring.
        self.live.progress.send_modify(|progress| progress.ended = true);
    }
}

impl Registry {
    /// Takes a place for a reply.
    pub(super) fn enter(self: &Arc<Self>, live: Live, most: usize, most_per_person: usize) -> Result<Place, Full> {
        let live = Arc::new(live);
        let mut lists = lock(&self.live);
        if lists.by_id.len() >= most {
            return Err(Full::Node);
        }
        let count = lists.by_person.entry((live.tenant, live.person)).or_default();
        if *count >= most_per_person {
            return Err(Full::Person);
        }
        *count += 1;
        lists.by_id.insert(live.generation, Arc::clone(&live));
        drop(lists);
        Ok(Place { registry: Arc::clone(self), live })
    }

    /// A reply of this person, if this node makes it.
    pub(super) fn find(&self, tenant: TenantId, person: PersonId, generation: GenerationId) -> Option<Arc<Live>> {
        let found = lock(&self.live).by_id.get(&generation).cloned();
        found.filter(|live| live.tenant == tenant && live.person == person)
    }

    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        lock(&self.live).by_id.values().cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.live).by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn live(number: u128) -> Live {
        let owner = (TenantId(Uuid::from_u128(1)), PersonId(Uuid::from_u128(2)));
        let generation = GenerationId(Uuid::from_u128(number));
        Live::new(owner, ConversationId(Uuid::nil()), generation, 1, Timestamp::EPOCH)
    }

    #[test]
    fn the_text_is_read_from_any_place() {
        let live = live(1);
        live.append("Olá ");
        live.append("mun\0do 🦀");
        assert_eq!(live.text(), "Olá mundo 🦀");
        let end = live.text().len();
        assert_eq!(live.text_after(5), ("mundo 🦀".to_owned(), end));
        assert_eq!(live.text_after(3), (" mundo 🦀".to_owned(), end), "3 is inside the á");
        assert_eq!(live.text_after(end - 1), (String::new(), end), "inside the last character");
        assert_eq!(live.text_after(10_000), (String::new(), end));
        live.append(&"é".repeat(MAX_REPLY_BYTES));
        assert!(live.text().len() <= MAX_REPLY_BYTES);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let registry = Arc::new(Registry::default());
        let (Ok(first), Ok(second)) = (registry.enter(live(1), 3, 2), registry.enter(live(2), 3, 2)) else {
            panic!("there is room for two");
        };
        assert_eq!(registry.enter(live(3), 3, 2).err(), Some(Full::Person));
        assert_eq!(registry.enter(live(3), 2, 9).err(), Some(Full::Node));
        let watch = first.live().watch();
        drop(first);
        assert!(watch.borrow().ended, "a listener of a reply that left is let go");
        assert_eq!(registry.count(), 1);
        assert!(registry.enter(live(3), 3, 2).is_ok());
        drop(second);
        assert_eq!(registry.count(), 0);
        assert!(lock(&registry.live).by_person.is_empty());
    }
}
