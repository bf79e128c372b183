//! What the two protocols of model providers look like on the wire.

use serde_json::{Value, json};

/// The two protocols.
#[derive(Clone, Copy)]
pub(crate) enum Wire {
    Anthropic,
    OpenAi,
}

impl Wire {
    /// What comes before the first text, with a kind of event that does not exist yet.
    pub(crate) fn opening(self, counted: bool) -> String {
        match self {
            Self::Anthropic => {
                let usage = if counted {
                    json!({"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 1})
                } else {
                    Value::Null
                };
                let message = json!({"id": "msg_01", "role": "assistant", "content": [], "usage": usage});
                named("message_start", &json!({"type": "message_start", "message": message}))
                    + &named(
                        "content_block_start",
                        &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                    )
                    + &named("made_up_event", &json!({"type": "made_up_event", "new": true}))
            }
            Self::OpenAi => bare(&json!({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})),
        }
    }

    /// One piece of text.
    pub(crate) fn piece(self, text: &str) -> String {
        match self {
            Self::Anthropic => named(
                "content_block_delta",
                &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
            ),
            Self::OpenAi => bare(
                &json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}], "usage": null}),
            ),
        }
    }

    /// The wish to use these tools, each with its arguments in two pieces.
    pub(crate) fn uses(self, uses: &[(String, String)]) -> String {
        let mut all = String::new();
        for (place, (name, arguments)) in uses.iter().enumerate() {
            let (id, (first, second)) = (format!("toolu_{place}"), arguments.split_at(arguments.len() / 2));
            match self {
                Self::Anthropic => {
                    let index = place + 1;
                    let event = |kind: &str, more: (&str, Value)| {
                        named(kind, &json!({"type": kind, "index": index, more.0: more.1}))
                    };
                    let piece = |text: &str| json!({"type": "input_json_delta", "partial_json": text});
                    let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                    all += &event("content_block_start", ("content_block", block));
                    all += &event("content_block_delta", ("delta", piece(first)));
                    all += &event("content_block_delta", ("delta", piece(second)));
                    all += &named("content_block_stop", &json!({"type": "content_block_stop", "index": index}));
                }
                Self::OpenAi => {
                    let chunk = |one: Value| bare(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [one]}}]}));
                    let head = json!({"name": name, "arguments": ""});
                    all += &chunk(json!({"index": place, "id": id, "type": "function", "function": head}));
                    for piece in [first, second] {
                        all += &chunk(json!({"index": place, "function": {"arguments": piece}}));
                    }
                }
            }
        }
        all
    }

    /// The end of an answer that wants tools used.
    pub(crate) fn ending_to_use(self) -> String {
        self.ending(false, true).replace("end_turn", "tool_use").replace("\"stop\"", "\"tool_calls\"")
    }

    /// What comes after the last text.
    pub(crate) fn ending(self, truncated: bool, counted: bool) -> String {
        match self {
            Self::Anthropic => {
                let reason = if truncated { "max_tokens" } else { "end_turn" };
                let mut delta =
                    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}});
                if counted {
                    delta["usage"] = json!({"output_tokens": 42});
                }
                named("content_block_stop", &json!({"type": "content_block_stop", "index": 0}))
                    + &named("message_delta", &delta)
                    + &named("message_stop", &json!({"type": "message_stop"}))
            }
            Self::OpenAi => {
                let reason = if truncated { "length" } else { "stop" };
                let mut text = bare(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
                if counted {
                    text += &bare(&json!({"choices": [], "usage": {"prompt_tokens": 16, "completion_tokens": 42}}));
                }
                text + "data: [DONE]\n\n"
            }
        }
    }

    /// What keeps a connection open and says nothing.
    pub(crate) fn ping(self) -> String {
        match self {
            Self::Anthropic => named("ping", &json!({"type": "ping"})),
            Self::OpenAi => ": ping\n\n".to_owned() + &bare(&json!({"choices": []})),
        }
    }

    /// An error inside a stream.
    pub(crate) fn error(self, error_type: &str) -> String {
        let error = json!({"type": error_type, "message": "as told"});
        match self {
            Self::Anthropic => named("error", &json!({"type": "error", "error": error})),
            Self::OpenAi => bare(&json!({"error": error})),
        }
    }
}

fn named(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

fn bare(data: &Value) -> String {
    format!("data: {data}\n\n")
}
