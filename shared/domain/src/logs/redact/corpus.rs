//! How much of what is personal in the labelled corpus is found, and how much of what is found is.
//!
//! A marked value counts as found when a finding of its kind covers it exactly, punctuation and spaces at
//! either end left out of both. Any other finding is wrong, and any other marked value is missed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::{FieldNames, Kind, findings};

const CORPUS: &str = include_str!("corpus.txt");

/// Least share that is to be found, and that is to be right.
const GOAL: f64 = 0.98;

/// What stands in a text, and where.
type Span = (Range<usize>, Kind);

#[derive(Default, Clone, Copy)]
struct Score {
    right: usize,
    missed: usize,
    wrong: usize,
}

impl Score {
    fn precision(self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    fn recall(self) -> f64 {
        share(self.right, self.right + self.missed)
    }

    fn add(&mut self, other: Score) {
        self.right += other.right;
        self.missed += other.missed;
        self.wrong += other.wrong;
    }

    fn row(self, title: &str) -> String {
        let marked = self.right + self.missed;
        let (recall, precision) = (self.recall(), self.precision());
        format!("{title:<12}{marked:>8}{:>8}{:>8}{recall:>9.3}{precision:>11.3}\n", self.missed, self.wrong)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The text of a line of the corpus, and what is marked in it.
fn unmarked(line: &str) -> (String, Vec<Span>) {
    let (mut text, mut spans) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some((before, marked)) = rest.split_once('⟦') {
        let (marked, after) = marked.split_once('⟧').expect("a mark ends");
        let (label, value) = marked.split_once('|').expect("a mark has a kind");
        text.push_str(before);
        let kind = Kind::of_label(label).unwrap_or_else(|| panic!("{label} is no kind"));
        spans.push((text.len()..text.len() + value.len(), kind));
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    (text, spans)
}

fn lines() -> impl Iterator<Item = (String, Vec<Span>)> {
    CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(unmarked)
}

/// `span` without punctuation and spaces at its ends.
fn core(text: &str, (range, kind): &Span) -> (usize, usize, Kind) {
    let outside = |c: char| !c.is_alphanumeric();
    let value = &text[range.clone()];
    let start = range.start + value.len() - value.trim_start_matches(outside).len();
    (start, start + value.trim_matches(outside).len(), *kind)
}

#[test]
fn recall_and_precision_on_the_corpus_are_as_the_snapshot_says_and_above_the_goal() {
    let names = FieldNames::default();
    let mut scores: BTreeMap<Kind, Score> = BTreeMap::new();
    let mut mistakes = String::new();
    for (text, marked) in lines() {
        let marked: Vec<_> = marked.iter().map(|span| core(&text, span)).collect();
        let found: Vec<_> =
            findings(&text, &names).map(|finding| core(&text, &(finding.range, finding.kind))).collect();
        for span in &marked {
            let score = scores.entry(span.2).or_default();
            if found.contains(span) {
                score.right += 1;
            } else {
                score.missed += 1;
                let _ = writeln!(mistakes, "missed {}: {} in: {text}", span.2.label(), &text[span.0..span.1]);
            }
        }
        for span in found.iter().filter(|span| !marked.contains(span)) {
            scores.entry(span.2).or_default().wrong += 1;
            let _ = writeln!(mistakes, "wrong {}: {} in: {text}", span.2.label(), &text[span.0..span.1]);
        }
    }
    let mut all = Score::default();
    let mut table = "kind          marked  missed   wrong   recall  precision\n".to_owned();
    for (kind, score) in &scores {
        all.add(*score);
        table.push_str(&score.row(kind.label()));
    }
    table.push_str(&all.row("all"));
    let _ = write!(table, "\n{} lines, {} of them with nothing to find.\n\n{mistakes}", lines().count(), clean_lines());
    println!("{table}");
    assert!(all.recall() >= GOAL && all.precision() >= GOAL, "{mistakes}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/logs/redact/precision-recall.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), table, "UPDATE_SNAPSHOTS=1 rewrites the snapshot");
}

fn clean_lines() -> usize {
    lines().filter(|(_, marked)| marked.is_empty()).count()
}

#[test]
fn the_corpus_has_enough_of_every_kind_and_of_what_is_to_be_left_alone() {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    lines().flat_map(|(_, marked)| marked).for_each(|(_, kind)| *counts.entry(kind).or_default() += 1);
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Personal) {
        assert!(counts.get(&kind).is_some_and(|count| *count >= 15), "{}: {counts:?}", kind.label());
    }
    assert!(lines().count() >= 250 && clean_lines() >= 125);
}
