//! A service with everything that it tells: run it, ask it, and read its lines on standard output.
//!
//! ```sh
//! PORT=8080 cargo run -p telemetry --example contracts_service
//! curl -d '{"plot":"77:01:0001:12","price":2500000,"role":"seller"}' -H 'content-type: application/json' localhost:8080/contracts
//! ```
//!
//! It stops when standard input ends, on Ctrl-C and on SIGTERM: then it answers what it has begun, and writes what is
//! still to be told. `LOG_LEVEL=debug` shows its queries, `TRACE_SHARE=1` every trace; `telemetry::Settings` has the
//! other variables.

mod registry;
mod service;
mod store;

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = telemetry::Settings::from_lookup(|name| {
        let default = match name {
            "SERVICE_NAME" => Some("contract"),
            "ENVIRONMENT" => Some("development"),
            _ => None,
        };
        std::env::var(name).ok().or_else(|| default.map(str::to_owned))
    })?;
    let _guard = telemetry::init(settings)?;

    let port = match std::env::var("PORT") {
        Ok(port) => port.parse().with_context(|| format!("PORT `{port}` is no port"))?,
        Err(_) => 0,
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("could not listen")?;
    eprintln!("listening on {}", listener.local_addr()?);

    let figures = tokio::spawn(tell_figures());
    let app = service::router().into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    figures.abort();
    tracing::info!("stopped");
    Ok(())
}

/// What the service uses of its machine, every minute. The figures are made up.
async fn tell_figures() {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        minute.tick().await;
        telemetry::business::track_system_resources(12.5, 40.0, 61.0);
        telemetry::business::track_business_kpi(17, 4, 3.5);
    }
}

/// Ends when the service is to stop.
async fn stopped() {
    let (sender, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever is written to it: what counts is that it ends.
        let mut buffer = [0; 256];
        while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
        let _ = sender.send(());
    });
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            // Then it is stopped in the other ways.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = ended => {}
        _ = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
