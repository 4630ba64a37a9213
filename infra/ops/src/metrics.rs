//! The registry as a table, and figures of its metrics from CloudWatch.

use std::io::Write;

use clap::{Args, Subcommand};
use domain::metrics::registry::{Definition, FOREIGN, Foreign, METRICS};
use domain::metrics::report::{Periods, Request};
use domain::ports::ReadFigures;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// Columns of the table: it is to be read at 120.
const WIDTH: usize = 120;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print every metric: what it is, where it comes from, which series there are
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print figures of metrics over a span of time, from CloudWatch
    Report(ReportArguments),
}

#[derive(Args)]
pub(crate) struct ReportArguments {
    /// Beginning: a time (2026-11-21T10:00:00Z) or a UTC day (2026-11-21)
    #[arg(long, value_parser = instant)]
    from: Timestamp,
    /// End, which does not belong to it; now without it
    #[arg(long, value_parser = instant)]
    to: Option<Timestamp>,
    /// Only this metric, as `metrics list` calls it; may come more than once
    #[arg(long = "metric")]
    metrics: Vec<String>,
    /// Which series: a dimension as NAME=VALUE, service=api say; may come more than once
    #[arg(long = "where", value_parser = crate::rules::variable)]
    dimensions: Vec<(String, String)>,
    /// Length of a period: minutes (5m), hours (6h) or a day (1d)
    #[arg(long, default_value = "1h", value_parser = minutes)]
    period: i64,
    /// CloudWatch namespace of our metrics (the stack's parameter MetricNamespace)
    #[arg(long, default_value = "LandContracts")]
    namespace: String,
    /// As JSON, with the value of every period
    #[arg(long)]
    pub(crate) json: bool,
}

impl ReportArguments {
    /// What is asked, as of `now`.
    pub(crate) fn asked(&self, now: Timestamp) -> anyhow::Result<Request> {
        let periods = Periods::between(self.from, self.to.unwrap_or(now), self.period, now)?;
        let dimensions = self.dimensions.iter().cloned().collect();
        Ok(Request::new(&self.metrics, &dimensions, &self.namespace, periods)?)
    }
}

/// Reads a time, or a day, which begins with its midnight.
fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let day = text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let midnight = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok()).map(|midnight| midnight.timestamp());
    midnight.ok_or_else(|| format!("`{text}` is no time like 2026-11-21T10:00:00Z and no day like 2026-11-21"))
}

/// Reads `5m`, `6h`, `1d`.
fn minutes(text: &str) -> Result<i64, String> {
    let read = || {
        let unit = match text.chars().next_back()? {
            'm' => 1,
            'h' => 60,
            'd' => 1_440,
            _ => return None,
        };
        text[..text.len() - 1].parse::<i64>().ok()?.checked_mul(unit)
    };
    read().ok_or_else(|| format!("`{text}` is no length like 5m, 6h or 1d"))
}

/// Asks, and prints what there is. False where something was not answered.
pub(crate) async fn report(
    asked: &Request,
    cloudwatch: &impl ReadFigures,
    as_json: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let answers = cloudwatch.read_figures(&asked.queries(), asked.periods()).await;
    let report = asked.report(answers);
    match as_json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        false => write!(out, "{report}")?,
    }
    Ok(report.is_complete())
}

