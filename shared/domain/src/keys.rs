//! Names of objects in the bucket. A key depends only on the input, never on the clock or on chance:
//! a delivery that comes again rewrites the same bytes at the same key.

use sha2::{Digest, Sha256};

use crate::Minute;

/// Lines, by environment, service, day and hour.
pub const ARCHIVE: &str = "archive/";
/// What could not be read, by reason and day.
pub const QUARANTINE: &str = "quarantine/";
/// Lines of the archive that tell of spans, by day, until trace-forwarder has sent them on.
pub const SPANS: &str = "spans/";
/// Where the flusher looks for work.
pub const PENDING_METRICS: &str = "metrics/pending/";
/// Minute rollups, one object an event minute.
pub const ROLLUPS: &str = "rollups/";
/// The last hours of all series, for the alert evaluator: one read a tick.
pub const RECENT_ROLLUPS: &str = "rollups/recent.json";
/// The flusher's journal.
pub const FLUSH_STATE: &str = "state/metric-flusher.json";
/// The counters that the flusher tells Prometheus.
pub const PROMETHEUS_STATE: &str = "state/prometheus.json";
/// The evaluator's alerts and outbox.
pub const ALERT_STATE: &str = "state/alert-evaluator.json";
/// The operators' own rules; the built-in ones hold where there is none.
pub const RULES: &str = "config/rules.yaml";
/// The operators' own notification policy; the built-in one holds where there is none.
pub const POLICY: &str = "config/policy.yaml";
/// What the operators do not want to hear of for a while.
pub const SILENCES: &str = "config/silences.yaml";
/// What came in from outside and waits for the evaluator.
pub const ALERT_INBOX: &str = "alerts/inbox/";
/// One object a transition of an alert.
pub const ALERT_HISTORY: &str = "alerts/history/";
/// Charts that messages link to, by day.
pub const ALERT_CHARTS: &str = "alerts/charts/";
/// What slack-notifier has posted, by group of alerts.
pub const SLACK_THREADS: &str = "state/slack/";

/// Key of a batch's lines of one UTC hour, named by any minute of it.
pub fn archive(environment: &str, service: &str, hour: Minute, batch_id: &str) -> String {
    format!("{}{batch_id}.ndjson.zst", archive_hour(environment, service, hour))
}

/// Folder of the lines of one service and UTC hour, named by any minute of it.
pub fn archive_hour(environment: &str, service: &str, hour: Minute) -> String {
    let (environment, service) = (segment(environment), segment(service));
    format!("{ARCHIVE}env={environment}/service={service}/dt={}/hour={}/", hour.day(), hour.hour())
}

/// Key of the chart of the alert `fingerprint` in the notification `id`, which was decided in that minute.
pub fn alert_chart(decided: Minute, id: &str, fingerprint: &str) -> String {
    format!("{ALERT_CHARTS}dt={}/{}-{}.svg", decided.day(), segment(id), segment(fingerprint))
}

/// Key of what slack-notifier remembers of a group of alerts.
pub fn slack_thread(group: &str) -> String {
    format!("{SLACK_THREADS}{}.json", segment(group))
}

/// What the key of an archive object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePlace<'a> {
    /// Environment.
    pub environment: &'a str,
    /// Service.
    pub service: &'a str,
    /// UTC day, `2026-11-21`.
    pub day: &'a str,
    /// UTC hour, `10`.
    pub hour: &'a str,
    /// Id of the batch.
    pub batch_id: &'a str,
}

impl<'a> ArchivePlace<'a> {
    /// Reads what [`archive`] writes.
    pub fn parse(key: &'a str) -> Option<ArchivePlace<'a>> {
        let mut parts = key.strip_prefix(ARCHIVE)?.split('/');
        let mut part = |prefix: &str| parts.next()?.strip_prefix(prefix);
        let (environment, service) = (part("env=")?, part("service=")?);
        let (day, hour) = (part("dt=")?, part("hour=")?);
        let batch_id = part("")?.strip_suffix(".ndjson.zst")?;
        parts.next().is_none().then_some(ArchivePlace { environment, service, day, hour, batch_id })
    }
}

/// Key of a batch's metrics that wait to be flushed.
pub fn pending(batch_id: &str) -> String {
    format!("{PENDING_METRICS}{batch_id}.json")
}

/// Key of spans: those of a batch, or of a replay that goes to one place only (`to`, `xray` say). `day` is that of
/// the first of them.
pub fn spans(to: Option<&str>, day: &str, id: &str) -> String {
    let (to, slash) = to.map_or(("", ""), |to| (to, "/"));
    format!("{SPANS}{to}{slash}dt={day}/{id}.ndjson.zst")
}

/// What the key of an object with spans says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpansPlace<'a> {
    /// The only place that they go to; `None` where they go to all.
    pub to: Option<&'a str>,
    /// UTC day, `2026-11-21`.
    pub day: &'a str,
    /// Id of the batch, or of the replay.
    pub id: &'a str,
}

