//! Whether jobs are done, as health and figures tell it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, jobs_in, mark, operated, post, probes};
use crate::support::{Engine, TestApp, both};

both! {
    health_fails_when_what_could_run_is_not_begun,
    the_queues_are_among_the_figures,
}

/// Asks for the health of the queues until it has this status.
async fn until_health(server: &TestApp, status: u16) -> Value {
    let begun = Instant::now();
    loop {
        let answer = server.send("GET", "/health/queue", None, None).await;
        if answer.status == status {
            return answer.json();
        }
        assert!(begun.elapsed() < PATIENCE, "{}", answer.text);
        sleep(Duration::from_millis(50)).await;
    }
}

async fn health_fails_when_what_could_run_is_not_begun(engine: Engine) {
    // Nobody works here, and nothing was ever worked on: the queue is known all the same.
    let off = [("jobs.enabled", "false"), ("jobs.oldest_seconds", "1")];
    let Some((server, ada)) = operated(engine, &off).await else { return };
    let well = until_health(&server, 200).await;
    assert_eq!(well["checks"]["worker"]["detail"], "this node leaves jobs to others", "{well}");
    probes(&server, &ada, json!({"count": 2})).await;
    let late = until_health(&server, 503).await;
    assert_eq!((&late["status"], &late["checks"]["worker"]["status"]), (&json!("failing"), &json!("ok")));
    let detail = late["checks"]["queues"]["detail"].as_str().expect("words");
    assert!(detail.starts_with("the oldest job in probes has been due for"), "{detail}");
    // A queue that is paused on purpose is no fault.
    post(&server, &ada, "/v1/queues/probes/pause", None).await.expect(204);
    let paused = until_health(&server, 200).await;
    assert!(paused.to_string().contains("1 paused"), "{paused}");
    post(&server, &ada, "/v1/queues/probes/resume", None).await.expect(204);
    until_health(&server, 503).await;
    // Somebody works: it is done, and well.
    let server = server.restart(&[("jobs.oldest_seconds", "1")]).await;
    mark(&server, &ada, true).await;
    jobs_in(&server, &ada, "done", 2).await;
    let well = until_health(&server, 200).await;
    assert!(well["checks"]["worker"]["detail"].to_string().contains("holds its lease"), "{well}");
    let ready = server.send("GET", "/readyz", None, None).await.expect(200);
    assert_eq!(ready["checks"]["jobs"]["status"], "ok", "{ready}");
}

async fn the_queues_are_among_the_figures(engine: Engine) {
    let Some((server, ada)) = operated(engine, &[]).await else { return };
    post(&server, &ada, "/v1/queues/probes/pause", None).await.expect(204);
    probes(&server, &ada, json!({"count": 2})).await;
    let (begun, read) = (Instant::now(), "mainstay_job_ready{queue=\"probes\"} 2.0");
    let figures = loop {
        let figures = server.send("GET", "/metrics", None, None).await.text;
        if figures.lines().any(|line| line == read) {
            break figures;
        }
        assert!(begun.elapsed() < PATIENCE, "{read} is missing in\n{figures}");
        sleep(Duration::from_millis(100)).await;
    };
    for line in ["mainstay_job_queue_paused{queue=\"probes\"} 1.0", "mainstay_job_scheduled 0", "mainstay_job_dead 0"] {
        assert!(figures.lines().any(|found| found == line), "{line} is missing in\n{figures}");
    }
    assert!(figures.contains("mainstay_job_oldest_seconds{queue=\"probes\"}"), "{figures}");
}
