//! What runs is what was meant to run.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use mainstay_store::{ListControls, ReadStandingDeployments};

use super::{Looked, checks, line, some};
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::{Live, Subject};

/// A control that is set for longer belongs into the settings.
const CONTROLS_WARN: Duration = Duration::from_secs(7 * 86_400);
/// Nobody thinks of it any more.
const CONTROLS_FAIL: Duration = Duration::from_secs(30 * 86_400);

checks! { Delivery:
    "delivery.version" High Passive Laptop version,
    "The server that answers is this program.",
    "the server tells the version of the program that audits it",
    "Start the server from the same release, or audit with the release that runs.";
    "delivery.settings" Medium Passive Laptop settings,
    "The settings do not contradict themselves.",
    "no warning about a setting",
    "See `mainstay config check`, and do what it says.";
    "delivery.public_url" High Passive Server public_url,
    "People reach this server under its address.",
    "http.public_url answers /healthz",
    "Set http.public_url to the address that people use, and see that it leads here.";
    "delivery.interface" Medium Passive Laptop interface,
    "The description of the API is that of what is served.",
    "/openapi.json has every route of the API",
    "Look at what stands in front of the server: it answers in the place of /openapi.json.";
    "delivery.assets" Low Passive Laptop assets,
    "Files of the console are loaded once.",
    "each file of the first page is kept for a year, and its address changes with its content",
    "Let no proxy change Cache-Control of /assets.";
    "delivery.pages" Medium Passive Laptop pages,
    "People see the conversations, calls and appointments, and what else there are pages of.",
    "each page of the console is answered 200, as a page with its files",
    "Look at what stands in front of the server: it answers in the place of the pages that are named, or hides them.";
    "delivery.controls_forgotten" Medium Passive Laptop controls_forgotten,
    "What was set in an emergency does not stay.",
    "no control has been set for more than 7 days without a pause; a failure after 30",
    "Put what is to stay into the settings, and clear it: `mainstay ops list`, then `mainstay ops clear`.";
    "delivery.deployed" Medium Passive Server deployed,
    "What runs is what was deployed, and it is known when and by whom.",
    "the digest that the server tells is that of the last deployment of an environment that succeeded",
    "Deploy by the scripts in deploy/pipeline, or tell the register: `mainstay deploy record`.";
    "delivery.release_build" Medium Passive Server release_build,
    "The program was built to run, and not to be searched for faults.",
    "built with optimisations and without the checks of a debug build",
    "Build it with `cargo build --release`, or take a release.";
}

async fn version(subject: &Subject) -> Looked {
    let told = subject.live.get("/openapi.json").await?;
    let there = told.json()["info"]["version"].as_str().unwrap_or("not told").to_owned();
    let here = env!("CARGO_PKG_VERSION");
    Ok(Seen::told(there == here, format!("{there} there, {here} here")))
}

async fn settings(subject: &Subject) -> Looked {
    let warnings: Vec<String> = subject.app.config.warnings().iter().map(ToString::to_string).collect();
    Ok(Seen::told(warnings.is_empty(), format!("{} warnings", warnings.len())).by(some(&warnings)))
}

async fn public_url(subject: &Subject) -> Looked {
    let url = &subject.app.config.http.public_url;
    if url.is_empty() {
        return Ok(Seen::fail("http.public_url is not set"));
    }
    let live = Live::new(url).map_err(|error| Seen::fail(error.detail.to_string()))?;
    match live.get("/healthz").await {
        Ok(told) => {
            let ours = told.status == StatusCode::OK && told.json()["checks"]["process"].is_object();
            Ok(Seen::told(ours, format!("{url} answered {}", line(&told))))
        }
        Err(silent) => Ok(Seen::fail(silent.to_string())),
    }
}

async fn interface(subject: &Subject) -> Looked {
    let told = subject.live.get("/openapi.json").await?;
    let described = told.json();
    let of_the_api = subject.table.routes().iter().filter(|route| route.path.starts_with("/v1/"));
    let missing: BTreeSet<String> = of_the_api
        .clone()
        .filter(|route| described["paths"][route.path][route.method.as_str().to_ascii_lowercase()].is_null())
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let all = of_the_api.count();
    let missing: Vec<String> = missing.into_iter().collect();
    Ok(Seen::told(missing.is_empty(), format!("{} of {all} routes", all - missing.len())).by(some(&missing)))
}

