//! Configuration from the environment. The bucket is none of it: S3 names it in every event (and could not be told
//! about a function that has to know its name first).

use std::str::FromStr;

use aws::otlp::{Endpoint, SecretHeaders};
use aws::variables::{ConfigError, Variables};

/// What the function has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether spans go to X-Ray.
    pub to_xray: bool,
    /// The collector that spans go to, if any.
    pub otlp_endpoint: Option<Endpoint>,
    /// What the collector wants in every request.
    pub otlp_headers: SecretHeaders,
    /// Whether requests to the collector are compressed.
    pub otlp_compression: Compression,
}

/// How a request is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// With gzip, which collectors have to take.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// A word that is none of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NotOneOf(&'static str);

impl std::fmt::Display for NotOneOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not {}", self.0)
    }
}

impl Config {
    /// The variables it reads.
    pub const VARIABLES: [&str; 4] = ["XRAY", "OTLP_ENDPOINT", "OTLP_HEADERS", "OTLP_COMPRESSION"];

    /// Reads them; every problem is told, but not the headers.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut variables = Variables::new(lookup);
        let to_xray = variables.optional_with("XRAY", |text| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(NotOneOf("`on` or `off`")),
        });
        let otlp_endpoint = variables.optional_with("OTLP_ENDPOINT", Endpoint::from_str);
        let otlp_headers = match variables.optional("OTLP_HEADERS").map(|text| text.parse()) {
            Some(Err(error)) => {
                let error: aws::otlp::InvalidHeaders = error;
                variables.problem("OTLP_HEADERS", "(hidden)", error);
                SecretHeaders::default()
            }
            Some(Ok(headers)) => headers,
            None => SecretHeaders::default(),
        };
        let otlp_compression = variables.optional_with("OTLP_COMPRESSION", |text| match text {
            "gzip" => Ok(Compression::Gzip),
            "none" => Ok(Compression::None),
            _ => Err(NotOneOf("`gzip` or `none`")),
        });
        variables.finish(|| {
            Some(Config {
                to_xray: to_xray.unwrap_or(true),
                otlp_endpoint,
                otlp_headers,
                otlp_compression: otlp_compression.unwrap_or_default(),
            })
        })
    }
}
