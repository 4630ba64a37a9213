//! What a message brings along so that nobody has to look it up first: which lines of the archive, of which traces.
//!
//! Nothing here decides whether something is told. Lines of the archive are redacted already, but for addresses, which
//! are masked here; nothing else is read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use schema::trace::TraceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Minute;
use crate::alerting::episode::Episode;
use crate::alerting::notification::Notification;
use crate::alerting::rules::evidence::Evidence as Wanted;
use crate::alerting::rules::{Rule, RuleSet};
use crate::alerting::samples::Window;
use crate::keys::{self, ArchivePlace};
use crate::metrics::recent::RecentRollups;
use crate::ports::Listed;

use super::addresses::masked;
use super::wording::{clip, one_line};

/// Of how many alerts of a notification evidence is looked for; a message that tells of more is not read to its end.
pub const MAX_ALERTS: usize = 5;

/// How far back lines are looked for, in minutes.
const MAX_MINUTES: i64 = 120;

/// How many minutes before the breach are looked at at least: its cause comes before it.
const BEFORE: i64 = 5;

/// Of how many services lines are looked for where an alert concerns all.
const MAX_SERVICES: usize = 6;

/// Levels of lines that tell of trouble.
const TROUBLE: [&str; 3] = ["WARNING", "ERROR", "CRITICAL"];

/// How much of a line is told, in bytes.
const MAX_MESSAGE: usize = 300;

/// What was found, by the alerts' fingerprints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence(BTreeMap<String, AlertEvidence>);

/// What was found about one alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertEvidence {
    /// Lines of the archive that the rule asks for, the newest first.
    pub lines: Vec<Line>,
    /// How many there are of them, as far as they were looked at.
    pub matched: usize,
    /// Ids of traces of such lines, as X-Ray writes them, those of the newest lines first.
    pub traces: Vec<String>,
    /// Where its chart is. The link ends with the credentials that it was signed with, after some hours.
    pub chart_url: Option<String>,
    /// What could not be found, and why.
    pub problems: Vec<String>,
}

/// A line of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When it was written, by its writer.
    pub at: Timestamp,
    /// `ERROR`, ...
    pub level: String,
    /// Whose it is.
    pub service: String,
    /// What it says, on one line, cut where it is long.
    pub message: String,
}

impl Evidence {
    /// What was found about the alert `fingerprint`.
    pub fn of(&self, fingerprint: &str) -> Option<&AlertEvidence> {
        self.0.get(fingerprint)
    }

    /// Where what is found about the alert `fingerprint` is put.
    pub fn about(&mut self, fingerprint: &str) -> &mut AlertEvidence {
        self.0.entry(fingerprint.to_owned()).or_default()
    }
}

/// What is looked for, for one alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Search<'a> {
    /// The alert.
    pub episode: &'a Episode,
    /// Its rule.
    pub rule: &'a Rule,
    /// What the rule wants.
    pub wanted: &'a Wanted,
    /// Whose lines.
    pub services: Vec<String>,
    /// Of which minutes, by event time.
    pub window: Window,
}

/// What is looked for, for `notification`: its first alerts whose rules ask for evidence. Of what is over nothing but
/// the chart is.
pub fn searches<'a>(
    notification: &'a Notification,
    rules: &'a RuleSet,
    recent: &RecentRollups,
    now: Timestamp,
) -> Vec<Search<'a>> {
    let now = Minute::of(now);
    let alerts = notification.firing.iter().chain(&notification.resolved);
    let asking: HashMap<&str, (&Rule, &Wanted)> =
        rules.rules.iter().filter_map(|rule| Some((rule.id.as_str(), (rule, rule.evidence.as_ref()?)))).collect();
    let search = |episode: &'a Episode| {
        // An alarm of CloudWatch may be called like a rule.
        let (rule, wanted) = asking.get(episode.rule.as_str()).filter(|_| !episode.is_alarm())?;
        let from = episode.breaching_since.plus(-rule.reach().max(BEFORE));
        let window = Window { from: from.max(now.plus(-MAX_MINUTES)), to: now };
        let asked = episode.is_firing() && (wanted.logs.is_some() || wanted.traces > 0);
        let services = if asked { services_of(episode, recent, window) } else { Vec::new() };
        Some(Search { episode, rule, wanted, services, window })
    };
    alerts.filter_map(search).take(MAX_ALERTS).collect()
}

/// The service of the alert; of one that concerns all, those that metrics of the window speak of.
fn services_of(episode: &Episode, recent: &RecentRollups, window: Window) -> Vec<String> {
    if episode.service != "all" {
        return vec![episode.service.clone()];
    }
    let minutes = recent.minutes.range(window.from..=window.to);
    let series = minutes.flat_map(|(_, set)| set.iter());
    let named: BTreeSet<&String> = series.filter_map(|(key, _)| key.dimensions.get("service")).collect();
    named.into_iter().take(MAX_SERVICES).cloned().collect()
}

