//! Metrics from CloudWatch.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode};
use domain::Minute;
use domain::ports::{MetricQuery, MinuteValues, PortError, ReadMetrics};

use crate::failure::port_error;
use crate::measures::CountRetries;

/// Queries that one call takes.
const MAX_QUERIES: usize = 500;

/// The grain of the answers, in seconds.
const PERIOD: i32 = 60;

/// `GetMetricData`.
#[derive(Debug, Clone)]
pub struct CloudWatchReads {
    client: Client,
}

impl CloudWatchReads {
    /// CloudWatch of the configured account and region.
    pub fn new(config: &SdkConfig) -> CloudWatchReads {
        let config = aws_sdk_cloudwatch::config::Builder::from(config).interceptor(CountRetries).build();
        CloudWatchReads { client: Client::from_conf(config) }
    }

    async fn read_call(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> Result<Vec<MinuteValues>, PortError> {
        let action = || format!("read {} metrics from CloudWatch", queries.len());
        let request = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.iter().enumerate().map(metric_data_query).collect()))
            .start_time(DateTime::from_secs(from.start().as_second()))
            .end_time(DateTime::from_secs(until.start().as_second()))
            .scan_by(ScanBy::TimestampAscending);
        let mut pages = request.into_paginator().send();
        let mut answers = Answers::of(queries.len());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(action(), error))?;
            answers.take(page.metric_data_results());
        }
        answers.complete(queries).map_err(|incomplete| PortError::transient(action(), incomplete))
    }
}

impl ReadMetrics for CloudWatchReads {
    async fn read_metrics(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> Result<Vec<MinuteValues>, PortError> {
        let mut answers = Vec::with_capacity(queries.len());
        for call in queries.chunks(MAX_QUERIES) {
            answers.extend(self.read_call(call, from, until).await?);
        }
        Ok(answers)
    }
}

fn metric_data_query((at, query): (usize, &MetricQuery)) -> MetricDataQuery {
    let dimensions =
        query.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect();
    let metric =
        Metric::builder().namespace(&query.namespace).metric_name(&query.name).set_dimensions(Some(dimensions)).build();
    let statistic = MetricStat::builder().metric(metric).period(PERIOD).stat(&query.statistic).build();
    MetricDataQuery::builder().id(id(at)).metric_stat(statistic).return_data(true).build()
}

/// An id has to begin with a lower-case letter.
fn id(at: usize) -> String {
    format!("q{at}")
}

/// What the pages of one call have said so far.
struct Answers {
    by_id: BTreeMap<String, (Option<StatusCode>, MinuteValues)>,
}

/// A query that was not answered completely.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not answered completely: {status}")]
struct Incomplete {
    name: String,
    status: String,
}

impl Answers {
    fn of(queries: usize) -> Answers {
        Answers { by_id: (0..queries).map(|at| (id(at), (None, MinuteValues::new()))).collect() }
    }

    /// A series may go on over pages; only its last page says whether it is complete.
    fn take(&mut self, results: &[MetricDataResult]) {
        for result in results {
            let Some((status, values)) = result.id().and_then(|id| self.by_id.get_mut(id)) else { continue };
            *status = result.status_code().cloned();
            let points = result.timestamps().iter().zip(result.values());
            // By minute, so sorted, whatever order they come in (defect 1).
            values.extend(points.map(|(at, &value)| (Minute::of_epoch_millis(at.secs() * 1_000), value)));
        }
    }

    fn complete(mut self, queries: &[MetricQuery]) -> Result<Vec<MinuteValues>, Incomplete> {
        let mut answers = Vec::with_capacity(queries.len());
        for (at, query) in queries.iter().enumerate() {
            match self.by_id.remove(&id(at)) {
                Some((Some(StatusCode::Complete), values)) => answers.push(values),
                other => {
                    let status = other.and_then(|(status, _)| status);
                    let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                    return Err(Incomplete { name: format!("{} {}", query.namespace, query.name), status });
                }
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> MetricQuery {
        MetricQuery {
            namespace: "AWS/RDS".to_owned(),
            name: name.to_owned(),
            dimensions: BTreeMap::from([("DBInstanceIdentifier".to_owned(), "db".to_owned())]),
            statistic: "Average".to_owned(),
        }
    }

    fn result(at: usize, status: StatusCode, points: &[(i64, f64)]) -> MetricDataResult {
        MetricDataResult::builder()
            .id(id(at))
            .status_code(status)
            .set_timestamps(Some(points.iter().map(|(minute, _)| DateTime::from_secs(minute * 60)).collect()))
            .set_values(Some(points.iter().map(|(_, value)| *value).collect()))
            .build()
    }

    fn minute(at: i64) -> Minute {
        Minute::of_epoch_millis(at * 60_000)
    }

    #[test]
    fn a_query_names_its_series_completely() {
        let query = metric_data_query((7, &query("DatabaseConnections")));
        assert_eq!(query.id(), Some("q7"));
        let statistic = query.metric_stat().unwrap();
        assert_eq!((statistic.stat(), statistic.period()), (Some("Average"), Some(60)));
        let metric = statistic.metric().unwrap();
        assert_eq!((metric.namespace(), metric.metric_name()), (Some("AWS/RDS"), Some("DatabaseConnections")));
        assert_eq!(metric.dimensions()[0].value(), Some("db"));
    }

    #[test]
    fn answers_are_joined_over_pages_and_sorted_by_minute() {
        // Defect 1: the last of an unordered list was taken for the newest.
        let mut answers = Answers::of(2);
        answers.take(&[
            result(1, StatusCode::Complete, &[]),
            result(0, StatusCode::PartialData, &[(3, 30.0), (1, 10.0)]),
            result(9, StatusCode::Complete, &[(1, 1.0)]),
        ]);
        answers.take(&[result(0, StatusCode::Complete, &[(2, 20.0)])]);
        let complete = answers.complete(&[query("a"), query("b")]).unwrap();
        assert_eq!(complete[0], MinuteValues::from([(minute(1), 10.0), (minute(2), 20.0), (minute(3), 30.0)]));
        assert!(complete[1].is_empty(), "nothing came, and CloudWatch says so");
    }

    #[test]
    fn an_answer_that_is_not_complete_is_no_answer() {
        for (status, expected) in [
            (Some(StatusCode::PartialData), "AWS/RDS a is not answered completely: PartialData"),
            (Some(StatusCode::InternalError), "AWS/RDS a is not answered completely: InternalError"),
            (Some(StatusCode::Forbidden), "AWS/RDS a is not answered completely: Forbidden"),
            (None, "AWS/RDS a is not answered completely: no answer"),
        ] {
            let mut answers = Answers::of(1);
            if let Some(status) = status {
                answers.take(&[result(0, status, &[(1, 10.0)])]);
            }
            assert_eq!(answers.complete(&[query("a")]).unwrap_err().to_string(), expected);
        }
    }
}
