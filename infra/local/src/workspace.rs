//! Where things are in this repository.

use std::path::PathBuf;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).map(PathBuf::from).unwrap_or(package)
}

/// Where the local stack keeps what it makes: the Python environment, logs, the reports of a demo.
pub fn scratch() -> PathBuf {
    target().join("local")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
