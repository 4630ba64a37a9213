//! What spans become.

use std::error::Error;
use std::future::pending;
use std::pin::pin;

use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::instrument::Instrument as _;
use tracing::{Span, info_span};

use schema::Level;
use schema::trace::{Parent, SpanId, SpanKind, SpanStatus, TraceId};

use super::{
    add_span_log, add_span_tag, context, create_child_span, current, finish_span, inject, set_status,
    set_status_if_unset, start_trace, traced, with_parent, write_in_progress,
};
use crate::testing::{events_of, lines_of, settings, spans_of};
use crate::{RequestScope, Settings, parse_levels, scope};

const AMZN: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

fn caller() -> Parent {
    Parent::of_amzn(AMZN).unwrap()
}

fn none_kept() -> Settings {
    let mut settings = settings();
    (settings.traces.share, settings.traces.per_second) = (0.0, 0);
    settings
}

#[test]
fn a_span_of_a_kept_trace_is_a_line_when_it_closes() {
    // Defects 44 and 45: nothing was ever sent, an enum among the tags could not be, every call began a new trace.
    let lines = spans_of(settings(), |_| {
        let span = info_span!(
            "request",
            request_id = "r-1",
            span.name = "POST /contracts",
            span.kind = "server",
            span.resource = "/contracts",
            http.method = "POST",
            http.status_code = Empty,
            kind = ?SpanKind::Client,
            share = 0.5,
        );
        span.in_scope(|| info_span!("save", db.system = "postgresql", span.kind = "client").in_scope(|| ()));
        span.record("http.status_code", 200);
        span.record("http.status_code", 201);
    });
    let [child, root] = &lines[..] else { panic!("{lines:?}") };
    let names: Vec<&str> = root.as_object().unwrap().keys().map(String::as_str).collect();
    // serde_json sorts them: what matters is which there are.
    assert_eq!(names, ["category", "context", "duration_ms", "level", "message", "span", "timestamp"]);
    assert_eq!((&root["level"], &root["category"]), (&json!("INFO"), &json!("performance")));
    assert_eq!((&root["message"], &root["context"]["request_id"]), (&json!("POST /contracts"), &json!("r-1")));
    let mut span = root["span"].clone();
    let (start, end) = (span["start_time"].take(), span["end_time"].take());
    let (start, end): (jiff::Timestamp, jiff::Timestamp) =
        (start.as_str().unwrap().parse().unwrap(), end.as_str().unwrap().parse().unwrap());
    let took = end.duration_since(start).as_secs_f64() * 1e3;
    assert!((took - root["duration_ms"].as_f64().unwrap()).abs() < 0.0021, "{took} and {}", root["duration_ms"]);
    assert_eq!(
        span,
        json!({
            "operation_name": "POST /contracts", "start_time": null, "end_time": null, "kind": "server",
            "status": "ok", "resource": "/contracts",
            "tags": { "http.method": "POST", "http.status_code": 201, "kind": "Client", "share": 0.5 },
        })
    );
    let trace_id: TraceId = root["context"]["trace_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(child["context"]["trace_id"], trace_id.to_string());
    assert_eq!(child["span"]["parent_span_id"], root["context"]["span_id"]);
    assert_ne!(child["context"]["span_id"], root["context"]["span_id"]);
    assert_eq!((&child["span"]["kind"], &child["span"]["resource"]), (&json!("client"), &json!("save")));
    child["context"]["span_id"].as_str().unwrap().parse::<SpanId>().unwrap();
}

#[test]
fn a_caller_is_the_parent_and_what_it_decided_is_followed() {
    for (make, trace_id, parent, kept) in [
        (
            Box::new(|| with_parent(caller(), || info_span!("request"))) as Box<dyn Fn() -> Span>,
            caller().trace_id,
            caller().span_id,
            true,
        ),
        (Box::new(|| info_span!("request", xrayTraceId = AMZN)), caller().trace_id, caller().span_id, true),
        (
            Box::new(|| info_span!("request", traceparent = caller().traceparent())),
            caller().trace_id,
            caller().span_id,
            true,
        ),
        (
            Box::new(|| with_parent(Parent { sampled: Some(false), ..caller() }, || info_span!("request"))),
            caller().trace_id,
            caller().span_id,
            false,
        ),
        (
            Box::new(|| with_parent(Parent { span_id: None, ..caller() }, || info_span!("request"))),
            caller().trace_id,
            None,
            true,
        ),
    ] {
        // The other way round than the caller decided.
        let lines = lines_of(if kept { none_kept() } else { settings() }, |_| {
            make().in_scope(|| info_span!("inner").in_scope(|| tracing::info!("within")));
        });
        let (spans, events): (Vec<Value>, _) = lines.into_iter().partition(|line| line.get("span").is_some());
        assert_eq!(events[0]["context"]["trace_id"], trace_id.to_string());
        assert!(events[0]["context"]["span_id"].is_string());
        assert_eq!(spans.len(), if kept { 2 } else { 0 });
        if kept {
            assert_eq!(spans[1]["span"]["parent_span_id"], json!(parent.map(|id| id.to_string())));
            // X-Ray has to know that a service was entered here; the span within has a parent of its own service.
            assert_eq!(spans[1]["span"].get("remote_parent").is_some(), parent.is_some());
            assert_eq!(spans[0]["span"].get("remote_parent"), None);
        }
    }
    // Defect 46: a UUID is no id. It is kept as a tag.
    let lines =
        spans_of(settings(), |_| drop(info_span!("request", trace_id = "123e4567-e89b-12d3-a456-426614174000")));
    assert_eq!(lines[0]["span"]["tags"]["trace_id"], "123e4567-e89b-12d3-a456-426614174000");
}

#[test]
fn a_parent_is_of_one_span_and_not_of_the_next() {
    let lines = spans_of(settings(), |_| {
        with_parent(caller(), || {
            drop(info_span!("first"));
            drop(info_span!("second"));
        });
        with_parent(caller(), || ());
        drop(info_span!("third"));
    });
    let traces: Vec<bool> =
        lines.iter().map(|line| line["context"]["trace_id"] == caller().trace_id.to_string()).collect();
    assert_eq!(traces, [true, false, false]);
}

#[test]
fn who_is_called_is_told_where_it_is_called_from() {
    let lines = spans_of(settings(), |_| {
        assert_eq!(current(), None);
        inject(|name, _| panic!("{name} without a trace"));
        with_parent(caller(), || info_span!("request")).in_scope(|| {
            let here = current().unwrap();
            assert_eq!((here.trace_id, here.sampled), (caller().trace_id, Some(true)));
            assert_eq!(context(&Span::current()), Some(here));
            let mut headers = Vec::new();
            inject(|name, value| headers.push((name, value)));
            let [("traceparent", traceparent), ("x-amzn-trace-id", amzn)] = &headers[..] else { panic!("{headers:?}") };
            assert_eq!((Parent::of_traceparent(traceparent), Parent::of_amzn(amzn)), (Some(here), Some(here)));
            tracing::debug_span!("not of the trace").in_scope(|| assert_eq!(current(), Some(here)));
        });
    });
    assert_eq!(lines.len(), 1);
    // Also where it is not kept, so that the others don't keep their part of it either.
    lines_of(none_kept(), |_| {
        info_span!("request").in_scope(|| {
            let outer = current().unwrap();
            assert_eq!(outer.sampled, Some(false));
            info_span!("inner").in_scope(|| assert_eq!(current(), Some(outer)));
        });
    });
}

#[test]
fn errors_within_make_the_status_unless_one_is_set() {
    let failed: &(dyn Error + 'static) = &std::fmt::Error;
    let run = |work: &dyn Fn(&Span)| {
        spans_of(settings(), |_| {
            let span = info_span!("save", span.status = Empty);
            span.in_scope(|| work(&span));
        })
        .remove(0)["span"]
            .clone()
    };
    for (work, status) in [
        ((|_| ()) as fn(&Span), "ok"),
        (|_| tracing::warn!("slow"), "ok"),
        (|_| tracing::error!("no error named"), "ok"),
        (|_| tracing::error!(error = "e"), "error"),
        (|span| set_status(span, SpanStatus::Timeout), "timeout"),
        (
            |span| {
                span.record("span.status", "Timeout");
            },
            "timeout",
        ),
        (
            |span| {
                set_status(span, SpanStatus::Ok);
                tracing::error!(error = "handled");
                set_status_if_unset(span, SpanStatus::Cancelled);
            },
            "ok",
        ),
        (
            |span| {
                tracing::error!(error = "e");
                set_status(span, SpanStatus::Timeout);
            },
            "timeout",
        ),
    ] {
        assert_eq!(run(&work)["status"], status);
    }
    let span = run(&|_| tracing::error!(error = failed, attempt = 2, "could not save"));
    let error = "an error occurred when formatting an argument";
    assert_eq!(span["tags"], json!({ "error": true, "error.type": "Error", "error.message": error }));
    assert_eq!(span["logs"][0]["fields"], json!({ "attempt": 2 }));
    assert_eq!((&span["logs"][0]["message"], &span["logs"][0]["level"]), (&json!("could not save"), &json!("ERROR")));
}

#[test]
fn logs_of_a_span_are_bounded_and_counted() {
    let span = spans_of(settings(), |_| {
        info_span!("save").in_scope(|| {
            tracing::info!("not kept");
            tracing::info!(span.log = true, "kept");
            tracing::warn!(span.log = false, "not kept");
            // Of a span that is none of the trace's.
            tracing::debug_span!("inner").in_scope(|| (0..50).for_each(|n| tracing::warn!(n)));
        });
    })
    .remove(0)["span"]
        .clone();
    let logs = span["logs"].as_array().unwrap();
    assert_eq!((logs.len(), &logs[0]["message"], &logs[1]["fields"]["n"]), (32, &json!("kept"), &json!(0)));
    assert_eq!(span["logs_cut"], 19);
}

#[test]
fn a_span_that_is_too_long_is_one_line_that_says_so() {
    let long = "x".repeat(40_000);
    let text = crate::testing::text_of(settings(), |_| {
        let span = info_span!("save");
        for number in 0..20 {
            add_span_tag(&span, &format!("tag {number}"), long.as_str());
            add_span_log(&span, Level::Info, &long, &[]);
        }
    });
    assert!(text.len() <= 256 * 1024, "{}", text.len());
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["span"]["tags"], json!({ "truncated": true }));
    assert_eq!(line["span"]["logs"].as_array().unwrap().len() as u64 + line["span"]["logs_cut"].as_u64().unwrap(), 20);
}

#[test]
fn names_known_at_run_time_only() {
    let lines = spans_of(settings(), |_| {
        let root = start_trace("POST /contracts", Some("/contracts"), Some(caller()));
        let child = create_child_span(&root, "render", SpanKind::Producer);
        add_span_tag(&child, "pages", 3);
        add_span_tag(&child, "pages", 4);
        add_span_tag(&child, "token", "hunter2");
        add_span_tag(&child, "paper", "A4");
        add_span_log(&child, Level::Info, "half way", &[("page", "2"), ("password", "hunter2")]);
        finish_span(child, SpanStatus::Cancelled);
        assert!(write_in_progress(&root));
        finish_span(root, SpanStatus::Ok);
        drop(start_trace("another", None, None));
    });
    let [child, unfinished, root, another] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&child["span"]["status"], &child["span"]["kind"]), (&json!("cancelled"), &json!("producer")));
    assert_eq!(child["span"]["tags"], json!({ "pages": 4, "token": "[secret]", "paper": "A4" }));
    assert_eq!(child["span"]["logs"][0]["fields"], json!({ "page": "2", "password": "[secret]" }));
    assert_eq!(child["span"]["parent_span_id"], root["context"]["span_id"]);
    assert_eq!(root["span"]["parent_span_id"], caller().span_id.unwrap().to_string());
    // Defect 46: `end_time` or `in_progress`, never a null.
    assert_eq!(unfinished["span"]["in_progress"], true);
    assert!(unfinished["span"].get("end_time").is_none() && unfinished.get("duration_ms").is_none());
    assert_eq!((&unfinished["context"], &root["span"]["resource"]), (&root["context"], &json!("/contracts")));
    assert_eq!((&another["span"]["resource"], &another["span"]["kind"]), (&json!("another"), &json!("server")));
    assert_ne!(another["context"]["trace_id"], root["context"]["trace_id"]);
}

