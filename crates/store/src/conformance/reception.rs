//! The reception: what is said is read again, and a time belongs to one.

pub(super) mod crowd;
pub(super) mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    AppointmentId, AppointmentState, CalendarDay, CallingCode, ContactId, EmailAddress, PhoneNumber, ServiceId,
    ServiceTimes, Span, SpecialDay, StaffId, Step, TenantId, Timestamp, Week, Zone,
};

use super::{EngineKind, Harness};
use crate::idempotency::Once;
use crate::reception::appointments::StoreUnseen;
use crate::{
    Appointment, AppointmentsOf, Availability, BookAppointment, Booking, ChangeAppointment, ChangeContact,
    ChangeService, ChangeStaff, Contact, CreateService, CreateStaff, Error, FindContacts, FindOverlaps, GetAppointment,
    GetContact, GetReception, GetService, GetStaff, KnowContact, ListAppointments, ListContacts, ListServices,
    ListSpecialDays, ListStaff, MoveAppointment, NamedDay, PutReception, PutSpecialDay, ReadAvailability, Reception,
    RemoveSpecialDay, Service, SetOffers, Staff, TakenTime, folded,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// An organisation with a service of half an hour, five minutes before and ten after, and so many who do it.
pub(super) struct Practice<'a> {
    pub(super) h: &'a Harness,
    pub(super) tenant: TenantId,
    pub(super) service: ServiceId,
    pub(super) times: ServiceTimes,
    pub(super) staff: Vec<StaffId>,
    pub(super) contact: ContactId,
}

fn week(opening: &str) -> Week {
    Week::new(std::array::from_fn(|_| vec![opening.parse().expect("an opening")])).expect("a week")
}

fn reception() -> Reception {
    Reception {
        zone: Zone::parse("Europe/Berlin").expect("a zone"),
        calling_code: Some(CallingCode::new(49).expect("a code")),
        week: week("09:00-17:00"),
        step: Step::new(15).expect("a step"),
        hold_minutes: 5,
        lead_minutes: 60,
        horizon_days: 60,
    }
}

fn staff_of(h: &Harness, name: &str) -> Staff {
    Staff { id: h.ids.make(), name: name.to_owned(), week: None, archived_at: None, created_at: h.now() }
}

impl<'a> Practice<'a> {
    pub(super) async fn open(h: &'a Harness, name: &str, staff: usize) -> Self {
        let (tenant, _) = h.person(name).await;
        let call = h.call();
        h.store.run(&call, PutReception { tenant, reception: reception(), now: h.now() }).await.expect("put");
        let times = ServiceTimes::new(30, 5, 10).expect("times");
        let service = Service {
            id: h.ids.make(),
            name: "Cleaning".to_owned(),
            times,
            price: Some((80_000_000, "EUR".to_owned())),
            archived_at: None,
            created_at: h.now(),
        };
        assert_eq!(
            h.store.run(&call, CreateService { tenant, service: service.clone(), claim: None }).await,
            Ok(Once::Done(true))
        );
        let mut people = Vec::new();
        for number in 0..staff {
            let staff = staff_of(h, &format!("Dr. {number}"));
            people.push(staff.id);
            let services = BTreeSet::from([service.id]);
            assert_eq!(
                h.store.run(&call, CreateStaff { tenant, staff: staff.clone(), claim: None }).await,
                Ok(Once::Done(true))
            );
            assert_eq!(h.store.run(&call, SetOffers { tenant, staff: staff.id, services }).await, Ok(true));
        }
        let contact = know(h, tenant, "Ada", Some("+4930901820"), None).await.id;
        Self { h, tenant, service: service.id, times, staff: people, contact }
    }

    pub(super) fn book(&self, staff: &[StaffId], start: Timestamp) -> BookAppointment {
        BookAppointment {
            id: self.h.ids.make(),
            tenant: self.tenant,
            service: self.service,
            staff: staff.iter().copied().collect(),
            contact: Some(self.contact),
            held_until: None,
            shown: self.times.shown(start),
            blocked: self.times.blocked(start),
            note: String::new(),
            claim: None,
            asked: false,
            now: self.h.now(),
        }
    }

