//! From the shape of a rule file to typed rules, with every mistake collected on the way.

mod composite;
mod evidence;
mod reachable;
mod slo;
mod threshold;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_saphyr::Spanned;

use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::duration;
use crate::alerting::policy::matcher::SECURITY;
use crate::metrics::recent::SPAN_MINUTES;

use super::file::{self, Defaults, File, RawRule};
use super::kind::{BURN, Kind};
use super::problem::{InvalidRules, Place, Problem, name_hint, shortened, slip_of};
use super::scenario::Scenario;
use super::summary::{InvalidSummary, Summary};
use super::{Rule, RuleSet, Severity, Variables};

/// The only version of the language.
const VERSION: u32 = 1;

/// Longest id or class: they stand in subject lines, of which SNS takes 99 characters.
const MAX_NAME: usize = 48;

/// Longest address of a runbook, in characters: each message and each line of the history has it.
const MAX_URL: usize = 1_000;

/// What the evaluation may be delayed by. A minute's lines are not all there before; and what the delay
/// takes, of the minutes that are kept, no rule can look at.
const SHORTEST_DELAY: Duration = Duration::from_secs(60);
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// The namespace that the template puts our metrics to if nobody says otherwise.
const NAMESPACE: &str = "LandContracts";

/// How many minutes a rule may look at. The newest minutes of the rollups are not evaluated yet, so that is less than
/// they keep: by the longest delay, by the minute that is not over, and by one that a tick may be late.
const MAX_REACH: i64 = SPAN_MINUTES - LONGEST_DELAY.as_secs() as i64 / 60 - 2;

/// Ids that alerts about the evaluation itself have.
pub const RESERVED_IDS: &[&str] =
    &[crate::alerting::engine::RULES_INVALID, "policy_invalid", "silences_invalid", "no_data", "evaluation_error"];

/// Which fields a rule has beside those of every rule: `id`, `kind`, `class`, `service`, `annotations`, `evidence` and
/// `tests`.
pub(super) struct Fields {
    pub(super) kind: &'static str,
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
}

pub(super) const FIELDS: &[Fields] = &[
    Fields {
        kind: "metric",
        required: &["severity", "queries", "expr", "window", "when"],
        optional: &["clear", "datapoints", "for", "keep_firing_for", "missing", "group_by"],
    },
    Fields {
        kind: "slo",
        required: &["objective"],
        optional: &[
            "good",
            "bad",
            "total",
            "duration",
            "within",
            "burn",
            "min_samples",
            "period",
            "keep_firing_for",
            "group_by",
        ],
    },
    Fields {
        kind: "absence",
        required: &["severity", "metric", "for"],
        optional: &["where", "forget_after", "group_by"],
    },
    Fields { kind: "heartbeat", required: &["severity", "metric", "every"], optional: &["where", "grace"] },
    Fields { kind: "composite", required: &["severity", "expr"], optional: &["for", "keep_firing_for", "group_by"] },
    Fields {
        kind: "event",
        required: &["severity", "resolve_after"],
        optional: &["where", "when", "window", "group_by"],
    },
];

impl RuleSet {
    /// Reads a rule file. `name` is what errors call it; `variables` fill its `${NAME}` placeholders.
    ///
    /// # Errors
    /// All mistakes of the file at once; of a rule of a wrong shape, the first.
    pub fn load(name: &str, text: &str, variables: &Variables) -> Result<RuleSet, InvalidRules> {
        let read = file::read(text);
        let misshapen = read.problems.iter().filter_map(|problem| problem.rule.clone()).collect();
        let mut check = Check { variables, rule: None, misshapen, problems: read.problems };
        let rules = read.file.and_then(|file| check.file(&file));
        match rules {
            Some(rules) if check.problems.is_empty() => Ok(rules),
            _ => {
                check.problems.sort_by_key(|problem| problem.place);
                Err(InvalidRules { file: name.to_owned(), problems: check.problems })
            }
        }
    }
}

