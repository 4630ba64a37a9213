//! The alerts as Amazon Q Developer in chat applications (formerly AWS Chatbot) takes them: its custom notifications.
//!
//! It subscribes to the topic by HTTPS and drops what is neither this nor a message of AWS. So where it is used, this is
//! the body for `https`, and programs take the document by Lambda or SQS. Alarms of CloudWatch go to the same topic as
//! they are, which it knows. Its schema names no limits; these are what its examples and a chat can show.

use std::collections::BTreeMap;

use serde::Serialize;

use super::document::{Alert, AlertDocument};
use super::email;
use super::links;
use super::wording::{clip, counted, moment, one_line, time};

const MAX_TITLE: usize = 250;
const MAX_DESCRIPTION: usize = 8_000;
const MAX_STEP: usize = 250;
const MAX_STEPS: usize = 10;

/// How many alerts are told, or groups of a digest.
const MAX_TOLD: usize = 10;

#[derive(Serialize)]
struct Notification<'a> {
    version: &'static str,
    source: &'static str,
    id: &'a str,
    content: Content,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    text_type: &'static str,
    title: String,
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    next_steps: Vec<String>,
    keywords: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    /// Messages with the same one make a thread.
    thread_id: String,
    summary: String,
    event_type: String,
    related_resources: Vec<String>,
    additional_context: BTreeMap<&'static str, String>,
}

/// The custom notification, as JSON.
pub fn body(document: &AlertDocument) -> String {
    let severity = document.severity.as_str();
    let headline = one_line(&document.headline());
    let class = one_line(&document.class);
    let service = one_line(&document.service);
    let links = document.alerts().take(MAX_TOLD).flat_map(|alert| next_steps(alert, &document.region));
    let notification = Notification {
        version: "1.0",
        source: "custom",
        id: &document.id,
        content: Content {
            text_type: "client-markdown",
            title: clip(&escaped(&format!("{} {headline}", super::slack::sign(document))), MAX_TITLE),
            description: clip(&description(document), MAX_DESCRIPTION),
            next_steps: links.filter(|step| step.len() <= MAX_STEP).take(MAX_STEPS).collect(),
            keywords: vec![severity.to_owned(), clip(&class, 75), clip(&service, 75)],
        },
        metadata: Metadata {
            thread_id: document.thread(),
            summary: clip(&escaped(&headline), MAX_TITLE),
            event_type: format!("alert {}", document.status.as_str()),
            related_resources: document.alerts().take(MAX_TOLD).map(|alert| clip(&alert.name(), MAX_STEP)).collect(),
            additional_context: BTreeMap::from([
                ("severity", severity.to_owned()),
                ("class", clip(&class, MAX_STEP)),
                ("service", clip(&service, MAX_STEP)),
                ("environment", clip(&document.environment, MAX_STEP)),
                ("rule", clip(document.rule(), MAX_STEP)),
            ]),
        },
    };
    serde_json::to_string(&notification).expect("texts and maps with text keys always serialise")
}

fn description(document: &AlertDocument) -> String {
    let mut parts: Vec<String> = match &document.digest {
        Some(digest) => {
            let head = format!("Too much to tell each by itself, since {}.", moment(digest.from));
            let group = |group: &super::document::DigestGroup| {
                let (class, service) = (one_line(&group.class), one_line(&group.service));
                let counts = format!("{} firing, {} resolved", group.firing, group.resolved);
                escaped(&format!("{} {class}, {service}: {counts}", group.severity.as_str().to_uppercase()))
            };
            std::iter::once(head).chain(digest.groups.iter().take(MAX_TOLD).map(group)).collect()
        }
        None => document.alerts().take(MAX_TOLD).map(|alert| told(alert, document.only().is_none())).collect(),
    };
    let (firing, resolved) = document.counts();
    let groups = document.digest.as_ref().map_or(0, |digest| digest.groups.len() + document.left_out.groups);
    let left_out = (firing + resolved + groups).saturating_sub(MAX_TOLD);
    if left_out > 0 {
        parts.push(format!("and {left_out} more"));
    }
    parts.push(format!("Sent because {}.", document.reason.text()));
    parts.join("\n\n")
}

