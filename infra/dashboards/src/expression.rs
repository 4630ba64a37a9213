//! What a panel can ask of the metrics: a figure of a metric of the registry, and sums with such figures. What makes
//! no sense is a [`Mistake`] when a dashboard is built: a metric that nobody counts, the rate of a gauge, a dimension
//! that a metric has not, seconds added to bytes.

use std::ops::{Add, Div, Mul, Sub};

use schema::registry::{self, Definition, Foreign, Kind, Unit};
use thiserror::Error;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Mistake {
    /// The registry has no such metric.
    #[error("the registry has no metric `{0}`")]
    UnknownMetric(&'static str),
    /// A rate of a gauge, a level of a counter, a quantile of either.
    #[error("{metric} is a {kind:?}, which has no {figure}")]
    WrongKind {
        /// The metric.
        metric: &'static str,
        /// What it is.
        kind: Kind,
        /// What was asked for.
        figure: &'static str,
    },
    /// A dimension that the metric has not.
    #[error("{metric} has no dimension `{dimension}`")]
    UnknownDimension {
        /// The metric.
        metric: &'static str,
        /// The dimension.
        dimension: &'static str,
    },
    /// A dimension set that is not put to CloudWatch.
    #[error("{metric} is not put to CloudWatch by {set:?}")]
    NoSuchSet {
        /// The metric.
        metric: &'static str,
        /// The dimensions that are asked for.
        set: Vec<&'static str>,
    },
    /// A limit of which no bucket of the histogram tells.
    #[error("{metric} has no bucket that ends at {limit}")]
    NoSuchBucket {
        /// The metric.
        metric: &'static str,
        /// The limit, in the registry's unit.
        limit: f64,
    },
    /// Figures of different units added, or a result without a meaning.
    #[error("{left:?} {operator} {right:?} means nothing")]
    Units {
        /// Left of the operator.
        left: Quantity,
        /// The operator.
        operator: char,
        /// Right of it.
        right: Quantity,
    },
    /// CloudWatch's metric math has no operation of one array of series with another.
    #[error("CloudWatch can not combine {0}, broken down, with other series")]
    BrokenDown(&'static str),
    /// A figure that only a graph point by point has, asked for over a window in one number.
    #[error("CloudWatch has no {figure} of {metric} over a window in one number")]
    NotOverWindow {
        /// The metric.
        metric: &'static str,
        /// What was asked for.
        figure: &'static str,
    },
    /// Several windows in one number's panel, which can look back by one only.
    #[error("one panel looks back by {0} and by {1}")]
    Windows(Window, Window),
    /// A metric that is in CloudWatch only within a sum with others, or in Prometheus.
    #[error("{0} is in CloudWatch only")]
    OnlyInCloudWatch(&'static str),
    /// A metric of functions or of AWS without the resource that it is about, or with one of another kind.
    #[error("{metric} is not about {resource:?}")]
    WrongResource {
        /// The metric.
        metric: &'static str,
        /// The resource.
        resource: Option<Resource>,
    },
    /// A number alone.
    #[error("an expression names no metric")]
    NoMetric,
    /// A panel in which something is wrong.
    #[error("panel `{title}`")]
    Panel {
        /// Its title.
        title: String,
        /// What is wrong with it.
        #[source]
        source: Box<Mistake>,
    },
    /// A panel that is wider than the grid or has no queries.
    #[error("a panel needs a query, and a width of 1 to 24: {0} queries, width {1}")]
    Shape(usize, u32),
    /// More than a CloudWatch dashboard takes.
    #[error("{count} {what}; CloudWatch takes {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The template has no block that could be replaced.
    #[error("template.yaml has no line `{0}`")]
    NoMarker(&'static str),
}

/// The time that a figure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// A point of a graph.
    Point,
    /// All that the dashboard shows.
    Shown,
    /// So many hours up to now.
    Hours(u32),
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Window::Point => f.write_str("a point"),
            Window::Shown => f.write_str("what is shown"),
            Window::Hours(hours) => f.write_str(&duration(*hours)),
        }
    }
}

/// Hours as Prometheus and Grafana write them: `6h`, `30d`.
pub fn duration(hours: u32) -> String {
    if hours.is_multiple_of(24) { format!("{}d", hours / 24) } else { format!("{hours}h") }
}

/// What is asked of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// How many a second: of a counter's increments, of a histogram's values.
    Rate,
    /// How many in the window.
    Count,
    /// The sum of a histogram's values in the window.
    Sum,
    /// Values of a histogram in the window that are no greater than this, in the registry's unit.
    Within(f64),
    /// The average of a histogram's values.
    Mean,
    /// The value that this share of a histogram's values does not exceed.
    Quantile(f64),
    /// The current value of a gauge; of several series, their average.
    Level,
    /// The same; of several series, the greatest.
    Highest,
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Measure::Rate => "rate",
            Measure::Count => "count",
            Measure::Sum => "sum",
            Measure::Within(_) => "count within a limit",
            Measure::Mean => "mean",
            Measure::Quantile(_) => "quantile",
            Measure::Level | Measure::Highest => "level",
        }
    }

    fn of_kind(self, kind: Kind) -> bool {
        match self {
            Measure::Rate | Measure::Count => kind != Kind::Gauge,
            Measure::Sum | Measure::Within(_) | Measure::Mean | Measure::Quantile(_) => {
                matches!(kind, Kind::Histogram | Kind::Timer)
            }
            Measure::Level | Measure::Highest => kind == Kind::Gauge,
        }
    }
}

