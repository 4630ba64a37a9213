//! What the system knows and decides. Nothing in this crate does IO, reads a clock or the
//! environment, or starts a runtime: the moment and the input are always arguments, so that the same
//! delivery, seen twice, decides the same thing.

pub mod alerting;
pub mod events;
pub mod keys;
pub mod logs;
pub mod metrics;
pub mod minute;
pub mod notifying;
pub mod ports;
pub mod reporting;
pub mod traces;

pub use minute::Minute;
