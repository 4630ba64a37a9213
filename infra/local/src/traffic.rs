//! One day of land-contract traffic, made up: the log lines of five services and a PostgreSQL server, and the
//! business events of one of the services.
//!
//! The same seed gives the same day. Each minute is made for itself, so a day can be played from
//! anywhere. Incidents stand in [`incidents`]; outside them no alert rule has a reason to fire, by
//! construction rather than by luck (`schedule` says how). People, addresses and tokens are made up.
//!
//! To read it: `schedule` decides what happens in a minute; `pages`, `contracts`, `documents` and
//! `accounts` play it on a `stage`; `record` writes it in the service's dialect.

use std::collections::BTreeMap;

use domain::minute::Minute;
use domain::ports::BusEvent;

pub mod batches;
pub mod incidents;
pub mod planted;
pub mod service;

mod schedule;
mod stage;
mod visit;

mod accounts;
mod calls;
mod contracts;
mod documents;
mod health;
mod pages;
mod postgresql;
mod raw;

mod chance;
mod json;
mod record;

#[cfg(test)]
mod tests;

use batches::Batch;
use chance::Chance;
use incidents::Incident;
use schedule::{Errand, Plan};
use service::{Service, TASKS};
use stage::{Stage, Written};

/// A day of traffic.
#[derive(Debug, Clone)]
pub struct Day {
    start: Minute,
    minutes: i64,
    seed: u64,
    scale: f64,
    streams: [[String; TASKS]; Service::ALL.len()],
}

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// CloudWatch log group.
    pub log_group: String,
    /// Stream in it.
    pub log_stream: String,
    /// When, in epoch milliseconds.
    pub timestamp_ms: i64,
    /// The line.
    pub message: String,
}

/// What the day comes to: what the pipeline has to account for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Lines by log group.
    pub lines: BTreeMap<String, u64>,
    /// Business events on the bus.
    pub events: u64,
    /// Sums of the metric registry's counters, by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// PostgreSQL lines (DETAIL, STATEMENT) that only continue the line before them. They are among
    /// `lines`, but a pipeline that stitches them archives that many records less.
    pub continuations: u64,
}

impl Expected {
    /// Lines of all groups, and events.
    pub fn total(&self) -> u64 {
        self.lines.values().sum::<u64>() + self.events
    }
}

impl Day {
    /// The day of `minutes` minutes (1440, or what a change of clocks makes of it) from `date_start`,
    /// which is midnight where the platform's users live. `scale` 1 gives some 130,000 lines.
    pub fn new(date_start: Minute, minutes: i64, seed: u64, scale: f64) -> Day {
        let streams = Service::ALL.map(|service| service.log_streams(seed));
        Day { start: date_start, minutes, seed, scale, streams }
    }

    /// Its first minute.
    pub fn start(&self) -> Minute {
        self.start
    }

    /// The minute after its last.
    pub fn end(&self) -> Minute {
        self.start.plus(self.minutes)
    }

    /// Its minutes, in order.
    pub fn minutes(&self) -> impl Iterator<Item = Minute> + '_ {
        (0..self.minutes).map(|offset| self.start.plus(offset))
    }

    /// Every log group and its streams, for whoever has to create them first.
    pub fn log_streams(&self) -> Vec<(String, String)> {
        let of_services = Service::ALL.into_iter().flat_map(|service| {
            self.streams[service as usize].iter().map(move |stream| (service.log_group(), stream.clone()))
        });
        let of_database = (service::DATABASE_LOG_GROUP.to_owned(), service::DATABASE_LOG_STREAM.to_owned());
        of_services.chain([of_database]).collect()
    }

    /// The lines of `minute`, sorted by group, stream and time; none outside the day.
    pub fn minute(&self, minute: Minute) -> Vec<Line> {
        self.written(minute).lines
    }

    /// The day in steps of `minutes_each` minutes: for each step its first minute, and its lines as
    /// an agent would send them.
    pub fn batches(&self, minutes_each: i64) -> impl Iterator<Item = (Minute, Vec<Batch>)> + '_ {
        let step = minutes_each.max(1);
        (0..self.minutes)
            .step_by(step.unsigned_abs() as usize)
            .map(move |offset| (self.start.plus(offset), batches::of(self, offset, step.min(self.minutes - offset))))
    }

    /// The business events that are published in the `minutes` minutes from `from`, in the order of time. What is
    /// published is not logged, so that nothing is said twice.
    pub fn events(&self, from: Minute, minutes: i64) -> Vec<BusEvent> {
        (0..minutes).flat_map(|offset| self.written(from.plus(offset)).events).collect()
    }

    /// What the whole day comes to, found by writing it once.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for minute in self.minutes() {
            let written = self.written(minute);
            for line in written.lines {
                *expected.lines.entry(line.log_group).or_default() += 1;
            }
            expected.events += written.events.len() as u64;
            for (counter, increments) in written.counters {
                *expected.counters.entry(counter).or_default() += increments;
            }
            expected.continuations += written.continuations;
        }
        expected
    }

    /// Connections open to the database, which AWS/RDS reports and no line carries.
    pub fn database_connections(&self, minute: Minute) -> f64 {
        health::database_connections(self, minute.since(self.start))
    }

    /// What goes wrong in the day.
    pub fn incidents(&self) -> &'static [Incident] {
        &incidents::INCIDENTS
    }

    /// Made-up personal data in the day's lines. None of it may reach the archive.
    pub fn planted(&self) -> &'static [&'static str] {
        &planted::PLANTED
    }

    fn written(&self, minute: Minute) -> Written {
        let offset = minute.since(self.start);
        let mut stage = Stage::new(self, offset);
        if (0..self.minutes).contains(&offset) {
            play(&mut stage, &Plan::of(self, offset));
        }
        stage.finish()
    }

    // The chance for one purpose in one minute or slot of this day.
    fn chance(&self, purpose: &[u8], number: i64) -> Chance {
        let purpose = purpose.iter().fold(0, |hash: i64, byte| hash.wrapping_mul(257).wrapping_add(i64::from(*byte)));
        Chance::new(self.seed, &[purpose, self.start.start().as_second(), number])
    }

    fn version(&self, offset: i64) -> &'static str {
        if offset < raw::DEPLOYMENT { "2.14.0" } else { "2.14.1" }
    }
}

fn play(stage: &mut Stage, plan: &Plan) {
    plan.errands.iter().for_each(|errand| run(stage, *errand, plan));
    (0..plan.registrations).for_each(|_| accounts::register(stage));
    (0..plan.creations).for_each(|_| contracts::create(stage));
    (0..plan.failed_creations).for_each(|_| contracts::fail_to_create(stage));
    (0..plan.attacks).for_each(|_| accounts::attack(stage));
    health::resources(stage);
    health::indicators(stage);
    postgresql::housekeeping(stage);
    raw::by_the_clock(stage);
}

fn run(stage: &mut Stage, errand: Errand, plan: &Plan) {
    match errand {
        Errand::Browse => pages::browse(stage),
        Errand::Search => pages::search(stage, plan),
        Errand::ViewContract => pages::view_contract(stage, plan),
        Errand::SignContract => contracts::sign(stage),
        Errand::Upload => documents::upload(stage),
        Errand::Download => documents::download(stage),
        Errand::LogIn => accounts::log_in(stage),
        Errand::Account => accounts::open_account(stage),
        Errand::Pay => pages::pay(stage, plan),
        Errand::Leave => accounts::leave(stage),
    }
}
