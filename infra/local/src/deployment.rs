//! `template.yaml` deployed to the embedded AWS, by the same calls as `sam deploy` makes: artifacts to
//! a bucket, their addresses into the template, the template to CloudFormation.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
use aws_sdk_s3::primitives::ByteStream;
use sha2::{Digest as _, Sha256};

use crate::artifacts::Artifacts;
use crate::workspace;

/// Name of the stack.
pub const STACK: &str = "observability";

const ARTIFACTS_BUCKET: &str = "artifacts";
const POLL: Duration = Duration::from_millis(200);
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(120);

/// A stack that is up.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Configuration of clients for its account.
    pub sdk: SdkConfig,
    /// The template's outputs.
    pub outputs: BTreeMap<String, String>,
}

impl Deployment {
    /// An output of the template.
    ///
    /// # Errors
    ///
    /// Where the template has no such output.
    pub fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the template has no output {name}"))
    }

    /// Its bucket.
    ///
    /// # Errors
    ///
    /// Where the template does not name it.
    pub fn bucket(&self) -> anyhow::Result<&str> {
        self.output("BucketName")
    }

    /// Name of the deployed function that is called `function` in this repository.
    pub fn function(&self, function: &str) -> String {
        format!("{STACK}-{function}")
    }
}

/// Deploys the template with `parameters`. The log groups that it subscribes to have to be there.
///
/// # Errors
///
/// Where a resource can not be made; says which and why.
pub async fn deploy(sdk: &SdkConfig, artifacts: &Artifacts, parameters: &[(&str, &str)]) -> anyhow::Result<Deployment> {
    let file = workspace::root().join("template.yaml");
    let template = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let template = package(sdk, template, artifacts).await?;
    let parameters = parameters
        .iter()
        .map(|(name, value)| Parameter::builder().parameter_key(*name).parameter_value(*value).build())
        .collect();
    let client = aws_sdk_cloudformation::Client::new(sdk);
    client
        .create_stack()
        .stack_name(STACK)
        .template_body(template)
        .set_parameters(Some(parameters))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand)
        .send()
        .await
        .context("CloudFormation did not take the template")?;
    let outputs = tokio::time::timeout(DEPLOY_TIMEOUT, wait(&client))
        .await
        .with_context(|| format!("the stack is not up after {} s", DEPLOY_TIMEOUT.as_secs()))??;
    Ok(Deployment { sdk: sdk.clone(), outputs })
}

/// Uploads the artifacts, and puts their addresses where the template has `functions/<name>/`.
async fn package(sdk: &SdkConfig, mut template: String, artifacts: &Artifacts) -> anyhow::Result<String> {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(config);
    s3.create_bucket()
        .bucket(ARTIFACTS_BUCKET)
        .create_bucket_configuration(
            aws_sdk_s3::types::CreateBucketConfiguration::builder()
                .location_constraint(crate::embedded_aws::REGION.into())
                .build(),
        )
        .send()
        .await
        .context("create the bucket for artifacts")?;
    for (name, zip) in artifacts {
        let local = format!("CodeUri: functions/{name}/\n");
        if template.matches(&local).count() != 1 {
            bail!("template.yaml has not exactly one line `{}`", local.trim());
        }
        let key = format!("{}.zip", hex::encode(Sha256::digest(zip)));
        template = template.replace(&local, &format!("CodeUri: s3://{ARTIFACTS_BUCKET}/{key}\n"));
        let body = ByteStream::from(zip.clone());
        let upload = s3.put_object().bucket(ARTIFACTS_BUCKET).key(key).body(body).send().await;
        upload.with_context(|| format!("upload {name}"))?;
    }
    if let Some(left) = template.lines().find(|line| line.trim_start().starts_with("CodeUri: functions/")) {
        bail!("template.yaml names a function that is not under functions/: {}", left.trim());
    }
    Ok(template)
}

async fn wait(client: &aws_sdk_cloudformation::Client) -> anyhow::Result<BTreeMap<String, String>> {
    loop {
        let described = client.describe_stacks().stack_name(STACK).send().await.context("describe the stack")?;
        let stack = described.stacks().first().context("CloudFormation does not know the stack")?;
        match stack.stack_status() {
            Some(StackStatus::CreateComplete) => {
                let outputs = stack.outputs().iter();
                return Ok(outputs
                    .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
                    .collect());
            }
            Some(StackStatus::CreateInProgress) => tokio::time::sleep(POLL).await,
            other => bail!("the stack is {other:?}:{}", failures(client).await?),
        }
    }
}

/// Why resources failed, a line each.
async fn failures(client: &aws_sdk_cloudformation::Client) -> anyhow::Result<String> {
    let events =
        client.describe_stack_events().stack_name(STACK).send().await.context("describe the stack's events")?;
    let failed = events
        .stack_events()
        .iter()
        .filter(|event| event.resource_status().is_some_and(|status| status.as_str().ends_with("FAILED")));
    Ok(failed
        .map(|event| {
            let (id, reason) = (event.logical_resource_id(), event.resource_status_reason());
            format!("\n  {}: {}", id.unwrap_or("?"), reason.unwrap_or("no reason given"))
        })
        .collect())
}
