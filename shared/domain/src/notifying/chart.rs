//! The chart of an alert as an SVG that stands by itself: its value, its threshold and when it fired, in light and dark.

use std::collections::BTreeMap;

use askama::Template;

use crate::Minute;
use crate::alerting::condition::display_value;
use crate::alerting::episode::Episode;
use crate::alerting::rules::kind::{Absence, BURN, Heartbeat, Kind};
use crate::alerting::rules::{Labels, Query, Rule};
use crate::alerting::samples::{Reading, Samples, Selection, Window};
use crate::alerting::{slo, threshold};
use crate::metrics::recent::SPAN_MINUTES;
use crate::ports::Object;
use crate::reporting::html::scale::{Frame, Px, ticks};
use crate::reporting::numbers::compact;
use crate::reporting::report::Interval;

use super::addresses::masked;
use super::wording::{clip, one_line, span, time};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;

/// How long a title may be, in bytes, to fit on the chart.
const MAX_TITLE: usize = 78;

/// The same of the smaller text below it.
const MAX_CAPTION: usize = 78;

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it is about.
    pub title: String,
    /// What the values are, and when it fires.
    pub caption: String,
    /// The minutes that it shows.
    pub window: Window,
    /// The value of each minute that has one.
    pub values: BTreeMap<Minute, f64>,
    /// Above or below which it fires, where there is one number for that.
    pub threshold: Option<f64>,
    /// When it fired; the end is `None` as long as it does.
    pub fired: (Minute, Option<Minute>),
}

impl Chart {
    /// The chart of an alert over the `minutes` that end with `to`, or the last hours that are kept of metrics. `None`
    /// for rules that watch no number.
    pub fn of<'a>(rule: &'a Rule, episode: &Episode, samples: &Samples<'a>, minutes: i64, to: Minute) -> Option<Chart> {
        let window = Window::ending(to, minutes.clamp(2, SPAN_MINUTES));
        let by_minute = |value_at: &dyn Fn(Minute) -> Option<f64>| -> BTreeMap<Minute, f64> {
            let offsets = 0..=window.to.since(window.from);
            let minutes = offsets.map(|offset| window.from.plus(offset));
            minutes.filter_map(|minute| Some((minute, value_at(minute).filter(|value| value.is_finite())?))).collect()
        };
        let labels = &episode.labels;
        let counts = |query: &'a Query| {
            let selection = samples.select(query, &rule.group_by);
            by_minute(&|minute| count_of(query, &selection, labels, minute))
        };
        let (values, threshold, points) = match &rule.kind {
            Kind::Metric(metric) => {
                let values = by_minute(&threshold::value_at(rule, metric, labels, samples));
                (values, Some(metric.when.threshold), format!("each point is over {}", span(metric.window)))
            }
            Kind::Slo(slo) => {
                // The short window of the first pair shows best when it began. The gravest alert comes first.
                let alert = slo.alerts.iter().find(|alert| labels.get(BURN).is_some_and(|label| label == alert.label));
                let burn = alert.or(slo.alerts.first())?.burns.first()?;
                let values = by_minute(&slo::rate_at(rule, slo, labels, burn.short, samples));
                (values, Some(burn.factor), format!("the burn rate over {}", span(burn.short.min(60))))
            }
            Kind::Absence(Absence { query, .. }) | Kind::Heartbeat(Heartbeat { query, .. }) => {
                (counts(query), None, "how much came in each minute".to_owned())
            }
            Kind::Composite(_) | Kind::Event(_) => return None,
        };
        let caption = match episode.condition.as_str() {
            "" => points,
            condition => format!("{points}; fires when {condition}"),
        };
        let caption = clip(&one_line(&caption), MAX_CAPTION);
        Some(Chart {
            title: name_of(episode),
            caption,
            window,
            values,
            threshold,
            fired: (episode.since, episode.ended.as_ref().map(|ended| ended.at)),
        })
    }

    /// The object that holds it, at `key`.
    pub fn to_object(&self, key: String) -> Object {
        Object { key, content_type: "image/svg+xml", body: self.svg().into_bytes() }
    }

    /// The SVG.
    pub fn svg(&self) -> String {
        Drawing::of(self).render().expect("writing to a text does not fail")
    }
}

fn name_of(episode: &Episode) -> String {
    let values: Vec<&str> = episode.labels.values().map(String::as_str).collect();
    let name =
        if values.is_empty() { episode.rule.clone() } else { format!("{} ({})", episode.rule, values.join(", ")) };
    clip(&one_line(&masked(&name)), MAX_TITLE)
}

