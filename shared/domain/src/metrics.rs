//! Metrics from log lines to CloudWatch and Prometheus: the registry of names, series that merge without losing a
//! count, pending objects, minute rollups, the plan of one flush, what Prometheus is told, and figures for people.

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

pub mod prometheus;

pub mod report;
