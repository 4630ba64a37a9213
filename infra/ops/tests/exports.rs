//! The exported files, judged by the tools of the systems that they are for. A tool is looked for where it is
//! installed, and has to be there in CI.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A folder that goes with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("ops-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn rules(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    if name == "default.yaml" { folder.join("../rules/default.yaml") } else { folder.join("tests").join(name) }
}

/// Standard output and error of `ops rules ...`, which has to succeed.
fn ops(arguments: &[&str], file: &Path) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ops"))
        .arg("rules")
        .args(arguments)
        .arg(file)
        .args(["--set", "DATABASE_INSTANCE=db"])
        .output()
        .unwrap();
    let [out, told] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{arguments:?} {}: {out}{told}", file.display());
    (out, told)
}

/// Runs a tool, which has to be content.
fn judge(tool: &mut Command) {
    let output = tool.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{tool:?}: {text}");
}

/// Whether `tool` is here, which it has to be in CI where `required` says so.
fn is_installed(tool: &str, required: bool) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(found || !required || std::env::var("CI").as_deref() != Ok("true"), "CI has no {tool}");
    if !found {
        eprintln!("{tool} is not installed: it judges nothing");
    }
    found
}

#[test]
fn the_rules_that_ship_and_one_of_every_kind_do_what_their_tests_say() {
    for file in ["default.yaml", "every_kind.yaml"] {
        ops(&["check"], &rules(file));
        ops(&["test"], &rules(file));
    }
}

#[test]
fn prometheus_takes_the_rules_and_agrees_with_their_tests() {
    let scratch = Scratch::new("prometheus");
    for file in ["default.yaml", "every_kind.yaml"] {
        let (alerts, _) = ops(&["export", "prometheus"], &rules(file));
        let (tests, _) = ops(&["export", "prometheus", "--tests", "alerts.yml"], &rules(file));
        let (alerts, tests) = (scratch.write("alerts.yml", &alerts), scratch.write("alerts_test.yml", &tests));
        if is_installed("promtool", true) {
            judge(Command::new("promtool").args(["check", "rules"]).arg(&alerts));
            judge(Command::new("promtool").args(["test", "rules"]).arg(&tests));
            // Prometheus evaluates at a second of its own, between the samples.
            let (short, _) = ops(&["export", "prometheus", "--tests", "alerts.yml", "--longest", "45m"], &rules(file));
            let between = short.replace("evaluation_interval: 1m\n", "evaluation_interval: 20s\n");
            let between = between.replace("m\n    exp_samples:", "m20s\n    exp_samples:");
            assert!(between.contains("2m20s") && !between.contains("2m\n"));
            let between = scratch.write("alerts_between_test.yml", &between);
            judge(Command::new("promtool").args(["test", "rules"]).arg(&between));
        }
    }
}

/// A test that can't fail would be none: the exported tests are of the rules, not of themselves.
#[test]
fn prometheus_does_not_agree_with_other_rules() {
    if !is_installed("promtool", true) {
        return;
    }
    let scratch = Scratch::new("otherwise");
    let (alerts, _) = ops(&["export", "prometheus"], &rules("every_kind.yaml"));
    let (tests, _) = ops(&["export", "prometheus", "--tests", "alerts.yml"], &rules("every_kind.yaml"));
    let tests = scratch.write("alerts_test.yml", &tests);
    for (from, to) in [
        (") > 90)[4m59s999ms:1m]", ") > 99)[4m59s999ms:1m]"),
        (") >= 80)[4m59s999ms:1m]", ") >= 90)[4m59s999ms:1m]"),
        ("[9m59s999ms:1m])) > 0 and on", "[4m59s999ms:1m])) > 0 and on"),
        ("or\n      (NaN * absent(", "and\n      (NaN * absent("),
    ] {
        assert!(alerts.contains(from), "{from}");
        scratch.write("alerts.yml", &alerts.replace(from, to));
        let output = Command::new("promtool").args(["test", "rules"]).arg(&tests).output().unwrap();
        assert!(!output.status.success(), "{to} passes as well");
    }
}

#[test]
fn an_alertmanager_takes_the_policy() {
    let scratch = Scratch::new("alertmanager");
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules/policy.yaml");
    let arguments =
        [&["rules", "export", "alertmanager"][..], &["rules", "export", "alertmanager", policy.to_str().unwrap()]];
    let [built_in, from_file] = arguments.map(|arguments| {
        let output = Command::new(env!("CARGO_BIN_EXE_ops")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!(built_in, from_file);
    let config = scratch.write("alertmanager.yml", &built_in);
    if is_installed("amtool", true) {
        judge(Command::new("amtool").arg("check-config").arg(config));
    }
}

/// What every rule became, by what the file says of it.
#[test]
fn no_rule_is_dropped_silently() {
    for file in ["default.yaml", "every_kind.yaml"] {
        let text = fs::read_to_string(rules(file)).unwrap();
        let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("- id: ")).collect();
        assert!(!ids.is_empty());
        let (prometheus, told) = ops(&["export", "prometheus"], &rules(file));
        for id in &ids {
            let is_there = prometheus.contains(&format!("alert: {id}\n"));
            let is_told = told.contains(&format!("left out: {id}: ")) && prometheus.contains(&format!("# - {id}: "));
            assert!(is_there != is_told, "{file} {id}");
        }
        for values in [&[][..], &["--values", "service=api,web"]] {
            let (cloudwatch, told) = ops(&[&["export", "cloudwatch"], values].concat(), &rules(file));
            for id in &ids {
                let name = format!("${{AWS::StackName}}-{id}");
                let is_there = cloudwatch.contains(&format!("{name}\"")) || cloudwatch.contains(&format!("{name}-"));
                let is_told = told.contains(&format!("left out: {id}: ")) && cloudwatch.contains(&format!("\"{id}: "));
                assert!(is_there != is_told, "{file} {id} {values:?}");
            }
        }
    }
}

#[test]
fn alarms_are_a_template_that_cfn_lint_finds_nothing_in() {
    let scratch = Scratch::new("cloudwatch");
    for file in ["default.yaml", "every_kind.yaml"] {
        let (template, _) = ops(&["export", "cloudwatch", "--values", "service=api,web"], &rules(file));
        let body: Value = serde_json::from_str(&template).unwrap();
        let resources = body["Resources"].as_object().unwrap();
        assert!(resources.len() > 10, "{file}: {}", resources.len());
        let path = scratch.write("alarms.json", &template);
        // (CI has it in an environment of its own, for the template that is deployed.)
        if is_installed("cfn-lint", false) {
            judge(
                Command::new("cfn-lint")
                    .args(["--non-zero-exit-code", "informational", "--include-checks", "I", "--"])
                    .arg(path),
            );
        }
    }
}
