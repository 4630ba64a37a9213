//! Which traces are kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use schema::trace::TraceId;

use crate::chance;
use crate::settings::Traces;

/// Decides once for each trace that begins here.
#[derive(Debug)]
pub(crate) struct Sampler {
    share: f64,
    per_second: u32,
    always: Vec<String>,
    /// The second, and how many traces were kept in it beside the share: 32 bits each.
    second: AtomicU64,
}

/// The bits of a trace's id by which a share of traces is told: the last eight bytes, which are random in ids of
/// X-Ray and of W3C alike. Whoever decides by them decides the same.
pub(crate) fn bits_of(trace_id: TraceId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = trace_id.bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Sampler {
    pub(crate) fn new(traces: &Traces) -> Sampler {
        let Traces { share, per_second, always, .. } = traces.clone();
        Sampler { share, per_second, always, second: AtomicU64::new(0) }
    }

    /// Whether the trace that begins with `operation` is kept. `bits` are those of its id, or random.
    pub(crate) fn decide(&self, bits: u64, operation: &str, now: impl FnOnce() -> SystemTime) -> bool {
        self.always.iter().any(|name| name == operation)
            || chance::is_in_share(bits, self.share)
            || (self.per_second > 0 && self.has_room(now()))
    }

    fn has_room(&self, now: SystemTime) -> bool {
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) << 32;
        let taken = self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            let count = if last >> 32 == second >> 32 { last & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(self.per_second)).then_some(second | (count + 1))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::trace_id;
    use std::time::Duration;

    fn sampler(share: f64, per_second: u32, always: &[&str]) -> Sampler {
        let always = always.iter().map(|name| (*name).to_owned()).collect();
        let spans = tracing_subscriber::filter::Targets::new();
        Sampler::new(&Traces { spans, share, per_second, always })
    }

    fn kept(sampler: &Sampler, operation: &str, at: SystemTime) -> usize {
        (0..1_000).filter(|_| sampler.decide(bits_of(trace_id(at)), operation, || at)).count()
    }

    #[test]
    fn a_share_some_a_second_and_some_always() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (share, per_second, least, most) in
            [(0.0, 0, 0, 0), (1.0, 0, 1_000, 1_000), (0.0, 3, 3, 3), (0.1, 0, 50, 160)]
        {
            let sampler = sampler(share, per_second, &["POST /contracts"]);
            let kept_now = kept(&sampler, "GET /", now);
            assert!((least..=most).contains(&kept_now), "{kept_now} of {share}, {per_second} a second");
            assert_eq!(kept(&sampler, "POST /contracts", now), 1_000);
        }
        let sampler = sampler(0.0, 2, &[]);
        let in_each = [0, 0, 1, 2].map(|second| kept(&sampler, "GET /", now + Duration::from_secs(second)));
        assert_eq!(in_each, [2, 0, 2, 2]);
    }

    #[test]
    fn the_same_trace_is_decided_the_same_everywhere() {
        let now = SystemTime::now();
        let (here, there) = (sampler(0.3, 0, &[]), sampler(0.3, 0, &[]));
        for _ in 0..1_000 {
            let id = bits_of(trace_id(now));
            assert_eq!(here.decide(id, "a", || now), there.decide(id, "b", || now));
        }
    }
}
