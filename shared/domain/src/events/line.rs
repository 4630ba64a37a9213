//! An event as a line of schema v1: what a service would have logged of it.

use jiff::Timestamp;
use schema::{CONTEXT, Category, Level};
use serde_json::json;
use serde_json::value::RawValue;

use super::Fields;
use super::fields::{COMMON, EventType, is_null};
use crate::logs::derive::Detail;

/// Where fields go that are called as something that metrics are derived from, or as an id, and are no such thing.
const UNREAD: &str = "unread";

/// The line of an event of the type `known`, or of one that nobody knows. Values are as the publisher wrote them.
pub(super) fn of(
    known: Option<&EventType>,
    detail_type: &str,
    time: Timestamp,
    detail: &Fields<'_>,
    resources: Option<&RawValue>,
) -> String {
    let (level, message) = known.map_or((Level::Info, detail_type), |known| (known.level, known.message));
    let mut context = Object::default();
    let mut details = Object::default();
    let mut unread = Object::default();
    if let Some(known) = known {
        details.add("event", &json!(known.event).to_string());
    }
    for (name, value) in detail {
        let json = value.get();
        let is_read = known.is_some_and(|known| known.has(name));
        // The service and the environment are not the publisher's to tell, and a `version` may be a contract's: of
        // the names of a line's context only the ids are taken.
        let common = COMMON.iter().find(|field| field.name == &**name);
        if common.is_some_and(|_| is_null(json)) {
            continue;
        }
        if common.is_some_and(|field| !field.kind.takes(json)) {
            unread.add(name, json);
        } else if common.is_some() && CONTEXT.contains(&&**name) {
            context.add(name, json);
        } else if !is_read && (Detail::named(name).is_some() || name == UNREAD) {
            unread.add(name, json);
        } else {
            details.add(name, json);
        }
    }
    if let Some(unread) = unread.written() {
        details.add(UNREAD, &unread);
    }
    let mut line = Object::default();
    line.add("timestamp", &format!("\"{time:.3}\""));
    line.add("level", &json!(level.as_str()).to_string());
    line.add("category", &json!(Category::BusinessLogic.as_str()).to_string());
    line.add("message", &json!(message).to_string());
    if let Some(context) = context.written() {
        line.add("context", &context);
    }
    line.add("details", details.written().as_deref().unwrap_or("{}"));
    if let Some(resources) = resources {
        line.add("resources", resources.get());
    }
    line.written().unwrap_or_default()
}

/// A JSON object in the making, of names and of values that are JSON already.
#[derive(Default)]
struct Object(String);

impl Object {
    fn add(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&json!(name).to_string());
        self.0.push(':');
        self.0.push_str(json);
    }

    /// The object; `None` where nothing was added.
    fn written(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0 + "}")
    }
}
