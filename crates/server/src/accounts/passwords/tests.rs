use std::sync::Mutex;
use std::sync::mpsc;

use super::*;
use crate::accounts::testing;
use crate::outside::SystemEntropy;

fn passwords(config: &config::Auth) -> Passwords {
    Passwords::new(config, Arc::new(SystemEntropy)).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn verifies_what_it_hashed() {
    let passwords = passwords(&testing::auth());
    let phc = passwords.hash(secret("a good long password")).await.unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
    assert!(passwords.verify(secret("a good long password"), Some(&phc)).await.unwrap());
    for wrong in ["a good long passwore", "a good long password ", "", "A good long password"] {
        assert!(!passwords.verify(secret(wrong), Some(&phc)).await.unwrap(), "{wrong:?}");
    }
    assert_ne!(passwords.hash(secret("a good long password")).await.unwrap(), phc, "each hash has its own salt");
}

/// The second test vector of the reference implementation for Argon2id, version 19: t=2, m=2^16, p=1.
#[tokio::test]
async fn reads_hashes_of_others() {
    let passwords = passwords(&testing::auth());
    let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert!(passwords.verify(secret("password"), Some(phc)).await.unwrap());
    assert!(!passwords.verify(secret("Password"), Some(phc)).await.unwrap());
    assert!(passwords.needs_rehash(phc));
}

#[tokio::test]
async fn without_an_account_the_answer_is_no_at_the_same_cost() {
    let passwords = passwords(&testing::auth());
    assert!(!passwords.verify(secret("whatever it is"), None).await.unwrap());
    let phc = passwords.hash(secret("a good long password")).await.unwrap();
    let known = PasswordHash::new(&phc).unwrap();
    let nobody = &passwords.nobody;
    assert_eq!((known.algorithm, known.version, &known.params), (nobody.algorithm, nobody.version, &nobody.params));
    let lengths = |hash: &PasswordHash| (hash.salt.unwrap().len(), hash.hash.unwrap().len());
    assert_eq!(lengths(&known), lengths(nobody));
    assert_ne!(Passwords::new(&testing::auth(), Arc::new(SystemEntropy)).unwrap().nobody.hash, nobody.hash);
}

#[tokio::test]
async fn a_damaged_hash_is_our_fault_and_not_a_wrong_password() {
    let passwords = passwords(&testing::auth());
    for damaged in [
        "",
        "plain text",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=64,t=4000000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ] {
        let fault = passwords.verify(secret("a good long password"), Some(damaged)).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Internal, "{damaged}");
        assert!(passwords.needs_rehash(damaged), "{damaged}");
    }
}

#[tokio::test]
async fn a_hash_of_other_costs_is_to_be_made_anew() {
    let today = passwords(&testing::auth());
    let phc = today.hash(secret("a good long password")).await.unwrap();
    assert!(!today.needs_rehash(&phc));
    for other in [
        config::Auth { password_memory_kib: 128, ..testing::auth() },
        config::Auth { password_passes: 2, ..testing::auth() },
    ] {
        let other = passwords(&other);
        assert!(other.needs_rehash(&phc));
        assert!(other.verify(secret("a good long password"), Some(&phc)).await.unwrap());
    }
}

#[test]
fn costs_that_cannot_be_are_refused() {
    for bad in [
        config::Auth { password_memory_kib: 7, ..testing::auth() },
        config::Auth { password_memory_kib: u32::MAX, ..testing::auth() },
        config::Auth { password_passes: 0, ..testing::auth() },
        config::Auth { password_passes: 1000, ..testing::auth() },
        config::Auth { password_workers: 0, ..testing::auth() },
        config::Auth { password_workers: usize::MAX, ..testing::auth() },
    ] {
        let fault = Passwords::new(&bad, Arc::new(SystemEntropy)).unwrap_err();
        assert_eq!(fault.kind, Kind::Invalid);
    }
}