/// How much came in that minute.
fn count_of(query: &Query, selection: &Selection<'_>, labels: &Labels, minute: Minute) -> Option<f64> {
    let window = Window::ending(minute, 1);
    match selection.read(query, labels, window) {
        Reading::Value(value) => Some(value),
        Reading::Nothing if selection.knows(window) => Some(0.0),
        Reading::Nothing | Reading::Unanswered => None,
    }
}

/// A label at a position of an axis.
struct Tick {
    at: Px,
    label: String,
}

struct Band {
    x: Px,
    /// What is written into it, where there is room.
    label: &'static str,
    width: Px,
    height: Px,
    title: String,
}

struct Dot {
    x: Px,
    y: Px,
    /// Whether no line goes through it.
    is_alone: bool,
    title: String,
}

/// Everything that the template draws.
#[derive(Template)]
#[template(path = "alert-chart.svg")]
struct Drawing<'a> {
    title: &'a str,
    caption: String,
    description: String,
    frame: Frame,
    middle: (Px, Px),
    bands: Vec<Band>,
    y_ticks: Vec<Tick>,
    x_ticks: Vec<Tick>,
    threshold: Option<Tick>,
    lines: Vec<String>,
    dots: Vec<Dot>,
    last: Option<Dot>,
}

/// The vertical axis: from a round value to a round value, with 0 in between or at an end.
struct Axis {
    frame: Frame,
    low: f64,
    high: f64,
}

impl Axis {
    fn y(&self, value: f64) -> Px {
        self.frame.y(value - self.low, self.high - self.low)
    }
}

impl<'a> Drawing<'a> {
    fn of(chart: &'a Chart) -> Drawing<'a> {
        let frame = Frame::of(WIDTH, HEIGHT, 64.0, 64.0);
        let Window { from, to } = chart.window;
        let interval = Interval { from, until: to };
        let shown = || chart.values.values().copied().chain(chart.threshold);
        let (least, greatest) = (shown().fold(0.0, f64::min), shown().fold(0.0, f64::max));
        let above = ticks(greatest, false);
        // Where nothing is below 0, the axis begins there.
        let below: Vec<f64> = if least < 0.0 { ticks(-least, false) } else { Vec::new() };
        let round: Vec<f64> =
            below.iter().rev().map(|value| -value).filter(|value| *value < 0.0).chain(above).collect();
        let axis =
            Axis { frame, low: round.first().copied().unwrap_or(0.0), high: round.last().copied().unwrap_or(1.0) };
        let dot = |(&minute, &value): (&Minute, &f64)| Dot {
            x: frame.x(interval, minute),
            y: axis.y(value),
            is_alone: [-1, 1].iter().all(|step| !chart.values.contains_key(&minute.plus(*step))),
            title: format!("{}: {}", time(minute), display_value(value)),
        };
        let dots: Vec<Dot> = chart.values.iter().map(dot).collect();
        let last = chart.values.last_key_value().map(|(minute, value)| Dot {
            // Its text ends above the point, within the frame.
            x: Px(frame.x(interval, *minute).0.max(frame.left.0 + 40.0)),
            y: axis.y(*value),
            is_alone: true,
            title: display_value(*value),
        });
        Drawing {
            title: &chart.title,
            caption: format!("{}; times in UTC, {}", chart.caption, from.day()),
            description: chart.description(),
            frame,
            middle: (Px((frame.left.0 + frame.right.0) / 2.0), Px((frame.top.0 + frame.bottom.0) / 2.0)),
            bands: chart.band(&frame, interval).into_iter().collect(),
            y_ticks: round.iter().map(|&value| Tick { at: axis.y(value), label: compact(value) }).collect(),
            x_ticks: hours(&frame, interval),
            threshold: chart.threshold.map(|value| Tick { at: axis.y(value), label: display_value(value) }),
            lines: chart.pieces(&dots),
            dots,
            last,
        }
    }
}

impl Chart {
    /// What can be seen in it, for those who can not see it.
    fn description(&self) -> String {
        let Some((last, value)) = self.values.last_key_value() else { return "No data in this time.".to_owned() };
        let greatest = self.values.values().copied().fold(f64::NEG_INFINITY, f64::max);
        let (last, value, greatest) = (time(*last), display_value(*value), display_value(greatest));
        let fired = match self.fired {
            (since, Some(until)) => format!("It fired from {} to {}.", time(since), time(until)),
            (since, None) => format!("It fires since {}.", time(since)),
        };
        format!("{value} at {last}, the greatest value is {greatest}. {fired}")
    }

