//! Ids drawn at random.

use std::time::{SystemTime, UNIX_EPOCH};

use schema::trace::{SpanId, TraceId};

use crate::chance;

/// A trace that begins now, as X-Ray has it: the second, and 96 random bits.
pub(crate) fn trace_id(now: SystemTime) -> TraceId {
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut random = [0; 12];
    random[..8].copy_from_slice(&chance::bits().to_be_bytes());
    random[8..].copy_from_slice(&chance::bits().to_be_bytes()[..4]);
    // The second runs over in 2106.
    TraceId::begun(second as u32, random)
}

/// A span's id.
pub(crate) fn span_id() -> SpanId {
    loop {
        if let Some(id) = SpanId::of(chance::bits().to_be_bytes()) {
            return id;
        }
    }
}
