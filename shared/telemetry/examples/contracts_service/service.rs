//! The routes, and what is told of them beside what the layer tells.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use telemetry::business;
use telemetry::web::{self, TrustedProxies};
use telemetry::{AuditEvent, Outcome, SecurityEvent};

use crate::registry::{self, RegistryError};
use crate::store::{Contract, Store, StoreError};

/// The service: every request is observed.
pub fn router() -> Router {
    let observed = web::layer()
        .route(|extensions| extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()))
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()))
        .trusted_proxies(TrustedProxies::hops(1));
    Router::new()
        .route("/contracts", post(create))
        .route("/contracts/{id}", get(show))
        .route("/contracts/{id}/sign", post(sign))
        .route("/documents", post(upload))
        .route("/report", get(report))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(observed)
        .with_state(Arc::new(Store::default()))
}

/// Why a request can't be answered as it was meant.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry knows no such plot")]
    NoSuchPlot,
    #[error("a price is more than nothing")]
    NoPrice,
    #[error("only a notary may sign")]
    NotANotary,
    #[error("the report could not be made")]
    Report(#[source] std::io::Error),
}

impl Refusal {
    /// Why no contract was created: one of few.
    fn reason(&self) -> &'static str {
        match self {
            Refusal::Registry(_) => "registry_timeout",
            Refusal::NoSuchPlot => "unknown_plot",
            Refusal::NoPrice => "validation",
            _ => "internal",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Refusal::Store(StoreError::Missing(_)) => StatusCode::NOT_FOUND,
            Refusal::Store(StoreError::Signed(_)) => StatusCode::CONFLICT,
            Refusal::Registry(_) => StatusCode::GATEWAY_TIMEOUT,
            Refusal::NoSuchPlot | Refusal::NoPrice => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::NotANotary => StatusCode::FORBIDDEN,
            Refusal::Report(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

#[derive(Deserialize)]
struct NewContract {
    plot: String,
    price: f64,
    role: String,
}

async fn create(
    State(store): State<Arc<Store>>,
    headers: HeaderMap,
    Json(new): Json<NewContract>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let _ = identify(&headers);
    let created = telemetry::operation("create_contract").instrument(create_contract(&store, &new)).await;
    match &created {
        Ok(_) => business::track_contract_creation(new.price, &*new.role),
        Err(refusal) => business::track_contract_creation_failed(refusal.reason()),
    }
    Ok((StatusCode::CREATED, Json(json!({ "id": created? }))))
}

async fn create_contract(store: &Store, new: &NewContract) -> Result<u64, Refusal> {
    if new.price <= 0.0 {
        return Err(Refusal::NoPrice);
    }
    if registry::plot(&new.plot).await?.status == 404 {
        return Err(Refusal::NoSuchPlot);
    }
    let contract = Contract { plot: new.plot.clone(), price: new.price, opened: Instant::now(), signed: false };
    Ok(store.insert(contract)?)
}

async fn show(State(store): State<Arc<Store>>, Path(number): Path<u64>) -> Result<Json<Value>, Refusal> {
    let Contract { plot, price, signed, .. } = store.find(number)?;
    Ok(Json(json!({ "id": number, "plot": plot, "price": price, "signed": signed })))
}

#[derive(Deserialize)]
struct Signature {
    role: String,
}

async fn sign(
    State(store): State<Arc<Store>>,
    Path(number): Path<u64>,
    headers: HeaderMap,
    Json(signature): Json<Signature>,
) -> Result<Json<Value>, Refusal> {
    let user = identify(&headers);
    let object = format!("contract/{number}");
    let audit = |outcome| {
        let actor = user.as_deref().unwrap_or("unknown");
        telemetry::log_audit_event(&AuditEvent { actor, action: "contract.sign", object: &object, outcome });
    };
    if signature.role != "notary" {
        telemetry::log_security_event(&SecurityEvent { event_type: "permission_denied", ..SecurityEvent::default() });
        audit(Outcome::Denied);
        return Err(Refusal::NotANotary);
    }
    let contract = store.sign(number).inspect_err(|_| audit(Outcome::Failure))?;
    business::track_contract_signing(contract.opened.elapsed(), &*signature.role);
    audit(Outcome::Success);
    Ok(Json(json!({ "id": number, "signed": true })))
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    size_mb: f64,
}

async fn upload(Json(document): Json<Document>) -> StatusCode {
    business::track_document_upload(document.size_mb, &document.kind);
    StatusCode::CREATED
}

/// Fails, always: to see what is told of it.
async fn report() -> Result<StatusCode, Refusal> {
    telemetry::operation("monthly_report").run(|| Err(Refusal::Report(std::io::Error::other("the disk is full"))))
}

/// Takes the user for the request's scope, as after a log-in.
fn identify(headers: &HeaderMap) -> Option<String> {
    let user = headers.get("x-user-id")?.to_str().ok()?;
    telemetry::scope::set_user(user);
    Some(user.to_owned())
}
