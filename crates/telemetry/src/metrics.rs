//! The registry of metrics, and how it is written: `OpenMetrics` text.
//!
//! Metrics are made and updated where they are measured; here they only meet.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::Metric;

/// The media type of what [`Registry::encode`] returns.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a program; every name begins with `sampan_`. Clones share one registry.
#[derive(Clone, Debug)]
pub struct Registry(Arc<RwLock<prometheus_client::registry::Registry>>);

impl Registry {
    /// A registry with nothing in it.
    pub fn new() -> Self {
        let registry = prometheus_client::registry::Registry::with_prefix("sampan");
        Self(Arc::new(RwLock::new(registry)))
    }

    /// Adds one metric.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.write(|registry| registry.register(name, help, metric));
    }

    /// Adds what decides at every scrape which metrics there are.
    pub fn register_collector(&self, collector: impl Collector) {
        self.write(|registry| registry.register_collector(Box::new(collector)));
    }

    /// All metrics as `OpenMetrics` text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        // A panic while registering leaves the registry without that metric, and otherwise whole.
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn write(&self, change: impl FnOnce(&mut prometheus_client::registry::Registry)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
