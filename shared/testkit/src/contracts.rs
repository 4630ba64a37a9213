//! What every implementation of a port has to do: the same suite runs on the fakes and on the real
//! adapters.

use domain::metrics::prometheus::request::is_about_time;
use domain::metrics::prometheus::wire::{Label, STALE, Sample, TimeSeries, WriteRequest};
use domain::ports::{
    DeleteObject, DeleteObjects, GetObject, ListDated, ListObjects, Object, PutObject, ReplaceObject, Replaced, Retry,
    Version, WriteSamples,
};
use prost::Message as _;

fn object(key: &str, body: &[u8]) -> Object {
    Object { key: key.to_owned(), content_type: "application/octet-stream", body: body.to_vec() }
}

/// The object ports together, on a bucket where nothing lies under `prefix` (which ends in `/`).
///
/// # Panics
///
/// Where the bucket does not keep the contract.
pub async fn bucket<B>(bucket: &B, prefix: &str)
where
    B: PutObject + GetObject + ListObjects + ListDated + DeleteObject + DeleteObjects + ReplaceObject,
{
    what_was_put_is_read_back(bucket, prefix).await;
    keys_are_listed_in_order_up_to_the_limit(bucket, prefix).await;
    a_listing_tells_age_and_size(bucket, prefix).await;
    deleting_twice_succeeds(bucket, prefix).await;
    many_are_deleted_at_once_and_nothing_else(bucket, prefix).await;
    only_the_expected_version_is_replaced(bucket, prefix).await;
    a_creation_loses_against_an_existing_object(bucket, prefix).await;
}

async fn what_was_put_is_read_back<B: PutObject + GetObject>(bucket: &B, prefix: &str) {
    let key = format!("{prefix}a=1/кириллица and spaces+.bin");
    assert_eq!(bucket.get(&key).await.expect("get"), None, "a missing object is no error");
    for body in [b"one".as_slice(), b"", &[0, 159, 146, 150, 255]] {
        bucket.put(&object(&key, body)).await.expect("put");
        assert_eq!(bucket.get(&key).await.expect("get").expect("it is there").body, body);
    }
}

async fn keys_are_listed_in_order_up_to_the_limit<B: PutObject + ListObjects>(bucket: &B, prefix: &str) {
    let folder = format!("{prefix}list/");
    assert_eq!(bucket.list(&folder, 10).await.expect("list"), Vec::<String>::new());
    for name in ["c", "a", "b/x", "b"] {
        bucket.put(&object(&format!("{folder}{name}"), b"x")).await.expect("put");
    }
    let names = |keys: Vec<String>| keys.iter().map(|key| key[folder.len()..].to_owned()).collect::<Vec<_>>();
    assert_eq!(names(bucket.list(&folder, 10).await.expect("list")), ["a", "b", "b/x", "c"]);
    assert_eq!(names(bucket.list(&folder, 2).await.expect("list")), ["a", "b"]);
    assert_eq!(names(bucket.list(&format!("{folder}b"), 10).await.expect("list")), ["b", "b/x"]);
}

async fn a_listing_tells_age_and_size<B: PutObject + ListDated>(bucket: &B, prefix: &str) {
    let folder = format!("{prefix}dated/");
    assert_eq!(bucket.list_dated(&folder, 10).await.expect("list"), Vec::new());
    for (name, body) in [("b", b"four".as_slice()), ("a", b"")] {
        bucket.put(&object(&format!("{folder}{name}"), body)).await.expect("put");
    }
    let listed = bucket.list_dated(&folder, 10).await.expect("list");
    let told: Vec<_> = listed.iter().map(|object| (&object.key[folder.len()..], object.size)).collect();
    assert_eq!(told, [("a", 0), ("b", 4)]);
    // S3 tells whole seconds.
    assert!(listed[0].written >= listed[1].written, "the later one is not older");
    assert_eq!(bucket.list_dated(&folder, 1).await.expect("list").len(), 1);
}

async fn deleting_twice_succeeds<B: PutObject + GetObject + DeleteObject>(bucket: &B, prefix: &str) {
    let key = format!("{prefix}delete");
    bucket.put(&object(&key, b"x")).await.expect("put");
    bucket.delete(&key).await.expect("delete");
    bucket.delete(&key).await.expect("delete what is gone");
    assert_eq!(bucket.get(&key).await.expect("get"), None);
}

