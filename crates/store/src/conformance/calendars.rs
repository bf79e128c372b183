//! Calendars: what is owed is written once and in the end as it is, and what is read blocks, moves or is shown.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    AppointmentId, AppointmentState, CalendarConnectionId, JobId, KeyVersion, PersonId, Span, Timestamp,
};

use super::jobs::worker_of;
use super::reception::Practice;
use super::{Harness, sealed};
use crate::{
    BeginCalendarRead, BeginSignIn, Booking, CALENDARS, CalendarChannel, CalendarConflict, CalendarFailed,
    CalendarFeed, CalendarWasRead, CalendarWrite, ClaimJobs, Claimed, ConflictEnd, ConflictKind, ConnectCalendar,
    CountCalendars, CountSealed, CreateCalendarFeed, DeleteCalendarFeed, DisconnectCalendar, EntryAt, EntryDue,
    EntryEnd, EntryWritten, EventStands, ExchangeSealed, Fence, FindNeglected, GetCalendar, GetCalendarConflict,
    GetCalendarFeed, GetCalendarOf, KeepOurs, ListBusyTimes, ListCalendarConflicts, ListCalendarConnections,
    ListCalendarFeeds, OverallLimits, PromiseNeglected, QueueLimits, ReadAvailability, ReadCalendarFeed, ReadEnd,
    ReadEntryDue, ReadPlain, ReadSealed, SealedColumn, SeenEvent, SetCalendarChannel, TakeSignIn, WantCalendarRead,
    event_id,
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A practice whose first member of the staff has a calendar.
struct Connected<'a> {
    practice: Practice<'a>,
    id: CalendarConnectionId,
    worker: i64,
}

impl<'a> Connected<'a> {
    async fn open(h: &'a Harness, name: &str, staff: usize) -> Self {
        let practice = Practice::open(h, name, staff).await;
        let worker = worker_of(h, CALENDARS, name).await;
        let this = Self { practice, id: h.ids.make(), worker };
        assert!(this.connect(this.id, "a@example.com").await.is_some());
        this
    }

