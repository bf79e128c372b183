//! Google's calendar API (<https://developers.google.com/workspace/calendar/api>). Lives in one process: access tokens until
//! they end. On several nodes each fetches for itself.
//!
//! What only reads is tried once more. Nothing here holds a transaction.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use mainstay_domain::{CalendarConnectionId, Clock, Error, Result, Secret, Timestamp};
use moka::sync::Cache;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;

use super::fault::Fault;
use crate::config::{self, GoogleCalendar};
use crate::providers::api::{Answer, Api, ApiFault, Saying, Service};
use crate::providers::{BreakerState, LastOutcome};

/// The largest answer that is read, in bytes: a page of a thousand events.
const LARGEST: usize = 8 * 1024 * 1024;
/// Connections that are kept for further requests.
const CONNECTIONS: usize = 8;
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
    api: Api,
    settings: GoogleCalendar,
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
        let service = Service {
            connections: CONNECTIONS,
            meaning,
            // An event that is gone, was changed or is there already is an answer like any other.
            refuses_by_the_way: true,
            ..Service::new("google_calendar", &settings.api_url, settings.first_byte_timeout(), LARGEST)
        };
        Ok(Some(Self {
            api: Api::new(&service, shared, Arc::clone(&clock))?,
            settings: settings.clone(),
            clock,
            tokens: Cache::builder().max_capacity(MOST_TOKENS).time_to_live(LONGEST_TOKEN).build(),
        }))
    }

    /// What its breaker does with the next request, and what the last one came to.
    pub(crate) fn standing(&self) -> (BreakerState, Option<LastOutcome>) {
        self.api.standing()
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
        let mut request = self.api.request_to(ask.method.clone(), url).header(AUTHORIZATION, bearer);
        if let Some(version) = ask.version {
            request = request.header(IF_MATCH, version);
        }
        if let Some(body) = ask.body {
            request = request.json(body);
        }
        let answer = match ask.method {
            Method::GET => self.api.call(request, Saying::Again).await,
            _ => self.api.once(request).await,
        };
        Ok(answer?)
    }
}

/// What an answer means: nothing at all is said where there is nothing to say.
fn meaning(answer: Answer) -> std::result::Result<Value, ApiFault> {
    let (status, text) = (answer.status.as_u16(), answer.body?);
    match status {
        204 | 205 => Ok(Value::Null),
        200..=299 if text.is_empty() => Ok(Value::Null),
        200..=299 => serde_json::from_slice(&text).map_err(|error| ApiFault::Unknown(format!("no JSON: {error}"))),
        429 => Err(ApiFault::Busy(answer.after)),
        500..=599 => Err(ApiFault::Unknown(format!("status {status}"))),
        _ => Err(refusal(status, &text, answer.after)),
    }
}

/// What a refusal means: 403 is also what Google says to who asks too often.
fn refusal(status: u16, text: &[u8], after: Option<Duration>) -> ApiFault {
    let body: Value = serde_json::from_slice(text).unwrap_or_default();
    let reason = body["error"]["errors"][0]["reason"].as_str().or_else(|| body["error"]["status"].as_str());
    let reason = reason.or_else(|| body["error"].as_str()).unwrap_or("no reason");
    if status == 403 && ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"].contains(&reason) {
        return ApiFault::Busy(after);
    }
    ApiFault::Refused(status, reason.chars().filter(|letter| !letter.is_control()).take(100).collect())
}
