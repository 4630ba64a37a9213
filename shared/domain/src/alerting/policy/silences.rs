//! What the operators do not want to be told for a while: config/silences.yaml in the bucket.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::alerting::episode::Episode;
use crate::alerting::rules::problem::InvalidRules;

use super::matcher::{Matcher, SECURITY, all_match};
use super::yaml::{self, Problems, VERSION};

/// How long an ended silence stays in the file, for people who look at it; as long as in Alertmanager.
pub const KEPT: SignedDuration = SignedDuration::from_hours(120);

/// How many there may be, ended ones included: each is held against every alert.
pub const MAX_SILENCES: usize = 1_000;

/// Longest id, in characters.
const MAX_ID: usize = 64;

/// Longest author or comment, in characters.
const MAX_TEXT: usize = 1_000;

/// All of them, with distinct ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silences(Vec<Silence>);

/// One silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub id: String,
    /// Which alerts it is about: those that all of them match. At least one asks for more than the empty text.
    pub matchers: Vec<Matcher>,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Its first moment.
    pub starts: Timestamp,
    /// The moment after its last; after `starts`.
    pub ends: Timestamp,
}

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun.
    Pending,
    /// It is in force.
    Active,
    /// It is over.
    Expired,
}

impl Stage {
    /// Its name, that of Alertmanager.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::Active => "active",
            Stage::Expired => "expired",
        }
    }
}

/// A silence that can't be, or a change that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSilence {
    /// Not a name.
    #[error("`{0}` can't be the id of a silence")]
    Id(String),
    /// There is one of this name.
    #[error("another silence has the id `{0}`")]
    Twice(String),
    /// Each of them holds where the label is not there: as in Alertmanager, that is asking for nothing.
    #[error("none of its matchers asks for a value")]
    Everything,
    /// Nobody is responsible.
    #[error("it has no author")]
    Author,
    /// Nobody will know why.
    #[error("it has no comment")]
    Comment,
    /// More than a sentence or two, or with control characters.
    #[error("its author or comment is longer than {MAX_TEXT} characters, or has control characters")]
    Text,
    /// It would be over before it begins.
    #[error("it ends at {ends}, which is not after its start at {starts}")]
    Order {
        /// Its first moment.
        starts: Timestamp,
        /// Its end.
        ends: Timestamp,
    },
    /// Not a moment.
    #[error("`{0}` is not a time like 2026-11-22T10:00:00Z or 2026-11-22T13:00:00+03:00")]
    Time(String),
    /// More than [`MAX_SILENCES`].
    #[error("more than {MAX_SILENCES} silences")]
    Many,
    /// There is none of this name.
    #[error("there is no silence `{0}`")]
    Unknown(String),
    /// It was over before.
    #[error("the silence `{0}` ended at {1}")]
    Over(String, Timestamp),
}

impl InvalidSilence {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            InvalidSilence::Id(_) => format!("letters, digits, `_`, `-` and `.`, at most {MAX_ID}"),
            InvalidSilence::Everything => "at least one has to ask for a value: severity=\"warning\"".to_owned(),
            InvalidSilence::Author => "who can be asked about it".to_owned(),
            InvalidSilence::Comment => "why nobody wants to hear of it".to_owned(),
            InvalidSilence::Order { .. } => {
                "an ended silence does nothing: take it out, or give it a later end".to_owned()
            }
            InvalidSilence::Many => "take out those that are over".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}

impl Silence {
    /// Whether it keeps an alert from being told while it is in force. One about security only where a matcher asks for
    /// exactly that class: maintenance must not hide an attack.
    pub fn covers(&self, episode: &Episode) -> bool {
        let may = episode.class != SECURITY || self.matchers.iter().any(Matcher::asks_for_security);
        may && all_match(&self.matchers, episode)
    }

    /// Where it is in its life.
    pub fn stage(&self, now: Timestamp) -> Stage {
        if now < self.starts {
            Stage::Pending
        } else if now < self.ends {
            Stage::Active
        } else {
            Stage::Expired
        }
    }

