//! Requests: how many, how many failed, how long they took, and which endpoints stand out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::tally::{Spread, dimension, percent, whole};
use crate::metrics::series::{Aggregate, Dimensions};
use crate::reporting::report::{self, ErrorEndpoint, Latency, SlowEndpoint};

/// How many endpoints a list of the worst has.
const LISTED: usize = 10;

#[derive(Debug, Default)]
struct Requests {
    by_status: BTreeMap<String, f64>,
    latency: Spread,
}

impl Requests {
    fn count(&self) -> f64 {
        self.by_status.values().sum()
    }

    fn errors(&self, class: char) -> f64 {
        self.by_status.iter().filter(|(status, _)| is_class(status, class)).map(|(_, count)| count).sum()
    }
}

/// Whether a status code is 5xx (class `5`), 4xx, ...
fn is_class(status: &str, class: char) -> bool {
    status.len() == 3 && status.starts_with(class)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    service: String,
    endpoint: String,
    method: String,
}

/// What is counted of requests.
#[derive(Debug, Default)]
pub struct Api {
    endpoints: BTreeMap<Endpoint, Requests>,
    services: BTreeMap<String, Spread>,
    latency: Spread,
}

/// Requests of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRequests {
    /// How many.
    pub requests: u64,
    /// Answered 5xx, in percent.
    pub error_rate_percent: Option<f64>,
    /// How long they took.
    pub latency: Option<Latency>,
}

impl Api {
    /// Adds requests answered; tells whether they were answered 5xx.
    pub fn requests(&mut self, dimensions: &Dimensions, count: f64) -> bool {
        let status = dimension(dimensions, "status_code");
        *self.endpoint(dimensions).by_status.entry(status.to_owned()).or_default() += count;
        is_class(status, '5')
    }

    /// Adds durations of requests.
    pub fn durations(&mut self, dimensions: &Dimensions, minute: &Aggregate) {
        self.endpoint(dimensions).latency.add(minute);
        self.services.entry(dimension(dimensions, "service").to_owned()).or_default().add(minute);
        self.latency.add(minute);
    }

    fn endpoint(&mut self, dimensions: &Dimensions) -> &mut Requests {
        let text = |name: &str| dimension(dimensions, name).to_owned();
        let endpoint = Endpoint { service: text("service"), endpoint: text("endpoint"), method: text("method") };
        self.endpoints.entry(endpoint).or_default()
    }

    /// Requests by service.
    pub fn by_service(&self) -> BTreeMap<String, ServiceRequests> {
        let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (endpoint, held) in &self.endpoints {
            let (requests, errors) = counts.entry(&endpoint.service).or_default();
            *requests += held.count();
            *errors += held.errors('5');
        }
        let service = |(name, (requests, errors)): (&str, (f64, f64))| {
            let figures = ServiceRequests {
                requests: whole(requests),
                error_rate_percent: percent(errors, requests),
                latency: self.services.get(name).and_then(Spread::latency),
            };
            (name.to_owned(), figures)
        };
        counts.into_iter().map(service).collect()
    }

    /// The section of the report.
    pub fn section(&self) -> report::Api {
        let sum = |of: &dyn Fn(&Requests) -> f64| self.endpoints.values().map(of).sum::<f64>();
        let (requests, server_errors) = (sum(&Requests::count), sum(&|held| held.errors('5')));
        report::Api {
            requests: whole(requests),
            server_errors: whole(server_errors),
            client_errors: whole(sum(&|held| held.errors('4'))),
            error_rate_percent: percent(server_errors, requests),
            latency: self.latency.latency(),
            slowest_endpoints: self.slowest(),
            error_endpoints: self.most_errors(),
        }
    }

