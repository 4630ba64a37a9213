//! Alarms of CloudWatch: changes of their state in, by either of two doors, episodes out.
//!
//! EventBridge sends `CloudWatch Alarm State Change`; an alarm's Lambda action sends the same data in another envelope.
//! Both come to the same [`AlarmChange`], with the same id. What an alarm can not say of itself it says in its
//! description, by words of the form `name=value`, anywhere in it:
//!
//! | word | what it sets | else |
//! |---|---|---|
//! | `severity=critical` | `info`, `warning`, `error` or `critical` | `warning` |
//! | `class=business` | the class | `system` |
//! | `service=contract` | the service | the dimension `service` of its metrics, or `all` |
//! | `runbook=https://...` | where to read what to do | none |
//! | `nodata=ignore` | that missing data is no news | `INSUFFICIENT_DATA` is told after five minutes |
//! | `nodata=now` | that missing data is told at once | the same |
//! | `told-by=production` | the stack that tells it | each stack whose `AlarmPrefixes` let its name through |
//! | `told=no` | that people hear nothing of it: another alarm rests on it | they do |
//!
//! ALARM begins an episode and OK ends it. INSUFFICIENT_DATA does neither: it is what `nodata` is to our own rules, an
//! alert of its own (`no_data`, labelled with the alarm), which ends with the next ALARM or OK. A composite alarm whose
//! actions are suppressed begins nothing until they are no longer. An alarm that is deleted ends both. Alarms that Auto
//! Scaling makes for itself (`TargetTracking-...`) say nothing to people, unless somebody has put one of these words into
//! their description.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Minute;
use crate::keys;

use super::condition::display_value;
use super::engine::{NO_DATA, RULE};
use super::episode::{Ended, Episode, Origin};
use super::rules::{Labels, Severity};

/// EventBridge's `detail-type` of a change of state.
pub const DETAIL_TYPE: &str = "CloudWatch Alarm State Change";

/// EventBridge's `detail-type` of an alarm that is made, changed or deleted.
pub const CHANGED_DETAIL_TYPE: &str = "CloudWatch Alarm Configuration Change";

/// What the names of alarms begin with that Auto Scaling makes for itself.
const SCALING: &str = "TargetTracking-";

/// Minutes for which an alarm may be without data before it is told: metrics come late, and alarms are changed.
const NO_DATA_MINUTES: i64 = 5;

/// How long the last state of an alarm is remembered. What comes later than that, from a dead letter queue say (which
/// keeps things for 14 days), is taken for new.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Bytes that a text of an alarm keeps.
const MAX_TEXT_BYTES: usize = 2_000;

/// A state that an alarm can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// It is fine.
    Ok,
    /// It is not.
    Alarm,
    /// CloudWatch can not say.
    InsufficientData,
}

impl State {
    /// As CloudWatch writes it.
    fn as_str(self) -> &'static str {
        match self {
            State::Ok => "OK",
            State::Alarm => "ALARM",
            State::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// Which alarms of an account one stack tells: two that live side by side hear of the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ours {
    /// Name of the stack.
    pub stack: String,
    /// What the names of alarms begin with that say nothing of the stack that tells them; empty for all names.
    pub prefixes: Vec<String>,
}

impl Ours {
    /// Whether the stack tells `change`.
    pub fn has(&self, change: &AlarmChange) -> bool {
        match &change.about.told_by {
            Some(stack) => *stack == self.stack,
            None => self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| change.name.starts_with(prefix)),
        }
    }
}

/// An alarm that has changed its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmChange {
    /// Which alarm.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The state that it has now.
    pub state: State,
    /// Since when, as CloudWatch says.
    pub at: Timestamp,
    /// When CloudWatch said so: the same state is told again where only the suppression of actions has changed.
    pub said_at: Timestamp,
    /// What suppresses its actions, `WaitPeriod` say: of composite alarms only.
    pub suppressed_by: Option<String>,
    /// Whether it had a state before: a new alarm begins without data.
    pub is_new: bool,
    /// What it is, as its episodes are to say.
    pub about: About,
}

