//! The files that are generated from the definition are those in the repository. `UPDATE_SNAPSHOTS=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dashboards::files;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Fails where `path` has another content; first writes it where that is asked for.
fn check(path: &str, content: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == content, "{path} differs; look at what has changed with UPDATE_SNAPSHOTS=1 and git diff");
}

#[test]
fn grafanas_dashboards_are_up_to_date_and_there_are_no_others() {
    let generated = files::of_grafana().unwrap();
    for (path, content) in &generated {
        check(path, content);
    }
    let expected: BTreeSet<String> = generated.into_iter().map(|(path, _)| path).collect();
    let entries = fs::read_dir(root().join("infra/grafana")).unwrap();
    let found = entries.map(|entry| format!("infra/grafana/{}", entry.unwrap().file_name().to_string_lossy()));
    let found: BTreeSet<String> = found.filter(|path| path.ends_with(".json")).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_templates_dashboard_is_up_to_date() {
    let template = fs::read_to_string(root().join("template.yaml")).unwrap();
    check("template.yaml", &files::template(&template).unwrap());
}
