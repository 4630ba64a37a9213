//! Dashboards, defined once over the metrics of the registry and written three times: for Grafana with Prometheus, for
//! Grafana with CloudWatch, and as a CloudWatch dashboard. Nothing here does IO.
//!
//! Read [`boards`] for what is shown, [`expression`] for what can be said of a metric, [`promql`] and [`metric_math`]
//! for how each store is asked, [`grafana`] and [`cloudwatch`] for what is written.

pub mod boards;
pub mod cloudwatch;
pub mod expression;
pub mod files;
pub mod grafana;
pub mod metric_math;
pub mod panel;
pub mod promql;
