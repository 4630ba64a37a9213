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

/// The template's name in it.
const TEMPLATE_KEY: &str = "template.yaml";
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

/// Deletes the stack; what the template retains stays.
///
/// # Errors
///
/// Where a resource can not be deleted.
pub async fn undeploy(deployment: &Deployment) -> anyhow::Result<()> {
    let client = aws_sdk_cloudformation::Client::new(&deployment.sdk);
    let described = client.describe_stacks().stack_name(STACK).send().await.context("describe the stack")?;
    let stack = described.stacks().first().and_then(|stack| stack.stack_id()).context("the stack has no id")?;
    client.delete_stack().stack_name(stack).send().await.context("delete the stack")?;
    let gone = async {
        loop {
            // A stack that is gone is still known by its id.
            let described = client.describe_stacks().stack_name(stack).send().await.context("describe the stack")?;
            match described.stacks().first().and_then(|stack| stack.stack_status()) {
                Some(StackStatus::DeleteComplete) => return Ok(()),
                Some(StackStatus::DeleteInProgress) => tokio::time::sleep(POLL).await,
                other => bail!("the stack is {other:?}:{}", failures(&client).await?),
            }
        }
    };
    tokio::time::timeout(DEPLOY_TIMEOUT, gone)
        .await
        .with_context(|| format!("the stack is still there after {} s", DEPLOY_TIMEOUT.as_secs()))?
}

/// Deploys the template with `parameters`. The log groups that it subscribes to have to be there.
///
/// # Errors
///
/// Where a resource can not be made; says which and why.
pub async fn deploy(sdk: &SdkConfig, artifacts: &Artifacts, parameters: &[(&str, &str)]) -> anyhow::Result<Deployment> {
    let file = workspace::root().join("template.yaml");
    let template = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let template_url = package(sdk, template, artifacts).await?;
    let parameters = parameters
        .iter()
        .map(|(name, value)| Parameter::builder().parameter_key(*name).parameter_value(*value).build())
        .collect();
    let client = aws_sdk_cloudformation::Client::new(sdk);
    client
        .create_stack()
        .stack_name(STACK)
        .template_url(template_url)
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

/// Uploads the artifacts, puts their addresses into the template, and uploads that: it is longer than a request may
/// carry. Answers where it is.
async fn package(sdk: &SdkConfig, template: String, artifacts: &Artifacts) -> anyhow::Result<String> {
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
    let mut addresses = BTreeMap::new();
    for (name, zip) in artifacts {
        let key = format!("{}.zip", hex::encode(Sha256::digest(zip)));
        addresses.insert(name.as_str(), format!("s3://{ARTIFACTS_BUCKET}/{key}"));
        let body = ByteStream::from(zip.clone());
        let upload = s3.put_object().bucket(ARTIFACTS_BUCKET).key(key).body(body).send().await;
        upload.with_context(|| format!("upload {name}"))?;
    }
    let template = with_addresses(&template, addresses)?;
    let body = ByteStream::from(template.into_bytes());
    let upload = s3.put_object().bucket(ARTIFACTS_BUCKET).key(TEMPLATE_KEY).body(body).send().await;
    upload.context("upload the template")?;
    Ok(format!("https://s3.{}.amazonaws.com/{ARTIFACTS_BUCKET}/{TEMPLATE_KEY}", crate::embedded_aws::REGION))
}

/// The template with the address of each binary in place of the folder that it is built from: of the `Binary:` above
/// a `CodeUri: functions/<package>/`.
fn with_addresses(template: &str, mut addresses: BTreeMap<&str, String>) -> anyhow::Result<String> {
    let mut binary = None;
    let mut packaged = String::with_capacity(template.len());
    for line in template.lines() {
        let entry = line.trim_start();
        if let Some(name) = entry.strip_prefix("Binary: ") {
            binary = Some(name.trim());
        }
        if entry.starts_with("CodeUri: functions/") {
            let name = binary.take().with_context(|| format!("template.yaml names no Binary above `{entry}`"))?;
            let address = addresses.remove(name).with_context(|| {
                format!("template.yaml names the Binary {name} twice, or it is not built from functions/")
            })?;
            let indent = &line[..line.len() - entry.len()];
            packaged.push_str(&format!("{indent}CodeUri: {address}\n"));
        } else {
            packaged.push_str(line);
            packaged.push('\n');
        }
    }
    match addresses.into_keys().next() {
        Some(left) => bail!("template.yaml has no function with the Binary {left}"),
        None => Ok(packaged),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "A:
    Metadata:
      Binary: one
    CodeUri: functions/one/
B:
      Binary: one-more
      Handler: x
      CodeUri: functions/one/
";

    fn addresses<'a>(names: &[&'a str]) -> BTreeMap<&'a str, String> {
        names.iter().map(|name| (*name, format!("s3://b/{name}.zip"))).collect()
    }

    #[test]
    fn each_function_gets_the_address_of_its_own_binary() {
        let packaged = with_addresses(TEMPLATE, addresses(&["one", "one-more"])).unwrap();
        let expected = TEMPLATE.replacen("functions/one/", "s3://b/one.zip", 1);
        assert_eq!(packaged, expected.replacen("functions/one/", "s3://b/one-more.zip", 1));
    }

    #[test]
    fn a_template_and_binaries_that_do_not_match_are_refused() {
        for (template, names, says) in [
            (TEMPLATE, &["one"][..], "the Binary one-more twice, or it is not built"),
            (TEMPLATE, &["one", "one-more", "other"], "no function with the Binary other"),
            ("CodeUri: functions/one/", &["one"], "no Binary above `CodeUri: functions/one/`"),
            (&TEMPLATE.replace("one-more", "one"), &["one"], "the Binary one twice"),
        ] {
            let error = with_addresses(template, addresses(names)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
