//! Markdown as safe HTML, for pages.

use ammonia::Builder;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};
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

/// Quotes and lists inside each other that are shown as such. Cleaning walks up through all that are open at each one, so
/// a line of a hundred thousand `>` would keep a core busy for a long time.
const DEEPEST: usize = 32;

/// Renders Markdown (CommonMark with tables and strikethrough). HTML in it is shown as the text that it is; quotes and
/// lists that are nested too deeply lose their frame and keep their text.
#[must_use]
pub fn to_html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut rendered = String::with_capacity(markdown.len() * 3 / 2);
    let mut depth = 0usize;
    let events = Parser::new_ext(markdown, options).filter(|event| match event {
        Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::Item) => {
            depth += 1;
            depth <= DEEPEST
        }
        Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item) => {
            depth -= 1;
            depth < DEEPEST
        }
        _ => true,
    });
    let events = events.map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    });
    html::push_html(&mut rendered, events);
    SAFE.clean(&rendered).to_string()
}

/// Renders a text that was cut or is still growing: what is open at its end is closed, so that nobody sees the marks of a
/// word that is not yet whole. An open code block needs nothing: CommonMark ends it with the text.
#[must_use]
pub(super) fn unfinished_to_html(markdown: &str) -> String {
    // The last block, unless it is code.
    let mut fence = None;
    let (mut place, mut block) = (0, 0);
    for line in markdown.split_inclusive('\n') {
        let mark = line.trim_start();
        let fences = fence.is_some_and(|open| mark.starts_with(open)) || fence.is_none() && opens_code(mark).is_some();
        if fences {
            fence = if fence.is_some() { None } else { opens_code(mark) };
        }
        place += line.len();
        if fences || mark.is_empty() {
            block = place;
        }
    }
    if let Some(mark) = fence {
        // The end of the code may be on its way.
        let line = markdown.rfind('\n').map_or(markdown.len(), |at| at + 1);
        return to_html(if mark.starts_with(&markdown[line..]) { &markdown[..line] } else { markdown });
    }
    if block == markdown.len() {
        return to_html(markdown);
    }
    let bare = markdown.trim_end_matches(['*', '_', '`', '~', '[']);
    // Marks after a space or at the beginning open something of which nothing has come.
    let opens = bare.len() <= block || bare.ends_with(char::is_whitespace);
    let text = if opens { &markdown[..bare.len().max(block)] } else { markdown };
    let mut closed = text.trim_end().to_owned();
    for mark in ["`", "**"] {
        if text[block..].matches(mark).count() % 2 == 1 {
            closed.push_str(mark);
        }
    }
    to_html(&closed)
}

/// The mark with which a line opens a block of code.
fn opens_code(line: &str) -> Option<&'static str> {
    ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_at_the_end_of_an_unfinished_text_is_closed() {
        let cases = [
            ("**No lang", "<p><strong>No lang</strong></p>"),
            ("**No ", "<p><strong>No</strong></p>"),
            ("a **b** c", "<p>a <strong>b</strong> c</p>"),
            ("a **b**", "<p>a <strong>b</strong></p>"),
            ("a *b*", "<p>a <em>b</em></p>"),
            ("a `b", "<p>a <code>b</code></p>"),
            ("a **", "<p>a</p>"),
            ("a\n\n**", "<p>a</p>"),
            ("**", ""),
            ("", ""),
            ("**a**\n\nb `c` **d", "<p><strong>a</strong></p>\n<p>b <code>c</code> <strong>d</strong></p>"),
        ];
        for (markdown, html) in cases {
            assert_eq!(unfinished_to_html(markdown).trim_end(), html, "{markdown:?}");
        }
        let code = unfinished_to_html("a\n\n```sh\nls **x");
        assert!(code.contains("<code class=\"language-sh\">ls **x"), "{code}");
        // Marks inside code count for nothing, open or closed.
        for (markdown, html) in [
            ("a\n\n```\nx ** y `\n```", "<p>a</p>\n<pre><code>x ** y `\n</code></pre>"),
            ("```\nx ** `y\n```\nmore", "<pre><code>x ** `y\n</code></pre>\n<p>more</p>"),
            ("~~~\nx ```\n~~~\n**m", "<pre><code>x ```\n</code></pre>\n<p><strong>m</strong></p>"),
        ] {
            assert_eq!(unfinished_to_html(markdown).trim_end(), html, "{markdown:?}");
        }
    }

    #[test]
    fn whatever_the_place_no_marks_are_seen() {
        let whole = "é **b `c` d** e\n\n```\nf ** g\n```\n\n- h\n- **i**";
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let html = unfinished_to_html(&whole[..end]);
            let outside = html.replace("f ** g", "").replace("f **", "");
            // The second star of a mark may still be on its way.
            assert!(!outside.contains("**") && !outside.contains('`'), "{:?} became {html}", &whole[..end]);
        }
    }

    #[test]
    fn nesting_is_bounded_and_its_text_is_kept() {
        for deep in [">".repeat(100_000) + " deep", "- ".repeat(50_000) + "deep", "> - ".repeat(20_000) + "deep"] {
            let html = to_html(&deep);
            assert!(html.contains("deep"), "{}", html.len());
            assert!(html.matches("<blockquote").count() + html.matches("<ul").count() <= DEEPEST);
        }
    }

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
            // What stands inside tags: as text everything may be said.
            let tags: Vec<_> = html.split('<').skip(1).filter_map(|part| part.split('>').next()).collect();
            let tags = tags.join("\n");
            for bad in [
                "script",
                "onerror",
                "img",
                "svg",
                "style",
                "onclick",
                "iframe",
                "form",
                "onmouseover",
                "data:",
                "math",
            ] {
                assert!(!tags.contains(bad), "{attack} became {html}");
            }
        }
    }
}
