//! A visit: one request of a visitor, followed through the services it touches.

use super::chance::{Chance, mix};
use super::service::{Service, TASKS};

/// What the lines of one request have in common.
pub struct Visit {
    /// Milliseconds into the minute; moves on as the visit does.
    pub at_ms: i64,
    /// Request id, the same in every service.
    pub request_id: String,
    /// Who; `None` for the service's own work.
    pub user: Option<i64>,
    /// The visitor's session.
    pub session_id: Option<String>,
    /// X-Ray trace id; `None` for the service's own work.
    pub trace_id: Option<String>,
    /// Which of a service's tasks answers.
    pub task: usize,
    span: u64,
}

/// The last millisecond of a minute, where a visit's clock stops: lines stay in their minute.
const LAST_MS: i64 = 59_999;

impl Visit {
    /// A visitor's request that starts somewhere in the minute that starts at `epoch_s`.
    pub fn of_user(chance: &mut Chance, epoch_s: i64) -> Visit {
        let at_ms = chance.between(0, 58_000);
        let (high, low) = (chance.next(), chance.next());
        let trace_id = format!("1-{:08x}-{:016x}{:08x}", epoch_s + at_ms / 1_000, high, low >> 32);
        Visit {
            user: Some(chance.between(1_000, 6_000)),
            session_id: Some(format!("s-{:012x}", chance.next() >> 16)),
            trace_id: Some(trace_id),
            ..Visit::of_service(chance, at_ms)
        }
    }

    /// A service's own work, at `at_ms` into the minute.
    pub fn of_service(chance: &mut Chance, at_ms: i64) -> Visit {
        Visit {
            at_ms: at_ms.clamp(0, LAST_MS),
            request_id: chance.uuid(),
            user: None,
            session_id: None,
            trace_id: None,
            task: (chance.next() % TASKS as u64) as usize,
            span: chance.next(),
        }
    }

    /// Lets `ms` pass.
    pub fn wait(&mut self, ms: i64) {
        self.at_ms = (self.at_ms + ms).clamp(0, LAST_MS);
    }

    /// The span of the visit in `service`: lines of one service in one visit share it.
    pub fn span_id(&self, service: Service) -> Option<String> {
        self.trace_id.as_ref().map(|_| format!("{:016x}", mix(self.span.wrapping_add(service as u64))))
    }
}
