//! How a sender proves who it is, as it is set and stored, and what checks it.

use http::{HeaderMap, HeaderName};
use mainstay_domain::{Entropy, Error, FieldFault, Result, Secret, Timestamp, hexadecimal};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

use super::access_token;
use super::signature::{
    Algorithm, Encoding, FastSpring, HeaderNames, Hmac, Incoming, MOST_SECRETS, Refused, Scheme, Secrets, Standard,
    Twilio, Vapi, Window, generate_secret,
};
use super::sources::Source;

/// The longest tolerance, in seconds: a day. Within it a repeat is found by its identity alone.
const MOST_TOLERANCE: u32 = 86_400;
/// Bytes of a secret that we make for a sender that takes any.
const SECRET_BYTES: usize = 32;

/// How a sender proves who it is. What is left out is as the sender does it unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum SchemeSettings {
    /// Vapi: the secret in `X-Vapi-Secret`.
    SharedSecret {},
    /// Vapi: the secret in a header, as a bearer token.
    Bearer {
        /// Which header; `Authorization` when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<crate::openapi::words::HeaderName>)]
        header: Option<String>,
        /// Whether the word `Bearer` stands before it; true when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        prefixed: Option<bool>,
    },
    /// Vapi: an access token, which it fetches with the secret from `{url}/token`.
    Oauth2 {},
    /// Vapi and whoever signs alike: an HMAC in a header.
    Hmac {
        /// Where the signature stands; `x-signature` when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<crate::openapi::words::HeaderName>)]
        signature_header: Option<String>,
        /// What stands before it in the header, as `sha256=`.
        #[serde(skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// sha1, sha256 or sha512; sha256 when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        algorithm: Option<HashName>,
        /// hex or base64; hex when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding: Option<EncodingName>,
        /// What is signed, with the places `{body}`, `{timestamp}`, `{method}`, `{url}` and `{svix-id}`. Left out,
        /// `{timestamp}.{body}` for Vapi and `{body}` for others.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(pattern = r"^[^{}]*\{body\}[^{}]*$")]
        format: Option<String>,
        /// Where the moment stands; `x-timestamp` when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<crate::openapi::words::HeaderName>)]
        timestamp_header: Option<String>,
        /// Where the identity stands; `svix-id` when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<crate::openapi::words::HeaderName>)]
        id_header: Option<String>,
        /// Whether the secrets are written in base64.
        #[serde(skip_serializing_if = "Option::is_none")]
        secret_is_base64: Option<bool>,
        /// How far a signed moment may lie from now, in seconds; 300 when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 86_400)]
        tolerance_seconds: Option<u32>,
    },
    /// Twilio: `X-Twilio-Signature`. The secrets are the auth tokens of the account.
    Twilio {},
    /// FastSpring: `X-FS-Signature`.
    Fastspring {},
    /// Standard Webhooks 1.0.0.
    Standard {
        /// webhook or svix: how the headers begin; webhook when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        headers: Option<HeadersName>,
        /// How far the moment may lie from now, in seconds; 300 when it is left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 86_400)]
        tolerance_seconds: Option<u32>,
    },
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashName {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodingName {
    /// Hexadecimal.
    Hex,
    /// Base64.
    Base64,
}

/// How the headers of Standard Webhooks begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadersName {
    /// `webhook-`
    Webhook,
    /// `svix-`
    Svix,
}

/// What is stored for a sender.
#[derive(Deserialize, Serialize)]
struct Stored {
    settings: SchemeSettings,
    secrets: Vec<String>,
}

/// Settings and secrets as one text for the store.
///
/// # Errors
/// A bug.
pub fn stored(settings: &SchemeSettings, secrets: &[Secret]) -> Result<Secret> {
    let secrets = secrets.iter().map(|secret| secret.expose().to_owned()).collect();
    let text = serde_json::to_string(&Stored { settings: settings.clone(), secrets }).map_err(Error::internal)?;
    Ok(Secret::new(text))
}

/// The other way round.
///
/// # Errors
/// When what is stored is none of this version.
pub fn read(stored: &Secret) -> Result<(SchemeSettings, Vec<Secret>)> {
    // The words of the library may quote a secret.
    let read = serde_json::from_str::<Stored>(stored.expose());
    let Stored { settings, secrets } = read.map_err(|_| Error::internal("the scheme of a webhook cannot be read"))?;
    Ok((settings, secrets.into_iter().map(Secret::new).collect()))
}

