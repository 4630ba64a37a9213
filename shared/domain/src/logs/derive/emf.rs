//! Metrics that a line brings along in CloudWatch's embedded metric format (EMF): the root members of a
//! line with `_aws`. CloudWatch may extract them as well, so they are kept apart from what is derived.
//!
//! - Only directives of the configured namespace are read: what another one means is not ours to know.
//! - A metric has to be one of the registry, in its unit or in none. Those that the pipeline counts of every
//!   line itself (`log_entries`, `performance_issues`, `pipeline_...`) are not taken: they would count twice. Nor are
//!   those of its functions.
//! - It has the dimensions of the registry, whatever sets the line asks for: `service` is the line's, or that
//!   of its log group; one that is missing or no text is `unknown`; endpoints become templates.
//! - Its value is a number, an array of numbers, or `{"Values":[..],"Counts":[..]}` with or without exact
//!   `Count`, `Sum`, `Min` and `Max`; at most 100 values, as CloudWatch takes them. A metric that is named twice
//!   counts once.
//! - Of a counter `Count` and `Sum` are enough, since nobody asks for its percentiles; and a `Sum` has to be that of
//!   the values, up to rounding. Of other metrics values may stand for buckets, some per cent off what is told.
//! - Its minute is that of `_aws.Timestamp`, as for CloudWatch, since a sum over a minute is written after it;
//!   but only where that is of the same hour as the event and not after it. An archive object holds an hour
//!   of a batch and is counted again on its own: it must not add to the minutes of another one.
//! - The metrics of a line that was put together from pieces are with what is derived: CloudWatch saw the pieces, of
//!   which none is such a line, so nobody has extracted them. (Only JSON that a log driver has split is such a line:
//!   the other lines that are put together are the database server's.)
//!
//! What is not so is left out and told in `pipeline_values_refused`: a number of its own each, an aggregate as
//! a whole, since a part of it would be a wrong figure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schema::endpoint;

use super::dimension::{DimensionValue, Known};
use super::facts;
use super::metric::{MAX_DIMENSIONS, Metric};
use super::tally::MAX_MAGNITUDE;
use crate::Minute;
use crate::logs::json::{self, Token};
use crate::logs::record::Json;
use crate::metrics::registry::{Kind, Unit};
use crate::metrics::series::{Aggregate, Dimensions, SeriesKey, SeriesSet};
use crate::metrics::sketch::Sketch;

/// Dimensions that a metric has at most, with `service`.
const DIMENSIONS: usize = MAX_DIMENSIONS + 1;

/// How often one value of an aggregate may have come: no number of lines adds up to what a count can not hold.
const MAX_COUNT: f64 = u32::MAX as f64;

/// Values that CloudWatch takes of one metric in one line.
const MAX_VALUES: usize = 100;

/// By what part two figures may differ that are the same: sums are rounded, in one order or another.
const ROUNDING: f64 = 1e-9;

const HOUR_MILLIS: i64 = 3_600_000;

/// A line as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    /// An object with its root members, as they are archived.
    pub(super) json: &'a str,
    /// Event time in epoch milliseconds.
    pub(super) millis: i64,
    /// Whether it was put together from pieces.
    pub(super) is_joined: bool,
}

/// Series of a batch that its lines have brought along.
pub(super) struct Extracted {
    namespace: String,
    series: BTreeMap<Key, Aggregate>,
    /// Values of each dimension of each metric; empty until there is one.
    known: Vec<Known>,
    room: Room,
}

/// What a line is read in.
#[derive(Default)]
struct Room {
    specials: Vec<u32>,
    tokens: Vec<Token>,
    points: Vec<(f64, u64)>,
    template: String,
    sanitised: String,
}

/// What of a line is not as it was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Values left out.
    pub(super) refused: usize,
    /// Metrics that had a dimension folded into `other`.
    pub(super) folded: usize,
    /// Whether the line tells its metrics, in our namespace or, with no directives at all, elsewhere: then nothing is
    /// to be derived from it.
    pub(super) is_told: bool,
}

/// What tells one series from another within a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    is_joined: bool,
    minute: Minute,
    metric: Metric,
    /// Places of the values of its dimensions, in the registry's order.
    values: [u8; DIMENSIONS],
}

