//! The stack around handlers that panic, run into their deadline or refuse: the place comes back each time. And the stack
//! before them: whoever would be refused by them is refused by it.

use std::sync::atomic::AtomicUsize;

use axum::body::Body;
use axum::extract::Request;
use mainstay_domain::{Ids, ManualClock, Timestamp};
use prometheus_client::registry::Registry;
use tower::ServiceExt as _;

use super::*;
use crate::http::{Access, HttpMetrics, Policy, Problem, RequestContext, RouteTable, Routes, Settings, wrap};

/// Handlers for anybody that do as if they asked the store.
fn router(overload: &Overload) -> axum::Router {
    const WORKS: Policy = Policy::new(Access::Public).statements(1);
    let inside = |expected: usize| {
        let overload = overload.clone();
        move || async move {
            assert_eq!(overload.standing().inside, expected);
            "ok"
        }
    };
    let panics = || async { assert!(std::hint::black_box(false)) };
    let refuses = || async { Err::<(), _>(Problem::from(Error::not_found("thing"))) };
    let waits = {
        let overload = overload.clone();
        |context: RequestContext| async move {
            context.waits();
            assert_eq!(overload.standing().inside, 0);
        }
    };
    let routes = Routes::new()
        .get("/works", inside(1), WORKS)
        .get("/idle", inside(0), Policy::new(Access::Public))
        .get("/always", inside(0), WORKS.priority(Priority::Always))
        .get("/health", || async { "ok" }, WORKS.priority(Priority::Always))
        .get("/panics", panics, WORKS)
        .get("/refuses", refuses, WORKS)
        .get("/waits", waits, WORKS)
        .get("/never", std::future::pending::<()>, WORKS.deadline(Duration::from_secs(2)));
    let (router, table) = routes.build().expect("routes");
    wrapped(router, &table, overload)
}

fn wrapped(router: axum::Router, table: &RouteTable, overload: &Overload) -> axum::Router {
    let metrics = HttpMetrics::register(&mut Registry::default());
    let ids = Ids::new(Arc::new(ManualClock::new(Timestamp::EPOCH)), Arc::new(Seven));
    let config = config::Config::from_overrides(&[]).expect("the defaults");
    let settings = Settings::new(&config.http, table, ids, metrics).expect("settings").with_overload(overload);
    wrap(router, settings)
}

async fn status(router: &axum::Router, path: &str) -> u16 {
    let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("infallible").status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn the_place_comes_back_however_the_handler_ends() {
    let overload = overload(1);
    let router = router(&overload);
    for _ in 0..3 {
        for (path, expected) in [
            ("/works", 200),
            ("/idle", 200),
            ("/always", 200),
            ("/panics", 500),
            ("/refuses", 404),
            ("/waits", 200),
            ("/never", 504),
            ("/nowhere", 404),
        ] {
            assert_eq!(status(&router, path).await, expected, "{path}");
            assert_eq!(stands(&overload), (0, 0), "{path}");
        }
    }
    // A client that leaves in the middle.
    let mut gone = Box::pin(status(&router, "/never"));
    assert!(poll_once(&mut gone).await.is_pending());
    assert_eq!(stands(&overload), (1, 0));
    assert_eq!((status(&router, "/works").await, status(&router, "/health").await), (503, 200));
    drop(gone);
    assert_eq!(stands(&overload), (0, 0));
    assert_eq!(status(&router, "/works").await, 200);
}

#[tokio::test(start_paused = true)]
async fn while_the_queue_stands_a_known_caller_is_refused_before_the_handler() {
    let overload = overload(1);
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    // A handler that finds out whose the request is, as authorities do.
    let member = |context: RequestContext| async move {
        counted.fetch_add(1, Ordering::Relaxed);
        context.admit(tenant(1)).await
    };
    let policy = Policy::new(Access::Session).statements(1).priority(Priority::Write);
    let anybody = Policy::new(Access::Public).statements(1).priority(Priority::Write);
    let routes = Routes::new().get("/member", member, policy).get("/anybody", || async { "ok" }, anybody);
    let (router, table) = routes.build().expect("routes");
    let router = wrapped(router, &table, &overload);
    let ask_for = async |path: &str, token: &str| {
        let request = Request::builder().uri(path).header("authorization", token).body(Body::empty());
        router.clone().oneshot(request.expect("a request")).await.expect("infallible").status().as_u16()
    };
    let ask = async |token: &str| ask_for("/member", token).await;
    let _first = enter(&overload, 9).await.expect("there is room");
    let mut early = pin!(enter(&overload, 2));
    assert!(poll_once(&mut early).await.is_pending());
    tokio::time::advance(Duration::from_millis(60)).await;
    let mut late = pin!(enter(&overload, 3));
    assert!(poll_once(&mut late).await.is_pending());
    tokio::time::advance(Duration::from_millis(41)).await;
    assert!(early.await.is_err());
    // The queue stands. Two of this caller wait, and whose they are is known from here on.
    let (mut one, mut two) = (pin!(ask("Bearer a")), pin!(ask("Bearer a")));
    assert!(poll_once(&mut one).await.is_pending() && poll_once(&mut two).await.is_pending());
    assert_eq!(begun.load(Ordering::Relaxed), 2);
    assert_eq!((ask("Bearer a").await, begun.load(Ordering::Relaxed)), (503, 2), "refused by the stack");
    assert_eq!((ask("Bearer b").await, begun.load(Ordering::Relaxed)), (503, 3), "refused by the handler");
    assert_eq!((ask("Bearer b").await, begun.load(Ordering::Relaxed)), (503, 3), "known now as well");
    // What needs no token is judged by its address, whatever header it carries: there is room for that one.
    let mut address = pin!(ask_for("/anybody", "Bearer a"));
    assert!(poll_once(&mut address).await.is_pending());
    assert_eq!((one.await, two.await, address.await), (503, 503, 503));
    assert!(late.await.is_err());
    // The queue is empty again: known or not, it is for the handler to tell.
    assert_eq!((ask("Bearer a").await, begun.load(Ordering::Relaxed)), (503, 4));
}
