//! Objects of the bucket, processed once more, by the settings of the function that wrote them.

use std::collections::HashMap;
use std::io::Write;

use anyhow::Context as _;
use aws::secrets::Secrets;
use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use domain::logs::filter::Filters;
use domain::logs::pipeline::{Pipeline, Settings};
use domain::logs::redact::{self, PseudonymKey};
use domain::logs::replay;
use domain::ports::{DeleteObject, GetObject, ListObjects, PutObject, ReadSecret as _};

const MAX_OBJECTS: usize = 1_000_000;

/// The bucket and the settings of a deployed log-processor.
pub(crate) async fn settings_of(function: &str, sdk: &SdkConfig) -> anyhow::Result<(String, Settings)> {
    let configuration = Client::new(sdk).get_function_configuration().function_name(function).send().await;
    let configuration = configuration.with_context(|| format!("the configuration of the function {function}"))?;
    let variables = configuration.environment.and_then(|environment| environment.variables).unwrap_or_default();
    let required = |name: &str| {
        let value = variables.get(name).cloned();
        value.with_context(|| format!("{function} has no variable {name}: is it a log-processor?"))
    };
    let secret = Secrets::new(sdk).read_secret(&required("PSEUDONYM_KEY_SECRET")?).await;
    let secret =
        secret.context("the key of the pseudonyms: whoever replays needs secretsmanager:GetSecretValue on it")?;
    Ok((required("BUCKET_NAME")?, settings(&variables, required, secret.expose())?))
}

fn settings(
    variables: &HashMap<String, String>,
    required: impl Fn(&str) -> anyhow::Result<String>,
    secret: &str,
) -> anyhow::Result<Settings> {
    let optional = |name: &str| variables.get(name).map(String::as_str).unwrap_or_default();
    Ok(Settings {
        own_log_groups: required("OWN_LOG_GROUP_PREFIX")?,
        environment: required("ENVIRONMENT")?,
        pseudonym_key: PseudonymKey::from_secret(secret).context("the secret of PSEUDONYM_KEY_SECRET")?,
        personal_fields: redact::field_names(optional("PERSONAL_FIELDS")).context("PERSONAL_FIELDS")?,
        filters: Filters::parse(optional("LOG_FILTERS")).context("LOG_FILTERS")?,
        metric_namespace: required("METRIC_NAMESPACE")?,
    })
}