/// Which values of a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// This one.
    Value(&'static str),
    /// The status codes that begin with this digit.
    StatusClass(u8),
}

/// Which resource a metric that is in CloudWatch only is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The platform's database.
    Database,
    /// The function of the stack that is called this after the stack's name.
    Function(&'static str),
    /// The queue of the stack that is called this after the stack's name.
    Queue(&'static str),
}

impl Resource {
    /// The dimension that names it.
    pub fn dimension(self, source: Source) -> &'static str {
        match (self, source) {
            (Resource::Function(_), Source::Own(_)) => "function",
            (Resource::Function(_), Source::Foreign(_)) => "FunctionName",
            (Resource::Database, _) => "DBInstanceIdentifier",
            (Resource::Queue(_), _) => "QueueName",
        }
    }
}

/// A figure of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    metric: &'static str,
    /// What of it.
    pub measure: Measure,
    /// Which values of dimensions.
    pub only: Vec<(&'static str, Only)>,
    /// A line for each value of these dimensions.
    pub by: &'static [&'static str],
    /// The time that a point is about.
    pub window: Window,
    /// Whether no series means none were counted. A counter of what should not happen begins with the first.
    pub or_zero: bool,
    /// Of a metric of AWS, or of a function about its own runs: which resource.
    pub resource: Option<Resource>,
}

