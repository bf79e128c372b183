use std::time::Duration;

use mainstay_domain::{Secret, Timestamp};
use tokio::time::Instant;

use super::*;
use crate::options::{Profile, Thresholds};

fn options(thresholds: Thresholds) -> Options {
    Options {
        url: "http://127.0.0.1:1/<script>".to_owned(),
        profile: Profile::Storm,
        tokens: vec![(Secret::new("token".to_owned()), None); 2],
        per_minute: 2.0,
        ramp_up: Duration::ZERO,
        steady: Duration::from_secs(10),
        ramp_down: Duration::ZERO,
        server_pid: None,
        own_server: false,
        thresholds,
    }
}

async fn report(thresholds: Thresholds) -> Report {
    let begin = Instant::now();
    let recorder = Recorder::new(begin..begin + Duration::from_secs(10));
    recorder.failed(Operation::Message, "overloaded");
    recorder.cut();
    tokio::time::advance(Duration::from_millis(300)).await;
    recorder.took(Operation::Message, begin);
    recorder.took(Operation::Reconnect, begin);
    let sample = Sample { memory: 300_000_000, time: Duration::from_secs(2) };
    let server = Server { pid: Some(7), first: Sample::default(), last: sample, most_memory: sample.memory };
    let timeline = (0..1_000).map(|at| Second { at, requests: at % 7, sockets: 2, ..Second::default() }).collect();
    Report::new(&options(thresholds), Timestamp::EPOCH, &recorder, (server, sample), timeline)
}

#[tokio::test(start_paused = true)]
async fn thresholds_are_held_against_what_was_found() {
    assert!(report(Thresholds::default()).await.passed(), "nothing was asked");
    let tight = Thresholds {
        p99: Some(Duration::from_millis(250)),
        errors: Some(0),
        memory: Some(299_000_000),
        back: Some(Duration::from_millis(100)),
    };
    let failed: Vec<_> =
        report(tight).await.checks.into_iter().filter(|check| !check.passed).map(|it| it.name).collect();
    assert_eq!(failed, ["p99 of requests", "errors", "server memory", "all sockets back"]);
    let wide = Thresholds {
        p99: Some(Duration::from_millis(400)),
        errors: Some(1),
        memory: Some(300_000_000),
        back: Some(Duration::from_secs(1)),
    };
    assert!(report(wide).await.passed());
}

#[tokio::test(start_paused = true)]
async fn the_page_is_one_file_and_safe() {
    let report = report(Thresholds { errors: Some(0), ..Thresholds::default() }).await;
    let page = report.to_html();
    assert!(!page.contains("<script") && !page.contains(" src=") && !page.contains("href="));
    assert!(page.matches("<svg").count() == 5 && page.contains("not good"));
    assert!(page.len() < 200_000, "{}", page.len());
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["operations"][0]["name"], "message");
    assert_eq!(json["storm"]["back"], 1);
    let text = report.to_string();
    assert!(text.contains("error: 1 overloaded in message") && text.contains("NOT GOOD: errors"), "{text}");
    assert!(!text.contains("token") && !page.contains("token") && !json.to_string().contains("token"));
}
