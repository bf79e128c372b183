//! Text messages that nobody sends, that go out after a stop, calls that hold card numbers, images that are none, and readers
//! who are not noted.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{CallTold, ImageKind, MessageImage, PersonId, Span, StaffId, TenantId};
use mainstay_store::{
    Appointment, BeginText, BookAppointment, Booking, HearCall, ListAccesses, ListTexts, Once, OptOut, PauseQueue,
    StoreImage,
};
use serde_json::json;

use super::proxy::Proxy;
use super::{Colours, call, see};
use crate::reception::Practice;
use crate::support::TestApp;
use crate::texts::{sender_of, settings};

/// Breaks each.
pub(super) async fn neglect(server: &TestApp, proxy: &Proxy, colours: &mut Colours) {
    let ids = ["data.texts", "data.call_masking", "security.images", "security.images_refused", "security.access_log"];
    for id in ids {
        colours.green(&see(server, &proxy.address, id).await);
    }
    let practice = Practice::open(server, "forgetful", 1).await;
    leave_a_text(&practice, &proxy.address, colours).await;
    keep_a_card(&practice, &proxy.address, colours).await;
    keep_what_is_no_image(&practice, &proxy.address, colours).await;
    answer_readers(server, proxy, colours).await;
}

fn tenant(practice: &Practice<'_>) -> TenantId {
    TenantId(practice.owner.organisation.parse().expect("an id"))
}

/// An appointment that was made an hour ago, of which somebody is told at once.
async fn booked(practice: &Practice<'_>) -> Appointment {
    let (server, tenant) = (practice.server, tenant(practice));
    let contact = json!({"name": "Ada", "phone": "+49 30 901820"});
    let contact = practice.send("POST", "/v1/contacts", Some(contact)).await;
    assert!(matches!(contact.status, 200 | 201), "{}", contact.text);
    let contact: serde_json::Value = serde_json::from_str(&contact.text).expect("JSON");
    let id = |text: &str| text.parse::<uuid::Uuid>().expect("an id");
    let begins = server.now().plus(Duration::from_secs(86_400));
    let span = Span::new(begins, begins.plus(Duration::from_secs(1_800))).expect("a span");
    let book = BookAppointment {
        id: server.app.ids.make(),
        tenant,
        service: id(&practice.service).into(),
        staff: BTreeSet::from([StaffId(id(&practice.staff[0]))]),
        contact: Some(id(contact["id"].as_str().expect("an id")).into()),
        held_until: None,
        shown: span,
        blocked: span,
        note: String::new(),
        claim: None,
        asked: true,
        now: server.now().minus(Duration::from_secs(3_600)),
    };
    match server.app.store.run(&call(), book).await.expect("booked") {
        Once::Done(Booking::Made(appointment)) => appointment,
        other => panic!("{other:?}"),
    }
}

async fn leave_a_text(practice: &Practice<'_>, address: &str, colours: &mut Colours) {
    let (server, tenant) = (practice.server, tenant(practice));
    let store = &server.app.store;
    let pause = PauseQueue { queue: "texts".to_owned(), paused_at: Some(server.now()) };
    store.run(&call(), pause).await.expect("paused");
    let sender = sender_of(server, &practice.owner).await;
    practice.send("PUT", "/v1/text-settings", Some(settings(&sender))).await.expect(200);
    let appointment = booked(practice).await;
    // An hour later nobody has sent it.
    let seen = see(server, address, "data.texts").await;
    assert!(seen.measured.starts_with("1 overdue, the oldest for 36"), "{}", seen.measured);
    colours.red(&seen);
    // It was sent, a quarter of an hour after somebody had said stop.
    let list = ListTexts { tenant, appointment: Some(appointment.id), state: None, before: None, limit: 10 };
    let text = store.run(&call(), list).await.expect("listed").texts.remove(0);
    let begin = BeginText {
        tenant,
        id: text.id,
        seen_attempts: 0,
        to: (text.contact, text.phone.clone()),
        body: "Hello.".to_owned(),
        now: server.now(),
    };
    assert!(store.run(&call(), begin).await.expect("begun"));
    let at = server.now().minus(Duration::from_secs(900));
    let stop = OptOut { tenant, phone: text.phone.clone(), digest: String::new(), stopped: true, at, fence: None };
    store.run(&call(), stop).await.expect("said");
    let seen = see(server, address, "data.texts").await;
    assert!(seen.evidence.contains("went out after a stop"), "{}", seen.evidence);
    assert!(!seen.evidence.contains(&text.phone), "{}", seen.evidence);
    colours.red(&seen);
}

/// What a release would keep that masks nothing.
async fn keep_a_card(practice: &Practice<'_>, address: &str, colours: &mut Colours) {
    let summary = Some("The card is 4242 4242 4242 4242.".to_owned());
    let heard = HearCall {
        tenant: tenant(practice),
        provider_id: "unmasked".to_owned(),
        id: practice.server.app.ids.make(),
        told: CallTold { report: true, summary, ..CallTold::default() },
        contact: None,
        fence: None,
        now: practice.server.now(),
    };
    practice.server.app.store.run(&call(), heard).await.expect("heard");
    let seen = see(practice.server, address, "data.call_masking").await;
    assert!(!seen.evidence.contains("4242 4242"), "{}", seen.evidence);
    colours.red(&seen);
}

async fn keep_what_is_no_image(practice: &Practice<'_>, address: &str, colours: &mut Colours) {
    let server = practice.server;
    let image = MessageImage { id: server.app.ids.make(), kind: ImageKind::Png, width: 3, height: 2 };
    let page = b"<script>alert(1)</script>".to_vec();
    let store = StoreImage {
        tenant: tenant(practice),
        person: PersonId(practice.owner.id.parse().expect("an id")),
        image,
        content: page.into(),
        sha256: "kept".to_owned(),
        source_sha256: "sent".to_owned(),
        now: server.now(),
    };
    server.app.store.run(&call(), store).await.expect("stored");
    let seen = see(server, address, "security.images").await;
    assert!(seen.evidence.contains(&image.id.to_string()), "{}", seen.evidence);
    colours.red(&seen);
}

/// Something in front of the server answers in its place: whoever reads is noted by nobody.
async fn answer_readers(server: &TestApp, proxy: &Proxy, colours: &mut Colours) {
    for path in ["/v1/contacts", "/v1/calls"] {
        proxy.answer(Some((path, "{\"data\":[],\"next\":null}")));
        colours.red(&see(server, &proxy.address, "security.access_log").await);
    }
    proxy.answer(None);
    // Nothing is left of those who asked.
    let guest = server.app.accounts.guest(Duration::from_secs(60));
    let answer = server.send("GET", "/v1/contacts", Some(guest.token.expose()), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let list = ListAccesses { tenant: guest.tenant, before: None, limit: 10 };
    assert_eq!(server.app.store.run(&call(), list).await.expect("listed").len(), 1);
    let forget = mainstay_store::ForgetReadingOfNobody { tenant: guest.tenant, by: guest.person };
    assert_eq!(server.app.store.run(&call(), forget).await.expect("forgotten"), 1);
    assert_eq!(server.app.store.run(&call(), list).await.expect("listed"), []);
}
