use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use proptest::prelude::*;

use super::*;

fn urls(html: &str) -> Vec<(usize, String)> {
    links(html).into_iter().map(|link| (link.index, link.url)).collect()
}

#[test]
fn only_links_of_the_web_are_replaced() {
    for (html, expected) in [
        ("<a href=\"https://a.example/\">x</a>", Some("https://a.example/")),
        ("<A\nHREF = 'HTTP://a.example/?a=1&amp;b=2'>x</A>", Some("HTTP://a.example/?a=1&b=2")),
        ("<a class=x href=https://a.example/?a=1&b=2>x</a>", Some("https://a.example/?a=1&b=2")),
        ("<a href=\" https://a.example/\n\">x</a>", Some("https://a.example/")),
        ("<a href=\"https://a.exam\nple/\">x</a>", Some("https://a.example/")),
        ("<a href=\"https://a.example/&#x41;&#66;\">x</a>", Some("https://a.example/AB")),
        ("<a href=\"https://a.example/?x=1&copy=2&lt=3\">x</a>", Some("https://a.example/?x=1&copy=2&lt=3")),
        ("<a href='https://a.example/' href='https://b.example/'>x</a>", Some("https://a.example/")),
        ("<a/href='https://a.example/'/>", Some("https://a.example/")),
        ("<a title='>' href='https://a.example/'>", Some("https://a.example/")),
        ("<noscript><a href='https://a.example/'></noscript>", Some("https://a.example/")),
        ("<a href=\"https://ä.example/ö\">x</a>", Some("https://ä.example/ö")),
        ("<a href=\"mailto:a@a.example\">x</a>", None),
        ("<a href=\"#top\">x</a>", None),
        ("<a href=\"{{unsubscribe_url}}\">x</a>", None),
        ("<a href=\"https://a.example/{{custom.code}}\">x</a>", None),
        ("<a href=\"tel:+49\">x</a>", None),
        ("<a href=\"//a.example/\">x</a>", None),
        ("<a href=\"https:a.example\">x</a>", None),
        ("<a href=\"https://\">x</a>", None),
        ("<a href>x</a>", None),
        ("<a name=\"https://a.example/\">x</a>", None),
        ("<a href=\"https://a.example/?a&copy;\">x</a>", None),
        ("<a href=\"https://a.example/?a&copy\">x</a>", None),
        ("<a href=\"https://a.example/&#150;\">x</a>", None),
        ("<img src=\"https://a.example/\">", None),
        ("<link href=\"https://a.example/\">", None),
        ("<area href=\"https://a.example/\">", None),
        ("<abbr href=\"https://a.example/\">", None),
        ("<!-- <a href=\"https://a.example/\"> -->", None),
        ("<!-- --!><a href=\"https://a.example/\">", Some("https://a.example/")),
        ("<!--><a href=\"https://a.example/\">", Some("https://a.example/")),
        ("<!---><a href=\"https://a.example/\">", Some("https://a.example/")),
        ("<!----><a href=\"https://a.example/\">", Some("https://a.example/")),
        ("<![CDATA[<a href=\"https://a.example/\">]]>", None),
        ("<style><a href=\"https://a.example/\"></style>", None),
        ("<title><a href=\"https://a.example/\"></titled></title >", None),
        ("<xmp><a href=\"https://a.example/\">", None),
        ("</a href=\"https://a.example/\">", None),
        ("<a href=\"https://a.example/", None),
        ("< a href=\"https://a.example/\">", None),
    ] {
        let found = urls(html).pop().map(|(_, url)| url);
        assert_eq!(found.as_deref(), expected, "{html}");
        assert_eq!(rewrite(html, |_, _| None), html);
        let other = rewrite(html, |_, _| Some("https://t.example/?a=\"&b".to_owned()));
        let expected = expected.map(|_| "https://t.example/?a=\"&b".to_owned());
        assert_eq!(urls(&other).pop().map(|(_, url)| url), expected, "{other}");
    }
}

#[test]
fn the_rest_of_a_mail_stays_byte_for_byte() {
    let html = "<!DOCTYPE html><!--[if mso]><table><![endif]--><TD  bgcolor=red>ä&nbsp;<a  HREF=https://a.example/?a&b \
                style='x'>A</a><br/><a href='https://b.example/'>B</a> < > & <a href=\"#c\">C</a></td";
    let expected = "<!DOCTYPE html><!--[if mso]><table><![endif]--><TD  bgcolor=red>ä&nbsp;<a  HREF=\"https://t.example/0?x=1&amp;y\" \
                    style='x'>A</a><br/><a href='https://t.example/1?x=1&amp;y'>B</a> < > & <a href=\"#c\">C</a></td";
    assert_eq!(rewrite(html, |_, index| Some(format!("https://t.example/{index}?x=1&y"))), expected);
    let only = rewrite(html, |url, index| {
        (url == "https://b.example/" && index == 1).then(|| "https://t.example/".to_owned())
    });
    assert_eq!(only, html.replace("https://b.example/", "https://t.example/"));
}

#[test]
fn numbers_stay_when_others_are_no_links() {
    let html = "<a href='#'>x</a><a>x</a><a href='https://a.example/'>x</a><a href=mailto:x>x</a><a href='http://b.example'>x</a>";
    assert_eq!(urls(html), [(1, "https://a.example/".to_owned()), (3, "http://b.example".to_owned())]);
}

