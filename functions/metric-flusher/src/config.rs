//! Configuration from the environment.

use std::str::FromStr;

use aws::remote_write::{Credential, Endpoint};
use aws::variables::{ConfigError, Variables};
use domain::metrics::flush::Extraction;

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The bucket of pending metrics and rollups.
    pub bucket_name: String,
    /// CloudWatch namespace of the metrics.
    pub metric_namespace: String,
    /// Who puts the metrics that log lines carry to CloudWatch.
    pub emf_extraction: Extraction,
    /// The Prometheus that metrics go to as well, if any.
    pub prometheus: Option<PrometheusConfig>,
}

/// A Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusConfig {
    /// Where it takes remote write.
    pub endpoint: Endpoint,
    /// What it wants to be shown.
    pub credential: Credential,
    /// The label `environment` of all series.
    pub environment: String,
}

/// What a Prometheus wants to be shown, without the secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    None,
    SigV4,
    Bearer,
    Basic,
}

/// A word that is none of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not `none`, `sigv4`, `bearer` or `basic`")]
struct UnknownAuth;

impl FromStr for Auth {
    type Err = UnknownAuth;

    fn from_str(text: &str) -> Result<Auth, UnknownAuth> {
        match text {
            "none" => Ok(Auth::None),
            "sigv4" => Ok(Auth::SigV4),
            "bearer" => Ok(Auth::Bearer),
            "basic" => Ok(Auth::Basic),
            _ => Err(UnknownAuth),
        }
    }
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 7] = [
        "BUCKET_NAME",
        "METRIC_NAMESPACE",
        "EMF_EXTRACTION",
        "ENVIRONMENT",
        "PROMETHEUS_ENDPOINT",
        "PROMETHEUS_AUTH",
        "PROMETHEUS_SECRET_ARN",
    ];

    /// Reads them; every problem is told at once.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let bucket_name = variables.required("BUCKET_NAME");
        let metric_namespace = variables.required("METRIC_NAMESPACE");
        // No default: the wrong one would count twice, or not at all.
        let emf_extraction = variables.parsed("EMF_EXTRACTION");
        let prometheus = variables.optional("PROMETHEUS_ENDPOINT").and_then(|text| prometheus(&mut variables, &text));
        variables.finish(|| Some(Config { bucket_name, metric_namespace, emf_extraction: emf_extraction?, prometheus }))
    }
}

/// Reads what is about the Prometheus at `endpoint`. Without one the other variables are not looked at.
fn prometheus<L>(variables: &mut Variables<L>, endpoint: &str) -> Option<PrometheusConfig>
where
    L: Fn(&str) -> Option<String>,
{
    let endpoint = match endpoint.parse::<Endpoint>() {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            // Somebody may have written a password into it.
            variables.problem("PROMETHEUS_ENDPOINT", "(hidden)", error);
            None
        }
    };
    let environment = variables.required("ENVIRONMENT");
    // No default: samples would wait for somebody to find out.
    let auth = variables.parsed("PROMETHEUS_AUTH");
    let secret = match auth {
        Some(Auth::Bearer | Auth::Basic) => variables.required("PROMETHEUS_SECRET_ARN"),
        _ => String::new(),
    };
    let credential = match auth? {
        Auth::None => Credential::None,
        Auth::SigV4 => Credential::SigV4,
        Auth::Bearer => Credential::Bearer(secret),
        Auth::Basic => Credential::Basic(secret),
    };
    Some(PrometheusConfig { endpoint: endpoint?, credential, environment })
}
