//! Checks of rules of kind metric.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use crate::alerting::condition::Condition;
use crate::alerting::duration;
use crate::alerting::expression::Expression;
use crate::alerting::rules::file::{MOfN, RawQuery, RawRule, Window};
use crate::alerting::rules::kind::Threshold;
use crate::alerting::rules::problem::{Place, name_hint};
use crate::alerting::rules::{Missing, Query};
use crate::metrics::recent::SPAN_MINUTES;

use super::Check;
use super::reachable::{self, Field, Unreachable};

type RawQueries = Spanned<BTreeMap<String, Spanned<RawQuery>>>;

impl Check<'_> {
    pub(super) fn threshold(&mut self, raw: &RawRule, group_by: &[String]) -> Option<Threshold> {
        let (raw_queries, expr, window) = (raw.queries.as_ref()?, raw.expr.as_ref()?, raw.window.as_ref()?);
        let queries = self.queries(raw_queries, group_by);
        let expression = self.parsed(expr, Expression::parse);
        let window = self.window(&window.value);
        let conditions = self.conditions(raw);
        let m_of_n = self.m_of_n(raw.datapoints.as_ref());
        let missing = match &raw.missing {
            Some(missing) => self.one_of("missing", missing, Missing::NAMES),
            None => Some(Missing::NotBreaching),
        };
        self.queries_are_those_of_the_expression(raw_queries, expr, expression.as_ref());
        let (when, clear) = conditions?;
        let (m, n) = m_of_n?;
        let (queries, expression, window, missing) = (queries?, expression?, window?, missing?);
        let threshold = Threshold { queries, expression, window, when, clear, m, n, missing };
        match reachable::check(&threshold) {
            Ok(()) => Some(threshold),
            Err(Unreachable { of, message, hint }) => {
                let place = match of {
                    Field::Expr => expr.referenced,
                    Field::When => raw.when.as_ref()?.referenced,
                    Field::Clear => raw.clear.as_ref().or(raw.when.as_ref())?.referenced,
                };
                self.problem_at(Some(Place::from(place)), message, Some(hint))
            }
        }
    }

    fn queries(&mut self, raw: &RawQueries, group_by: &[String]) -> Option<BTreeMap<String, Query>> {
        let mut queries = BTreeMap::new();
        for (name, query) in &raw.value {
            if let Some(query) = self.query(query, group_by) {
                queries.insert(name.clone(), query);
            }
        }
        (queries.len() == raw.value.len()).then_some(queries)
    }

    fn queries_are_those_of_the_expression(
        &mut self,
        queries: &RawQueries,
        expr: &Spanned<String>,
        expression: Option<&Expression>,
    ) {
        let Some(expression) = expression else { return };
        let used = expression.queries();
        let unknown: Vec<&&str> = used.iter().filter(|name| !queries.value.contains_key(**name)).collect();
        for name in &unknown {
            let hint = name_hint(name, queries.value.keys().map(String::as_str));
            self.problem::<()>(expr, format!("there is no query `{name}`"), hint);
        }
        if !unknown.is_empty() {
            return; // One of those that seem unused may be meant.
        }
        for (name, query) in queries.value.iter().filter(|(name, _)| !used.contains(name.as_str())) {
            self.problem::<()>(query, format!("the query `{name}` is not in the expression"), None);
        }
        if used.is_empty() {
            self.problem::<()>(expr, "the expression reads no query", None);
        }
    }

    pub(super) fn window(&mut self, window: &Window) -> Option<i64> {
        let over = &window.over;
        match self.parsed(over, duration::parse_minutes)? {
            0 => self.problem(over, "a window of no minutes has no values", Some("at least 1m".to_owned())),
            minutes => Some(minutes),
        }
    }

    fn conditions(&mut self, raw: &RawRule) -> Option<(Condition, Condition)> {
        let when = self.condition("when", raw.when.as_ref()?);
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
}
