//! What nobody wants to be told for a while: config/silences.yaml of the bucket, changed by compare-and-swap, so that
//! of two operators neither undoes what the other has done.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use domain::alerting::duration;
use domain::alerting::policy::matcher::{LABELS, Matcher, Operator, SECURITY};
use domain::alerting::policy::silences::{InvalidSilence, Silence, Silences, Stage};
use domain::alerting::rules::kind::{BURN, Event};
use domain::alerting::rules::problem::{slip_of, text_of};
use domain::keys;
use domain::metrics::registry::{FOREIGN, METRICS};
use domain::ports::{GetObject, Object, ReplaceObject, Replaced, Version};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::files;

/// How often a change is made anew where somebody else was faster.
const TRIES: usize = 10;

/// What is asked for: of a file on this machine, or of the bucket.
#[derive(Subcommand)]
pub(crate) enum Asked {
    /// Say every mistake in a file of silences, with its place
    Check {
        /// The YAML file
        file: PathBuf,
    },
    #[command(flatten)]
    OfBucket(Command),
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the silences that are in force or will be
    List {
        #[command(flatten)]
        place: Place,
        /// Those that are over as well
        #[arg(long)]
        expired: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Silence the alerts that match all of some matchers
    Add {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// End a silence now
    Expire {
        #[command(flatten)]
        place: Place,
        /// Its id, as `list` shows it
        id: String,
    },
}

/// Where the silences are.
#[derive(Args)]
pub(crate) struct Place {
    /// The stack's bucket; the variable BUCKET_NAME without it
    #[arg(long)]
    pub(crate) bucket: Option<String>,
}

/// A silence as it is asked for.
#[derive(Args, Debug, Clone)]
pub(crate) struct Wanted {
    /// What the alerts have to match: service=api, severity!=critical, rule=~"high_.*"; security is only silenced where
    /// one asks for class=security
    #[arg(required = true, value_parser = matcher)]
    matchers: Vec<Matcher>,
    /// For how long: 30m, 2h, 7d
    #[arg(long = "for", value_parser = lasting)]
    lasts: SignedDuration,
    /// When it begins (2026-11-22T22:00:00Z); now without it
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// Who wants it
    #[arg(long)]
    author: String,
    /// Why
    #[arg(long)]
    comment: String,
}

fn matcher(text: &str) -> Result<Matcher, String> {
    Matcher::parse(text).map_err(|error| format!("{error} ({})", error.hint()))
}

fn lasting(text: &str) -> Result<SignedDuration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    SignedDuration::try_from(duration).map_err(|error| error.to_string())
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| InvalidSilence::Time(text.to_owned()).to_string())
}

/// Prints every mistake of a file, or that there is none. False where there is any.
pub(crate) fn check(file: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let Some(silences) = files::checked(files::load(file, Silences::load), out)? else { return Ok(false) };
    writeln!(out, "{}: {} silences, no mistakes", file.display(), silences.list().len())?;
    Ok(true)
}

/// Prints the silences, those that are over only where `expired` says so.
pub(crate) async fn list(
    bucket: &impl GetObject,
    expired: bool,
    as_json: bool,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let (silences, _) = load(bucket).await?;
    let shown: Vec<&Silence> =
        silences.list().iter().filter(|silence| expired || silence.stage(now) != Stage::Expired).collect();
    if as_json {
        let silences: Vec<_> = shown.iter().map(|silence| as_value(silence, now)).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&silences)?)?;
        return Ok(true);
    }
    for silence in &shown {
        tell(silence, now, out)?;
    }
    if shown.is_empty() {
        writeln!(out, "nothing is silenced")?;
    }
    Ok(true)
}

/// Adds a silence, and prints it.
pub(crate) async fn add(
    bucket: &(impl GetObject + ReplaceObject),
    wanted: &Wanted,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let silence = wanted.silence(now)?;
    change(bucket, |silences| silences.add(silence.clone(), now)).await?;
    tell(&silence, now, out)?;
    for slip in silence.matchers.iter().filter_map(slip) {
        writeln!(out, "{slip}")?;
    }
    if !silence.matchers.iter().any(Matcher::asks_for_security) {
        writeln!(out, "Alerts of class security are told all the same.")?;
    }
    Ok(true)
}

