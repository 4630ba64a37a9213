//! Log lines: from a CloudWatch Logs delivery to archive objects and pending metrics.
//!
//! The stages, in order, each in a file of its own: [`envelope`] (base64, gzip, outer JSON) >
//! [`parse`] (any dialect into a [`record::Record`]) > [`redact`] > [`archive`] and [`derive`], with
//! [`quarantine`] for what can not be read. [`pipeline`] puts them together.

pub mod pipeline;

pub mod envelope;

pub mod origin;

pub mod record;

pub mod parse;

pub mod redact;

pub mod archive;

pub mod derive;

pub mod quarantine;

pub mod put_events;
