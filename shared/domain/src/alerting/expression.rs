//! Arithmetic over the queries of a rule: `100 * errors / max(requests, 1)`.

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
    /// A function of its arguments: at least two, but for `abs`, which has one.
    Call(Function, Vec<Expression>),
}

/// A function that expressions may call. A query may have the same name: only `(` makes it a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The least argument.
    Min,
    /// The greatest argument.
    Max,
    /// Without its sign.
    Abs,
}

impl Function {
    const NAMES: &[(&str, Function)] = &[("min", Function::Min), ("max", Function::Max), ("abs", Function::Abs)];

    /// Its name in expressions.
    pub fn name(self) -> &'static str {
        match self {
            Function::Min => "min",
            Function::Max => "max",
            Function::Abs => "abs",
        }
    }
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

impl Operator {
    /// How it is written, here as in PromQL and metric math.
    pub fn sign(self) -> char {
        match self {
            Operator::Add => '+',
            Operator::Subtract => '-',
            Operator::Multiply => '*',
            Operator::Divide => '/',
        }
    }
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
    /// Parses numbers, names of queries, `+ - * /`, `min(a, b, ...)`, `max(a, b, ...)`, `abs(a)` and parentheses.
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
            Expression::Call(function, arguments) => {
                // One that has no value leaves the whole without: the least of what is known may not be the least.
                let values: Option<Vec<f64>> = arguments.iter().map(|argument| argument.evaluate(value_of)).collect();
                let values = values?.into_iter();
                match function {
                    Function::Min => values.reduce(f64::min)?,
                    Function::Max => values.reduce(f64::max)?,
                    Function::Abs => values.map(f64::abs).next()?,
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
            Expression::Call(_, arguments) => arguments.iter().flat_map(Expression::queries).collect(),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Number(number) => write!(f, "{number}"),
            Expression::Query(name) => f.write_str(name),
            Expression::Negated(inner) => write!(f, "-{inner}"),
            Expression::Binary(left, operator, right) => write!(f, "({left} {} {right})", operator.sign()),
            Expression::Call(function, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(Expression::to_string).collect();
                write!(f, "{}({})", function.name(), arguments.join(", "))
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
                let start = self.at;
                let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
                if self.peek() == Some('(') { self.call(&name, start)? } else { Expression::Query(name) }
            }
            _ => return Err(self.expected("a number, the name of a query, or `(`")),
        };
        self.depth -= 1;
        Ok(operand)
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Expression, InvalidExpression> {
        let Some((_, function)) = Function::NAMES.iter().find(|(known, _)| *known == name) else {
            self.at = start;
            return Err(self.expected("one of the functions min, max, abs"));
        };
        self.at += 1;
        let mut arguments = vec![self.sum()?];
        while self.peek() == Some(',') {
            self.at += 1;
            arguments.push(self.sum()?);
        }
        match (function, arguments.len()) {
            (Function::Abs, 1) | (Function::Min | Function::Max, 2..) => {}
            (Function::Abs, _) => return Err(self.expected("only one argument of abs")),
            (Function::Min | Function::Max, _) => return Err(self.expected("`,` and another argument")),
        }
        if self.peek() != Some(')') {
            return Err(self.expected("`,` or `)`"));
        }
        self.at += 1;
        Ok(Expression::Call(*function, arguments))
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
            ("min(errors, requests, 1)", Some(1.0)),
            ("100 * errors / max(requests, 100)", Some(3.0)),
            ("abs(errors - requests)", Some(57.0)),
            ("max(min(errors, 2), abs(-1.5)) * 2", Some(4.0)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn what_can_not_be_computed_has_no_value() {
        for text in [
            "errors / zero",
            "zero / zero",
            "errors + absent",
            "0 * absent",
            "1 / (requests - 60)",
            "max(errors, absent)",
        ] {
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
            ("1 + maxx(a, b)", "one of the functions min, max, abs at character 5"),
            ("max(a)", "`,` and another argument at character 6"),
            ("abs(a, b)", "only one argument of abs at character 9"),
            ("max(a, b", "`,` or `)` at character 9"),
        ] {
            let error = Expression::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not an expression: {expected}"));
        }
    }

    #[test]
    fn an_endless_expression_is_refused_before_it_exhausts_the_stack() {
        for text in ["(".repeat(400), "-".repeat(400), "abs(".repeat(120), "a+".repeat(100_000)] {
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
            let called = Expression::Call(Function::Abs, vec![expression.clone()]);
            let expression = Expression::Call(Function::Max, vec![expression, called]);
            prop_assert_eq!(Expression::parse(&expression.to_string()), Ok(expression));
        }
    }
}