#[test]
fn a_future_that_is_given_up_is_cancelled() {
    let lines = spans_of(settings(), |_| {
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        for give_up in [false, true] {
            let work = async move {
                if give_up {
                    pending::<()>().await;
                }
            };
            let mut future = Box::pin(traced(info_span!("work"), work));
            assert_eq!(pin!(&mut future).as_mut().poll(&mut task).is_pending(), give_up);
        }
        drop(traced(info_span!("never begun"), async {}));
    });
    let told: Vec<(&Value, &Value)> = lines.iter().map(|line| (&line["message"], &line["span"]["status"])).collect();
    let expected = json!([["work", "ok"], ["work", "cancelled"], ["never begun", "cancelled"]]);
    assert_eq!(json!(told), expected);
}

#[test]
fn tasks_inherit_request_and_trace_wherever_they_run() {
    // Defect 25: a new request id for each line, and no trace.
    let written = crate::testing::Written::default();
    let telemetry = crate::Telemetry::new(settings(), written.clone()).unwrap();
    let dispatch = tracing::Dispatch::new(telemetry.subscriber());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    use tracing::instrument::WithSubscriber as _;
    let request = |number: u64| async move {
        let asked = RequestScope::new(format!("r-{number}")).with_user("u").with_session("s").with_trace(caller());
        let work = async {
            tracing::info!("begins");
            let task = |n: u64| {
                let work = async move {
                    tokio::task::yield_now().await;
                    tracing::info!(n, "in a task");
                    scope::current().unwrap().request_id
                };
                tokio::spawn(work.instrument(info_span!("task", n)).with_current_subscriber())
            };
            for task in [task(1), task(2)] {
                assert_eq!(task.await.unwrap(), Some(format!("r-{number}")));
            }
            assert_eq!(
                scope::current(),
                Some(RequestScope::new(format!("r-{number}")).with_user("u").with_session("s").with_trace(caller()))
            );
        };
        asked.instrument(work).await;
        assert_eq!(scope::current(), None);
    };
    let all: Vec<_> = {
        let _entered = runtime.enter();
        (0..50).map(|number| tokio::spawn(request(number).with_subscriber(dispatch.clone()))).collect()
    };
    runtime.block_on(async {
        for request in all {
            request.await.unwrap();
        }
    });
    assert!(telemetry.flush(std::time::Duration::from_secs(60)));
    let text = written.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for number in 0..50 {
        let of_request: Vec<&Value> =
            lines.iter().filter(|line| line["context"]["request_id"] == format!("r-{number}")).collect();
        assert_eq!(of_request.len(), 5, "three events, and two spans; the scope is none");
        for line in of_request {
            assert_eq!(line["context"]["trace_id"], caller().trace_id.to_string());
            assert_eq!((&line["context"]["user_id"], &line["context"]["session_id"]), (&json!("u"), &json!("s")));
            if let Some(span) = line.get("span") {
                assert_eq!(span["parent_span_id"], caller().span_id.unwrap().to_string());
            }
        }
    }
    assert_eq!(lines.len(), 250);
}

