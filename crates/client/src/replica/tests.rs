//! The replica against a model of a server: random changes, random cuts of pages, pushes that are lost, repeated and late.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::*;
use crate::sync::Position;

/// One stream of the model.
#[derive(Default)]
struct Stream {
    epoch: u64,
    head: u64,
    floor: u64,
    rows: BTreeMap<(&'static str, Uuid), (u64, Option<Uuid>, String)>,
    tombstones: BTreeMap<u64, (&'static str, Uuid)>,
}

/// A server that holds what the wire says.
struct Server {
    streams: [Stream; 2],
    /// What goes out on the socket, while there is one.
    socket: Option<VecDeque<Frame>>,
    /// Up to where tombstones were forgotten when the replica began. What was gone before that it never had.
    begun: [u64; 2],
    made: u128,
}

const NAMES: [StreamName; 2] = [StreamName::Membership, StreamName::Organisation];

/// What happens next. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Event {
    Create,
    CreateChild(usize),
    Change(usize, usize),
    Delete(usize, usize),
    Member,
    /// Tombstones are forgotten.
    Trim,
    /// A backup was restored: another life.
    NewEpoch,
    /// One page is asked for, of this many rows.
    Page(usize),
    Connect,
    Disconnect,
    /// So many frames arrive.
    Deliver(usize),
    /// A frame arrives and stays in the queue: it comes twice.
    Repeat,
    /// The queue overflows: the server says so, and goes on from there.
    Overflow,
    /// A change is lost, and nobody knows.
    Lose,
}

fn event(faulty: bool) -> impl Strategy<Value = Event> {
    let small = 0..8usize;
    let lose = if faulty { Event::Lose } else { Event::Repeat };
    prop_oneof![
        4 => Just(Event::Create),
        8 => small.clone().prop_map(Event::CreateChild),
        6 => (0..2usize, small.clone()).prop_map(|(stream, which)| Event::Change(stream, which)),
        4 => (0..2usize, small).prop_map(|(stream, which)| Event::Delete(stream, which)),
        2 => Just(Event::Member),
        1 => Just(Event::Trim),
        1 => Just(Event::NewEpoch),
        12 => (1..6usize).prop_map(Event::Page),
        2 => Just(Event::Connect),
        1 => Just(Event::Disconnect),
        8 => (1..4usize).prop_map(Event::Deliver),
        2 => Just(Event::Repeat),
        1 => Just(Event::Overflow),
        1 => Just(lose),
    ]
}

impl Server {
    fn new() -> Self {
        Self { streams: [Stream::default(), Stream::default()], socket: None, begun: [0; 2], made: 0 }
    }

    fn cursor(&self) -> Cursor {
        let [membership, organisation] = [0, 1].map(|stream: usize| {
            let stream = &self.streams[stream];
            Position { epoch: stream.epoch, head: stream.head, floor: 0 }
        });
        Cursor { membership, organisation }
    }

    fn checksum(&self) -> Checksum {
        let rows = self.streams.iter().flat_map(|stream| stream.rows.values());
        rows.fold(Checksum::default(), |sum, (seq, ..)| Checksum { count: sum.count + 1, sum: sum.sum + seq })
    }

    fn change(&self, stream: usize, kind: &str, id: Uuid, seq: u64) -> Change {
        let row = self.streams[stream].rows.iter().find(|((_, of), _)| *of == id).map(|(_, row)| row);
        Change {
            stream: NAMES[stream],
            kind: kind.to_owned(),
            id,
            seq,
            deleted: row.is_none(),
            parent: row.and_then(|(_, parent, _)| *parent),
            row: row.map(|(.., body)| RawValue::from_string(body.clone()).expect("JSON")),
        }
    }

    fn push(&mut self, stream: usize, kind: &str, id: Uuid, seq: u64) {
        let change = self.change(stream, kind, id, seq);
        if let Some(socket) = &mut self.socket {
            socket.push_back(Frame::Change(change));
        }
    }