async fn many_are_deleted_at_once_and_nothing_else<B>(bucket: &B, prefix: &str)
where
    B: PutObject + ListObjects + DeleteObjects,
{
    let folder = format!("{prefix}many/");
    let named = |name: &str| format!("{folder}{name}");
    for name in ["a", "a b+&<кириллица>", "c", "kept"] {
        bucket.put(&object(&named(name), b"x")).await.expect("put");
    }
    let deleted = [named("a"), named("a b+&<кириллица>"), named("c"), named("never there")];
    for _ in 0..2 {
        bucket.delete_all(&deleted).await.expect("delete all");
        assert_eq!(bucket.list(&folder, 10).await.expect("list"), [named("kept")]);
    }
}

async fn only_the_expected_version_is_replaced<B>(bucket: &B, prefix: &str)
where
    B: PutObject + GetObject + ReplaceObject + DeleteObject,
{
    let key = format!("{prefix}replace");
    bucket.put(&object(&key, b"first")).await.expect("put");
    let first = bucket.get(&key).await.expect("get").expect("it is there").version;
    let second = done(bucket.replace(&object(&key, b"second"), Some(&first)).await.expect("replace"));
    let outdated = bucket.replace(&object(&key, b"third"), Some(&first)).await.expect("replace");
    assert_eq!(outdated, Replaced::Conflict);
    let stored = bucket.get(&key).await.expect("get").expect("it is there");
    assert_eq!((stored.body.as_slice(), &stored.version), (b"second".as_slice(), &second));
    bucket.delete(&key).await.expect("delete");
    let gone = bucket.replace(&object(&key, b"fourth"), Some(&second)).await.expect("replace");
    assert_eq!(gone, Replaced::Conflict, "a deleted object is not the expected version");
}

async fn a_creation_loses_against_an_existing_object<B: GetObject + ReplaceObject>(bucket: &B, prefix: &str) {
    let key = format!("{prefix}create");
    done(bucket.replace(&object(&key, b"mine"), None).await.expect("create"));
    let late = bucket.replace(&object(&key, b"theirs"), None).await.expect("create");
    assert_eq!(late, Replaced::Conflict);
    assert_eq!(bucket.get(&key).await.expect("get").expect("it is there").body, b"mine");
}

fn done(replaced: Replaced) -> Version {
    match replaced {
        Replaced::Done(version) => version,
        Replaced::Conflict => panic!("nobody else writes here"),
    }
}

/// Prometheus' rules about the times of samples, in series that nothing else writes to: their label `contract` is
/// `name`. All is later than `at`, in milliseconds since the Unix epoch, and within a minute of it.
///
/// # Panics
///
/// Where the remote does not keep the contract.
pub async fn samples(remote: &impl WriteSamples, name: &str, at: i64) {
    let write = async |samples: &[(&str, i64, f64)]| {
        let series = |(series, after, value): &(&str, i64, f64)| {
            let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
            TimeSeries {
                labels: vec![label("__name__", "contract_total"), label("contract", name), label("series", series)],
                samples: vec![Sample { value: *value, timestamp: at + after }],
            }
        };
        let request = WriteRequest { timeseries: samples.iter().map(series).collect(), metadata: Vec::new() };
        remote.write(&request.encode_to_vec()).await
    };
    write(&[("a", 1_000, 1.0), ("b", 1_000, 1.0)]).await.expect("the first samples");
    write(&[("a", 1_000, 1.0), ("b", 1_000, 1.0)]).await.expect("the same once more");
    write(&[("a", 1_000, 1.0), ("b", 2_000, 2.0)]).await.expect("the same of one and a later one of the other");
    for (refused, why) in
        [(("a", 1_000, 2.0), "another value at the same time"), (("b", 1_000, 1.0), "one before the last")]
    {
        let error = write(&[("c", 3_000, 1.0), refused]).await.expect_err(why);
        assert_eq!(error.retry, Retry::Permanent, "{why}");
        assert!(is_about_time(&error.source.to_string()), "{why}: {}", error.source);
    }
    // Nothing was taken of what was refused, or this would come before it.
    write(&[("c", 2_000, 1.0)]).await.expect("a series of a refused request");
    write(&[("a", 3_000, f64::from_bits(STALE)), ("a", 4_000, 5.0)]).await.expect("an end, and a beginning after it");
}