/// Folders of the archive that hold the lines of `searches`, those of the newest hour first.
pub fn folders(searches: &[Search<'_>], environment: &str) -> Vec<String> {
    let mut hours = BTreeMap::<i64, BTreeSet<String>>::new();
    for search in searches {
        let Window { from, to } = search.window;
        for hour in from.hours_since_epoch()..=to.hours_since_epoch() {
            let minute = from.plus((hour - from.hours_since_epoch()) * 60);
            let folder = |service: &String| keys::archive_hour(environment, service, minute);
            hours.entry(hour).or_default().extend(search.services.iter().map(folder));
        }
    }
    hours.into_values().rev().flatten().collect()
}

/// The newest of `listed` that are read: at most `objects` with at most `bytes` together. Answers also whether these
/// are all.
pub fn newest(mut listed: Vec<Listed>, objects: usize, bytes: u64) -> (Vec<String>, bool) {
    listed.sort_by(|a, b| (Reverse(a.written), &a.key).cmp(&(Reverse(b.written), &b.key)));
    let all = listed.len();
    let mut left = bytes;
    let fits = |object: &Listed| {
        left = left.checked_sub(object.size)?;
        Some(object.key.clone())
    };
    let chosen: Vec<String> = listed.iter().take(objects).map_while(fits).collect();
    let is_all = chosen.len() == all;
    (chosen, is_all)
}

/// Goes through lines of the archive, and keeps what a search is for.
#[derive(Debug)]
pub struct Finder<'a> {
    search: &'a Search<'a>,
    matched: usize,
    /// The newest, the newest first.
    lines: Vec<(Timestamp, Line)>,
    /// Traces by the newest line of each, the newest first.
    traces: Vec<(Timestamp, TraceId)>,
}

impl<'a> Finder<'a> {
    /// Nothing found yet.
    pub fn new(search: &'a Search<'a>) -> Finder<'a> {
        Finder { search, matched: 0, lines: Vec::new(), traces: Vec::new() }
    }

    /// Whether lines of the object `key` may be what is looked for.
    pub fn asks_for(&self, key: &str) -> bool {
        let service = ArchivePlace::parse(key).map(|place| place.service);
        self.search.services.iter().any(|asked| Some(keys::segment(asked).as_str()) == service)
    }

    /// Looks at an archived line, which is passed on parsed, since others look at it as well.
    pub fn look_at(&mut self, line: &Value) {
        let Some(event_time) = time_of(&line["source"]["event_time"]).or_else(|| time_of(&line["timestamp"])) else {
            return;
        };
        let minute = Minute::of(event_time);
        let Window { from, to } = self.search.window;
        if minute < from || minute > to {
            return;
        }
        match &self.search.wanted.logs {
            Some(logs) if logs.filter.matches(line) => {
                self.matched += 1;
                let place = self.lines.partition_point(|(held, _)| *held > event_time);
                if place < logs.limit {
                    self.lines.insert(place, (event_time, told(line, event_time)));
                    self.lines.truncate(logs.limit);
                }
            }
            // Who wants traces and no lines is served with those in which something went wrong.
            None if TROUBLE.iter().any(|level| line["level"] == *level) => {}
            _ => return,
        }
        let trace = line["context"]["trace_id"].as_str().and_then(|id| id.parse::<TraceId>().ok());
        if let Some(trace) = trace {
            self.note_trace(event_time, trace);
        }
    }

    fn note_trace(&mut self, at: Timestamp, trace: TraceId) {
        if let Some(held) = self.traces.iter().position(|(_, held)| *held == trace) {
            if self.traces[held].0 >= at {
                return;
            }
            self.traces.remove(held);
        }
        let place = self.traces.partition_point(|(held, _)| *held > at);
        self.traces.insert(place, (at, trace));
        self.traces.truncate(self.search.wanted.traces);
    }

    /// What was found.
    pub fn put_into(self, evidence: &mut Evidence) {
        let about = evidence.about(&self.search.episode.fingerprint);
        about.lines = self.lines.into_iter().map(|(_, line)| line).collect();
        about.matched = self.matched;
        about.traces = self.traces.into_iter().map(|(_, id)| id.to_string()).collect();
    }
}

