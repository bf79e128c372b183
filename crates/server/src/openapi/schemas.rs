//! What the types of fields say beyond what is written of them: how large a whole number may be, that a header is never
//! null, and that the variants of what is told apart by a word take no other fields.

use serde_json::{Value, json};

/// What is told apart by a word within it and takes no field that it does not know.
const STRICT: [&str; 3] = ["ClientReportEntry", "Mutation", "SchemeSettings"];

/// What cannot be left out when something is made, where one type says what is made and what is changed.
const MADE_WITH: [(&str, &[(&str, &str)]); 2] =
    [("/v1/services", &[("name", "string"), ("minutes", "integer")]), ("/v1/staff", &[("name", "string")])];

/// Writes it into the document.
pub(super) fn complete(document: &mut Value) {
    bound(document);
    for name in STRICT {
        let variants = document.pointer_mut(&format!("/components/schemas/{name}/oneOf"));
        for variant in variants.and_then(Value::as_array_mut).into_iter().flatten() {
            variant["additionalProperties"] = false.into();
        }
    }
    for (path, fields) in MADE_WITH {
        let content = format!("/paths/{}/post/requestBody/content/application~1json/schema", path.replace('/', "~1"));
        if let Some(schema) = document.pointer_mut(&content) {
            let properties = fields.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })));
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            let needs =
                json!({ "type": "object", "required": names, "properties": Value::Object(properties.collect()) });
            *schema = json!({ "allOf": [schema.take(), needs] });
        }
    }
    let paths =
        document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(of_parameter);
    }
}

/// What is left out of a header is not there at all.
fn of_parameter(parameter: &mut Value) {
    if parameter["name"] == "Idempotency-Key" {
        parameter["description"] = "The same key again is the same request again: it makes nothing twice.".into();
        parameter["schema"] =
            json!({ "type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "minLength": 1, "maxLength": 255 });
    } else if parameter["in"] == "header" {
        let kinds = parameter["schema"]["type"].as_array();
        if let Some(kind) = kinds.and_then(|kinds| kinds.iter().find(|kind| **kind != "null")).cloned() {
            parameter["schema"]["type"] = kind;
        }
    }
}

/// Gives each whole number the bounds of its type, where none are written.
fn bound(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let format = object.get("format").and_then(Value::as_str).unwrap_or_default().replace("u-int", "uint");
            if let Some((least, most)) = range(&format) {
                object.insert("format".to_owned(), format.into());
                object.entry("minimum").or_insert(least);
                object.entry("maximum").or_insert(most);
            }
            object.values_mut().for_each(bound);
        }
        Value::Array(values) => values.iter_mut().for_each(bound),
        _ => {}
    }
}

fn range(format: &str) -> Option<(Value, Value)> {
    Some(match format {
        "uint8" => (0.into(), u8::MAX.into()),
        "uint16" => (0.into(), u16::MAX.into()),
        "uint32" => (0.into(), u32::MAX.into()),
        "uint64" => (0.into(), u64::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}
