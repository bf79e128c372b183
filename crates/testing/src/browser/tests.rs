use std::process::ExitStatus;

use super::*;
use crate::table;

/// A page as a `data:` address.
fn page(html: &str) -> String {
    format!("data:text/html;base64,{}", BASE64.encode(html))
}

const FORM: &str = "<title>Form</title><input id=name autofocus><button id=go disabled>Go</button><p id=said></p>
<script>
  const [name, go] = [document.querySelector('#name'), document.querySelector('#go')];
  name.addEventListener('input', () => { go.disabled = name.value === ''; });
  go.addEventListener('click', () => setTimeout(() => {
    document.querySelector('#said').textContent = 'Hello ' + name.value;
    document.body.insertAdjacentHTML('beforeend', '<b class=late>late</b>');
    console.warn('greeted');
  }, 150));
</script>";

#[tokio::test]
async fn a_page_is_filled_in_clicked_and_read() {
    let Some(browser) = Browser::start().await else { return };
    browser.goto(&page(FORM)).await.unwrap();
    assert!(browser.url().await.unwrap().starts_with("data:text/html"));
    let go = browser.find("#go").await.unwrap();
    assert_eq!(go.attribute("disabled").await.unwrap().as_deref(), Some("true"));
    let name = browser.find("#name").await.unwrap();
    name.type_text("x").await.unwrap();
    name.clear().await.unwrap();
    name.type_text("Ada").await.unwrap();
    assert_eq!(go.attribute("disabled").await.unwrap(), None);
    go.click().await.unwrap();
    assert_eq!(browser.find(".late").await.unwrap().text().await.unwrap(), "late");
    assert_eq!(browser.find("#said").await.unwrap().text().await.unwrap(), "Hello Ada");
    let console = browser.console().await.unwrap();
    assert!(console.iter().any(|line| line.level == "WARNING" && line.message.contains("greeted")), "{console:?}");
    assert!(browser.console().await.unwrap().is_empty());
    browser.refresh().await.unwrap();
    let value = browser.execute("return arguments[0].value", &[browser.find("#name").await.unwrap().reference()]).await;
    assert_eq!(value.unwrap(), json!(""));
    browser.quit().await.unwrap();
}

#[tokio::test]
async fn scripts_give_values_and_throw() {
    let Some(browser) = Browser::start().await else { return };
    browser.goto(&page("<p>text</p>")).await.unwrap();
    assert_eq!(browser.execute("return [1, arguments[0]]", &[json!("two")]).await.unwrap(), json!([1, "two"]));
    assert_eq!(browser.execute("return Promise.resolve(3)", &[]).await.unwrap(), json!(3));
    assert_eq!(browser.execute_async("setTimeout(arguments[0], 10, 'late')", &[]).await.unwrap(), json!("late"));
    let thrown = browser.execute("throw new Error('oh no')", &[]).await.unwrap_err().to_string();
    assert!(thrown.contains("oh no"), "{thrown}");
    let heap = browser.devtools("Runtime.getHeapUsage", json!({})).await.unwrap();
    assert!(heap["usedSize"].as_f64().unwrap() > 0.0, "{heap}");
}

#[tokio::test]
async fn waits_end_by_truth_deadline_error_and_survive_a_new_page() {
    let Some(browser) = Browser::start().await else { return };
    browser.goto(&page("<p>one</p>")).await.unwrap();
    let soon = Duration::from_secs(10);
    let failure = browser.wait_for("return 0", Duration::from_millis(100)).await.unwrap_err().to_string();
    assert!(failure.contains("within 100ms"), "{failure}");
    let failure = browser.wait_for("return nothing.here", soon).await.unwrap_err().to_string();
    assert!(failure.contains("ReferenceError"), "{failure}");
    browser.execute("setTimeout(() => { window.ready = 'yes'; }, 100)", &[]).await.unwrap();
    assert_eq!(browser.wait_for("return window.ready", soon).await.unwrap(), json!("yes"));
    // A page that came as `data:` may not load itself again.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    a_wait_goes_on_after_a_reload(&browser, &listener).await;
}

async fn a_wait_goes_on_after_a_reload(browser: &Browser, listener: &tokio::net::TcpListener) {
    let soon = Duration::from_secs(10);
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let test = async {
        browser.goto(&url).await.unwrap();
        browser.execute("window.ready = 1; setTimeout(() => location.reload(), 200)", &[]).await.unwrap();
        // True only after the reload, which drops the variable.
        browser.wait_for("return !window.ready && document.body.innerText", soon).await.unwrap()
    };
    tokio::select! {
        text = test => assert_eq!(text, json!("one")),
        () = serve(listener, "<p>one</p>") => {}
    }
}

/// Answers every request with the page, under a policy as strict as the console's.
async fn serve(listener: &tokio::net::TcpListener, html: &str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let policy = "Content-Security-Policy: default-src 'none'; require-trusted-types-for 'script'";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{policy}\r\nContent-Length: {}\r\n", html.len());
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        // Chromium opens a second connection in advance and may never use it.
        let read = tokio::time::timeout(Duration::from_millis(500), socket.read(&mut request)).await;
        if matches!(read, Ok(Ok(1..))) {
            socket.write_all(format!("{head}Connection: close\r\n\r\n{html}").as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_screenshot_has_the_size_of_the_window() {
    let Some(browser) = Browser::start().await else { return };
    browser.goto(&page("<body style='background: teal'>")).await.unwrap();
    browser.set_window(640, 480).await.unwrap();
    let picture = browser.screenshot().await.unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    // Width is the first number of the first chunk (PNG, 11.2.2).
    assert_eq!(picture[16..20], 640_u32.to_be_bytes());
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_browser() {
    let Some(browser) = Browser::start().await else { return };
    let family = table::descendants(browser._driver.id());
    let profile = browser._profile.path().to_owned();
    assert!(!family.is_empty() && profile.join("profile").exists());
    drop(browser);
    assert!(family.iter().all(|pid| !table::lives(*pid)) || settles(&family));
    assert!(!profile.exists());
}

/// What was killed is gone within moments, when the kernel has taken it down.
fn settles(family: &[u32]) -> bool {
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        family.iter().all(|pid| !table::lives(*pid))
    })
}

#[tokio::test]
#[ignore = "run in a process of its own by the test below, which kills it"]
async fn starts_a_browser_and_hangs() {
    let browser = Browser::start().await.unwrap();
    let family: Vec<String> = table::descendants(browser._driver.id()).iter().map(u32::to_string).collect();
    println!("family {}", family.join(","));
    let _: Result<ExitStatus> = browser._driver.wait(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_killed_test_takes_its_browser_with_it() {
    if !Path::new("/usr/bin/chromedriver").exists() || !Path::new("/usr/bin/chromium").exists() {
        return skip("Chromium", "Chromium or its driver is not installed");
    }
    let arguments = ["browser::tests::starts_a_browser_and_hangs", "--exact", "--ignored", "--nocapture"];
    let test = Program::new(std::env::current_exe().unwrap()).args(arguments).start().unwrap();
    let line = test.wait_for_line("family ", START_PATIENCE).await.unwrap();
    let family = line.rsplit("family ").next().unwrap().split(',').map(|pid| pid.parse().unwrap());
    let family: Vec<u32> = family.collect();
    assert!(family.len() > 3 && table::lives(family[0]), "{line}");
    test.kill();
    test.wait(Duration::from_secs(10)).await.unwrap();
    assert!(settles(&family), "still there: {:?}", family.iter().filter(|pid| table::lives(**pid)).collect::<Vec<_>>());
}
