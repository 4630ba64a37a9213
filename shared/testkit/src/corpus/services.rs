//! What services write: requests answered, queries, calls to the outside, business events, durations,
//! security events, errors with their tracebacks; in Russian and in English. And, by mistake, personal
//! data.

use std::fmt::Write as _;

use super::chance::Chance;
use super::envelope::Text;
use super::personal::Kind;
use super::{Clock, Line};

/// The services.
pub(super) const NAMES: [&str; 4] = ["api", "contract", "user", "web"];

const ROLES: [&str; 4] = ["buyer", "seller", "agent", "notary"];
const REGIONS: [&str; 4] = ["tver", "kaluga", "ryazan", "Тверская область"];
const TABLES: [&str; 5] = ["contracts", "parcels", "users", "sessions", "payments"];
const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "okhttp/4.12.0",
];
const DOCUMENTS: [(&str, &str); 3] =
    [("passport_scan", "скан паспорта"), ("cadastral_extract", "выписка ЕГРН"), ("power_of_attorney", "доверенность")];

/// A traceback and what it is of.
const FAILURES: [(&str, &str, &str); 4] = [
    (
        "RegistryTimeout",
        "rosreestr did not answer in 500 ms",
        "at RegistryClient.encumbrances (src/registry.rs:112)\nat Contracts.check_parcel (src/contracts.rs:57)\n\
         at Contracts.create (src/contracts.rs:31)\nat Router.answer (src/router.rs:41)",
    ),
    (
        "DuplicateContract",
        "договор на этот участок уже есть",
        "at Contracts.insert (src/contracts.rs:74)\nat Contracts.create (src/contracts.rs:39)",
    ),
    (
        "IndexError",
        "в документе нет страниц",
        "Traceback (most recent call last):\n  File \"/app/documents/preview.py\", line 88, in render\n    \
         page = pdf.pages[0]\n           ~~~~~~~~~^^^\nIndexError: в документе нет страниц\n",
    ),
    (
        "UpstreamUnavailable",
        "no connection to upstream within 50 ms",
        "at Upstream.connect (src/upstream.rs:88)\nat Pool.take (src/pool.rs:203)\nat Router.answer (src/router.rs:41)",
    ),
];

/// The lines of one request, from the first query to the answer.
pub(super) fn visit(chance: &mut Chance, service: &'static str, clock: &mut Clock) -> Vec<Line> {
    let mut visit = Visit::begin(chance, service, clock);
    let mut lines = Vec::new();
    for _ in 0..visit.chance.between(1, 4) {
        lines.push(Line::plain(visit.step()));
    }
    if visit.chance.one_in(10) {
        lines.push(visit.slip());
    }
    lines.push(Line::plain(visit.answer()));
    lines
}

/// A request that is being answered.
struct Visit<'a> {
    chance: &'a mut Chance,
    clock: &'a mut Clock,
    context: String,
}

/// A record that is being written: a JSON object without its end.
struct Record(String);

