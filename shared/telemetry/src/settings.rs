//! What an application sets: who it is, what it logs, which traces it keeps.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use schema::Level;

use crate::metrics::Source;

/// Who writes the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `context.service_name`.
    pub service: String,
    /// `context.environment`.
    pub environment: String,
    /// `context.version`.
    pub version: String,
}

impl Identity {
    /// Of its three names.
    pub fn new(service: &str, environment: &str, version: &str) -> Identity {
        Identity { service: service.to_owned(), environment: environment.to_owned(), version: version.to_owned() }
    }
}

/// Everything that can be set. [`Settings::new`] has the defaults, [`Settings::from_lookup`] reads the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who writes.
    pub identity: Identity,
    /// Which events are written (`LOG_LEVEL`, default `info`).
    pub levels: Targets,
    /// What becomes of events below that.
    pub debug: DebugLines,
    /// Which spans become span lines.
    pub traces: Traces,
    /// How many bytes wait at most while standard output is slow (`LOG_BUFFER_BYTES`, default 1 MiB).
    pub buffer_bytes: usize,
    /// Names of fields whose values are never written but as `[secret]`, in any case, also as the last word of a
    /// name: `token` is `access_token`, too (`LOG_MASKED_FIELDS`, separated by commas, which are masked beside
    /// the default [`Settings::MASKED_FIELDS`]).
    pub masked_fields: Vec<String>,
    /// Namespace of metrics (`METRICS_NAMESPACE`, default `LandContracts`). One that CloudWatch would not take is
    /// refused at the start: it would drop every metric, and tell nobody.
    pub namespace: String,
    /// Who counts the calls that have a record (`METRICS_SOURCE`: `emf`, the default, or `derived`).
    pub metrics: Source,
    /// Seconds between two flushes of metrics, 1 to 60 (`METRICS_FLUSH_SECONDS`, default 60). 0: only when asked to,
    /// which is enough for a Lambda function that calls [`flush`](crate::flush) before it answers.
    pub flush_seconds: u32,
}

/// DEBUG lines of some requests, or of those that fail.
#[derive(Debug, Clone)]
pub struct DebugLines {
    /// Share of requests, 0 to 1, of which all DEBUG lines are written (`LOG_DEBUG_SHARE`, default 0). Every
    /// process decides for itself, by the id of the trace or else of the request and a secret of its own: nobody who
    /// chooses an id chooses that.
    pub share: f64,
    /// How many bytes of DEBUG lines are held for each request, to be written when an ERROR happens in it
    /// (`LOG_DEBUG_HOLD_BYTES`, default 0: none). The oldest give way.
    pub hold_bytes: usize,
    /// Which events these two are about (`LOG_DEBUG_LEVEL`, default `debug`). Each costs something even where it is
    /// not written in the end: name your own targets (`contract=debug`) where libraries are chatty.
    pub levels: Targets,
}

/// Which spans become span lines, in which traces.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Which spans are part of a trace (`TRACE_SPANS`, default `info`). Others only hand on ids to what is in them.
    pub spans: Targets,
    /// Share of the traces that begin here that are kept, 0 to 1 (`TRACE_SHARE`, default 0.05).
    pub share: f64,
    /// How many traces a second are kept beside the share (`TRACE_PER_SECOND`, default 1), so that a quiet service
    /// has some.
    pub per_second: u32,
    /// Operations whose traces are always kept where they begin with them (`TRACE_ALWAYS`, separated by commas).
    pub always: Vec<String>,
}

/// Settings that can't be read: every one of them, with its name and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct SettingsError(Vec<String>);

/// Levels that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is neither a level (off, error, warn, info, debug, trace) nor a `target=level`")]
pub struct LevelsError {
    part: String,
}

impl Settings {
    /// What is masked whatever else is.
    pub const MASKED_FIELDS: [&str; 7] =
        ["password", "passwd", "secret", "token", "api_key", "authorization", "cookie"];

    /// The variables that [`Settings::from_lookup`] reads.
    pub const VARIABLES: [&str; 16] = [
        "SERVICE_NAME",
        "ENVIRONMENT",
        "SERVICE_VERSION",
        "LOG_LEVEL",
        "LOG_DEBUG_SHARE",
        "LOG_DEBUG_HOLD_BYTES",
        "LOG_DEBUG_LEVEL",
        "LOG_BUFFER_BYTES",
        "LOG_MASKED_FIELDS",
        "TRACE_SPANS",
        "TRACE_SHARE",
        "TRACE_PER_SECOND",
        "TRACE_ALWAYS",
        "METRICS_NAMESPACE",
        "METRICS_SOURCE",
        "METRICS_FLUSH_SECONDS",
    ];

    /// The defaults.
    pub fn new(identity: Identity) -> Settings {
        Settings {
            identity,
            levels: Targets::new().with_default(LevelFilter::INFO),
            debug: DebugLines { share: 0.0, hold_bytes: 0, levels: Targets::new().with_default(LevelFilter::DEBUG) },
            traces: Traces {
                spans: Targets::new().with_default(LevelFilter::INFO),
                share: 0.05,
                per_second: 1,
                always: Vec::new(),
            },
            buffer_bytes: 1 << 20,
            masked_fields: Settings::MASKED_FIELDS.map(str::to_owned).to_vec(),
            namespace: "LandContracts".to_owned(),
            metrics: Source::Emf,
            flush_seconds: 60,
        }
    }