impl SchemeSettings {
    /// How a sender does it unless told otherwise.
    #[must_use]
    pub fn usual(provider: Source) -> Self {
        match provider {
            Source::Vapi => Self::SharedSecret {},
            Source::Twilio => Self::Twilio {},
            Source::FastSpring => Self::Fastspring {},
            Source::Standard => Self::Standard { headers: None, tolerance_seconds: None },
            Source::Generic => Self::Hmac {
                signature_header: None,
                prefix: None,
                algorithm: None,
                encoding: None,
                format: None,
                timestamp_header: None,
                id_header: None,
                secret_is_base64: None,
                tolerance_seconds: None,
            },
        }
    }

    fn fits(&self, provider: Source) -> bool {
        match self {
            Self::SharedSecret {} | Self::Bearer { .. } | Self::Oauth2 {} => provider == Source::Vapi,
            Self::Hmac { .. } => matches!(provider, Source::Vapi | Source::Generic),
            Self::Twilio {} => provider == Source::Twilio,
            Self::Fastspring {} => provider == Source::FastSpring,
            Self::Standard { .. } => provider == Source::Standard,
        }
    }

    /// A secret for a sender that takes one of ours; nothing for one that brings its own.
    #[must_use]
    pub fn generate(&self, entropy: &dyn Entropy) -> Option<Secret> {
        match self {
            Self::Twilio {} => None,
            Self::Standard { .. } => Some(generate_secret(entropy)),
            Self::Hmac { secret_is_base64: Some(true), .. } => {
                let secret = generate_secret(entropy);
                Some(Secret::new(secret.expose().trim_start_matches("whsec_").to_owned()))
            }
            _ => {
                let mut bytes = [0; SECRET_BYTES];
                entropy.fill(&mut bytes);
                Some(Secret::new(hexadecimal(&bytes)))
            }
        }
    }
}

/// What checks the requests of a sender.
#[derive(Clone, Debug)]
pub enum Prover {
    /// By what they carry.
    Scheme(Scheme),
    /// By an access token that we gave for a secret.
    AccessToken(Vec<Secret>),
}

impl Prover {
    /// What these settings mean.
    ///
    /// # Errors
    /// `invalid_input` with every field that cannot be used.
    pub fn new(provider: Source, settings: &SchemeSettings, secrets: &[Secret]) -> Result<Self> {
        let mut faults = Faults::default();
        if !settings.fits(provider) {
            let detail = format!("Senders of the kind {provider} do not prove themselves in this way.");
            faults.add("scheme.mode", "wrong_mode", detail);
        }
        if secrets.is_empty() || secrets.len() > MOST_SECRETS {
            faults.add("secrets", "wrong_number", format!("Name 1 to {MOST_SECRETS} secrets."));
        }
        let prover = faults.prover(provider, settings, secrets);
        if faults.0.is_empty() { Ok(prover) } else { Err(Error::invalid(faults.0)) }
    }

    /// Checks a request.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        match self {
            Self::Scheme(scheme) => scheme.verify(incoming),
            Self::AccessToken(secrets) => {
                let granted = access_token::granted(secrets, incoming.headers);
                Scheme::Vapi(Vapi::OAuth2 { granted }).verify(incoming)
            }
        }
    }

    /// Gives an access token for a secret, where there are such, and for how long it is good.
    #[must_use]
    pub fn grant(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<(Secret, Duration)> {
        let Self::AccessToken(secrets) = self else { return None };
        access_token::grant(secrets, headers, body, now)
    }
}

/// What is wrong with settings.
#[derive(Default)]
struct Faults(Vec<FieldFault>);

