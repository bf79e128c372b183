//! The last hand on a line of the log: what was written about an event is given its trail, masked, counted and written out.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::mask::{CARD, EMAIL, PHONE, SECRET, mask_bytes};
use super::trail::Trail;
use crate::config::LogFormat;
use crate::ops::metrics::{counter, gauge};

/// The names of levels, as `level` of `mainstay_log_lines`.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What was written since the start of this process.
struct Written {
    lines: [AtomicU64; LEVELS.len()],
    replaced: AtomicU64,
    lost: AtomicU64,
}

/// There is one log of a process.
static WRITTEN: Written = Written {
    lines: [const { AtomicU64::new(0) }; LEVELS.len()],
    replaced: AtomicU64::new(0),
    lost: AtomicU64::new(0),
};

fn place(level: Level) -> usize {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}

/// Writes lines to standard error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines(pub(super) LogFormat);

/// Writes one line.
#[derive(Debug)]
pub(super) struct Line {
    format: LogFormat,
    level: Level,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { format: self.0, level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { format: self.0, level: *metadata.level() }
    }
}

impl io::Write for Line {
    /// The subscriber hands over an event as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (line, replaced) = finished(event, self.format, Trail::current().as_ref());
        let written = &WRITTEN;
        written.lines[place(self.level)].fetch_add(1, Ordering::Relaxed);
        written.replaced.fetch_add(replaced as u64, Ordering::Relaxed);
        if io::stderr().lock().write_all(&line).is_err() {
            // Whoever read it is gone; the figures tell.
            written.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line as it is written, and how much was replaced in it.
fn finished(event: &[u8], format: LogFormat, trail: Option<&Trail>) -> (Vec<u8>, usize) {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let (mut line, replaced) = mask_bytes(event).unwrap_or_else(|| (event.to_vec(), 0));
    if let Some(trail) = trail {
        add(&mut line, format, trail);
    }
    line.push(b'\n');
    (line, replaced)
}

/// Says for what and for whom the work is done, unless the event has said it itself.
fn add(line: &mut Vec<u8>, format: LogFormat, trail: &Trail) {
    let is_json = format == LogFormat::Json;
    if is_json && line.pop_if(|byte| *byte == b'}').is_none() {
        return;
    }
    for (name, id) in trail.fields() {
        // Written out in text it may be coloured, so that the sign behind it is further away.
        let said = if is_json { format!("\"{name}\":") } else { name.to_owned() };
        if contains(line, said.as_bytes()) {
            continue;
        }
        // Into memory: it cannot fail.
        let _ = if is_json { write!(line, ",\"{name}\":\"{id}\"") } else { write!(line, " {name}={id}") };
    }
    if is_json {
        line.push(b'}');
    }
}

fn contains(line: &[u8], name: &[u8]) -> bool {
    line.windows(name.len()).any(|part| part == name)
}

/// Whether what writes this process's log replaces what it must: each kind is tried as an event of either format.
pub(super) fn replaces() -> bool {
    // Invented; written in parts, so that nothing here has the form of a key.
    let key = ["mk", "0a1b2c3d4e5f6071829304a5b6c7d8e9f0a1b2c3d4e"].join("_");
    let canaries: [(&str, &str); 6] = [
        ("canary@example.com", EMAIL),
        ("+49 30 901820", PHONE),
        ("4242 4242 4242 4242", CARD),
        (&key, SECRET),
        ("Bearer canary-0123456789", SECRET),
        ("postgres://canary:canary@example.com/x", SECRET),
    ];
    canaries.iter().all(|(canary, instead)| {
        let json = serde_json::json!({ "message": canary }).to_string();
        let text = format!("INFO a line: detail=\"{canary}\"");
        [(json, LogFormat::Json), (text, LogFormat::Text)].iter().all(|(event, format)| {
            let (line, replaced) = finished(event.as_bytes(), *format, None);
            let secret = canary.rsplit(' ').next().unwrap_or(canary);
            replaced == 1 && contains(&line, instead.as_bytes()) && !contains(&line, secret.as_bytes())
        })
    })
}

/// The figures of the log.
#[derive(Debug)]
struct Figures;

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let mut family =
            encoder.encode_descriptor("mainstay_log_lines", "Lines of the log, by level", None, MetricType::Counter)?;
        for (level, lines) in LEVELS.iter().zip(&WRITTEN.lines) {
            let labels = [("level", *level)];
            ConstCounter::new(lines.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
        }
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        counter(
            encoder,
            "log_replaced",
            "Secrets and personal data that were replaced in lines",
            get(&WRITTEN.replaced),
        )?;
        counter(encoder, "log_lost", "Lines that could not be written", get(&WRITTEN.lost))?;
        let help = "Whether what writes the log replaces secrets and personal data, tried at each reading";
        gauge(encoder, "log_masks", help, usize::from(replaces()))
    }
}

/// Adds the figures of the log.
pub(crate) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Figures));
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{PersonId, RequestId, SpanId, TenantId, TraceContext, TraceId};
    use mainstay_store::trace::Trace;
    use uuid::Uuid;

    use super::super::trail::{Cause, Whom};
    use super::*;

    fn line(event: &str, format: LogFormat, trail: Option<&Trail>) -> String {
        String::from_utf8(finished(event.as_bytes(), format, trail).0).expect("text")
    }

    #[test]
    fn a_line_says_for_what_and_for_whom() {
        let trace = TraceContext { trace: TraceId::of(Uuid::from_u128(6)), span: SpanId::new(5), sampled: false };
        let trail = Trail::of(Cause::Request(RequestId(Uuid::from_u128(7))), Trace::begin(trace, None, None, None));
        let json = "{\"level\":\"INFO\",\"message\":\"to ada@example.com\"}\n";
        let request = "\"request_id\":\"00000000-0000-0000-0000-000000000007\",\
                       \"trace_id\":\"00000000000000000000000000000006\"";
        let expected = format!("{{\"level\":\"INFO\",\"message\":\"to [email]\",{request}}}\n");
        assert_eq!(line(json, LogFormat::Json, Some(&trail)), expected);
        trail.is_of(Whom { tenant: TenantId(Uuid::from_u128(8)), person: Some(PersonId(Uuid::from_u128(9))) });
        let told: serde_json::Value = serde_json::from_str(&line(json, LogFormat::Json, Some(&trail))).expect("JSON");
        assert_eq!(told["tenant_id"], Uuid::from_u128(8).to_string());
        assert_eq!(told["person_id"], Uuid::from_u128(9).to_string());
        let text = "INFO done request_id=1\n";
        let ids = "tenant_id=00000000-0000-0000-0000-000000000008 person_id=00000000-0000-0000-0000-000000000009 trace_id=00000000000000000000000000000006";
        assert_eq!(line(text, LogFormat::Text, Some(&trail)), format!("INFO done request_id=1 {ids}\n"));
        assert_eq!(line(text, LogFormat::Text, None), text);
    }

    #[test]
    fn what_writes_the_log_replaces_what_it_must() {
        assert!(replaces());
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        assert!(
            text.contains("mainstay_log_masks 1\n") && text.contains("mainstay_log_lines_total{level=\"error\"}"),
            "{text}"
        );
    }
}
