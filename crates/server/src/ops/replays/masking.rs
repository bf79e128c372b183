//! Whether a chunk of a recording holds nothing but the shape of a page.
//!
//! The browser masks before it sends. What it sends is judged here once more, by the same lists: every text must be made of
//! asterisks, and of names, words and attributes only those are taken that the console gives its pages itself. What is not on a
//! list is refused, so that nothing readable is kept, whoever sends it. The other half is `replay-mask.js` of the console.

use serde_json::{Map, Value};

/// What a chunk tells of itself, once it is known to hold nothing readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The moments of its first and its last event, in milliseconds by the clock of the browser.
    pub(super) span: (i64, i64),
    /// How many errors are marked in it.
    pub(super) errors: u32,
}

/// Kinds of events, as rrweb numbers them.
const MUTED: [u64; 2] = [0, 1];
const SNAPSHOT: u64 = 2;
const STEP: u64 = 3;
const META: u64 = 4;
const CUSTOM: u64 = 5;
/// The mark of an error, the only event of its kind.
const ERROR_MARK: &str = "error";
/// What steps may be of, by rrweb's numbers: changes, the mouse, scrolling, the window, input, fingers, dragging, what is
/// chosen. Sheets, fonts, canvases, media and what pages log are not sent.
const STEPS: [u64; 9] = [0, 1, 2, 3, 4, 5, 6, 12, 14];
/// The most events of a chunk.
const MOST_EVENTS: usize = 20_000;

/// Names in events, beside those of attributes.
const NAMES: [&str; 43] = [
    "adds",
    "attributes",
    "childNodes",
    "compatMode",
    "data",
    "end",
    "endOffset",
    "height",
    "id",
    "initialOffset",
    "isChecked",
    "isCustom",
    "isSVG",
    "isStyle",
    "left",
    "name",
    "needBlock",
    "nextId",
    "node",
    "parentId",
    "pointerType",
    "positions",
    "previousId",
    "publicId",
    "ranges",
    "removes",
    "rootId",
    "source",
    "start",
    "startOffset",
    "systemId",
    "tagName",
    "text",
    "textContent",
    "texts",
    "timeOffset",
    "top",
    "type",
    "userTriggered",
    "value",
    "width",
    "x",
    "y",
];
/// Attributes whose values are short words of the console.
const WORDS: [&str; 33] = [
    "aria-busy",
    "aria-current",
    "aria-disabled",
    "aria-expanded",
    "aria-hidden",
    "aria-invalid",
    "aria-live",
    "aria-modal",
    "aria-pressed",
    "aria-selected",
    "aria-sort",
    "data-action",
    "data-movable",
    "data-role",
    "data-state",
    "data-status",
    "data-theme",
    "data-view",
    "dir",
    "disabled",
    "fill",
    "hidden",
    "inert",
    "lang",
    "multiple",
    "open",
    "popover",
    "readonly",
    "rel",
    "role",
    "stroke",
    "stroke-linecap",
    "type",
];
/// Attributes whose values are numbers, with their units.
const NUMBERS: [&str; 24] = [
    "cols",
    "colspan",
    "cx",
    "cy",
    "height",
    "r",
    "rows",
    "rowspan",
    "rr_height",
    "rr_scrollLeft",
    "rr_scrollTop",
    "rr_width",
    "rx",
    "ry",
    "size",
    "stroke-width",
    "tabindex",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "y1",
    "y2",
];
/// Attributes that are looked at in a way of their own.
const OTHERS: [&str; 7] = ["class", "d", "href", "id", "style", "value", "xlink:href"];
/// What the console sets of the style of an element.
const STYLES: [&str; 7] = ["--columns", "--lane", "--lanes", "--length", "--minutes", "--start", "height"];

/// Judges a chunk: a JSON array of events. The refusal says what is wrong, without what stands there.
pub(super) fn judge(events: &str) -> Result<Judged, String> {
    let Ok(Value::Array(events)) = serde_json::from_str::<Value>(events) else {
        return Err("This is no JSON array of events.".to_owned());
    };
    if events.is_empty() || events.len() > MOST_EVENTS {
        return Err(format!("A chunk has 1 to {MOST_EVENTS} events."));
    }
    let mut judged = Judged { span: (i64::MAX, i64::MIN), errors: 0 };
    for (place, event) in events.iter().enumerate() {
        let at = judge_event(event, &mut judged.errors).map_err(|what| format!("Event {place} {what}."))?;
        judged.span = (judged.span.0.min(at), judged.span.1.max(at));
    }
    Ok(judged)
}

