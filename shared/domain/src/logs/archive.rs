//! Records into archive objects: one for each hour that a batch touches, NDJSON compressed with zstd.

use std::collections::BTreeMap;

use crate::Minute;
use crate::keys;
use crate::logs::origin::Origin;
use crate::logs::record::Record;
use crate::ports::Object;

/// zstd's fastest regular level: four times the speed of level 3 costs a twentieth more bytes.
const COMPRESSION_LEVEL: i32 = 1;

/// The objects that hold `records` of one batch. Lines keep their order within an hour; the hour is
/// that of the event time, which CloudWatch vouches for, not of what a service's clock says.
pub fn objects(origin: &Origin, batch_id: &str, records: &[Record]) -> Vec<Object> {
    let mut hours: BTreeMap<(String, String), (Minute, Vec<u8>)> = BTreeMap::new();
    for record in records {
        let minute = Minute::of(record.source.event_time);
        let (_, lines) = hours.entry((minute.day(), minute.hour())).or_insert((minute, Vec::new()));
        serde_json::to_writer(&mut *lines, record).expect("a record has text keys, and a vector takes every write");
        lines.push(b'\n');
    }
    hours
        .into_values()
        .map(|(minute, lines)| Object {
            key: keys::archive(&origin.environment, &origin.service, minute, batch_id),
            content_type: "application/zstd",
            body: zstd::bulk::compress(&lines, COMPRESSION_LEVEL).expect("zstd compresses any bytes in memory"),
        })
        .collect()
}

/// The lines of an archive object, for tests and tools.
pub fn lines(body: &[u8]) -> std::io::Result<Vec<String>> {
    let text = zstd::stream::decode_all(body)?;
    let text = String::from_utf8(text).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    Ok(text.lines().map(str::to_owned).collect())
}
