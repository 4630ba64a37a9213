//! The shape of a rule file. Names that stand for something (severities, statistics, durations) are
//! still text here, with their places, so that [`super::check`] can report all mistakes at once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Error, Spanned, UserMessageFormatter, options};

use super::problem::{InvalidRules, Place, Problem, name_hint};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Version of the language, 1.
    pub version: Spanned<u32>,
    /// What holds for all rules.
    pub defaults: Option<Defaults>,
    /// The rules.
    pub rules: Spanned<Vec<Spanned<RawRule>>>,
}

/// What holds for all rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// How long after its end a minute is evaluated.
    pub evaluation_delay: Spanned<String>,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `Rule`, in which they are described.
pub struct RawRule {
    pub id: Spanned<String>,
    pub class: Spanned<String>,
    pub severity: Spanned<String>,
    pub queries: Spanned<BTreeMap<String, Spanned<RawQuery>>>,
    pub expr: Spanned<String>,
    pub window: Window,
    pub when: Spanned<BTreeMap<String, f64>>,
    pub clear: Option<Spanned<BTreeMap<String, f64>>>,
    pub datapoints: Option<Spanned<MOfN>>,
    #[serde(rename = "for")]
    pub hold: Option<Spanned<String>>,
    pub keep_firing_for: Option<Spanned<String>>,
    pub missing: Option<Spanned<String>>,
    #[serde(default)]
    pub group_by: Vec<Spanned<String>>,
    pub annotations: Annotations,
    #[serde(default)]
    pub tests: Vec<Spanned<RawTest>>,
}

/// A query as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawQuery {
    pub metric: Spanned<String>,
    pub stat: Spanned<String>,
    #[serde(default, rename = "where")]
    pub filters: BTreeMap<String, Spanned<String>>,
    pub fill: Option<Spanned<String>>,
    pub min_samples: Option<Spanned<u64>>,
}

/// `{over: 10m}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Window {
    pub over: Spanned<String>,
}

/// `{m: 3, n: 5}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MOfN {
    pub m: usize,
    pub n: usize,
}

/// What the alert says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Annotations {
    pub summary: Spanned<String>,
    pub runbook_url: Option<Spanned<String>>,
}

/// `{series: {errors: "0x10 1x4"}, expect: {13m: firing}}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawTest {
    pub series: BTreeMap<String, Spanned<String>>,
    pub expect: BTreeMap<String, Spanned<String>>,
}

/// Reads the shape. A mistake here (no YAML, an unknown field, a list where a text belongs) is the only
/// one that is reported: the rest of the file can't be understood.
pub fn parse(name: &str, text: &str) -> Result<File, InvalidRules> {
    serde_saphyr::from_str_with_options(text, options! { with_snippet: false }).map_err(|error| {
        let place = error.location().map(Place::from);
        let (message, hint) = said(&error);
        let rule = place.and_then(|place| rule_at(text, place.line));
        InvalidRules { file: name.to_owned(), problems: vec![Problem { place, rule, message, hint }] }
    })
}

/// The library's text for users, without the place at its end: ours stands at the beginning.
pub(in crate::alerting) fn said(error: &Error) -> (String, Option<String>) {
    if let Error::SerdeUnknownField { field, expected, .. } = error {
        return (format!("unknown field `{field}`"), name_hint(field, expected.iter().copied()));
    }
    let text = error.render_with_formatter(&UserMessageFormatter);
    let place = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
    let message = place.and_then(|place| text.strip_suffix(&place)).unwrap_or(&text).to_owned();
    (message, None)
}

/// Id of the rule that `line` (counted from 1) stands in, found in the text: there is no parsed rule yet.
fn rule_at(text: &str, line: u64) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let rules = lines.iter().position(|line| line.starts_with("rules:"))?;
    let item = |line: &&str| line.trim_start().starts_with("- ");
    let items_at = indent(lines[rules..].iter().find(|line| item(line))?);
    let starts = |line: &&str| item(line) && indent(line) == items_at;

    let line = usize::try_from(line).ok()?.clamp(1, lines.len());
    let begin = lines[..line].iter().rposition(&starts).filter(|&begin| begin > rules)?;
    let end = lines[begin + 1..].iter().position(starts).map_or(lines.len(), |next| begin + 1 + next);
    lines[begin..end].iter().find_map(|line| {
        let line = line.trim_start().trim_start_matches("- ").trim_start_matches('{').trim_start();
        let id = line.strip_prefix("id:")?.split([',', '#', '}']).next()?.trim();
        (!id.is_empty()).then(|| id.to_owned())
    })
}
