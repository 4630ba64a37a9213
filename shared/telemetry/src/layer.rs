//! The `tracing` layer that turns events into lines.

use std::error::Error;
use std::fmt::Debug;
use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::Service;
use crate::line::{self, Fields, Scope};

/// Writes each event as one line to a writer made by `make_writer`.
pub struct LogLayer<M> {
    name: String,
    environment: String,
    version: String,
    make_writer: M,
}

impl<M, W> LogLayer<M>
where
    M: Fn() -> W + 'static,
    W: Write,
{
    /// A layer for `service`. Standard output locks itself for the length of one write, so that lines
    /// of several threads do not mix; another writer has to do the same.
    pub fn new(service: &Service<'_>, make_writer: M) -> LogLayer<M> {
        LogLayer {
            name: service.name.to_owned(),
            environment: service.environment.to_owned(),
            version: service.version.to_owned(),
            make_writer,
        }
    }
}

impl<S, M, W> Layer<S> for LogLayer<M>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    M: Fn() -> W + 'static,
    W: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Ids set once for a request hold for every span within it.
        let mut scope =
            span.parent().and_then(|parent| parent.extensions().get::<Scope>().cloned()).unwrap_or_default();
        attributes.record(&mut ScopeVisitor(&mut scope));
        span.extensions_mut().insert(scope);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(scope) = span.extensions_mut().get_mut::<Scope>() {
            values.record(&mut ScopeVisitor(scope));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut FieldVisitor(&mut fields));
        let scope =
            context.event_span(event).and_then(|span| span.extensions().get::<Scope>().cloned()).unwrap_or_default();
        let line = line::render(
            Timestamp::now(),
            *event.metadata().level(),
            &Service { name: &self.name, environment: &self.environment, version: &self.version },
            &scope,
            &fields,
        );
        // Standard output is gone only when the process is about to be: nobody is left to be told.
        let _ = (self.make_writer)().write_all(line.as_bytes());
    }
}

struct ScopeVisitor<'a>(&'a mut Scope);

impl ScopeVisitor<'_> {
    fn set(&mut self, field: &Field, value: String) {
        match field.name() {
            // The Lambda runtime's own span says `requestId` and `xrayTraceId`.
            "request_id" | "requestId" => self.0.request_id = Some(value),
            "trace_id" => self.0.trace_id = Some(value),
            "xrayTraceId" => {
                self.0.trace_id = value.split(';').find_map(|part| part.strip_prefix("Root=")).map(str::to_owned);
            }
            "span_id" => self.0.span_id = Some(value),
            "user_id" => self.0.user_id = Some(value),
            "session_id" => self.0.session_id = Some(value),
            _ => {}
        }
    }
}

impl Visit for ScopeVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

struct FieldVisitor<'a>(&'a mut Fields);

impl FieldVisitor<'_> {
    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.0.message = text,
            ("category", Value::String(text)) => self.0.category = Some(text),
            ("error", Value::String(text)) => self.0.error = Some(json!({ "type": "Error", "message": text })),
            ("duration_ms", value) if value.is_number() => self.0.duration_ms = value.as_f64(),
            (name, value) => {
                self.0.details.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, json!(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = vec![value.to_string()];
        let mut source = value.source();
        while let Some(cause) = source {
            chain.push(cause.to_string());
            source = cause.source();
        }
        self.set(field, json!(chain.join(": ")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, json!(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(work: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let service = Service { name: "contract", environment: "test", version: "1.2.3" };
        let layer = LogLayer::new(&service, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_becomes_a_line_of_schema_v1() {
        // Defects 23 and 24: values not enum names, real levels, an offset, text not escapes.
        let lines =
            lines_of(|| tracing::warn!(category = "database", rows = 3, duration_ms = 12.5, "Медленный запрос"));
        let line = &lines[0];
        assert_eq!(line["level"], "WARNING");
        assert_eq!(line["category"], "database");
        assert_eq!(line["message"], "Медленный запрос");
        assert_eq!(line["context"]["service_name"], "contract");
        assert_eq!(line["details"], json!({ "rows": 3 }));
        assert_eq!(line["duration_ms"], 12.5);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_is_written_as_it_is() {
        let lines = Lines::default();
        let writer = lines.clone();
        let service = Service { name: "contract", environment: "test", version: "1" };
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(&service, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || tracing::info!("договор\nподписан"));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("договор\\nподписан"), "{text}");
        assert_eq!(text.matches('\n').count(), 1, "one record, one line");
    }

    #[test]
    fn ids_of_a_request_hold_for_everything_within_it() {
        // Defect 25: every line had a request id of its own.
        let lines = lines_of(|| {
            let request = tracing::info_span!(
                "request",
                request_id = "r-1",
                xrayTraceId = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
            );
            request.in_scope(|| {
                tracing::info!("one");
                tracing::info_span!("inner", user_id = "u-7").in_scope(|| tracing::info!("two"));
            });
            tracing::info!("outside");
        });
        assert_eq!(lines[0]["context"]["request_id"], "r-1");
        assert_eq!(lines[1]["context"]["request_id"], "r-1");
        assert_eq!(lines[1]["context"]["user_id"], "u-7");
        assert_eq!(lines[1]["context"]["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!(lines[2]["context"]["request_id"], Value::Null);
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        // Defect 27: the cause was lost.
        #[derive(Debug)]
        struct Outer(std::fmt::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("could not render")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Outer(std::fmt::Error);
        let lines = lines_of(|| tracing::error!(error = &failure as &dyn Error, duration_ms = 3, "failed"));
        let message = lines[0]["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("could not render: "), "{message}");
        assert_eq!(lines[0]["duration_ms"], 3.0);
    }
}