    pub(super) async fn ask(&self, book: BookAppointment) -> Booking {
        match self.h.store.run(&self.h.call(), book).await.expect("asked") {
            Once::Done(booking) => booking,
            Once::Repeat(used) => panic!("no key was given: {used:?}"),
        }
    }

    pub(super) async fn change(&self, id: AppointmentId, state: AppointmentState) -> Booking {
        let (tenant, now) = (self.tenant, self.h.now());
        let change = ChangeAppointment { tenant, id, state, contact: None, note: None, asked: false, now };
        self.h.store.run(&self.h.call(), change).await.expect("changed")
    }

    pub(super) async fn shift(&self, id: AppointmentId, staff: StaffId, start: Timestamp) -> Booking {
        let (shown, blocked) = (self.times.shown(start), self.times.blocked(start));
        let shift = MoveAppointment { tenant: self.tenant, id, staff, shown, blocked, asked: false, now: self.h.now() };
        self.h.store.run(&self.h.call(), shift).await.expect("moved")
    }

    /// All appointments, read page by page.
    pub(super) async fn all(&self) -> Vec<Appointment> {
        let within = Span::new(Timestamp::EPOCH, self.h.now().plus(2_000 * DAY)).expect("a stretch");
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let list = ListAppointments { tenant: self.tenant, within, after, limit: 100 };
            let page = self.h.store.run(&self.h.call(), list).await.expect("listed");
            let Some(last) = page.last() else { return all };
            after = Some((last.shown.from(), last.id));
            all.extend(page);
        }
    }

    /// Demands that nobody does two things at once.
    pub(super) async fn nothing_overlaps(&self) -> Vec<Appointment> {
        let all = self.all().await;
        let mut blocking: Vec<&Appointment> = all.iter().filter(|one| one.state.blocks()).collect();
        blocking.sort_by_key(|one| (one.staff, one.blocked));
        for pair in blocking.windows(2) {
            assert!(pair[0].staff != pair[1].staff || !pair[0].blocked.overlaps(pair[1].blocked), "{pair:?}");
        }
        all
    }
}

pub(super) async fn know(
    h: &Harness,
    tenant: TenantId,
    name: &str,
    phone: Option<&str>,
    email: Option<&str>,
) -> Contact {
    let know = KnowContact {
        tenant,
        id: h.ids.make(),
        name: name.to_owned(),
        phone: phone.map(|phone| PhoneNumber::parse(phone, None).expect("a number")),
        email: email.map(|email| EmailAddress::parse(email).expect("an address")),
        now: h.now(),
    };
    h.store.run(&h.call(), know).await.expect("known")
}

fn made(booking: Booking) -> Appointment {
    match booking {
        Booking::Made(appointment) => appointment,
        other => panic!("it was not made: {other:?}"),
    }
}

