//! Log lines: from a CloudWatch Logs delivery to archive objects and pending metrics.
//!
//! The stages, in order, each in a file of its own: [`envelope`] (base64, gzip, outer JSON) > [`join`]
//! (pieces of a line into one) > [`parse`] (any dialect into a [`record::Record`]) > [`write`](mod@write) (a
//! line of the archive, redacted by [`redact`] as it is written) > [`mod@derive`] and [`filter`] > [`archive`],
//! with [`quarantine`] for what can not be read. [`pipeline`] puts them together. Most lines take a shorter
//! way: they are known by their [`shape`].
//!
//! Nothing is copied before it is written: a delivery is inflated once, its lines are decoded side by
//! side, and everything else looks at them until [`write`](mod@write) puts them into the archive's buffer.

pub mod pipeline;

pub mod envelope;

pub mod origin;

pub mod json;

mod short;

pub mod join;

pub mod record;

pub mod parse;

pub mod redact;

pub mod write;

pub mod shape;

pub mod filter;

pub mod archive;

pub mod derive;

pub mod security;

pub mod quarantine;

pub mod replay;

pub mod put_events;
