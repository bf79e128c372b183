//! Recordings of pages that something else has written, that are too old, and that are answered for by something in front.

use std::time::Duration;

use mainstay_domain::{PersonId, TenantId, Timestamp};
use mainstay_store::{
    ChunkTaken, ForgetReplaysOf, GiveReplayConsent, ReplayBounds, ReplayReason, TakeReplayChunk, WithdrawReplayConsent,
};

use super::proxy::Proxy;
use super::{Colours, call, see};
use crate::support::TestApp;

const DAY: Duration = Duration::from_secs(86_400);

/// Breaks each.
pub(super) async fn neglect(server: &TestApp, proxy: &Proxy, colours: &mut Colours) {
    for id in ["security.recordings", "security.recordings_masked"] {
        colours.green(&see(server, &proxy.address, id).await);
    }
    let person = server.person("recorded").await;
    let tenant = TenantId(person.organisation.parse().expect("an id"));
    let person = PersonId(person.id.parse().expect("an id"));
    let store = &server.app.store;
    store.run(&call(), GiveReplayConsent { tenant, person, now: server.now() }).await.expect("given");
    let write = async |text: &str, now: Timestamp| {
        let take = TakeReplayChunk {
            tenant,
            person,
            replay: server.app.ids.make(),
            number: 0,
            page: "/".to_owned(),
            version: String::new(),
            reason: ReplayReason::Sampled,
            events: format!(
                r#"[{{"type":3,"timestamp":1,"data":{{"source":0,"texts":[{{"id":1,"value":"{text}"}}]}}}}]"#
            ),
            span: (1, 1),
            errors: 0,
            bounds: ReplayBounds { a_day: 10, chunks: 10, bytes: 1_000 },
            now,
        };
        assert_eq!(store.run(&call(), take).await, Ok(ChunkTaken::Kept));
    };
    write("**** ***", server.now()).await;
    colours.green(&see(server, &proxy.address, "security.recordings_masked").await);
    // What a release would keep that masks nothing.
    write("Iris Moss", server.now()).await;
    let seen = see(server, &proxy.address, "security.recordings_masked").await;
    assert!(seen.measured.starts_with("1 of the newest 2 can be read") && !seen.evidence.contains("Iris"), "{seen:?}");
    colours.red(&seen);
    let forget = ForgetReplaysOf { tenant, person, limit: 10 };
    assert_eq!(store.run(&call(), forget).await, Ok(2));
    // Housekeeping would have taken it a day ago.
    write("****", server.now().minus(32 * DAY)).await;
    let seen = see(server, &proxy.address, "security.recordings_masked").await;
    // Unless it has just come by.
    if store.run(&call(), forget).await != Ok(0) {
        assert!(seen.measured.ends_with("1 kept too long"), "{}", seen.measured);
        colours.red(&seen);
    }
    store.run(&call(), WithdrawReplayConsent { tenant, person }).await.expect("withdrawn");
    // Something in front of the server answers in its place.
    proxy.answer(Some(("/v1/replays", "{\"data\":[],\"next\":null}")));
    colours.red(&see(server, &proxy.address, "security.recordings").await);
    proxy.answer(None);
}
