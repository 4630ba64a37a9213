//! A trace as X-Ray has it, as a tree for people: who did what, when, for how long, and how it ended.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use jiff::Timestamp;
use schema::trace::TraceId;
use serde_json::Value;

/// A segment or subsegment.
struct Node {
    id: String,
    parent: Option<String>,
    /// The service, where it is a segment.
    service: Option<String>,
    /// The service that a subsegment says it is of.
    said_service: Option<String>,
    what: String,
    start: f64,
    end: Option<f64>,
    outcome: String,
}

/// Shares of a trace's time from which on it is told that nobody knows what happened meanwhile.
const GAP: f64 = 0.1;

/// The trace `id` whose segment `documents` these are, a line each (sub)segment: its beginning after that of the trace,
/// how long it took, and what it is. Durations follow from beginnings and ends (documents have none). Where a tenth of
/// the trace's time or more, between the parts of something, is in none of them, that has a line too. Documents that
/// can not be read are counted. Those that X-Ray has made itself, of what it infers of the other side of a call, say
/// nothing that the call does not, and are left out.
pub fn render(id: TraceId, documents: &[String]) -> String {
    let mut nodes: Vec<Node> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut unreadable = 0;
    for document in documents {
        let Ok(segment) = serde_json::from_str::<Value>(document) else {
            unreadable += 1;
            continue;
        };
        if segment["inferred"] == true {
            continue;
        }
        let mut todo = vec![(segment, None)];
        while let Some((segment, outer)) = todo.pop() {
            let node = Node::of(&segment, outer);
            let inner = segment["subsegments"].as_array().into_iter().flatten();
            todo.extend(inner.map(|nested| (nested.clone(), Some(node.id.clone()))));
            match places.get(&node.id) {
                // What was told while it went on, and again when it ended.
                Some(&place) if nodes[place].end.is_none() => nodes[place] = node,
                Some(_) => {}
                None => {
                    places.insert(node.id.clone(), nodes.len());
                    nodes.push(node);
                }
            }
        }
    }
    nodes.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut text = Tree::of(nodes).text(id);
    if unreadable > 0 {
        let _ = writeln!(text, "\nsegment documents that can not be read: {unreadable}");
    }
    text
}

impl Node {
    fn of(segment: &Value, outer: Option<String>) -> Node {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let is_segment = outer.is_none() && segment["type"] != "subsegment";
        let name = printable(text(&segment["name"]).unwrap_or_else(|| "?".to_owned()));
        let operation = [&segment["annotations"]["operation"], &segment["metadata"]["span"]["operation"]];
        let operation = printable(operation.into_iter().find_map(text).unwrap_or_default());
        let what = match (is_segment, operation) {
            (true, operation) if operation.is_empty() => printable(url(segment)),
            (true, operation) => operation,
            (false, operation) if operation.is_empty() || operation == name => name.clone(),
            (false, operation) => format!("{operation} > {name}"),
        };
        let end = segment["end_time"].as_f64();
        Node {
            id: text(&segment["id"]).unwrap_or_default(),
            parent: outer.or_else(|| text(&segment["parent_id"])),
            service: is_segment.then_some(name),
            said_service: text(&segment["metadata"]["span"]["service"]).map(printable),
            what,
            start: segment["start_time"].as_f64().unwrap_or_default(),
            end,
            outcome: outcome(segment, end),
        }
    }
}

/// `text` in one line, and without what a terminal would obey.
fn printable(text: String) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn url(segment: &Value) -> String {
    let request = &segment["http"]["request"];
    let texts = [&request["method"], &request["url"]].into_iter().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(" ")
}

fn outcome(segment: &Value, end: Option<f64>) -> String {
    let flags = [("fault", "FAULT"), ("throttle", "THROTTLED"), ("error", "ERROR")];
    let word = flags.into_iter().find(|(flag, _)| segment[*flag] == true).map_or("ok", |(_, word)| word);
    let word = if end.is_none() && word == "ok" { "in progress" } else { word };
    let mut outcome = word.to_owned();
    if let Some(status) = segment["http"]["response"]["status"].as_i64() {
        let _ = write!(outcome, " {status}");
    }
    let exception = &segment["cause"]["exceptions"][0];
    let told = [&exception["type"], &exception["message"]].into_iter().filter_map(Value::as_str);
    let told: String = told.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    if !told.is_empty() {
        let line: String = printable(told).chars().take(120).collect();
        let _ = write!(outcome, " ({line})");
    }
    outcome
}

