//! A real Prometheus for a test: a process of its own on a free loopback port, which scrapes nothing and takes remote
//! write. It is looked for where it is installed, and has to be there in CI.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use local::workspace;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One Prometheus. It ends, and its data go, with this.
pub struct PrometheusServer {
    /// `None` while it is stopped.
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

/// What a query finds: values by labels, the name among them as `__name__`.
pub type Vector = BTreeMap<BTreeMap<String, String>, f64>;

impl PrometheusServer {
    /// Starts one without any data; `None` where Prometheus is not installed, which CI may not be.
    pub async fn start() -> Option<PrometheusServer> {
        if !Command::new("prometheus").arg("--version").output().is_ok_and(|output| output.status.success()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has no Prometheus");
            eprintln!("Prometheus is not installed: nothing is written to a real one");
            return None;
        }
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::SeqCst);
        let folder = workspace::scratch().join(format!("prometheus-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("prometheus.yml"), "scrape_configs: []\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut server = PrometheusServer { child: None, port, folder };
        server.start_again().await;
        Some(server)
    }

    /// Starts it with the data that it had when it was stopped, at the same address.
    pub async fn start_again(&mut self) {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", self.folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", self.folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .args(["--web.enable-remote-write-receiver", "--log.level=warn"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        for _ in 0..600 {
            if self.get("/-/ready").await.is_ok_and(|answer| answer.starts_with("HTTP/1.0 200")) {
                return;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "Prometheus ended with {ended:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Prometheus is not ready: {}", self.log());
    }

    /// Stops it, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it takes samples.
    pub fn write_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    /// What an expression is at an instant.
    ///
    /// # Panics
    ///
    /// Where it is no expression of an instant vector or a scalar, or there is no answer.
    pub async fn query(&self, expression: &str, at: Timestamp) -> Vector {
        let data = self.ask("query", &[("query", expression), ("time", &at.to_string())]).await;
        let number = |value: &Value| value[1].as_str().unwrap().parse::<f64>().unwrap();
        match data["resultType"].as_str() {
            Some("vector") => {}
            Some("scalar") => return Vector::from([(BTreeMap::new(), number(&data["result"]))]),
            _ => panic!("{expression}: {data}"),
        }
        let labels = |metric: &Value| serde_json::from_value(metric.clone()).unwrap();
        let found = data["result"].as_array().unwrap().iter();
        found.map(|series| (labels(&series["metric"]), number(&series["value"]))).collect()
    }

    /// The value of an expression that is one series.
    ///
    /// # Panics
    ///
    /// Where it is none, or several.
    pub async fn value(&self, expression: &str, at: Timestamp) -> f64 {
        let found = self.query(expression, at).await;
        assert_eq!(found.len(), 1, "{expression}: {found:?}");
        found.into_values().next().unwrap()
    }

    /// The `data` of an answer of the API.
    ///
    /// # Panics
    ///
    /// Where the answer is an error.
    pub async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let answer = self.get(&format!("/api/v1/{what}?{}", parameters.join("&"))).await.unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let mut body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(body["status"], "success", "{what} {parameters:?}: {body}");
        body["data"].take()
    }

    async fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for PrometheusServer {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
