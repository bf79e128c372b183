//! What goes wrong: every fault, in both protocols.

use super::*;

const WORDS: &str = "Hello there ";

fn said() -> Vec<String> {
    pieces(WORDS)
}

#[tokio::test]
async fn every_fault_before_the_first_text_has_its_name_and_its_number_of_attempts() {
    use Behaviour as B;
    for protocol in BOTH {
        // A server that may not know `stream_options` gets a refused request once more without it.
        let refused = if protocol == Protocol::OpenAi { 2 } else { 1 };
        let cases = [
            (B::status(500, "api_error"), FaultKind::ServerError { status: 500 }, 3),
            (B::status(504, "timeout_error"), FaultKind::ServerError { status: 504 }, 3),
            (B::status(529, "overloaded_error"), FaultKind::Overloaded, 3),
            (B::status(503, "api_error"), FaultKind::Overloaded, 3),
            (B::rate_limited("1"), FaultKind::RateLimited, 3),
            (B::status(408, "timeout"), FaultKind::Refused { status: 408 }, 3),
            (B::status(409, "conflict"), FaultKind::Refused { status: 409 }, 3),
            (B::status(400, "invalid_request_error"), FaultKind::Refused { status: 400 }, refused),
            (B::status(404, "not_found_error"), FaultKind::Refused { status: 404 }, 1),
            (B::status(401, "authentication_error"), FaultKind::Unauthorised, 1),
            (B::status(403, "permission_error"), FaultKind::Unauthorised, 1),
            (B::Status(302, vec![("location", "/elsewhere")], String::new()), FaultKind::Refused { status: 302 }, 1),
            (
                B::Status(500, vec![("x-should-retry", "false")], String::new()),
                FaultKind::ServerError { status: 500 },
                1,
            ),
            (B::CutAfter(vec![]), FaultKind::Cut, 3),
            (B::HalfCloseAfter(vec![]), FaultKind::Cut, 3),
            (B::EndAfter(vec![]), FaultKind::Cut, 3),
            (B::ErrorAfter(vec![], "overloaded_error"), FaultKind::Overloaded, 3),
            (B::ErrorAfter(vec![], "rate_limit_error"), FaultKind::RateLimited, 3),
            (B::ErrorAfter(vec![], "authentication_error"), FaultKind::Unauthorised, 1),
            (B::Raw(b"data: {not json}\n\n".to_vec()), FaultKind::Garbage, 3),
            (B::Raw(b"data: [1, 2]\n\n".to_vec()), FaultKind::Garbage, 3),
            (B::Raw(b"<html>\n\n<body>Welcome</body>\n</html>".to_vec()), FaultKind::Garbage, 3),
            (B::Raw(b"\x00\xff\xfe\n\n".to_vec()), FaultKind::Garbage, 3),
            (B::Raw(b"data: ".repeat(200_000)), FaultKind::Garbage, 3),
            (B::Answer(vec![]), FaultKind::Empty, 1),
        ];
        for (behaviour, kind, attempts) in cases {
            let mut told = format!("{protocol:?} {behaviour:?}");
            told.truncate(100);
            let fake = FakeProvider::start().await;
            fake.usually(behaviour);
            let providers = build(&pointed(&fake, protocol));
            let (outcome, text) = ask(&providers).await;
            let fault = outcome.expect_err(&told);
            assert_eq!((fault.kind, text.as_str()), (kind, ""), "{told}: {fault}");
            assert_eq!(fake.counts().requests, attempts, "{told}");
            let figures = figures(&providers, protocol.name());
            assert_eq!(count_of(&figures, kind.code()), figures.retries + 1, "{told}");
            assert!(fault.detail.contains(protocol.name()), "{told}: {}", fault.detail);
        }
    }
}

