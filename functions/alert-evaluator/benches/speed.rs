//! How much CPU time, memory and calls a tick takes to evaluate ten thousand rules, beside the straightforward way:
//! `cargo bench -p alert-evaluator`.
//!
//! The ways take turns, on one thread, so that what else the machine does hits both alike; figures are medians over the
//! rounds, in CPU time of the process. The straightforward way is compared over fewer rules, since it takes so long. A
//! figure beside its goal is no test, machines are too different for that; what is checked is that both find the same
//! alerts (otherwise it ends with an error).
//!
//! Without `--bench`, as `cargo test --benches` calls it, or with `--test`, it makes one round over a few rules.

mod ways;
mod world;

use std::process::{Command, ExitCode};

use domain::alerting::engine::evaluate;
use domain::alerting::rules::{RuleSet, Variables};
use domain::alerting::state::AlertState;
use domain::metrics::recent::RecentRollups;
use rustix::time::{ClockId, clock_gettime};

use ways::{WAYS, calls, calls_rule_by_rule, tick};
use world::{FILE, Reads, World};

/// Makes this program the one whose memory is measured; the way, what is read and the number of rules come after it.
const PEAK_MEMORY: &str = "--peak-memory";

const WORKLOADS: [(&str, Reads); 5] = [
    ("by service", Reads::ByService),
    ("not grouped", Reads::Whole),
    ("3 of 5, by service", Reads::MOfN),
    ("of AWS, shared", Reads::Foreign),
    ("of all kinds", Reads::AllKinds),
];

struct Size {
    rules: usize,
    /// By how many the straightforward way is compared.
    beside: usize,
    rounds: usize,
}

const FULL: Size = Size { rules: 10_000, beside: 500, rounds: 7 };
const SMALL: Size = Size { rules: 200, beside: 100, rounds: 1 };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == PEAK_MEMORY) {
        let given = |offset: usize| arguments.get(at + offset).map_or("", String::as_str);
        measure_here(given(1), given(2).parse().unwrap_or_default());
        return ExitCode::SUCCESS;
    }
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    compare(&if given("--bench") && !given("--test") { FULL } else { SMALL })
}

fn compare(size: &Size) -> ExitCode {
    println!("\n{} rules in a tick, one thread; a hundredth of the alerts fires", size.rules);
    println!("{:<20}{:>8}{:>12}{:>12}{:>10}{:>16}", "", "calls", "CPU ms", "us a rule", "peak MB", "changes");
    let mut slowest: f64 = 0.0;
    for (name, reads) in WORKLOADS {
        let world = World::new(reads, size.rules);
        let changes = tick(&world);
        let millis = median((0..size.rounds).map(|_| cpu_millis(|| tick(&world))).collect());
        let (calls, peak) = (calls(&world), peak(name, size.rules));
        println!(
            "{name:<20}{calls:>8}{millis:>12.1}{:>12.2}{peak:>10.1}{changes:>16}",
            millis * 1e3 / size.rules as f64
        );
        slowest = slowest.max(millis);
    }

    println!("\nbeside the straightforward way, {} rules each", size.beside);
    println!("{:<20}{:>12}{:>12}{:>14}{:>12}{:>12}", "", "tick, ms", "it, ms", "times slower", "calls", "of it");
    let mut same = true;
    for (name, reads) in WORKLOADS {
        let world = World::new(reads, size.beside);
        let found: Vec<usize> = WAYS.iter().map(|(_, way)| way(&world)).collect();
        same &= found[0] == found[1] && found[0] > 0;
        let mut millis = [Vec::new(), Vec::new()];
        for _ in 0..size.rounds.min(3) {
            WAYS.iter().zip(&mut millis).for_each(|((_, way), millis)| millis.push(cpu_millis(|| way(&world))));
        }
        let ratio = median(millis[1].iter().zip(&millis[0]).map(|(it, tick)| it / tick).collect());
        let [own, other] = millis.map(median);
        let (calls, of_it) = (calls(&world), calls_rule_by_rule(&world));
        println!("{name:<20}{own:>12.1}{other:>12.1}{ratio:>14.0}{calls:>12}{of_it:>12}");
        if found[0] != found[1] {
            println!("DIFFERENT ALERTS: {found:?}");
        }
    }

    let world = World::new(Reads::ByService, size.rules);
    println!("\nwhat else a tick does, {} rules by service:", size.rules);
    let load = || RuleSet::load("rules.yaml", &world.text, &Variables::new()).is_ok();
    println!(
        "{:<44}{:>8.1} ms",
        format!("read {} rules, {:.1} MB", size.rules.min(FILE), megabytes(&world.text)),
        cpu_millis(load)
    );
    let recent = String::from_utf8(world.recent.to_object().body).expect("JSON is UTF-8");
    let read = || RecentRollups::parse(recent.as_bytes()).is_ok();
    println!("{:<44}{:>8.1} ms", format!("read {:.1} MB of recent rollups", megabytes(&recent)), cpu_millis(read));
    let state = String::from_utf8(after(&world).to_object().body).expect("JSON is UTF-8");
    let read = || AlertState::parse(state.as_bytes()).is_ok();
    println!("{:<44}{:>8.1} ms", format!("read {:.1} MB of state", megabytes(&state)), cpu_millis(read));
    let world = World::new(Reads::Objectives, size.rules / 100).three_days_later();
    let state = world.state.to_object().body.len() as f64 / 1e6;
    let name = format!("tick of {} objectives of 3 days, {state:.1} MB", size.rules / 100);
    println!("{name:<44}{:>8.1} ms", cpu_millis(|| tick(&world)));
    print_goal("slowest tick, CPU ms", slowest, 1_000.0);
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn after(world: &World) -> AlertState {
    evaluate(&world.tick(), Some(world.state.clone())).state
}

fn megabytes(text: &str) -> f64 {
    text.len() as f64 / 1e6
}

/// A figure beside its goal; what can not be measured here is not a number.
fn print_goal(name: &str, figure: f64, goal: f64) {
    let verdict = if figure <= goal { "ok" } else { "MISSED" };
    println!("\n{name:<30}{figure:>8.1}   goal <= {goal:.0}  {verdict}");
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

/// The peak of a process that loads rules and metrics and evaluates them once, in MB, where the kernel tells
/// (Linux).
fn peak(name: &str, rules: usize) -> f64 {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).args([PEAK_MEMORY, name, &rules.to_string()]).output().expect("it runs again");
    assert!(output.status.success(), "{name} failed");
    let kilobytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(f64::NAN);
    kilobytes * 1_024.0 / 1e6
}

fn measure_here(name: &str, rules: usize) {
    let Some((_, reads)) = WORKLOADS.iter().find(|(known, _)| *known == name) else { return };
    let world = World::new(*reads, rules);
    tick(&world);
    println!("{}", peak_kilobytes().map_or("?".to_owned(), |peak| peak.to_string()));
}

fn peak_kilobytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}
