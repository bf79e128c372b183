//! Authority as an argument: a handler that names one of these types cannot run without what it stands for.
//!
//! A token is checked without a query: our own by its signature, an API key and an outside token by what this node has
//! remembered of them for at most half a minute. What was revoked is known from the feed, and when the feed cannot be
//! read, nothing is believed.

mod operator;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use mainstay_domain::{ApiKeyId, ApiKeyScope, Error, Kind, PersonId, Result, Role, SessionId, TenantId, Timestamp};
use mainstay_store::{AuthoriseApiKey, Call, LookUpApiKey};
use moka::sync::Cache;
use tokio::time::Instant;

pub use self::operator::Operator;
pub use self::standing::Standing;
use super::{Accounts, api_key};
use crate::app::App;
use crate::audit_trail;
use crate::http::overload::Key;
use crate::http::{Problem, RequestContext};
use crate::limits;
use crate::ops::log::trail;

/// For how long an API key or an outside token is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The most that are remembered at once.
const MOST_REMEMBERED: u64 = 50_000;

/// A member of an organisation who is known by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The organisation that the token names.
    pub tenant: TenantId,
    /// Who.
    pub person: PersonId,
    /// What they may do in it.
    pub role: Role,
    /// How they are known.
    pub credential: Credential,
}

/// How a caller is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An access token of a sign-in here.
    Session(SessionId),
    /// An API key.
    ApiKey {
        /// Which one.
        id: ApiKeyId,
        /// What it may do.
        scopes: Vec<ApiKeyScope>,
    },
    /// A token of an outside issuer.
    Outside,
}

impl Member {
    /// True when the credential reaches that far. An API key needs the scope, and its maker's role still counts.
    pub(crate) fn may(&self, scope: ApiKeyScope) -> bool {
        let by_scope = match &self.credential {
            Credential::ApiKey { scopes, .. } => scopes.contains(&scope),
            Credential::Session(_) | Credential::Outside => true,
        };
        by_scope && (scope != ApiKeyScope::Admin || self.role >= Role::Admin)
    }
}

/// What this node remembers of tokens that cost a query.
pub(super) struct Remembered {
    cache: Cache<[u8; 32], Known>,
}

#[derive(Clone)]
pub(super) struct Known {
    member: Member,
    key: Option<ApiKeyId>,
    /// What is revoked at a later position of the feed is not in it.
    as_of: i64,
    /// When an outside issuer made the token.
    issued_at: Option<Timestamp>,
    until: Timestamp,
}

impl Remembered {
    pub(super) fn new() -> Self {
        Self { cache: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build() }
    }
}

fn unauthenticated(detail: &str) -> Error {
    Error::new(Kind::Unauthenticated, "unauthenticated", detail)
}

fn not_good() -> Error {
    unauthenticated("The token is not good, or no longer. Sign in again, or use another key.")
}

impl Accounts {
    /// Who a token stands for.
    ///
    /// # Errors
    /// `unauthenticated` when it is not good; `revocations_unknown` when that cannot be told now.
    pub async fn member(&self, token: &str, call: &Call) -> Result<Member> {
        self.revocations.ready(Instant::now())?;
        if self.access_tokens.looks_like(token) {
            let claims =
                self.access_tokens.verify(token, self.clock.now()).map_err(|fault| not_good().because(fault))?;
            if self.revocations.is_revoked(&claims) {
                return Err(not_good());
            }
            let credential = Credential::Session(claims.session);
            return Ok(Member { tenant: claims.tenant, person: claims.person, role: claims.role, credential });
        }
        let digest = digest(token);
        if let Some(known) = self.remembered.cache.get(&digest)
            && self.still_good(&known)
        {
            return Ok(known.member);
        }
        // Boxed, so that requests with an access token do not carry the size of these about.
        let known = if api_key::looks_like(token) {
            Box::pin(self.by_api_key(token, call)).await?
        } else if self.issuers.looks_like(token) {
            Box::pin(self.by_outside_token(token, call)).await?
        } else {
            return Err(not_good());
        };
        if !self.still_good(&known) {
            return Err(not_good());
        }
        self.remembered.cache.insert(digest, known.clone());
        Ok(known.member)
    }

    fn still_good(&self, known: &Known) -> bool {
        let Member { person, tenant, .. } = known.member;
        self.clock.now() < known.until
            && !self.revocations.is_outdated(person, tenant, known.as_of)
            && !known.issued_at.is_some_and(|at| self.revocations.is_outside_revoked(person, at))
            && !known.key.is_some_and(|key| self.revocations.is_api_key_revoked(key))
    }

