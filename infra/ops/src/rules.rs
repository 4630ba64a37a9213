//! Checking a file of alert rules before it goes to the bucket.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use domain::alerting::rules::RuleSet;

/// Reads `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Prints every mistake in `file`, or how the tests of its rules went. False where anything is wrong.
pub(crate) fn check(file: &Path, variables: &[(String, String)], out: &mut impl Write) -> anyhow::Result<bool> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| name.clone())?;
    let variables = variables.iter().cloned().collect();
    let rules = match RuleSet::load(&name, &text, &variables) {
        Ok(rules) => rules,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(false);
        }
    };
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
mod tests {
    use super::*;

    fn shipped() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/default.yaml")
    }

    fn checked(text: &str, file: &str) -> (bool, String) {
        let path = std::env::temp_dir().join(format!("{}-{file}", std::process::id()));
        fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let variables = [("DATABASE_INSTANCE".to_owned(), "db".to_owned())];
        let good = check(&path, &variables, &mut out).unwrap();
        fs::remove_file(&path).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_rules_that_ship_pass() {
        let (good, out) = checked(&fs::read_to_string(shipped()).unwrap(), "good.yaml");
        assert!(good, "{out}");
    }

    #[test]
    fn a_typo_is_told_with_its_place() {
        let text = fs::read_to_string(shipped()).unwrap().replacen("severity:", "severty:", 1);
        let line = text.lines().position(|line| line.contains("severty")).unwrap() + 1;
        let (good, out) = checked(&text, "typo.yaml");
        assert!(!good);
        assert!(out.contains("severty") && out.contains(&line.to_string()), "{out}");
    }

    #[test]
    fn a_rule_that_does_not_do_what_its_test_says_fails() {
        let text = fs::read_to_string(shipped()).unwrap().replacen(": firing", ": inactive", 1);
        let (good, out) = checked(&text, "wrong.yaml");
        assert!(!good && out.contains("expected inactive"), "{out}");
    }

    #[test]
    fn a_variable_has_a_name_and_a_value() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err());
    }
}
