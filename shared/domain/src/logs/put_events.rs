//! From lines to the calls of `PutLogEvents`, within its limits.
//!
//! Limits (Amazon CloudWatch Logs API reference, PutLogEvents): 1,048,576 bytes a call, counting the
//! UTF-8 message and 26 bytes for each event; 10,000 events; chronological; not more than 24 hours
//! between the first and the last.

/// A line to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Event time in epoch milliseconds.
    pub timestamp_millis: i64,
    /// The line.
    pub message: String,
}

/// Bytes of a call.
pub const MAX_BYTES: usize = 1_048_576;

/// Bytes that an event costs beside its message.
pub const EVENT_BYTES: usize = 26;

/// Events of a call.
pub const MAX_EVENTS: usize = 10_000;

/// Milliseconds between the first and the last event of a call.
pub const MAX_SPAN_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// The calls that put `events` into one stream, in the order of time; events of the same millisecond
/// stay in the order they came in. An event that is too large for any call gets a call of its own,
/// which CloudWatch refuses, so that the caller hears of it.
pub fn plan(mut events: Vec<NewEvent>) -> Vec<Vec<NewEvent>> {
    events.sort_by_key(|event| event.timestamp_millis);
    let mut calls: Vec<Vec<NewEvent>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let cost = event.message.len() + EVENT_BYTES;
        match calls.last_mut() {
            Some(call)
                if call.len() < MAX_EVENTS
                    && bytes + cost <= MAX_BYTES
                    && event.timestamp_millis - call[0].timestamp_millis <= MAX_SPAN_MILLIS =>
            {
                bytes += cost;
                call.push(event);
            }
            _ => {
                bytes = cost;
                calls.push(vec![event]);
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(timestamp_millis: i64, bytes: usize) -> NewEvent {
        NewEvent { timestamp_millis, message: "x".repeat(bytes) }
    }

    fn sizes(events: Vec<NewEvent>) -> Vec<usize> {
        plan(events).iter().map(Vec::len).collect()
    }

    #[test]
    fn calls_stay_within_every_limit() {
        // Defect 33: order, size, number and span were ignored.
        let half = MAX_BYTES / 2 - EVENT_BYTES;
        assert_eq!(sizes(vec![event(0, half), event(1, half)]), [2]);
        assert_eq!(sizes(vec![event(0, half), event(1, half + 1)]), [1, 1]);
        assert_eq!(sizes(vec![event(0, 0); MAX_EVENTS + 1]), [MAX_EVENTS, 1]);
        assert_eq!(sizes(vec![event(0, 1), event(MAX_SPAN_MILLIS, 1), event(MAX_SPAN_MILLIS + 1, 1)]), [2, 1]);
        assert_eq!(sizes(vec![]), Vec::<usize>::new());
        assert_eq!(sizes(vec![event(0, 1), event(0, MAX_BYTES), event(0, 1)]), [1, 1, 1]);
    }

    #[test]
    fn events_are_put_in_the_order_of_time_and_equal_ones_as_they_came() {
        let named = |timestamp_millis, name: &str| NewEvent { timestamp_millis, message: name.to_owned() };
        let calls = plan(vec![named(2, "c"), named(1, "a"), named(1, "b")]);
        let order: Vec<&str> = calls[0].iter().map(|event| event.message.as_str()).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }
}
