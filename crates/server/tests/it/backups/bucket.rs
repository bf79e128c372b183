//! Backups in a bucket: a store that speaks S3 over a real socket, and its faults.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::newest;
use crate::support::binary::Installation;

/// What is done with one request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Status(u16),
    /// The answer breaks off in the middle.
    Cut,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Bytes>>,
    script: Mutex<VecDeque<Fault>>,
    asked: Mutex<Vec<String>>,
}

struct FakeBucket {
    url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl FakeBucket {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _tasks: tasks }
    }

    fn fails(&self, faults: &[Fault]) {
        *self.shared.script.lock().unwrap() = faults.iter().copied().collect();
    }

    fn names(&self) -> Vec<String> {
        self.shared.objects.lock().unwrap().keys().cloned().collect()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path = head.uri.path().trim_start_matches('/').to_owned();
    shared.asked.lock().unwrap().push(format!("{} {path}", head.method));
    let signed = query.get("X-Amz-Credential").is_some_and(|name| name.starts_with("writer/"))
        && query.get("X-Amz-Signature").is_some_and(|signature| signature.len() == 64);
    if !signed {
        return (StatusCode::FORBIDDEN, "<Error><Code>SignatureDoesNotMatch</Code></Error>").into_response();
    }
    let fault = shared.script.lock().unwrap().pop_front();
    if let Some(Fault::Status(status)) = fault {
        return (StatusCode::from_u16(status).unwrap(), "<Error><Code>SlowDown</Code></Error>").into_response();
    }
    let Some(key) = path.strip_prefix("backups") else {
        return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchBucket</Code></Error>").into_response();
    };
    let key = key.trim_start_matches('/').to_owned();
    let mut objects = shared.objects.lock().unwrap();
    match head.method {
        Method::PUT => {
            objects.insert(key, body);
            StatusCode::OK.into_response()
        }
        Method::DELETE => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::GET if key.is_empty() => listing(&objects, &query),
        Method::GET => match objects.get(&key) {
            None => (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response(),
            Some(bytes) if matches!(fault, Some(Fault::Cut)) => {
                let half = bytes.slice(..bytes.len() / 2);
                let broken = stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
                Body::from_stream(broken).into_response()
            }
            Some(bytes) => bytes.clone().into_response(),
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Two at a time, so that a listing has pages.
fn listing(objects: &BTreeMap<String, Bytes>, query: &BTreeMap<String, String>) -> Response {
    let empty = String::new();
    let prefix = query.get("prefix").unwrap_or(&empty);
    let after = query.get("continuation-token").unwrap_or(&empty);
    let mut found = objects.iter().filter(|(key, _)| key.starts_with(prefix.as_str()) && *key > after);
    let page: Vec<_> = found.by_ref().take(2).collect();
    let rows: String = page
        .iter()
        .map(|(key, bytes)| format!("<Contents><Key>{key}</Key><LastModified>2026-11-29T00:00:00.000Z</LastModified><ETag>x</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>", bytes.len()))
        .collect();
    let further = match (found.next(), page.last()) {
        (Some(_), Some((last, _))) => format!("<NextContinuationToken>{last}</NextContinuationToken>"),
        _ => String::new(),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>backups</Name><KeyCount>{}</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>{}</IsTruncated>{rows}{further}</ListBucketResult>",
        page.len(),
        !further.is_empty()
    );
    ([("content-type", "application/xml")], body).into_response()
}

fn installation(bucket: &FakeBucket) -> Installation {
    Installation::new()
        .with("MAINSTAY_BACKUP__TO", "s3://backups/one/")
        .with("MAINSTAY_BACKUP__S3_ENDPOINT", &bucket.url)
        .with("MAINSTAY_BACKUP__S3_ACCESS_KEY", "writer")
        .with("MAINSTAY_BACKUP__S3_SECRET_KEY", "what nobody else knows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_backups_and_its_hiccups_are_survived() {
    let bucket = FakeBucket::start().await;
    let installation = installation(&bucket);
    installation.people(2).await;
    bucket.fails(&[Fault::Status(503), Fault::Status(500), Fault::Status(429)]);
    installation.run(&["backup", "make"]).await.says(0, &["s3://backups/one/", "rows"]);
    let names = bucket.names();
    assert!(names.iter().all(|name| name.starts_with("one/")), "{names:?}");
    let id = newest(&installation).await["id"].as_str().expect("a name").to_owned();
    bucket.fails(&[Fault::Cut, Fault::Cut]);
    installation.run(&["restore", "--verify"]).await.says(0, &[&id, "the canary is there"]);
    let folder = tempfile::tempdir().expect("a folder");
    let to = format!("sqlite:{}", folder.path().join("copy.db").display());
    bucket.fails(&[Fault::Status(503); 200]);
    installation.run(&["restore", &id, "--to", &to]).await.says(1, &["503", "tried"]);
    assert!(!folder.path().join("copy.db").exists(), "nothing is there that is not whole");
    bucket.fails(&[]);
    // A piece that was taken away is noticed.
    let piece = names.iter().find(|name| name.ends_with("database.000000")).expect("a piece").clone();
    bucket.shared.objects.lock().unwrap().remove(&piece);
    installation.run(&["restore", &id, "--to", &to]).await.says(1, &["is missing"]);
    let refused = installation.with("MAINSTAY_BACKUP__TO", "s3://others/one").run(&["backup", "make"]).await;
    refused.says(1, &["NoSuchBucket"]);
    assert!(!refused.text.contains("what nobody else knows") && !refused.text.contains("X-Amz-Signature"));
}
