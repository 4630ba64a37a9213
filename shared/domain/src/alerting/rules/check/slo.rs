//! Checks of rules of kind slo.

use serde_saphyr::Spanned;

use crate::alerting::duration;
use crate::alerting::rules::file::{RawBurn, RawRule, RawSelector};
use crate::alerting::rules::kind::{Burn, BurnAlert, Indicator, Slo};
use crate::alerting::rules::{Query, Severity, Source, Statistic};
use crate::metrics::registry::Kind;

use super::Check;

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// What a rule that has no `burn` gets, by the workbook of Google's site reliability engineers.
const DEFAULT_BURNS: [(Severity, Burn); 4] = [
    (Severity::Critical, Burn { factor: 14.4, long: HOUR, short: 5 }),
    (Severity::Critical, Burn { factor: 6.0, long: 6 * HOUR, short: 30 }),
    (Severity::Warning, Burn { factor: 3.0, long: DAY, short: 2 * HOUR }),
    (Severity::Warning, Burn { factor: 1.0, long: 3 * DAY, short: 6 * HOUR }),
];

/// How long what burns is remembered.
const LONGEST_WINDOW: i64 = 3 * DAY;

/// Windows longer than this are made of buckets of [`BUCKET`] minutes.
const BY_MINUTE: i64 = HOUR;
const BUCKET: i64 = 5;

/// For how long an error budget is, if the rule does not say.
const PERIOD: i64 = 30 * DAY;

impl Check<'_> {
    pub(super) fn slo(&mut self, raw: &RawRule, group_by: &[String]) -> Option<Slo> {
        let objective = raw.objective.as_ref().and_then(|percent| self.objective(percent));
        let indicator = self.indicator(raw, group_by);
        let period = self.minutes_or(raw.period.as_ref(), PERIOD);
        let objective = objective?;
        let alerts = match &raw.burn {
            Some(burns) => self.burns(burns, objective),
            None => Some(default_alerts(objective)),
        };
        let min_samples = raw.min_samples.as_ref().map_or(0, |samples| samples.value);
        let slo = Slo { objective, indicator: indicator?, alerts: alerts?, min_samples, period: period? };
        let windows = slo.alerts.iter().flat_map(|alert| &alert.burns).map(|burn| burn.long);
        if let (Some(period), Some(longest)) = (&raw.period, windows.max())
            && slo.period < longest
        {
            let hint = Some("30d is usual".to_owned());
            return self.problem(period, "the period of the budget is shorter than a window of `burn`", hint);
        }
        Some(slo)
    }

    fn objective(&mut self, percent: &Spanned<f64>) -> Option<f64> {
        if percent.value >= 50.0 && percent.value < 100.0 {
            return Some(percent.value / 100.0);
        }
        let hint = match percent.value {
            share if share > 0.0 && share < 1.0 => format!("in percent: did you mean {}?", round(share * 100.0)),
            _ => "in percent, from 50 up to 100 without it: of 100 % nothing may fail".to_owned(),
        };
        self.problem(percent, format!("an objective of {} can't be held", percent.value), Some(hint))
    }

    fn indicator(&mut self, raw: &RawRule, group_by: &[String]) -> Option<Indicator> {
        match (&raw.good, &raw.bad, &raw.total, &raw.duration, &raw.within) {
            (Some(good), None, Some(total), None, None) => {
                let (good, total) = self.counted(good, total, group_by)?;
                Some(Indicator::Good { good, total })
            }
            (None, Some(bad), Some(total), None, None) => {
                let (bad, total) = self.counted(bad, total, group_by)?;
                Some(Indicator::Bad { bad, total })
            }
            (None, None, None, Some(duration), Some(within)) => {
                let query = self.timed(duration, group_by);
                if !within.value.is_finite() || within.value <= 0.0 {
                    let hint = Some("in the unit of the metric: milliseconds of a timer".to_owned());
                    return self.problem(within, format!("nothing is within {}", within.value), hint);
                }
                Some(Indicator::Within { query: query?, limit: within.value })
            }
            _ => {
                let hint = "either `good` and `total`, or `bad` and `total`, or `duration` and `within`".to_owned();
                let message = "it does not say what is good, of what";
                self.problem(raw.objective.as_ref()?, message, Some(hint))
            }
        }
    }

    /// Part and total.
    fn counted(
        &mut self,
        part: &Spanned<RawSelector>,
        total: &Spanned<RawSelector>,
        group_by: &[String],
    ) -> Option<(Query, Query)> {
        let of_part = self.selector(part, group_by, Statistic::Sum);
        let of_total = self.selector(total, group_by, Statistic::Sum);
        let (mut of_part, of_total) = (of_part?, of_total?);
        if (&of_part.source, &of_part.filters) == (&of_total.source, &of_total.filters) {
            let hint = Some("its `where` has to leave some out".to_owned());
            return self.problem(part, "it counts the same as `total`", hint);
        }
        of_part.fill_zero = true;
        Some((of_part, of_total))
    }

    fn timed(&mut self, selector: &Spanned<RawSelector>, group_by: &[String]) -> Option<Query> {
        let query = self.selector(selector, group_by, Statistic::SampleCount)?;
        match &query.source {
            Source::Own(metric) if matches!(metric.kind, Kind::Timer | Kind::Histogram) => Some(query),
            Source::Own(metric) => {
                let message = format!("{} is a {}: it has no distribution", metric.name, metric.kind.as_str());
                self.problem(&selector.value.metric, message, Some("a timer or a histogram".to_owned()))
            }
            Source::Foreign(_) => None, // Refused before.
        }
    }

    fn selector(
        &mut self,
        selector: &Spanned<RawSelector>,
        group_by: &[String],
        statistic: Statistic,
    ) -> Option<Query> {
        let RawSelector { metric, filters } = &selector.value;
        let query = self.selected(metric, filters, group_by, statistic)?;
        match query.source {
            Source::Own(_) => Some(query),
            Source::Foreign(_) => {
                let hint = Some("an objective is over metrics of ours, which are kept for days".to_owned());
                self.problem(metric, format!("{} is a metric of AWS", metric.value), hint)
            }
        }
    }

    fn burns(&mut self, raw: &Spanned<Vec<Spanned<RawBurn>>>, objective: f64) -> Option<Vec<BurnAlert>> {
        let mut burns = Vec::new();
        for burn in &raw.value {
            burns.extend(self.burn(burn, objective));
        }
        if burns.len() < raw.value.len() {
            return None;
        }
        if burns.is_empty() {
            let hint = Some("leave `burn` out for the usual ones".to_owned());
            return self.problem(raw, "without a burn rate it can't fire", hint);
        }
        match alerts_of(burns) {
            Ok(alerts) => Some(alerts),
            Err((label, one, other)) => {
                let message = format!("{} and {} are both the {label} of this objective", one.as_str(), other.as_str());
                let hint = "one severity of error and critical for the page, one of info and warning for the ticket";
                self.problem(raw, message, Some(hint.to_owned()))
            }
        }
    }

    fn burn(&mut self, raw: &Spanned<RawBurn>, objective: f64) -> Option<(Severity, Burn)> {
        let severity = self.one_of("severity", &raw.value.severity, Severity::NAMES);
        let long = self.burn_window(&raw.value.long);
        let short = self.burn_window(&raw.value.short);
        let factor = self.factor(&raw.value.factor, objective);
        let (severity, factor, long, short) = (severity?, factor?, long?, short?);
        if short < long {
            return Some((severity, Burn { factor, long, short }));
        }
        let hint = Some("a twelfth of it is usual".to_owned());
        self.problem(&raw.value.short, "the short window is not shorter than the long one", hint)
    }

    fn factor(&mut self, factor: &Spanned<f64>, objective: f64) -> Option<f64> {
        if !factor.value.is_finite() || factor.value <= 0.0 {
            let hint = Some("1 uses up the budget in exactly its period".to_owned());
            return self.problem(factor, format!("a factor of {} burns nothing", factor.value), hint);
        }
        let total_failure = 1.0 / (1.0 - objective);
        if is_reached(factor.value, objective) {
            return Some(factor.value);
        }
        let message = format!("a burn rate above {} can't be reached", factor.value);
        let hint = format!(
            "if everything fails, an objective of {} % burns {}",
            round(objective * 100.0),
            round(total_failure)
        );
        self.problem(factor, message, Some(hint))
    }

    fn burn_window(&mut self, text: &Spanned<String>) -> Option<i64> {
        let minutes = self.parsed(text, duration::parse_minutes)?;
        let in_buckets = minutes <= BY_MINUTE || minutes % BUCKET == 0;
        if (1..=LONGEST_WINDOW).contains(&minutes) && in_buckets {
            return Some(minutes);
        }
        let hint = "from 1m to 3d, and whole 5 minutes if over an hour".to_owned();
        self.problem(text, format!("a window of {} is not kept", text.value), Some(hint))
    }
}

