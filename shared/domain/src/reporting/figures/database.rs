//! Database queries: how many, how long they took, and which tables stand out.

use std::collections::BTreeMap;

use super::tally::{Spread, dimension, rounded};
use crate::metrics::series::{Aggregate, Dimensions};
use crate::reporting::report::{self, SlowTable};

/// How many tables the list of the slowest has.
const LISTED: usize = 10;

/// What is counted of queries.
#[derive(Debug, Default)]
pub struct Database {
    tables: BTreeMap<(String, String), Spread>,
    latency: Spread,
}

impl Database {
    /// Adds durations of queries.
    pub fn durations(&mut self, dimensions: &Dimensions, minute: &Aggregate) {
        let table = (dimension(dimensions, "service").to_owned(), dimension(dimensions, "table").to_owned());
        self.tables.entry(table).or_default().add(minute);
        self.latency.add(minute);
    }

    /// The section of the report.
    pub fn section(&self) -> report::Database {
        let timed = |((service, table), held): (&(String, String), &Spread)| {
            Some(SlowTable {
                service: service.clone(),
                table: table.clone(),
                queries: held.count(),
                total_seconds: rounded(held.sum() / 1000.0, 1),
                latency: held.latency()?,
            })
        };
        let mut slowest_tables: Vec<SlowTable> = self.tables.iter().filter_map(timed).collect();
        // The sort is stable: those equally slow stay in order of their names.
        slowest_tables.sort_by(|a, b| b.latency.p95_ms.total_cmp(&a.latency.p95_ms));
        slowest_tables.truncate(LISTED);
        report::Database { queries: self.latency.count(), latency: self.latency.latency(), slowest_tables }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_ranked_by_all_their_queries_together() {
        let mut database = Database::default();
        for (table, query_type, millis) in
            [("contracts", "SELECT", 20.0), ("contracts", "UPDATE", 400.0), ("users", "SELECT", 90.0)]
        {
            let dimensions = [("service", "contract"), ("table", table), ("query_type", query_type)];
            let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            database.durations(&dimensions, &Aggregate::of(millis, 0));
        }
        let section = database.section();
        assert_eq!((section.queries, section.latency.unwrap().max_ms), (3, 400.0));
        let tables: Vec<_> =
            section.slowest_tables.iter().map(|t| (t.table.as_str(), t.queries, t.total_seconds)).collect();
        assert_eq!(tables, [("contracts", 2, 0.4), ("users", 1, 0.1)]);
    }

    #[test]
    fn without_queries_there_is_no_latency() {
        assert_eq!(Database::default().section(), report::Database::default());
    }
}