/// Work that lasts until it is told to end, and says when it has begun.
struct Held {
    end: mpsc::Sender<()>,
    begun: tokio::sync::oneshot::Receiver<()>,
}

fn held(place: OwnedSemaphorePermit, tasks: &mut tokio::task::JoinSet<()>) -> Held {
    let (end, ended) = mpsc::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let ended = Mutex::new(ended);
    tasks.spawn(async move {
        let work = on_a_worker(place, move || {
            let _ = begin.send(());
            let _ = ended.lock().unwrap().recv();
            Ok(())
        });
        work.await.unwrap();
    });
    Held { end, begun }
}

#[tokio::test]
async fn so_many_run_so_many_wait_and_the_rest_is_refused() {
    let passwords = passwords(&testing::auth());
    let mut tasks = tokio::task::JoinSet::new();
    let running = held(passwords.place().await.unwrap(), &mut tasks);
    running.begun.await.unwrap();

    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(passwords.verify(secret("x"), None))).collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one).is_pending());
    }
    assert_eq!(passwords.waiting(), 4);
    let refusal = passwords.hash(secret("a good long password")).await.unwrap_err();
    assert_eq!((refusal.kind, refusal.code), (Kind::Unavailable, "password_queue_full"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(2)));

    // One that goes away leaves its place to the next.
    drop(waiting.pop());
    assert_eq!(passwords.waiting(), 3);
    let mut next = Box::pin(passwords.verify(secret("x"), None));
    assert!(futures_util::poll!(&mut next).is_pending());

    running.end.send(()).unwrap();
    for one in waiting {
        assert!(!one.await.unwrap());
    }
    assert!(!next.await.unwrap());
    assert_eq!(passwords.waiting(), 0);
}

#[tokio::test]
async fn work_that_nobody_waits_for_keeps_its_place_until_it_ends() {
    let passwords = passwords(&testing::auth());
    let mut tasks = tokio::task::JoinSet::new();
    let running = held(passwords.place().await.unwrap(), &mut tasks);
    running.begun.await.unwrap();
    tasks.shutdown().await;
    assert_eq!(passwords.workers.available_permits(), 0);
    running.end.send(()).unwrap();
    assert!(!passwords.verify(secret("x"), None).await.unwrap());
}

#[tokio::test]
async fn without_a_queue_a_free_worker_still_works() {
    let passwords = passwords(&config::Auth { password_queue: 0, ..testing::auth() });
    assert!(!passwords.verify(secret("x"), None).await.unwrap());
    let _place = passwords.place().await.unwrap();
    let refusal = passwords.verify(secret("x"), None).await.unwrap_err();
    assert_eq!(refusal.code, "password_queue_full");
}

#[test]
fn passwords_are_long_and_not_the_first_to_be_guessed() {
    let email = EmailAddress::parse("ada@example.com").unwrap();
    let code = |text: &str| PasswordText::parse(text.to_owned(), &email).map(|_| ()).map_err(|refused| refused.code);
    for good in ["tea at half past four", "ünïcödé1234", "          x", "ada@example.com2", &"é".repeat(200)] {
        assert_eq!(code(good), Ok(()), "{good:?}");
    }
    for (bad, expected) in [
        ("", "too_short"),
        ("ninechars", "too_short"),
        ("ééééééééé", "too_short"),
        (&"x".repeat(201), "too_long"),
        ("ada@example.com", "same_as_email"),
        (" ADA@Example.com ", "same_as_email"),
        ("1234567890", "too_common"),
        ("Password123", "too_common"),
        ("QWERTYUIOP", "too_common"),
        ("            ", "too_common"),
    ] {
        assert_eq!(code(bad), Err(expected), "{bad:?}");
    }
    let kept = PasswordText::parse("  Spaces stay  ".to_owned(), &email).unwrap();
    assert_eq!(kept.into_secret().expose(), "  Spaces stay  ");
}
