//! Expressions in PromQL. All that is counted is summed over the series that nobody asked to tell apart, so that a
//! division has the same labels on both sides (defect 48).
//!
//! Remote write puts a sample a minute, on the whole minute, and Prometheus evaluates at a second of its own. So a window
//! of ten minutes of a counter is the difference between its last sample and the least of those that it had half a minute
//! before each of ten samples (the zero before its first value is one). `increase` would see nine minutes and scale them
//! up to ten, and say nothing of a window of one. All ranges end a minute ago, for a sample comes a while after the time
//! that it has.

use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::expression::{Expression, Function, Operator};
use crate::alerting::rules::{Filter, Query, Source, Statistic};
use crate::metrics::prometheus::{IDLE_MINUTES, scaled};
use crate::metrics::registry::{Definition, Kind};

use super::super::{duration, number};
use super::quoted;

/// Why something can't be said.
pub(super) type Unsayable = String;

/// Where the series are that expressions are about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Value of the label `environment`, if only one is meant.
    pub environment: Option<&'a str>,
    /// Labels that tell results apart.
    pub by: &'a [String],
}

impl Scope<'_> {
    /// `sum by (service) (...)`
    pub fn aggregated(&self, function: &str, of: &str) -> String {
        aggregated(function, self.by, of)
    }

    /// `on (service)`
    pub fn on(&self) -> String {
        format!("on ({})", self.by.join(", "))
    }

    /// `{environment="production", status_code=~"5.."}`, with whatever is given beside.
    fn selector(&self, query: &Query, more: Option<String>) -> String {
        let environment = self.environment.map(|value| format!("environment={}", quoted(value)));
        let filters = query.filters.iter().map(|(name, filter)| matcher(name, filter));
        let matchers: Vec<String> = environment.into_iter().chain(filters).chain(more).collect();
        if matchers.is_empty() { String::new() } else { format!("{{{}}}", matchers.join(", ")) }
    }

    /// The statistic of `query` over `minutes`, in the unit of the registry; nothing where it has too few samples.
    /// Without a value it is nothing here even if the query says `fill: zero`.
    pub fn value(&self, query: &Query, minutes: i64) -> Result<String, Unsayable> {
        let metric = own(query)?;
        let value = self.statistic(metric, query, minutes)?;
        if query.min_samples == 0 {
            return Ok(value);
        }
        let enough = format!(">= {}", query.min_samples);
        match metric.kind {
            Kind::Counter => Ok(format!("({value} {enough})")),
            Kind::Gauge => {
                let over = format!("count_over_time({})", self.gauge(metric, query, minutes));
                Ok(format!("({value} and {} {enough})", self.aggregated("sum", &over)))
            }
            Kind::Histogram | Kind::Timer => Ok(format!("({value} and {} {enough})", self.count(query, minutes)?)),
        }
    }

    fn statistic(&self, metric: &Definition, query: &Query, minutes: i64) -> Result<String, Unsayable> {
        let name = metric.name;
        match (metric.kind, query.statistic) {
            (Kind::Counter, Statistic::Sum) | (Kind::Histogram | Kind::Timer, Statistic::SampleCount) => {
                self.count(query, minutes)
            }
            (Kind::Counter, _) => Err(format!("Prometheus knows what {name} counts, not in how many increments")),
            (Kind::Gauge, Statistic::Average) => Ok(self.over_time("avg", metric, query, minutes)),
            (Kind::Gauge, Statistic::Minimum) => Ok(self.over_time("min", metric, query, minutes)),
            (Kind::Gauge, Statistic::Maximum) => Ok(self.over_time("max", metric, query, minutes)),
            (Kind::Gauge, Statistic::Percentile(percent)) if self.is_one_series(metric, query) => {
                let over =
                    format!("quantile_over_time({}, {})", number(percent / 100.0), self.gauge(metric, query, minutes));
                Ok(self.aggregated("max", &over))
            }
            (Kind::Gauge, Statistic::Percentile(_)) => {
                Err(format!("Prometheus has no percentile of {name} over several series and a window"))
            }
            (Kind::Gauge, Statistic::Sum | Statistic::SampleCount) => {
                Err(format!("Prometheus repeats {name} every minute, so how often it was told is not known there"))
            }
            (Kind::Histogram | Kind::Timer, Statistic::Sum) => Ok(unscaled(metric, &self.sum(metric, query, minutes))),
            (Kind::Histogram | Kind::Timer, Statistic::Average) => {
                let (sum, count) = (self.sum(metric, query, minutes), self.count(query, minutes)?);
                Ok(unscaled(metric, &format!("({sum} / ({count} > 0))")))
            }
            (Kind::Histogram | Kind::Timer, Statistic::Percentile(percent)) => {
                let (family, selector) = (metric.prometheus_name(), self.selector(query, None));
                let by: Vec<String> = ["le".to_owned()].into_iter().chain(self.by.iter().cloned()).collect();
                let buckets = aggregated("sum", &by, &grown(&format!("{family}_bucket{selector}"), minutes));
                let quantile = format!("histogram_quantile({}, {buckets})", number(percent / 100.0));
                Ok(unscaled(metric, &quantile))
            }
            (Kind::Histogram | Kind::Timer, Statistic::Minimum | Statistic::Maximum) => {
                Err(format!("a histogram does not know the least and the greatest value of {name}"))
            }
        }
    }

    /// How many the counter has counted, or how many values the histogram has.
    pub fn count(&self, query: &Query, minutes: i64) -> Result<String, Unsayable> {
        let metric = own(query)?;
        let suffix = if metric.kind == Kind::Counter { "" } else { "_count" };
        let (family, selector) = (metric.prometheus_name(), self.selector(query, None));
        Ok(self.aggregated("sum", &grown(&format!("{family}{suffix}{selector}"), minutes)))
    }

    fn sum(&self, metric: &Definition, query: &Query, minutes: i64) -> String {
        let (family, selector) = (metric.prometheus_name(), self.selector(query, None));
        self.aggregated("sum", &grown(&format!("{family}_sum{selector}"), minutes))
    }

    /// How many values are at most `limit`, which has to be the bound of a bucket.
    pub fn within(&self, query: &Query, limit: f64, minutes: i64) -> Result<String, Unsayable> {
        let metric = own(query)?;
        let scaled = scaled(metric, limit);
        if !metric.buckets().contains(&scaled) {
            let bounds: Vec<String> =
                metric.buckets().iter().map(|bound| number(bound / metric.prometheus_scale())).collect();
            return Err(format!(
                "no bucket of {} ends at {}; they end at {}",
                metric.name,
                number(limit),
                bounds.join(", ")
            ));
        }
        // Clients write whole bounds with and without a fraction.
        let plain = regex_escaped(&scaled.to_string());
        let bound = if scaled.fract() == 0.0 { format!(r"{plain}(\.0)?") } else { plain };
        let selector = self.selector(query, Some(format!("le=~{}", quoted(&bound))));
        let family = metric.prometheus_name();
        Ok(self.aggregated("sum", &grown(&format!("{family}_bucket{selector}"), minutes)))
    }

    /// A gauge over a window, which has as many samples as minutes.
    fn gauge(&self, metric: &Definition, query: &Query, minutes: i64) -> String {
        let (family, selector) = (metric.prometheus_name(), self.selector(query, None));
        format!("{family}{selector}[{}] {SETTLED}", just_under(minutes))
    }

    fn over_time(&self, function: &str, metric: &Definition, query: &Query, minutes: i64) -> String {
        let over = format!("{function}_over_time({})", self.gauge(metric, query, minutes));
        unscaled(metric, &self.aggregated(function, &over))
    }

    /// 1 for each group of which anything came in the last `minutes`; nothing for the others. A counter that is told but
    /// does not grow has not come.
    pub fn came(&self, query: &Query, minutes: i64) -> Result<String, Unsayable> {
        let metric = own(query)?;
        if metric.kind == Kind::Gauge {
            return Ok(self.aggregated("group", &format!("last_over_time({})", self.gauge(metric, query, minutes))));
        }
        Ok(self.aggregated("group", &format!("({} > 0)", self.count(query, minutes)?)))
    }

    /// Whether each group is one series of Prometheus.
    fn is_one_series(&self, metric: &Definition, query: &Query) -> bool {
        metric.dimensions.iter().all(|name| {
            let is_exact = matches!(query.filters.get(*name), Some(Filter::Exact(_)));
            is_exact || self.by.iter().any(|group| group == name)
        })
    }
}

