//! How grave a record is.

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers.
    Debug,
    /// Normal work.
    Info,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
    /// The service can not do its work.
    Critical,
}

impl Level {
    /// Reads any of the usual names, in any case, also as Python prints the source document's enum
    /// (`LogLevel.ERROR`).
    pub fn parse(text: &str) -> Option<Level> {
        let name = text.trim();
        let name = name.strip_prefix("LogLevel.").unwrap_or(name);
        const NAMES: [(&str, Level); 15] = [
            ("TRACE", Level::Debug),
            ("DEBUG", Level::Debug),
            ("INFO", Level::Info),
            ("INFORMATION", Level::Info),
            ("NOTICE", Level::Info),
            ("LOG", Level::Info),
            ("WARN", Level::Warning),
            ("WARNING", Level::Warning),
            ("ERR", Level::Error),
            ("ERROR", Level::Error),
            ("CRIT", Level::Critical),
            ("CRITICAL", Level::Critical),
            ("FATAL", Level::Critical),
            ("PANIC", Level::Critical),
            ("EMERG", Level::Critical),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    /// Reads the numbers of Bunyan and Pino: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal.
    pub fn of_number(number: f64) -> Option<Level> {
        match number {
            10.0 | 20.0 => Some(Level::Debug),
            30.0 => Some(Level::Info),
            40.0 => Some(Level::Warning),
            50.0 => Some(Level::Error),
            60.0 => Some(Level::Critical),
            _ => None,
        }
    }

    /// Its name in schema v1.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_every_dialect_writes_them() {
        for (text, level) in [
            ("ERROR", Some(Level::Error)),
            ("LogLevel.ERROR", Some(Level::Error)),
            ("warn", Some(Level::Warning)),
            ("Fatal", Some(Level::Critical)),
            ("trace", Some(Level::Debug)),
            ("LogLevel.", None),
            ("loud", None),
        ] {
            assert_eq!(Level::parse(text), level, "{text}");
        }
        assert_eq!(Level::of_number(50.0), Some(Level::Error));
        assert_eq!(Level::of_number(35.0), None);
    }
}
