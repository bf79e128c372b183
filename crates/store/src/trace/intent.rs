//! An intent as a step.

use mainstay_domain::TraceContext;

use super::{Step, StepKind, Trace};
use crate::error::Result;
use crate::intent::Intent;

/// An intent as a step of the trace of the task that runs it.
pub(crate) struct Traced {
    /// The step.
    pub(crate) step: Step,
    /// What the jobs that it promises belong to.
    pub(crate) context: Option<TraceContext>,
}

impl Traced {
    /// It begins.
    pub(crate) fn begin<I: Intent>() -> Self {
        let trace = Trace::current();
        let context = trace.as_ref().filter(|trace| !trace.is_gathering()).map(Trace::context);
        let step = trace.filter(Trace::is_noted).map(|trace| trace.step(StepKind::Work, name_of::<I>()));
        Self { step: step.unwrap_or_default(), context }
    }

    /// It has ended, after so many repeats.
    pub(crate) fn ended<T>(mut self, repeats: u32, outcome: Result<T>) -> Result<T> {
        if repeats > 0 {
            self.step.say("repeats", repeats);
        }
        outcome.inspect_err(|error| self.step.fail(error))
    }
}

/// The name of an intent's type, without the modules that it is in.
fn name_of<I: Intent>() -> &'static str {
    let name = std::any::type_name::<I>();
    let bare = name.split_once('<').map_or(name, |(bare, _)| bare);
    bare.rsplit_once("::").map_or(bare, |(_, bare)| bare)
}
