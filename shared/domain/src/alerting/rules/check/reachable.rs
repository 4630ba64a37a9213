//! What a threshold can never see: by the kinds of the metrics, an expression lies in a range, and a condition that
//! holds nowhere in it never fires; one that holds everywhere never ends.

use std::fmt;

use crate::alerting::condition::Condition;
use crate::alerting::expression::{Expression, Function, Operator};
use crate::alerting::rules::kind::Threshold;
use crate::alerting::rules::{Missing, Query, Source, Statistic};
use crate::metrics::registry::{Kind, Unit};

/// Why a rule can't fire, or can't end.
pub(super) struct Unreachable {
    /// Which field says so.
    pub(super) of: Field,
    pub(super) message: String,
    pub(super) hint: String,
}

/// A field of the rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Expr,
    When,
    Clear,
}

/// From the least to the greatest value that something can have, both included; they may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    least: f64,
    most: f64,
}

const ANYTHING: Range = Range { least: f64::NEG_INFINITY, most: f64::INFINITY };
const NOT_NEGATIVE: Range = Range { least: 0.0, most: f64::INFINITY };
const AT_LEAST_ONE: Range = Range { least: 1.0, most: f64::INFINITY };

/// Whether `when` and `clear` of the rule can both hold at some time, as far as that can be known.
pub(super) fn check(rule: &Threshold) -> Result<(), Unreachable> {
    if let Some(divisor) = divisor_of_nothing(&rule.expression, rule) {
        let message = format!("`{}` never has a value", Shown(&rule.expression));
        let hint = format!("`{}`, by which it divides, is always 0", Shown(divisor));
        return Err(Unreachable { of: Field::Expr, message, hint });
    }
    let range = range_of(&rule.expression, rule);
    let (expression, when) = (Shown(&rule.expression), rule.when);
    if !range.has(when) {
        let message = format!("`{expression}` is never {when}: the rule can't fire");
        return Err(Unreachable { of: Field::When, message, hint: range.to_string() });
    }
    if !range.has(rule.clear) {
        let message = format!("`{expression}` is never {}: the rule can't resolve", rule.clear);
        return Err(Unreachable { of: Field::Clear, message, hint: range.to_string() });
    }
    // Defect 11: where nothing came there is no value, and where something came it is 1 at least.
    if let Expression::Query(name) = &rule.expression
        && let Some(query) = rule.queries.get(name)
        && query.is_counted()
        && !query.fill_zero
        && rule.missing != Missing::Breaching
        && !AT_LEAST_ONE.has(when)
    {
        let message = format!("where nothing came, `{name}` has no value, so it is never {when}");
        let hint = "`fill: zero` makes nothing 0; `missing: breaching` makes it a breach".to_owned();
        return Err(Unreachable { of: Field::When, message, hint });
    }
    Ok(())
}

/// An expression without the parentheses around it.
struct Shown<'a>(&'a Expression);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let is_binary = matches!(self.0, Expression::Binary(..));
        f.write_str(if is_binary { &text[1..text.len() - 1] } else { &text })
    }
}

/// A divisor in it that is 0 whatever comes: where a part has no value, the whole has none.
fn divisor_of_nothing<'a>(expression: &'a Expression, rule: &Threshold) -> Option<&'a Expression> {
    let within = |inner: &'a Expression| divisor_of_nothing(inner, rule);
    match expression {
        Expression::Number(_) | Expression::Query(_) => None,
        Expression::Negated(inner) => within(inner),
        Expression::Binary(left, operator, right) => {
            let divides = *operator == Operator::Divide && range_of(right, rule) == Range { least: 0.0, most: 0.0 };
            within(left).or_else(|| within(right)).or(divides.then_some(&**right))
        }
        Expression::Call(_, arguments) => arguments.iter().find_map(within),
    }
}

