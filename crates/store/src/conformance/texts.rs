//! Text messages: promised with their cause and once for each reason, sent once, and heard of in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{
    AppointmentState, JobState, PersonId, TextMessageId, TextReason, TextState, TextTold, Timestamp,
};
use uuid::Uuid;

use super::Harness;
use super::reception::{Practice, know};
use crate::{
    Appointment, BeginText, BookAppointment, Booking, Claim, EndText, FindTextFaults, GetJob, GetText, GetTextSettings,
    HearText, Heard, JobLife, KnownTexts, ListOptOuts, ListTexts, OptOut, PutTextSettings, ReadText, ShowAppointment,
    TextDue, TextEnd, TextMessage, TextSettings,
};

const HOUR: Duration = Duration::from_secs(3_600);
const ADA: &str = "+4930901820";

fn settings(h: &Harness) -> TextSettings {
    TextSettings {
        source: h.ids.make(),
        account: "AC1".to_owned(),
        sender: "+15005550006".to_owned(),
        enabled: true,
        confirms: true,
        reminders: vec![1_440, 120],
        quiet: Some("21:00-08:00".parse().expect("quiet hours")),
        wording: BTreeMap::from([(TextReason::Moved, "Moved to {time}.".to_owned())]),
    }
}

async fn put(practice: &Practice<'_>, settings: TextSettings) {
    let (h, tenant) = (practice.h, practice.tenant);
    let put = PutTextSettings { tenant, settings: settings.clone(), now: h.now() };
    h.store.run(&h.call(), put).await.expect("put");
    assert_eq!(h.store.run(&h.call(), GetTextSettings(tenant)).await.expect("read"), Some(settings));
}

/// The messages of an appointment, in the order in which they were promised.
async fn texts(practice: &Practice<'_>, appointment: &Appointment) -> Vec<TextMessage> {
    let appointment = Some(appointment.id);
    let list = ListTexts { tenant: practice.tenant, appointment, state: None, before: None, limit: 100 };
    let mut texts = practice.h.store.run(&practice.h.call(), list).await.expect("listed").texts;
    texts.sort_by_key(|text| (text.created_at, text.due_at));
    texts
}

fn told(texts: &[TextMessage]) -> Vec<(&'static str, Timestamp)> {
    texts.iter().map(|text| (text.reason.as_str(), text.due_at)).collect()
}

async fn made(practice: &Practice<'_>, book: BookAppointment) -> Appointment {
    match practice.ask(book).await {
        Booking::Made(appointment) => appointment,
        other => panic!("{other:?}"),
    }
}

async fn job(h: &Harness, id: Uuid) -> JobLife {
    h.store.run(&h.call(), GetJob(id.into())).await.expect("read").expect("it was promised")
}

