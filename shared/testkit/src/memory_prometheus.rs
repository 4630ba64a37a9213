//! A Prometheus in memory: what it takes and what it refuses is as in the real one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use domain::metrics::prometheus::Labels;
use domain::metrics::prometheus::wire::{Sample, TimeSeries, WriteRequest};
use domain::ports::{PortError, WriteSamples};

use crate::memory_bucket::Moment;

type Fault = Box<dyn FnMut() -> Option<Moment> + Send>;

#[derive(Default)]
struct Contents {
    series: BTreeMap<Labels, Vec<Sample>>,
    requests: Vec<WriteRequest>,
    fault: Option<Fault>,
    refused: Option<(&'static str, &'static str)>,
}

/// Series in memory. Clones share their contents.
#[derive(Clone, Default)]
pub struct InMemoryPrometheus(Arc<Mutex<Contents>>);

impl InMemoryPrometheus {
    /// Without any series.
    pub fn new() -> InMemoryPrometheus {
        InMemoryPrometheus::default()
    }

    /// From now on asks `fault` at every request whether, and when, to fail with a transient error.
    pub fn inject(&self, fault: impl FnMut() -> Option<Moment> + Send + 'static) {
        self.contents().fault = Some(Box::new(fault));
    }

    /// No more injected faults.
    pub fn heal(&self) {
        self.contents().fault = None;
    }

    /// From now on refuses every request with a series that has this label.
    pub fn refuse(&self, label: &'static str, value: &'static str) {
        self.contents().refused = Some((label, value));
    }

    /// Every request that it was sent, also those that it refused.
    pub fn requests(&self) -> Vec<WriteRequest> {
        self.contents().requests.clone()
    }

    /// All series with their samples. The name is the label `__name__`.
    pub fn series(&self) -> BTreeMap<Labels, Vec<Sample>> {
        self.contents().series.clone()
    }

    /// The samples of the only series that has these labels; none where there is no such series.
    ///
    /// # Panics
    ///
    /// Where there are several.
    pub fn samples(&self, labels: &[(&str, &str)]) -> Vec<Sample> {
        let has = |held: &Labels| labels.iter().all(|(name, value)| held.get(*name).is_some_and(|held| held == value));
        let mut found = self.series().into_iter().filter(|(held, _)| has(held));
        let first = found.next();
        assert!(found.next().is_none(), "several series have {labels:?}");
        first.map(|(_, samples)| samples).unwrap_or_default()
    }

    /// By how much all series with these labels have grown since their first sample, as `increase()` counts: what goes
    /// down was reset to zero. The first sample itself does not count.
    pub fn grown(&self, labels: &[(&str, &str)]) -> f64 {
        let has = |held: &Labels| labels.iter().all(|(name, value)| held.get(*name).is_some_and(|held| held == value));
        let grown = |samples: &Vec<Sample>| -> f64 {
            let values: Vec<f64> = samples.iter().filter(|sample| !sample.is_stale()).map(|s| s.value).collect();
            values.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] }).sum()
        };
        self.series().iter().filter(|(held, _)| has(held)).map(|(_, samples)| grown(samples)).sum()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Contents {
    /// All of a request or nothing.
    fn take(&mut self, request: &WriteRequest) -> Result<(), String> {
        let mut series = self.series.clone();
        for TimeSeries { labels, samples } in &request.timeseries {
            let ascending = labels.windows(2).all(|pair| pair[0].name < pair[1].name);
            if !ascending || labels.iter().any(|label| label.name.is_empty() || label.value.is_empty()) {
                return Err(format!("invalid labels: {labels:?}"));
            }
            let labels: Labels = labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
            if self.refused.is_some_and(|(name, value)| labels.get(name).is_some_and(|held| held == value)) {
                return Err("per-metric series limit exceeded".to_owned());
            }
            let held = series.entry(labels).or_default();
            for sample in samples {
                match held.last() {
                    Some(last) if sample.timestamp < last.timestamp => return Err("out of order sample".to_owned()),
                    Some(last) if sample.timestamp == last.timestamp => {
                        if sample.value.to_bits() != last.value.to_bits() {
                            return Err("duplicate sample for timestamp".to_owned());
                        }
                    }
                    _ => held.push(*sample),
                }
            }
        }
        self.series = series;
        Ok(())
    }
}

impl WriteSamples for InMemoryPrometheus {
    async fn write(&self, request: &[u8]) -> Result<(), PortError> {
        const ACTION: &str = "write samples to Prometheus";
        let request = WriteRequest::parse(request).map_err(|error| PortError::permanent(ACTION, error))?;
        let mut contents = self.contents();
        let moment = contents.fault.as_mut().and_then(|fault| fault());
        if moment == Some(Moment::Before) {
            return Err(PortError::transient(ACTION, "injected fault"));
        }
        contents.requests.push(request.clone());
        contents.take(&request).map_err(|error| PortError::permanent(ACTION, error))?;
        if moment == Some(Moment::After) { Err(PortError::transient(ACTION, "injected fault")) } else { Ok(()) }
    }
}
