//! Checks of rules that wait for something: absence, heartbeat and event.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::rules::file::{RawFilters, RawRule};
use crate::alerting::rules::kind::{Absence, Event, Heartbeat};
use crate::alerting::rules::pattern::Pattern;
use crate::alerting::rules::problem::name_hint;
use crate::alerting::rules::{Query, Statistic};

use super::Check;

const DAY: i64 = 24 * 60;

/// After how long a group that comes no more counts as gone for good, if the rule does not say.
const FORGET_AFTER: i64 = 7 * DAY;

/// How seldom a heartbeat may be, with its grace: what is weekly, and a day late.
const SELDOMEST: i64 = 8 * DAY;

/// How long an event is counted for; the evaluator keeps no longer what came when.
const LONGEST_EVENT_WINDOW: i64 = DAY;

impl Check<'_> {
    pub(super) fn absence(&mut self, raw: &RawRule, group_by: &[String]) -> Option<Absence> {
        let query = self.heard(raw, group_by);
        let after = raw.hold.as_ref().and_then(|hold| self.minutes(hold));
        let forget_after = self.minutes_or(raw.forget_after.as_ref(), FORGET_AFTER);
        let (query, after, forget_after) = (query?, after?, forget_after?);
        if forget_after <= after {
            let place = raw.forget_after.as_ref().or(raw.hold.as_ref())?;
            let hint = "it says when the metric counts as gone for good, and has to be longer than `for`".to_owned();
            return self.problem(place, "forget_after is not longer than `for`: the rule can't fire", Some(hint));
        }
        Some(Absence { query, after, forget_after })
    }

    pub(super) fn heartbeat(&mut self, raw: &RawRule) -> Option<Heartbeat> {
        let query = self.heard(raw, &[]);
        let every = raw.every.as_ref().and_then(|every| self.minutes(every));
        let grace = self.minutes_or(raw.grace.as_ref(), 0);
        let (query, every, grace) = (query?, every?, grace?);
        if every + grace > SELDOMEST {
            let message = "every and grace together are longer than 8 days";
            return self.problem(raw.every.as_ref()?, message, Some("a weekly job, a day late, say".to_owned()));
        }
        Some(Heartbeat { query, every, grace })
    }

    /// What has to come.
    fn heard(&mut self, raw: &RawRule, group_by: &[String]) -> Option<Query> {
        let nothing = BTreeMap::new();
        let filters = raw.filters.as_ref().map_or(&nothing, |filters| &filters.value);
        self.selected(raw.metric.as_ref()?, filters, group_by, Statistic::SampleCount)
    }

    pub(super) fn event(&mut self, raw: &RawRule, group_by: &[String]) -> Option<Event> {
        let filters = match &raw.filters {
            Some(filters) => self.event_filters(filters),
            None => Some(BTreeMap::new()),
        };
        for (at, name) in group_by.iter().enumerate() {
            if !Event::FIELDS.contains(&name.as_str()) {
                let hint = name_hint(name, Event::FIELDS.iter().copied());
                return self.problem(&raw.group_by[at], format!("no security event has the field `{name}`"), hint);
            }
        }
        let when = match &raw.when {
            Some(when) => self.condition("when", when),
            None => Some(Condition { comparison: Comparison::Gte, threshold: 1.0 }),
        };
        let resolve_after = raw.resolve_after.as_ref().and_then(|after| self.minutes(after));
        let window = match &raw.window {
            Some(window) => self.window(&window.value),
            // As long as it takes to be over.
            None => resolve_after.map(|after| after.min(LONGEST_EVENT_WINDOW)),
        };
        let (filters, when, resolve_after, window) = (filters?, when?, resolve_after?, window?);
        if !when.is_upward() || when.holds(0.0) {
            let message = format!("a count of events {when} is not something that happens");
            let hint = "{gte: 1}, say; that nothing comes is a rule of kind absence or heartbeat".to_owned();
            return self.problem(raw.when.as_ref()?, message, Some(hint));
        }
        if window > LONGEST_EVENT_WINDOW {
            let over = &raw.window.as_ref()?.value.over;
            return self.problem(over, "events are counted for a day", Some("at most 1d".to_owned()));
        }
        if resolve_after < window {
            let message = "resolve_after is shorter than the window: it would end while there are too many";
            return self.problem(raw.resolve_after.as_ref()?, message, Some("at least the window".to_owned()));
        }
        Some(Event { filters, when, window, resolve_after })
    }

    fn event_filters(&mut self, raw: &Spanned<RawFilters>) -> Option<BTreeMap<String, Vec<Pattern>>> {
        let mut filters = BTreeMap::new();
        for (name, choice) in &raw.value {
            if !Event::FIELDS.contains(&name.as_str()) {
                let hint = name_hint(name, Event::FIELDS.iter().copied());
                return self.problem(choice, format!("no security event has the field `{name}`"), hint);
            }
            let mut patterns = Vec::new();
            for text in self.texts(name, choice)? {
                patterns.push(self.pattern(name, &text, choice)?);
            }
            filters.insert(name.clone(), patterns);
        }
        Some(filters)
    }
}
