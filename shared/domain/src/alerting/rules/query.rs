//! Checks of one query against the metric registry: whatever it names has to exist, and its statistic
//! has to mean something for that kind of metric.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use crate::alerting::samples::combines;
use crate::metrics::registry::{Definition, FOREIGN, Foreign, Kind, METRICS, find, find_foreign};
use crate::ports::MetricQuery;

use super::check::Check;
use super::file::RawQuery;
use super::problem::name_hint;
use super::{Filter, Query, Source, Statistic};

/// An entry of one of the registry's two tables.
enum Metric {
    Own(&'static Definition),
    Foreign(&'static Foreign),
}

impl Statistic {
    const NAMES: &[(&str, Statistic)] = &[
        ("Sum", Statistic::Sum),
        ("Average", Statistic::Average),
        ("Minimum", Statistic::Minimum),
        ("Maximum", Statistic::Maximum),
        ("SampleCount", Statistic::SampleCount),
    ];

    /// A percentile's name is its number: `p95`, `p99.9`.
    fn percentile(name: &str) -> Option<Statistic> {
        let number: f64 = name.strip_prefix('p')?.parse().ok()?;
        (number > 0.0 && number <= 100.0).then_some(Statistic::Percentile(number))
    }
}

impl Check<'_> {
    pub(super) fn query(&mut self, spanned: &Spanned<RawQuery>, group_by: &[String]) -> Option<Query> {
        let raw = &spanned.value;
        let statistic = self.statistic(&raw.stat);
        let fill_zero = match &raw.fill {
            Some(fill) => self.one_of("fill", fill, &[("zero", true)]),
            None => Some(false),
        };
        let min_samples = raw.min_samples.as_ref().map_or(0, |samples| samples.value);
        if let Some(samples) = &raw.min_samples
            && raw.fill.is_some()
        {
            let message = "a window that is filled has no samples to count";
            return self.problem(samples, message, Some("either `fill` or `min_samples`".to_owned()));
        }
        let metric = self.metric(&raw.metric);
        let (statistic, fill_zero, metric) = (statistic?, fill_zero?, metric?);
        if fill_zero && !matches!(statistic, Statistic::Sum | Statistic::SampleCount) {
            let hint = Some("only Sum and SampleCount are zero where nothing came".to_owned());
            return self.problem(&raw.stat, format!("`fill: zero` with {}", raw.stat.value), hint);
        }
        let (source, filters) = match metric {
            Metric::Own(metric) => self.own(spanned, metric, statistic, group_by)?,
            Metric::Foreign(metric) => self.foreign(spanned, metric, statistic, group_by)?,
        };
        Some(Query { source, statistic, filters, fill_zero, min_samples })
    }

    fn metric(&mut self, name: &Spanned<String>) -> Option<Metric> {
        match (find(&name.value), find_foreign(&name.value)) {
            (Some(metric), _) if metric.is_rolled_up() => Some(Metric::Own(metric)),
            (Some(metric), _) => {
                let message = format!("{} is what functions tell about themselves: no rollup has it", metric.name);
                self.problem(name, message, Some("an alarm of CloudWatch can watch it".to_owned()))
            }
            (None, Some(metric)) => Some(Metric::Foreign(metric)),
            (None, None) => {
                let known = METRICS
                    .iter()
                    .filter(|metric| metric.is_rolled_up())
                    .map(|metric| metric.name)
                    .chain(FOREIGN.iter().map(|metric| metric.name));
                self.problem(name, format!("unknown metric `{}`", name.value), name_hint(&name.value, known))
            }
        }
    }

    fn statistic(&mut self, name: &Spanned<String>) -> Option<Statistic> {
        if let Some(percentile) = Statistic::percentile(&name.value) {
            return Some(percentile);
        }
        if let Some((_, statistic)) = Statistic::NAMES.iter().find(|(known, _)| *known == name.value) {
            return Some(*statistic);
        }
        let hint = "there is Sum, Average, Minimum, Maximum, SampleCount, and p with a number up to 100";
        self.problem(name, format!("unknown statistic `{}`", name.value), Some(hint.to_owned()))
    }

    fn own(
        &mut self,
        spanned: &Spanned<RawQuery>,
        metric: &'static Definition,
        statistic: Statistic,
        group_by: &[String],
    ) -> Option<(Source, BTreeMap<String, Filter>)> {
        let raw = &spanned.value;
        match (metric.kind, statistic) {
            (_, Statistic::SampleCount) | (Kind::Counter, Statistic::Sum) => {}
            (Kind::Counter, _) => {
                let message = format!("{} of {}, which counts: each increment is 1", raw.stat.value, metric.name);
                return self.problem(&raw.stat, message, Some("a counter has a Sum".to_owned()));
            }
            (Kind::Gauge, Statistic::Sum) => {
                let message = format!("Sum of {}, which is a level", metric.name);
                return self.problem(&raw.stat, message, Some("Average, Minimum or Maximum".to_owned()));
            }
            _ => {}
        }
        let mut names: Vec<&str> = group_by.iter().map(String::as_str).collect();
        names.extend(raw.filters.keys().map(String::as_str).filter(|name| !group_by.iter().any(|group| group == name)));
        if !metric.has_set(&names) {
            let sets: Vec<String> = metric.sets.iter().map(|set| format!("({})", set.join(", "))).collect();
            let message = format!("{} is not kept by ({}): `where` and `group_by`", metric.name, names.join(", "));
            return self.problem(spanned, message, Some(format!("it is kept by {}", sets.join(", "))));
        }
        let mut filters = BTreeMap::new();
        for (name, value) in &raw.filters {
            filters.insert(name.clone(), self.filter(name, value)?);
        }
        Some((Source::Own(metric), filters))
    }

    fn filter(&mut self, name: &str, value: &Spanned<String>) -> Option<Filter> {
        let text = self.resolved(value)?;
        if text.is_empty() {
            return self.problem(value, format!("no value of {name} is empty"), None);
        }
        match text.strip_suffix("xx") {
            Some(digit) if name == "status_code" => match digit.chars().next() {
                Some(class @ '1'..='5') if digit.len() == 1 => Some(Filter::StatusClass(class)),
                _ => self.problem(value, format!("`{text}` is no class of status codes"), Some("5xx, say".to_owned())),
            },
            _ => Some(Filter::Exact(text)),
        }
    }

    fn foreign(
        &mut self,
        spanned: &Spanned<RawQuery>,
        metric: &'static Foreign,
        statistic: Statistic,
        group_by: &[String],
    ) -> Option<(Source, BTreeMap<String, Filter>)> {
        let raw = &spanned.value;
        if let Some(samples) = &raw.min_samples {
            return self.problem(samples, format!("CloudWatch does not tell the samples of {}", metric.name), None);
        }
        if !combines(statistic) {
            let hint = Some("Sum, Average, Minimum, Maximum or SampleCount".to_owned());
            return self.problem(
                &raw.stat,
                format!("{} of {} by minute says nothing of the window", raw.stat.value, metric.name),
                hint,
            );
        }
        let named =
            raw.filters.first_key_value().filter(|(name, _)| *name == metric.dimension && raw.filters.len() == 1);
        let (Some((name, value)), true) = (named, group_by.is_empty()) else {
            let message = format!("{} is a metric of AWS: the rule has to name its one resource", metric.name);
            let hint = format!("where: {{{}: ...}} and no group_by", metric.dimension);
            return self.problem(spanned, message, Some(hint));
        };
        let series = MetricQuery {
            namespace: metric.namespace.to_owned(),
            name: metric.metric.to_owned(),
            dimensions: BTreeMap::from([(name.clone(), self.resolved(value)?)]),
            statistic: raw.stat.value.clone(),
        };
        Some((Source::Foreign(series), BTreeMap::new()))
    }
}
