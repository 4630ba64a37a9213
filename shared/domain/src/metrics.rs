//! Metrics from log lines to CloudWatch: the registry of names, series that merge without losing a
//! count, pending objects, minute rollups, and the plan of one flush.

pub use schema::registry;

pub mod sketch;

pub mod series;

pub mod pending;

pub mod rollup;

pub mod recent;

pub mod put;

pub mod flush;

pub mod merge;

pub mod bound;
