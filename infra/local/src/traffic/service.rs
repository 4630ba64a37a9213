//! The five services, and where their lines and the database's go.

use super::chance::Chance;

/// A service of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Pages.
    Web,
    /// The public API.
    Api,
    /// Contracts: creation and signature.
    Contract,
    /// Documents. Writes the source document's own Python output.
    Document,
    /// Accounts and sessions.
    User,
}

/// Tasks, and so log streams, of each service.
pub const TASKS: usize = 2;

/// The database instance.
pub const DATABASE_INSTANCE: &str = "production-contract-db";

/// Where its server log goes.
pub const DATABASE_LOG_GROUP: &str = "/aws/rds/instance/production-contract-db/postgresql";

/// The one stream in it.
pub const DATABASE_LOG_STREAM: &str = "production-contract-db.0";

impl Service {
    /// Every service.
    pub const ALL: [Service; 5] = [Service::Web, Service::Api, Service::Contract, Service::Document, Service::User];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Service::Web => "web",
            Service::Api => "api",
            Service::Contract => "contract",
            Service::Document => "document",
            Service::User => "user",
        }
    }

    /// Its log group.
    pub fn log_group(self) -> String {
        format!("/aws/ecs/production/{}", self.name())
    }

    /// The streams of its tasks on a day made from `seed`: task ids as ECS gives them.
    pub fn log_streams(self, seed: u64) -> [String; TASKS] {
        let mut chance = Chance::new(seed, &[0x7a5c, self as i64]);
        [(); TASKS].map(|()| format!("ecs/{}/{:016x}{:016x}", self.name(), chance.next(), chance.next()))
    }
}
