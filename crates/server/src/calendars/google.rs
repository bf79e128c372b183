//! Lives in one process: what is known of the health of Google's calendar API
//! (<https://developers.google.com/workspace/calendar/api>), and access tokens until they end. On several nodes each learns
//! and fetches for itself.
//!
//! Each call has a time to connect, to the beginning of the answer and between its parts; what only reads is tried once more
//! within a budget; an API that keeps failing is left alone for a while. Nothing here holds a transaction.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use mainstay_domain::{CalendarConnectionId, Clock, Error, Result, Secret, Timestamp};
use mainstay_store::trace::{Step, StepKind};
use moka::sync::Cache;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use crate::config::{self, GoogleCalendar};
use crate::providers::breaker::{Breaker, Verdict};
use crate::providers::retry::{Budget, advice};
use crate::providers::{BreakerState, Last, LastOutcome};

/// How long an answer may pause once it has begun.
const IDLE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes: a page of a thousand events.
const LARGEST: usize = 8 * 1024 * 1024;
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Attempts in all of what only reads.
const ATTEMPTS: u32 = 2;
/// Connections that are kept for further requests.
const IDLE_CONNECTIONS: usize = 8;
/// How long before its end an access token is fetched anew.
const MARGIN: Duration = Duration::from_secs(60);
/// How many access tokens are remembered.
const MOST_TOKENS: u64 = 10_000;
/// The longest that one is remembered: Google's last an hour.
const LONGEST_TOKEN: Duration = Duration::from_secs(3_600);
/// What is asked for: to write events, and to read calendars and which there are.
const SCOPES: &str =
    "https://www.googleapis.com/auth/calendar.events https://www.googleapis.com/auth/calendar.readonly";

/// Google's API.
pub struct GoogleApi {
    client: reqwest::Client,
    settings: GoogleCalendar,
    breaker: Breaker,
    retries: Budget,
    last: Last,
    clock: Arc<dyn Clock>,
    tokens: Cache<CalendarConnectionId, (Secret, Timestamp)>,
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The parts of the path behind that of the API.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// The version that must be there.
    pub(super) version: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(super) const fn get(path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, path, query, body: None, version: None }
    }

    pub(super) const fn post(path: &'a [&'a str], body: &'a Value) -> Self {
        Self { method: Method::POST, path, query: &[], body: Some(body), version: None }
    }
}

/// The account behind a refresh token.
pub(super) struct Holder<'a> {
    pub(super) id: CalendarConnectionId,
    pub(super) refresh_token: &'a Secret,
}