/// It is 23:13 in Berlin, and quiet until eight.
pub(super) async fn what_becomes_of_an_appointment_is_told_once(h: &Harness) {
    let practice = Practice::open(h, "clinic", 2).await;
    // Ten on the second morning from now.
    let start = Timestamp::from_millis(1_700_125_200_000);
    let eight = Timestamp::from_millis(1_700_031_600_000);
    let quietly = made(&practice, practice.book(&practice.staff, start)).await;
    assert_eq!(texts(&practice, &quietly).await, [], "nobody has said how");
    put(&practice, settings(h)).await;
    let booked = made(&practice, practice.book(&practice.staff, start)).await;
    let reminders = [("reminder", start.minus(24 * HOUR)), ("reminder", start.minus(2 * HOUR))];
    let first = texts(&practice, &booked).await;
    assert_eq!(told(&first), [("confirmation", eight), reminders[0], reminders[1]]);
    for text in &first {
        assert_eq!((text.phone.as_str(), text.state, text.starts_at), (ADA, TextState::Waiting, start));
        assert_eq!(job(h, text.id.uuid()).await.job.run_at, text.due_at);
    }
    // Who asks for it now is told now, and a repeat of the wish tells nobody anything.
    h.clock.advance(Duration::from_secs(1));
    let key = mainstay_domain::IdempotencyKey::parse("k").expect("a key");
    let claim = (PersonId(Uuid::nil()), Claim { key, fingerprint: "f".to_owned() });
    let asked =
        BookAppointment { claim: Some(claim), asked: true, ..practice.book(&practice.staff, start.plus(3 * HOUR)) };
    let asked_for = made(&practice, asked.clone()).await;
    h.store.run(&h.call(), BookAppointment { id: h.ids.make(), ..asked }).await.expect("asked again");
    let list = ListTexts { tenant: practice.tenant, appointment: None, state: None, before: None, limit: 100 };
    assert_eq!(h.store.run(&h.call(), list).await.expect("listed").texts.len(), 6);
    assert_eq!(told(&texts(&practice, &asked_for).await)[0], ("confirmation", h.now()));
    // Moved there and back: each is told, and the reminder of the first time is still there.
    let other = start.plus(HOUR);
    for to in [other, start] {
        h.clock.advance(Duration::from_secs(1));
        assert!(matches!(practice.shift(booked.id, booked.staff, to).await, Booking::Made(_)));
    }
    let all = texts(&practice, &booked).await;
    let moved: Vec<_> = all.iter().filter(|text| text.reason == TextReason::Moved).map(|text| text.starts_at).collect();
    assert_eq!((moved, all.len()), (vec![other, start], 7));
    assert!(matches!(practice.change(booked.id, AppointmentState::Confirmed).await, Booking::Made(_)));
    assert_eq!(texts(&practice, &booked).await.len(), 7, "that it is confirmed is no news");
    assert!(matches!(practice.change(booked.id, AppointmentState::Cancelled).await, Booking::Made(_)));
    assert_eq!(told(&texts(&practice, &booked).await).iter().filter(|(reason, _)| *reason == "cancelled").count(), 1);
    // What is only held concerns nobody, and whoever has no number is told nothing.
    let held = BookAppointment {
        held_until: Some(h.now().plus(HOUR)),
        ..practice.book(&practice.staff, start.plus(8 * HOUR))
    };
    let held = made(&practice, held).await;
    assert_eq!(texts(&practice, &held).await, []);
    assert!(matches!(practice.change(held.id, AppointmentState::Booked).await, Booking::Made(_)));
    assert_eq!(texts(&practice, &held).await[0].reason, TextReason::Confirmation);
    let eve = know(h, practice.tenant, "Eve", None, Some("eve@example.com")).await.id;
    let silent = BookAppointment { contact: Some(eve), ..practice.book(&practice.staff, start.plus(12 * HOUR)) };
    let silent = made(&practice, silent).await;
    assert_eq!(texts(&practice, &silent).await, []);
    put(&practice, TextSettings { enabled: false, ..settings(h) }).await;
    let off = made(&practice, practice.book(&practice.staff, start.plus(16 * HOUR))).await;
    assert_eq!(texts(&practice, &off).await, []);
}

async fn due(practice: &Practice<'_>, id: TextMessageId) -> TextDue {
    let read = ReadText { tenant: practice.tenant, id };
    practice.h.store.run(&practice.h.call(), read).await.expect("read").expect("it is there")
}

async fn begin(practice: &Practice<'_>, due: &TextDue) -> bool {
    let begin = BeginText {
        tenant: practice.tenant,
        id: due.text.id,
        seen_attempts: due.text.attempts,
        to: due.to().expect("somebody"),
        body: "Hello.".to_owned(),
        now: practice.h.now(),
    };
    practice.h.store.run(&practice.h.call(), begin).await.expect("begun")
}

async fn end(practice: &Practice<'_>, text: &TextMessage, attempts: u32, end: TextEnd) {
    let (tenant, now) = (practice.tenant, practice.h.now());
    let end = EndText { tenant, id: text.id, attempts, end, fence: None, now };
    practice.h.store.run(&practice.h.call(), end).await.expect("ended");
}

async fn stop(practice: &Practice<'_>, phone: &str, stopped: bool, at: Timestamp) {
    let say =
        OptOut { tenant: practice.tenant, phone: phone.to_owned(), digest: String::new(), stopped, at, fence: None };
    practice.h.store.run(&practice.h.call(), say).await.expect("said");
}

