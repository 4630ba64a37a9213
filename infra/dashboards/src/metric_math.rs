//! Expressions as CloudWatch takes them: the metrics that are read, each by a dimension set that the registry puts, and
//! a formula over them.
//!
//! CloudWatch does not add up over dimensions. So a figure that is not broken down is read from the roll-up of the whole
//! platform, whatever services are chosen; lines by service follow the choice, and so does all in a row that stands for
//! one service. Metric math can not combine one array of series with another; such an expression is refused.
//!
//! A window of hours in one number is a running sum over a panel that looks back that far: it slides with the clock,
//! where a period of that length would be aligned to it.

use schema::registry::Kind;

use crate::expression::{Expression, Measure, Mistake, Only, Resource, Series, Source, Window};

/// Seconds that a rate is about, as in the source document's `[5m]`.
pub const RATE_PERIOD: u32 = 300;

/// The codes that are read for a class of status codes. Each is a metric of its own in CloudWatch, and a formula can
/// not name what it does not know; those that HTTP has not registered are in Prometheus only.
fn status_codes(class: u8) -> impl Iterator<Item = String> {
    (0..12).map(move |code| format!("{class}{code:02}"))
}

/// What the result is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A line.
    Graph,
    /// One number: the last point.
    Number,
}

/// What a panel reads for one expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The metrics that are read.
    pub reads: Vec<Read>,
    /// What is shown of them, by their ids; absent where that is the only one itself.
    pub formula: Option<String>,
    /// How far back the panel has to look, where that is not what the dashboard shows.
    pub back: Option<u32>,
}

/// One metric that is read, or one for each value of a dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// What a formula calls it.
    pub id: String,
    /// Namespace of AWS; absent for ours.
    pub namespace: Option<&'static str>,
    /// CloudWatch's name.
    pub metric: &'static str,
    /// Dimensions and their values.
    pub dimensions: Vec<(&'static str, Value)>,
    /// CloudWatch's statistic.
    pub statistic: String,
    /// Its period in seconds, where it matters.
    pub period: Option<u32>,
}

/// Values of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// This one.
    Exact(String),
    /// A series for each.
    Each,
    /// The service that the row stands for.
    RowsService,
    /// The resource of AWS that this stands for.
    Of(Resource),
}

impl Plan {
    /// What to read for `expression`; `of_row` where the row stands for one service. Ids begin with `prefix`, a
    /// lower-case letter.
    ///
    /// # Errors
    ///
    /// Where the registry says otherwise, and where CloudWatch has no such figure.
    pub fn of(expression: &Expression, shape: Shape, of_row: bool, prefix: char) -> Result<Plan, Mistake> {
        expression.quantity()?;
        expression.is_in_prometheus()?;
        let mut planner = Planner { shape, of_row, prefix, reads: vec![], back: None };
        let broken_down = expression.series().into_iter().find(|series| !series.by.is_empty());
        if let (Some(series), true) = (broken_down, expression.series().len() > 1) {
            return Err(Mistake::BrokenDown(series.metric()));
        }
        let formula = planner.formula(expression)?;
        let bare = planner.reads.len() == 1 && formula == planner.reads[0].id;
        Ok(Plan { formula: (!bare).then_some(formula), reads: planner.reads, back: planner.back.and_then(hours) })
    }
}

fn hours(window: Window) -> Option<u32> {
    match window {
        Window::Hours(hours) => Some(hours),
        Window::Point | Window::Shown => None,
    }
}

struct Planner {
    shape: Shape,
    of_row: bool,
    prefix: char,
    reads: Vec<Read>,
    back: Option<Window>,
}

impl Planner {
    fn formula(&mut self, expression: &Expression) -> Result<String, Mistake> {
        Ok(match expression {
            Expression::Number(number) => number.to_string(),
            Expression::Series(series) => self.figure(series)?,
            Expression::Both(left, operator, right) => {
                format!("({} {} {})", self.formula(left)?, operator.sign(), self.formula(right)?)
            }
        })
    }

    fn figure(&mut self, series: &Series) -> Result<String, Mistake> {
        let source = series.source()?;
        let counts = matches!(series.measure, Measure::Rate | Measure::Count | Measure::Sum | Measure::Within(_));
        if !counts && series.window != Window::Point {
            return Err(Mistake::NotOverWindow { metric: series.metric(), figure: "quantile, mean or level" });
        }
        let ids = self.reads_of(series, source)?;
        let running = self.shape == Shape::Number && series.window != Window::Point;
        if running {
            self.look_back(series.window)?;
        }
        let filled = counts && series.by.is_empty() && (running || series.or_zero || ids.len() > 1);
        let terms: Vec<String> = ids.into_iter().map(|id| if filled { format!("FILL({id}, 0)") } else { id }).collect();
        let total = if terms.len() == 1 { terms.concat() } else { format!("({})", terms.join(" + ")) };
        let total = if running { format!("RUNNING_SUM({total})") } else { total };
        Ok(if series.measure == Measure::Rate { format!("({total} / {RATE_PERIOD})") } else { total })
    }