/// So long ago ends each range: the flusher begins within the minute that its samples are stamped with.
const SETTLED: &str = "offset 1m";

/// A range that has as many whole minutes in it, whenever it ends: `4m59s999ms` for five. (A millisecond short, as
/// Prometheus 2 counts samples at both ends.)
pub(super) fn just_under(minutes: i64) -> String {
    if minutes <= 1 { "59s999ms".to_owned() } else { format!("{}59s999ms", duration(minutes - 1)) }
}

/// By how much each of the counters that `series` selects has grown in `minutes`.
fn grown(series: &str, minutes: i64) -> String {
    let range = format!("{series}[{}] {SETTLED}", just_under(minutes + 1));
    if minutes <= IDLE_MINUTES {
        // One that has ended and begun again with zero has not grown for so long before it ended.
        return format!("last_over_time({range}) - min_over_time(({series} offset 90s)[{}:1m])", just_under(minutes));
    }
    // Days are too many steps for that. Here the first value of a series may stay a minute too long, and what has begun
    // again in between is scaled.
    let scaled = format!("increase({range}) * {minutes} / {}", minutes + 1);
    format!("last_over_time({range}) - min_over_time({range}) unless resets({range}) > 0 or {scaled}")
}

/// `sum by (service) (...)`
pub(super) fn aggregated(function: &str, by: &[String], of: &str) -> String {
    // Parentheses around what has some already say nothing.
    let inner = if is_enclosed(of) { of.to_owned() } else { format!("({of})") };
    if by.is_empty() { format!("{function}{inner}") } else { format!("{function} by ({}) {inner}", by.join(", ")) }
}

