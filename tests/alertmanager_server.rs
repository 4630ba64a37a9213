//! A real Alertmanager for a test: a process of its own on a free loopback port, and a webhook on another one that keeps
//! what it is told. It is looked for where it is installed, and has to be there in CI.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local::workspace;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Whether a program is installed, which in CI it has to be.
pub fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has no {program}");
        eprintln!("{program} is not installed: nothing is compared with it");
    }
    found
}

/// A webhook, and what it was sent, in order.
pub struct Webhook {
    /// Where it listens.
    pub url: String,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Listens on a free port for as long as the runtime lives.
    pub async fn start() -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    if let Ok(body) = take(stream).await {
                        kept.lock().unwrap().push(body);
                    }
                });
            }
        });
        Webhook { url, told }
    }

    /// What it was sent so far.
    pub fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }
}

/// Takes one request, and answers that all is well.
async fn take(mut stream: TcpStream) -> std::io::Result<Value> {
    let mut request = Vec::new();
    let body_at = loop {
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&request[..body_at]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
    let length: usize = length.trim().parse().map_err(std::io::Error::other)?;
    while request.len() < body_at + length {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    // It is kept only where the sender is sure of it, and the other way round.
    let body = serde_json::from_slice(&request[body_at..body_at + length]).map_err(std::io::Error::other)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
    Ok(body)
}

/// One Alertmanager. It ends, and its data go, with this.
pub struct Alertmanager {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Alertmanager {
    /// Starts one with a configuration.
    pub async fn start(config: &str) -> Alertmanager {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let folder = workspace::scratch().join(format!("alertmanager-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("alertmanager.yml");
        fs::write(&file, config).unwrap();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--cluster.listen-address=", "--log.level=warn"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut server = Alertmanager { child, port, folder };
        for _ in 0..600 {
            if server.ask("GET", "/-/ready", "").await.is_ok_and(|answer| answer.starts_with("HTTP/1.0 200")) {
                return server;
            }
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "Alertmanager ended with {ended:?}: {}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Alertmanager is not ready: {}", server.log());
    }

    /// Posts to its API.
    ///
    /// # Panics
    ///
    /// Where it does not take it.
    pub async fn post(&self, path: &str, body: &Value) {
        let answer = self.ask("POST", path, &body.to_string()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{path} {body}: {answer} {}", self.log());
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
