//! The ids of a request, set once for everything that is done for it.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tracing::instrument::{Instrument as _, Instrumented};
use tracing::{Span, dispatcher};
use tracing_subscriber::registry::{LookupSpan as _, Registry};

use schema::CONTEXT;
use schema::trace::Parent;

use crate::json;
use crate::trace::{self, SpanState};

/// Spans of this target carry a scope and are no part of a trace.
pub(crate) const TARGET: &str = "telemetry::scope";

/// Who asks for what is being done. Every line within the scope has these ids; spans and tasks inherit them.
///
/// ```
/// # async fn answer() {}
/// # async fn demo() {
/// let scope = telemetry::RequestScope::new("r-1").with_user("u-7");
/// scope.instrument(answer()).await;
/// # }
/// ```
///
/// Spans of the application's own set the same with fields of these names
/// (`info_span!("request", request_id, user_id)`), and so does the Lambda runtime's (`requestId`, `xrayTraceId`).
/// A task that is spawned gets the scope with `.in_current_span()` or `.instrument(span)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestScope {
    /// The request.
    pub request_id: Option<String>,
    /// The user who sent it.
    pub user_id: Option<String>,
    /// The session it is part of.
    pub session_id: Option<String>,
    /// The trace it is part of, and the span in it that is the parent of what comes.
    pub trace: Option<Parent>,
}

impl RequestScope {
    /// Of a request.
    pub fn new(request_id: impl Into<String>) -> RequestScope {
        RequestScope { request_id: Some(request_id.into()), ..RequestScope::default() }
    }

    /// With its user.
    #[must_use]
    pub fn with_user(self, user_id: impl Into<String>) -> RequestScope {
        RequestScope { user_id: Some(user_id.into()), ..self }
    }

    /// With its session.
    #[must_use]
    pub fn with_session(self, session_id: impl Into<String>) -> RequestScope {
        RequestScope { session_id: Some(session_id.into()), ..self }
    }

    /// As a part of a trace.
    #[must_use]
    pub fn with_trace(self, trace: Parent) -> RequestScope {
        RequestScope { trace: Some(trace), ..self }
    }

    /// A span that carries it: enter it, or instrument futures with it.
    pub fn span(&self) -> Span {
        let make = || {
            tracing::info_span!(
                target: TARGET,
                "request",
                request_id = self.request_id.as_deref(),
                user_id = self.user_id.as_deref(),
                session_id = self.session_id.as_deref(),
            )
        };
        match self.trace {
            Some(parent) => trace::with_parent(parent, make),
            None => make(),
        }
    }

    /// Does `work` in it.
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        self.span().in_scope(work)
    }

    /// The future, in it wherever it is polled.
    pub fn instrument<F: Future>(self, future: F) -> Instrumented<F> {
        future.instrument(self.span())
    }
}

/// The scope of what this thread is doing. `None` outside of any.
pub fn current() -> Option<RequestScope> {
    with_current(|state| {
        let ids = state.ids.as_ref().map(|ids| ids.read());
        let id = |at: usize| ids.as_ref().and_then(|ids| ids.get(at)).map(str::to_owned);
        RequestScope {
            request_id: id(0),
            user_id: id(1),
            session_id: id(2),
            trace: state.place.map(|place| Parent {
                trace_id: place.trace_id,
                span_id: place.span_id,
                sampled: Some(place.sampled),
            }),
        }
    })
    .filter(|scope| *scope != RequestScope::default())
}

/// Names the user of the request that this thread is working on, as soon as it is known: everything of the request has
/// it from then on, in whatever span, whether its trace is kept or not. `false` outside of any request, which is a
/// span with a `request_id`, `user_id` or `session_id`: then nothing is set.
pub fn set_user(user_id: &str) -> bool {
    set_later(1, user_id)
}

/// The same of its session.
pub fn set_session(session_id: &str) -> bool {
    set_later(2, session_id)
}

fn set_later(at: usize, id: &str) -> bool {
    let ids = with_current(|state| state.ids.clone()).flatten();
    let Some(ids) = ids else { return false };
    let mut around = Some(&ids);
    while let Some(ids) = around {
        ids.update(at, id);
        around = ids.outer.as_ref();
    }
    true
}

