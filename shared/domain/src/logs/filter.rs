//! Which lines are left out of the archive on purpose. By default none is. Metrics see every line
//! nevertheless, and every line left out is counted.
//!
//! Rules stand in one text, the first that fits a line decides:
//!
//! ```text
//! level=DEBUG keep=0; service=web level=INFO keep=0.1
//! ```
//!
//! `level` means that level and those below it. `keep` is the share that is kept: the lines of a request
//! are kept or left out together, and a redelivery decides the same. Warnings, errors, and lines about
//! security, authentication, authorization and audit are always kept.

use sha2::{Digest, Sha256};

use crate::logs::record::{Category, Level, REQUEST_ID, Record, SERVICE_NAME};

/// Rules for what is left out; none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters(Vec<Rule>);

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    service: Option<String>,
    category: Option<Category>,
    level: Level,
    keep: f64,
}

/// A text that is no list of rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not `name=value`, or a name that no rule has.
    #[error("filter `{rule}`: `{part}` is none of service=..., category=..., level=..., keep=...")]
    Part {
        /// The rule.
        rule: String,
        /// The part.
        part: String,
    },
    /// A value that the name can not have.
    #[error("filter `{rule}`: `{part}`, but {name} takes {wanted}")]
    Value {
        /// The rule.
        rule: String,
        /// The part.
        part: String,
        /// Its name.
        name: &'static str,
        /// What it takes.
        wanted: &'static str,
    },
    /// A rule that does not say how much it keeps.
    #[error("filter `{0}` does not say what it keeps: keep=0 for nothing, keep=0.1 for a tenth")]
    NoKeep(String),
}

const ALWAYS_KEPT: [Category; 4] =
    [Category::Security, Category::Authentication, Category::Authorization, Category::Audit];

impl Filters {
    /// Reads rules; the empty text has none.
    ///
    /// # Errors
    ///
    /// Where a rule can not be read, or would leave out what is always kept.
    pub fn parse(text: &str) -> Result<Filters, FilterError> {
        let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
        rules.map(Rule::parse).collect::<Result<_, _>>().map(Filters)
    }

    /// Whether there is no rule: all lines are kept.
    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `record` is archived. `service` is whose lines these are where the record does not say,
    /// `event_id` names it where no request does.
    pub fn keeps(&self, record: &Record<'_>, service: &str, event_id: &str) -> bool {
        if self.0.is_empty() || record.level >= Level::Warning || ALWAYS_KEPT.contains(&record.category) {
            return true;
        }
        let text = |place: usize| record.context[place].map(|id| id.text);
        let service = text(SERVICE_NAME).unwrap_or(service);
        let rule = self.0.iter().find(|rule| rule.fits(record, service));
        rule.is_none_or(|rule| share_of(text(REQUEST_ID).unwrap_or(event_id)) < rule.keep)
    }
}

impl Rule {
    fn parse(rule: &str) -> Result<Rule, FilterError> {
        let mut parsed = Rule { service: None, category: None, level: Level::Info, keep: f64::NAN };
        for part in rule.split_whitespace() {
            let wrong =
                |name, wanted| FilterError::Value { rule: rule.to_owned(), part: part.to_owned(), name, wanted };
            match part.split_once('=') {
                Some(("service", value)) if !value.is_empty() => parsed.service = Some(value.to_owned()),
                Some(("category", value)) => {
                    let category = Category::parse(value).filter(|category| !ALWAYS_KEPT.contains(category));
                    let wanted = "a category of schema v1, but for those that are always kept";
                    parsed.category = Some(category.ok_or_else(|| wrong("category", wanted))?);
                }
                Some(("level", value)) => {
                    let level = Level::parse(value).filter(|level| *level < Level::Warning);
                    parsed.level =
                        level.ok_or_else(|| wrong("level", "DEBUG or INFO: what is graver is always kept"))?;
                }
                Some(("keep", value)) => {
                    let keep = value.parse().ok().filter(|keep| (0.0..=1.0).contains(keep));
                    parsed.keep = keep.ok_or_else(|| wrong("keep", "a share from 0 to 1"))?;
                }
                _ => return Err(FilterError::Part { rule: rule.to_owned(), part: part.to_owned() }),
            }
        }
        if parsed.keep.is_nan() {
            return Err(FilterError::NoKeep(rule.to_owned()));
        }
        Ok(parsed)
    }

    fn fits(&self, record: &Record<'_>, service: &str) -> bool {
        record.level <= self.level
            && self.service.as_ref().is_none_or(|wanted| wanted == service)
            && self.category.is_none_or(|wanted| wanted == record.category)
    }
}

/// Where `id` lies between 0 and 1, evenly, and the same every time.
fn share_of(id: &str) -> f64 {
    let digest = Sha256::digest(id.as_bytes());
    let (first, _) = digest.split_at(8);
    let number = first.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // 53 bits are what a double holds exactly, so that the share stays below 1.
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::parse::parse;

    fn keeps(rules: &str, line: &str, event_id: &str) -> bool {
        let mut record = Record::default();
        parse(line, None, &mut record);
        Filters::parse(rules).unwrap().keeps(&record, "api", event_id)
    }

    #[test]
    fn without_rules_everything_is_kept() {
        assert_eq!(Filters::parse(" ; ").unwrap(), Filters::default());
        assert!(keeps("", r#"{"level":"DEBUG","msg":"x"}"#, "1"));
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        for (rules, line, kept) in [
            ("level=DEBUG keep=0", r#"{"level":"DEBUG"}"#, false),
            ("level=DEBUG keep=0", r#"{"level":"INFO"}"#, true),
            ("keep=0", r#"{"level":"INFO"}"#, false),
            ("keep=0", r#"{"level":"WARNING"}"#, true),
            ("keep=0", r#"{"level":"INFO","category":"audit"}"#, true),
            ("keep=0", r#"{"level":"DEBUG","category":"authentication"}"#, true),
            ("service=web keep=0", "text", true),
            ("service=api keep=0", "text", false),
            ("service=web keep=0", r#"{"context":{"service_name":"web"}}"#, false),
            ("category=performance keep=0", r#"{"category":"performance"}"#, false),
            ("category=performance keep=0", "text", true),
            ("service=api keep=1; keep=0", "text", true),
        ] {
            assert_eq!(keeps(rules, line, "1"), kept, "{rules}: {line}");
        }
    }

    #[test]
    fn a_share_is_kept_and_a_request_stays_together() {
        let kept = (0..10_000).filter(|id| keeps("keep=0.1", "text", &id.to_string())).count();
        assert!((900..1_100).contains(&kept), "{kept}");
        for request in 0..50 {
            let line = format!(r#"{{"request_id":"{request}","msg":"x"}}"#);
            assert_eq!(keeps("keep=0.5", &line, "1"), keeps("keep=0.5", &line, "2"));
        }
    }

    #[test]
    fn rules_that_can_not_be_read_say_what_is_wrong() {
        for (rules, says) in [
            ("level=ERROR keep=0", "`level=ERROR`, but level takes DEBUG or INFO"),
            ("keep=2", "`keep=2`, but keep takes a share from 0 to 1"),
            ("keep=NaN", "`keep=NaN`, but keep takes"),
            ("category=security keep=0", "`category=security`, but category takes"),
            ("level=DEBUG", "does not say what it keeps"),
            ("debug", "`debug` is none of"),
            ("service= keep=0", "`service=` is none of"),
        ] {
            let error = Filters::parse(rules).unwrap_err().to_string();
            assert!(error.contains(says), "{rules}: {error}");
        }
    }
}