/// Where the values of a series are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    /// Ours, and in Prometheus where it is rolled up.
    Own(&'static Definition),
    /// Of AWS, in CloudWatch only.
    Foreign(&'static Foreign),
}

impl Series {
    /// The name in the registry.
    pub fn metric(&self) -> &'static str {
        self.metric
    }

    /// Looks the metric up and checks that it has this figure and these dimensions.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn source(&self) -> Result<Source, Mistake> {
        let source = match (registry::find(self.metric), registry::find_foreign(self.metric)) {
            (Some(own), _) => Source::Own(own),
            (None, Some(foreign)) => Source::Foreign(foreign),
            (None, None) => return Err(Mistake::UnknownMetric(self.metric)),
        };
        let (name, kind, dimensions, resource) = match source {
            Source::Own(own) => (own.name, own.kind, own.dimensions, (!own.is_rolled_up()).then_some("function")),
            Source::Foreign(foreign) => (foreign.name, foreign.kind, &[][..], Some(foreign.dimension)),
        };
        if !self.measure.of_kind(kind) {
            return Err(Mistake::WrongKind { metric: name, kind, figure: self.measure.name() });
        }
        if resource != self.resource.map(|resource| resource.dimension(source)) {
            return Err(Mistake::WrongResource { metric: name, resource: self.resource });
        }
        let named = self.by.iter().chain(self.only.iter().map(|(dimension, _)| dimension));
        for dimension in named {
            if !dimensions.contains(dimension) {
                return Err(Mistake::UnknownDimension { metric: name, dimension });
            }
        }
        if let (Measure::Within(limit), Source::Own(own)) = (self.measure, source)
            && !own.buckets().contains(&in_prometheus(own, limit))
        {
            return Err(Mistake::NoSuchBucket { metric: name, limit });
        }
        Ok(source)
    }

    fn quantity(&self) -> Result<Quantity, Mistake> {
        let source = self.source()?;
        Ok(match (self.measure, source) {
            // A counter adds up what its unit says; of a histogram, values are counted.
            (Measure::Rate, Source::Own(Definition { kind: Kind::Counter, unit: Unit::Bytes, .. })) => {
                Quantity::BytesPerSecond
            }
            (Measure::Count, Source::Own(Definition { kind: Kind::Counter, unit: Unit::Bytes, .. })) => Quantity::Bytes,
            (Measure::Rate, _) => Quantity::PerSecond,
            (Measure::Count | Measure::Within(_), _) => Quantity::Count,
            (_, Source::Own(own)) => Quantity::of(own),
            (_, Source::Foreign(foreign)) => Quantity::of_unit(foreign.unit),
        })
    }

    /// A line for each value of these dimensions.
    pub fn by(self, by: &'static [&'static str]) -> Series {
        Series { by, ..self }
    }

    /// Only this value of a dimension.
    pub fn only(mut self, dimension: &'static str, value: &'static str) -> Series {
        self.only.push((dimension, Only::Value(value)));
        self
    }

    /// Only status codes that begin with this digit.
    pub fn status_class(mut self, class: u8) -> Series {
        self.only.push(("status_code", Only::StatusClass(class)));
        self
    }

    /// Over a window other than a point of the graph.
    pub fn over(self, window: Window) -> Series {
        Series { window, ..self }
    }

    /// Of this resource: for metrics of AWS, and of functions about their runs.
    pub fn of(self, resource: Resource) -> Series {
        Series { resource: Some(resource), ..self }
    }

    /// Zero where there is no series.
    pub fn or_zero(self) -> Series {
        Series { or_zero: true, ..self }
    }
}

/// A value in the registry's unit, in that of Prometheus.
pub fn in_prometheus(metric: &Definition, value: f64) -> f64 {
    value * metric.prometheus_scale()
}

fn figure(metric: &'static str, measure: Measure) -> Series {
    Series { metric, measure, only: vec![], by: &[], window: Window::Point, or_zero: false, resource: None }
}

/// How many a second.
pub fn rate(metric: &'static str) -> Series {
    figure(metric, Measure::Rate)
}

/// How many in a window.
pub fn count(metric: &'static str, window: Window) -> Series {
    figure(metric, Measure::Count).over(window)
}

/// The sum of a histogram's values in a window.
pub fn sum(metric: &'static str, window: Window) -> Series {
    figure(metric, Measure::Sum).over(window)
}

/// How many values of a histogram in a window are no greater than `limit`, in the registry's unit.
pub fn within(metric: &'static str, limit: f64, window: Window) -> Series {
    figure(metric, Measure::Within(limit)).over(window)
}

/// The average of a histogram's values.
pub fn mean(metric: &'static str) -> Series {
    figure(metric, Measure::Mean)
}

/// The value that the share `share` of a histogram's values does not exceed.
pub fn quantile(metric: &'static str, share: f64) -> Series {
    figure(metric, Measure::Quantile(share))
}

/// The value of a gauge; of several, their average.
pub fn level(metric: &'static str) -> Series {
    figure(metric, Measure::Level)
}

/// The value of a gauge; of several, the greatest.
pub fn highest(metric: &'static str) -> Series {
    figure(metric, Measure::Highest)
}

/// A figure, or what is made of several.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A figure of one metric.
    Series(Series),
    /// A constant.
    Number(f64),
    /// Two expressions and what is done with them.
    Both(Box<Expression>, Operator, Box<Expression>),
}

/// The four operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Sum.
    Add,
    /// Difference.
    Subtract,
    /// Product.
    Multiply,
    /// Quotient.
    Divide,
}

impl Operator {
    /// Its sign, the same everywhere.
    pub fn sign(self) -> char {
        match self {
            Operator::Add => '+',
            Operator::Subtract => '-',
            Operator::Multiply => '*',
            Operator::Divide => '/',
        }
    }
}

