//! A provider that breaks off in the middle of its text, and another one behind it.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::BreakerState;
use super::*;

const BEGUN: &str = "Hello there, ";
const REST: &str = "and welcome.";

/// Two fakes, of which the first speaks this protocol and the second the other.
struct Pair {
    first: FakeProvider,
    second: FakeProvider,
    /// The protocol of the second.
    other: Protocol,
    settings: config::Providers,
}

impl Pair {
    async fn of(protocol: Protocol) -> Self {
        let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
        let other = if protocol == Protocol::Anthropic { Protocol::OpenAi } else { Protocol::Anthropic };
        let mut settings = settings(&[protocol.name(), other.name(), "offline"]);
        let (anthropic, openai) = if protocol == Protocol::Anthropic { (&first, &second) } else { (&second, &first) };
        settings.anthropic.base_url = anthropic.anthropic_url();
        settings.openai.base_url = openai.openai_url();
        Self { first, second, other, settings }
    }
}

fn begun() -> Vec<String> {
    pieces(BEGUN)
}

/// The conversation that a fake was sent, without the instructions to the model.
fn said_to(fake: &FakeProvider, index: usize) -> Vec<Value> {
    let messages = fake.received()[index].body["messages"].as_array().unwrap().clone();
    messages.into_iter().filter(|message| message["role"] != "system").collect()
}

#[tokio::test]
async fn the_next_model_goes_on_where_the_text_broke_off() {
    use Behaviour as B;
    let cases = [
        B::CutAfter(begun()),
        B::HalfCloseAfter(begun()),
        B::EndAfter(begun()),
        B::HangAfter(begun()),
        B::PingAfter(begun()),
        B::ErrorAfter(begun(), "overloaded_error"),
        B::ErrorAfter(begun(), "authentication_error"),
    ];
    for protocol in BOTH {
        for behaviour in cases.clone() {
            let told = format!("{protocol:?} {behaviour:?}");
            let mut pair = Pair::of(protocol).await;
            pair.first.usually(behaviour);
            pair.second.usually(Behaviour::words(REST));
            pair.settings.idle_timeout_ms = 1000;
            let providers = build(&pair.settings);
            let (outcome, text) = ask(&providers).await;
            let completion = outcome.expect(&told);
            assert_eq!((text, completion.truncated), (format!("{BEGUN}{REST}"), false), "{told}");
            assert_eq!(completion.provider, pair.other.name(), "{told}");
            assert!(completion.model.contains(if pair.other == Protocol::OpenAi { "gpt" } else { "claude" }));
            // The Messages API counts its input at the start; what is not counted is estimated, four bytes to a token.
            let input = if protocol == Protocol::Anthropic { 16 } else { 4 };
            assert_eq!(completion.usage, Usage { input_tokens: input + 16, output_tokens: 4 + 42 }, "{told}");
            assert_eq!((pair.first.counts().requests, pair.second.counts().requests), (1, 1), "{told}");
            assert_eq!(
                said_to(&pair.second, 0),
                [
                    json!({"role": "user", "content": "Hello?"}),
                    json!({"role": "assistant", "content": BEGUN}),
                    json!({"role": "user", "content": GO_ON}),
                ],
                "{told}"
            );
            assert_eq!(pair.second.received()[0].body["max_tokens"], 96, "{told}: what is left of a hundred");
            let continuations: Vec<_> = providers.figures().iter().map(|figures| figures.continuations).collect();
            assert_eq!(continuations, [0, 1, 0], "{told}");
        }
    }
}

#[tokio::test]
async fn when_the_second_breaks_off_too_all_that_came_is_kept() {
    use Behaviour as B;
    for protocol in BOTH {
        for second in [B::CutAfter(pieces(REST)), B::ErrorAfter(pieces(REST), "overloaded_error")] {
            let told = format!("{protocol:?} {second:?}");
            let pair = Pair::of(protocol).await;
            pair.first.usually(B::ErrorAfter(begun(), "rate_limit_error"));
            pair.second.usually(second);
            let providers = build(&pair.settings);
            let (outcome, text) = ask(&providers).await;
            let fault = outcome.expect_err(&told);
            assert_eq!((fault.provider.as_str(), fault.kind), (protocol.name(), FaultKind::RateLimited), "{told}");
            assert!(fault.detail.contains(pair.other.name()), "{told}: each is heard: {}", fault.detail);
            assert_eq!(text, format!("{BEGUN}{REST}"), "{told}: and nothing of the offline answer");
            assert_eq!((pair.first.counts().requests, pair.second.counts().requests), (1, 1), "{told}");
            assert_eq!(figures(&providers, "offline").requests, 0, "{told}");
        }
    }
}

#[tokio::test]
async fn when_nobody_can_go_on_the_break_is_told_and_not_what_was_before_it() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    first.usually(Behaviour::status(401, "authentication_error"));
    second.usually(Behaviour::CutAfter(begun()));
    let mut settings = chained(&first, &second);
    settings.order.push("offline".to_owned());
    let providers = build(&settings);
    let (outcome, text) = ask(&providers).await;
    let fault = outcome.unwrap_err();
    assert_eq!((fault.provider.as_str(), fault.kind, text.as_str()), ("openai", FaultKind::Cut, BEGUN));
    assert_eq!(fault.detail, "The model provider openai broke off before the end of its answer.");
    assert_eq!(figures(&providers, "offline").requests, 0);
    assert_eq!(figures(&providers, "openai").continuations, 0, "it began the text itself");
}

