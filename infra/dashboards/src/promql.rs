//! Expressions in PromQL. Every rate is summed over the series that nobody asked to tell apart, so that a division has
//! the same labels on both sides (defect 48), and gauges are read as they are (defect 49).

use schema::registry::Definition;

use crate::expression::{Expression, Measure, Mistake, Only, Series, Source, Window, duration, in_prometheus};

/// An expression over our metrics, with Grafana's variables in it: `$environment`, `$service`, `$__rate_interval` and
/// `$__range`.
///
/// # Errors
///
/// Where the registry says otherwise, or where the metric is in CloudWatch only.
pub fn render(expression: &Expression) -> Result<String, Mistake> {
    expression.quantity()?;
    Ok(match expression {
        Expression::Number(number) => number.to_string(),
        Expression::Series(series) => figure(series)?,
        Expression::Both(left, operator, right) => {
            format!("{} {} {}", operand(left)?, operator.sign(), operand(right)?)
        }
    })
}

fn operand(expression: &Expression) -> Result<String, Mistake> {
    let rendered = render(expression)?;
    let compound = match expression {
        Expression::Both(..) => true,
        Expression::Series(series) => series.or_zero || matches!(series.measure, Measure::Mean),
        Expression::Number(_) => false,
    };
    Ok(if compound { format!("({rendered})") } else { rendered })
}

fn figure(series: &Series) -> Result<String, Mistake> {
    let only_in_cloudwatch = Err(Mistake::OnlyInCloudWatch(series.metric()));
    let Source::Own(metric) = series.source()? else { return only_in_cloudwatch };
    if !metric.is_rolled_up() {
        return only_in_cloudwatch;
    }
    let name = metric.prometheus_name();
    let selected = selector(metric, series, None);
    let window = window(series.window);
    let distribution = !metric.buckets().is_empty();
    let counted = if distribution { format!("{name}_count") } else { name.clone() };
    let summed = aggregation("sum", series.by);
    let figure = match series.measure {
        Measure::Rate => format!("{summed}(rate({counted}{selected}[{window}]))"),
        Measure::Count => format!("{summed}(increase({counted}{selected}[{window}]))"),
        Measure::Sum => format!("{summed}(increase({name}_sum{selected}[{window}]))"),
        Measure::Within(limit) => {
            let bucket = selector(metric, series, Some(in_prometheus(metric, limit)));
            format!("{summed}(increase({name}_bucket{bucket}[{window}]))")
        }
        Measure::Mean => {
            format!("{summed}(rate({name}_sum{selected}[{window}])) / {summed}(rate({name}_count{selected}[{window}]))")
        }
        Measure::Quantile(share) => {
            let summed = aggregation("sum", &[&["le"], series.by].concat());
            format!("histogram_quantile({share}, {summed}(rate({name}_bucket{selected}[{window}])))")
        }
        Measure::Level => format!("{}({name}{selected})", aggregation("avg", series.by)),
        Measure::Highest => format!("{}({name}{selected})", aggregation("max", series.by)),
    };
    // (Without labels there is one result, which `vector(0)` can stand for.)
    let zero = series.or_zero && series.by.is_empty();
    Ok(if zero { format!("{figure} {OR_ZERO}") } else { figure })
}

/// What makes a count of what never happened 0, and not unknown.
pub const OR_ZERO: &str = "or vector(0)";

fn aggregation(function: &str, by: &[&str]) -> String {
    if by.is_empty() { function.to_owned() } else { format!("{function} by ({}) ", by.join(", ")) }
}

fn window(window: Window) -> String {
    match window {
        Window::Point => "$__rate_interval".to_owned(),
        Window::Shown => "$__range".to_owned(),
        Window::Hours(hours) => duration(hours),
    }
}

