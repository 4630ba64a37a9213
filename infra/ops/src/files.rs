//! Operators' files as they lie on this machine: read, and every mistake told.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use domain::alerting::rules::problem::{InvalidRules, text_of};

/// What `parse` makes of the file, of its name and text.
///
/// # Errors
///
/// Where it can't be read, or with all of its mistakes ([`InvalidRules`]).
pub(crate) fn load<T>(file: &Path, parse: impl Fn(&str, &str) -> Result<T, InvalidRules>) -> anyhow::Result<T> {
    let name = file.display().to_string();
    let stored = fs::read(file).with_context(|| name.clone())?;
    Ok(parse(&name, text_of(&name, &stored)?)?)
}

/// Prints the mistakes that were found; `None` then. A file that could not even be read is an error.
pub(crate) fn checked<T>(loaded: anyhow::Result<T>, out: &mut impl Write) -> anyhow::Result<Option<T>> {
    match loaded {
        Ok(good) => Ok(Some(good)),
        Err(error) => {
            writeln!(out, "{}", error.downcast::<InvalidRules>()?)?;
            Ok(None)
        }
    }
}