/// What a figure is a figure of, which decides about its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Things.
    Count,
    /// Things in a second.
    PerSecond,
    /// Bytes in a second.
    BytesPerSecond,
    /// A part of a whole, 0 to 1.
    Share,
    /// How many times as much.
    Times,
    /// 0 to 100.
    Percent,
    /// Time: the registry's milliseconds are seconds in Prometheus.
    Milliseconds,
    /// Time: the registry's minutes are seconds in Prometheus.
    Minutes,
    /// The registry's megabytes are bytes in Prometheus.
    Megabytes,
    /// Bytes everywhere.
    Bytes,
    /// Time in seconds everywhere.
    Seconds,
    /// Money.
    Roubles,
    /// A bare number.
    Number,
}

impl Quantity {
    fn of(metric: &Definition) -> Quantity {
        match metric.unit {
            // What CloudWatch has no unit for; the name in Prometheus says it.
            Unit::None if metric.prometheus_name().ends_with("_seconds") => Quantity::Minutes,
            Unit::None if metric.prometheus_name().ends_with("_roubles") => Quantity::Roubles,
            unit => Quantity::of_unit(unit),
        }
    }

    fn of_unit(unit: Unit) -> Quantity {
        match unit {
            Unit::Count => Quantity::Count,
            Unit::Seconds => Quantity::Seconds,
            Unit::Milliseconds => Quantity::Milliseconds,
            Unit::Megabytes => Quantity::Megabytes,
            Unit::Bytes => Quantity::Bytes,
            Unit::Percent => Quantity::Percent,
            Unit::None => Quantity::Number,
        }
    }

    fn both(left: Quantity, operator: Operator, right: Quantity) -> Result<Quantity, Mistake> {
        use Quantity::{Number, Share, Times};
        Ok(match (left, operator, right) {
            (left, Operator::Add | Operator::Subtract, right) if left == right => left,
            (Number, Operator::Add | Operator::Subtract, Share | Times) => Share,
            (Share, Operator::Divide, Number) => Times,
            (left, Operator::Divide | Operator::Multiply, Number) => left,
            (left, Operator::Divide, right) if left == right => Share,
            (left, operator, right) => return Err(Mistake::Units { left, operator: operator.sign(), right }),
        })
    }
}

impl Expression {
    /// What it is a figure of. Checks all that can be checked without knowing which store is asked.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub fn quantity(&self) -> Result<Quantity, Mistake> {
        match self {
            Expression::Series(series) => series.quantity(),
            Expression::Number(_) => Ok(Quantity::Number),
            Expression::Both(left, operator, right) => Quantity::both(left.quantity()?, *operator, right.quantity()?),
        }
    }

    /// The figures that it is made of, from left to right.
    pub fn series(&self) -> Vec<&Series> {
        match self {
            Expression::Series(series) => vec![series],
            Expression::Number(_) => vec![],
            Expression::Both(left, _, right) => [left.series(), right.series()].concat(),
        }
    }

    /// Whether all that it is made of is in Prometheus, too.
    ///
    /// # Errors
    ///
    /// Where only some of it is, or where it names no metric.
    pub fn is_in_prometheus(&self) -> Result<bool, Mistake> {
        let series = self.series();
        let only = series.iter().find(|series| series.resource.is_some());
        match only {
            None if series.is_empty() => Err(Mistake::NoMetric),
            None => Ok(true),
            Some(_) if series.iter().all(|series| series.resource.is_some()) => Ok(false),
            Some(only) => Err(Mistake::OnlyInCloudWatch(only.metric)),
        }
    }
}

impl From<Series> for Expression {
    fn from(series: Series) -> Expression {
        Expression::Series(series)
    }
}

impl From<f64> for Expression {
    fn from(number: f64) -> Expression {
        Expression::Number(number)
    }
}

macro_rules! operator {
    ($($type:ty, $trait:ident, $method:ident, $operator:ident;)*) => {$(
        impl<R: Into<Expression>> $trait<R> for $type {
            type Output = Expression;

            fn $method(self, right: R) -> Expression {
                Expression::Both(Box::new(self.into()), Operator::$operator, Box::new(right.into()))
            }
        }
    )*};
}

operator! {
    Series, Add, add, Add;
    Series, Sub, sub, Subtract;
    Series, Mul, mul, Multiply;
    Series, Div, div, Divide;
    Expression, Add, add, Add;
    Expression, Sub, sub, Subtract;
    Expression, Mul, mul, Multiply;
    Expression, Div, div, Divide;
}

