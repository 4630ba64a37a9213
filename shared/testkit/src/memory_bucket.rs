//! A bucket in memory, which can be told to fail.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::ports::{
    DeleteObject, DeleteObjects, GetObject, ListDated, ListObjects, Listed, MAX_DELETED, Object, PortError,
    PresignObject, PutObject, ReplaceObject, Replaced, Retry, Stored, Version,
};
use jiff::Timestamp;

/// What a caller does to the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`PutObject::put`].
    Put,
    /// [`GetObject::get`].
    Get,
    /// [`ListObjects::list`] or [`ListDated::list_dated`].
    List,
    /// [`PresignObject::presign`].
    Presign,
    /// [`DeleteObject::delete`], or [`DeleteObjects::delete_all`] with the first of its keys.
    Delete,
    /// [`ReplaceObject::replace`].
    Replace,
}

type Fault = Box<dyn FnMut(Operation, &str) -> Option<Moment> + Send>;

/// When an injected fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything is done.
    Before,
    /// After it is done: the answer is lost.
    After,
    /// Before anything is done, and with an error that does not pass: nobody tries again, as where the caller is gone.
    Denied,
}

#[derive(Default)]
struct Contents {
    objects: BTreeMap<String, Vec<u8>>,
    /// When each was written: the seconds of a clock that ticks at every write.
    written: BTreeMap<String, i64>,
    writes: i64,
    operations: Vec<(Operation, String)>,
    fault: Option<Fault>,
}

/// A bucket in memory. Clones share their contents.
#[derive(Clone, Default)]
pub struct InMemoryBucket(Arc<Mutex<Contents>>);

impl InMemoryBucket {
    /// An empty bucket.
    pub fn new() -> InMemoryBucket {
        InMemoryBucket::default()
    }

    /// From now on asks `fault` at every operation whether, and when, to fail; with a transient error but for
    /// [`Moment::Denied`].
    pub fn inject(&self, fault: impl FnMut(Operation, &str) -> Option<Moment> + Send + 'static) {
        self.contents().fault = Some(Box::new(fault));
    }

    /// No more injected faults.
    pub fn heal(&self) {
        self.contents().fault = None;
    }

    /// Puts bytes at a key, without faults, as a test's preparation.
    pub fn place(&self, key: &str, body: impl Into<Vec<u8>>) {
        self.contents().write(key, body.into());
    }

    /// The bytes at a key.
    pub fn body(&self, key: &str) -> Option<Vec<u8>> {
        self.contents().objects.get(key).cloned()
    }

    /// All keys, ascending.
    pub fn keys(&self) -> Vec<String> {
        self.contents().objects.keys().cloned().collect()
    }

    /// Keys that begin with `prefix`, ascending.
    pub fn keys_under(&self, prefix: &str) -> Vec<String> {
        self.keys().into_iter().filter(|key| key.starts_with(prefix)).collect()
    }

    /// Every operation so far, with its key or prefix.
    pub fn operations(&self) -> Vec<(Operation, String)> {
        self.contents().operations.clone()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn perform<T>(
        &self,
        operation: Operation,
        key: &str,
        work: impl FnOnce(&mut Contents) -> T,
    ) -> Result<T, PortError> {
        let mut contents = self.contents();
        contents.operations.push((operation, key.to_owned()));
        let moment = contents.fault.as_mut().and_then(|fault| fault(operation, key));
        let fail_with =
            |retry| Err(PortError { action: format!("{operation:?} {key}"), retry, source: "injected fault".into() });
        let fail = || fail_with(Retry::Transient);
        match moment {
            Some(Moment::Before) => fail(),
            Some(Moment::Denied) => fail_with(Retry::Denied),
            Some(Moment::After) => {
                work(&mut contents);
                fail()
            }
            None => Ok(work(&mut contents)),
        }
    }
}

impl Contents {
    fn write(&mut self, key: &str, body: Vec<u8>) -> Version {
        let version = version_of(&body);
        self.objects.insert(key.to_owned(), body);
        self.writes += 1;
        self.written.insert(key.to_owned(), self.writes);
        version
    }
}

/// As S3's ETag, made of the bytes alone: the same bytes written again are the same version.
fn version_of(body: &[u8]) -> Version {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    Version(format!("{:016x}", hasher.finish()))
}

impl PutObject for InMemoryBucket {
    async fn put(&self, object: &Object) -> Result<(), PortError> {
        self.perform(Operation::Put, &object.key, |contents| {
            contents.write(&object.key, object.body.clone());
        })
    }
}

impl GetObject for InMemoryBucket {
    async fn get(&self, key: &str) -> Result<Option<Stored>, PortError> {
        self.perform(Operation::Get, key, |contents| {
            contents.objects.get(key).map(|body| Stored { body: body.clone(), version: version_of(body) })
        })
    }
}

impl ListObjects for InMemoryBucket {
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<String>, PortError> {
        self.perform(Operation::List, prefix, |contents| {
            contents.objects.keys().filter(|key| key.starts_with(prefix)).take(limit).cloned().collect()
        })
    }
}

impl ListDated for InMemoryBucket {
    async fn list_dated(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, PortError> {
        self.perform(Operation::List, prefix, |contents| {
            let found = contents.objects.iter().filter(|(key, _)| key.starts_with(prefix)).take(limit);
            let listed = |(key, body): (&String, &Vec<u8>)| Listed {
                key: key.clone(),
                written: Timestamp::from_second(contents.written[key]).expect("a small number of seconds"),
                size: body.len() as u64,
            };
            found.map(listed).collect()
        })
    }
}

/// Its links name the object and how long they live.
impl PresignObject for InMemoryBucket {
    async fn presign(&self, key: &str, lifetime: Duration) -> Result<String, PortError> {
        self.perform(Operation::Presign, key, |_| {
            format!("https://bucket.example.com/{key}?X-Amz-Expires={}", lifetime.as_secs())
        })
    }
}

impl DeleteObject for InMemoryBucket {
    async fn delete(&self, key: &str) -> Result<(), PortError> {
        self.perform(Operation::Delete, key, |contents| {
            contents.objects.remove(key);
        })
    }
}

impl DeleteObjects for InMemoryBucket {
    async fn delete_all(&self, keys: &[String]) -> Result<(), PortError> {
        assert!(
            (1..=MAX_DELETED).contains(&keys.len()),
            "S3 deletes up to {MAX_DELETED} at once, and not {}",
            keys.len()
        );
        self.perform(Operation::Delete, &keys[0], |contents| {
            for key in keys {
                contents.objects.remove(key);
            }
        })
    }
}

impl ReplaceObject for InMemoryBucket {
    async fn replace(&self, object: &Object, expected: Option<&Version>) -> Result<Replaced, PortError> {
        self.perform(Operation::Replace, &object.key, |contents| {
            let held = contents.objects.get(&object.key).map(|body| version_of(body));
            if held.as_ref() != expected {
                return Replaced::Conflict;
            }
            Replaced::Done(contents.write(&object.key, object.body.clone()))
        })
    }
}
