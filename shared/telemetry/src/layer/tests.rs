//! What events become.

use std::error::Error;
use std::fmt;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::line::with_members;
use crate::testing::{events_of, settings, text_of};
use crate::{Settings, parse_levels, secret};

#[test]
fn an_event_becomes_a_line_of_schema_v1_in_its_order() {
    // Defects 23 and 24: values not enum names, real levels, an offset, text not escapes.
    let text = text_of(settings(), |_| {
        tracing::info_span!("request", request_id = "r-1", user_id = "u-7", session_id = "s-3").in_scope(|| {
            let error = fmt::Error;
            tracing::warn!(
                rows = 3,
                category = "database",
                duration_ms = 12.5,
                error = &error as &dyn Error,
                "Медленный запрос"
            );
        });
    });
    let line = text.lines().next().unwrap();
    let (timestamp, rest) = line.split_at(r#"{"timestamp":"2026-11-22T10:05:03.123Z""#.len());
    assert!(timestamp.starts_with("{\"timestamp\":\"2") && timestamp.ends_with("Z\""), "{timestamp}");
    let (before_trace, after_trace) = rest.split_once(r#","trace_id":"1-"#).unwrap();
    assert_eq!(
        before_trace,
        r#","level":"WARNING","category":"database","message":"Медленный запрос","context":{"request_id":"r-1","user_id":"u-7","session_id":"s-3","service_name":"contract","environment":"test","version":"1.2.3""#
    );
    let (_, after_span) = after_trace.split_once(r#","span_id":""#).unwrap();
    assert_eq!(
        &after_span[16..],
        r#""},"details":{"rows":3},"error":{"type":"Error","message":"an error occurred when formatting an argument"},"duration_ms":12.5}"#
    );
}

#[test]
fn levels_are_those_of_the_schema() {
    let lines = events_of(Settings { levels: parse_levels("trace").unwrap(), ..settings() }, |_| {
        tracing::trace!("0");
        tracing::debug!("1");
        tracing::info!("2");
        tracing::warn!("3");
        tracing::error!("4");
        tracing::error!(critical = true, "5");
    });
    let levels: Vec<&str> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["DEBUG", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]);
    assert!(lines.iter().all(|line| line["category"] == "system" && line.get("details").is_none()));
}

#[test]
fn the_level_decides_and_scopes_are_kept_all_the_same() {
    // Defect 24: DEBUG was printed whatever the level.
    let lines =
        events_of(Settings { levels: parse_levels("warn,telemetry::layer=error").unwrap(), ..settings() }, |_| {
            tracing::info_span!("request", request_id = "r-1").in_scope(|| {
                tracing::warn!("not for this target");
                tracing::warn!(target: "other", "written");
                tracing::info!(target: "other", "not written");
            });
        });
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["message"], &lines[0]["context"]["request_id"]), (&json!("written"), &json!("r-1")));
}

#[test]
fn fields_have_their_places() {
    let lines = events_of(settings(), |_| {
        tracing::info!(
            category = "gossip",
            r#type = "x",
            big = u128::MAX,
            nan = f64::NAN,
            ok = true,
            missing = None::<u64>,
            "a b" = -3,
            duration_ms = f64::INFINITY,
        );
        tracing::info_span!("request", request_id = "r-1", user_id = -1).in_scope(|| {
            tracing::info!(user_id = 7_u64, session_id = "s\n", "ids of its own");
            tracing::info!(user_id = "u-2", trace_id = "t", "ids of its own");
            tracing::info!("those of the request");
        });
        tracing::error!(error = "no route", error.type = "Routing", error.traceback = "at x", "text");
        tracing::error!(error.type = "Routing", "the message is the error's");
    });
    assert_eq!(
        lines[0]["details"],
        json!({
            "category": "gossip", "type": "x", "big": u128::MAX.to_string(), "nan": "NaN", "ok": true, "a b": -3,
            "duration_ms": "Infinity",
        })
    );
    assert!(lines[0].get("message").is_none() && lines[0].get("duration_ms").is_none());
    let context = &lines[1]["context"];
    assert_eq!((&context["request_id"], &context["session_id"]), (&json!("r-1"), &json!("s\n")));
    assert_eq!((&context["user_id"], lines[1].get("details")), (&json!("7"), None), "an id is a text");
    let names: Vec<&String> = lines[2]["context"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 7, "{names:?}");
    assert_eq!((&lines[2]["context"]["user_id"], &lines[2]["context"]["trace_id"]), (&json!("u-2"), &json!("t")));
    assert_eq!(lines[3]["context"]["user_id"], "-1");
    assert_eq!(lines[4]["error"], json!({ "type": "Routing", "message": "no route", "traceback": "at x" }));
    assert_eq!(lines[5]["error"], json!({ "type": "Routing", "message": "the message is the error's" }));
}