    fn h(&self) -> &'a Harness {
        self.practice.h
    }

    async fn connect(&self, id: CalendarConnectionId, account: &str) -> Option<crate::CalendarConnection> {
        let (tenant, staff) = (self.practice.tenant, self.practice.staff[0]);
        let connect = ConnectCalendar {
            id,
            tenant,
            staff,
            account: account.to_owned(),
            calendar: "primary".to_owned(),
            token: sealed("token"),
            now: self.h().now(),
        };
        self.h().store.run(&self.h().call(), connect).await.expect("connected")
    }

    fn at(&self, appointment: AppointmentId) -> EntryAt {
        EntryAt { tenant: self.practice.tenant, appointment, connection: self.id }
    }

    async fn jobs(&self) -> Vec<Claimed> {
        let claim = ClaimJobs {
            queue: CALENDARS,
            worker: self.worker,
            most: 100,
            limits: QueueLimits::default(),
            overall: OverallLimits::default(),
            now: self.h().now(),
        };
        Box::pin(self.h().store.run_for_jobs(&self.h().call(), claim)).await.expect("claimed").jobs
    }

    async fn due(&self, appointment: AppointmentId) -> EntryDue {
        let due = self.h().store.run(&self.h().call(), ReadEntryDue(self.at(appointment))).await.expect("read");
        due.expect("it is owed")
    }

    async fn written(
        &self,
        job: &Claimed,
        due: &EntryDue,
        etag: &str,
        conflict: Option<(String, ConflictKind)>,
    ) -> EntryEnd {
        let times = due.told.as_ref().map(|told| told.shown);
        let stands = EventStands { generation: 0, etag: times.map(|_| etag.to_owned()), times };
        let (at, seen) = (self.at(due.entry.appointment), due.entry.wanted);
        let written = EntryWritten { at, seen, stands, conflict, fence: fence(self.h(), job), now: self.h().now() };
        self.h().store.run_for_jobs(&self.h().call(), written).await.expect("written")
    }

    /// Does all that is owed, as it is to be.
    async fn write_all(&self) {
        loop {
            let jobs = self.jobs().await;
            if jobs.is_empty() {
                break;
            }
            for job in jobs {
                if let Ok(write) = serde_json::from_str::<CalendarWrite>(&job.arguments) {
                    let due = self.due(write.appointment).await;
                    assert_eq!(self.written(&job, &due, "e1", None).await, EntryEnd::Settled);
                } else {
                    self.read(&job, Vec::new(), (false, None)).await;
                }
            }
        }
        self.h().clock.advance(Duration::from_secs(1));
    }

    async fn read(&self, job: &Claimed, events: Vec<SeenEvent>, (whole, token): (bool, Option<&str>)) -> ReadEnd {
        let (tenant, id, now) = (self.practice.tenant, self.id, self.h().now());
        let begin = BeginCalendarRead { tenant, id, now };
        let begun = self.h().store.run(&self.h().call(), begin).await.expect("begun").expect("it is there");
        let read = CalendarWasRead {
            tenant,
            id,
            seen: begun.wanted,
            began_at: now,
            whole,
            events,
            sync_token: token.map(str::to_owned),
            fence: Some(fence(self.h(), job)),
            now,
        };
        self.h().store.run_for_jobs(&self.h().call(), read).await.expect("read")
    }

    /// Asks for a reading, and reads this.
    async fn tell(&self, events: Vec<SeenEvent>, whole: bool) -> ReadEnd {
        let want = WantCalendarRead { tenant: self.practice.tenant, id: self.id, now: self.h().now() };
        assert_eq!(self.h().store.run(&self.h().call(), want).await, Ok(true));
        let jobs = self.jobs().await;
        let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
        self.read(job, events, (whole, Some("t"))).await
    }

    async fn conflicts(&self) -> Vec<CalendarConflict> {
        let list = ListCalendarConflicts { tenant: self.practice.tenant, after: None, limit: 10 };
        self.h().store.run(&self.h().call(), list).await.expect("listed")
    }

    async fn book(&self, start: Timestamp) -> Booking {
        self.practice.ask(self.practice.book(&self.practice.staff[..1], start)).await
    }

    async fn made(&self, start: Timestamp) -> AppointmentId {
        match self.book(start).await {
            Booking::Made(made) => made.id,
            other => panic!("{other:?}"),
        }
    }

    fn own(&self, appointment: AppointmentId, etag: &str, there: Option<Span>) -> SeenEvent {
        let id = event_id(appointment, 0);
        SeenEvent { id, etag: Some(etag.to_owned()), busy: there, there, ours: Some((appointment, 0)) }
    }

    async fn start_of(&self, appointment: AppointmentId) -> Timestamp {
        let all = self.practice.all().await;
        all.iter().find(|one| one.id == appointment).expect("it is there").shown.from()
    }
}

fn fence(h: &Harness, job: &Claimed) -> Fence {
    Fence { job: job.id, lease: job.lease, keep_until: h.now() }
}

fn busy(id: &str, from: Timestamp, until: Timestamp) -> SeenEvent {
    let span = Span::new(from, until);
    SeenEvent { id: id.to_owned(), etag: None, busy: span, there: span, ours: None }
}