    /// The part of the firing that lies in the window.
    fn band(&self, frame: &Frame, interval: Interval) -> Option<Band> {
        let (since, until) = self.fired;
        let (from, to) = (since.max(interval.from), until.unwrap_or(interval.until).min(interval.until));
        let (left, right) = (frame.x(interval, from), frame.x(interval, to));
        (from <= to).then(|| Band {
            x: left,
            label: match until {
                _ if right.0 - left.0 < 50.0 => "",
                Some(_) => "fired",
                None => "fires",
            },
            // What has just begun can be seen as well.
            width: Px((right.0 - left.0).max(2.0)),
            height: Px(frame.bottom.0 - frame.top.0),
            title: match until {
                Some(until) => format!("fired from {} to {}", time(since), time(until)),
                None => format!("fires since {}", time(since)),
            },
        })
    }

    /// The points of each unbroken piece of the line, as SVG takes them: it breaks where a minute has no value.
    fn pieces(&self, dots: &[Dot]) -> Vec<String> {
        let mut pieces: Vec<Vec<String>> = Vec::new();
        let mut before = None;
        for (&minute, dot) in self.values.keys().zip(dots) {
            let point = format!("{},{}", dot.x, dot.y);
            match pieces.last_mut() {
                Some(piece) if before == Some(minute.plus(-1)) => piece.push(point),
                _ => pieces.push(vec![point]),
            }
            before = Some(minute);
        }
        pieces.into_iter().filter(|piece| piece.len() > 1).map(|piece| piece.join(" ")).collect()
    }
}

/// Labels at round times of day, eight at most.
fn hours(frame: &Frame, interval: Interval) -> Vec<Tick> {
    let minutes = interval.until.since(interval.from);
    let step = [1, 5, 10, 15, 30, 60, 120, 180, 360].into_iter().find(|step| minutes / step < 8).unwrap_or(720);
    let label = |minute: Minute| minute.to_string()[11..16].to_owned();
    let is_round = |minute: &Minute| minute.start().as_second().div_euclid(60).rem_euclid(step) == 0;
    let all = (0..=minutes).map(|offset| interval.from.plus(offset));
    all.filter(is_round).map(|minute| Tick { at: frame.x(interval, minute), label: label(minute) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::episode;
    use super::*;
    use crate::alerting::rules::{RuleSet, Variables};
    use crate::alerting::samples::ForeignValues;
    use crate::metrics::recent::RecentRollups;
    use crate::metrics::series::{Aggregate, Dimensions, SeriesKey};

    fn minute(offset: i64) -> Minute {
        "2026-11-21T10:00Z".parse::<Minute>().unwrap().plus(offset)
    }

    fn chart(values: &[(i64, f64)]) -> Chart {
        Chart {
            title: "high_error_rate (api)".to_owned(),
            caption: "each point is over 1 min; fires when > 5".to_owned(),
            window: Window { from: minute(0), to: minute(60) },
            values: values.iter().map(|&(at, value)| (minute(at), value)).collect(),
            threshold: Some(5.0),
            fired: (minute(30), None),
        }
    }

    fn count(svg: &str, what: &str) -> usize {
        svg.matches(what).count()
    }

    #[test]
    fn a_chart_shows_what_the_rule_computes_of_its_metrics() {
        let text = "{version: 1, rules: [{id: slow, class: performance, severity: warning, expr: sum / 2, \
             queries: {sum: {metric: contract_creation_errors, stat: Sum, fill: zero}}, window: {over: 2m}, \
             when: {gt: 3}, group_by: [service], annotations: {summary: s}}]}";
        let rules = RuleSet::load("rules.yaml", text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"));
        let mut recent = RecentRollups::default();
        for (at, value) in [(1, 2.0), (2, 4.0), (9, 10.0)] {
            let dimensions = Dimensions::from([("service".to_owned(), "contract".to_owned())]);
            let key = SeriesKey { name: "contract_creation_errors".to_owned(), dimensions };
            let set = recent.minutes.entry(minute(at)).or_default();
            set.add(key, &Aggregate::of(value, minute(at).start().as_millisecond()));
        }
        recent.flushed(minute(10));
        let foreign = ForeignValues::new();
        let samples = Samples::new(&recent, &foreign, minute(0));
        let chart = Chart::of(&rules.rules[0], &episode("slow"), &samples, 6, minute(5)).unwrap();
        let values: Vec<(i64, f64)> = chart.values.iter().map(|(at, value)| (at.since(minute(0)), *value)).collect();
        assert_eq!(values, [(1, 1.0), (2, 3.0), (3, 2.0), (4, 0.0), (5, 0.0)], "nothing is known of the first window");
        assert_eq!((chart.threshold, chart.fired), (Some(3.0), (minute(13), None)));
        assert_eq!((chart.title.as_str(), chart.window.from), ("slow (contract)", minute(0)));
        assert_eq!(chart.caption, "each point is over 2 min; fires when > 3");
        let object = chart.to_object("k".to_owned());
        assert_eq!(object.content_type, "image/svg+xml");
    }

    #[test]
    fn a_chart_of_an_slo_shows_how_fast_its_budget_burns() {
        let text = "{version: 1, rules: [{id: good, kind: slo, class: availability, objective: 99, period: 30d, \
             bad: {metric: contract_creation_errors}, total: {metric: contracts_created}, \
             burn: [{severity: critical, factor: 10, long: 1h, short: 5m}], annotations: {summary: s}}]}";
        let rules = RuleSet::load("rules.yaml", text, &Variables::new()).unwrap_or_else(|error| panic!("{error}"));
        let mut recent = RecentRollups::default();
        for (name, value) in [("contract_creation_errors", 1.0), ("contracts_created", 4.0)] {
            let key = SeriesKey { name: name.to_owned(), dimensions: Dimensions::new() };
            let aggregate = Aggregate::of(value, minute(3).start().as_millisecond());
            recent.minutes.entry(minute(3)).or_default().add(key, &aggregate);
        }
        recent.flushed(minute(30));
        let foreign = ForeignValues::new();
        let samples = Samples::new(&recent, &foreign, minute(0));
        let mut episode = episode("good");
        episode.labels = [(BURN.to_owned(), "page".to_owned())].into();
        let chart = Chart::of(&rules.rules[0], &episode, &samples, 20, minute(20)).unwrap();
        let values: Vec<(i64, f64)> = chart.values.iter().map(|(at, value)| (at.since(minute(0)), *value)).collect();
        let burned: Vec<(i64, f64)> = (3..8).map(|at| (at, 25.0)).collect();
        assert_eq!(values.len(), burned.len());
        assert!(values.iter().zip(&burned).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6), "{values:?}");
        assert_eq!(chart.threshold, Some(10.0));
        assert!(chart.caption.starts_with("the burn rate over 5 min; fires when"), "{}", chart.caption);
    }

    #[test]
    fn a_line_breaks_where_a_minute_has_no_value() {
        let svg = chart(&[(1, 1.0), (2, 2.0), (4, 1.0), (7, 3.0), (8, 4.0), (9, 1.0)]).svg();
        assert_eq!(
            (count(&svg, "<polyline"), count(&svg, r#"class="point""#), count(&svg, r#"class="dot""#)),
            (2, 6, 2)
        );
        assert!(svg.contains("2026-11-21 10:07 UTC: 3"), "{svg}");
        assert!(svg.contains(r#"<text class="limit""#) && svg.contains(">5</text>"));
    }

    #[test]
    fn the_band_is_the_firing_as_far_as_it_is_shown() {
        let band = |fired: (i64, Option<i64>)| {
            let mut chart = chart(&[(1, 1.0)]);
            chart.fired = (minute(fired.0), fired.1.map(minute));
            let frame = Frame::of(WIDTH, HEIGHT, 64.0, 64.0);
            let band = chart.band(&frame, Interval { from: minute(0), until: minute(60) });
            band.map(|band| (band.x.0, band.x.0 + band.width.0))
        };
        let (left, middle, right) = (64.0, 387.0, 710.0);
        for (fired, expected) in [
            ((30, None), Some((middle, right))),
            ((-10, Some(30)), Some((left, middle))),
            ((-10, Some(500)), Some((left, right))),
            ((60, None), Some((right, right + 2.0))),
            ((-20, Some(-10)), None),
        ] {
            assert_eq!(band(fired), expected, "{fired:?}");
        }
    }

    #[test]
    fn without_values_it_says_so_and_what_is_below_zero_is_shown() {
        let svg = chart(&[]).svg();
        assert!(svg.contains("no data in this time") && !svg.contains("<circle"));
        let svg = chart(&[(1, -3.0), (2, 4.0)]).svg();
        assert!(svg.contains(">-3</text>"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn nothing_in_it_is_markup_of_its_own() {
        let mut chart = chart(&[(1, 1.0)]);
        chart.title = "<script>alert(1)</script>&".to_owned();
        let svg = chart.svg();
        assert!(!svg.contains("<script") && svg.contains("script&#62;"), "{svg}");
    }

    #[test]
    fn times_are_round_and_few() {
        let frame = Frame::of(WIDTH, HEIGHT, 64.0, 64.0);
        for (from, minutes, first, number) in
            [(0, 60, "10:00", 7), (7, 120, "10:30", 4), (0, 5, "10:00", 6), (0, 1440, "12:00", 4)]
        {
            let labels = hours(&frame, Interval { from: minute(from), until: minute(from + minutes) });
            assert_eq!((labels[0].label.as_str(), labels.len()), (first, number), "{from} {minutes}");
        }
    }
}
