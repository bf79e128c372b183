//! Traces as the OpenTelemetry protocol has them, in its JSON encoding
//! (opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): numbers of 64 bits are texts, ids are hexadecimal.

use std::time::Duration;

use mainstay_domain::{Timestamp, TraceContext};
use mainstay_store::trace::{Attribute, Segment, Span, StepKind};
use serde_json::{Value, json};

use crate::ops::log::mask::mask;

/// The longest text of a span, in characters.
const LONGEST: usize = 1_000;

/// A segment that is kept, and when it ended.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) segment: Segment,
    pub(super) ended: Timestamp,
}

impl Kept {
    /// How many spans it is.
    pub(super) fn spans(&self) -> usize {
        self.segment.spans.len() + 1
    }
}

/// What all spans of this process have in common.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) service: String,
    pub(super) environment: String,
    pub(super) node: String,
    /// What the database is: `sqlite` or `postgresql`.
    pub(super) database: &'static str,
}

/// The body of one export.
pub(super) fn body(kept: &[Kept], resource: &Resource) -> Value {
    let spans: Vec<Value> = kept.iter().flat_map(|kept| of_segment(kept, resource)).collect();
    let version = env!("CARGO_PKG_VERSION");
    let about = [
        ("service.name", resource.service.as_str()),
        ("service.version", version),
        ("service.instance.id", resource.node.as_str()),
        ("deployment.environment.name", resource.environment.as_str()),
    ];
    let about: Vec<Value> = about.iter().map(|(key, value)| text(key, value)).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": about },
        "scopeSpans": [{ "scope": { "name": "mainstay", "version": version }, "spans": spans }],
    }] })
}

fn of_segment<'a>(kept: &'a Kept, resource: &'a Resource) -> impl Iterator<Item = Value> + 'a {
    let segment = &kept.segment;
    let ended = Duration::from_millis(u64::try_from(kept.ended.as_millis()).unwrap_or_default());
    let began = ended.saturating_sub(segment.root.took);
    let mut root = span(&segment.root, &segment.context, began, resource);
    match segment.parent {
        Some(parent) => root["parentSpanId"] = parent.to_string().into(),
        None => {
            root.as_object_mut().map(|root| root.remove("parentSpanId"));
        }
    }
    if let Some(linked) = segment.linked {
        root["links"] = json!([{ "traceId": linked.trace.to_string(), "spanId": linked.span.to_string() }]);
    }
    if segment.left_out > 0
        && let Some(attributes) = root["attributes"].as_array_mut()
    {
        attributes.push(attribute("mainstay.spans_left_out", &Attribute::from(segment.left_out)));
    }
    std::iter::once(root).chain(segment.spans.iter().map(move |one| span(one, &segment.context, began, resource)))
}

fn span(span: &Span, context: &TraceContext, began: Duration, resource: &Resource) -> Value {
    let start = began + span.began;
    let mut attributes: Vec<Value> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    if span.kind == StepKind::Statement {
        attributes.push(text("db.system.name", resource.database));
    }
    let mut value = json!({
        "traceId": context.trace.to_string(),
        "spanId": span.id.to_string(),
        "parentSpanId": span.parent.to_string(),
        "flags": u8::from(context.sampled),
        "name": masked(&span.name),
        "kind": kind(span.kind),
        "startTimeUnixNano": start.as_nanos().to_string(),
        "endTimeUnixNano": (start + span.took).as_nanos().to_string(),
        "attributes": attributes,
    });
    if let Some(why) = &span.failed {
        value["status"] = json!({ "code": 2, "message": masked(why) });
    }
    value
}

/// The numbers of `SpanKind`.
fn kind(kind: StepKind) -> u8 {
    match kind {
        StepKind::Work => 1,
        StepKind::Request => 2,
        StepKind::Statement | StepKind::Outgoing => 3,
        StepKind::Job => 5,
    }
}

fn attribute(name: &str, value: &Attribute) -> Value {
    match value {
        Attribute::Text(value) => text(name, value),
        Attribute::Number(number) => json!({ "key": name, "value": { "intValue": number.to_string() } }),
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": masked(value) } })
}

/// A text as it leaves the house: without secrets and personal data, and not endless.
fn masked(text: &str) -> String {
    let cut = text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end]);
    mask(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{SpanId, TraceId};
    use uuid::Uuid;

    use super::*;

    fn span_of(number: u64, parent: u64, kind: StepKind) -> Span {
        Span {
            id: SpanId::new(number),
            parent: SpanId::new(parent),
            name: "INSERT".into(),
            kind,
            began: Duration::from_nanos(1_500),
            took: Duration::from_micros(2),
            failed: None,
            attributes: vec![("n", Attribute::Number(7))],
        }
    }

    fn resource() -> Resource {
        Resource {
            service: "mainstay".to_owned(),
            environment: "test".to_owned(),
            node: "n".to_owned(),
            database: "sqlite",
        }
    }

    fn kept() -> Kept {
        let context = TraceContext { trace: TraceId::of(Uuid::from_u128(5)), span: SpanId::new(1), sampled: true };
        let root = Span {
            name: "POST /v1/messages".into(),
            began: Duration::ZERO,
            took: Duration::from_millis(3),
            failed: Some("for ada@example.com".to_owned()),
            ..span_of(1, 1, StepKind::Request)
        };
        let linked = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let spans = vec![span_of(2, 1, StepKind::Statement)];
        let segment = Segment { context, parent: None, linked, root, spans, left_out: 3, patient: false };
        Kept { segment, ended: Timestamp::from_millis(1_000) }
    }

    #[test]
    fn a_segment_is_written_as_the_protocol_has_it() {
        let body = body(&[kept()], &resource());
        let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let (root, statement) = (&spans[0], &spans[1]);
        assert_eq!(root["traceId"], "00000000000000000000000000000005");
        assert_eq!(
            (&root["spanId"], &root["kind"], &root["flags"]),
            (&json!("0000000000000001"), &json!(2), &json!(1))
        );
        assert!(root.get("parentSpanId").is_none());
        assert_eq!((&root["startTimeUnixNano"], &root["endTimeUnixNano"]), (&json!("997000000"), &json!("1000000000")));
        assert_eq!(root["status"], json!({ "code": 2, "message": "for [email]" }));
        assert_eq!(root["links"][0]["spanId"], "b7ad6b7169203331");
        assert_eq!(root["attributes"][1], json!({ "key": "mainstay.spans_left_out", "value": { "intValue": "3" } }));
        assert_eq!((&statement["parentSpanId"], &statement["kind"]), (&json!("0000000000000001"), &json!(3)));
        assert_eq!(statement["startTimeUnixNano"], "997001500");
        assert_eq!(
            statement["attributes"][1],
            json!({ "key": "db.system.name", "value": { "stringValue": "sqlite" } })
        );
        assert!(statement.get("status").is_none());
    }
}
