//! Tokens of outside issuers: Supabase, Auth0, Clerk, or any other that publishes its keys as a JWKS.
//!
//! Such a token is only evidence of who somebody is. The organisation and the role are those of the person's first
//! membership here, so nothing that an issuer says of roles is read.
//!
//! The checks follow RFC 8725 (JSON Web Token Best Current Practices): the issuer is one of the configured, exactly; the
//! algorithm is one of those pinned for it and fits the kind of the key; the key is one that the issuer publishes, named
//! by `kid`; the audience is ours; the times hold. The header decides nothing else: a token that brings its own key or a
//! place to get one (`jwk`, `jku`, `x5c`, `x5u`), or an extension to be understood (`crit`), is refused. HMAC and `none`
//! are never taken, so a public key can never be used as a secret.
//!
//! What the providers do: Supabase names `session_id` and leaves `email_verified` to `user_metadata`, which people can
//! edit, so it is not believed; Auth0 gives an array of audiences; Clerk gives no `aud` unless a JWT template does.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use mainstay_domain::{Clock, EmailAddress, Error, PersonName, Result, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use super::access_token::moment;
use super::jwks::{Found, KeySet, KeySource, algorithm_named};
use super::signatures;
use super::token_fault::TokenFault;
use crate::config;

/// The longest token that is looked at, in bytes.
pub const MOST_BYTES: usize = 8 * 1024;
/// How far the clock of an issuer may differ from ours.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// The longest subject or session that is taken, in characters (OpenID Connect Core, section 2, on `sub`).
const MOST_NAME: usize = 255;

/// The bounds of fetching keys.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long it may take in all.
    pub total_timeout: Duration,
    /// The largest answer, in bytes.
    pub most_bytes: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(2), total_timeout: Duration::from_secs(5), most_bytes: 256 * 1024 }
    }
}

/// Who an outside issuer says that somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideIdentity {
    /// The issuer, as configured (`iss`).
    pub issuer: String,
    /// What the issuer calls the person (`sub`): unique for the issuer only.
    pub subject: String,
    /// The person's address, if the issuer names one.
    pub email: Option<EmailAddress>,
    /// Whether the issuer itself vouches for the address (`email_verified` at the top of the claims). An address without
    /// this says nothing: an account must not be found or joined by it.
    pub email_verified: bool,
    /// What the person is called.
    pub name: Option<PersonName>,
    /// The issuer's name for the sign-in (`sid` or `session_id`).
    pub session: Option<String>,
    /// When the token was made (`iat`).
    pub issued_at: Timestamp,
    /// When it ends (`exp`).
    pub expires_at: Timestamp,
}

/// Verifies tokens of the configured issuers.
pub struct Issuers {
    issuers: Vec<Issuer>,
    clock: Arc<dyn Clock>,
}

struct Issuer {
    name: String,
    audience: String,
    algorithms: Vec<(String, Algorithm)>,
    keys: KeySource,
}

/// The header of a token. What must not be there is only noticed.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    jku: bool,
    #[serde(default, deserialize_with = "present")]
    jwk: bool,
    #[serde(default, deserialize_with = "present")]
    x5u: bool,
    #[serde(default, deserialize_with = "present")]
    x5c: bool,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
    #[serde(default, deserialize_with = "present")]
    enc: bool,
    #[serde(default, deserialize_with = "present")]
    zip: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The claims that are read. `iss` and `aud` are checked by the library; what describes the person is optional and may be
/// of any type, because a wrong one there is no reason to refuse.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    email: Option<serde_json::Value>,
    email_verified: Option<serde_json::Value>,
    name: Option<serde_json::Value>,
    user_metadata: Option<serde_json::Value>,
    sid: Option<serde_json::Value>,
    session_id: Option<serde_json::Value>,
}

