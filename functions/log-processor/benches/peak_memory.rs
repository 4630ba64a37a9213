//! Peak memory of a process that handles one delivery: this program runs itself, hands it the event, and
//! is told what the kernel has noted as the most that was resident (`VmHWM`, Linux only).

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use testkit::corpus::Delivery;

use crate::floor::Floor;
use crate::rounds;
use crate::straightforward::Straightforward;
use crate::whole_path::WholePath;

/// Makes this program the one that is measured; who is to run comes after it.
pub const ARGUMENT: &str = "--peak-memory";

/// Reads an event, lets `who` process it, and prints the peak in bytes.
pub fn measure_here(who: &str) {
    let mut event = String::new();
    std::io::stdin().read_to_string(&mut event).expect("an event on standard input");
    match who {
        "whole path" => drop(WholePath::new().run(&event)),
        "straightforward" => drop(Straightforward::new().run(&event)),
        "floor" => {
            Floor::new().run(&event);
        }
        _ => {}
    }
    println!("{}", peak_of_this_process().unwrap_or_default());
}

/// The peaks for one delivery, each in a process of its own.
pub fn print(delivery: &Delivery) {
    println!("\npeak memory for one delivery of {:.2} MB decompressed:", delivery.decoded_bytes as f64 / 1e6);
    let Some(nothing) = peak("nothing", delivery) else {
        println!("can be measured on Linux only");
        return;
    };
    for who in ["straightforward", "floor", "whole path"] {
        let peak = peak(who, delivery).unwrap_or(f64::NAN);
        println!("{who:<18}{peak:>8.1} MB, {:.1} MB more than a process that does nothing", peak - nothing);
        if who == "whole path" {
            rounds::print_goal("peak of the whole path, MB", peak, "<=", 64.0);
        }
    }
}

/// The peak in MB, where the kernel tells.
fn peak(who: &str, delivery: &Delivery) -> Option<f64> {
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program)
        .args([ARGUMENT, who])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run again");
    // Dropped at once, which closes it.
    child.stdin.take().expect("it is piped").write_all(delivery.event.as_bytes()).expect("the process reads it");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{who} failed");
    let bytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().ok()?;
    (bytes > 0.0).then_some(bytes / 1e6)
}

fn peak_of_this_process() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1_024)
}
