//! A bucket of a store that speaks S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/>). Requests are signed and answers
//! read by `rusty-s3`; sending them, and what happens when one fails, is here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, StatusCode, Url};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket as Signing, Credentials, S3Action as _, UrlStyle};

use super::place::{Backup, MOST_OBJECT};
use super::{Fault, MANIFEST};
use crate::config;

/// How long a name and a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long nothing may come: the first byte of an answer, or the next.
const IDLE: Duration = Duration::from_secs(20);
/// How long one request may take. A piece of 8 MiB at half a megabit a second.
const WHOLE: Duration = Duration::from_secs(150);
/// How often one request is tried.
const TRIES: u32 = 4;
/// How many tries beside the first are made in all, for one backup or restore: a store that fails again and again is down.
const RETRY_BUDGET: u32 = 40;
/// For how long a signature holds.
const SIGNED: Duration = Duration::from_secs(900);
/// Pages of a listing, each of 1,000 objects.
const MOST_PAGES: usize = 2_000;
/// The most of an answer's text that is told.
const TOLD: usize = 300;

/// A bucket, and under which prefix everything is.
pub(super) struct Bucket {
    signing: Signing,
    credentials: Credentials,
    client: Client,
    prefix: String,
    retries_left: AtomicU32,
}

/// An answer that was wanted.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Bucket {
    pub(super) fn open(settings: &config::Backup, bucket: &str, prefix: String) -> Result<Self, Fault> {
        let bad = |reason: String| Fault::Place { place: settings.to.clone(), reason };
        let endpoint: Url =
            settings.s3_endpoint.parse().map_err(|error| bad(format!("backup.s3_endpoint: {error}")))?;
        let style = if settings.s3_path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let signing = Signing::new(endpoint, style, bucket.to_owned(), settings.s3_region.clone())
            .map_err(|error| bad(format!("backup.s3_endpoint: {error}")))?;
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(IDLE)
            .timeout(WHOLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| bad(error.to_string()))?;
        let credentials = Credentials::new(settings.s3_access_key.clone(), settings.s3_secret_key.expose());
        Ok(Self { signing, credentials, client, prefix, retries_left: AtomicU32::new(RETRY_BUDGET) })
    }

    /// Sends a request until it is answered with success or a refusal that another try would not change.
    async fn ask(&self, method: Method, url: impl Fn() -> Url, body: Bytes) -> Result<Answer, String> {
        let mut tries = 1;
        loop {
            let outcome = self.ask_once(method.clone(), url(), body.clone()).await;
            let reason = match outcome {
                Ok(answer) if !is_passing(answer.status) => return Ok(answer),
                Ok(answer) => told(&answer),
                Err(reason) => reason,
            };
            if tries >= TRIES || !self.may_retry() {
                return Err(format!("{reason} (tried {tries} times)"));
            }
            tokio::time::sleep(Duration::from_millis(200 << tries)).await;
            tries += 1;
        }
    }

    fn may_retry(&self) -> bool {
        self.retries_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    async fn ask_once(&self, method: Method, url: Url, body: Bytes) -> Result<Answer, String> {
        // The address has the signature in it, which is nobody's business.
        let silent = |error: reqwest::Error| {
            let error = error.without_url();
            let mut text = error.to_string();
            let mut inner = std::error::Error::source(&error);
            while let Some(cause) = inner {
                text = format!("{text}: {cause}");
                inner = cause.source();
            }
            text
        };
        let mut response = self.client.request(method, url).body(body).send().await.map_err(silent)?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > MOST_OBJECT {
                return Err("the answer is larger than any object of a backup".to_owned());
            }
        }
        Ok(Answer { status, body })
    }

    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), String> {
        let key = format!("{}{name}", self.prefix);
        let url = || self.signing.put_object(Some(&self.credentials), &key).sign(SIGNED);
        let answer = self.ask(Method::PUT, url, bytes).await?;
        if answer.status.is_success() { Ok(()) } else { Err(told(&answer)) }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let key = format!("{}{name}", self.prefix);
        let url = || self.signing.get_object(Some(&self.credentials), &key).sign(SIGNED);
        let answer = self.ask(Method::GET, url, Bytes::new()).await?;
        match answer.status {
            status if status.is_success() => Ok(Some(answer.body)),
            // So does an object that is not there answer; a bucket that is not there has another code.
            StatusCode::NOT_FOUND if !told(&answer).contains("NoSuchBucket") => Ok(None),
            _ => Err(told(&answer)),
        }
    }

    /// The names of all objects of which this is the beginning, without the prefix of all.
    async fn names(&self, beginning: &str) -> Result<Vec<String>, String> {
        let (mut names, mut further) = (Vec::new(), None::<String>);
        for _ in 0..MOST_PAGES {
            let url = || {
                let mut action = self.signing.list_objects_v2(Some(&self.credentials));
                action.with_prefix(format!("{}{beginning}", self.prefix));
                if let Some(token) = &further {
                    action.with_continuation_token(token.clone());
                }
                action.sign(SIGNED)
            };
            let answer = self.ask(Method::GET, url, Bytes::new()).await?;
            if !answer.status.is_success() {
                return Err(told(&answer));
            }
            let text = String::from_utf8_lossy(&answer.body);
            let page =
                ListObjectsV2::parse_response(&text).map_err(|error| format!("the listing cannot be read: {error}"))?;
            names.extend(
                page.contents.into_iter().filter_map(|object| object.key.strip_prefix(&self.prefix).map(str::to_owned)),
            );
            further = page.next_continuation_token;
            if further.is_none() {
                return Ok(names);
            }
        }
        Err("there are more objects than can be listed".to_owned())
    }

    pub(super) async fn backups(&self) -> Result<Vec<Backup>, String> {
        let mut found: BTreeMap<String, bool> = BTreeMap::new();
        for name in self.names("").await? {
            if let Some((id, object)) = name.split_once('/') {
                *found.entry(id.to_owned()).or_default() |= object == MANIFEST;
            }
        }
        Ok(found.into_iter().map(|(id, whole)| Backup { id, whole }).collect())
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), String> {
        let mut names = self.names(&format!("{id}/")).await?;
        names.sort_by_key(|name| !name.ends_with(MANIFEST));
        for name in names {
            let key = format!("{}{name}", self.prefix);
            let url = || self.signing.delete_object(Some(&self.credentials), &key).sign(SIGNED);
            let answer = self.ask(Method::DELETE, url, Bytes::new()).await?;
            if !answer.status.is_success() && answer.status != StatusCode::NOT_FOUND {
                return Err(told(&answer));
            }
        }
        Ok(())
    }
}

/// Whether another try may be answered otherwise.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

fn told(answer: &Answer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body).chars().take(TOLD).collect();
    format!("answered {} {}", answer.status.as_u16(), text.replace(['\r', '\n'], " "))
}
