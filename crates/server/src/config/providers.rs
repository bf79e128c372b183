//! The section `[providers]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Warning};
use crate::providers::Price;

/// A million of the currency's unit for a million tokens.
const MOST_PRICE: i64 = 1_000_000_000_000;

pub(super) const BOUNDS: &[Bound] = &[
    ("providers.connect_timeout_ms", 10, 60_000),
    ("providers.first_token_timeout_ms", 10, 600_000),
    ("providers.idle_timeout_ms", 10, 600_000),
    ("providers.max_retries", 0, 10),
    ("providers.retry_budget_percent", 0, 100),
    ("providers.breaker_failures", 1, 1_000),
    ("providers.breaker_open_ms", 10, 600_000),
    ("providers.max_concurrency", 1, 100_000),
    ("providers.max_queue", 0, 100_000),
    ("providers.queue_timeout_ms", 10, 600_000),
    ("providers.offline.word_ms", 0, 10_000),
    ("providers.anthropic.input_price_micros", 0, MOST_PRICE),
    ("providers.anthropic.output_price_micros", 0, MOST_PRICE),
    ("providers.openai.input_price_micros", 0, MOST_PRICE),
    ("providers.openai.output_price_micros", 0, MOST_PRICE),
];

/// The default model of OpenAI, and what a million of its tokens cost (openai.com/api/pricing).
const OPENAI_MODEL: &str = "gpt-4.1-mini";
const OPENAI_PRICE: Price = Price { input: 400_000, output: 1_600_000 };
const PRICE_CURE: &str = "Set input_price_micros and output_price_micros as the provider has published them";

/// Where OpenAI itself is. Any other server may work without a key.
const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// Who makes the replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Providers {
    /// Which providers answer, in order: the next one is asked when the one before cannot, and goes on with its text when it breaks off in the middle ("offline" never does). Any of "anthropic", "openai", "offline". Empty: those with a key, and "openai" with a base_url of your own; else "offline".
    pub order: Vec<String>,
    /// How long connecting to a provider may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a provider may take to its first token, in milliseconds.
    pub first_token_timeout_ms: u64,
    /// How long a provider may pause between tokens, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How often one request is tried again with the same provider.
    pub max_retries: u32,
    /// Retries in per cent of requests to a provider, over the last minute: past that nothing is tried again. Ten a minute are always allowed.
    pub retry_budget_percent: u32,
    /// Failures in a row after which a provider is left alone for a while.
    pub breaker_failures: u32,
    /// For how long, in milliseconds.
    pub breaker_open_ms: u64,
    /// Requests that run at the same moment with one provider. Further ones wait, served in turn by organisation.
    pub max_concurrency: usize,
    /// The most requests that wait for one provider. Further ones go to the next provider or are refused.
    pub max_queue: usize,
    /// How long a request waits in that queue, in milliseconds.
    pub queue_timeout_ms: u64,
    /// The Anthropic Messages API.
    pub anthropic: Anthropic,
    /// Any server that speaks the protocol of OpenAI's chat completions.
    pub openai: OpenAi,
    /// The responder that needs no key.
    pub offline: Offline,
}

/// The Anthropic Messages API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Anthropic {
    /// The key. ANTHROPIC_API_KEY sets it too.
    pub api_key: Secret,
    /// A file that holds the key.
    pub api_key_file: String,
    /// Where the API is.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// What a million tokens that the model reads cost, in millionths of the currency's unit (3.00 is 3000000).
    pub input_price_micros: u64,
    /// What a million tokens that it writes cost.
    pub output_price_micros: u64,
}

/// Any server that speaks the protocol of OpenAI's chat completions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenAi {
    /// The key, which a local server may not need. OPENAI_API_KEY sets it too.
    pub api_key: Secret,
    /// A file that holds the key.
    pub api_key_file: String,
    /// Where the API is: OpenAI itself, or any server that speaks its protocol (Ollama, vLLM, llama.cpp). OPENAI_BASE_URL sets it too.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// What a million tokens that the model reads cost, in millionths of the currency's unit. When both are 0: with OpenAI itself the price of the default model, with a server of your own nothing.
    pub input_price_micros: u64,
    /// What a million tokens that it writes cost.
    pub output_price_micros: u64,
}

/// The responder that needs no key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Offline {
    /// The pace of a streamed answer, in milliseconds for a word.
    pub word_ms: u64,
}

durations!(Providers {
    connect_timeout: from_millis(connect_timeout_ms),
    first_token_timeout: from_millis(first_token_timeout_ms),
    idle_timeout: from_millis(idle_timeout_ms),
    breaker_open: from_millis(breaker_open_ms),
    queue_timeout: from_millis(queue_timeout_ms),
});

durations!(Offline { word: from_millis(word_ms) });

/// A provider by its name in `providers.order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderName {
    /// `"anthropic"`.
    Anthropic,
    /// `"openai"`.
    OpenAi,
    /// `"offline"`.
    Offline,
}

impl ProviderName {
    const ALL: [Self; 3] = [Self::Anthropic, Self::OpenAi, Self::Offline];

    /// As it is written in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::Offline => "offline",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }
}

