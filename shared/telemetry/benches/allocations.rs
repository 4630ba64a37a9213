//! Heap allocations of a record and of a span in the steady state: `cargo bench -p telemetry`.

mod work;

use std::time::Duration;

use tracing::{Dispatch, dispatcher};

fn main() {
    let (telemetry, dispatch) = work::ours(0.0);
    let (kept, kept_dispatch) = work::ours(1.0);
    let error = std::io::Error::other("connection reset by peer");
    println!("\nheap allocations of one, in the steady state:");
    let mut missed = false;
    let mut print = |name: &str, dispatch: &Dispatch, goal: Option<f64>, run: &dyn Fn(u64)| {
        let each = dispatcher::with_default(dispatch, || work::request().in_scope(|| measured(run)));
        let verdict = match goal {
            Some(goal) if each > goal => {
                missed = true;
                format!("goal <= {goal}  MISSED")
            }
            Some(goal) => format!("goal <= {goal}  ok"),
            None => String::new(),
        };
        println!("{name:<34}{each:>9.2}   {verdict}");
        telemetry.flush(Duration::from_secs(60));
        kept.flush(Duration::from_secs(60));
    };
    print("event, 8 fields", &dispatch, Some(0.0), &work::event);
    print("error with formatted message", &dispatch, Some(0.0), &|n| work::failure(n, &error));
    print("event within a kept trace", &kept_dispatch, Some(0.0), &work::event);
    print("span, not kept", &dispatch, None, &span);
    print("span, with its line", &kept_dispatch, None, &span);
    assert!(!missed, "a record allocates");
}

fn span(number: u64) {
    let _entered = tracing::info_span!("load contract", number).entered();
}

/// Allocations of each run on this thread: the one that writes has its own, and none in the steady state.
fn measured(run: &dyn Fn(u64)) -> f64 {
    const TIMES: u64 = 1_000;
    // Buffers grow in the first runs: the sink's two as well.
    for _ in 0..4 {
        (0..TIMES).for_each(run);
        std::thread::sleep(Duration::from_millis(20));
    }
    let counted = allocation_counter::measure(|| (0..TIMES).for_each(run));
    counted.count_total as f64 / TIMES as f64
}
