//! Whose lines they are, by the name of the log group.

use crate::events;

/// The part of the platform that writes to a log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `production`, ...; `unknown` where the name does not tell.
    pub environment: String,
    /// `api`, `contract`, ...
    pub service: String,
    /// Whether they are the server log of a database.
    pub is_database: bool,
}

/// Reads `/aws/ecs/<env>/<service>` and `/aws/rds/instance/<env>-<service>-db/postgresql`. Any other
/// group is a service of its own, named by the last part of its name. What came as an event is of the service
/// that its source names by its last part: `events:land-contracts.contract`.
///
/// `environment` is the one that the function runs in: it may have hyphens in its name, and an
/// instance that begins with it is split after it. Any other instance is split at its first hyphen.
pub fn of(log_group: &str, environment: &str) -> Origin {
    if let Some(source) = log_group.strip_prefix(events::LOG_GROUP) {
        let service = source.rsplit('.').find(|part| !part.trim().is_empty()).unwrap_or("unknown").to_owned();
        return Origin { environment: environment.to_owned(), service, is_database: false };
    }
    let parts: Vec<&str> = log_group.split('/').filter(|part| !part.is_empty()).collect();
    let (environment, service, is_database) = match parts.as_slice() {
        ["aws", "ecs", environment, service] => (*environment, *service, false),
        ["aws", "rds", "instance", instance, "postgresql"] => {
            let (environment, service) = instance_parts(instance, environment);
            (environment, service, true)
        }
        [.., last] => ("unknown", *last, false),
        [] => ("unknown", "unknown", false),
    };
    Origin { environment: environment.to_owned(), service: service.to_owned(), is_database }
}

fn instance_parts<'a>(instance: &'a str, environment: &'a str) -> (&'a str, &'a str) {
    let own =
        instance.strip_prefix(environment).and_then(|rest| rest.strip_prefix('-')).filter(|rest| !rest.is_empty());
    match own.map(|rest| (environment, rest)).or_else(|| instance.split_once('-')) {
        Some((environment, rest)) => (environment, rest.strip_suffix("-db").unwrap_or(rest)),
        None => ("unknown", instance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_group_tells_environment_and_service() {
        for (group, environment, service) in [
            ("/aws/ecs/production/api", "production", "api"),
            ("/aws/ecs/staging/document", "staging", "document"),
            ("/aws/rds/instance/production-contract-db/postgresql", "production", "contract"),
            ("/aws/rds/instance/production-ledger/postgresql", "production", "ledger"),
            ("/aws/rds/instance/main/postgresql", "unknown", "main"),
            ("/custom/billing", "unknown", "billing"),
            ("events:land-contracts.contract", "production", "contract"),
            ("events:contract", "production", "contract"),
            ("events:..", "production", "unknown"),
            ("", "unknown", "unknown"),
        ] {
            let origin = of(group, "production");
            assert_eq!((origin.environment.as_str(), origin.service.as_str()), (environment, service), "{group}");
        }
    }

    #[test]
    fn an_environment_may_have_hyphens() {
        for (instance, environment, service) in [
            ("pre-production-contract-db", "pre-production", "contract"),
            ("pre-production-land-registry-db", "pre-production", "land-registry"),
            ("staging-contract-db", "staging", "contract"),
            ("pre-productions-db", "pre", "productions"),
            ("pre-production", "pre", "production"),
        ] {
            let origin = of(&format!("/aws/rds/instance/{instance}/postgresql"), "pre-production");
            assert_eq!((origin.environment.as_str(), origin.service.as_str()), (environment, service), "{instance}");
        }
    }
}
