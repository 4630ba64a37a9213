//! No metrics are not silence: what a flusher that is stopped, late or fed with odd times does to alerts.

use super::*;
use crate::metrics::recent::SPAN_MINUTES;

/// Failures by service, and too few users in ten minutes.
fn failures_and_few_users() -> Story {
    Story::of(&format!(
        "{FAILURES}
- {{id: low, class: business, severity: warning, queries: {{q: {{metric: user_registrations, stat: Sum, fill: zero}}}},
   expr: q, window: {{over: 10m}}, when: {{lt: 5}}, annotations: {{summary: s}}}}\n"
    ))
}

#[test]
fn a_flusher_that_has_stopped_is_not_silence_and_what_was_missed_is_made_up_for() {
    let play = |stopped: std::ops::Range<i64>| {
        let mut story = failures_and_few_users();
        let mut told = Vec::new();
        for at in 0..60 {
            story.put(at, "user_registrations", "", 1.0);
            if (15..45).contains(&at) {
                story.put(at, "contract_creation_errors", "contract", 9.0);
            }
            if stopped.contains(&at) {
                // What came is not in the rollups before the flusher is back.
                let kept = story.recent.clone();
                story.recent.minutes.retain(|&minute, _| Some(minute) < kept.flushed_until);
                story.flusher_stopped = true;
                assert_eq!(story.tick(at), ["WaitingForMetrics"], "minute {at}");
                story.recent = kept;
                story.flusher_stopped = false;
            } else {
                told.extend(story.tick(at));
            }
        }
        told
    };
    let expected = ["15 firing failures contract 9", "47 resolved failures contract 0"];
    assert_eq!(play(0..0), expected);
    assert_eq!(play(20..40), expected, "during an alert");
    assert_eq!(play(20..55), expected, "until after it");
    assert_eq!(play(10..55), expected, "from before it until after it");
}

#[test]
fn an_evaluator_without_a_flusher_does_not_begin() {
    let mut story = failures_and_few_users();
    story.flusher_stopped = true;
    assert_eq!(story.tick(100), ["WaitingForMetrics"]);
    assert_eq!(story.state, None);
}

#[test]
fn a_line_stamped_ahead_of_its_time_changes_nothing() {
    let play = |ahead: Option<i64>| {
        let mut story = failures_and_few_users();
        let mut told = Vec::new();
        for at in 0..60 {
            if at == 20 {
                story.put(at, "contract_creation_errors", "contract", 9.0);
            }
            if at == 21
                && let Some(ahead) = ahead
            {
                story.put(at + ahead, "log_entries", "", 1.0);
            }
            told.extend(story.tick(at));
        }
        told
    };
    let expected = ["9 firing low 0", "20 firing failures contract 9", "23 resolved failures contract 0"];
    for ahead in [None, Some(90), Some(SPAN_MINUTES)] {
        assert_eq!(play(ahead), expected, "{ahead:?}");
    }
}