fn told(alert: &Alert, named: bool) -> String {
    let mut lines = Vec::new();
    if named {
        let status = if alert.ended.is_some() { "RESOLVED" } else { "FIRING" };
        lines.push(format!("*{status}: {}*", escaped(&one_line(&alert.name()))));
    }
    lines.push(escaped(&clip(&alert.summary, 1_000)));
    lines.push(escaped(&one_line(&format!("Value: {}", alert.value_text()))));
    lines.push(match (&alert.ended, alert.fired_for()) {
        (Some(end), Some(span)) => format!("Fired for {span}, until {}", time(end.at)),
        _ => format!("Since {}; fired before: {}", time(alert.breaching_since), alert.before_text()),
    });
    if let Some(evidence) = &alert.evidence {
        if !evidence.lines.is_empty() {
            lines.push(format!("The last of {}:", counted(evidence.matched, "log line")));
            lines.extend(evidence.lines.iter().map(|line| format!("> {}", escaped(&email::line_text(line)))));
        }
        lines.extend(evidence.problems.iter().map(|problem| escaped(&one_line(problem))));
    }
    lines.join("\n")
}

fn next_steps(alert: &Alert, region: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut step = |title: &str, url: &str| steps.push(super::slack::link(url, title));
    if let Some(url) = &alert.runbook_url {
        step("What to do", url);
    }
    if let Some(url) = &alert.alarm_url {
        step("The alarm", url);
    }
    if let Some(evidence) = &alert.evidence {
        evidence.traces.iter().for_each(|id| step(&format!("Trace {id}"), &links::trace(region, id)));
    }
    steps
}

/// What is markup to the chat written out: `<!channel>` would call everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::{digest, document, notification, resolved, several};
    use super::*;

    fn parsed(document: &AlertDocument) -> Value {
        serde_json::from_str(&body(document)).unwrap()
    }

    #[test]
    fn it_is_of_the_schema_and_a_group_is_a_thread() {
        let firing = parsed(&document(&notification()));
        assert_eq!((&firing["version"], &firing["source"]), (&"1.0".into(), &"custom".into()));
        assert_eq!(firing["content"]["textType"], "client-markdown");
        assert_eq!(firing["content"]["title"], "\u{1f534} FIRING: contract_creation_failure (contract)");
        assert_eq!(firing["content"]["keywords"], serde_json::json!(["error", "business", "contract"]));
        let steps = firing["content"]["nextSteps"].as_array().unwrap();
        assert_eq!(steps[0], "<https://wiki.company.com/runbooks/contract-failures|What to do>");
        assert!(steps[1].as_str().unwrap().contains("#xray:traces/1-5759e988-bd862e3fe1be46a994272793|Trace"));
        let thread = |document: &AlertDocument| parsed(document)["metadata"]["threadId"].clone();
        assert_eq!(thread(&document(&notification())), thread(&document(&resolved())));
        let mut alone = digest();
        alone.group = notification().group;
        for digest in [digest(), alone] {
            assert_ne!(thread(&document(&notification())), thread(&document(&digest)));
        }
        for notification in [notification(), resolved(), several(), digest()] {
            let body = parsed(&document(&notification));
            assert!(!body["content"]["description"].as_str().unwrap().is_empty());
            let context = body["metadata"]["additionalContext"].as_object().unwrap();
            assert!(context.values().all(Value::is_string), "the schema knows texts only");
        }
    }

    #[test]
    fn it_calls_nobody_and_is_cut_where_it_is_long() {
        let mut notification = notification();
        notification.firing[0].summary = "<!channel> & <https://evil|bank> ".repeat(1_000);
        let body = parsed(&document(&notification));
        let description = body["content"]["description"].as_str().unwrap();
        assert!(description.starts_with("&lt;!channel&gt; &amp; &lt;https://evil|bank&gt;"), "{description}");
        assert!(description.len() <= MAX_DESCRIPTION);
    }
}
