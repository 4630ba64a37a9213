//! What the demo shows while it works: steps with their times, and a bar on a terminal.

use std::future::Future;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Lines on standard output; bars on standard error, and only where that is a terminal.
pub(super) struct Console;

impl Console {
    pub(super) fn new() -> Console {
        Console
    }

    pub(super) fn title(&self, text: &str) {
        println!("{text}\n");
    }

    pub(super) fn print(&self, text: &str) {
        println!("{text}");
    }

    /// Something worth knowing about the step above.
    pub(super) fn detail(&self, text: &str) {
        println!("      {text}");
    }

    /// Runs `work` under a spinner, and says how long it took.
    pub(super) async fn step<T>(&self, name: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let began = Instant::now();
        let spinner = ProgressBar::new_spinner().with_message(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let result = work.await;
        spinner.finish_and_clear();
        let mark = if result.is_ok() { "done" } else { "FAILED" };
        println!("  {mark} {name:<52} {:>6.1} s", began.elapsed().as_secs_f64());
        result
    }

    /// A bar over `length` simulated minutes.
    pub(super) fn progress(&self, name: &str, length: u64) -> Progress {
        let style = ProgressStyle::with_template("  {msg}  {bar:40} {elapsed_precise}  {prefix}")
            .expect("the template has only known keys");
        let bar = ProgressBar::new(length).with_style(style).with_message(name.to_owned());
        Progress { bar, name: name.to_owned(), began: Instant::now() }
    }
}

/// A bar over the simulated day.
pub(super) struct Progress {
    bar: ProgressBar,
    name: String,
    began: Instant,
}

impl Progress {
    /// `minutes` more are played; `lines` lines have been sent so far.
    pub(super) fn advance(&self, minutes: u64, lines: usize) {
        self.bar.inc(minutes);
        let (hour, minute) = (self.bar.position() / 60, self.bar.position() % 60);
        self.bar.set_prefix(format!("{hour:02}:{minute:02}, {lines} lines"));
    }

    pub(super) fn finish(self, lines: usize) {
        self.bar.finish_and_clear();
        let took = self.began.elapsed().as_secs_f64();
        println!("  done {:<52} {took:>6.1} s\n      {lines} lines", self.name);
    }
}