impl Extracted {
    /// Of lines whose metrics are in `namespace`.
    pub(super) fn new(namespace: &str) -> Extracted {
        Extracted { namespace: namespace.to_owned(), series: BTreeMap::new(), known: Vec::new(), room: Room::default() }
    }

    /// Adds the metrics of a line. `service` is that of its log group.
    pub(super) fn add(&mut self, event: Event<'_>, service: &str) -> Told {
        let json = event.json;
        let mut room = std::mem::take(&mut self.room);
        room.specials.clear();
        room.tokens.clear();
        json::find_specials(json.as_bytes(), &mut room.specials);
        let tokens = &mut room.tokens;
        let told = match json::tokenize(json.as_bytes(), &room.specials, 0, tokens) {
            Ok(()) => {
                let line = Line { json, tokens: &room.tokens };
                self.add_line(line, event, service, &mut room.points, (&mut room.template, &mut room.sanitised))
            }
            Err(_) => Told { refused: 1, ..Told::default() },
        };
        self.room = room;
        told
    }

    /// The series by minute. Those that nobody can have extracted are added to `others`.
    pub(super) fn finish(self, others: &mut BTreeMap<Minute, SeriesSet>) -> BTreeMap<Minute, SeriesSet> {
        let mut minutes: BTreeMap<Minute, SeriesSet> = BTreeMap::new();
        for (key, held) in &self.series {
            let names = key.metric.definition().dimensions;
            let value = |at: usize| self.known[slot(key.metric, at)].text(key.values[at]).to_owned();
            let dimensions: Dimensions = (0..names.len()).map(|at| (names[at].to_owned(), value(at))).collect();
            let name = key.metric.definition().name.to_owned();
            let minutes = if key.is_joined { &mut *others } else { &mut minutes };
            minutes.entry(key.minute).or_default().add(SeriesKey { name, dimensions }, held);
        }
        minutes
    }

    fn add_line(
        &mut self,
        line: Line<'_>,
        event: Event<'_>,
        service: &str,
        points: &mut Vec<(f64, u64)>,
        mut texts: (&mut String, &mut String),
    ) -> Told {
        let mut told = Told::default();
        let aws = line.member(line.root(), "_aws");
        let directives = aws.and_then(|aws| line.array(line.member(aws, "CloudWatchMetrics")?));
        let Some(mut directives) = directives.map(Iterator::peekable) else { return Told { refused: 1, ..told } };
        let timestamp = aws.and_then(|aws| line.member(aws, "Timestamp"));
        let event = Event { millis: moment(timestamp, event.millis), ..event };
        let mut seen = [false; Metric::COUNT];
        told.is_told = directives.peek().is_none();
        for directive in directives {
            match line.member(directive, "Namespace").and_then(Json::plain) {
                Some(namespace) if namespace == self.namespace => told.is_told = true,
                Some(_) => continue,
                None => {
                    told.refused += 1;
                    continue;
                }
            }
            let Some(metrics) = line.member(directive, "Metrics").and_then(|metrics| line.array(metrics)) else {
                told.refused += 1;
                continue;
            };
            for metric in metrics {
                let Some(metric) = line.metric(metric) else {
                    told.refused += 1;
                    continue;
                };
                if std::mem::replace(&mut seen[usize::from(metric.place())], true) {
                    continue;
                }
                points.clear();
                let (said, refused) = line.read(metric, points);
                told.refused += refused;
                if let Some(said) = said {
                    let held = said.aggregate(event.millis, points);
                    let folded = self.add_to(metric, event, &held, line, service, &mut texts);
                    told.folded += usize::from(folded);
                }
            }
        }
        told
    }

    /// Adds `held` to the series of `metric` that the line's dimensions name. Says whether one was folded.
    fn add_to(
        &mut self,
        metric: Metric,
        event: Event<'_>,
        held: &Aggregate,
        line: Line<'_>,
        service: &str,
        (template, sanitised): &mut (&mut String, &mut String),
    ) -> bool {
        if self.known.is_empty() {
            self.known = vec![Known::new(); Metric::COUNT * DIMENSIONS];
        }
        let minute = Minute::of_epoch_millis(event.millis);
        let mut key = Key { is_joined: event.is_joined, minute, metric, values: [0; DIMENSIONS] };
        let mut folded = false;
        for (at, &name) in metric.definition().dimensions.iter().enumerate() {
            let said = line.member(line.root(), name).and_then(|value| line.text(value));
            let value = match (name, said.as_deref()) {
                ("service", None) => service,
                (_, None) => "unknown",
                ("endpoint", Some(target)) => endpoint::template(target, template),
                (_, Some(text)) => text,
            };
            let (place, was_folded) = self.known[slot(metric, at)].place(DimensionValue::of(value, sanitised));
            key.values[at] = place;
            folded |= was_folded;
        }
        match self.series.get_mut(&key) {
            Some(mine) => mine.merge(held),
            None => {
                self.series.insert(key, held.clone());
            }
        }
        folded
    }
}

