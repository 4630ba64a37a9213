//! Metrics.

mod distribution;
mod emf;
mod flush;
mod recorder;
mod series;
mod store;
