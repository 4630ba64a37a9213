//! What the database server writes, with the short prefix of RDS (`%t:%r:%u@%d:[%p]:`): statements with
//! their durations, errors with the lines that belong to them, connections, checkpoints.

use super::chance::Chance;
use super::personal::{Kind, Planted};
use super::{Clock, Line};

/// Tables with a column that is asked for.
const COLUMNS: [(&str, &str); 4] =
    [("contracts", "owner_email"), ("users", "email"), ("sessions", "login"), ("payments", "payer_email")];

/// A statement, an error, a connection, or what the server does by itself: one line or a few.
pub(super) fn happening(chance: &mut Chance, clock: &mut Clock) -> Vec<Line> {
    clock.pass(chance.between(0, 60));
    let client = Client::draw(chance);
    match chance.between(0, 100) {
        0..46 => vec![statement(chance, clock, &client)],
        46..60 => prepared(chance, clock, &client),
        60..70 => duplicate_key(chance, clock, &client),
        70..74 => vec![bad_input(chance, clock, &client)],
        74..94 => connection(clock, &client),
        94..97 => vec![checkpoint(chance, clock)],
        _ => vec![vacuum(clock)],
    }
}

/// Who is served by which process.
struct Client {
    host: String,
    port: u64,
    pid: u64,
}

impl Client {
    fn draw(chance: &mut Chance) -> Client {
        let (host, port) = (format!("10.0.1.{}", chance.between(20, 30)), chance.between(32_768, 60_999));
        Client { host, port, pid: chance.between(10_000, 10_400) }
    }

    fn line(&self, clock: &Clock, message: &str) -> String {
        let (time, Client { host, port, pid }) = (clock.stamp("%Y-%m-%d %H:%M:%S UTC"), self);
        format!("{time}:{host}({port}):app_user@contracts:[{pid}]:{message}")
    }
}

/// A line of a process without a client.
fn server_line(clock: &Clock, pid: u64, message: &str) -> String {
    format!("{}::@:[{pid}]:{message}", clock.stamp("%Y-%m-%d %H:%M:%S UTC"))
}

/// A user's value, as it stands in a statement.
fn value(chance: &mut Chance) -> Planted {
    chance.pick(&[Kind::Email, Kind::Email, Kind::Literal, Kind::Phone]).draw(chance)
}

fn statement(chance: &mut Chance, clock: &Clock, client: &Client) -> Line {
    let planted = value(chance);
    let (value, id) = (&planted.text, chance.between(1_000, 99_999));
    let (table, column) = chance.pick(&COLUMNS);
    let text = match chance.between(0, 5) {
        0 => format!("INSERT INTO {table} (id, {column}, created_at) VALUES ({id}, '{value}', now()) RETURNING id"),
        1 => format!("UPDATE {table} SET status = 'signed', updated_at = now() WHERE {column} = '{value}'"),
        2 => format!(
            "SELECT c.id, c.status, u.role\n\tFROM {table} c\n\tJOIN users u ON u.id = c.user_id\n\t\
             WHERE c.{column} = '{value}'\n\t  AND c.id > {id}\n\tORDER BY c.created_at DESC LIMIT 50"
        ),
        _ => format!("SELECT id, status, created_at FROM {table} WHERE {column} = '{value}' AND id <> {id}"),
    };
    let duration = chance.duration();
    Line {
        text: client.line(clock, &format!("LOG:  duration: {duration:.3} ms  statement: {text}")),
        planted: Some(planted),
    }
}

/// A prepared statement, whose values stand in a line of their own.
fn prepared(chance: &mut Chance, clock: &Clock, client: &Client) -> Vec<Line> {
    let planted = value(chance);
    let (table, column) = chance.pick(&COLUMNS);
    let (duration, id) = (chance.duration(), chance.between(1, 99_999));
    let text = format!("SELECT * FROM {table} WHERE {column} = $1 AND user_id = $2 FOR UPDATE");
    let first = client.line(clock, &format!("LOG:  duration: {duration:.3} ms  execute <unnamed>: {text}"));
    let detail = client.line(clock, &format!("DETAIL:  parameters: $1 = '{}', $2 = '{id}'", planted.text));
    vec![Line::plain(first), Line { text: detail, planted: Some(planted) }]
}

fn duplicate_key(chance: &mut Chance, clock: &Clock, client: &Client) -> Vec<Line> {
    let planted = value(chance);
    let (table, column) = chance.pick(&COLUMNS);
    let error = format!("ERROR:  duplicate key value violates unique constraint \"{table}_{column}_key\"");
    let detail = format!("DETAIL:  Key ({column})=({}) already exists.", planted.text);
    let statement = format!("STATEMENT:  INSERT INTO {table} ({column}) VALUES ('{}')", planted.text);
    vec![
        Line::plain(client.line(clock, &error)),
        Line { text: client.line(clock, &detail), planted: Some(planted.clone()) },
        Line { text: client.line(clock, &statement), planted: Some(planted) },
    ]
}

fn bad_input(chance: &mut Chance, clock: &Clock, client: &Client) -> Line {
    let planted = Kind::Literal.draw(chance);
    let message = format!("ERROR:  invalid input syntax for type integer: \"{}\" at character 48", planted.text);
    Line { text: client.line(clock, &message), planted: Some(planted) }
}

fn connection(clock: &mut Clock, client: &Client) -> Vec<Line> {
    let Client { host, port, pid } = client;
    let time = clock.stamp("%Y-%m-%d %H:%M:%S UTC");
    let received =
        format!("{time}:{host}({port}):[unknown]@[unknown]:[{pid}]:LOG:  connection received: host={host} port={port}");
    let authorized = "LOG:  connection authorized: user=app_user database=contracts SSL enabled \
                      (protocol=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384, bits=256)";
    let ended = "LOG:  disconnection: session time: 0:00:09.412 user=app_user database=contracts";
    let ended = format!("{ended} host={host} port={port}");
    vec![Line::plain(received), Line::plain(client.line(clock, authorized)), Line::plain(client.line(clock, &ended))]
}

fn checkpoint(chance: &mut Chance, clock: &Clock) -> Line {
    let buffers = chance.between(120, 900);
    let message = format!(
        "LOG:  checkpoint complete: wrote {buffers} buffers (0.4%); 0 WAL file(s) added, 0 removed, 1 recycled; \
         write=41.2 s, sync=0.004 s, total=41.3 s; sync files=27, longest=0.002 s, average=0.001 s"
    );
    Line::plain(server_line(clock, 379, &message))
}

fn vacuum(clock: &Clock) -> Line {
    let message = "LOG:  automatic vacuum of table \"contracts.public.sessions\": index scans: 1\n\t\
                   pages: 0 removed, 412 remain, 0 skipped due to pins, 12 skipped frozen\n\t\
                   tuples: 1841 removed, 20511 remain, 0 are dead but not yet removable";
    Line::plain(server_line(clock, 382, message))
}
