use proptest::prelude::*;

use super::*;

fn read(part: TemplatePart, source: &str) -> Template {
    Template::parse(part, source).unwrap_or_else(|fault| panic!("{source:?}: {fault:?}"))
}

fn text(source: &str) -> Template {
    read(TemplatePart::Text, source)
}

fn fault(part: TemplatePart, source: &str) -> (&'static str, usize, usize) {
    let fault = Template::parse(part, source).expect_err(source);
    assert!(fault.detail.len() > 20, "{source:?} is refused without a cure");
    (fault.code, fault.line, fault.column)
}

fn ada() -> Fields {
    [("first_name", "Ada"), ("custom.company", "Analytical & Sons"), ("last_name", " \t")].into_iter().collect()
}

#[test]
fn fields_are_filled_in() {
    let filled = |source: &str| text(source).render(&ada(), Escape::Text);
    for (source, expected) in [
        ("Hi {{first_name}}!", "Hi Ada!"),
        ("Hi {{  first_name\t}}!", "Hi Ada!"),
        ("Hi {{first_name | \"there\"}}!", "Hi Ada!"),
        ("Hi {{last_name|\"there\"}}!", "Hi there!"),
        ("{{title | \"a \\\"friend\\\" of C:\\\\\"}}", "a \"friend\" of C:\\"),
        ("{{custom.company}} and {{custom.company}}", "Analytical & Sons and Analytical & Sons"),
        ("{{\"{{\"}}first_name}} is a field; }} is not", "{{first_name}} is a field; }} is not"),
        ("{ {first_name} } }}", "{ {first_name} } }}"),
        ("{{first_name}}{{first_name}}", "AdaAda"),
    ] {
        assert_eq!(filled(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_missing_field_is_named_and_never_an_empty_place() {
    for source in ["Dear {{last_name}}", "Dear {{last_name | \"you\"}} {{last_name}}"] {
        let fault = text(source).render(&ada(), Escape::Text).expect_err("a name of white space is none");
        assert_eq!(fault, RenderFault::Missing { field: "last_name".to_owned() });
        assert!(fault.to_string().contains("last_name"));
    }
    // What is filled in is not read again.
    let fields: Fields = [("first_name", "{{last_name}} {{ | }}")].into_iter().collect();
    assert_eq!(text("{{first_name}}").render(&fields, Escape::Text).as_deref(), Ok("{{last_name}} {{ | }}"));
}

#[test]
fn faults_have_a_place_and_a_cure() {
    use TemplatePart::{Html, Subject, Text};
    for (part, source, expected) in [
        (Text, "", ("empty", 1, 1)),
        (Text, " \n ", ("empty", 1, 1)),
        (Text, "a\nbé {{first_name", ("open_braces", 2, 4)),
        (Text, "a {{first_name\n}}", ("open_braces", 1, 3)),
        (Text, "{{}}", ("missing_name", 1, 3)),
        (Text, "{{ | \"x\"}}", ("missing_name", 1, 4)),
        (Text, "{{First Name}}", ("invalid_field_name", 1, 3)),
        (Text, "{{Name}}", ("invalid_field_name", 1, 3)),
        (Text, "{{lead.name}}", ("invalid_field_name", 1, 3)),
        (Text, "{{custom.a.b}}", ("invalid_field_name", 1, 3)),
        (Text, "{{first name}}", ("unexpected", 1, 9)),
        (Text, "{{first_name | there}}", ("missing_quotes", 1, 16)),
        (Text, "{{first_name | \"there}}\n\"", ("open_quotes", 1, 16)),
        (Text, "{{first_name | \" \"}}", ("empty_fallback", 1, 16)),
        (Text, "{{first_name | \"a\\n\"}}", ("invalid_escape", 1, 18)),
        (Text, "{{first_name | \"a\" | \"b\"}}", ("unexpected", 1, 20)),
        (Text, "{{first_name}", ("unexpected", 1, 13)),
        (Text, "{{{first_name}}}", ("missing_name", 1, 3)),
        (Text, "a\r\nb\0", ("control_characters", 2, 2)),
        (Subject, "a\nb", ("control_characters", 1, 2)),
        (Subject, "a\tb", ("control_characters", 1, 2)),
        (Html, "<a href={{custom.url}}>x</a>", ("missing_quotes", 1, 9)),
        (Html, "<p>\n<a {{first_name}}=\"x\">x</a>", ("field_in_tag", 2, 4)),
        (Html, "<{{first_name}}>", ("", 0, 0)),
        (Html, "<p{{first_name}}>", ("field_in_tag", 1, 3)),
        (Html, "</p {{first_name}}>", ("field_in_tag", 1, 5)),
        (Html, "<style>p { color: {{custom.color}} }</style>", ("field_in_code", 1, 19)),
        (Html, "<script>'{{first_name}}'</script>", ("field_in_code", 1, 10)),
        (Html, "<p style=\"color: {{custom.color}}\">", ("field_in_code", 1, 18)),
        (Html, "<p onclick='{{first_name}}'>", ("field_in_code", 1, 13)),
    ] {
        if expected.0.is_empty() {
            assert!(Template::parse(part, source).is_ok(), "{source}: a tag has a letter after its bracket");
        } else {
            assert_eq!(fault(part, source), expected, "{source}");
        }
    }
    let of = Template::parse(Text, "a\n{{x").expect_err("open").of("steps[0].text");
    assert_eq!((of.field.as_str(), of.code), ("steps[0].text", "open_braces"));
    assert!(of.detail.starts_with("Line 2, column 1: "), "{}", of.detail);
}

#[test]
fn lengths_are_bounded_exactly() {
    let parse = |part, length: usize| Template::parse(part, &"é".repeat(length)).map(drop).map_err(|fault| fault.code);
    assert_eq!(parse(TemplatePart::Subject, 200), Ok(()));
    assert_eq!(parse(TemplatePart::Subject, 201), Err("too_long"));
    for part in [TemplatePart::Text, TemplatePart::Html] {
        assert_eq!(parse(part, 50 * 1024), Ok(()));
        assert_eq!(parse(part, 50 * 1024 + 1), Err("too_long"));
    }
    // Four bytes of source for each of 64 KiB of value.
    let value = |length: usize| -> Fields { [("x", "a".repeat(length))].into_iter().collect() };
    let four = text("{{x}}{{x}}{{x}}{{x}}");
    assert_eq!(four.render(&value(64 * 1024), Escape::Text).map(|text| text.len()), Ok(256 * 1024));
    let fault = four.render(&value(64 * 1024 + 1), Escape::Text);
    assert_eq!(fault, Err(RenderFault::TooLong { bytes: 256 * 1024 + 4, most: 256 * 1024 }));
    let subject = read(TemplatePart::Subject, "{{x}}");
    assert!(
        subject.render(&value(900), Escape::Header).is_ok() && subject.render(&value(901), Escape::Header).is_err()
    );
    // What counts is what is written.
    let html = read(TemplatePart::Html, "{{x}}");
    let quotes: Fields = [("x", "\"".repeat(50 * 1024))].into_iter().collect();
    assert!(html.render(&quotes, Escape::Text).is_ok() && html.render(&quotes, Escape::Html).is_err());
}

#[test]
fn fields_are_told_with_whether_they_can_be_missing() {
    let template = text("{{b}} {{a | \"x\"}} {{a | \"y\"}} {{c | \"x\"}} {{c}}");
    let fields: Vec<_> = template.fields().into_iter().map(|field| (field.name, field.has_fallback)).collect();
    assert_eq!(fields, [("a", true), ("b", false), ("c", false)]);
}

#[test]
fn a_field_in_html_stays_where_it_is() {
    let template = read(
        TemplatePart::Html,
        "<p title=\"{{x}}\" class='{{x}}'>{{x}}</p><!--[if mso]>{{x}}<![endif]--><title>{{x}}</title>",
    );
    let fields: Fields = [("x", "\"'><b>&--></title>")].into_iter().collect();
    let html = template.render(&fields, Escape::Html).expect("it is filled in");
    assert_eq!(html.matches("<b>").count() + html.matches("--></title>").count(), 0, "{html}");
    assert_eq!(html.matches("&quot;&#39;&gt;&lt;b&gt;&amp;--&gt;&lt;/title&gt;").count(), 5);
}

#[test]
fn a_field_that_a_link_begins_with_leads_to_the_web() {
    let template = read(TemplatePart::Html, "<a href=\" {{custom.url}}\">x</a><img src='{{custom.url}}'>");
    let with = |url: &str| {
        let fields: Fields = [("custom.url", url)].into_iter().collect();
        template.render(&fields, Escape::Html).map(drop).map_err(|fault| fault.code())
    };
    for good in ["https://example.com/a?b=c&d", "HTTP://example.com", "mailto:ada@example.com"] {
        assert_eq!(with(good), Ok(()), "{good}");
    }
    for bad in ["javascript:alert(1)", "java\tscript:x", "data:text/html,x", "//example.com", "example.com", "https://"]
    {
        assert_eq!(with(bad), Err("not_a_link"), "{bad}");
    }
    // Later in the address it is a part of it; the address to unsubscribe at is ours.
    let fields: Fields = [("x", "javascript:"), ("unsubscribe_url", "{{unsubscribe_url}}")].into_iter().collect();
    for source in ["<a href=\"https://example.com/{{x}}\">x</a>", "<a href=\"{{unsubscribe_url}}\">x</a>"] {
        assert!(read(TemplatePart::Html, source).render(&fields, Escape::Html).is_ok(), "{source}");
    }
}

#[test]
fn links_are_told_before_anything_is_filled_in() {
    let template = read(
        TemplatePart::Html,
        "<a href=\"https://a.example/\">{{first_name | \"you\"}}</a><a href=\"{{unsubscribe_url}}\">x</a>\
         <a href='https://b.example/{{custom.code | \"none\"}}'>x</a><a href=https://c.example/>x</a>",
    );
    let links: Vec<_> = template.links().into_iter().map(|link| (link.index, link.url)).collect();
    assert_eq!(links, [(0, "https://a.example/".to_owned()), (3, "https://c.example/".to_owned())]);
    assert_eq!(text("see https://a.example/{{x}}, https://b.example.").links()[0].url, "https://b.example");
    assert_eq!(read(TemplatePart::Subject, "https://a.example/").links(), []);
}

#[test]
fn names_of_fields_are_plain() {
    for good in ["a", "first_name", "custom.a1_b", &"a".repeat(64)] {
        assert_eq!(field_name(good), Ok(good));
    }
    for bad in ["", "A", "1a", "_a", "a-b", "a.b", "custom.", "custom.1", "é", &"a".repeat(65)] {
        assert_eq!(field_name(bad).map_err(|refused| refused.code), Err("invalid_field_name"), "{bad:?}");
    }
    assert!(known_fields().iter().all(|name| field_name(name).is_ok()));
}

#[test]
fn what_does_not_fit_is_found_before_the_launch() {
    let subject = read(TemplatePart::Subject, "For {{frist_name | \"you\"}} at {{company}}");
    let body = text("Hi {{first_name}}, {{last_name}}");
    let link = read(TemplatePart::Html, "<a href='{{custom.url}}'>x</a>");
    let mut known = known_fields();
    known.insert("custom.url".to_owned());
    let templates = [("step 1, subject", &subject), ("step 1, text", &body), ("step 1, HTML", &link)];
    let mut check = LaunchCheck::new(&templates, &known);
    let good = [("first_name", "Ada"), ("last_name", "L"), ("company", "X"), ("custom.url", "https://example.com")];
    check.lead("line 1", &good.into_iter().collect());
    for line in 2..10 {
        check.lead(&format!("line {line}"), &good.into_iter().filter(|(name, _)| *name != "last_name").collect());
    }
    let mut odd: Fields = good.into_iter().collect();
    odd.set("custom.url", "javascript:x");
    odd.set("company", "x".repeat(1_000));
    odd.set("first_name", "");
    odd.set("last_name", "");
    check.lead("line 10", &odd);
    let problems: Vec<_> = check
        .problems()
        .into_iter()
        .map(|problem| match problem.kind {
            ProblemKind::UnknownField { field, nearest } => {
                format!("{}: {field} for {}", problem.template, nearest.unwrap_or_default())
            }
            ProblemKind::Leads { fault, count, examples } => {
                format!("{}: {} {count} {}", problem.template, fault.code(), examples.join("+"))
            }
        })
        .collect();
    assert_eq!(
        problems,
        [
            "step 1, subject: frist_name for first_name",
            "step 1, subject: too_long 1 line 10",
            "step 1, text: missing_field 1 line 10",
            "step 1, text: missing_field 9 line 2+line 3+line 4+line 5+line 6",
            "step 1, HTML: not_a_link 1 line 10",
        ]
    );
}

#[test]
fn a_campaign_that_fits_has_no_problems() {
    let body = text("Hi {{first_name | \"there\"}}");
    let mut check = LaunchCheck::new(&[("text", &body)], &known_fields());
    check.lead("1", &Fields::new());
    assert_eq!(check.problems(), []);
}

proptest! {
    #[test]
    fn no_value_ends_the_line_of_a_header(value in any::<String>(), odd in "[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{2029}\u{202e}a]{1,20}") {
        let template = read(TemplatePart::Subject, "Re: {{x | \"nothing\"}}");
        for value in [value, odd] {
            if let Ok(line) = template.render(&[("x", value)].into_iter().collect(), Escape::Header) {
                prop_assert!(!line.chars().any(|one| one.is_control() || ('\u{2028}'..='\u{202E}').contains(&one)), "{line:?}");
            }
        }
    }

    #[test]
    fn no_value_makes_a_tag_or_ends_an_attribute(value in "[a-z<>\"'&=/! -]{1,30}") {
        let template = read(TemplatePart::Html, "<p title=\"{{x}}\">{{x}}</p>");
        let fields: Fields = [("x", value.clone())].into_iter().collect();
        if let Ok(html) = template.render(&fields, Escape::Html) {
            prop_assert_eq!(html.matches('<').count(), 2);
            prop_assert_eq!(html.matches('"').count(), 2);
            let inside = html.split_once("\">").and_then(|(_, rest)| rest.strip_suffix("</p>")).map(str::to_owned);
            prop_assert_eq!(inside.and_then(|inside| html::unescape(&inside)), Some(value.trim().to_owned()));
        }
    }

    #[test]
    fn a_template_without_fields_is_what_it_was(source in "[a-z <>{}\n]{1,40}") {
        if let Ok(template) = Template::parse(TemplatePart::Text, &source) {
            prop_assert!(template.fields().is_empty() || source.contains("{{"));
            if !source.contains("{{") {
                prop_assert_eq!(template.render(&Fields::new(), Escape::Text), Ok(source));
            }
        }
    }

    #[test]
    fn whatever_is_written_is_read_or_refused_with_a_place(source in "[{}|\"\\\\a-z<>=' \n]{0,60}") {
        for part in [TemplatePart::Subject, TemplatePart::Text, TemplatePart::Html] {
            match Template::parse(part, &source) {
                Ok(template) => prop_assert!(template.render(&Fields::new(), Escape::Text).is_ok() || !template.fields().is_empty()),
                Err(fault) => prop_assert!(fault.line >= 1 && fault.line <= source.lines().count().max(1) + 1 && fault.column >= 1),
            }
        }
    }
}
