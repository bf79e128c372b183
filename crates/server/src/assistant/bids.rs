//! What is set aside for a reply before it is begun, and how long a reply what was granted allows.

use std::time::Duration;

use mainstay_domain::Usage;
use mainstay_store::Bid;

use super::service::SendRequest;
use crate::config;
use crate::providers::{LEAST_REPLY, Providers, ReplyRequest, estimated_input_tokens, estimated_tokens};

/// The most tokens that a model counts for an image of the size that is kept.
const MOST_OF_AN_IMAGE: u32 = 5_600;
/// How long beyond the time of a reply what is set aside for it lasts: it may be offered to a slow database, or be rescued
/// by another node.
const BEYOND_A_REPLY: Duration = Duration::from_secs(15 * 60);

/// What a reply to this request costs, at the highest price among the providers: at least with a short answer, at most with
/// the longest one. Nothing when nothing costs anything.
pub(super) fn bid(settings: &config::Assistant, providers: &Providers, request: &SendRequest) -> Option<Bid> {
    let price = providers.highest_price();
    if price.is_free() {
        return None;
    }
    let images = u32::try_from(request.images.len()).unwrap_or(u32::MAX).saturating_mul(MOST_OF_AN_IMAGE);
    let question = estimated_tokens(request.content.as_str().len()).saturating_add(images);
    let begins = request.new || request.conversation.is_none();
    let history = if begins { question } else { question.max(settings.history_tokens) };
    let input_tokens = history.saturating_add(estimated_tokens(settings.system_prompt.len()));
    let cost = |output_tokens| price.of(Usage { input_tokens, output_tokens }).max(1);
    Some(Bid {
        least_micros: cost(LEAST_REPLY.min(settings.max_reply_tokens)),
        most_micros: cost(settings.max_reply_tokens),
        lasts: settings.reply_timeout() + settings.lease() + BEYOND_A_REPLY,
    })
}

/// The request with no more tokens of output than what was set aside pays for. Tools, and what the organisation knows, are left
/// out where they would leave no room for an answer. Several rounds share what was set aside.
pub(super) fn within(providers: &Providers, request: ReplyRequest, reserved_micros: i64) -> ReplyRequest {
    let price = providers.highest_price();
    if price.is_free() {
        return request;
    }
    let mut request = request;
    let mut affordable = price.affordable(reserved_micros, estimated_input_tokens(&request));
    if affordable < LEAST_REPLY && request.tools.take().is_some() {
        affordable = price.affordable(reserved_micros, estimated_input_tokens(&request));
    }
    if affordable < LEAST_REPLY && request.known.take().is_some() {
        affordable = price.affordable(reserved_micros, estimated_input_tokens(&request));
    }
    let affordable = affordable.max(1);
    request.budget_micros = Some(reserved_micros);
    ReplyRequest { max_output_tokens: request.max_output_tokens.min(affordable), ..request }
}
