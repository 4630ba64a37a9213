//! The main job, end to end: start an embedded AWS, deploy the template, play a day, show what came out.

mod console;
mod summary;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws::log_streams::LogStreams;
use aws::s3_bucket::S3Bucket;
use aws::xray::XRay;
use domain::minute::Minute;
use domain::ports::{GetObject as _, ReadTrace as _};
use domain::traces::tree;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use schema::trace::TraceId;

use crate::artifacts::{self, Profile};
use crate::deployment::{self, Deployment};
use crate::embedded_aws::{ACCOUNT, EmbeddedAws};
use crate::example::{self, Told};
use crate::outcome::Outcome;
use crate::playback::{Player, Sent};
use crate::sink::Sink;
use crate::traffic::Day;
use crate::workspace;
use console::Console;
use summary::Summary;

/// Where the platform's users live.
pub const TIME_ZONE: &str = "Europe/Moscow";

/// Who gets alerts by e-mail. Nobody: the address is made up, and its mailbox is the sink.
pub const ALERT_EMAIL: &str = "on-call@example.com";

/// The day is always the same one, moved to yesterday.
const SEED: u64 = 42;

/// When the template has yesterday reported: 04:30.
const REPORT_DUE: SignedDuration = SignedDuration::from_mins(270);

/// How long messages may be under way from SNS to the sink.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// What can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Traffic, where 1 is some 120,000 lines. Incidents do not shrink with it.
    pub scale: f64,
    /// Simulated minutes from one delivery of lines to the next.
    pub step_minutes: i64,
    /// How the functions are built.
    pub profile: Profile,
    /// Whether everything stays up at the end, until Ctrl-C.
    pub keep: bool,
}

/// A day to be played.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// The local day.
    pub date: Date,
    /// Where it is local.
    pub zone: TimeZone,
    /// Its traffic.
    pub day: Day,
    /// When its report is due, in the night after it.
    pub report_at: Timestamp,
}

impl Calendar {
    /// The last day in [`TIME_ZONE`] whose report is due by `now`, with traffic at `scale`.
    ///
    /// # Errors
    ///
    /// Where the calendar ends.
    pub fn yesterday(now: Timestamp, scale: f64) -> anyhow::Result<Calendar> {
        let zone = TimeZone::get(TIME_ZONE).context(TIME_ZONE)?;
        let today = now.checked_sub(REPORT_DUE)?.to_zoned(zone.clone()).start_of_day()?;
        let date = today.date().yesterday()?;
        let start = Minute::of(today.checked_sub(1.day())?.timestamp());
        let end = Minute::of(today.timestamp());
        let report_at = end.start().checked_add(REPORT_DUE)?;
        Ok(Calendar { date, zone, day: Day::new(start, end.since(start), SEED, scale), report_at })
    }
}

/// Runs the demo. Answers whether everything came out as it went in.
///
/// # Errors
///
/// Where any step fails.
pub async fn run(settings: &Settings) -> anyhow::Result<bool> {
    let began = Instant::now();
    let console = Console::new();
    console.title("Observability for a land sale-contract platform: one day, in time-lapse, on an embedded AWS");

    let calendar = Calendar::yesterday(Timestamp::now(), settings.scale)?;
    let sink = Sink::start().await?;
    let aws =
        console.step("Start the embedded AWS", EmbeddedAws::start("embedded-aws", Some(&sink.mailbox_url()))).await?;
    console.detail(&format!("MiniStack at {}, log in {}", aws.url(), aws.log().display()));
    let building = artifacts::build(settings.profile);
    let artifacts = console.step("Build the functions (some minutes the first time)", building).await?;
    console.detail(&artifacts.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    let deployment = console
        .step("Deploy template.yaml through CloudFormation", deploy(&aws, &sink, &calendar.day, artifacts, &[]))
        .await?;
    console.detail(&format!("stack {}, bucket {}", deployment::STACK, deployment.bucket()?));

    let building = artifacts::build_example(settings.profile, "telemetry", example::NAME);
    let program = console.step("Build the example service", building).await?;
    let example = console.step("Run the example service and ask it things", example::run(&program)).await?;
    console.detail(&format!("{} requests, {} lines on standard output", example.requests, example.lines.len()));
    let sent = play(&console, &deployment, &calendar, settings, &example).await?;
    let trace = console.step("Fetch a trace of the example from X-Ray", trace(&aws, example.trace_id)).await?;
    let report = console.step("Write the daily report", report(&deployment, &calendar)).await?;
    let outcome = console.step("Read back what came out", Outcome::collect(&deployment, &calendar.day)).await?;
    wait_for_messages(&sink, &outcome).await;
    let trace_id = example.trace_id;
    let summary = Summary {
        date: calendar.date.to_string(),
        sent,
        example,
        trace,
        outcome: &outcome,
        incidents: calendar.day.incidents(),
        start: calendar.day.start(),
        zone: calendar.zone.clone(),
        alert_topic: deployment.output("AlertTopicArn")?.to_owned(),
        emails: sink.emails(),
        slack: sink.slack(),
        report,
        took: began.elapsed(),
    };
    let problems = summary.problems();
    console.print(&summary.render());
    if settings.keep {
        console.print(&look_around(&aws, &deployment, &calendar, trace_id)?);
        tokio::signal::ctrl_c().await?;
    }
    Ok(problems.is_empty())
}

/// Deploys the template the way the demo and the tests use it, with `further` parameters.
///
/// # Errors
///
/// Where a log group or the stack can not be made.
pub async fn deploy(
    aws: &EmbeddedAws,
    sink: &Sink,
    day: &Day,
    artifacts: artifacts::Artifacts,
    further: &[(&str, &str)],
) -> anyhow::Result<Deployment> {
    let sdk = aws.sdk_config(ACCOUNT);
    // The platform's log groups are not ours: they are there before the stack.
    let logs = LogStreams::new(&sdk);
    for (group, _) in day.log_streams() {
        logs.create_group(&group).await?;
    }
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64" } else { "x86_64" };
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk);
    let slack = secrets.create_secret().name("slack").secret_string(sink.slack_url()).send().await;
    let slack = slack.context("the secret with the way into Slack")?;
    let mut parameters = vec![
        ("Architecture", architecture),
        ("AwsEndpointUrl", aws.url()),
        ("XRayEndpointUrl", aws.xray_url()),
        ("AlertEmail", ALERT_EMAIL),
        ("SlackSecretArn", slack.arn().context("the secret has no ARN")?),
        ("TimeZone", TIME_ZONE),
        // Nothing extracts metrics from log lines here.
        ("EmfExtraction", "flusher"),
        // The ticks are sent with their simulated time; the real clock must not tick in between.
        ("ScheduleState", "DISABLED"),
    ];
    parameters.extend(further);
    deployment::deploy(&sdk, &artifacts, &parameters).await
}

