//! Whose lines they are, by the name of the log group.

/// The part of the platform that writes to a log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `production`, ...; `unknown` where the name does not tell.
    pub environment: String,
    /// `api`, `contract`, ...
    pub service: String,
}

/// Reads `/aws/ecs/<env>/<service>` and `/aws/rds/instance/<env>-<service>-db/postgresql`. Any other
/// group is a service of its own, named by the last part of its name.
pub fn of(log_group: &str) -> Origin {
    let parts: Vec<&str> = log_group.split('/').filter(|part| !part.is_empty()).collect();
    let (environment, service) = match parts.as_slice() {
        ["aws", "ecs", environment, service] => (*environment, *service),
        ["aws", "rds", "instance", instance, "postgresql"] => match instance.split_once('-') {
            Some((environment, rest)) => (environment, rest.strip_suffix("-db").unwrap_or(rest)),
            None => ("unknown", *instance),
        },
        [.., last] => ("unknown", *last),
        [] => ("unknown", "unknown"),
    };
    Origin { environment: environment.to_owned(), service: service.to_owned() }
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
            ("", "unknown", "unknown"),
        ] {
            let origin = of(group);
            assert_eq!((origin.environment.as_str(), origin.service.as_str()), (environment, service), "{group}");
        }
    }
}