#[test]
fn links_of_plain_text_end_where_a_reader_would_end_them() {
    for (text, expected) in [
        ("See https://a.example/b.", &["https://a.example/b"][..]),
        ("See (https://a.example/b), or <http://c.example>!", &["https://a.example/b", "http://c.example"]),
        ("https://a.example/b_(c)", &["https://a.example/b_(c)"]),
        ("(see https://a.example/b_(c))", &["https://a.example/b_(c)"]),
        ("[x](https://a.example/)", &["https://a.example/"]),
        ("HTTPS://A.example?x=1&y=2,3;", &["HTTPS://A.example?x=1&y=2,3"]),
        ("\"https://a.example/\" \u{201C}https://b.example/\u{201D}", &["https://a.example/", "https://b.example/"]),
        ("https://a.example/?u=https://b.example/", &["https://a.example/?u=https://b.example/"]),
        ("https://ä.example/ö…", &["https://ä.example/ö"]),
        ("xhttps://a.example ähttps://a.example ftp://a.example https:// https://. mailto:a@b.example", &[]),
        ("{{unsubscribe_url}} https://a.example/{{custom.code}}", &[]),
        ("https://a.example/)))((([[[", &["https://a.example/"]),
        ("://://https://a.example", &["https://a.example"]),
    ] {
        let found: Vec<_> = text_links(text).into_iter().map(|link| link.url).collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(rewrite_text(text, |_, _| None), text);
    }
    let text = "a https://a.example/ b http://b.example/.";
    let other = rewrite_text(text, |url, index| (index == 1).then(|| format!("https://t.example/{}", url.len())));
    assert_eq!(other, "a https://a.example/ b https://t.example/17.");
}

#[test]
fn what_is_made_to_be_slow_is_not() {
    for piece in
        ["<!--", "<a href='https://", "<a ", "</", "&", "<style>", "https://)", "((((", "<!--x-->", "<a a=b>", "://"]
    {
        let text = piece.repeat(100 * 1024 / piece.len());
        // Minutes, if it were done in the square of the length.
        assert_eq!(rewrite(&text, |_, _| None), text);
        assert_eq!(rewrite_text(&text, |_, _| None), text);
    }
}

/// What another reader of the standard takes for links: the first `href` of each `<a>`.
#[derive(Default)]
struct Reader(RefCell<Vec<Option<String>>>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let Token::TagToken(tag) = token else { return TokenSinkResult::Continue };
        if tag.kind != TagKind::StartTag {
            return TokenSinkResult::Continue;
        }
        if &*tag.name == "a" {
            let href = tag.attrs.iter().find(|attribute| &*attribute.name.local == "href");
            self.0.borrow_mut().extend(href.map(|href| Some(href.value.to_string())));
        }
        match &*tag.name {
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }
}

/// The links of the other reader, by the rules of [`web_address`].
fn by_the_standard(html: &str) -> Vec<(usize, String)> {
    let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    // There is nothing in these pieces at which it would stop.
    let _done = tokenizer.feed(&input);
    assert!(input.is_empty());
    tokenizer.end();
    let hrefs = tokenizer.sink.0.into_inner();
    hrefs.into_iter().enumerate().filter_map(|(index, href)| Some((index, web_address(&href?)?))).collect()
}

const PIECES: &[&str] = &[
    "<a",
    " href",
    "=",
    "\"",
    "'",
    "https://a.example/",
    "http://b.example/?x=1&y=2",
    "&amp;",
    "&quot;",
    "&#38;",
    "&#x26",
    "&lt",
    "&gt;",
    ">",
    "/",
    "<",
    " ",
    "\n",
    "<!--",
    "-->",
    "--!>",
    "<!",
    "<?",
    "</a>",
    "</",
    "<style>",
    "</style>",
    "<title>",
    "</title >",
    "<a href=\"https://c.example/\">",
    "<a href=https://d.example/>",
    "<A HREF='http://e.example'>",
    "é",
    "x",
    "<textarea>",
    "</textarea>",
    "\t",
    "\u{c}",
    "<p class=y>",
    "mailto:x",
    "--",
    "]]>",
    "<![CDATA[",
    "<plaintext>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn links_are_those_of_the_standard(picks in prop::collection::vec(0..PIECES.len(), 0..24)) {
        let html: String = picks.into_iter().map(|pick| PIECES[pick]).collect();
        prop_assert_eq!(urls(&html), by_the_standard(&html), "{}", html);
        prop_assert_eq!(rewrite(&html, |_, _| None), html);
    }

    #[test]
    fn what_is_written_is_what_is_read(picks in prop::collection::vec(0..PIECES.len(), 0..24), which in any::<u64>(), odd in "[a-z&<>\"'=#;]{0,12}") {
        let html: String = picks.into_iter().map(|pick| PIECES[pick]).collect();
        let target = |index: usize| (which >> (index % 64) & 1 == 1).then(|| format!("https://t.example/{index}/{odd}"));
        let expected: Vec<_> = urls(&html).into_iter().map(|(index, url)| (index, target(index).unwrap_or(url))).collect();
        let other = rewrite(&html, |_, index| target(index));
        prop_assert_eq!(urls(&other), expected.clone(), "{} became {}", html, other);
        prop_assert_eq!(by_the_standard(&other), expected);
    }

    #[test]
    fn any_text_is_gone_through(text in any::<String>(), other in "[<>a-z\"'&=/ !-]{0,60}") {
        for text in [text, other] {
            prop_assert_eq!(rewrite(&text, |_, _| None), text.clone());
            prop_assert_eq!(rewrite_text(&text, |_, _| None), text);
        }
    }
}