    async fn by_api_key(&self, token: &str, call: &Call) -> Result<Known> {
        let hash = api_key::parse(token).map_err(|fault| not_good().because(fault))?;
        let place = self.store.run(call, LookUpApiKey(hash.to_hex())).await?;
        let (tenant, id) = place.ok_or_else(not_good)?;
        let authority = self.store.run(call, AuthoriseApiKey { tenant, id }).await?.ok_or_else(not_good)?;
        let credential = Credential::ApiKey { id: authority.id, scopes: authority.scopes };
        let member = Member { tenant, person: authority.person, role: authority.role, credential };
        Ok(Known {
            member,
            key: Some(authority.id),
            as_of: authority.as_of,
            issued_at: None,
            until: Timestamp::from_millis(i64::MAX),
        })
    }

    async fn by_outside_token(&self, token: &str, call: &Call) -> Result<Known> {
        let identity = self.issuers.verify(token, call.deadline()).await.map_err(Error::from)?;
        let (issued_at, until) = (Some(identity.issued_at), identity.expires_at);
        let person = self.outside_person(identity, call).await?;
        let membership = self.home(person, call).await?;
        let member =
            Member { tenant: membership.tenant, person, role: membership.role, credential: Credential::Outside };
        Ok(Known { member, key: None, as_of: membership.as_of, issued_at, until })
    }
}

fn digest(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    bytes
}

async fn known(parts: &Parts, app: &App) -> Result<Member> {
    let token = bearer(parts)?;
    // Counted apart: a key or an outside token that this node has not seen yet costs statements that are not the route's.
    let call = match parts.extensions.get::<RequestContext>() {
        Some(context) => Call::until(context.call.deadline()),
        None => Call::within(app.config.http.request_timeout()),
    };
    app.accounts.member(token, &call).await
}

/// The token of a request.
fn bearer(parts: &Parts) -> Result<&str> {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let header = headers.next().ok_or_else(|| {
        unauthenticated("A token is needed: send `Authorization: Bearer` with an access token or an API key.")
    })?;
    // A proxy in front may have looked at the other one.
    if headers.next().is_some() {
        return Err(unauthenticated("The header Authorization stands there more than once."));
    }
    header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| unauthenticated("The header Authorization must be `Bearer` and a token."))
}

/// The bearer token of a request, for what checks it by itself.
#[derive(Clone, Debug)]
pub struct BearerToken(pub Option<mainstay_domain::Secret>);

impl FromRequestParts<Arc<App>> for BearerToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let token = bearer(parts).map_err(challenge)?.to_owned();
        Ok(Self(Some(mainstay_domain::Secret::new(token))))
    }
}

/// Now that it is known whose the request is, it is held against their limits, and takes its place among those that are
/// worked on.
async fn admitted(parts: &Parts, app: &App) -> Result<Member, Problem> {
    let member = known(parts, app).await.map_err(challenge)?;
    trail::is_of(member.tenant, Some(member.person));
    if let Some(context) = parts.extensions.get::<RequestContext>() {
        limits::admit(app, context, parts.method.as_str(), &member).await?;
        context.admit(Key::Tenant(member.tenant)).await?;
    }
    Ok(member)
}

/// RFC 6750 (3): an answer to a missing or bad token names the scheme.
pub(crate) fn challenge(error: Error) -> Problem {
    let unauthenticated = error.kind == Kind::Unauthenticated;
    let problem = Problem::from(error);
    if unauthenticated {
        problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    } else {
        problem
    }
}

fn too_little(need: &str) -> Error {
    Error::new(Kind::Forbidden, "forbidden", format!("This needs {need}, which the token does not have."))
}

macro_rules! authorities {
    ($($(#[$doc:meta])* $name:ident($scope:ident, $need:literal);)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub Member);

        impl FromRequestParts<Arc<App>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
                let member = admitted(parts, app).await?;
                if !member.may(ApiKeyScope::$scope) {
                    return Err(too_little($need).into());
                }
                if ApiKeyScope::$scope == ApiKeyScope::Admin {
                    audit_trail::of_request(app, parts, &member, member.tenant);
                }
                Ok(Self(member))
            }
        }
    )+ };
}

authorities! {
    /// May read what is theirs.
    Reader(Read, "the scope read");
    /// May write.
    Writer(Write, "the scope write");
    /// Manages members and keys: an owner or an admin, or a key of theirs with that scope.
    Administrator(Admin, "the role owner or admin, and for a key the scope admin");
}

/// A person who has signed in here, by an access token: what belongs to the sign-in itself takes no API key.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub member: Member,
    /// By which sign-in.
    pub session: SessionId,
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let member = admitted(parts, app).await?;
        match member.credential {
            Credential::Session(session) => {
                audit_trail::of_request(app, parts, &member, member.tenant);
                Ok(Self { member, session })
            }
            Credential::ApiKey { .. } | Credential::Outside => Err(too_little("a sign-in here").into()),
        }
    }
}
