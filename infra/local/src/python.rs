//! A Python environment with pinned packages, made once and used again until the pins change.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::workspace;

/// The interpreter of the environment with the packages of `requirements`, a path from the root of the
/// workspace. Each list of packages has an environment of its own.
/// Several processes may ask at once: one makes it, the others wait.
///
/// # Errors
///
/// Where Python 3 with `venv` is missing, or a package can not be installed; says what pip said.
pub async fn interpreter(requirements: &str) -> anyhow::Result<PathBuf> {
    let file = workspace::root().join(requirements);
    let pins = fs::read(&file).with_context(|| format!("{}", file.display()))?;
    let name = format!("python-{}", &hex::encode(Sha256::digest(&pins))[..12]);
    let folder = workspace::scratch().join(name);
    fs::create_dir_all(workspace::scratch())?;
    let lock = File::create(workspace::scratch().join("python.lock"))?;
    // Held until this returns. Waiting for it must not hold up the other tasks.
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await?;
    let _lock = lock.context("the lock on the Python environment")?;
    let interpreter = folder.join("bin/python");
    let complete = folder.join("complete");
    if !complete.exists() {
        make(&folder, &interpreter, &file).await?;
        File::create(&complete)?.write_all(&pins)?;
    }
    Ok(interpreter)
}

async fn make(folder: &Path, interpreter: &Path, requirements: &Path) -> anyhow::Result<()> {
    eprintln!("making a Python environment with the packages of {} ...", requirements.display());
    let _ = fs::remove_dir_all(folder); // What an interrupted run left behind.
    run(Command::new("python3").args(["-m", "venv"]).arg(folder)).await?;
    run(Command::new(interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements))
    .await
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output =
        command.output().await.with_context(|| format!("could not start {command:?}: is Python 3 installed?"))?;
    if !output.status.success() {
        let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{command:?} failed with {}:\n{}\n{}", output.status, told.trim(), said.trim());
    }
    Ok(())
}
