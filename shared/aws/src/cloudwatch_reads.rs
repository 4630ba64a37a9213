//! Metrics from CloudWatch.

use std::collections::BTreeMap;
use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, MessageData, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use domain::Minute;
use domain::metrics::report::Periods;
use domain::ports::{MetricQuery, MinuteValues, PortError, ReadFigures, ReadMetrics, Unanswered};
use futures::StreamExt as _;

use crate::failure::port_error;
use crate::measures::CountRetries;

/// Queries that one call takes.
const MAX_QUERIES: usize = 500;

/// Calls that are under way at the same time: ten thousand series take twenty.
const CALLS_AT_ONCE: usize = 4;

/// The grain of alert rules, in seconds.
const MINUTE: i32 = 60;

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

    /// One call, and its pages.
    async fn read_call(
        &self,
        queries: &[MetricQuery],
        (from, until): (Minute, Minute),
        period_seconds: i32,
    ) -> Result<Answers, PortError> {
        let queries: Vec<MetricDataQuery> =
            queries.iter().enumerate().map(|(at, query)| metric_data_query(at, query, period_seconds)).collect();
        let action = format!("read {} metrics from CloudWatch", queries.len());
        let mut answers = Answers::of(queries.len());
        let request = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries))
            .start_time(DateTime::from_secs(from.start().as_second()))
            .end_time(DateTime::from_secs(until.start().as_second()))
            .scan_by(ScanBy::TimestampAscending);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(action.as_str(), error))?;
            answers.take(page.metric_data_results());
        }
        Ok(answers)
    }

    /// All of `queries`, in as many calls as they take.
    async fn read_all(
        &self,
        queries: &[MetricQuery],
        between: (Minute, Minute),
        period_seconds: i32,
    ) -> Vec<Result<MinuteValues, Incomplete>> {
        let calls = queries.chunks(MAX_QUERIES).map(|call| self.answers(call, between, period_seconds));
        let calls: Vec<_> = calls.collect();
        let answers: Vec<Vec<_>> = futures::stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await;
        answers.into_iter().flatten().collect()
    }

    /// One answer a query of one call.
    async fn answers(
        &self,
        queries: &[MetricQuery],
        between: (Minute, Minute),
        period_seconds: i32,
    ) -> Vec<Result<MinuteValues, Incomplete>> {
        match self.read_call(queries, between, period_seconds).await {
            Ok(answers) => answers.finish(queries),
            Err(error) => {
                // It was tried again already.
                let reason = format!("{:#}", anyhow::Error::new(error));
                let incomplete = || Incomplete { reason: Unanswered { reason: reason.clone() }, may_pass: false };
                queries.iter().map(|_| Err(incomplete())).collect()
            }
        }
    }
}

impl ReadMetrics for CloudWatchReads {
    async fn read_metrics(
        &self,
        queries: &[MetricQuery],
        from: Minute,
        until: Minute,
    ) -> Vec<Result<MinuteValues, Unanswered>> {
        let mut answers = self.read_all(queries, (from, until), MINUTE).await;
        let again = to_ask_again(&answers);
        if !again.is_empty() {
            let queries: Vec<MetricQuery> = again.iter().map(|&at| queries[at].clone()).collect();
            let second = self.read_all(&queries, (from, until), MINUTE).await;
            again.into_iter().zip(second).for_each(|(at, answer)| answers[at] = answer);
        }
        answers.into_iter().map(|answer| answer.map_err(|incomplete| incomplete.reason)).collect()
    }
}

/// Places of the queries that may be answered when they are asked once more.
fn to_ask_again(answers: &[Result<MinuteValues, Incomplete>]) -> Vec<usize> {
    let may_pass = |at: &usize| answers[*at].as_ref().is_err_and(|incomplete| incomplete.may_pass);
    (0..answers.len()).filter(may_pass).collect()
}

impl ReadFigures for CloudWatchReads {
    async fn read_figures(&self, queries: &[MetricQuery], periods: Periods) -> Vec<Result<MinuteValues, Unanswered>> {
        // A day at most, by its making.
        let seconds = i32::try_from(periods.minutes() * 60).unwrap_or(86_400);
        let answers = self.read_all(queries, (periods.from(), periods.until()), seconds).await;
        answers.into_iter().map(|answer| answer.map_err(|incomplete| incomplete.reason)).collect()
    }
}

fn metric_data_query(at: usize, query: &MetricQuery, period_seconds: i32) -> MetricDataQuery {
    let dimensions =
        query.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build()).collect();
    let metric =
        Metric::builder().namespace(&query.namespace).metric_name(&query.name).set_dimensions(Some(dimensions)).build();
    let statistic = MetricStat::builder().metric(metric).period(period_seconds).stat(&query.statistic).build();
    MetricDataQuery::builder().id(id(at)).metric_stat(statistic).return_data(true).build()
}

/// An id has to begin with a lower-case letter.
fn id(at: usize) -> String {
    format!("q{at}")
}