/// Whether the first parenthesis is closed by the last character. (Label values may have some as well: then one pair too
/// many is written.)
fn is_enclosed(text: &str) -> bool {
    let mut depth = 0_i32;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at > 0 && at + 1 == text.len();
        }
    }
    false
}

fn own(query: &Query) -> Result<&'static Definition, Unsayable> {
    match &query.source {
        Source::Own(metric) => Ok(metric),
        Source::Foreign(series) => Err(format!("{} {} is a metric of AWS", series.namespace, series.name)),
    }
}

/// A value of Prometheus in the unit of the registry.
fn unscaled(metric: &Definition, value: &str) -> String {
    let scale = metric.prometheus_scale();
    if scale == 1.0 {
        value.to_owned()
    } else if scale < 1.0 {
        format!("{} * {value}", number(1.0 / scale))
    } else {
        format!("{value} / {}", number(scale))
    }
}

/// `status_code=~"5.."`
pub(super) fn matcher(name: &str, filter: &Filter) -> String {
    match filter {
        Filter::Exact(value) => format!("{name}={}", quoted(value)),
        _ => format!("{name}=~{}", quoted(&pattern(filter))),
    }
}

fn pattern(filter: &Filter) -> String {
    match filter {
        Filter::Exact(value) => regex_escaped(value),
        Filter::Prefix(prefix) => format!("{}.*", regex_escaped(prefix)),
        Filter::StatusClass(digit) => format!("{digit}[0-9][0-9]"),
        Filter::OneOf(filters) => filters.iter().map(pattern).collect::<Vec<_>>().join("|"),
    }
}

/// A text that stands for itself in a regular expression.
pub(super) fn regex_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// `{of} > 80`
pub(super) fn holds(of: &str, condition: Condition) -> String {
    let sign = match condition.comparison {
        Comparison::Gt => ">",
        Comparison::Gte => ">=",
        Comparison::Lt => "<",
        Comparison::Lte => "<=",
    };
    format!("{of} {sign} {}", number(condition.threshold))
}

/// Arithmetic over what queries are, which stand in parentheses where they need some.
pub(super) fn arithmetic(
    expression: &Expression,
    query: &impl Fn(&str) -> Result<String, Unsayable>,
) -> Result<String, Unsayable> {
    if expression.queries().is_empty() {
        let constant = expression.evaluate(&|_| None);
        return constant.map(number).ok_or_else(|| format!("{expression} has no value"));
    }
    Ok(match expression {
        Expression::Number(value) => number(*value),
        Expression::Query(name) => query(name)?,
        Expression::Negated(inner) => format!("-1 * {}", operand(inner, query)?),
        Expression::Binary(left, Operator::Divide, right) => {
            // What is divided by zero has no value with us, and an infinite one in Prometheus.
            let divisor = match right.queries().is_empty() {
                true => operand(right, query)?,
                false => format!("({} != 0)", operand(right, query)?),
            };
            format!("{} / {divisor}", operand(left, query)?)
        }
        Expression::Binary(left, operator, right) => {
            format!("{} {} {}", operand(left, query)?, operator.sign(), operand(right, query)?)
        }
        Expression::Call(Function::Abs, arguments) => match arguments.as_slice() {
            [argument] => format!("abs({})", arithmetic(argument, query)?),
            _ => return Err("abs of several arguments".to_owned()),
        },
        Expression::Call(function, arguments) => {
            let mut arguments = arguments.iter();
            let first = arguments.next().ok_or_else(|| format!("{} of nothing", function.name()))?;
            let mut rendered = (arithmetic(first, query)?, first.queries().is_empty());
            for next in arguments {
                let next = (arithmetic(next, query)?, next.queries().is_empty());
                rendered = extreme(*function, rendered, next);
            }
            rendered.0
        }
    })
}

