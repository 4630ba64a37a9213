//! From the shape of a rule file to typed rules, with every mistake collected on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_saphyr::Spanned;

use crate::alerting::condition::{Comparison, Condition};
use crate::alerting::duration;
use crate::alerting::expression::Expression;
use crate::metrics::recent::SPAN_MINUTES;

use super::file::{self, File, MOfN, RawRule};
use super::problem::{InvalidRules, Place, Problem, name_hint};
use super::scenario::Scenario;
use super::summary::Summary;
use super::{Missing, Query, Rule, RuleSet, Severity, Variables};

/// The only version of the language.
const VERSION: u32 = 1;

/// Longest id or class: they stand in subject lines, of which SNS takes 99 characters.
const MAX_NAME: usize = 48;

/// What the evaluation may be delayed by. A minute's lines are not all there before; and what the delay
/// takes, of the minutes that are kept, no rule can look at.
const SHORTEST_DELAY: Duration = Duration::from_secs(60);
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// Ids that alerts about the rules themselves have.
pub const RESERVED_IDS: &[&str] = &[crate::alerting::engine::RULES_INVALID];

impl RuleSet {
    /// Reads a rule file. `name` is what errors call it; `variables` fill its `${NAME}` placeholders.
    ///
    /// # Errors
    /// All mistakes of the file at once, unless its shape can't be understood.
    pub fn load(name: &str, text: &str, variables: &Variables) -> Result<RuleSet, InvalidRules> {
        let file = file::parse(name, text)?;
        let mut check = Check { variables, rule: None, problems: Vec::new() };
        let rules = check.file(&file);
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
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn file(&mut self, file: &File) -> Option<RuleSet> {
        if file.version.value != VERSION {
            let message = format!("version {}, this is version {VERSION}", file.version.value);
            return self.problem(&file.version, message, None);
        }
        let delay = match &file.defaults {
            Some(defaults) => self.evaluation_delay(&defaults.evaluation_delay),
            None => Some(Duration::from_secs(90)),
        };
        if file.rules.value.is_empty() {
            // Whoever wants no alerts pauses the schedule; an emptied file is a slip.
            self.problem::<()>(&file.rules, "no rules", Some("without this file the built-in rules hold".to_owned()));
        }
        let mut ids = BTreeSet::new();
        let mut rules = Vec::new();
        for raw in &file.rules.value {
            self.rule = Some(raw.value.id.value.clone());
            if !ids.insert(&raw.value.id.value) {
                self.problem::<()>(&raw.value.id, "another rule has the same id", None);
            }
            rules.extend(self.rule(raw));
            self.rule = None;
        }
        Some(RuleSet { evaluation_delay: delay?, rules })
    }

    fn evaluation_delay(&mut self, text: &Spanned<String>) -> Option<Duration> {
        let delay = self.parsed(text, duration::parse)?;
        if (SHORTEST_DELAY..=LONGEST_DELAY).contains(&delay) {
            return Some(delay);
        }
        let message = format!("an evaluation_delay of {} is not taken", text.value);
        self.problem(text, message, Some("from 1m to 10m: lines take about a minute to arrive".to_owned()))
    }

    fn rule(&mut self, spanned: &Spanned<RawRule>) -> Option<Rule> {
        let raw = &spanned.value;
        let id = self.id(&raw.id);
        let class = self.name("class", &raw.class);
        let severity = self.one_of("severity", &raw.severity, Severity::NAMES);
        let group_by: Vec<String> = raw.group_by.iter().map(|name| name.value.clone()).collect();
        let queries = self.queries(raw, &group_by);
        let expression = self.parsed(&raw.expr, Expression::parse);
        let window = self.window(&raw.window.over);
        let conditions = self.conditions(raw);
        let m_of_n = self.m_of_n(raw.datapoints.as_ref());
        let hold = self.minutes_or_zero(raw.hold.as_ref());
        let keep_firing_for = self.minutes_or_zero(raw.keep_firing_for.as_ref());
        let missing = match &raw.missing {
            Some(missing) => self.one_of("missing", missing, Missing::NAMES),
            None => Some(Missing::NotBreaching),
        };
        let summary = self.resolved(&raw.annotations.summary);
        let summary = summary.and_then(|text| match Summary::parse(&text, &group_by) {
            Ok(summary) => Some(summary),
            Err(error) => {
                let hint = "there is {{value}}, and {{labels.<name>}} for each name in group_by".to_owned();
                self.problem(&raw.annotations.summary, error.to_string(), Some(hint))
            }
        });
        let runbook_url = match &raw.annotations.runbook_url {
            Some(url) => self.url(url).map(Some),
            None => Some(None),
        };
        self.queries_are_those_of_the_expression(raw, expression.as_ref());
        let (when, clear) = conditions?;
        let (m, n) = m_of_n?;
        let mut rule = Rule {
            id: id?,
            class: class?,
            severity: severity?,
            queries: queries?,
            expression: expression?,
            window: window?,
            when,
            clear,
            m,
            n,
            hold: hold?,
            keep_firing_for: keep_firing_for?,
            missing: missing?,
            group_by,
            summary: summary?,
            runbook_url: runbook_url?,
            tests: Vec::new(),
        };
        self.reach(spanned, &rule)?;
        rule.tests = self.tests(raw, &rule)?;
        Some(rule)
    }

    fn id(&mut self, id: &Spanned<String>) -> Option<String> {
        if RESERVED_IDS.contains(&id.value.as_str()) {
            return self.problem(id, "this id is reserved", Some("choose another one".to_owned()));
        }
        self.name("id", id)
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

    fn queries(&mut self, raw: &RawRule, group_by: &[String]) -> Option<BTreeMap<String, Query>> {
        let mut queries = BTreeMap::new();
        for (name, query) in &raw.queries.value {
            if let Some(query) = self.query(query, group_by) {
                queries.insert(name.clone(), query);
            }
        }
        (queries.len() == raw.queries.value.len()).then_some(queries)
    }

    fn queries_are_those_of_the_expression(&mut self, raw: &RawRule, expression: Option<&Expression>) {
        let Some(expression) = expression else { return };
        let used = expression.queries();
        let unknown: Vec<&&str> = used.iter().filter(|name| !raw.queries.value.contains_key(**name)).collect();
        for name in &unknown {
            let hint = name_hint(name, raw.queries.value.keys().map(String::as_str));
            self.problem::<()>(&raw.expr, format!("there is no query `{name}`"), hint);
        }
        if !unknown.is_empty() {
            return; // One of those that seem unused may be meant.
        }
        for (name, query) in raw.queries.value.iter().filter(|(name, _)| !used.contains(name.as_str())) {
            self.problem::<()>(query, format!("the query `{name}` is not in the expression"), None);
        }
        if used.is_empty() {
            self.problem::<()>(&raw.expr, "the expression reads no query", None);
        }
    }

    fn window(&mut self, over: &Spanned<String>) -> Option<i64> {
        match self.parsed(over, duration::parse_minutes)? {
            0 => self.problem(over, "a window of no minutes has no values", Some("at least 1m".to_owned())),
            minutes => Some(minutes),
        }
    }

    fn reach(&mut self, spanned: &Spanned<RawRule>, rule: &Rule) -> Option<()> {
        // The newest minutes of the rollups are not evaluated yet, so what a rule may look at is shorter: by
        // the longest delay, by the minute that is not over, and by one that a tick may be late.
        let limit = SPAN_MINUTES - LONGEST_DELAY.as_secs() as i64 / 60 - 2;
        if rule.reach() <= limit {
            return Some(());
        }
        let message = format!("window and datapoints together reach back {} minutes", rule.reach());
        self.problem(spanned, message, Some(format!("at most {limit}")))
    }

    fn conditions(&mut self, raw: &RawRule) -> Option<(Condition, Condition)> {
        let when = self.condition("when", &raw.when);
        let clear = match &raw.clear {
            Some(clear) => self.condition("clear", clear),
            None => when.map(Condition::negated),
        };
        let (when, clear) = (when?, clear?);
        match &raw.clear {
            Some(spanned) if when.overlaps(clear) => {
                let message = format!("a value can be {when} and {clear} at once");
                let hint = "`clear` has to point the other way and must not reach `when`".to_owned();
                self.problem(spanned, message, Some(hint))
            }
            _ => Some((when, clear)),
        }
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

    fn m_of_n(&mut self, raw: Option<&Spanned<MOfN>>) -> Option<(usize, usize)> {
        let Some(spanned) = raw else { return Some((1, 1)) };
        let MOfN { m, n } = spanned.value;
        // A datapoint is a minute; the bound also keeps what is computed from n in range.
        if 1 <= m && m <= n && n <= SPAN_MINUTES as usize {
            return Some((m, n));
        }
        let hint = format!("m is at least 1 and at most n, and n is at most {SPAN_MINUTES}");
        self.problem(spanned, format!("{m} of {n} datapoints"), Some(hint))
    }

    fn minutes_or_zero(&mut self, text: Option<&Spanned<String>>) -> Option<i64> {
        text.map_or(Some(0), |text| self.parsed(text, duration::parse_minutes))
    }

    fn url(&mut self, url: &Spanned<String>) -> Option<String> {
        let text = self.resolved(url)?;
        let readable = (text.starts_with("https://") || text.starts_with("http://"))
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if readable { Some(text) } else { self.problem(url, format!("`{text}` is not an http or https URL"), None) }
    }

    fn tests(&mut self, raw: &RawRule, rule: &Rule) -> Option<Vec<Scenario>> {
        let mut scenarios = Vec::new();
        for test in &raw.tests {
            match Scenario::parse(&test.value, rule) {
                Ok(scenario) => scenarios.push(scenario),
                Err(error) => {
                    self.problem::<()>(test, error.to_string(), None);
                }
            }
        }
        (scenarios.len() == raw.tests.len()).then_some(scenarios)
    }

    /// `text` with its `${NAME}` placeholders filled.
    pub(super) fn resolved(&mut self, spanned: &Spanned<String>) -> Option<String> {
        let mut text = String::new();
        let mut rest = spanned.value.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                return self.problem(spanned, "`${` without `}`", None);
            };
            let Some(value) = self.variables.get(name) else {
                let hint = name_hint(name, self.variables.keys().map(String::as_str));
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
        let place = Some(Place::from(at.referenced));
        self.problems.push(Problem { place, rule: self.rule.clone(), message: message.into(), hint });
        None
    }
}
