//! Rules about the code, kept by tests: which way dependencies point, what the domain may not touch,
//! what every file and every sample trigger has to be.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws::lambda::Tick;
use local::workspace;
use serde_json::Value;

/// Direct dependencies by package, as `(name, kind)`, of the workspace's members.
fn dependencies() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let output = Command::new(workspace::cargo())
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(workspace::root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = |package: &Value| {
        let list = package["dependencies"].as_array().unwrap();
        let kind = |dependency: &Value| dependency["kind"].as_str().unwrap_or("normal").to_owned();
        let direct = list.iter().map(|d| (d["name"].as_str().unwrap().to_owned(), kind(d))).collect();
        (package["name"].as_str().unwrap().to_owned(), direct)
    };
    metadata["packages"].as_array().unwrap().iter().map(named).collect()
}

fn normal(dependencies: &BTreeMap<String, BTreeSet<(String, String)>>, package: &str) -> BTreeSet<String> {
    let direct = dependencies.get(package).unwrap_or_else(|| panic!("no package {package}"));
    direct.iter().filter(|(_, kind)| kind == "normal").map(|(name, _)| name.clone()).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The packages of the functions.
fn functions() -> Vec<String> {
    local::artifacts::packages().unwrap()
}

/// The functions themselves: a package has one for each trigger.
fn entries() -> Vec<String> {
    local::artifacts::function_names().unwrap()
}

#[test]
fn the_domain_depends_on_nothing_that_does_io() {
    let allowed = [
        "askama",
        "base64",
        "foldhash",
        "hex",
        "hmac",
        "jiff",
        "libdeflater",
        "memchr",
        // Only the messages: prost writes them, and nothing of its SDK is called.
        "opentelemetry-proto",
        "prost",
        "regex-lite",
        "schema",
        "serde",
        "serde-saphyr",
        "serde_json",
        "sha2",
        "simdutf8",
        "thiserror",
        "wide",
        "zstd",
    ];
    let allowed: BTreeSet<String> = allowed.map(str::to_owned).into();
    let found = normal(&dependencies(), "domain");
    assert!(found.is_subset(&allowed), "{:?}", found.difference(&allowed));
}

#[test]
fn the_domain_touches_no_clock_no_file_no_network_no_environment_and_no_chance() {
    let banned = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "TimeZone::system",
        "env!(",
        "println!",
        "eprintln!",
        "tokio",
        "rand::",
    ];
    let files = files(&workspace::root().join("shared/domain/src"), "rs");
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for (file, text) in files.iter().zip(&texts) {
        // Tests at the end of a file, or in files of their own, may look at files.
        let declared = format!("#[cfg(test)]\nmod {};", file.file_stem().unwrap().to_string_lossy());
        if texts.iter().any(|text| text.contains(&declared)) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let hit = banned.iter().find(|word| line.contains(**word));
            assert_eq!(hit, None, "{}:{}: {line}", file.display(), number + 1);
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = dependencies();
    let functions: BTreeSet<String> = functions().into_iter().collect();
    for (package, direct) in &dependencies {
        let normal = normal(&dependencies, package);
        assert!(normal.is_disjoint(&functions), "{package} depends on a function");
        // Tests of the whole may use everything; a function's own tests may not use another function.
        if functions.contains(package) {
            assert!(direct.iter().all(|(name, _)| !functions.contains(name)), "{package} depends on another function");
        }
        assert!(!normal.contains("testkit") || package == "tests", "{package} ships the test kit");
    }
    assert!(
        normal(&dependencies, "telemetry").iter().all(|name| !name.starts_with("aws")),
        "telemetry is for services"
    );
    assert!(!normal(&dependencies, "aws").contains("testkit"));
}

#[test]
fn handlers_know_no_sdk() {
    for function in functions() {
        for file in files(&workspace::root().join("functions").join(&function).join("src"), "rs") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("aws_sdk_"), "{}: only adapters know an SDK", file.display());
        }
    }
}

#[test]
fn every_function_has_the_same_files() {
    for function in functions() {
        for file in ["main.rs", "lib.rs", "config.rs", "handler.rs"] {
            let path = workspace::root().join("functions").join(&function).join("src").join(file);
            assert!(path.is_file(), "{}", path.display());
        }
    }
}

#[test]
fn a_further_trigger_of_a_package_is_a_function_of_its_own_named_after_both() {
    let packages = functions();
    for entry in entries() {
        let named = packages
            .iter()
            .any(|package| entry.strip_prefix(package).is_some_and(|t| t.is_empty() || t.starts_with('-')));
        assert!(named, "functions/*/src/bin/{entry}.rs is not called <package>-<trigger>");
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for folder in ["shared", "functions", "infra", "tests"] {
        for file in files(&workspace::root().join(folder), "rs") {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//! "), "{} does not begin with `//! `", file.display());
        }
    }
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_of_defects_names_files_that_are_there() {
    let root = workspace::root();
    let mut there: Vec<String> = vec!["/template.yaml".to_owned()];
    for folder in ["functions", "infra", "shared", "tests"] {
        for file in files(&root.join(folder), "rs").into_iter().chain(files(&root.join(folder), "yaml")) {
            // The page leaves out `src/`, and what stands before the package.
            let path = file.strip_prefix(&root).unwrap().display().to_string().replace("/src/", "/");
            there.push(format!("/{path}"));
        }
    }
    let page = fs::read_to_string(root.join("docs/defects.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').nth(2)).collect();
    let named: Vec<&str> = rows.iter().flat_map(|row| quoted(row)).collect();
    assert!(rows.len() > 40 && named.len() > 50, "{} rows with {} files", rows.len(), named.len());
    let dead: Vec<&&str> =
        named.iter().filter(|name| !there.iter().any(|path| path.ends_with(&format!("/{name}")))).collect();
    assert!(dead.is_empty(), "docs/defects.md names what is not there: {dead:?}");
}

#[test]
fn every_sample_trigger_is_of_its_functions_trigger_type() {
    let root = workspace::root().join("events");
    for function in entries() {
        let samples = files(&root.join(&function), "json");
        assert!(!samples.is_empty(), "events/{function} has no sample");
        for sample in samples {
            let text = fs::read(&sample).unwrap();
            let event: Value = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", sample.display()));
            let result = match function.as_str() {
                // Anything may come to it: what is not a delivery is kept in quarantine.
                "log-processor" | "alert-evaluator-events" => Ok(()),
                "log-processor-kinesis" => serde_json::from_value::<log_processor::StreamEvent>(event).map(drop),
                "event-recorder" => serde_json::from_value::<event_recorder::QueueEvent>(event).map(drop),
                "trace-forwarder" => serde_json::from_value::<aws::storage_event::StorageEvent>(event).map(drop),
                "slack-notifier" => serde_json::from_value::<aws_lambda_events::sns::SnsEvent>(event).map(drop),
                "daily-reporter" => serde_json::from_value::<Tick<daily_reporter::Detail>>(event).map(drop),
                _ => serde_json::from_value::<Tick>(event).map(drop),
            };
            // Samples of triggers that are refused say so by their names.
            let refused = ["misspelt-", "without-"]
                .iter()
                .any(|case| sample.file_name().is_some_and(|name| name.to_string_lossy().starts_with(case)));
            assert_eq!(result.is_err(), refused, "{}: {result:?}", sample.display());
        }
    }
    for folder in fs::read_dir(root).unwrap() {
        let name = folder.unwrap().file_name().to_string_lossy().into_owned();
        assert!(entries().contains(&name), "events/{name} belongs to no function");
    }
}
