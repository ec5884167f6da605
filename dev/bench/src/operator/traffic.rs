//! Counts the requests of an API server from its metrics, and the operator's reconciles from the
//! operator's.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::Client;

/// The API server's counter of requests.
const REQUESTS: &str = "apiserver_request_total{";
/// The operator's counter of reconciles.
const RECONCILES: &str = "sampan_operator_reconciles_total{";
/// The requests of this program.
const OWN_REQUESTS: [&str; 1] = ["POST wasmfunctions"];
/// The verbs that change nothing.
const READS: [&str; 4] = ["GET", "LIST", "WATCH", "CONNECT"];
/// The resources that the operator handles.
const RESOURCES: [&str; 6] = [
    "wasmfunctions",
    "deployments",
    "services",
    "ingresses",
    "events",
    "pods",
];

/// Counts of requests, by verb, resource and subresource: `APPLY deployments`, `PATCH
/// wasmfunctions/status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Requests(BTreeMap<String, f64>);

impl Requests {
    /// The counts of all requests to the server.
    pub(super) async fn count(client: &Client) -> Result<Requests> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let page = client.request_text(request).await;
        Ok(parse(&page.context("the API server serves no metrics")?))
    }

    /// The requests since an earlier count.
    pub(super) fn since(mut self, earlier: &Requests) -> Requests {
        for (what, number) in &mut self.0 {
            *number -= earlier.0.get(what).copied().unwrap_or_default();
        }
        self.0.retain(|_, number| *number > 0.0);
        self
    }

    /// The operator's requests, and a few that the server sends to itself.
    pub(super) fn of_operator(&self) -> impl Iterator<Item = (String, f64)> {
        let theirs = self
            .0
            .iter()
            .filter(|(what, _)| !OWN_REQUESTS.contains(&what.as_str()));
        theirs.map(|(what, number)| (what.clone(), *number))
    }

    /// The count of requests that change something.
    pub(super) fn writes(&self) -> f64 {
        let writes = self.of_operator().filter(|(what, _)| {
            let verb = what.split(' ').next().unwrap_or_default();
            !READS.contains(&verb)
        });
        // The sum of an empty iterator would be minus zero.
        writes.fold(0.0, |sum, (_, number)| sum + number)
    }
}

/// The count of ended reconciles, by the operator's metrics.
pub(super) fn reconciles(page: &str) -> u64 {
    let lines = page.lines().filter(|line| line.starts_with(RECONCILES));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let count = lines.filter_map(value).sum::<f64>() as u64;
    count
}

fn parse(page: &str) -> Requests {
    let mut all = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with(REQUESTS)) {
        let label = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value)
        };
        let (Some(verb), Some(resource), Some(value)) =
            (label("verb"), label(",resource"), value(line))
        else {
            continue;
        };
        if !RESOURCES.contains(&resource) {
            continue;
        }
        let below = label("subresource").filter(|below| !below.is_empty());
        let below = below.map(|below| format!("/{below}")).unwrap_or_default();
        *all.entry(format!("{verb} {resource}{below}")).or_default() += value;
    }
    Requests(all)
}

fn value(line: &str) -> Option<f64> {
    line.rsplit_once(' ')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
# TYPE apiserver_request_total counter
apiserver_request_total{code="201",component="apiserver",dry_run="",group="sampan.dev",resource="wasmfunctions",scope="resource",subresource="",verb="POST",version="v1alpha1"} 10
apiserver_request_total{code="200",component="apiserver",dry_run="",group="sampan.dev",resource="wasmfunctions",scope="resource",subresource="status",verb="PATCH",version="v1alpha1"} 12
apiserver_request_total{code="409",component="apiserver",dry_run="",group="sampan.dev",resource="wasmfunctions",scope="resource",subresource="status",verb="PATCH",version="v1alpha1"} 3
apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",scope="cluster",subresource="",verb="LIST",version="v1"} 1
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="namespaces",scope="resource",subresource="",verb="PATCH",version="v1"} 9
apiserver_request_total_other{verb="LIST",resource="deployments"} 7
"#;

    #[test]
    fn requests_are_summed_by_what_they_are_for() {
        let requests = parse(PAGE);
        let expected = [
            ("LIST deployments", 1.0),
            ("PATCH wasmfunctions/status", 15.0),
            ("POST wasmfunctions", 10.0),
        ];
        let expected = expected.map(|(what, number)| (what.to_owned(), number));
        assert_eq!(requests, Requests(BTreeMap::from(expected)));
        assert!((requests.writes() - 15.0).abs() < f64::EPSILON);
    }

    #[test]
    fn only_what_came_later_is_left() {
        let now = parse(PAGE);
        assert_eq!(now.clone().since(&now), Requests::default());
        assert_eq!(now.clone().since(&Requests::default()), now);
    }

    #[test]
    fn reconciles_are_counted_by_any_result() {
        let page = "sampan_operator_reconciles_total{result=\"ok\"} 7\n\
                    sampan_operator_reconciles_total{result=\"error\"} 2\n\
                    sampan_operator_reconciles_running 1\n";
        assert_eq!(reconciles(page), 9);
    }
}