#[derive(Debug)]
struct Outer {
    cause: Option<Box<Outer>>,
    text: &'static str,
}

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &dyn Error)
    }
}

#[test]
fn an_error_is_written_with_its_type_its_causes_and_its_duration() {
    // Defect 27: cause and duration were lost.
    let outer = |text, cause| Outer { cause, text };
    let cause = || Some(Box::new(outer("disk \"full\"", None)));
    for (error, expected) in [
        (outer("could not save", cause()), "could not save: disk \"full\""),
        (outer("could not save: disk \"full\"", cause()), "could not save: disk \"full\""),
        (outer("alone", None), "alone"),
    ] {
        let lines = events_of(settings(), |_| {
            tracing::error!(error = &error as &dyn Error, duration_ms = 3_u64, "failed");
        });
        assert_eq!(lines[0]["error"], json!({ "type": "Outer", "message": expected }));
        assert_eq!(lines[0]["duration_ms"], 3.0);
    }
    // What is no name is no type.
    struct Sentence(&'static str);
    impl fmt::Debug for Sentence {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl fmt::Display for Sentence {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("said")
        }
    }
    impl Error for Sentence {}
    for (written, kind) in [
        ("Could not", "Error"),
        ("\"Text\"", "Error"),
        ("lower", "Error"),
        ("", "Error"),
        ("Name", "Name"),
        ("Name2 { a: 1 }", "Name2"),
        ("Name_(1)", "Name_"),
        ("Timeout: no answer", "Error"),
    ] {
        let lines = events_of(settings(), |_| tracing::error!(error = &Sentence(written) as &dyn Error));
        assert_eq!(lines[0]["error"], json!({ "type": kind, "message": "said" }), "{written}");
    }
}

#[test]
fn what_is_marked_is_not_written() {
    let text = text_of(settings(), |_| {
        let pin = secret("hunter2");
        tracing::info_span!("login", Password = "hunter2", %pin).in_scope(|| {
            tracing::info!(token = "hunter2", API_KEY = 1234567, ?pin, "login");
        });
    });
    assert!(!text.contains("hunter2") && !text.contains("1234567"), "{text}");
    assert_eq!(text.matches("[secret]").count(), 5, "{text}");
}

#[test]
fn members_go_to_the_first_line_and_it_is_known_whether_there_was_one() {
    let mut settings = settings();
    settings.debug.hold_bytes = 1_000;
    let text = text_of(settings, |_| {
        let span = tracing::info_span!("request", request_id = "r");
        let _entered = span.enter();
        assert!(with_members(br#","n":1"#, || {
            tracing::info!("first");
            tracing::info!("second");
        }));
        assert!(!with_members(br#","n":2"#, || tracing::debug!("held back")));
        assert!(!with_members(br#","n":3"#, || tracing::trace!("filtered")));
        tracing::info!("third");
        assert!(with_members(br#","n":4"#, || {
            assert!(with_members(br#","n":5"#, || tracing::info!("inner")));
            tracing::info!("outer");
        }));
    });
    let told: Vec<(Value, Option<u64>)> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line.get("span").is_none())
        .map(|line| (line["message"].clone(), line["n"].as_u64()))
        .collect();
    let expected = [("first", Some(1)), ("second", None), ("third", None), ("inner", Some(5)), ("outer", Some(4))];
    assert_eq!(told, expected.map(|(message, n)| (json!(message), n)));
}

#[test]
fn debug_lines_are_held_back_until_something_fails() {
    let mut settings = settings();
    settings.debug.hold_bytes = 10_000;
    let lines = events_of(settings, |_| {
        for (request_id, fails) in [("r-1", false), ("r-2", true)] {
            tracing::info_span!("request", request_id).in_scope(|| {
                tracing::debug!("looked up");
                tracing::info_span!("inner", user_id = "u").in_scope(|| tracing::debug!("signed"));
                tracing::info!("half way");
                if fails {
                    tracing::error!("failed");
                }
                tracing::debug!("let go");
            });
        }
        tracing::debug!("of no request");
    });
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line["context"]["request_id"].as_str().unwrap(), line["message"].as_str().unwrap()))
        .collect();
    let of_failed = ["half way", "looked up", "signed", "failed"].map(|message| ("r-2", message));
    assert_eq!(told, [&[("r-1", "half way")][..], &of_failed].concat());
}

#[test]
fn held_lines_are_bounded_and_what_is_missing_is_told() {
    let mut settings = settings();
    settings.debug.hold_bytes = 2_000;
    let lines = events_of(settings, |_| {
        tracing::info_span!("request", request_id = "r").in_scope(|| {
            (0..100).for_each(|number| tracing::debug!(number, "step"));
            tracing::error!("failed");
        });
    });
    let discarded = lines[0]["details"]["discarded"].as_u64().unwrap();
    assert_eq!((&lines[0]["level"], &lines[0]["context"]["request_id"]), (&json!("WARNING"), &json!("r")));
    assert_eq!(lines[0]["context"], lines[1]["context"]);
    assert_eq!(lines[1]["details"]["number"], discarded);
    assert_eq!(lines.len() as u64, 1 + (100 - discarded) + 1);
}

#[test]
fn nobody_chooses_an_id_whose_debug_lines_are_written() {
    let mut settings = settings();
    settings.debug.share = 1e-9;
    let lines = events_of(settings, |_| {
        // Of an id that is in every share by itself.
        tracing::info_span!("request", request_id = "r-1", trace_id = "1-5759e988-bd862e3f0000000000000000")
            .in_scope(|| tracing::debug!("request"));
        tracing::info_span!("trace", trace_id = "1-5759e988-bd862e3f0000000000000000")
            .in_scope(|| tracing::debug!("trace"));
    });
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn debug_of_a_share_of_requests_is_decided_by_the_id() {
    let run = || {
        let mut settings = settings();
        settings.debug.share = 0.3;
        settings.traces.spans = parse_levels("off").unwrap();
        let lines = events_of(settings, |_| {
            for number in 0..300 {
                tracing::info_span!("request", request_id = format!("r-{number}")).in_scope(|| {
                    tracing::debug!("one");
                    tracing::debug_span!("inner").in_scope(|| tracing::debug!("two"));
                });
            }
        });
        lines.into_iter().map(|line| line["context"]["request_id"].clone()).collect::<Vec<_>>()
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    assert!((120..240).contains(&first.len()), "{}", first.len());
    assert!(first.chunks(2).all(|pair| pair[0] == pair[1]), "all lines of a request or none");
}

#[test]
fn a_value_that_logs_while_it_is_logged_does_no_harm() {
    struct Talkative;
    impl fmt::Debug for Talkative {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("inner");
            tracing::Span::current().record("late", 1);
            f.write_str("value")
        }
    }
    let telemetry = crate::Telemetry::new(settings(), crate::testing::Written::default()).unwrap();
    let span = tracing::subscriber::with_default(telemetry.subscriber(), || {
        let span = tracing::info_span!("a", first = ?Talkative, late = tracing::field::Empty);
        span.in_scope(|| {
            tracing::info!(value = ?Talkative, "outer");
            span.record("late", tracing::field::debug(Talkative));
        });
        span
    });
    drop(span);
}

#[test]
fn a_record_that_is_too_long_is_one_line_that_says_so() {
    let long = "\u{1}".repeat(100_000);
    let text = text_of(settings(), |_| {
        let l = long.as_str();
        tracing::error!(
            a = l,
            b = l,
            c = l,
            d = l,
            e = l,
            f = l,
            g = l,
            h = l,
            i = l,
            error = l,
            error.traceback = l,
            "{l}"
        );
    });
    assert!(text.lines().all(|line| line.len() <= 256 * 1024));
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["details"]["truncated"], true);
    assert!(line["message"].as_str().unwrap().ends_with('…'));
}

/// An error with a chain of causes, each with a text of its length.
#[derive(Debug)]
struct Link(String, Option<Box<Link>>);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

fn links(lengths: &[usize]) -> Option<Box<Link>> {
    let (first, rest) = lengths.split_first()?;
    // The causes differ, or they would not be said again.
    Some(Box::new(Link(char::from(b'a' + rest.len() as u8).to_string().repeat(*first), links(rest))))
}

#[test]
fn causes_are_one_text_and_cut_as_one() {
    let error = links(&[30_000; 16]).unwrap();
    let lines = events_of(settings(), |_| tracing::error!(error = &*error as &dyn Error, "m"));
    let message = lines[0]["error"]["message"].as_str().unwrap();
    assert_eq!((message.len(), message.ends_with('…')), (32 * 1024 + '…'.len_utf8(), true));
    assert!(message.contains("p: o"), "the first two");
}

#[test]
fn values_that_can_not_be_shown_do_no_harm_whatever_they_are() {
    struct Mute;
    impl fmt::Display for Mute {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("r-")?;
            Err(fmt::Error)
        }
    }
    let lines = events_of(settings(), |_| {
        tracing::info!(a = %Mute, request_id = %Mute, category = %Mute, "m");
        tracing::info_span!("s", request_id = %Mute).in_scope(|| tracing::info!("in"));
    });
    assert_eq!(lines[0]["details"], json!({ "a": "r-", "category": "r-" }));
    assert_eq!(json!([lines[0]["context"]["request_id"], lines[1]["context"]["request_id"]]), json!(["r-", "r-"]));
}

#[test]
fn a_name_that_is_given_twice_is_written_twice_and_readers_have_the_last() {
    let lines = events_of(settings(), |_| tracing::info!(a = 1, r#type = 1, "type" = 2, a = 2, "m"));
    assert_eq!(lines[0]["details"], json!({ "a": 2, "type": 2 }));
}

/// A text that takes `count` times so many bytes in a line, one or six.
fn text_of_length(escaped: bool, count: usize) -> String {
    if escaped { "\u{1}" } else { "x" }.repeat(count)
}

#[test]
fn a_critical_event_takes_a_target_and_a_parent() {
    let levels = parse_levels("off,other=error").unwrap();
    let lines = events_of(Settings { levels, ..settings() }, |_| {
        let span = tracing::info_span!("request", request_id = "r-1");
        crate::critical!("of a target that is off");
        crate::critical!(parent: &span, "of a target that is off");
        crate::critical!(target: "other", n = 1, "gone {}", 2);
        crate::critical!(target: "other", parent: &span, category = "database", "gone");
    });
    let told: Vec<Value> =
        lines.iter().map(|line| json!([line["level"], line["message"], line["context"]["request_id"]])).collect();
    assert_eq!(json!(told), json!([["CRITICAL", "gone 2", null], ["CRITICAL", "gone", "r-1"]]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_record_is_longer_than_a_line_may_be(
        texts in prop::collection::vec((any::<bool>(), 0_usize..40_000), 14),
        causes in prop::collection::vec(0_usize..40_000, 1..18),
        members in 0_usize..15_000,
    ) {
        let texts: Vec<String> = texts.iter().map(|(escaped, count)| text_of_length(*escaped, *count)).collect();
        let text = |at: usize| texts[at].as_str();
        let error = links(&causes).unwrap();
        let members = format!(",\"n\":\"{}\"", "n".repeat(members));
        let all = text_of(Settings { buffer_bytes: 16 << 20, ..settings() }, |_| {
            let span = tracing::info_span!("s", request_id = text(0), user_id = text(1), session_id = text(2));
            let _in = span.enter();
            assert!(with_members(members.as_bytes(), || {
                tracing::error!(a = text(3), b = text(4), c = text(5), error = &*error as &dyn Error, "{}", text(6));
            }));
            assert!(with_members(members.as_bytes(), || tracing::error!(
                span_id = text(7), trace_id = text(8), user_id = text(9), a = text(10),
                error = text(11), error.type = text(12), error.traceback = text(13), "{}", text(6)
            )));
        });
        for line in all.lines().filter(|line| !line.contains("\"span\":{")) {
            prop_assert!(line.len() <= 256 * 1024 - 26, "{}", line.len());
            let line: Value = serde_json::from_str(line).unwrap();
            prop_assert!(line["n"].is_string() && line["error"]["message"].is_string());
        }
    }

    #[test]
    fn every_record_is_one_line_of_json(
        message: String,
        id in ".{0,20}",
        values in prop::collection::vec(any::<String>(), 4),
        number: f64,
        whole: i128,
    ) {
        let text = text_of(settings(), |_| {
            let id = id.as_str();
            tracing::info_span!("s", request_id = id, tag = ?values, span.name = message.as_str()).in_scope(|| {
                tracing::error!(
                    a = values[0].as_str(), b = %values[1], c = ?values, user_id = id, number, whole,
                    error = %values[2], error.type = %values[3], "{message}"
                );
            });
        });
        prop_assert_eq!(text.lines().count(), 2);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(lines[0]["message"].as_str(), Some(message.as_str()));
        prop_assert_eq!(lines[0]["context"]["request_id"].as_str(), Some(id.as_str()));
        prop_assert_eq!(lines[0]["details"]["a"].as_str(), Some(values[0].as_str()));
        prop_assert_eq!(lines[1]["span"]["operation_name"].as_str(), Some(message.as_str()));
    }
}
