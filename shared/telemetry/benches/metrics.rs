//! How much CPU time it takes to count: `cargo bench -p telemetry --bench metrics`.
//!
//! Medians over the rounds, in CPU nanoseconds of the whole process. Without `--bench`, as `cargo test --benches` calls
//! it, it makes one round of a few.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use telemetry::business::track_api_request;
use telemetry::{ApiCall, Direction, Identity, Settings, Telemetry, log_api_call};

fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn main() {
    let given = |name: &str| std::env::args().any(|argument| argument == name);
    let (rounds, times) = if given("--bench") && !given("--test") { (21, 50_000) } else { (1, 50) };
    let settings = Settings { buffer_bytes: 64 << 20, ..Settings::new(Identity::new("contract", "test", "1.2.3")) };
    let telemetry = Telemetry::new(settings, io::sink()).expect("a thread");
    tracing::subscriber::set_global_default(telemetry.subscriber()).expect("it is the first");
    ::metrics::set_global_recorder(telemetry.recorder()).expect("it is the first");

    let labels = [("endpoint", "/contracts/{id}"), ("method", "GET"), ("status_code", "200")];
    let held = ::metrics::counter!("contracts_created", "role" => "seller");
    let call = ApiCall {
        direction: Direction::Inbound,
        method: "GET",
        endpoint: "/contracts/{id}",
        status_code: 200,
        duration: Duration::from_micros(12_345),
    };
    let duration = |n: u64| (n % 90) as f64;
    type Contestant<'a> = (&'static str, Box<dyn Fn(u64) + 'a>);
    let contestants: [Contestant<'_>; 7] = [
        ("counter of the facade, held", Box::new(|_| held.increment(1))),
        (
            "counter of the facade, 1 label",
            Box::new(|_| ::metrics::counter!("contracts_created", "role" => "seller").increment(1)),
        ),
        (
            "counter, 3 labels",
            Box::new(|_| telemetry::metrics::increment_counter("api_requests", 1.0, black_box(&labels))),
        ),
        (
            "timer, 2 labels, 90 values",
            Box::new(|n| {
                telemetry::metrics::record_histogram("api_request_duration", duration(n), black_box(&labels[..2]));
            }),
        ),
        (
            "histogram, 1 label, in buckets",
            Box::new(|n| {
                let price = (n % 5_000) as f64 + 1.5;
                telemetry::metrics::record_histogram("contract_value", price, black_box(&[("role", "seller")]));
            }),
        ),
        ("record of a request", Box::new(|_| log_api_call(black_box(&call)))),
        ("record of a request, with its metrics", Box::new(|_| track_api_request(black_box(&call)))),
    ];
    for (name, work) in &contestants {
        let mut nanos: Vec<f64> = Vec::new();
        for round in 0..=rounds {
            let start = cpu_nanos();
            for n in 0..times {
                work(black_box(n));
                // What was begun is part of it. Now and then, so that lines wait where they waited before.
                if n % 500 == 499 {
                    telemetry.sink().flush(Duration::from_secs(60));
                }
            }
            if round > 0 {
                nanos.push((cpu_nanos() - start) / times as f64);
            }
        }
        nanos.sort_by(f64::total_cmp);
        println!("{name:40} {:8.0} ns", nanos[nanos.len() / 2]);
    }
    let start = cpu_nanos();
    telemetry.flush(Duration::from_secs(60));
    println!("{:40} {:8.0} ns", "a flush of all of it", cpu_nanos() - start);
}