#[test]
fn traces_that_are_not_kept_leave_their_ids_in_lines() {
    let lines = lines_of(none_kept(), |_| {
        info_span!("request", request_id = "r-1").in_scope(|| {
            tracing::info!("one");
            info_span!("inner").in_scope(|| {
                tracing::info!("two");
                info_span!("named", user_id = "u-1").in_scope(|| tracing::info!("three"));
            });
        });
    });
    assert_eq!(lines.len(), 3);
    let ids = |line: &Value| (line["context"]["trace_id"].clone(), line["context"]["request_id"].clone());
    assert!(lines.iter().all(|line| ids(line) == ids(&lines[0]) && line["context"]["trace_id"].is_string()));
    assert_eq!(lines[2]["context"]["user_id"], "u-1");
}

#[test]
fn a_span_that_is_of_no_trace_hands_on_none_and_a_span_within_it_begins_one() {
    // What is not kept and what is, on several threads, so that one is open while the other is made.
    let mut settings = settings();
    settings.traces.share = 0.5;
    settings.traces.per_second = 0;
    let written = crate::testing::Written::default();
    let telemetry = crate::Telemetry::new(settings, written.clone()).unwrap();
    let dispatch = tracing::Dispatch::new(telemetry.subscriber());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let _default = tracing::dispatcher::set_default(&dispatch);
                for _ in 0..100 {
                    let outer = RequestScope::new("r").span().entered();
                    assert_eq!(current(), None);
                    let root = info_span!("root").entered();
                    let parent = current().unwrap();
                    let inner = info_span!("inner").entered();
                    assert_eq!(current().unwrap().trace_id, parent.trace_id);
                    assert_eq!(current().unwrap().sampled, parent.sampled);
                    drop((inner, root, outer));
                }
            });
        }
    });
    assert!(telemetry.flush(std::time::Duration::from_secs(60)));
    let text = written.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| lines.iter().filter(|line| line["message"] == name).collect::<Vec<_>>();
    let (roots, inners) = (named("root"), named("inner"));
    assert_eq!((roots.len(), roots.len() * 2), (inners.len(), lines.len()), "whole traces or nothing");
    assert!((120..280).contains(&roots.len()), "{}", roots.len());
    for inner in inners {
        let parent = roots.iter().find(|root| root["context"]["span_id"] == inner["span"]["parent_span_id"]).unwrap();
        assert_eq!(parent["context"]["trace_id"], inner["context"]["trace_id"]);
        assert!(parent["span"].get("parent_span_id").is_none());
    }
}

