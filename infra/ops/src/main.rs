//! `cargo ops`: what an operator does by hand. Credentials, region and endpoint come from the
//! environment, as for the AWS CLI.

mod archive;
mod files;
mod metrics;
mod policy;
mod quarantine;
mod replay;
mod rules;
mod silences;
mod trace;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use aws::cloudwatch_reads::CloudWatchReads;
use aws::s3_bucket::S3Bucket;
use aws::xray::XRay;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use schema::trace::TraceId;

/// The operator's command line.
#[derive(Parser)]
#[command(name = "cargo ops")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print archived lines, one JSON record a line
    Archive {
        /// The stack's bucket; the variable BUCKET_NAME without it
        #[arg(long)]
        bucket: Option<String>,
        /// Environment, as in the log groups
        #[arg(long, default_value = "production")]
        environment: String,
        /// Service, `api` say
        #[arg(long)]
        service: String,
        /// UTC day, `2026-11-21`
        #[arg(long, value_parser = archive::day)]
        date: Date,
        /// UTC hour, 0 to 23; all of the day without it
        #[arg(long, value_parser = clap::value_parser!(u8).range(..24))]
        hour: Option<u8>,
    },
    /// Show what could not be read, and why
    Quarantine {
        /// The stack's bucket; the variable BUCKET_NAME without it
        #[arg(long)]
        bucket: Option<String>,
    },
    /// Process objects of the bucket once more: quarantine once it can be read, the archive once it is read better
    Replay {
        /// The deployed function whose bucket, key and settings are used, `land-contracts-log-processor` say
        #[arg(long)]
        function: String,
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
        /// Which objects: `quarantine/`, `archive/env=production/service=api/dt=2026-11-21/`, `spans/dt=2026-11-21/`, or a
        /// part of it
        prefix: String,
    },
    /// Show a trace as a tree, with what took how long
    Trace {
        /// Its id, as X-Ray writes it (1-5759e988-bd862e3fe1be46a994272793) or W3C (32 digits)
        id: TraceId,
    },
    /// The registry of metrics, and their figures
    Metrics {
        #[command(subcommand)]
        command: metrics::Command,
    },
    /// Check, test, backtest and export alert rules
    Rules {
        #[command(subcommand)]
        command: rules::Command,
    },
    /// Check a notification policy
    Policy {
        #[command(subcommand)]
        command: policy::Command,
    },
    /// Silence alerts for a while
    Silences {
        #[command(subcommand)]
        command: silences::Asked,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command, &mut io::stdout().lock()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether whoever read the output has had enough of it (`| head`).
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn run(command: Command, out: &mut impl Write) -> anyhow::Result<bool> {
    match command {
        Command::Archive { bucket, environment, service, date, hour } => {
            let bucket = S3Bucket::new(&aws::load_config().await, bucket_or_variable(bucket)?);
            archive::print(&bucket, &archive::prefix(&environment, &service, date, hour), out).await
        }
        Command::Quarantine { bucket } => {
            let bucket = S3Bucket::new(&aws::load_config().await, bucket_or_variable(bucket)?);
            quarantine::print(&bucket, out).await
        }
        Command::Replay { function, dry_run, prefix } => {
            let sdk = aws::load_config().await;
            let (bucket, settings) = replay::settings_of(&function, &sdk).await?;
            replay::run(&S3Bucket::new(&sdk, bucket), settings, &prefix, dry_run, out).await
        }
        Command::Trace { id } => trace::print(&XRay::new(&aws::load_config().await), id, out).await,
        Command::Metrics { command: metrics::Command::List { json } } => metrics::list(json, out),
        Command::Metrics { command: metrics::Command::Report(report) } => {
            let asked = report.asked(Timestamp::now())?;
            let cloudwatch = CloudWatchReads::new(&aws::load_config().await);
            metrics::report(&asked, &cloudwatch, report.json, out).await
        }
        Command::Rules { command: rules::Command::Check(file) } => rules::check(&file, out),
        Command::Rules { command: rules::Command::Test(file) } => rules::test(&file, out),
        Command::Rules { command: rules::Command::Export { format } } => {
            rules::export::export(&format, out, &mut io::stderr().lock())
        }
        Command::Rules { command: rules::Command::Backtest(asked) } => {
            let bucket = bucket_or_variable(asked.bucket.clone())?;
            let sdk = aws::load_config().await;
            let (bucket, cloudwatch) = (S3Bucket::new(&sdk, bucket), CloudWatchReads::new(&sdk));
            rules::backtest::run(&asked, &bucket, &cloudwatch, Timestamp::now(), out).await
        }
        Command::Policy { command: policy::Command::Check { file } } => policy::check(&file, out),
        Command::Silences { command: silences::Asked::Check { file } } => silences::check(&file, out),
        Command::Silences { command: silences::Asked::OfBucket(command) } => {
            let (silences::Command::List { place, .. }
            | silences::Command::Add { place, .. }
            | silences::Command::Expire { place, .. }) = &command;
            let bucket = bucket_or_variable(place.bucket.clone())?;
            let (bucket, now) = (S3Bucket::new(&aws::load_config().await, bucket), Timestamp::now());
            match command {
                silences::Command::List { expired, json, .. } => silences::list(&bucket, expired, json, now, out).await,
                silences::Command::Add { wanted, .. } => silences::add(&bucket, &wanted, now, out).await,
                silences::Command::Expire { id, .. } => silences::expire(&bucket, &id, now, out).await,
            }
        }
    }
}

/// The bucket that was named, else that of the variable which the functions have.
fn bucket_or_variable(named: Option<String>) -> anyhow::Result<String> {
    let bucket = named.or_else(|| std::env::var("BUCKET_NAME").ok());
    bucket.context("name the stack's bucket: --bucket, or the variable BUCKET_NAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let line = std::iter::once("ops").chain(line.split(' '));
        Arguments::try_parse_from(line).map(|arguments| arguments.command).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_are_taken_as_the_pages_write_them() {
        for line in [
            "archive --service alert-evaluator --date 2026-11-21 --hour 11",
            "archive --bucket b --service api --date 2026-11-21",
            "quarantine",
            "policy check policy.yaml",
            "silences check silences.yaml",
            "silences list --expired",
        ] {
            assert!(parsed(line).is_ok(), "{line}: {:?}", parsed(line).err());
        }
        for hour in ["9", "09"] {
            let line = format!("archive --service api --date 2026-11-21 --hour {hour}");
            assert!(matches!(parsed(&line), Ok(Command::Archive { hour: Some(9), .. })), "{line}");
        }
        for (line, expected) in [
            ("archive --service api --date 21.11.2026", "`21.11.2026` is not a day like 2026-11-21"),
            ("archive --service api --date 2026-11-21 --hour 24", "24 is not in 0..24"),
            ("rules check rules.yaml --set =x", "`=x` is not NAME=VALUE"),
            (
                "silences add service=a --for 2h --author a --comment b --from 2026-11-22T22:00:00",
                "`2026-11-22T22:00:00` is not a time like 2026-11-22T10:00:00Z or 2026-11-22T13:00:00+03:00",
            ),
        ] {
            let error = parsed(line).err().unwrap_or_default();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
