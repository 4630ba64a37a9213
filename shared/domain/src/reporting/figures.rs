//! From a day's minute rollups and alert transitions to the report: a fold that takes one object at a
//! time, so that memory depends on the number of series and not on the length of the day.
//!
//! What can't be read does not end the report. It is named in `completeness.problems`, and makes the
//! verdict `incomplete`.

use std::collections::{BTreeMap, BTreeSet};

use self::api::Api;
use self::business::Business;
use self::database::Database;
use self::hours::HourTally;
use self::logs::{Grade, Logs};
use self::tally::{dimension, whole};
use super::day::LocalDay;
use super::report::{Completeness, DailyReport, Interval, ServiceReport, VERSION};
use super::{episodes, verdict};
use crate::Minute;
use crate::alerting::history::Transition;
use crate::metrics::rollup::Rollup;
use crate::metrics::series::{Aggregate, Dimensions};

pub mod tally;

pub mod logs;

pub mod api;

pub mod database;

pub mod business;

pub mod hours;

/// The version of alert transitions that this reads.
const TRANSITION_VERSION: u32 = 1;

/// What a report is about, apart from its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// The day.
    pub day: LocalDay,
    /// Name of the deployment.
    pub environment: String,
    /// Services that are expected to send something every day.
    pub services: Vec<String>,
}

/// What has been added up so far.
#[derive(Debug)]
pub struct Figures {
    scope: Scope,
    minutes: BTreeSet<Minute>,
    logs: Logs,
    api: Api,
    database: Database,
    business: Business,
    points_folded: f64,
    hours: Vec<HourTally>,
    transitions: Vec<Transition>,
    problems: Vec<String>,
}