pub(super) async fn what_changes_is_owed_until_it_is_written(h: &Harness) {
    let c = Connected::open(h, "owing", 2).await;
    let start = h.now().plus(DAY);
    let id = c.made(start).await;
    let held = crate::BookAppointment {
        contact: None,
        held_until: Some(start),
        ..c.practice.book(&c.practice.staff[..1], start.plus(HOUR))
    };
    assert!(matches!(c.practice.ask(held).await, Booking::Made(_)));
    // One job for what is booked, none for what is held, and one to read.
    let jobs = c.jobs().await;
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    let job = jobs.iter().find(|job| job.kind == crate::CALENDAR_WRITE_KIND).expect("a job that writes");
    let reading = jobs.iter().find(|job| job.kind == crate::CALENDAR_READ_KIND).expect("a job that reads");
    assert_eq!(c.read(reading, Vec::new(), (true, Some("t"))).await, ReadEnd::Settled);
    let due = c.due(id).await;
    let told = due.told.clone().expect("it is to be there");
    assert_eq!((told.service.as_str(), told.contact.as_deref(), told.shown.from()), ("Cleaning", Some("Ada"), start));
    assert_eq!((told.zone.as_deref(), due.entry.wanted, due.entry.written), (Some("Europe/Berlin"), 1, 0));
    // It is moved while it is written: the job stays, and no second one is promised.
    c.practice.shift(id, c.practice.staff[0], start.plus(3 * HOUR)).await;
    assert_eq!(c.jobs().await, []);
    assert_eq!(c.written(job, &due, "e1", None).await, EntryEnd::Again);
    let again = c.due(id).await;
    assert_eq!(again.told.as_ref().map(|told| told.shown.from()), Some(start.plus(3 * HOUR)));
    assert!(again.entry.present);
    assert_eq!(c.written(job, &again, "e2", None).await, EntryEnd::Settled);
    // The job has ended with it, so the next change promises another.
    assert_eq!(c.jobs().await, []);
    assert!(matches!(c.practice.change(id, AppointmentState::Cancelled).await, Booking::Made(_)));
    let jobs = c.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(c.due(id).await.told, None);
    assert_eq!(c.written(&jobs[0], &c.due(id).await, "", None).await, EntryEnd::Settled);
    // To somebody without a calendar: it leaves this one.
    let other = c.made(start.plus(5 * HOUR)).await;
    c.write_all().await;
    c.practice.shift(other, c.practice.staff[1], start.plus(5 * HOUR)).await;
    assert_eq!(c.due(other).await.told, None);
    c.write_all().await;
    // What nobody promises any more is found, and promised.
    let third = c.made(start.plus(7 * HOUR)).await;
    let lost = c.jobs().await;
    assert_eq!(lost.len(), 1);
    let tenant = c.practice.tenant;
    let find = FindNeglected { unread_since: h.now(), owed_since: h.now(), limit: 10 };
    let found = h.store.run(&h.call(), find).await.expect("found");
    assert_eq!(found.owed, [(tenant, CalendarWrite { appointment: third, connection: c.id }, 1)]);
    assert_eq!(found.unread.len(), 1);
    let promise = PromiseNeglected { neglected: found, now: h.now() };
    h.store.run(&h.call(), promise).await.expect("promised");
    assert_eq!(c.jobs().await.len(), 1, "the writing has its job, and the reading gets one");
    let states = h.store.run(&h.call(), CountCalendars { before: h.now(), now: h.now() }).await.expect("counted");
    assert_eq!((states.connected, states.reconnect, states.owed_since), (1, 0, Some(h.now())));
}

