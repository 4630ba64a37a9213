//! The day's alerts as bars from when they began to when they were over.

use super::chart::{Tick, fired, hour_ticks};
use super::scale::{Frame, Px};
use crate::reporting::day::LocalDay;
use crate::reporting::episodes::{Episode, gravity};
use crate::reporting::numbers::minutes;
use crate::reporting::report::{Hour, Interval};

/// How many alerts are drawn; the table has them all.
const DRAWN: usize = 15;
/// Height of an alert's row.
const ROW: f64 = 38.0;
/// Width of a letter of 12 px, on the safe side of the average.
const LETTER: f64 = 6.8;

/// Everything that the template of the timeline draws.
#[derive(Debug)]
pub struct Timeline {
    /// Unique in the page.
    pub id: &'static str,
    /// `wide` or `narrow`: the screens that it is drawn for.
    pub class: &'static str,
    /// Size and plot.
    pub frame: Frame,
    /// Hours.
    pub x_ticks: Vec<Tick>,
    /// One an alert.
    pub rows: Vec<Row>,
    /// Alerts for which there was no room.
    pub left_out: usize,
}

/// One alert.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// Style class of its severity.
    pub class: &'static str,
    /// Left edge of the bar.
    pub x: Px,
    /// Upper edge of the bar.
    pub y: Px,
    /// Width of the bar.
    pub width: Px,
    /// Whether it began before the day.
    pub began_before: bool,
    /// Whether it fires on at the end of the day.
    pub still_firing: bool,
    /// Where the text begins, or ends.
    pub text_x: Px,
    /// `start` or `end`, as SVG calls it.
    pub anchor: &'static str,
    /// The rule and what it speaks of.
    pub text: String,
    /// The same in full, with times.
    pub title: String,
}

/// Style class of a severity.
pub fn class_of(severity: &str) -> &'static str {
    ["info", "warning", "error", "critical"][usize::from(gravity(severity))]
}

/// Labels as text: `service=api table=users`.
pub fn labels_of(episode: &Episode) -> String {
    episode.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// From when to when in local time: `19 Nov 23:35 to 00:18`, or `since 22:51`.
pub fn times_of(episode: &Episode, day: &LocalDay) -> String {
    let from = day.clock_and_day(episode.from);
    match episode.to {
        Some(to) => format!("{from} to {}", day.clock_and_day(to)),
        None => format!("since {from}"),
    }
}

impl Timeline {
    /// For wide screens.
    pub fn wide(day: &LocalDay, hours: &[Hour], alerts: &[Episode]) -> Timeline {
        Timeline::of("alerts-wide", "wide", 980.0, (day, hours, alerts))
    }

    /// For telephones.
    pub fn narrow(day: &LocalDay, hours: &[Hour], alerts: &[Episode]) -> Timeline {
        Timeline::of("alerts-narrow", "narrow", 420.0, (day, hours, alerts))
    }

    fn of(
        id: &'static str,
        class: &'static str,
        width: f64,
        (day, hours, alerts): (&LocalDay, &[Hour], &[Episode]),
    ) -> Timeline {
        let drawn = alerts.len().min(DRAWN);
        let frame = Frame::of(width, drawn as f64 * ROW + 34.0, 10.0, 4.0);
        let rows = alerts.iter().take(drawn).enumerate();
        Timeline {
            id,
            class,
            frame,
            x_ticks: hour_ticks(day, hours, &frame),
            rows: rows.map(|(index, alert)| row(alert, day, &frame, index)).collect(),
            left_out: alerts.len() - drawn,
        }
    }
}

fn row(alert: &Episode, day: &LocalDay, frame: &Frame, index: usize) -> Row {
    let interval = Interval { from: day.from(), until: day.until() };
    let fired = fired(alert, interval);
    let (left, right) = (frame.x(interval, fired.from), frame.x(interval, fired.until));
    let labels = labels_of(alert);
    let text = if labels.is_empty() { alert.rule.clone() } else { format!("{} · {labels}", alert.rule) };
    // The text runs to the side where there is more room, and no farther than the plot does.
    let on_the_left = left.0 + right.0 < frame.left.0 + frame.right.0;
    let room = if on_the_left { frame.right.0 - left.0 } else { right.0 - frame.left.0 };
    Row {
        class: class_of(&alert.severity),
        x: left,
        y: Px(frame.top.0 + index as f64 * ROW + 18.0),
        width: Px((right.0 - left.0).max(3.0)),
        began_before: alert.from < interval.from,
        still_firing: alert.still_firing,
        text_x: if on_the_left { left } else { right },
        anchor: if on_the_left { "start" } else { "end" },
        title: format!("{text}: {}, {}", times_of(alert, day), minutes(alert.minutes)),
        text: shortened(&text, (room / LETTER) as usize),
    }
}

/// At most `letters` characters.
fn shortened(text: &str, letters: usize) -> String {
    match text.chars().count() <= letters {
        true => text.to_owned(),
        false => text.chars().take(letters.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporting::sample;

    #[test]
    fn bars_reach_from_the_beginning_of_an_alert_to_its_end() {
        let report = sample::report();
        let timeline = Timeline::wide(&sample::day(), &report.hourly, &report.alerts);
        let rows: Vec<_> = timeline
            .rows
            .iter()
            .map(|row| (row.class, row.x.to_string(), row.width.to_string(), row.anchor, row.title.as_str()))
            .collect();
        let row = |class, x: &str, width: &str, anchor, title| (class, x.to_owned(), width.to_owned(), anchor, title);
        assert_eq!(
            rows,
            [
                row(
                    "warning",
                    "10",
                    "12",
                    "start",
                    "high_memory_usage · service=document: 19 Nov 23:35 to 00:18, 43 min"
                ),
                row(
                    "critical",
                    "138",
                    "11.3",
                    "start",
                    "failed_logins · event_type=failed_login service=user: 03:12 to 03:29, 17 min"
                ),
                row(
                    "error",
                    "466",
                    "28",
                    "start",
                    "contract_creation_failure · service=contract: 11:24 to 12:06, 42 min"
                ),
                row("warning", "593.3", "34", "end", "slow_api_requests · service=api: 14:35 to 15:26, 51 min"),
                row("warning", "924", "46", "end", "low_user_registrations: since 22:51, 1 h 9 min"),
            ]
        );
        assert!(timeline.rows[0].began_before && timeline.rows[4].still_firing);
    }

    #[test]
    fn more_alerts_than_there_is_room_for_are_counted() {
        let report = sample::report();
        let alerts: Vec<Episode> = report.alerts.iter().cycle().take(22).cloned().collect();
        let timeline = Timeline::narrow(&sample::day(), &report.hourly, &alerts);
        assert_eq!((timeline.rows.len(), timeline.left_out), (15, 7));
    }

    #[test]
    fn long_names_are_shortened_by_letters_not_bytes() {
        assert_eq!(shortened("договор", 7), "договор");
        assert_eq!(shortened("договоры", 7), "догово…");
    }
}
