//! What a whole process writes: this program is started again for each case, as a process of its own.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::cell::Cell;
use std::env;
use std::fmt;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::business::track_user_registration;
use telemetry::{Identity, RequestScope, Settings, database_query};

const CASE: &str = "TELEMETRY_TEST_CASE";

fn settings() -> Settings {
    let mut settings = Settings::new(Identity::new("contract", "test", "1"));
    settings.traces.share = 1.0;
    settings
}

/// The process that a case starts. Without a case, as `cargo test` runs it, there is nothing to do.
#[test]
fn child() {
    let Ok(case) = env::var(CASE) else { return };
    let guard = telemetry::init(settings()).unwrap();
    match case.as_str() {
        "panic" => {
            let panics = || RequestScope::new("r-1").in_scope(|| panic!("out of {}", "paper"));
            assert!(std::thread::Builder::new().name("printer".to_owned()).spawn(panics).unwrap().join().is_err());
        }
        "panic within a value" => {
            let logs = || tracing::info!(value = ?Panics, "never written");
            assert!(std::thread::spawn(logs).join().is_err());
            tracing::info!(value = ?Talks, "outer");
        }
        "abort" => {
            tracing::info!("before");
            // Nobody drops a guard here: the panic itself has to see to it that its line is written.
            let _ = std::panic::catch_unwind(|| panic!("the last"));
            std::process::abort();
        }
        "late" => {
            let counts = || {
                LATE.with(|late| late.set(Some(Late)));
                track_user_registration("buyer");
            };
            std::thread::spawn(counts).join().unwrap();
        }
        "talks" => {
            let result = database_query("SELECT", "contracts").run(|| Err::<(), _>(Talks), |()| None);
            assert!(result.is_err());
        }
        "many" => (0..10_000).for_each(|number| tracing::info!(number, "line")),
        "twice" => {
            let again = telemetry::init(Settings::new(Identity::new("other", "test", "2"))).unwrap();
            tracing::info!("once");
            drop(again);
        }
        "gone" => {
            for number in 0..100_000 {
                tracing::info!(number, "nobody reads this");
            }
            assert!(!telemetry::flush(Duration::from_secs(60)));
            eprintln!("went on without it");
        }
        other => panic!("no case {other}"),
    }
    drop(guard);
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("can't be shown")
    }
}

struct Talks;

impl fmt::Display for Talks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("shown");
        f.write_str("no route")
    }
}

impl std::error::Error for Talks {}

impl fmt::Debug for Talks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("inner");
        f.write_str("talks")
    }
}

/// Counts when its thread ends, and its thread-locals with it.
struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        track_user_registration("seller");
    }
}

thread_local! {
    static LATE: Cell<Option<Late>> = const { Cell::new(None) };
}

fn command(case: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CASE, case);
    command
}

/// The lines of a case, and what it says beside.
fn run(case: &str) -> (Vec<Value>, String) {
    let output = command(case).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() || case == "abort", "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    // The test harness writes to the same output, and does not end its line before the first of ours.
    let lines = text.lines().filter_map(|line| line.find('{').map(|at| &line[at..]));
    (lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect(), stderr)
}

#[test]
fn a_panic_is_a_line_with_the_ids_of_what_panicked() {
    let (lines, stderr) = run("panic");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&line["level"], &line["message"]), (&json!("CRITICAL"), &json!("panic")));
    assert_eq!(line["error"], json!({ "type": "panic", "message": "out of paper" }));
    assert_eq!((&line["context"]["request_id"], &line["details"]["thread"]), (&json!("r-1"), &json!("printer")));
    assert!(line["details"]["location"].as_str().unwrap().contains("tests/process.rs:"));
    assert!(stderr.contains("out of paper"), "the hook that was there before is kept: {stderr}");
}

#[test]
fn values_that_panic_or_log_while_they_are_logged_do_no_harm() {
    let (lines, _) = run("panic within a value");
    let messages: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(json!(messages), json!(["panic", "inner", "outer"]));
    assert_eq!(lines[0]["error"]["message"], "can't be shown");
    assert_eq!(lines[2]["details"]["value"], "talks");
}

#[test]
fn a_call_is_counted_once_also_while_its_thread_ends() {
    let (lines, stderr) = run("late");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let sum: f64 = lines.iter().filter_map(|line| line["user_registrations"].as_f64()).sum();
    assert_eq!(sum, 2.0, "{lines:?}");
    // From a record without metrics the pipeline would count the call once more.
    assert!(lines.iter().all(|line| line.get("_aws").is_some()), "{lines:?}");
}

#[test]
fn a_call_whose_error_logs_while_it_is_shown_is_counted_once() {
    let (lines, _) = run("talks");
    let records: Vec<&Value> = lines.iter().filter(|line| line["category"] == "database").collect();
    let [record] = &records[..] else { panic!("{lines:?}") };
    assert!(record.get("_aws").is_some() && record["error"]["message"] == "no route", "{record}");
    let shown = || lines.iter().filter(|line| line["message"] == "shown");
    assert!(shown().count() > 0 && shown().all(|line| line.get("_aws").is_none()), "{lines:?}");
    let sum: f64 = lines.iter().filter_map(|line| line["database_errors"].as_f64()).sum();
    assert!(sum <= 1.0, "{lines:?}");
}

#[test]
fn lines_before_a_process_dies_are_written() {
    let (lines, _) = run("abort");
    let messages: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(json!(messages), json!(["before", "panic"]));
}

#[test]
fn no_line_is_lost_when_main_ends() {
    let (lines, _) = run("many");
    let told: u64 = lines.iter().filter_map(|line| line["details"]["dropped"].as_u64()).sum();
    let numbers = lines.iter().filter_map(|line| line["details"]["number"].as_u64());
    assert_eq!(numbers.count() as u64 + told, 10_000, "every line is there, or is told to be missing");
}

#[test]
fn lines_are_written_once_however_often_it_is_set_up() {
    // Defect 26: a handler was added for each logger, and lines came twice.
    let (lines, _) = run("twice");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["context"]["service_name"], "contract");
}

#[test]
fn standard_output_that_is_gone_is_no_panic() {
    let mut child = command("gone").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first line of ours is there: then nobody reads any more.
    let mut stdout = child.stdout.take().unwrap();
    let mut byte = [0];
    while byte != *b"{" {
        stdout.read_exact(&mut byte).unwrap();
    }
    drop(stdout);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    child.wait().unwrap();
    // The test harness can't write its result, and says so.
    assert!(stderr.contains("went on without it") && !stderr.contains("telemetry/src"), "{stderr}");
}
