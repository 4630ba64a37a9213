//! What goes wrong in the day, when, and which alert rule has to say so.
//!
//! Times are minutes after the day's start. Incidents do not shrink with the day's scale: a day of a
//! tenth of the lines still raises every alert. Outside them no rule has a reason to fire.

use domain::minute::Minute;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incident {
    /// What to call it.
    pub name: &'static str,
    /// First minute, counted from the day's start.
    pub from: i64,
    /// The minute after the last.
    pub until: i64,
    /// The rule that has to fire while it lasts or soon after: once, and it resolves once.
    pub expects: &'static str,
    /// Rules that rightly fire as well. Those of objectives resolve hours later.
    pub also: &'static [&'static str],
    /// What happens, for people.
    pub story: &'static str,
}

impl Incident {
    /// Whether the minute `offset` after the day's start is in it.
    pub fn covers(&self, offset: i64) -> bool {
        (self.from..self.until).contains(&offset)
    }

    /// Its first minute on the day that starts at `date_start`.
    pub fn starts(&self, date_start: Minute) -> Minute {
        date_start.plus(self.from)
    }

    /// The minute after its last.
    pub fn ends(&self, date_start: Minute) -> Minute {
        date_start.plus(self.until)
    }
}

/// 03:10-03:25, service `user`: 40 failed logins a minute from one address.
pub const LOGIN_ATTACK: Incident = Incident {
    name: "login_attack",
    from: 3 * 60 + 10,
    until: 3 * 60 + 25,
    expects: "failed_logins",
    also: &[],
    story: "someone tries 40 passwords a minute from one address",
};

/// 10:20-10:45, service `contract`: two contract creations a minute, and each one fails.
pub const REGISTRY_OUTAGE: Incident = Incident {
    name: "registry_outage",
    from: 10 * 60 + 20,
    until: 10 * 60 + 45,
    expects: "contract_creation_failure",
    also: &[],
    story: "the land registry does not answer, so no contract can be created",
};

/// 14:00-14:20, service `api`: three requests in four take 6-9 s.
pub const SLOW_API: Incident = Incident {
    name: "slow_api",
    from: 14 * 60,
    until: 14 * 60 + 20,
    expects: "slow_api_requests",
    also: &["api_latency"],
    story: "the API waits 6-9 s for the database",
};

/// 14:00-14:20, PostgreSQL: the statements that the API waits for, and over 75 connections.
pub const SLOW_QUERIES: Incident = Incident {
    name: "slow_queries",
    from: SLOW_API.from,
    until: SLOW_API.until,
    expects: "database_connections_high",
    also: &["slow_database_queries"],
    story: "statements take 6-9 s and hold their connections",
};

/// 16:30-16:45, service `api`: every second request is answered with 5xx.
pub const API_ERRORS: Incident = Incident {
    name: "api_errors",
    from: 16 * 60 + 30,
    until: 16 * 60 + 45,
    expects: "high_error_rate",
    also: &["api_availability"],
    story: "every second API request fails with 5xx",
};

/// 19:00-19:20, service `document`: CPU at 85-95 %.
pub const DOCUMENT_CPU: Incident = Incident {
    name: "document_cpu",
    from: 19 * 60,
    until: 19 * 60 + 20,
    expects: "high_cpu_usage",
    also: &[],
    story: "document previews keep the CPU at 85-95 %",
};

/// 21:00-22:30, service `user`: nobody registers. The 60-minute window is empty from 22:00 at the latest.
pub const NO_REGISTRATIONS: Incident = Incident {
    name: "no_registrations",
    from: 21 * 60,
    until: 22 * 60 + 30,
    expects: "low_user_registrations",
    also: &[],
    story: "the registration form is broken and nobody notices",
};

/// All of them, in the order in which they start.
pub const INCIDENTS: [Incident; 7] =
    [LOGIN_ATTACK, REGISTRY_OUTAGE, SLOW_API, SLOW_QUERIES, API_ERRORS, DOCUMENT_CPU, NO_REGISTRATIONS];
