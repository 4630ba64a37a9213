//! The functions as Lambda takes them: each binary as `bootstrap` in a ZIP file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::process::Command;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::workspace;

/// How the functions are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// What tests use: the build that `cargo test` has made most of already.
    Dev,
    /// What is deployed.
    Release,
}

impl Profile {
    /// Where Cargo puts what it builds so.
    pub fn folder(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }
}

/// ZIP files by function name.
pub type Artifacts = BTreeMap<String, Vec<u8>>;

/// The packages of the functions: the folders under `functions/`.
pub fn packages() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace::root().join("functions"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The functions: the binaries of the packages. A package has one of its own name (`src/main.rs`), and one more
/// for each further trigger (`src/bin/<package>-<trigger>.rs`).
pub fn function_names() -> anyhow::Result<Vec<String>> {
    let mut names = packages()?;
    for package in packages()? {
        let further = workspace::root().join("functions").join(package).join("src/bin");
        for entry in further.is_dir().then(|| fs::read_dir(further)).transpose()?.into_iter().flatten() {
            names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Builds every function with Cargo (in one go, so that dependencies are compiled once) and packs it.
///
/// # Errors
///
/// Where Cargo fails; what it said is on standard error.
pub async fn build(profile: Profile) -> anyhow::Result<Artifacts> {
    let mut arguments = vec!["--package".to_owned(), "local".to_owned()];
    arguments.extend(packages()?.into_iter().flat_map(|package| ["--package".to_owned(), package]));
    cargo_build(profile, &arguments).await.context("the functions")?;
    let packed = |name: String| {
        let zip = pack(&workspace::target().join(profile.folder()).join(&name))?;
        Ok((name, zip))
    };
    function_names()?.into_iter().map(packed).collect()
}

/// Builds the example `name` of `package`, and answers where it is. By itself: what an example depends on beside its
/// package would have every SDK compiled anew, with other features of what they share.
///
/// # Errors
///
/// As of [`build`].
pub async fn build_example(profile: Profile, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    cargo_build(profile, &["--package", package, "--example", name].map(str::to_owned)).await.context("the example")?;
    Ok(workspace::target().join(profile.folder()).join("examples").join(name))
}

async fn cargo_build(profile: Profile, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["build", "--quiet", "--locked"]).args(arguments);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let status = command.kill_on_drop(true).status().await.context("could not start cargo")?;
    if !status.success() {
        bail!("cargo could not build: {status}");
    }
    Ok(())
}

fn pack(binary: &Path) -> anyhow::Result<Vec<u8>> {
    let contents = fs::read(binary).with_context(|| format!("{}", binary.display()))?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Stored, not deflated: it goes over loopback, and dev builds are large.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&contents)?;
    Ok(zip.finish()?.into_inner())
}
