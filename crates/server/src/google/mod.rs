//! What Google's APIs have in common: accounts that somebody has given access to (OAuth 2, RFC 6749), their access tokens,
//! and what refusals mean. Calendars (<https://developers.google.com/workspace/calendar/api>) and mail
//! (<https://developers.google.com/workspace/gmail/api>) ask by it, each by an address, a breaker and scopes of its own.
//!
//! Lives in one process: access tokens until they end. On several nodes each fetches for itself. What only reads is tried
//! once more. Nothing here holds a transaction.

mod fault;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use mainstay_domain::{Clock, Error, Result, Secret, Timestamp};
use moka::sync::Cache;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::config::{self, GoogleCalendar};
use crate::providers::api::{Answer, Api, ApiFault, Saying, Service};
use crate::providers::{BreakerState, LastOutcome};

pub(crate) use fault::{Codes, Fault};
pub(crate) use sign_in::{LASTS, Purpose, SignIn, hash};

/// Connections that are kept for further requests.
const CONNECTIONS: usize = 8;
/// How long before its end an access token is fetched anew.
const MARGIN: Duration = Duration::from_secs(60);
/// How many access tokens are remembered.
const MOST_TOKENS: u64 = 10_000;
/// The longest that one is remembered: Google's last an hour.
const LONGEST_TOKEN: Duration = Duration::from_secs(3_600);
/// How many accounts have their access token fetched at once: one attempt for each, and those that share a place wait.
const AT_ONCE: usize = 64;
/// How long an account rests whose limit of a day is reached.
const DAY_IS_FULL: Duration = Duration::from_secs(3_600);

/// One of Google's APIs.
pub(crate) struct Use<'a> {
    /// What its breaker, its health and its figures are called.
    pub(crate) name: &'static str,
    /// What is asked for when somebody signs in.
    pub(crate) scopes: &'static str,
    /// Where it is.
    pub(crate) api_url: &'a str,
    /// How long an answer may take to begin.
    pub(crate) first_byte: Duration,
    /// The largest answer that is read, in bytes.
    pub(crate) largest: usize,
}

/// One of Google's APIs, with the access tokens of the accounts that it is asked for.
pub(crate) struct GoogleApi {
    api: Api,
    settings: GoogleCalendar,
    scopes: &'static str,
    api_url: String,
    clock: Arc<dyn Clock>,
    tokens: Cache<Uuid, (Secret, Timestamp)>,
    /// Of several that need a token at once, one fetches it.
    fetching: Vec<Mutex<()>>,
}

/// What is asked.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// The parts of the path behind that of the API.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a Value>,
    /// The version that must be there.
    pub(crate) version: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(crate) const fn get(path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, path, query, body: None, version: None }
    }

    pub(crate) const fn post(path: &'a [&'a str], body: &'a Value) -> Self {
        Self { method: Method::POST, path, query: &[], body: Some(body), version: None }
    }
}

/// The account behind a refresh token.
pub(crate) struct Holder<'a> {
    /// By what its access token is remembered.
    pub(crate) id: Uuid,
    pub(crate) refresh_token: &'a Secret,
}

impl GoogleApi {
    /// The API, if there are credentials for it.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(crate) fn new(
        of: &Use<'_>,
        settings: &GoogleCalendar,
        shared: &config::Providers,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>> {
        if !settings.is_set_up() {
            return Ok(None);
        }
        let service = Service {
            connections: CONNECTIONS,
            meaning,
            // An event that is gone, was changed or is there already is an answer like any other, as is a message that is.
            refuses_by_the_way: true,
            ..Service::new(of.name, of.api_url, of.first_byte, of.largest)
        };
        Ok(Some(Self {
            api: Api::new(&service, shared, Arc::clone(&clock))?,
            settings: settings.clone(),
            scopes: of.scopes,
            api_url: of.api_url.to_owned(),
            clock,
            tokens: Cache::builder().max_capacity(MOST_TOKENS).time_to_live(LONGEST_TOKEN).build(),
            fetching: (0..AT_ONCE).map(|_| Mutex::new(())).collect(),
        }))
    }

    /// What its breaker does with the next request, and what the last one came to.
    pub(crate) fn standing(&self) -> (BreakerState, Option<LastOutcome>) {
        self.api.standing()
    }

    /// Whether a request would be made now; else how long Google is still left alone.
    pub(crate) fn ready(&self) -> std::result::Result<(), Duration> {
        self.api.ready()
    }

