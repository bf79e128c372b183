//! The files of the console, compiled into the binary and served under a URL that changes with their content.
//!
//! All files share one hash, `/assets/<hash>/<name>`, so that the relative imports between modules and the `url()`s
//! in the styles stay under it without being rewritten. A file may therefore be kept for ever (RFC 8246), and a new
//! release never mixes with an old one: an unknown hash is answered 404.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;

/// How much of the hash is in the URL: 64 bits in hexadecimal tell releases apart.
const HASH_DIGITS: usize = 16;

#[derive(RustEmbed)]
#[folder = "src/console/assets"]
struct Files;

/// Every file with its type, read once: a debug build reads them from the source folder, and the hash in the page
/// must stay the hash of what is served.
pub(super) struct Assets {
    base: String,
    files: BTreeMap<String, (&'static str, Bytes)>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::load);

/// The files of this process.
pub(super) fn assets() -> &'static Assets {
    &ASSETS
}

impl Assets {
    fn load() -> Self {
        let mut files = BTreeMap::new();
        for name in Files::iter() {
            if let (Some(kind), Some(file)) = (content_type(&name), Files::get(&name)) {
                files.insert(name.into_owned(), (kind, Bytes::from(file.data.into_owned())));
            }
        }
        Self { base: format!("/assets/{}", hash(&files)), files }
    }

    /// The path below which the files are, without a slash at its end: `/assets/<hash>`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The names of the files, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    fn find(&self, path: &str) -> Option<&(&'static str, Bytes)> {
        let (hash, name) = path.split_once('/')?;
        (self.base.strip_prefix("/assets/") == Some(hash)).then(|| self.files.get(name)).flatten()
    }
}

/// A digest over names, lengths and contents, so that no two sets of files have the same one by moving a boundary.
fn hash(files: &BTreeMap<String, (&'static str, Bytes)>) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for (name, (_, content)) in files {
        for part in [name.as_bytes(), content] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    let mut text = mainstay_domain::hexadecimal(context.finish().as_ref());
    text.truncate(HASH_DIGITS);
    text
}

/// The media type by the end of the name. A file of another kind is not served.
fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" => Some("text/plain; charset=utf-8"),
        "webmanifest" => Some("application/manifest+json"),
        _ => None,
    }
}

/// `GET /assets/{hash}/{name}`: one file, to be kept for ever; 404 for another release's hash or an unknown name.
pub async fn asset(Path(path): Path<String>) -> Response {
    match assets().find(&path) {
        Some((kind, content)) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
                (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
            ];
            (headers, content.clone()).into_response()
        }
        None => (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], "not found\n")
            .into_response(),
    }
}