    fn look_back(&mut self, window: Window) -> Result<(), Mistake> {
        match self.back {
            Some(other) if other != window => Err(Mistake::Windows(other, window)),
            _ => {
                self.back = Some(window);
                Ok(())
            }
        }
    }

    /// The ids of what is read for a figure: one metric, or one for each code of a class.
    fn reads_of(&mut self, series: &Series, source: Source) -> Result<Vec<String>, Mistake> {
        let period = match (series.measure, series.window, self.shape) {
            (Measure::Rate, _, _) => Some(RATE_PERIOD),
            (_, Window::Hours(hours), Shape::Graph) => Some(hours * 3_600),
            _ => None,
        };
        let metric = match source {
            Source::Foreign(metric) => {
                let dimensions = of_resource(series, source);
                let statistic = statistic(series.measure, metric.kind);
                return Ok(vec![self.read(Some(metric.namespace), metric.metric, dimensions, statistic, period)]);
            }
            Source::Own(metric) => metric,
        };
        let mut dimensions = of_resource(series, source);
        if self.of_row && metric.dimensions.contains(&"service") {
            dimensions.push(("service", Value::RowsService));
        }
        let rest = series.by.iter().filter(|name| **name != "service" || !self.of_row);
        dimensions.extend(rest.map(|name| (*name, Value::Each)));
        let codes = series.only.iter().find_map(|(name, only)| match only {
            Only::StatusClass(class) => Some((*name, status_codes(*class).collect::<Vec<_>>())),
            Only::Value(_) => None,
        });
        dimensions.extend(series.only.iter().filter_map(|(name, only)| match only {
            Only::Value(value) => Some((*name, Value::Exact((*value).to_owned()))),
            Only::StatusClass(_) => None,
        }));
        let set: Vec<&'static str> =
            dimensions.iter().map(|(name, _)| *name).chain(codes.iter().map(|(name, _)| *name)).collect();
        if !metric.has_set(&set) {
            return Err(Mistake::NoSuchSet { metric: metric.name, set });
        }
        if codes.is_some() && !series.by.is_empty() {
            return Err(Mistake::BrokenDown(metric.name));
        }
        let statistic = statistic(series.measure, metric.kind);
        let Some((name, codes)) = codes else {
            return Ok(vec![self.read(None, metric.name, dimensions, statistic, period)]);
        };
        let of_code = |code| {
            let dimensions = [dimensions.clone(), vec![(name, Value::Exact(code))]].concat();
            self.read(None, metric.name, dimensions, statistic.clone(), period)
        };
        Ok(codes.into_iter().map(of_code).collect())
    }

