//! Images: stored once, counted, carried by one message, and gone with it.

use std::time::Duration;

use mainstay_domain::{
    Allowance, Day, ImageId, ImageKind, MessageImage, Meter, Month, PersonId, Plan, PlanLimits, Spent, TenantId,
};

use super::Harness;
use super::assistant::{accept, new_conversation};
use crate::{
    AcceptMessage, Accepted, DeleteConversation, GetImage, GetUsage, ImageStored, ListMessages, ReadHistory,
    ReadImages, ReadNewestImages, SendableImages, SetPlanLimits, StoreImage, StoredImage,
};

fn store(h: &Harness, (tenant, person): (TenantId, PersonId), source: &str) -> StoreImage {
    StoreImage {
        tenant,
        person,
        image: MessageImage { id: h.ids.make(), kind: ImageKind::Png, width: 3, height: 2 },
        content: vec![0, 1, 2, 255].into(),
        sha256: "kept".to_owned(),
        source_sha256: source.to_owned(),
        now: h.now(),
    }
}

async fn stored(h: &Harness, by: (TenantId, PersonId), source: &str) -> StoredImage {
    match h.store.run(&h.call(), store(h, by, source)).await.expect("run") {
        ImageStored::Stored(stored) => stored,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn an_image_belongs_to_the_message_that_carries_it(h: &Harness) {
    let ada @ (tenant, person) = h.person("painter").await;
    let bob = h.person("viewer").await;
    let first = stored(h, ada, "one").await;
    assert_eq!((first.bytes, first.image.width, first.image.height), (4, 3, 2));
    let again = h.store.run(&h.call(), store(h, ada, "one")).await;
    assert_eq!(again, Ok(ImageStored::Known(first.clone())), "the same is there once");
    stored(h, bob, "one").await;
    let second = stored(h, ada, "two").await;
    let ids = vec![second.image.id, first.image.id, ImageId(uuid::Uuid::nil())];
    let sendable = |tenant, person| SendableImages { tenant, person, ids: ids.clone() };
    let found = h.store.run(&h.call(), sendable(tenant, person)).await;
    assert_eq!(found, Ok(vec![second.image, first.image]), "in their order, and only what is there");
    assert_eq!(h.store.run(&h.call(), sendable(bob.0, bob.1)).await, Ok(Vec::new()));

    let carrying = AcceptMessage { images: vec![first.image], ..accept(h, tenant, person, new_conversation(h)) };
    assert_eq!(h.store.accept_message(&h.call(), carrying.clone()).await, Ok(Accepted::Taken(0)));
    let conversation = carrying.target.id();
    let list = ListMessages { tenant, person, conversation, after: None, limit: 5 };
    let messages = h.store.run(&h.call(), list).await.expect("listed").expect("it is there");
    assert_eq!(messages.iter().map(|message| message.images.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(messages[1].images, [first.image]);
    let later = accept(h, tenant, person, crate::Target::Existing(conversation));
    assert_eq!(h.store.accept_message(&h.call(), later.clone()).await, Ok(Accepted::Taken(0)));
    let history = ReadHistory { tenant, conversation, before: later.message, limit: 10 };
    let said = h.store.run(&h.call(), history).await.expect("read");
    assert_eq!(said.last().map(|said| said.images.clone()), Some(vec![first.image]));
    // It is sent, so it cannot be sent again; and the same file is another image from now on.
    assert_eq!(h.store.run(&h.call(), sendable(tenant, person)).await, Ok(vec![second.image]));
    stored(h, ada, "one").await;

    // Only whoever has sent it sees it.
    let get = GetImage { tenant, person, id: first.image.id };
    let content = h.store.run(&h.call(), get).await.expect("read").expect("it is there");
    assert_eq!((content.content.as_slice(), content.kind), (&[0, 1, 2, 255][..], ImageKind::Png));
    assert!(h.store.run(&h.call(), GetImage { person: bob.1, ..get }).await.expect("read").is_none());
    assert!(h.store.run(&h.call(), GetImage { tenant: bob.0, person: bob.1, ..get }).await.expect("read").is_none());
    let read = ReadImages { tenant, ids: vec![first.image.id, second.image.id] };
    assert_eq!(h.store.run(&h.call(), read.clone()).await.expect("read").len(), 2);

    // What was never sent goes after a while, and what was sent with its conversation.
    assert_eq!(h.store.forget_unsent_images(&h.call(), h.now()).await, Ok(0));
    h.clock.advance(Duration::from_secs(1));
    assert_eq!(h.store.forget_unsent_images(&h.call(), h.now()).await, Ok(3));
    assert_eq!(h.store.forget_unsent_images(&h.call(), h.now()).await, Ok(0));
    assert_eq!(h.store.run(&h.call(), read.clone()).await.expect("read").len(), 1);
    let delete = DeleteConversation { tenant, person, id: conversation, claim: None, now: h.now() };
    h.store.run(&h.call(), delete).await.expect("deleted");
    assert!(h.store.run(&h.call(), get).await.expect("read").is_none(), "at once");
    while h.store.purge_deleted(&h.call(), h.now(), h.now()).await.expect("purged") > 0 {}
    assert!(h.store.run(&h.call(), read).await.expect("read").is_empty(), "and for good");
}

pub(super) async fn images_are_counted_against_the_plan(h: &Harness) {
    let ada @ (tenant, person) = h.person("counter").await;
    let images = Allowance { per_day: Some(2), per_month: None };
    let limits = PlanLimits { images, ..PlanLimits::default() };
    h.store.run(&h.call(), SetPlanLimits(Plan::Free, limits)).await.expect("set");
    stored(h, ada, "one").await;
    // A repeat is not counted.
    for _ in 0..3 {
        assert!(matches!(h.store.run(&h.call(), store(h, ada, "one")).await, Ok(ImageStored::Known(_))));
    }
    stored(h, ada, "two").await;
    let third = h.store.run(&h.call(), store(h, ada, "three")).await;
    assert_eq!(third, Ok(ImageStored::Spent(Spent::Daily(Meter::Images))));
    let usage = h
        .store
        .run(&h.call(), GetUsage { tenant, person, month: Month::of(h.now()), day: Day::of(h.now()) })
        .await
        .expect("read");
    assert_eq!(usage.expect("there is an organisation").person.month.images, 2);
    h.clock.advance(Duration::from_secs(86_400));
    stored(h, ada, "three").await;
    h.store.run(&h.call(), SetPlanLimits(Plan::Free, PlanLimits::default())).await.expect("set");
}

pub(super) async fn the_newest_images_are_told_without_their_pixels(h: &Harness) {
    let newest = stored(h, h.person("newest").await, "newest").await;
    let told = h.store.run(&h.call(), ReadNewestImages).await.expect("read");
    let one = told.iter().find(|one| one.id == newest.image.id).expect("it is there");
    assert_eq!((one.kind.as_str(), one.width, one.height, one.bytes, one.there), ("image/png", 3, 2, 4, 4));
    assert_eq!(one.beginning, [0, 1, 2, 255]);
}