async fn assets(subject: &Subject) -> Looked {
    let page = subject.live.get("/").await?;
    let named = page.assets();
    if named.is_empty() {
        return Ok(Seen::fail("the first page names no file"));
    }
    let mut wrong = Vec::new();
    for name in named.iter().take(5) {
        let told = subject.live.get(&format!("/assets/{name}")).await?;
        let kept = told.header("cache-control");
        if told.status != StatusCode::OK || !kept.contains("immutable") {
            wrong.push(format!("/assets/{name}: {} {kept}", told.status.as_u16()));
        }
    }
    Ok(Seen::told(wrong.is_empty(), format!("{} files, {} of those tried wrong", named.len(), wrong.len()))
        .by(some(&wrong)))
}

async fn pages(subject: &Subject) -> Looked {
    let (mut asked, mut wrong) = (0, Vec::new());
    let pages = subject.table.routes().iter().filter(|route| crate::console::page(route.path).is_some());
    for route in pages {
        asked += 1;
        let told = subject.live.get(route.path).await?;
        let is_page = told.header("content-type").starts_with("text/html") && told.text.contains("\"/assets/");
        if told.status != StatusCode::OK || !is_page {
            wrong.push(format!("{}: {}", route.path, told.status.as_u16()));
        }
    }
    let measured = format!("{} of {asked} pages are there", asked - wrong.len());
    Ok(Seen::told(wrong.is_empty() && asked > 0, measured).by(some(&wrong)))
}

async fn controls_forgotten(subject: &Subject) -> Looked {
    let now = subject.app.clock.now();
    let set = subject.app.store.run(&subject.call(), ListControls { now }).await?;
    let ages: Vec<_> = set.into_iter().map(|one| (one.name, now.since(one.since))).collect();
    Ok(judge_controls(&ages))
}

/// Names, and for how long each has been set.
fn judge_controls(ages: &[(String, Duration)]) -> Seen {
    let old = ages.iter().filter(|(_, age)| *age > CONTROLS_WARN);
    let old: Vec<_> = old.map(|(name, age)| format!("{name} for {} days", age.as_secs() / 86_400)).collect();
    let measured = format!("{} set, {} of them for long", ages.len(), old.len());
    let seen = match ages.iter().map(|(_, age)| *age).max() {
        Some(oldest) if oldest > CONTROLS_FAIL => Seen::fail(measured),
        Some(oldest) if oldest > CONTROLS_WARN => Seen::warn(measured),
        _ => Seen::pass(measured),
    };
    seen.by(some(&old))
}

async fn deployed(subject: &Subject) -> Looked {
    let standing = subject.app.store.run(&subject.call(), ReadStandingDeployments).await?;
    if standing.is_empty() {
        return Ok(Seen::fail("no deployment was ever recorded"));
    }
    let told = subject.live.get("/health").await?;
    let Some(digest) = told.json()["digest"].as_str().map(str::to_owned) else {
        return Ok(Seen::unknown("the server does not tell its digest (yet)"));
    };
    let names = standing.iter().map(|one| format!("{}: {} {}", one.environment, one.version, one.digest));
    let evidence = some(&names.collect::<Vec<_>>());
    let seen = match standing.iter().find(|one| one.digest == digest) {
        Some(one) => Seen::pass(format!("{} to {}, {}", one.version, one.environment, one.ended_at)),
        None => Seen::fail(format!("build {digest} runs, and was not deployed last anywhere")),
    };
    Ok(seen.by(evidence))
}

async fn release_build(_: &Subject) -> Looked {
    let debug = cfg!(debug_assertions);
    Ok(Seen::told(!debug, if debug { "a debug build" } else { "a release build" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass, Warn};

    #[test]
    fn a_control_that_is_renewed_for_weeks_is_told() {
        let judge = |days: &[u64]| {
            let days = days.iter().map(|days| (format!("limits.{days}"), Duration::from_secs(days * 86_400 + 1)));
            judge_controls(&days.collect::<Vec<_>>())
        };
        assert_eq!((judge(&[]).verdict, judge(&[6]).verdict), (Pass, Pass));
        let warned = judge(&[6, 8]);
        assert_eq!((warned.verdict, warned.evidence.as_str()), (Warn, "limits.8 for 8 days"));
        assert_eq!(judge(&[8, 31]).verdict, Fail);
    }
}