    /// Its matchers, as people write them.
    pub fn what(&self) -> String {
        self.matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(", ")
    }

    fn check(&self) -> Result<(), InvalidSilence> {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.id.is_empty() || self.id.len() > MAX_ID || !self.id.chars().all(named) {
            return Err(InvalidSilence::Id(self.id.clone()));
        }
        if self.matchers.iter().all(|matcher| matcher.matches_value("")) {
            return Err(InvalidSilence::Everything);
        }
        if self.author.trim().is_empty() {
            return Err(InvalidSilence::Author);
        }
        if self.comment.trim().is_empty() {
            return Err(InvalidSilence::Comment);
        }
        for text in [&self.author, &self.comment] {
            if text.chars().count() > MAX_TEXT || text.chars().any(|c| c.is_control() && c != '\n') {
                return Err(InvalidSilence::Text);
            }
        }
        if self.ends <= self.starts {
            return Err(InvalidSilence::Order { starts: self.starts, ends: self.ends });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    silences: Spanned<Vec<Spanned<RawSilence>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSilence {
    id: Spanned<String>,
    matchers: Vec<Spanned<String>>,
    author: String,
    comment: String,
    starts: Spanned<String>,
    ends: Spanned<String>,
}

impl Silences {
    /// Reads a file of them. `name` is what errors call it.
    ///
    /// # Errors
    /// All mistakes of the file at once, unless its shape can't be understood.
    pub fn load(name: &str, text: &str) -> Result<Silences, InvalidRules> {
        let file: File = yaml::read(name, text)?;
        let mut problems = Problems::default();
        let silences = silences_of(&file, &mut problems);
        problems.none_in(name, silences)
    }

    /// All of them, in the order of the file.
    pub fn list(&self) -> &[Silence] {
        &self.0
    }

    /// Those in force.
    pub fn active(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.0.iter().filter(move |silence| silence.stage(now) == Stage::Active)
    }

    /// Adds one, and takes out those that ended longer than [`KEPT`] before `now`.
    ///
    /// # Errors
    /// What is wrong with it; nothing is changed then.
    pub fn add(&mut self, silence: Silence, now: Timestamp) -> Result<(), InvalidSilence> {
        silence.check()?;
        if self.0.iter().any(|other| other.id == silence.id) {
            return Err(InvalidSilence::Twice(silence.id));
        }
        if silence.stage(now) == Stage::Expired {
            return Err(InvalidSilence::Over(silence.id, silence.ends));
        }
        let old = |other: &Silence| now.duration_since(other.ends) > KEPT;
        if self.0.iter().filter(|other| !old(other)).count() >= MAX_SILENCES {
            return Err(InvalidSilence::Many);
        }
        self.0.retain(|other| !old(other));
        self.0.push(silence);
        Ok(())
    }

    /// Ends one at `now`, and answers it. One that has not begun is taken out: it never was.
    ///
    /// # Errors
    /// There is none of this id, or it is over; nothing is changed then.
    pub fn expire(&mut self, id: &str, now: Timestamp) -> Result<Silence, InvalidSilence> {
        let unknown = || InvalidSilence::Unknown(id.to_owned());
        let at = self.0.iter().position(|silence| silence.id == id).ok_or_else(unknown)?;
        let silence = &mut self.0[at];
        match silence.stage(now) {
            Stage::Expired => Err(InvalidSilence::Over(silence.id.clone(), silence.ends)),
            // One that begins now has lasted for no time at all.
            Stage::Active if silence.starts < now => {
                silence.ends = now;
                Ok(silence.clone())
            }
            Stage::Active | Stage::Pending => Ok(self.0.remove(at)),
        }
    }

    /// The file, which [`Silences::load`] reads back.
    pub fn to_yaml(&self) -> String {
        let mut text = format!(
            "# Written by `ops silences`, and for you to edit (docs/notifications.md): comments here are not kept.\n\
             version: {VERSION}\nsilences:{}\n",
            if self.0.is_empty() { " []" } else { "" }
        );
        for Silence { id, matchers, author, comment, starts, ends } in &self.0 {
            let matchers: Vec<String> = matchers.iter().map(|matcher| quoted(&matcher.to_string())).collect();
            // Writing into a text can't fail.
            let _ = write!(
                text,
                "- id: {}\n  matchers: [{}]\n  author: {}\n  comment: {}\n  starts: {}\n  ends: {}\n",
                quoted(id),
                matchers.join(", "),
                quoted(author),
                quoted(comment),
                quoted(&starts.to_string()),
                quoted(&ends.to_string())
            );
        }
        text
    }
}

/// A text of YAML, in quotation marks: YAML reads texts of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn silences_of(file: &File, problems: &mut Problems) -> Option<Silences> {
    problems.version(&file.version)?;
    if file.silences.value.len() > MAX_SILENCES {
        let error = InvalidSilence::Many;
        return problems.note(file.silences.referenced, error.to_string(), error.hint());
    }
    let mut ids = BTreeSet::new();
    let mut silences = Vec::new();
    for raw in &file.silences.value {
        let id = &raw.value.id;
        if !ids.insert(&id.value) {
            problems.note::<()>(id.referenced, InvalidSilence::Twice(id.value.clone()).to_string(), None);
        }
        silences.push(silence_of(raw, problems));
    }
    Some(Silences(silences.into_iter().collect::<Option<_>>()?))
}

fn silence_of(spanned: &Spanned<RawSilence>, problems: &mut Problems) -> Option<Silence> {
    let raw = &spanned.value;
    let matchers = problems.matchers(&raw.matchers);
    let mut moment = |text: &Spanned<String>| match text.value.parse::<Timestamp>() {
        Ok(moment) => Some(moment),
        Err(_) => problems.note(text.referenced, InvalidSilence::Time(text.value.clone()).to_string(), None),
    };
    let (starts, ends) = (moment(&raw.starts), moment(&raw.ends));
    let silence = Silence {
        id: raw.id.value.clone(),
        matchers: matchers?,
        author: raw.author.clone(),
        comment: raw.comment.clone(),
        starts: starts?,
        ends: ends?,
    };
    match silence.check() {
        Ok(()) => Some(silence),
        Err(error) => problems.note(spanned.referenced, error.to_string(), error.hint()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alerting::policy::matcher::Operator;
    use crate::alerting::testing::episode;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    fn silence(id: &str, matchers: &[&str]) -> Silence {
        Silence {
            id: id.to_owned(),
            matchers: matchers.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
            author: "Иванов".to_owned(),
            comment: "deploy: \"new\" schema\nsee LC-17".to_owned(),
            starts: at("10:00:00"),
            ends: at("11:00:00"),
        }
    }

    const FILE: &str = "\
version: 1
silences:
- id: deploy-17
  matchers: [rule=\"high_cpu_usage\", 'service=~\"contract|web\"']
  author: ivanov
  comment: New schema, LC-17
  starts: 2026-11-21T10:00:00Z
  ends: 2026-11-21T14:00:00+03:00
";

    #[test]
    fn a_file_of_silences_is_read() {
        let silences = Silences::load("silences.yaml", FILE).unwrap_or_else(|error| panic!("{error}"));
        let [silence] = silences.list() else { panic!("{silences:?}") };
        assert_eq!(silence.what(), r#"rule="high_cpu_usage", service=~"contract|web""#);
        assert_eq!((silence.author.as_str(), silence.comment.as_str()), ("ivanov", "New schema, LC-17"));
        assert_eq!((silence.starts, silence.ends), (at("10:00:00"), at("11:00:00")));
    }

    #[test]
    fn a_mistake_is_refused_with_its_place_and_a_hint() {
        for (old, new, expected) in [
            ("version: 1", "version: 2", "1:10: version 2, this is version 1"),
            ("  author: ivanov\n", "", "7:3: missing field `author`"),
            ("comment", "coment", "6:3: unknown field `coment` (did you mean `comment`?)"),
            ("ivanov", "' '", "3:3: it has no author (who can be asked about it)"),
            ("New schema, LC-17", "''", "3:3: it has no comment (why nobody wants to hear of it)"),
            (
                "id: deploy-17",
                "id: a b",
                "3:3: `a b` can't be the id of a silence (letters, digits, `_`, `-` and `.`, at most 64)",
            ),
            (
                "rule=\"high_cpu_usage\"",
                "rule",
                "4:14: `rule` is not a matcher (a label, one of = != =~ !~, and a value: service=\"contract\")",
            ),
            (
                "[rule=\"high_cpu_usage\", 'service=~\"contract|web\"']",
                "[service=~.*]",
                "3:3: none of its matchers asks for a value (at least one has to ask for a value: severity=\"warning\")",
            ),
            (
                "2026-11-21T10:00:00Z",
                "2026-11-21 10:00",
                "7:11: `2026-11-21 10:00` is not a time like 2026-11-22T10:00:00Z or 2026-11-22T13:00:00+03:00",
            ),
            (
                "14:00:00+03:00",
                "12:00:00+03:00",
                "3:3: it ends at 2026-11-21T09:00:00Z, which is not after its start at 2026-11-21T10:00:00Z (an ended \
                 silence does nothing: take it out, or give it a later end)",
            ),
        ] {
            let text = FILE.replacen(old, new, 1);
            assert_ne!(text, FILE, "{old}");
            let said = Silences::load("silences.yaml", &text).expect_err(&text).to_string();
            assert_eq!(said, format!("silences.yaml:{expected}"));
        }
        let item = FILE.split_once("silences:\n").unwrap().1;
        let said = Silences::load("silences.yaml", &format!("{FILE}{item}")).unwrap_err().to_string();
        assert_eq!(said, "silences.yaml:9:7: another silence has the id `deploy-17`");
        let both = FILE.replace("ivanov", "''").replace("10:00:00Z", "soon");
        let said = Silences::load("silences.yaml", &format!("{both}{}", item.replace("New schema, LC-17", "''")));
        assert_eq!(said.unwrap_err().problems.len(), 3, "all at once");
    }

    #[test]
    fn a_silence_is_in_force_from_its_start_up_to_its_end() {
        let silence = silence("a", &["service=contract"]);
        for (time, expected) in [
            ("09:59:59.999", Stage::Pending),
            ("10:00:00", Stage::Active),
            ("10:59:59.999", Stage::Active),
            ("11:00:00", Stage::Expired),
        ] {
            assert_eq!(silence.stage(at(time)), expected, "{time}");
        }
    }

    #[test]
    fn security_is_silenced_only_by_who_asks_for_it() {
        let alert = episode("failed_logins", 0);
        let security = Episode { class: SECURITY.to_owned(), ..alert.clone() };
        for (matchers, other, same) in [
            (&["rule=failed_logins"][..], true, false),
            (&["severity=~.+"], true, false),
            (&["class=~security|business"], true, false),
            (&["class!=audit"], true, false),
            (&["class=security"], false, true),
            (&["rule=failed_logins", "class=security"], false, true),
            (&["rule=another", "class=security"], false, false),
        ] {
            let silence = silence("a", matchers);
            assert_eq!((silence.covers(&alert), silence.covers(&security)), (other, same), "{matchers:?}");
        }
    }

    #[test]
    fn silences_are_added_and_expired() {
        let mut silences = Silences::default();
        let now = at("10:30:00");
        silences.add(silence("a", &["service=a"]), now).unwrap();
        let before = silences.clone();
        for (wrong, expected) in [
            (silence("a", &["service=a"]), "another silence has the id `a`"),
            (silence("", &["service=a"]), "`` can't be the id of a silence"),
            (silence("b", &["service!=a"]), "none of its matchers asks for a value"),
            (silence("b", &[]), "none of its matchers asks for a value"),
            (Silence { author: " ".into(), ..silence("b", &["service=a"]) }, "it has no author"),
            (
                Silence { comment: "\u{1b}[2J".into(), ..silence("b", &["service=a"]) },
                "its author or comment is longer than 1000 characters, or has control characters",
            ),
            (
                Silence { ends: at("10:20:00"), ..silence("b", &["service=a"]) },
                "the silence `b` ended at 2026-11-21T10:20:00Z",
            ),
        ] {
            assert_eq!(silences.add(wrong, now).unwrap_err().to_string(), expected);
        }
        assert_eq!(silences.expire("x", now).unwrap_err().to_string(), "there is no silence `x`");
        assert_eq!(silences, before, "what fails changes nothing");

        let pending = Silence { starts: at("12:00:00"), ends: at("13:00:00"), ..silence("b", &["service=b"]) };
        silences.add(pending, now).unwrap();
        assert_eq!(silences.expire("a", now).unwrap().ends, now);
        assert_eq!(silences.expire("a", now).unwrap_err(), InvalidSilence::Over("a".to_owned(), now));
        silences.expire("b", now).unwrap();
        assert_eq!(silences.list().iter().map(|silence| silence.id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(silences.active(now).count(), 0);

        let later = now.checked_add(KEPT).unwrap();
        let silence_then = |id: &str, seconds: i64| {
            let starts = later.checked_add(SignedDuration::from_secs(seconds)).unwrap();
            Silence { starts, ends: starts.checked_add(KEPT).unwrap(), ..silence(id, &["service=a"]) }
        };
        silences.add(silence_then("c", 0), later).unwrap();
        assert_eq!(silences.list().len(), 2, "an ended one is kept for five days");
        silences.add(silence_then("d", 1), later.checked_add(SignedDuration::from_secs(1)).unwrap()).unwrap();
        assert_eq!(silences.list().iter().map(|silence| silence.id.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    }

    #[test]
    fn there_is_a_limit() {
        let mut silences = Silences::default();
        for number in 0..MAX_SILENCES {
            silences.add(silence(&format!("s{number}"), &["service=a"]), at("10:00:00")).unwrap();
        }
        assert_eq!(silences.add(silence("more", &["service=a"]), at("10:00:00")), Err(InvalidSilence::Many));
        let text = silences.to_yaml();
        let item = "- {id: more, matchers: [a=b], author: a, comment: b, starts: 2026-11-21T10:00:00Z, ends: \
                    2026-11-21T11:00:00Z}\n";
        let said = Silences::load("silences.yaml", &(text + item)).unwrap_err().to_string();
        assert!(said.contains("more than 1000 silences (take out those that are over)"), "{said}");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            made in prop::collection::vec(
                ("[^\\p{C}]{1,9}|[\"\\\\: #\\-{}\\n]{1,6}", "[a\"'\\\\#:, \\[\\]{}ёя\\n]{0,9}", 0..9_000_i64, 1..9_000_i64),
                0..4,
            ),
        ) {
            let mut silences = Silences::default();
            for (number, (text, value, starts, length)) in made.into_iter().enumerate() {
                let matchers = vec![
                    Matcher::new("endpoint", Operator::Equal, &value).unwrap(),
                    Matcher::new("class", Operator::Equal, "business").unwrap(),
                ];
                let starts = at("10:00:00").checked_add(SignedDuration::from_millis(starts)).unwrap();
                let ends = starts.checked_add(SignedDuration::from_millis(length)).unwrap();
                let author = format!("a{text}");
                let one = Silence { id: format!("s{number}"), matchers, comment: author.clone(), author, starts, ends };
                silences.add(one, starts).unwrap();
            }
            let text = silences.to_yaml();
            prop_assert_eq!(Silences::load("silences.yaml", &text).map_err(|error| format!("{error}\n{text}")), Ok(silences));
        }
    }
}
