//! One scrape: encodes each metric for all functions, with the function's name as a label.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use sampan_spec::FunctionName;

use super::histogram::Histogram;

/// One scrape: encodes each metric for all functions.
pub(super) struct Scrape<'a, 'b, F> {
    pub(super) encoder: &'a mut DescriptorEncoder<'b>,
    /// The metrics of each function.
    pub(super) functions: &'a [(FunctionName, Arc<F>)],
}

impl<F> Scrape<'_, '_, F> {
    /// Encodes counters with one additional label.
    pub(super) fn counters<V>(
        &mut self,
        name: &str,
        help: &str,
        each: impl Fn(&F, &mut dyn FnMut((&'static str, V), u64) -> fmt::Result) -> fmt::Result,
    ) -> fmt::Result
    where
        (&'static str, V): prometheus_client::encoding::EncodeLabel,
    {
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (name, function) in self.functions {
            each(function, &mut |label, value| {
                let labels = ([("function", name.as_str())], [label]);
                family(&mut metric, &labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
            })?;
        }
        Ok(())
    }

    /// Encodes a counter of seconds.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        help: &str,
        value: impl Fn(&F) -> Duration,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (name, function) in self.functions {
            let labels = [("function", name.as_str())];
            let seconds = value(function).as_secs_f64();
            family(&mut metric, &labels)?.encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        }
        Ok(())
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl Fn(&F) -> u64,
    ) -> fmt::Result {
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (name, function) in self.functions {
            let labels = [("function", name.as_str())];
            family(&mut metric, &labels)?.encode_gauge(&value(function))?;
        }
        Ok(())
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: impl Fn(&F) -> &Histogram,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (name, function) in self.functions {
            let labels = [("function", name.as_str())];
            histogram(function).encode(family(&mut metric, &labels)?)?;
        }
        Ok(())
    }
}

fn family<'a, L: EncodeLabelSet>(
    metric: &'a mut MetricEncoder<'_>,
    labels: &'a L,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    metric.encode_family(labels)
}