    fn slowest(&self) -> Vec<SlowEndpoint> {
        let timed = |(endpoint, held): (&Endpoint, &Requests)| {
            Some(SlowEndpoint {
                service: endpoint.service.clone(),
                method: endpoint.method.clone(),
                endpoint: endpoint.endpoint.clone(),
                requests: held.latency.count(),
                latency: held.latency.latency()?,
            })
        };
        let mut slowest: Vec<SlowEndpoint> = self.endpoints.iter().filter_map(timed).collect();
        // The sort is stable: those equally slow stay in order of their names.
        slowest.sort_by(|a, b| b.latency.p95_ms.total_cmp(&a.latency.p95_ms));
        slowest.truncate(LISTED);
        slowest
    }

    fn most_errors(&self) -> Vec<ErrorEndpoint> {
        let failing = |(endpoint, held): (&Endpoint, &Requests)| {
            let (requests, errors) = (held.count(), held.errors('5'));
            (errors > 0.0).then(|| ErrorEndpoint {
                service: endpoint.service.clone(),
                method: endpoint.method.clone(),
                endpoint: endpoint.endpoint.clone(),
                requests: whole(requests),
                server_errors: whole(errors),
                error_rate_percent: percent(errors, requests).unwrap_or_default(),
                by_status: server_errors_by_status(&held.by_status),
            })
        };
        let mut worst: Vec<ErrorEndpoint> = self.endpoints.iter().filter_map(failing).collect();
        worst.sort_by_key(|endpoint| Reverse(endpoint.server_errors));
        worst.truncate(LISTED);
        worst
    }
}

fn server_errors_by_status(by_status: &BTreeMap<String, f64>) -> BTreeMap<String, u64> {
    by_status
        .iter()
        .filter(|(status, _)| is_class(status, '5'))
        .map(|(status, count)| (status.clone(), whole(*count)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(endpoint: &str, status: &str) -> Dimensions {
        [("service", "api"), ("endpoint", endpoint), ("method", "GET"), ("status_code", status)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn the_error_rate_is_the_share_of_5xx_in_all_requests() {
        // Defect 48: dividing series by series, label by label, gives 100 % wherever anything failed.
        let mut api = Api::default();
        assert!(!api.requests(&request("/contracts", "200"), 990.0));
        assert!(!api.requests(&request("/contracts", "404"), 5.0));
        assert!(api.requests(&request("/contracts", "503"), 4.0));
        assert!(api.requests(&request("/users", "500"), 1.0));
        let section = api.section();
        assert_eq!((section.requests, section.server_errors, section.client_errors), (1000, 5, 5));
        assert_eq!(section.error_rate_percent, Some(0.5));
        let worst: Vec<_> = section.error_endpoints.iter().map(|e| (e.endpoint.as_str(), e.server_errors)).collect();
        assert_eq!(worst, [("/contracts", 4), ("/users", 1)]);
        assert_eq!(section.error_endpoints[0].error_rate_percent, 0.4);
        assert_eq!(section.error_endpoints[0].by_status, BTreeMap::from([("503".to_owned(), 4)]));
        assert_eq!(api.by_service()["api"].error_rate_percent, Some(0.5));
    }

    #[test]
    fn the_slowest_endpoints_come_first_and_only_ten_of_them() {
        let mut api = Api::default();
        for number in 0..12 {
            api.durations(&request(&format!("/{number:02}"), ""), &Aggregate::of(f64::from(number / 2), 0));
        }
        let slowest: Vec<_> = api.section().slowest_endpoints.into_iter().map(|e| e.endpoint).collect();
        assert_eq!(slowest, ["/10", "/11", "/08", "/09", "/06", "/07", "/04", "/05", "/02", "/03"]);
    }

    #[test]
    fn what_is_no_status_code_is_no_error() {
        let mut api = Api::default();
        for status in ["", "5", "50000", "ok"] {
            assert!(!api.requests(&request("/", status), 1.0), "{status}");
        }
        assert!(!api.requests(&Dimensions::new(), 1.0));
        assert_eq!((api.section().requests, api.section().server_errors), (5, 0));
    }
}
