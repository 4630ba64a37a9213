//! The notation for series in tests.

use super::InvalidScenario;

/// What a series has, step by step.
pub(super) type Points = Vec<Option<Point>>;

/// What a series has in a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) samples: u64,
}

/// Reads `0x10 1x4 _x5 6000*30x5`, at most `longest` points of it.
pub(super) fn points(text: &str, longest: usize) -> Result<Points, InvalidScenario> {
    let mut points = Vec::new();
    for token in text.split_whitespace() {
        let (point, times) = point(token).ok_or_else(|| InvalidScenario::Token(token.to_owned()))?;
        if times > longest - points.len() {
            return Err(InvalidScenario::Long);
        }
        points.extend(std::iter::repeat_n(point, times));
    }
    Ok(points)
}

/// `<value or _>[*<samples>][x<times>]`
fn point(token: &str) -> Option<(Option<Point>, usize)> {
    let (point, times) = match token.split_once('x') {
        Some((point, times)) => (point, times.parse().ok()?),
        None => (token, 1),
    };
    if point == "_" {
        return Some((None, times));
    }
    let (value, samples) = match point.split_once('*') {
        Some((value, samples)) => (value, samples.parse().ok().filter(|samples| (1..=1_000).contains(samples))?),
        None => (point, 1),
    };
    let value: f64 = value.parse().ok()?;
    value.is_finite().then_some((Some(Point { value, samples }), times))
}
