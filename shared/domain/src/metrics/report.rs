//! Figures of metrics over a span of time, as CloudWatch has them: which series are asked for, and what their answers
//! come to. What is summed, averaged or ranked follows from the kind of the metric; a period without data and a
//! series that was not answered are different things.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::registry::{self, FOREIGN, Kind, METRICS, Unit};
use crate::Minute;
use crate::ports::{MetricQuery, MinuteValues, Unanswered};

mod text;

/// The version of the report as JSON.
pub const VERSION: u32 = 1;

/// Periods of equal length, one after the other, each beginning at a multiple of the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    from: Minute,
    until: Minute,
    minutes: i64,
}

/// Why nothing can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// CloudWatch knows periods of whole minutes; longer ones than a day say nothing by hour of day.
    #[error("a period of {0} min is none of 1 min to a day that divide a day")]
    Period(i64),
    /// The end is not after the beginning.
    #[error("no whole period of {minutes} min lies between {from} and {until}")]
    Empty {
        /// The beginning.
        from: Minute,
        /// The end.
        until: Minute,
        /// Length of a period.
        minutes: i64,
    },
    /// Too many periods to be read by anybody.
    #[error("{0} periods are more than {MAX_PERIODS}: ask for longer ones")]
    TooMany(i64),
    /// CloudWatch keeps fine periods for a shorter time, and answers with nothing where it has none.
    #[error(
        "CloudWatch keeps periods of {minutes} min for {days} days, and {from} is longer ago: it keeps multiples of \
         5 min for 63 days, and of 1 h for 455"
    )]
    Gone {
        /// Length of a period.
        minutes: i64,
        /// How long it keeps them.
        days: i64,
        /// The beginning.
        from: Minute,
    },
    /// Not in the registry.
    #[error("there is no metric `{0}`; `ops metrics list` has them all")]
    Unknown(String),
    /// No series at all.
    #[error("no metric is put to CloudWatch by ({0}); `ops metrics list` says by what each is")]
    NoSet(String),
    /// No such series.
    #[error("{metric} is not put to CloudWatch by ({given}), but by {sets}")]
    NoSuchSet {
        /// The metric.
        metric: String,
        /// What was given.
        given: String,
        /// What there is.
        sets: String,
    },
}

/// Periods of one report.
const MAX_PERIODS: i64 = 1_440;

/// Multiples of how many minutes CloudWatch keeps for how many days.
const KEPT: [(i64, i64); 3] = [(60, 455), (5, 63), (1, 15)];

impl Periods {
    /// The whole periods of `minutes` between two instants: one that has only begun would say too little. (The
    /// source document's evaluation took it for a whole one.)
    ///
    /// # Errors
    ///
    /// Where there is none, or CloudWatch, at `now`, does not have it any more.
    pub fn between(from: Timestamp, until: Timestamp, minutes: i64, now: Timestamp) -> Result<Periods, RequestError> {
        if !(1..=1_440).contains(&minutes) || 1_440 % minutes != 0 {
            return Err(RequestError::Period(minutes));
        }
        let from = from.min(now);
        let epoch = Minute::of_epoch_millis(0);
        let whole = |minute: Minute| minute.plus(-minute.since(epoch).rem_euclid(minutes));
        // One that begins before `from` is not whole.
        let first = Minute::of(from + SignedDuration::from_nanos(60_000_000_000 - 1));
        let (first, end) = (whole(first.plus(minutes - 1)), whole(Minute::of(until.min(now))));
        if first >= end {
            return Err(RequestError::Empty { from: Minute::of(from), until: Minute::of(until), minutes });
        }
        let number = end.since(first) / minutes;
        if number > MAX_PERIODS {
            return Err(RequestError::TooMany(number));
        }
        let days = KEPT.iter().find(|(unit, _)| minutes % unit == 0).map_or(15, |(_, days)| *days);
        if Minute::of(now).since(first) > days * 1_440 {
            return Err(RequestError::Gone { minutes, days, from: first });
        }
        Ok(Periods { from: first, until: end, minutes })
    }

    /// Beginning of the first.
    pub fn from(&self) -> Minute {
        self.from
    }

    /// End of the last.
    pub fn until(&self) -> Minute {
        self.until
    }

    /// Length of each, in minutes.
    pub fn minutes(&self) -> i64 {
        self.minutes
    }

    /// How many.
    pub fn number(&self) -> usize {
        usize::try_from(self.until.since(self.from) / self.minutes).unwrap_or(0)
    }

    /// The beginning of each.
    pub fn starts(&self) -> impl Iterator<Item = Minute> + use<> {
        let Periods { from, until, minutes } = *self;
        (0..until.since(from) / minutes).map(move |at| from.plus(at * minutes))
    }
}

/// A series that is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    namespace: String,
    metric: &'static str,
    dimensions: BTreeMap<String, String>,
}

