//! How keys are fetched, kept, and done without.

use super::*;

/// Moves the clock that waits are measured by, without waiting. Between two requests only: a clock that stands still
/// would run to the next timeout while a socket is waited for.
async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    issuers: Arc<Issuers>,
    fake: FakeIssuer,
    signer: Signer,
}

impl Scene {
    async fn new(answer: impl FnOnce(Vec<Value>) -> Answer) -> Self {
        let signer = Signer::p256();
        let fake = FakeIssuer::start(answer(vec![signer.jwk("k")])).await;
        let issuers = Arc::new(issuers(vec![issuer(ISSUER, &fake.url(), &["ES256"])]));
        Self { issuers, fake, signer }
    }

    async fn verify(&self, signer: &Signer, kid: &str) -> Result<(), TokenFault> {
        self.issuers.verify(&signer.token(&header(signer, kid), &claims()), soon()).await.map(|_| ())
    }

    async fn verify_good(&self) -> Result<(), TokenFault> {
        self.verify(&self.signer, "k").await
    }
}

#[tokio::test]
async fn keys_that_rotate_are_found_by_one_fetch() {
    let scene = Scene::new(|keys| Answer::Keys(keys, "max-age=86400")).await;
    let next = Signer::p256();
    assert_eq!(scene.verify_good().await, Ok(()));
    assert_eq!((scene.verify(&next, "next").await, scene.fake.hits()), (Err(TokenFault::UnknownKey), 1));
    scene.fake.answer(Answer::Keys(vec![scene.signer.jwk("k"), next.jwk("next")], ""));
    later(Duration::from_secs(31)).await;
    assert_eq!((scene.verify(&next, "next").await, scene.fake.hits()), (Ok(()), 2));
    // Whoever makes up names of keys causes no more than one fetch in thirty seconds.
    for number in 0..100 {
        assert_eq!(scene.verify(&next, &format!("made up {number}")).await, Err(TokenFault::UnknownKey));
    }
    assert_eq!(scene.fake.hits(), 2);
    later(Duration::from_secs(31)).await;
    for number in 0..100 {
        assert_eq!(scene.verify(&next, &format!("made up {number}")).await, Err(TokenFault::UnknownKey));
    }
    assert_eq!(scene.fake.hits(), 3);
    // A key that was withdrawn is not taken any longer.
    scene.fake.answer(Answer::Keys(vec![next.jwk("next")], ""));
    later(Duration::from_secs(31)).await;
    assert_eq!(scene.verify(&next, "made up").await, Err(TokenFault::UnknownKey));
    assert_eq!(scene.verify_good().await, Err(TokenFault::UnknownKey));
    assert_eq!(scene.verify(&next, "next").await, Ok(()));
    assert_eq!(scene.fake.hits(), 4);
}

