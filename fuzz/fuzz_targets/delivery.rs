//! Any bytes as a delivery: the Lambda event itself, what its base64 encodes, or what that decompresses
//! to, by the first byte; and as the data of a Kinesis record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testkit::{laws, subscription};

fuzz_target!(|bytes: &[u8]| {
    let Some((layer, bytes)) = bytes.split_first() else { return };
    match layer % 3 {
        0 => laws::event(&String::from_utf8_lossy(bytes)),
        1 => laws::message(bytes),
        _ => laws::event(&subscription::wrap(bytes).to_string()),
    }
});
