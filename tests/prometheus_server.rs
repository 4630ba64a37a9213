//! A real Prometheus on loopback, for as long as a [`PrometheusServer`] lives. It is looked for where it is installed
//! (`apt-get install prometheus`), and has to be there in CI.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use local::workspace;
use serde_json::Value;

/// A Prometheus that scrapes nothing and takes what is written to it.
pub struct PrometheusServer {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl PrometheusServer {
    /// Starts one with an empty store; `name` is that of its folder. None where it is not installed.
    pub fn start(name: &str) -> Option<PrometheusServer> {
        let works = Command::new("prometheus").arg("--version").output().is_ok_and(|output| output.status.success());
        if !works {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has no Prometheus");
            eprintln!("Prometheus is not installed: nothing is asked of it");
            return None;
        }
        let folder = workspace::scratch().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        fs::write(&config, "{}\n").unwrap();
        // Free a moment ago; whoever takes it meanwhile makes the start fail, and not the test say something else.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("Server is ready to receive web requests") {
            let end = log.read_line(&mut said).unwrap() == 0;
            assert!(!end, "Prometheus did not start: {said}");
        }
        // Read on, or it would block on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(PrometheusServer { process, address, folder })
    }

    /// Where samples are written to.
    pub fn write_url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// The data of an answer of its API, or what it says is wrong.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // HTTP/1.0: the answer ends where the connection does.
        write!(stream, "GET /api/v1/{path}?{} HTTP/1.0\r\n\r\n", query.join("&")).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let mut answer: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for PrometheusServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
