//! When a value breaches, and when it is fine again.

use std::fmt;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// How.
    pub comparison: Comparison,
    /// With what; finite, in the unit of the metric.
    pub threshold: f64,
}

impl Comparison {
    /// Its name in rule files.
    pub const NAMES: &[(&str, Comparison)] =
        &[("gt", Comparison::Gt), ("gte", Comparison::Gte), ("lt", Comparison::Lt), ("lte", Comparison::Lte)];
}

impl Condition {
    /// Whether it holds for `value`.
    pub fn holds(self, value: f64) -> bool {
        match self.comparison {
            Comparison::Gt => value > self.threshold,
            Comparison::Gte => value >= self.threshold,
            Comparison::Lt => value < self.threshold,
            Comparison::Lte => value <= self.threshold,
        }
    }

    /// The condition that holds exactly where this one does not.
    pub fn negated(self) -> Condition {
        let comparison = match self.comparison {
            Comparison::Gt => Comparison::Lte,
            Comparison::Gte => Comparison::Lt,
            Comparison::Lt => Comparison::Gte,
            Comparison::Lte => Comparison::Gt,
        };
        Condition { comparison, threshold: self.threshold }
    }

    /// Whether greater values make it hold.
    pub fn is_upward(self) -> bool {
        matches!(self.comparison, Comparison::Gt | Comparison::Gte)
    }

    /// Whether some value satisfies both. Of a condition and the one that ends it, that would be an
    /// alert that begins and is over at the same time.
    pub fn overlaps(self, other: Condition) -> bool {
        if self.is_upward() == other.is_upward() {
            return true;
        }
        let (lower, upper) = if self.is_upward() { (self, other) } else { (other, self) };
        let touching_counts = lower.comparison == Comparison::Gte && upper.comparison == Comparison::Lte;
        lower.threshold < upper.threshold || (lower.threshold == upper.threshold && touching_counts)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.comparison {
            Comparison::Gt => ">",
            Comparison::Gte => ">=",
            Comparison::Lt => "<",
            Comparison::Lte => "<=",
        };
        write!(f, "{sign} {}", self.threshold)
    }
}

/// A value for people: two decimals at most, more where it is tiny.
pub fn display_value(value: f64) -> String {
    let decimals = if value != 0.0 && value.abs() < 0.01 { 6 } else { 2 };
    let text = format!("{value:.decimals$}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(comparison: Comparison, threshold: f64) -> Condition {
        Condition { comparison, threshold }
    }

    #[test]
    fn every_comparison_compares_and_has_its_negation() {
        // Defect 6: the source document knew gt, lt and eq; a rule with gte silently never fired.
        for (comparison, below, at, above) in [
            (Comparison::Gt, false, false, true),
            (Comparison::Gte, false, true, true),
            (Comparison::Lt, true, false, false),
            (Comparison::Lte, true, true, false),
        ] {
            let tested = condition(comparison, 3.0);
            for (value, expected) in [(2.9, below), (3.0, at), (3.1, above)] {
                assert_eq!(tested.holds(value), expected, "{value} {tested}");
                assert_eq!(tested.negated().holds(value), !expected, "{value} not {tested}");
            }
        }
        assert_eq!(condition(Comparison::Gte, 0.5).to_string(), ">= 0.5");
        assert_eq!(condition(Comparison::Gt, 5000.0).to_string(), "> 5000");
    }

    #[test]
    fn an_end_that_overlaps_the_beginning_is_found() {
        use Comparison::{Gt, Gte, Lt, Lte};
        for (when, clear, expected) in [
            ((Gt, 3.0), (Lte, 1.0), false),
            ((Gt, 3.0), (Lte, 3.0), false),
            ((Gt, 3.0), (Lte, 5.0), true),
            ((Gte, 3.0), (Lte, 3.0), true),
            ((Gte, 3.0), (Lt, 3.0), false),
            ((Lt, 1.0), (Gte, 2.0), false),
            ((Lt, 1.0), (Gt, 0.5), true),
            ((Gt, 3.0), (Gt, 9.0), true),
        ] {
            let (when, clear) = (condition(when.0, when.1), condition(clear.0, clear.1));
            assert_eq!(when.overlaps(clear), expected, "{when} and {clear}");
            assert_eq!(clear.overlaps(when), expected, "{clear} and {when}");
        }
    }

    #[test]
    fn values_are_shown_without_noise() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (4.0, "4"),
            (5321.456, "5321.46"),
            (100.0, "100"),
            (0.1 + 0.2, "0.3"),
            (0.00123, "0.00123"),
            (-2.5, "-2.5"),
            (-0.001, "-0.001"),
            (1e9, "1000000000"),
        ] {
            assert_eq!(display_value(value), expected);
        }
    }
}
