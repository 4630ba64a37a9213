//! The key figures at the top of the page.

use super::{lost, or_dash, p95};
use crate::reporting::numbers::{compact, millis, percent, thousands};
use crate::reporting::report::{DailyReport, Latency};

/// One key figure.
#[derive(Debug, PartialEq)]
pub struct Tile {
    /// What it is.
    pub name: &'static str,
    /// The figure.
    pub figure: String,
    /// What stands beside it.
    pub note: String,
    /// Style class: `bad` where the figure itself is bad news.
    pub class: &'static str,
}

/// The eight figures that say most about a day.
pub fn tiles(report: &DailyReport) -> Vec<Tile> {
    let (business, api, lines) = (&report.business, &report.api, &report.completeness.lines);
    let average = match business.contracts_created {
        0 => "no contracts".to_owned(),
        count => format!("₽ {} on average", compact(business.contract_value_sum / count as f64)),
    };
    let tile = |name, figure, note, bad| Tile { name, figure, note, class: if bad { "bad" } else { "" } };
    vec![
        tile(
            "Contracts created",
            thousands(business.contracts_created),
            format!("{} signed", thousands(business.contracts_signed)),
            false,
        ),
        tile("Contract value", format!("₽ {}", compact(business.contract_value_sum)), average, false),
        tile(
            "Contracts that failed",
            thousands(business.creation_errors),
            most_frequent(report),
            business.creation_errors > 0,
        ),
        tile(
            "New users",
            thousands(business.registrations),
            format!("{} documents uploaded", thousands(business.documents_uploaded)),
            false,
        ),
        tile("Requests", thousands(api.requests), format!("{} answered 5xx", thousands(api.server_errors)), false),
        tile("Error rate", or_dash(api.error_rate_percent, percent), "5xx of all requests".to_owned(), false),
        tile("Request time, 95th percentile", p95(api.latency.as_ref()), median(api.latency.as_ref()), false),
        tile("Log lines lost", lost(lines.lost), format!("of {} received", thousands(lines.received)), lines.lost != 0),
    ]
}

fn most_frequent(report: &DailyReport) -> String {
    let reasons = &report.business.creation_errors_by_reason;
    // Among equals the first by name, so that the page is the same each time.
    match reasons.iter().rev().max_by_key(|(_, count)| **count) {
        Some((reason, _)) => format!("mostly {reason}"),
        None => "none".to_owned(),
    }
}

fn median(latency: Option<&Latency>) -> String {
    match latency {
        Some(latency) => format!("median {}", millis(latency.p50_ms)),
        None => "nothing was timed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporting::sample;

    fn figures(report: &DailyReport) -> Vec<(&'static str, String)> {
        tiles(report)
            .into_iter()
            .map(|tile| (tile.class, format!("{}: {} ({})", tile.name, tile.figure, tile.note)))
            .collect()
    }

    #[test]
    fn bad_news_is_marked_and_what_is_not_known_is_a_dash() {
        let mut report = sample::report();
        report.business.creation_errors_by_reason =
            [("b", 5), ("a", 5), ("c", 1)].map(|(k, v)| (k.to_owned(), v)).into();
        (report.business.creation_errors, report.business.contracts_created) = (11, 0);
        (report.completeness.lines.received, report.completeness.lines.lost) = (1000, -2);
        (report.api.latency, report.api.error_rate_percent) = (None, None);
        let figures = figures(&report);
        for (class, expected) in [
            ("", "Contracts created: 0 ("),
            ("bad", "Contracts that failed: 11 (mostly a)"),
            ("", "Error rate: – (5xx of all requests)"),
            ("", "Request time, 95th percentile: – (nothing was timed)"),
            ("bad", "Log lines lost: −2 (of 1,000 received)"),
        ] {
            assert!(
                figures.iter().any(|(c, text)| *c == class && text.starts_with(expected)),
                "{expected}: {figures:?}"
            );
        }
    }
}
