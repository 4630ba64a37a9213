//! The report as text: a line a series.

use std::fmt;

use super::{Answer, MetricFigures, MetricsReport};

/// Columns that a name takes.
const NAME: usize = 30;

impl fmt::Display for MetricsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let periods = self.until.since(self.from) / self.period_minutes;
        let length = match self.period_minutes {
            1_440 => "a day".to_owned(),
            minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
            minutes => format!("{minutes} min"),
        };
        writeln!(f, "{} to {}, by {length} ({periods}), namespace {}", self.from, self.until, self.namespace)?;
        for metric in &self.metrics {
            line(f, metric, periods)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, metric: &MetricFigures, periods: i64) -> fmt::Result {
    let dimensions: Vec<String> = metric.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let name = match dimensions.is_empty() {
        true => metric.name.to_owned(),
        false => format!("{}{{{}}}", metric.name, dimensions.join(",")),
    };
    write!(f, "{name:NAME$} {:12} ", metric.unit)?;
    let said: Vec<String> = match metric.kind {
        "counter" => ["sum"].iter().filter_map(|name| figure(metric, name)).collect(),
        "gauge" => ["last_average", "average", "maximum"].iter().filter_map(|name| figure(metric, name)).collect(),
        _ => {
            let percentiles = ["p50", "p95", "p99"].iter().filter_map(|name| range(metric, name));
            percentiles.chain(["maximum", "count"].iter().filter_map(|name| figure(metric, name))).collect()
        }
    };
    let mut parts = said;
    let gaps = metric.statistics.values().find_map(|answer| match answer {
        Answer::Data { gaps, .. } if !gaps.is_empty() => Some(gaps.len()),
        _ => None,
    });
    parts.extend(gaps.map(|gaps| format!("({gaps} of {periods} periods without data)")));
    let errors = metric.statistics.iter().filter_map(|(statistic, answer)| match answer {
        Answer::Error { error } => Some(format!("{statistic} NOT ANSWERED: {error}")),
        _ => None,
    });
    parts.extend(errors);
    if parts.is_empty() {
        parts.push("no data".to_owned());
    }
    writeln!(f, "{}", parts.join("  "))
}

fn figure(metric: &MetricFigures, name: &str) -> Option<String> {
    Some(format!("{name} {}", number(*metric.figures.get(name)?)))
}

fn range(metric: &MetricFigures, percentile: &str) -> Option<String> {
    let [lowest, highest] = ["lowest", "highest"].map(|end| metric.figures.get(&format!("{percentile}_{end}")));
    let (lowest, highest) = (number(*lowest?), number(*highest?));
    Some(match lowest == highest {
        true => format!("{percentile} {lowest}"),
        false => format!("{percentile} {lowest} to {highest}"),
    })
}

/// With three decimals at most, and without those that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
