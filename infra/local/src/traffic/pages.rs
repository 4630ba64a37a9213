//! Visits to pages and to the public API.

use super::calls::{answer, call, query};
use super::incidents::{API_ERRORS, SLOW_API};
use super::planted::EMAILS;
use super::raw;
use super::record::{Category, Level, Record};
use super::schedule::Plan;
use super::service::Service;
use super::stage::Stage;

const REGIONS: [&str; 4] = ["tver", "kaluga", "ryazan", "Тверская область"];

/// Someone looks at a page.
pub fn browse(stage: &mut Stage) {
    let mut visit = stage.visit();
    let endpoint = match stage.chance.between(0, 5) {
        0 => "/".to_owned(),
        1 => format!("/lots?page={}", stage.chance.between(1, 30)),
        2 => format!("/shared/{}", stage.chance.uuid()),
        _ => format!("/lots/{}", stage.chance.between(100, 9_999)),
    };
    let status = if stage.chance.happens(0.02) { 404 } else { 200 };
    let duration = stage.chance.hundredths(8.0, 180.0);
    raw::beside_a_page(stage, &visit, &endpoint);
    answer(stage, &mut visit, Service::Web, ("GET", endpoint), status, duration);
}

/// Someone searches parcels.
pub fn search(stage: &mut Stage, plan: &Plan) {
    let mut visit = stage.visit();
    let endpoint = match stage.chance.between(0, 40) {
        0 => format!("/parcels?owner={}", stage.chance.pick(&EMAILS)),
        1..8 => format!("/parcels?cadastral=69:10:{:07}:{}", stage.chance.between(1, 900), stage.chance.between(1, 99)),
        _ => format!("/parcels?region={}", stage.chance.pick(&REGIONS)),
    };
    api(stage, &mut visit, ("GET", endpoint), "parcels", plan);
}

/// Someone opens a contract.
pub fn view_contract(stage: &mut Stage, plan: &Plan) {
    let mut visit = stage.visit();
    let contract = stage.chance.between(1_000, 9_999);
    let endpoint = format!("/contracts/{contract}");
    // Where the API is slow or fails, pages show a copy: the incident stays where it is.
    if api(stage, &mut visit, ("GET", endpoint.clone()), "permissions", plan) {
        let duration = stage.chance.hundredths(4.0, 60.0);
        query(stage, &mut visit, Service::Contract, ("SELECT", "contracts"), duration);
        answer(stage, &mut visit, Service::Contract, ("GET", endpoint.clone()), 200, duration + 6.5);
    } else {
        let record =
            Record::new(Level::Warning, Category::System, "Showing a cached contract").with("contract", contract);
        stage.log(Service::Web, &visit, &record);
    }
    let duration = stage.chance.hundredths(60.0, 320.0);
    answer(stage, &mut visit, Service::Web, ("GET", endpoint), 200, duration);
}

/// Someone pays a fee.
pub fn pay(stage: &mut Stage, plan: &Plan) {
    let mut visit = stage.visit();
    if api(stage, &mut visit, ("POST", "/payments".to_owned()), "payments", plan) {
        let duration = stage.chance.hundredths(90.0, 420.0);
        call(stage, &mut visit, Service::Api, ("payment-gateway", "/v2/charges".to_owned()), 200, duration);
    }
}

/// What the API does with one request.
enum Fate {
    Fine,
    Refused(i64),
    Slow(f64),
    Failed(i64),
}

// The API answers; whether in time and well.
fn api(
    stage: &mut Stage,
    visit: &mut super::visit::Visit,
    request: (&'static str, String),
    table: &'static str,
    plan: &Plan,
) -> bool {
    let fate = fate(stage, plan);
    stage.api_answers += 1;
    let query_type = if request.0 == "POST" { "INSERT" } else { "SELECT" };
    let quick = stage.chance.hundredths(2.0, 90.0);
    match fate {
        Fate::Fine => {
            query(stage, visit, Service::Api, (query_type, table), quick);
            let duration = quick + stage.chance.hundredths(5.0, 240.0);
            answer(stage, visit, Service::Api, request, 200, duration);
            true
        }
        Fate::Slow(duration) => {
            query(stage, visit, Service::Api, (query_type, table), duration);
            answer(stage, visit, Service::Api, request, 200, duration + 12.25);
            false
        }
        Fate::Refused(status) | Fate::Failed(status) => {
            answer(stage, visit, Service::Api, request, status, quick);
            false
        }
    }
}

// By the order of requests in the minute, not by chance, so that shares hold in every window.
fn fate(stage: &mut Stage, plan: &Plan) -> Fate {
    let index = stage.api_answers;
    if API_ERRORS.covers(stage.offset) {
        return if index.is_multiple_of(2) { Fate::Failed(stage.chance.pick(&[500, 502, 503])) } else { Fate::Fine };
    }
    if SLOW_API.covers(stage.offset) {
        return if index.is_multiple_of(4) {
            Fate::Fine
        } else {
            Fate::Slow(stage.chance.hundredths(6_000.0, 8_900.0))
        };
    }
    match index {
        2 if plan.stray_error => Fate::Failed(stage.chance.pick(&[500, 503])),
        5 if plan.stray_delay => Fate::Slow(stage.chance.hundredths(1_000.0, 3_000.0)),
        _ if stage.chance.happens(0.025) => Fate::Refused(stage.chance.pick(&[400, 404, 404, 429])),
        _ => Fate::Fine,
    }
}