async fn stopped(practice: &Practice<'_>) -> Vec<String> {
    let list = ListOptOuts { tenant: practice.tenant, before: None, limit: 10 };
    let list = practice.h.store.run(&practice.h.call(), list).await.expect("listed");
    list.into_iter().map(|(phone, _)| phone).collect()
}

/// All three wait: of those in this state a page goes on where the one before ended, and of another there is none.
async fn in_state(practice: &Practice<'_>, booked: &Appointment) {
    for appointment in [None, Some(booked.id)] {
        let list = ListTexts { tenant: practice.tenant, appointment, state: None, before: None, limit: 2 };
        let page = async |state, before| {
            let list = ListTexts { state: Some(state), before, ..list };
            practice.h.store.run(&practice.h.call(), list).await.expect("listed")
        };
        let first = page(TextState::Waiting, None).await;
        let second = page(TextState::Waiting, first.next).await;
        let mut both: Vec<_> = [first.texts, second.texts].concat().iter().map(|text| text.id).collect();
        both.dedup();
        assert_eq!((both.len(), second.next), (3, None));
        let none = page(TextState::Delivered, None).await;
        assert_eq!((none.texts, none.next), (Vec::new(), None));
    }
}

pub(super) async fn a_message_goes_out_once(h: &Harness) {
    let practice = Practice::open(h, "clinic", 1).await;
    put(&practice, settings(h)).await;
    let start = Timestamp::from_millis(1_700_125_200_000);
    let booked = made(&practice, practice.book(&practice.staff, start)).await;
    let [confirmation, day_before, _] = <[TextMessage; 3]>::try_from(texts(&practice, &booked).await).expect("three");
    let read = due(&practice, confirmation.id).await;
    let around = read.around.as_ref().expect("all of it is there");
    let show = ShowAppointment { tenant: practice.tenant, id: booked.id };
    let shown = h.store.run(&h.call(), show).await.expect("read").expect("it is there");
    assert_eq!((shown.service.as_str(), shown.staff.as_str(), shown.span), ("Cleaning", "Dr. 0", booked.shown));
    assert_eq!((shown.created_at, shown.updated_at), (booked.created_at, booked.updated_at));
    assert_eq!((around.service.as_str(), around.staff.as_str()), ("Cleaning", "Dr. 0"));
    in_state(&practice, &booked).await;
    assert_eq!((around.begins_at, around.state), (start, AppointmentState::Booked));
    assert_eq!((around.stopped, around.waits), (false, false));
    // Of ten that read it, one sends it.
    let begun = join_all((0..10).map(|_| begin(&practice, &read))).await;
    assert_eq!(begun.iter().filter(|begun| **begun).count(), 1);
    h.clock.advance(Duration::from_secs(1));
    assert!(matches!(practice.shift(booked.id, booked.staff, start.plus(HOUR)).await, Booking::Made(_)));
    let moved = texts(&practice, &booked).await.into_iter().find(|text| text.reason == TextReason::Moved);
    let moved = moved.expect("it is told");
    assert!(due(&practice, moved.id).await.around.expect("there").waits, "what was promised first goes first");
    // The first attempt comes to nothing for certain; the second is not known; what the first says then is late.
    end(&practice, &confirmation, 1, TextEnd::Again("429".to_owned())).await;
    let read = due(&practice, confirmation.id).await;
    assert_eq!(
        (read.text.state, read.text.attempts, read.text.body.as_deref()),
        (TextState::Waiting, 1, Some("Hello."))
    );
    assert!(begin(&practice, &read).await);
    end(&practice, &confirmation, 2, TextEnd::Unknown("no answer".to_owned())).await;
    let late = TextEnd::Over { state: TextState::Failed, code: None, error: "late".to_owned(), stopped: false };
    end(&practice, &confirmation, 1, late).await;
    assert_eq!(due(&practice, confirmation.id).await.text.state, TextState::Unknown);
    let look = (h.ids.make(), h.now().plus(HOUR));
    let accepted =
        TextEnd::Accepted { provider_id: "SM1".to_owned(), state: TextState::Accepted, segments: Some(1), look };
    end(&practice, &confirmation, 2, accepted.clone()).await;
    end(&practice, &confirmation, 2, accepted).await;
    assert_eq!(job(h, look.0.uuid()).await.job.run_at, look.1);
    assert!(!due(&practice, moved.id).await.around.expect("there").waits);
    // It is at another time now: nobody is reminded of the one before.
    assert!(!begin(&practice, &due(&practice, day_before.id).await).await);
    // Who says stop between the look and the step before the first byte gets nothing.
    let read = due(&practice, moved.id).await;
    stop(&practice, ADA, true, h.now()).await;
    assert!(!begin(&practice, &read).await);
    assert!(due(&practice, moved.id).await.around.expect("there").stopped);
}

