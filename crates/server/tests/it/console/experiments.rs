//! The page of experiments, which operators of the installation see.

use std::time::Duration;

use mainstay_testing::Browser;
use serde_json::json;

use crate::support::binary::Installation;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_the_results_in_a_browser() {
    let Some(browser) = Browser::start().await else { return };
    let installation = Installation::new();
    let tokens = installation.people(20).await;
    let variants = ["--variant", "control=1", "--variant", "short=1"];
    let create = ["experiment", "create", "intro", "--metric", "paid", "--description", "<b>A shorter intro"];
    installation.run(&[&create[..], &variants[..]].concat()).await.says(0, &[]);
    installation.run(&["experiment", "start", "intro"]).await.says(0, &[]);
    installation.run(&["user", "operator", "--email", "writer0@example.com"]).await.says(0, &[]);
    let server = installation.serve().await;
    for token in &tokens {
        let body = json!({"experiment": "intro"});
        server.send("POST", "/v1/exposures", token, Some(body)).await.expect("an answer").expect(200);
    }
    // What waits is written by the stop, and then it is the same for every node.
    assert_eq!(server.stop().await, Some(0));
    let server = installation.serve().await;
    browser.goto(&format!("{}/experiments", server.address)).await.unwrap();
    let asked = "return document.querySelector('#experiments .off')?.textContent.includes('Sign in')";
    browser.wait_for(asked, PATIENCE).await.unwrap();
    let sign_in = async |number: u32| {
        let script = "const [email, password, done] = arguments;
            const body = JSON.stringify({email, password, session: 'cookie'});
            fetch('/v1/auth/sign-in', {method: 'POST', headers: {'content-type': 'application/json'}, body})
                .then((answer) => done(answer.status));";
        let who = [json!(format!("writer{number}@example.com")), json!(format!("password of writer {number}"))];
        assert_eq!(browser.execute_async(script, &who).await.unwrap(), json!(200));
        browser.refresh().await.unwrap();
    };
    sign_in(1).await;
    let refused = "return document.querySelector('#experiments .off')?.textContent.includes('for operators')";
    browser.wait_for(refused, PATIENCE).await.unwrap();
    sign_in(0).await;
    browser.wait_for("return document.querySelector('#experiments details summary')", PATIENCE).await.unwrap();
    browser.find("#experiments details summary").await.unwrap().click().await.unwrap();
    let shown = "return document.querySelectorAll('.figures table').length === 2
        && document.querySelector('.figures svg .interval') && document.querySelector('#experiments').textContent";
    let text = browser.wait_for(shown, PATIENCE).await.unwrap();
    let text = text.as_str().expect("a text");
    for words in ["intro running", "<b>A shorter intro", "control", "short", "95 % interval", "not enough data"] {
        assert!(text.contains(words), "{words:?} is missing in {text}");
    }
    keep_picture(&browser, "experiments.png").await;
    // Her menu leads there.
    browser.goto(&server.address).await.unwrap();
    browser.wait_for("return document.querySelector('#account-menu')?.hidden === false", PATIENCE).await.unwrap();
    browser.find("#account-menu").await.unwrap().click().await.unwrap();
    browser.wait_for("return document.querySelector('#show-experiments')?.hidden === false", PATIENCE).await.unwrap();
    keep_picture(&browser, "operator.png").await;
    browser.find("#show-experiments").await.unwrap().click().await.unwrap();
    browser.wait_for("return document.querySelector('#experiments details summary')", PATIENCE).await.unwrap();
    // Being refused is said on the console of the browser, and nothing else.
    for line in browser.console().await.unwrap() {
        let known = ["status of 401", "status of 403"].iter().any(|part| format!("{line:?}").contains(part));
        assert!(known, "{line:?}");
    }
    server.stop().await;
}

/// For people to look at, when they ask for it.
pub(super) async fn keep_picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("MAINSTAY_TEST_SCREENSHOTS").map(std::path::PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), browser.screenshot().await.unwrap()).unwrap();
    }
}
