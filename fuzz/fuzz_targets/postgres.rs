//! Any text in a literal of PostgreSQL's log, and in the lines after it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testkit::laws;

fuzz_target!(|text: &str| laws::postgres(text));
