//! Lock-free histogram of durations.
//!
//! The histogram of `prometheus_client` takes a lock for each observation, and so for each request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in nanoseconds: from the start of an instance to the longest request.
const BOUNDS: [u64; 21] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    /// Nanoseconds.
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        // Saturates after more than five hundred years.
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(nanoseconds, Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut buckets = [(f64::INFINITY, 0); BUCKETS];
        for ((bucket, bound), count) in buckets.iter_mut().zip(BOUNDS).zip(&self.buckets) {
            *bucket = (seconds(bound), count.load(Relaxed));
        }
        buckets[BUCKETS - 1].1 = self.buckets[BUCKETS - 1].load(Relaxed);
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.sum.load(Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::Histogram;

    #[test]
    fn each_duration_is_counted_in_its_bucket() {
        let histogram = Histogram::default();
        for microseconds in [1, 10, 11, 2_000_000, 61_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let mut registry = Registry::default();
        registry.register("took", "Time", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "took_sum 63.000022\n",
            "took_count 5\n",
            "took_bucket{le=\"0.00001\"} 2\n",
            "took_bucket{le=\"0.000025\"} 3\n",
            "took_bucket{le=\"1.0\"} 3\n",
            "took_bucket{le=\"2.5\"} 4\n",
            "took_bucket{le=\"60.0\"} 4\n",
            "took_bucket{le=\"+Inf\"} 5\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
