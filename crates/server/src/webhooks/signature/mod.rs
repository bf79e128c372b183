//! Whether what arrived was made by whoever knows the secret, checked over the bytes as they came.
//!
//! A scheme holds several secrets while one is being replaced; each of them is good. Without a secret nothing is. Every
//! comparison takes the same time wherever two values differ, and every header that takes part stands once. Where the
//! sender signs a moment too, it must lie within a [`Window`] around now; where it does not (Twilio, FastSpring), a
//! repeat is found by its identity alone.

mod fastspring;
mod format;
mod generic;
mod reading;
mod refused;
mod secrets;
mod standard;
mod twilio;
mod vapi;
mod window;

use http::HeaderMap;
use mainstay_domain::Timestamp;

pub use fastspring::FastSpring;
pub use format::{BadFormat, PayloadFormat};
pub use generic::{Algorithm, Encoding, Hmac};
pub use refused::Refused;
pub use secrets::{BadSecret, MOST_SECRETS, Secrets};
pub use standard::{HeaderNames, Signed, Standard, Unsignable, generate_secret, sign};
pub use twilio::Twilio;
pub use vapi::{Granted, Vapi};
pub use window::Window;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The whole address as the sender was given it, with scheme, host and query: made from the configured public
    /// address and never from a `Host` header. Only Twilio, and Vapi when its format says so, sign it.
    pub url: &'a str,
    /// The body, before anything has read it.
    pub body: &'a [u8],
    /// The present moment.
    pub now: Timestamp,
}

/// How a sender proves that it is the sender, with the secrets for it.
#[derive(Clone, Debug)]
pub enum Scheme {
    /// One of the four ways of Vapi.
    Vapi(Vapi),
    /// `X-Twilio-Signature`.
    Twilio(Twilio),
    /// `X-FS-Signature`.
    FastSpring(FastSpring),
    /// Standard Webhooks 1.0.0, also with the header names of Svix.
    Standard(Standard),
    /// An HMAC in a header, as many senders have it.
    Generic(Hmac),
}

impl Scheme {
    /// Checks a request.
    ///
    /// # Errors
    /// Says what is wrong with it. The words are for whoever set the webhook up; tell a caller the status only.
    pub fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        match self {
            Self::Vapi(vapi) => vapi.verify(incoming),
            Self::Twilio(twilio) => twilio.verify(incoming),
            Self::FastSpring(fastspring) => fastspring.verify(incoming),
            Self::Standard(standard) => standard.verify(incoming),
            Self::Generic(hmac) => hmac.verify(incoming),
        }
    }
}

#[cfg(test)]
mod tests;
