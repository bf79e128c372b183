//! A fence and an end that are held while a stop comes, and a stop that is held while an email goes out.

use super::super::super::{Harness, spawn};
use super::super::{Agency, accepted};
use super::{KINDS, Kind, Met, Scene, Stage, Step, Watch, held, pairs, statements_of};
use crate::ClaimedEmail;

pub(in super::super::super) async fn a_stop_within_a_fence_holds(h: &Harness) {
    let Some(mut watch) = Watch::of(h).await else { return };
    let (agency, mut met) = (Agency::open(h, "agency").await, Met::default());
    let stage = Stage::new(&agency).await;
    for (step, kind) in pairs() {
        let scene = Scene::on(&agency, &stage, step, kind).await;
        let email = scene.claim().await.expect("an email");
        let (may, statements) = statements_of(h, scene.fence(&email)).await;
        assert!(may && statements.len() > 2, "{statements:?}");
        scene.over().await;
        for (at, name) in statements.iter().enumerate() {
            let scene = Scene::on(&agency, &stage, step, kind).await;
            let email = scene.claim().await.expect("an email");
            let (fence, held) = held(h, at, scene.fence(&email)).await;
            let stop = spawn(scene.stop());
            let went = watch.ends(&stop).await;
            met.count(went);
            held.open();
            let may = fence.await.expect("it did not panic");
            stop.await.expect("it did not panic");
            assert_eq!(may, !went, "{step:?} {kind:?} before {name}: the stop was first, or the fence was");
            let mut sent = Vec::new();
            if may {
                scene.went_out(&email).await;
                sent.push(email.id);
            }
            scene.nothing_more(&sent, &format!("in the fence before {name}")).await;
        }
    }
    met.both();
}

/// The other way round: the stop is held, and the email goes on as far as it comes.
pub(in super::super::super) async fn a_claim_and_a_fence_within_a_stop_hold(h: &Harness) {
    let Some(mut watch) = Watch::of(h).await else { return };
    let (agency, mut met) = (Agency::open(h, "agency").await, Met::default());
    let stage = Stage::new(&agency).await;
    for (step, kind) in pairs() {
        let scene = Scene::on(&agency, &stage, step, kind).await;
        let claimed = scene.claim().await;
        assert!(claimed.is_some());
        let ((), statements) = statements_of(h, scene.stop()).await;
        assert!(statements.len() > 1, "{statements:?}");
        scene.nothing_more(&[], "without anybody").await;
        for (at, name) in statements.iter().enumerate() {
            for claimed_before in [false, true] {
                let scene = Scene::on(&agency, &stage, step, kind).await;
                let mut claimed = if claimed_before { scene.claim().await } else { None };
                let (stop, held) = held(h, at, scene.stop()).await;
                let claim = (!claimed_before).then(|| spawn(scene.claim()));
                let mut waits = None;
                if let Some(claim) = claim {
                    if watch.ends(&claim).await {
                        claimed = claim.await.expect("it did not panic");
                    } else {
                        waits = Some(claim);
                    }
                }
                let mut sent = Vec::new();
                if let Some(email) = &claimed {
                    let fence = spawn(scene.fence(email));
                    let went = watch.ends(&fence).await;
                    met.count(went);
                    held.open();
                    let may = fence.await.expect("it did not panic");
                    stop.await.expect("it did not panic");
                    assert_eq!(may, went, "{step:?} {kind:?} before {name}: the stop was first, or the fence was");
                    if may {
                        scene.went_out(email).await;
                        sent.push(email.id);
                    }
                } else {
                    held.open();
                    stop.await.expect("it did not panic");
                    if let Some(claim) = waits
                        && let Some(email) = claim.await.expect("it did not panic")
                    {
                        assert!(!scene.fence(&email).await, "{step:?} {kind:?} before {name}");
                    }
                }
                scene.nothing_more(&sent, &format!("in the stop before {name}")).await;
            }
        }
    }
    met.both();
}

/// What a server said of the first email is kept while the stop comes: the next one is made and cancelled, or never made.
pub(in super::super::super) async fn a_stop_within_an_end_holds(h: &Harness) {
    let Some(mut watch) = Watch::of(h).await else { return };
    let (agency, mut met) = (Agency::open(h, "agency").await, Met::default());
    let stage = Stage::new(&agency).await;
    let fenced = async |kind| {
        let mut scene = Scene::on(&agency, &stage, Step::First, kind).await;
        let email = scene.claim().await.expect("an email");
        assert!(scene.fence(&email).await);
        // An answer may be read before it is kept that the email was taken.
        if kind == Kind::Replied {
            scene.earlier = Some(email.id);
        }
        (scene, email)
    };
    // A pause changes nothing of what comes next; and what servers say of two emails of one organisation is kept one after
    // the other.
    for kind in KINDS.into_iter().filter(|kind| ![Kind::Paused, Kind::Refused].contains(kind)) {
        let (scene, email) = fenced(kind).await;
        let end = |scene: &Scene<'_>, email: &ClaimedEmail| {
            scene.end(&scene.run, email, accepted(agency.next(&scene.made, email)))
        };
        let ((), of_end) = statements_of(h, end(&scene, &email)).await;
        let ((), of_stop) = statements_of(h, scene.stop()).await;
        scene.nothing_more(&[email.id], "without anybody").await;
        let places = of_end.iter().enumerate().map(|(at, name)| (true, at, name));
        for (ends, at, name) in places.chain(of_stop.iter().enumerate().map(|(at, name)| (false, at, name))) {
            let (scene, email) = fenced(kind).await;
            let (first, second) = (end(&scene, &email), scene.stop());
            let (first, second) = if ends { (first, second) } else { (second, first) };
            let (first, held) = held(h, at, first).await;
            let second = spawn(second);
            met.count(watch.ends(&second).await);
            held.open();
            first.await.expect("it did not panic");
            second.await.expect("it did not panic");
            scene.nothing_more(&[email.id], &format!("with the end, before {name}")).await;
        }
    }
    met.both();
}