impl Issuers {
    /// The issuers of the configuration. Nothing is fetched yet.
    ///
    /// # Errors
    /// When an issuer is not well described, or the process has no TLS provider installed.
    pub fn new(config: &config::Auth, clock: Arc<dyn Clock>, settings: &HttpSettings) -> Result<Self> {
        signatures::install();
        if config.issuers.is_empty() {
            return Ok(Self { issuers: Vec::new(), clock });
        }
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Error::internal("a TLS provider must be installed before issuers are made"));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.total_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("mainstay")
            .build()
            .map_err(Error::internal)?;
        let mut issuers: Vec<Issuer> = Vec::with_capacity(config.issuers.len());
        for (at, issuer) in config.issuers.iter().enumerate() {
            if issuers.iter().any(|known| known.name == issuer.issuer) {
                let field = format!("auth.issuers[{at}].issuer");
                return Err(Error::invalid_field(&field, "duplicate", "This issuer is already in the list."));
            }
            issuers.push(Issuer::new(issuer, at, &http, settings)?);
        }
        Ok(Self { issuers, clock })
    }

    /// Whether the text has the form of a token that could be for this: three parts, the first of them JSON. Ask it after
    /// `AccessTokens::looks_like`, since our own have that form too.
    #[must_use]
    pub fn looks_like(&self, text: &str) -> bool {
        // `eyJ` is the beginning of a JSON object in base64.
        !self.issuers.is_empty() && text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Who the token says that its bearer is, when one of the issuers made it for us and it holds now. Waits for keys until
    /// the deadline at most, and only when there are none at all or not the one that the token names.
    ///
    /// # Errors
    /// Says what is wrong with the token, or that the issuer's keys cannot be had.
    pub async fn verify(&self, token: &str, deadline: Instant) -> Result<OutsideIdentity, TokenFault> {
        if token.len() > MOST_BYTES {
            return Err(TokenFault::TooLong);
        }
        let [header, payload] = signed_parts(token)?;
        let header = Header::read(header)?;
        let issuer = self.issuer_of(payload)?;
        // The header chooses among what is pinned for the issuer, and only by name.
        let algorithm = issuer.algorithms.iter().find(|(name, _)| *name == header.alg).ok_or(TokenFault::Header)?.1;
        let keys = issuer.keys_with(header.kid.as_deref(), algorithm, deadline).await?;
        let key = match keys.find(header.kid.as_deref(), algorithm) {
            Found::Key(key) => key,
            Found::Unfit => return Err(TokenFault::Header),
            Found::Unknown => return Err(TokenFault::UnknownKey),
        };

        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.set_issuer(&[&issuer.name]);
        validation.set_audience(&[&issuer.audience]);
        // The library reads the wall clock; ours is an argument, so the times are checked below.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|fault| match fault.kind() {
            ErrorKind::InvalidSignature => TokenFault::Signature,
            ErrorKind::InvalidAudience => TokenFault::Audience,
            ErrorKind::InvalidIssuer => TokenFault::Issuer,
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenFault::Header,
            ErrorKind::InvalidKeyFormat => TokenFault::UnknownKey,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
                TokenFault::Claims
            }
            _ => TokenFault::Malformed,
        })?;
        claims.claims.identity(&issuer.name, self.clock.now())
    }

    /// Keeps the keys of every issuer fresh, for ever. Without it they are fetched when there are none, and then used for
    /// as long as they may be stale.
    pub async fn keep_fresh(&self) {
        loop {
            let due = join_all(self.issuers.iter().map(|issuer| issuer.keys.keep())).await;
            match due.into_iter().min() {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }

    /// The issuer that the token names, before anything about it is proven.
    fn issuer_of(&self, payload: &str) -> Result<&Issuer, TokenFault> {
        #[derive(Deserialize)]
        struct Named {
            iss: String,
        }
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenFault::Malformed)?;
        let named: Named = serde_json::from_slice(&json).map_err(|_| TokenFault::Claims)?;
        self.issuers.iter().find(|issuer| issuer.name == named.iss).ok_or(TokenFault::Issuer)
    }
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.issuers.iter().map(|issuer| &issuer.name)).finish()
    }
}

impl Issuer {
    fn new(config: &config::Issuer, at: usize, http: &reqwest::Client, settings: &HttpSettings) -> Result<Self> {
        let refused = |field: &str, code, detail: &str| {
            Err(Error::invalid_field(&format!("auth.issuers[{at}].{field}"), code, detail))
        };
        if config.issuer.is_empty() {
            return refused("issuer", "missing", "Name the issuer exactly as the `iss` claim does.");
        }
        if config.audience.is_empty() {
            return refused("audience", "missing", "Name the `aud` claim that says that a token is for this service.");
        }
        let url = match reqwest::Url::parse(&config.jwks_url) {
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => url,
            Ok(_) => return refused("jwks_url", "not_https", "Keys are only fetched by https, or from this machine."),
            Err(_) => return refused("jwks_url", "invalid_url", "This is not an address."),
        };
        if config.algorithms.is_empty() {
            return refused("algorithms", "missing", "Name at least one algorithm.");
        }
        let mut algorithms = Vec::with_capacity(config.algorithms.len());
        for name in &config.algorithms {
            let Some(algorithm) = algorithm_named(name) else {
                return refused("algorithms", "unknown", "Any of RS256, RS384, RS512, ES256, ES384, EdDSA.");
            };
            algorithms.push((name.clone(), algorithm));
        }
        Ok(Self {
            name: config.issuer.clone(),
            audience: config.audience.clone(),
            algorithms,
            keys: KeySource::new(url, http.clone(), settings),
        })
    }

