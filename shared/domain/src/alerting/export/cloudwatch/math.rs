//! What an alarm computes: one series as it is, or metric math over several.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::alerting::expression::{Expression, Function};
use crate::alerting::rules::{Filter, Labels, Query, Source, Statistic};
use crate::metrics::registry::{self, Kind};

use super::super::number;
use super::Values;

/// Why something can't be said.
pub(super) type Unsayable = String;

/// Codes of a class that are looked at where no values are given: those that services and load balancers answer.
const STATUS_CODES: &[&str] = &[
    "200", "201", "204", "301", "302", "304", "400", "401", "403", "404", "409", "422", "429", "500", "502", "503",
    "504",
];

/// Metrics, and an expression over them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Math {
    /// Seconds of which each value is.
    pub period: i64,
    /// The metrics; `m1` is the first.
    pub metrics: Vec<Metric>,
    /// What is computed of them; `m1` where it is the first as it is.
    pub expression: String,
}

/// One series of CloudWatch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metric {
    /// `None` for our own.
    namespace: Option<String>,
    name: String,
    dimensions: BTreeMap<String, String>,
    statistic: String,
}

impl Metric {
    fn body(&self) -> Map<String, Value> {
        let namespace = self.namespace.as_ref().map_or_else(|| json!({ "Ref": "MetricNamespace" }), |name| json!(name));
        let dimensions: Vec<Value> =
            self.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
        let mut body = Map::new();
        body.insert("Namespace".to_owned(), namespace);
        body.insert("MetricName".to_owned(), Value::from(self.name.as_str()));
        if !dimensions.is_empty() {
            body.insert("Dimensions".to_owned(), Value::from(dimensions));
        }
        body
    }
}

impl Math {
    pub fn of_period(minutes: i64) -> Math {
        Math { period: minutes * 60, metrics: Vec::new(), expression: String::new() }
    }

    /// Properties of an alarm on it.
    pub fn properties(&self) -> Map<String, Value> {
        let is_plain = self.expression == "m1" && self.metrics.len() == 1;
        if let (true, [metric]) = (is_plain, self.metrics.as_slice()) {
            let mut properties = metric.body();
            properties.insert("Period".to_owned(), Value::from(self.period));
            let is_extended = metric.statistic.starts_with(['p', 'P']);
            let name = if is_extended { "ExtendedStatistic" } else { "Statistic" };
            properties.insert(name.to_owned(), Value::from(metric.statistic.as_str()));
            return properties;
        }
        let mut queries = vec![json!({ "Id": "e1", "Expression": self.expression, "ReturnData": true })];
        queries.extend(self.metrics.iter().enumerate().map(|(at, metric)| {
            let stat = json!({ "Metric": metric.body(), "Period": self.period, "Stat": metric.statistic });
            json!({ "Id": format!("m{}", at + 1), "MetricStat": stat, "ReturnData": false })
        }));
        Map::from_iter([("Metrics".to_owned(), Value::from(queries))])
    }

    /// The value of `query` for the group `labels`, as an operand.
    pub fn query(&mut self, query: &Query, labels: &Labels, values: &Values) -> Result<String, Unsayable> {
        let value = self.statistic(query, statistic_name(query.statistic), labels, values)?;
        if query.fill_zero {
            return Ok(value.filled());
        }
        if query.min_samples == 0 {
            return Ok(value.plain());
        }
        let samples = self.samples(query, labels, values)?;
        // A comparison is 1 or 0, and what is divided by zero has no value.
        Ok(format!("({} / ({samples} >= {}))", value.plain(), query.min_samples))
    }

    /// How many there are of what `query` reads: what a counter counts, or values.
    pub fn samples(&mut self, query: &Query, labels: &Labels, values: &Values) -> Result<String, Unsayable> {
        Ok(self.statistic(query, samples_statistic(query), labels, values)?.plain())
    }

    /// The same, 0 where there are none.
    pub fn samples_or_zero(&mut self, query: &Query, labels: &Labels, values: &Values) -> Result<String, Unsayable> {
        Ok(self.statistic(query, samples_statistic(query), labels, values)?.filled())
    }

    /// The share, in percent, of the values that are at most `limit`.
    pub fn within(&mut self, query: &Query, limit: f64, labels: &Labels, values: &Values) -> Result<String, Unsayable> {
        let found = self.statistic(query, format!("PR(:{})", number(limit)), labels, values)?;
        if found.ids.len() == 1 { Ok(found.plain()) } else { Err("a share of the values of several series".to_owned()) }
    }

    fn statistic(
        &mut self,
        query: &Query,
        statistic: String,
        labels: &Labels,
        values: &Values,
    ) -> Result<Operand, Unsayable> {
        let mut ids = Vec::new();
        for dimensions in series_of(query, labels, values)? {
            let (namespace, name) = match &query.source {
                Source::Own(metric) => (None, metric.name.to_owned()),
                Source::Foreign(series) => (Some(series.namespace.clone()), series.name.clone()),
            };
            let metric = Metric { namespace, name, dimensions, statistic: statistic.clone() };
            let known = self.metrics.iter().position(|held| *held == metric);
            let at = known.unwrap_or_else(|| {
                self.metrics.push(metric);
                self.metrics.len() - 1
            });
            ids.push(format!("m{}", at + 1));
        }
        let joined = match (ids.len(), query.statistic) {
            (1, _) | (_, Statistic::Sum | Statistic::SampleCount) => "SUM",
            (_, Statistic::Minimum) => "MIN",
            (_, Statistic::Maximum) => "MAX",
            (_, Statistic::Average | Statistic::Percentile(_)) => {
                return Err("an average or a percentile of several series does not follow from theirs".to_owned());
            }
        };
        Ok(Operand { ids, joined })
    }
}

