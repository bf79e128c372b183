//! Calls: what is sent, what is repeated, how a sign-in is kept going.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mainstay_client::{Error, Listing, RetryPolicy, SendMessage, Tokens, TransportFault};
use mainstay_domain::Secret;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Fake, Reply};

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub(crate) fn message(role: &str, content: &str, status: &str) -> Value {
    json!({"id": "00000000-0000-0000-0000-000000000001", "role": role, "content": content, "status": status,
        "error": null, "created_at": "2026-11-21T10:00:00.000Z"})
}

fn sent() -> Value {
    json!({"conversation_id": "00000000-0000-0000-0000-000000000002", "message": message("user", "hello", "final"),
        "reply": message("assistant", "world", "final"), "generation_id": "00000000-0000-0000-0000-000000000003"})
}

fn problem(status: u16, code: &str) -> Value {
    json!({"type": "urn:mainstay:problem:x", "title": "X", "status": status, "code": code, "detail": "It is so.",
        "request_id": "00000000-0000-0000-0000-000000000009"})
}

fn tokens(number: usize, seconds: u64) -> Value {
    json!({"user": {"id": "00000000-0000-0000-0000-000000000004", "email": "ada@example.com", "name": "Ada"},
        "organisation": {"id": "00000000-0000-0000-0000-000000000005", "name": "Ada's", "plan": "free"},
        "access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}"), "expires_in": seconds})
}