    /// What PKCE proves (RFC 7636): it follows from the secret of the sign-in and from that of this installation, so that
    /// neither who sees the one nor the database has it.
    fn verifier(&self, secret: &[u8]) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.settings.client_secret.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, secret))
    }

    /// Where somebody signs in.
    pub(crate) fn authorization_url(&self, redirect: &str, state: &str, secret: &[u8]) -> Result<String> {
        let mut url = Url::parse(&self.settings.authorization_url).map_err(Error::internal)?;
        let verifier = self.verifier(secret);
        let challenge = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("response_type", "code")
            .append_pair("scope", self.scopes)
            .append_pair("access_type", "offline")
            .append_pair("prompt", "consent")
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Exchanges what somebody came back with for a refresh token, and remembers the access token that comes with it.
    pub(crate) async fn exchange(
        &self,
        id: Uuid,
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
    pub(crate) async fn revoke(&self, refresh_token: &Secret) -> std::result::Result<(), Fault> {
        let form = [("token", refresh_token.expose())];
        self.api.once(self.form(&self.settings.revoke_url, &form)).await?;
        Ok(())
    }

    async fn token(&self, form: &[(&str, &str)]) -> std::result::Result<Value, Fault> {
        let own =
            [("client_id", self.settings.client_id.as_str()), ("client_secret", self.settings.client_secret.expose())];
        let form: Vec<_> = form.iter().copied().chain(own).collect();
        match self.api.once(self.form(&self.settings.token_url, &form)).await.map_err(Fault::from) {
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
        self.api.request_to(Method::POST, url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    }

    fn remember(&self, id: Uuid, answer: &Value) -> std::result::Result<Secret, Fault> {
        let token = answer["access_token"].as_str().ok_or_else(|| Fault::Passing("no access token".to_owned()))?;
        let lasts = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(0));
        let token = Secret::new(token.to_owned());
        self.tokens.insert(id, (token.clone(), self.clock.now().plus(lasts)));
        Ok(token)
    }

    /// Forgets what it remembers of an account.
    pub(crate) fn forget(&self, id: Uuid) {
        self.tokens.invalidate(&id);
    }

    fn remembered(&self, id: Uuid) -> Option<Secret> {
        let (token, until) = self.tokens.get(&id)?;
        (self.clock.now().plus(MARGIN) < until).then_some(token)
    }

    /// An access token of an account, and whether it was fetched just now.
    pub(crate) async fn access(&self, holder: &Holder<'_>) -> std::result::Result<(Secret, bool), Fault> {
        if let Some(token) = self.remembered(holder.id) {
            return Ok((token, false));
        }
        let place = usize::try_from(holder.id.as_u128() % AT_ONCE as u128).unwrap_or(0);
        let _mine = self.fetching[place].lock().await;
        if let Some(token) = self.remembered(holder.id) {
            return Ok((token, false));
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", holder.refresh_token.expose())];
        let answer = self.token(&form).await?;
        Ok((self.remember(holder.id, &answer)?, true))
    }

    /// Asks on behalf of an account. An access token that is refused is fetched anew once.
    pub(crate) async fn ask(&self, holder: &Holder<'_>, ask: &Ask<'_>) -> std::result::Result<Value, Fault> {
        for last in [false, true] {
            let (token, _) = self.access(holder).await?;
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
        let request = self.request(token, ask)?;
        let answer = match ask.method {
            Method::GET => self.api.call(request, Saying::Again).await,
            _ => self.api.once(request).await,
        };
        Ok(answer?)
    }

    /// Asks a single time with an access token, whatever comes of it. The answer tells whether it may have been acted on.
    pub(crate) async fn once(&self, token: &Secret, ask: &Ask<'_>) -> std::result::Result<Value, ApiFault> {
        self.api.once(self.request(token, ask)?).await
    }

    fn request(&self, token: &Secret, ask: &Ask<'_>) -> std::result::Result<RequestBuilder, ApiFault> {
        let bad = |error: String| ApiFault::NotSent(error);
        let mut url = Url::parse(&self.api_url).map_err(|error| bad(error.to_string()))?;
        url.path_segments_mut().map_err(|()| bad("no address".to_owned()))?.pop_if_empty().extend(ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|e| bad(e.to_string()))?;
        bearer.set_sensitive(true);
        let mut request = self.api.request_to(ask.method.clone(), url).header(AUTHORIZATION, bearer);
        if let Some(version) = ask.version {
            request = request.header(IF_MATCH, version);
        }
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        Ok(request)
    }
}

/// What an answer means: nothing at all is said where there is nothing to say.
fn meaning(answer: Answer) -> std::result::Result<Value, ApiFault> {
    let (status, text) = (answer.status.as_u16(), answer.body?);
    match status {
        204 | 205 => Ok(Value::Null),
        200..=299 if text.is_empty() => Ok(Value::Null),
        200..=299 => serde_json::from_slice(&text).map_err(|error| ApiFault::Unknown(format!("no JSON: {error}"))),
        429 => Err(busy(&reason_of(&text), answer.after)),
        // Nobody says whether it was acted on.
        408 => Err(ApiFault::Unknown("status 408".to_owned())),
        500..=599 => Err(ApiFault::Unknown(format!("status {status}"))),
        _ => Err(refusal(status, &text, answer.after)),
    }
}

/// Its word for the reason.
fn reason_of(text: &[u8]) -> String {
    let body: Value = serde_json::from_slice(text).unwrap_or_default();
    let reason = body["error"]["errors"][0]["reason"].as_str().or_else(|| body["error"]["status"].as_str());
    let reason = reason.or_else(|| body["error"].as_str()).unwrap_or("no reason");
    reason.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

/// It has no time for it: for a moment, or for the day.
fn busy(reason: &str, after: Option<Duration>) -> ApiFault {
    match reason {
        "dailyLimitExceeded" => ApiFault::Busy(Some(after.unwrap_or_default().max(DAY_IS_FULL))),
        _ => ApiFault::Busy(after),
    }
}

/// What a refusal means: 403 is also what Google says to who asks too often.
fn refusal(status: u16, text: &[u8], after: Option<Duration>) -> ApiFault {
    let reason = reason_of(text);
    const TOO_OFTEN: [&str; 4] = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"];
    if status == 403 && TOO_OFTEN.contains(&reason.as_str()) {
        return busy(&reason, after);
    }
    ApiFault::Refused(status, reason)
}