#[tokio::test]
async fn the_second_is_tried_again_while_it_has_said_nothing_itself() {
    for protocol in BOTH {
        let pair = Pair::of(protocol).await;
        pair.first.usually(Behaviour::CutAfter(begun()));
        pair.second.push(Behaviour::status(529, "overloaded_error"));
        pair.second.push(Behaviour::CutAfter(vec![]));
        pair.second.push(Behaviour::words(REST));
        let providers = build(&pair.settings);
        let (outcome, text) = ask(&providers).await;
        assert!(outcome.is_ok(), "{protocol:?}: {outcome:?}");
        assert_eq!(text, format!("{BEGUN}{REST}"), "{protocol:?}");
        assert_eq!(said_to(&pair.second, 2), said_to(&pair.second, 0), "{protocol:?}");
        let figures = figures(&providers, pair.other.name());
        assert_eq!((figures.requests, figures.retries, figures.continuations), (1, 2, 1), "{protocol:?}");
    }
}

#[tokio::test]
async fn silence_of_the_second_is_its_own_failure() {
    for protocol in BOTH {
        let mut pair = Pair::of(protocol).await;
        pair.settings.breaker_failures = 1;
        pair.first.usually(Behaviour::CutAfter(begun()));
        pair.second.usually(Behaviour::HangAfter(vec![]));
        let providers = build(&pair.settings);
        let (outcome, text) = ask_until(&providers, Instant::now() + Duration::from_secs(2)).await;
        assert_eq!((outcome.unwrap_err().kind, text.as_str()), (FaultKind::Cut, BEGUN), "{protocol:?}");
        let figures = figures(&providers, pair.other.name());
        assert_eq!((count_of(&figures, "deadline"), figures.breaker), (1, BreakerState::Open), "{protocol:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_to_go_on_past_the_deadline() {
    for protocol in BOTH {
        let pair = Pair::of(protocol).await;
        pair.first.usually(Behaviour::PingAfter(begun()));
        let (outcome, text) = ask_until(&build(&pair.settings), Instant::now() + Duration::from_millis(1500)).await;
        assert_eq!((outcome.unwrap_err().kind, text.as_str()), (FaultKind::Deadline, BEGUN), "{protocol:?}");
        assert_eq!(pair.second.counts().requests, 0, "{protocol:?}");
    }
}

#[test]
fn a_text_that_nobody_can_see_is_not_worth_a_turn() {
    let request = request();
    assert_eq!(request.to_go_on(" \n").turns, request.turns);
    assert_eq!(request.to_go_on("Hello").turns.len(), 3);
    assert_eq!(request.to_go_on(&"a".repeat(1000)).max_output_tokens, 1, "at least one");
}

/// What a sink was told.
#[derive(Default)]
struct Told {
    text: String,
    makers: Vec<(String, String)>,
    usage: Option<Usage>,
}

/// A sink that keeps all of it.
#[derive(Default)]
struct Recorder(watch::Sender<Told>);

impl Sink for &Recorder {
    fn text(&mut self, text: &str) {
        self.0.send_modify(|told| told.text.push_str(text));
    }

    fn maker(&mut self, provider: &str, model: &str) {
        self.0.send_modify(|told| told.makers.push((provider.to_owned(), model.to_owned())));
    }

    fn usage(&mut self, usage: Usage, _: i64) {
        self.0.send_modify(|told| told.usage = Some(usage));
    }
}

#[tokio::test]
async fn a_reply_that_is_given_up_is_known_as_far_as_it_came() {
    for (protocol, model, input) in [(Protocol::Anthropic, "claude-test", 16), (Protocol::OpenAi, "gpt-test", 4)] {
        let pair = Pair::of(protocol).await;
        pair.first.usually(Behaviour::HangAfter(begun()));
        let (providers, recorder, request) = (build(&pair.settings), Recorder::default(), request());
        let (mut sink, mut told) = (&recorder, recorder.0.subscribe());
        tokio::select! {
            outcome = providers.reply(&request, in_a_minute(), &mut sink) => panic!("it hangs, and yet: {outcome:?}"),
            heard = told.wait_for(|told| told.text == BEGUN) => assert!(heard.is_ok()),
        }
        let told = told.borrow();
        assert_eq!(told.makers, [(protocol.name().to_owned(), model.to_owned())]);
        assert_eq!(told.usage, Some(Usage { input_tokens: input, output_tokens: 4 }));
    }
}

#[tokio::test]
async fn who_never_accepted_the_request_did_not_make_the_reply() {
    for protocol in BOTH {
        let pair = Pair::of(protocol).await;
        pair.first.usually(Behaviour::status(500, "api_error"));
        pair.second.usually(Behaviour::status(401, "authentication_error"));
        let mut settings = pair.settings.clone();
        settings.order.pop();
        let recorder = Recorder::default();
        let mut sink = &recorder;
        assert!(build(&settings).reply(&request(), in_a_minute(), &mut sink).await.is_err());
        let told = recorder.0.borrow();
        assert_eq!((told.makers.len(), told.usage), (0, None));
    }
}
