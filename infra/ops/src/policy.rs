//! A notification policy before it goes to the bucket.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use domain::alerting::policy::Policy;

use crate::files;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say every mistake in a file of the notification policy, with its place
    Check {
        /// The YAML file
        file: PathBuf,
    },
}

/// Prints every mistake, or that there is none. False where there is any.
pub(crate) fn check(file: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let Some(policy) = files::checked(files::load(file, Policy::load), out)? else { return Ok(false) };
    let (inhibitions, calendars) = (policy.inhibitions.len(), policy.calendars.len());
    writeln!(out, "{}: {inhibitions} inhibition rules, {calendars} calendars, no mistakes", file.display())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::scratch;
    use domain::alerting::policy::DEFAULT_POLICY;

    #[test]
    fn a_policy_is_checked_before_it_is_put() {
        let checked = |text: &str, name: &str| {
            let mut out = Vec::new();
            let good = check(&scratch(text, name).0.file, &mut out).unwrap();
            (good, String::from_utf8(out).unwrap())
        };
        let (good, out) = checked(DEFAULT_POLICY, "policy.yaml");
        assert!(good && out.ends_with("policy.yaml: 1 inhibition rules, 0 calendars, no mistakes\n"), "{out}");
        let (good, out) = checked(&DEFAULT_POLICY.replacen("critical", "critcal", 1), "bad-policy.yaml");
        assert!(!good && out.contains("did you mean `critical`?"), "{out}");
        assert!(check(Path::new("/nowhere/policy.yaml"), &mut Vec::new()).is_err());
    }
}
