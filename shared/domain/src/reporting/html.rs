//! The report as one page that needs nothing else: no scripts, no fonts, no images, nothing loaded.
//!
//! Texts that come from data are escaped by the template engine, which does so in every `.html` template.

use askama::Template;

use self::chart::{Canvas, Chart};
use self::tiles::{Tile, tiles};
use self::timeline::{Timeline, class_of, labels_of, times_of};
use super::day::LocalDay;
use super::numbers::{self, millis, minutes, thousands};
use super::report::{DailyReport, Interval, Latency};
use super::verdict::{Reason, Status};

pub mod scale;

pub mod chart;

pub mod timeline;

pub mod tiles;

/// The page that shows `report`, of the day `day`.
pub fn render(report: &DailyReport, day: &LocalDay) -> String {
    let canvas = Canvas { day, hours: &report.hourly, alerts: &report.alerts };
    let page = Page {
        report,
        day,
        date: day.date_in_words(),
        headline: headline(report.verdict.status),
        reasons: report.verdict.reasons.iter().map(|reason| told(reason, day)).collect(),
        tiles: tiles(report),
        charts: charts(&canvas),
        timelines: [
            Timeline::wide(day, &report.hourly, &report.alerts),
            Timeline::narrow(day, &report.hourly, &report.alerts),
        ],
    };
    page.render().expect("the template only writes to a string, and nothing that it prints can fail")
}

#[derive(Template)]
#[template(path = "daily-report.html")]
struct Page<'a> {
    report: &'a DailyReport,
    day: &'a LocalDay,
    date: String,
    headline: (&'static str, &'static str),
    reasons: Vec<String>,
    tiles: Vec<Tile>,
    charts: Vec<Chart>,
    timelines: [Timeline; 2],
}

impl Page<'_> {
    /// How many alerts the timeline had no room for.
    fn left_out(&self) -> usize {
        self.timelines.iter().map(|timeline| timeline.left_out).max().unwrap_or(0)
    }

    /// Whether the longest stretch without figures is a reason for the verdict.
    fn gap_is_long(&self) -> bool {
        let reasons = &self.report.verdict.reasons;
        reasons.iter().any(|reason| matches!(reason, Reason::Gap { .. } | Reason::NoData))
    }
}

fn headline(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Good => ("A good day", "Everything is in, and nothing wants attention."),
        Status::Attention => ("Worth a look", "Everything is in. This wants attention:"),
        Status::Incomplete => ("Incomplete", "Something is missing, so the figures below may be too low:"),
    }
}

