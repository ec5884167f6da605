//! Tests of functions in a pool: ports, moves, crashes, and the objects of the pool.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::DeleteParams;
use sampan_crd::pool_report::{PoolReport, PooledFunction, Serving};
use sampan_crd::{ConditionKind, POOL, POOL_KEY, POOL_KEY_ENTRY, Placement, WasmFunction};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector, is_write};
use crate::support::operator::{Operator, TestNamespace, reason};

fn pooled() -> Value {
    json!({ "image": "registry.example/f:1", "placement": "Pooled" })
}

/// The port that a Service leads to in the pool; `None` if it leads to other pods.
pub(crate) async fn target(namespace: &TestNamespace, name: &str) -> Option<u16> {
    let service = namespace.api::<Service>().get_opt(name).await;
    let service = serde_json::to_value(service.expect("an answer")).expect("JSON");
    let selector = &service["spec"]["selector"]["sampan.dev/pool"];
    let port = service["spec"]["ports"][0]["targetPort"].as_u64();
    port.filter(|_| selector == "default")
        .and_then(|port| u16::try_from(port).ok())
}

pub(crate) fn port(function: &WasmFunction) -> Option<u16> {
    function.status.as_ref()?.pool_port
}

pub(crate) fn place(function: &WasmFunction) -> Option<Placement> {
    function.status.as_ref()?.placement
}

