//! The object ports on one S3 bucket. Every PUT carries the SHA-256 of its body: S3 verifies it before it
//! answers and keeps it with the object, where anybody can check it (and a bucket with Object Lock insists on one).

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier};
use domain::ports::{
    DeleteObject, DeleteObjects, GetObject, ListDated, ListObjects, Listed, Object, PortError, PresignObject,
    PutObject, ReplaceObject, Replaced, Retry, Stored, Version,
};
use jiff::Timestamp;

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

impl S3Bucket {
    /// Pages of a listing, up to `limit` objects.
    async fn pages(&self, prefix: &str, limit: usize) -> Result<Vec<aws_sdk_s3::types::Object>, PortError> {
        let mut objects = Vec::new();
        let mut token = None;
        while objects.len() < limit {
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_continuation_token(token)
                .send()
                .await
                .map_err(|error| port_error(format!("list objects {prefix}"), error))?;
            objects.extend(page.contents.unwrap_or_default());
            token = page.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        objects.truncate(limit);
        Ok(objects)
    }
}

impl ListObjects for S3Bucket {
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, PortError> {
        let objects = self.pages(prefix, limit).await?;
        Ok(objects.into_iter().filter_map(|object| object.key).collect())
    }
}

impl ListDated for S3Bucket {
    async fn list_dated(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, PortError> {
        let listed = |object: aws_sdk_s3::types::Object| {
            let written = object.last_modified.and_then(|at| Timestamp::from_second(at.secs()).ok());
            let size = object.size.and_then(|size| u64::try_from(size).ok());
            Some(Listed { key: object.key?, written: written?, size: size? })
        };
        Ok(self.pages(prefix, limit).await?.into_iter().filter_map(listed).collect())
    }
}

impl PresignObject for S3Bucket {
    async fn presign(&self, key: &str, lifetime: Duration) -> Result<String, PortError> {
        let action = || format!("make a link to {key}");
        let config = PresigningConfig::expires_in(lifetime).map_err(|error| PortError::permanent(action(), error))?;
        // Nothing is sent but, where they are to be had, a request for credentials.
        let request = self.client.get_object().bucket(&self.bucket).key(key).presigned(config).await;
        Ok(request.map_err(|error| PortError::transient(action(), error))?.uri().to_owned())
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