/// What an alarm is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// How bad it is.
    pub severity: Severity,
    /// Its class.
    pub class: String,
    /// The service concerned, or `all`.
    pub service: String,
    /// Dimensions of its metrics, where they agree.
    pub labels: Labels,
    /// `> 3`; of a composite alarm its rule.
    pub condition: String,
    /// Its description, without the words for us, and CloudWatch's reason.
    pub summary: String,
    /// The newest value that it looked at.
    pub value: Option<f64>,
    /// Where to read what to do.
    pub runbook_url: Option<String>,
    /// Where the console shows it.
    pub url: Option<String>,
    /// Whether missing data is no news.
    pub ignores_no_data: bool,
    /// Whether missing data is told at once.
    #[serde(default)]
    pub tells_no_data_at_once: bool,
    /// Whether Auto Scaling has made it for itself, and nobody says that people are to hear of it.
    #[serde(default)]
    pub is_scaling: bool,
    /// The stack that tells it, where it says so.
    #[serde(default)]
    pub told_by: Option<String>,
    /// Whether another stack tells it, and not this one.
    #[serde(default)]
    pub is_of_others: bool,
    /// Whether people are to hear nothing of it.
    #[serde(default)]
    pub is_untold: bool,
}

/// An alarm that is no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmDeleted {
    /// Which alarm.
    pub arn: String,
    /// The end of the second in which it was deleted: EventBridge tells no more, and what it did in that second was
    /// before.
    pub at: Timestamp,
}

/// Why a change of state can not be read.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// Not of either form.
    #[error("no alarm state change: {0}")]
    Json(#[from] serde_json::Error),
    /// A time that is none.
    #[error("`{time}` is no time")]
    Time {
        /// As it was written.
        time: String,
        /// What is wrong with it.
        #[source]
        source: jiff::Error,
    },
    /// A state that CloudWatch does not have.
    #[error("`{0}` is no state of an alarm")]
    State(String),
    /// An event of an alarm that does not say of which.
    #[error("the ARN of the alarm is missing")]
    Arn,
    /// A change of an alarm that is not its end.
    #[error("an alarm's configuration is changed by `{0}`, which is no news")]
    Operation(String),
}

/// What EventBridge sends.
#[derive(Deserialize)]
struct Bridged {
    time: String,
    region: String,
    #[serde(default)]
    resources: Vec<String>,
    detail: Data,
}