/// Place of the values of a metric's dimension.
fn slot(metric: Metric, dimension: usize) -> usize {
    usize::from(metric.place()) * DIMENSIONS + dimension
}

/// The moment of a line's metrics, in epoch milliseconds (see the top of this file).
fn moment(timestamp: Option<Json<'_>>, event_millis: i64) -> i64 {
    let hour = |millis: i64| millis.div_euclid(HOUR_MILLIS);
    let said = timestamp.and_then(Json::number).map(|millis| millis as i64);
    said.filter(|&millis| millis <= event_millis && hour(millis) == hour(event_millis)).unwrap_or(event_millis)
}

/// The members of a line.
#[derive(Clone, Copy)]
struct Line<'a> {
    json: &'a str,
    tokens: &'a [Token],
}

impl<'a> Line<'a> {
    fn root(self) -> Json<'a> {
        Json::at(self.json, self.tokens, 0)
    }

    fn member(self, object: Json<'a>, name: &str) -> Option<Json<'a>> {
        let object = object.object()?;
        let mut names = json::fields(self.tokens, object.token);
        let place = names.find(|&place| Json::at(self.json, self.tokens, place).text == name)?;
        Some(Json::at(self.json, self.tokens, place + 1))
    }

    /// A string or a number as the text that a dimension has.
    fn text(self, value: Json<'a>) -> Option<Cow<'a, str>> {
        let Token { start, end, .. } = self.tokens[value.token as usize];
        let quote = usize::from(value.quoted().is_some());
        facts::scalar_text(&self.json[start as usize - quote..end as usize + quote])
    }

    /// The elements of an array.
    fn array(self, array: Json<'a>) -> Option<impl Iterator<Item = Json<'a>>> {
        let end = (array.kind == json::Kind::Array).then(|| self.tokens[array.token as usize].next)?;
        let mut next = array.token + 1;
        Some(std::iter::from_fn(move || {
            let element = (next < end).then(|| Json::at(self.json, self.tokens, next))?;
            next = self.tokens[next as usize].next;
            Some(element)
        }))
    }

    /// The metric that an entry of a directive names, where it is one that a line may bring along.
    fn metric(self, entry: Json<'a>) -> Option<Metric> {
        let metric = Metric::find(self.member(entry, "Name")?.plain()?)?;
        let definition = metric.definition();
        let is_ours = !definition.source.is_told_by_lines();
        let unit = self.member(entry, "Unit").map_or(Some(Unit::None.as_str()), Json::plain)?;
        let fits = [definition.unit.as_str(), Unit::None.as_str()].contains(&unit);
        (fits && !is_ours).then_some(metric)
    }

    /// The values of a metric, which are added to `points` with how often each came; what they come to; and how
    /// many of them were refused.
    fn read(self, metric: Metric, points: &mut Vec<(f64, u64)>) -> (Option<Said>, usize) {
        let kind = metric.definition().kind;
        let Some(value) = self.member(self.root(), metric.definition().name) else { return (None, 1) };
        if value.kind == json::Kind::Object {
            let said = self.aggregate(kind, value, points);
            return (said, usize::from(said.is_none()));
        }
        let mut refused = 0;
        let mut take = |value: Json<'_>| match number(kind, value) {
            Some(number) => points.push((number, 1)),
            None => refused += 1,
        };
        match self.array(value) {
            Some(mut values) => {
                values.by_ref().take(MAX_VALUES).for_each(take);
                refused += values.count();
            }
            None => take(value),
        }
        (Said::of(points), refused)
    }

    /// The same for an aggregate, which is refused where it contradicts itself.
    fn aggregate(self, kind: Kind, value: Json<'a>, points: &mut Vec<(f64, u64)>) -> Option<Said> {
        let Some(values) = self.member(value, "Values") else { return self.totals(kind, value, points) };
        let values = self.array(values)?;
        match self.member(value, "Counts") {
            Some(counts) => {
                let mut counts = self.array(counts)?;
                for value in values {
                    points.push((number(kind, value)?, count(counts.next()?)?));
                }
                if counts.next().is_some() {
                    return None;
                }
            }
            None => {
                for value in values {
                    points.push((number(kind, value)?, 1));
                }
            }
        }
        if points.len() > MAX_VALUES {
            return None;
        }
        points.retain(|(_, count)| *count > 0);
        let of_points = Said::of(points)?;
        let or = |name: &str, otherwise: f64| self.total(value, name, otherwise);
        let told = or("Count", of_points.count as f64)?;
        let (sum, min, max) = (or("Sum", of_points.sum)?, or("Min", of_points.min)?, or("Max", of_points.max)?);
        // Values may stand for the buckets that they fell in: some per cent off the bounds that are told. What is
        // counted falls into none.
        let is_exact = kind == Kind::Counter;
        let margin = if is_exact { ROUNDING } else { 0.05 } * min.abs().max(max.abs());
        let within = |value: f64| min - margin <= value && value <= max + margin;
        let holds = told == of_points.count as f64
            && told <= MAX_COUNT
            && min <= max
            && (!is_exact || (sum - of_points.sum).abs() <= ROUNDING * of_points.sum.abs())
            && [sum / told, of_points.min, of_points.max].into_iter().all(within)
            && [min, max].into_iter().all(|bound| fits(kind, bound));
        holds.then_some(Said { sum, min, max, last: max, ..of_points })
    }

    /// The same for an aggregate that has no values, as a counter may: they are taken for equal. Bounds that it does
    /// not tell are taken for that value, too.
    fn totals(self, kind: Kind, value: Json<'a>, points: &mut Vec<(f64, u64)>) -> Option<Said> {
        if kind != Kind::Counter || self.member(value, "Counts").is_some() {
            return None;
        }
        let times = count(self.member(value, "Count")?).filter(|&times| times > 0)?;
        let sum = self.member(value, "Sum")?.number()?;
        let mean = sum / times as f64;
        let (min, max) = (self.total(value, "Min", mean)?, self.total(value, "Max", mean)?);
        let margin = ROUNDING * max.abs();
        let holds = min - margin <= mean && mean <= max + margin && [min, mean, max].iter().all(|&it| fits(kind, it));
        points.push((mean, times));
        holds.then_some(Said { count: times, sum, min, max, last: max })
    }

    /// A figure that an aggregate tells, or what it is otherwise.
    fn total(self, aggregate: Json<'a>, name: &str, otherwise: f64) -> Option<f64> {
        match self.member(aggregate, name) {
            Some(told) => told.number().filter(|told| told.abs() <= MAX_MAGNITUDE * MAX_COUNT),
            None => Some(otherwise),
        }
    }
}

/// A number that a metric of `kind` can hold.
fn number(kind: Kind, value: Json<'_>) -> Option<f64> {
    value.number().filter(|&number| fits(kind, number))
}

fn fits(kind: Kind, number: f64) -> bool {
    let may_be_negative = matches!(kind, Kind::Gauge | Kind::Histogram);
    number.abs() <= MAX_MAGNITUDE && (may_be_negative || number >= 0.0)
}

/// How often a value came.
fn count(value: Json<'_>) -> Option<u64> {
    let count = value.number().filter(|count| (0.0..=MAX_COUNT).contains(count) && count.fract() == 0.0)?;
    Some(count as u64)
}

/// What the values of a metric in a line come to.
#[derive(Debug, Clone, Copy)]
struct Said {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// The one that counts as the latest: the last of a list; of an aggregate, which has no order, the greatest.
    last: f64,
}

impl Said {
    fn of(points: &[(f64, u64)]) -> Option<Said> {
        let &(last, _) = points.last()?;
        let mut said = Said { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, last };
        for &(value, count) in points {
            said.count += count;
            said.sum += value * count as f64;
            said.min = said.min.min(value);
            said.max = said.max.max(value);
        }
        Some(said)
    }

    fn aggregate(self, at_millis: i64, points: &mut Vec<(f64, u64)>) -> Aggregate {
        let Said { count, sum, min, max, last } = self;
        Aggregate { count, sum, min, max, last: (at_millis, last), sketch: Sketch::of_counted(points) }
    }
}

#[cfg(test)]
mod tests;
