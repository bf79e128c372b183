//! `GET /plan`: the page on which people see and change what their organisation pays for. The server renders a frame; the
//! module asks the public API for what is in it, each section on its own, so that what fails stays in its place.

use askama::Template;
use axum::response::Response;

use super::assets::assets;
use super::pages::page;

/// What its files are called. The first load of the console does not need them.
pub(super) const FILES: [&str; 2] = ["plan.js", "plan.css"];

#[derive(Template)]
#[template(path = "plan.html")]
struct Page<'a> {
    /// The path of the files: `/assets/<hash>`.
    base: &'a str,
}

/// The page, the same for everybody.
pub async fn plan() -> Response {
    page(&Page { base: assets().base() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_names_files_that_exist_and_has_nothing_inline() {
        let html = Page { base: assets().base() }.render().expect("a page");
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