/// Why a query has no answer, and whether asking it once more may help.
#[derive(Debug, Clone, PartialEq)]
struct Incomplete {
    reason: Unanswered,
    may_pass: bool,
}

/// What the pages of one call have said so far.
struct Answers {
    by_id: BTreeMap<String, (Option<Said>, MinuteValues)>,
}

/// How a query went.
#[derive(Debug)]
struct Said {
    status: StatusCode,
    messages: Vec<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.as_str())?;
        self.messages.iter().try_for_each(|message| write!(f, ", {message}"))
    }
}

impl Answers {
    fn of(queries: usize) -> Answers {
        Answers { by_id: (0..queries).map(|at| (id(at), Default::default())).collect() }
    }

    /// A series may go on over pages; only its last page says whether it is complete.
    fn take(&mut self, results: &[MetricDataResult]) {
        for result in results {
            let Some((status, values)) = result.id().and_then(|id| self.by_id.get_mut(id)) else { continue };
            let message = |told: &MessageData| told.value().or(told.code()).map(str::to_owned);
            let messages = result.messages().iter().filter_map(message).collect();
            *status = result.status_code().cloned().map(|status| Said { status, messages });
            let points = result.timestamps().iter().zip(result.values());
            // By minute, so sorted, whatever order they come in (defect 1).
            values.extend(points.map(|(at, &value)| (Minute::of_epoch_millis(at.secs() * 1_000), value)));
        }
    }

    /// One answer a query. What is not answered completely is no answer: a part of a series would be a wrong one.
    fn finish(mut self, queries: &[MetricQuery]) -> Vec<Result<MinuteValues, Incomplete>> {
        let answer = |(at, query): (usize, &MetricQuery)| {
            let (said, values) = self.by_id.remove(&id(at)).unwrap_or_default();
            match said {
                Some(Said { status: StatusCode::Complete, .. }) => Ok(values),
                said => {
                    // A right that is missing is missing a second later, too.
                    let may_pass = said.as_ref().is_none_or(|said| said.status != StatusCode::Forbidden);
                    let status = said.map_or_else(|| "no answer".to_owned(), |said| said.to_string());
                    let MetricQuery { namespace, name, .. } = query;
                    let reason = format!("{namespace} {name} is not answered completely: {status}");
                    Err(Incomplete { reason: Unanswered { reason }, may_pass })
                }
            }
        };
        queries.iter().enumerate().map(answer).collect()
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
        let query = metric_data_query(7, &query("DatabaseConnections"), 3_600);
        assert_eq!(query.id(), Some("q7"));
        let statistic = query.metric_stat().unwrap();
        assert_eq!((statistic.stat(), statistic.period()), (Some("Average"), Some(3_600)));
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
        let joined = MinuteValues::from([(minute(1), 10.0), (minute(2), 20.0), (minute(3), 30.0)]);
        // Nothing came of the other, and CloudWatch says so.
        assert_eq!(answers.finish(&[query("a"), query("b")]), [Ok(joined), Ok(MinuteValues::new())]);
    }

    #[test]
    fn an_answer_that_is_not_complete_is_no_answer() {
        for (status, expected, may_pass) in [
            (Some(StatusCode::PartialData), "AWS/RDS a is not answered completely: PartialData", true),
            (Some(StatusCode::InternalError), "AWS/RDS a is not answered completely: InternalError", true),
            (Some(StatusCode::Forbidden), "AWS/RDS a is not answered completely: Forbidden", false),
            (None, "AWS/RDS a is not answered completely: no answer", true),
        ] {
            let mut answers = Answers::of(1);
            if let Some(status) = status {
                answers.take(&[result(0, status, &[(1, 10.0)])]);
            }
            let reason = Unanswered { reason: expected.to_owned() };
            assert_eq!(answers.finish(&[query("a")]), [Err(Incomplete { reason, may_pass })]);
        }
    }

    #[test]
    fn what_may_pass_is_asked_once_more_and_nothing_else() {
        let error = |may_pass| Err(Incomplete { reason: Unanswered { reason: "no".to_owned() }, may_pass });
        assert_eq!(to_ask_again(&[Ok(MinuteValues::new()), error(true), error(false), error(true)]), [1, 3]);
    }

    #[test]
    fn one_series_without_an_answer_does_not_take_the_others_along() {
        let told = MessageData::builder().code("MaxQueryTimeRangeExceeded").value("the range is too long").build();
        let refused =
            MetricDataResult::builder().id(id(0)).status_code(StatusCode::InternalError).messages(told).build();
        let mut answers = Answers::of(2);
        answers.take(&[refused, result(1, StatusCode::Complete, &[(1, 10.0)])]);
        let reason = "AWS/RDS a is not answered completely: InternalError, the range is too long".to_owned();
        let other = MinuteValues::from([(minute(1), 10.0)]);
        let incomplete = Incomplete { reason: Unanswered { reason }, may_pass: true };
        assert_eq!(answers.finish(&[query("a"), query("b")]), [Err(incomplete), Ok(other)]);
    }
}