#[test]
fn spans_that_are_switched_off_still_carry_the_ids_of_the_lambda_runtime() {
    let mut settings = settings();
    settings.traces.spans = parse_levels("off").unwrap();
    let lines = lines_of(settings, |_| {
        info_span!("Lambda runtime invoke", requestId = "r-1", xrayTraceId = AMZN)
            .in_scope(|| info_span!("inner").in_scope(|| tracing::info!("within")));
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["context"]["request_id"], "r-1");
    assert_eq!(lines[0]["context"]["trace_id"], caller().trace_id.to_string());
}

#[test]
fn ids_that_are_recorded_later_hold_from_then_on() {
    let lines = events_of(settings(), |_| {
        let span = info_span!("request", request_id = "r-1", user_id = Empty);
        span.in_scope(|| {
            tracing::info!("before");
            span.record("user_id", "u-7");
            tracing::info!("after");
            info_span!("inner").in_scope(|| tracing::info!("within"));
        });
    });
    let users: Vec<&Value> = lines.iter().map(|line| &line["context"]["user_id"]).collect();
    assert_eq!(json!(users), json!([null, "u-7", "u-7"]));
    assert!(lines.iter().all(|line| line["context"]["request_id"] == "r-1"));
}

#[test]
fn what_is_named_later_is_known_in_all_that_is_within_whether_it_is_kept_or_not() {
    for settings in [settings(), none_kept()] {
        let lines = lines_of(settings, |_| {
            assert!(!scope::set_user("nobody's"));
            let request = info_span!("request", request_id = "r-1", user_id = Empty);
            let _in_request = request.enter();
            let _in_auth = info_span!("auth", session_id = Empty).entered();
            let _in_inner = info_span!("inner").entered();
            request.record("user_id", "u-7");
            info_span!("deeper").in_scope(|| tracing::info!("recorded"));
            assert!(scope::set_user("u-8"));
            assert!(scope::set_session("s-1"));
            tracing::info!("set");
            request.in_scope(|| tracing::info!("around"));
            assert_eq!(scope::current().unwrap().user_id.as_deref(), Some("u-8"));
        });
        let events: Vec<&Value> = lines.iter().filter(|line| line.get("span").is_none()).collect();
        assert_eq!(events.len(), 3);
        for line in &events[1..] {
            assert_eq!((&line["context"]["user_id"], &line["context"]["session_id"]), (&json!("u-8"), &json!("s-1")));
        }
        for line in lines.iter().filter(|line| line["message"] != "recorded" && line["message"] != "deeper") {
            assert_eq!((&line["context"]["request_id"], &line["context"]["user_id"]), (&json!("r-1"), &json!("u-8")));
        }
    }
    for settings in [settings(), none_kept()] {
        let lines = events_of(settings, |_| {
            let request = info_span!("request", request_id = "r-1", user_id = Empty);
            let _in_request = request.enter();
            let _in_inner = info_span!("inner").entered();
            request.record("user_id", "u-7");
            tracing::info!("within");
        });
        assert_eq!(lines[0]["context"]["user_id"], "u-7");
    }
}

#[test]
fn another_request_within_keeps_its_user_to_itself() {
    let lines = events_of(settings(), |_| {
        RequestScope::new("r-1").with_user("u-1").in_scope(|| {
            RequestScope::new("r-2").in_scope(|| assert!(scope::set_user("u-2")));
            tracing::info!("around");
        });
    });
    assert_eq!(lines[0]["context"]["user_id"], "u-1");
}

#[test]
fn a_trace_that_begins_within_a_request_has_its_ids() {
    for settings in [settings(), none_kept()] {
        let lines = lines_of(settings, |_| {
            RequestScope::new("r-1").in_scope(|| {
                info_span!("outer").in_scope(|| {
                    let outer = current().unwrap();
                    start_trace("job", None, None).in_scope(|| {
                        assert_ne!(current().unwrap().trace_id, outer.trace_id);
                        tracing::info!("within");
                    });
                });
            });
        });
        assert!(lines.iter().all(|line| line["context"]["request_id"] == "r-1"), "{lines:?}");
        let job = lines.iter().find(|line| line["message"] == "job");
        assert!(job.is_none_or(|job| job["span"].get("parent_span_id").is_none()));
    }
}

#[test]
fn a_trace_that_several_spans_name_is_decided_once() {
    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
    let mut settings = none_kept();
    settings.traces.per_second = 1;
    let spans = spans_of(settings, |_| {
        info_span!("invoke", xrayTraceId = HEADER).in_scope(|| {
            let parent = Parent::of_amzn(HEADER).unwrap();
            let inner = with_parent(parent, || info_span!("request"));
            assert_eq!((current().unwrap().sampled, context(&inner).unwrap().sampled), (Some(true), Some(true)));
        });
    });
    assert_eq!(spans.len(), 2);
}

#[test]
fn a_trace_that_is_named_too_late_is_a_tag() {
    let header = caller().traceparent().unwrap();
    let spans = spans_of(settings(), |_| {
        let span = info_span!("request", traceparent = Empty, trace_id = Empty, xrayTraceId = Empty);
        span.record("traceparent", &header);
        span.record("trace_id", caller().trace_id.to_string());
        span.record("xrayTraceId", AMZN);
    });
    let trace_id = caller().trace_id.to_string();
    assert_ne!(spans[0]["context"]["trace_id"], trace_id);
    let tags = json!({ "traceparent": header, "trace_id": trace_id, "xrayTraceId": AMZN });
    assert_eq!(spans[0]["span"]["tags"], tags);
}
