//! Heap allocations of a delivery and of a line, in the steady state: `cargo bench -p log-processor`.
//!
//! Memory that the C libraries take (libdeflate, zstd) is not counted; it is in the peak that `speed`
//! prints. A reallocation counts as an allocation.

mod straightforward;
mod whole_path;

use testkit::corpus::{self, Delivery, Size, Writer};

use straightforward::Straightforward;
use whole_path::{Archived, WholePath};

const SEED: u64 = 20_261_121;

fn main() {
    let given = |name: &str| std::env::args().any(|argument| argument == name);
    let full = given("--bench") && !given("--test");
    let size = if full { Size::DecodedBytes(1_000_000) } else { Size::Lines(60) };
    let (mut whole_path, mut straightforward) = (WholePath::new(), Straightforward::new());
    println!("\nheap allocations in the steady state, without those of C libraries:");
    println!("{:<34}{:>8}{:>14}{:>9}{:>11}", "", "lines", "a delivery", "a line", "peak MB");
    for (name, writer) in [("services", Writer::Service), ("database", Writer::Database)] {
        let delivery = corpus::delivery(SEED, 0, writer, size);
        print(&format!("whole path, {name}"), &delivery, |event| whole_path.run(event));
        print(&format!("straightforward, {name}"), &delivery, |event| straightforward.run(event));
    }
}

fn print(name: &str, delivery: &Delivery, mut run: impl FnMut(&str) -> Archived) {
    // Buffers grow in the first runs.
    for _ in 0..2 {
        run(&delivery.event);
    }
    let mut archived = 0;
    let counted = allocation_counter::measure(|| {
        let result = run(&delivery.event);
        archived = result.lines.min(result.bodies.len() * delivery.lines);
    });
    assert_eq!(archived, delivery.lines, "{name}: lines are missing");
    let (count, peak) = (counted.count_total, counted.bytes_max as f64 / 1e6);
    let a_line = count as f64 / delivery.lines as f64;
    println!("{name:<34}{:>8}{count:>14}{a_line:>9.2}{peak:>11.2}", delivery.lines);
}