/// What an alarm's Lambda action sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Direct {
    alarm_arn: String,
    time: String,
    region: String,
    alarm_data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    alarm_name: String,
    state: StateData,
    previous_state: Option<StateData>,
    #[serde(default)]
    configuration: Configuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateData {
    value: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    /// A JSON object as a text, where there is one.
    reason_data: Option<Value>,
    #[serde(default)]
    timestamp: String,
    actions_suppressed_by: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    description: Option<String>,
    alarm_rule: Option<String>,
    #[serde(default)]
    metrics: Vec<MetricData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricData {
    metric_stat: Option<MetricStat>,
}

#[derive(Deserialize)]
struct MetricStat {
    metric: Metric,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
}

impl AlarmDeleted {
    /// Reads what EventBridge sends (`CloudWatch Alarm Configuration Change`) of an alarm that is deleted.
    ///
    /// # Errors
    ///
    /// Where it is not of that form, or the alarm is still there.
    pub fn read(event: &Value) -> Result<AlarmDeleted, AlarmError> {
        #[derive(Deserialize)]
        struct Configured {
            time: String,
            #[serde(default)]
            resources: Vec<String>,
            detail: Detail,
        }
        #[derive(Deserialize)]
        struct Detail {
            #[serde(default)]
            operation: String,
        }
        let Configured { time, resources, detail } = Configured::deserialize(event)?;
        if detail.operation != "delete" {
            return Err(AlarmError::Operation(cut(&detail.operation).to_owned()));
        }
        let arn = arn_in(resources)?;
        let at = moment(&time)?;
        let at = Timestamp::from_millisecond(at.as_second() * 1_000 + 999).unwrap_or(at);
        Ok(AlarmDeleted { arn, at })
    }

    /// Whether Auto Scaling had made it for itself, as its name says.
    fn is_scaling(&self) -> bool {
        self.arn.split_once(":alarm:").is_some_and(|(_, name)| name.starts_with(SCALING))
    }

    /// A name of its own.
    pub fn id(&self) -> String {
        keys::fingerprint([b"alarm deleted".as_slice(), self.arn.as_bytes(), &self.at.as_millisecond().to_be_bytes()])
    }
}

/// The alert of the alarm `arn`: the same for ever.
fn fingerprint(arn: &str) -> String {
    keys::fingerprint([b"alarm".as_slice(), arn.as_bytes()])
}

fn arn_in(resources: Vec<String>) -> Result<String, AlarmError> {
    resources.into_iter().find(|arn| arn.contains(":alarm:")).ok_or(AlarmError::Arn)
}

/// Whether `event` is an alarm's Lambda action: it has no `detail-type`.
pub fn is_direct(event: &Value) -> bool {
    event.get("alarmData").is_some()
}

impl AlarmChange {
    /// Reads what EventBridge sends (`CloudWatch Alarm State Change`), or what an alarm's Lambda action does.
    ///
    /// # Errors
    ///
    /// Where it is of neither form.
    pub fn read(event: &Value) -> Result<AlarmChange, AlarmError> {
        if is_direct(event) {
            let Direct { alarm_arn, time, region, alarm_data } = Direct::deserialize(event)?;
            return of(alarm_arn, &region, &time, alarm_data);
        }
        let Bridged { time, region, resources, detail } = Bridged::deserialize(event)?;
        of(arn_in(resources)?, &region, &time, detail)
    }

    /// A name of its own: the same change, by whichever door and however often, has the same one.
    pub fn id(&self) -> String {
        let state = self.state.as_str();
        let suppressed = self.suppressed_by.as_deref().unwrap_or_default();
        let at = self.at.as_millisecond().to_be_bytes();
        keys::fingerprint([b"alarm".as_slice(), self.arn.as_bytes(), state.as_bytes(), suppressed.as_bytes(), &at])
    }

    /// The alert of this alarm: the same for ever.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.arn)
    }

    /// Whether people hear nothing of it here: it begins nothing, and only ends what it began when that was not so.
    pub fn is_quiet(&self) -> bool {
        self.about.is_scaling || self.about.is_untold || self.about.is_of_others
    }

    fn begins(&self) -> Episode {
        let about = self.about.clone();
        Episode {
            rule: self.name.clone(),
            fingerprint: self.fingerprint(),
            class: about.class,
            severity: about.severity,
            service: about.service,
            labels: about.labels,
            condition: about.condition,
            summary: about.summary,
            value: about.value,
            runbook_url: about.runbook_url,
            breaching_since: Minute::of(self.at),
            since: Minute::of(self.at),
            fired_before: 0,
            origin: Origin::Alarm { url: about.url, changed: Some(self.at) },
            ended: None,
        }
    }

    fn is_without_data(&self) -> Episode {
        let mut labels = self.about.labels.clone();
        labels.insert(RULE.to_owned(), self.name.clone());
        Episode {
            rule: NO_DATA.to_owned(),
            fingerprint: keys::fingerprint([NO_DATA.as_bytes(), self.arn.as_bytes()]),
            class: "system".to_owned(),
            severity: Severity::Warning,
            labels,
            condition: "no data".to_owned(),
            summary: format!("The alarm {} has no data.\n{}", self.name, self.about.summary),
            value: None,
            ..self.begins()
        }
    }

    fn end(&self, reason: Option<&str>) -> Ended {
        let About { value, summary, .. } = &self.about;
        Ended { at: Minute::of(self.at), value: *value, summary: summary.clone(), reason: reason.map(str::to_owned) }
    }
}

fn of(arn: String, region: &str, time: &str, data: Data) -> Result<AlarmChange, AlarmError> {
    let value = data.state.value.as_deref().unwrap_or_default();
    let state = match value {
        "OK" => State::Ok,
        "ALARM" => State::Alarm,
        "INSUFFICIENT_DATA" => State::InsufficientData,
        other => return Err(AlarmError::State(other.to_owned())),
    };
    let said_at = moment(time)?;
    let at = if data.state.timestamp.is_empty() { said_at } else { moment(&data.state.timestamp)? };
    let about = about(&arn, region, &data);
    let is_new = data.previous_state.is_none_or(|previous| previous.value.is_none());
    let suppressed_by = data.state.actions_suppressed_by.filter(|by| !by.is_empty());
    Ok(AlarmChange { arn, name: data.alarm_name, state, at, said_at, suppressed_by, is_new, about })
}