pub(super) async fn what_is_said_of_a_reception_is_read_again(h: &Harness) {
    let practice = Practice::open(h, "clinic", 2).await;
    let (tenant, call) = (practice.tenant, h.call());
    assert_eq!(h.store.run(&call, GetReception(tenant)).await, Ok(Some(reception())));
    let changed = Reception { calling_code: None, step: Step::new(30).expect("a step"), ..reception() };
    h.store.run(&call, PutReception { tenant, reception: changed.clone(), now: h.now() }).await.expect("put");
    assert_eq!(h.store.run(&call, GetReception(tenant)).await, Ok(Some(changed)));
    let mut service =
        h.store.run(&call, GetService { tenant, id: practice.service }).await.expect("read").expect("there");
    (service.name, service.price, service.archived_at) = ("Check-up".to_owned(), None, Some(h.now()));
    h.store.run(&call, ChangeService { tenant, service: service.clone(), now: h.now() }).await.expect("changed");
    let list = |after| ListServices { tenant, after, limit: 10 };
    assert_eq!(h.store.run(&call, list(None)).await, Ok(vec![service.clone()]));
    assert_eq!(h.store.run(&call, list(Some((service.created_at, service.id)))).await, Ok(vec![]));
    let nobody = Service { id: h.ids.make(), ..service.clone() };
    let change = ChangeService { tenant, service: nobody, now: h.now() };
    assert_eq!(h.store.run(&call, change).await, Err(Error::Missing("service")));
    let staff = h.store.run(&call, ListStaff { tenant, after: None, limit: 10 }).await.expect("listed");
    assert!(staff.len() == 2 && staff.iter().all(|(_, offers)| *offers == [practice.service]));
    let one = Staff { week: Some(week("07:00-12:00")), ..staff[0].0.clone() };
    h.store.run(&call, ChangeStaff { tenant, staff: one.clone(), now: h.now() }).await.expect("changed");
    let get = GetStaff { tenant, id: one.id };
    let unknown = BTreeSet::from([practice.service, h.ids.make()]);
    let set = SetOffers { tenant, staff: one.id, services: unknown };
    assert_eq!(h.store.run(&call, set).await, Ok(false), "one of them is nobody's");
    assert_eq!(h.store.run(&call, get).await, Ok(Some((one.clone(), vec![practice.service]))));
    assert_eq!(h.store.run(&call, GetStaff { tenant, id: h.ids.make() }).await, Ok(None));
    let set = SetOffers { tenant, staff: one.id, services: BTreeSet::new() };
    assert_eq!(h.store.run(&call, set).await, Ok(true));
    let again = h.store.run(&call, ListStaff { tenant, after: None, limit: 1 }).await.expect("listed");
    assert_eq!(again, [(one.clone(), Vec::new())]);
    // Days that are not like others.
    let day = |text: &str| text.parse::<CalendarDay>().expect("a day");
    let special = |staff, on: &str, openings: &[&str]| NamedDay {
        staff,
        day: SpecialDay::new(day(on), openings.iter().map(|one| one.parse().expect("an opening")).collect())
            .expect("a day"),
        name: "a day".to_owned(),
    };
    let days = [special(None, "2023-12-24", &[]), special(Some(one.id), "2023-12-27", &["10:00-12:00"])];
    for day in [special(None, "2023-12-24", &["09:00-10:00"])].iter().chain(&days) {
        h.store.run(&call, PutSpecialDay { tenant, day: day.clone() }).await.expect("put");
    }
    let list = ListSpecialDays { tenant, first: day("2023-12-01"), last: day("2023-12-31") };
    assert_eq!(h.store.run(&call, list).await, Ok(days.to_vec()));
    let remove = RemoveSpecialDay { tenant, staff: None, day: day("2023-12-24") };
    assert_eq!(h.store.run(&call, remove).await, Ok(true));
    assert_eq!((h.store.run(&call, remove).await, h.store.run(&call, list).await), (Ok(false), Ok(days[1..].to_vec())));
    // Another organisation sees none of it.
    let (other, _) = h.person("other").await;
    assert_eq!(h.store.run(&call, GetReception(other)).await, Ok(None));
    assert_eq!(h.store.run(&call, ListServices { tenant: other, after: None, limit: 10 }).await, Ok(vec![]));
    assert_eq!(h.store.run(&call, ListStaff { tenant: other, after: None, limit: 10 }).await, Ok(vec![]));
    let get = GetContact { tenant: other, id: practice.contact };
    assert_eq!(h.store.run(&call, get).await, Ok(None));
}