/// One or several metrics that are taken together.
struct Operand {
    ids: Vec<String>,
    joined: &'static str,
}

impl Operand {
    fn plain(&self) -> String {
        match self.ids.as_slice() {
            [id] => id.clone(),
            ids => format!("{}([{}])", self.joined, ids.join(", ")),
        }
    }

    fn filled(&self) -> String {
        let filled: Vec<String> = self.ids.iter().map(|id| format!("FILL({id}, 0)")).collect();
        match filled.as_slice() {
            [one] => one.clone(),
            several => format!("{}([{}])", self.joined, several.join(", ")),
        }
    }
}

fn statistic_name(statistic: Statistic) -> String {
    match statistic {
        Statistic::Sum => "Sum".to_owned(),
        Statistic::Average => "Average".to_owned(),
        Statistic::Minimum => "Minimum".to_owned(),
        Statistic::Maximum => "Maximum".to_owned(),
        Statistic::SampleCount => "SampleCount".to_owned(),
        Statistic::Percentile(percent) => format!("p{}", number(percent)),
    }
}

fn samples_statistic(query: &Query) -> String {
    let counts = matches!(&query.source, Source::Own(metric) if metric.kind == Kind::Counter);
    statistic_name(if counts { Statistic::Sum } else { Statistic::SampleCount })
}

/// Dimensions of all series that the query reads for the group `labels`.
fn series_of(query: &Query, labels: &Labels, values: &Values) -> Result<Vec<BTreeMap<String, String>>, Unsayable> {
    if let Source::Foreign(series) = &query.source {
        return Ok(vec![series.dimensions.clone()]);
    }
    let mut all = vec![labels.clone()];
    for (name, filter) in &query.filters {
        let mut known = known_values(name, filter, values)?;
        if let Some(of_group) = labels.get(name) {
            known.retain(|value| value == of_group);
        }
        if known.is_empty() {
            return Err(format!("no known value of {name} passes its filter"));
        }
        let with = |dimensions: &BTreeMap<String, String>| {
            let dimensions = dimensions.clone();
            let insert = move |value: &String| {
                let mut dimensions = dimensions.clone();
                dimensions.insert(name.clone(), value.clone());
                dimensions
            };
            known.iter().map(insert).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    Ok(all)
}

fn known_values(name: &str, filter: &Filter, values: &Values) -> Result<Vec<String>, Unsayable> {
    match filter {
        Filter::Exact(value) => Ok(vec![value.clone()]),
        Filter::OneOf(filters) => {
            let mut all = Vec::new();
            for filter in filters {
                all.extend(known_values(name, filter, values)?);
            }
            all.sort();
            all.dedup();
            Ok(all)
        }
        Filter::Prefix(_) | Filter::StatusClass(_) => {
            let common = || {
                let is_status = matches!(filter, Filter::StatusClass(_));
                is_status.then(|| STATUS_CODES.iter().map(|code| (*code).to_owned()).collect())
            };
            let known: Option<Vec<String>> = values.get(name).cloned().or_else(common);
            let known =
                known.ok_or_else(|| format!("give the values of {name} that there are: --values {name}=..."))?;
            Ok(known.into_iter().filter(|value| filter.matches(value)).collect())
        }
    }
}

/// Whether a filter stands for values that have to be known.
pub(super) fn is_enumerated(filter: &Filter) -> bool {
    match filter {
        Filter::Exact(_) => false,
        Filter::Prefix(_) | Filter::StatusClass(_) => true,
        Filter::OneOf(filters) => filters.iter().any(is_enumerated),
    }
}

/// Arithmetic in metric math.
pub(super) fn arithmetic(
    expression: &Expression,
    query: &mut impl FnMut(&str) -> Result<String, Unsayable>,
) -> Result<String, Unsayable> {
    Ok(match expression {
        Expression::Number(value) => number(*value),
        Expression::Query(name) => query(name)?,
        Expression::Negated(inner) => format!("(-1 * {})", arithmetic(inner, query)?),
        Expression::Binary(left, operator, right) => {
            format!("({} {} {})", arithmetic(left, query)?, operator.sign(), arithmetic(right, query)?)
        }
        Expression::Call(Function::Abs, arguments) => match arguments.as_slice() {
            [argument] => format!("ABS({})", arithmetic(argument, query)?),
            _ => return Err("abs of several arguments".to_owned()),
        },
        Expression::Call(function, arguments) => {
            let sign = if *function == Function::Max { '>' } else { '<' };
            let mut rendered: Option<String> = None;
            for argument in arguments {
                let next = arithmetic(argument, query)?;
                rendered = Some(match rendered {
                    None => next,
                    Some(held) => format!("IF({held} {sign} {next}, {held}, {next})"),
                });
            }
            rendered.ok_or_else(|| format!("{} of nothing", function.name()))?
        }
    })
}

/// The metric that counts security events.
pub(super) fn events() -> Result<&'static registry::Definition, Unsayable> {
    registry::find("security_events").ok_or_else(|| "no metric counts events".to_owned())
}