/// What is asked of CloudWatch for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    periods: Periods,
    namespace: String,
    series: Vec<Asked>,
}

impl Request {
    /// A report of the metrics `names` (without any: all that have such a series, those of AWS among them), each the
    /// series with exactly these dimensions. Ours are in `namespace`.
    ///
    /// # Errors
    ///
    /// Where there is no such metric, or it is not put by these dimensions, or none is: the answer would be empty, which
    /// is no answer.
    pub fn new(
        names: &[String],
        dimensions: &BTreeMap<String, String>,
        namespace: &str,
        periods: Periods,
    ) -> Result<Request, RequestError> {
        let given: Vec<&str> = dimensions.keys().map(String::as_str).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        if names.is_empty() {
            names = METRICS.iter().filter(|metric| metric.has_set(&given)).map(|metric| metric.name).collect();
            names.extend(FOREIGN.iter().filter(|metric| given == [metric.dimension]).map(|metric| metric.name));
            if names.is_empty() {
                return Err(RequestError::NoSet(given.join(", ")));
            }
        }
        names.sort_unstable();
        names.dedup();
        let series: Result<Vec<Asked>, RequestError> =
            names.iter().map(|name| asked(name, &given, namespace)).collect();
        let mut series = series?;
        for asked in &mut series {
            asked.dimensions.clone_from(dimensions);
        }
        Ok(Request { periods, namespace: namespace.to_owned(), series })
    }

    /// The periods.
    pub fn periods(&self) -> Periods {
        self.periods
    }

    /// What to ask, a query a statistic of a series.
    pub fn queries(&self) -> Vec<MetricQuery> {
        let of = |asked: &Asked| {
            let Asked { namespace, metric, dimensions, .. } = asked.clone();
            statistics(asked.kind).iter().map(move |statistic| MetricQuery {
                namespace: namespace.clone(),
                name: metric.to_owned(),
                dimensions: dimensions.clone(),
                statistic: (*statistic).to_owned(),
            })
        };
        self.series.iter().flat_map(of).collect()
    }

    /// The report of the answers, one a query and in their order.
    pub fn report(&self, answers: Vec<Result<MinuteValues, Unanswered>>) -> MetricsReport {
        let mut answers = answers.into_iter();
        let metrics = self.series.iter().map(|asked| {
            let statistics = statistics(asked.kind).iter().map(|statistic| {
                let missing = || Err(Unanswered { reason: "there is no answer".to_owned() });
                (*statistic, Answer::of(answers.next().unwrap_or_else(missing), self.periods))
            });
            let statistics: BTreeMap<&'static str, Answer> = statistics.collect();
            MetricFigures {
                name: asked.name,
                kind: asked.kind.as_str(),
                unit: asked.unit.as_str(),
                dimensions: asked.dimensions.clone(),
                figures: figures(asked.kind, &statistics),
                statistics,
            }
        });
        MetricsReport {
            version: VERSION,
            namespace: self.namespace.clone(),
            from: self.periods.from,
            until: self.periods.until,
            period_minutes: self.periods.minutes,
            metrics: metrics.collect(),
        }
    }
}

fn asked(name: &str, given: &[&str], namespace: &str) -> Result<Asked, RequestError> {
    let no_such_set = |sets: Vec<String>| RequestError::NoSuchSet {
        metric: name.to_owned(),
        given: given.join(", "),
        sets: sets.join(", "),
    };
    if let Some(metric) = registry::find(name) {
        if !metric.has_set(given) {
            return Err(no_such_set(metric.sets.iter().map(|set| format!("({})", set.join(", "))).collect()));
        }
        let (name, kind, unit) = (metric.name, metric.kind, metric.unit);
        return Ok(Asked {
            name,
            kind,
            unit,
            namespace: namespace.to_owned(),
            metric: name,
            dimensions: BTreeMap::new(),
        });
    }
    let Some(metric) = FOREIGN.iter().find(|metric| metric.name == name) else {
        return Err(RequestError::Unknown(name.to_owned()));
    };
    if given != [metric.dimension] {
        return Err(no_such_set(vec![format!("({})", metric.dimension)]));
    }
    let (name, kind, unit) = (metric.name, metric.kind, metric.unit);
    let namespace = metric.namespace.to_owned();
    Ok(Asked { name, kind, unit, namespace, metric: metric.metric, dimensions: BTreeMap::new() })
}

/// What means something of a metric (defect 42: of all there were sums, averages and maxima).
fn statistics(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["Sum"],
        // With the count, averages of periods make an average of all.
        Kind::Gauge => &["Average", "Maximum", "SampleCount"],
        Kind::Histogram | Kind::Timer => &["p50", "p95", "p99", "Maximum", "SampleCount"],
    }
}