/// One without this much: `but(1.0, errors / requests)` is the share that went well.
pub fn but(whole: f64, part: impl Into<Expression>) -> Expression {
    Expression::Number(whole) - part.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: impl Into<Expression>, expected: Result<Quantity, &str>) {
        let found = expression.into().quantity().map_err(|mistake| mistake.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn figures_have_the_unit_of_their_metric() {
        check(rate("api_requests"), Ok(Quantity::PerSecond));
        check(rate("api_request_duration"), Ok(Quantity::PerSecond));
        check(rate("pipeline_bytes_received"), Ok(Quantity::BytesPerSecond));
        check(count("pipeline_bytes_received", Window::Shown), Ok(Quantity::Bytes));
        check(rate("document_size"), Ok(Quantity::PerSecond));
        check(count("contracts_created", Window::Hours(1)), Ok(Quantity::Count));
        check(quantile("api_request_duration", 0.95), Ok(Quantity::Milliseconds));
        check(mean("document_size"), Ok(Quantity::Megabytes));
        check(mean("user_session_duration"), Ok(Quantity::Minutes));
        check(sum("contract_value", Window::Shown), Ok(Quantity::Roubles));
        check(level("conversion_rate"), Ok(Quantity::Percent));
        check(level("database_connections").of(Resource::Database), Ok(Quantity::Count));
    }

    #[test]
    fn sums_have_a_meaning_or_are_refused() {
        let errors = || count("api_requests", Window::Shown).status_class(5);
        let all = || count("api_requests", Window::Shown);
        check(errors() / all(), Ok(Quantity::Share));
        check(errors() / all() / 0.001, Ok(Quantity::Times));
        check(but(1.0, errors() / all()), Ok(Quantity::Share));
        check(but(1.0, errors() / all() / 0.001), Ok(Quantity::Share));
        check(mean("document_size") + mean("api_request_duration"), Err("Megabytes + Milliseconds means nothing"));
    }

    #[test]
    fn what_the_registry_does_not_say_is_refused() {
        check(rate("api_request"), Err("the registry has no metric `api_request`"));
        // Defect 49: the source document took the rate of a gauge.
        check(rate("active_users"), Err("active_users is a Gauge, which has no rate"));
        check(level("api_requests"), Err("api_requests is a Counter, which has no level"));
        check(quantile("active_users", 0.5), Err("active_users is a Gauge, which has no quantile"));
        check(rate("api_requests").by(&["table"]), Err("api_requests has no dimension `table`"));
        check(rate("contracts_created").status_class(5), Err("contracts_created has no dimension `status_code`"));
        check(
            within("api_request_duration", 700.0, Window::Shown),
            Err("api_request_duration has no bucket that ends at 700"),
        );
        check(within("api_request_duration", 1_000.0, Window::Shown), Ok(Quantity::Count));
        check(
            count("api_requests", Window::Shown).of(Resource::Database),
            Err("api_requests is not about Some(Database)"),
        );
        check(rate("lambda_errors").of(Resource::Queue("q")), Err("lambda_errors is not about Some(Queue(\"q\"))"));
        check(rate("function_errors"), Err("function_errors is not about None"));
        check(rate("function_errors").of(Resource::Function("f")), Ok(Quantity::PerSecond));
        check(
            level("lambda_errors").of(Resource::Function("f")),
            Err("lambda_errors is a Counter, which has no level"),
        );
        check(highest("queue_oldest_message_age").of(Resource::Queue("q")), Ok(Quantity::Seconds));
    }

    #[test]
    fn an_expression_is_of_one_store() {
        let ours = || rate("api_requests");
        let theirs = || level("database_connections").of(Resource::Database);
        assert_eq!(Expression::from(ours()).is_in_prometheus(), Ok(true));
        assert_eq!(Expression::from(theirs()).is_in_prometheus(), Ok(false));
        assert_eq!((ours() / theirs()).is_in_prometheus(), Err(Mistake::OnlyInCloudWatch("database_connections")));
        assert_eq!(Expression::Number(1.0).is_in_prometheus(), Err(Mistake::NoMetric));
    }

    #[test]
    fn windows_are_written_as_grafana_reads_them() {
        assert_eq!([1, 6, 24, 72, 720].map(duration), ["1h", "6h", "1d", "3d", "30d"]);
    }
}
