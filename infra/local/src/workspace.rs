//! Where things are in this repository.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).map(PathBuf::from).unwrap_or(package)
}

/// Where the local stack keeps what it makes: the Python environment, logs, the reports of a demo.
pub fn scratch() -> PathBuf {
    target().join("local")
}

/// Cargo's target folder, wherever it is configured to be.
pub fn target() -> PathBuf {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| configured_target().unwrap_or_else(|| root().join("target"))).clone()
}

fn configured_target() -> Option<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root());
    let metadata: serde_json::Value = serde_json::from_slice(&command.output().ok()?.stdout).ok()?;
    metadata["target_directory"].as_str().map(PathBuf::from)
}

/// The Cargo that runs this, or the one in the path.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