impl Anthropic {
    /// What its tokens cost.
    #[must_use]
    pub const fn price(&self) -> Price {
        Price { input: self.input_price_micros, output: self.output_price_micros }
    }
}

impl OpenAi {
    /// What its tokens cost. What nobody has set is the published price of the default model with OpenAI itself, and
    /// nothing with a server of one's own.
    #[must_use]
    pub fn price(&self) -> Price {
        if self.counts_as_published() {
            OPENAI_PRICE
        } else {
            Price { input: self.input_price_micros, output: self.output_price_micros }
        }
    }

    fn counts_as_published(&self) -> bool {
        !self.is_other_server() && self.input_price_micros == 0 && self.output_price_micros == 0
    }

    /// True unless the address is that of OpenAI itself, which takes no request without a key.
    #[must_use]
    pub fn is_other_server(&self) -> bool {
        self.base_url.trim_end_matches('/') != OPENAI_BASE_URL
    }
}

impl Providers {
    /// Who is asked, in order; never empty.
    #[must_use]
    pub fn effective_order(&self) -> Vec<ProviderName> {
        let order: Vec<_> = if self.order.is_empty() {
            let can_answer = |provider: &ProviderName| match provider {
                ProviderName::Anthropic | ProviderName::OpenAi => self.lacks(*provider).is_none(),
                ProviderName::Offline => false,
            };
            ProviderName::ALL.into_iter().filter(can_answer).collect()
        } else {
            self.order.iter().filter_map(|name| ProviderName::parse(name)).collect()
        };
        if order.is_empty() { vec![ProviderName::Offline] } else { order }
    }

    fn asks(&self, provider: ProviderName) -> bool {
        self.effective_order().contains(&provider)
    }

    /// The key without which a provider cannot answer, when it is not set.
    fn lacks(&self, provider: ProviderName) -> Option<&'static str> {
        match provider {
            ProviderName::Anthropic if self.anthropic.api_key.is_empty() => Some("providers.anthropic.api_key"),
            ProviderName::OpenAi if self.openai.api_key.is_empty() && !self.openai.is_other_server() => {
                Some("providers.openai.api_key")
            }
            ProviderName::Anthropic | ProviderName::OpenAi | ProviderName::Offline => None,
        }
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        for (index, name) in self.order.iter().enumerate() {
            let Some(provider) = ProviderName::parse(name) else {
                let reason = format!("'{}' is not a provider", rules::shown(name));
                faults.push(Fault::new("providers.order", reason, "Use some of anthropic, openai, offline"));
                continue;
            };
            if self.order.iter().take(index).any(|before| before == name) {
                let reason = format!("{name} is listed twice");
                faults.push(Fault::new("providers.order", reason, "List each provider once"));
            }
            if let Some(key) = self.lacks(provider) {
                let variable = if provider == ProviderName::OpenAi { "OPENAI_API_KEY" } else { "ANTHROPIC_API_KEY" };
                let reason = format!("is not set although providers.order lists {name}");
                let cure = format!("Set it or {variable} or {key}_file, or take {name} out of providers.order");
                faults.push(Fault::new(key, reason, cure));
            }
        }
        for (section, key, base_url, model) in self.outside() {
            let address = format!("{section}.base_url");
            faults.extend(rules::web_address(&address, base_url, rules::Path::Any).err());
            // What goes into a header must be visible ASCII (RFC 9110, section 5.5).
            if !key.expose().bytes().all(|letter| letter.is_ascii_graphic()) {
                let reason = "has a blank, a line end or a letter in it that no key has";
                faults.push(Fault::new(format!("{section}.api_key"), reason, "Copy the key again"));
            }
            if model.trim().is_empty() {
                let cure = "Name a model of this provider, or remove the line for the default";
                faults.push(Fault::new(format!("{section}.model"), "is empty", cure));
            }
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if self.asks(ProviderName::Anthropic) && self.anthropic.price().is_free() {
            let reason = "is 0, so that replies count as free and no budget holds";
            warnings.push(Fault::new("providers.anthropic.output_price_micros", reason, PRICE_CURE));
        }
        let openai = &self.openai;
        if self.asks(ProviderName::OpenAi) && openai.counts_as_published() && openai.model != OPENAI_MODEL {
            let reason = format!("is 0, so that the model counts at the price of {OPENAI_MODEL}");
            warnings.push(Fault::new("providers.openai.output_price_micros", reason, PRICE_CURE));
        }
        for (section, key, base_url, _) in self.outside() {
            if !key.is_empty() && rules::is_open(base_url) {
                let reason = "is not https, so that the key crosses the network for everybody to read";
                warnings.push(Fault::new(format!("{section}.base_url"), reason, "Use https"));
            }
        }
    }

    /// The providers outside: section, key, address, model.
    fn outside(&self) -> [(&'static str, &Secret, &str, &str); 2] {
        let Self { anthropic, openai, .. } = self;
        [
            ("providers.anthropic", &anthropic.api_key, &anthropic.base_url, &anthropic.model),
            ("providers.openai", &openai.api_key, &openai.base_url, &openai.model),
        ]
    }
}