impl GoogleApi {
    /// The API, if there are credentials for it.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(settings: &GoogleCalendar, shared: &config::Providers, clock: Arc<dyn Clock>) -> Result<Option<Self>> {
        if !settings.is_set_up() {
            return Ok(None);
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(shared.connect_timeout())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("mainstay/", env!("CARGO_PKG_VERSION")));
        let host = Url::parse(&settings.api_url).map_err(Error::internal)?;
        if matches!(host.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Some(Self {
            client: builder.build().map_err(Error::internal)?,
            settings: settings.clone(),
            breaker: Breaker::new("google_calendar", shared.breaker_failures, shared.breaker_open()),
            retries: Budget::new(shared.retry_budget_percent),
            last: Last::default(),
            clock,
            tokens: Cache::builder().max_capacity(MOST_TOKENS).time_to_live(LONGEST_TOKEN).build(),
        }))
    }

    /// What its breaker does with the next request, and what the last one came to.
    pub(crate) fn standing(&self) -> (BreakerState, Option<LastOutcome>) {
        (self.breaker.current(), self.last.get())
    }

    /// What PKCE proves (RFC 7636): it follows from the secret of the sign-in and from that of this installation, so that
    /// neither who sees the one nor the database has it.
    fn verifier(&self, secret: &[u8]) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.settings.client_secret.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, secret))
    }

    /// Where somebody signs in.
    pub(super) fn authorization_url(&self, redirect: &str, state: &str, secret: &[u8]) -> Result<String> {
        let mut url = Url::parse(&self.settings.authorization_url).map_err(Error::internal)?;
        let verifier = self.verifier(secret);
        let challenge = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("response_type", "code")
            .append_pair("scope", SCOPES)
            .append_pair("access_type", "offline")
            .append_pair("prompt", "consent")
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Exchanges what somebody came back with for a refresh token, and remembers the access token that comes with it.
    pub(super) async fn exchange(
        &self,
        id: CalendarConnectionId,
        (code, redirect, secret): (&str, &str, &[u8]),
    ) -> std::result::Result<Secret, Fault> {
        let verifier = self.verifier(secret);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", &verifier),
        ];
        let answer = self.token(&form).await?;
        self.remember(id, &answer)?;
        let refresh = answer["refresh_token"].as_str().filter(|token| !token.is_empty());
        refresh.map(|token| Secret::new(token.to_owned())).ok_or_else(|| {
            Fault::Refused(
                200,
                "no refresh token: take this application's access away at Google and try again".to_owned(),
            )
        })
    }

    /// Takes the access away that was given. Best effort: it ends at Google too when the account's owner says so.
    pub(super) async fn revoke(&self, refresh_token: &Secret) -> std::result::Result<(), Fault> {
        let form = [("token", refresh_token.expose())];
        self.guarded(|| self.form(&self.settings.revoke_url, &form)).await.map(drop)
    }

    async fn token(&self, form: &[(&str, &str)]) -> std::result::Result<Value, Fault> {
        let own =
            [("client_id", self.settings.client_id.as_str()), ("client_secret", self.settings.client_secret.expose())];
        let form: Vec<_> = form.iter().copied().chain(own).collect();
        match self.guarded(|| self.form(&self.settings.token_url, &form)).await {
            // RFC 6749, section 5.2.
            Err(Fault::Refused(400, reason)) if reason == "invalid_grant" => Err(Fault::Reconnect(reason)),
            Err(Fault::Refused(401, reason)) => {
                Err(Fault::Refused(401, format!("{reason}: check calendars.google.client_id and client_secret")))
            }
            other => other,
        }
    }

    fn form(&self, url: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    }

    fn remember(&self, id: CalendarConnectionId, answer: &Value) -> std::result::Result<Secret, Fault> {
        let token = answer["access_token"].as_str().ok_or_else(|| Fault::Passing("no access token".to_owned()))?;
        let lasts = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(0));
        let token = Secret::new(token.to_owned());
        self.tokens.insert(id, (token.clone(), self.clock.now().plus(lasts)));
        Ok(token)
    }

    /// Forgets what it remembers of an account.
    pub(super) fn forget(&self, id: CalendarConnectionId) {
        self.tokens.invalidate(&id);
    }

    async fn access(&self, holder: &Holder<'_>) -> std::result::Result<Secret, Fault> {
        if let Some((token, until)) = self.tokens.get(&holder.id)
            && self.clock.now().plus(MARGIN) < until
        {
            return Ok(token);
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", holder.refresh_token.expose())];
        let answer = self.token(&form).await?;
        self.remember(holder.id, &answer)
    }

    /// Asks on behalf of an account. An access token that is refused is fetched anew once.
    pub(super) async fn ask(&self, holder: &Holder<'_>, ask: &Ask<'_>) -> std::result::Result<Value, Fault> {
        for last in [false, true] {
            let token = self.access(holder).await?;
            let outcome = self.ask_with(&token, ask).await;
            match outcome {
                Err(Fault::Refused(401, reason)) => {
                    self.forget(holder.id);
                    if last {
                        return Err(Fault::Reconnect(reason));
                    }
                }
                outcome => return outcome,
            }
        }
        Err(Fault::Passing("no access token holds".to_owned()))
    }

    async fn ask_with(&self, token: &Secret, ask: &Ask<'_>) -> std::result::Result<Value, Fault> {
        let bad = |error: String| Fault::Passing(error);
        let mut url = Url::parse(&self.settings.api_url).map_err(|error| bad(error.to_string()))?;
        url.path_segments_mut().map_err(|()| bad("no address".to_owned()))?.pop_if_empty().extend(ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|e| bad(e.to_string()))?;
        bearer.set_sensitive(true);
        let request = || {
            let mut request = self.client.request(ask.method.clone(), url.clone()).header(AUTHORIZATION, &bearer);
            if let Some(version) = ask.version {
                request = request.header(IF_MATCH, version);
            }
            if let Some(body) = ask.body {
                request = request.json(body);
            }
            request
        };
        self.retries.request();
        let outcome = self.guarded(request).await;
        let again = ask.method == Method::GET && ATTEMPTS > 1;
        if again && matches!(outcome, Err(Fault::Passing(_))) && self.retries.spend() {
            sleep(PAUSE).await;
            return self.guarded(request).await;
        }
        outcome
    }

    /// One attempt, by leave of the breaker.
    async fn guarded(&self, request: impl Fn() -> RequestBuilder) -> std::result::Result<Value, Fault> {
        let permit = self.breaker.admit().map_err(Fault::Away)?;
        let mut step = Step::begin(StepKind::Outgoing, "google_calendar");
        let outcome = self.attempt(request()).await;
        if let Err(fault) = &outcome {
            step.fail(fault.code());
        }
        drop(step);
        // What is refused is about the request and says nothing of its health.
        self.last.record(match &outcome {
            Err(fault @ (Fault::Passing(_) | Fault::Busy(_))) => Some(fault.code()),
            _ => None,
        });
        permit.settle(match &outcome {
            Ok(_) => Verdict::Healthy,
            Err(Fault::Passing(_)) => Verdict::Failed,
            Err(_) => Verdict::Answered,
        });
        outcome
    }

    async fn attempt(&self, request: RequestBuilder) -> std::result::Result<Value, Fault> {
        let response = match timeout(self.settings.first_byte_timeout(), request.send()).await {
            Err(_) => return Err(Fault::Passing("no answer in time".to_owned())),
            Ok(Err(error)) => return Err(Fault::Passing(error.without_url().to_string())),
            Ok(Ok(response)) => response,
        };
        let status = response.status().as_u16();
        let (after, _) = advice(response.headers(), self.clock.as_ref());
        let text = read(response).await?;
        match status {
            204 | 205 => Ok(Value::Null),
            200..=299 if text.is_empty() => Ok(Value::Null),
            200..=299 => serde_json::from_slice(&text).map_err(|error| Fault::Passing(format!("no JSON: {error}"))),
            429 => Err(Fault::Busy(after)),
            500..=599 => Err(Fault::Passing(format!("status {status}"))),
            _ => Err(refusal(status, &text, after)),
        }
    }
}

/// What a refusal means: 403 is also what Google says to who asks too often.
fn refusal(status: u16, text: &[u8], after: Option<Duration>) -> Fault {
    let body: Value = serde_json::from_slice(text).unwrap_or_default();
    let reason = body["error"]["errors"][0]["reason"].as_str().or_else(|| body["error"]["status"].as_str());
    let reason = reason.or_else(|| body["error"].as_str()).unwrap_or("no reason");
    if status == 403 && ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"].contains(&reason) {
        return Fault::Busy(after);
    }
    Fault::Refused(status, reason.chars().filter(|letter| !letter.is_control()).take(100).collect())
}

async fn read(mut response: Response) -> std::result::Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        match timeout(IDLE, response.chunk()).await {
            Err(_) => return Err(Fault::Passing("the answer stood still".to_owned())),
            Ok(Err(error)) => return Err(Fault::Passing(format!("the answer broke off: {}", error.without_url()))),
            Ok(Ok(None)) => return Ok(body),
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() > LARGEST => {
                return Err(Fault::Passing("the answer is too large".to_owned()));
            }
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
        }
    }
}
