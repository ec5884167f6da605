//! Registry of metrics, encoded as `OpenMetrics` text.
//!
//! Other crates make and update the metrics.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::Metric;

/// The media type of [`Registry::encode`]'s output.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a program. Every name begins with `sampan_`. Clones share one registry.
#[derive(Clone, Debug)]
pub struct Registry(Arc<RwLock<prometheus_client::registry::Registry>>);

impl Registry {
    /// Makes an empty registry.
    pub fn new() -> Self {
        let registry = prometheus_client::registry::Registry::with_prefix("sampan");
        Self(Arc::new(RwLock::new(registry)))
    }

    /// Adds one metric.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.write(|registry| registry.register(name, help, metric));
    }

    /// Adds a collector, which produces its metrics at every scrape.
    pub fn register_collector(&self, collector: impl Collector) {
        self.write(|registry| registry.register_collector(Box::new(collector)));
    }

    /// Encodes all metrics as `OpenMetrics` text.
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
