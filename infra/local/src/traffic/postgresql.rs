//! The database's server log, with the short prefix of RDS: `%t:%r:%u@%d:[%p]:`.

use super::planted::{EMAILS, PARAMETERS};
use super::schedule::activity;
use super::stage::Stage;
use super::visit::Visit;

/// A process without a client: `%r`, `%u` and `%d` are empty.
const CHECKPOINTER: &str = ":@:[379]";
const AUTOVACUUM: &str = ":@:[382]";

/// A statement with its duration.
pub fn statement(stage: &mut Stage, visit: &Visit, query: (&str, &str), duration_ms: f64) {
    let who = client(stage);
    let (query_type, table) = query;
    if stage.chance.happens(0.15) {
        // A prepared statement keeps its values in a second line.
        let text = sql(query_type, table, "$1");
        stage.database(visit.at_ms, &who, &format!("LOG:  duration: {duration_ms:.3} ms  execute <unnamed>: {text}"));
        let id = stage.chance.between(1_000, 9_999);
        stage.continuation(visit.at_ms, &who, &format!("DETAIL:  parameters: $1 = '{id}'"));
    } else {
        let value = literal(stage);
        let text = sql(query_type, table, &value);
        stage.database(visit.at_ms, &who, &format!("LOG:  duration: {duration_ms:.3} ms  statement: {text}"));
    }
}

fn sql(query_type: &str, table: &str, value: &str) -> String {
    match query_type {
        "INSERT" => format!("INSERT INTO {table} (id, owner_email, created_at) VALUES (DEFAULT, {value}, now())"),
        "UPDATE" => format!("UPDATE {table} SET status = 'signed' WHERE owner_email = {value}"),
        _ if table == "parcels" => {
            format!("SELECT p.*\n\tFROM parcels p\n\tWHERE p.region = {value}\n\tORDER BY p.price")
        }
        _ => format!("SELECT * FROM {table} WHERE owner_email = {value}"),
    }
}

fn literal(stage: &mut Stage) -> String {
    match stage.chance.between(0, 4) {
        0 => format!("'{}'", stage.chance.pick(&EMAILS)),
        1 => "'Тверская область'".to_owned(),
        2 => "'O''Hara'".to_owned(),
        _ => format!("'user{}@example.com'", stage.chance.between(100, 1_000)),
    }
}

fn client(stage: &mut Stage) -> String {
    let (host, port) = (stage.chance.between(20, 30), stage.chance.between(32_768, 60_999));
    let process = stage.chance.between(10_000, 20_000);
    format!("10.0.1.{host}({port}):app_user@contracts:[{process}]")
}

/// A unique constraint refuses a row: an ERROR and the lines that continue it.
pub fn duplicate_key(stage: &mut Stage, at_ms: i64, table: &str) {
    let who = client(stage);
    let email = stage.chance.pick(&EMAILS);
    let error = format!("ERROR:  duplicate key value violates unique constraint \"{table}_email_key\"");
    stage.database(at_ms, &who, &error);
    stage.continuation(at_ms, &who, &format!("DETAIL:  Key (email)=({email}) already exists."));
    stage.continuation(at_ms, &who, &format!("STATEMENT:  INSERT INTO {table} (email) VALUES ('{email}')"));
}

/// What the server does by itself in this minute.
pub fn housekeeping(stage: &mut Stage) {
    if stage.offset % 5 == 0 {
        checkpoint(stage);
    }
    if stage.offset % 30 == 12 {
        let message = "LOG:  automatic vacuum of table \"contracts.public.sessions\": index scans: 1";
        stage.database(41_000, AUTOVACUUM, message);
    }
    if stage.offset % 20 == 9 {
        duplicate_key(stage, 33_333, "users");
    }
    let sessions = 0.5 + 3.0 * activity(stage.offset) * stage.day.scale;
    for _ in 0..stage.chance.count(sessions) {
        session(stage);
    }
}

fn checkpoint(stage: &mut Stage) {
    let buffers = stage.chance.between(120, 900);
    stage.database(2_000, CHECKPOINTER, "LOG:  checkpoint starting: time");
    let complete = format!(
        "LOG:  checkpoint complete: wrote {buffers} buffers (0.4%); 0 WAL file(s) added, 0 removed, 1 recycled; \
         write=41.2 s, sync=0.004 s, total=41.3 s; sync files=27, longest=0.002 s, average=0.001 s"
    );
    stage.database(43_300, CHECKPOINTER, &complete);
}

fn session(stage: &mut Stage) {
    let who = client(stage);
    let at_ms = stage.chance.between(0, 50_000);
    let (address, process) = who.split_once(":app_user@contracts:").unwrap_or((&who, "[1]"));
    let (host, port) = address.trim_end_matches(')').split_once('(').unwrap_or((address, "0"));
    let before = format!("{address}:[unknown]@[unknown]:{process}");
    stage.database(at_ms, &before, &format!("LOG:  connection received: host={host} port={port}"));
    let authorized = "LOG:  connection authorized: user=app_user database=contracts SSL enabled \
                      (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)";
    stage.database(at_ms + 6, &who, authorized);
    let ended = "LOG:  disconnection: session time: 0:00:09.412 user=app_user database=contracts host=";
    stage.database(at_ms + 9_418, &who, &format!("{ended}{host} port={port}"));
}

/// A statement that carries `text` as a literal.
pub fn note(stage: &mut Stage, at_ms: i64, text: &str) {
    let who = client(stage);
    let insert = format!("INSERT INTO notes (body) VALUES ('call back: {text}')");
    stage.database(at_ms, &who, &format!("LOG:  duration: 3.118 ms  statement: {insert}"));
}

/// A prepared statement whose parameters are a client's name and passport.
pub fn parameters(stage: &mut Stage, at_ms: i64) {
    let who = client(stage);
    let [name, passport] = PARAMETERS;
    let insert = "INSERT INTO clients (name, passport) VALUES ($1, $2)";
    stage.database(at_ms, &who, &format!("LOG:  execute <unnamed>: {insert}"));
    stage.continuation(at_ms, &who, &format!("DETAIL:  parameters: $1 = '{name}', $2 = '{passport}'"));
}
