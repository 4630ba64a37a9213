//! A file of alert rules before it goes to the bucket: checked, tested, played over the past, and as files of other
//! systems.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use domain::alerting::rules::{RuleSet, Variables};

use crate::files;

pub(crate) mod backtest;
pub(crate) mod export;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say every mistake in a file of rules, with its place
    Check(RuleFile),
    /// Run the tests that the rules of a file carry
    Test(RuleFile),
    /// Play the rules of a file over stored metrics: how often each would have fired, and what would have been sent
    Backtest(backtest::Arguments),
    /// Print the rules as a file of another system; what it can't say is told in the file and here
    Export {
        #[command(subcommand)]
        format: export::Format,
    },
}

/// A file of rules.
#[derive(Args)]
pub(crate) struct RuleFile {
    /// The YAML file
    pub(crate) file: PathBuf,
    /// Value of a `${NAME}` in the rules, as NAME=VALUE
    #[arg(long = "set", value_parser = variable)]
    pub(crate) variables: Vec<(String, String)>,
}

/// Reads `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl RuleFile {
    /// What comments and messages call it.
    pub(crate) fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// Its name without folders, for files that go to other machines.
    pub(crate) fn short_name(&self) -> String {
        self.file.file_name().map_or_else(|| self.name(), |name| name.to_string_lossy().into_owned())
    }

    fn variables(&self) -> Variables {
        self.variables.iter().cloned().collect()
    }

    /// Its rules.
    ///
    /// # Errors
    ///
    /// Where it can't be read, or with all of its mistakes.
    pub(crate) fn load(&self) -> anyhow::Result<RuleSet> {
        load(&self.file, &self.variables())
    }
}

/// The rules of `file`.
///
/// # Errors
///
/// Where it can't be read, or with all of its mistakes.
pub(crate) fn load(file: &Path, variables: &Variables) -> anyhow::Result<RuleSet> {
    files::load(file, |name, text| RuleSet::load(name, text, variables))
}

/// Prints every mistake, or that there is none. False where there is any.
pub(crate) fn check(file: &RuleFile, out: &mut impl Write) -> anyhow::Result<bool> {
    let Some(rules) = files::checked(file.load(), out)? else { return Ok(false) };
    let tests: usize = rules.rules.iter().map(|rule| rule.tests.len()).sum();
    writeln!(out, "{}: {} rules with {tests} tests, no mistakes", file.name(), rules.rules.len())?;
    Ok(true)
}

/// Prints how the tests of the rules went. False where anything is otherwise than expected.
pub(crate) fn test(file: &RuleFile, out: &mut impl Write) -> anyhow::Result<bool> {
    let name = file.name();
    let Some(rules) = files::checked(file.load(), out)? else { return Ok(false) };
    let mut wrong = 0;
    for rule in &rules.rules {
        for (number, test) in rule.tests.iter().enumerate() {
            for mismatch in test.run(rule) {
                wrong += 1;
                writeln!(out, "{name}: rule {}, test {}: {mismatch}", rule.id, number + 1)?;
            }
        }
    }
    let tests: usize = rules.rules.iter().map(|rule| rule.tests.len()).sum();
    writeln!(out, "{name}: {} rules, {tests} tests, {wrong} expectations not met", rules.rules.len())?;
    Ok(wrong == 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::*;

    /// A file that goes with this.
    pub(crate) struct Scratch(pub(crate) RuleFile);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0.file);
        }
    }

    pub(crate) fn scratch(text: &str, name: &str) -> Scratch {
        let file = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        fs::write(&file, text).unwrap();
        Scratch(RuleFile { file, variables: vec![("DATABASE_INSTANCE".to_owned(), "db".to_owned())] })
    }

    pub(crate) fn shipped() -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/default.yaml")).unwrap()
    }

    fn told(of: impl Fn(&RuleFile, &mut Vec<u8>) -> anyhow::Result<bool>, text: &str, name: &str) -> (bool, String) {
        let mut out = Vec::new();
        let good = of(&scratch(text, name).0, &mut out).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_rules_that_ship_have_no_mistakes_and_do_what_their_tests_say() {
        let (good, out) = told(check, &shipped(), "good.yaml");
        assert!(good && out.contains("no mistakes"), "{out}");
        let (good, out) = told(test, &shipped(), "tested.yaml");
        assert!(good && out.contains(" 0 expectations not met"), "{out}");
    }

    #[test]
    fn a_typo_is_told_with_its_place() {
        let text = shipped().replacen("severity:", "severty:", 1);
        let line = text.lines().position(|line| line.contains("severty")).unwrap() + 1;
        for (name, (good, out)) in
            [("check", told(check, &text, "typo.yaml")), ("test", told(test, &text, "typo-test.yaml"))]
        {
            assert!(!good, "{name}");
            assert!(out.contains("severty") && out.contains(&format!("yaml:{line}:")), "{name}: {out}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = shipped().replace("stat: p95", "stat: p955").replace("when: {gt: 80}", "when: {more: 80}");
        let (good, out) = told(check, &text, "two.yaml");
        assert!(!good && out.contains("p955") && out.contains("more"), "{out}");
    }

    #[test]
    fn a_rule_that_does_not_do_what_its_test_says_fails_its_test_and_no_check() {
        let text = shipped().replacen(": firing", ": inactive", 1);
        let (good, out) = told(test, &text, "wrong.yaml");
        assert!(!good && out.contains("expected inactive"), "{out}");
        assert!(told(check, &text, "wrong-checked.yaml").0);
    }

    #[test]
    fn a_file_that_is_no_text_is_told_as_the_evaluator_tells_it() {
        let file = scratch("", "bytes.yaml");
        fs::write(&file.0.file, b"\xff\xfe").unwrap();
        let mut out = Vec::new();
        assert!(!check(&file.0, &mut out).unwrap());
        let told = String::from_utf8(out).unwrap();
        assert!(told.ends_with(": not UTF-8 text: byte 0 is invalid (save the file as UTF-8)\n"), "{told}");
    }

    #[test]
    fn who_sets_no_variable_is_told_how() {
        let mut file = scratch(&shipped(), "unset.yaml");
        file.0.variables.clear();
        let mut out = Vec::new();
        assert!(!check(&file.0, &mut out).unwrap());
        let told = String::from_utf8(out).unwrap();
        assert!(told.contains("(`cargo ops` takes it as `--set DATABASE_INSTANCE=...`)"), "{told}");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let file = RuleFile { file: PathBuf::from("/nowhere/rules.yaml"), variables: Vec::new() };
        let error = check(&file, &mut Vec::new()).unwrap_err();
        assert!(format!("{error:#}").starts_with("/nowhere/rules.yaml: "), "{error:#}");
    }

    #[test]
    fn a_variable_has_a_name_and_a_value() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
