//! The corpus is what the benchmarks take it for.

use serde_json::Value;

use super::*;

const MB: usize = 1_000_000;

/// The message that `delivery` decompresses to.
fn message(delivery: &Delivery) -> Value {
    use base64::Engine as _;
    let event: Value = serde_json::from_str(&delivery.event).unwrap();
    let data = base64::engine::general_purpose::STANDARD.decode(event["awslogs"]["data"].as_str().unwrap()).unwrap();
    let mut decoded = vec![0; delivery.decoded_bytes];
    let size = libdeflater::Decompressor::new().gzip_decompress(&data, &mut decoded).unwrap();
    assert_eq!(size, delivery.decoded_bytes);
    serde_json::from_slice(&decoded).unwrap()
}

fn lines(delivery: &Delivery) -> Vec<String> {
    let message = message(delivery);
    let events = message["logEvents"].as_array().unwrap().iter();
    events.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_delivery_is_what_it_says_of_itself() {
    for writer in [Writer::Service, Writer::Database] {
        let delivery = delivery(1, 0, writer, Size::DecodedBytes(MB / 5));
        let lines = lines(&delivery);
        assert_eq!(lines.len(), delivery.lines);
        assert_eq!(lines.iter().map(String::len).sum::<usize>(), delivery.message_bytes);
        assert!((MB / 5..MB / 5 + 3_000).contains(&delivery.decoded_bytes), "{}", delivery.decoded_bytes);
        for planted in &delivery.planted {
            assert!(lines.iter().any(|line| line.contains(&planted.text)), "{planted:?}");
        }
    }
}

#[test]
fn the_seed_alone_decides_and_a_longer_delivery_begins_like_a_shorter_one() {
    assert_eq!(deliveries(1, 2, 50_000), deliveries(1, 2, 50_000));
    assert_ne!(deliveries(1, 2, 50_000), deliveries(2, 2, 50_000));
    let of = |lines| delivery(1, 4, Writer::Service, Size::Lines(lines));
    let (short, long) = (of(50), of(200));
    assert_eq!((short.lines, long.lines), (50, 200));
    assert_eq!(lines(&short), lines(&long)[..50]);
}

#[test]
fn event_ids_have_56_digits_and_grow() {
    let message = message(&delivery(1, 0, Writer::Service, Size::Lines(500)));
    let events = message["logEvents"].as_array().unwrap();
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() == 56 && id.bytes().all(|byte| byte.is_ascii_digit())), "{:?}", &ids[..5]);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn services_write_schema_v1_in_lines_as_long_as_real_ones() {
    let delivery = delivery(1, 0, Writer::Service, Size::DecodedBytes(MB));
    let mean = delivery.message_bytes / delivery.lines;
    assert!((400..450).contains(&mean), "{mean}");
    for line in lines(&delivery) {
        let record: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        for name in ["timestamp", "level", "category", "message"] {
            assert!(record[name].is_string(), "{name}: {line}");
        }
        assert!(record["context"].is_object(), "{line}");
    }
    let share = delivery.planted.len() as f64 / delivery.lines as f64;
    assert!((0.02..0.05).contains(&share), "{share}");
    assert!(Kind::OF_SERVICES.iter().all(|kind| delivery.planted.iter().any(|planted| planted.kind == *kind)));
}

#[test]
fn seventeen_deliveries_of_twenty_come_from_services() {
    let corpus = deliveries(1, 20, 2_000);
    assert_eq!(corpus.iter().filter(|delivery| delivery.writer == Writer::Service).count(), 17);
}
