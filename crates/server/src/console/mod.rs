//! The console: the page at `/` on which a person signs up, signs in and chats.
//!
//! The server renders a shell ([`pages`]) and serves the modules, styles and marks that it names ([`assets`]).
//! Offline it opens from what the service worker keeps and reads a copy in the browser; docs/console.md tells how.
//! Everything else the page does over the public API, as any other client would: there is no route here that reads
//! or writes data. No build step: the files under `assets/` are what the browser gets.

mod assets;
mod experiments;
mod operator;
mod pages;
mod plan;
#[cfg(test)]
mod tests;

use axum::routing::{MethodRouter, get};

pub use assets::asset;
pub use experiments::experiments;
pub use pages::{index, worker};
pub use plan::plan;

/// The routes of the console, for the one page that lists every URL: the shell, the files that it names, the worker that
/// keeps both for when there is no network, and the pages of operators, of administrators and of the plan. All answer `GET` and `HEAD`, and
/// need neither state nor a signed-in caller.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Vec<(&'static str, MethodRouter<S>)> {
    let mut routes = vec![
        ("/", get(index)),
        ("/assets/{*path}", get(asset)),
        ("/sw.js", get(worker)),
        ("/experiments", get(experiments)),
        ("/plan", get(plan)),
    ];
    routes.extend(operator::PAGES.iter().map(|shown| (shown.path, get(move || operator::page(shown)))));
    routes
}

/// The page of a path, of those that show something; nothing for a path that is none.
pub(crate) fn page(path: &str) -> Option<&'static str> {
    let own = ["/", "/experiments", "/plan"].into_iter();
    own.chain(operator::PAGES.iter().map(|shown| shown.path)).find(|page| *page == path)
}

/// The path of the files: `/assets/<hash>`.
pub(crate) fn base() -> &'static str {
    assets::assets().base()
}

/// What tells the server of faults in the browser: every page fetches it once it stands.
const REPORTS: &str = "reports.js";

/// Recordings of pages: fetched by whoever has agreed to them, and by who looks at one.
const RECORDING: [&str; 4] = ["replay.js", "replay-mask.js", "replay-library.js", "replay-player.js"];

/// The folder of what others have made, as it came, with its licences. Nothing of it is needed without a network.
const VENDOR: &str = "vendor/";

/// The page of somebody who has the link of their appointment.
const APPOINTMENT: &str = "appointment.css";

/// A call with the assistant: fetched when one is begun.
const VOICE: [&str; 3] = ["voice.js", "voice-sound.js", "voice-worklet.js"];

/// True for the files of pages beside the console itself, which its first load does not need.
fn is_of_another_page(name: &str) -> bool {
    operator::has(name)
        || plan::FILES.contains(&name)
        || VOICE.contains(&name)
        || RECORDING.contains(&name)
        || name.starts_with(VENDOR)
        || name == REPORTS
        || name == APPOINTMENT
}