/// Those of the usual ones that can fire: an objective of 90 % burns no faster than 10.
fn default_alerts(objective: f64) -> Vec<BurnAlert> {
    let reachable = |(_, burn): &(Severity, Burn)| is_reached(burn.factor, objective);
    let burns = DEFAULT_BURNS.into_iter().filter(reachable).collect();
    // Their severities do not collide.
    alerts_of(burns).unwrap_or_default()
}

/// Whether something burns faster than `factor` if all of it fails.
fn is_reached(factor: f64, objective: f64) -> bool {
    // What floating point takes away is not worth a rule that never fires.
    factor * (1.0 - objective) < 1.0 - 1e-9
}

/// One alert for each label, the gravest first; or a label with two severities.
fn alerts_of(mut burns: Vec<(Severity, Burn)>) -> Result<Vec<BurnAlert>, (&'static str, Severity, Severity)> {
    burns.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let mut alerts: Vec<BurnAlert> = Vec::new();
    for (severity, burn) in burns {
        let label = if severity >= Severity::Error { "page" } else { "ticket" };
        match alerts.last_mut() {
            Some(alert) if alert.label == label && alert.severity == severity => alert.burns.push(burn),
            Some(alert) if alert.label == label => return Err((label, alert.severity, severity)),
            _ => alerts.push(BurnAlert { label, severity, burns: vec![burn] }),
        }
    }
    Ok(alerts)
}

/// For people: what floating point adds is left out.
fn round(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
