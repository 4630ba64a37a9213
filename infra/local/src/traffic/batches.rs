//! Lines as an agent sends them: by group and stream, in the order of time, within the API's limits.

use super::{Day, Line};

/// Lines of one stream that belong into one `PutLogEvents` call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Their log group.
    pub log_group: String,
    /// Their stream.
    pub log_stream: String,
    /// The lines, in the order of time.
    pub lines: Vec<Line>,
}

/// `PutLogEvents` takes so many bytes, of which each event costs 26 besides its message.
const MAX_BYTES: usize = 1_048_576;
const EVENT_BYTES: usize = 26;
/// And so many events.
const MAX_EVENTS: usize = 10_000;

/// The lines of the `minutes` minutes from `from` minutes after the day's start.
pub fn of(day: &Day, from: i64, minutes: i64) -> Vec<Batch> {
    let mut lines: Vec<Line> = (from..from + minutes).flat_map(|offset| day.minute(day.start.plus(offset))).collect();
    // Stable, so that lines of the same millisecond stay as they were written.
    lines.sort_by(|a, b| {
        (&a.log_group, &a.log_stream, a.timestamp_ms).cmp(&(&b.log_group, &b.log_stream, b.timestamp_ms))
    });
    split(lines)
}

fn split(lines: Vec<Line>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for line in lines {
        let cost = line.message.len() + EVENT_BYTES;
        match batches.last_mut() {
            Some(batch)
                if batch.log_group == line.log_group
                    && batch.log_stream == line.log_stream
                    && batch.lines.len() < MAX_EVENTS
                    && bytes + cost <= MAX_BYTES =>
            {
                bytes += cost;
                batch.lines.push(line);
            }
            _ => {
                bytes = cost;
                let (log_group, log_stream) = (line.log_group.clone(), line.log_stream.clone());
                batches.push(Batch { log_group, log_stream, lines: vec![line] });
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stream: &str, message: String) -> Line {
        Line { log_group: "/g".to_owned(), log_stream: stream.to_owned(), timestamp_ms: 0, message }
    }

    #[test]
    fn a_batch_has_one_stream_and_stays_within_the_limits() {
        let half = "x".repeat(MAX_BYTES / 2);
        let batches = split(vec![line("a", half.clone()), line("a", half), line("b", "1".to_owned())]);
        let shape: Vec<_> = batches.iter().map(|batch| (batch.log_stream.as_str(), batch.lines.len())).collect();
        assert_eq!(shape, [("a", 1), ("a", 1), ("b", 1)]);
        let many = split(vec![line("a", String::new()); MAX_EVENTS + 1]);
        assert_eq!(many.iter().map(|batch| batch.lines.len()).collect::<Vec<_>>(), [MAX_EVENTS, 1]);
    }
}