fn selector(metric: &Definition, series: &Series, bucket: Option<f64>) -> String {
    let mut labels = vec![r#"environment="$environment""#.to_owned()];
    if metric.dimensions.contains(&"service") {
        labels.push(r#"service=~"$service""#.to_owned());
    }
    labels.extend(series.only.iter().map(|(dimension, only)| match only {
        Only::Value(value) => format!(r#"{dimension}="{value}""#),
        Only::StatusClass(class) => format!(r#"{dimension}=~"{class}..""#),
    }));
    // Clients write whole bounds with and without a fraction.
    labels.extend(bucket.map(|bound| format!(r#"le=~"{}""#, le(bound))));
    format!("{{{}}}", labels.join(","))
}

fn le(bound: f64) -> String {
    let plain = bound.to_string().replace('.', r"\\.");
    if bound.fract() == 0.0 { format!(r"{plain}(\\.0)?") } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Resource;
    use crate::expression::{but, count, highest, level, mean, quantile, rate, sum, within};

    #[track_caller]
    fn check(expression: impl Into<Expression>, expected: &str) {
        let own = r#"{environment="$environment",service=~"$service""#;
        let rendered = render(&expression.into()).unwrap_or_else(|mistake| mistake.to_string());
        assert_eq!(rendered.replace(&format!("{own}}}"), "{}").replace(own, "{"), expected);
    }

    #[test]
    fn counters_are_summed_by_what_is_told_apart() {
        check(rate("api_requests"), "sum(rate(api_requests_total{}[$__rate_interval]))");
        check(rate("api_requests").by(&["service"]), "sum by (service) (rate(api_requests_total{}[$__rate_interval]))");
        check(count("contracts_created", Window::Hours(1)), "sum(increase(contracts_created_total{}[1h]))");
        check(
            count("contract_creation_errors", Window::Shown).or_zero(),
            "sum(increase(contract_creation_errors_total{}[$__range])) or vector(0)",
        );
        check(
            rate("log_entries").only("level", "ERROR"),
            r#"sum(rate(log_entries_total{,level="ERROR"}[$__rate_interval]))"#,
        );
    }

    // Defect 48: the source document divided series by series, and 1 error of 100 was 1.0.
    #[test]
    fn an_error_rate_is_a_sum_by_a_sum() {
        let errors = rate("api_requests").status_class(5).or_zero();
        check(
            errors / rate("api_requests"),
            "(sum(rate(api_requests_total{,status_code=~\"5..\"}[$__rate_interval])) or vector(0)) \
             / sum(rate(api_requests_total{}[$__rate_interval]))",
        );
        check(
            but(1.0, count("api_requests", Window::Hours(720)) / count("api_requests", Window::Hours(1)) / 0.001),
            "1 - ((sum(increase(api_requests_total{}[30d])) / sum(increase(api_requests_total{}[1h]))) / 0.001)",
        );
    }

    #[test]
    fn distributions_are_in_the_units_of_prometheus() {
        check(
            quantile("api_request_duration", 0.95).by(&["service"]),
            "histogram_quantile(0.95, sum by (le, service) \
             (rate(api_request_duration_seconds_bucket{}[$__rate_interval])))",
        );
        check(
            mean("database_query_duration"),
            "sum(rate(database_query_duration_seconds_sum{}[$__rate_interval])) / \
             sum(rate(database_query_duration_seconds_count{}[$__rate_interval]))",
        );
        check(sum("contract_value", Window::Shown), "sum(increase(contract_value_roubles_sum{}[$__range]))");
        check(rate("api_request_duration"), "sum(rate(api_request_duration_seconds_count{}[$__rate_interval]))");
        check(
            within("api_request_duration", 1_000.0, Window::Hours(6)),
            r#"sum(increase(api_request_duration_seconds_bucket{,le=~"1(\\.0)?"}[6h]))"#,
        );
        check(
            within("api_request_duration", 250.0, Window::Hours(6)),
            r#"sum(increase(api_request_duration_seconds_bucket{,le=~"0\\.25"}[6h]))"#,
        );
    }

    // Defect 49: the source document took the rate of gauges.
    #[test]
    fn gauges_are_read_as_they_are() {
        check(highest("active_users"), r#"max(active_users{environment="$environment"})"#);
        check(level("cpu_usage_percent").by(&["service"]), "avg by (service) (cpu_usage_percent{})");
    }

    #[test]
    fn what_only_cloudwatch_has_is_not_in_prometheus() {
        let connections = level("database_connections").of(Resource::Database);
        assert_eq!(render(&connections.into()), Err(Mistake::OnlyInCloudWatch("database_connections")));
        let errors = rate("function_errors").of(Resource::Function("metric-flusher"));
        assert_eq!(render(&errors.into()), Err(Mistake::OnlyInCloudWatch("function_errors")));
    }
}