fn about(arn: &str, region: &str, data: &Data) -> About {
    let (said, description) = words(data.configuration.description.as_deref().unwrap_or_default());
    let labels = dimensions(&data.configuration.metrics);
    let service = said.get("service").copied().map(str::to_owned).or_else(|| labels.get("service").cloned());
    let reason = data.state.reason.as_deref().unwrap_or_default();
    let figures = data.state.reason_data.as_ref().and_then(figures);
    let summary = [description.as_str(), reason].into_iter().filter(|text| !text.is_empty());
    let summary = summary.collect::<Vec<_>>().join("\n");
    About {
        severity: said.get("severity").and_then(|name| severity(name)).unwrap_or(Severity::Warning),
        class: said.get("class").map_or_else(|| "system".to_owned(), |class| (*class).to_owned()),
        service: service.unwrap_or_else(|| "all".to_owned()),
        labels,
        condition: data.configuration.alarm_rule.as_deref().map_or_else(
            || figures.as_ref().and_then(|figures| condition(reason, figures)).unwrap_or_else(|| "ALARM".to_owned()),
            |rule| cut(rule).to_owned(),
        ),
        summary: cut(if summary.is_empty() { &data.alarm_name } else { &summary }).to_owned(),
        value: figures.as_ref().and_then(newest),
        runbook_url: said.get("runbook").map(|url| (*url).to_owned()),
        url: console(arn, region, &data.alarm_name),
        ignores_no_data: said.get("nodata") == Some(&"ignore"),
        tells_no_data_at_once: said.get("nodata") == Some(&"now"),
        is_scaling: data.alarm_name.starts_with(SCALING) && said.is_empty(),
        told_by: said.get("told-by").map(|stack| (*stack).to_owned()),
        is_of_others: false,
        is_untold: said.get("told") == Some(&"no"),
    }
}

/// The words of a description that are for us, and the rest of it.
fn words(description: &str) -> (BTreeMap<&str, &str>, String) {
    let mut said = BTreeMap::new();
    let mut rest: Vec<&str> = Vec::new();
    for word in description.split_whitespace() {
        match word.split_once('=') {
            // One that can't be read stays where people see it.
            Some(("severity", value)) if severity(value).is_none() => rest.push(word),
            Some((name @ ("severity" | "class" | "service" | "runbook" | "nodata" | "told" | "told-by"), value))
                if !value.is_empty() =>
            {
                said.insert(name, value);
            }
            _ => rest.push(word),
        }
    }
    (said, rest.join(" "))
}

fn severity(name: &str) -> Option<Severity> {
    Severity::deserialize(Value::from(name)).ok()
}

/// The dimensions of all metrics, but for those that they do not agree in.
fn dimensions(metrics: &[MetricData]) -> Labels {
    let mut agreed: BTreeMap<&String, Option<&String>> = BTreeMap::new();
    let metrics = metrics.iter().filter_map(|metric| metric.metric_stat.as_ref());
    for (name, value) in metrics.flat_map(|stat| &stat.metric.dimensions) {
        let known = agreed.entry(name).or_insert(Some(value));
        if *known != Some(value) {
            *known = None;
        }
    }
    agreed.into_iter().filter_map(|(name, value)| Some((name.clone(), value?.clone()))).collect()
}