pub(super) async fn what_is_told_of_a_message_is_kept(h: &Harness) {
    let practice = Practice::open(h, "clinic", 1).await;
    let other = Practice::open(h, "other", 1).await;
    put(&practice, settings(h)).await;
    let start = Timestamp::from_millis(1_700_125_200_000);
    let booked = made(&practice, practice.book(&practice.staff, start)).await;
    let text = texts(&practice, &booked).await.remove(0);
    let hear = |practice: &Practice<'_>, told: TextTold| HearText {
        tenant: practice.tenant,
        provider_id: "SM1".to_owned(),
        told,
        phone: Some(ADA.to_owned()),
        fence: None,
        now: h.now(),
    };
    let state = |state| TextTold { state: Some(state), ..TextTold::default() };
    let heard = h.store.run(&h.call(), hear(&practice, state(TextState::Sent))).await;
    assert_eq!(heard, Ok(Heard::Unknown));
    assert!(begin(&practice, &due(&practice, text.id).await).await);
    let heard = h.store.run(&h.call(), hear(&practice, state(TextState::Delivered))).await;
    assert_eq!(heard, Ok(Heard::NotYet), "the callback is faster than the answer");
    let look = (h.ids.make(), h.now().plus(HOUR));
    let accepted =
        TextEnd::Accepted { provider_id: "SM1".to_owned(), state: TextState::Accepted, segments: None, look };
    end(&practice, &text, 1, accepted).await;
    let price = Some((7_500, "USD".to_owned()));
    let all = [
        state(TextState::Delivered),
        state(TextState::Sent),
        TextTold { segments: Some(2), price: price.clone(), ..TextTold::default() },
        state(TextState::Delivered),
    ];
    for told in all {
        let heard = h.store.run(&h.call(), hear(&practice, told)).await.expect("heard");
        assert!(matches!(heard, Heard::Of(of) if of.id == text.id));
    }
    let read = h.store.run(&h.call(), GetText { tenant: practice.tenant, id: text.id }).await.expect("read");
    let read = read.expect("it is there");
    assert_eq!((read.state, read.segments, read.price), (TextState::Delivered, Some(2), price));
    let known = |practice: &Practice<'_>| KnownTexts {
        tenant: practice.tenant,
        provider_ids: vec!["SM1".to_owned(), "SM2".to_owned()],
    };
    assert_eq!(h.store.run(&h.call(), known(&practice)).await, Ok(vec!["SM1".to_owned()]));
    // Nothing of it is another organisation's.
    assert_eq!(h.store.run(&h.call(), known(&other)).await, Ok(Vec::new()));
    assert_eq!(h.store.run(&h.call(), hear(&other, state(TextState::Read))).await, Ok(Heard::Unknown));
    assert_eq!(h.store.run(&h.call(), GetText { tenant: other.tenant, id: text.id }).await, Ok(None));
    let elsewhere = ShowAppointment { tenant: other.tenant, id: booked.id };
    assert_eq!(h.store.run(&h.call(), elsewhere).await, Ok(None));
    assert!(h.store.run(&h.call(), ReadText { tenant: other.tenant, id: text.id }).await.expect("read").is_none());
    // Whoever has said stop and start is as whoever said it last, whatever arrives last.
    let (early, late) = (h.now(), h.now().plus(HOUR));
    stop(&practice, ADA, false, late).await;
    stop(&practice, ADA, true, early).await;
    assert_eq!(stopped(&practice).await, Vec::<String>::new());
    stop(&practice, ADA, true, late.plus(HOUR)).await;
    assert_eq!((stopped(&practice).await, stopped(&other).await), (vec![ADA.to_owned()], Vec::new()));
    // The provider may know of it first.
    let second = texts(&practice, &booked).await.remove(1);
    let over = TextEnd::Over { state: TextState::Failed, code: Some(21_610), error: "STOP".to_owned(), stopped: true };
    stop(&practice, ADA, false, late.plus(2 * HOUR)).await;
    end(&practice, &second, 0, over).await;
    assert_eq!(stopped(&practice).await, [ADA]);
    let forgotten = h.store.forget_texts(&h.call(), h.now().plus(HOUR)).await.expect("forgotten");
    assert_eq!((forgotten, texts(&practice, &booked).await.len()), (3, 0));
}

