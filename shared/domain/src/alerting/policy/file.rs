//! The policy's file: infra/rules/policy.yaml, and config/policy.yaml in the bucket.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::alerting::rules::problem::InvalidRules;

use super::calendar::{self, Calendar, Interval, InvalidRange, Range};
use super::matcher::is_label;
use super::yaml::{self, Problems};
use super::{Inhibition, Policy, StormCap, Timing, Timings};

/// Longest name of a calendar.
const MAX_NAME: usize = 48;

/// How many calendars there may be: their names and matchers are looked at for every alert, and in Alertmanager's
/// routes every set of them is a route.
const MAX_CALENDARS: usize = 100;

/// The most that is told one by one: as many as one tick sends.
const MAX_STORM: usize = crate::alerting::outbox::MAX_CLAIMED;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    severities: RawTimings,
    inhibit_rules: Vec<Spanned<RawInhibition>>,
    mute_calendars: Spanned<Vec<RawCalendar>>,
    storm: Option<RawStorm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimings {
    info: RawTiming,
    warning: RawTiming,
    error: RawTiming,
    critical: RawTiming,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTiming {
    group_wait: Spanned<String>,
    group_interval: Spanned<String>,
    repeat_interval: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInhibition {
    source_matchers: Spanned<Vec<Spanned<String>>>,
    target_matchers: Spanned<Vec<Spanned<String>>>,
    equal: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalendar {
    name: Spanned<String>,
    time_zone: Spanned<String>,
    matchers: Vec<Spanned<String>>,
    time_intervals: Spanned<Vec<Spanned<RawInterval>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInterval {
    #[serde(default)]
    times: Vec<Spanned<RawTimes>>,
    #[serde(default)]
    weekdays: Vec<Spanned<String>>,
    #[serde(default)]
    days_of_month: Vec<Spanned<String>>,
    #[serde(default)]
    months: Vec<Spanned<String>>,
    #[serde(default)]
    years: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimes {
    start_time: String,
    end_time: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStorm {
    notifications: Spanned<usize>,
    within: Spanned<String>,
}

impl Policy {
    /// Reads a policy. `name` is what errors call the file.
    ///
    /// # Errors
    /// All mistakes of the file at once, unless its shape can't be understood.
    pub fn load(name: &str, text: &str) -> Result<Policy, InvalidRules> {
        let file: File = yaml::read(name, text)?;
        let mut check = Check(Problems::default());
        let policy = check.file(&file);
        check.0.none_in(name, policy)
    }
}

struct Check(Problems);

impl Check {
    fn file(&mut self, file: &File) -> Option<Policy> {
        self.0.version(&file.version)?;
        let timings = self.timings(&file.severities);
        let inhibitions: Vec<_> = file.inhibit_rules.iter().map(|raw| self.inhibition(raw)).collect();
        let calendars = self.calendars(&file.mute_calendars);
        let storm = match &file.storm {
            Some(raw) => self.storm(raw).map(Some),
            None => Some(None),
        };
        Some(Policy {
            timings: timings?,
            inhibitions: inhibitions.into_iter().collect::<Option<_>>()?,
            calendars: calendars?,
            storm: storm?,
        })
    }

    fn timings(&mut self, raw: &RawTimings) -> Option<Timings> {
        let (info, warning) = (self.timing(&raw.info), self.timing(&raw.warning));
        let (error, critical) = (self.timing(&raw.error), self.timing(&raw.critical));
        Some(Timings { info: info?, warning: warning?, error: error?, critical: critical? })
    }

    fn timing(&mut self, raw: &RawTiming) -> Option<Timing> {
        let group_wait = self.0.duration(&raw.group_wait);
        let group_interval = self.0.duration(&raw.group_interval);
        let repeat_interval = self.0.duration(&raw.repeat_interval);
        let timing =
            Timing { group_wait: group_wait?, group_interval: group_interval?, repeat_interval: repeat_interval? };
        if timing.group_interval.is_zero() {
            return self.0.note(
                raw.group_interval.referenced,
                "a group_interval of nothing",
                Some("at least 1s".into()),
            );
        }
        if timing.repeat_interval < timing.group_interval {
            let message = "repeat_interval is shorter than group_interval";
            let hint = "a group is looked at once in a group_interval, so it can't be repeated more often";
            return self.0.note(raw.repeat_interval.referenced, message, Some(hint.into()));
        }
        Some(timing)
    }

    fn inhibition(&mut self, raw: &Spanned<RawInhibition>) -> Option<Inhibition> {
        let RawInhibition { source_matchers, target_matchers, equal } = &raw.value;
        for side in [source_matchers, target_matchers] {
            if side.value.is_empty() {
                let hint = r#"say which alerts: [severity="critical"]"#.to_owned();
                self.0.note::<()>(side.referenced, "without matchers every alert would be meant", Some(hint));
            }
        }
        let source = self.0.matchers(&source_matchers.value);
        let target = self.0.matchers(&target_matchers.value);
        for name in equal.iter().filter(|name| !is_label(&name.value)) {
            let message = format!("`{}` can't be the name of a label", name.value);
            self.0.note::<()>(name.referenced, message, Some("rule, class, service, endpoint, ...".into()));
        }
        let equal = equal.iter().map(|name| name.value.clone()).collect();
        Some(Inhibition { source: source?, target: target?, equal })
    }

    fn calendars(&mut self, raw: &Spanned<Vec<RawCalendar>>) -> Option<Vec<Calendar>> {
        if raw.value.len() > MAX_CALENDARS {
            let message = format!("{} calendars", raw.value.len());
            return self.0.note(raw.referenced, message, Some(format!("at most {MAX_CALENDARS}")));
        }
        let mut names = BTreeSet::new();
        for RawCalendar { name, .. } in &raw.value {
            if !names.insert(&name.value) {
                self.0.note::<()>(name.referenced, "another calendar has the same name", None);
            }
        }
        let calendars: Vec<_> = raw.value.iter().map(|raw| self.calendar(raw)).collect();
        calendars.into_iter().collect()
    }

    fn calendar(&mut self, raw: &RawCalendar) -> Option<Calendar> {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name = &raw.name.value;
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(named) {
            let hint = format!("letters, digits, `_` and `-`, at most {MAX_NAME}");
            self.0.note::<()>(raw.name.referenced, format!("`{name}` can't be the name of a calendar"), Some(hint));
        }
        let zone = calendar::zone(&raw.time_zone.value);
        if zone.is_none() {
            let message = format!("there is no time zone `{}`", raw.time_zone.value);
            self.0.note::<()>(raw.time_zone.referenced, message, Some("Europe/Moscow, UTC, ...".into()));
        }
        let matchers = self.0.matchers(&raw.matchers);
        let asks = matchers.iter().flatten().position(|matcher| matcher.asks_for_security());
        if let Some(at) = asks {
            let hint = "a silence can, if it asks for class=\"security\"".to_owned();
            self.0.note::<()>(raw.matchers[at].referenced, "no calendar mutes security", Some(hint));
        }
        if raw.time_intervals.value.is_empty() {
            self.0.note::<()>(raw.time_intervals.referenced, "without intervals it would never mute", None);
        }
        let intervals: Vec<_> = raw.time_intervals.value.iter().map(|raw| self.interval(raw)).collect();
        let intervals = intervals.into_iter().collect::<Option<_>>()?;
        Some(Calendar { name: name.clone(), zone: zone?, matchers: matchers?, intervals })
    }

    fn interval(&mut self, spanned: &Spanned<RawInterval>) -> Option<Interval> {
        let raw = &spanned.value;
        let mut times = Vec::new();
        for spanned in &raw.times {
            let RawTimes { start_time, end_time } = &spanned.value;
            times.extend(self.range(spanned, Range::of_times(start_time, end_time)));
        }
        let interval = Interval {
            times,
            weekdays: self.ranges(&raw.weekdays, Range::of_weekdays),
            days_of_month: self.ranges(&raw.days_of_month, Range::of_days_of_month),
            months: self.ranges(&raw.months, Range::of_months),
            years: self.ranges(&raw.years, Range::of_years),
        };
        let says = [&raw.weekdays, &raw.days_of_month, &raw.months, &raw.years].iter().any(|list| !list.is_empty());
        if raw.times.is_empty() && !says {
            let hint = "times, weekdays, days_of_month, months or years".to_owned();
            return self.0.note(spanned.referenced, "an interval that says nothing would be always", Some(hint));
        }
        Some(interval)
    }

    fn ranges(&mut self, texts: &[Spanned<String>], parse: impl Fn(&str) -> Result<Range, InvalidRange>) -> Vec<Range> {
        texts.iter().filter_map(|text| self.range(text, parse(&text.value))).collect()
    }

    fn range<T>(&mut self, at: &Spanned<T>, range: Result<Range, InvalidRange>) -> Option<Range> {
        let error = match range {
            Ok(range) => return Some(range),
            Err(error) => error,
        };
        let hint = matches!(error, InvalidRange::Backwards(_))
            .then(|| "a day begins at 00:00, a week on sunday: give two of them".to_owned());
        self.0.note(at.referenced, error.to_string(), hint)
    }

    fn storm(&mut self, raw: &RawStorm) -> Option<StormCap> {
        let within = self.0.duration(&raw.within);
        if !(1..=MAX_STORM).contains(&raw.notifications.value) {
            let message = format!("a storm of more than {} notifications", raw.notifications.value);
            let hint = format!("from 1 to {MAX_STORM}; leave `storm` out for no cap");
            self.0.note::<()>(raw.notifications.referenced, message, Some(hint));
        }
        let within = within?;
        if within.is_zero() {
            return self.0.note(raw.within.referenced, "within no time", Some("at least 1s".into()));
        }
        Some(StormCap { notifications: raw.notifications.value, within })
    }
}
