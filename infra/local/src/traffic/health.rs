//! How the services and the database fare: resources, business indicators, open connections.

use super::Day;
use super::incidents::{DOCUMENT_CPU, SLOW_QUERIES};
use super::record::{Category, Level, Record};
use super::schedule::{activity, creations};
use super::service::Service;
use super::stage::Stage;

/// Minutes between two lines with business indicators.
const INDICATORS_EVERY: i64 = 5;

/// Every service says once a minute what it uses; nothing is near a threshold outside an incident.
pub fn resources(stage: &mut Stage) {
    let activity = activity(stage.offset);
    for (place, service) in Service::ALL.into_iter().enumerate() {
        let visit = stage.own_work(20_000 + 1_500 * place as i64);
        let cpu = if service == Service::Document && DOCUMENT_CPU.covers(stage.offset) {
            stage.chance.hundredths(85.0, 95.0)
        } else {
            12.0 + (activity * 4_000.0).floor() / 100.0 + stage.chance.hundredths(0.0, 14.0)
        };
        let memory = 41.0 + (activity * 2_000.0).floor() / 100.0 + stage.chance.hundredths(0.0, 9.0);
        let record = Record::new(Level::Info, Category::System, "Resource usage")
            .with("cpu_usage", cpu)
            .with("memory_usage", memory)
            .with("disk_usage", 44.0 + (stage.offset / 60) as f64 / 4.0);
        stage.log(service, &visit, &record);
    }
}

/// Every five minutes `web` says how business goes.
pub fn indicators(stage: &mut Stage) {
    if stage.offset % INDICATORS_EVERY != 0 {
        return;
    }
    let contracts: usize = (0..stage.offset).map(|earlier| creations(stage.day, earlier)).sum();
    let users = 12.0 + 420.0 * activity(stage.offset) * stage.day.scale;
    let visit = stage.own_work(1_000);
    let record = Record::new(Level::Info, Category::BusinessLogic, "Business indicators")
        .with("active_users", users as i64 + stage.chance.between(0, 9))
        .with("daily_contracts", contracts as i64)
        .with("conversion_rate", stage.chance.hundredths(2.1, 3.6));
    stage.log(Service::Web, &visit, &record);
}

/// Connections open to the database: AWS/RDS `DatabaseConnections`, which no log line carries.
pub fn database_connections(day: &Day, offset: i64) -> f64 {
    let mut chance = day.chance(b"connections", offset);
    if SLOW_QUERIES.covers(offset) {
        return chance.between(82, 97) as f64;
    }
    (16.0 + 34.0 * activity(offset)).floor() + chance.between(0, 6) as f64
}
