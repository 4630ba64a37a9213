//! The report in a browser. Chromium is looked for where it is installed, and has to be there in CI.

use std::fs;
use std::process::Command;

use local::workspace;

/// Width of a small phone, in CSS pixels.
const PHONE: u32 = 360;

/// Shows `page` at the width of a phone, and fails where it would have to be scrolled sideways or shows
/// no chart.
pub fn check_that_it_can_be_read_on_a_phone(page: &str) {
    let Some(chromium) = find() else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has no Chromium");
        eprintln!("Chromium is not installed: the report is not looked at");
        return;
    };
    let title = title_of(&chromium, &measuring(page));
    let (sideways, charts) = title.split_once(' ').unwrap_or_else(|| panic!("nothing was measured: {title}"));
    assert_eq!(sideways, "0", "pixels that the page is wider than the phone");
    assert!(charts.parse::<u32>().unwrap() >= 2, "{charts} charts have a size");
}

fn find() -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let works = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    names.iter().find(works).map(|name| (*name).to_owned())
}

/// A page that shows `page` in a frame, and puts into its own title by how much it is too wide and how many of its
/// charts can be seen.
fn measuring(page: &str) -> String {
    let inner = page.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        r#"<!doctype html><title>-</title><iframe id="f" style="width:{PHONE}px;height:4000px;border:0" srcdoc="{inner}"></iframe>
<script>document.getElementById("f").onload = event => {{
  const page = event.target.contentDocument;
  const charts = [...page.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().height > 50);
  const root = page.documentElement;
  document.title = root.scrollWidth - root.clientWidth + " " + charts.length;
}};</script>"#
    )
}

fn title_of(chromium: &str, page: &str) -> String {
    let folder = workspace::scratch().join(format!("chromium-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("page.html");
    fs::write(&file, page).unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let _ = fs::remove_dir_all(&folder);
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    title.unwrap_or_else(|| panic!("Chromium showed no page: {}", String::from_utf8_lossy(&output.stderr))).to_owned()
}