/// `reasonData`: a JSON object in a text.
fn figures(data: &Value) -> Option<Value> {
    match data {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

/// `> 3`, as the reason words it.
fn condition(reason: &str, figures: &Value) -> Option<String> {
    let threshold = figures.get("threshold")?.as_f64()?;
    let comparison = [
        ("greater than or equal to the threshold", ">="),
        ("less than or equal to the threshold", "<="),
        ("greater than the threshold", ">"),
        ("less than the threshold", "<"),
    ];
    let (_, sign) = comparison.into_iter().find(|(words, _)| reason.contains(words))?;
    Some(format!("{sign} {}", display_value(threshold)))
}

/// The newest of the values that were looked at.
fn newest(figures: &Value) -> Option<f64> {
    let evaluated = figures.get("evaluatedDatapoints").and_then(Value::as_array).into_iter().flatten();
    let dated = evaluated
        .filter_map(|point| Some((moment(point.get("timestamp")?.as_str()?).ok()?, point.get("value")?.as_f64()?)));
    let newest = dated.max_by_key(|(at, _)| *at).map(|(_, value)| value);
    // These come the newest last.
    newest.or_else(|| figures.get("recentDatapoints")?.as_array()?.last()?.as_f64())
}

/// Where the console shows the alarm.
fn console(arn: &str, region: &str, name: &str) -> Option<String> {
    let host = match arn.split(':').nth(1)? {
        "aws" => "console.aws.amazon.com",
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => return None,
    };
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    Some(format!("https://{region}.{host}/cloudwatch/home?region={region}#alarmsV2:alarm/{encoded}"))
}

/// An RFC 3339 time, or one that ends in `+0000`, as CloudWatch writes them.
fn moment(text: &str) -> Result<Timestamp, AlarmError> {
    let error = |source| AlarmError::Time { time: text.to_owned(), source };
    let is_offset = |offset: &str| offset.starts_with(['+', '-']) && offset[1..].bytes().all(|b| b.is_ascii_digit());
    match text.len().checked_sub(5).and_then(|at| text.split_at_checked(at)) {
        Some((time, offset)) if is_offset(offset) => {
            format!("{time}{}:{}", &offset[..3], &offset[3..]).parse().map_err(error)
        }
        _ => text.parse().map_err(error),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// The last known state of all alarms that told one, by fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Alarms(BTreeMap<String, Known>);

/// What is known of an alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    at: Timestamp,
    said_at: Timestamp,
    /// As long as it fires.
    firing: Option<Episode>,
    /// As long as it has no data, and that is told.
    without_data: Option<Episode>,
    /// As long as it has no data, but not for long enough to be told.
    awaited: Option<Episode>,
}

impl Known {
    fn nothing() -> Known {
        let (at, said_at) = (Timestamp::MIN, Timestamp::MIN);
        Known { at, said_at, firing: None, without_data: None, awaited: None }
    }

    fn is_open(&self) -> bool {
        [&self.firing, &self.without_data, &self.awaited].into_iter().any(Option::is_some)
    }
}

/// `episode` as the alarm has ended it at the instant `changed`.
fn over(mut episode: Episode, ended: Ended, at: Timestamp) -> Episode {
    if let Origin::Alarm { changed, .. } = &mut episode.origin {
        *changed = Some(at);
    }
    episode.ended(ended)
}

impl Alarms {
    /// What a change of state begins or ends. One that is older than what is known changes nothing.
    pub fn take(&mut self, change: &AlarmChange) -> Vec<Episode> {
        let (fingerprint, is_quiet) = (change.fingerprint(), change.is_quiet());
        if is_quiet && !self.0.get(&fingerprint).is_some_and(Known::is_open) {
            return Vec::new();
        }
        let known = self.0.entry(fingerprint).or_insert_with(Known::nothing);
        if (change.at, change.said_at) < (known.at, known.said_at) {
            return Vec::new();
        }
        (known.at, known.said_at) = (change.at, change.said_at);
        let mut episodes = Vec::new();
        if change.state != State::InsufficientData {
            known.awaited = None;
            let told = known.without_data.take();
            let again = change.end(Some("the alarm has data again"));
            episodes.extend(told.map(|episode| over(episode, again, change.at)));
        }
        match change.state {
            State::Alarm if !is_quiet && change.suppressed_by.is_none() && known.firing.is_none() => {
                let episode = change.begins();
                known.firing = Some(episode.clone());
                episodes.push(episode);
            }
            State::Ok => episodes.extend(known.firing.take().map(|episode| over(episode, change.end(None), change.at))),
            State::InsufficientData
                if !is_quiet && known.without_data.is_none() && !change.is_new && !change.about.ignores_no_data =>
            {
                let episode = change.is_without_data();
                if change.about.tells_no_data_at_once {
                    known.without_data = Some(episode.clone());
                    episodes.push(episode);
                } else {
                    known.awaited.get_or_insert(episode);
                }
            }
            State::Alarm | State::InsufficientData => {}
        }
        episodes
    }

    /// What the end of an alarm ends.
    pub fn delete(&mut self, deleted: &AlarmDeleted) -> Vec<Episode> {
        let fingerprint = fingerprint(&deleted.arn);
        if deleted.is_scaling() && !self.0.contains_key(&fingerprint) {
            return Vec::new(); // It says nothing to people when it comes late, either.
        }
        let known = self.0.entry(fingerprint).or_insert_with(Known::nothing);
        if deleted.at < known.at {
            return Vec::new(); // It was made anew meanwhile.
        }
        (known.at, known.said_at, known.awaited) = (deleted.at, deleted.at, None);
        let ended = |episode: Episode| {
            let (at, summary) = (Minute::of(deleted.at).max(episode.since), episode.summary.clone());
            let reason = Some("the alarm was deleted".to_owned());
            over(episode, Ended { at, value: None, summary, reason }, deleted.at)
        };
        [known.without_data.take(), known.firing.take()].into_iter().flatten().map(ended).collect()
    }

    /// The alarms that at `now` have been without data for long enough to be told.
    pub fn overdue(&mut self, now: Timestamp) -> Vec<Episode> {
        let mut episodes = Vec::new();
        for known in self.0.values_mut() {
            let is_due = |episode: &mut Episode| Minute::of(now).since(episode.breaching_since) >= NO_DATA_MINUTES;
            if let Some(mut episode) = known.awaited.take_if(is_due) {
                episode.since = episode.breaching_since.plus(NO_DATA_MINUTES);
                known.without_data = Some(episode.clone());
                episodes.push(episode);
            }
        }
        episodes
    }

    /// Drops what nobody needs to remember at `now`.
    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, known| known.is_open() || now.duration_since(known.at) <= REMEMBERED);
    }
}

#[cfg(test)]
mod tests;
