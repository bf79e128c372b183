//! The section `[providers]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

/// Who makes the replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Providers {
    /// Which providers answer, in order: the next one is asked when the one before cannot. Any of "anthropic", "openai", "offline". Empty: those with a key, else "offline".
    pub order: Vec<String>,
    /// How long connecting to a provider may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a provider may take to its first token, in milliseconds.
    pub first_token_timeout_ms: u64,
    /// How long a provider may pause between tokens, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How often one request is tried again with the same provider.
    pub max_retries: u32,
    /// Retries in per cent of requests, over the last minute: past that nothing is tried again.
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
}

/// The responder that needs no key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Offline {
    /// The pace of a streamed answer, in milliseconds for a word.
    pub word_ms: u64,
}