/// The lesser or the greater of two, each with whether it is a plain number.
fn extreme(function: Function, left: (String, bool), right: (String, bool)) -> (String, bool) {
    let is_max = function == Function::Max;
    match (left, right) {
        ((left, true), (right, true)) => {
            let [one, two] = [&left, &right].map(|number| number.parse::<f64>().unwrap_or(f64::NAN));
            (number(if is_max { one.max(two) } else { one.min(two) }), true)
        }
        ((bound, true), (vector, false)) | ((vector, false), (bound, true)) => {
            let function = if is_max { "clamp_min" } else { "clamp_max" };
            (format!("{function}({vector}, {bound})"), false)
        }
        ((left, false), (right, false)) => {
            let signs = if is_max { (">=", ">") } else { ("<=", "<") };
            (format!("(({left}) {} ({right}) or ({right}) {} ({left}))", signs.0, signs.1), false)
        }
    }
}

fn operand(expression: &Expression, query: &impl Fn(&str) -> Result<String, Unsayable>) -> Result<String, Unsayable> {
    let rendered = arithmetic(expression, query)?;
    Ok(if is_term(&rendered) { rendered } else { format!("({rendered})") })
}

/// Whether `text` needs no parentheses: a number, something in parentheses, or the call of a function or aggregation.
/// (Label values with parentheses in them may get some more.)
pub(super) fn is_term(text: &str) -> bool {
    if text.parse::<f64>().is_ok() || is_enclosed(text) {
        return true;
    }
    let arguments = text.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_');
    let arguments = arguments.strip_prefix(" by (").and_then(|by| Some(by.split_once(") ")?.1)).unwrap_or(arguments);
    arguments.len() < text.len() && is_enclosed(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> String {
        let query = |name: &str| Ok(format!("sum({name})"));
        arithmetic(&Expression::parse(text).unwrap(), &query).unwrap()
    }

    #[test]
    fn arithmetic_is_that_of_prometheus() {
        for (text, expected) in [
            ("errors", "sum(errors)"),
            ("100 * errors / requests", "(100 * sum(errors)) / (sum(requests) != 0)"),
            ("errors / 60", "sum(errors) / 60"),
            ("a - b - c", "(sum(a) - sum(b)) - sum(c)"),
            ("a - (b - c)", "sum(a) - (sum(b) - sum(c))"),
            ("-a * (2 + 3)", "(-1 * sum(a)) * 5"),
            ("abs(a - 1)", "abs(sum(a) - 1)"),
            ("a / max(b, 10, 1)", "sum(a) / (clamp_min(clamp_min(sum(b), 10), 1) != 0)"),
            ("min(a, b)", "((sum(a)) <= (sum(b)) or (sum(b)) < (sum(a)))"),
        ] {
            assert_eq!(rendered(text), expected, "{text}");
        }
    }

    #[test]
    fn a_term_needs_no_parentheses() {
        for (text, expected) in [
            ("1.5", true),
            ("sum by (service) (increase(x_total[5m]))", true),
            ("avg(avg_over_time(x[4m59s999ms] offset 1m))", true),
            ("(a + b)", true),
            ("(a) + (b)", false),
            ("1000 * histogram_quantile(0.95, x)", false),
            ("sum(a) and sum(b)", false),
        ] {
            assert_eq!(is_term(text), expected, "{text}");
        }
    }

    #[test]
    fn filters_are_matchers() {
        let one_of = Filter::OneOf(vec![Filter::StatusClass('5'), Filter::Exact("4.9".to_owned())]);
        for (filter, expected) in [
            (Filter::Exact("a \"b\"".to_owned()), r#"x="a \"b\"""#),
            (Filter::Prefix("login.".to_owned()), r#"x=~"login\\..*""#),
            (one_of, r#"x=~"5[0-9][0-9]|4\\.9""#),
        ] {
            assert_eq!(matcher("x", &filter), expected);
        }
    }
}
