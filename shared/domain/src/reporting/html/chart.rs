//! A chart of the day by hour: stacked columns or a line, with the time in which alerts fired shaded.

use std::collections::BTreeSet;

use super::scale::{Frame, Px, ticks};
use crate::reporting::day::LocalDay;
use crate::reporting::episodes::{Episode, gravity};
use crate::reporting::numbers::{compact, thousands};
use crate::reporting::report::{Hour, Interval};

/// Everything that the template of a chart draws.
#[derive(Debug)]
pub struct Chart {
    /// Unique in the page.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What can be seen in it, in a sentence, for those who can not see it.
    pub description: String,
    /// What is drawn, with the style class of each.
    pub legend: Vec<(&'static str, &'static str)>,
    /// Size and plot.
    pub frame: Frame,
    /// Values with horizontal lines.
    pub y_ticks: Vec<Tick>,
    /// Hours.
    pub x_ticks: Vec<Tick>,
    /// Shaded time.
    pub bands: Vec<Rect>,
    /// Columns.
    pub columns: Vec<Rect>,
    /// A line: the points of each unbroken piece of it, as SVG takes them.
    pub lines: Vec<String>,
    /// The points of the line.
    pub dots: Vec<Dot>,
}

/// A label at a position of an axis.
#[derive(Debug, PartialEq)]
pub struct Tick {
    /// Where on the axis.
    pub at: Px,
    /// What it says.
    pub label: String,
}

/// A filled rectangle.
#[derive(Debug, PartialEq)]
pub struct Rect {
    /// Style class.
    pub class: &'static str,
    /// Left edge.
    pub x: Px,
    /// Upper edge.
    pub y: Px,
    /// Width.
    pub width: Px,
    /// Height.
    pub height: Px,
    /// What a pointer resting on it is told.
    pub title: String,
}

/// A point of a line.
#[derive(Debug, PartialEq)]
pub struct Dot {
    /// Horizontal position.
    pub x: Px,
    /// Vertical position.
    pub y: Px,
    /// What a pointer resting on it is told.
    pub title: String,
}

/// One part of a column: its style class, what it counts, and how to get it from an hour.
pub type Part = (&'static str, &'static str, fn(&Hour) -> u64);

/// What all charts of a page have in common.
pub struct Canvas<'a> {
    /// The day.
    pub day: &'a LocalDay,
    /// Its hours.
    pub hours: &'a [Hour],
    /// What is shaded.
    pub alerts: &'a [Episode],
}