    /// Reads what is set, from any lookup. `SERVICE_NAME` and `ENVIRONMENT` must be.
    ///
    /// # Errors
    ///
    /// Names all that is missing or can't be read.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, SettingsError> {
        let mut read = Read { lookup, problems: Vec::new() };
        let identity = Identity {
            service: read.required("SERVICE_NAME"),
            environment: read.required("ENVIRONMENT"),
            version: read.text("SERVICE_VERSION").unwrap_or_else(|| "0.0.0".to_owned()),
        };
        let defaults = Settings::new(identity);
        let settings = Settings {
            levels: read.with("LOG_LEVEL", defaults.levels, |text| parse_levels(text).map_err(|e| e.to_string())),
            debug: DebugLines {
                share: read.with("LOG_DEBUG_SHARE", defaults.debug.share, share),
                hold_bytes: read.with("LOG_DEBUG_HOLD_BYTES", defaults.debug.hold_bytes, number),
                levels: read.with("LOG_DEBUG_LEVEL", defaults.debug.levels, |text| {
                    parse_levels(text).map_err(|e| e.to_string())
                }),
            },
            traces: Traces {
                spans: read
                    .with("TRACE_SPANS", defaults.traces.spans, |text| parse_levels(text).map_err(|e| e.to_string())),
                share: read.with("TRACE_SHARE", defaults.traces.share, share),
                per_second: read.with("TRACE_PER_SECOND", defaults.traces.per_second, number),
                always: read.with("TRACE_ALWAYS", defaults.traces.always, list),
            },
            buffer_bytes: read.with("LOG_BUFFER_BYTES", defaults.buffer_bytes, buffer),
            masked_fields: read.with("LOG_MASKED_FIELDS", defaults.masked_fields, |text| {
                // Whoever masks more does not want to see what was masked before.
                Ok(Settings::MASKED_FIELDS.map(str::to_owned).into_iter().chain(list(text)?).collect())
            }),
            namespace: read.with("METRICS_NAMESPACE", defaults.namespace, namespace),
            metrics: read.with("METRICS_SOURCE", defaults.metrics, source),
            flush_seconds: read.with("METRICS_FLUSH_SECONDS", defaults.flush_seconds, flush_seconds),
            identity: defaults.identity,
        };
        if read.problems.is_empty() { Ok(settings) } else { Err(SettingsError(read.problems)) }
    }
}

struct Read<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Read<L> {
    /// A variable that is set to nothing is not set.
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    fn with<T>(&mut self, name: &str, default: T, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let Some(text) = self.text(name) else { return default };
        parse(&text).unwrap_or_else(|problem| {
            self.problems.push(format!("{name}: {problem}"));
            default
        })
    }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    number.ok_or_else(|| format!("`{text}` is no share between 0 and 1"))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number in range"))
}

fn source(text: &str) -> Result<Source, String> {
    match text {
        "emf" => Ok(Source::Emf),
        "derived" => Ok(Source::Derived),
        _ => Err(format!("`{text}` is neither `emf` nor `derived`")),
    }
}

/// A namespace that CloudWatch takes.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    const MOST: usize = 255;
    let is_known = |character: char| character.is_ascii_alphanumeric() || ".-_/#: ".contains(character);
    let start: String = text.chars().take(80).collect();
    if text.trim().is_empty() {
        Err("is empty".to_owned())
    } else if text.len() > MOST {
        Err(format!("`{start}…` is longer than {MOST} bytes"))
    } else if text.starts_with(':') || text.starts_with("AWS/") {
        Err(format!("`{start}` begins with `AWS/` or `:`, which CloudWatch keeps for itself"))
    } else if let Some(other) = text.chars().find(|character| !is_known(*character)) {
        Err(format!("`{start}` has {other:?}: CloudWatch takes letters, digits and `.-_/#: `"))
    } else {
        Ok(text.to_owned())
    }
}

fn flush_seconds(text: &str) -> Result<u32, String> {
    let seconds = number(text)?;
    // An interval lies within a minute.
    if seconds > 60 { Err(format!("`{text}` is more than 60")) } else { Ok(seconds) }
}

fn buffer(text: &str) -> Result<usize, String> {
    const LEAST: usize = 16 * 1024;
    let bytes = number(text)?;
    if bytes < LEAST { Err(format!("`{text}` has no room for a line: {LEAST} is the least")) } else { Ok(bytes) }
}

