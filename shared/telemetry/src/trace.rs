//! Traces: which spans of `tracing` are part of one, what they carry, and how other services are told.
//!
//! A span that [`Traces::spans`](crate::Traces::spans) lets through (INFO and above, unless set otherwise) is part of
//! a trace: of its parent's, of that of a caller ([`with_parent`], or a field `traceparent` or `xrayTraceId`), or of
//! one that begins with it. Whether a trace is kept is decided once, where it begins, and everybody else follows.
//! When a span of a kept trace closes, it is written as a span line. Of a trace that is not kept the first span here
//! has ids, which hold for all lines and calls within: the spans in it are seen by nobody, and cost next to nothing.
//!
//! Fields of a span are its tags, but for these:
//!
//! | field | is |
//! |---|---|
//! | `span.name` (or `otel.name`) | `operation_name`, where the span's own name is too general |
//! | `span.kind` (or `otel.kind`) | internal, server, client, producer, consumer |
//! | `span.status` (or `otel.status_code`) | ok, error, timeout, cancelled |
//! | `span.resource` | `resource`; the operation's name, where it is not set |
//! | `request_id`, `user_id`, `session_id` | ids of the scope |
//! | `traceparent`, `xrayTraceId` | the caller's header |
//! | `trace_id` | the trace that the span is part of, where no more is known of the caller |
//!
//! What can't be read is a tag. They may be declared [`Empty`] and recorded later, but for the last two rows: a span
//! that is there is of its trace already, and what is recorded of another is a tag, too. An id that is recorded later holds in
//! the span and in what is within, but for spans that were there before and name ids of their own; who a request's user
//! is can be said from anywhere within it by [`scope::set_user`], for all that is around, too.
//!
//! Events at WARN and above are added to the `logs` of the span they happen in; others with a field `span.log = true`.
//! An ERROR with a field `error` makes the status `error`, unless one is set.

mod id;
mod sampler;
mod span;
mod traced;

pub(crate) use id::{span_id, trace_id};
pub(crate) use sampler::{Sampler, bits_of};
pub(crate) use span::{Found, OpenSpan, SpanFields, SpanState, Tags, is_id, is_inherited, nearest};

pub use span::Tag;
pub use traced::{Traced, traced};

use std::cell::Cell;
use std::sync::Arc;

use tracing::Span;
use tracing::field::Empty;
use tracing_subscriber::registry::{LookupSpan as _, Registry};

use schema::Level;
use schema::trace::{Parent, SpanKind, SpanStatus};

use crate::handle::Telemetry;
use crate::layer::LogLayer;
use crate::scope::{self, SharedIds};

thread_local! {
    static NEXT: Cell<Option<Next>> = const { Cell::new(None) };
}

/// What the next span of a thread is told beside its fields.
#[derive(Debug, Default)]
pub(crate) struct Next {
    /// `None` for one that begins a trace.
    pub(crate) parent: Option<Parent>,
    /// Whether the parent's ids were chosen by somebody who is not trusted: then they decide nothing.
    pub(crate) is_foreign: bool,
    /// What it inherits, besides what it would.
    pub(crate) ids: Option<Arc<SharedIds>>,
}

/// The first span that `make` makes on this thread is a child of a span elsewhere, and follows what was decided there.
/// Where that is not said, the trace's id decides: who chooses it chooses whether the trace is kept.
pub fn with_parent<R>(parent: Parent, make: impl FnOnce() -> R) -> R {
    with_next(Next { parent: Some(parent), ..Next::default() }, make)
}

/// The same where nobody who is trusted has said so: whether it is kept is decided here, by chance.
pub(crate) fn with_foreign_parent<R>(parent: Parent, make: impl FnOnce() -> R) -> R {
    let parent = Parent { sampled: None, ..parent };
    with_next(Next { parent: Some(parent), is_foreign: true, ids: None }, make)
}

fn with_next<R>(next: Next, make: impl FnOnce() -> R) -> R {
    struct Restore(Option<Next>);
    impl Drop for Restore {
        fn drop(&mut self) {
            NEXT.set(self.0.take());
        }
    }
    let _restore = Restore(NEXT.replace(Some(next)));
    make()
}

/// What waits for a span.
pub(crate) fn take_next() -> Option<Next> {
    NEXT.try_with(Cell::take).ok().flatten()
}

