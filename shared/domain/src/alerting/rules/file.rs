//! The shape of a rule file. Names that stand for something (severities, statistics, durations) are
//! still text here, with their places, so that [`super::check`] can report all mistakes at once.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Error, Spanned, UserMessageFormatter, options};

use super::problem::{Place, Problem, name_hint, shortened};

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
    pub evaluation_delay: Option<Spanned<String>>,
    /// The namespace of CloudWatch that our metrics are put to.
    pub namespace: Option<Spanned<String>>,
    /// How long a datapoint is: a minute.
    pub period: Option<Spanned<String>>,
}

/// A rule as it is written. Which of the fields a rule has depends on its kind ([`super::check`] has the table).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `Rule` and of the kinds, where they are described.
pub struct RawRule {
    pub id: Spanned<String>,
    pub kind: Option<Spanned<String>>,
    pub class: Spanned<String>,
    pub severity: Option<Spanned<String>>,
    pub service: Option<Spanned<String>>,
    #[serde(default)]
    pub group_by: Vec<Spanned<String>>,
    pub annotations: Annotations,
    pub evidence: Option<RawEvidence>,
    #[serde(default)]
    pub tests: Vec<Spanned<RawTest>>,

    pub queries: Option<Spanned<BTreeMap<String, Spanned<RawQuery>>>>,
    pub expr: Option<Spanned<String>>,
    pub window: Option<Spanned<Window>>,
    pub when: Option<Spanned<BTreeMap<String, f64>>>,
    pub clear: Option<Spanned<BTreeMap<String, f64>>>,
    pub datapoints: Option<Spanned<MOfN>>,
    #[serde(rename = "for")]
    pub hold: Option<Spanned<String>>,
    pub keep_firing_for: Option<Spanned<String>>,
    pub missing: Option<Spanned<String>>,

    pub objective: Option<Spanned<f64>>,
    pub good: Option<Spanned<RawSelector>>,
    pub bad: Option<Spanned<RawSelector>>,
    pub total: Option<Spanned<RawSelector>>,
    pub duration: Option<Spanned<RawSelector>>,
    pub within: Option<Spanned<f64>>,
    pub burn: Option<Spanned<Vec<Spanned<RawBurn>>>>,
    pub min_samples: Option<Spanned<u64>>,
    pub period: Option<Spanned<String>>,

    pub metric: Option<Spanned<String>>,
    #[serde(rename = "where")]
    pub filters: Option<Spanned<RawFilters>>,
    pub forget_after: Option<Spanned<String>>,
    pub every: Option<Spanned<String>>,
    pub grace: Option<Spanned<String>>,
    pub resolve_after: Option<Spanned<String>>,
}

impl RawRule {
    /// The fields that it has and that not every rule has, by name, with the places of their values.
    pub(super) fn own_fields(&self) -> Vec<(&'static str, Place)> {
        fn at<T>(name: &'static str, field: &Option<Spanned<T>>) -> Option<(&'static str, Place)> {
            field.as_ref().map(|field| (name, Place::from(field.referenced)))
        }
        let fields = [
            at("severity", &self.severity),
            at("queries", &self.queries),
            at("expr", &self.expr),
            at("window", &self.window),
            at("when", &self.when),
            at("clear", &self.clear),
            at("datapoints", &self.datapoints),
            at("for", &self.hold),
            at("keep_firing_for", &self.keep_firing_for),
            at("missing", &self.missing),
            at("objective", &self.objective),
            at("good", &self.good),
            at("bad", &self.bad),
            at("total", &self.total),
            at("duration", &self.duration),
            at("within", &self.within),
            at("burn", &self.burn),
            at("min_samples", &self.min_samples),
            at("period", &self.period),
            at("metric", &self.metric),
            at("where", &self.filters),
            at("forget_after", &self.forget_after),
            at("every", &self.every),
            at("grace", &self.grace),
            at("resolve_after", &self.resolve_after),
            self.group_by.first().map(|first| ("group_by", Place::from(first.referenced))),
        ];
        fields.into_iter().flatten().collect()
    }
}

