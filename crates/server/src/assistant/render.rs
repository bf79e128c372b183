//! Markdown as safe HTML, for pages.

use ammonia::Builder;
use pulldown_cmark::{Options, Parser, html};
use std::sync::LazyLock;

/// Tags and attributes that a reply may have: text, lists, tables, code, links. No pictures (the policy of the page blocks
/// what comes from elsewhere, and loading one would tell its owner who reads), no styles, no forms, no scripts.
static SAFE: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let tags = [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    let mut builder = Builder::new();
    builder
        .tags(tags.into())
        .tag_attributes([("a", ["href", "title"].into()), ("ol", ["start"].into()), ("code", ["class"].into())].into())
        .generic_attributes(std::collections::HashSet::new())
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        .attribute_filter(|element, attribute, value| match (element, attribute) {
            ("code", "class") => is_language(value).then(|| value.into()),
            _ => Some(value.into()),
        });
    builder
});

/// `language-rust` and the like: what a code block is marked with.
fn is_language(class: &str) -> bool {
    class.strip_prefix("language-").is_some_and(|name| {
        !name.is_empty()
            && name.len() <= 30
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+#-_.".contains(&byte))
    })
}

/// Renders Markdown (CommonMark with tables and strikethrough). Whatever HTML was in it is cleaned like the rest.
#[must_use]
pub fn to_html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut rendered = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut rendered, Parser::new_ext(markdown, options));
    SAFE.clean(&rendered).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_a_reply_is_made_of() {
        let html = to_html("# Hi\n\n*a* **b** `c`\n\n```rust\nlet x = 1 < 2;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |");
        for part in [
            "<h1>Hi</h1>",
            "<em>a</em>",
            "<code>c</code>",
            "<code class=\"language-rust\">let x = 1 &lt; 2;",
            "<td>1</td>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        let link = to_html("[x](https://example.com)");
        assert!(link.contains("rel=\"noopener noreferrer nofollow\"") && link.contains("target=\"_blank\""), "{link}");
    }

    #[test]
    fn nothing_that_runs_gets_through() {
        let attacks = [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "[x](javascript:alert(1))",
            "[x](data:text/html;base64,PHNjcmlwdD4=)",
            "<a href=\"JaVaScRiPt:alert(1)\">x</a>",
            "<svg><script>alert(1)</script></svg>",
            "<p style=\"background:url(//evil)\" onclick=\"x()\">x</p>",
            "<iframe src=//evil></iframe>",
            "<form action=//evil><input name=x></form>",
            "![x](https://evil.example/pixel.png)",
            "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
            "```\" onmouseover=\"x\n```",
        ];
        for attack in attacks {
            let html = to_html(attack).to_lowercase();
            for bad in [
                "<script",
                "onerror=",
                "javascript:",
                "<img",
                "<svg",
                "style=",
                "onclick=",
                "<iframe",
                "<form",
                "onmouseover=\"",
                "data:",
            ] {
                assert!(!html.contains(bad), "{attack} became {html}");
            }
        }
    }
}