/// What a service that is called now is to be told: the trace, the span that this thread is in, and whether it is
/// kept. `None` outside of any trace.
pub fn current() -> Option<Parent> {
    scope::with_current(SpanState::parent).flatten()
}

/// The same of a span.
pub fn context(span: &Span) -> Option<Parent> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        nearest(&span, SpanState::parent).flatten()
    });
    found.flatten()
}

/// Sets the headers by which a service that is called learns its parent, with `set(name, value)`: `traceparent` and
/// `x-amzn-trace-id`. Sets none outside of any trace.
///
/// ```
/// # let mut headers = std::collections::HashMap::new();
/// telemetry::trace::inject(|name, value| {
///     headers.insert(name, value);
/// });
/// ```
pub fn inject(mut set: impl FnMut(&'static str, String)) {
    let Some(parent) = current() else { return };
    if let Some(value) = parent.traceparent() {
        set("traceparent", value);
    }
    set("x-amzn-trace-id", parent.amzn());
}

/// Begins a trace, or goes on with a caller's, with a span of kind server. The span is finished when it and all that
/// refers to it is dropped.
///
/// A trace that begins within a request has its ids still.
///
/// Spans made with the macros of `tracing` are as good; this is for operations whose names are known at run time only.
pub fn start_trace(operation_name: &str, resource: Option<&str>, parent: Option<Parent>) -> Span {
    let make = || {
        tracing::info_span!(
            parent: None,
            "trace",
            span.name = operation_name,
            span.kind = SpanKind::Server.as_str(),
            span.resource = resource,
            span.status = Empty,
            error = Empty,
        )
    };
    let ids = scope::with_current(|state| state.ids.clone()).flatten();
    with_next(Next { parent, is_foreign: false, ids }, make)
}

/// A span within another.
pub fn create_child_span(parent: &Span, operation_name: &str, kind: SpanKind) -> Span {
    tracing::info_span!(
        parent: parent,
        "span",
        span.name = operation_name,
        span.kind = kind.as_str(),
        span.resource = Empty,
        span.status = Empty,
        error = Empty,
    )
}

/// Sets how a span ended, and lets it go. It closes, and its line is written, when nothing else refers to it.
pub fn finish_span(span: Span, status: SpanStatus) {
    set_status(&span, status);
}

/// Sets how a span ended, over whatever was set or happened before.
pub fn set_status(span: &Span, status: SpanStatus) {
    with_open(span, |_, open| open.status = Some(status));
}

/// Sets how a span ended, unless that is known already: what happened within comes before how it was left.
pub fn set_status_if_unset(span: &Span, status: SpanStatus) {
    with_open(span, |_, open| open.status = open.status.or(Some(status)));
}

/// Sets a tag whose name is known at run time only. One of the same name is replaced. Tags of spans that are not kept
/// are let go.
pub fn add_span_tag<'a>(span: &Span, name: &str, value: impl Into<Tag<'a>>) {
    let value = value.into();
    with_open(span, |telemetry, open| open.tags.set_named(name, value, telemetry.masked()));
}

/// Adds an entry to the `logs` of a span, with fields that are texts.
pub fn add_span_log(span: &Span, level: Level, message: &str, fields: &[(&str, &str)]) {
    with_open(span, |telemetry, open| open.add_log(level, message, fields, telemetry.masked()));
}

/// Writes the line of a span that is not finished, so that what lasts can be seen. It is written again when it ends.
/// `false` where the span is not kept, or its line was dropped.
pub fn write_in_progress(span: &Span) -> bool {
    with_state(span, |telemetry, state| state.write(telemetry, span.metadata()?.name(), true))
        .flatten()
        .unwrap_or(false)
}

fn with_open(span: &Span, change: impl FnOnce(&Telemetry, &mut OpenSpan)) {
    with_state(span, |telemetry, state| {
        if let Some(open) = &mut state.open {
            change(telemetry, open);
        }
    });
}

/// Works on the state of a span, wherever it was made.
fn with_state<R>(span: &Span, work: impl FnOnce(&Telemetry, &mut SpanState) -> R) -> Option<R> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let layer = dispatch.downcast_ref::<LogLayer>()?;
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let mut extensions = span.extensions_mut();
        extensions.get_mut::<SpanState>().map(|state| work(layer.telemetry(), state))
    });
    found.flatten()
}

#[cfg(test)]
mod tests;