impl Record {
    fn with(mut self, name: &str, value: impl std::fmt::Display) -> Record {
        let comma = if self.0.ends_with('{') { "" } else { "," };
        write!(self.0, r#"{comma}"{name}":{value}"#).expect("a String takes any text");
        self
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn object() -> Record {
    Record("{".to_owned())
}

impl<'a> Visit<'a> {
    fn begin(chance: &'a mut Chance, service: &str, clock: &'a mut Clock) -> Visit<'a> {
        clock.pass(chance.between(0, 30));
        let mut context = object().with("request_id", Text(&chance.uuid()));
        if chance.one_in(2) {
            context = context.with("user_id", format_args!("\"user-{}\"", chance.between(1_000, 60_000)));
            context = context.with("session_id", format_args!("\"s-{:012x}\"", chance.next() >> 16));
        }
        context = context
            .with("service_name", Text(service))
            .with("environment", Text("production"))
            .with("version", Text("2026.11.3"));
        // A service's own work has no trace.
        if !chance.one_in(4) {
            let trace = format!("1-{:08x}-{:016x}{:08x}", clock.millis / 1_000, chance.next(), chance.next() >> 32);
            context = context.with("trace_id", Text(&trace));
            context = context.with("span_id", format_args!("\"{:016x}\"", chance.next()));
        }
        let context = context.close();
        Visit { chance, clock, context }
    }

    /// A line: `ending` has `details`, `error` and `duration_ms`.
    fn line(&mut self, level: &str, category: &str, message: &str, ending: impl FnOnce(Record) -> Record) -> String {
        self.clock.pass(self.chance.between(0, 9));
        let record = object()
            .with("timestamp", Text(&self.clock.stamp("%Y-%m-%dT%H:%M:%S.%3fZ")))
            .with("level", Text(level))
            .with("category", Text(category))
            .with("message", Text(message))
            .with("context", &self.context);
        ending(record).close()
    }

    /// A line on the way to the answer.
    fn step(&mut self) -> String {
        match self.chance.between(0, 100) {
            0..35 => self.query(),
            35..50 => self.external_call(),
            50..66 => self.business_event(),
            66..86 => self.operation(),
            86..92 => self.security_event(),
            92..94 => self.failure(),
            _ => self.resources(),
        }
    }

    fn answer(&mut self) -> String {
        let (method, endpoint) = match self.chance.between(0, 6) {
            0 => ("POST", "/contracts".to_owned()),
            1 => ("POST", format!("/contracts/{}/sign", self.chance.between(1_000, 9_999))),
            2 => ("GET", format!("/parcels?region={}", self.chance.pick(&REGIONS))),
            3 => ("GET", format!("/documents/{}", self.chance.uuid())),
            4 => ("GET", format!("/lots?page={}", self.chance.between(1, 30))),
            _ => ("GET", format!("/contracts/{}", self.chance.between(1_000, 9_999))),
        };
        let (level, status) = match self.chance.between(0, 100) {
            0 => ("ERROR", 503),
            1..5 => ("WARNING", 404),
            _ => ("INFO", 200),
        };
        let duration = self.chance.duration();
        let details = object()
            .with("method", Text(method))
            .with("endpoint", Text(&endpoint))
            .with("status_code", status)
            .with("bytes", self.chance.between(120, 90_000));
        self.line(level, "system", "Request answered", |record| {
            record.with("details", details.close()).with("duration_ms", duration)
        })
    }

    fn query(&mut self) -> String {
        let query_type = self.chance.pick(&["SELECT", "SELECT", "SELECT", "INSERT", "UPDATE"]);
        let table = self.chance.pick(&TABLES);
        let duration = self.chance.duration();
        let details = object()
            .with("query_type", Text(query_type))
            .with("table", Text(table))
            .with("rows_affected", self.chance.between(0, 40));
        self.line("DEBUG", "database", &format!("Database query: {query_type} on {table}"), |record| {
            record.with("details", details.close()).with("duration_ms", duration)
        })
    }

    fn external_call(&mut self) -> String {
        let (name, endpoint) = match self.chance.between(0, 3) {
            0 => ("rosreestr", format!("/v1/parcels/{}/encumbrances", self.chance.between(10_000, 99_999))),
            1 => ("payment-gateway", "/v2/charges".to_owned()),
            _ => ("e-signature", "/signatures".to_owned()),
        };
        let (level, status) = if self.chance.one_in(40) { ("WARNING", 504) } else { ("INFO", 200) };
        let duration = self.chance.duration();
        let details = object()
            .with("service", Text(name))
            .with("endpoint", Text(&endpoint))
            .with("method", Text("POST"))
            .with("status_code", status)
            .with("attempt", self.chance.between(1, 3));
        self.line(level, "external_api", "External call answered", |record| {
            record.with("details", details.close()).with("duration_ms", duration)
        })
    }

    fn business_event(&mut self) -> String {
        let role = self.chance.pick(&ROLES);
        let number = self.chance.between(1_000, 9_999);
        let (message, details) = match self.chance.between(0, 6) {
            0 => (
                format!("Договор № {number} создан"),
                object()
                    .with("event", Text("contract_created"))
                    .with("user_role", Text(role))
                    .with("contract_value", self.chance.hundredths(300_000, 9_000_000))
                    .with("parcel", format_args!("\"69:10:{:07}:{}\"", self.chance.between(1, 900_000), number % 97)),
            ),
            1 => (
                "Договор подписан".to_owned(),
                object()
                    .with("event", Text("contract_signed"))
                    .with("user_role", Text(role))
                    .with("signing_duration_ms", self.chance.between(30_000, 900_000)),
            ),
            2 => {
                let (kind, name) = self.chance.pick(&DOCUMENTS);
                let details = object()
                    .with("event", Text("document_uploaded"))
                    .with("document_type", Text(kind))
                    .with("file_size_mb", self.chance.hundredths(1, 18))
                    .with("document_id", Text(&self.chance.uuid()));
                (format!("Документ загружен: {name}"), details)
            }
            3 => (
                "User registered".to_owned(),
                object().with("event", Text("user_registered")).with("user_role", Text(role)),
            ),
            4 => (
                "Session ended".to_owned(),
                object()
                    .with("event", Text("session_ended"))
                    .with("session_duration_minutes", self.chance.hundredths(1, 55)),
            ),
            _ => ("Заявка принята в работу, ответ ожидается до конца дня".to_owned(), self.application()),
        };
        self.line("INFO", "business_logic", &message, |record| record.with("details", details.close()))
    }

    /// Details that have more in them than most: arrays, and objects in objects.
    fn application(&mut self) -> Record {
        let party = |role: &str, id: u64, share: &str| {
            object().with("role", Text(role)).with("user_id", id).with("share", Text(share)).close()
        };
        let (seller, buyer) = (self.chance.between(1_000, 60_000), self.chance.between(1_000, 60_000));
        object()
            .with("event", Text("application_accepted"))
            .with("parties", format_args!("[{},{}]", party("seller", seller, "1/2"), party("buyer", buyer, "1/1")))
            .with("flags", r#"["urgent",null,true]"#)
            .with("price", r#"{"amount":2500000.5,"currency":"RUB","paid":false}"#)
            .with("comment", Text("со слов заявителя: \"всё верно\"\nпроверить площадь"))
    }

    fn operation(&mut self) -> String {
        let operation = self.chance.pick(&["render_preview", "check_encumbrances", "sign_hash", "build_index"]);
        let duration = self.chance.duration();
        let details = object().with("operation", Text(operation)).with("cache_hit", self.chance.one_in(2));
        self.line("INFO", "performance", &format!("Operation: {operation}"), |record| {
            record.with("details", details.close()).with("duration_ms", duration)
        })
    }

    fn security_event(&mut self) -> String {
        let (level, event_type) =
            self.chance.pick(&[("WARNING", "login_failed"), ("INFO", "login_succeeded"), ("INFO", "password_changed")]);
        let address = format!("203.0.113.{}", self.chance.between(1, 255));
        let browser = self.chance.pick(&BROWSERS);
        let details = object()
            .with("event_type", Text(event_type))
            .with("ip_address", Text(&address))
            .with("user_agent", Text(browser));
        self.line(level, "security", &format!("Security event: {event_type}"), |record| {
            record.with("details", details.close())
        })
    }

    fn failure(&mut self) -> String {
        let (kind, message, traceback) = self.chance.pick(&FAILURES);
        let details = object()
            .with("event", Text("contract_creation_failed"))
            .with("user_role", Text(self.chance.pick(&ROLES)))
            .with("reason", Text(self.chance.pick(&["registry_timeout", "duplicate_contract"])));
        let error = object().with("type", Text(kind)).with("message", Text(message)).with("traceback", Text(traceback));
        self.line("ERROR", "business_logic", "Договор не создан", |record| {
            record.with("details", details.close()).with("error", error.close())
        })
    }

    fn resources(&mut self) -> String {
        let details = object()
            .with("cpu_usage", self.chance.hundredths(5, 70))
            .with("memory_usage", self.chance.hundredths(40, 70))
            .with("disk_usage", 44.25)
            .with("active_users", self.chance.between(10, 400));
        self.line("INFO", "system", "Resource usage", |record| record.with("details", details.close()))
    }

    /// A line with something in it that should not be logged: in the message, in a field, or in a text
    /// with line breaks.
    fn slip(&mut self) -> Line {
        let kind = self.chance.pick(&Kind::OF_SERVICES);
        let planted = kind.draw(self.chance);
        let said = format!("{}{}", kind.introduced(self.chance.one_in(2)), planted.text);
        let text = match self.chance.between(0, 3) {
            0 => self.line("INFO", "business_logic", &said, |record| record),
            1 => {
                let details = object().with("attempt", 2).with(kind.field(), Text(&planted.text));
                let message = "Уведомление поставлено в очередь";
                self.line("INFO", "business_logic", message, |record| record.with("details", details.close()))
            }
            _ => {
                let error = object()
                    .with("type", Text("ValidationError"))
                    .with("message", Text("заявка отклонена"))
                    .with("traceback", Text(&format!("at Forms.check (src/forms.rs:19)\n{said}\nat Router.answer")));
                self.line("ERROR", "system", "Validation failed", |record| record.with("error", error.close()))
            }
        };
        Line { text, planted: Some(planted) }
    }
}
