//! Any text to the redaction.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testkit::laws;

fuzz_target!(|text: &str| laws::redaction(text));