/// The key of the namespace's pool.
pub(crate) async fn pool_key(namespace: &TestNamespace) -> Option<Vec<u8>> {
    let secret = namespace.api::<Secret>().get_opt(POOL_KEY).await;
    let mut data = secret.expect("an answer")?.data.unwrap_or_default();
    data.remove(POOL_KEY_ENTRY).map(|key| key.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_function_has_a_port_and_its_namespace_a_pool() {
    let namespace = TestNamespace::new(cluster().await, "pooled").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    for name in ["f", "g"] {
        namespace
            .make(name, pooled())
            .await
            .expect("it is accepted");
        namespace.wait_for_status(name).await;
    }
    let mut ports = Vec::new();
    for name in ["f", "g"] {
        // The second one may have to wait for its port.
        let function = namespace
            .wait_for_status_where(name, |function| port(function).is_some())
            .await;
        assert_eq!(place(&function), Some(Placement::Pooled));
        assert_eq!(reason(&function, ConditionKind::Ready), "Starting");
        assert_eq!(target(&namespace, name).await, port(&function));
        ports.push(port(&function).expect("a port"));
        let deployment = namespace.api::<Deployment>().get_opt(name).await;
        assert!(deployment.expect("an answer").is_none());
    }
    ports.sort_unstable();
    assert_eq!(ports, [10_000, 10_001]);
    // The grant is made last.
    until("the grant is there", async || {
        let there = namespace.api::<RoleBinding>().get_opt(POOL).await;
        there.expect("an answer").is_some()
    })
    .await;
    namespace
        .api::<ServiceAccount>()
        .get(POOL)
        .await
        .expect("its account");
    namespace
        .api::<Deployment>()
        .get(POOL)
        .await
        .expect("its pods");
    let service = namespace.api::<Service>().get(POOL).await;
    let service = service.expect("the name of its pods").spec;
    assert_eq!(
        service.and_then(|spec| spec.cluster_ip).as_deref(),
        Some("None")
    );
    let key = pool_key(&namespace).await.expect("its key");
    assert_eq!(key.len(), 32);
    operator.stop().await.expect("it ends");

    // Another operator leaves the key as it is, and makes one that is missing.
    let operator = Operator::start(
        &namespace.admin,
        &FaultInjector::clear(),
        &namespace.name,
        None,
    );
    namespace.make("h", pooled()).await.expect("it is accepted");
    let has_port = |function: &WasmFunction| port(function).is_some();
    namespace.wait_for_status_where("h", has_port).await;
    assert_eq!(pool_key(&namespace).await.as_ref(), Some(&key));
    let secrets = namespace.api::<Secret>();
    secrets
        .delete(POOL_KEY, &DeleteParams::default())
        .await
        .expect("it is deleted");
    until("there is another key", async || {
        pool_key(&namespace)
            .await
            .is_some_and(|other| other.len() == 32 && other != key)
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_never_leads_to_the_port_of_another_function() {
    let namespace = TestNamespace::new(cluster().await, "pool-crash").await;
    for number in 1..8 {
        for action in [(|| FaultAction::CrashBefore) as fn() -> FaultAction, || {
            FaultAction::CrashAfter
        }] {
            let mut writes = 0;
            let faults = FaultInjector::with(move |request| {
                let ours = request.uri().path().contains("wasmfunctions")
                    || request.uri().path().contains("/services/");
                if ours && is_write(request.method(), request.uri().path()) {
                    writes += 1;
                    if writes == number {
                        return action();
                    }
                }
                FaultAction::Pass
            });
            let name = format!("f-{number}-{}", namespace_count(&namespace).await);
            let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
            namespace
                .make(&name, pooled())
                .await
                .expect("it is accepted");
            tokio::select! {
                () = faults.crashed() => {}
                _ = namespace.wait_for_status_where(&name, |function| port(function).is_some()) => {}
            }
            drop(operator);
        }
    }
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let functions = namespace.api::<WasmFunction>();
    let mut shown = Vec::new();
    until("every function has a port of its own", async || {
        let all = functions.list(&kube::api::ListParams::default()).await;
        let all = all.expect("an answer").items;
        let mut state = Vec::new();
        for function in &all {
            let name = function.metadata.name.clone().expect("a name");
            let target = target(&namespace, &name).await;
            state.push((name, port(function), place(function), target));
        }
        if state != shown {
            eprintln!("{state:?}");
            shown = state;
        }
        let mut ports: Vec<u16> = all.iter().filter_map(port).collect();
        ports.sort_unstable();
        ports.dedup();
        let mut lead_there = ports.len() == all.len();
        for function in &all {
            let name = function.metadata.name.as_deref().expect("a name");
            lead_there &= target(&namespace, name).await == port(function);
        }
        lead_there
    })
    .await;
    operator.stop().await.expect("it ends");
}

async fn namespace_count(namespace: &TestNamespace) -> usize {
    let functions = namespace.api::<WasmFunction>();
    let all = functions.list(&kube::api::ListParams::default()).await;
    all.expect("an answer").items.len()
}

/// A pod of the pool, in whose place this test reports.
pub(crate) struct ReportingPod {
    report: Arc<Mutex<PoolReport>>,
    /// Since when its functions use one processor each.
    busy_since: Arc<Mutex<Option<Instant>>>,
    server: tokio::task::JoinHandle<()>,
}

impl ReportingPod {
    /// Makes a ready pod with this loopback address, and answers there.
    pub(crate) async fn start(namespace: &TestNamespace, address: &str) -> Self {
        let report = Arc::new(Mutex::new(PoolReport {
            boot: "boot".to_owned(),
            complete: true,
            listed: true,
            ..PoolReport::default()
        }));
        let bound: SocketAddr = format!("{address}:9090").parse().expect("an address");
        let listener = TcpListener::bind(bound).await.expect("the port is free");
        let shown = Arc::clone(&report);
        let busy_since = Arc::new(Mutex::new(None::<Instant>));
        let busy = Arc::clone(&busy_since);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (shown, busy) = (Arc::clone(&shown), Arc::clone(&busy));
                let service = service_fn(move |_: Request<Incoming>| {
                    let mut report = shown.lock().expect("no panic").clone();
                    let since = *busy.lock().expect("no panic");
                    for function in &mut report.functions {
                        function.guest_seconds =
                            since.map_or(0.0, |since| since.elapsed().as_secs_f64());
                    }
                    let body = serde_json::to_vec(&report).expect("JSON");
                    async move {
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(
                            body,
                        ))))
                    }
                });
                // A poll that is given up is no failure.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
        let label = ("sampan.dev/pool", "default");
        namespace.start_pod("pool-pod", label, Some(address)).await;
        Self {
            report,
            busy_since,
            server,
        }
    }

    /// Reports from now on that each function uses one processor.
    pub(crate) fn use_a_processor(&self) {
        *self.busy_since.lock().expect("no panic") = Some(Instant::now());
    }

    /// Reports that the pod serves the current version of a function.
    pub(crate) async fn serve(&self, namespace: &TestNamespace, name: &str) {
        let function = namespace
            .wait_for_status_where(name, |function| port(function).is_some())
            .await;
        let generation = function.metadata.generation.unwrap_or_default();
        let mut report = self.report.lock().expect("no panic");
        report.revision += 1;
        report.functions = vec![PooledFunction {
            uid: function.metadata.uid.clone().expect("a UID"),
            name: name.to_owned(),
            generation,
            serving: Some(Serving {
                generation,
                port: port(&function).expect("a port"),
                digest: "sha256:0".to_owned(),
            }),
            ..PooledFunction::default()
        }];
    }
}

impl Drop for ReportingPod {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_moves_when_the_pool_reports_it_and_its_pods_drain() {
    let namespace = TestNamespace::new(cluster().await, "pool-move").await;
    let pod = ReportingPod::start(&namespace, "127.0.77.1").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is accepted");
    namespace.wait_for_status("f").await;
    namespace
        .change("f", json!({ "placement": "Pooled" }))
        .await;
    let function = namespace
        .wait_for_status_where("f", |function| port(function).is_some())
        .await;
    // The pool does not serve it yet.
    assert_eq!(place(&function), Some(Placement::Pod));
    assert_eq!(target(&namespace, "f").await, None);
    assert_eq!(reason(&function, ConditionKind::Progressing), "RollingOut");
    pod.serve(&namespace, "f").await;
    let function = namespace
        .wait_for_status_where("f", |function| {
            reason(function, ConditionKind::Progressing) == "Complete"
        })
        .await;
    assert_eq!(place(&function), Some(Placement::Pooled));
    assert_eq!(reason(&function, ConditionKind::Ready), "AllReady");
    assert_eq!(target(&namespace, "f").await, port(&function));
    let deployments = namespace.api::<Deployment>();
    let drains = deployments.get_opt("f").await.expect("an answer");
    assert!(drains.is_some());
    until("the Deployment is gone", async || {
        deployments.get_opt("f").await.expect("an answer").is_none()
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_removes_no_pool() {
    let namespace = TestNamespace::new(cluster().await, "pool-stale").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace.make("f", pooled()).await.expect("it is accepted");
    namespace.wait_for_status("f").await;
    let deployments = namespace.api::<Deployment>();
    until("the pool is there", async || {
        deployments
            .get_opt(POOL)
            .await
            .expect("an answer")
            .is_some()
    })
    .await;
    operator.stop().await.expect("it ends");

    // The next operator's first list has no function, and no later one succeeds.
    let mut lists = 0;
    let faults = FaultInjector::with(move |request| {
        let path = request.uri().path();
        if *request.method() != Method::GET || !path.ends_with("/wasmfunctions") {
            return FaultAction::Pass;
        }
        lists += 1;
        if lists > 1 {
            return FaultAction::Answer(500);
        }
        FaultAction::Reply(
            json!({
                "kind": "WasmFunctionList", "apiVersion": "sampan.dev/v1alpha1",
                "metadata": { "resourceVersion": "1" }, "items": [],
            })
            .to_string(),
        )
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let confirmations = || {
        let seen = faults.seen().into_iter();
        let lists = seen.filter(|(_, path)| {
            path.contains("/wasmfunctions?")
                && !path.contains("watch=1")
                && path.contains("limit=500")
        });
        lists.count()
    };
    until("it asked whether the pool is needed", async || {
        confirmations() > 2
    })
    .await;
    let deletes = faults.writes().into_iter();
    let deletes = deletes.filter(|(method, _)| *method == Method::DELETE);
    assert_eq!(deletes.count(), 0);
    assert!(operator.is_running());
}
