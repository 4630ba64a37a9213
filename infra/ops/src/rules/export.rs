//! Rules and policy as files of other systems.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use domain::alerting::duration;
use domain::alerting::export::{Note, alertmanager, cloudwatch, prometheus};
use domain::alerting::policy::Policy;
use domain::alerting::policy::silences::Silences;
use jiff::Timestamp;

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
        #[arg(long, default_value = "http://127.0.0.1:9099/", value_parser = web_address)]
        webhook_url: String,
        /// Print the silences of this file instead that are not over, each as `POST /api/v2/silences` takes it
        #[arg(long, value_name = "SILENCES_FILE", conflicts_with = "file")]
        silences: Option<PathBuf>,
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

/// An address that Alertmanager takes.
fn web_address(text: &str) -> Result<String, String> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let (host, port) = match authority.rsplit_once('@').map_or(authority, |(_, host)| host) {
        // An address of IPv6 has colons of its own.
        host if host.ends_with(']') => (host, None),
        host => host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if host.is_empty() || !is_port || !is_plain {
        return Err("not like https://alerts.example.com/hook".to_owned());
    }
    Ok(text.to_owned())
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
                    write!(out, "{}", tests.text)?;
                    tell(&tests.notes, told)?;
                }
                None => {
                    write!(out, "{}", exported.text)?;
                    tell(&exported.notes, told)?;
                }
            }
        }
        Format::Alertmanager { silences: Some(file), .. } => {
            let name = file.display().to_string();
            let silences = Silences::load(&name, &std::fs::read_to_string(file).with_context(|| name.clone())?)?;
            let exported = alertmanager::silences(&silences, Timestamp::now());
            for body in exported.body {
                writeln!(out, "{body}")?;
            }
            exported.notes.iter().try_for_each(|note| writeln!(told, "{note}"))?;
        }
        Format::Alertmanager { file, webhook_url, silences: None } => {
            let policy = match file {
                Some(file) => {
                    let name = file.display().to_string();
                    Policy::load(&name, &std::fs::read_to_string(file).with_context(|| name.clone())?)?
                }
                None => Policy::built_in(),
            };
            let exported = alertmanager::config(&policy, webhook_url)?;
            write!(out, "{}", exported.body)?;
            exported.notes.iter().try_for_each(|note| writeln!(told, "{note}"))?;
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
    fn a_webhook_is_somewhere_on_the_web() {
        for text in
            ["http://127.0.0.1:9099/", "https://a.b", "https://u:p@a.b:8443/x?y", "http://[::1]:80/", "http://[::1]"]
        {
            assert_eq!(web_address(text), Ok(text.to_owned()));
        }
        for text in
            ["", "not a url", "ftp://x", "http://", "https:///x", "http://:80/", "http://a:b/", "http://a b/", "//a"]
        {
            assert!(web_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn silences_are_printed_one_a_line() {
        let path = std::env::temp_dir().join(format!("ops-{}-silences.yaml", std::process::id()));
        let text = "version: 1\nsilences:\n\
            - {id: a, matchers: [rule=x], author: me, comment: why, starts: '2026-11-21T10:00:00Z', ends: '2026-11-21T11:00:00Z'}\n\
            - {id: b, matchers: [rule=y], author: me, comment: why, starts: '2026-11-21T10:00:00Z', ends: '2099-11-21T11:00:00Z'}\n\
            - {id: c, matchers: [fingerprint=z], author: me, comment: why, starts: '2026-11-21T10:00:00Z', ends: '2099-11-21T11:00:00Z'}\n";
        std::fs::write(&path, text).unwrap();
        let format = Format::Alertmanager { file: None, webhook_url: String::new(), silences: Some(path.clone()) };
        let (mut out, mut told) = (Vec::new(), Vec::new());
        let printed = export(&format, &mut out, &mut told);
        std::fs::remove_file(&path).unwrap();
        assert!(printed.unwrap());
        let body: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(body["matchers"][0]["value"], "y");
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with("left out: the silence c asks for the label fingerprint"), "{told}");
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