/// Looks at the state of the span that this thread is in.
pub(crate) fn with_current<R>(look: impl FnOnce(&SpanState) -> R) -> Option<R> {
    let mut look = Some(look);
    dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span();
        let span = dispatch.downcast_ref::<Registry>()?.span(current.id()?)?;
        // Called once, which its type does not say.
        trace::nearest(&span, look.take()?)
    })
}

/// The ids of a request: of all spans that inherit them, so that what is known later is known in all of them.
#[derive(Debug)]
pub(crate) struct SharedIds {
    now: RwLock<Ids>,
    /// Those around it of the same request, where a span has added some of its own.
    outer: Option<Arc<SharedIds>>,
}

impl SharedIds {
    pub(crate) fn new(ids: Ids, outer: Option<Arc<SharedIds>>) -> SharedIds {
        let outer = outer.filter(|outer| Arc::ptr_eq(&outer.read().request, &ids.request));
        SharedIds { now: RwLock::new(ids), outer }
    }

    /// As they are now.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Ids> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts other ids in their place.
    pub(crate) fn replace(&self, ids: Ids) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = ids;
    }

    fn update(&self, at: usize, id: &str) {
        let mut values = [None, None, None];
        values[at] = Some(id.to_owned());
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let request = Arc::clone(&now.request);
        *now = Ids::within(Some(&now), values, request);
    }
}

/// The ids of a request as its lines begin their context.
#[derive(Debug)]
pub(crate) struct Ids {
    values: [Option<String>; 3],
    json: Vec<u8>,
    pub(crate) request: Arc<Request>,
}

impl Ids {
    /// What is new in `values`, on top of the ids around it.
    pub(crate) fn within(outer: Option<&Ids>, values: [Option<String>; 3], request: Arc<Request>) -> Ids {
        let mut at = 0;
        let values = values.map(|value| {
            at += 1;
            value.or_else(|| outer.and_then(|outer| outer.values[at - 1].clone()))
        });
        let mut json = Vec::new();
        for (name, value) in CONTEXT.iter().zip(&values) {
            if let Some(value) = value {
                json.push(b'"');
                json.extend_from_slice(name.as_bytes());
                json.extend_from_slice(b"\":");
                json::text(&mut json, value);
                json.push(b',');
            }
        }
        Ids { values, json, request }
    }

    /// Request, user or session id.
    pub(crate) fn get(&self, at: usize) -> Option<&str> {
        self.values[at].as_deref()
    }

    /// The members that there are, each with a comma after it.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }
}

/// What all spans of one request share.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// Whether all its DEBUG lines are written.
    pub(crate) debug: bool,
    held: Mutex<Held>,
}

/// DEBUG lines that are written only if something fails.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that gave way to later ones.
    pub(crate) discarded: u64,
}

impl Request {
    pub(crate) fn new(debug: bool) -> Request {
        Request { debug, held: Mutex::default() }
    }

    /// Keeps a line back, up to `limit` bytes of lines. The oldest give way.
    pub(crate) fn hold(&self, line: &[u8], limit: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if line.len() > limit {
            held.discarded += 1;
            return;
        }
        held.bytes += line.len();
        // Buffers of lines that give way are used again.
        let mut buffer = Vec::new();
        while held.bytes > limit {
            let Some(oldest) = held.lines.pop_front() else { break };
            held.bytes -= oldest.len();
            held.discarded += 1;
            buffer = oldest;
        }
        buffer.clear();
        buffer.extend_from_slice(line);
        held.lines.push_back(buffer);
    }

    /// What was kept back, to be written now.
    pub(crate) fn release(&self) -> Held {
        mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_give_way_and_are_counted() {
        let request = Request::new(false);
        for number in 0..10 {
            request.hold(format!("line {number}").as_bytes(), 20);
        }
        request.hold(&[b'x'; 21], 20);
        request.hold(b"last", 20);
        let held = request.release();
        assert_eq!((held.lines, held.discarded), (["line 8", "line 9", "last"].map(Vec::from).into(), 9));
        assert!(request.release().lines.is_empty());
    }
}