/// The figures of some metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricsReport {
    /// [`VERSION`].
    pub version: u32,
    /// Where our metrics are in CloudWatch.
    pub namespace: String,
    /// Beginning of the first period.
    pub from: Minute,
    /// End of the last one.
    pub until: Minute,
    /// Length of a period.
    pub period_minutes: i64,
    /// By name.
    pub metrics: Vec<MetricFigures>,
}

/// A series in a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricFigures {
    /// Its name in the registry.
    pub name: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which series of it.
    pub dimensions: BTreeMap<String, String>,
    /// What the periods come to together, as far as they do: of a counter `sum`; of a gauge `last_average` (of the
    /// last period with data: CloudWatch has no last value), `average` and `maximum`; of a distribution `count` and
    /// `maximum`, and the lowest and highest of each percentile, for those of periods make none of the whole. Without
    /// data there are none.
    pub figures: BTreeMap<String, f64>,
    /// What CloudWatch says, by statistic.
    pub statistics: BTreeMap<&'static str, Answer>,
}

/// What CloudWatch says of one statistic of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Answer {
    /// There is data of some periods at least.
    Data {
        /// In the order of time.
        points: Vec<Point>,
        /// Periods without data, where they begin.
        gaps: Vec<Minute>,
    },
    /// It was answered, and there is none.
    NoData,
    /// It was not answered: whether there is data nobody knows.
    Error {
        /// Why.
        error: String,
    },
}

/// The value of one period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Where the period begins.
    pub at: Minute,
    /// Its value.
    pub value: f64,
}

impl Answer {
    fn of(answer: Result<MinuteValues, Unanswered>, periods: Periods) -> Answer {
        let values = match answer {
            Ok(values) => values,
            Err(Unanswered { reason }) => return Answer::Error { error: reason },
        };
        let point = |at: Minute| values.get(&at).map(|&value| Point { at, value });
        let points: Vec<Point> = periods.starts().filter_map(point).collect();
        if points.is_empty() {
            return Answer::NoData;
        }
        Answer::Data { points, gaps: periods.starts().filter(|at| !values.contains_key(at)).collect() }
    }

    /// Its values in the order of time, where there are any.
    fn values(&self) -> impl DoubleEndedIterator<Item = &Point> {
        let points: &[Point] = if let Answer::Data { points, .. } = self { points } else { &[] };
        points.iter()
    }
}

impl MetricsReport {
    /// Whether every series was answered.
    pub fn is_complete(&self) -> bool {
        let mut answers = self.metrics.iter().flat_map(|metric| metric.statistics.values());
        !answers.any(|answer| matches!(answer, Answer::Error { .. }))
    }
}

/// What the periods come to together. Where a part of it was not answered, that part is not there.
fn figures(kind: Kind, statistics: &BTreeMap<&'static str, Answer>) -> BTreeMap<String, f64> {
    let values = |statistic: &str| {
        let points = statistics.get(statistic).into_iter().flat_map(Answer::values);
        points.map(|point| point.value).collect::<Vec<f64>>()
    };
    let some =
        |name: &str, values: &[f64], of: fn(&[f64]) -> f64| (!values.is_empty()).then(|| (name.to_owned(), of(values)));
    let sum = |values: &[f64]| values.iter().sum();
    let highest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lowest = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let mut figures = BTreeMap::new();
    match kind {
        Kind::Counter => figures.extend(some("sum", &values("Sum"), sum)),
        Kind::Gauge => {
            let last = statistics.get("Average").and_then(|average| average.values().next_back());
            figures.extend(last.map(|last| ("last_average".to_owned(), last.value)));
            figures.extend(average(statistics).map(|average| ("average".to_owned(), average)));
            figures.extend(some("maximum", &values("Maximum"), highest));
        }
        Kind::Histogram | Kind::Timer => {
            for percentile in ["p50", "p95", "p99"] {
                figures.extend(some(&format!("{percentile}_lowest"), &values(percentile), lowest));
                figures.extend(some(&format!("{percentile}_highest"), &values(percentile), highest));
            }
            figures.extend(some("maximum", &values("Maximum"), highest));
            figures.extend(some("count", &values("SampleCount"), sum));
        }
    }
    figures
}

/// The average of all samples, from those of the periods.
fn average(statistics: &BTreeMap<&'static str, Answer>) -> Option<f64> {
    let counts = statistics.get("SampleCount")?.values();
    let counts: BTreeMap<Minute, f64> = counts.map(|point| (point.at, point.value)).collect();
    let (mut sum, mut all) = (0.0, 0.0);
    for point in statistics.get("Average")?.values() {
        let count = counts.get(&point.at)?;
        sum += point.value * count;
        all += count;
    }
    (all > 0.0).then(|| sum / all)
}

#[cfg(test)]
mod tests;
