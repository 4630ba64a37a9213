//! Incidents breach what they are meant to breach, and the rest of the day breaches nothing: for every
//! window that a rule looks at, in all traffic and in each service, at full scale and at a tenth.

use super::observed::percentile_95;
use super::{FULL, day, observed};
use crate::traffic::incidents::*;
use crate::traffic::service::Service;

/// Every window of `length` minutes: its first offset, and how it lies to `incident`.
fn windows(length: i64, incident: Incident) -> impl Iterator<Item = (i64, Lies)> {
    (0..=1440 - length).map(move |from| {
        let inside = (from..from + length).filter(|offset| incident.covers(*offset)).count() as i64;
        let lies = if inside == length {
            Lies::Inside
        } else if inside == 0 {
            Lies::Outside
        } else {
            Lies::Across
        };
        (from, lies)
    })
}

#[derive(Debug, PartialEq)]
enum Lies {
    Inside,
    Across,
    Outside,
}

#[test]
fn contract_creation_fails_too_often_only_while_the_registry_is_down() {
    for observed in observed() {
        for (from, lies) in windows(10, REGISTRY_OUTAGE) {
            let failures = observed.sum("contract_creation_errors", from, 10);
            match lies {
                Lies::Inside => assert_eq!(failures, 20),
                Lies::Outside => assert!(failures <= 2, "{failures} from {from}"),
                Lies::Across => {}
            }
        }
        assert!(observed.sum("contracts_created", REGISTRY_OUTAGE.from, 25) == 0);
    }
}

#[test]
fn logins_fail_too_often_only_under_attack() {
    for observed in observed() {
        for (from, lies) in windows(5, LOGIN_ATTACK) {
            let failures = observed.failed_logins(from, 5);
            match lies {
                Lies::Inside => assert!(failures >= 200),
                Lies::Outside => assert!(failures <= 10, "{failures} from {from}"),
                Lies::Across => {}
            }
        }
    }
}

#[test]
fn an_hour_without_a_registration_comes_only_by_the_incident() {
    for observed in observed() {
        for (from, lies) in windows(60, NO_REGISTRATIONS) {
            let registrations = observed.sum("user_registrations", from, 60);
            match lies {
                Lies::Inside => assert_eq!(registrations, 0),
                Lies::Outside => assert!(registrations >= 3, "{registrations} from {from}"),
                Lies::Across => {}
            }
        }
        assert!(observed.sum("user_registrations", 0, 1) > 0);
    }
}

#[test]
fn errors_pass_five_percent_only_in_the_incident_in_all_requests_and_in_each_service() {
    for observed in observed() {
        for length in [1, 2] {
            for (from, lies) in windows(length, API_ERRORS) {
                let overall = observed.error_share(None, from, length);
                match lies {
                    Lies::Inside => assert!(overall > 0.08, "{overall} from {from}"),
                    Lies::Outside => {
                        assert!(overall < 0.03, "{overall} from {from}");
                        for service in Service::ALL {
                            let share = observed.error_share(Some(service.name()), from, length);
                            assert!(share <= 0.04, "{share} from {from} in {}", service.name());
                        }
                    }
                    Lies::Across => {}
                }
            }
        }
        assert!(observed.error_share(None, 0, API_ERRORS.from) < 0.01);
    }
    let strays = FULL.sum_of(|request| request.status >= 500 && !API_ERRORS.covers(request.offset));
    assert!(strays > 10, "{strays}");
}

#[test]
fn requests_are_slow_only_in_the_incident_in_all_requests_and_in_each_service() {
    for observed in observed() {
        for length in [1, 5] {
            for (from, lies) in windows(length, SLOW_API) {
                let overall = percentile_95(observed.durations(None, from, length));
                let api = percentile_95(observed.durations(Some("api"), from, length));
                if lies == Lies::Inside {
                    assert!(overall > 5_000.0 && api > 5_000.0, "{overall} {api} from {from}");
                }
                for service in Service::ALL.map(Service::name) {
                    let p95 = percentile_95(observed.durations(Some(service), from, length));
                    let calm = lies == Lies::Outside || service != "api";
                    assert!(!calm || p95 < 800.0, "{p95} from {from} in {service}");
                }
                assert!(lies != Lies::Outside || overall < 800.0, "{overall} from {from}");
            }
        }
    }
}

#[test]
fn the_database_is_slow_and_crowded_only_in_the_incident() {
    let day = day(1.0);
    for (offset, minute) in day.minutes().enumerate() {
        let connections = day.database_connections(minute);
        let slow = SLOW_QUERIES.covers(offset as i64);
        assert!(if slow { connections > 75.0 } else { connections < 60.0 }, "{connections} at {offset}");
    }
    for observed in observed() {
        for (offset, lies) in windows(1, SLOW_QUERIES) {
            let slowest = observed.slowest_statement(offset);
            match lies {
                Lies::Inside => assert!((6_000.0..9_000.0).contains(&slowest)),
                _ => assert!(slowest < 3_000.0, "{slowest} at {offset}"),
            }
        }
    }
}

#[test]
fn resources_are_near_their_limits_only_in_the_incident() {
    for observed in observed() {
        for service in Service::ALL {
            let readings = observed.resources(service.name());
            assert_eq!(readings.len(), 1440);
            for (offset, (cpu, memory)) in readings.into_iter().enumerate() {
                let busy = service == Service::Document && DOCUMENT_CPU.covers(offset as i64);
                assert!(if busy { cpu > 80.0 } else { cpu < 75.0 }, "{cpu} at {offset}");
                assert!(memory < 80.0, "{memory} at {offset}");
            }
        }
    }
}

#[test]
fn the_indicators_count_the_contracts_since_midnight() {
    let indicators = FULL.indicators();
    assert_eq!(indicators.len(), 1440 / 5);
    for (offset, contracts) in indicators {
        assert_eq!(contracts, FULL.sum("contracts_created", 0, offset));
    }
}
