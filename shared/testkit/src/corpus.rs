//! A corpus of made-up deliveries for benchmarks, memory tests and fuzz seeds: what the platform's
//! services and its database write, in batches as CloudWatch Logs sends them. The same seed gives the
//! same bytes on every machine.
//!
//! Of a corpus's bytes 85 % are JSON lines of schema v1 and 15 % are lines of PostgreSQL's server log,
//! in batches of their own. One JSON line in twenty-five has personal data or a secret in it, each kind
//! as often as any other.

mod chance;
mod database;
mod envelope;
mod personal;
mod services;

use std::collections::VecDeque;

use chance::Chance;
use envelope::Envelope;
use jiff::Timestamp;
pub use personal::{Kind, Planted};

/// Of every twenty batches, those that come from the database: 15 %, spread out.
const DATABASE_BATCHES: [usize; 3] = [3, 10, 16];

/// When the corpus begins, in epoch milliseconds: 2026-11-21, 10:02 UTC.
const START_MILLIS: i64 = 1_795_255_320_000;

/// What the beginnings of two batches are apart: all of a corpus of twenty lies in one hour.
const BATCH_MILLIS: i64 = 60_000;

/// Who writes the lines of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A service, in JSON of schema v1.
    Service,
    /// The database server, with the short prefix of RDS.
    Database,
}

/// Where a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// With this many lines.
    Lines(usize),
    /// With the first line that brings the decompressed delivery to this many bytes.
    DecodedBytes(usize),
}

/// One delivery, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Who wrote its lines.
    pub writer: Writer,
    /// The Lambda event, `{"awslogs":{"data":"..."}}`.
    pub event: String,
    /// Log events in it.
    pub lines: usize,
    /// Bytes of their messages.
    pub message_bytes: usize,
    /// Bytes that it decompresses to.
    pub decoded_bytes: usize,
    /// What may stand in no archive.
    pub planted: Vec<Planted>,
}

/// `count` deliveries of about `decoded_bytes` each; of every twenty, seventeen are services'.
pub fn deliveries(seed: u64, count: usize, decoded_bytes: usize) -> Vec<Delivery> {
    let writer =
        |number: usize| if DATABASE_BATCHES.contains(&(number % 20)) { Writer::Database } else { Writer::Service };
    (0..count).map(|number| delivery(seed, number, writer(number), Size::DecodedBytes(decoded_bytes))).collect()
}

/// The delivery `number` of a corpus. A longer one begins with the lines of a shorter one.
pub fn delivery(seed: u64, number: usize, writer: Writer, size: Size) -> Delivery {
    let mut batch = Batch::new(seed, number, writer);
    while !batch.is_full(size) {
        batch.add_line();
    }
    batch.finish()
}

/// A batch that is being written.
struct Batch {
    writer: Writer,
    service: &'static str,
    chance: Chance,
    /// The writer's clock.
    clock: Clock,
    envelope: Envelope,
    /// Lines that are written, but not in the envelope yet.
    waiting: VecDeque<Line>,
    planted: Vec<Planted>,
}

/// A line, and what was planted in it.
struct Line {
    text: String,
    planted: Option<Planted>,
}

impl Line {
    fn plain(text: String) -> Line {
        Line { text, planted: None }
    }
}

impl Batch {
    fn new(seed: u64, number: usize, writer: Writer) -> Batch {
        let mut chance = Chance::new(seed ^ (number as u64) << 32);
        let service = services::NAMES[number % services::NAMES.len()];
        let (group, stream) = match writer {
            Writer::Service => (
                format!("/aws/ecs/production/{service}"),
                format!("ecs/{service}/{:016x}{:016x}", chance.next(), chance.next()),
            ),
            Writer::Database => {
                ("/aws/rds/instance/production-contract-db/postgresql".into(), "production-contract-db.0".into())
            }
        };
        Batch {
            writer,
            service,
            envelope: Envelope::new(&group, &stream),
            chance,
            clock: Clock { millis: START_MILLIS + number as i64 * BATCH_MILLIS },
            waiting: VecDeque::new(),
            planted: Vec::new(),
        }
    }

    fn is_full(&self, size: Size) -> bool {
        match size {
            Size::Lines(lines) => self.envelope.lines >= lines,
            Size::DecodedBytes(bytes) => self.envelope.decoded_bytes() >= bytes,
        }
    }

    /// One more line; the lines of a visit are written together and come one after the other.
    fn add_line(&mut self) {
        while self.waiting.is_empty() {
            let lines = match self.writer {
                Writer::Service => services::visit(&mut self.chance, self.service, &mut self.clock),
                Writer::Database => database::happening(&mut self.chance, &mut self.clock),
            };
            self.waiting.extend(lines);
        }
        if let Some(line) = self.waiting.pop_front() {
            self.envelope.add(&mut self.chance, self.clock.millis, &line.text);
            self.planted.extend(line.planted);
        }
    }

    fn finish(self) -> Delivery {
        let (lines, message_bytes) = (self.envelope.lines, self.envelope.message_bytes);
        let decoded = self.envelope.close();
        Delivery {
            writer: self.writer,
            event: crate::subscription::wrap(&decoded).to_string(),
            lines,
            message_bytes,
            decoded_bytes: decoded.len(),
            planted: self.planted,
        }
    }
}

/// A writer's clock.
struct Clock {
    millis: i64,
}

impl Clock {
    fn pass(&mut self, millis: u64) {
        self.millis += millis as i64;
    }

    /// The time as `pattern` (of `strftime`) has it.
    fn stamp(&self, pattern: &str) -> String {
        let time = Timestamp::from_millisecond(self.millis).expect("the corpus is of our days");
        time.strftime(pattern).to_string()
    }
}

#[cfg(test)]
mod tests;
