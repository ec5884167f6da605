//! `operator`: runs the real operator with many functions against a real API server.
//!
//! None of their pods runs: there is neither a kubelet nor another controller. Every counted
//! request is thus the operator's or this program's.

mod traffic;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use sampan_measure::files::program;
use sampan_measure::functions::{functions, resource};
use sampan_measure::http_client::Connection;
use sampan_measure::process::Process;
use serde_json::{Value, json};

use crate::api_server::Server;
use crate::arguments::Operator;
use crate::kill_on_exit::KillOnExit;
use crate::programs::free_address;
use crate::report::{Goal, Row, Unit, publish};
use traffic::{Requests, reconciles};

/// The namespace of the functions.
const NAMESPACE: &str = "default";
/// How many functions are created at once.
const MAX_CONCURRENT_CREATES: usize = 16;
/// The timeout of every wait.
const WAIT_TIMEOUT: Duration = Duration::from_mins(20);
/// The resync period while nothing changes.
const RESYNC: Duration = Duration::from_secs(15);
/// The count of resync periods in which writes are counted.
const RESYNC_COUNT: u64 = 3;

pub(crate) async fn run(asked: &Operator) -> Result<ExitCode> {
    let mut rows = Vec::new();
    for count in &asked.counts {
        eprintln!("==> {count} functions");
        rows.extend(measure(*count).await?);
    }
    publish(rows, &asked.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(count: usize) -> Result<Vec<Row>> {
    let server = Server::start().await?;
    let client = server.client()?;
    server.define(&program("sampan-operator")?)?;
    let functions = functions(client.clone(), NAMESPACE);
    wait_for_resource(&functions).await?;
    make(&functions, count).await?;
    eprintln!("  made");

    let mut rows = Vec::new();
    let mut add = |measure: &str, subject: &str, unit: Unit, value: f64, goal: Option<f64>| {
        let measure = format!("{count} functions: {measure}");
        let row = Row::new(&measure, subject, unit, vec![value]);
        rows.push(match goal {
            Some(goal) => row.with_goal(Goal::AtMost(goal)),
            None => row,
        });
    };

    let before = Requests::count(&client).await?;
    let operator = start(&server, "10m").await?;
    let taken = wait_for_all_statuses(&functions, count, operator.begun).await?;
    let requests = Requests::count(&client).await?.since(&before);
    let process = Process(operator.child.pid());
    let milliseconds = taken.as_secs_f64() * 1e3;
    add(
        "from the operator's start until all statuses are set",
        "sampan-operator",
        Unit::Milliseconds,
        milliseconds,
        None,
    );
    for (what, number) in requests.of_operator() {
        add("requests", &what, Unit::Count, number, None);
    }
    add(
        "peak memory",
        "sampan-operator",
        Unit::Kibibytes,
        process.most_kibibytes()?,
        None,
    );
    eprintln!("  all statuses are set after {:.1} s", taken.as_secs_f64());
    operator.child.end().await?;

    // The operator starts again with all objects in their final state: it has nothing to do, and
    // must do nothing.
    let before = Requests::count(&client).await?;
    let operator = start(&server, &format!("{}s", RESYNC.as_secs())).await?;
    operator
        .until_reconciles(count as u64 * RESYNC_COUNT)
        .await?;
    let requests = Requests::count(&client).await?.since(&before);
    let process = Process(operator.child.pid());
    add(
        "writes when nothing changes, over three resyncs",
        "sampan-operator",
        Unit::Count,
        requests.writes(),
        Some(0.0),
    );
    for (what, number) in requests.of_operator() {
        add(
            "requests when nothing changes, a start included",
            &what,
            Unit::Count,
            number,
            None,
        );
    }
    add(
        "memory at rest",
        "sampan-operator",
        Unit::Kibibytes,
        process.proportional_kibibytes()?,
        None,
    );
    operator.child.end().await?;
    drop(server);
    Ok(rows)
}

/// The operator as a process.
struct Running {
    child: KillOnExit,
    begun: Instant,
    /// The address of its metrics.
    admin: std::net::SocketAddr,
}

async fn start(server: &Server, resync: &str) -> Result<Running> {
    let admin = free_address()?;
    let begun = Instant::now();
    let child = KillOnExit::start(
        &program("sampan-operator")?,
        &[
            format!("--admin={admin}"),
            format!("--resync={resync}"),
            "--log-format=text".to_owned(),
        ],
        &[("KUBECONFIG", server.kubeconfig().display().to_string())],
        &server.log("operator"),
    )
    .await?;
    Ok(Running {
        child,
        begun,
        admin,
    })
}

impl Running {
    /// Waits until this many reconciles have ended.
    async fn until_reconciles(&self, count: u64) -> Result<()> {
        loop {
            match self.reconciles().await {
                Ok(done) if done >= count => return Ok(()),
                // It does not listen at once.
                other if self.begun.elapsed() > WAIT_TIMEOUT => {
                    bail!("the operator has ended {other:?} reconciles, not {count}")
                }
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn reconciles(&self) -> Result<u64> {
        let mut connection = Connection::open(self.admin).await?;
        let (answer, _) = connection.get("/metrics").await?;
        Ok(reconciles(&String::from_utf8_lossy(answer.body())))
    }
}

/// Waits until the API server serves the defined resource.
async fn wait_for_resource(functions: &Api<DynamicObject>) -> Result<()> {
    let begun = Instant::now();
    while let Err(error) = functions.list(&kube::api::ListParams::default()).await {
        ensure!(
            begun.elapsed() < WAIT_TIMEOUT,
            "the API server does not serve WasmFunctions: {error}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn make(functions: &Api<DynamicObject>, count: usize) -> Result<()> {
    futures_util::stream::iter(0..count)
        .map(|number| async move {
            let name = format!("function-{number}");
            let mut function = DynamicObject::new(&name, &resource()).within(NAMESPACE);
            function.data = json!({ "spec": spec(number) });
            let made = functions.create(&PostParams::default(), &function).await;
            made.with_context(|| format!("failed to create {name}"))
                .map(drop)
        })
        .buffer_unordered(MAX_CONCURRENT_CREATES)
        .try_collect::<()>()
        .await
}

/// A typical function: every tenth has an Ingress, all have a limit, a rule and a variable.
fn spec(number: usize) -> Value {
    let mut spec = json!({
        "image": format!("registry.example/functions/function-{number}:1.0"),
        "replicas": 0,
        "env": [{ "name": "STORE_URL", "value": "http://store.default.svc" }],
        "limits": { "memory": "64Mi", "timeout": "10s" },
        "outbound": { "allow": ["http://store.default.svc"] },
    });
    if number.is_multiple_of(10) {
        spec["ingress"] = json!({ "host": format!("function-{number}.example.com") });
    }
    spec
}

/// Waits until the status of every function is up to date, and returns how long that took.
async fn wait_for_all_statuses(
    functions: &Api<DynamicObject>,
    count: usize,
    begun: Instant,
) -> Result<Duration> {
    let events = watcher(functions.clone(), watcher::Config::default()).applied_objects();
    let mut events = Box::pin(events);
    let mut observed_names = std::collections::HashSet::new();
    let all = async {
        while observed_names.len() < count {
            let function = events.next().await.context("the watch has ended")??;
            let observed = function.data["status"]["observedGeneration"].as_i64();
            if observed.is_some() && observed == function.metadata.generation {
                observed_names.insert(function.name_any());
            }
        }
        anyhow::Ok(begun.elapsed())
    };
    tokio::time::timeout(WAIT_TIMEOUT, all)
        .await
        .context("not all functions have a status in time")?
}
