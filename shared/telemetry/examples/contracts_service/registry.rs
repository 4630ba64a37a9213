//! The land registry, a service outside of the platform. Made up: it answers after a while, by the number of the plot.

use std::time::Duration;

/// Why a plot is not known.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It took too long.
    #[error("the registry did not answer")]
    NoAnswer(#[from] tokio::time::error::Elapsed),
}

/// What the registry answers.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
}

/// Asks for a plot. Waits for the answer half a second at most.
pub async fn plot(number: &str) -> Result<Answer, RegistryError> {
    let target = format!("https://registry.example/v1/plots/{number}?key=not-to-be-logged");
    let call = async {
        let mut headers = Vec::new();
        // What a client would send along.
        telemetry::trace::inject(|name, value| headers.push((name, value)));
        Ok(tokio::time::timeout(Duration::from_millis(500), answer(number)).await?)
    };
    telemetry::external_call("land_registry", "GET", &target).instrument(call, |answer: &Answer| answer.status).await
}

/// As the registry would answer: `slow` plots late, `none` not at all.
async fn answer(number: &str) -> Answer {
    let (wait, status) = match number {
        "slow" => (Duration::from_secs(5), 200),
        "none" => (Duration::from_millis(2), 404),
        _ => (Duration::from_millis(2), 200),
    };
    tokio::time::sleep(wait).await;
    Answer { status }
}
