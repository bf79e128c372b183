//! A new release takes the place of what the browser keeps of the old one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::desk::{Desk, at_the_desk};

/// No release: the server is away.
const AWAY: u32 = 0;

/// Stands before the server and gives its files the addresses of another release.
#[derive(Clone)]
struct Front {
    server: String,
    client: reqwest::Client,
    hash: String,
    release: Arc<AtomicU32>,
}

impl Front {
    /// The folder of the files, as this release calls it.
    fn base(&self) -> String {
        format!("/assets/{:016}", self.release.load(Ordering::SeqCst))
    }

    async fn answer(self, request: Request) -> Response {
        if self.release.load(Ordering::SeqCst) == AWAY {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let path = request.uri().path().replace(&self.base(), &self.hash);
        if path.starts_with("/assets/") && !path.starts_with(&self.hash) {
            return StatusCode::NOT_FOUND.into_response();
        }
        let asked = self.client.request(request.method().clone(), format!("{}{path}", self.server));
        let answer = asked.header("content-type", "application/json").body("{}").send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        let mut body = answer.bytes().await.unwrap().to_vec();
        if path == "/" || path == "/sw.js" {
            body = String::from_utf8(body).unwrap().replace(&self.hash, &self.base()).into_bytes();
        }
        for name in ["content-length", "transfer-encoding", "connection"] {
            headers.remove(name);
        }
        let mut response = Response::new(Body::from(body));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        response
    }
}

/// The names of what is kept, and the folders that it is kept from. Only what is wanted is opened: to open a cache that is
/// just being deleted makes it again.
async fn kept(desk: &Desk, base: &str) {
    let release = base.rsplit('/').next().unwrap();
    let script = format!(
        "(async () => {{
            const names = (await caches.keys()).join();
            if (names !== 'mainstay.{release}') return;
            const all = await (await caches.open(names)).keys();
            const folders = new Set(all.map(({{url}}) => new URL(url).pathname.replace(/[^/]*$/, '')));
            window.kept = [names, [...folders].toSorted().join()];
        }})();
        return JSON.stringify(window.kept) === {}",
        json!(json!([format!("mainstay.{release}"), format!("/,{base}/")]).to_string())
    );
    desk.wait(&script).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_release_replaces_what_is_kept_of_the_old_one() {
    at_the_desk(async |desk| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = client.get(desk.address()).send().await.unwrap().text().await.unwrap();
        let hash = page.split_once("src=\"").unwrap().1.split_once("/theme.js").unwrap().0.to_owned();
        let release = Arc::new(AtomicU32::new(1));
        let front = Front { server: desk.address(), client, hash, release: Arc::clone(&release) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(|State(front): State<Front>, request: Request| front.answer(request))
            .with_state(front.clone());
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(listener, router).into_future());

        desk.browser.goto(&address).await.unwrap();
        desk.wait("return document.body.dataset.view === 'auth'").await;
        kept(desk, "/assets/0000000000000001").await;
        release.store(2, Ordering::SeqCst);
        desk.browser.refresh().await.unwrap();
        let loaded = "return document.querySelector('script[type=module]').src";
        // The page is of the new release at once, and then nothing is left of the old one.
        let source = desk.browser.execute(loaded, &[]).await.unwrap();
        assert!(source.as_str().unwrap().ends_with("/assets/0000000000000002/main.js"), "{source}");
        kept(desk, "/assets/0000000000000002").await;

        release.store(AWAY, Ordering::SeqCst);
        desk.browser.refresh().await.unwrap();
        desk.wait("return document.querySelector('#boot-notice .notice')").await;
        let source = desk.browser.execute(loaded, &[]).await.unwrap();
        assert!(source.as_str().unwrap().ends_with("/assets/0000000000000002/main.js"), "{source}");
    })
    .await;
}
