//! The pipeline, which takes one event at a time, for handlers that only share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::logs::pipeline::{Pipeline, Settings};

/// A pipeline for whoever has an event. There is one, unless two have an event at the same time.
pub struct Pipelines {
    settings: Settings,
    // Only ever held to take the pipeline out or to put it back.
    idle: Mutex<Option<Pipeline>>,
}

impl Pipelines {
    /// Pipelines with these settings.
    pub fn new(settings: Settings) -> Pipelines {
        let first = Pipeline::new(settings.clone());
        Pipelines { settings, idle: Mutex::new(Some(first)) }
    }

    /// Has `work` done by a pipeline. One that panics is not used again, so that nothing which it still holds
    /// of an event gets into the next.
    pub fn run<T>(&self, work: impl FnOnce(&mut Pipeline) -> T) -> T {
        let mut pipeline = self.idle().take().unwrap_or_else(|| Pipeline::new(self.settings.clone()));
        let outcome = work(&mut pipeline);
        *self.idle() = Some(pipeline);
        outcome
    }

    fn idle(&self) -> MutexGuard<'_, Option<Pipeline>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
