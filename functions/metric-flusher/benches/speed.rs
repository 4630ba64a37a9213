//! How much CPU time and memory a tick takes to merge what is pending, beside two straightforward ways, and whether the
//! time grows with the number of objects alone: `cargo bench -p metric-flusher`.
//!
//! The ways take turns, on one thread, so that what else the machine does hits all of them alike; figures are medians
//! over the rounds, in CPU time of the process. A tick has a part that goes with the number of different series alone
//! (journal, rollups, calls), which weighs on an object more where there are few. A figure beside its goal is no test, machines are too different for that;
//! what is checked is that every way has counted every value once (otherwise it ends with an error).
//!
//! Without `--bench`, as `cargo test --benches` calls it, or with `--test`, it makes one round over a few objects.

mod pending;
mod ways;

use std::process::{Command, ExitCode};

use rustix::time::{ClockId, clock_gettime};

use pending::{Pending, SERIES};
use ways::WAYS;

/// Makes this program the one whose memory is measured; the way and the number of objects come after it.
const PEAK_MEMORY: &str = "--peak-memory";

struct Size {
    objects: usize,
    rounds: usize,
    /// Numbers of objects by which it is told whether time is linear in them.
    more: [usize; 2],
}

const FULL: Size = Size { objects: 10_000, rounds: 7, more: [1_000, 40_000] };
const SMALL: Size = Size { objects: 400, rounds: 1, more: [100, 800] };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == PEAK_MEMORY) {
        let given = |offset: usize| arguments.get(at + offset).map_or("", String::as_str);
        measure_here(given(1), given(2).parse().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    compare(if given("--bench") && !given("--test") { FULL } else { SMALL })
}

fn compare(size: Size) -> ExitCode {
    let pending = Pending::new();
    let objects = size.objects;
    println!("\n{objects} pending objects of {SERIES} series, {:.1} KB each, one thread", pending.bytes() as f64 / 1e3);
    // The check is the warm-up, too.
    let counted: Vec<u64> = WAYS.iter().map(|(_, way)| way(&pending, objects)).collect();
    println!("check: values counted: {counted:?}");
    let mut millis = vec![Vec::new(); WAYS.len()];
    for _ in 0..size.rounds {
        for ((_, way), millis) in WAYS.iter().zip(&mut millis) {
            millis.push(cpu_millis(|| way(&pending, objects)));
        }
    }
    println!("{:<16}{:>10}{:>14}{:>14}{:>12}{:>12}", "", "CPU ms", "us an object", "ns a series", "of tick", "peak MB");
    for ((name, _), taken) in WAYS.iter().zip(&millis) {
        let ratio = median(taken.iter().zip(&millis[0]).map(|(own, tick)| own / tick).collect());
        let median = median(taken.clone());
        let peak = peak(name, objects);
        let (object, series) = (median * 1e3 / objects as f64, median * 1e6 / (objects * SERIES) as f64);
        println!("{name:<16}{median:>10.1}{object:>14.1}{series:>14.0}{ratio:>12.2}{peak:>12.1}");
    }
    let (_, tick) = WAYS[0];
    let an_object = |objects: usize| {
        let rounds = (0..size.rounds).map(|_| cpu_millis(|| tick(&pending, objects)));
        median(rounds.collect()) / objects as f64
    };
    println!("\na tick, beside its goals:");
    let reference = an_object(objects);
    let [fewer, more] = size.more.map(|objects| an_object(objects) / reference);
    println!("an object of {} takes {fewer:.2} of one of {objects}", size.more[0]);
    print_goal(&format!("an object of {}, of {objects}", size.more[1]), more, 1.3);
    print_goal("peak, MB", peak(WAYS[0].0, objects), 200.0);
    if counted.iter().all(|&of| of == counted[0] && of > 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A figure beside its goal; what can not be measured here is not a number.
fn print_goal(name: &str, figure: f64, goal: f64) {
    let verdict = if figure <= goal { "ok" } else { "MISSED" };
    println!("{name:<30}{figure:>8.2}   goal <= {goal:.1}  {verdict}");
}

/// CPU milliseconds that this process takes for `work`.
fn cpu_millis<T>(work: impl FnOnce() -> T) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let start = now();
    std::hint::black_box(work());
    now() - start
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The peak of a process that takes in `objects` in the way `name`, in MB, where the kernel tells (Linux).
fn peak(name: &str, objects: usize) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).args([PEAK_MEMORY, name, &objects.to_string()]).output().expect("it runs again");
    assert!(output.status.success(), "{name} failed");
    let kilobytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(f64::NAN);
    kilobytes * 1_024.0 / 1e6
}

fn measure_here(name: &str, objects: usize) {
    if let Some((_, way)) = WAYS.iter().find(|(known, _)| *known == name) {
        way(&Pending::new(), objects);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    println!("{}", peak.unwrap_or("?").trim());
}