pub(super) async fn whoever_is_known_twice_is_one_contact(h: &Harness) {
    let practice = Practice::open(h, "clinic", 1).await;
    let tenant = practice.tenant;
    let by_number = know(h, tenant, "", Some("+4930111111"), None).await;
    assert_eq!(know(h, tenant, "Bea", Some("+4930111111"), None).await.id, by_number.id);
    h.clock.advance(MINUTE);
    let by_address = know(h, tenant, "Beatrix", None, Some("bea@example.com")).await;
    assert_ne!(by_address.id, by_number.id);
    let book = BookAppointment { contact: Some(by_address.id), ..practice.book(&practice.staff, h.now().plus(DAY)) };
    let appointment = made(practice.ask(book).await);
    let one = know(h, tenant, "", Some("+4930111111"), Some("bea@example.com")).await;
    assert_eq!((one.id, one.name.as_str()), (by_number.id, "Bea"), "who was known first stays");
    assert_eq!((one.phone.as_deref(), one.email.as_deref()), (Some("+4930111111"), Some("bea@example.com")));
    assert_eq!(h.store.run(&h.call(), GetContact { tenant, id: by_address.id }).await, Ok(None));
    let of = AppointmentsOf { tenant, contact: one.id, before: None, limit: 10 };
    let appointments = h.store.run(&h.call(), of).await.expect("listed");
    assert_eq!(appointments.iter().map(|one| one.id).collect::<Vec<_>>(), [appointment.id]);
    // Twenty who ask at once are one, too.
    let rush = join_all((0..20).map(|_| know(h, tenant, "Cleo", Some("+4930222222"), None))).await;
    assert_eq!(rush.iter().map(|contact| contact.id).collect::<BTreeSet<_>>().len(), 1);
    let taken = Contact { phone: Some("+4930222222".to_owned()), ..one.clone() };
    let refused = h.store.run(&h.call(), ChangeContact { tenant, contact: taken }).await;
    assert!(matches!(refused, Err(Error::Unique(_))), "{refused:?}");
    let noted = Contact { note: "Likes mornings".to_owned(), ..one };
    h.store.run(&h.call(), ChangeContact { tenant, contact: noted.clone() }).await.expect("changed");
    let all = h.store.run(&h.call(), ListContacts { tenant, after: None, limit: 10 }).await.expect("listed");
    assert_eq!(all.iter().map(|contact| contact.name.as_str()).collect::<Vec<_>>(), ["Ada", "Bea", "Cleo"]);
    let find = |phone: Option<&str>, email: Option<&str>, name: Option<&str>| FindContacts {
        tenant,
        phone: phone.map(|text| PhoneNumber::parse(text, None).expect("a number")),
        email: email.map(|text| EmailAddress::parse(text).expect("an address")),
        name: name.map(str::to_owned),
    };
    for (find, names) in [
        (find(Some("+4930222222"), Some("bea@example.com"), Some("A")), vec!["Cleo", "Bea", "Ada"]),
        (find(Some("+4930111111"), Some("bea@example.com"), Some("bEA")), vec!["Bea"]),
        (find(Some("+4930333333"), None, Some("Z")), vec![]),
    ] {
        let found = h.store.run(&h.call(), find).await.expect("found");
        assert_eq!(found.iter().map(|contact| contact.name.as_str()).collect::<Vec<_>>(), names);
    }
    let after = Some((folded(&all[0].name), all[0].id));
    assert_eq!(h.store.run(&h.call(), ListContacts { tenant, after, limit: 1 }).await, Ok(vec![noted]));
}