/// Ends a silence, and prints it.
pub(crate) async fn expire(
    bucket: &(impl GetObject + ReplaceObject),
    id: &str,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let ended = change(bucket, |silences| silences.expire(id, now)).await?;
    let what = printable(&ended.what());
    writeln!(out, "ended: {} {what}, of {}: {}", ended.id, ended.author, ended.comment)?;
    Ok(true)
}

impl Wanted {
    fn silence(&self, now: Timestamp) -> anyhow::Result<Silence> {
        let starts = self.from.unwrap_or(now);
        let ends = starts.checked_add(self.lasts).context("no calendar has its end")?;
        let matchers = self.matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(" ");
        let millis = now.as_millisecond().to_be_bytes();
        let parts = [matchers.as_bytes(), self.author.as_bytes(), self.comment.as_bytes(), &millis];
        let id = keys::fingerprint(parts)[..8].to_owned();
        let (matchers, author, comment) = (self.matchers.clone(), self.author.clone(), self.comment.clone());
        Ok(Silence { id, matchers, author, comment, starts, ends })
    }
}

/// The silences of the bucket; none where there is no file.
async fn load(bucket: &impl GetObject) -> anyhow::Result<(Silences, Option<Version>)> {
    let Some(stored) = bucket.get(keys::SILENCES).await? else { return Ok((Silences::default(), None)) };
    let silences = Silences::load(keys::SILENCES, text_of(keys::SILENCES, &stored.body)?)?;
    Ok((silences, Some(stored.version)))
}

/// Makes a change to what is in the bucket at that moment.
async fn change<T>(
    bucket: &(impl GetObject + ReplaceObject),
    make: impl Fn(&mut Silences) -> Result<T, InvalidSilence>,
) -> anyhow::Result<T> {
    for _ in 0..TRIES {
        let (mut silences, version) = load(bucket).await?;
        let made = make(&mut silences).map_err(|error| match error.hint() {
            Some(hint) => anyhow!("{error} ({hint})"),
            None => error.into(),
        })?;
        let text = silences.to_yaml();
        // What the evaluator would refuse must not get there: it would keep the last good file, without this change.
        Silences::load(keys::SILENCES, &text).context("the silence can't be written so that it reads back")?;
        let object =
            Object { key: keys::SILENCES.to_owned(), content_type: "application/yaml", body: text.into_bytes() };
        match bucket.replace(&object, version.as_ref()).await? {
            Replaced::Done(_) => return Ok(made),
            // The answer to a write that came through may get lost: repeated by the SDK, it is in its own way.
            Replaced::Conflict if load(bucket).await?.0 == silences => return Ok(made),
            Replaced::Conflict => pause().await,
        }
    }
    bail!("{} changes too often: nothing was changed, try again", keys::SILENCES)
}

/// Between two tries: of several that are in each other's way one comes first.
async fn pause() {
    let chance = RandomState::new().hash_one(0_u8) % 90;
    tokio::time::sleep(Duration::from_millis(10 + chance)).await;
}

/// What looks like a slip in a matcher: the silence would silence nothing. Alarms of CloudWatch may have any label, so
/// that it may be meant.
fn slip(matcher: &Matcher) -> Option<String> {
    let Matcher { label, operator, value, .. } = matcher;
    let own = METRICS.iter().flat_map(|metric| metric.dimensions.iter().copied());
    let foreign = FOREIGN.iter().map(|metric| metric.dimension);
    let known: BTreeSet<&str> =
        LABELS.into_iter().chain(own).chain(foreign).chain(Event::FIELDS.iter().copied()).chain([BURN]).collect();
    if !known.contains(label.as_str()) {
        let meant = slip_of(label, known)?;
        return Some(format!("No alert of a rule has the label `{label}`. Did you mean `{meant}`?"));
    }
    let may_be_security = label == "class" && *operator == Operator::Equal && value != SECURITY;
    let meant = slip_of(value, [SECURITY]).filter(|_| may_be_security)?;
    Some(format!("No rule may have the class `{value}`. Did you mean class={meant}?"))
}