    /// The id of the metric; one that is read already is not read twice.
    fn read(
        &mut self,
        namespace: Option<&'static str>,
        metric: &'static str,
        dimensions: Vec<(&'static str, Value)>,
        statistic: String,
        period: Option<u32>,
    ) -> String {
        let id = format!("{}{}", self.prefix, self.reads.len() + 1);
        let read = Read { id, namespace, metric, dimensions, statistic, period };
        let same = |other: &&Read| Read { id: read.id.clone(), ..(*other).clone() } == read;
        if let Some(same) = self.reads.iter().find(same) {
            return same.id.clone();
        }
        self.reads.push(read.clone());
        read.id
    }
}

fn of_resource(series: &Series, source: Source) -> Vec<(&'static str, Value)> {
    let named = |resource: Resource| (resource.dimension(source), Value::Of(resource));
    series.resource.map(named).into_iter().collect()
}

fn statistic(measure: Measure, kind: Kind) -> String {
    match measure {
        Measure::Rate | Measure::Count if kind == Kind::Counter => "Sum".to_owned(),
        // Of a histogram the values are counted, and not added up.
        Measure::Rate | Measure::Count => "SampleCount".to_owned(),
        Measure::Sum => "Sum".to_owned(),
        Measure::Within(limit) => format!("TC(:{limit})"),
        Measure::Mean | Measure::Level => "Average".to_owned(),
        Measure::Highest => "Maximum".to_owned(),
        Measure::Quantile(share) => format!("p{}", 100.0 * share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{but, count, highest, level, mean, quantile, rate, within};

    /// The plan as text: what is read, then the formula.
    fn text(expression: impl Into<Expression>, shape: Shape, of_row: bool) -> String {
        let plan = match Plan::of(&expression.into(), shape, of_row, 'm') {
            Ok(plan) => plan,
            Err(mistake) => return mistake.to_string(),
        };
        let read = |read: &Read| {
            let dimensions: Vec<String> = read
                .dimensions
                .iter()
                .map(|(name, value)| match value {
                    Value::Exact(value) => format!("{name}={value}"),
                    Value::Each => format!("{name}=*"),
                    Value::RowsService => format!("{name}=row"),
                    Value::Of(_) => format!("{name}=resource"),
                })
                .collect();
            let period = read.period.map(|seconds| format!(" {seconds}")).unwrap_or_default();
            format!("{}={}{{{}}} {}{period}", read.id, read.metric, dimensions.join(","), read.statistic)
        };
        let mut parts: Vec<String> = plan.reads.iter().map(read).collect();
        parts.extend(plan.formula);
        parts.extend(plan.back.map(|hours| format!("{hours} h back")));
        parts.join("; ")
    }

    #[track_caller]
    fn check(expression: impl Into<Expression>, shape: Shape, of_row: bool, expected: &str) {
        assert_eq!(text(expression, shape, of_row), expected);
    }

    #[test]
    fn figures_are_read_by_the_sets_that_are_put() {
        check(rate("api_requests"), Shape::Graph, false, "m1=api_requests{} Sum 300; (m1 / 300)");
        check(
            rate("api_requests").by(&["service"]),
            Shape::Graph,
            false,
            "m1=api_requests{service=*} Sum 300; (m1 / 300)",
        );
        check(rate("api_requests"), Shape::Graph, true, "m1=api_requests{service=row} Sum 300; (m1 / 300)");
        check(
            quantile("api_request_duration", 0.95).by(&["endpoint"]),
            Shape::Graph,
            true,
            "m1=api_request_duration{service=row,endpoint=*} p95",
        );
        check(
            rate("api_request_duration"),
            Shape::Graph,
            false,
            "m1=api_request_duration{} SampleCount 300; (m1 / 300)",
        );
        check(mean("database_query_duration"), Shape::Graph, false, "m1=database_query_duration{} Average");
        check(highest("active_users"), Shape::Number, true, "m1=active_users{} Maximum");
        check(
            level("database_connections").of(Resource::Database),
            Shape::Graph,
            false,
            "m1=DatabaseConnections{DBInstanceIdentifier=resource} Average",
        );
        check(
            count("function_errors", Window::Point).of(Resource::Function("f")),
            Shape::Graph,
            false,
            "m1=function_errors{function=resource} Sum",
        );
    }

    #[test]
    fn a_set_that_is_not_put_is_refused() {
        check(
            rate("api_requests").by(&["endpoint"]),
            Shape::Graph,
            false,
            "api_requests is not put to CloudWatch by [\"endpoint\"]",
        );
        check(
            quantile("external_api_duration", 0.95).by(&["external_service"]),
            Shape::Graph,
            true,
            "external_api_duration is not put to CloudWatch by [\"service\", \"external_service\"]",
        );
    }

    #[test]
    fn a_class_of_status_codes_is_each_of_its_codes() {
        let errors = rate("api_requests").status_class(5).or_zero();
        let text = text(errors / rate("api_requests"), Shape::Graph, false);
        let parts: Vec<&str> = text.split("; ").collect();
        assert_eq!(parts.len(), 12 + 1 + 1, "{text}");
        assert_eq!(parts[3], "m4=api_requests{status_code=503} Sum 300");
        assert_eq!(parts[12], "m13=api_requests{} Sum 300");
        assert!(parts[13].starts_with("(((FILL(m1, 0) + FILL(m2, 0) + "), "{text}");
        assert!(parts[13].ends_with(" + FILL(m12, 0)) / 300) / (m13 / 300))"), "{text}");
    }

    #[test]
    fn one_number_over_hours_is_a_running_sum() {
        let window = Window::Hours(720);
        let share = within("api_request_duration", 1_000.0, window) / count("api_request_duration", window);
        check(
            but(1.0, share),
            Shape::Number,
            false,
            "m1=api_request_duration{} TC(:1000); m2=api_request_duration{} SampleCount; \
             (1 - (RUNNING_SUM(FILL(m1, 0)) / RUNNING_SUM(FILL(m2, 0)))); 720 h back",
        );
        check(count("contracts_created", Window::Hours(1)), Shape::Graph, false, "m1=contracts_created{} Sum 3600");
        check(
            count("contracts_created", Window::Shown),
            Shape::Number,
            false,
            "m1=contracts_created{} Sum; RUNNING_SUM(FILL(m1, 0))",
        );
        check(
            count("contracts_created", Window::Hours(1)) / count("contracts_created", Window::Hours(2)),
            Shape::Number,
            false,
            "one panel looks back by 1h and by 2h",
        );
        check(
            mean("contract_value").over(Window::Shown),
            Shape::Number,
            false,
            "CloudWatch has no quantile, mean or level of contract_value over a window in one number",
        );
    }

    #[test]
    fn what_metric_math_can_not_do_is_refused() {
        check(
            rate("api_requests").by(&["service"]) / rate("api_requests"),
            Shape::Graph,
            false,
            "CloudWatch can not combine api_requests, broken down, with other series",
        );
        check(
            rate("api_requests").by(&["service"]).status_class(5),
            Shape::Graph,
            false,
            "CloudWatch can not combine api_requests, broken down, with other series",
        );
    }

    #[test]
    fn what_is_read_twice_is_asked_for_once() {
        check(
            rate("api_requests") / rate("api_requests"),
            Shape::Graph,
            false,
            "m1=api_requests{} Sum 300; ((m1 / 300) / (m1 / 300))",
        );
    }
}
