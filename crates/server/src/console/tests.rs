//! The handlers as a client meets them, and what the page promises about its own files.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::assets::assets;
use super::pages::Shell;
use super::routes;

/// The first load must stay below this, compressed, so that it does not creep up to the budget of the product: 150 KB, which
/// the test in the browser holds.
const FIRST_LOAD_BYTES: usize = 90 * 1024;

fn app() -> Router {
    routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

async fn ask(app: Router, method: Method, path: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Body::empty())
        .expect("a request");
    app.oneshot(request).await.expect("an answer")
}

async fn get(path: &str) -> (Response<()>, Vec<u8>) {
    let (parts, body) = ask(app(), Method::GET, path).await.into_parts();
    (Response::from_parts(parts, ()), body.collect().await.expect("a body").to_bytes().to_vec())
}

async fn page() -> String {
    String::from_utf8(get("/").await.1).expect("text")
}

fn header_of<'a, T>(response: &'a Response<T>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// What stands in quotes behind each `before`.
fn quoted<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn the_page_is_asked_for_again_each_time() {
    let (response, body) = get("/").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header_of(&response, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header_of(&response, "cache-control"), "no-cache");
    assert!(body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    for path in ["/".to_owned(), format!("{}/main.js", assets().base())] {
        let (head, body) = ask(app(), Method::HEAD, &path).await.into_parts();
        let (response, content) = get(&path).await;
        assert_eq!(head.status, StatusCode::OK, "{path}");
        assert_eq!(head.headers.get("content-type"), response.headers().get("content-type"), "{path}");
        assert_eq!(head.headers["content-length"].to_str().expect("text"), content.len().to_string(), "{path}");
        assert!(body.collect().await.expect("a body").to_bytes().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_file_is_kept_for_ever_under_its_hash() {
    for name in assets().names() {
        let (response, body) = get(&format!("{}/{name}", assets().base())).await;
        assert_eq!(response.status(), StatusCode::OK, "{name}");
        assert_eq!(header_of(&response, "cache-control"), "public, max-age=31536000, immutable", "{name}");
        let kind = match name.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "application/manifest+json",
        };
        assert_eq!(header_of(&response, "content-type"), kind, "{name}");
        assert!(!body.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn another_hash_or_an_unknown_name_is_not_found() {
    let base = assets().base();
    for path in [
        "/assets/0000000000000000/main.js",
        "/assets/main.js",
        "/assets//main.js",
        &format!("{base}/"),
        &format!("{base}/none.js"),
        &format!("{base}/../console/mod.rs"),
        &format!("{base}/..%2f..%2fmod.rs"),
        &format!("{base}/main.js/"),
    ] {
        let (response, _) = get(path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_ne!(header_of(&response, "cache-control"), "public, max-age=31536000, immutable", "{path}");
    }
}

#[tokio::test]
async fn every_file_that_is_named_exists() {
    let page = page().await;
    let prefix = format!("{}/", assets().base());
    let links = [quoted(&page, "href=\""), quoted(&page, "src=\"")];
    let named: BTreeSet<&str> = links.iter().flatten().filter_map(|url| url.strip_prefix(&prefix)).collect();
    let known: BTreeSet<&str> = assets().names().collect();
    assert!(named.contains("main.js") && named.contains("theme.js"), "{named:?}");
    assert!(named.is_subset(&known), "{named:?}");
    for name in known.iter().filter(|name| name.ends_with(".js") && !super::is_of_another_page(name)) {
        assert!(named.contains(name), "{name} would be found out about late");
        let source = String::from_utf8(get(&format!("{prefix}{name}")).await.1).expect("text");
        for import in quoted(&source, " from \"") {
            let target = import.strip_prefix("./").expect("a relative import, so that it stays under the hash");
            assert!(known.contains(target), "{name} imports {import}");
        }
    }
}

#[tokio::test]
async fn the_page_obeys_a_policy_without_inline_code() {
    let page = page().await;
    assert!(!page.contains(" style="), "an inline style");
    assert!(!page.contains("<style"), "an inline sheet");
    assert!(!page.contains("javascript:"), "a script in a link");
    for tag in page.split("<script").skip(1) {
        let (attributes, rest) = tag.split_once('>').expect("an end");
        assert!(attributes.contains(" src=\"/assets/"), "a script from elsewhere: {attributes}");
        assert!(rest.starts_with("</script>"), "an inline script");
    }
    for tag in page.split('<') {
        let attributes = tag.split('>').next().unwrap_or_default();
        assert!(
            !attributes.split_whitespace().any(|word| word.starts_with("on") && word.contains('=')),
            "{attributes}"
        );
    }
    for name in assets().names().filter(|name| name.ends_with(".js")) {
        let source = String::from_utf8(get(&format!("{}/{name}", assets().base())).await.1).expect("text");
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!source.contains(sink), "{name} uses {sink}");
        }
    }
}

#[tokio::test]
async fn the_controls_have_their_stable_names() {
    let page = page().await;
    for id in [
        "sign-up-form",
        "sign-up-email",
        "sign-up-password",
        "sign-up-name",
        "sign-up-submit",
        "sign-in-form",
        "sign-in-email",
        "sign-in-password",
        "sign-in-submit",
        "show-sign-up",
        "show-sign-in",
        "composer-input",
        "composer-send",
        "composer-stop",
        "messages",
        "drawer",
        "drawer-open",
        "drawer-close",
        "conversation-search",
        "new-conversation",
        "theme-toggle",
        "account-menu",
        "sign-out",
    ] {
        assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[tokio::test]
async fn the_first_load_is_small() {
    let app = app().layer(tower_http::compression::CompressionLayer::new());
    let of_the_shell = |name: &&str| !super::is_of_another_page(name);
    let files = assets().names().filter(of_the_shell).map(|name| format!("{}/{name}", assets().base()));
    let mut total = 0;
    for path in ["/".to_owned(), "/sw.js".to_owned()].into_iter().chain(files) {
        let response = ask(app.clone(), Method::GET, &path).await;
        total += response.into_body().collect().await.expect("a body").to_bytes().len();
    }
    assert!(total < FIRST_LOAD_BYTES, "{total} bytes");
}

#[tokio::test]
async fn the_worker_keeps_this_release_and_asks_nobody_else() {
    let (response, body) = get("/sw.js").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header_of(&response, "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(header_of(&response, "cache-control"), "no-cache");
    let policy = header_of(&response, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; connect-src 'self';"), "{policy}");
    let source = String::from_utf8(body).expect("text");
    assert!(source.contains(&format!("const BASE = \"{}\";", assets().base())), "{source}");
    for name in assets().names() {
        let is_kept = source.contains(&format!("\"{name}\","));
        assert_eq!(is_kept, !name.starts_with(super::VENDOR), "{name}: missing offline, or fetched by everybody");
    }
    assert!(!source.contains("/v1"), "what the API says is not the worker's business");
}

/// What others have made is what the bill of materials says, byte for byte, and has its licences beside it.
#[test]
fn what_others_have_made_is_as_it_came() {
    let bill = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/bill/vendored.json");
    let bill = std::fs::read_to_string(bill).expect("the list");
    let parts: Vec<serde_json::Value> = serde_json::from_str(&bill).expect("JSON");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/assets/");
    let mut listed = BTreeSet::new();
    for part in &parts {
        let text = |name: &str| part[name].as_str().expect("text").to_owned();
        let content = std::fs::read(format!("{folder}{}", text("file"))).expect("the file");
        let digest = ring::digest::digest(&ring::digest::SHA256, &content);
        assert_eq!(mainstay_domain::hexadecimal(digest.as_ref()), text("sha256"), "{part}");
        let licences = std::fs::read_to_string(format!("{folder}{}", text("licences"))).expect("the licences");
        assert!(licences.contains(&text("version")) && licences.contains("Permission is hereby granted"), "{part}");
        listed.extend([text("file"), text("licences")]);
    }
    let there = assets().names().filter(|name| name.starts_with(super::VENDOR)).map(str::to_owned);
    assert_eq!(listed, there.collect());
}

#[tokio::test]
async fn the_page_can_be_installed() {
    let (_, body) = get(&format!("{}/site.webmanifest", assets().base())).await;
    let manifest: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    for (member, value) in [("display", "standalone"), ("start_url", "/"), ("scope", "/"), ("id", "/")] {
        assert_eq!(manifest[member], value, "{member}");
    }
    let icons = manifest["icons"].as_array().expect("icons");
    for purpose in ["any", "maskable"] {
        let icon = icons.iter().find(|icon| icon["purpose"] == purpose).expect(purpose);
        assert_eq!(icon["sizes"], "any", "{purpose}");
        let name = icon["src"].as_str().expect("a file beside the manifest");
        assert!(assets().names().any(|known| known == name), "{name}");
    }
}

/// Where a template puts something in between words without keeping the spaces around it: they are dropped unless it says so.
fn runs_together(template: &str) -> Vec<&str> {
    let is_word = |letter: char| !letter.is_whitespace() && !['>', '<', '{', '}', '%'].contains(&letter);
    let lines = template.lines().filter(|line| {
        let before = line.match_indices(" {{ ").any(|(at, _)| line[..at].chars().next_back().is_some_and(is_word));
        let after = line.match_indices(" }} ").any(|(at, _)| line[at + 4..].chars().next().is_some_and(is_word));
        before || after
    });
    lines.collect()
}

#[test]
fn templates_keep_the_spaces_between_words() {
    assert_eq!(runs_together("<p>mail to {{ address }}?</p>\n<b>{{ n }} of them</b>\n<i>{{ n }}</i>").len(), 2);
    assert_eq!(runs_together("<p>mail to {{+ address }}?</p> {{ n +}} of {{+ m +}} them"), Vec::<&str>::new());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/templates");
    for file in std::fs::read_dir(folder).expect("the templates") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(runs_together(&text), Vec::<&str>::new(), "{}", path.display());
    }
}

#[test]
fn what_the_shell_is_given_is_escaped() {
    let shell = Shell { base: "/assets/0", modules: vec!["\"><script>"], version: "<b>1</b>" };
    let html = askama::Template::render(&shell).expect("a page");
    assert!(!html.contains("<b>1") && !html.contains("\"><script>"), "{html}");
}
