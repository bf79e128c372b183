//! `GET /experiments`: the page on which operators see what experiments have found. The server renders a frame; the module
//! asks the public API for the figures, as any other client would.

use askama::Template;
use axum::response::Response;

use super::assets::assets;
use super::operator::{LINKS, Link};
use super::pages::page;

/// What its files are called. The first load of the console does not need them.
pub(super) const FILES: [&str; 2] = ["experiments.js", "experiments.css"];

#[derive(Template)]
#[template(path = "experiments.html")]
struct Page<'a> {
    /// The path of the files: `/assets/<hash>`.
    base: &'a str,
    /// The pages of operators, this one among them.
    links: &'a [Link],
    /// The path of this one.
    current: &'a str,
}

impl Page<'_> {
    fn new() -> Self {
        Self { base: assets().base(), links: &LINKS, current: "/experiments" }
    }
}

/// The page, the same for everybody.
pub async fn experiments() -> Response {
    page(&Page::new())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_names_files_that_exist_and_has_nothing_inline() {
        let html = Page::new().render().expect("a page");
        let prefix = format!("\"{}/", assets().base());
        let named: BTreeSet<&str> = html.split(&prefix).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let known: BTreeSet<&str> = assets().names().collect();
        assert!(named.is_subset(&known) && FILES.iter().all(|file| named.contains(file)), "{named:?}");
        assert!(!html.contains(" style=") && !html.contains("<style"), "an inline style");
        for tag in html.split("<script").skip(1) {
            let (attributes, rest) = tag.split_once('>').expect("an end");
            assert!(attributes.contains(" src=\"/assets/") && rest.starts_with("</script>"), "{attributes}");
        }
    }
}