/// The text without what a terminal would take for a command: colours, say.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

fn tell(silence: &Silence, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
    let Silence { id, author, comment, starts, ends, .. } = silence;
    let stage = silence.stage(now).as_str();
    writeln!(out, "{id}  {stage:7}  {starts:.0} to {ends:.0}  {}", printable(&silence.what()))?;
    writeln!(out, "    {author}: {comment}")?;
    Ok(())
}

fn as_value(silence: &Silence, now: Timestamp) -> serde_json::Value {
    json!({
        "id": silence.id,
        "stage": silence.stage(now).as_str(),
        "matchers": silence.matchers.iter().map(Matcher::to_string).collect::<Vec<_>>(),
        "author": silence.author,
        "comment": silence.comment,
        "starts": silence.starts.to_string(),
        "ends": silence.ends.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::scratch;
    use clap::Parser;
    use testkit::{InMemoryBucket, Operation};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Wanted,
    }

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn wanted(arguments: &[&str]) -> Result<Wanted, String> {
        let line = std::iter::once(&"add").chain(arguments);
        Line::try_parse_from(line).map(|line| line.wanted).map_err(|error| error.to_string())
    }

    fn of_api() -> Wanted {
        let asked = ["service=api", "severity=warning", "--for", "2h", "--author", "ann", "--comment", "we move it"];
        wanted(&asked).unwrap()
    }

    async fn listed(bucket: &InMemoryBucket, expired: bool, now: Timestamp) -> String {
        let mut out = Vec::new();
        assert!(list(bucket, expired, false, now, &mut out).await.unwrap());
        String::from_utf8(out).unwrap()
    }

    fn stored(bucket: &InMemoryBucket) -> Silences {
        let text = String::from_utf8(bucket.body(keys::SILENCES).unwrap()).unwrap();
        Silences::load(keys::SILENCES, &text).unwrap()
    }

    #[tokio::test]
    async fn a_silence_is_added_listed_and_ended() {
        let bucket = InMemoryBucket::new();
        assert_eq!(listed(&bucket, false, now()).await, "nothing is silenced\n");
        let mut out = Vec::new();
        assert!(add(&bucket, &of_api(), now(), &mut out).await.unwrap());
        let told = String::from_utf8(out).unwrap();
        assert!(told.ends_with("Alerts of class security are told all the same.\n"), "{told}");
        let id = stored(&bucket).list()[0].id.clone();
        let expected = format!(
            "{id}  active   2026-11-22T10:00:00Z to 2026-11-22T12:00:00Z  service=\"api\", severity=\"warning\"\n    \
             ann: we move it\n"
        );
        assert_eq!(listed(&bucket, false, now()).await, expected);
        let later = "2026-11-22T11:00:00Z".parse().unwrap();
        assert!(expire(&bucket, &id, later, &mut Vec::new()).await.unwrap());
        assert_eq!(listed(&bucket, false, later).await, "nothing is silenced\n");
        assert!(listed(&bucket, true, later).await.contains("expired  2026-11-22T10:00:00Z to 2026-11-22T11:00:00Z"));
        let again = expire(&bucket, &id, later, &mut Vec::new()).await.unwrap_err();
        assert!(again.to_string().contains("ended at"), "{again:#}");
        let unknown = expire(&bucket, "nobody", later, &mut Vec::new()).await.unwrap_err();
        assert!(unknown.to_string().contains("no silence `nobody`"), "{unknown:#}");
    }

    #[tokio::test]
    async fn of_two_operators_neither_undoes_what_the_other_does() {
        let bucket = InMemoryBucket::new();
        add(&bucket, &of_api(), now(), &mut Vec::new()).await.unwrap();
        // Whenever this one is about to write, somebody else has just written.
        let others = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (seen, meanwhile) = (others.clone(), bucket.clone());
        let theirs = |number: usize| {
            let mut silences = Silences::default();
            for at in 0..=number {
                let mut silence = of_api().silence(now()).unwrap();
                silence.id = format!("other-{at}");
                silences.add(silence, now()).unwrap();
            }
            silences.to_yaml()
        };
        let conflicts = TRIES - 1;
        let racing = Racing {
            bucket: meanwhile,
            before: move |_: &Object| {
                let number = seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                (number < conflicts).then(|| theirs(number))
            },
        };
        let mine = wanted(&["rule=disk_full", "--for", "1d", "--author", "bob", "--comment", "known"]).unwrap();
        add(&racing, &mine, now(), &mut Vec::new()).await.unwrap();
        let held = stored(&bucket);
        assert_eq!(held.list().len(), conflicts + 1, "{held:?}");
        assert_eq!(held.list().last().unwrap().author, "bob");
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_done() {
        let bucket = InMemoryBucket::new();
        // It came through, and the SDK repeats it: what it finds is its own.
        let echoing =
            Racing { bucket: bucket.clone(), before: |object: &Object| String::from_utf8(object.body.clone()).ok() };
        add(&echoing, &of_api(), now(), &mut Vec::new()).await.unwrap();
        let id = stored(&bucket).list()[0].id.clone();
        let later = "2026-11-22T11:00:00Z".parse().unwrap();
        expire(&echoing, &id, later, &mut Vec::new()).await.unwrap();
        let held = stored(&bucket);
        assert_eq!((held.list().len(), held.list()[0].ends), (1, later));
        // What really is there already is still told.
        assert!(add(&echoing, &of_api(), now(), &mut Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn who_gives_up_has_changed_nothing() {
        let bucket = InMemoryBucket::new();
        let writes = std::sync::atomic::AtomicUsize::new(0);
        let before = |_: &Object| {
            let mut silence = of_api().silence(now()).unwrap();
            silence.id = format!("other-{}", writes.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            let mut silences = Silences::default();
            silences.add(silence, now()).unwrap();
            Some(silences.to_yaml())
        };
        let racing = Racing { bucket: bucket.clone(), before };
        let mine = wanted(&["rule=disk_full", "--for", "1d", "--author", "bob", "--comment", "known"]).unwrap();
        let error = add(&racing, &mine, now(), &mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("changes too often"), "{error:#}");
        assert!(stored(&bucket).list().iter().all(|silence| silence.author == "ann"));
    }

    #[tokio::test]
    async fn a_silence_of_nothing_is_pointed_out_and_a_terminal_is_given_no_commands() {
        let rest = ["--for", "2h", "--author", "ann", "--comment", "why"];
        for (matcher, expected) in [
            ("servise=contract", "No alert of a rule has the label `servise`. Did you mean `service`?\n"),
            ("class=securty", "Did you mean class=security?\n"),
            // A dimension of ours, however much it looks like `rule`.
            ("role=buyer", ""),
            ("service=contract", ""),
            ("class=business", ""),
            // An alarm of CloudWatch may have it.
            ("QueueName=orders", ""),
        ] {
            let mut out = Vec::new();
            let wanted = wanted(&[&[matcher], &rest[..]].concat()).unwrap();
            add(&InMemoryBucket::new(), &wanted, now(), &mut out).await.unwrap();
            let told = String::from_utf8(out).unwrap();
            assert_eq!(told.contains("Did you mean"), !expected.is_empty(), "{matcher}: {told}");
            assert!(told.contains(expected), "{matcher}: {told}");
        }
        let bucket = InMemoryBucket::new();
        let colours = wanted(&[&["rule=\u{1b}[31mx"], &rest[..]].concat()).unwrap();
        add(&bucket, &colours, now(), &mut Vec::new()).await.unwrap();
        let shown = listed(&bucket, false, now()).await;
        assert!(shown.contains(r#"rule="\u{1b}[31mx""#), "{shown}");
    }

    #[test]
    fn a_file_of_silences_is_checked_before_it_is_put() {
        let checked = |text: &str, name: &str| {
            let mut out = Vec::new();
            let good = check(&scratch(text, name).0.file, &mut out).unwrap();
            (good, String::from_utf8(out).unwrap())
        };
        let (good, out) = checked("version: 1\nsilences: []\n", "silences.yaml");
        assert!(good && out.ends_with("silences.yaml: 0 silences, no mistakes\n"), "{out}");
        let (good, out) = checked("version: 1\nsilences: {}\n", "bad-silences.yaml");
        assert!(!good && out.contains("bad-silences.yaml:2:11: a list is expected"), "{out}");
    }

    /// A bucket to which somebody else writes before each conditional write.
    struct Racing<F> {
        bucket: InMemoryBucket,
        before: F,
    }

    impl<F: Fn(&Object) -> Option<String> + Sync> GetObject for Racing<F> {
        async fn get(&self, key: &str) -> Result<Option<domain::ports::Stored>, domain::ports::PortError> {
            self.bucket.get(key).await
        }
    }

    impl<F: Fn(&Object) -> Option<String> + Sync> ReplaceObject for Racing<F> {
        async fn replace(
            &self,
            object: &Object,
            expected: Option<&Version>,
        ) -> Result<Replaced, domain::ports::PortError> {
            if let Some(text) = (self.before)(object) {
                self.bucket.place(&object.key, text);
            }
            self.bucket.replace(object, expected).await
        }
    }

    #[tokio::test]
    async fn a_file_with_mistakes_is_not_written_over() {
        let bucket = InMemoryBucket::new();
        for bad in ["version: 1\nsilences: [{id: x}]\n".as_bytes(), b"version: \xff"] {
            bucket.place(keys::SILENCES, bad);
            let error = add(&bucket, &of_api(), now(), &mut Vec::new()).await.unwrap_err();
            assert!(format!("{error:#}").contains(keys::SILENCES), "{error:#}");
            assert_eq!(bucket.body(keys::SILENCES).unwrap(), bad);
            assert!(list(&bucket, true, false, now(), &mut Vec::new()).await.is_err());
        }
        assert!(bucket.operations().iter().all(|(operation, _)| *operation == Operation::Get));
    }

    #[tokio::test]
    async fn what_would_be_refused_at_load_is_refused_before() {
        let rest = ["--for", "2h", "--author", "ann", "--comment", "why"];
        for (matcher, expected) in [
            ("service", "is not a matcher"),
            ("severity=eror", "no alert has the severity"),
            ("rule=~(", "is not a pattern"),
        ] {
            let error = wanted(&[&[matcher], &rest[..]].concat()).unwrap_err();
            assert!(error.contains(expected), "{matcher}: {error}");
        }
        for missing in ["--for", "--author", "--comment"] {
            let at = rest.iter().position(|argument| *argument == missing).unwrap();
            let arguments = [&["service=api"], &rest[..at], &rest[at + 2..]].concat();
            assert!(wanted(&arguments).unwrap_err().contains(missing));
        }
        assert!(wanted(&rest).unwrap_err().contains("MATCHERS"));
        let bucket = InMemoryBucket::new();
        for (arguments, expected) in [
            (
                vec!["service=~.*", "--for", "2h", "--author", "ann", "--comment", "why"],
                "none of its matchers asks for a value (at least",
            ),
            (
                vec!["severity!=critical", "--for", "2h", "--author", "ann", "--comment", "why"],
                "none of its matchers asks for a value (at least one has to ask for a value: severity=\"warning\")",
            ),
            (
                vec!["service=api", "--for", "2h", "--author", " ", "--comment", "why"],
                "no author (who can be asked about it)",
            ),
            (vec!["service=api", "--for", "0m", "--author", "ann", "--comment", "why"], "not after its start"),
            (
                vec!["service=api", "--for", "2h", "--author", "a", "--comment", "b", "--from", "2026-11-22T05:00:00Z"],
                "ended at",
            ),
        ] {
            let error = add(&bucket, &wanted(&arguments).unwrap(), now(), &mut Vec::new()).await.unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{arguments:?}: {error:#}");
        }
        assert!(bucket.keys().is_empty());
    }
}