fn list(text: &str) -> Result<Vec<String>, String> {
    Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// Reads levels as `LOG_LEVEL` has them: a level (`warn`), levels of targets (`sqlx=warn,contract::pdf=debug`), or
/// both (`info,sqlx=warn`). Where only targets are named, the others are at `info`.
///
/// # Errors
///
/// Of a part that is neither: a word that is no level is never taken for a target.
pub fn parse_levels(text: &str) -> Result<Targets, LevelsError> {
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let refused = || LevelsError { part: part.chars().take(80).collect() };
        targets = match part.split_once('=') {
            None => targets.with_default(level(part).ok_or_else(refused)?),
            Some((target, name)) if !target.trim().is_empty() => {
                targets.with_target(target.trim(), level(name.trim()).ok_or_else(refused)?)
            }
            Some(_) => return Err(refused()),
        };
    }
    Ok(targets)
}

fn level(name: &str) -> Option<LevelFilter> {
    if name.eq_ignore_ascii_case("off") {
        return Some(LevelFilter::OFF);
    }
    if name.eq_ignore_ascii_case("trace") {
        return Some(LevelFilter::TRACE);
    }
    Some(match Level::parse(name)? {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warning => LevelFilter::WARN,
        Level::Error | Level::Critical => LevelFilter::ERROR,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn levels_are_read_or_refused() {
        let level = |text: &str, target: &str| {
            let targets = parse_levels(text).map_err(|error| error.to_string())?;
            let levels = [tracing::Level::ERROR, tracing::Level::WARN, tracing::Level::INFO, tracing::Level::DEBUG];
            Ok(levels.iter().filter(|level| targets.would_enable(target, level)).count())
        };
        for (text, target, expected) in [
            ("", "a", 3),
            ("off", "a", 0),
            ("WARNING", "a", 2),
            ("critical", "a", 1),
            ("debug", "a", 4),
            ("info, sqlx=warn", "sqlx::query", 2),
            ("info,sqlx=warn", "a", 3),
            ("sqlx=trace", "a", 3),
        ] {
            assert_eq!(level(text, target), Ok(expected), "{text}");
        }
        for (text, part) in [("loud", "loud"), ("info,sqlx=loud", "sqlx=loud"), ("=info", "=info"), ("a=", "a=")] {
            let said: Result<usize, String> = level(text, "a");
            assert!(said.as_ref().is_err_and(|error| error.starts_with(&format!("`{part}` is neither"))), "{said:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let error = read(&[
            ("SERVICE_NAME", "contract"),
            ("LOG_LEVEL", "loud"),
            ("TRACE_SHARE", "5"),
            ("LOG_DEBUG_SHARE", "NaN"),
            ("LOG_BUFFER_BYTES", "-1"),
            ("METRICS_SOURCE", "both"),
            ("METRICS_FLUSH_SECONDS", "61"),
        ]);
        let error = error.unwrap_err();
        for part in [
            "ENVIRONMENT is not set",
            "LOG_LEVEL: `loud` is neither",
            "TRACE_SHARE: `5` is no share",
            "LOG_DEBUG_SHARE: `NaN`",
            "LOG_BUFFER_BYTES: `-1` is no",
            "METRICS_SOURCE: `both` is neither",
            "METRICS_FLUSH_SECONDS: `61` is more than 60",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let small = read(&[("SERVICE_NAME", "a"), ("ENVIRONMENT", "b"), ("LOG_BUFFER_BYTES", "1024")]).unwrap_err();
        assert_eq!(small, "LOG_BUFFER_BYTES: `1024` has no room for a line: 16384 is the least");
    }

    #[test]
    fn a_namespace_that_cloudwatch_would_not_take_is_refused() {
        for (text, problem) in [
            ("LandContracts", None),
            ("Land/Contracts #1:a_b-c.d", None),
            (&"n".repeat(255), None),
            (&"n".repeat(256), Some("is longer than 255 bytes")),
            ("AWS/Lambda", Some("begins with `AWS/`")),
            (":a", Some("begins with")),
            ("Земля", Some("has 'З'")),
            ("a\nb", Some("has '\\n'")),
        ] {
            let read = read(&[("SERVICE_NAME", "a"), ("ENVIRONMENT", "b"), ("METRICS_NAMESPACE", text)]);
            match (problem, read) {
                (None, read) => assert_eq!(read.unwrap().namespace, text),
                (Some(problem), read) => {
                    let error = read.unwrap_err();
                    assert!(error.starts_with("METRICS_NAMESPACE: ") && error.contains(problem), "{error}");
                }
            }
        }
    }

    #[test]
    fn what_is_masked_by_default_is_masked_whatever_else_is() {
        let settings =
            read(&[("SERVICE_NAME", "a"), ("ENVIRONMENT", "b"), ("LOG_MASKED_FIELDS", "passport, tax_id")]).unwrap();
        let expected = Settings::MASKED_FIELDS.iter().copied().chain(["passport", "tax_id"]);
        assert_eq!(settings.masked_fields, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let settings =
            read(&[("SERVICE_NAME", "contract"), ("ENVIRONMENT", "test"), ("TRACE_ALWAYS", " a, b,")]).unwrap();
        assert_eq!(settings.identity, Identity::new("contract", "test", "0.0.0"));
        assert_eq!((settings.buffer_bytes, settings.traces.share, settings.debug.share), (1_048_576, 0.05, 0.0));
        assert_eq!(settings.traces.always, ["a", "b"]);
    }
}