pub(super) async fn a_time_is_held_moved_and_given_back(h: &Harness) {
    let practice = Practice::open(h, "clinic", 2).await;
    let [one, two] = practice.staff.as_slice() else { panic!("two") };
    let start = h.now().plus(DAY);
    let held =
        BookAppointment { contact: None, held_until: Some(h.now().plus(5 * MINUTE)), ..practice.book(&[*one], start) };
    let held = made(practice.ask(held).await);
    assert_eq!(
        (held.state, practice.ask(practice.book(&[*one], start)).await),
        (AppointmentState::Held, Booking::Taken)
    );
    // It is booked only for somebody.
    let refused = Booking::Refused(AppointmentState::Held);
    assert_eq!(practice.change(held.id, AppointmentState::Booked).await, refused);
    let book = ChangeAppointment {
        tenant: practice.tenant,
        id: held.id,
        state: AppointmentState::Booked,
        contact: Some(practice.contact),
        note: Some("first visit".to_owned()),
        asked: false,
        now: h.now(),
    };
    let booked = made(h.store.run(&h.call(), book).await.expect("changed"));
    assert_eq!((booked.expires_at, booked.note.as_str()), (None, "first visit"));
    // One that is held too long is free for whoever asks, and gone for whoever had it.
    let later = start.plus(DAY);
    let forgotten = BookAppointment { held_until: Some(h.now().plus(5 * MINUTE)), ..practice.book(&[*one], later) };
    let forgotten = made(practice.ask(forgotten).await);
    h.clock.advance(5 * MINUTE);
    let next = made(practice.ask(practice.book(&[*one], later)).await);
    let gone = Booking::Refused(AppointmentState::Cancelled);
    assert_eq!(practice.change(forgotten.id, AppointmentState::Booked).await, gone);
    // Moved onto its own time, onto another's, to somebody else; nothing is given up before the other is had.
    made(practice.shift(booked.id, *one, start.plus(15 * MINUTE)).await);
    assert_eq!(practice.shift(booked.id, *one, later).await, Booking::Taken);
    let moved = made(practice.shift(booked.id, *two, later).await);
    let get = GetAppointment { tenant: practice.tenant, id: booked.id };
    assert_eq!(h.store.run(&h.call(), get).await, Ok(Some(moved)));
    // Two who change places at once: one after the other, and neither has both.
    let (first, second) =
        futures_util::future::join(practice.shift(booked.id, *one, later), practice.shift(next.id, *two, later)).await;
    assert!([first, second].iter().all(|booking| *booking == Booking::Taken));
    // Nobody came, and that was wrong; meanwhile the time went to somebody else.
    made(practice.change(next.id, AppointmentState::NoShow).await);
    made(practice.ask(practice.book(&[*one], later)).await);
    assert_eq!(practice.change(next.id, AppointmentState::Done).await, Booking::Taken);
    practice.nothing_overlaps().await;
    let missing = GetAppointment { tenant: practice.tenant, id: h.ids.make() };
    assert_eq!(h.store.run(&h.call(), missing).await, Ok(None));
}

pub(super) async fn what_is_free_is_read_of_one_moment(h: &Harness) {
    let practice = Practice::open(h, "clinic", 3).await;
    let within = Span::new(h.now(), h.now().plus(7 * DAY)).expect("a stretch");
    let start = h.now().plus(DAY);
    let booked = made(practice.ask(practice.book(&practice.staff[..1], start)).await);
    let held =
        BookAppointment { held_until: Some(h.now().plus(MINUTE)), ..practice.book(&practice.staff[1..2], start) };
    made(practice.ask(held).await);
    let read =
        |staff, known| ReadAvailability { tenant: practice.tenant, service: practice.service, staff, within, known };
    let ask = async |staff, known| h.store.run(&h.call(), read(staff, known)).await.expect("read").expect("there");
    let seen = ask(None, BTreeMap::new()).await;
    assert_eq!((&seen.reception, seen.service.times, seen.staff.len()), (&reception(), practice.times, 3));
    let of = |seen: &Availability, who: usize| {
        let one = seen.staff.iter().find(|one| one.staff.id == practice.staff[who]).expect("they offer it");
        (one.version, one.taken.clone())
    };
    let taken = |span, held_until| Some(vec![TakenTime { span, held_until }]);
    assert_eq!(of(&seen, 0), (1, taken(booked.blocked, None)));
    assert_eq!(of(&seen, 1), (1, taken(practice.times.blocked(start), Some(h.now().plus(MINUTE)))));
    assert_eq!(of(&seen, 2), (0, Some(Vec::new())));
    // Who knows the number of a calendar is not told again; who knows an older one is.
    let known: BTreeMap<StaffId, i64> = seen.staff.iter().map(|one| (one.staff.id, one.version)).collect();
    made(practice.change(booked.id, AppointmentState::Cancelled).await);
    let again = ask(None, known).await;
    let (one, two, three) = (of(&again, 0), of(&again, 1), of(&again, 2));
    assert_eq!((one, two, three), ((2, Some(Vec::new())), (1, None), (0, None)));
    let alone = ask(Some(practice.staff[1]), BTreeMap::new()).await;
    assert_eq!((alone.staff.len(), of(&alone, 1).0), (1, 1));
    let nothing = ReadAvailability { service: h.ids.make(), ..read(None, BTreeMap::new()) };
    assert_eq!(h.store.run(&h.call(), nothing).await, Ok(None));
}

