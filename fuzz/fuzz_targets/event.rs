//! Any text as a message that brings a business event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testkit::laws;

fuzz_target!(|body: &str| laws::business_event(body));