/// The reason as a sentence, with local times where it has any.
fn told(reason: &Reason, day: &LocalDay) -> String {
    let sentence = match reason {
        Reason::Gap { interval } => format!("no figures from {}", span(interval, day)),
        other => other.to_string(),
    };
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// `02:10 to 08:15 (6 h 5 min)`.
fn span(interval: &Interval, day: &LocalDay) -> String {
    format!("{} to {} ({})", day.clock(interval.from), day.clock(interval.until), minutes(interval.minutes()))
}

fn p50(latency: Option<&Latency>) -> String {
    or_dash(latency.map(|latency| latency.p50_ms), millis)
}

fn p95(latency: Option<&Latency>) -> String {
    or_dash(latency.map(|latency| latency.p95_ms), millis)
}

fn lost(lines: i64) -> String {
    let sign = if lines < 0 { "−" } else { "" };
    format!("{sign}{}", thousands(lines.unsigned_abs()))
}

/// A dash where there is no figure, which is not the same as 0.
fn or_dash(figure: Option<f64>, print: fn(f64) -> String) -> String {
    figure.map_or("–".to_owned(), print)
}

fn charts(canvas: &Canvas) -> Vec<Chart> {
    vec![
        canvas.columns("entries", "Log entries per hour", &[("entries", "log entries", |hour| hour.entries)]),
        canvas.columns(
            "levels",
            "Errors and warnings per hour",
            &[("errors", "errors", |hour| hour.errors), ("warnings", "warnings", |hour| hour.warnings)],
        ),
        canvas.columns(
            "requests",
            "Requests per hour",
            &[
                ("errors", "answered 5xx", |hour| hour.server_errors),
                ("requests", "answered otherwise", |hour| hour.requests.saturating_sub(hour.server_errors)),
            ],
        ),
        canvas.line("latency", "Request time by hour", ("p95", "95th percentile"), |hour| hour.p95_ms, millis),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporting::figures::{Figures, Scope};
    use crate::reporting::sample;

    const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\"";

    /// A day of which nothing is known.
    fn nothing() -> DailyReport {
        Figures::of_nothing(sample::scope()).report()
    }

    /// A report in which every text that comes from data is hostile.
    fn hostile() -> DailyReport {
        let hostile = || HOSTILE.to_owned();
        let mut report = sample::report();
        report.environment = hostile();
        report.zone = hostile();
        report.completeness.problems.push(hostile());
        report.completeness.silent_services.push(hostile());
        report.verdict.reasons.push(Reason::Silent { services: vec![hostile()] });
        report.services.insert(hostile(), Default::default());
        report.business.creation_errors_by_reason.insert(hostile(), 999);
        report.business.documents_by_type.insert(hostile(), 1);
        report.security.by_type.insert(hostile(), 1);
        for alert in &mut report.alerts {
            (alert.rule, alert.severity, alert.summary) = (hostile(), hostile(), hostile());
            alert.condition = hostile();
            alert.labels.insert(hostile(), hostile());
        }
        for row in &mut report.api.slowest_endpoints {
            (row.method, row.endpoint, row.service) = (hostile(), hostile(), hostile());
        }
        for row in &mut report.api.error_endpoints {
            (row.method, row.endpoint, row.service) = (hostile(), hostile(), hostile());
            row.by_status.insert(hostile(), 1);
        }
        for row in &mut report.database.slowest_tables {
            (row.table, row.service) = (hostile(), hostile());
        }
        report
    }

    fn pages() -> Vec<(&'static str, String)> {
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let long = LocalDay::named("2026-10-25", &zone, "2026-11-01T00:00:00Z".parse().unwrap()).unwrap();
        let of_25_hours = Figures::of_nothing(Scope { day: long.clone(), ..sample::scope() }).report();
        vec![
            ("sample", render(&sample::report(), &sample::day())),
            ("nothing", render(&nothing(), &sample::day())),
            ("hostile", render(&hostile(), &sample::day())),
            ("25 hours", render(&of_25_hours, &long)),
        ]
    }

    /// The tags of a page, in order, without the text between them.
    fn tags(page: &str) -> Vec<&str> {
        page.split('<').skip(1).map(|piece| piece.split('>').next().unwrap_or_default()).collect()
    }

    #[test]
    fn every_tag_is_closed_in_its_place() {
        for (what, page) in pages() {
            let mut open: Vec<&str> = Vec::new();
            for tag in tags(&page) {
                let name = tag.split([' ', '\n']).next().unwrap_or_default();
                let alone = tag.ends_with('/') || matches!(name, "!DOCTYPE" | "meta" | "br");
                match name.strip_prefix('/') {
                    Some(name) => assert_eq!(open.pop(), Some(name), "{what}: </{name}>"),
                    None if alone => {}
                    None => open.push(name),
                }
            }
            assert!(open.is_empty(), "{what}: {open:?} not closed");
        }
    }

    #[test]
    fn texts_from_data_are_escaped() {
        let page = render(&hostile(), &sample::day());
        assert!(!page.contains("<script"), "a script got in");
        assert!(!page.contains("alert('x')"), "a quote got in");
        // Environment twice, each problem, service, reason, kind, alert, endpoint, table, ...
        let escaped = page.matches("&#60;script&#62;").count();
        assert!(escaped > 60, "{escaped}");
    }

    #[test]
    fn the_page_loads_nothing_and_runs_nothing() {
        for (what, page) in pages() {
            let tags = tags(&page).join("\n");
            for forbidden in ["script", "href", "src=", "onload", "iframe", "<link", "<img", "object"] {
                assert!(!tags.contains(forbidden), "{what}: {forbidden}");
            }
            let style = &page[page.find("<style>").unwrap()..page.find("</style>").unwrap()];
            for forbidden in ["url(", "@import", "http"] {
                assert!(!style.contains(forbidden), "{what}: {forbidden}");
            }
        }
    }

    #[test]
    fn every_drawing_says_what_it_shows() {
        for (what, page) in pages() {
            let drawings: Vec<&str> = tags(&page).into_iter().filter(|tag| tag.starts_with("svg ")).collect();
            assert!(drawings.len() >= 5, "{what}: {}", drawings.len());
            for drawing in drawings.iter().filter(|tag| !tag.contains("aria-hidden")) {
                let labels = drawing.split("aria-labelledby=\"").nth(1).unwrap().split('"').next().unwrap();
                assert!(drawing.contains("role=\"img\""), "{what}: {drawing}");
                for id in labels.split(' ') {
                    assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{what}: {id}");
                }
            }
        }
    }

    #[test]
    fn no_number_is_left_without_a_value() {
        for (what, page) in pages() {
            for word in ["NaN", "inf ", ">inf<", "None", "Some("] {
                assert!(!page.contains(word), "{what}: {word}");
            }
        }
    }

    #[test]
    fn the_verdict_comes_first_and_in_words() {
        let mut good = sample::report();
        (good.verdict.status, good.verdict.reasons, good.alerts) = (Status::Good, Vec::new(), Vec::new());
        for (report, class, words) in [
            (good, "verdict good", "A good day"),
            (sample::report(), "verdict attention", "5 alerts fired, the gravest of severity critical, 1 not over"),
            (nothing(), "verdict incomplete", "There are no figures for this day."),
        ] {
            let page = render(&report, &sample::day());
            let body = &page[page.find("<body>").unwrap()..];
            let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not in the page"));
            assert!(at(class) < at(words) && at(words) < at("class=\"tiles\""), "{class}");
        }
    }

    #[test]
    fn figures_are_written_for_people() {
        let page = render(&sample::report(), &sample::day());
        let requests = numbers::thousands(sample::report().api.requests);
        assert!(requests.contains(','), "{requests}");
        for text in ["Friday, 20 November 2026", "19 Nov 23:35 to 00:18", "since 22:51", "1 h 9 min", &requests] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_stretch_without_figures_is_told_in_local_time() {
        let from = sample::day().from();
        let interval = Interval { from: from.plus(130), until: from.plus(495) };
        assert_eq!(told(&Reason::Gap { interval }, &sample::day()), "No figures from 02:10 to 08:15 (6 h 5 min).");
    }

    #[test]
    fn the_same_report_gives_the_same_page() {
        let page = || render(&sample::report(), &sample::day());
        assert_eq!(page(), page());
    }

    /// Leaves the pages where people can open them: `target/daily-report-sample.html` and others.
    #[test]
    fn a_page_is_small_and_can_be_looked_at() {
        let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        std::fs::create_dir_all(&target).unwrap(); // Cargo's own may be elsewhere.
        for (what, page) in pages() {
            let file = target.join(format!("daily-report-{}.html", what.replace(' ', "-")));
            std::fs::write(&file, &page).unwrap();
            let size = std::fs::metadata(&file).unwrap().len();
            assert!((20_000..120_000).contains(&size), "{what}: {size} bytes");
        }
    }
}