pub(super) async fn what_is_overdue_and_what_was_sent_after_stop_is_found(h: &Harness) {
    let practice = Practice::open(h, "audited", 1).await;
    put(&practice, settings(h)).await;
    let start = Timestamp::from_millis(1_700_125_200_000);
    let booked = made(&practice, practice.book(&practice.staff, start)).await;
    let confirmation = texts(&practice, &booked).await.remove(0);
    let find = async |due_before| {
        let find = FindTextFaults { due_before, now: h.now().plus(HOUR) };
        let mut found = h.store.run(&h.call(), find).await.expect("found");
        found.overdue.retain(|one| one.tenant == practice.tenant);
        found.after_stop.retain(|one| one.1 == practice.tenant);
        assert!(found.is_guarded && found.looked_at >= 3 && found.twice.is_empty(), "{found:?}");
        found
    };
    assert_eq!(find(confirmation.due_at).await.overdue, [], "it is due at that moment, and not before");
    let late = find(confirmation.due_at.plus(Duration::from_millis(1))).await.overdue;
    let [late] = <[_; 1]>::try_from(late).expect("one");
    assert_eq!((late.id, late.state, late.due_at), (confirmation.id, TextState::Waiting, confirmation.due_at));
    assert_eq!(late.job, Some((JobState::Scheduled, confirmation.due_at)));
    // Sent before somebody says stop, which is right, and after it, which no statement does: what was said is told late.
    assert!(begin(&practice, &due(&practice, confirmation.id).await).await);
    stop(&practice, ADA, true, h.now()).await;
    assert_eq!(find(start).await.after_stop, []);
    stop(&practice, ADA, false, h.now().plus(HOUR)).await;
    let read = due(&practice, confirmation.id).await;
    let other = Practice::open(h, "said-before", 1).await;
    put(&other, settings(h)).await;
    let theirs = made(&other, other.book(&other.staff, start)).await;
    let theirs = texts(&other, &theirs).await.remove(0);
    assert!(begin(&other, &due(&other, theirs.id).await).await);
    let before = h.now().minus(HOUR);
    stop(&other, ADA, true, before).await;
    let look = FindTextFaults { due_before: start, now: h.now().plus(HOUR) };
    let found = h.store.run(&h.call(), look).await.expect("found").after_stop;
    let found: Vec<_> = found.into_iter().filter(|one| one.1 == other.tenant).collect();
    assert_eq!(found, [(theirs.id, other.tenant, h.now(), before)]);
    // What is being sent is owed too, until the provider has it.
    let owed = find(start).await.overdue;
    assert_eq!(owed.iter().find(|one| one.id == confirmation.id).map(|one| one.state), Some(TextState::Sending));
    let over = TextEnd::Over { state: TextState::Failed, code: None, error: "no".to_owned(), stopped: false };
    end(&practice, &confirmation, read.text.attempts, over).await;
    assert!(!find(start).await.overdue.iter().any(|one| one.id == confirmation.id));
}
