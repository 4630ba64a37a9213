//! Lines as an agent sends them: by group and stream, in the order of time, a call's worth at a time.

use std::collections::BTreeMap;

use domain::logs::put_events::{self, NewEvent};

use super::Day;

/// Lines of one stream that belong into one `PutLogEvents` call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Their log group.
    pub log_group: String,
    /// Their stream.
    pub log_stream: String,
    /// The lines, in the order of time.
    pub events: Vec<NewEvent>,
}

/// The lines of the `minutes` minutes from `from` minutes after the day's start.
pub fn of(day: &Day, from: i64, minutes: i64) -> Vec<Batch> {
    let mut streams: BTreeMap<(String, String), Vec<NewEvent>> = BTreeMap::new();
    for line in (from..from + minutes).flat_map(|offset| day.minute(day.start.plus(offset))) {
        let event = NewEvent { timestamp_millis: line.timestamp_ms, message: line.message };
        streams.entry((line.log_group, line.log_stream)).or_default().push(event);
    }
    let calls = streams.into_iter().flat_map(|((log_group, log_stream), events)| {
        put_events::plan(events).into_iter().map(move |events| Batch {
            log_group: log_group.clone(),
            log_stream: log_stream.clone(),
            events,
        })
    });
    calls.collect()
}
