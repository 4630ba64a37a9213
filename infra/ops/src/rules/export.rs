//! Rules and policy as files of other systems.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use domain::alerting::duration;
use domain::alerting::export::{Note, alertmanager, cloudwatch, prometheus};
use domain::alerting::policy::Policy;

use super::RuleFile;

#[derive(Subcommand)]
pub(crate) enum Format {
    /// A rule file for Prometheus, over what metric-flusher's remote write exports
    Prometheus {
        #[command(flatten)]
        rules: RuleFile,
        /// Only series of this environment; those of all with `--environment ''`
        #[arg(long, default_value = "production")]
        environment: String,
        /// Print the rules' own tests instead, for `promtool test rules`, of the exported rule file of this name
        #[arg(long, value_name = "RULE_FILE")]
        tests: Option<String>,
        /// Tests that play longer are left out: promtool takes minutes for them
        #[arg(long, default_value = "12h", value_parser = duration::parse_minutes)]
        longest: i64,
    },
    /// The configuration of an Alertmanager that does what the notification policy says
    Alertmanager {
        /// The policy's YAML file; the built-in policy without it
        file: Option<PathBuf>,
        /// Where it sends what is told
        #[arg(long, default_value = "http://127.0.0.1:9099/")]
        webhook_url: String,
    },
    /// A CloudFormation template with an alarm for each rule and known group
    Cloudwatch {
        #[command(flatten)]
        rules: RuleFile,
        /// Values of a label that alarms are made for, service=api,web say; may come more than once
        #[arg(long = "values", value_parser = values)]
        values: Vec<(String, Vec<String>)>,
    },
}

/// Reads `service=api,web`.
fn values(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, values) = super::variable(text)?;
    let values: Vec<String> = values.split(',').map(str::trim).map(str::to_owned).collect();
    if name.is_empty() || values.iter().any(String::is_empty) {
        return Err(format!("`{text}` is not like service=api,web"));
    }
    Ok((name, values))
}

/// Prints the file, and beside it (on standard error) what it says otherwise.
pub(crate) fn export(format: &Format, out: &mut impl Write, told: &mut impl Write) -> anyhow::Result<bool> {
    match format {
        Format::Prometheus { rules: file, environment, tests, longest } => {
            let rules = file.load()?;
            let environment = Some(environment.as_str()).filter(|name| !name.is_empty());
            let exported = prometheus::rule_file(&rules, &file.short_name(), environment);
            match tests {
                Some(rule_file) => {
                    let tests = prometheus::unit_tests(&rules, &exported, rule_file, environment, *longest);
                    write!(out, "{tests}")?;
                }
                None => {
                    write!(out, "{}", exported.text)?;
                    tell(&exported.notes, told)?;
                }
            }
        }
        Format::Alertmanager { file, webhook_url } => {
            let policy = match file {
                Some(file) => {
                    let name = file.display().to_string();
                    Policy::load(&name, &std::fs::read_to_string(file).with_context(|| name.clone())?)?
                }
                None => Policy::built_in(),
            };
            write!(out, "{}", alertmanager::config(&policy, webhook_url)?)?;
            if policy.storm.is_some() {
                writeln!(told, "left out: the storm cap, for which Alertmanager has no word")?;
            }
        }
        Format::Cloudwatch { rules: file, values } => {
            let mut known = cloudwatch::Values::new();
            for (name, values) in values {
                known.entry(name.clone()).or_default().extend(values.iter().cloned());
            }
            let template = cloudwatch::template(&file.load()?, &file.short_name(), &known);
            writeln!(out, "{}", serde_json::to_string_pretty(&template.body)?)?;
            tell(&template.notes, told)?;
        }
    }
    Ok(true)
}

fn tell(notes: &[Note], told: &mut impl Write) -> anyhow::Result<()> {
    for Note { rule, left_out, what } in notes {
        let kind = if *left_out { "left out" } else { "differs" };
        writeln!(told, "{kind}: {rule}: {what}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::{scratch, shipped};

    #[test]
    fn values_are_a_list() {
        assert_eq!(values("service=api, web"), Ok(("service".to_owned(), vec!["api".to_owned(), "web".to_owned()])));
        for text in ["service", "service=", "service=api,", "=api"] {
            assert!(values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_told_beside_the_file() {
        let file = scratch(&shipped(), "exported.yaml");
        let rules = || RuleFile { file: file.0.file.clone(), variables: file.0.variables.clone() };
        let prometheus =
            Format::Prometheus { rules: rules(), environment: "production".to_owned(), tests: None, longest: 720 };
        let values = vec![("service".to_owned(), vec!["api".to_owned()])];
        for (format, left_out) in [
            (prometheus, "database_connections_high"),
            (Format::Cloudwatch { rules: rules(), values: Vec::new() }, "high_cpu_usage"),
            (Format::Cloudwatch { rules: rules(), values }, ""),
        ] {
            let (mut out, mut told) = (Vec::new(), Vec::new());
            assert!(export(&format, &mut out, &mut told).unwrap());
            let (out, told) = (String::from_utf8(out).unwrap(), String::from_utf8(told).unwrap());
            assert!(told.contains(&format!("left out: {left_out}")) || left_out.is_empty(), "{told}");
            assert!(out.contains(left_out), "the file says so as well: {out}");
        }
    }
}
