//! The contracts, in memory, as if they were in a database: each access is a query.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A contract about a plot.
#[derive(Debug, Clone)]
pub struct Contract {
    /// The plot's number.
    pub plot: String,
    /// In roubles.
    pub price: f64,
    /// When it was opened.
    pub opened: Instant,
    /// Whether it is signed.
    pub signed: bool,
}

/// Why a contract is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is none of this number.
    #[error("no contract {0}")]
    Missing(u64),
    /// It is signed already.
    #[error("contract {0} is signed")]
    Signed(u64),
}

/// All contracts by number.
#[derive(Debug, Default)]
pub struct Store(Mutex<BTreeMap<u64, Contract>>);

impl Store {
    /// Keeps a contract, and gives its number.
    pub fn insert(&self, contract: Contract) -> Result<u64, StoreError> {
        let query = || {
            let mut contracts = self.contracts();
            let number = contracts.keys().next_back().map_or(4_711, |last| last + 1);
            contracts.insert(number, contract);
            Ok(number)
        };
        telemetry::database_query("INSERT", "contracts").run(query, |_| Some(1))
    }

    /// The contract of a number, where there is one.
    pub fn find(&self, number: u64) -> Result<Contract, StoreError> {
        let query = || Ok(self.contracts().get(&number).cloned());
        let found: Result<_, StoreError> = telemetry::database_query("SELECT", "contracts")
            .run(query, |found: &Option<Contract>| Some(u64::from(found.is_some())));
        found?.ok_or(StoreError::Missing(number))
    }

    /// Signs a contract, once.
    pub fn sign(&self, number: u64) -> Result<Contract, StoreError> {
        let query = || {
            let mut contracts = self.contracts();
            Ok(contracts.get_mut(&number).map(|contract| std::mem::replace(&mut contract.signed, true)))
        };
        let before: Result<_, StoreError> = telemetry::database_query("UPDATE", "contracts")
            .run(query, |before: &Option<bool>| Some(u64::from(*before == Some(false))));
        match before? {
            None => Err(StoreError::Missing(number)),
            Some(true) => Err(StoreError::Signed(number)),
            Some(false) => self.find(number),
        }
    }

    /// Whole after a panic elsewhere, too.
    fn contracts(&self) -> MutexGuard<'_, BTreeMap<u64, Contract>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
