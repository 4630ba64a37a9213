//! Where things go on a chart: minutes from left to right, values from the bottom up.

use std::fmt;

use crate::Minute;
use crate::reporting::report::Interval;

/// A length or position in the units of an SVG's `viewBox`; prints with one decimal place.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Px(pub f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding zero turns -0.0 into 0.0.
        let tenths = (self.0 * 10.0).round() / 10.0 + 0.0;
        write!(f, "{tenths}")
    }
}

/// The size of a drawing, and where in it the plot is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Width of the drawing.
    pub width: Px,
    /// Height of the drawing.
    pub height: Px,
    /// Left edge of the plot.
    pub left: Px,
    /// Right edge of the plot.
    pub right: Px,
    /// Upper edge of the plot.
    pub top: Px,
    /// Lower edge of the plot.
    pub bottom: Px,
}

impl Frame {
    /// A drawing of that size, with room for labels on the left, above and below.
    pub fn of(width: f64, height: f64, left: f64, top: f64) -> Frame {
        Frame {
            width: Px(width),
            height: Px(height),
            left: Px(left),
            right: Px(width - 10.0),
            top: Px(top),
            bottom: Px(height - 26.0),
        }
    }

    /// The horizontal position of `minute` in `day`; what lies outside is at the edge.
    pub fn x(&self, day: Interval, minute: Minute) -> Px {
        let share = minute.since(day.from) as f64 / day.minutes().max(1) as f64;
        Px(self.left.0 + share.clamp(0.0, 1.0) * (self.right.0 - self.left.0))
    }

    /// The vertical position of `value` on an axis from 0 to `greatest`.
    pub fn y(&self, value: f64, greatest: f64) -> Px {
        let share = if greatest > 0.0 { (value / greatest).clamp(0.0, 1.0) } else { 0.0 };
        Px(self.bottom.0 - share * (self.bottom.0 - self.top.0))
    }
}

/// Values for an axis from 0 to `greatest` or a little more: 1, 2 or 5 times a power of ten apart,
/// three to six of them.
pub fn ticks(greatest: f64, only_whole: bool) -> Vec<f64> {
    let least = if only_whole { 1.0 } else { 0.1 };
    let greatest = greatest.max(least);
    let rough = greatest / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power).max(least);
    let count = (greatest / step - 1e-9).ceil().max(1.0) as u32;
    (0..=count).map(|number| f64::from(number) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_a_few_round_values_and_reaches_above_the_greatest() {
        for (greatest, only_whole, expected) in [
            (0.0, true, &[0.0, 1.0][..]),
            (1.0, true, &[0.0, 1.0]),
            (3.0, true, &[0.0, 1.0, 2.0, 3.0]),
            (7.0, true, &[0.0, 2.0, 4.0, 6.0, 8.0]),
            (100.0, true, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
            (101.0, true, &[0.0, 50.0, 100.0, 150.0]),
            (1.0, false, &[0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]),
            (0.0, false, &[0.0, 0.1]),
        ] {
            assert_eq!(ticks(greatest, only_whole), expected, "{greatest}");
        }
        for exponent in 0..60 {
            let greatest = 1.37f64.powi(exponent);
            let ticks = ticks(greatest, true);
            assert!((2..=7).contains(&ticks.len()), "{greatest}: {ticks:?}");
            assert!(ticks.last() >= Some(&(greatest * 0.999)), "{greatest}: {ticks:?}");
        }
    }

    #[test]
    fn positions_stay_within_the_plot() {
        let frame = Frame::of(480.0, 200.0, 50.0, 20.0);
        let from: Minute = "2026-11-20T00:00Z".parse().unwrap();
        let day = Interval { from, until: from.plus(1440) };
        for (offset, x) in [(-5, 50.0), (0, 50.0), (720, 260.0), (1440, 470.0), (9999, 470.0)] {
            assert_eq!(frame.x(day, from.plus(offset)), Px(x), "{offset}");
        }
        for (value, y) in [(0.0, 174.0), (5.0, 97.0), (10.0, 20.0), (11.0, 20.0)] {
            assert_eq!(frame.y(value, 10.0), Px(y), "{value}");
        }
        assert_eq!(frame.y(1.0, 0.0), Px(174.0));
    }

    #[test]
    fn lengths_print_short() {
        for (length, text) in [(1.0, "1"), (0.26, "0.3"), (-0.01, "0"), (123.456, "123.5")] {
            assert_eq!(Px(length).to_string(), text);
        }
    }
}