#[tokio::test]
async fn a_refused_message_is_repeated_under_one_key() {
    let fake = Fake::start(|_, number| match number {
        0 => Reply::After(503, 0, problem(503, "overloaded")),
        1 => Reply::Cut("HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"conv".to_owned()),
        _ => Reply::Json(201, sent()),
    })
    .await;
    let client = fake.builder().token(secret("key")).build().expect("a client");
    let sent = client.send(&SendMessage::new("hello")).await.expect("sent");
    assert_eq!(sent.reply.content, "world");
    let requests = fake.requests();
    assert_eq!(requests.len(), 3);
    let key = requests[0].header("idempotency-key").expect("a key");
    assert!(requests.iter().all(|request| request.header("idempotency-key") == Some(key)));
    assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer key")));
    client.send(&SendMessage::new("hello")).await.expect("sent");
    assert_ne!(fake.requests()[3].header("idempotency-key"), Some(key), "a new message has a new key");
}

#[tokio::test]
async fn what_may_have_happened_is_not_repeated() {
    let fake = Fake::start(|_, _| Reply::Cut(String::new())).await;
    let error = fake.client().sign_in("ada@example.com", &secret("x")).await.expect_err("cut");
    assert!(matches!(error, Error::Transport { fault: TransportFault::Broken, .. }), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn the_servers_wait_is_obeyed() {
    let fake = Fake::start(|_, number| match number {
        0 => Reply::After(429, 1, problem(429, "too_many_requests")),
        _ => Reply::Json(200, json!({"data": [], "next": null})),
    })
    .await;
    let begun = Instant::now();
    fake.client().conversations(&Listing::default()).await.expect("a list");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_problem_is_told_with_all_that_it_says() {
    let fake = Fake::start(|_, _| Reply::After(429, 77, problem(429, "too_many_requests"))).await;
    let error = fake.client().me().await.expect_err("refused");
    assert_eq!((error.status(), error.code()), (Some(429), Some("too_many_requests")));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(77)), "more than a call may take: told at once");
    assert_eq!(fake.requests().len(), 1);
    let fake = Fake::start(|_, _| Reply::Json(200, json!({"data": "none"}))).await;
    assert!(matches!(fake.client().me().await, Err(Error::Decode { .. })));
}

#[tokio::test]
async fn attempts_and_silence_are_bounded() {
    let fake = Fake::start(|_, _| Reply::Json(503, problem(503, "overloaded"))).await;
    assert_eq!(fake.client().me().await.expect_err("refused").code(), Some("overloaded"));
    assert_eq!(fake.requests().len(), 4);
    let fake = Fake::start(|_, _| Reply::Hang).await;
    let once = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let error = fake.builder().retry(once).build().expect("a client").me().await.expect_err("silence");
    assert!(matches!(error, Error::Transport { fault: TransportFault::FirstByte, .. }), "{error}");
}

#[tokio::test]
async fn a_list_is_asked_for_as_the_wire_wants_it() {
    let fake = Fake::start(|_, _| Reply::Json(200, json!({"data": [], "next": null}))).await;
    let page = Listing { limit: Some(10), after: Some("a b".to_owned()), search: Some("x&y".to_owned()) };
    fake.client().conversations(&page).await.expect("a list");
    assert_eq!(fake.requests()[0].path, "/v1/conversations?limit=10&after=a+b&search=x%26y");
}

/// A server that gives pairs and knows which access token is good.
async fn issuer(seconds: u64) -> (Fake, Arc<AtomicUsize>) {
    let good = Arc::new(AtomicUsize::new(0));
    let current = Arc::clone(&good);
    let fake = Fake::start(move |request, _| match request.path.as_str() {
        "/v1/auth/sign-in" => Reply::Json(200, tokens(0, seconds)),
        "/v1/auth/refresh" => {
            let number = current.fetch_add(1, Ordering::SeqCst);
            let asked = json!({"refresh_token": format!("refresh-{number}")}).to_string();
            if request.body == asked {
                Reply::Json(200, tokens(number + 1, seconds))
            } else {
                Reply::Json(401, problem(401, "signed_out"))
            }
        }
        _ if request.header("authorization") == Some(&format!("Bearer access-{}", current.load(Ordering::SeqCst))) => {
            Reply::Json(200, json!({"data": [], "next": null}))
        }
        _ => Reply::Json(401, problem(401, "token_expired")),
    })
    .await;
    (fake, good)
}

fn renewals(fake: &Fake) -> usize {
    fake.requests().iter().filter(|request| request.path == "/v1/auth/refresh").count()
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_who_wait() {
    let (fake, good) = issuer(900).await;
    let told = Arc::new(AtomicUsize::new(0));
    let telling = Arc::clone(&told);
    let count = move |_: &Tokens| {
        telling.fetch_add(1, Ordering::SeqCst);
    };
    let anybody = fake.builder().on_new_tokens(count).build().expect("a client");
    let (client, who) = anybody.sign_in("ada@example.com", &secret("x")).await.expect("signed in");
    assert_eq!(who.user.name, "Ada");
    // The server forgets the token: as when it was revoked by a change of role.
    let revoked = client.tokens().expect("a sign-in");
    assert_eq!(revoked.access_token, secret("access-0"));
    let first = client.with_session(Tokens { access_token: secret("access-old"), ..revoked });
    let listing = Listing::default();
    let calls = (0..20).map(|_| first.conversations(&listing));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect("renewed");
    }
    assert_eq!((renewals(&fake), good.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (1, 1, 1));
    assert_eq!(first.tokens().expect("a sign-in").refresh_token, secret("refresh-1"));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let (fake, _) = issuer(0).await;
    let (client, _) = fake.client().sign_in("ada@example.com", &secret("x")).await.expect("signed in");
    client.conversations(&Listing::default()).await.expect("a list");
    let paths: Vec<_> = fake.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/auth/sign-in", "/v1/auth/refresh", "/v1/conversations"], "no refusal was needed");
}

#[tokio::test]
async fn an_ended_sign_in_is_not_asked_for_again() {
    let (fake, _) = issuer(900).await;
    let lost = Tokens {
        access_token: secret("access-7"),
        refresh_token: secret("stolen"),
        expires_in: Duration::from_secs(900),
    };
    let client = fake.client().with_session(lost);
    for _ in 0..3 {
        let error = client.conversations(&Listing::default()).await.expect_err("signed out");
        assert!(matches!(error, Error::SignedOut(_)), "{error}");
    }
    assert_eq!((renewals(&fake), fake.requests().len()), (1, 2));
}
