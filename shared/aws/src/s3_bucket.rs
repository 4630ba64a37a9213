//! The object ports on one S3 bucket. Every PUT carries the SHA-256 of its body: S3 verifies it before it
//! answers and keeps it with the object, where anybody can check it (and a bucket with Object Lock insists on one).

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier};
use domain::ports::{
    DeleteObject, DeleteObjects, GetObject, ListObjects, Object, PortError, PutObject, ReplaceObject, Replaced, Retry,
    Stored, Version,
};

use crate::failure::port_error;
use crate::measures::CountRetries;

/// One bucket.
#[derive(Debug, Clone)]
pub struct S3Bucket {
    client: Client,
    bucket: String,
}

impl S3Bucket {
    /// The bucket called `bucket`. Where the endpoint was set by hand (an embedded AWS), the bucket's
    /// name goes into the path, because a host name with it could not be resolved.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>) -> S3Bucket {
        let config = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(config.endpoint_url().is_some())
            .interceptor(CountRetries)
            .build();
        S3Bucket { client: Client::from_conf(config), bucket: bucket.into() }
    }

    /// The one way to write an object.
    fn put_request(&self, object: &Object) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(&object.key)
            .content_type(object.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .body(ByteStream::from(object.body.clone()))
    }
}

impl PutObject for S3Bucket {
    async fn put(&self, object: &Object) -> Result<(), PortError> {
        self.put_request(object)
            .send()
            .await
            .map_err(|error| port_error(format!("put object {}", object.key), error))?;
        Ok(())
    }
}

impl GetObject for S3Bucket {
    async fn get(&self, key: &str) -> Result<Option<Stored>, PortError> {
        let action = || format!("get object {key}");
        let output = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(output) => output,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(port_error(action(), error)),
        };
        let version = Version(output.e_tag.unwrap_or_default());
        // A body that breaks off is the network's doing.
        let body = output.body.collect().await.map_err(|error| PortError::transient(action(), error))?;
        Ok(Some(Stored { body: body.to_vec(), version }))
    }
}

impl ListObjects for S3Bucket {
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, PortError> {
        let mut keys = Vec::new();
        let mut token = None;
        while keys.len() < limit {
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_continuation_token(token)
                .send()
                .await
                .map_err(|error| port_error(format!("list objects {prefix}"), error))?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            token = page.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        keys.truncate(limit);
        Ok(keys)
    }
}

impl DeleteObject for S3Bucket {
    async fn delete(&self, key: &str) -> Result<(), PortError> {
        self.client
            .delete_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| port_error(format!("delete object {key}"), error))?;
        Ok(())
    }
}

impl DeleteObjects for S3Bucket {
    async fn delete_all(&self, keys: &[String]) -> Result<(), PortError> {
        let action = || format!("delete {} objects, {} the first", keys.len(), keys.first().map_or("", String::as_str));
        let named = |key: &String| ObjectIdentifier::builder().key(key).build();
        let objects = keys.iter().map(named).collect::<Result<Vec<_>, _>>();
        // Quiet: what is told are those that could not be deleted.
        let delete = objects.and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build());
        let delete = delete.map_err(|error| PortError::permanent(action(), error))?;
        let output = self
            .client
            .delete_objects()
            .bucket(&self.bucket)
            .delete(delete)
            .send()
            .await
            .map_err(|error| port_error(action(), error))?;
        match output.errors() {
            [] => Ok(()),
            [first, ..] => {
                let told = |text: Option<&str>| text.unwrap_or("?").to_owned();
                let (key, code, message) = (told(first.key()), told(first.code()), told(first.message()));
                let source = format!("{} were not deleted: {key}: {code}: {message}", output.errors().len());
                let error = PortError::transient(action(), source);
                Err(PortError { retry: if code == "AccessDenied" { Retry::Denied } else { error.retry }, ..error })
            }
        }
    }
}

impl ReplaceObject for S3Bucket {
    async fn replace(&self, object: &Object, expected: Option<&Version>) -> Result<Replaced, PortError> {
        let request = match expected {
            Some(version) => self.put_request(object).if_match(&version.0),
            None => self.put_request(object).if_none_match("*"),
        };
        match request.send().await {
            Ok(output) => Ok(Replaced::Done(Version(output.e_tag.unwrap_or_default()))),
            // 412: somebody wrote; 409: somebody is writing right now; 404: somebody deleted it.
            Err(error) if matches!(error.raw_response().map(|r| r.status().as_u16()), Some(404 | 409 | 412)) => {
                Ok(Replaced::Conflict)
            }
            Err(error) => Err(port_error(format!("replace object {}", object.key), error)),
        }
    }
}
