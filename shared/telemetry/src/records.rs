//! Records of the `log` crate as events: what libraries say that do not use `tracing`.

use log::{Level, LevelFilter, Log, Metadata, Record};
use tracing::level_filters::LevelFilter as TracingFilter;
use tracing_subscriber::filter::Targets;

use crate::handle::Telemetry;

/// The target of events that stand for a record that is to be written. Whether it is has been decided already, by its
/// own target, which an event can't have: that of an event is known when it is compiled.
pub(crate) const TARGET: &str = "telemetry::log";

/// The same of records below the level, which are written for some requests only.
pub(crate) const TARGET_BELOW: &str = "telemetry::log::below";

/// Sends records to the subscriber.
struct Records(Telemetry);

/// Sends every record of the process to the subscriber. `false` where another logger is in place.
pub(crate) fn install(telemetry: &Telemetry) -> bool {
    let installed = log::set_boxed_logger(Box::new(Records(telemetry.clone()))).is_ok();
    if installed {
        log::set_max_level(filter(TracingFilter::current()));
    }
    installed
}

impl Records {
    /// What an event for it is called; `None` where it is not to be written at all.
    fn target(&self, metadata: &Metadata<'_>) -> Option<&'static str> {
        let settings = self.0.settings();
        let lets = |targets: &Targets| targets.would_enable(metadata.target(), &level(metadata.level()));
        let below = settings.debug.share > 0.0 || settings.debug.hold_bytes > 0;
        if lets(&settings.levels) {
            Some(TARGET)
        } else if below && lets(&settings.debug.levels) {
            Some(TARGET_BELOW)
        } else {
            None
        }
    }
}

/// An event of a level that is known at run time only.
macro_rules! event {
    ($target:expr, $record:expr) => {
        match $record.level() {
            Level::Error => tracing::error!(target: $target, target = $record.target(), "{}", $record.args()),
            Level::Warn => tracing::warn!(target: $target, target = $record.target(), "{}", $record.args()),
            Level::Info => tracing::info!(target: $target, target = $record.target(), "{}", $record.args()),
            Level::Debug => tracing::debug!(target: $target, target = $record.target(), "{}", $record.args()),
            Level::Trace => tracing::trace!(target: $target, target = $record.target(), "{}", $record.args()),
        }
    };
}

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.target(metadata).is_some()
    }

    fn log(&self, record: &Record<'_>) {
        match self.target(record.metadata()) {
            Some(TARGET) => event!(TARGET, record),
            Some(_) => event!(TARGET_BELOW, record),
            None => {}
        }
    }

    fn flush(&self) {
        // Whoever logs does not wait.
    }
}

fn level(level: Level) -> tracing::Level {
    match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    }
}

fn filter(filter: TracingFilter) -> LevelFilter {
    match filter {
        TracingFilter::OFF => LevelFilter::Off,
        TracingFilter::ERROR => LevelFilter::Error,
        TracingFilter::WARN => LevelFilter::Warn,
        TracingFilter::INFO => LevelFilter::Info,
        TracingFilter::DEBUG => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{events_of, settings};
    use crate::{Settings, parse_levels};
    use serde_json::{Value, json};

    /// What is written of a record of each level and target.
    fn written(settings: Settings) -> Vec<Value> {
        let lines = events_of(settings, |telemetry| {
            let records = Records(telemetry.clone());
            let log = |target: &str, level: Level| {
                records.log(&Record::builder().target(target).level(level).args(format_args!("{level}")).build());
            };
            tracing::info_span!("request", request_id = "r-1").in_scope(|| {
                for target in ["rustls::client", "other"] {
                    for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn] {
                        log(target, level);
                    }
                }
                log("other", Level::Error);
            });
        });
        lines.iter().for_each(|line| assert_eq!(line["context"]["request_id"], "r-1", "{line}"));
        lines.iter().map(|line| json!([line["details"]["target"], line["message"]])).collect()
    }

    #[test]
    fn records_are_lines_by_the_level_of_their_own_target() {
        let levels = parse_levels("warn,rustls=debug").unwrap();
        assert_eq!(
            json!(written(Settings { levels, ..settings() })),
            json!([
                ["rustls::client", "DEBUG"],
                ["rustls::client", "INFO"],
                ["rustls::client", "WARN"],
                ["other", "WARN"],
                ["other", "ERROR"],
            ])
        );
    }

    #[test]
    fn records_below_the_level_are_held_back_like_events() {
        let mut settings = Settings { levels: parse_levels("error").unwrap(), ..settings() };
        settings.debug.hold_bytes = 10_000;
        settings.debug.levels = parse_levels("error,rustls=info").unwrap();
        let expected = json!([["rustls::client", "INFO"], ["rustls::client", "WARN"], ["other", "ERROR"]]);
        assert_eq!(json!(written(settings)), expected);
    }
}