impl<'a> SpansPlace<'a> {
    /// Reads what [`spans`] writes.
    pub fn parse(key: &'a str) -> Option<SpansPlace<'a>> {
        let rest = key.strip_prefix(SPANS)?;
        let (to, rest) = match rest.split_once('/')? {
            (first, _) if first.starts_with("dt=") => (None, rest),
            (to, rest) => (Some(to), rest),
        };
        let (day, file) = rest.strip_prefix("dt=")?.split_once('/')?;
        let id = file.strip_suffix(".ndjson.zst")?;
        (!id.is_empty() && !id.contains('/')).then_some(SpansPlace { to, day, id })
    }
}

/// Key of the rollup of one minute.
pub fn rollup(minute: Minute) -> String {
    format!("{}{}.json", rollup_hour(minute), &minute.to_string()[14..16])
}

/// Folder of the rollups of one hour, named by any minute of it.
pub fn rollup_hour(minute: Minute) -> String {
    format!("{ROLLUPS}dt={}/hour={}/", minute.day(), minute.hour())
}

/// Key of something that could not be read. `day` is the input's own (`None` where it tells none).
pub fn quarantine(reason: &str, day: Option<&str>, id: &str) -> String {
    format!("{QUARANTINE}{reason}/dt={}/{id}.json", day.unwrap_or("unknown"))
}

/// A short name for a list of parts: the first 16 bytes of their SHA-256, in hex. The parts' lengths
/// go in as well, so that `["ab", "c"]` and `["a", "bc"]` differ.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// `text` as one segment of a key: letters, digits, `.`, `_` and `-` stay, anything else becomes `-`,
/// and an empty text becomes `unknown`.
pub(crate) fn segment(text: &str) -> String {
    if text.is_empty() {
        return "unknown".to_owned();
    }
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_laid_out_as_documented() {
        let minute: Minute = "2026-11-21T10:05Z".parse().unwrap();
        assert_eq!(
            archive("production", "api", minute, "b1"),
            "archive/env=production/service=api/dt=2026-11-21/hour=10/b1.ndjson.zst"
        );
        assert_eq!(rollup(minute), "rollups/dt=2026-11-21/hour=10/05.json");
        assert_eq!(pending("b1"), "metrics/pending/b1.json");
        assert_eq!(alert_chart(minute, "n1", "f1"), "alerts/charts/dt=2026-11-21/n1-f1.svg");
        assert_eq!(slack_thread("../g"), "state/slack/..-g.json");
        assert_eq!(quarantine("gzip", None, "b1"), "quarantine/gzip/dt=unknown/b1.json");
        assert_eq!(quarantine("oversize", Some("2026-11-21"), "b1"), "quarantine/oversize/dt=2026-11-21/b1.json");
    }

    #[test]
    fn the_key_of_an_archive_object_is_read_back() {
        let minute: Minute = "2026-11-21T10:05Z".parse().unwrap();
        let key = archive("production", "api", minute, "b1");
        let place =
            ArchivePlace { environment: "production", service: "api", day: "2026-11-21", hour: "10", batch_id: "b1" };
        assert_eq!(ArchivePlace::parse(&key), Some(place));
        for key in ["archive/b1.ndjson.zst", "quarantine/x", &format!("{key}/x"), &key[..key.len() - 4]] {
            assert_eq!(ArchivePlace::parse(key), None, "{key}");
        }
    }

    #[test]
    fn the_key_of_spans_is_read_back() {
        for (key, to) in
            [(spans(None, "2026-11-21", "b1"), None), (spans(Some("otlp"), "2026-11-21", "b1"), Some("otlp"))]
        {
            assert_eq!(SpansPlace::parse(&key), Some(SpansPlace { to, day: "2026-11-21", id: "b1" }), "{key}");
            assert!(key.ends_with("dt=2026-11-21/b1.ndjson.zst"), "{key}");
        }
        for key in
            ["spans/b1.ndjson.zst", "spans/dt=x/y/b1.ndjson.zst", "spans/dt=x/b1.json", "archive/dt=x/b.ndjson.zst"]
        {
            assert_eq!(SpansPlace::parse(key), None, "{key}");
        }
    }

    #[test]
    fn a_name_can_not_leave_its_segment_of_the_key() {
        let minute: Minute = "2026-11-21T10:05Z".parse().unwrap();
        assert_eq!(
            archive("../x", "a/b=c", minute, "b1"),
            "archive/env=..-x/service=a-b-c/dt=2026-11-21/hour=10/b1.ndjson.zst"
        );
    }

    #[test]
    fn a_fingerprint_tells_where_one_part_ends() {
        assert_ne!(fingerprint([b"ab".as_slice(), b"c"]), fingerprint([b"a".as_slice(), b"bc"]));
        assert_eq!(fingerprint([b"ab".as_slice()]).len(), 32);
    }
}
