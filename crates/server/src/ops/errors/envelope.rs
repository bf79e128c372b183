//! A report as the protocol has it (develop.sentry.dev/sdk/foundations/transport/envelopes and .../event-payloads).

use mainstay_domain::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Report;

/// Three lines: what the envelope is, what its one item is, and the item.
pub(super) fn envelope(report: &Report, id: Uuid, now: Timestamp, environment: &str) -> String {
    let id = id.simple().to_string();
    let event = event(report, &id, now, environment).to_string();
    let head = json!({ "event_id": id, "sent_at": now });
    let item = json!({ "type": "event", "content_type": "application/json", "length": event.len() });
    format!("{head}\n{item}\n{event}\n")
}

fn event(report: &Report, id: &str, now: Timestamp, environment: &str) -> Value {
    let Report { message, target, fields, tags, span, crumbs } = report;
    let is_panic = target == "mainstay::panic";
    let text = |name: &str| fields.get(name).map(String::as_str).filter(|text| !text.is_empty());
    // What tells one fault from another is the line and what is behind it, and not the ids in it.
    let value = text("detail").or_else(|| text("inside")).or_else(|| text("error")).unwrap_or(message);
    let kind = text("code").or_else(|| text("task")).unwrap_or(message);
    let crumbs: Vec<Value> = crumbs
        .iter()
        .map(|crumb| {
            json!({ "timestamp": crumb.at, "level": crumb.level, "category": crumb.target, "message": crumb.message })
        })
        .collect();
    let mut event = json!({
        "event_id": id,
        "timestamp": now,
        "platform": "other",
        "level": if is_panic { "fatal" } else { "error" },
        "logger": target,
        "release": concat!("mainstay@", env!("CARGO_PKG_VERSION")),
        "environment": environment,
        "message": { "formatted": message },
        "exception": { "values": [{
            "type": kind, "value": value, "module": text("place"), "mechanism": { "type": "log", "handled": !is_panic },
        }] },
        "fingerprint": [target, message, kind, text("route").or_else(|| text("place")).unwrap_or_default()],
        "tags": tags,
        "extra": fields,
        "breadcrumbs": { "values": crumbs },
    });
    if let Some(span) = span {
        let (trace, span) = (span.trace.to_string(), span.span.to_string());
        event["contexts"] = json!({ "trace": { "trace_id": trace, "span_id": span } });
    }
    if let Some(person) = tags.get("person_id") {
        event["user"] = json!({ "id": person });
    }
    event
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mainstay_domain::TraceContext;

    use super::*;

    #[test]
    fn an_envelope_has_three_lines_of_json_and_the_length_of_the_last() {
        let report = Report {
            message: "request failed".to_owned(),
            target: "mainstay_server::http".to_owned(),
            fields: BTreeMap::from([
                ("code".to_owned(), "internal".to_owned()),
                ("inside".to_owned(), "a\nb".to_owned()),
            ]),
            tags: BTreeMap::from([("person_id", Uuid::from_u128(7).to_string())]),
            span: TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            crumbs: Vec::new(),
        };
        let text = envelope(&report, Uuid::from_u128(1), Timestamp::EPOCH, "test");
        let lines: Vec<&str> = text.lines().collect();
        let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((values.len(), &values[0]["event_id"]), (3, &json!("00000000000000000000000000000001")));
        assert_eq!(values[1]["length"], lines[2].len());
        assert_eq!(values[2]["exception"]["values"][0]["type"], "internal");
        assert_eq!(values[2]["exception"]["values"][0]["value"], "a\nb");
        assert_eq!(values[2]["contexts"]["trace"]["span_id"], "b7ad6b7169203331");
        assert_eq!((&values[2]["user"]["id"], &values[2]["level"]), (&json!(Uuid::from_u128(7)), &json!("error")));
    }
}