/// Nodes by what is a part of what, all in the order of their beginnings.
struct Tree {
    nodes: Vec<Node>,
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
    /// Roots whose parent is not here.
    lost: HashSet<usize>,
}

impl Tree {
    fn of(nodes: Vec<Node>) -> Tree {
        let places: HashMap<&str, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
        let mut children = vec![Vec::new(); nodes.len()];
        let (mut roots, mut lost) = (Vec::new(), HashSet::new());
        for (at, node) in nodes.iter().enumerate() {
            match node.parent.as_deref().map(|parent| places.get(parent).copied()) {
                Some(Some(parent)) if parent != at => children[parent].push(at),
                Some(None) => {
                    lost.insert(at);
                    roots.push(at);
                }
                _ => roots.push(at),
            }
        }
        Tree { nodes, children, roots, lost }
    }

    fn text(&self, id: TraceId) -> String {
        let began = self.nodes.first().map_or(0.0, |node| node.start);
        let ended = self.nodes.iter().map(|node| node.end.unwrap_or(node.start)).fold(began, f64::max);
        let services: HashSet<&str> = self.nodes.iter().filter_map(|node| node.service.as_deref()).collect();
        let time = Timestamp::from_microsecond((began * 1e6).round() as i64)
            .map_or_else(|_| "?".to_owned(), |time| time.to_string());
        let mut out = format!(
            "trace {id} (W3C {})\nbegan {time}, took {}; spans: {}, services: {}\n\n{:>12} {:>12}\n",
            id.w3c(),
            milliseconds(ended - began),
            self.nodes.len(),
            services.len(),
            "begins",
            "takes"
        );
        let mut seen = vec![false; self.nodes.len()];
        // Whatever is in a circle hangs on no root.
        for root in self.roots.iter().copied().chain(0..self.nodes.len()) {
            if !seen[root] {
                self.write_below(root, began, ended - began, &mut seen, &mut out);
            }
        }
        out
    }

    fn write_below(&self, root: usize, began: f64, whole: f64, seen: &mut [bool], out: &mut String) {
        enum Line<'t> {
            Node(usize, Option<&'t str>),
            Gap(f64, f64),
        }
        let mut todo = vec![(Line::Node(root, None), String::new(), String::new())];
        while let Some((line, branch, below)) = todo.pop() {
            let (place, service) = match line {
                Line::Gap(start, end) => {
                    row(out, start - began, Some(end - start), &format!("{branch}· in no span"));
                    continue;
                }
                Line::Node(place, service) => (place, service),
            };
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            let node = &self.nodes[place];
            let said = node.said_service.as_deref().filter(|_| place == root);
            let service = node.service.as_deref().or(service).or(said);
            let who = service.filter(|_| node.service.is_some() || place == root);
            let who = who.map(|who| format!("[{who}] ")).unwrap_or_default();
            let lost = if self.lost.contains(&place) { ", its parent is not in the trace" } else { "" };
            row(
                out,
                node.start - began,
                node.end.map(|end| end - node.start),
                &format!("{branch}{who}{}  {}{lost}", node.what, node.outcome),
            );
            let children = &self.children[place];
            // Doubles are as exact as microseconds.
            let is_gap = |from: f64, to: f64| whole > 0.0 && to - from >= whole * GAP - 1e-6;
            let mut lines: Vec<Line<'_>> = Vec::new();
            let mut covered = node.start;
            for &child in children {
                let start = self.nodes[child].start;
                if is_gap(covered, start) {
                    lines.push(Line::Gap(covered, start));
                }
                covered = covered.max(self.nodes[child].end.unwrap_or(f64::INFINITY));
                lines.push(Line::Node(child, service));
            }
            if let Some(end) = node.end.filter(|end| !children.is_empty() && is_gap(covered, *end)) {
                lines.push(Line::Gap(covered, end));
            }
            let last = lines.len().saturating_sub(1);
            let numbered: Vec<_> = lines.into_iter().enumerate().collect();
            todo.extend(numbered.into_iter().rev().map(|(at, line)| {
                let (corner, bar) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                (line, format!("{below}{corner}"), format!("{below}{bar}"))
            }));
        }
    }
}