pub(super) async fn a_calendar_is_connected_and_removed(h: &Harness) {
    let c = Connected::open(h, "connecting", 1).await;
    let (tenant, staff) = (c.practice.tenant, c.practice.staff[0]);
    let start = h.now().plus(DAY);
    let within = Span::new(h.now(), h.now().plus(7 * DAY)).expect("a week");
    let read = || ReadAvailability { tenant, service: c.practice.service, staff: None, within, known: [].into() };
    let offered = || async { h.store.run(&h.call(), read()).await.expect("read").expect("it is there").staff.len() };
    assert_eq!(offered().await, 0, "what was never read is not taken for free");
    c.write_all().await;
    assert_eq!(offered().await, 1);
    // Who comes back has the secret, in time, and once.
    let (id, person) = (h.ids.make(), h.ids.make::<PersonId>());
    let (hash, expires_at, now) = ("h".to_owned(), h.now().plus(HOUR), h.now());
    let begin = BeginSignIn { id, tenant, person, subject: staff.uuid(), hash: hash.clone(), expires_at, now };
    h.store.run(&h.call(), begin).await.expect("begun");
    let take = TakeSignIn { id, tenant, person, hash, now };
    let wrong = [
        TakeSignIn { hash: "x".to_owned(), ..take.clone() },
        TakeSignIn { person: h.ids.make(), ..take.clone() },
        TakeSignIn { now: expires_at, ..take.clone() },
    ];
    for wrong in wrong {
        assert_eq!(h.store.run(&h.call(), wrong).await, Ok(None));
    }
    assert_eq!(h.store.run(&h.call(), take.clone()).await, Ok(Some(staff.uuid())));
    assert_eq!(h.store.run(&h.call(), take).await, Ok(None));
    // Its token is sealed, and found by its key.
    let (column, key) = (SealedColumn::CalendarToken, KeyVersion::FIRST);
    assert_eq!(h.store.run(&h.call(), CountSealed { column, key }).await, Ok(1));
    assert_eq!(h.store.run(&h.call(), ReadPlain { column, most: 1 }).await, Ok(Vec::new()));
    let rows = h.store.run(&h.call(), ReadSealed { column, key, after: None, most: 10 }).await.expect("read");
    let rows = rows.into_iter().map(|row| (row, sealed("anew"))).collect();
    assert_eq!(h.store.run_for_jobs(&h.call(), ExchangeSealed { column, rows }).await, Ok(1));
    // A failure is told, what is known stays, and the account may be connected again; another may not.
    let failed = CalendarFailed { tenant, id: c.id, reconnect: true, error: "x".to_owned(), now };
    h.store.run(&h.call(), failed).await.expect("noted");
    let get = GetCalendar { tenant, id: c.id };
    let there = h.store.run(&h.call(), get).await.expect("read").expect("there");
    assert!(there.reconnect && there.failing_since.is_some() && there.synced_at.is_some());
    assert_eq!(offered().await, 1);
    let made = c.made(start).await;
    assert_eq!(c.connect(c.id, "b@example.com").await, None);
    let again = c.connect(c.id, "a@example.com").await.expect("connected");
    assert!(!again.reconnect);
    c.write_all().await;
    assert_eq!(c.due(made).await.entry.written, 1);
    let channel = CalendarChannel {
        id: h.ids.make::<JobId>().uuid(),
        resource: "r".to_owned(),
        hash: "h".to_owned(),
        expires_at: h.now(),
    };
    h.store.run(&h.call(), SetCalendarChannel { tenant, id: c.id, channel: channel.clone() }).await.expect("set");
    let list = ListCalendarConnections { tenant, after: None, limit: 10 };
    let listed = h.store.run(&h.call(), list).await.expect("listed");
    assert_eq!(listed.iter().map(|one| one.channel.clone()).collect::<Vec<_>>(), [Some(channel)]);
    let within = Span::new(start, start.plus(DAY)).expect("a day");
    c.tell(vec![busy("x", start.plus(2 * HOUR), start.plus(3 * HOUR))], false).await;
    let list = ListBusyTimes { tenant, staff, within, limit: 10 };
    assert_eq!(h.store.run(&h.call(), list).await.expect("listed").len(), 1);
    let disconnect = DisconnectCalendar { tenant, staff, now: h.now() };
    assert_eq!(h.store.run(&h.call(), disconnect).await.expect("done").map(|was| was.id), Some(c.id));
    assert_eq!(h.store.run(&h.call(), disconnect).await, Ok(None));
    assert_eq!(h.store.run(&h.call(), list).await, Ok(Vec::new()));
    assert_eq!(h.store.run(&h.call(), GetCalendarOf { tenant, staff }).await, Ok(None));
    let want = WantCalendarRead { tenant, id: c.id, now: h.now() };
    assert_eq!(h.store.run(&h.call(), want).await, Ok(false));
}

