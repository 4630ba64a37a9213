//! Ports on which every call takes its time, so that two callers can be interleaved in any order.

use std::future::poll_fn;
use std::task::Poll;

use domain::metrics::put::Datum;
use domain::ports::{
    DeleteObjects, GetObject, ListObjects, Object, PortError, PutMetrics, PutObject, ReplaceObject, Replaced, Stored,
    Version, WriteSamples,
};

/// A port that yields before each call and after it: whoever polls the caller decides what happens in between.
#[derive(Clone)]
pub struct Stepwise<P>(pub P);

/// Pending once.
async fn step() {
    let mut is_done = false;
    poll_fn(|context| {
        if is_done {
            return Poll::Ready(());
        }
        is_done = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn between<T>(call: impl Future<Output = T>) -> T {
    step().await;
    let answer = call.await;
    step().await;
    answer
}

impl<P: PutObject> PutObject for Stepwise<P> {
    async fn put(&self, object: &Object) -> Result<(), PortError> {
        between(self.0.put(object)).await
    }
}

impl<P: GetObject> GetObject for Stepwise<P> {
    async fn get(&self, key: &str) -> Result<Option<Stored>, PortError> {
        between(self.0.get(key)).await
    }
}

impl<P: ListObjects> ListObjects for Stepwise<P> {
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, PortError> {
        between(self.0.list(prefix, limit)).await
    }
}

impl<P: DeleteObjects> DeleteObjects for Stepwise<P> {
    async fn delete_all(&self, keys: &[String]) -> Result<(), PortError> {
        between(self.0.delete_all(keys)).await
    }
}

impl<P: ReplaceObject> ReplaceObject for Stepwise<P> {
    async fn replace(&self, object: &Object, expected: Option<&Version>) -> Result<Replaced, PortError> {
        between(self.0.replace(object, expected)).await
    }
}

impl<P: PutMetrics> PutMetrics for Stepwise<P> {
    async fn put_metrics(&self, namespace: &str, data: &[Datum]) -> Result<(), PortError> {
        between(self.0.put_metrics(namespace, data)).await
    }
}

impl<P: WriteSamples> WriteSamples for Stepwise<P> {
    async fn write(&self, request: &[u8]) -> Result<(), PortError> {
        between(self.0.write(request)).await
    }
}
