//! The shell of the console, rendered on the server: landmarks, forms and the templates that the modules fill; and the
//! worker that keeps the shell for when there is no network.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::assets::assets;

/// What `index.html` needs. Askama escapes every value.
#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct Shell<'a> {
    /// The path of the files: `/assets/<hash>`.
    pub(super) base: &'a str,
    /// Modules to fetch at once instead of one import after the other.
    pub(super) modules: Vec<&'a str>,
    /// The release, shown in the account menu.
    pub(super) version: &'a str,
}

/// `GET /`: the shell.
pub async fn index() -> Response {
    let assets = assets();
    let shell = Shell {
        base: assets.base(),
        modules: assets.names().filter(|name| is_module(name)).collect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    page(&shell)
}

/// A page that names the files of this release, so that a browser asks for it again each time.
pub(super) fn page<T: Template>(template: &T) -> Response {
    let cache = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    match template.render() {
        Ok(html) => (cache, Html(html)).into_response(),
        Err(error) => {
            let template = std::any::type_name::<T>();
            tracing::error!(template, %error, "a page of the console was not rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, cache, "the page could not be made\n").into_response()
        }
    }
}

/// What a service worker may load (CSP is its own, not the page's): what it keeps, from this server.
const WORKER_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; connect-src 'self'; frame-ancestors 'none'");

/// What `sw.js` needs.
#[derive(Template)]
#[template(path = "sw.js", escape = "none")]
pub(super) struct Worker<'a> {
    /// The path of the files: `/assets/<hash>`.
    pub(super) base: &'a str,
    /// The files that it keeps.
    pub(super) files: Vec<&'a str>,
}

/// `GET /sw.js`: the service worker of this release. A browser asks again each time, and takes a worker that differs by a
/// byte for a new one; the hash in it changes with every file.
pub async fn worker() -> Response {
    let assets = assets();
    let kept = assets.names().filter(|name| !name.starts_with(super::VENDOR));
    let worker = Worker { base: assets.base(), files: kept.collect() };
    match worker.render() {
        Ok(script) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
                (header::CONTENT_SECURITY_POLICY, WORKER_POLICY),
            ];
            (headers, script).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the console's worker was not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// True for ES modules of the shell. `theme.js` is a plain script, which runs before the first paint; `main.js` is named by its
/// own element.
fn is_module(name: &str) -> bool {
    name.ends_with(".js") && !super::is_of_another_page(name) && name != "theme.js" && name != "main.js"
}
