//! Configuration from the environment.

use aws::variables::{ConfigError, Variables};
use jiff::tz::TimeZone;

/// What the function has to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The bucket it reads from and writes to.
    pub bucket_name: String,
    /// The topic that the notice goes to.
    pub report_topic_arn: String,
    /// Whose days are reported.
    pub time_zone: TimeZone,
    /// Services that are expected to send something every day.
    pub services: Vec<String>,
    /// Name of the deployment, as the report shows it.
    pub environment: String,
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 5] = ["BUCKET_NAME", "REPORT_TOPIC_ARN", "TIME_ZONE", "SERVICES", "ENVIRONMENT"];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let report_topic_arn = variables.required("REPORT_TOPIC_ARN");
        let time_zone = time_zone(&mut variables);
        let services = services(&mut variables);
        let environment = variables.required("ENVIRONMENT");
        variables.finish(|| {
            Some(Config { bucket_name, report_topic_arn, time_zone: time_zone?, services: services?, environment })
        })
    }
}

fn time_zone(variables: &mut Variables<impl Fn(&str) -> Option<String>>) -> Option<TimeZone> {
    let name = variables.required("TIME_ZONE");
    if name.is_empty() {
        return None;
    }
    TimeZone::get(&name).map_err(|error| variables.problem("TIME_ZONE", &name, error)).ok()
}

/// Names between commas, each once.
fn services(variables: &mut Variables<impl Fn(&str) -> Option<String>>) -> Option<Vec<String>> {
    let text = variables.required("SERVICES");
    if text.is_empty() {
        return None;
    }
    let mut services: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if name.is_empty() {
            variables.problem("SERVICES", &text, "a name is empty");
            return None;
        }
        if !services.iter().any(|known| known == name) {
            services.push(name.to_owned());
        }
    }
    Some(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |name: &str| {
            let changed = changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| (*value).to_owned());
            changed.or_else(|| {
                let value = match name {
                    "BUCKET_NAME" => "land-logs",
                    "REPORT_TOPIC_ARN" => "arn:aws:sns:eu-west-1:123456789012:reports",
                    "TIME_ZONE" => "Europe/Moscow",
                    "SERVICES" => "web, api,contract,api",
                    "ENVIRONMENT" => "production",
                    _ => return None,
                };
                Some(value.to_owned())
            })
        };
        Config::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn a_complete_environment_is_read() {
        let config = read(&[]).unwrap();
        assert_eq!(config.time_zone.iana_name(), Some("Europe/Moscow"));
        assert_eq!(config.services, ["web", "api", "contract"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for name in Config::VARIABLES {
            assert_eq!(read(&[(name, " ")]).unwrap_err(), format!("configuration: {name} is not set"));
        }
        assert_eq!(
            read(&[("SERVICES", "web,,api")]).unwrap_err(),
            "configuration: SERVICES is `web,,api`: a name is empty"
        );
        let error = read(&[("TIME_ZONE", "Mars/Olympus"), ("BUCKET_NAME", "")]).unwrap_err();
        assert!(error.starts_with("configuration: BUCKET_NAME is not set; TIME_ZONE is `Mars/Olympus`: "), "{error}");
    }
}