pub(super) async fn what_a_calendar_tells_blocks_moves_or_is_shown(h: &Harness) {
    let c = Connected::open(h, "reading", 1).await;
    c.write_all().await;
    let start = h.now().plus(DAY);
    let (first, second) = (c.made(start).await, c.made(start.plus(4 * HOUR)).await);
    // What is on its way is judged later, and the place is not kept.
    let span = |from: Timestamp| Span::new(from, from.plus(Duration::from_secs(1_800))).expect("half an hour");
    let jobs = c.jobs().await;
    let want = WantCalendarRead { tenant: c.practice.tenant, id: c.id, now: h.now() };
    h.store.run(&h.call(), want).await.expect("wanted");
    let reading = c.jobs().await;
    let moved = c.own(first, "x", Some(span(start.plus(HOUR))));
    assert_eq!(c.read(&reading[0], vec![moved.clone()], (false, Some("lost"))).await, ReadEnd::Again);
    assert_eq!(c.start_of(first).await, start);
    for job in &jobs {
        let write: CalendarWrite = serde_json::from_str(&job.arguments).expect("a writing");
        let due = c.due(write.appointment).await;
        assert_eq!(c.written(job, &due, "e1", None).await, EntryEnd::Settled);
    }
    h.clock.advance(Duration::from_secs(1));
    // Moved by hand: the appointment follows, and is written again.
    assert_eq!(c.read(&reading[0], vec![moved], (false, Some("t1"))).await, ReadEnd::Settled);
    assert_eq!(c.start_of(first).await, start.plus(HOUR));
    c.write_all().await;
    // To where another is: both are shown, until one of them is changed.
    let over = c.own(first, "y", Some(span(start.plus(4 * HOUR))));
    assert_eq!(c.tell(vec![over.clone()], false).await, ReadEnd::Settled);
    assert_eq!(c.start_of(first).await, start.plus(HOUR));
    let found = c.conflicts().await;
    assert_eq!(found.iter().map(|one| (one.appointment, one.kind)).collect::<Vec<_>>(), [(first, ConflictKind::Moved)]);
    c.tell(vec![over], false).await;
    assert_eq!(c.conflicts().await.len(), 1, "what is known is not found twice");
    let get = GetCalendarConflict { tenant: c.practice.tenant, id: found[0].id };
    assert_eq!(h.store.run(&h.call(), get).await.expect("read").as_ref(), found.first());
    let (tenant, now) = (c.practice.tenant, h.now());
    let keep = KeepOurs { tenant, id: found[0].id, end: ConflictEnd::Ours, now };
    assert_eq!(h.store.run(&h.call(), keep).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), keep).await, Ok(false));
    assert_eq!(c.due(first).await.entry.etag.as_deref(), Some("y"), "so that it may be overwritten");
    c.write_all().await;
    // Deleted by hand, told by what is not in the whole; and moved here afterwards, which is newer.
    let there = c.own(first, "e1", Some(span(start.plus(HOUR))));
    assert_eq!(c.tell(vec![there], true).await, ReadEnd::Settled);
    let found = c.conflicts().await;
    assert_eq!(
        found.iter().map(|one| (one.appointment, one.kind)).collect::<Vec<_>>(),
        [(second, ConflictKind::Deleted)]
    );
    c.practice.shift(second, c.practice.staff[0], start.plus(6 * HOUR)).await;
    assert_eq!(c.conflicts().await, []);
    assert!(!c.due(second).await.entry.present);
    c.write_all().await;
    // Something else takes time: of what is free it cannot be had, over what is booked it is shown.
    let taken = [busy("b1", start.plus(9 * HOUR), start.plus(10 * HOUR)), busy("b2", start, start.plus(2 * HOUR))];
    c.tell(taken.to_vec(), false).await;
    assert_eq!(c.book(start.plus(9 * HOUR)).await, Booking::Taken);
    let found = c.conflicts().await;
    assert_eq!(found.iter().map(|one| (one.appointment, one.kind)).collect::<Vec<_>>(), [(first, ConflictKind::Busy)]);
    let seen = KeepOurs { tenant, id: found[0].id, end: ConflictEnd::Seen, now };
    assert_eq!(h.store.run(&h.call(), seen).await, Ok(true));
    c.tell(taken.to_vec(), false).await;
    assert_eq!(c.conflicts().await, [], "what was seen is not brought up again");
    c.tell(vec![busy("b2", start.plus(HOUR), start.plus(3 * HOUR))], false).await;
    assert_eq!(c.conflicts().await.len(), 1, "but it is when it has moved");
    c.tell(vec![SeenEvent { busy: None, there: None, ..busy("b2", start, start.plus(HOUR)) }], false).await;
    assert_eq!(c.conflicts().await, []);
    assert!(matches!(c.book(start.plus(3 * HOUR)).await, Booking::Made(_)));
    c.write_all().await;
    // The whole replaces what was known.
    let states: Vec<_> = c.practice.all().await;
    let all = states.iter().map(|one| c.own(one.id, "e1", Some(one.shown))).collect();
    c.tell(all, true).await;
    assert_eq!(c.conflicts().await, []);
    assert!(matches!(c.book(start.plus(9 * HOUR)).await, Booking::Made(_)));
}