fn time_of(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// What is told of an archived line: its message and, where that does not say it already, its error.
fn told(line: &Value, event_time: Timestamp) -> Line {
    let text = |value: &Value| value.as_str().map(one_line).unwrap_or_default();
    let mut message = text(&line["message"]);
    for part in ["type", "message"] {
        let part = text(&line["error"][part]);
        if !part.is_empty() && !message.contains(&part) {
            message = format!("{message}: {part}");
        }
    }
    Line {
        at: time_of(&line["timestamp"]).unwrap_or(event_time),
        level: clip(&text(&line["level"]), 20),
        service: clip(&text(&line["context"]["service_name"]), 100),
        // Before it is cut, as half an address tells of it.
        message: clip(&masked(message.trim()), MAX_MESSAGE),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{episode, notification, resolved};
    use super::*;
    use crate::alerting::episode::Origin;
    use crate::alerting::rules::Variables;
    use crate::alerting::rules::evidence::{LogEvidence, LogFilter, Term};
    use crate::alerting::rules::pattern::Pattern;
    use crate::metrics::series::{Aggregate, Dimensions, SeriesKey};

    fn minute(offset: i64) -> Minute {
        "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
    }

    /// A rule that asks for errors.
    fn rules(limit: usize, traces: usize) -> RuleSet {
        let text = "{version: 1, rules: [{id: contract_creation_failure, class: business, severity: error, \
             queries: {q: {metric: contract_creation_errors, stat: Sum}}, expr: q, window: {over: 10m}, when: {gt: 3}, \
             annotations: {summary: s}}]}";
        let mut rules = RuleSet::load("rules.yaml", text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"));
        let field = vec!["level".to_owned()];
        let term = Term { field, pattern: Pattern::Exact("ERROR".to_owned()), negated: false };
        let logs = Some(LogEvidence { filter: LogFilter { terms: vec![term] }, limit });
        rules.rules[0].evidence = Some(Wanted { logs, traces, chart: Some(120) });
        rules
    }

    fn line(second: i64, level: &str, trace: Option<&str>) -> Value {
        let at = minute(10).start().as_second() + second;
        let at = Timestamp::from_second(at).unwrap().to_string();
        json!({
            "timestamp": at, "level": level, "message": format!("at {second}"), "context": {"trace_id": trace},
            "source": {"event_time": at},
        })
    }

    fn find(rules: &RuleSet, lines: &[Value]) -> AlertEvidence {
        let notification = notification();
        let recent = RecentRollups::default();
        let searches = searches(&notification, rules, &recent, minute(20).start());
        let mut finder = Finder::new(&searches[0]);
        lines.iter().for_each(|line| finder.look_at(line));
        let mut evidence = Evidence::default();
        finder.put_into(&mut evidence);
        evidence.of(&notification.firing[0].fingerprint).unwrap().clone()
    }

    #[test]
    fn the_newest_lines_that_the_rule_asks_for_are_found_whatever_their_order() {
        let lines = [
            line(5, "ERROR", None),
            line(90, "ERROR", None),
            line(30, "INFO", None),
            line(7, "ERROR", None),
            line(-3_600, "ERROR", None),
            line(3_600, "ERROR", None),
            json!({"level": "ERROR", "message": "without a time"}),
            json!(42),
        ];
        let found = find(&rules(2, 0), &lines);
        let told: Vec<&str> = found.lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!((told, found.matched), (vec!["at 90", "at 7"], 3));
        assert_eq!(find(&rules(5, 3), &[]), AlertEvidence::default());
    }

    #[test]
    fn each_trace_is_named_once_and_what_is_none_is_not() {
        let [a, b, c] = ["1-5759e988-aaaaaaaaaaaaaaaaaaaaaaaa", "1-5759e988-bbbbbbbbbbbbbbbbbbbbbbbb", "x\" onclick"];
        let w3c = "5759e988aaaaaaaaaaaaaaaaaaaaaaaa";
        let lines = [
            line(1, "ERROR", Some(b)),
            line(2, "ERROR", Some(a)),
            line(3, "ERROR", Some(c)),
            line(4, "ERROR", Some(b)),
            line(5, "INFO", Some("1-5759e988-cccccccccccccccccccccccc")),
            line(3, "ERROR", Some(w3c)),
        ];
        assert_eq!(find(&rules(5, 3), &lines).traces, [b, a]);
        assert_eq!(find(&rules(5, 1), &lines).traces, [b]);
        let mut only_traces = rules(5, 3);
        only_traces.rules[0].evidence.as_mut().unwrap().logs = None;
        let found = find(&only_traces, &lines);
        assert_eq!((found.traces, found.lines.len(), found.matched), (vec![b.to_owned(), a.to_owned()], 0, 0));
    }

    #[test]
    fn a_line_is_told_with_its_error_on_one_line_and_short() {
        let mut long = line(1, "ERROR", None);
        long["message"] = "not\r\ncreated".into();
        long["error"] = json!({"type": "Timeout", "message": "я".repeat(1_000)});
        let told = &find(&rules(5, 3), &[long]).lines[0].message;
        assert!(told.starts_with("not  created: Timeout: яяя") && told.ends_with("..."), "{told}");
        assert!(told.len() <= MAX_MESSAGE);
    }

    #[test]
    fn half_an_address_is_not_told_either() {
        let mut long = line(1, "ERROR", None);
        let beside = MAX_MESSAGE - "...".len() - "93.184.21".len();
        long["message"] = format!("{} 93.184.216.34 {}", "x".repeat(beside - 1), "y".repeat(100)).into();
        let told = &find(&rules(5, 3), &[long]).lines[0].message;
        assert!(told.contains("x [address") && !told.contains("93"), "{told}");
    }

    #[test]
    fn an_alarm_that_is_called_like_a_rule_gets_nothing_of_it() {
        let (rules, mut notification) = (rules(5, 3), notification());
        let found = |notification: &Notification| {
            searches(notification, &rules, &RecentRollups::default(), minute(20).start()).len()
        };
        for (origin, expected) in
            [(Origin::Rule {}, 1), (Origin::Event { count: 1 }, 1), (Origin::Alarm { url: None, changed: None }, 0)]
        {
            notification.firing[0].origin = origin;
            assert_eq!(found(&notification), expected);
        }
    }

    #[test]
    fn folders_are_those_of_the_service_and_window_the_newest_first() {
        let rules = rules(5, 3);
        let (notification, recent) = (notification(), RecentRollups::default());
        let searches = searches(&notification, &rules, &recent, minute(75).start());
        let hour = |hour: &str| format!("archive/env=production/service=contract/dt=2026-11-21/hour={hour}/");
        assert_eq!(folders(&searches, "production"), [hour("11"), hour("10")]);
        let finder = Finder::new(&searches[0]);
        assert!(finder.asks_for(&format!("{}b1.ndjson.zst", hour("11"))));
        assert!(!finder.asks_for("archive/env=production/service=web/dt=2026-11-21/hour=11/b1.ndjson.zst"));
    }

    #[test]
    fn an_alert_about_all_services_asks_for_those_that_metrics_speak_of() {
        let mut about_all = notification();
        about_all.firing[0].service = "all".to_owned();
        let mut recent = RecentRollups::default();
        for (at, service) in [(12, "web"), (13, "api"), (12, "web"), (-100, "user")] {
            let dimensions = Dimensions::from([("service".to_owned(), service.to_owned())]);
            let key = SeriesKey { name: "api_requests".to_owned(), dimensions };
            recent.minutes.entry(minute(at)).or_default().add(key, &Aggregate::of(1.0, 0));
        }
        let rules = rules(5, 3);
        let searches = searches(&about_all, &rules, &recent, minute(20).start());
        assert_eq!(searches[0].services, ["api", "web"]);
    }

    #[test]
    fn of_what_is_over_no_lines_are_looked_for_and_of_unknown_rules_nothing() {
        let (rules, recent) = (rules(5, 3), RecentRollups::default());
        let over = resolved();
        let searches_of = |notification| searches(notification, &rules, &recent, minute(41).start());
        assert_eq!(searches_of(&over)[0].services, Vec::<String>::new());
        let mut unknown = notification();
        unknown.firing[0] = episode("an_alarm_of_cloudwatch");
        assert_eq!(searches_of(&unknown), []);
        let mut many = notification();
        many.firing = vec![many.firing[0].clone(); 40];
        assert_eq!(searches_of(&many).len(), MAX_ALERTS);
    }

    #[test]
    fn the_newest_objects_are_read_as_far_as_they_may_be() {
        let listed = |key: &str, at: i64, size: u64| Listed {
            key: key.to_owned(),
            written: Timestamp::from_second(at).unwrap(),
            size,
        };
        let all = vec![listed("a", 1, 10), listed("b", 3, 10), listed("c", 2, 10), listed("d", 3, 10)];
        for (objects, bytes, expected, is_all) in [
            (10, 100, &["b", "d", "c", "a"][..], true),
            (2, 100, &["b", "d"], false),
            (10, 25, &["b", "d"], false),
            (10, 0, &[], false),
        ] {
            assert_eq!(newest(all.clone(), objects, bytes), (expected.iter().map(|k| k.to_string()).collect(), is_all));
        }
        assert_eq!(newest(Vec::new(), 10, 0), (Vec::new(), true));
    }

    proptest! {
        #[test]
        fn what_is_found_does_not_depend_on_the_order(seconds in prop::collection::btree_set(0..500i64, 0..30)) {
            let lines: Vec<Value> = seconds.iter().map(|second| line(*second, "ERROR", None)).collect();
            let backwards: Vec<Value> = lines.iter().rev().cloned().collect();
            let found = find(&rules(5, 3), &lines);
            prop_assert_eq!(&find(&rules(5, 3), &backwards), &found);
            prop_assert!(found.lines.is_sorted_by(|a, b| a.at >= b.at) && found.lines.len() == seconds.len().min(5));
        }
    }
}
