//! How much CPU time an event and a span take, beside the JSON layer of `tracing-subscriber`:
//! `cargo bench -p telemetry`.
//!
//! Contestants take turns in one run, so that what else the machine does hits them alike, and write the same fields
//! to a sink that discards. Figures are medians over the rounds: CPU nanoseconds of the whole process, the thread
//! that writes among them. A figure beside its goal is no test, machines are too different for that.
//!
//! Without `--bench`, as `cargo test --benches` calls it, or with `--test`, it makes one round of a few.

mod work;

use std::hint::black_box;
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::{Dispatch, dispatcher};
use tracing_subscriber::layer::SubscriberExt as _;

struct Contestant<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u64) + 'a>,
    nanos: Vec<f64>,
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, run: impl FnMut(u64) + 'a) -> Contestant<'a> {
        Contestant { name, run: Box::new(run), nanos: Vec::new() }
    }
}

fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn main() {
    let given = |name: &str| std::env::args().any(|argument| argument == name);
    let (rounds, times) = if given("--bench") && !given("--test") { (21, 20_000) } else { (1, 50) };
    let (ours, our_dispatch) = work::ours(0.0);
    let (tracing_all, all_dispatch) = work::ours(1.0);
    let json_dispatch = json_layer();
    let registry_dispatch = Dispatch::new(tracing_subscriber::registry());
    let error = io::Error::other("connection reset by peer");
    let in_request = |dispatch: &Dispatch, work: &dyn Fn(u64), times: u64| {
        dispatcher::with_default(dispatch, || work::request().in_scope(|| (0..times).for_each(|n| work(black_box(n)))));
    };
    let event = |n: u64| work::event(n);
    let failure = |n: u64| work::failure(n, &error);
    let span = |n: u64| {
        let _entered = tracing::info_span!("load contract", number = n).entered();
    };
    let mut contestants = [
        Contestant::new("event, 8 fields", |times| {
            in_request(&our_dispatch, &event, times);
            ours.flush(Duration::from_secs(60));
        }),
        Contestant::new("the same, JSON layer", |times| in_request(&json_dispatch, &event, times)),
        Contestant::new("error with message", |times| {
            in_request(&our_dispatch, &failure, times);
            ours.flush(Duration::from_secs(60));
        }),
        Contestant::new("the same, JSON layer", |times| in_request(&json_dispatch, &failure, times)),
        Contestant::new("span, not kept", |times| in_request(&our_dispatch, &span, times)),
        Contestant::new("span, with its line", |times| {
            in_request(&all_dispatch, &span, times);
            tracing_all.flush(Duration::from_secs(60));
        }),
        Contestant::new("span, registry alone", |times| in_request(&registry_dispatch, &span, times)),
        Contestant::new("span, JSON layer", |times| in_request(&json_dispatch, &span, times)),
    ];
    for round in 0..=rounds {
        for contestant in &mut contestants {
            let start = cpu_nanos();
            (contestant.run)(times);
            let nanos = (cpu_nanos() - start) / times as f64;
            // The first is the warm-up.
            if round > 0 {
                contestant.nanos.push(nanos);
            }
        }
    }
    println!("\nCPU ns each, {rounds} rounds of everything in turn, {times} each:");
    println!("{:<24}{:>9}{:>20}", "", "median", "quartiles");
    for contestant in &contestants {
        let [low, median, high] = quantiles(contestant.nanos.clone());
        println!("{:<24}{median:>9.0}{:>20}", contestant.name, format!("{low:.0} .. {high:.0}"));
    }
    let [event, event_json, failure, failure_json, span, ..] = &contestants;
    print_goal("JSON layer / ours, event", ratio(event_json, event), ">=", 8.0);
    print_goal("JSON layer / ours, error", ratio(failure_json, failure), ">=", 8.0);
    print_goal("span, not kept, ns", quantiles(span.nanos.clone())[1], "<=", 200.0);
    let dropped = ours.sink().dropped() + tracing_all.sink().dropped();
    assert_eq!(dropped, 0, "lines were dropped: the figures mean nothing");
}

/// The median over the rounds of what one took to what the other took in the same round.
fn ratio(one: &Contestant<'_>, other: &Contestant<'_>) -> f64 {
    quantiles(one.nanos.iter().zip(&other.nanos).map(|(one, other)| one / other).collect())[1]
}

/// A figure beside its goal.
fn print_goal(name: &str, figure: f64, relation: &str, goal: f64) {
    let reached = if relation == ">=" { figure >= goal } else { figure <= goal };
    let verdict = if reached { "ok" } else { "MISSED" };
    println!("{name:<30}{figure:>8.2}   goal {relation} {goal:.1}  {verdict}");
}

/// First quartile, median, third quartile; of no values, not a number.
fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at =
        |quarter: usize| values.get((values.len().saturating_sub(1) * quarter + 2) / 4).copied().unwrap_or(f64::NAN);
    [at(1), at(2), at(3)]
}

/// The JSON layer of `tracing-subscriber`, with what it writes unless told otherwise.
fn json_layer() -> Dispatch {
    let layer = tracing_subscriber::fmt::layer().json().with_writer(io::sink);
    Dispatch::new(tracing_subscriber::registry().with(layer))
}