/// Somebody books while the calendar tells that the time is taken: either it cannot be had, or both are shown.
pub(super) async fn a_booking_and_a_reading_meet(h: &Harness) {
    let c = Connected::open(h, "meeting", 1).await;
    c.write_all().await;
    for round in 0..20 {
        let start = h.now().plus(DAY + HOUR * round);
        let event = busy(&format!("e{round}"), start, start.plus(Duration::from_secs(1_800)));
        let want = WantCalendarRead { tenant: c.practice.tenant, id: c.id, now: h.now() };
        h.store.run(&h.call(), want).await.expect("wanted");
        let jobs = c.jobs().await;
        let job = jobs.iter().find(|job| job.kind == crate::CALENDAR_READ_KIND).expect("a reading");
        let booking = async { Some(c.book(start).await) };
        let reading = async {
            c.read(job, vec![event], (false, Some("t"))).await;
            None
        };
        let both: [std::pin::Pin<Box<dyn Future<Output = Option<Booking>> + '_>>; 2] =
            [Box::pin(booking), Box::pin(reading)];
        let answers = join_all(both).await;
        let found = c.conflicts().await;
        match answers.into_iter().flatten().next() {
            Some(Booking::Made(made)) => assert!(found.iter().any(|one| one.appointment == made.id), "{found:?}"),
            Some(Booking::Taken) => assert!(!found.iter().any(|one| one.ours.from() == start)),
            other => panic!("{other:?}"),
        }
        for job in jobs.iter().filter(|job| job.kind == crate::CALENDAR_WRITE_KIND) {
            let write: CalendarWrite = serde_json::from_str(&job.arguments).expect("a writing");
            c.written(job, &c.due(write.appointment).await, "e1", None).await;
        }
        for one in found {
            let (tenant, id, now) = (c.practice.tenant, one.id, h.now());
            let seen = KeepOurs { tenant, id, end: ConflictEnd::Seen, now };
            h.store.run(&h.call(), seen).await.expect("seen");
        }
    }
}

pub(super) async fn feeds_are_made_read_and_removed(h: &Harness) {
    let c = Connected::open(h, "feeds", 2).await;
    let (tenant, start) = (c.practice.tenant, h.now().plus(DAY));
    let one = c.made(start).await;
    let other = c.practice.book(&c.practice.staff[1..], start);
    let other = (other.id, c.practice.ask(other).await).0;
    let feed = CalendarFeed {
        id: h.ids.make(),
        staff: Some(c.practice.staff[0]),
        name: "f".to_owned(),
        hash: "h".to_owned(),
        created_at: h.now(),
    };
    let create = CreateCalendarFeed { tenant, feed: feed.clone(), claim: None };
    assert_eq!(h.store.run(&h.call(), create).await, Ok(crate::Once::Done(true)));
    let get = GetCalendarFeed { tenant, id: feed.id };
    assert_eq!(h.store.run(&h.call(), get).await, Ok(Some(feed.clone())));
    let list = ListCalendarFeeds { tenant, after: None, limit: 10 };
    assert_eq!(h.store.run(&h.call(), list).await.as_deref(), Ok(&[feed.clone()][..]));
    let within = Span::new(h.now(), h.now().plus(7 * DAY)).expect("a week");
    let read =
        |staff| async move { h.store.run(&h.call(), ReadCalendarFeed { tenant, staff, within, limit: 10 }).await };
    let ids = |rows: Vec<crate::FeedAppointment>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(read(feed.staff).await.expect("read")), [one]);
    let mut all = ids(read(None).await.expect("read"));
    all.sort_unstable();
    let mut both = vec![one, other];
    both.sort_unstable();
    assert_eq!(all, both);
    let delete = DeleteCalendarFeed { tenant, id: feed.id };
    assert_eq!(h.store.run(&h.call(), delete).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), delete).await, Ok(false));
    assert_eq!(h.store.run(&h.call(), get).await, Ok(None));
}
