//! The client itself: how a call is made, repeated and read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mainstay_domain::{Entropy, Secret};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::builder::{ClientBuilder, Timeouts};
use crate::call::Call;
use crate::chance;
use crate::credentials::{Authorisation, Credentials, Keep, Session, Tokens};
use crate::error::{Error, Problem, TransportFault};
use crate::retry::{Budget, RetryPolicy};

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A client of one server, in the name of one person, one API key, or nobody. Cloning it is cheap, and clones share their
/// connections, limits and sign-in.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use mainstay_client::{Client, Listing};
/// # use mainstay_domain::{Entropy, Secret};
/// # async fn example(entropy: Arc<dyn Entropy>) -> Result<(), mainstay_client::Error> {
/// let key = Secret::new(std::env::var("MAINSTAY_KEY").unwrap_or_default());
/// let client = Client::builder("https://chat.example.com", entropy).token(key).build()?;
/// for conversation in client.conversations(&Listing::default()).await?.data {
///     println!("{} {}", conversation.updated_at, conversation.title);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) credentials: Credentials,
}

/// What all clones of a client share.
pub(crate) struct Shared {
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: Budget,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) in_flight: Semaphore,
    pub(crate) connecting: Arc<Semaphore>,
    pub(crate) keep: Option<Keep>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.shared.base).field("in_the_name_of", &self.credentials).finish()
    }
}

impl Client {
    /// Begins to make a client of the server at this address. Chance is for jitter, keys and nonces: it must be good, and
    /// not repeat itself in the next process.
    pub fn builder(base_url: &str, entropy: Arc<dyn Entropy>) -> ClientBuilder {
        ClientBuilder::new(base_url, entropy)
    }

    /// The same connections and limits in the name of another token: for programs that speak for many people.
    ///
    /// # Errors
    /// [`Error::Setting`] when the token holds what a header cannot.
    pub fn with_token(&self, token: &Secret) -> Result<Self, Error> {
        Ok(Self { shared: Arc::clone(&self.shared), credentials: Credentials::token(token)? })
    }

    /// The same connections and limits in the name of another sign-in.
    #[must_use]
    pub fn with_session(&self, tokens: Tokens) -> Self {
        let session = Session::new(tokens, self.shared.keep.clone());
        Self { shared: Arc::clone(&self.shared), credentials: Credentials::Session(Arc::new(session)) }
    }