impl Canvas<'_> {
    const FRAME: (f64, f64, f64, f64) = (480.0, 220.0, 50.0, 16.0);

    /// Columns, stacked of `parts` from the bottom up.
    pub fn columns(&self, id: &'static str, title: &'static str, parts: &[Part]) -> Chart {
        let total = |hour: &Hour| parts.iter().map(|(_, _, of)| of(hour)).sum::<u64>();
        let greatest = self.hours.iter().map(total).max().unwrap_or(0);
        let ticks = ticks(greatest as f64, true);
        let mut chart = self.empty(id, title, &ticks, compact);
        let top = ticks.last().copied().unwrap_or(1.0);
        for hour in self.hours {
            let mut below = 0;
            for (class, what, of) in parts.iter().filter(|(_, _, of)| of(hour) > 0) {
                let title = format!("{}: {} {what}", self.name(hour), thousands(of(hour)));
                let above = below + of(hour);
                chart.columns.push(self.column(class, hour, (below as f64, above as f64), top, title));
                below = above;
            }
        }
        chart.legend.splice(0..0, parts.iter().map(|(class, what, _)| (*class, *what)));
        let busiest = self.hours.iter().max_by_key(|hour| (total(hour), std::cmp::Reverse(hour.interval.from)));
        if let Some(busiest) = busiest.filter(|_| greatest > 0) {
            let all = self.hours.iter().map(total).sum();
            let (all, most) = (thousands(all), thousands(greatest));
            chart.description = format!("{all} in all; the most, {most}, at {}.", self.name(busiest));
        }
        chart
    }

    fn column(&self, class: &'static str, hour: &Hour, (from, to): (f64, f64), top: f64, title: String) -> Rect {
        let frame = self.frame();
        let (left, right) = self.edges(&frame, hour.interval);
        let (upper, lower) = (frame.y(to, top), frame.y(from, top));
        // A tenth of the hour on each side sets the columns apart. The least column can still be seen.
        let gap = (right.0 - left.0) * 0.1;
        let height = (lower.0 - upper.0).max(1.0);
        Rect {
            class,
            x: Px(left.0 + gap),
            y: Px(lower.0 - height),
            width: Px(right.0 - left.0 - 2.0 * gap),
            height: Px(height),
            title,
        }
    }

    /// A line through a value that some hours do not have; it breaks there. `print` writes a value.
    pub fn line(
        &self,
        id: &'static str,
        title: &'static str,
        what: (&'static str, &'static str),
        of: fn(&Hour) -> Option<f64>,
        print: fn(f64) -> String,
    ) -> Chart {
        let greatest = self.hours.iter().filter_map(of).fold(0.0, f64::max);
        let ticks = ticks(greatest, false);
        let mut chart = self.empty(id, title, &ticks, print);
        let (frame, top) = (chart.frame, ticks.last().copied().unwrap_or(1.0));
        let mut pieces: Vec<Vec<String>> = vec![Vec::new()];
        for hour in self.hours {
            let Some(value) = of(hour) else {
                pieces.push(Vec::new());
                continue;
            };
            let (left, right) = self.edges(&frame, hour.interval);
            let (x, y) = (Px((left.0 + right.0) / 2.0), frame.y(value, top));
            chart.dots.push(Dot { x, y, title: format!("{}: {}", self.name(hour), print(value)) });
            if let Some(piece) = pieces.last_mut() {
                piece.push(format!("{x},{y}"));
            }
        }
        chart.lines = pieces.into_iter().filter(|piece| piece.len() > 1).map(|piece| piece.join(" ")).collect();
        chart.legend.insert(0, what);
        let slowest = self.hours.iter().find(|hour| of(hour).is_some_and(|value| value >= greatest));
        if let Some(slowest) = slowest {
            chart.description = format!("The greatest, {}, at {}.", print(greatest), self.name(slowest));
        }
        chart
    }

    fn empty(&self, id: &'static str, title: &'static str, values: &[f64], print: fn(f64) -> String) -> Chart {
        let frame = self.frame();
        let top = values.last().copied().unwrap_or(1.0);
        let mut chart = Chart {
            id,
            title,
            description: "Nothing was counted.".to_owned(),
            legend: Vec::new(),
            frame,
            y_ticks: values.iter().map(|&value| Tick { at: frame.y(value, top), label: print(value) }).collect(),
            x_ticks: hour_ticks(self.day, self.hours, &frame),
            bands: self.silences(&frame),
            columns: Vec::new(),
            lines: Vec::new(),
            dots: Vec::new(),
        };
        if !chart.bands.is_empty() {
            chart.legend.push(("nodata", "no figures"));
        }
        let alerts = self.alert_bands(&frame);
        if !alerts.is_empty() {
            chart.legend.push(("band", "an alert fires"));
        }
        chart.bands.extend(alerts);
        chart
    }

    fn frame(&self) -> Frame {
        let (width, height, left, top) = Self::FRAME;
        Frame::of(width, height, left, top)
    }

    fn interval(&self) -> Interval {
        Interval { from: self.day.from(), until: self.day.until() }
    }

    fn edges(&self, frame: &Frame, part: Interval) -> (Px, Px) {
        (frame.x(self.interval(), part.from), frame.x(self.interval(), part.until))
    }

    /// `10:00 to 11:00`.
    fn name(&self, hour: &Hour) -> String {
        format!("{} to {}", self.day.clock(hour.interval.from), self.day.clock(hour.interval.until))
    }

    /// Hours without any figures. Those that follow each other are one band.
    fn silences(&self, frame: &Frame) -> Vec<Rect> {
        let silent = self.hours.iter().filter(|hour| hour.minutes_with_data == 0);
        self.bands(frame, "nodata", silent.map(|hour| (hour.interval, "no figures")))
    }

    /// The time in which an alert fired, those of severity info aside. Those that overlap are one band.
    fn alert_bands(&self, frame: &Frame) -> Vec<Rect> {
        let grave = self.alerts.iter().filter(|alert| gravity(&alert.severity) > 0);
        self.bands(frame, "band", grave.map(|alert| (fired(alert, self.interval()), alert.rule.as_str())))
    }

    /// `stretches`, which are in order of their beginning, merged where they touch, with what each is about.
    fn bands<'b>(
        &self,
        frame: &Frame,
        class: &'static str,
        stretches: impl Iterator<Item = (Interval, &'b str)>,
    ) -> Vec<Rect> {
        let mut merged: Vec<(Interval, BTreeSet<&str>)> = Vec::new();
        for (stretch, about) in stretches {
            match merged.last_mut() {
                Some((last, abouts)) if stretch.from <= last.until => {
                    last.until = last.until.max(stretch.until);
                    abouts.insert(about);
                }
                _ => merged.push((stretch, BTreeSet::from([about]))),
            }
        }
        let band = |(stretch, abouts): (Interval, BTreeSet<&str>)| {
            let abouts = abouts.into_iter().collect::<Vec<_>>().join(", ");
            let (from, until) = (self.day.clock(stretch.from), self.day.clock(stretch.until));
            self.band(frame, class, stretch, format!("{from} to {until}: {abouts}"))
        };
        merged.into_iter().map(band).collect()
    }

    fn band(&self, frame: &Frame, class: &'static str, part: Interval, title: String) -> Rect {
        let (left, right) = self.edges(frame, part);
        let width = Px((right.0 - left.0).max(1.5));
        Rect { class, x: left, y: frame.top, width, height: Px(frame.bottom.0 - frame.top.0), title }
    }
}

