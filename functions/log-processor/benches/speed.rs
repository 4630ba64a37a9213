//! How much CPU time the whole path takes, beside the floor and the straightforward way, and how much
//! memory: `cargo bench -p log-processor`.
//!
//! The three take turns on the same corpus, so that what else the machine does hits all of them alike.
//! The figures are medians over the rounds: CPU milliseconds for each MB (10^6 bytes) of log messages. A
//! figure beside its goal is no test, machines are too different for that; what is checked is that nothing
//! is lost and nothing personal is left (then it ends with an error).
//!
//! Without `--bench`, as `cargo test --benches` calls it, or with `--test`, it makes one round over a few
//! lines.

mod floor;
mod peak_memory;
mod rounds;
mod straightforward;
mod whole_path;

use std::process::ExitCode;

use testkit::corpus::{self, Delivery, Size, Writer};

use floor::Floor;
use rounds::Contestant;
use straightforward::Straightforward;
use whole_path::{Archived, WholePath};

const SEED: u64 = 20_261_121;
const BATCHES: usize = 20;
/// What a delivery decompresses to, about.
const DECODED_BYTES: usize = 1_000_000;
const ROUNDS: usize = 15;
/// 10^6 bytes.
const MB: f64 = 1e6;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == peak_memory::ARGUMENT) {
        peak_memory::measure_here(arguments.get(at + 1).map_or("", String::as_str));
        return ExitCode::SUCCESS;
    }
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if given("--bench") && !given("--test") {
        compare(&corpus::deliveries(SEED, BATCHES, DECODED_BYTES), ROUNDS)
    } else {
        let delivery = |writer| corpus::delivery(SEED, 0, writer, Size::Lines(60));
        compare(&[delivery(Writer::Service), delivery(Writer::Database)], 1)
    }
}

fn compare(corpus: &[Delivery], rounds: usize) -> ExitCode {
    let mut whole_path = WholePath::new();
    let mut straightforward = Straightforward::new();
    let mut floor = Floor::new();
    describe(corpus);
    // The check is the warm-up, too.
    let checked = [
        check("whole path", corpus, |event| whole_path.run(event)),
        check("straightforward", corpus, |event| straightforward.run(event)),
    ];
    let floor_bytes: usize = corpus.iter().map(|delivery| floor.run(&delivery.event)).sum();
    let message_bytes = sum(corpus, |delivery| delivery.message_bytes);
    let [whole_bytes, straightforward_bytes] = [checked[0].archive_bytes, checked[1].archive_bytes];
    let timed = rounds::take_turns(
        rounds,
        corpus,
        &mut [
            Contestant::new("whole path", whole_bytes, |event| drop(whole_path.run(event))),
            Contestant::new("straightforward", straightforward_bytes, |event| drop(straightforward.run(event))),
            Contestant::new("floor", floor_bytes, |event| {
                floor.run(event);
            }),
        ],
    );
    rounds::print(&timed, message_bytes);
    rounds::print_goal("whole path / floor", timed[0].ratio_to(&timed[2]), "<=", 2.0);
    rounds::print_goal("straightforward / whole path", timed[1].ratio_to(&timed[0]), ">=", 12.0);
    floor_by_stage(&mut floor, corpus, rounds);
    peak_memory::print(&corpus[0]);
    let same_lines = checked.iter().all(|checked| checked.lines == sum(corpus, |delivery| delivery.lines));
    if same_lines && checked.iter().all(|checked| checked.left == 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sum(corpus: &[Delivery], of: impl Fn(&Delivery) -> usize) -> usize {
    corpus.iter().map(of).sum()
}

fn describe(corpus: &[Delivery]) {
    let (lines, messages) = (sum(corpus, |delivery| delivery.lines), sum(corpus, |delivery| delivery.message_bytes));
    let from_services =
        |delivery: &Delivery| if delivery.writer == Writer::Service { delivery.decoded_bytes } else { 0 };
    let (decoded, events) = (sum(corpus, |delivery| delivery.decoded_bytes), sum(corpus, |d| d.event.len()));
    println!(
        "corpus: {} deliveries, {lines} lines, {} planted personal data",
        corpus.len(),
        sum(corpus, |d| d.planted.len())
    );
    println!(
        "        {:.2} MB of messages ({} bytes a line), {:.2} MB decompressed ({:.0} % of it JSON), {:.2} MB as events",
        messages as f64 / MB,
        messages / lines.max(1),
        decoded as f64 / MB,
        100.0 * sum(corpus, from_services) as f64 / decoded as f64,
        events as f64 / MB,
    );
}

/// What a contestant's archive comes to.
struct Checked {
    lines: usize,
    left: usize,
    archive_bytes: usize,
}

/// Runs the corpus once: counts the lines that are archived, and looks for what was planted.
fn check(name: &str, corpus: &[Delivery], mut run: impl FnMut(&str) -> Archived) -> Checked {
    let mut checked = Checked { lines: 0, left: 0, archive_bytes: 0 };
    let mut left = std::collections::BTreeMap::new();
    for delivery in corpus {
        let archived = run(&delivery.event);
        checked.lines += archived.lines;
        checked.archive_bytes += archived.bodies.iter().map(Vec::len).sum::<usize>();
        let text: String = archived.bodies.iter().map(|body| decompressed(body)).collect();
        for planted in delivery.planted.iter().filter(|planted| text.contains(&planted.text)) {
            *left.entry(planted.kind).or_insert(0) += 1;
            checked.left += 1;
        }
    }
    println!("check:  {name}: {} lines archived, {} planted personal data left", checked.lines, checked.left);
    if !left.is_empty() {
        println!("        FAILED: left of each kind: {left:?}");
    }
    checked
}

/// An archive object's text, of either compression.
fn decompressed(body: &[u8]) -> String {
    if body.starts_with(&[0x1f, 0x8b]) {
        return std::io::read_to_string(flate2::read::GzDecoder::new(body)).expect("gzip of UTF-8");
    }
    let lines = domain::logs::archive::lines(body).expect("an archive object");
    lines.join("\n")
}

/// What the floor consists of.
fn floor_by_stage(floor: &mut Floor, corpus: &[Delivery], rounds: usize) {
    let message_bytes = sum(corpus, |delivery| delivery.message_bytes);
    let mut stages = [0.0; 3];
    for delivery in std::iter::repeat_n(corpus, rounds).flatten() {
        stages[0] += rounds::cpu_millis(|| floor.base64(&delivery.event));
        stages[1] += rounds::cpu_millis(|| floor.gunzip());
        stages[2] += rounds::cpu_millis(|| {
            floor.compress();
        });
    }
    let a_mb = |millis: f64| millis / rounds as f64 / (message_bytes as f64 / MB);
    let [base64, gunzip, compress] = stages.map(a_mb);
    println!("of the floor: base64 {base64:.2}, gunzip {gunzip:.2}, zstd -1 {compress:.2} CPU ms/MB");
}