#[tokio::test]
async fn silence_ends_at_the_timer_for_the_first_token() {
    use Behaviour as B;
    for protocol in BOTH {
        for behaviour in [B::HangBeforeHeaders, B::HangAfterHeaders, B::HangAfter(vec![]), B::PingAfter(vec![])] {
            let told = format!("{protocol:?} {behaviour:?}");
            let fake = FakeProvider::start().await;
            fake.usually(behaviour);
            let mut settings = pointed(&fake, protocol);
            settings.first_token_timeout_ms = 250;
            settings.max_retries = 1;
            let start = Instant::now();
            let (outcome, _) = ask(&build(&settings)).await;
            assert_eq!(outcome.unwrap_err().kind, FaultKind::FirstTokenTimeout, "{told}");
            assert!((Duration::from_millis(500)..Duration::from_secs(20)).contains(&start.elapsed()), "{told}");
            fake.until(|counts| counts.hangups == 2).await;
        }
    }
}

#[tokio::test]
async fn after_text_nothing_is_tried_again_and_what_came_is_kept() {
    use Behaviour as B;
    let cases = [
        (B::HangAfter(said()), FaultKind::IdleTimeout),
        (B::PingAfter(said()), FaultKind::IdleTimeout),
        (B::CutAfter(said()), FaultKind::Cut),
        (B::HalfCloseAfter(said()), FaultKind::Cut),
        (B::EndAfter(said()), FaultKind::Cut),
        (B::ErrorAfter(said(), "overloaded_error"), FaultKind::Overloaded),
    ];
    for protocol in BOTH {
        for (behaviour, kind) in cases.clone() {
            let told = format!("{protocol:?} {behaviour:?}");
            let fake = FakeProvider::start().await;
            fake.usually(behaviour);
            let mut settings = pointed(&fake, protocol);
            settings.idle_timeout_ms = 400;
            settings.order.push("offline".to_owned());
            let (outcome, text) = ask(&build(&settings)).await;
            assert_eq!(outcome.unwrap_err().kind, kind, "{told}");
            assert_eq!(text, WORDS, "{told}: not the offline answer, and nothing twice");
            assert_eq!(fake.counts().requests, 1, "{told}");
        }
    }
}

#[tokio::test]
async fn an_event_cut_in_its_middle_is_a_cut_and_not_garbage() {
    let fake = FakeProvider::start().await;
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: {\"choices\":[{\"del";
    fake.usually(Behaviour::Raw(body.as_bytes().to_vec()));
    let (outcome, text) = ask(&build(&pointed(&fake, Protocol::OpenAi))).await;
    assert_eq!((outcome.unwrap_err().kind, text.as_str()), (FaultKind::Cut, "Hello"));
}

#[tokio::test]
async fn the_deadline_holds_over_everything() {
    use Behaviour as B;
    for protocol in BOTH {
        for behaviour in [B::HangBeforeHeaders, B::PingAfter(vec![]), B::PingAfter(said())] {
            let fake = FakeProvider::start().await;
            fake.usually(behaviour);
            let providers = build(&pointed(&fake, protocol));
            let start = Instant::now();
            let (outcome, _) = ask_until(&providers, start + Duration::from_millis(300)).await;
            assert_eq!(outcome.unwrap_err().kind, FaultKind::Deadline);
            assert!(start.elapsed() < Duration::from_secs(20));
            assert_eq!(fake.counts().requests, 1);
        }
    }
}

#[tokio::test]
async fn an_error_whose_body_never_ends_is_told_by_its_status() {
    let fake = FakeProvider::start().await;
    fake.usually(Behaviour::StatusThenHang(500));
    let (outcome, _) =
        ask_until(&build(&pointed(&fake, Protocol::Anthropic)), Instant::now() + Duration::from_millis(1000)).await;
    assert_eq!(outcome.unwrap_err().kind, FaultKind::ServerError { status: 500 });
}

#[tokio::test]
async fn an_empty_account_is_told_as_such_and_not_tried_again() {
    let fake = FakeProvider::start().await;
    fake.usually(Behaviour::status(429, "insufficient_quota"));
    let fault = ask(&build(&pointed(&fake, Protocol::OpenAi))).await.0.unwrap_err();
    assert_eq!((fault.kind, fake.counts().requests), (FaultKind::Refused { status: 402 }, 1));
    assert_eq!(fault.detail, "The account at the model provider openai has no credit left.");
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_unreachable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, protocol) in
        [(format!("http://{free}"), Protocol::Anthropic), (format!("http://{free}"), Protocol::OpenAi)]
    {
        let mut settings = settings(&[protocol.name()]);
        settings.anthropic.base_url.clone_from(&address);
        settings.openai.base_url = address;
        let (outcome, _) = ask(&build(&settings)).await;
        assert_eq!(outcome.unwrap_err().kind, FaultKind::Unreachable);
    }
    let mut settings = settings(&["anthropic"]);
    settings.anthropic.base_url = "http://no-such-name.invalid".to_owned();
    settings.connect_timeout_ms = 2000;
    settings.max_retries = 0;
    let kind = ask(&build(&settings)).await.0.unwrap_err().kind;
    assert!(matches!(kind, FaultKind::Unreachable | FaultKind::ConnectTimeout), "{kind:?}");
}