/// What values of some fields have to be.
pub type RawFilters = BTreeMap<String, Spanned<Choice>>;

/// A query as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawQuery {
    pub metric: Spanned<String>,
    pub stat: Spanned<String>,
    #[serde(default, rename = "where")]
    pub filters: RawFilters,
    pub fill: Option<Spanned<String>>,
    pub min_samples: Option<Spanned<u64>>,
}

/// A metric of which the statistic is given: `{metric: api_requests, where: {status_code: 5xx}}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawSelector {
    pub metric: Spanned<String>,
    #[serde(default, rename = "where")]
    pub filters: RawFilters,
}

/// `{severity: critical, factor: 14.4, long: 1h, short: 5m}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawBurn {
    pub severity: Spanned<String>,
    pub factor: Spanned<f64>,
    pub long: Spanned<String>,
    pub short: Spanned<String>,
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

/// `{logs: {filter: 'level="ERROR"', limit: 5}, traces: 3, chart: 3h}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawEvidence {
    pub logs: Option<RawLogs>,
    pub traces: Option<Spanned<u64>>,
    pub chart: Option<Spanned<String>>,
}

/// `{filter: 'level="ERROR"', limit: 5}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawLogs {
    pub filter: Spanned<String>,
    pub limit: Option<Spanned<u64>>,
}

/// `{series: {errors: "0x10 1x4"}, expect: {13m: firing}}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct RawTest {
    pub step: Option<Spanned<String>>,
    #[serde(default)]
    pub series: BTreeMap<String, Spanned<String>>,
    pub expect: BTreeMap<String, Spanned<Expected>>,
}

