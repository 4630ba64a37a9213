//! CloudWatch Logs deliveries, as Lambda gets them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libdeflater::{CompressionLvl, Compressor};
use serde_json::{Value, json};

/// One log event of a delivery: epoch milliseconds and the line.
pub type Line<'a> = (i64, &'a str);

/// The id of the log event at a position of a delivery.
pub fn event_id(at: usize) -> String {
    format!("{at:056}")
}

/// The Lambda event that delivers `lines` of one log stream, with made-up event ids that depend only
/// on the position.
pub fn delivery(log_group: &str, log_stream: &str, lines: &[Line<'_>]) -> Value {
    wrap(&message_of(log_group, log_stream, lines))
}

/// The decompressed message that delivers `lines`: what is in a [`delivery`], or in a record of a stream.
pub fn message_of(log_group: &str, log_stream: &str, lines: &[Line<'_>]) -> Vec<u8> {
    let events: Vec<Value> = lines
        .iter()
        .enumerate()
        .map(|(at, (timestamp, message))| json!({ "id": event_id(at), "timestamp": timestamp, "message": message }))
        .collect();
    message("DATA_MESSAGE", log_group, log_stream, &Value::Array(events))
}

/// The same of lines of any bytes. What JSON has to escape is escaped, everything else is there as it
/// is, UTF-8 or not.
pub fn delivery_of_bytes(log_group: &str, log_stream: &str, lines: &[(i64, &[u8])]) -> Value {
    let (log_group, log_stream) = (json!(log_group), json!(log_stream));
    let head = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":{log_group},"logStream":{log_stream},"subscriptionFilters":["to-log-processor"],"logEvents":["#
    );
    let mut payload = head.into_bytes();
    for (at, (timestamp, line)) in lines.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        payload.extend(format!(r#"{comma}{{"id":"{}","timestamp":{timestamp},"message":""#, event_id(at)).into_bytes());
        line.iter().for_each(|byte| push_escaped(&mut payload, *byte));
        payload.extend(b"\"}");
    }
    payload.extend(b"]}");
    wrap(&payload)
}

fn push_escaped(payload: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => payload.extend([b'\\', byte]),
        0..0x20 => payload.extend(format!("\\u{byte:04x}").into_bytes()),
        _ => payload.push(byte),
    }
}

/// The decompressed message of a delivery.
pub fn message(kind: &str, log_group: &str, log_stream: &str, events: &Value) -> Vec<u8> {
    let message = json!({
        "messageType": kind,
        "owner": "123456789012",
        "logGroup": log_group,
        "logStream": log_stream,
        "subscriptionFilters": ["to-log-processor"],
        "logEvents": events,
    });
    message.to_string().into_bytes()
}

/// A Lambda event whose data decompresses to `payload`, whatever that is.
pub fn wrap(payload: &[u8]) -> Value {
    wrap_compressed(&gzip(payload))
}

/// A Lambda event whose data are these bytes, whatever they are.
pub fn wrap_compressed(bytes: &[u8]) -> Value {
    json!({ "awslogs": { "data": STANDARD.encode(bytes) } })
}

/// `bytes` as a gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut compressed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let size = compressor.gzip_compress(bytes, &mut compressed).expect("the buffer is as large as the bound says");
    compressed.truncate(size);
    compressed
}
