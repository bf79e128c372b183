//! The order of the providers and the way from one to the next.

use mainstay_domain::Kind;

use super::*;

#[tokio::test]
async fn the_next_provider_answers_when_the_first_cannot() {
    use Behaviour as B;
    let cases = [
        (B::status(401, "authentication_error"), 1),
        (B::status(400, "invalid_request_error"), 1),
        (B::status(529, "overloaded_error"), 3),
        (B::CutAfter(vec![]), 3),
        (B::Answer(vec![]), 1),
        // Eleven seconds are more than anybody should wait.
        (B::Status(429, vec![("retry-after", "11")], String::new()), 1),
    ];
    for (behaviour, attempts) in cases {
        let told = format!("{behaviour:?}");
        let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
        first.usually(behaviour);
        let providers = build(&chained(&first, &second));
        let start = Instant::now();
        let (outcome, text) = ask(&providers).await;
        assert_eq!(outcome.expect(&told).provider, "openai");
        assert_eq!(text, "Hello from the fake provider.");
        assert_eq!((first.counts().requests, second.counts().requests), (attempts, 1), "{told}");
        assert!(start.elapsed() < Duration::from_secs(9), "{told}");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_asked_once_and_then_the_next() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    first.usually(Behaviour::HangBeforeHeaders);
    let mut settings = chained(&first, &second);
    settings.first_token_timeout_ms = 200;
    // The second one must not be hit by this timer on a slow machine: the offline one stands behind it.
    settings.order = vec!["anthropic".to_owned(), "offline".to_owned()];
    let (outcome, text) = ask(&build(&settings)).await;
    assert_eq!(outcome.unwrap().provider, "offline");
    assert!(text.contains("No language model"));
    assert_eq!(first.counts().requests, 1);
}

#[tokio::test]
async fn when_all_fail_the_first_fault_is_told_with_what_each_said() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    first.usually(Behaviour::status(401, "authentication_error"));
    second.usually(Behaviour::Status(429, vec![("retry-after", "30")], String::new()));
    let fault = ask(&build(&chained(&first, &second))).await.0.unwrap_err();
    assert_eq!((fault.provider.as_str(), fault.kind), ("anthropic", FaultKind::Unauthorised));
    assert_eq!(
        fault.detail,
        "The key of provider anthropic was refused: set ANTHROPIC_API_KEY. \
         The model provider openai says that its rate limit is reached."
    );
    assert!(fault.inside.contains("anthropic: unauthorised") && fault.inside.contains("openai: rate_limited"));
    assert_eq!(fault.retry_after, Some(Duration::from_secs(30)));
    let error = mainstay_domain::Error::from(fault);
    assert_eq!((error.kind, error.code), (Kind::Upstream, "provider_failed"));
}

#[tokio::test]
async fn a_passing_fault_is_tried_again_when_the_provider_says() {
    for protocol in BOTH {
        let fake = FakeProvider::start().await;
        fake.push(Behaviour::rate_limited("150"));
        fake.push(Behaviour::status(529, "overloaded_error"));
        let providers = build(&pointed(&fake, protocol));
        let start = Instant::now();
        let (outcome, text) = ask(&providers).await;
        assert!(outcome.is_ok() && start.elapsed() >= Duration::from_millis(150));
        assert_eq!(text, "Hello from the fake provider.");
        let figures = figures(&providers, protocol.name());
        assert_eq!((figures.requests, figures.retries, figures.replies), (1, 2, 1));
    }
}

#[tokio::test]
async fn a_wait_that_does_not_fit_the_deadline_is_not_begun() {
    let fake = FakeProvider::start().await;
    fake.usually(Behaviour::Status(429, vec![("retry-after", "8")], String::new()));
    let providers = build(&pointed(&fake, Protocol::Anthropic));
    let start = Instant::now();
    let (outcome, _) = ask_until(&providers, start + Duration::from_secs(7)).await;
    let fault = outcome.unwrap_err();
    assert_eq!((fault.kind, fault.retry_after), (FaultKind::RateLimited, Some(Duration::from_secs(8))));
    assert!(start.elapsed() < Duration::from_secs(6));
    assert_eq!(fake.counts().requests, 1);
}

#[test]
fn an_empty_order_is_what_is_configured() {
    let mut settings = settings(&[]);
    assert_eq!(build(&settings).names(), ["anthropic", "openai"]);
    settings.anthropic.api_key = Secret::new("  \n".to_owned());
    assert_eq!(build(&settings).names(), ["openai"]);
    settings.openai.api_key = Secret::default();
    assert_eq!(build(&settings).names(), ["offline"]);
    settings.openai.base_url = "http://127.0.0.1:11434/v1".to_owned();
    assert_eq!(build(&settings).names(), ["openai"], "a local server needs no key");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_name() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let refusal = |change: fn(&mut config::Providers)| {
        let mut settings = settings(&["anthropic", "openai"]);
        change(&mut settings);
        let error = Providers::new(&settings, clock(), Arc::new(Zeros)).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        (error.fields[0].field.clone(), error.fields[0].code)
    };
    let expected = |field: &str, code| (field.to_owned(), code);
    assert_eq!(refusal(|s| s.order.push("gemini".to_owned())), expected("providers.order", "unknown"));
    assert_eq!(refusal(|s| s.order.push("openai".to_owned())), expected("providers.order", "duplicate"));
    assert_eq!(
        refusal(|s| s.anthropic.api_key = Secret::default()),
        expected("providers.anthropic.api_key", "missing")
    );
    assert_eq!(refusal(|s| s.openai.api_key = Secret::default()), expected("providers.openai.api_key", "missing"));
    assert_eq!(
        refusal(|s| s.openai.api_key = Secret::new("a\nb".to_owned())),
        expected("providers.openai.api_key", "not_a_key")
    );
    assert_eq!(
        refusal(|s| s.openai.base_url = "localhost:11434".to_owned()),
        expected("providers.openai.base_url", "not_http")
    );
    assert_eq!(
        refusal(|s| s.anthropic.base_url = "nowhere".to_owned()),
        expected("providers.anthropic.base_url", "not_a_url")
    );
    assert_eq!(
        refusal(|s| s.anthropic.base_url = "https://user:pass@host".to_owned()),
        expected("providers.anthropic.base_url", "has_credentials")
    );
}
