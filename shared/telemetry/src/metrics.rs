//! Metrics.

mod distribution;
mod emf;
mod series;
mod store;