fn row(out: &mut String, begins: f64, takes: Option<f64>, what: &str) {
    let takes = takes.map_or_else(|| "?".to_owned(), milliseconds);
    let _ = writeln!(out, "{:>12} {takes:>12}  {what}", milliseconds(begins));
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{TRACE, failure, span, tags};
    use crate::traces::{Span, xray};
    use jiff::SignedDuration;
    use schema::trace::{SpanKind, SpanStatus};
    use serde_json::json;

    fn moved(span: Span, from: i64, millis: i64) -> Span {
        let start = span.start + SignedDuration::from_millis(from);
        Span { start, end: Some(start + SignedDuration::from_millis(millis)), ..span }
    }

    fn rendered(spans: &[Span]) -> String {
        let documents: Vec<String> = xray::documents(spans).into_iter().map(|document| document.json).collect();
        render(TRACE.parse().unwrap(), &documents)
    }

    #[test]
    fn defect_47_durations_are_computed_and_the_tree_shows_services_outcomes_and_gaps() {
        // Defect 47: segments have no duration.
        let mut call = moved(span(2, Some(1)), 10, 40);
        call.kind = SpanKind::Client;
        call.tags = tags(json!({"http.url": "http://contract/x", "http.status_code": 503}));
        let mut answer = moved(span(3, Some(2)), 15, 20);
        (answer.service, answer.kind, answer.status) = ("contract".to_owned(), SpanKind::Server, SpanStatus::Error);
        answer.error = Some(failure("Timeout", "rosreestr"));
        let text = rendered(&[span(1, None), call, answer, moved(span(4, Some(1)), 50, 5)]);
        assert_eq!(
            text,
            "trace 1-5759e988-bd862e3fe1be46a994272793 (W3C 5759e988bd862e3fe1be46a994272793)
began 2026-11-22T10:05:03.000125Z, took 100.000 ms; spans: 4, services: 2

      begins        takes
    0.000 ms   100.000 ms  [api] operation 1  ok
    0.000 ms    10.000 ms  ├─ · in no span
   10.000 ms    40.000 ms  ├─ operation 2 > contract  FAULT 503
   15.000 ms    20.000 ms  │  ├─ [contract] operation 3  FAULT (Timeout: rosreestr)
   35.000 ms    15.000 ms  │  └─ · in no span
   50.000 ms     5.000 ms  ├─ operation 4  ok
   55.000 ms    45.000 ms  └─ · in no span
"
        );
    }

    #[test]
    fn what_goes_on_what_is_lost_and_circles_are_shown() {
        let unfinished = Span { end: None, ..span(1, None) };
        let text = rendered(&[unfinished, span(3, Some(9)), span(5, Some(6)), span(6, Some(5))]);
        assert!(text.contains("?  [api] operation 1  in progress"), "{text}");
        assert!(text.contains("[api] operation 3  ok, its parent is not in the trace"), "{text}");
        assert_eq!(text.matches("operation ").count(), 4, "{text}");
    }

    #[test]
    fn a_long_chain_and_a_document_that_is_none_are_no_crash() {
        let chain: Vec<Span> = (1..=400).map(|at| span(at, (at > 1).then(|| at - 1))).collect();
        assert_eq!(rendered(&chain).matches("operation ").count(), 400);
        let documents = ["{".to_owned(), xray::documents(&[span(1, None)]).remove(0).json];
        let text = render(TRACE.parse().unwrap(), &documents);
        assert!(text.contains("[api] operation 1  ok") && text.ends_with("can not be read: 1\n"), "{text}");
        for odd in ["42", "{}", r#"{"id":"a","parent_id":"a"}"#, r#"{"id":7,"subsegments":{}}"#] {
            render(TRACE.parse().unwrap(), &[odd.to_owned()]);
        }
    }

    #[test]
    fn what_x_ray_infers_is_left_out_and_nothing_moves_the_cursor() {
        let segment = |id: &str, more: Value| {
            let mut segment = json!({"id": id, "name": "a\u{1b}[2J", "start_time": 1.0, "end_time": 2.0,
                "annotations": {"operation": "GET /x\n\u{1b}[2Jfake"}});
            segment.as_object_mut().unwrap().extend(tags(more));
            segment.to_string()
        };
        let documents = [segment("1", json!({})), segment("2", json!({"inferred": true, "parent_id": "1"}))];
        let text = render(TRACE.parse().unwrap(), &documents);
        assert!(text.contains("spans: 1, services: 1") && text.contains("[a [2J] GET /x  [2Jfake  ok\n"), "{text:?}");
    }
}
