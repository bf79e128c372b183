//! The breaker, the budget and the queue, seen from outside.

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::super::BreakerState;
use super::*;

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_then_tried_with_one_request() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.usually(Behaviour::status(500, "api_error"));
        let mut settings = pointed(&fake, protocol);
        settings.breaker_failures = 3;
        settings.breaker_open_ms = 1200;
        settings.max_retries = 0;
        let providers = build(&settings);
        for _ in 0..3 {
            assert_eq!(ask(&providers).await.0.unwrap_err().kind, FaultKind::ServerError { status: 500 });
        }
        assert_eq!(figures(&providers, protocol.name()).breaker, BreakerState::Open);
        let fault = ask(&providers).await.0.unwrap_err();
        assert_eq!(fault.kind, FaultKind::BreakerOpen);
        let wait = fault.retry_after.unwrap();
        assert!(wait <= Duration::from_millis(1200));
        assert_eq!(fake.counts().requests, 3, "the open breaker let nothing through");

        tokio::time::sleep(wait).await;
        let gate = Gate::new();
        fake.usually(Behaviour::Gated(pieces("Back again."), gate.clone()));
        let probe = ask(&providers);
        let others = async {
            fake.until(|counts| counts.requests == 4).await;
            assert_eq!(figures(&providers, protocol.name()).breaker, BreakerState::HalfOpen);
            for (outcome, _) in join_all((0..5).map(|_| ask(&providers))).await {
                assert_eq!(outcome.unwrap_err().kind, FaultKind::BreakerOpen);
            }
            gate.release(3);
        };
        let ((outcome, text), ()) = tokio::join!(probe, others);
        assert!(outcome.is_ok());
        assert_eq!((text.as_str(), fake.counts().requests), ("Back again.", 4));
        assert_eq!(figures(&providers, protocol.name()).breaker, BreakerState::Closed);
        assert_eq!(count_of(&figures(&providers, protocol.name()), "breaker_open"), 6);
    }
}

#[tokio::test]
async fn refused_requests_do_not_open_the_breaker() {
    for (status, opens) in [(400, false), (401, false), (404, false), (408, true), (429, true), (500, true)] {
        let fake = FakeProvider::start().await;
        fake.usually(Behaviour::status(status, "as_told"));
        let mut settings = pointed(&fake, Protocol::Anthropic);
        settings.breaker_failures = 2;
        settings.max_retries = 0;
        let providers = build(&settings);
        for _ in 0..3 {
            assert!(ask(&providers).await.0.is_err());
        }
        let expected = if opens { BreakerState::Open } else { BreakerState::Closed };
        assert_eq!(figures(&providers, "anthropic").breaker, expected, "status {status}");
    }
}

#[tokio::test]
async fn an_open_breaker_costs_the_next_provider_no_time() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    first.usually(Behaviour::status(500, "api_error"));
    let mut settings = chained(&first, &second);
    settings.breaker_failures = 2;
    let providers = build(&settings);
    for _ in 0..5 {
        assert_eq!(ask(&providers).await.0.unwrap().provider, "openai");
    }
    assert_eq!(first.counts().requests, 2, "even the retries of one request open it");
    assert_eq!(second.counts().requests, 5);
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let fake = FakeProvider::start().await;
    fake.usually(Behaviour::status(500, "api_error"));
    let mut settings = pointed(&fake, Protocol::OpenAi);
    settings.retry_budget_percent = 20;
    let providers = build(&settings);
    for _ in 0..60 {
        assert!(ask(&providers).await.0.is_err());
    }
    let retries = figures(&providers, "openai").retries;
    assert_eq!(retries, 12, "a fifth of sixty, although each may be tried twice again");
    assert_eq!(fake.counts().requests, 72);
}

#[tokio::test]
async fn a_slot_is_held_until_the_stream_ends_and_tenants_take_turns() {
    let fake = FakeProvider::start().await;
    let gate = Gate::new();
    fake.usually(Behaviour::Gated(pieces("Yes."), gate.clone()));
    let mut settings = pointed(&fake, Protocol::Anthropic);
    settings.max_concurrency = 1;
    let providers = &build(&settings);
    let asking = |number: u128| async move {
        let request = ReplyRequest { tenant: tenant(number), ..request() };
        providers.reply(&request, in_a_minute(), &mut |_: &str| {}).await.unwrap();
        number
    };
    let mut replies: FuturesUnordered<_> = [1, 1, 1, 1, 2].into_iter().map(asking).collect();
    let mut order = Vec::new();
    let watching = async {
        for number in 1..=5 {
            fake.until(|counts| counts.requests == number).await;
            let figures = figures(providers, "anthropic");
            assert_eq!((figures.in_flight, figures.queued), (1, 5 - number));
            gate.release(2);
        }
    };
    let serving = async {
        while let Some(number) = replies.next().await {
            order.push(number);
        }
    };
    tokio::join!(serving, watching);
    assert_eq!(order, [1, 1, 2, 1, 1], "the other tenant's first comes after one of those that wait, not after all");
    assert_eq!(figures(providers, "anthropic").in_flight, 0);
}

#[tokio::test]
async fn a_full_queue_and_a_long_wait_go_to_the_next_provider() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    let gate = Gate::new();
    first.usually(Behaviour::Gated(pieces("Late."), gate.clone()));
    let mut settings = chained(&first, &second);
    settings.max_concurrency = 1;
    settings.max_queue = 1;
    settings.queue_timeout_ms = 150;
    let providers = build(&settings);
    let others = async {
        first.until(|counts| counts.requests == 1).await;
        let served: Vec<_> = join_all((0..2).map(|_| ask(&providers))).await;
        assert!(served.iter().all(|(outcome, _)| outcome.as_ref().unwrap().provider == "openai"));
        gate.release(2);
    };
    let ((outcome, _), ()) = tokio::join!(ask(&providers), others);
    assert_eq!(outcome.unwrap().provider, "anthropic");
    let figures = figures(&providers, "anthropic");
    assert_eq!((count_of(&figures, "queue_full"), count_of(&figures, "queue_timeout")), (1, 1));
    assert_eq!((figures.in_flight, figures.queued), (0, 0));
}

#[tokio::test]
async fn dropping_the_reply_hangs_up_and_frees_the_slot() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.usually(Behaviour::HangAfter(pieces("Hello ")));
        let mut settings = pointed(&fake, protocol);
        settings.max_concurrency = 1;
        let providers = build(&settings);
        let heard = tokio::sync::Notify::new();
        let mut sink = |_: &str| heard.notify_one();
        let request = request();
        {
            let reply = providers.reply(&request, in_a_minute(), &mut sink);
            tokio::select! {
                outcome = reply => panic!("it hangs, and yet: {outcome:?}"),
                () = heard.notified() => {}
            }
        }
        fake.until(|counts| counts.hangups == 1).await;
        let figures = figures(&providers, protocol.name());
        assert_eq!((figures.in_flight, figures.breaker), (0, BreakerState::Closed));
        assert!(figures.faults.iter().all(|(_, count)| *count == 0), "giving up is nobody's fault");
    }
}
