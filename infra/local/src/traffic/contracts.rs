//! Contracts: created, signed, and what comes of it when the registry does not answer.

use super::calls::{answer, business, call, query};
use super::incidents::REGISTRY_OUTAGE;
use super::postgresql;
use super::record::{Category, Failure, Level, Record};
use super::service::Service;
use super::stage::Stage;
use super::visit::Visit;

const ROLES: [&str; 3] = ["buyer", "seller", "agent"];

const REGISTRY_TIMEOUT: Failure = Failure {
    kind: "RegistryTimeout",
    message: "rosreestr did not answer in 500 ms",
    traceback: "at RegistryClient.encumbrances (src/registry.rs:112)\n\
                at Contracts.check_parcel (src/contracts.rs:57)\n\
                at Contracts.create (src/contracts.rs:31)",
};

const DUPLICATE: Failure = Failure {
    kind: "DuplicateContract",
    message: "договор на этот участок уже есть",
    traceback: "at Contracts.insert (src/contracts.rs:74)\nat Contracts.create (src/contracts.rs:39)",
};

/// A contract is created.
pub fn create(stage: &mut Stage) {
    let mut visit = stage.visit();
    let role = stage.chance.pick(&ROLES);
    ask_registry(stage, &mut visit, 200);
    query(stage, &mut visit, Service::Contract, ("INSERT", "contracts"), 8.5);
    let value = stage.chance.hundredths(300_000.0, 9_000_000.0);
    let contract = stage.chance.between(1_000, 9_999);
    let record = business(format!("Договор № {contract} создан"), "contract_created")
        .with("user_role", role)
        .with("contract_value", value);
    stage.log(Service::Contract, &visit, &record);
    stage.count("contracts_created");
    reply(stage, &mut visit, 201);
}

/// A contract can't be created: the registry is down, or the parcel has a contract already.
pub fn fail_to_create(stage: &mut Stage) {
    let mut visit = stage.visit();
    let role = stage.chance.pick(&ROLES);
    let outage = REGISTRY_OUTAGE.covers(stage.offset);
    let (reason, failure, status) =
        if outage { ("registry_timeout", REGISTRY_TIMEOUT, 424) } else { ("duplicate_contract", DUPLICATE, 409) };
    ask_registry(stage, &mut visit, if outage { 504 } else { 200 });
    if !outage {
        postgresql::duplicate_key(stage, visit.at_ms, "contracts");
    }
    let record = Record::new(Level::Error, Category::BusinessLogic, "Contract creation failed")
        .with("event", "contract_creation_failed")
        .with("user_role", role)
        .with("reason", reason)
        .because(failure);
    stage.log(Service::Contract, &visit, &record);
    stage.count("contract_creation_errors");
    reply(stage, &mut visit, status);
}

/// A contract is signed.
pub fn sign(stage: &mut Stage) {
    let mut visit = stage.visit();
    let endpoint = format!("/contracts/{}/sign", stage.chance.between(1_000, 9_999));
    let duration = stage.chance.hundredths(60.0, 300.0);
    call(stage, &mut visit, Service::Contract, ("e-signature", "/signatures".to_owned()), 201, duration);
    query(stage, &mut visit, Service::Contract, ("UPDATE", "contracts"), 6.25);
    let record = business("Договор подписан", "contract_signed")
        .with("user_role", stage.chance.pick(&ROLES))
        .with("signing_duration_ms", stage.chance.between(30_000, 900_000));
    stage.log(Service::Contract, &visit, &record);
    stage.count("contracts_signed");
    answer(stage, &mut visit, Service::Contract, ("POST", endpoint), 200, duration + 15.5);
}

fn ask_registry(stage: &mut Stage, visit: &mut Visit, status: i64) {
    let duration = if status == 504 { 500.0 } else { stage.chance.hundredths(120.0, 380.0) };
    let endpoint = format!("/v1/parcels/{}/encumbrances", stage.chance.between(10_000, 99_999));
    call(stage, visit, Service::Contract, ("rosreestr", endpoint), status, duration);
}

// A failed creation is the caller's to repeat, not a server error: the error rate stays calm.
fn reply(stage: &mut Stage, visit: &mut Visit, status: i64) {
    let duration = stage.chance.hundredths(510.0, 620.0);
    answer(stage, visit, Service::Contract, ("POST", "/contracts".to_owned()), status, duration);
    answer(stage, visit, Service::Web, ("POST", "/contracts".to_owned()), status, duration + 30.0);
}
