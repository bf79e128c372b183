//! One call of the API, before it is made.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;

use crate::error::Error;
use crate::retry::Repeat;

/// A request, and what the client may do with it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) key: Option<String>,
    pub(crate) repeat: Repeat,
    pub(crate) anonymous: bool,
    /// Instead of the usual wait for the beginning of the answer.
    pub(crate) first_byte: Option<Duration>,
    /// Whether the answer is to be a stream of events, and after which one.
    pub(crate) events_after: Option<u64>,
}

impl Call {
    fn new(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            key: None,
            repeat,
            anonymous: false,
            first_byte: None,
            events_after: None,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Repeat::Safe)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Repeat::Safe)
    }

    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path, Repeat::Safe)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, Repeat::Safe)
    }

    /// A POST is not repeated unless [`Call::repeatable`] or [`Call::keyed`] says so.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Repeat::Unsent)
    }

    /// It does the same however often it is made.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    /// With an idempotency key, which stays the same over all attempts.
    pub(crate) fn keyed(mut self, key: String) -> Self {
        self.key = Some(key);
        self.repeatable()
    }

    /// In nobody's name.
    pub(crate) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(crate) fn query(mut self, name: &'static str, value: Option<impl Display>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn first_byte(mut self, wait: Duration) -> Self {
        self.first_byte = Some(wait);
        self
    }

    pub(crate) fn events_after(mut self, seen: u64) -> Self {
        self.events_after = Some(seen);
        self
    }

    pub(crate) fn json<T: Serialize>(mut self, body: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Setting(error.to_string()))?;
        self.body = Some(body.into());
        Ok(self)
    }
}
