//! Reads the use of processors of a namespace's functions in pods of their own from the metrics API.
//!
//! The API is that of metrics-server and of adapters in its place: `pods.metrics.k8s.io`.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use sampan_crd::FUNCTION_LABEL;
use serde::Deserialize;
use tokio::time::timeout;

use crate::auto_functions::UnknownLoad;

/// Time limit of a read.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The use of a pod's processors over some seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PodUse {
    /// The end of the interval.
    pub(crate) at: Timestamp,
    /// The processors in use, on average.
    pub(crate) processors: f64,
}

/// Reasons why the use of pods could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PodMetricsError {
    #[error("the metrics API did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the request cannot be made")]
    Request(#[source] kube::core::request::Error),
    #[error("the metrics API refuses")]
    Refused(#[source] Box<kube::Error>),
    #[error("{0:?} is no amount of processors")]
    Malformed(String),
}

impl PodMetricsError {
    /// What it means for the load.
    pub(crate) fn unknown_load(&self) -> UnknownLoad {
        match self {
            Self::Refused(error) => match &**error {
                kube::Error::Api(status) if status.code == 404 => UnknownLoad::NoApi,
                kube::Error::Api(status) if status.code == 403 => UnknownLoad::Forbidden,
                _ => UnknownLoad::Silent,
            },
            Self::Timeout | Self::Request(_) | Self::Malformed(_) => UnknownLoad::Silent,
        }
    }
}

#[derive(Debug, Deserialize)]
struct PodMetricsList {
    items: Vec<PodMetrics>,
}

#[derive(Debug, Deserialize)]
struct PodMetrics {
    metadata: ObjectMeta,
    timestamp: Time,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Debug, Deserialize)]
struct ContainerMetrics {
    usage: Usage,
}

#[derive(Debug, Deserialize)]
struct Usage {
    cpu: String,
}

/// Reads the use of all pods of functions in a namespace, by their names.
pub(crate) async fn read(
    client: &Client,
    namespace: &str,
) -> Result<HashMap<String, PodUse>, PodMetricsError> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
    let pods = ListParams::default().labels(FUNCTION_LABEL);
    let request = Request::new(path)
        .list(&pods)
        .map_err(PodMetricsError::Request)?;
    let list: PodMetricsList = timeout(TIMEOUT, client.request(request))
        .await
        .map_err(|_| PodMetricsError::Timeout)?
        .map_err(|error| PodMetricsError::Refused(Box::new(error)))?;
    by_name(list)
}

fn by_name(list: PodMetricsList) -> Result<HashMap<String, PodUse>, PodMetricsError> {
    let mut pods = HashMap::new();
    for pod in list.items {
        let mut processors = 0.0;
        for ContainerMetrics { usage } in pod.containers {
            processors += parse(&usage.cpu).ok_or(PodMetricsError::Malformed(usage.cpu))?;
        }
        let at = pod.timestamp.0;
        let name = pod.metadata.name.unwrap_or_default();
        pods.insert(name, PodUse { at, processors });
    }
    Ok(pods)
}

/// The use of these pods together. None unless each of them was read.
pub(crate) fn sum<'a>(
    pods: impl Iterator<Item = &'a str>,
    read: &HashMap<String, PodUse>,
) -> Option<PodUse> {
    let mut sum: Option<PodUse> = None;
    for pod in pods {
        let pod = read.get(pod)?;
        sum = Some(sum.map_or(*pod, |sum| PodUse {
            at: sum.at.max(pod.at),
            processors: sum.processors + pod.processors,
        }));
    }
    sum
}

/// Parses a quantity of processors as the API writes it.
fn parse(text: &str) -> Option<f64> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let scale = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::{PodMetricsError, UnknownLoad, by_name, parse, sum};

    #[test]
    fn quantities_have_the_units_of_the_api() {
        let check = |text, expected: Option<f64>| {
            // To the billionth of a processor.
            let rounded = |number: Option<f64>| number.map(|number| (number * 1e9).round());
            assert_eq!(rounded(parse(text)), rounded(expected), "{text}");
        };
        check("0", Some(0.0));
        check("123456789n", Some(0.123_456_789));
        check("250u", Some(0.000_25));
        check("100m", Some(0.1));
        check("2", Some(2.0));
        check("1.5", Some(1.5));
        check("1k", Some(1_000.0));
        for text in ["", "m", "-1", "inf", "nan", "1e3", "1Ki", "1.2.3", " 1"] {
            check(text, None);
        }
    }

    #[test]
    fn the_use_is_that_of_all_containers_of_all_pods() {
        let pod = |name: &str, second: u32, cpus: &[&str]| {
            let containers = cpus
                .iter()
                .map(|cpu| json!({ "name": "c", "usage": { "cpu": cpu, "memory": "1Ki" } }));
            json!({
                "metadata": { "name": name }, "timestamp": format!("2026-01-01T00:00:{second:02}Z"), "window": "15s",
                "containers": containers.collect::<Vec<_>>(),
            })
        };
        let items = [
            pod("a", 5, &["100m", "50m"]),
            pod("b", 9, &["1"]),
            pod("c", 1, &[]),
        ];
        let list = json!({ "kind": "PodMetricsList", "metadata": {}, "items": items });
        let read = by_name(serde_json::from_value(list).expect("a list")).expect("amounts");
        let check = |pods: &[&str], expected: Option<(&str, u32)>| {
            let found = sum(pods.iter().copied(), &read);
            let found = found.map(|found| {
                let milli = sampan_spec::Processors::nearest(found.processors).milli();
                (found.at.to_string(), milli)
            });
            let expected = expected.map(|(at, milli)| (at.to_owned(), milli));
            assert_eq!(found, expected, "{pods:?}");
        };
        check(&["a"], Some(("2026-01-01T00:00:05Z", 150)));
        check(&["a", "b", "c"], Some(("2026-01-01T00:00:09Z", 1_150)));
        check(&["a", "new"], None);
        check(&[], None);
    }

    #[test]
    fn a_refusal_names_what_is_missing() {
        let check = |code, expected| {
            let status = Status::failure("", "").with_code(code).boxed();
            let error = PodMetricsError::Refused(Box::new(kube::Error::Api(status)));
            assert_eq!(error.unknown_load(), expected, "{code}");
        };
        check(404, UnknownLoad::NoApi);
        check(403, UnknownLoad::Forbidden);
        check(503, UnknownLoad::Silent);
        let error = PodMetricsError::Malformed("x".to_owned());
        assert_eq!(error.unknown_load(), UnknownLoad::Silent);
    }
}
