//! Alert rules, and what becomes of them minute by minute.
//!
//! A rule file becomes a [`rules::RuleSet`]; [`engine::evaluate`] takes it with the metrics and the
//! last [`state::AlertState`] to the next one and to what has changed; [`policy::decide()`] makes notifications
//! of that, which wait in the [`outbox::Outbox`] of the state until they are sent.

pub mod rules;

pub mod engine;

mod board;

mod evaluation;

pub(crate) mod threshold;

pub mod slo;

pub mod absence;

mod heartbeat;

mod composite;

pub mod event;

pub mod lifecycle;

pub mod datapoints;

pub mod chosen;

pub mod condition;

pub mod expression;

pub mod duration;

pub mod samples;

pub mod state;

pub mod episode;

pub mod notification;

pub mod policy;

pub mod outbox;

pub mod history;

pub mod alarms;

pub mod inbox;

pub mod files;

pub mod backtest;

pub mod export;

#[cfg(test)]
mod testing;

/// The built-in rules, in force where the operators have no file of their own.
pub const DEFAULT_RULES: &str = include_str!("../../../infra/rules/default.yaml");
