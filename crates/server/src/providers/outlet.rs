//! Where a reply goes while it is made: its text, who makes it and what it has taken until now.

use mainstay_domain::Usage;
use tokio::time::Instant;

use super::tools::{ToolUse, Uses};
use super::{Completion, MAX_REPLY_BYTES, Price, estimated_tokens};
use serde_json::{Map, Value};

/// Who is told of a reply while it is made, so that one that is given up in the middle is known as far as it came.
pub trait Sink: Send {
    /// Text has arrived.
    fn text(&mut self, text: &str);

    /// A provider has accepted the request: from here on it makes the reply. Told again when another one does.
    fn maker(&mut self, provider: &str, model: &str);

    /// What the reply has taken until now, over every request that was accepted for it: as it was counted, and
    /// estimated where it is not counted (yet); and what that costs, in millionths. Told after each call of the other two.
    fn usage(&mut self, usage: Usage, cost_micros: i64);
}

/// A request that a provider has accepted.
struct Accepted {
    provider: &'static str,
    model: String,
    price: Price,
    /// Input tokens: estimated until they are counted.
    input: u32,
    /// Output tokens, once they are counted.
    output: Option<u32>,
    /// Bytes of text that came.
    bytes: usize,
}

impl Accepted {
    fn usage(&self) -> Usage {
        Usage { input_tokens: self.input, output_tokens: self.output.unwrap_or_else(|| estimated_tokens(self.bytes)) }
    }
}

/// Passes one reply on to its sink, over all requests that are made for it.
pub(super) struct Outlet<'a> {
    sink: &'a mut dyn Sink,
    text: String,
    is_full: bool,
    /// Where the text of the round under way begins.
    round: usize,
    /// What the answer under way wants used.
    uses: Uses,
    /// What the requests before this one took.
    before: Usage,
    cost_before: i64,
    accepted: Option<Accepted>,
    /// When the first text of the request under way came.
    first: Option<Instant>,
}

impl<'a> Outlet<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self {
            sink,
            text: String::new(),
            is_full: false,
            round: 0,
            uses: Uses::default(),
            before: Usage::default(),
            cost_before: 0,
            accepted: None,
            first: None,
        }
    }

    /// Another request begins.
    pub(super) fn forget_first(&mut self) {
        self.first = None;
    }

    /// When the first text of the request under way came.
    pub(super) fn first(&self) -> Option<Instant> {
        self.first
    }

    /// A provider has accepted a request whose input is estimated at so many tokens.
    pub(super) fn accepted(&mut self, provider: &'static str, model: &str, price: Price, input: u32) {
        (self.before, self.cost_before) = (self.usage(), self.cost());
        // An answer that broke off has asked for nothing.
        self.uses = Uses::default();
        self.accepted = Some(Accepted { provider, model: model.to_owned(), price, input, output: None, bytes: 0 });
        self.sink.maker(provider, model);
        self.tell();
    }

    /// What the provider has counted for the request that it accepted last. Counts are cumulative: the last one holds.
    pub(super) fn count(&mut self, input: Option<u32>, output: Option<u32>) {
        if let Some(accepted) = &mut self.accepted {
            accepted.input = input.unwrap_or(accepted.input);
            accepted.output = output.or(accepted.output);
            self.tell();
        }
    }

    /// Passes text on, as far as there is room.
    pub(super) fn send(&mut self, text: &str) {
        let is_apart = self.text.len() == self.round && !self.text.is_empty() && !text.is_empty();
        if is_apart && !self.text.ends_with(char::is_whitespace) {
            self.pass("\n\n");
        }
        self.pass(text);
    }

    fn pass(&mut self, text: &str) {
        let room = MAX_REPLY_BYTES.saturating_sub(self.text.len());
        let fits = &text[..text.floor_char_boundary(room)];
        self.is_full |= fits.len() < text.len();
        if fits.is_empty() {
            return;
        }
        self.first.get_or_insert_with(Instant::now);
        self.text.push_str(fits);
        if let Some(accepted) = &mut self.accepted {
            accepted.bytes += fits.len();
        }
        self.sink.text(fits);
        self.tell();
    }

    /// A round begins: what is said from here on is a part of its own.
    pub(super) fn begin_round(&mut self) {
        self.round = self.text.len();
    }

    /// What was said in this round, whoever it came from.
    pub(super) fn round_text(&self) -> &str {
        self.text[self.round..].trim_start_matches('\n')
    }

    /// Bytes that were said in this round.
    pub(super) fn said(&self) -> usize {
        self.text.len() - self.round
    }

    /// The model wants a tool used: which, at which place in its answer, under which name of its own, and what was given
    /// with it at once.
    pub(super) fn use_begins(&mut self, index: Option<u64>, id: &str, name: &str, whole: Map<String, Value>) {
        self.first.get_or_insert_with(Instant::now);
        self.uses.begin(index, id, name, whole);
        self.count_uses(id.len() + name.len());
    }

    /// More of what a use is given.
    pub(super) fn use_grows(&mut self, index: Option<u64>, piece: &str) {
        self.uses.grow(index, piece);
        self.count_uses(piece.len());
    }

    fn count_uses(&mut self, bytes: usize) {
        if let Some(accepted) = &mut self.accepted {
            accepted.bytes += bytes;
            self.tell();
        }
    }

    /// Whether the answer wants something used.
    pub(super) fn wants_tools(&self) -> bool {
        !self.uses.is_empty()
    }

    /// What the answer wants used.
    pub(super) fn take_uses(&mut self) -> Vec<ToolUse> {
        self.uses.take()
    }

    /// Grows with whatever comes of an answer.
    pub(super) fn progress(&self) -> usize {
        self.text.len() + self.uses.bytes()
    }

    /// Its length in bytes.
    pub(super) fn sent(&self) -> usize {
        self.text.len()
    }

    /// Whether text was left out because the reply has its largest length.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    fn tell(&mut self) {
        self.sink.usage(self.usage(), self.cost());
    }

    /// What it has cost until now, each request at the price of its provider.
    pub(super) fn cost(&self) -> i64 {
        let now = self.accepted.as_ref().map_or(0, |accepted| accepted.price.of(accepted.usage()));
        self.cost_before.saturating_add(now)
    }

    /// What the reply has taken until now.
    pub(super) fn usage(&self) -> Usage {
        let now = self.accepted.as_ref().map(Accepted::usage).unwrap_or_default();
        Usage {
            input_tokens: self.before.input_tokens.saturating_add(now.input_tokens),
            output_tokens: self.before.output_tokens.saturating_add(now.output_tokens),
        }
    }

    /// The whole reply, made by the provider that accepted the last request.
    pub(super) fn completion(&self, truncated: bool) -> Completion {
        let (provider, model) =
            self.accepted.as_ref().map_or(("", ""), |accepted| (accepted.provider, accepted.model.as_str()));
        Completion {
            provider: provider.to_owned(),
            model: model.to_owned(),
            usage: self.usage(),
            truncated: truncated || self.is_full,
        }
    }
}
