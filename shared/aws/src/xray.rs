//! Traces of AWS X-Ray.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_xray::Client;
use domain::ports::{PortError, PutSegments, ReadTrace, Unprocessed};
use schema::trace::TraceId;

use crate::failure::port_error;
use crate::measures::CountRetries;

/// How long to wait before a trace is asked for again that X-Ray did not process.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];

/// X-Ray in the configured account and region.
#[derive(Debug, Clone)]
pub struct XRay {
    client: Client,
}

impl XRay {
    /// That of the configured account and region. `AWS_ENDPOINT_URL_XRAY` goes before `AWS_ENDPOINT_URL`.
    pub fn new(config: &SdkConfig) -> XRay {
        let config = aws_sdk_xray::config::Builder::from(config).interceptor(CountRetries).build();
        XRay { client: Client::from_conf(config) }
    }
}

impl PutSegments for XRay {
    async fn put_segments(&self, documents: &[&str]) -> Result<Vec<Unprocessed>, PortError> {
        let texts = documents.iter().map(|document| (*document).to_owned()).collect();
        let call = self.client.put_trace_segments().set_trace_segment_documents(Some(texts)).send().await;
        let answer = call.map_err(|error| port_error(format!("put {} segment documents", documents.len()), error))?;
        let unprocessed = answer.unprocessed_trace_segments.unwrap_or_default().into_iter();
        let told = unprocessed.map(|segment| Unprocessed {
            id: segment.id,
            code: segment.error_code.unwrap_or_default(),
            message: segment.message.unwrap_or_default(),
        });
        Ok(told.collect())
    }
}

impl ReadTrace for XRay {
    async fn read_trace(&self, id: TraceId) -> Result<Option<Vec<String>>, PortError> {
        let action = || format!("read trace {id}");
        let (mut documents, mut is_there, mut token) = (Vec::new(), false, None);
        let mut pauses = PAUSES.iter();
        loop {
            let call = self.client.batch_get_traces().trace_ids(id.to_string()).set_next_token(token).send().await;
            let page = call.map_err(|error| port_error(action(), error))?;
            if page.unprocessed_trace_ids().iter().any(|unprocessed| *unprocessed == id.to_string()) {
                // It says so of a trace that it has none of, and of one that it could not read now.
                let Some(pause) = pauses.next() else { return Ok(None) };
                tokio::time::sleep(*pause).await;
                (documents, is_there, token) = (Vec::new(), false, None);
                continue;
            }
            for trace in page.traces.unwrap_or_default() {
                is_there = true;
                documents.extend(trace.segments.unwrap_or_default().into_iter().filter_map(|segment| segment.document));
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(is_there.then_some(documents));
            }
        }
    }
}