#[tokio::test]
async fn many_at_once_wait_for_one_fetch() {
    let scene = Scene::new(Answer::KeysWhenReleased).await;
    let all = join_all((0..50).map(|_| scene.verify_good()));
    let (results, ()) = tokio::join!(all, async {
        scene.fake.asked().await;
        scene.fake.release();
    });
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(scene.fake.hits(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_request_that_began_it_goes_away() {
    let scene = Scene::new(Answer::KeysWhenReleased).await;
    tokio::select! {
        biased;
        result = scene.verify_good() => panic!("it did not wait: {result:?}"),
        () = scene.fake.asked() => {}
    }
    scene.fake.release();
    assert_eq!((scene.verify_good().await, scene.fake.hits()), (Ok(()), 1));
}

#[tokio::test]
async fn a_deadline_ends_the_waiting_and_not_the_fetch() {
    let scene = Scene::new(Answer::KeysWhenReleased).await;
    let token = scene.signer.token(&header(&scene.signer, "k"), &claims());
    let deadline = Instant::now() + Duration::from_millis(30);
    assert_eq!(scene.issuers.verify(&token, deadline).await, Err(TokenFault::IssuerUnavailable));
    scene.fake.asked().await;
    scene.fake.release();
    assert_eq!((scene.verify_good().await, scene.fake.hits()), (Ok(()), 1));
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_none() {
    let signer = Signer::p256();
    let elsewhere = FakeIssuer::start(Answer::Keys(vec![signer.jwk("k")], "")).await;
    let many: Vec<Value> = (0..51).map(|number| signer.jwk(&format!("{number}"))).chain([signer.jwk("k")]).collect();
    let answers = [
        ("500", Answer::Status(500, vec![signer.jwk("k")])),
        ("404", Answer::Status(404, vec![signer.jwk("k")])),
        ("206", Answer::Status(206, vec![signer.jwk("k")])),
        ("a redirect", Answer::Redirect(elsewhere.url())),
        ("a page", Answer::Text("<html>".to_owned())),
        ("another document", Answer::Text("[]".to_owned())),
        ("no list", Answer::Text(r#"{"keys":{}}"#.to_owned())),
        ("too many keys", Answer::Keys(many, "")),
        ("too large", Answer::Text(format!(r#"{{"x":"{}","keys":[{}]}}"#, "x".repeat(256 * 1024), signer.jwk("k")))),
        ("endless", Answer::Endless),
        ("a hang", Answer::Hang),
        ("the end", Answer::Close),
    ];
    let settings = HttpSettings { total_timeout: Duration::from_secs(1), ..HttpSettings::default() };
    for (what, answer) in answers {
        let fake = FakeIssuer::start(answer).await;
        let issuers = try_issuers(vec![issuer(ISSUER, &fake.url(), &["ES256"])], &settings).unwrap();
        let token = signer.token(&header(&signer, "k"), &claims());
        assert_eq!(issuers.verify(&token, soon()).await, Err(TokenFault::IssuerUnavailable), "{what}");
        // It is not asked again at once, however many come.
        let hits = fake.hits();
        assert_eq!(issuers.verify(&token, soon()).await, Err(TokenFault::IssuerUnavailable), "{what}");
        assert_eq!(fake.hits(), hits, "{what}");
        fake.answer(Answer::Keys(vec![signer.jwk("k")], ""));
        later(Duration::from_secs(3)).await;
        assert_eq!(issuers.verify(&token, soon()).await.map(|_| ()), Ok(()), "{what}");
    }
    assert_eq!(elsewhere.hits(), 0);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_unavailable() {
    // Bound and never listening for long: the port is free again when the fake is gone.
    let url = FakeIssuer::start(Answer::Close).await.url();
    let signer = Signer::p256();
    let issuers = issuers(vec![issuer(ISSUER, &url, &["ES256"])]);
    let token = signer.token(&header(&signer, "k"), &claims());
    assert_eq!(issuers.verify(&token, soon()).await, Err(TokenFault::IssuerUnavailable));
}

#[tokio::test]
async fn keys_that_are_old_stay_in_use_for_a_day_while_the_issuer_is_away() {
    let scene = Scene::new(|keys| Answer::Keys(keys, "max-age=3600")).await;
    assert_eq!(scene.verify_good().await, Ok(()));
    scene.fake.answer(Answer::Status(500, Vec::new()));
    later(24 * HOUR).await;
    assert_eq!((scene.verify_good().await, scene.fake.hits()), (Ok(()), 1));
    // Of a key that is not in them nothing can be said now.
    assert_eq!(scene.verify(&Signer::p256(), "next").await, Err(TokenFault::IssuerUnavailable));
    assert_eq!(scene.verify_good().await, Ok(()));
    later(HOUR).await;
    assert_eq!(scene.verify_good().await, Err(TokenFault::IssuerUnavailable));
    later(HOUR).await;
    scene.fake.answer(Answer::Keys(vec![scene.signer.jwk("k")], ""));
    assert_eq!(scene.verify_good().await, Ok(()));
}

/// Lets the keeper work for as long as something is waited for.
async fn kept<T>(issuers: &Arc<Issuers>, until: impl Future<Output = T>) -> T {
    tokio::select! {
        () = issuers.keep_fresh() => unreachable!("it never ends"),
        result = until => result,
    }
}

#[tokio::test]
async fn the_keeper_fetches_before_anybody_asks_and_when_keys_grow_old() {
    let scene = Scene::new(|keys| Answer::Keys(keys, "public, max-age=600")).await;
    kept(&scene.issuers, async {
        scene.fake.asked().await;
        while scene.issuers.issuers[0].keys.cached(Instant::now()).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!((scene.verify_good().await, scene.fake.hits()), (Ok(()), 1));
        later(Duration::from_secs(590)).await;
        assert_eq!((scene.verify_good().await, scene.fake.hits()), (Ok(()), 1));
        later(Duration::from_secs(11)).await;
        scene.fake.asked().await;
        assert_eq!((scene.verify_good().await, scene.fake.hits()), (Ok(()), 2));
    })
    .await;
}

#[tokio::test]
async fn the_keeper_tries_again_after_a_failure() {
    let scene = Scene::new(|_| Answer::Status(500, Vec::new())).await;
    kept(&scene.issuers, async {
        for _ in 0..4 {
            scene.fake.asked().await;
            while scene.issuers.issuers[0].keys.is_fetching() {
                tokio::task::yield_now().await;
            }
            later(Duration::from_secs(31)).await;
        }
    })
    .await;
    assert!(scene.fake.hits() >= 4);
}