    fn write(&mut self, stream: usize, kind: &'static str, id: Uuid, parent: Option<Uuid>) {
        let to = &mut self.streams[stream];
        // A stream begins with its first change.
        to.epoch = to.epoch.max(1);
        // Gaps are legal.
        to.head += 1 + u64::from(to.head.is_multiple_of(3));
        let seq = to.head;
        to.rows.insert((kind, id), (seq, parent, format!(r#"{{"text":"{seq}"}}"#)));
        self.push(stream, kind, id, seq);
    }

    fn create(&mut self, stream: usize, kind: &'static str, parent: Option<Uuid>) {
        self.made += 1;
        self.write(stream, kind, Uuid::from_u128(self.made), parent);
    }

    fn pick(&self, stream: usize, which: usize) -> Option<(&'static str, Uuid, Option<Uuid>)> {
        let rows = &self.streams[stream].rows;
        let (key, row) = rows.iter().nth(which % rows.len().max(1))?;
        Some((key.0, key.1, row.1))
    }

    fn delete(&mut self, stream: usize, which: usize) {
        let Some((kind, id, _)) = self.pick(stream, which) else { return };
        let from = &mut self.streams[stream];
        from.head += 1;
        let seq = from.head;
        from.rows.retain(|(_, row), (_, parent, _)| *row != id && *parent != Some(id));
        from.tombstones.insert(seq, (kind, id));
        self.push(stream, kind, id, seq);
    }

    fn page(&mut self, cursor: Option<Cursor>, limit: usize) -> Option<SyncPage> {
        if cursor.is_none() {
            self.begun = [0, 1].map(|stream: usize| self.streams[stream].floor);
        }
        let (mut changes, mut end, mut complete) = (Vec::new(), self.cursor(), true);
        for (index, stream) in self.streams.iter().enumerate() {
            let from = cursor.map(|cursor| cursor.position(NAMES[index]));
            let forgotten = |head: u64| head < stream.floor && stream.floor > self.begun[index];
            if from
                .filter(|at| at.head > 0)
                .is_some_and(|at| at.epoch != stream.epoch || forgotten(at.head) || at.head > stream.head)
            {
                return None;
            }
            let after = from.map_or(0, |at| at.head);
            let live = stream.rows.iter().map(|(key, (seq, ..))| (*seq, *key));
            let gone = stream.tombstones.iter().map(|(seq, key)| (*seq, *key));
            let mut all: Vec<_> = live.chain(gone).filter(|(seq, _)| *seq > after).collect();
            all.sort_unstable();
            let room = limit - changes.len();
            if all.len() > room {
                complete = false;
                all.truncate(room);
                end.position_mut(NAMES[index]).head = all.last().map_or(after, |(seq, _)| *seq);
            }
            changes.extend(all.iter().map(|(seq, (kind, id))| self.change(index, kind, *id, *seq)));
        }
        Some(SyncPage { changes, cursor: end, complete, checksum: self.checksum(), next_sync_after_ms: None })
    }

    fn ready(&self) -> Frame {
        Frame::Ready(Ready { cursor: self.cursor(), next_sync_after_ms: None, safety_sync_after_ms: None })
    }
}

/// A server, a replica, and the page that is on its way.
struct World {
    server: Server,
    replica: Replica,
}

impl World {
    fn act(&mut self, event: &Event) {
        let Self { server, replica } = self;
        match *event {
            Event::Create => server.create(0, "conversation", None),
            Event::CreateChild(which) => {
                if let Some(("conversation", id, _)) = server.pick(0, which) {
                    server.create(0, "message", Some(id));
                }
            }
            Event::Change(stream, which) => {
                if let Some((kind, id, parent)) = server.pick(stream, which) {
                    server.write(stream, kind, id, parent);
                }
            }
            Event::Delete(stream, which) => server.delete(stream, which),
            Event::Member => server.create(1, "member", None),
            Event::Trim => {
                for stream in &mut server.streams {
                    stream.floor = stream.head;
                    stream.tombstones.clear();
                }
            }
            Event::NewEpoch => {
                for stream in server.streams.iter_mut().filter(|stream| stream.head > 0) {
                    stream.epoch += 1;
                }
                server.socket = None;
                replica.disconnected();
            }
            Event::Page(limit) => {
                self.page(limit);
            }
            Event::Connect => {
                server.socket = Some(VecDeque::from([server.ready()]));
                replica.disconnected();
            }
            Event::Disconnect => {
                server.socket = None;
                replica.disconnected();
            }
            Event::Deliver(most) => {
                for _ in 0..most {
                    if let Some(frame) = server.socket.as_mut().and_then(VecDeque::pop_front) {
                        replica.apply_frame(frame);
                    }
                }
            }
            Event::Repeat => {
                if let Some(frame) = server.socket.as_ref().and_then(|socket| socket.front().cloned()) {
                    replica.apply_frame(frame);
                }
            }
            Event::Overflow => {
                let ready = server.ready();
                if let Some(socket) = &mut server.socket {
                    socket.clear();
                    socket.extend([Frame::Resync, ready]);
                }
            }
            Event::Lose => {
                if let Some(socket) = &mut server.socket
                    && matches!(socket.front(), Some(Frame::Change(_)))
                {
                    socket.pop_front();
                }
            }
        }
    }

    fn page(&mut self, limit: usize) -> Option<Applied> {
        match self.server.page(self.replica.cursor(), limit) {
            Some(page) => {
                let applied = self.replica.apply_page(&page);
                Some(applied)
            }
            None => {
                self.replica.resync();
                None
            }
        }
    }

    /// Syncs until there is nothing more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.page(3) == Some(Applied::Complete) {
                return;
            }
        }
        unreachable!("sync comes to an end");
    }

