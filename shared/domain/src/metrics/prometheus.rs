//! What Prometheus is told by remote write: counters and histograms that only grow, across restarts, and gauges.
//!
//! The [`State`] lies in the bucket (`state/prometheus.json`) and holds every series as Prometheus shall see it:
//! cumulative, in the registry's unit, with histograms in classic buckets. A sweep of the flusher is added to it exactly
//! once ([`State::apply`]), by its number. A lost state is a counter reset, and nothing worse.
//!
//! What is sent follows from the stored state alone:
//!
//! - All samples of a decision ([`State::decide`]) carry its time, which is later than that of any decision before, so
//!   that Prometheus never finds one out of order. The decision is stored with the sweep, before anything is sent: a
//!   request that is sent again after a crash says the same, which Prometheus takes. A remote that is down loses
//!   nothing, since the values of the next tick hold it all.
//! - A new counter or histogram first gets a zero ([`State::zeros`]), half a minute before its first value, so that
//!   `increase()` sees its first count. Only when the zero was taken, and that is noted, are its values sent: a zero
//!   never comes after a value, which would be read as a reset, and may well come twice.
//! - Every series is sent at each tick, or else Prometheus' lookback of five minutes would hide it. One that has not
//!   grown for [`IDLE_MINUTES`] ends: it gets a staleness marker and is forgotten. Should it come back, it begins again
//!   at zero and says so: `increase()` reads that as a reset, which is what it was. It ends only when its last value
//!   was taken, however long the remote was away.
//! - A gauge ends when its last value is as old as that by event time. It has no zero.
//!
//! The samples carry the time of the tick and not that of the events: late points would be out of order.

pub mod wire;

mod exposition;

pub mod request;

pub mod state;

pub(crate) use exposition::scaled;
pub use request::Request;
pub use state::{Counted, FOLDED, IDLE_MINUTES, Labels, MAX_SERIES, Name, REFUSED_MINUTES, State, StateError};