/// Judges one event. The answer is its moment.
fn judge_event(event: &Value, errors: &mut u32) -> Result<i64, String> {
    let none = || "is none of rrweb's".to_owned();
    let event = event.as_object().ok_or_else(none)?;
    if let Some(name) = event.keys().find(|name| !["type", "timestamp", "data", "delay"].contains(&name.as_str())) {
        return Err(format!("has a field that is not taken, of {} characters", name.chars().count()));
    }
    let kind = event.get("type").and_then(Value::as_u64).ok_or_else(none)?;
    let at = event.get("timestamp").and_then(Value::as_i64).filter(|at| (0..=253_402_300_799_999).contains(at));
    let data = event.get("data").and_then(Value::as_object).ok_or_else(none)?;
    if event.get("delay").is_some_and(|delay| !delay.is_number()) {
        return Err(none());
    }
    match kind {
        CUSTOM => {
            let is_mark = data.len() == 2
                && data.get("tag").and_then(Value::as_str) == Some(ERROR_MARK)
                && data.get("payload").and_then(Value::as_object).is_some_and(Map::is_empty);
            if !is_mark {
                return Err("is no mark of an error".to_owned());
            }
            *errors = errors.saturating_add(1);
        }
        META => {
            let sizes = ["width", "height"].iter().all(|side| data.get(*side).is_some_and(Value::is_number));
            let page = data.get("href").and_then(Value::as_str).is_some_and(is_page);
            if !(data.len() == 3 && sizes && page) {
                return Err("says more than the page and its size".to_owned());
            }
        }
        STEP if !data.get("source").and_then(Value::as_u64).is_some_and(|source| STEPS.contains(&source)) => {
            return Err("is a step that is not taken".to_owned());
        }
        SNAPSHOT | STEP => fields(data)?,
        kind if MUTED.contains(&kind) && data.is_empty() => {}
        _ => return Err("is of a kind that is not taken".to_owned()),
    }
    at.ok_or_else(none)
}

fn fields(object: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in object {
        match (name.as_str(), value) {
            ("attributes", Value::Object(attributes)) => {
                for (name, value) in attributes {
                    if !is_attribute(name, value) {
                        return Err("has an attribute that is not taken, or not with this value".to_owned());
                    }
                }
            }
            (known, value) if NAMES.contains(&known) => field(known, value)?,
            (unknown, _) => return Err(format!("has a name that is not taken, of {} characters", unknown.len())),
        }
    }
    Ok(())
}

fn field(name: &str, value: &Value) -> Result<(), String> {
    let holds = match value {
        Value::Null | Value::Number(_) => true,
        // What is ticked is as much of a person as what is written.
        Value::Bool(is) => !(name == "isChecked" && *is),
        Value::String(text) => match name {
            "text" | "textContent" | "value" => is_masked(text),
            "tagName" => is_word(text) && !text.is_empty(),
            "name" => text == "html",
            "publicId" | "systemId" => text.is_empty(),
            "compatMode" => text == "CSS1Compat" || text == "BackCompat",
            _ => false,
        },
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(object) => fields(object)?,
                    Value::Number(_) | Value::Null => {}
                    _ => return Err("has a list of texts".to_owned()),
                }
            }
            true
        }
        Value::Object(object) => return fields(object),
    };
    if holds { Ok(()) } else { Err(format!("is not masked: {name}")) }
}

fn is_attribute(name: &str, value: &Value) -> bool {
    let text = match value {
        Value::Null | Value::Bool(false) => return is_known(name),
        Value::Bool(true) => return WORDS.contains(&name),
        Value::Number(_) => return NUMBERS.contains(&name),
        Value::String(text) => text.as_str(),
        Value::Object(styles) => return name == "style" && styles.iter().all(|(name, value)| is_style(name, value)),
        Value::Array(_) => return false,
    };
    match name {
        "class" => {
            text.len() <= 200 && text.split_whitespace().all(|one| is_name(one) && !one.starts_with("language-"))
        }
        "id" => is_name(text),
        "value" => is_masked(text),
        "d" => {
            text.len() <= 2_000
                && text.chars().all(|letter| is_numeric(letter) || "mMlLhHvVcCsSqQtTaAzZ".contains(letter))
        }
        "href" | "xlink:href" => text.strip_prefix("#i-").is_some_and(is_name) || is_sheet(text),
        "style" => text.split(';').map(str::trim).filter(|one| !one.is_empty()).all(|one| {
            one.split_once(':').is_some_and(|(name, value)| is_style(name.trim(), &Value::from(value.trim())))
        }),
        name if WORDS.contains(&name) => is_word(text),
        name if NUMBERS.contains(&name) => text.len() <= 60 && text.trim_end_matches("px").chars().all(is_numeric),
        _ => false,
    }
}

