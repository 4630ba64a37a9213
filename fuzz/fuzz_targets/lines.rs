//! Any bytes as the lines of a well-formed delivery, of a service or of a database by the first byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testkit::laws;

/// 2026-11-21T10:59:59.900Z: a batch of more than a few lines goes over two hours.
const MILLIS: i64 = 1_795_258_799_900;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let log_group = if kind % 2 == 0 { laws::LOG_GROUP } else { laws::POSTGRES_LOG_GROUP };
    let times = (MILLIS..).step_by(20);
    let lines: Vec<(i64, &[u8])> = times.zip(bytes.split(|byte| *byte == b'\n')).collect();
    laws::lines(log_group, &lines);
});
