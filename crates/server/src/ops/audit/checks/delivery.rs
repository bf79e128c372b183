//! What runs is what was meant to run.

use std::collections::BTreeSet;

use axum::http::StatusCode;

use super::{Looked, checks, line, some};
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::{Live, Subject};

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
    let named = page.text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next());
    let named: BTreeSet<&str> = named.collect();
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

async fn release_build(_: &Subject) -> Looked {
    let debug = cfg!(debug_assertions);
    Ok(Seen::told(!debug, if debug { "a debug build" } else { "a release build" }))
}
