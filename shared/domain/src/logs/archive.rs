//! Lines into archive objects: one for each hour that a batch touches, NDJSON compressed with zstd.

use std::io::Read as _;

use zstd::zstd_safe::{CParameter, ParamSwitch, compress_bound};

use crate::Minute;
use crate::keys;
use crate::logs::origin::Origin;
use crate::ports::Object;

/// zstd's fastest regular level: four times the speed of level 3 costs a twentieth more bytes.
const COMPRESSION_LEVEL: i32 = 1;

/// What is told otherwise than by the level. A sixth less time, for a fiftieth more bytes: half of the hash table, so
/// that it stays in the nearest cache, and longer steps where nothing matches, which would leave out the coding of
/// literals if that were not asked for. A window that holds all of an object wins some bytes back.
const COMPRESSION: [CParameter; 4] = [
    CParameter::HashLog(13),
    CParameter::TargetLength(2),
    CParameter::LiteralCompressionMode(ParamSwitch::Enable),
    CParameter::WindowLog(21),
];

/// Buffers that have grown beyond this by an unusual batch are given back after it.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Lines by the hour of their event time, which CloudWatch vouches for, not of what a service's clock says.
/// Its buffers are used again from batch to batch.
pub struct Hours {
    hours: Vec<Hour>,
    free: Vec<Vec<u8>>,
    compressor: Compressor,
}

/// Compresses into room of its own, so that an object takes no more memory than it has bytes.
struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    room: Vec<u8>,
}

struct Hour {
    /// Hours since the epoch.
    number: i64,
    /// Any minute of it.
    minute: Minute,
    lines: Vec<u8>,
}

impl Default for Hours {
    fn default() -> Hours {
        let mut zstd = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).expect("zstd has this level");
        // No checksum in the frame: every PUT has one over the compressed bytes, a twelfth of these, and S3 keeps it.
        for parameter in COMPRESSION {
            zstd.set_parameter(parameter).expect("zstd has this parameter");
        }
        Hours { hours: Vec::new(), free: Vec::new(), compressor: Compressor { zstd, room: Vec::new() } }
    }
}

impl Hours {
    /// Where the lines of the hour that `minute` lies in are written to, one after the other.
    pub fn lines_of(&mut self, minute: Minute) -> &mut Vec<u8> {
        let number = minute.hours_since_epoch();
        let at = self.hours.iter().rposition(|hour| hour.number == number).unwrap_or_else(|| {
            let lines = self.free.pop().unwrap_or_default();
            self.hours.push(Hour { number, minute, lines });
            self.hours.len() - 1
        });
        &mut self.hours[at].lines
    }

    /// The object that holds `lines` at `key`.
    pub fn object(&mut self, key: String, lines: &[u8]) -> Object {
        self.compressor.object(key, lines)
    }

    /// The objects that hold the lines written since the last time, by hour.
    pub fn finish(&mut self, origin: &Origin, batch_id: &str) -> Vec<Object> {
        self.hours.sort_unstable_by_key(|hour| hour.number);
        let mut objects = Vec::new();
        for Hour { minute, mut lines, .. } in self.hours.drain(..) {
            // Filters may have left nothing of an hour.
            if !lines.is_empty() {
                let key = keys::archive(&origin.environment, &origin.service, minute, batch_id);
                objects.push(self.compressor.object(key, &lines));
            }
            lines.clear();
            if lines.capacity() <= MAX_KEPT_BYTES {
                self.free.push(lines);
            }
        }
        objects
    }
}

/// Content type of archive objects, and of those with spans.
pub(crate) const CONTENT_TYPE: &str = "application/zstd";

impl Compressor {
    fn object(&mut self, key: String, lines: &[u8]) -> Object {
        self.room.clear();
        self.room.reserve(compress_bound(lines.len()));
        self.zstd.compress_to_buffer(lines, &mut self.room).expect("zstd compresses any bytes into room for them");
        let body = self.room.as_slice().to_vec();
        if self.room.capacity() > MAX_KEPT_BYTES {
            self.room = Vec::new();
        }
        Object { key, content_type: CONTENT_TYPE, body }
    }
}

/// The first `max` bytes of the text of an archive object, one line after the other; where it is longer, the last line is
/// cut.
///
/// # Errors
///
/// Where it is no zstd frame.
pub fn text_within(body: &[u8], max: usize) -> std::io::Result<String> {
    let mut text = Vec::new();
    zstd::stream::read::Decoder::with_buffer(body)?.take(max as u64).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The lines of an archive object, for tests and tools.
///
/// # Errors
///
/// Where it is no zstd frame, or no UTF-8.
pub fn lines(body: &[u8]) -> std::io::Result<Vec<String>> {
    let text = zstd::stream::decode_all(body)?;
    let text = String::from_utf8(text).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    Ok(text.lines().map(str::to_owned).collect())
}
