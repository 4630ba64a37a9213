//! Arithmetic over the queries of a rule: `100 * errors / requests`.

use std::collections::BTreeSet;
use std::fmt;

/// Longest expression taken, in bytes. It bounds the depth of the tree, and so the stack.
const MAX_LENGTH: usize = 500;

/// How deep parentheses and signs may nest.
const MAX_DEPTH: usize = 30;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A number as it stands.
    Number(f64),
    /// The value of a query.
    Query(String),
    /// `-x`.
    Negated(Box<Expression>),
    /// Two operands.
    Binary(Box<Expression>, Operator, Box<Expression>),
}

/// What is done to two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`; by zero it has no value.
    Divide,
}

/// A text that is not an expression, and from which of its characters on (counted from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an expression: {expected} at character {at}")]
pub struct InvalidExpression {
    text: String,
    expected: &'static str,
    at: usize,
}

impl Expression {
    /// Parses numbers, names of queries, `+ - * /` and parentheses.
    pub fn parse(text: &str) -> Result<Expression, InvalidExpression> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        if text.len() > MAX_LENGTH {
            return Err(parser.expected("at most 500 characters"));
        }
        let expression = parser.sum()?;
        parser.skip_blanks();
        if parser.at < text.len() { Err(parser.expected("an operator or the end")) } else { Ok(expression) }
    }

    /// The value, given those of the queries. `None` where a query that it needs has none, on a
    /// division by zero, and where the result is not finite.
    pub fn evaluate(&self, value_of: &impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let value = match self {
            Expression::Number(number) => *number,
            Expression::Query(name) => value_of(name)?,
            Expression::Negated(inner) => -inner.evaluate(value_of)?,
            Expression::Binary(left, operator, right) => {
                let (left, right) = (left.evaluate(value_of)?, right.evaluate(value_of)?);
                match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide => left / right,
                }
            }
        };
        value.is_finite().then_some(value)
    }

    /// Names of the queries that it reads.
    pub fn queries(&self) -> BTreeSet<&str> {
        match self {
            Expression::Number(_) => BTreeSet::new(),
            Expression::Query(name) => BTreeSet::from([name.as_str()]),
            Expression::Negated(inner) => inner.queries(),
            Expression::Binary(left, _, right) => left.queries().union(&right.queries()).copied().collect(),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Number(number) => write!(f, "{number}"),
            Expression::Query(name) => f.write_str(name),
            Expression::Negated(inner) => write!(f, "-{inner}"),
            Expression::Binary(left, operator, right) => {
                let sign = match operator {
                    Operator::Add => '+',
                    Operator::Subtract => '-',
                    Operator::Multiply => '*',
                    Operator::Divide => '/',
                };
                write!(f, "({left} {sign} {right})")
            }
        }
    }
}

/// One function for each level of precedence, loosest first.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Expression, InvalidExpression> {
        let mut left = self.product()?;
        while let Some(operator) = self.operator(&[('+', Operator::Add), ('-', Operator::Subtract)]) {
            left = Expression::Binary(Box::new(left), operator, Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, InvalidExpression> {
        let mut left = self.operand()?;
        while let Some(operator) = self.operator(&[('*', Operator::Multiply), ('/', Operator::Divide)]) {
            left = Expression::Binary(Box::new(left), operator, Box::new(self.operand()?));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, InvalidExpression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.expected("less nesting"));
        }
        let operand = match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                if self.peek() != Some(')') {
                    return Err(self.expected("`)`"));
                }
                self.at += 1;
                inner
            }
            Some('-') => {
                self.at += 1;
                Expression::Negated(Box::new(self.operand()?))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                Expression::Query(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned())
            }
            _ => return Err(self.expected("a number, the name of a query, or `(`")),
        };
        self.depth -= 1;
        Ok(operand)
    }

    fn number(&mut self) -> Result<Expression, InvalidExpression> {
        let start = self.at;
        let digits = self.take_while(|c| c.is_ascii_digit() || c == '.');
        let number = digits.parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Expression::Number).ok_or_else(|| {
            self.at = start;
            self.expected("a number")
        })
    }

    fn operator(&mut self, operators: &[(char, Operator)]) -> Option<Operator> {
        let next = self.peek()?;
        let (_, operator) = operators.iter().find(|(sign, _)| *sign == next)?;
        self.at += 1;
        Some(*operator)
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.text[self.at..].chars().next()
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| c.is_whitespace());
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn expected(&self, expected: &'static str) -> InvalidExpression {
        let at = self.text[..self.at].chars().count() + 1;
        InvalidExpression { text: self.text.to_owned(), expected, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Option<f64> {
        let value_of = |name: &str| match name {
            "errors" => Some(3.0),
            "requests" => Some(60.0),
            "zero" => Some(0.0),
            _ => None,
        };
        Expression::parse(text).unwrap_or_else(|error| panic!("{error}")).evaluate(&value_of)
    }

    #[test]
    fn arithmetic_is_as_everybody_writes_it() {
        for (text, expected) in [
            ("errors", Some(3.0)),
            ("100 * errors / requests", Some(5.0)),
            ("1 + 2 * 3", Some(7.0)),
            ("(1 + 2) * 3", Some(9.0)),
            ("10 - 2 - 3", Some(5.0)),
            ("16 / 4 / 2", Some(2.0)),
            ("-errors + -(-.5)", Some(-2.5)),
            ("  1\n+ 2", Some(3.0)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_can_not_be_computed_has_no_value() {
        for text in ["errors / zero", "zero / zero", "errors + absent", "0 * absent", "1 / (requests - 60)"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, expected) in [
            ("", "a number, the name of a query, or `(` at character 1"),
            ("errors +", "a number, the name of a query, or `(` at character 9"),
            ("(errors", "`)` at character 8"),
            ("errors requests", "an operator or the end at character 8"),
            ("1.2.3", "a number at character 1"),
            ("ошибки", "a number, the name of a query, or `(` at character 1"),
            ("a + é", "a number, the name of a query, or `(` at character 5"),
            ("a > 3", "an operator or the end at character 3"),
        ] {
            let error = Expression::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not an expression: {expected}"));
        }
    }

    #[test]
    fn an_endless_expression_is_refused_before_it_exhausts_the_stack() {
        for text in ["(".repeat(400), "-".repeat(400), "a+".repeat(100_000)] {
            assert!(Expression::parse(&text).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            let _ = Expression::parse(&text);
        }

        #[test]
        fn what_is_printed_parses_to_the_same(
            names in prop::collection::vec("[a-z_]{1,6}", 2..6),
            signs in prop::collection::vec(0..4usize, 5),
            number in 0.0..1e9f64,
        ) {
            let mut expression = Expression::Number(number);
            for (name, sign) in names.iter().zip(signs) {
                let operator = [Operator::Add, Operator::Subtract, Operator::Multiply, Operator::Divide][sign];
                let right = Box::new(Expression::Query(name.clone()));
                expression = Expression::Binary(Box::new(expression), operator, right);
            }
            prop_assert_eq!(Expression::parse(&expression.to_string()), Ok(expression));
        }
    }
}
