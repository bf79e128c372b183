//! Who the client speaks for, and how a sign-in is kept going.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_domain::Secret;
use reqwest::header::HeaderValue;
use serde::Serialize;
use tokio::time::Instant;

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::model::SignedIn;

/// Is told each new pair of tokens.
pub(crate) type Keep = Arc<dyn Fn(&Tokens) + Send + Sync>;

/// The pair of tokens of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: Secret,
    /// For the next pair. Good once.
    pub refresh_token: Secret,
    /// How long the access token is good from now on.
    pub expires_in: Duration,
}

/// Who the client speaks for.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// Nobody.
    None,
    /// One token, for good. The header's value, made once.
    Token(HeaderValue),
    /// A sign-in.
    Session(Arc<Session>),
}

impl Credentials {
    /// One token, for good.
    ///
    /// # Errors
    /// When it holds what a header cannot.
    pub(crate) fn token(token: &Secret) -> Result<Self, Error> {
        bearer(token).map(Self::Token)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nobody",
            Self::Token(_) => "a token",
            Self::Session(_) => "a sign-in",
        })
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| Error::Setting("the token holds what a header cannot".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A sign-in that is renewed: once for all who wait, some time before the access token ends, and when it is refused.
pub(crate) struct Session {
    state: Mutex<State>,
    renewing: tokio::sync::Mutex<()>,
    keep: Option<Keep>,
}

struct State {
    tokens: Tokens,
    renew_at: Instant,
    ends_at: Instant,
    /// Counts the pairs.
    generation: u64,
    /// Counts the attempts to renew.
    attempts: u64,
    /// How the last attempt failed.
    failure: Option<Error>,
    /// The sign-in has ended.
    ended: Option<Error>,
}

/// What a request carries, and which pair of tokens it is from.
pub(crate) struct Authorisation {
    pub(crate) header: Option<HeaderValue>,
    pub(crate) generation: u64,
}

impl Session {
    pub(crate) fn new(tokens: Tokens, keep: Option<Keep>) -> Self {
        let now = Instant::now();
        let state = State {
            renew_at: now + renew_after(&tokens),
            ends_at: now + tokens.expires_in,
            tokens,
            generation: 0,
            attempts: 0,
            failure: None,
            ended: None,
        };
        Self { state: Mutex::new(state), renewing: tokio::sync::Mutex::new(()), keep }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present pair.
    pub(crate) fn tokens(&self) -> Tokens {
        let state = self.state();
        let left = state.ends_at.saturating_duration_since(Instant::now());
        Tokens { expires_in: left, ..state.tokens.clone() }
    }

    /// Takes a new pair.
    pub(crate) fn replace(&self, tokens: Tokens) {
        let now = Instant::now();
        if let Some(keep) = &self.keep {
            keep(&tokens);
        }
        let mut state = self.state();
        state.renew_at = now + renew_after(&tokens);
        state.ends_at = now + tokens.expires_in;
        state.tokens = tokens;
        state.generation += 1;
        state.failure = None;
    }

    /// Ends it: nothing more is asked in its name.
    pub(crate) fn end(&self, error: Error) {
        self.state().ended = Some(error);
    }

    /// The header of a request. Renews the pair first when it is about to end.
    pub(crate) async fn authorise(&self, client: &Client) -> Result<Authorisation, Error> {
        let (generation, due) = {
            let state = self.state();
            (state.generation, Instant::now() >= state.renew_at)
        };
        if due && let Err(error) = self.renew(client, generation).await {
            let state = self.state();
            // A server that cannot renew now may still take the token that we have.
            if state.ended.is_some() || Instant::now() >= state.ends_at {
                return Err(error);
            }
        }
        let state = self.state();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        Ok(Authorisation { header: Some(bearer(&state.tokens.access_token)?), generation: state.generation })
    }

    /// Renews the pair, unless somebody has renewed the one of this `generation` meanwhile. Whoever comes while it is
    /// being done waits, and shares what comes of it.
    pub(crate) async fn renew(&self, client: &Client, generation: u64) -> Result<(), Error> {
        let attempts = self.state().attempts;
        let _alone = self.renewing.lock().await;
        let refresh_token = {
            let state = self.state();
            if let Some(ended) = &state.ended {
                return Err(ended.clone());
            }
            if state.generation != generation {
                return Ok(());
            }
            if let Some(failure) = state.failure.as_ref().filter(|_| state.attempts > attempts) {
                return Err(failure.clone());
            }
            state.tokens.refresh_token.clone()
        };
        let renewed = refresh(client, &refresh_token).await;
        self.state().attempts += 1;
        match renewed {
            Ok(signed_in) => {
                self.replace(signed_in.tokens(Some(&refresh_token)));
                Ok(())
            }
            Err(Error::Problem(problem)) if matches!(problem.status, 400 | 401 | 403) => {
                let error = Error::SignedOut(problem);
                self.end(error.clone());
                Err(error)
            }
            Err(error) => {
                self.state().failure = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// Exchanges a refresh token for the next pair. The server answers a repeat within some seconds with the same pair, so
/// it may be repeated.
pub(crate) async fn refresh(client: &Client, token: &Secret) -> Result<SignedIn, Error> {
    #[derive(Serialize)]
    struct Body<'a> {
        refresh_token: &'a str,
    }
    let call = Call::post("/v1/auth/refresh").anonymous().repeatable().json(&Body { refresh_token: token.expose() })?;
    // Boxed, because a call may lead here.
    Box::pin(client.json(&call)).await
}

/// When to renew: a tenth of its life before the end, at most a minute.
fn renew_after(tokens: &Tokens) -> Duration {
    tokens.expires_in.saturating_sub((tokens.expires_in / 10).min(Duration::from_secs(60)))
}