/// The checking of one file: every method answers `None` when it has noted a problem.
pub(super) struct Check<'a> {
    variables: &'a Variables,
    rule: Option<String>,
    /// Ids of rules that are in the file, but could not be read.
    misshapen: Vec<String>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn file(&mut self, file: &File) -> Option<RuleSet> {
        if file.version.value != VERSION {
            let message = format!("version {}, this is version {VERSION}", file.version.value);
            return self.problem(&file.version, message, None);
        }
        let defaults = self.defaults(file.defaults.as_ref());
        if file.rules.value.is_empty() {
            // Whoever wants no alerts pauses the schedule; an emptied file is a slip.
            self.problem::<()>(&file.rules, "no rules", Some("without this file the built-in rules hold".to_owned()));
        }
        let mut ids = BTreeSet::new();
        let mut rules = BTreeMap::new();
        for (at, raw) in file.rules.value.iter().enumerate() {
            self.rule = Some(shortened(raw.value.id.value.clone()));
            if !ids.insert(raw.value.id.value.as_str()) {
                self.problem::<()>(&raw.value.id, "another rule has the same id", None);
            }
            rules.extend(self.rule(raw).map(|rule| (at, rule)));
        }
        let misshapen = std::mem::take(&mut self.misshapen);
        ids.extend(misshapen.iter().map(String::as_str));
        self.references(&file.rules.value, &ids, &rules);
        let by_id: BTreeMap<&str, &Rule> = rules.values().map(|rule| (rule.id.as_str(), rule)).collect();
        let mut tests = BTreeMap::new();
        for (at, rule) in &rules {
            // What its tests can say depends on what is wrong with it.
            if self.problems.iter().any(|problem| problem.rule.as_ref() == Some(&rule.id)) {
                continue;
            }
            self.rule = Some(rule.id.clone());
            tests.insert(*at, self.tests(&file.rules.value[*at].value, rule, &by_id));
        }
        self.rule = None;
        for (at, tests) in tests {
            rules.entry(at).and_modify(|rule| rule.tests = tests);
        }
        let (evaluation_delay, namespace) = defaults?;
        Some(RuleSet { evaluation_delay, namespace, rules: rules.into_values().collect() })
    }

    fn defaults(&mut self, defaults: Option<&Defaults>) -> Option<(Duration, String)> {
        let Some(defaults) = defaults else { return Some((Duration::from_secs(90), NAMESPACE.to_owned())) };
        let delay = match &defaults.evaluation_delay {
            Some(delay) => self.evaluation_delay(delay),
            None => Some(Duration::from_secs(90)),
        };
        let namespace = match &defaults.namespace {
            Some(namespace) => self.namespace(namespace),
            None => Some(NAMESPACE.to_owned()),
        };
        if let Some(period) = &defaults.period
            && self.parsed(period, duration::parse).is_some_and(|period| period != Duration::from_secs(60))
        {
            let hint = "only 60s: rollups are by the minute; `window` and `datapoints` say over how many";
            self.problem::<()>(period, format!("a period of {} is not taken", period.value), Some(hint.to_owned()));
        }
        Some((delay?, namespace?))
    }

    fn evaluation_delay(&mut self, text: &Spanned<String>) -> Option<Duration> {
        let delay = self.parsed(text, duration::parse)?;
        if (SHORTEST_DELAY..=LONGEST_DELAY).contains(&delay) {
            return Some(delay);
        }
        let message = format!("an evaluation_delay of {} is not taken", text.value);
        self.problem(text, message, Some("from 1m to 10m: lines take about a minute to arrive".to_owned()))
    }

    fn namespace(&mut self, spanned: &Spanned<String>) -> Option<String> {
        let text = self.resolved(spanned)?;
        if text.starts_with("AWS/") {
            let hint = "the one that our metrics are put to; metrics of AWS know theirs".to_owned();
            return self.problem(spanned, format!("nothing is put to the namespace {text}"), Some(hint));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_./#: -".contains(c);
        if text.is_empty() || text.len() > 255 || !text.chars().all(allowed) || text.starts_with([':', ' ']) {
            let hint = "letters, digits and _ . / # : -, at most 255".to_owned();
            return self.problem(spanned, format!("`{text}` is no namespace of CloudWatch"), Some(hint));
        }
        Some(text)
    }

    /// The rule without its tests, which may speak of other rules.
    fn rule(&mut self, spanned: &Spanned<RawRule>) -> Option<Rule> {
        let raw = &spanned.value;
        let id = self.id(&raw.id);
        let class = self.class(&raw.class);
        let fields = self.fields_of(raw);
        let has_its_fields = fields.is_some_and(|fields| self.has_its_fields(spanned, fields));
        let severity = raw.severity.as_ref().map(|severity| self.one_of("severity", severity, Severity::NAMES));
        let group_by = self.group_by(raw);
        let concerns = match &raw.service {
            Some(service) => self.service(service, &group_by).map(Some),
            None => Some(None),
        };
        let (hold, keep_firing_for) = self.waits(raw, fields.map(|fields| fields.kind));
        let labels: Vec<String> = match fields {
            Some(Fields { kind: "slo", .. }) => group_by.iter().cloned().chain([BURN.to_owned()]).collect(),
            _ => group_by.clone(),
        };
        let summary = self.summary(&raw.annotations.summary, &labels);
        let runbook_url = match &raw.annotations.runbook_url {
            Some(url) => self.url(url).map(Some),
            None => Some(None),
        };
        let evidence = match &raw.evidence {
            Some(evidence) => self.evidence(evidence).map(Some),
            None => Some(None),
        };
        // What is missing has been said; the rest of it can't be told.
        let kind = if has_its_fields { self.kind(fields?.kind, raw, &group_by) } else { None }?;
        let severity = match (&kind, severity) {
            (Kind::Slo(slo), _) => slo.alerts.first()?.severity,
            (_, severity) => severity??,
        };
        let rule = Rule {
            id: id?,
            class: class?,
            severity,
            concerns: concerns?,
            group_by,
            hold: hold?,
            keep_firing_for: keep_firing_for?,
            summary: summary?,
            runbook_url: runbook_url?,
            evidence: evidence?,
            kind,
            tests: Vec::new(),
        };
        self.reach(spanned, &rule)?;
        Some(rule)
    }

    fn kind(&mut self, name: &str, raw: &RawRule, group_by: &[String]) -> Option<Kind> {
        match name {
            "slo" => self.slo(raw, group_by).map(Kind::Slo),
            "absence" => self.absence(raw, group_by).map(Kind::Absence),
            "heartbeat" => self.heartbeat(raw).map(Kind::Heartbeat),
            "composite" => self.composite(raw).map(Kind::Composite),
            "event" => self.event(raw, group_by).map(Kind::Event),
            _ => self.threshold(raw, group_by).map(Kind::Metric),
        }
    }

    /// Which fields a rule of its kind has.
    fn fields_of(&mut self, raw: &RawRule) -> Option<&'static Fields> {
        let Some(kind) = &raw.kind else { return FIELDS.first() };
        match FIELDS.iter().find(|fields| fields.kind == kind.value) {
            Some(fields) => Some(fields),
            None => {
                let hint = name_hint(&kind.value, Kind::NAMES.iter().copied());
                self.problem(kind, format!("unknown kind `{}`", kind.value), hint)
            }
        }
    }

    fn has_its_fields(&mut self, spanned: &Spanned<RawRule>, fields: &Fields) -> bool {
        let own = spanned.value.own_fields();
        let before = self.problems.len();
        for name in fields.required.iter().filter(|name| own.iter().all(|(own, _)| own != *name)) {
            let hint = format!("a rule of kind {} has {}", fields.kind, fields.required.join(", "));
            self.problem::<()>(spanned, format!("missing field `{name}`"), Some(hint));
        }
        for (name, place) in own {
            if fields.required.contains(&name) || fields.optional.contains(&name) {
                continue;
            }
            let hint = match (fields.kind, name) {
                ("slo", "severity") => "each entry of `burn` has its own".to_owned(),
                ("slo", "for") => "the windows of `burn` are its wait".to_owned(),
                ("heartbeat", "group_by") => {
                    "a group that was never heard of could not be missed: name it in `where`".to_owned()
                }
                ("event", "keep_firing_for") => "`resolve_after` says when it ends".to_owned(),
                ("event", "for") => "events fire at once".to_owned(),
                _ => {
                    let of: Vec<&str> = FIELDS
                        .iter()
                        .filter(|other| other.required.contains(&name) || other.optional.contains(&name))
                        .map(|other| other.kind)
                        .collect();
                    format!("that is of kind {}", of.join(", "))
                }
            };
            let message = format!("a rule of kind {} has no `{name}`", fields.kind);
            self.problem_at::<()>(Some(place), message, Some(hint));
        }
        self.problems.len() == before
    }

    fn group_by(&mut self, raw: &RawRule) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in &raw.group_by {
            if names.contains(&name.value) {
                self.problem::<()>(name, format!("`{}` is in group_by twice", name.value), None);
            } else {
                names.push(name.value.clone());
            }
        }
        names
    }

    fn service(&mut self, service: &Spanned<String>, group_by: &[String]) -> Option<String> {
        let text = self.resolved(service)?;
        if group_by.iter().any(|name| name == "service") {
            let hint = "leave it out: each alert has that of its group".to_owned();
            return self.problem(service, "the rule is grouped by service", Some(hint));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
            let hint = "letters, digits and _ - ., at most 64".to_owned();
            return self.problem(service, format!("`{text}` can't be the service"), Some(hint));
        }
        Some(text)
    }

    /// `for` and `keep_firing_for`, where they mean that; an absence has its own `for`.
    fn waits(&mut self, raw: &RawRule, kind: Option<&str>) -> (Option<i64>, Option<i64>) {
        let hold = if kind == Some("absence") { Some(0) } else { self.minutes_or(raw.hold.as_ref(), 0) };
        (hold, self.minutes_or(raw.keep_firing_for.as_ref(), 0))
    }

    fn summary(&mut self, spanned: &Spanned<String>, labels: &[String]) -> Option<Summary> {
        let text = self.resolved(spanned)?;
        match Summary::parse(&text, labels) {
            Ok(summary) => Some(summary),
            Err(error) => {
                let hint = match error {
                    InvalidSummary::Long => "one sentence: the rest belongs into the runbook",
                    _ => "there is {{value}}, and {{labels.<name>}} for each name in group_by",
                };
                self.problem(spanned, error.to_string(), Some(hint.to_owned()))
            }
        }
    }

    fn id(&mut self, id: &Spanned<String>) -> Option<String> {
        if RESERVED_IDS.contains(&id.value.as_str()) {
            return self.problem(id, "this id is reserved", Some("choose another one".to_owned()));
        }
        self.name("id", id)
    }

    /// Classes are free words but for one: what is about security can't be muted, and a slip would take that away.
    fn class(&mut self, class: &Spanned<String>) -> Option<String> {
        if class.value != SECURITY
            && let Some(meant) = slip_of(&class.value, [SECURITY])
        {
            let message = format!("`{}` looks like `{meant}`, whose alerts are never muted", class.value);
            let hint = format!("did you mean `{meant}`? Otherwise choose a word that is less like it");
            return self.problem(class, message, Some(hint));
        }
        self.name("class", class)
    }

    fn name(&mut self, what: &str, name: &Spanned<String>) -> Option<String> {
        let text = &name.value;
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(letters) && text.len() <= MAX_NAME {
            return Some(text.clone());
        }
        let hint = format!("lower-case letters, digits and `_`, a letter first, at most {MAX_NAME}");
        self.problem(name, format!("`{text}` can't be the {what}"), Some(hint))
    }

    fn reach(&mut self, spanned: &Spanned<RawRule>, rule: &Rule) -> Option<()> {
        if rule.reach() <= MAX_REACH {
            return Some(());
        }
        let message = match &rule.kind {
            Kind::Metric(_) => format!("window and datapoints together reach back {} minutes", rule.reach()),
            _ => format!("it reaches back {} minutes", rule.reach()),
        };
        self.problem(spanned, message, Some(format!("at most {MAX_REACH}")))
    }

    fn tests(&mut self, raw: &RawRule, rule: &Rule, rules: &BTreeMap<&str, &Rule>) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        for test in &raw.tests {
            match Scenario::parse(&test.value, rule, rules) {
                Ok(scenario) => scenarios.push(scenario),
                Err(error) => {
                    self.problem::<()>(test, error.to_string(), None);
                }
            }
        }
        scenarios
    }

    fn condition(&mut self, what: &str, raw: &Spanned<BTreeMap<String, f64>>) -> Option<Condition> {
        let names = || Comparison::NAMES.iter().map(|(name, _)| *name);
        let (Some((name, &threshold)), 1) = (raw.value.first_key_value(), raw.value.len()) else {
            return self.problem(raw, format!("`{what}` has to be one comparison"), Some("{gt: 3}, say".to_owned()));
        };
        let Some((_, comparison)) = Comparison::NAMES.iter().find(|(known, _)| known == name) else {
            return self.problem(raw, format!("unknown comparison `{name}`"), name_hint(name, names()));
        };
        if !threshold.is_finite() {
            return self.problem(raw, format!("the threshold {threshold} is not a number to compare with"), None);
        }
        Some(Condition { comparison: *comparison, threshold })
    }

    /// A duration of at least a minute.
    fn minutes(&mut self, text: &Spanned<String>) -> Option<i64> {
        match self.parsed(text, duration::parse_minutes)? {
            0 => self.problem(text, "no time at all", Some("at least 1m".to_owned())),
            minutes => Some(minutes),
        }
    }

    fn minutes_or(&mut self, text: Option<&Spanned<String>>, default: i64) -> Option<i64> {
        text.map_or(Some(default), |text| self.parsed(text, duration::parse_minutes))
    }

    fn url(&mut self, url: &Spanned<String>) -> Option<String> {
        let text = self.resolved(url)?;
        if text.contains("{{") {
            // It would be sent as it stands, and Prometheus would refuse the whole file of an export.
            let hint = "only the summary is filled in: let the page be about all groups of the rule".to_owned();
            return self.problem(url, format!("`{text}` has a placeholder"), Some(hint));
        }
        if text.chars().count() > MAX_URL {
            return self.problem(url, "the runbook_url is too long", Some(format!("at most {MAX_URL} characters")));
        }
        let readable = (text.starts_with("https://") || text.starts_with("http://"))
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if readable { Some(text) } else { self.problem(url, format!("`{text}` is not an http or https URL"), None) }
    }

    /// `text` with its `${NAME}` placeholders filled.
    pub(super) fn resolved(&mut self, spanned: &Spanned<String>) -> Option<String> {
        self.resolved_text(&spanned.value, spanned)
    }

    /// The same of a text that stands at `spanned`.
    pub(super) fn resolved_text(&mut self, text: &str, spanned: &Spanned<impl Sized>) -> Option<String> {
        let mut rest = text;
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                return self.problem(spanned, "`${` without `}`", None);
            };
            let Some(value) = self.variables.get(name) else {
                let given = self.variables.keys().map(String::as_str);
                // The evaluator has some; who has none checks the file by hand.
                let by_hand = || format!("`cargo ops` takes it as `--set {name}=...`");
                let hint = name_hint(name, given).or_else(|| self.variables.is_empty().then(by_hand));
                return self.problem(spanned, format!("there is no variable `{name}`"), hint);
            };
            text.push_str(before);
            text.push_str(value);
            rest = after;
        }
        Some(text + rest)
    }

    pub(super) fn one_of<T: Copy>(&mut self, what: &str, name: &Spanned<String>, names: &[(&str, T)]) -> Option<T> {
        if let Some((_, value)) = names.iter().find(|(known, _)| *known == name.value) {
            return Some(*value);
        }
        let hint = name_hint(&name.value, names.iter().map(|(known, _)| *known));
        self.problem(name, format!("unknown {what} `{}`", name.value), hint)
    }

    fn parsed<T, E: ToString>(&mut self, text: &Spanned<String>, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        match parse(&text.value) {
            Ok(parsed) => Some(parsed),
            Err(error) => self.problem(text, error.to_string(), None),
        }
    }

    pub(super) fn problem<T>(
        &mut self,
        at: &Spanned<impl Sized>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        self.problem_at(Some(Place::from(at.referenced)), message, hint)
    }

    fn problem_at<T>(&mut self, place: Option<Place>, message: impl Into<String>, hint: Option<String>) -> Option<T> {
        let (message, hint) = (shortened(message.into()), hint.map(shortened));
        self.problems.push(Problem { place, rule: self.rule.clone(), message, hint });
        None
    }
}
