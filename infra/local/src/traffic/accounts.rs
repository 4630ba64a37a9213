//! Accounts: registration, login, and someone who tries passwords.

use serde_json::json;

use super::calls::{answer, business, query};
use super::planted::EMAILS;
use super::record::{Category, Level, Record};
use super::service::Service;
use super::stage::Stage;
use super::visit::Visit;

const ROLES: [&str; 4] = ["buyer", "seller", "agent", "notary"];
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0";
/// Where the attacker sits.
const ATTACKER: &str = "203.0.113.66";
/// Failed logins in a minute, the attacker's left out: five minutes never add up to an alert.
const FAILED_LOGINS_A_MINUTE: usize = 2;

/// Someone registers.
pub fn register(stage: &mut Stage) {
    let mut visit = stage.visit();
    query(stage, &mut visit, Service::User, ("INSERT", "users"), 7.5);
    let detail = json!({ "user_role": stage.chance.pick(&ROLES), "email": EMAILS[0] });
    stage.publish(Service::User, &visit, "UserRegistered", detail);
    stage.count("user_registrations");
    let duration = stage.chance.hundredths(90.0, 260.0);
    answer(stage, &mut visit, Service::User, ("POST", "/users".to_owned()), 201, duration);
}

/// Someone logs in, or mistypes the password.
pub fn log_in(stage: &mut Stage) {
    let mut visit = stage.visit();
    query(stage, &mut visit, Service::User, ("SELECT", "users"), 3.25);
    let address = format!("198.51.100.{}", stage.chance.between(1, 255));
    let failed = stage.failed_logins < FAILED_LOGINS_A_MINUTE && stage.chance.happens(0.08);
    if failed {
        stage.failed_logins += 1;
        let record = event(Level::Warning, "login_failed", address, BROWSER).with("login", stage.chance.pick(&EMAILS));
        stage.log(Service::User, &visit, &record);
    } else {
        stage.log(Service::User, &visit, &event(Level::Info, "login_succeeded", address, BROWSER));
    }
    stage.count("security_events");
    log_in_answer(stage, &mut visit, if failed { 401 } else { 200 });
}

/// One of the attacker's tries.
pub fn attack(stage: &mut Stage) {
    let mut visit = stage.visit();
    let record = event(Level::Warning, "login_failed", ATTACKER.to_owned(), "python-requests/2.32");
    stage.log(Service::User, &visit, &record);
    stage.count("security_events");
    log_in_answer(stage, &mut visit, 401);
}

/// Someone opens the account page, and now and then changes the password there.
pub fn open_account(stage: &mut Stage) {
    let mut visit = stage.visit();
    let user = visit.user.unwrap_or_default();
    let duration = stage.chance.hundredths(15.0, 120.0);
    query(stage, &mut visit, Service::User, ("SELECT", "users"), duration / 3.0);
    answer(stage, &mut visit, Service::User, ("GET", format!("/users/{user}")), 200, duration);
    if stage.chance.happens(0.03) {
        let address = format!("192.0.2.{}", stage.chance.between(1, 255));
        stage.log(Service::User, &visit, &event(Level::Info, "password_changed", address, BROWSER));
        stage.count("security_events");
        answer(stage, &mut visit, Service::User, ("PUT", format!("/users/{user}/password")), 204, 140.5);
    }
}

/// A session ends.
pub fn leave(stage: &mut Stage) {
    let mut visit = stage.visit();
    let minutes = stage.chance.hundredths(1.0, 55.0);
    let record = business("Session ended", "session_ended").with("session_duration_minutes", minutes);
    stage.log(Service::User, &visit, &record);
    answer(stage, &mut visit, Service::User, ("POST", "/auth/logout".to_owned()), 204, 11.5);
}

fn log_in_answer(stage: &mut Stage, visit: &mut Visit, status: i64) {
    let duration = stage.chance.hundredths(70.0, 240.0);
    answer(stage, visit, Service::User, ("POST", "/auth/login".to_owned()), status, duration);
}

fn event(level: Level, event_type: &'static str, ip_address: String, user_agent: &'static str) -> Record {
    Record::new(level, Category::Security, format!("Security event: {event_type}"))
        .with("event_type", event_type)
        .with("ip_address", ip_address)
        .with("user_agent", user_agent)
}
