use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn read() -> Value {
    serde_json::from_str(text()).expect("JSON")
}

/// Every operation: its method, its path, and what is said of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations");
        operations.iter().map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
    });
    all.collect()
}

/// Calls `look` with every object in it.
fn walk(value: &Value, look: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|value| walk(value, look));
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, look)),
        _ => {}
    }
}

#[test]
fn each_operation_has_a_name_of_its_own_and_names_each_answer() {
    let document = read();
    let operations = operations(&document);
    let names: BTreeSet<_> = operations.iter().map(|(_, _, operation)| operation["operationId"].as_str()).collect();
    assert_eq!(names.len(), operations.len());
    for (method, path, operation) in operations {
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses {
            assert!(status.parse::<u16>().is_ok(), "{method} {path}: {status} says nothing");
            let told =
                response["$ref"].is_string() || response["description"].as_str().is_some_and(|told| !told.is_empty());
            assert!(told, "{method} {path} {status} has no description");
        }
    }
}

#[test]
fn refusals_follow_from_the_table() {
    let document = read();
    let statuses = |method: &str, path: &str| -> Vec<String> {
        let responses = document["paths"][path][method]["responses"].as_object().expect("responses");
        responses.keys().cloned().collect()
    };
    let always = ["400", "413", "414", "500", "503", "504"];
    let with = |more: &[&str]| {
        let mut all: Vec<_> = always.iter().chain(more).map(ToString::to_string).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(statuses("get", "/healthz"), with(&["200"]));
    assert_eq!(statuses("get", "/v1/me"), with(&["200", "401", "403", "404", "429"]));
    assert_eq!(statuses("get", "/v1/members"), with(&["200", "401", "403", "429"]));
    assert_eq!(statuses("patch", "/v1/members/{id}"), with(&["204", "401", "403", "404", "408", "409", "415", "429"]));
    assert_eq!(
        statuses("post", "/v1/campaigns"),
        with(&["201", "401", "403", "404", "408", "409", "415", "422", "429"])
    );
}

#[test]
fn what_is_referred_to_is_there() {
    let document = read();
    let mut seen = 0;
    walk(&document, &mut |object| {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} is not there");
            seen += 1;
        }
    });
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn whole_numbers_have_bounds_and_headers_are_never_null() {
    let document = read();
    walk(&document, &mut |object| {
        let format = object.get("format").and_then(Value::as_str).unwrap_or_default();
        if format.starts_with("uint") || format.starts_with("int") {
            assert!(object.contains_key("minimum") && object.contains_key("maximum"), "{object:?}");
        }
        if object.get("in").is_some_and(|place| place == "header") {
            assert!(object["schema"]["type"].is_string(), "{object:?}");
        }
    });
}

#[test]
fn variants_take_no_other_fields_and_what_is_made_has_a_name() {
    let document = read();
    let mutations = document["components"]["schemas"]["Mutation"]["oneOf"].as_array().expect("variants");
    assert!(mutations.iter().all(|variant| variant["additionalProperties"] == false), "{mutations:?}");
    let body = &document["paths"]["/v1/services"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["allOf"][1]["required"], serde_json::json!(["name", "minutes"]));
}