impl Faults {
    fn add(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldFault::new(field, code, detail));
    }

    fn prover(&mut self, provider: Source, settings: &SchemeSettings, secrets: &[Secret]) -> Prover {
        Prover::Scheme(match settings {
            SchemeSettings::SharedSecret {} => Scheme::Vapi(Vapi::SharedSecret { secrets: self.text(secrets) }),
            SchemeSettings::Bearer { header, prefixed } => Scheme::Vapi(Vapi::Bearer {
                secrets: self.text(secrets),
                header: self.header("scheme.header", header.as_deref(), "authorization"),
                prefixed: prefixed.unwrap_or(true),
            }),
            SchemeSettings::Oauth2 {} => {
                self.text(secrets);
                return Prover::AccessToken(secrets.to_vec());
            }
            SchemeSettings::Hmac { .. } => {
                let hmac = self.hmac(provider, settings, secrets);
                if provider == Source::Vapi { Scheme::Vapi(Vapi::Hmac(hmac)) } else { Scheme::Generic(hmac) }
            }
            SchemeSettings::Twilio {} => Scheme::Twilio(Twilio { secrets: self.text(secrets) }),
            SchemeSettings::Fastspring {} => Scheme::FastSpring(FastSpring { secrets: self.text(secrets) }),
            SchemeSettings::Standard { headers, tolerance_seconds } => {
                let secrets = self.secrets(Secrets::standard(secrets));
                let names = match headers {
                    Some(HeadersName::Svix) => HeaderNames::Svix,
                    Some(HeadersName::Webhook) | None => HeaderNames::Webhook,
                };
                Scheme::Standard(Standard { names, window: self.window(*tolerance_seconds), ..Standard::new(secrets) })
            }
        })
    }

    fn hmac(&mut self, provider: Source, settings: &SchemeSettings, secrets: &[Secret]) -> Hmac {
        let SchemeSettings::Hmac {
            signature_header,
            prefix,
            algorithm,
            encoding,
            format,
            timestamp_header,
            id_header,
            secret_is_base64,
            tolerance_seconds,
        } = settings
        else {
            return Vapi::hmac(Secrets::default());
        };
        let base64 = secret_is_base64.unwrap_or(false);
        let secrets = if base64 { self.secrets(Secrets::base64(secrets)) } else { self.text(secrets) };
        let mut hmac = if provider == Source::Vapi {
            Vapi::hmac(secrets)
        } else {
            Hmac::new(HeaderName::from_static("x-signature"), secrets)
        };
        hmac.signature_header =
            self.header("scheme.signature_header", signature_header.as_deref(), hmac.signature_header.as_str());
        hmac.timestamp_header =
            self.header("scheme.timestamp_header", timestamp_header.as_deref(), hmac.timestamp_header.as_str());
        hmac.id_header = self.header("scheme.id_header", id_header.as_deref(), hmac.id_header.as_str());
        hmac.algorithm = match algorithm {
            Some(HashName::Sha1) => Algorithm::Sha1,
            Some(HashName::Sha512) => Algorithm::Sha512,
            Some(HashName::Sha256) | None => Algorithm::Sha256,
        };
        if *encoding == Some(EncodingName::Base64) {
            hmac.encoding = Encoding::Base64;
        }
        hmac.prefix = prefix.clone().unwrap_or_default();
        if let Some(format) = format {
            match format.parse() {
                Ok(format) => hmac.format = format,
                Err(bad) => self.add("scheme.format", bad.code(), bad.detail()),
            }
        }
        hmac.window = self.window(*tolerance_seconds);
        hmac
    }

    fn secrets(&mut self, secrets: Result<Secrets, super::signature::BadSecret>) -> Secrets {
        secrets.unwrap_or_else(|bad| {
            self.add("secrets", bad.code(), bad.detail());
            Secrets::default()
        })
    }

    fn text(&mut self, secrets: &[Secret]) -> Secrets {
        self.secrets(Secrets::text(secrets))
    }

    fn header(&mut self, field: &str, name: Option<&str>, usual: &str) -> HeaderName {
        let name = name.unwrap_or(usual);
        name.parse().unwrap_or_else(|_| {
            self.add(field, "invalid_header", "This is no name of a header.");
            HeaderName::from_static("x-signature")
        })
    }

    fn window(&mut self, seconds: Option<u32>) -> Window {
        let Some(seconds) = seconds else { return Window::default() };
        if !(1..=MOST_TOLERANCE).contains(&seconds) {
            let detail = format!("A tolerance has 1 to {MOST_TOLERANCE} seconds.");
            self.add("scheme.tolerance_seconds", "out_of_range", detail);
        }
        let tolerance = Duration::from_secs(u64::from(seconds));
        Window { past: tolerance, future: tolerance }
    }
}
