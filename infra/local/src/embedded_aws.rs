//! MiniStack, an AWS in one process on loopback, and moto for X-Ray beside it, for as long as an [`EmbeddedAws`] lives.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use crate::{python, workspace};

/// Region of everything.
pub const REGION: &str = "eu-west-1";

/// The account that the demo lives in. MiniStack takes a 12-digit access key for the account's id, so
/// that each test can have an account of its own.
pub const ACCOUNT: &str = "123456789012";

/// A running embedded AWS. It ends, with every Lambda process that it started, when this is dropped,
/// and also when this process dies in any other way: the supervisor watches a pipe.
pub struct EmbeddedAws {
    supervisor: Child,
    // Closing it is what ends the supervisor.
    lifeline: Option<ChildStdin>,
    url: String,
    xray_url: String,
    log: PathBuf,
}

impl EmbeddedAws {
    /// Starts it on a free port. Its log goes to `<name>.log` in the scratch folder; e-mails that SNS
    /// sends are posted to `email_sink`.
    ///
    /// # Errors
    ///
    /// Where it does not answer within half a minute; says where its log is.
    pub async fn start(name: &str, email_sink: Option<&str>) -> anyhow::Result<EmbeddedAws> {
        let interpreter = python::interpreter("infra/local/requirements.txt").await?;
        let log = workspace::scratch().join(format!("{name}.log"));
        fs::write(&log, "")?;
        let mut command = Command::new(interpreter);
        command.arg(workspace::root().join("infra/local/supervise.py")).arg("--log").arg(&log);
        if let Some(sink) = email_sink {
            command.args(["--email-sink", sink]);
        }
        let mut supervisor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lifeline = supervisor.stdin.take();
        let stdout = supervisor.stdout.take().context("the supervisor has no standard output")?;
        let mut embedded = EmbeddedAws { supervisor, lifeline, url: String::new(), xray_url: String::new(), log };
        // Should the caller give up meanwhile, the lifeline closes, the supervisor ends, and so does this.
        let first_line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let ready = first_line.await??;
        match ready.trim().strip_prefix("READY ").and_then(|urls| urls.split_once(' ')) {
            Some((url, xray_url)) => (embedded.url, embedded.xray_url) = (url.to_owned(), xray_url.to_owned()),
            None => bail!("the embedded AWS did not start; its log is {}", embedded.log.display()),
        }
        Ok(embedded)
    }

    /// Its address on loopback.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of its X-Ray on loopback.
    pub fn xray_url(&self) -> &str {
        &self.xray_url
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Configuration for SDK clients of `account` (12 digits). It is built from nothing, so that no
    /// variable or profile of the user can send a call to a real account.
    pub fn sdk_config(&self, account: &str) -> SdkConfig {
        let credentials = Credentials::new(account, "made-up", None, None, "embedded AWS");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.url)
            .build()
    }

    /// The same for clients of X-Ray. There is one account of that.
    pub fn xray_config(&self) -> SdkConfig {
        self.sdk_config(ACCOUNT).into_builder().endpoint_url(&self.xray_url).build()
    }
}

impl Drop for EmbeddedAws {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.supervisor.wait();
    }
}
