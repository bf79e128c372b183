//! Listens to the log: keeps the last lines of each request and job, and offers each error with those before it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mainstay_domain::Clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::{Report, offer};
use crate::ops::log::mask::mask;
use crate::ops::log::trail::{Crumb, Trail};

/// The longest value of a field that is told, in characters.
const LONGEST: usize = 2_000;

/// The layer.
pub(crate) struct ReportsErrors {
    clock: Arc<dyn Clock>,
}

impl ReportsErrors {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

/// The fields of an event, masked.
#[derive(Default)]
struct Told {
    message: String,
    fields: BTreeMap<String, String>,
}

impl Told {
    fn put(&mut self, field: &Field, text: &str) {
        let text: String = text.chars().take(LONGEST).collect();
        let text = mask(&text).into_owned();
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.insert(field.name().to_owned(), text);
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for ReportsErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        // What others' libraries tell in detail is no trail of ours.
        if level > Level::INFO {
            return;
        }
        let trail = Trail::current();
        if level != Level::ERROR && trail.is_none() {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        if level == Level::ERROR {
            let tags = trail.iter().flat_map(|trail| trail.fields()).map(|(name, id)| (name, id.to_string())).collect();
            let span = trail.as_ref().map(|trail| trail.trace().context());
            let crumbs = trail.as_ref().map(Trail::crumbs).unwrap_or_default();
            let Told { message, fields } = told;
            offer(Report { message, target: target.to_owned(), fields, tags, span, crumbs });
            return;
        }
        if let Some(trail) = trail {
            let fields: Vec<String> = told.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let message = format!("{} {}", told.message, fields.join(" ")).trim().to_owned();
            let level = if level == Level::WARN { "warning" } else { "info" };
            trail.leave(Crumb { at: self.clock.now(), level, target: target.to_owned(), message });
        }
    }
}