    /// The present pair of tokens of the sign-in, if the client speaks for one.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        match &self.credentials {
            Credentials::Session(session) => Some(session.tokens()),
            Credentials::None | Credentials::Token(_) => None,
        }
    }

    /// A new random id, for things that the client names itself. Where ids should sort by time, use
    /// [`mainstay_domain::Ids`] instead.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        chance::uuid(&*self.shared.entropy)
    }

    /// A key under which a call may be repeated.
    pub(crate) fn new_key(&self) -> String {
        self.new_id().to_string()
    }

    /// Makes a call and reads its answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let body = self.body(call).await?;
        serde_json::from_slice(&body).map_err(|error| Error::decode("the answer", error))
    }

    /// Makes a call whose answer says nothing more.
    pub(crate) async fn done(&self, call: &Call) -> Result<(), Error> {
        self.body(call).await.map(drop)
    }

    /// Makes a call and reads its whole answer. What fails on the way is repeated like what fails before.
    pub(crate) async fn body(&self, call: &Call) -> Result<Bytes, Error> {
        let begun = Instant::now();
        let mut made = 0;
        loop {
            made += 1;
            let answer = match self.attempt(call).await {
                Ok(response) => self.read(response).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(body) => return Ok(body),
                Err(error) => self.pause(call, error, made, begun).await?,
            }
        }
    }

    /// Makes a call whose answer is a stream: only up to its beginning.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Response, Error> {
        let begun = Instant::now();
        let mut made = 0;
        loop {
            made += 1;
            match self.attempt(call).await {
                Ok(response) => return Ok(response),
                Err(error) => self.pause(call, error, made, begun).await?,
            }
        }
    }

    /// Waits for the next attempt, or says that there is none.
    async fn pause(&self, call: &Call, error: Error, made: u32, begun: Instant) -> Result<(), Error> {
        let shared = &*self.shared;
        let Some(wait) = shared.retry.next(&error, call.repeat, made, begun, (&shared.budget, &*shared.entropy)) else {
            return Err(error);
        };
        tracing::debug!(method = %call.method, path = call.path, %error, made, ?wait, "making a call again");
        sleep(wait).await;
        Ok(())
    }

    /// One attempt, and a second one at once when the sign-in had to be renewed for it.
    async fn attempt(&self, call: &Call) -> Result<Response, Error> {
        let _turn = self.shared.in_flight.acquire().await;
        self.shared.budget.call();
        let authorisation = self.authorise(call.anonymous).await?;
        let refused = match self.ask(call, &authorisation).await {
            Err(error) if error.status() == Some(401) && !call.anonymous => error,
            answer => return answer,
        };
        match self.renewed(&authorisation).await? {
            Some(authorisation) => self.ask(call, &authorisation).await,
            None => Err(refused),
        }
    }

    /// What a request carries.
    pub(crate) async fn authorise(&self, anonymous: bool) -> Result<Authorisation, Error> {
        match &self.credentials {
            _ if anonymous => Ok(Authorisation { header: None, generation: 0 }),
            Credentials::None => Ok(Authorisation { header: None, generation: 0 }),
            Credentials::Token(header) => Ok(Authorisation { header: Some(header.clone()), generation: 0 }),
            Credentials::Session(session) => session.authorise(self).await,
        }
    }

    /// What to carry instead of what was refused, if there can be anything else.
    pub(crate) async fn renewed(&self, refused: &Authorisation) -> Result<Option<Authorisation>, Error> {
        let Credentials::Session(session) = &self.credentials else { return Ok(None) };
        session.renew(self, refused.generation).await?;
        session.authorise(self).await.map(Some)
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str, query: &[(&'static str, String)]) -> Result<Url, Error> {
        let text = format!("{}{path}", self.shared.base);
        let mut url: Url = text.parse().map_err(|error| Error::Setting(format!("{text}: {error}")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Sends a request and waits for the beginning of a good answer. A refusal is read to its end.
    async fn ask(&self, call: &Call, authorisation: &Authorisation) -> Result<Response, Error> {
        let mut request = self.shared.http.request(call.method.clone(), self.url(&call.path, &call.query)?);
        if let Some(header) = &authorisation.header {
            request = request.header(AUTHORIZATION, header);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(seen) = call.events_after {
            request = request.header(ACCEPT, HeaderValue::from_static("text/event-stream"));
            if seen > 0 {
                request = request.header("last-event-id", seen);
            }
        }
        let wait = call.first_byte.unwrap_or(self.shared.timeouts.first_byte);
        let response = self.begun(request, wait).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.problem(response).await)
    }

    /// Sends a request and waits for the beginning of any answer.
    pub(crate) async fn begun(&self, request: reqwest::RequestBuilder, wait: Duration) -> Result<Response, Error> {
        match timeout(wait, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(Error::transport(TransportFault::Connect, causes(&error))),
            Ok(Err(error)) => Err(Error::transport(TransportFault::Broken, causes(&error))),
            Err(_) => Err(Error::transport(TransportFault::FirstByte, format_args!("nothing within {wait:?}"))),
        }
    }

    /// Reads a refusal.
    pub(crate) async fn problem(&self, response: Response) -> Error {
        let (status, after) = (response.status().as_u16(), retry_after(response.headers()));
        // The status says enough when the rest does not arrive.
        let body = self.read(response).await.unwrap_or_default();
        Error::Problem(Box::new(Problem::read(status, after, &body)))
    }

    /// Reads an answer to its end, within bounds of time and size.
    async fn read(&self, mut response: Response) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        loop {
            let Some(chunk) = self.chunk(&mut response).await? else { return Ok(whole.freeze()) };
            if whole.len() + chunk.len() > LARGEST_ANSWER {
                let bound = format_args!("more than {LARGEST_ANSWER} bytes");
                return Err(Error::transport(TransportFault::TooLarge, bound));
            }
            whole.extend_from_slice(&chunk);
        }
    }

    /// The next piece of an answer.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Error> {
        let wait = self.shared.timeouts.idle;
        match timeout(wait, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(Error::transport(TransportFault::Broken, causes(&error))),
            Err(_) => Err(Error::transport(TransportFault::Idle, format_args!("nothing within {wait:?}"))),
        }
    }
}

/// `Retry-After` in seconds. The form with a date is not used by the server.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// An error with its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
