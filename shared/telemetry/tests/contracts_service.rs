//! The example as a process: what it answers, and what it has told when it is gone.

#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use domain::logs::pipeline::Outcome;
use serde_json::{Value, json};

/// The example, which cargo builds with the tests of its package.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples/contracts_service");
    assert!(path.exists(), "run `cargo build -p telemetry --examples` first: {}", path.display());
    path
}

/// The service while it runs.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start(variables: &[(&str, &str)]) -> Service {
        let mut process = Command::new(example())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Service { process, address }
    }

    /// The status and the body that it answers with.
    fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nhost: example\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Ends its standard input, and gives all that it has told.
    fn stop(mut self) -> Vec<Value> {
        drop(self.process.stdin.take());
        let output = self.process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// Requests of each kind, and how many.
fn ask_everything(service: &Service) -> u64 {
    let caller = "x-request-id: r-42\r\nx-user-id: u-7\r\nx-forwarded-for: 6.6.6.6, 203.0.113.9\r\n\
                  traceparent: 00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01\r\n";
    let contract = |plot: &str, price: f64| json!({ "plot": plot, "price": price, "role": "seller" }).to_string();
    let requests = [
        ("POST", "/contracts?token=secret-of-the-query", caller, contract("77:01:0001:12", 2.5e6), 201),
        ("GET", "/contracts/4711?token=secret-of-the-query", "", String::new(), 200),
        ("GET", "/contracts/99999", "", String::new(), 404),
        ("POST", "/contracts", "", contract("none", 1.0), 422),
        ("POST", "/contracts", "", contract("slow", 1.0), 504),
        ("POST", "/contracts", "", contract("77:01:0001:13", 0.0), 422),
        ("POST", "/contracts/4711/sign", "x-user-id: u-7\r\n", json!({ "role": "buyer" }).to_string(), 403),
        ("POST", "/contracts/4711/sign", "x-user-id: u-8\r\n", json!({ "role": "notary" }).to_string(), 200),
        ("POST", "/contracts/4711/sign", "", json!({ "role": "notary" }).to_string(), 409),
        ("POST", "/documents", "", json!({ "type": "passport", "size_mb": 1.5 }).to_string(), 201),
        ("GET", "/report", "", String::new(), 500),
        ("GET", "/wp-login.php", "", String::new(), 404),
    ];
    for (method, target, headers, body, status) in &requests {
        assert_eq!(service.ask(method, target, headers, body).0, *status, "{method} {target}");
    }
    requests.len() as u64
}

/// What the pipeline counts of lines, by the name of the metric: derived, and brought along.
fn counted(lines: &[Value]) -> [BTreeMap<String, f64>; 2] {
    let texts: Vec<String> = lines.iter().map(Value::to_string).collect();
    let at = |line: &Value| line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let events: Vec<(i64, &str)> = lines.iter().zip(&texts).map(|(line, text)| (at(line), text.as_str())).collect();
    let event = testkit::subscription::delivery("/aws/ecs/production/contract", "stream", &events).to_string();
    let Outcome::Batch(processed) = testkit::pipeline::process(&event) else { panic!("no batch") };
    assert!(processed.quarantine.is_empty());
    let pending: Value = serde_json::from_slice(&processed.pending.unwrap().body).unwrap();
    ["minutes", "extracted"].map(|kind| {
        let minutes = pending[kind].as_object().unwrap();
        let mut sums = BTreeMap::new();
        for series in minutes.values().flat_map(|set| set.as_array().unwrap()) {
            *sums.entry(series["name"].as_str().unwrap().to_owned()).or_default() += series["sum"].as_f64().unwrap();
        }
        sums
    })
}

#[test]
fn the_example_tells_all_that_it_does() {
    let service = Service::start(&[("TRACE_SHARE", "1"), ("LOG_LEVEL", "debug")]);
    let requests = ask_everything(&service);
    let lines = service.stop();
    let text = format!("{lines:?}");
    assert!(!text.contains("secret-of-the-query") && !text.contains("not-to-be-logged"));

    // Each request is one line, with its metrics.
    let records: Vec<&Value> = lines.iter().filter(|line| line["message"] == "api call").collect();
    let inbound: Vec<&&Value> = records.iter().filter(|line| line["category"] != "external_api").collect();
    assert_eq!(inbound.len() as u64, requests);
    assert!(inbound.iter().all(|line| line["api_requests"] == 1 && line["details"]["method"] == line["method"]));
    let endpoints: BTreeSet<&str> = inbound.iter().map(|line| line["details"]["endpoint"].as_str().unwrap()).collect();
    let expected = ["/contracts", "/contracts/{id}", "/contracts/{id}/sign", "/documents", "/report", "unmatched"];
    assert_eq!(endpoints, expected.into());

    // The first one is a tree of spans below that of its caller.
    let spans: BTreeMap<&str, &Value> = lines
        .iter()
        .filter(|line| line.get("span").is_some() && line["context"]["request_id"] == "r-42")
        .map(|line| (line["message"].as_str().unwrap(), line))
        .collect();
    let parent = |name: &str| spans[name]["span"]["parent_span_id"].as_str().unwrap();
    let id = |name: &str| spans[name]["context"]["span_id"].as_str().unwrap();
    assert_eq!(spans.len(), 4, "{spans:?}");
    assert_eq!(parent("POST /contracts"), "53995c3f42cd8ad8");
    assert_eq!(parent("create_contract"), id("POST /contracts"));
    assert_eq!(parent("GET land_registry"), id("create_contract"));
    assert_eq!(parent("INSERT contracts"), id("create_contract"));
    for line in spans.values() {
        assert_eq!(line["context"]["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
    }
    assert_eq!(spans["POST /contracts"]["context"]["user_id"], "u-7");
    assert_eq!(spans["POST /contracts"]["span"]["tags"]["http.client_ip"], "203.0.113.9");

    // What failed says why, once.
    let report: Vec<&Value> = lines
        .iter()
        .filter(|line| line.get("span").is_none() && line["error"]["message"].is_string())
        .filter(|line| line["details"]["operation"] == "monthly_report")
        .collect();
    assert_eq!(report.len(), 1);
    assert_eq!(report[0]["error"]["message"], "the report could not be made: the disk is full");

    // The pipeline counts each thing once, as it was brought along.
    let [derived, extracted] = counted(&lines);
    for (name, sum) in [
        ("api_requests", requests as f64),
        ("contracts_created", 1.0),
        ("contract_value", 2.5e6),
        ("contract_creation_errors", 3.0),
        ("contracts_signed", 1.0),
        ("documents_uploaded", 1.0),
        ("external_api_calls", 3.0),
        ("operations", 5.0),
        ("active_users", 17.0),
    ] {
        assert_eq!((extracted.get(name), derived.get(name)), (Some(&sum), None), "{name}");
    }
    assert_eq!(derived["security_events"], 1.0);
    assert_eq!(derived["log_entries"], lines.len() as f64);
}

#[test]
fn what_is_not_logged_is_told_when_the_service_stops() {
    let service = Service::start(&[("LOG_LEVEL", "error"), ("TRACE_SPANS", "off")]);
    let requests = ask_everything(&service);
    let lines = service.stop();
    let [derived, extracted] = counted(&lines);
    for (name, sum) in [
        ("api_requests", requests as f64),
        ("contracts_created", 1.0),
        ("contract_creation_errors", 3.0),
        ("operations", 5.0),
    ] {
        assert_eq!((extracted.get(name), derived.get(name)), (Some(&sum), None), "{name}");
    }
}

#[test]
fn the_pipeline_counts_the_same_where_it_derives() {
    let service = Service::start(&[("METRICS_SOURCE", "derived")]);
    let requests = ask_everything(&service);
    let [derived, extracted] = counted(&service.stop());
    for (name, sum) in
        [("api_requests", requests as f64), ("contracts_created", 1.0), ("contract_creation_errors", 3.0)]
    {
        assert_eq!((extracted.get(name), derived.get(name)), (None, Some(&sum)), "{name}");
    }
    // Queries are not logged at this level, and nothing is derived from operations.
    assert!(extracted["database_query_duration"] > 0.0 && extracted["operations"] == 5.0);
}