impl Figures {
    /// Nothing yet.
    pub fn of_nothing(scope: Scope) -> Figures {
        let hours = scope.day.hours().into_iter().map(HourTally::of).collect();
        Figures {
            scope,
            minutes: BTreeSet::new(),
            logs: Logs::default(),
            api: Api::default(),
            database: Database::default(),
            business: Business::default(),
            points_folded: 0.0,
            hours,
            transitions: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Notes something that could not be read, in one sentence without its full stop.
    pub fn add_problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Reads the stored rollup `key` and adds it. One that can't be read, or is none of this day's
    /// minutes, or came before, becomes a problem.
    pub fn read_rollup(&mut self, key: &str, body: &[u8]) {
        match Rollup::parse(body) {
            Ok(rollup) => self.add_rollup(key, &rollup),
            Err(error) => self.add_problem(format!("rollup {key} could not be read: {error}")),
        }
    }

    fn add_rollup(&mut self, key: &str, rollup: &Rollup) {
        let minute = rollup.minute;
        if !self.scope.day.contains(minute) || crate::keys::rollup(minute) != key {
            return self.add_problem(format!("rollup {key} is not of its minute but of {minute}"));
        }
        if rollup.series.is_empty() {
            return;
        }
        if !self.minutes.insert(minute) {
            return self.add_problem(format!("rollup {key} came twice"));
        }
        let hour = self.hours.partition_point(|tally| tally.until() <= minute);
        self.hours[hour].add_minute();
        for (series, aggregate) in rollup.series.iter() {
            self.add_series(hour, &series.name, &series.dimensions, aggregate);
        }
    }

    /// `hour` is an index of `self.hours`.
    fn add_series(&mut self, hour: usize, name: &str, dimensions: &Dimensions, minute: &Aggregate) {
        let service = dimension(dimensions, "service");
        let hour = &mut self.hours[hour];
        match name {
            "log_entries" => {
                let grade = Grade::of(dimension(dimensions, "level"));
                self.logs.entries(service, grade, minute.sum);
                hour.add_entries(grade, minute.sum);
            }
            "performance_issues" => self.logs.slow(service, minute.sum),
            "pipeline_lines_received" => self.logs.received(service, minute.sum),
            "pipeline_lines_archived" => self.logs.archived(minute.sum),
            "pipeline_lines_quarantined" => self.logs.quarantined(minute.sum),
            "pipeline_lines_filtered" => self.logs.filtered(minute.sum),
            "pipeline_lines_replayed" => self.logs.replayed(minute.sum),
            "pipeline_series_overflow" => self.points_folded += minute.sum,
            "api_requests" => {
                let failed = self.api.requests(dimensions, minute.sum);
                hour.add_requests(failed, minute.sum);
            }
            "api_request_duration" => {
                self.api.durations(dimensions, minute);
                hour.add_durations(minute);
            }
            "database_query_duration" => self.database.durations(dimensions, minute),
            // Metrics that the report has no section for are left to the dashboards.
            _ => self.business.add(name, dimensions, minute),
        }
    }

    /// Reads the stored transition `key` and adds it. One that can't be read becomes a problem.
    pub fn read_transition(&mut self, key: &str, body: &[u8]) {
        match Transition::parse(body) {
            Ok(transition) if transition.version == TRANSITION_VERSION => self.transitions.push(transition),
            Ok(transition) => {
                self.add_problem(format!("alert transition {key} is of version {}", transition.version));
            }
            Err(error) => self.add_problem(format!("alert transition {key} could not be read: {error}")),
        }
    }

    /// The report of all that was added. The order in which it was added does not matter, but for that
    /// of the problems and the rounding of sums.
    pub fn report(self) -> DailyReport {
        let day = &self.scope.day;
        let completeness = self.completeness();
        let overall_summary = self.logs.overall();
        let services = self.services();
        let alerts = episodes::of_day(self.transitions, day);
        DailyReport {
            version: VERSION,
            date: day.date(),
            zone: day.zone().to_owned(),
            environment: self.scope.environment,
            generated_for: Interval { from: day.from(), until: day.until() },
            verdict: verdict::of_day(&completeness, &overall_summary, &alerts),
            completeness,
            overall_summary,
            services,
            business: self.business.section(),
            api: self.api.section(),
            database: self.database.section(),
            security: self.business.security(),
            alerts,
            hourly: self.hours.into_iter().map(HourTally::figures).collect(),
        }
    }

    fn completeness(&self) -> Completeness {
        Completeness {
            minutes_expected: self.scope.day.minutes().count() as u64,
            minutes_with_data: self.minutes.len() as u64,
            longest_gap: self.longest_gap(),
            lines: self.logs.lines(),
            silent_services: self.logs.silent(&self.scope.services),
            points_folded: whole(self.points_folded),
            problems: self.problems.clone(),
        }
    }

    /// The first of the longest ones.
    fn longest_gap(&self) -> Option<Interval> {
        let mut longest: Option<Interval> = None;
        let mut from = self.scope.day.from();
        for &minute in self.minutes.iter().chain([&self.scope.day.until()]) {
            let gap = Interval { from, until: minute };
            if gap.minutes() > longest.map_or(0, |longest| longest.minutes()) {
                longest = Some(gap);
            }
            from = minute.plus(1);
        }
        longest
    }

    fn services(&self) -> BTreeMap<String, ServiceReport> {
        let mut services: BTreeMap<String, ServiceReport> =
            self.scope.services.iter().map(|service| (service.clone(), ServiceReport::default())).collect();
        for (service, summary) in self.logs.summaries() {
            services.entry(service).or_default().summary = summary;
        }
        for (service, figures) in self.api.by_service() {
            let entry = services.entry(service).or_default();
            entry.requests = figures.requests;
            entry.error_rate_percent = figures.error_rate_percent;
            entry.latency = figures.latency;
        }
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::registry::find;
    use crate::reporting::sample;
    use crate::reporting::verdict::{Reason, Status};

    fn figures() -> Figures {
        Figures::of_nothing(sample::scope())
    }

    /// A rollup of the minute `offset` of the day, of points like `("log_entries", "service=api", 2.0)`.
    fn read(figures: &mut Figures, offset: i64, points: &[(&str, &str, f64)]) {
        let mut rollup = Rollup::empty(sample::day().from().plus(offset));
        for (name, dimensions, value) in points {
            sample::add(&mut rollup, name, dimensions, *value);
        }
        let object = rollup.to_object();
        figures.read_rollup(&object.key, &object.body);
    }

    #[test]
    fn every_metric_that_the_report_reads_is_registered_with_the_dimensions_that_it_reads() {
        for (name, dimensions) in [
            ("log_entries", &["service", "level"][..]),
            ("performance_issues", &["service"]),
            ("pipeline_lines_received", &["service"]),
            ("pipeline_lines_archived", &["service"]),
            ("pipeline_lines_quarantined", &["service"]),
            ("pipeline_lines_filtered", &["service"]),
            ("pipeline_lines_replayed", &["service"]),
            ("pipeline_series_overflow", &["service"]),
            ("api_requests", &["service", "endpoint", "method", "status_code"]),
            ("api_request_duration", &["service", "endpoint", "method"]),
            ("database_query_duration", &["service", "table"]),
            ("user_registrations", &[]),
            ("contracts_created", &[]),
            ("contracts_signed", &[]),
            ("contract_value", &[]),
            ("contract_creation_errors", &["reason"]),
            ("documents_uploaded", &["type"]),
            ("document_size", &[]),
            ("security_events", &["event_type"]),
        ] {
            let definition = find(name).unwrap_or_else(|| panic!("{name} is not registered"));
            for dimension in dimensions {
                assert!(definition.dimensions.contains(dimension), "{name} has no dimension {dimension}");
            }
            // And the report does read it.
            let mut figures = figures();
            let empty = figures_without_minutes(&figures);
            read(&mut figures, 0, &[(name, "service=api status_code=500", 2.0)]);
            assert_ne!(figures_without_minutes(&figures), empty, "{name} is not read");
        }
    }

    fn figures_without_minutes(figures: &Figures) -> String {
        let Figures { logs, api, database, business, points_folded, .. } = figures;
        format!("{logs:?} {api:?} {database:?} {business:?} {points_folded}")
    }

    #[test]
    fn a_day_is_added_up_from_its_minutes() {
        let mut figures = figures();
        read(
            &mut figures,
            0,
            &[
                ("log_entries", "service=api level=INFO", 8.0),
                ("log_entries", "service=api level=CRITICAL", 1.0),
                ("pipeline_lines_received", "service=api", 10.0),
                ("pipeline_lines_archived", "service=api", 9.0),
                ("pipeline_lines_quarantined", "service=api", 1.0),
                ("contracts_created", "service=contract role=seller", 1.0),
                ("contract_value", "service=contract role=seller", 1_000_000.5),
                ("user_registrations", "service=user role=buyer", 2.0),
                ("cpu_usage_percent", "service=api", 50.0),
            ],
        );
        read(
            &mut figures,
            1439,
            &[
                ("log_entries", "service=billing level=WARNING", 3.0),
                ("contract_value", "service=contract role=seller", 0.25),
                ("contract_creation_errors", "service=contract reason=timeout", 2.0),
                ("security_events", "service=user event_type=failed_login", 5.0),
                ("documents_uploaded", "service=document type=passport", 1.0),
                ("api_requests", "service=api endpoint=/x method=GET status_code=500", 1.0),
                ("api_request_duration", "service=api endpoint=/x method=GET", 25.0),
            ],
        );
        let report = figures.report();
        assert_eq!((report.overall_summary.total_entries, report.overall_summary.total_errors), (12, 1));
        assert_eq!(report.services["billing"].summary.warning_count, 3);
        assert_eq!(report.services["web"], ServiceReport::default());
        assert_eq!(report.services["api"].error_rate_percent, Some(100.0));
        assert_eq!(report.completeness.lines.lost, 0);
        assert_eq!(report.completeness.silent_services, ["web", "contract", "document", "user"]);
        assert_eq!((report.business.contracts_created, report.business.contract_value_sum), (1, 1_000_000.75));
        assert_eq!((report.business.registrations, report.business.documents_uploaded), (2, 1));
        assert_eq!(report.business.creation_errors_by_reason, BTreeMap::from([("timeout".to_owned(), 2)]));
        assert_eq!(report.security.by_type, BTreeMap::from([("failed_login".to_owned(), 5)]));
        let hour =
            |index: usize| (report.hourly[index].entries, report.hourly[index].errors, report.hourly[index].p95_ms);
        assert_eq!((hour(0), hour(1), hour(23)), ((9, 1, None), (0, 0, None), (3, 0, Some(25.0))));
        assert_eq!(report.hourly[23].server_errors, 1);
    }

    #[test]
    fn what_can_not_be_read_is_named_and_does_not_end_the_report() {
        // Defect 35: one log group that could not be read ended the source document's report.
        let mut figures = figures();
        let key = crate::keys::rollup(sample::day().from());
        figures.read_rollup(&key, b"{\"version\":1");
        figures.read_rollup(&key, br#"{"version":2,"minute":"2026-11-19T21:00Z","batches":[],"series":[]}"#);
        read(&mut figures, 5, &[("log_entries", "service=api level=INFO", 8.0)]);
        read(&mut figures, 5, &[("log_entries", "service=api level=INFO", 8.0)]);
        let other = Rollup::empty(sample::day().from().plus(7)).to_object();
        figures.read_rollup(&key, &other.body);
        read(&mut figures, 1440, &[("log_entries", "service=api level=INFO", 8.0)]);
        figures.read_transition("alerts/history/x.json", b"null");
        let mut strange = sample::transitions().remove(0);
        strange.version = 9;
        figures.read_transition("alerts/history/y.json", &strange.to_object().body);
        figures.add_problem("rollups of an hour could not be listed".to_owned());
        let report = figures.report();
        assert_eq!(report.overall_summary.total_entries, 8);
        assert_eq!(report.verdict.status, Status::Incomplete);
        assert_eq!(report.verdict.reasons[0], Reason::Unreadable { problems: 8 });
        for (problem, expected) in report.completeness.problems.iter().zip([
            "rollup rollups/dt=2026-11-19/hour=21/00.json could not be read: EOF while parsing an object at line 1 column 12",
            "rollup rollups/dt=2026-11-19/hour=21/00.json could not be read: rollup of version 2, this is 1",
            "rollup rollups/dt=2026-11-19/hour=21/05.json came twice",
            "rollup rollups/dt=2026-11-19/hour=21/00.json is not of its minute but of 2026-11-19T21:07Z",
            "rollup rollups/dt=2026-11-20/hour=21/00.json is not of its minute but of 2026-11-20T21:00Z",
            "alert transition alerts/history/x.json could not be read: invalid type: null, expected struct Transition at line 1 column 4",
            "alert transition alerts/history/y.json is of version 9",
            "rollups of an hour could not be listed",
        ]) {
            assert_eq!(problem, expected);
        }
    }

    #[test]
    fn the_longest_stretch_without_figures_is_found() {
        let minute = |offset: i64| sample::day().from().plus(offset);
        for (what, with_data, expected) in [
            ("all day", &[][..], Some((0, 1440))),
            ("in the middle", &[0, 1, 700, 1439], Some((701, 1439))),
            ("at the beginning", &[900], Some((0, 900))),
            ("at the end", &[300], Some((301, 1440))),
        ] {
            let mut figures = figures();
            for &offset in with_data {
                read(&mut figures, offset, &[("log_entries", "service=api level=INFO", 1.0)]);
            }
            let expected = expected.map(|(from, until)| Interval { from: minute(from), until: minute(until) });
            assert_eq!(figures.report().completeness.longest_gap, expected, "{what}");
        }
        assert_eq!(sample::report().completeness.longest_gap, None);
    }

    #[test]
    fn a_minute_that_was_opened_but_has_no_series_is_a_minute_without_data() {
        let mut figures = figures();
        read(&mut figures, 3, &[]);
        assert_eq!(figures.report().completeness.minutes_with_data, 0);
    }

    #[test]
    fn a_day_of_25_hours_has_25_of_them_in_the_report() {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let day = LocalDay::named("2026-10-25", &zone, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
        let report = Figures::of_nothing(Scope { day, ..sample::scope() }).report();
        assert_eq!((report.hourly.len(), report.completeness.minutes_expected), (25, 1500));
    }

    #[test]
    fn the_same_day_gives_the_same_bytes_and_reads_back() {
        let report = sample::report();
        let json = report.to_json();
        assert_eq!(json, sample::figures().report().to_json());
        assert_eq!(serde_json::from_slice::<DailyReport>(&json).unwrap(), report);
    }

    #[test]
    fn there_are_no_log_lines_in_the_report() {
        // Defect 36: the source document returned every line of the day. The report's size does not
        // depend on the traffic, but on how many services, endpoints and alerts there are.
        let size = |times: u32| {
            let mut figures = figures();
            for offset in 0..1440 {
                let count = f64::from(times);
                read(&mut figures, offset, &[("log_entries", "service=api level=ERROR", count)]);
            }
            figures.report().to_json().len()
        };
        assert!(size(1_000_000) < size(1) + 1_000, "{} and {}", size(1), size(1_000_000));
    }
}
