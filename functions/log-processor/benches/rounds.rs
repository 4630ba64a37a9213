//! Rounds in which contestants take turns, and what they come to.

use rustix::time::{ClockId, clock_gettime};
use testkit::corpus::Delivery;

/// One who takes part.
pub struct Contestant<'a> {
    name: &'static str,
    archive_bytes: usize,
    run: Box<dyn FnMut(&str) + 'a>,
}

impl<'a> Contestant<'a> {
    /// `run` processes an event; over the corpus that comes to `archive_bytes`.
    pub fn new(name: &'static str, archive_bytes: usize, run: impl FnMut(&str) + 'a) -> Contestant<'a> {
        Contestant { name, archive_bytes, run: Box::new(run) }
    }
}

/// What one took.
pub struct Timed {
    name: &'static str,
    archive_bytes: usize,
    /// CPU milliseconds of each round.
    millis: Vec<f64>,
}

impl Timed {
    /// The median over the rounds of what it took to what `other` took in the same round.
    pub fn ratio_to(&self, other: &Timed) -> f64 {
        quantiles(self.millis.iter().zip(&other.millis).map(|(own, other)| own / other).collect())[1]
    }
}

/// CPU milliseconds that this process takes for `work`.
pub fn cpu_millis(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let start = now();
    work();
    now() - start
}

/// Each contestant once over the corpus, then each again, and so on.
pub fn take_turns(rounds: usize, corpus: &[Delivery], contestants: &mut [Contestant<'_>]) -> Vec<Timed> {
    let timed = |c: &Contestant<'_>| Timed { name: c.name, archive_bytes: c.archive_bytes, millis: Vec::new() };
    let mut all: Vec<Timed> = contestants.iter().map(timed).collect();
    for _ in 0..rounds {
        for (contestant, timed) in contestants.iter_mut().zip(&mut all) {
            timed.millis.push(cpu_millis(|| {
                corpus.iter().for_each(|delivery| (contestant.run)(std::hint::black_box(&delivery.event)));
            }));
        }
    }
    all
}

/// The table.
pub fn print(all: &[Timed], message_bytes: usize) {
    let megabytes = message_bytes as f64 / 1e6;
    let rounds = all.first().map_or(0, |timed| timed.millis.len());
    println!("\nCPU ms for each MB of messages, {rounds} rounds of everything in turn:");
    println!("{:<18}{:>8}{:>18}{:>9}{:>14}{:>9}", "", "median", "quartiles", "MB/s", "archive MB", "ratio");
    for timed in all {
        let [low, median, high] = quantiles(timed.millis.iter().map(|millis| millis / megabytes).collect());
        println!(
            "{:<18}{median:>8.2}{:>18}{:>9.0}{:>14.2}{:>9.3}",
            timed.name,
            format!("{low:.2} .. {high:.2}"),
            1e3 / median,
            timed.archive_bytes as f64 / 1e6,
            timed.archive_bytes as f64 / message_bytes as f64,
        );
    }
}

/// A figure beside its goal.
pub fn print_goal(name: &str, figure: f64, relation: &str, goal: f64) {
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
