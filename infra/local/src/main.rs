//! `cargo demo`: the main job, end to end, on this machine.

use std::process::ExitCode;

use clap::Parser;
use local::artifacts::Profile;
use local::demo::{self, Settings};

/// Deploys template.yaml to an embedded AWS on loopback and plays a day of traffic through it.
/// Exits with 0 only if every line that went in came out, once.
#[derive(Parser)]
#[command(name = "cargo demo")]
struct Arguments {
    /// Leave everything running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// How much traffic: 1 is some 120,000 lines; incidents stay the same
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Simulated minutes between deliveries of lines
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(1..=60))]
    step_minutes: i64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings {
        scale: arguments.scale,
        step_minutes: arguments.step_minutes,
        profile: Profile::Release,
        keep: arguments.keep,
    };
    // Dropping the demo's future ends every process that it started.
    tokio::select! {
        result = demo::run(&settings) => match result {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("\nthe demo failed: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = interrupted(), if !arguments.keep => {
            eprintln!("\ninterrupted; everything that was started is ended");
            ExitCode::from(130)
        }
    }
}

async fn interrupted() {
    // Where no signal can be waited for, there is none to wait for.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
