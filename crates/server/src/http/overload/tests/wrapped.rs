//! The stack around handlers that panic, run into their deadline or refuse: the place comes back each time.

use axum::body::Body;
use axum::extract::Request;
use mainstay_domain::{Ids, ManualClock, Timestamp};
use prometheus_client::registry::Registry;
use tower::ServiceExt as _;

use super::*;
use crate::http::{Access, HttpMetrics, Policy, Problem, RequestContext, Routes, Settings, wrap};

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
    let metrics = HttpMetrics::register(&mut Registry::default());
    let ids = Ids::new(Arc::new(ManualClock::new(Timestamp::EPOCH)), Arc::new(Seven));
    let config = config::Config::from_overrides(&[]).expect("the defaults");
    let settings = Settings::new(&config.http, &table, ids, metrics).expect("settings").with_overload(overload);
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
