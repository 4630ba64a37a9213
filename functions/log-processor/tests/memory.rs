//! Memory of the whole path in a warm function: it is asked for by the batch, not by the line.

#[path = "../benches/whole_path.rs"]
mod whole_path;

use allocation_counter::AllocationInfo;
use testkit::corpus::{self, Delivery, Size, Writer};
use whole_path::WholePath;

const SEED: u64 = 7;

/// What a delivery allocates in a pipeline that has seen a few like it. Memory that C libraries take is not
/// counted.
fn steady(path: &mut WholePath, delivery: &Delivery) -> AllocationInfo {
    let mut run = || {
        let archived = path.run(&delivery.event);
        assert_eq!(archived.lines, delivery.lines, "lines are missing");
        assert!(!archived.bodies.is_empty());
    };
    for _ in 0..3 {
        run();
    }
    allocation_counter::measure(run)
}

#[test]
fn allocations_do_not_grow_with_the_lines() {
    for writer in [Writer::Service, Writer::Database] {
        let of = |lines| corpus::delivery(SEED, 0, writer, Size::Lines(lines));
        let (short, long) = (of(500), of(2_000));
        let mut path = WholePath::new();
        // The long one first: buffers have grown to what both need.
        let (of_long, of_short) = (steady(&mut path, &long).count_total, steady(&mut path, &short).count_total);
        let a_line = (of_long as f64 - of_short as f64) / (long.lines - short.lines) as f64;
        // More lines bring more series, of further minutes and paths, and more distinct values; no line of its own
        // brings anything.
        assert!(a_line < 0.1, "{writer:?}: {of_short} allocations for 500 lines, {of_long} for 2,000");
    }
}

#[test]
fn a_delivery_of_a_megabyte_needs_less_than_64() {
    for writer in [Writer::Service, Writer::Database] {
        let delivery = corpus::delivery(SEED, 0, writer, Size::DecodedBytes(1_000_000));
        let peak = allocation_counter::measure(|| {
            let archived = WholePath::new().run(&delivery.event);
            assert_eq!(archived.lines, delivery.lines, "lines are missing");
        });
        assert!(peak.bytes_max < 64_000_000, "{writer:?}: {} bytes at once", peak.bytes_max);
    }
}
