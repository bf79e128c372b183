//! One reply over as many rounds as its tools take.

use mainstay_store::trace::{Step, StepKind};
use tokio::time::Instant;

use super::tools::{MOST_ROUNDS, tell, use_all};
use super::{Completion, Fault, LEAST_REPLY, Outlet, Providers, ReplyRequest, Sink, estimated_input_tokens};

impl Providers {
    /// Makes one reply. Text goes to `sink` as it arrives; dropping the future stops the request to the provider, or the use
    /// of a tool.
    ///
    /// A provider that breaks off in the middle of its text is followed by the next model, which is asked to go on where
    /// the text ends. What has arrived stays, so that the sink sees one text.
    ///
    /// Where the request has tools, what the model wants used is used, and it is asked again with what came of it, in at most
    /// [`MOST_ROUNDS`] rounds. What was set aside and the most tokens hold for all of them together. When nobody can say more,
    /// the text ends with what the tools of the last round said.
    ///
    /// # Errors
    /// A [`Fault`] when no provider answered, or when the text broke off and nobody could go on with it. In the second
    /// case it is that of the provider that broke off first, and what has arrived is what there is.
    pub async fn reply(
        &self,
        request: &ReplyRequest,
        deadline: Instant,
        sink: &mut dyn Sink,
    ) -> Result<Completion, Fault> {
        let mut outlet = Outlet::new(sink);
        match &request.tools {
            None => self.round(request, deadline, &mut outlet).await,
            Some(_) => Box::pin(self.rounds(request.clone(), deadline, &mut outlet)).await,
        }
    }

    async fn rounds(
        &self,
        mut request: ReplyRequest,
        deadline: Instant,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Fault> {
        let most = request.max_output_tokens;
        loop {
            outlet.begin_round();
            let outcome = self.round(&request, deadline, outlet).await;
            let asked = outlet.take_uses();
            let is_over = outcome.is_err() || asked.is_empty() || request.rounds.len() >= MOST_ROUNDS;
            if let Some(tools) = request.tools.clone().filter(|_| !is_over) {
                let _step = Step::begin(StepKind::Work, "tools of a reply");
                let round = use_all(&tools, outlet.round_text(), asked).await;
                request.rounds.push(round);
                if self.affords(&mut request, most, outlet) {
                    continue;
                }
                outlet.begin_round();
            }
            // What was done is said, whoever could not say it.
            if outlet.said() == 0 {
                tell(&request, outlet);
            }
            return outcome.map(|completion| outlet.completion(completion.truncated));
        }
    }

    /// Whether what is left of the tokens, and of what was set aside, pays for another round, which then may have no more.
    fn affords(&self, request: &mut ReplyRequest, most: u32, outlet: &Outlet<'_>) -> bool {
        let left = most.saturating_sub(outlet.usage().output_tokens);
        let affordable = request.budget_micros.map_or(u32::MAX, |budget| {
            self.highest_price().affordable(budget.saturating_sub(outlet.cost()), estimated_input_tokens(request))
        });
        request.max_output_tokens = left.min(affordable);
        request.max_output_tokens >= LEAST_REPLY.min(most)
    }
}
