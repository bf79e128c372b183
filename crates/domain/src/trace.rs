//! Which trace work belongs to, as the W3C Trace Context has it (w3.org/TR/trace-context): one trace is everything that one
//! cause led to, on all nodes; a span is one step of it.

use std::fmt;

use uuid::Uuid;

use crate::hexadecimal::from_hexadecimal;

/// The id of a trace: sixteen bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace that a request or a job begins: its id without the hyphens. The last seven bytes of a UUIDv7 are chance, as
    /// the second level of the standard asks of them.
    #[must_use]
    pub const fn of(cause: Uuid) -> Self {
        Self(cause.into_bytes())
    }

    /// Whether a trace is among the share that is kept, in per cent. Every node decides alike, by the last seven bytes
    /// (opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling).
    #[must_use]
    pub fn is_among(self, percent: u32) -> bool {
        let [_, _, _, _, _, _, _, _, _, chance @ ..] = self.0;
        let chance = chance.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        // Of 2^56 values.
        u128::from(chance) * 100 < u128::from(percent) << 56
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// The id of a span within its trace: eight bytes, not all of them zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl SpanId {
    /// What these bytes stand for; zero stands for nothing.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(if number == 0 { 1 } else { number })
    }

    /// The id of the n-th span after this one, counted from 1: an odd step runs through all numbers before one comes again.
    #[must_use]
    pub const fn following(self, n: u64) -> Self {
        Self::new(self.0.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// The place in a trace that further work belongs to: what the header `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Which trace.
    pub trace: TraceId,
    /// The span that the work is done for.
    pub span: SpanId,
    /// Whether the trace is kept whatever comes of it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads the header of version 00, or the beginning of a later one that the standard wants read as 00. Nothing for what
    /// is no such header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Digits in upper case are none here.
        if [version, trace, span, flags].iter().any(|part| part.bytes().any(|byte| byte.is_ascii_uppercase())) {
            return None;
        }
        let [version] = from_hexadecimal(version)?;
        if version == 0xFF || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let trace = from_hexadecimal(trace)?;
        let span = u64::from_be_bytes(from_hexadecimal(span)?);
        let [flags]: [u8; 1] = from_hexadecimal(flags)?;
        let known = trace != [0; 16] && span != 0;
        known.then_some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_is_read_and_written() {
        let read = TraceContext::parse(HEADER).expect("a context");
        assert!(read.sampled);
        assert_eq!(read.to_string(), HEADER);
        assert_eq!(read.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        let later = format!("cc{}-what-comes-later", &HEADER[2..]);
        assert_eq!(TraceContext::parse(&later), Some(read));
    }

    #[test]
    fn what_is_no_header_is_not_read() {
        let bad = [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319ü-b7ad6b7169203331-01",
        ];
        for text in bad {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_is_kept_by_the_last_bytes() {
        let of = |last: u128| TraceId::of(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 | last));
        let middle = 1 << 55;
        assert!(of(0).is_among(1) && !of(0).is_among(0) && of((1 << 56) - 1).is_among(100));
        assert!(of(middle - 1).is_among(50) && !of(middle).is_among(50) && of(middle).is_among(51));
    }

    #[test]
    fn spans_of_a_trace_differ() {
        let root = SpanId::new(u64::MAX);
        let ids: std::collections::HashSet<_> = (0..10_000).map(|n| root.following(n)).collect();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(SpanId::new(0).to_string(), "0000000000000001");
    }
}
