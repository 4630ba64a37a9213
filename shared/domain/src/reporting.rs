//! The daily report: which day, what is said of it, and how it looks as JSON, as a page and as a
//! notice.

pub mod day;

pub mod figures;

pub mod report;

pub mod episodes;

pub mod verdict;

pub mod numbers;

pub mod html;

pub mod notice;

#[cfg(test)]
pub(crate) mod sample;

use self::day::LocalDay;
use self::report::DailyReport;
use crate::ports::Object;

/// Key of the report of the local day `date` (`2026-11-20`) as JSON.
pub fn json_key(date: &str) -> String {
    format!("reports/dt={date}/report.json")
}

/// Key of the same report as a page.
pub fn html_key(date: &str) -> String {
    format!("reports/dt={date}/report.html")
}

/// The two objects to be written: `report`, of the day `day`, as JSON and as a page.
pub fn objects(report: &DailyReport, day: &LocalDay) -> [Object; 2] {
    let page = html::render(report, day).into_bytes();
    [
        Object { key: json_key(&report.date), content_type: "application/json", body: report.to_json() },
        Object { key: html_key(&report.date), content_type: "text/html; charset=utf-8", body: page },
    ]
}
