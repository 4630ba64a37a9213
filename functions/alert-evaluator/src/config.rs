//! Configuration from the environment, the same for both doors.

use std::convert::Infallible;

use aws::variables::{ConfigError, Variables};
use domain::alerting::alarms::Ours;

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of rules, rollups, state and history.
    pub bucket_name: String,
    /// The topic of notifications.
    pub alert_topic_arn: String,
    /// The log group of the alert history.
    pub history_log_group: String,
    /// RDS instance, for `${DATABASE_INSTANCE}` in rules.
    pub database_instance: String,
    /// Name of the environment, as it stands in messages.
    pub environment: String,
    /// The region that it runs in, which Lambda tells (`AWS_REGION`).
    pub region: String,
    /// Whether subscribers of the topic by HTTPS are Amazon Q Developer in chat applications.
    pub amazon_q: bool,
    /// Which alarms of CloudWatch it tells.
    pub ours: Ours,
}

impl Config {
    /// The variables it reads, beside `AWS_REGION`, which Lambda sets.
    pub const VARIABLES: [&str; 8] = [
        "BUCKET_NAME",
        "ALERT_TOPIC_ARN",
        "HISTORY_LOG_GROUP",
        "DATABASE_INSTANCE",
        "ENVIRONMENT",
        "AMAZON_Q",
        "STACK_NAME",
        "ALARM_PREFIXES",
    ];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let alert_topic_arn = variables.required("ALERT_TOPIC_ARN");
        let history_log_group = variables.required("HISTORY_LOG_GROUP");
        let database_instance = variables.required("DATABASE_INSTANCE");
        let environment = variables.required("ENVIRONMENT");
        let region = variables.required("AWS_REGION");
        let amazon_q = variables.optional_with("AMAZON_Q", on_or_off).unwrap_or_default();
        let stack = variables.required("STACK_NAME");
        let prefixes = variables.optional_with("ALARM_PREFIXES", listed).unwrap_or_default();
        variables.finish(|| {
            Some(Config {
                bucket_name,
                alert_topic_arn,
                history_log_group,
                database_instance,
                environment,
                region,
                amazon_q,
                ours: Ours { stack, prefixes },
            })
        })
    }
}

/// What stands between commas.
fn listed(text: &str) -> Result<Vec<String>, Infallible> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Ok(parts.map(str::to_owned).collect())
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("neither `on` nor `off`"),
    }
}
