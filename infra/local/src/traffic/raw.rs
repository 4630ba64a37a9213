//! Lines that are not schema v1: other loggers' JSON, and plain text.

use super::planted::{ANYWHERE, ENCODED_EMAIL, SESSION, TOKENS};
use super::postgresql;
use super::record::{Category, Level, Record};
use super::service::{Service, TASKS};
use super::stage::Stage;
use super::visit::Visit;

/// The minute in which new tasks start.
pub const DEPLOYMENT: i64 = 6 * 60;
/// Minutes between two lines with planted personal data, at any scale.
const PLANTED_EVERY: i64 = 5;
/// Minutes between secrets that only their place tells.
const IN_PLACE_EVERY: i64 = 30;

/// What the web server's other loggers write beside a page.
pub fn beside_a_page(stage: &mut Stage, visit: &Visit, endpoint: &str) {
    let text = match stage.chance.between(0, 25) {
        0 => nginx(stage, visit, endpoint),
        1 | 2 => pino(stage, visit, 30, "served from edge cache"),
        3 => pino(stage, visit, 50, "edge cache did not answer"),
        4 => zap(stage, visit),
        _ => return,
    };
    stage.text(Service::Web, visit, text);
}

fn nginx(stage: &mut Stage, visit: &Visit, endpoint: &str) -> String {
    let minute = stage.day.start.plus(stage.offset).start().strftime("%d/%b/%Y:%H:%M").to_string();
    let (host, seconds) = (stage.chance.between(1, 255), visit.at_ms / 1_000);
    format!(
        "203.0.113.{host} - - [{minute}:{seconds:02} +0000] \"GET {endpoint} HTTP/1.1\" 200 5316 \"-\" \"curl/8.5.0\""
    )
}

// Pino and Bunyan: levels are numbers, time is epoch milliseconds.
fn pino(stage: &mut Stage, visit: &Visit, level: i64, message: &str) -> String {
    let (time, host) = (stage.epoch_ms(visit), visit.task);
    format!(r#"{{"level":{level},"time":{time},"pid":17,"hostname":"web-{host}","module":"edge","msg":"{message}"}}"#)
}

// Zap: lower-case level, time in seconds with a fraction.
fn zap(stage: &mut Stage, visit: &Visit) -> String {
    let time = stage.epoch_ms(visit);
    let (seconds, millis) = (time / 1_000, time % 1_000);
    format!(r#"{{"level":"warn","ts":{seconds}.{millis:03},"logger":"proxy","msg":"client went away","bytes":2048}}"#)
}

/// Lines that come by the clock: start-up of new tasks, a traceback, personal data by mistake.
pub fn by_the_clock(stage: &mut Stage) {
    if stage.offset == DEPLOYMENT {
        start_up(stage);
    }
    if stage.offset % 120 == 75 {
        traceback(stage);
    }
    if stage.offset % PLANTED_EVERY == 2 {
        plant(stage, (stage.offset / PLANTED_EVERY) as usize);
    }
    if stage.offset % IN_PLACE_EVERY == 18 {
        plant_in_place(stage);
    }
}

fn start_up(stage: &mut Stage) {
    for service in Service::ALL {
        for task in 0..TASKS {
            let mut visit = stage.own_work(4_000 * task as i64);
            visit.task = task;
            let lines = match service {
                Service::Document => {
                    ["INFO:     Started server process [1]", "INFO:     Application startup complete."]
                }
                _ => ["starting", "listening on 0.0.0.0:8080"],
            };
            for line in lines {
                stage.text(service, &visit, line.to_owned());
                visit.wait(350);
            }
        }
    }
}

// An exception that nobody caught: several lines, one event.
fn traceback(stage: &mut Stage) {
    let visit = stage.own_work(48_000);
    let text = "Traceback (most recent call last):\n  \
                File \"/app/documents/preview.py\", line 88, in render\n    page = pdf.pages[0]\n\
                IndexError: list index out of range";
    stage.text(Service::Document, &visit, text.to_owned());
}

// Every piece of personal data in every place, one after the other.
fn plant(stage: &mut Stage, number: usize) {
    let planted = ANYWHERE[number % ANYWHERE.len()];
    let text = if TOKENS.contains(&planted) { format!("Bearer {planted}") } else { planted.to_owned() };
    let visit = stage.own_work(37_000);
    let note = |message: String| Record::new(Level::Info, Category::BusinessLogic, message);
    match number / ANYWHERE.len() % 5 {
        0 => stage.log(Service::Contract, &visit, &note(format!("Уведомление отправлено: {text}"))),
        1 => stage.log(Service::User, &visit, &note("Письмо не доставлено".to_owned()).with("recipient", text)),
        2 => stage.log(Service::Document, &visit, &note(format!("Заявитель указал контакт {text}, ждёт ответа"))),
        3 => {
            let line = pino(stage, &visit, 40, &format!("retry for {text}"));
            stage.text(Service::Web, &visit, line);
        }
        _ => postgresql::note(stage, visit.at_ms, &text),
    }
}

// What does not look like a secret: a client among a statement's parameters, a session in a field that
// is called so, an address as a URL writes it.
fn plant_in_place(stage: &mut Stage) {
    let visit = stage.own_work(39_000);
    postgresql::parameters(stage, visit.at_ms);
    let (time, host) = (stage.epoch_ms(&visit), visit.task);
    let cookies = format!(r#"["sid={SESSION}; Path=/; HttpOnly","theme=dark"]"#);
    let line = format!(
        r#"{{"level":30,"time":{time},"pid":17,"hostname":"web-{host}","set-cookie":{cookies},"msg":"session opened"}}"#
    );
    stage.text(Service::Web, &visit, line);
    let message = format!("Переход по ссылке /users?email={ENCODED_EMAIL}&from=letter");
    stage.log(Service::User, &visit, &Record::new(Level::Info, Category::BusinessLogic, message));
}