fn range_of(expression: &Expression, rule: &Threshold) -> Range {
    let of = |inner: &Expression| range_of(inner, rule);
    match expression {
        Expression::Number(number) => Range { least: *number, most: *number },
        Expression::Query(name) => rule.queries.get(name).map_or(ANYTHING, range_of_query),
        Expression::Negated(inner) => of(inner).times(Range { least: -1.0, most: -1.0 }),
        Expression::Binary(left, Operator::Add, right) => of(left).plus(of(right)),
        Expression::Binary(left, Operator::Subtract, right) => {
            of(left).plus(of(right).times(Range { least: -1.0, most: -1.0 }))
        }
        Expression::Binary(left, Operator::Multiply, right) => of(left).times(of(right)),
        Expression::Binary(left, Operator::Divide, right) => {
            share(left, right, rule).unwrap_or_else(|| of(left).times(of(right).inverse()))
        }
        Expression::Call(function, arguments) => {
            let ranges = arguments.iter().map(of);
            let of_ends = |pick: fn(f64, f64) -> f64| {
                ranges.clone().reduce(|a, b| Range { least: pick(a.least, b.least), most: pick(a.most, b.most) })
            };
            let range = match function {
                Function::Min => of_ends(f64::min),
                Function::Max => of_ends(f64::max),
                Function::Abs => ranges.clone().next().map(Range::without_sign),
            };
            range.unwrap_or(ANYTHING)
        }
    }
}

fn range_of_query(query: &Query) -> Range {
    let (kind, unit) = match &query.source {
        Source::Own(metric) => (metric.kind, metric.unit),
        Source::Foreign(_) => return if query.statistic == Statistic::SampleCount { NOT_NEGATIVE } else { ANYTHING },
    };
    match (kind, unit) {
        _ if query.statistic == Statistic::SampleCount => NOT_NEGATIVE,
        (Kind::Counter | Kind::Timer, _) => NOT_NEGATIVE,
        (Kind::Gauge, Unit::Percent) => Range { least: 0.0, most: 100.0 },
        _ => ANYTHING,
    }
}

/// The range of a part by its whole, as in `100 * errors / requests`.
fn share(part: &Expression, whole: &Expression, rule: &Threshold) -> Option<Range> {
    let ((of_part, part), (of_whole, whole)) = (scaled(part)?, scaled(whole)?);
    let is_part = is_part_of(rule.queries.get(part)?, rule.queries.get(whole)?);
    let greatest = of_part / of_whole;
    is_part.then(|| Range { least: greatest.min(0.0), most: greatest.max(0.0) })
}

/// A query, and what it is multiplied by.
fn scaled(expression: &Expression) -> Option<(f64, &str)> {
    match expression {
        Expression::Query(name) => Some((1.0, name)),
        Expression::Binary(left, Operator::Multiply, right) => match (&**left, &**right) {
            (Expression::Number(number), Expression::Query(name))
            | (Expression::Query(name), Expression::Number(number)) => Some((*number, name)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether all that the one counts, the other counts as well.
fn is_part_of(part: &Query, whole: &Query) -> bool {
    let same_metric = match (&part.source, &whole.source) {
        (Source::Own(one), Source::Own(other)) => one.name == other.name,
        _ => false,
    };
    same_metric
        && part.is_counted()
        && part.statistic == whole.statistic
        && whole.filters.iter().all(|(name, filter)| part.filters.get(name) == Some(filter))
}

impl Range {
    fn has(self, condition: Condition) -> bool {
        // The ends are the values for which it is easiest to hold; an infinite one stands for all large ones.
        let end = if condition.is_upward() { self.most } else { self.least };
        end.is_infinite() && (end > 0.0) == condition.is_upward() || condition.holds(end)
    }

    fn plus(self, other: Range) -> Range {
        Range { least: self.least + other.least, most: self.most + other.most }
    }

    fn times(self, other: Range) -> Range {
        // What is unbounded times nothing at all is nothing.
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let corners = [
            product(self.least, other.least),
            product(self.least, other.most),
            product(self.most, other.least),
            product(self.most, other.most),
        ];
        let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
        Range { least: corners.into_iter().fold(least, f64::min), most: corners.into_iter().fold(most, f64::max) }
    }

    /// One divided by it; by zero there is no value.
    fn inverse(self) -> Range {
        if self.least >= 0.0 {
            Range { least: 1.0 / self.most, most: 1.0 / self.least.abs() }
        } else if self.most <= 0.0 {
            Range { least: -1.0 / self.most.abs(), most: 1.0 / self.least }
        } else {
            ANYTHING
        }
    }

    fn without_sign(self) -> Range {
        let most = self.least.abs().max(self.most.abs());
        let crosses = self.least <= 0.0 && self.most >= 0.0;
        Range { least: if crosses { 0.0 } else { self.least.abs().min(self.most.abs()) }, most }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least.is_finite(), self.most.is_finite()) {
            (true, true) => write!(f, "it lies between {} and {}", self.least, self.most),
            (true, false) => write!(f, "it is at least {}", self.least),
            (false, true) => write!(f, "it is at most {}", self.most),
            (false, false) => f.write_str("it may be anything"),
        }
    }
}