/// Whether it is on one of the lists.
fn is_known(name: &str) -> bool {
    WORDS.contains(&name) || NUMBERS.contains(&name) || OTHERS.contains(&name)
}

fn is_style(name: &str, value: &Value) -> bool {
    let Some(text) = value.as_str() else { return STYLES.contains(&name) && *value == Value::Bool(false) };
    STYLES.contains(&name)
        && text.len() <= 20
        && (text == "auto" || text.trim_end_matches("px").chars().all(is_numeric))
}

/// Asterisks and the spaces between them.
fn is_masked(text: &str) -> bool {
    text.chars().all(|letter| letter == '*' || letter.is_whitespace())
}

fn is_numeric(letter: char) -> bool {
    letter.is_ascii_digit() || letter.is_ascii_whitespace() || ".,-%".contains(letter)
}

/// A name that the console gives: letters and hyphens, at most 40.
fn is_name(text: &str) -> bool {
    text.len() <= 40 && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
}

/// A word of the console, or of HTML and SVG: letters, digits and hyphens, at most 24.
fn is_word(text: &str) -> bool {
    text.len() <= 24 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
}

/// The path of a page, without what it is asked with.
fn is_page(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(is_name)
}

/// A style sheet of the console, of whichever release: `/assets/<hash>/<name>.css`.
fn is_sheet(text: &str) -> bool {
    let path = text.strip_prefix("/assets/").and_then(|rest| rest.split_once('/'));
    path.is_some_and(|(hash, name)| {
        let digits = hash.len() == 16 && hash.chars().all(|digit| digit.is_ascii_hexdigit());
        digits && name.strip_suffix(".css").is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: i64 = 1_700_000_000_000;

    fn step(data: &Value) -> Result<Judged, String> {
        judge(&json!([{"type": 3, "timestamp": AT, "data": data}]).to_string())
    }

    fn with_attribute(name: &str, value: &Value) -> Result<Judged, String> {
        step(&json!({"source": 0, "texts": [], "removes": [], "adds": [],
            "attributes": [{"id": 3, "attributes": {name: value}}]}))
    }

    #[test]
    fn the_shape_of_a_page_is_taken() {
        let node = json!({"type": 0, "id": 1, "compatMode": "CSS1Compat", "childNodes": [
            {"type": 1, "name": "html", "publicId": "", "systemId": "", "id": 2},
            {"type": 2, "tagName": "main", "id": 3, "attributes": {"class": "plain part", "id": "main", "hidden": true}, "childNodes": [
                {"type": 3, "textContent": " *** ** ", "id": 4},
                {"type": 2, "tagName": "path", "id": 5, "isSVG": true, "childNodes": [], "attributes": {"d": "M12 5v14M5 12h-1.5"}},
                {"type": 2, "tagName": "linearGradient", "id": 6, "childNodes": [], "attributes": {"rr_width": "20px", "value": "***"}},
            ]},
        ]});
        let events = json!([
            {"type": 4, "timestamp": AT, "data": {"href": "/security", "width": 800, "height": 600}},
            {"type": 2, "timestamp": AT + 5, "data": {"node": node, "initialOffset": {"left": 0, "top": 0}}},
            {"type": 5, "timestamp": AT + 9, "data": {"tag": "error", "payload": {}}},
            {"type": 3, "timestamp": AT + 7, "data": {"source": 5, "id": 4, "text": "****", "isChecked": false}},
            {"type": 3, "timestamp": AT + 8, "delay": 3, "data": {"source": 1, "positions": [{"x": 1, "y": 2.5, "id": 4, "timeOffset": -3}]}},
        ]);
        assert_eq!(judge(&events.to_string()), Ok(Judged { span: (AT, AT + 9), errors: 1 }));
    }

    #[test]
    fn what_can_be_read_is_refused_wherever_it_stands() {
        for data in [
            json!({"source": 0, "texts": [{"id": 1, "value": "Iris"}]}),
            json!({"source": 5, "id": 1, "text": "*ris", "isChecked": false}),
            json!({"source": 5, "id": 1, "text": "****", "isChecked": true}),
            json!({"source": 0, "adds": [{"parentId": 1, "nextId": null, "node": {"type": 3, "id": 2, "textContent": "Iris"}}]}),
            json!({"source": 0, "adds": [{"parentId": 1, "node": {"type": 2, "id": 2, "tagName": "Iris Moss"}}]}),
            json!({"source": 0, "Iris": 1}),
            json!({"source": 0, "texts": ["Iris"]}),
            json!({"source": 0, "compatMode": "Iris"}),
            json!({"source": 1, "positions": [{"x": "Iris"}]}),
            json!({"source": 0, "adds": [{"node": {"type": 2, "attributes": {"_cssText": "a"}}}]}),
            json!({"source": 8, "adds": []}),
            json!({"source": 11}),
            json!({"id": 1}),
        ] {
            assert!(step(&data).is_err(), "{data}");
        }
        let attributes = [
            ("title", json!("Iris")),
            ("aria-label", json!("Iris")),
            ("placeholder", json!("Iris")),
            ("alt", json!("Iris")),
            ("href", json!("/?c=1")),
            ("href", json!("#iris")),
            ("href", json!("https://example.com/assets/0123456789abcdef/base.css")),
            ("src", json!("/v1/images/1")),
            ("srcdoc", json!("x")),
            ("onclick", json!("x")),
            ("content", json!("Iris")),
            ("data-id", json!("0193")),
            ("datetime", json!("2026-11-30")),
            ("id", json!("person-0193")),
            ("class", json!("language-iris")),
            ("class", json!("part Iris")),
            ("value", json!("Iris")),
            ("checked", json!(true)),
            ("style", json!("background: url(x)")),
            ("style", json!({"height": "expression(1)"})),
            ("style", json!({"background": "1px"})),
            ("data-state", json!("Iris Moss")),
            ("width", json!("Iris")),
            ("d", json!("M1 1 Iris")),
            ("title", json!(5)),
            ("title", json!(null)),
            ("iris", json!(false)),
            ("href", json!(true)),
        ];
        for (name, value) in attributes {
            assert!(with_attribute(name, &value).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn attributes_of_the_console_are_taken() {
        for (name, value) in [
            ("href", json!("#i-theme")),
            ("href", json!("/assets/0123456789abcdef/base.css")),
            ("style", json!("height: 40.5px; --lane: 0")),
            ("style", json!({"--start": "30", "height": false})),
            ("aria-expanded", json!("true")),
            ("viewBox", json!("0 0 24 24")),
            ("rr_scrollTop", json!(40)),
            ("hidden", json!(null)),
            ("disabled", json!(true)),
            ("data-view", json!("app")),
        ] {
            assert!(with_attribute(name, &value).is_ok(), "{name}: {value}");
        }
    }

    /// The lists of the browser are these.
    #[test]
    fn the_browser_masks_by_the_same_lists() {
        let source = include_str!("../../console/assets/replay-mask.js");
        for (name, list) in [("NAMES", &NAMES[..]), ("WORDS", &WORDS), ("NUMBERS", &NUMBERS), ("STYLES", &STYLES)] {
            let (_, rest) = source.split_once(&format!("const {name} = new Set([")).expect("a list");
            let (list_there, _) = rest.split_once("])").expect("its end");
            let there: Vec<&str> = list_there.split('"').skip(1).step_by(2).collect();
            assert_eq!(there, list, "{name}");
        }
        let steps = STEPS.map(|step| step.to_string()).join(", ");
        assert!(source.contains(&format!("const STEPS = new Set([{steps}]);")), "{steps}");
    }

    #[test]
    fn only_events_are_taken() {
        for text in [
            "",
            "[]",
            "{}",
            "[1]",
            "[{\"type\":3}]",
            "[{\"type\":0,\"timestamp\":-1,\"data\":{}}]",
            "[{\"type\":0,\"timestamp\":1,\"data\":{\"a\":1}}]",
            "[{\"type\":0,\"timestamp\":1,\"data\":{},\"more\":1}]",
            "[{\"type\":6,\"timestamp\":1,\"data\":{}}]",
            "[{\"type\":5,\"timestamp\":1,\"data\":{\"tag\":\"note\",\"payload\":{}}}]",
            "[{\"type\":5,\"timestamp\":1,\"data\":{\"tag\":\"error\",\"payload\":{\"a\":1}}}]",
            "[{\"type\":4,\"timestamp\":1,\"data\":{\"href\":\"/?c=1\",\"width\":1,\"height\":1}}]",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
        assert!(judge("[{\"type\":1,\"timestamp\":1,\"data\":{}}]").is_ok());
        assert!(judge(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
    }
}
