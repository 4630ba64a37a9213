//! Metrics.

mod distribution;
mod emf;
mod recorder;
mod series;
mod store;