    fn rows(&self) -> Vec<(StreamName, String, Uuid, u64, String)> {
        let mut rows = Vec::new();
        self.replica.storage().each(&mut |key, row| {
            rows.push((key.stream, key.kind.to_string(), key.id, row.seq, row.body.to_string()));
        });
        rows
    }

    fn wanted(&self) -> Vec<(StreamName, String, Uuid, u64, String)> {
        let mut rows = Vec::new();
        for (name, stream) in NAMES.iter().zip(&self.server.streams) {
            let of = |((kind, id), (seq, _, body)): (&(&'static str, Uuid), &(u64, Option<Uuid>, String))| {
                (*name, (*kind).to_owned(), *id, *seq, body.clone())
            };
            rows.extend(stream.rows.iter().map(of));
        }
        rows
    }
}

fn world() -> World {
    World { server: Server::new(), replica: Replica::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replica_becomes_what_the_server_has(events in prop::collection::vec(event(false), 1..120)) {
        let mut world = world();
        for event in &events {
            let drained = match event {
                Event::Page(limit) => world.page(*limit) == Some(Applied::Complete),
                other => {
                    world.act(other);
                    false
                }
            };
            let pushed = world.replica.is_current() && world.server.socket.as_ref().is_some_and(VecDeque::is_empty);
            // At the end of a sync, and whenever everything pushed has arrived, nothing is missing and nothing is left over.
            let all_applied = world.replica.waiting.is_empty() && world.replica.cursor() == Some(world.server.cursor());
            if (drained && all_applied) || pushed {
                prop_assert_eq!(world.rows(), world.wanted());
            }
        }
        world.settle();
        prop_assert_eq!(world.rows(), world.wanted());
        prop_assert_eq!(world.replica.counters().divergences, 0, "nothing was lost, so nothing had to be healed");
    }

    #[test]
    fn a_change_that_was_lost_in_silence_is_found_and_healed(events in prop::collection::vec(event(true), 1..120)) {
        let mut world = world();
        events.iter().for_each(|event| world.act(event));
        world.act(&Event::Disconnect);
        world.settle();
        prop_assert_eq!(world.rows(), world.wanted());
    }
}

#[test]
fn a_lost_change_is_counted() {
    let mut world = world();
    world.act(&Event::Create);
    world.act(&Event::Connect);
    world.settle();
    world.act(&Event::Deliver(1));
    for event in [Event::Create, Event::Create, Event::Lose, Event::Deliver(1)] {
        world.act(&event);
    }
    assert_eq!(world.rows().len(), 2, "the second arrived, the first did not");
    world.settle();
    assert_eq!(world.rows(), world.wanted());
    assert_eq!(world.replica.counters().divergences, 1);
}

#[test]
fn what_is_pushed_too_early_waits_within_bounds() {
    let mut world = world();
    world.act(&Event::Connect);
    world.act(&Event::Deliver(1));
    for _ in 0..3 * MOST_WAITING {
        world.act(&Event::Create);
        world.act(&Event::Deliver(1));
        assert!(world.replica.waiting.len() <= MOST_WAITING);
    }
    assert!(world.replica.cursor().is_none() && world.rows().is_empty());
    world.settle();
    assert_eq!(world.rows(), world.wanted());
    world.act(&Event::Create);
    world.act(&Event::Deliver(1));
    assert_eq!(world.rows(), world.wanted(), "it follows without another word from the server");
    assert_eq!(world.replica.counters().divergences, 0);
}

#[test]
fn two_replicas_are_compared_row_by_row() {
    let mut world = world();
    for event in [Event::Create, Event::Member, Event::CreateChild(0)] {
        world.act(&event);
    }
    world.settle();
    let mut other = Replica::<Memory>::default();
    other.apply_page(&world.server.page(None, 50).expect("a page"));
    assert_eq!(world.replica.differences(&other), [""; 0]);
    world.act(&Event::Change(0, 0));
    world.settle();
    let found = world.replica.differences(&other);
    assert_eq!(found.len(), 2, "another place, and another row: {found:?}");
}
