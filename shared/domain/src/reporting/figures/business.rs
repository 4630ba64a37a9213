//! What the platform is for: users, contracts, documents. Security events are counted here too.

use std::collections::BTreeMap;

use super::tally::{dimension, rounded, whole};
use crate::metrics::series::{Aggregate, Dimensions};
use crate::reporting::report;

/// Things counted, by some name.
#[derive(Debug, Default)]
struct Counts(BTreeMap<String, f64>);

impl Counts {
    fn add(&mut self, name: &str, count: f64) {
        *self.0.entry(name.to_owned()).or_default() += count;
    }

    fn total(&self) -> u64 {
        whole(self.0.values().sum())
    }

    fn by_name(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(name, count)| (name.clone(), whole(*count))).filter(|(_, count)| *count > 0).collect()
    }
}

/// What is counted of the business.
#[derive(Debug, Default)]
pub struct Business {
    registrations: f64,
    created: f64,
    signed: f64,
    value: f64,
    creation_errors: Counts,
    documents: Counts,
    megabytes: f64,
    security: Counts,
}

impl Business {
    /// Adds a minute of the metric `name`, if it is one of this section.
    pub fn add(&mut self, name: &str, dimensions: &Dimensions, minute: &Aggregate) {
        let sum = minute.sum;
        match name {
            "user_registrations" => self.registrations += sum,
            "contracts_created" => self.created += sum,
            "contracts_signed" => self.signed += sum,
            "contract_value" => self.value += sum,
            "contract_creation_errors" => self.creation_errors.add(dimension(dimensions, "reason"), sum),
            "documents_uploaded" => self.documents.add(dimension(dimensions, "type"), sum),
            "document_size" => self.megabytes += sum,
            "security_events" => self.security.add(dimension(dimensions, "event_type"), sum),
            _ => {}
        }
    }

    /// The section of the report.
    pub fn section(&self) -> report::Business {
        report::Business {
            registrations: whole(self.registrations),
            contracts_created: whole(self.created),
            contracts_signed: whole(self.signed),
            contract_value_sum: rounded(self.value, 2),
            creation_errors: self.creation_errors.total(),
            creation_errors_by_reason: self.creation_errors.by_name(),
            documents_uploaded: self.documents.total(),
            documents_by_type: self.documents.by_name(),
            documents_megabytes: rounded(self.megabytes, 1),
        }
    }

    /// The section on security.
    pub fn security(&self) -> report::Security {
        report::Security { events: self.security.total(), by_type: self.security.by_name() }
    }
}