/// Should an intent ever forget to look, the schema does not.
pub(super) async fn the_schema_itself_refuses_an_overlap(h: &Harness) {
    let practice = Practice::open(h, "clinic", 1).await;
    let start = h.now().plus(DAY);
    let booked = made(practice.ask(practice.book(&practice.staff, start)).await);
    let tenant = practice.tenant;
    let beside = Appointment { id: h.ids.make(), ..booked.clone() };
    let insert = StoreUnseen { tenant, appointments: vec![beside.clone()] };
    let refused = h.store.run(&h.call(), insert).await;
    assert!(matches!(&refused, Err(Error::Constraint(what)) if what.contains("appointment_overlap")), "{refused:?}");
    // Those that touch do not overlap, and what does not block is nobody's time.
    let shown = practice.times.shown(start.plus(45 * MINUTE));
    let touching = Appointment { shown, blocked: practice.times.blocked(start.plus(45 * MINUTE)), ..beside.clone() };
    let cancelled = Appointment { id: h.ids.make(), state: AppointmentState::Cancelled, ..booked };
    for appointment in [touching, cancelled] {
        let insert = StoreUnseen { tenant, appointments: vec![appointment] };
        h.store.run(&h.call(), insert).await.expect("stored");
    }
    practice.nothing_overlaps().await;
    // Whoever audits looks through all people of all organisations, and finds the same.
    let (mut after, mut looked_at) = (None, 0);
    loop {
        let seen = h.store.run(&h.call(), FindOverlaps { after, limit: 2 }).await.expect("looked");
        assert_eq!((seen.of.as_slice(), seen.is_guarded), ([].as_slice(), true));
        looked_at += seen.looked_at;
        after = seen.last;
        if after.is_none() {
            break;
        }
    }
    assert!(looked_at >= 1, "nobody was looked at");
}

/// Fifty who work for sixty days, each with fifteen appointments a day: 45,000. The time is told and not judged: it belongs to
/// the machine.
async fn a_full_calendar_is_read(engine: EngineKind) {
    let Some(h) = Harness::open(engine).await else { return };
    let practice = Practice::open(&h, "clinic", 50).await;
    let first = h.now().plus(DAY);
    for staff in &practice.staff {
        let starts = (0..60 * 15_u32).map(|n| first.plus(DAY * (n / 15)).plus(MINUTE * 45 * (n % 15)));
        let appointments = starts
            .map(|start| Appointment { staff: *staff, ..practice.book(&[*staff], start).appointment(*staff) })
            .collect();
        let fill = StoreUnseen { tenant: practice.tenant, appointments };
        h.store.run(&h.call(), fill).await.expect("filled");
    }
    let within = Span::new(h.now(), h.now().plus(60 * DAY)).expect("a stretch");
    let read =
        |known| ReadAvailability { tenant: practice.tenant, service: practice.service, staff: None, within, known };
    let (mut took, mut known) = ([Vec::new(), Vec::new()], BTreeMap::new());
    for _ in 0..5 {
        for (took, known) in took.iter_mut().zip([BTreeMap::new(), known.clone()]) {
            let (begun, all) = (tokio::time::Instant::now(), known.is_empty());
            let seen = h.store.run(&h.call(), read(known)).await.expect("read").expect("there");
            took.push(begun.elapsed());
            let count: usize = seen.staff.iter().filter_map(|staff| Some(staff.taken.as_ref()?.len())).sum();
            assert_eq!(count, if all { 45_000 } else { 0 });
        }
        known = practice.staff.iter().map(|staff| (*staff, 0)).collect();
    }
    took.iter_mut().for_each(|took| took.sort_unstable());
    println!(
        "{engine:?}: 45,000 appointments of 50 people over 60 days are read in {:?}, and {:?} when they are known",
        took[0][2], took[1][1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p mainstay-store -- --ignored --nocapture a_full_calendar"]
async fn a_full_calendar_is_read_on_sqlite() {
    a_full_calendar_is_read(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p mainstay-store -- --ignored --nocapture a_full_calendar"]
async fn a_full_calendar_is_read_on_postgres() {
    a_full_calendar_is_read(EngineKind::Postgres).await;
}