/// The part of `day` in which an alert fired.
pub fn fired(alert: &Episode, day: Interval) -> Interval {
    Interval { from: alert.from.max(day.from), until: alert.to.unwrap_or(day.until).min(day.until) }
}

/// A label at every third hour of the clock, and at the end of the day.
pub fn hour_ticks(day: &LocalDay, hours: &[Hour], frame: &Frame) -> Vec<Tick> {
    let interval = Interval { from: day.from(), until: day.until() };
    let mut ticks: Vec<Tick> = Vec::new();
    for hour in hours {
        let clock = day.clock(hour.interval.from);
        let Some(label) =
            clock.strip_suffix(":00").filter(|label| label.parse().is_ok_and(|hour: u8| hour.is_multiple_of(3)))
        else {
            continue;
        };
        // An hour that comes twice is labelled once.
        if ticks.last().is_none_or(|last| last.label != label) {
            ticks.push(Tick { at: frame.x(interval, hour.interval.from), label: label.to_owned() });
        }
    }
    ticks.push(Tick { at: frame.right, label: "24".to_owned() });
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporting::sample;

    fn columns(hours: &[Hour], alerts: &[Episode]) -> Chart {
        let canvas = Canvas { day: &sample::day(), hours, alerts };
        canvas.columns(
            "levels",
            "Warnings and errors",
            &[("errors", "errors", |hour| hour.errors), ("warnings", "warnings", |hour| hour.warnings)],
        )
    }

    fn line(hours: &[Hour]) -> Chart {
        let canvas = Canvas { day: &sample::day(), hours, alerts: &[] };
        canvas.line("p95", "Latency", ("p95", "95th percentile"), |hour| hour.p95_ms, |ms| format!("{ms} ms"))
    }

    fn hours(of: fn(usize, &mut Hour)) -> Vec<Hour> {
        let mut hours = sample::report().hourly;
        for (index, hour) in hours.iter_mut().enumerate() {
            (hour.errors, hour.warnings, hour.p95_ms) = (0, 0, None);
            of(index, hour);
        }
        hours
    }

    #[test]
    fn parts_of_a_column_stand_on_each_other() {
        let chart = columns(
            &hours(|index, hour| {
                if index == 10 {
                    (hour.errors, hour.warnings) = (1000, 3000)
                }
            }),
            &[],
        );
        let [errors, warnings] = &chart.columns[..] else { panic!("{:?}", chart.columns) };
        assert_eq!((errors.class, errors.title.as_str()), ("errors", "10:00 to 11:00: 1,000 errors"));
        assert_eq!((warnings.class, warnings.title.as_str()), ("warnings", "10:00 to 11:00: 3,000 warnings"));
        assert_eq!(errors.y.0 + errors.height.0, chart.frame.bottom.0);
        assert!((warnings.y.0 + warnings.height.0 - errors.y.0).abs() < 1e-9);
        assert!((warnings.height.0 - 3.0 * errors.height.0).abs() < 1e-9);
        assert_eq!(
            chart.y_ticks.iter().map(|tick| tick.label.as_str()).collect::<Vec<_>>(),
            ["0", "1,000", "2,000", "3,000", "4,000"]
        );
        assert_eq!(chart.description, "4,000 in all; the most, 4,000, at 10:00 to 11:00.");
    }

    #[test]
    fn the_hours_of_the_clock_are_below() {
        let labels: Vec<_> = columns(&hours(|_, _| {}), &[]).x_ticks.into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["00", "03", "06", "09", "12", "15", "18", "21", "24"]);
    }

    #[test]
    fn a_line_breaks_where_nothing_was_timed() {
        let chart = line(&hours(|index, hour| hour.p95_ms = (index != 5 && index != 7).then_some(index as f64)));
        // Hour 6 stands alone: a dot and no line.
        assert_eq!(chart.lines.iter().map(|line| line.split(' ').count()).collect::<Vec<_>>(), [5, 16]);
        assert_eq!(chart.dots.len(), 22);
        assert_eq!(chart.description, "The greatest, 23 ms, at 23:00 to 24:00.");
    }

    #[test]
    fn a_day_of_nothing_is_drawn_as_nothing() {
        let silent = hours(|_, hour| hour.minutes_with_data = 0);
        for chart in [columns(&silent, &[]), line(&silent)] {
            assert!(chart.columns.is_empty() && chart.lines.is_empty() && chart.dots.is_empty());
            assert_eq!(chart.description, "Nothing was counted.");
            assert_eq!((chart.bands.len(), chart.bands[0].class), (1, "nodata"));
            assert_eq!(chart.bands[0].title, "00:00 to 24:00: no figures");
        }
    }

    #[test]
    fn alerts_that_overlap_are_one_band_and_those_for_information_are_none() {
        let mut alerts = sample::report().alerts;
        alerts.truncate(3);
        let minute = |offset: i64| sample::day().from().plus(offset);
        (alerts[0].from, alerts[0].to, alerts[0].rule) = (minute(-30), Some(minute(30)), "a".to_owned());
        (alerts[1].from, alerts[1].to, alerts[1].rule) = (minute(20), None, "b".to_owned());
        alerts[2].severity = "info".to_owned();
        let chart = columns(&hours(|_, _| {}), &alerts);
        let titles: Vec<_> = chart.bands.iter().map(|band| band.title.as_str()).collect();
        assert_eq!(titles, ["00:00 to 24:00: a, b"]);
        assert_eq!(chart.bands[0].width.0, chart.frame.right.0 - chart.frame.left.0);
        assert!(chart.legend.contains(&("band", "an alert fires")));
    }
}
