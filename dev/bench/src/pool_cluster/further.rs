//! Measures a further pod of a pool, which gets its modules from the first one, against a pod that compiles them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use sampan_measure::pool::is_ready;
use serde_json::json;

use super::{Bench, ratios};
use crate::pooled::{self, WAIT_TIMEOUT};
use crate::report::{Goal, Row, Unit};

/// The most turns: each takes minutes.
const TURNS: usize = 3;
/// The delay between two looks at the pods.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The label of a pool's pods.
const LABEL: &str = "sampan.dev/pool=default";
/// The most time of a further pod, as a ratio to one that compiles.
const MAX_RATIO: f64 = 0.1;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let functions = bench.functions();
    let count = bench.asked.further;
    eprintln!("  pushing {count} modules");
    for number in 0..count {
        let image = format!("{}/bench/pool-further-{number}:1", bench.cluster.registry);
        // Other measurements push modules with smaller numbers.
        bench
            .modules
            .push(1_000_000 + number as u64, &image)
            .await?;
        let image = bench.cluster.image_in_cluster(&image)?;
        pooled::create(&functions, &format!("further-{number}"), number, &image).await?;
    }
    let [mut compiled, mut fetched] = [const { Vec::new() }; 2];
    let turns = bench.asked.repeats.min(TURNS);
    for turn in 1..=turns {
        set_pods(bench, 1).await?;
        let former = ready_pods(bench, &[], 1).await?;
        // It is gone at once, so that the next one has no pod to ask.
        for name in &former {
            let now = DeleteParams::default().grace_period(0);
            bench.namespace.pods().delete(name, &now).await?;
        }
        compiled.push(new_pod(bench, &former, 1).await?);
        let first = ready_pods(bench, &former, 1).await?;
        set_pods(bench, 2).await?;
        fetched.push(new_pod(bench, &first, 2).await?);
        eprintln!("  turn {turn} of {turns}");
    }
    let measure = format!("a new pod with {count} modules until it is ready");
    Ok(vec![
        ratios(
            &format!("{measure} / that compiles them"),
            "from another pod",
            &fetched,
            &compiled,
        )
        .with_goal(Goal::AtMost(MAX_RATIO)),
        Row::new(&measure, "from another pod", Unit::Milliseconds, fetched),
        Row::new(&measure, "compiles them", Unit::Milliseconds, compiled),
    ])
}

/// Sets the number of pods.
async fn set_pods(bench: &Bench<'_>, count: usize) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("sampan.dev", "v1alpha1", "WasmPool"));
    let pools: Api<DynamicObject> =
        Api::namespaced_with(bench.namespace.client(), bench.namespace.name(), &kind);
    let pool = json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmPool",
        "metadata": { "name": "default" }, "spec": { "replicas": { "min": count } },
    });
    let parameters = PatchParams::apply("sampan-bench").force();
    pools
        .patch("default", &parameters, &Patch::Apply(pool))
        .await
        .context("failed to set the number of pods")?;
    Ok(())
}

/// The milliseconds from the creation of the only pod that is none of the former ones until it is ready, when
/// there are so many.
async fn new_pod(bench: &Bench<'_>, former: &[String], count: usize) -> Result<f64> {
    let begun = Instant::now();
    let is_new = |name: &String| !former.contains(name);
    until(bench, |pods| pods.iter().any(|(name, _)| is_new(name))).await?;
    let seen = Instant::now();
    until(bench, |pods| {
        pods.len() == count && pods.iter().all(|(_, ready)| *ready)
    })
    .await?;
    ensure!(
        seen.duration_since(begun) < Duration::from_secs(30),
        "the pod was created late, so the figure would be too small"
    );
    Ok(seen.elapsed().as_secs_f64() * 1e3)
}

/// The names of the pods, once there are so many, all of them ready and none of the former ones.
async fn ready_pods(bench: &Bench<'_>, former: &[String], count: usize) -> Result<Vec<String>> {
    let pods = until(bench, |pods| {
        pods.len() == count
            && pods
                .iter()
                .all(|(name, ready)| *ready && !former.contains(name))
    });
    Ok(pods.await?.into_iter().map(|(name, _)| name).collect())
}

/// The pods with their readiness, once a condition holds for them.
async fn until(
    bench: &Bench<'_>,
    holds: impl Fn(&[(String, bool)]) -> bool,
) -> Result<Vec<(String, bool)>> {
    let (api, begun) = (bench.namespace.pods(), Instant::now());
    loop {
        let pods = api.list(&ListParams::default().labels(LABEL)).await?;
        let pods: Vec<(String, bool)> = pods
            .items
            .iter()
            .map(|pod| (pod.name_any(), is_ready(pod)))
            .collect();
        if holds(&pods) {
            return Ok(pods);
        }
        ensure!(
            begun.elapsed() < WAIT_TIMEOUT,
            "the pool does not get there; its pods are {pods:?}"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
