use std::collections::BTreeMap;

use axum::body::Body;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::*;

const DEPTH: usize = 32;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Order {
    name: String,
    #[serde(default)]
    count: u8,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default)]
    kind: Option<Sort>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Item {
    size: f64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Small,
    Large,
}

/// The field, code and detail of the refusal of one field, or the code and detail of the whole.
fn refused(text: impl AsRef<[u8]>) -> (String, &'static str, String) {
    let error = from_slice::<Order>(text.as_ref(), DEPTH).expect_err("refused");
    assert_eq!(error.kind, Kind::Invalid);
    match error.fields.into_iter().next() {
        Some(fault) => (fault.field, fault.code, fault.detail),
        None => (String::new(), error.code, error.detail),
    }
}

fn where_and_why(text: &str) -> (String, &'static str) {
    let (field, code, _) = refused(text);
    (field, code)
}

fn at(field: &str, code: &'static str) -> (String, &'static str) {
    (field.to_owned(), code)
}

#[test]
fn a_good_body_is_read() {
    let order: Order = from_slice(br#" {"name":"a\u00e9","items":[{"size":1}],"kind":"small"} "#, DEPTH).expect("good");
    let items = vec![Item { size: 1.0 }];
    assert_eq!(order, Order { name: "aé".to_owned(), count: 0, items, kind: Some(Sort::Small) });
}

#[test]
fn each_refusal_names_its_field_and_a_code() {
    assert_eq!(where_and_why("{}"), at("name", "missing"));
    assert_eq!(where_and_why(r#"{"name":"a","items":[{"size":1},{}]}"#), at("items[1].size", "missing"));
    assert_eq!(where_and_why(r#"{"name":"a","nmae":1}"#), at("nmae", "unknown"));
    assert_eq!(where_and_why(r#"{"name":5}"#), at("name", "invalid_type"));
    assert_eq!(where_and_why(r#"{"name":"a","count":300}"#), at("count", "out_of_range"));
    assert_eq!(where_and_why(r#"{"name":"a","count":-1}"#), at("count", "out_of_range"));
    assert_eq!(where_and_why(r#"{"name":"a","kind":"huge"}"#), at("kind", "unknown_value"));
    assert_eq!(where_and_why("[]"), at("(body)", "invalid_type"));
    assert_eq!(where_and_why("7"), at("(body)", "invalid_type"));
}

#[test]
fn an_object_is_read_from_no_list_wherever_it_stands() {
    let row = r#"["a",1,[],null]"#;
    assert!(serde_json::from_str::<Order>(row).is_ok(), "serde takes it, so that this test can fail");
    assert_eq!(where_and_why(row), at("(body)", "invalid_type"));
    assert_eq!(where_and_why(r#"{"name":"a","items":[{"size":1},[2]]}"#), at("items[1]", "invalid_type"));
    let held = from_slice::<BTreeMap<String, Option<Item>>>(br#"{"a":null,"b":[1]}"#, DEPTH).expect_err("a list");
    assert_eq!((held.fields[0].field.as_str(), held.fields[0].code), ("b", "invalid_type"));
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
    let count = |text: &str| from_slice::<Order>(text.as_bytes(), DEPTH).map(|order| order.count).ok();
    assert_eq!(count(r#"{"name":"a","count":2.0}"#), Some(2));
    assert_eq!(count(r#"{"name":"a","count":2e1}"#), Some(20));
    assert_eq!(where_and_why(r#"{"name":"a","count":2.5}"#), at("count", "invalid_type"));
    assert_eq!(where_and_why(r#"{"name":"a","count":256.0}"#), at("count", "out_of_range"));
}

#[test]
fn details_say_what_is_expected_and_never_repeat_a_value() {
    assert_eq!(refused(r#"{"name":"a","count":300}"#).2, "expected a whole number from 0 to 255, found a whole number");
    assert_eq!(refused(r#"{"name":["hunter2"]}"#).2, "expected text, found an array");
    let secret = r#"{"name":"a","count":"hunter2, expected `hunter2`"}"#;
    assert_eq!(refused(secret).2, "expected a whole number from 0 to 255, found text");
    assert_eq!(refused(r#"{"name":"a","kind":"huge"}"#).2, "there is no such value; expected small or large");
    assert_eq!(refused(r#"{"name":"a","x":1}"#).2, "there is no such field; expected one of name, count, items, kind");
}

#[test]
fn one_key_twice_is_refused_wherever_it_stands() {
    assert_eq!(where_and_why(r#"{"name":"a","name":"a"}"#), at("name", "duplicate"));
    assert_eq!(where_and_why(r#"{"name":"a","n\u0061me":"b"}"#), at("name", "duplicate"));
    assert_eq!(where_and_why(r#"{"x":[0,{"y":{"z":1,"z":1}}]}"#), at("x[1].y.z", "duplicate"));
    let many: String = (0..40).map(|n| format!(r#""k{n}":0,"#)).collect();
    assert_eq!(where_and_why(&format!(r#"{{{many}"k39":0}}"#)), at("k39", "duplicate"));
    assert_eq!(where_and_why(&format!(r#"{{{many}"k0":0}}"#)), at("k0", "duplicate"));
    let twins = r#"[{"a":1},{"a":1,"b":{"a":1}}]"#;
    assert!(from_slice::<Value>(twins.as_bytes(), DEPTH).is_ok(), "the same key in other objects is fine");
}

#[test]
fn depth_is_bounded_exactly() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(from_slice::<Value>(nested(DEPTH).as_bytes(), DEPTH).is_ok());
    let error = from_slice::<Value>(nested(DEPTH + 1).as_bytes(), DEPTH).expect_err("too deep");
    assert_eq!(error.fields[0].code, "too_deep");
    assert_eq!(error.fields[0].field, "[0]".repeat(DEPTH));
    let siblings = format!("[{}1]", "[],{\"a\":[]},".repeat(100));
    assert!(from_slice::<Value>(siblings.as_bytes(), 3).is_ok(), "siblings do not add up");
    assert!(from_slice::<Value>("[".repeat(1_000_000).as_bytes(), DEPTH).is_err());
    let objects = r#"{"a":"#.repeat(100_000);
    assert!(from_slice::<Value>(objects.as_bytes(), DEPTH).is_err());
}

#[test]
fn an_array_has_a_thousand_items_at_most() {
    let array = |count: usize| format!(r#"{{"x":[{}]}}"#, vec!["1"; count].join(","));
    assert!(from_slice::<Value>(array(1000).as_bytes(), DEPTH).is_ok());
    assert_eq!(where_and_why(&array(1001)), at("x", "too_many_items"));
}

#[test]
fn nul_is_refused_in_text_and_keys() {
    assert_eq!(where_and_why(r#"{"name":"a\u0000"}"#), at("name", "control_characters"));
    assert_eq!(where_and_why(r#"{"a\u0000":1}"#).1, "control_characters");
    assert!(!where_and_why(r#"{"a\u0000":1}"#).0.contains('\0'));
    assert_eq!(where_and_why("{\"name\":\"a\0\"}").1, "invalid_json");
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "nul",
        "{\"name\":\"a\"} x",
        "{\"name\":\"a\"}{}",
        "{'name':1}",
        "{name:1}",
        "[1,]",
        "01",
        "1e400",
        "\"\\ud800\"",
        "\"a\nb\"",
        "NaN",
        "/**/1",
        "\u{feff}{}",
        "-",
        "1.",
        "\"\\x\"",
    ] {
        assert_eq!(where_and_why(text).1, "invalid_json", "{text}");
    }
    let (_, code, detail) = refused(b"{\"name\":\"a\xff\"}");
    assert_eq!((code, detail.as_str()), ("invalid_json", "The body is not UTF-8: see byte 10."));
    let (_, _, detail) = refused("{\"name\":1e400}");
    assert!(detail.contains("out of range"), "{detail}");
}

#[test]
fn a_path_that_the_client_made_long_is_cut() {
    let key = "é".repeat(5000);
    let (field, code) = where_and_why(&format!(r#"{{"{key}":{{"{key}":"\u0000"}}}}"#));
    assert_eq!(code, "control_characters");
    assert!(field.len() < 300 && field.ends_with('…'));
}

#[tokio::test]
async fn only_json_is_taken_as_json() {
    let ask = async |media: Option<&str>| {
        let mut request = Request::builder();
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        let request = request.body(Body::from("{}")).expect("request");
        Json::<Value>::from_request(request, &()).await.map_err(|problem| problem.status().as_u16()).map(|_| ())
    };
    for media in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=utf-8"] {
        assert_eq!(ask(Some(media)).await, Ok(()), "{media}");
    }
    for media in [None, Some("text/plain"), Some("application/jsonp"), Some("application/x-www-form-urlencoded")] {
        assert_eq!(ask(media).await, Err(415), "{media:?}");
    }
}

/// JSON values within the bounds.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[^\\x00]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map("[^\\x00]{0,4}", inner, 0..8)
                .prop_map(|map: BTreeMap<String, Value>| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Text that is almost JSON, and often is.
fn nearly() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\"b\""),
        Just("\"\\u0061\""),
        Just("1"),
        Just("-0.5e3"),
        Just("null"),
        Just("true"),
        Just(" "),
        Just("\"\\u0000\""),
        Just("\\"),
        Just("\""),
    ];
    proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn every_value_within_the_bounds_is_read_as_serde_json_reads_it(value in value()) {
        let text = serde_json::to_vec(&value).expect("JSON");
        let ours = from_slice::<Value>(&text, DEPTH).map_err(|error| error.to_string());
        prop_assert_eq!(ours, serde_json::from_slice(&text).map_err(|error| error.to_string()));
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_serde_json_does_except_for_what_we_add(text in nearly()) {
        let theirs = serde_json::from_str::<Value>(&text);
        match from_slice::<Value>(text.as_bytes(), DEPTH) {
            Ok(ours) => prop_assert_eq!(ours, theirs.expect("they read it too")),
            Err(error) if error.code == "invalid_json" => prop_assert!(theirs.is_err(), "{}", text),
            Err(error) => {
                let code = error.fields[0].code;
                prop_assert!(["duplicate", "control_characters"].contains(&code), "{} {}", text, error);
            }
        }
    }

    #[test]
    fn a_value_with_a_byte_changed_never_panics(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = serde_json::to_vec(&value).expect("JSON");
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(ours) = from_slice::<Value>(&text, DEPTH) {
            prop_assert_eq!(ours, serde_json::from_slice::<Value>(&text).expect("they read it too"));
        }
    }
}