async fn play(
    console: &Console,
    deployment: &Deployment,
    calendar: &Calendar,
    settings: &Settings,
    example: &Told,
) -> anyhow::Result<Sent> {
    let player = Player::new(deployment)?;
    let day = &calendar.day;
    player.begin(day).await?;
    let progress = console.progress(&format!("Play {} ({TIME_ZONE})", calendar.date), day.minutes().count() as u64);
    let mut sent = Sent::default();
    for (from, batches) in day.batches(settings.step_minutes) {
        let until = from.plus(settings.step_minutes);
        let events = day.events(from, settings.step_minutes);
        let step = player.step(&batches, &events, until).await?;
        sent = sent + step;
        progress.advance(settings.step_minutes as u64, sent.lines);
    }
    let told = player.send_told(example, day.end().plus(-1)).await?;
    let unreadable = player.send_unreadable(day).await?;
    let sent = sent + told + unreadable;
    // Ticks after the last line: what is still to be told of the day's last minutes.
    for minutes in [2, 5] {
        player.ticks(day.end().plus(minutes)).await?;
    }
    progress.finish(sent.lines);
    Ok(sent)
}

/// The trace as a tree, once the trace forwarder has sent it.
async fn trace(aws: &EmbeddedAws, id: TraceId) -> anyhow::Result<String> {
    let xray = XRay::new(&aws.xray_config());
    let deadline = Instant::now() + MESSAGE_TIMEOUT;
    loop {
        match xray.read_trace(id).await? {
            Some(documents) => return Ok(tree::render(id, &documents)),
            None if Instant::now() > deadline => bail!("X-Ray has no trace {id}"),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Has the report written, and fetches it. Answers where it was put.
async fn report(deployment: &Deployment, calendar: &Calendar) -> anyhow::Result<PathBuf> {
    Player::new(deployment)?.tick("daily-reporter", calendar.report_at).await?;
    let bucket = S3Bucket::new(&deployment.sdk, deployment.bucket()?);
    let folder = workspace::scratch().join("reports");
    fs::create_dir_all(&folder)?;
    let mut page = PathBuf::new();
    for kind in ["json", "html"] {
        let key = format!("reports/dt={}/report.{kind}", calendar.date);
        let stored = bucket.get(&key).await?.with_context(|| format!("the daily reporter did not write {key}"))?;
        page = folder.join(format!("{}.{kind}", calendar.date));
        fs::write(&page, stored.body)?;
    }
    Ok(page.canonicalize()?)
}

/// SNS delivers in its own time. What does not come is told by the summary.
async fn wait_for_messages(sink: &Sink, outcome: &Outcome) {
    let deadline = Instant::now() + MESSAGE_TIMEOUT;
    let alerts = outcome.notified();
    while Instant::now() < deadline && (sink.slack().len() < alerts || sink.emails().len() < alerts + 1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn look_around(
    aws: &EmbeddedAws,
    deployment: &Deployment,
    calendar: &Calendar,
    trace: TraceId,
) -> anyhow::Result<String> {
    let bucket = deployment.bucket()?;
    Ok(format!(
        "\nEverything stays up until Ctrl-C. Look around with the AWS CLI:

  export AWS_ENDPOINT_URL={url} AWS_ENDPOINT_URL_XRAY={xray} AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=made-up AWS_DEFAULT_REGION={region} AWS_REGION={region}
  aws s3 ls --recursive s3://{bucket}/archive/ | head
  aws s3 cp s3://{bucket}/rollups/recent.json - | head -c 2000
  aws cloudwatch list-metrics --namespace LandContracts --max-items 20
  aws logs filter-log-events --log-group-name /aws/lambda/{stack}-log-processor --max-items 5
  aws lambda list-functions --query 'Functions[].FunctionName'
  cargo ops archive --bucket {bucket} --service contract --date {date} --hour 09 | head
  cargo ops quarantine --bucket {bucket}
  cargo ops trace {trace}",
        date = calendar.date,
        url = aws.url(),
        xray = aws.xray_url(),
        region = crate::embedded_aws::REGION,
        stack = deployment::STACK,
    ))
}
