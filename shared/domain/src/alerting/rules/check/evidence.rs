//! Checks of what a message is to bring along.

use serde_saphyr::Spanned;

use crate::alerting::duration;
use crate::alerting::rules::closed::{Impossible, impossible};
use crate::alerting::rules::evidence::{Evidence, FIELDS, LogEvidence, LogFilter};
use crate::alerting::rules::file::{RawEvidence, RawLogs};
use crate::alerting::rules::problem::name_hint;
use crate::logs::record::CONTEXT;

use super::Check;

/// How many lines, and how many traces, a message has room for.
const MOST: u64 = 5;

/// How many minutes a chart may show: a day.
const WIDEST_CHART: i64 = 24 * 60;

impl Check<'_> {
    pub(super) fn evidence(&mut self, raw: &RawEvidence) -> Option<Evidence> {
        let logs = match &raw.logs {
            Some(logs) => self.log_evidence(logs).map(Some),
            None => Some(None),
        };
        let traces = match &raw.traces {
            Some(traces) => self.few("traces", traces, 0),
            None => Some(0),
        };
        let chart = match &raw.chart {
            Some(chart) => self.chart(chart).map(Some),
            None => Some(None),
        };
        Some(Evidence { logs: logs?, traces: traces?, chart: chart? })
    }

    fn log_evidence(&mut self, raw: &RawLogs) -> Option<LogEvidence> {
        let filter = self.log_filter(&raw.filter);
        let limit = match &raw.limit {
            Some(limit) => self.few("limit", limit, 1),
            None => Some(MOST as usize),
        };
        Some(LogEvidence { filter: filter?, limit: limit? })
    }

    fn log_filter(&mut self, spanned: &Spanned<String>) -> Option<LogFilter> {
        let text = self.resolved(spanned)?;
        let filter = match LogFilter::parse(&text) {
            Ok(filter) => filter,
            Err(error) => return self.problem(spanned, error.to_string(), None),
        };
        for term in &filter.terms {
            let names: Vec<&str> = term.field.iter().map(String::as_str).collect();
            if let [name] = names[..]
                && let Some(Impossible { message, hint }) = impossible(name, &term.pattern)
            {
                return self.problem(spanned, message, hint);
            }
            let (unknown, known): (&str, &[&str]) = match names[..] {
                ["context", name, ..] if !CONTEXT.contains(&name) => (name, &CONTEXT),
                [name, ..] if !FIELDS.contains(&name) => (name, FIELDS),
                _ => continue,
            };
            let hint = name_hint(unknown, known.iter().copied());
            return self.problem(spanned, format!("no archived line has the field `{}`", names.join(".")), hint);
        }
        Some(filter)
    }

    fn few(&mut self, what: &str, number: &Spanned<u64>, least: u64) -> Option<usize> {
        if (least..=MOST).contains(&number.value) {
            return Some(number.value as usize);
        }
        let hint = Some(format!("from {least} to {MOST}: that is what a message has room for"));
        self.problem(number, format!("{what} of {}", number.value), hint)
    }

    fn chart(&mut self, text: &Spanned<String>) -> Option<i64> {
        let minutes = self.parsed(text, duration::parse_minutes)?;
        if (5..=WIDEST_CHART).contains(&minutes) {
            return Some(minutes);
        }
        self.problem(text, format!("a chart of {} is not drawn", text.value), Some("from 5m to 1d".to_owned()))
    }
}