/// Prints the registry.
pub(crate) fn list(as_json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
    if as_json {
        let all = json!({
            "metrics": METRICS.iter().map(definition).collect::<Vec<_>>(),
            "aws": FOREIGN.iter().map(foreign).collect::<Vec<_>>(),
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(true);
    }
    for metric in METRICS {
        let Definition { name, kind, unit, source, help, .. } = metric;
        writeln!(out, "{name:34} {:9} {:12} {}", kind.as_str(), unit.as_str(), source.as_str())?;
        told(out, "", help)?;
        if !metric.dimensions.is_empty() {
            told(out, "dimensions: ", &metric.dimensions.join(", "))?;
        }
        let sets: Vec<String> = metric.sets.iter().map(|set| format!("({})", set.join(", "))).collect();
        told(out, "in CloudWatch by: ", &sets.join(" "))?;
        match metric.is_rolled_up() {
            true => told(out, "in Prometheus: ", &metric.prometheus_name())?,
            false => told(out, "in CloudWatch only", "")?,
        }
    }
    writeln!(out, "\nof AWS")?;
    for metric in FOREIGN {
        let Foreign { name, namespace, metric, kind, unit, dimension, help } = metric;
        writeln!(out, "{name:34} {:9} {:12} {namespace} {metric}", kind.as_str(), unit.as_str())?;
        told(out, "", help)?;
        told(out, "in CloudWatch by: ", &format!("({dimension})"))?;
    }
    Ok(true)
}

/// A detail of a metric, in as many lines as it needs.
fn told(out: &mut impl Write, label: &str, text: &str) -> anyhow::Result<()> {
    const INDENT: &str = "    ";
    let mut line = format!("{INDENT}{label}");
    let mut is_empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !is_empty && line.len() + 1 + word.len() > WIDTH {
            writeln!(out, "{line}")?;
            line = format!("{INDENT}{INDENT}");
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    Ok(writeln!(out, "{}", line.trim_end())?)
}

fn definition(metric: &Definition) -> Value {
    json!({
        "name": metric.name,
        "kind": metric.kind.as_str(),
        "unit": metric.unit.as_str(),
        "source": metric.source.as_str(),
        "dimensions": metric.dimensions,
        "sets": metric.sets,
        "prometheus": metric.is_rolled_up().then(|| json!({
            "name": metric.prometheus_name(),
            "scale": metric.prometheus_scale(),
            "buckets": metric.buckets(),
        })),
        "help": metric.help,
    })
}

fn foreign(metric: &Foreign) -> Value {
    json!({
        "name": metric.name,
        "namespace": metric.namespace,
        "metric": metric.metric,
        "kind": metric.kind.as_str(),
        "unit": metric.unit.as_str(),
        "dimension": metric.dimension,
        "help": metric.help,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use domain::Minute;
    use domain::ports::MetricQuery;
    use testkit::FixedMetrics;

    fn listed(as_json: bool) -> String {
        let mut out = Vec::new();
        assert!(list(as_json, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_whole_registry_is_listed_and_fits_a_terminal() {
        let text = listed(false);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && !line.ends_with(' ')), "{text}");
        for name in METRICS.iter().map(|metric| metric.name).chain(FOREIGN.iter().map(|metric| metric.name)) {
            assert_eq!(text.lines().filter(|line| line.starts_with(&format!("{name} "))).count(), 1, "{name}");
        }
        let request = text.find("api_request_duration ").unwrap();
        let expected = "\
api_request_duration               timer     Milliseconds services
    Time to answer a request.
    dimensions: service, endpoint, method
    in CloudWatch by: () (service) (service, endpoint)
    in Prometheus: api_request_duration_seconds
";
        assert!(text[request..].starts_with(expected), "{}", &text[request..request + 300]);
        let json: Value = serde_json::from_str(&listed(true)).unwrap();
        assert_eq!(json["metrics"].as_array().unwrap().len(), METRICS.len());
        assert_eq!(json["aws"].as_array().unwrap().len(), FOREIGN.len());
        let own = json["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == "function_errors");
        assert!(own.unwrap()["prometheus"].is_null(), "it is in CloudWatch only");
    }

    fn arguments(arguments: &[&str]) -> Result<ReportArguments, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            report: ReportArguments,
        }
        let line = ["report"].iter().chain(arguments);
        <Line as clap::Parser>::try_parse_from(line).map(|line| line.report).map_err(|error| error.to_string())
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_time_a_day_and_a_period_are_read_or_refused() {
        let read = |line: &[&str]| arguments(line).unwrap().asked(now()).map(|asked| asked.periods());
        let day = read(&["--from", "2026-11-21", "--to", "2026-11-22"]).unwrap();
        assert_eq!((day.from().to_string(), day.number()), ("2026-11-21T00:00Z".to_owned(), 24));
        let until_now = read(&["--from", "2026-11-22T10:00:00+02:00", "--period", "5m"]).unwrap();
        assert_eq!((until_now.until().to_string(), until_now.number()), ("2026-11-22T12:00Z".to_owned(), 48));
        for line in [
            &["--from", "yesterday"][..],
            &["--from", "2026-11-21", "--period", "5"],
            &["--from", "2026-11-21", "--period", "5с"],
            &["--from", "2026-11-21", "--period", "9223372036854775807d"],
            &["--from", "2026-11-21", "--where", "service"],
            &[],
        ] {
            assert!(arguments(line).is_err(), "{line:?}");
        }
        assert!(read(&["--from", "2026-11-22", "--to", "2026-11-21"]).is_err());
        let misspelt = read(&["--from", "2026-11-21", "--where", "servce=api"]).unwrap_err().to_string();
        assert!(misspelt.contains("by (servce)"), "{misspelt}");
    }

    #[tokio::test]
    async fn what_is_not_answered_is_told_and_is_a_failure() {
        let asked =
            arguments(&["--from", "2026-11-22", "--metric", "contracts_created", "--metric", "contracts_signed"]);
        let asked = asked.unwrap().asked(now()).unwrap();
        let query = |name: &str| MetricQuery {
            namespace: "LandContracts".to_owned(),
            name: name.to_owned(),
            dimensions: BTreeMap::new(),
            statistic: "Sum".to_owned(),
        };
        let at: Minute = "2026-11-22T03:00Z".parse().unwrap();
        let series = BTreeMap::from([(query("contracts_created"), BTreeMap::from([(at, 7.0)]))]);
        let mut cloudwatch = FixedMetrics { series, ..FixedMetrics::default() };
        let mut print = async |unanswered: &[&str], as_json: bool| {
            cloudwatch.unanswered = unanswered.iter().map(|name| (*name).to_owned()).collect();
            let mut out = Vec::new();
            let is_complete = report(&asked, &cloudwatch, as_json, &mut out).await.unwrap();
            (is_complete, String::from_utf8(out).unwrap())
        };
        let head = "2026-11-22T00:00Z to 2026-11-22T12:00Z, by 1 h (12), namespace LandContracts\n";
        let created = "contracts_created              Count        sum 7  (11 of 12 periods without data)\n";
        let none = "contracts_signed               Count        no data\n";
        assert_eq!(print(&[], false).await, (true, format!("{head}{created}{none}")));
        let refused = "contracts_signed               Count        Sum NOT ANSWERED: injected fault\n";
        assert_eq!(print(&["contracts_signed"], false).await, (false, format!("{head}{created}{refused}")));
        let (is_complete, text) = print(&["contracts_signed"], true).await;
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((is_complete, &json["metrics"][1]["statistics"]["Sum"]["status"]), (false, &json!("error")));
        assert_eq!(json["metrics"][0]["figures"]["sum"], 7.0);
    }
}
