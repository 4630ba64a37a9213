//! Checks of one query against the metric registry: whatever it names has to exist, and its statistic
//! has to mean something for that kind of metric.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use crate::alerting::samples::combines;
use crate::metrics::registry::{Definition, FOREIGN, Foreign, Kind, METRICS, find, find_foreign};
use crate::ports::MetricQuery;

use super::check::Check;
use super::closed::{Impossible, impossible};
use super::file::{Choice, RawFilters, RawQuery};
use super::pattern::Pattern;
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

    /// A percentile's name is its number: `p95`, `p99.9`; CloudWatch has them from p0 to p100.
    fn percentile(name: &str) -> Option<Statistic> {
        let digits = name.strip_prefix('p')?;
        // Of what parses as a number, `p1e1` and `p+5` are none.
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number: f64 = digits.parse().ok()?;
        (is_plain && number <= 100.0).then_some(Statistic::Percentile(number))
    }

    /// Whether CloudWatch has a statistic of this name that is computed of a part of the values: `tm90`, `TM(5%:95%)`,
    /// `PR(:300)`, `IQM`.
    fn is_trimmed(name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        let rest = ["tm", "tc", "ts", "wm", "pr"].iter().find_map(|prefix| lower.strip_prefix(prefix));
        let begins_so = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit() || c == '(');
        lower == "iqm" || rest.is_some_and(begins_so)
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
            Metric::Own(metric) => {
                self.statistic_fits(&raw.stat, metric, statistic)?;
                self.own(spanned, metric, &raw.filters, group_by)?
            }
            Metric::Foreign(metric) => {
                if let Some(fill) = &raw.fill {
                    let message = format!("`fill: zero` of {}, whose newest minutes CloudWatch has late", metric.name);
                    let hint = "nothing yet is not nothing: leave it out, and say what `missing` data mean";
                    return self.problem(fill, message, Some(hint.to_owned()));
                }
                if let Some(samples) = &raw.min_samples {
                    let message = format!("CloudWatch does not tell the samples of {}", metric.name);
                    return self.problem(samples, message, None);
                }
                if !combines(statistic) {
                    let hint = Some("Sum, Average, Minimum, Maximum or SampleCount".to_owned());
                    let message = format!("{} of {} by minute says nothing of the window", raw.stat.value, metric.name);
                    return self.problem(&raw.stat, message, hint);
                }
                self.foreign(spanned, metric, &raw.stat.value, &raw.filters, group_by)?
            }
        };
        Some(Query { source, statistic, filters, fill_zero, min_samples })
    }

    /// The query of a rule whose kind gives the statistic: Sum, of a counter, or SampleCount.
    pub(super) fn selected(
        &mut self,
        name: &Spanned<String>,
        filters: &RawFilters,
        group_by: &[String],
        statistic: Statistic,
    ) -> Option<Query> {
        let (source, filters) = match self.metric(name)? {
            Metric::Own(metric) if statistic == Statistic::Sum && metric.kind != Kind::Counter => {
                let message = format!("{} is a {}: it does not count", metric.name, metric.kind.as_str());
                return self.problem(name, message, Some("a counter".to_owned()));
            }
            Metric::Own(metric) => self.own(name, metric, filters, group_by)?,
            Metric::Foreign(metric) => {
                let statistic = if statistic == Statistic::Sum { "Sum" } else { "SampleCount" };
                self.foreign(name, metric, statistic, filters, group_by)?
            }
        };
        Some(Query { source, statistic, filters, fill_zero: false, min_samples: 0 })
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
        let known = "there is Sum, Average, Minimum, Maximum, SampleCount, and p with a number up to 100";
        if Statistic::is_trimmed(&name.value) {
            let hint = format!("{known}, which a few outliers do not move either");
            return self.problem(name, format!("the trimmed statistic `{}` is not computed", name.value), Some(hint));
        }
        self.problem(name, format!("unknown statistic `{}`", name.value), Some(known.to_owned()))
    }

    /// Whether the statistic means something for that kind of metric.
    fn statistic_fits(&mut self, stat: &Spanned<String>, metric: &Definition, statistic: Statistic) -> Option<()> {
        match (metric.kind, statistic) {
            (Kind::Counter, Statistic::Sum | Statistic::SampleCount) => Some(()),
            (Kind::Counter, _) => {
                let message = format!("{} of {}, which counts: each increment is 1", stat.value, metric.name);
                self.problem(stat, message, Some("a counter has a Sum".to_owned()))
            }
            (Kind::Gauge, Statistic::Sum) => {
                let message = format!("Sum of {}, which is a level", metric.name);
                self.problem(stat, message, Some("Average, Minimum or Maximum".to_owned()))
            }
            _ => Some(()),
        }
    }

    fn own(
        &mut self,
        place: &Spanned<impl Sized>,
        metric: &'static Definition,
        raw: &RawFilters,
        group_by: &[String],
    ) -> Option<(Source, BTreeMap<String, Filter>)> {
        let mut names: Vec<&str> = group_by.iter().map(String::as_str).collect();
        names.extend(raw.keys().map(String::as_str).filter(|name| !group_by.iter().any(|group| group == name)));
        if !metric.has_set(&names) {
            let sets: Vec<String> = metric.sets.iter().map(|set| format!("({})", set.join(", "))).collect();
            let message = format!("{} is not kept by ({}): `where` and `group_by`", metric.name, names.join(", "));
            return self.problem(place, message, Some(format!("it is kept by {}", sets.join(", "))));
        }
        let mut filters = BTreeMap::new();
        for (name, choice) in raw {
            filters.insert(name.clone(), self.filter(name, choice)?);
        }
        Some((Source::Own(metric), filters))
    }

    fn filter(&mut self, name: &str, choice: &Spanned<Choice>) -> Option<Filter> {
        let mut filters = Vec::new();
        for text in self.texts(name, choice)? {
            filters.push(self.filter_of(name, &text, choice)?);
        }
        Some(if filters.len() == 1 { filters.remove(0) } else { Filter::OneOf(filters) })
    }

    fn filter_of(&mut self, name: &str, text: &str, place: &Spanned<Choice>) -> Option<Filter> {
        if let (Some(digit), "status_code") = (text.strip_suffix("xx"), name) {
            return match digit.chars().next() {
                Some(class @ '1'..='5') if digit.len() == 1 => Some(Filter::StatusClass(class)),
                _ => self.problem(place, format!("`{text}` is no class of status codes"), Some("5xx, say".to_owned())),
            };
        }
        Some(match self.pattern(name, text, place)? {
            Pattern::Exact(text) => Filter::Exact(text),
            Pattern::Prefix(text) => Filter::Prefix(text),
        })
    }

    /// What a value has to be, where it can be that.
    pub(super) fn pattern(&mut self, name: &str, text: &str, place: &Spanned<Choice>) -> Option<Pattern> {
        let Some(pattern) = Pattern::parse(text) else {
            let hint = Some("a value, or a beginning with `*` after it".to_owned());
            return self.problem(place, format!("`{text}` is no value of {name}"), hint);
        };
        match impossible(name, &pattern) {
            Some(Impossible { message, hint }) => self.problem(place, message, hint),
            None => Some(pattern),
        }
    }

    /// The values of a `where`, with placeholders filled: at least one, none of them empty or twice.
    pub(super) fn texts(&mut self, name: &str, choice: &Spanned<Choice>) -> Option<Vec<String>> {
        let mut texts: Vec<String> = Vec::new();
        for text in &choice.value.0 {
            let text = self.resolved_text(text, choice)?;
            if text.is_empty() {
                return self.problem(choice, format!("no value of {name} is empty"), None);
            }
            if texts.contains(&text) {
                return self.problem(choice, format!("`{text}` stands there twice"), None);
            }
            texts.push(text);
        }
        if texts.is_empty() {
            return self.problem(choice, format!("no value of {name} is in an empty list"), None);
        }
        Some(texts)
    }

    fn foreign(
        &mut self,
        place: &Spanned<impl Sized>,
        metric: &'static Foreign,
        statistic: &str,
        raw: &RawFilters,
        group_by: &[String],
    ) -> Option<(Source, BTreeMap<String, Filter>)> {
        let named = raw
            .first_key_value()
            .filter(|(name, choice)| *name == metric.dimension && raw.len() == 1 && choice.value.0.len() == 1);
        let (Some((name, choice)), true) = (named, group_by.is_empty()) else {
            let message = format!("{} is a metric of AWS: the rule has to name its one resource", metric.name);
            let hint = format!("where: {{{}: ...}} and no group_by", metric.dimension);
            return self.problem(place, message, Some(hint));
        };
        let resource = self.texts(name, choice)?.remove(0);
        let series = MetricQuery {
            namespace: metric.namespace.to_owned(),
            name: metric.metric.to_owned(),
            dimensions: BTreeMap::from([(name.clone(), resource)]),
            statistic: statistic.to_owned(),
        };
        Some((Source::Foreign(series), BTreeMap::new()))
    }
}
