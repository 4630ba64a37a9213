//! Log entries by service and level, and the balance of lines: the source document's summary.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::whole;
use crate::reporting::report::{Lines, OverallSummary, Summary};

/// Which count of the summary a level goes into, beside the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// DEBUG, INFO and whatever is not known.
    Plain,
    /// WARNING.
    Warning,
    /// ERROR.
    Error,
    /// CRITICAL, which is an error as well.
    Critical,
}

impl Grade {
    /// Of a level as the log schema spells it.
    pub fn of(level: &str) -> Grade {
        match level {
            "WARNING" => Grade::Warning,
            "ERROR" => Grade::Error,
            "CRITICAL" => Grade::Critical,
            _ => Grade::Plain,
        }
    }

    /// Whether it counts as an error. The source document left CRITICAL out.
    pub fn is_error(self) -> bool {
        matches!(self, Grade::Error | Grade::Critical)
    }
}

#[derive(Debug, Default)]
struct Entries {
    total: f64,
    errors: f64,
    critical: f64,
    warnings: f64,
    slow: f64,
}

/// What is counted of logs.
#[derive(Debug, Default)]
pub struct Logs {
    services: BTreeMap<String, Entries>,
    sent: BTreeSet<String>,
    received: f64,
    archived: f64,
    quarantined: f64,
    filtered: f64,
    replayed: f64,
}

impl Logs {
    /// Adds entries of a service and level.
    pub fn entries(&mut self, service: &str, grade: Grade, count: f64) {
        let held = self.service(service);
        held.total += count;
        match grade {
            Grade::Plain => {}
            Grade::Warning => held.warnings += count,
            Grade::Error => held.errors += count,
            Grade::Critical => {
                held.errors += count;
                held.critical += count;
            }
        }
        self.heard(service, count);
    }

    /// Adds entries of a service whose duration is over 5 s.
    pub fn slow(&mut self, service: &str, count: f64) {
        self.service(service).slow += count;
    }

    /// Adds lines delivered.
    pub fn received(&mut self, service: &str, count: f64) {
        self.received += count;
        self.heard(service, count);
    }

    /// Adds lines archived.
    pub fn archived(&mut self, count: f64) {
        self.archived += count;
    }

    /// Adds lines kept aside.
    pub fn quarantined(&mut self, count: f64) {
        self.quarantined += count;
    }

    /// Adds lines left out on purpose.
    pub fn filtered(&mut self, count: f64) {
        self.filtered += count;
    }

    /// Adds lines archived later, from those kept aside.
    pub fn replayed(&mut self, count: f64) {
        self.replayed += count;
    }

    fn service(&mut self, service: &str) -> &mut Entries {
        self.services.entry(service.to_owned()).or_default()
    }

    fn heard(&mut self, service: &str, count: f64) {
        if count > 0.0 && !self.sent.contains(service) {
            self.sent.insert(service.to_owned());
        }
    }

    /// The summary of each service that has one.
    pub fn summaries(&self) -> BTreeMap<String, Summary> {
        let summary = |held: &Entries| Summary {
            total_entries: whole(held.total),
            error_count: whole(held.errors),
            warning_count: whole(held.warnings),
            performance_issues: whole(held.slow),
        };
        self.services.iter().map(|(service, held)| (service.clone(), summary(held))).collect()
    }

    /// The sum of the services.
    pub fn overall(&self) -> OverallSummary {
        let sum = |of: fn(&Entries) -> f64| whole(self.services.values().map(of).sum());
        OverallSummary {
            total_entries: sum(|held| held.total),
            total_errors: sum(|held| held.errors),
            total_critical: sum(|held| held.critical),
            total_warnings: sum(|held| held.warnings),
            total_performance_issues: sum(|held| held.slow),
        }
    }

    /// The balance of lines.
    pub fn lines(&self) -> Lines {
        Lines {
            received: whole(self.received),
            archived: whole(self.archived),
            quarantined: whole(self.quarantined),
            filtered: whole(self.filtered),
            replayed: whole(self.replayed),
            lost: (self.received - self.archived - self.quarantined - self.filtered).round() as i64,
        }
    }

    /// Those of `expected` that sent nothing, in that order.
    pub fn silent(&self, expected: &[String]) -> Vec<String> {
        expected.iter().filter(|service| !self.sent.contains(*service)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_entries_are_errors() {
        // Defect 34: the source document counted ERROR only.
        let mut logs = Logs::default();
        for (level, count) in
            [("DEBUG", 1.0), ("INFO", 10.0), ("WARNING", 4.0), ("ERROR", 2.0), ("CRITICAL", 3.0), ("odd", 1.0)]
        {
            logs.entries("api", Grade::of(level), count);
        }
        logs.slow("api", 2.0);
        logs.entries("web", Grade::Error, 1.0);
        let api = Summary { total_entries: 21, error_count: 5, warning_count: 4, performance_issues: 2 };
        assert_eq!(logs.summaries()["api"], api);
        let overall = OverallSummary {
            total_entries: 22,
            total_errors: 6,
            total_critical: 3,
            total_warnings: 4,
            total_performance_issues: 2,
        };
        assert_eq!(logs.overall(), overall);
    }

    #[test]
    fn lines_are_lost_when_less_comes_out_than_went_in() {
        for (received, archived, quarantined, filtered, lost) in
            [(10.0, 9.0, 1.0, 0.0, 0), (10.0, 7.0, 1.0, 2.0, 0), (10.0, 8.0, 1.0, 0.0, 1), (10.0, 10.0, 1.0, 0.0, -1)]
        {
            let mut logs = Logs::default();
            logs.received("api", received);
            logs.archived(archived);
            logs.quarantined(quarantined);
            logs.filtered(filtered);
            // What is archived later was received, and kept aside, before.
            logs.replayed(1.0);
            assert_eq!((logs.lines().lost, logs.lines().replayed), (lost, 1));
        }
    }

    #[test]
    fn a_service_that_sent_nothing_is_silent_and_an_increment_of_zero_is_nothing() {
        let mut logs = Logs::default();
        logs.entries("api", Grade::Plain, 1.0);
        logs.received("user", 1.0);
        logs.entries("web", Grade::Plain, 0.0);
        let expected = ["web", "api", "user", "contract"].map(str::to_owned);
        assert_eq!(logs.silent(&expected), ["web", "contract"]);
    }
}