/// Replays every object under `prefix`, and tells what came of each. False where one could not be replayed,
/// or still can not be read; such an object stays as it is.
pub(crate) async fn run(
    bucket: &(impl GetObject + ListObjects + PutObject + DeleteObject),
    settings: Settings,
    prefix: &str,
    dry_run: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let mut pipeline = Pipeline::new(settings);
    let mut all = true;
    let keys = bucket.list(prefix, MAX_OBJECTS).await?;
    if keys.len() == MAX_OBJECTS {
        all = false;
        writeln!(out, "{prefix}\tonly the first {MAX_OBJECTS} objects: replay the rest by longer prefixes")?;
    }
    for key in keys {
        let Some(stored) = bucket.get(&key).await? else {
            writeln!(out, "{key}\tgone meanwhile")?;
            continue;
        };
        let replay = match replay::object(&mut pipeline, &key, &stored.body) {
            Ok(replay) => replay,
            Err(error) => {
                all = false;
                writeln!(out, "{key}\tleft alone: {:#}", anyhow::Error::new(error))?;
                continue;
            }
        };
        all &= !replay.is_left;
        if !dry_run {
            for object in &replay.writes {
                bucket.put(object).await.with_context(|| format!("{key} is replayed in part; replay it again"))?;
            }
            if replay.deletes {
                bucket.delete(&key).await?;
            }
        }
        writeln!(out, "{key}\t{}", replay.told)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::logs::pipeline::Outcome;
    use domain::ports::Object;
    use testkit::{InMemoryBucket, pipeline, subscription};

    fn event(lines: &[&str]) -> String {
        let lines: Vec<(i64, &str)> = lines.iter().map(|line| (1_795_000_000_000, *line)).collect();
        subscription::delivery("/aws/ecs/production/api", "s", &lines).to_string()
    }

    fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_settings_are_those_of_the_function() {
        let variables = variables(&[
            ("OWN_LOG_GROUP_PREFIX", "/own"),
            ("ENVIRONMENT", "production"),
            ("PERSONAL_FIELDS", "nick_name, alias"),
            ("LOG_FILTERS", "level=DEBUG keep=0"),
            ("METRIC_NAMESPACE", "LandContracts"),
        ]);
        let required = |name: &str| variables.get(name).cloned().context("missing");
        let settings = settings(&variables, required, "made up for tests, 0123456789abcdef").unwrap();
        assert_eq!(settings.personal_fields, ["nick_name", "alias"]);
        assert_eq!(settings.filters, Filters::parse("level=DEBUG keep=0").unwrap());
        let error = super::settings(&variables, required, "short").unwrap_err();
        assert!(error.to_string().contains("PSEUDONYM_KEY_SECRET"), "{error:#}");
    }

    async fn replay(bucket: &InMemoryBucket, prefix: &str, dry_run: bool) -> (bool, String) {
        let mut out = Vec::new();
        let all = run(bucket, pipeline::settings(), prefix, dry_run, &mut out).await.unwrap();
        (all, String::from_utf8(out).unwrap())
    }

    /// An object that holds, as one of quarantine does, a delivery which can be read by now.
    fn held_delivery(event: &str) -> (String, String) {
        let held = serde_json::json!({"version": 1, "reason": "gzip", "items": [
            {"error": "an older version could not read it", "origin": null, "original": {"text": event}}]});
        ("quarantine/gzip/dt=unknown/x.json".to_owned(), held.to_string())
    }

    #[tokio::test]
    async fn a_delivery_that_can_be_read_by_now_is_archived_and_leaves_quarantine() {
        let event = event(&["one", "two"]);
        let (key, body) = held_delivery(&event);
        let bucket = InMemoryBucket::new();
        bucket.place(&key, body.clone());
        let (all, told) = replay(&bucket, "quarantine/", true).await;
        assert!(all && told.contains("2 lines archived"), "{told}");
        assert_eq!(bucket.keys(), std::slice::from_ref(&key), "a dry run changes nothing");
        replay(&bucket, "quarantine/", false).await;
        let Outcome::Batch(direct) = Pipeline::new(pipeline::settings()).process(&event) else { panic!("it is data") };
        let mut keys: Vec<&str> = direct.objects().map(|object| object.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(bucket.keys(), keys);
    }

    #[tokio::test]
    async fn lines_that_can_be_read_by_now_are_archived_as_a_batch_of_their_own() {
        let origin = |id: &str| {
            serde_json::json!({"owner": "1", "log_group": "/aws/ecs/production/api", "log_stream": "s",
                               "event_id": id, "timestamp_millis": 1_795_000_000_000_i64})
        };
        let held = serde_json::json!({"version": 1, "reason": "not-utf-8", "items": [
            {"error": "x", "origin": origin("1"), "original": {"text": "good by now"}},
            {"error": "x", "origin": origin("2"), "original": {"base64": "Yf8="}}]});
        let bucket = InMemoryBucket::new();
        bucket.place("quarantine/not-utf-8/dt=2026-11-18/x.json", held.to_string());
        let (all, told) = replay(&bucket, "quarantine/", false).await;
        assert!(!all && told.contains("1 lines archived, 1 still in quarantine"), "{told}");
        assert_eq!(bucket.keys_under("archive/").len(), 1);
        let left = bucket.keys_under("quarantine/");
        assert!(left.len() == 1 && !left[0].ends_with("/x.json"), "{left:?}");
        let pending = bucket.body(&bucket.keys_under("metrics/pending/")[0]).unwrap();
        let pending = String::from_utf8(pending).unwrap();
        assert!(
            pending.contains("pipeline_lines_replayed") && !pending.contains("pipeline_lines_received"),
            "{pending}"
        );
        // Once more: what is left can still not be read, and stays.
        let (all, told) = replay(&bucket, "quarantine/", false).await;
        assert!(!all && told.contains("still unreadable"), "{told}");
        assert_eq!(bucket.keys_under("quarantine/"), left);
    }

    #[tokio::test]
    async fn the_archive_replayed_is_the_same_and_its_metrics_wait_to_be_flushed() {
        let event = event(&["one a@example.com", r#"{"level":"error","msg":"x"}"#]);
        let Outcome::Batch(processed) = Pipeline::new(pipeline::settings()).process(&event) else {
            panic!("it is data")
        };
        let Object { key, body, .. } = &processed.archive[0];
        let bucket = InMemoryBucket::new();
        bucket.place(key, body.clone());
        let (all, told) = replay(&bucket, "archive/", false).await;
        assert!(all && told.contains("2 lines, the same"), "{told}");
        assert_eq!(bucket.body(key).unwrap(), *body);
        assert_eq!(bucket.keys_under("metrics/pending/").len(), 1);
    }

    #[tokio::test]
    async fn what_is_none_of_ours_is_left_alone() {
        let bucket = InMemoryBucket::new();
        for key in ["archive/x", "quarantine/gzip/x.json", "quarantine/metrics/dt=2026-11-18/x.json"] {
            bucket.place(key, "not ours");
        }
        let (all, told) = replay(&bucket, "", false).await;
        assert!(!all && told.lines().count() == 3 && told.lines().all(|line| line.contains("left alone: ")), "{told}");
        assert_eq!(bucket.keys().len(), 3);
    }

    #[tokio::test]
    async fn a_replay_that_ends_in_the_middle_is_completed_by_the_next() {
        let event = event(&["one"]);
        let (key, body) = held_delivery(&event);
        let whole = InMemoryBucket::new();
        whole.place(&key, body.clone());
        replay(&whole, "quarantine/", false).await;
        for failing in ["archive/", "metrics/", "quarantine/"] {
            let bucket = InMemoryBucket::new();
            bucket.place(&key, body.clone());
            bucket.inject(move |operation, key| {
                let writes = matches!(operation, testkit::Operation::Put | testkit::Operation::Delete);
                (writes && key.starts_with(failing)).then_some(testkit::memory_bucket::Moment::Before)
            });
            run(&bucket, pipeline::settings(), "quarantine/", false, &mut Vec::new()).await.unwrap_err();
            assert!(bucket.body(&key).is_some(), "it stays in quarantine until all is written");
            bucket.heal();
            replay(&bucket, "quarantine/", false).await;
            assert_eq!(bucket.keys(), whole.keys());
        }
    }
}
