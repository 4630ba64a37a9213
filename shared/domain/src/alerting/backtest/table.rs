//! Backtests as tables that are read in a terminal of 100 columns.

use std::fmt;

use super::{Change, Diff, Played, Report, RuleDiff, RuleReport};

/// Longest id of a rule that has its figures beside it; a longer one has them below.
const LONGEST_ID: usize = 35;

/// Episodes that a diff tells of each rule and direction. All are in the JSON.
const EPISODES_TOLD: usize = 10;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = width(self.rules.iter().map(|rule| rule.rule.as_str()));
        writeln!(f, "{:width$}  severity  {HEADER}", "rule")?;
        for rule in &self.rules {
            let name = beside(f, &rule.rule, width)?;
            writeln!(f, "{name:width$}  {:8}  {}", rule.severity, figures(rule))?;
        }
        let total = |of: fn(&RuleReport) -> i64| self.rules.iter().map(of).sum::<i64>();
        let all = [
            total(|rule| rule.fired as i64).to_string(),
            lasting(total(|rule| rule.firing_minutes)),
            lasting(self.rules.iter().map(|rule| rule.longest_minutes).max().unwrap_or(0)),
            total(|rule| rule.flaps as i64).to_string(),
            self.notifications.to_string(),
            lasting(total(|rule| rule.nodata_minutes)),
            lasting(total(|rule| rule.error_minutes)),
        ];
        writeln!(f, "{:width$}  {:8}  {}", "all", "", columns(&all))
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<&RuleDiff> = self.rules.iter().filter(|rule| rule.change != Change::Same).collect();
        if told.is_empty() {
            writeln!(f, "no rule does anything else")?;
        } else {
            let width = width(told.iter().map(|rule| rule.rule.as_str()));
            writeln!(f, "{:10}{:width$}  {HEADER}", "", "rule")?;
            for rule in &told {
                let (one, two) = (rule.before.as_ref(), rule.after.as_ref());
                let mut label = rule.change.as_str();
                let mut name = beside(f, &rule.rule, width)?;
                for (sign, figures_of) in [('-', one), ('+', two)] {
                    let Some(figures_of) = figures_of else { continue };
                    writeln!(f, "{label:7} {sign} {name:width$}  {}", figures(figures_of))?;
                    (label, name) = ("", "");
                }
                episodes(f, '-', &rule.gone)?;
                episodes(f, '+', &rule.new)?;
            }
        }
        let same = self.rules.len() - told.len();
        let (before, after) = (self.notifications_before, self.notifications_after);
        writeln!(f, "{same} rules do the same; {before} notifications become {after}")
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to ", self.since)?;
        match self.until {
            Some(until) => write!(f, "{until} ({})", lasting(until.since(self.since)))?,
            None => f.write_str("the end")?,
        }
        self.labels.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

fn episodes(f: &mut fmt::Formatter<'_>, sign: char, episodes: &[Played]) -> fmt::Result {
    for played in episodes.iter().take(EPISODES_TOLD) {
        writeln!(f, "        {sign}   {played}")?;
    }
    match episodes.len().saturating_sub(EPISODES_TOLD) {
        0 => Ok(()),
        more => writeln!(f, "        {sign}   and {more} more"),
    }
}

fn width<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    ids.map(str::len).filter(|length| *length <= LONGEST_ID).max().unwrap_or(0).max("rule".len())
}

/// What stands beside the figures: the id, or nothing where it is too long and has a line of its own.
fn beside<'a>(f: &mut fmt::Formatter<'_>, id: &'a str, width: usize) -> Result<&'a str, fmt::Error> {
    if id.len() <= width {
        return Ok(id);
    }
    writeln!(f, "{id}")?;
    Ok("")
}

fn figures(rule: &RuleReport) -> String {
    columns(&[
        rule.fired.to_string(),
        lasting(rule.firing_minutes),
        lasting(rule.longest_minutes),
        rule.flaps.to_string(),
        rule.notifications.to_string(),
        lasting(rule.nodata_minutes),
        lasting(rule.error_minutes),
    ])
}

/// Above what [`columns`] makes.
const HEADER: &str = "fired   firing  longest  flaps   sent  nodata   error";

fn columns([fired, firing, longest, flaps, sent, nodata, error]: &[String; 7]) -> String {
    format!("{fired:>5}  {firing:>7}  {longest:>7}  {flaps:>5}  {sent:>5}  {nodata:>6}  {error:>6}")
}

/// Minutes as people say them, in at most seven characters: `0`, `40m`, `1h12m`, `3d4h`.
pub(super) fn lasting(minutes: i64) -> String {
    let (days, hours, rest) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    match (days, hours, rest) {
        (0, 0, 0) => "0".to_owned(),
        (0, 0, rest) => format!("{rest}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, rest) => format!("{hours}h{rest:02}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}