/// One text or a list of them. Numbers and booleans are taken as they are written: `status_code: 500`.
#[derive(Debug)]
pub struct Choice(pub Vec<String>);

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Choice, D::Error> {
        struct Chosen;
        impl<'de> Visitor<'de> for Chosen {
            type Value = Choice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Choice, E> {
                Ok(Choice(vec![text.to_owned()]))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Choice, E> {
                Ok(Choice(vec![number.to_string()]))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Choice, E> {
                Ok(Choice(vec![number.to_string()]))
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Choice, E> {
                Ok(Choice(vec![value.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Choice, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Choice(texts))
            }
        }
        deserializer.deserialize_any(Chosen)
    }
}

/// What an alert is: `firing`; or, where a rule has several, what each is: `{page: firing, ticket: pending}`.
#[derive(Debug)]
pub enum Expected {
    /// All of them.
    All(String),
    /// By the value of their label.
    Each(BTreeMap<String, String>),
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expected, D::Error> {
        struct Phases;
        impl<'de> Visitor<'de> for Phases {
            type Value = Expected;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a phase (firing, say) or one for each alert ({page: firing, ticket: inactive}, say)")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Expected, E> {
                Ok(Expected::All(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Expected, A::Error> {
                let mut phases = BTreeMap::new();
                while let Some((label, phase)) = entries.next_entry()? {
                    phases.insert(label, phase);
                }
                Ok(Expected::Each(phases))
            }
        }
        deserializer.deserialize_any(Phases)
    }
}

/// A file as far as it has the right shape.
#[derive(Debug)]
pub(super) struct Read {
    /// The file without the rules of another shape; `None` where something else is wrong with it.
    pub(super) file: Option<File>,
    /// What is wrong: the first mistake of each such rule, or of the whole.
    pub(super) problems: Vec<Problem>,
}

/// How many rules of a wrong shape are told of at once; each is one more reading of the file.
const MOST_MISSHAPEN: usize = 20;

/// Reads the shape. Of a rule with a mistake in it (an unknown field, a list where a text belongs) the rest can't be
/// understood, but other rules can; of what is no YAML, nothing.
pub(super) fn read(text: &str) -> Read {
    let mut text = text.to_owned();
    let mut problems: Vec<Problem> = Vec::new();
    loop {
        let error = match parse(&text) {
            Ok(file) => return Read { file: Some(file), problems },
            Err(error) => error,
        };
        let place = error.location().map(Place::from);
        let item = place.and_then(|place| item_at(&text, place.line));
        if item.is_none() && !problems.is_empty() {
            return Read { file: None, problems }; // It comes of what was taken out: an anchor, say, or all rules.
        }
        // What the library can't read whatever is expected of it is not a matter of one rule.
        let is_yaml = !problems.is_empty() || parse::<IgnoredAny>(&text).is_ok();
        let (message, hint) = said(&error);
        let rule = item.clone().and_then(|lines| id_in(&text, lines)).map(shortened);
        problems.push(Problem { place, rule, message: shortened(message), hint });
        match item {
            Some(lines) if is_yaml && problems.len() < MOST_MISSHAPEN => text = without(&text, lines),
            _ => return Read { file: None, problems },
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // The library's own bounds are for files of 5,000 rules.
    let budget = serde_saphyr::budget! { max_nodes: 4_000_000, max_events: 8_000_000 };
    serde_saphyr::from_str_with_options(text, options! { with_snippet: false, budget: budget })
}

/// The text with these lines empty, so that all others stay where they are.
fn without(text: &str, taken: Range<usize>) -> String {
    let lines = text.lines().enumerate();
    lines.map(|(at, line)| if taken.contains(&at) { "\n".to_owned() } else { format!("{line}\n") }).collect()
}

/// The library's text for users, without the place at its end: ours stands at the beginning.
pub(in crate::alerting) fn said(error: &Error) -> (String, Option<String>) {
    let told = |message: &str, hint: &str| (message.to_owned(), Some(hint.to_owned()));
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            return (format!("unknown field `{field}`"), name_hint(field, expected.iter().copied()));
        }
        Error::Eof { .. } => return told("the file is empty", "it begins with `version: 1`"),
        Error::NullIntoString { .. } => {
            return told("nothing stands here", "a text is expected");
        }
        Error::Unexpected { expected: "sequence start", .. } => return told("a list is expected", "[a, b], say"),
        Error::Unexpected { expected: "mapping start", .. } => {
            return told("fields are expected", "{name: value}, say");
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            return told("a text is expected", "no list, and no fields");
        }
        Error::InvalidScalar { ty, .. } if ty.contains("float") => {
            return told("not a number", "99.9, say, without a unit");
        }
        Error::InvalidScalar { ty, .. } if ty.starts_with(['u', 'i']) => {
            return told("not a whole number", "at least 0, without a unit");
        }
        _ => {}
    }
    let text = error.render_with_formatter(&UserMessageFormatter);
    let place = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
    let message = place.and_then(|place| text.strip_suffix(&place)).unwrap_or(&text).to_owned();
    (message, None)
}

/// The lines (counted from 0) of the rule that `line` (counted from 1) stands in, found in the text: there is no parsed
/// rule yet.
fn item_at(text: &str, line: u64) -> Option<Range<usize>> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let rules = lines.iter().position(|line| line.starts_with("rules:"))?;
    let item = |line: &&str| line.trim_start().starts_with("- ");
    let items_at = indent(lines[rules..].iter().find(|line| item(line))?);
    let starts = |line: &&str| item(line) && indent(line) == items_at;

    let line = usize::try_from(line).ok()?.clamp(1, lines.len());
    let begin = lines[..line].iter().rposition(&starts).filter(|&begin| begin > rules)?;
    let end = lines[begin + 1..].iter().position(starts).map_or(lines.len(), |next| begin + 1 + next);
    Some(begin..end)
}

/// Id of the rule in these lines.
fn id_in(text: &str, lines: Range<usize>) -> Option<String> {
    text.lines().skip(lines.start).take(lines.len()).find_map(|line| {
        let line = line.trim_start().trim_start_matches("- ").trim_start_matches('{').trim_start();
        let id = line.strip_prefix("id:")?.split([',', '#', '}']).next()?.trim();
        (!id.is_empty()).then(|| id.to_owned())
    })
}