#[tokio::test]
async fn a_host_that_drops_packets_is_given_up_at_the_connect_timer() {
    // A listener whose backlog is full drops the first packet of every further connection.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        held.push(stream);
        assert!(held.len() < 100, "the backlog never fills");
    }
    for protocol in BOTH {
        let mut settings = settings(&[protocol.name()]);
        settings.anthropic.base_url = format!("http://{address}");
        settings.openai.base_url = format!("http://{address}");
        settings.connect_timeout_ms = 150;
        settings.max_retries = 0;
        let start = Instant::now();
        let (outcome, _) = ask(&build(&settings)).await;
        assert_eq!(outcome.unwrap_err().kind, FaultKind::ConnectTimeout);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn the_key_never_leaves_by_an_error() {
    let echo = format!(r#"{{"error":{{"type":"invalid_request_error","message":"bad key {KEY} in request"}}}}"#);
    for protocol in BOTH {
        for (status, body) in [(400, echo.clone()), (401, echo.clone()), (500, KEY.to_owned()), (403, KEY.to_owned())] {
            let fake = FakeProvider::start().await;
            fake.usually(Behaviour::Status(status, vec![], body));
            let mut settings = pointed(&fake, protocol);
            settings.max_retries = 0;
            let providers = build(&settings);
            let fault = ask(&providers).await.0.unwrap_err();
            let shown = format!("{fault:?} {fault} {providers:?} {:?} {settings:?}", providers.figures());
            let error = mainstay_domain::Error::from(fault);
            let shown = format!("{shown} {error:?} {error}");
            assert!(!shown.contains(KEY) && !shown.contains("very-secret"), "{shown}");
            assert!(fake.received()[0].headers.iter().any(|(_, value)| value.contains(KEY)), "it was sent");
        }
        let fake = FakeProvider::start().await;
        let in_stream = format!("data: {{\"type\":\"{KEY}\",\"choices\":\"{KEY}\"}}\n\n");
        fake.usually(Behaviour::Raw(in_stream.into_bytes()));
        let fault = ask(&build(&pointed(&fake, protocol))).await.0.unwrap_err();
        assert!(!format!("{fault:?}").contains(KEY), "{fault:?}");
    }
}

#[tokio::test]
async fn words_for_the_log_are_bounded_and_on_one_line() {
    let fake = FakeProvider::start().await;
    fake.usually(Behaviour::Status(404, vec![], "line\n\u{1b}[31m".repeat(100_000)));
    let fault = ask(&build(&pointed(&fake, Protocol::Anthropic))).await.0.unwrap_err();
    assert!(fault.inside.chars().count() <= 500 && !fault.inside.chars().any(char::is_control));
    assert!(fault.detail.contains("claude-test") && fault.detail.contains("providers.anthropic.model"));
}