    /// The set to look the key up in, fetched if there is none or it does not have the key.
    async fn keys_with(
        &self,
        key: Option<&str>,
        algorithm: Algorithm,
        deadline: Instant,
    ) -> Result<Arc<KeySet>, TokenFault> {
        let Some(keys) = self.keys.cached(Instant::now()) else {
            // Past the deadline it is as if there were none; the fetch is carried on by the next that needs it.
            let _ = tokio::time::timeout_at(deadline, self.keys.fetch_first()).await;
            return self.keys.cached(Instant::now()).ok_or(TokenFault::IssuerUnavailable);
        };
        // A key without a name is not looked for again: where there are several, fetching cannot mend that.
        if key.is_none() || !matches!(keys.find(key, algorithm), Found::Unknown) {
            return Ok(keys);
        }
        match tokio::time::timeout_at(deadline, self.keys.fetch_unknown()).await {
            Ok(true) => self.keys.cached(Instant::now()).ok_or(TokenFault::IssuerUnavailable),
            // There may well be such a key by now. To refuse the token would sign somebody out for nothing.
            Ok(false) | Err(_) => Err(TokenFault::IssuerUnavailable),
        }
    }
}

impl Header {
    fn read(part: &str) -> Result<Self, TokenFault> {
        let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
        let header: Self = serde_json::from_slice(&json).map_err(|_| TokenFault::Header)?;
        let brings_its_own = header.jku || header.jwk || header.x5u || header.x5c;
        let extends = header.crit || header.b64 || header.enc || header.zip;
        // Tokens that are for something else say so (RFC 8725, section 3.11): `logout+jwt`, `dpop+jwt`, `secevent+jwt`.
        let other = header.typ.as_deref().is_some_and(|typ| {
            let typ = typ.to_ascii_lowercase();
            !matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
        });
        if brings_its_own || extends || other { Err(TokenFault::Header) } else { Ok(header) }
    }
}

impl Claims {
    fn identity(self, issuer: &str, now: Timestamp) -> Result<OutsideIdentity, TokenFault> {
        let issued_at = moment(self.iat).ok_or(TokenFault::Claims)?;
        let expires_at = moment(self.exp).ok_or(TokenFault::Claims)?;
        let not_before = self.nbf.map_or(Ok(issued_at), |nbf| moment(nbf).ok_or(TokenFault::Claims))?;
        if expires_at.plus(LEEWAY) <= now {
            return Err(TokenFault::Expired);
        }
        if issued_at.max(not_before) > now.plus(LEEWAY) {
            return Err(TokenFault::NotYetValid);
        }
        if !is_name(&self.sub) {
            return Err(TokenFault::Claims);
        }
        let metadata = |key: &str| self.user_metadata.as_ref().and_then(|metadata| metadata.get(key)?.as_str());
        let text =
            |value: &Option<serde_json::Value>| value.as_ref().and_then(|value| value.as_str().map(str::to_owned));
        let email = text(&self.email).and_then(|email| EmailAddress::parse(&email).ok());
        let name = text(&self.name)
            .or_else(|| metadata("full_name").or_else(|| metadata("name")).map(str::to_owned))
            .and_then(|name| PersonName::parse(&name).ok())
            .filter(|name| !name.as_str().is_empty());
        Ok(OutsideIdentity {
            issuer: issuer.to_owned(),
            email_verified: email.is_some() && self.email_verified == Some(serde_json::Value::Bool(true)),
            email,
            name,
            session: text(&self.sid).or_else(|| text(&self.session_id)).filter(|session| is_name(session)),
            subject: self.sub,
            issued_at,
            expires_at,
        })
    }
}

/// The header and the payload of a token of exactly three parts, none of them empty.
fn signed_parts(token: &str) -> Result<[&str; 2], TokenFault> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None)
            if !header.is_empty() && !payload.is_empty() && !signature.is_empty() =>
        {
            Ok([header, payload])
        }
        _ => Err(TokenFault::Malformed),
    }
}

fn is_name(text: &str) -> bool {
    (1..=MOST_NAME).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_loopback(url: &reqwest::Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod rsa_fixture;
#[cfg(test)]
mod tests;
