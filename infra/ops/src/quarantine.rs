//! What could not be read.

use std::io::Write;

use anyhow::Context as _;
use domain::alerting::outbox;
use domain::logs::quarantine::Quarantined;
use domain::metrics::prometheus;
use domain::metrics::put::Refused;
use domain::ports::{GetObject, ListObjects};
use domain::traces::refused;

const FOLDER: &str = "quarantine/";
const MAX_OBJECTS: usize = 100_000;

/// Prints a line for each thing in quarantine: where it is, where it came from, what is wrong with it.
pub(crate) async fn print(bucket: &(impl GetObject + ListObjects), out: &mut impl Write) -> anyhow::Result<bool> {
    for key in bucket.list(FOLDER, MAX_OBJECTS).await? {
        let stored = bucket.get(&key).await?.with_context(|| format!("{key} was listed but is gone"))?;
        if let Ok(refused) = serde_json::from_slice::<Refused>(&stored.body) {
            writeln!(out, "{key}\t{} metrics\t{}", refused.metrics.len(), refused.reason)?;
            continue;
        }
        // Not only lines are quarantined: pending metrics that can not be read lie there as they were.
        let Ok(held) = serde_json::from_slice::<Quarantined>(&stored.body) else {
            writeln!(out, "{key}\t-\t{} bytes, kept as they came", stored.body.len())?;
            continue;
        };
        for item in held.items {
            let origin = match &item.origin {
                Some(origin) => format!("{} {}", origin.log_group, origin.log_stream),
                None if refused::is_refused(&held.reason) => "span".to_owned(),
                None if held.reason == prometheus::request::REFUSED => "samples".to_owned(),
                None if held.reason == outbox::QUARANTINE => "notification".to_owned(),
                None => "whole delivery".to_owned(),
            };
            writeln!(out, "{key}\t{origin}\t{}", item.error)?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::logs::envelope::Decoder;
    use domain::logs::quarantine::delivery;
    use testkit::InMemoryBucket;

    #[tokio::test]
    async fn everything_in_quarantine_is_shown_with_what_is_wrong_with_it() {
        let bucket = InMemoryBucket::new();
        let event = r#"{"awslogs":{"data":"%"}}"#;
        let object = delivery(event.as_bytes(), &Decoder::default().open(event).unwrap_err());
        bucket.place(&object.key, object.body);
        bucket.place("quarantine/pending-metrics/dt=unknown/x.json", "[]");
        bucket.place("quarantine/metrics/dt=2026-11-21/y.json", r#"{"reason":"too old","metrics":[]}"#);
        let samples = Quarantined::kept("prometheus", vec![("label too long".to_owned(), b"[]".to_vec())]);
        let samples = samples.to_object("2026-11-21", "s1");
        bucket.place(&samples.key, samples.body);
        let spans = Quarantined::kept("spans/otlp", vec![("too old".to_owned(), b"{}".to_vec())]);
        let spans = spans.to_object("2026-11-21", "b1");
        bucket.place(&spans.key, spans.body);
        let told = Quarantined::kept("notifications", vec![("publish: too long".to_owned(), b"{}".to_vec())]);
        let told = told.to_object("2026-11-21", "n1");
        bucket.place(&told.key, told.body);
        let mut out = Vec::new();
        print(&bucket, &mut out).await.unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("\twhole delivery\t`awslogs.data` is not base64"), "{out}");
        assert!(out.contains("quarantine/pending-metrics/dt=unknown/x.json\t-\t2 bytes"), "{out}");
        assert!(out.contains("quarantine/metrics/dt=2026-11-21/y.json\t0 metrics\ttoo old"), "{out}");
        assert!(out.contains("quarantine/prometheus/dt=2026-11-21/s1.json\tsamples\tlabel too long"), "{out}");
        assert!(out.contains("quarantine/notifications/dt=2026-11-21/n1.json\tnotification\tpublish: too"), "{out}");
        assert!(out.contains("quarantine/spans/otlp/dt=2026-11-21/b1.json\tspan\ttoo old"), "{out}");
    }
}
